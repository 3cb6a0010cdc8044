// `%OPERATORS%` of the access log in header values: cut into pieces when the table is built, written into the
// worker's scratch per message. What is not known in a phase is empty (istio-semantics.md 6).
public import Base
public import HTTP

/// One piece of a value.
struct ValuePiece: BitwiseCopyable {
    enum Kind: UInt8 {
        case literal, requestHeader, responseHeader, queryParameter
        case method, path, authority, scheme
        case bareHeader, barePath
        case startTime, timePart, duration, networkProtocol, hostname, responseCode
        case responseFlags, responseDetails, transportFailure
        case downstreamAddress, downstreamIP, downstreamPort
        case downstreamLocalAddress, downstreamLocalIP, downstreamLocalPort
        case upstreamHost, upstreamIP, upstreamPort, upstreamCluster, routeName
        case serverName, tlsVersion, tlsCipher
        case peerSubject, peerIssuer, peerURIs, peerNames, peerFingerprint, peerSerial
        /// Known to Envoy, never known here.
        case nothing
    }

    var kind: Kind
    /// Of `literal`; the name of a query parameter; of `timePart`, the conversion without its `%`.
    var text: ByteView
    var name: HeaderName
    /// `%REQ(a?b)%`: taken where `a` is missing. Kind `nothing` without.
    var otherKind: Kind
    var otherName: HeaderName
    /// `%REQ(a):n%`; `Int.max`: no limit.
    var limit: Int
}

/// What operators speak of. Views need to hold for the call only.
public struct FormatContext: BitwiseCopyable {
    /// `10.0.0.1:43210`, `[::1]:43210`.
    public var downstreamRemote = ByteView.empty
    public var downstreamLocal = ByteView.empty
    /// `HTTP/1.1`.
    public var networkProtocol = ByteView.empty
    public var hostname = ByteView.empty
    /// When the request started, nanoseconds since 1970; 0: unknown.
    public var startNanoseconds: UInt64 = 0
    /// Milliseconds since then.
    public var elapsedMs: UInt64 = 0
    /// `10.1.2.3:8080`; known in responses only.
    public var upstreamHost = ByteView.empty
    /// Of responses, as the access log has them: `UF,URX` or `-`, details, and why no connection was made.
    public var responseFlags = ByteView.empty
    public var responseDetails = ByteView.empty
    public var transportFailure = ByteView.empty
    public var upstreamCluster = ByteView.empty
    public var routeName = ByteView.empty
    /// Of the client's TLS; nil: it speaks plain text.
    public var tls: TLSFacts?
    /// For responses: the request head as it was written upstream (start line, lines, lower-case names),
    /// which `%REQ(x)%` reads. Empty: unknown.
    public var requestHead = ByteView.empty
    /// For responses made before a request head was written: its lines.
    public var requestHeaders: UnsafePointer<HeaderList>?
    /// The same response's start line, as it was routed.
    public var request: Request?
    /// For responses under a CORS policy: the request's Origin, as it came.
    public var origin = ByteView.empty
    var cors: UnsafePointer<CORSPolicy>?

    public init() {}
}

/// What formatters say of a client's TLS connection; what its certificate says is empty where it showed none.
public struct TLSFacts: BitwiseCopyable {
    /// SNI.
    public var serverName = ByteView.empty
    /// `TLSv1.3`.
    public var version = ByteView.empty
    /// OpenSSL's name.
    public var cipher = ByteView.empty
    public var peerSubject = ByteView.empty
    public var peerIssuer = ByteView.empty
    /// Alternative names, joined with commas.
    public var peerURIs = ByteView.empty
    public var peerNames = ByteView.empty
    /// SHA-256 of the certificate, and its serial number, in hex.
    public var peerFingerprint = ByteView.empty
    public var peerSerial = ByteView.empty

    public init() {}

    fileprivate func value(_ kind: ValuePiece.Kind) -> ByteView {
        switch kind {
        case .serverName: serverName
        case .tlsVersion: version
        case .tlsCipher: cipher
        case .peerSubject: peerSubject
        case .peerIssuer: peerIssuer
        case .peerURIs: peerURIs
        case .peerNames: peerNames
        case .peerFingerprint: peerFingerprint
        case .peerSerial: peerSerial
        default: .empty
        }
    }
}

/// Room for bytes that edits make and that are no header lines: rewritten paths, locations, formatted
/// values. One per worker, its memory allocated once; each function that takes it starts afresh, so what an
/// earlier one returned is gone then.
public struct EditScratch {
    /// A path may be rewritten to the length of the longest target, and its old form be kept beside it.
    static let capacity = Limits.editBytes + 2 * Limits.targetBytes
    private let bytes: UnsafeMutablePointer<UInt8>
    private var used = 0
    private let values: UnsafeMutablePointer<ByteView>
    private var valueCount = 0
    /// Something did not fit: the message must not go on.
    public private(set) var overflowed = false

