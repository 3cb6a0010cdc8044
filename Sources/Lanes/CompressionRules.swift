// Which responses are compressed (`Proxy.spec.compression`), and what their heads say then (RFC 9110 8.4,
// 8.8, 12.5.5).
internal import Base
public import HTTP

/// Frozen `Proxy.spec.compression`.
public struct CompressionRules: BitwiseCopyable {
    /// Media types, `type/subtype` or `type/*`, lower case.
    var types: Frozen<ByteView>
    /// Bodies of a known length below this stay as they are.
    var minBytes: UInt64
    /// Names that are looked for once a response at most.
    public let acceptEncoding: HeaderName
    let contentEncoding: HeaderName
    let contentRange: HeaderName
    let etag: HeaderName
    /// Checksums of the very bytes: a coding would make them wrong (RFC 9530, RFC 1864).
    let digests: Frozen<HeaderName>

    init(_ model: CompressionModel, _ arena: Arena) {
        types = arena.store(model.types.map { arena.store($0.lowercased()) })
        minBytes = UInt64(model.minBytes)
        acceptEncoding = HeaderName("accept-encoding")
        contentEncoding = HeaderName("content-encoding")
        contentRange = HeaderName("content-range")
        etag = HeaderName("etag")
        let names: [ByteView] = ["content-digest", "repr-digest", "digest", "content-md5"]
        digests = arena.store(names.map { HeaderName($0) })
    }

    /// Whether a coding may be applied to this response, whatever its client accepts.
    public func cover(_ head: ResponseHead, _ headers: HeaderList) -> Bool {
        guard head.status >= 200, head.status != 204, head.status != 206, head.status != 304,
            let type = headers.find(.contentType), covers(mediaType: type.pointee.value),
            headers.find(contentEncoding) == nil, headers.find(contentRange) == nil
        else { return false }
        if head.connection.hasContentLength, head.connection.contentLength < minBytes { return false }
        if hasListToken(.cacheControl, "no-transform", headers) { return false }
        var index = 0
        while index < digests.count {
            if headers.find(digests[index].pointee) != nil { return false }
            index &+= 1
        }
        return true
    }

    private func covers(mediaType value: ByteView) -> Bool {
        let given = value.slice(0, value.firstIndex(of: 0x3B) ?? value.count).trimmed
        var index = 0
        while index < types.count {
            let type = types[index].pointee
            index &+= 1
            if given.equalsIgnoringCase(type) { return true }
            let prefix = type.count &- 1
            if type[prefix] == 0x2A, given.count > prefix,
                given.slice(0, prefix).equalsIgnoringCase(type.slice(0, prefix))
            {
                return true
            }
        }
        return false
    }

    /// What caches must know of a response that is compressed for some clients, whether it is for this one.
    public func noteVariance(_ headers: inout HeaderList) {
        if hasListToken(.vary, "*", headers) || hasListToken(.vary, acceptEncoding.bytes, headers) { return }
        headers.append(HeaderNames.name(.vary), "Accept-Encoding")
    }

    /// The head of a body in a coding. Its length is not known; its entity tag names what is equivalent, no
    /// longer what is the same byte for byte.
    public func encode(_ coding: ContentCoding, _ headers: inout HeaderList) {
        headers.remove(.contentLength)
        headers.append(contentEncoding, coding.text)
        guard let line = headers.find(etag) else { return }
        let strong = line.pointee.value
        if strong.hasPrefix("W/") { return }
        line.pointee.dropped = true
        guard let room = headers.reserve(etag, strong.count &+ 2) else { return }
        room[0] = 0x57
        room[1] = 0x2F
        (room + 2).update(from: strong.start, count: strong.count)
    }
}