    public init() {
        bytes = .allocate(capacity: Self.capacity)
        values = .allocate(capacity: Limits.editFields)
    }

    /// Frees the memory; the scratch must not be used afterwards.
    public func deallocate() {
        bytes.deallocate()
        values.deallocate()
    }

    mutating func reset() {
        used = 0
        overflowed = false
    }

    /// Where the next `view(from:)` starts.
    var mark: Int { used }

    func view(from mark: Int) -> ByteView { ByteView(UnsafePointer(bytes + mark), used &- mark) }

    mutating func append(_ view: ByteView) {
        guard used &+ view.count <= Self.capacity else {
            overflowed = true
            return
        }
        (bytes + used).update(from: view.start, count: view.count)
        used &+= view.count
    }

    mutating func append(_ byte: UInt8) {
        guard used < Self.capacity else {
            overflowed = true
            return
        }
        bytes[used] = byte
        used &+= 1
    }

    /// In decimal, with at least `width` digits.
    mutating func append(decimal value: UInt64, width: Int = 1) {
        var digits = 1
        var power: UInt64 = 1
        while digits < 20, value / power >= 10 {
            power *= 10
            digits += 1
        }
        while digits < width {
            append(0x30)
            digits += 1
        }
        while power > 0 {
            append(0x30 + UInt8(value / power % 10))
            power /= 10
        }
    }

    /// Free room for a caller that writes by itself, and the way to keep what it wrote.
    var room: (start: UnsafeMutablePointer<UInt8>, count: Int) { (bytes + used, Self.capacity &- used) }
    mutating func keep(_ count: Int) { used &+= count }
    mutating func fail() { overflowed = true }

    // MARK: values of one level of header operations

    mutating func beginValues() { valueCount = 0 }
    func value(_ index: Int) -> ByteView { index < valueCount ? values[index] : .empty }

    mutating func appendValue(
        _ operation: UnsafePointer<HeaderOperation>, _ headers: HeaderList, _ format: FormatContext,
        _ request: Request?, _ status: Int
    ) {
        guard valueCount < Limits.editFields else {
            overflowed = true
            return
        }
        let from = mark
        if operation.pointee.isLiteral {
            values[valueCount] = operation.pointee.literal
        } else {
            var index = 0
            let pieces = operation.pointee.pieces
            while index < pieces.count {
                append(pieces[index], headers, format, request, status)
                index &+= 1
            }
            values[valueCount] = view(from: from)
        }
        valueCount &+= 1
    }

    private mutating func append(
        _ piece: UnsafePointer<ValuePiece>, _ headers: HeaderList, _ format: FormatContext,
        _ request: Request?, _ status: Int
    ) {
        let from = used
        let isThere = append(piece.pointee.kind, piece.pointee.name, piece, headers, format, request, status)
        if !isThere, piece.pointee.otherKind != .nothing {
            append(piece.pointee.otherKind, piece.pointee.otherName, piece, headers, format, request, status)
        }
        if used &- from > piece.pointee.limit { used = from &+ piece.pointee.limit }
    }

    /// False: what was asked for is not there at all, which is not the same as empty.
    @discardableResult
    private mutating func append(
        _ kind: ValuePiece.Kind, _ name: HeaderName, _ piece: UnsafePointer<ValuePiece>,
        _ headers: HeaderList, _ format: FormatContext, _ request: Request?, _ status: Int
    ) -> Bool {
        let asked = request ?? format.request
        switch kind {
        case .literal: append(piece.pointee.text)
        case .requestHeader:
            if request != nil { return append(first: name, headers) }
            if let lines = format.requestHeaders { return append(first: name, lines.pointee) }
            guard let value = HeadText(format.requestHead).value(name.bytes) else { return false }
            append(value)
        case .responseHeader: return request == nil && append(first: name, headers)
        case .queryParameter: appendQuery(piece.pointee.text, format, asked)
        case .method: append(asked?.method ?? HeadText(format.requestHead).method)
        case .path: appendPath(format, asked)
        case .authority: append(asked?.authority ?? HeadText(format.requestHead).value(hostName) ?? .empty)
        case .scheme: if let asked { append(asked.scheme) }
        case .bareHeader:
            if request != nil { return append(first: name, headers, bare: true) }
            if let lines = format.requestHeaders { return append(first: name, lines.pointee, bare: true) }
            guard let value = HeadText(format.requestHead).value(name.bytes) else { return false }
            append(withoutQuery(value))
        case .barePath: append(asked?.path ?? withoutQuery(HeadText(format.requestHead).path))
        case .startTime: append(time: format.startNanoseconds)
        case .timePart: append(conversion: piece.pointee.text, format.startNanoseconds)
        case .duration: append(decimal: format.elapsedMs)
        case .networkProtocol: append(format.networkProtocol)
        case .hostname: append(format.hostname)
        case .responseCode: if status > 0 { append(decimal: UInt64(status)) }
        case .responseFlags: append(format.responseFlags)
        case .responseDetails: append(format.responseDetails)
        case .transportFailure: append(format.transportFailure)
        case .downstreamAddress: append(format.downstreamRemote)
        case .downstreamIP: append(hostPart(format.downstreamRemote))
        case .downstreamPort: append(portPart(format.downstreamRemote))
        case .downstreamLocalAddress: append(format.downstreamLocal)
        case .downstreamLocalIP: append(hostPart(format.downstreamLocal))
        case .downstreamLocalPort: append(portPart(format.downstreamLocal))
        case .upstreamHost: append(format.upstreamHost)
        case .upstreamIP: append(hostPart(format.upstreamHost))
        case .upstreamPort: append(portPart(format.upstreamHost))
        case .upstreamCluster: append(format.upstreamCluster)
        case .routeName: append(format.routeName)
        case .serverName, .tlsVersion, .tlsCipher, .peerSubject, .peerIssuer, .peerURIs, .peerNames,
            .peerFingerprint, .peerSerial:
            if let tls = format.tls { append(tls.value(kind)) }
        case .nothing: break
        }
        return true
    }

    /// The first line of a header, as Envoy has it where a header is repeated. False: there is none.
    private mutating func append(
        first name: HeaderName, _ headers: HeaderList, bare: Bool = false
    ) -> Bool {
        guard let line = headers.find(name, from: 0) else { return false }
        append(bare ? withoutQuery(line.pointee.value) : line.pointee.value)
        return true
    }

    private mutating func appendPath(_ format: FormatContext, _ request: Request?) {
        guard let request else {
            append(HeadText(format.requestHead).path)
            return
        }
        append(request.path)
        if request.hasQuery {
            append(0x3F)
            append(request.query)
        }
    }

    private mutating func appendQuery(_ name: ByteView, _ format: FormatContext, _ request: Request?) {
        let query: ByteView
        if let request {
            query = request.query
        } else {
            let path = HeadText(format.requestHead).path
            guard let mark = path.firstIndex(of: 0x3F) else { return }
            query = path.slice(mark &+ 1, path.count)
        }
        if let value = firstParameter(query, name) { append(value) }
    }

    /// `2026-01-02T03:04:05.678Z`.
    private mutating func append(time nanoseconds: UInt64) {
        if nanoseconds == 0 { return }
        let time = UTCTime(nanoseconds: nanoseconds)
        append(decimal: UInt64(time.year), width: 4)
        append(0x2D)
        append(decimal: UInt64(time.month), width: 2)
        append(0x2D)
        append(decimal: UInt64(time.day), width: 2)
        append(0x54)
        append(decimal: UInt64(time.hour), width: 2)
        append(0x3A)
        append(decimal: UInt64(time.minute), width: 2)
        append(0x3A)
        append(decimal: UInt64(time.second), width: 2)
        append(0x2E)
        append(decimal: UInt64(time.millisecond), width: 3)
        append(0x5A)
    }
}

private func withoutQuery(_ path: ByteView) -> ByteView {
    path.slice(0, path.firstIndex(of: 0x3F) ?? path.count)
}

private var hostName: ByteView {
    let text: StaticString = "host"
    return ByteView(text.utf8Start, text.utf8CodeUnitCount)
}

/// `10.0.0.1` of `10.0.0.1:80`, `::1` of `[::1]:80`.
private func hostPart(_ address: ByteView) -> ByteView {
    let host = address.slice(0, hostLength(address))
    if host.count > 1, host[0] == 0x5B, host[host.count &- 1] == 0x5D {
        return host.slice(1, host.count &- 1)
    }
    return host
}

private func portPart(_ address: ByteView) -> ByteView {
    let length = hostLength(address)
    return length < address.count ? address.slice(length &+ 1, address.count) : .empty
}

/// Reads single facts out of a request head as it was written upstream.
private struct HeadText {
    let head: ByteView
    init(_ head: ByteView) { self.head = head }

    private var startLine: ByteView {
        head.slice(0, head.firstIndex(of: 0x0D) ?? 0)
    }

    var method: ByteView {
        let line = startLine
        return line.slice(0, line.firstIndex(of: 0x20) ?? 0)
    }

    /// With the query.
    var path: ByteView {
        let line = startLine
        guard let from = line.firstIndex(of: 0x20), let to = line.firstIndex(of: 0x20, from: from &+ 1) else {
            return .empty
        }
        return line.slice(from &+ 1, to)
    }

    /// Of the first line with this lower-case name; nil: there is none.
    func value(_ name: ByteView) -> ByteView? {
        var from = (head.firstIndex(of: 0x0A) ?? head.count) &+ 1
        while from < head.count, let end = head.firstIndex(of: 0x0D, from: from) {
            let line = head.slice(from, end)
            if line.count > name.count, line[name.count] == 0x3A, line.hasPrefix(name) {
                return line.slice(name.count &+ 1, line.count).trimmed
            }
            from = end &+ 2
        }
        return nil
    }
}
