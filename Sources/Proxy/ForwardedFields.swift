// What a request carries about its way here: believed, replaced or added by the rules of istio-semantics.md
// 22.2. The edge trusts nobody it was not told to; a sidecar passes on what it got.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes

/// What a listener's role does with each known field of a request.
struct FieldRules: ~Copyable {
    /// By `HeaderID`: true where the edge removes it.
    private let edge: UnsafeMutablePointer<Bool>

    init() {
        edge = .allocate(capacity: 256)
        edge.initialize(repeating: false, count: 256)
        let removed: [HeaderID] = [
            .xEnvoyRetryOn, .xEnvoyRetryGrpcOn, .xEnvoyMaxRetries, .xEnvoyRetriableStatusCodes,
            .xEnvoyRetriableHeaderNames, .xEnvoyUpstreamRqTimeoutMs, .xEnvoyUpstreamRqPerTryTimeoutMs,
            .xEnvoyUpstreamRqTimeoutAltResponse, .xEnvoyExpectedRqTimeoutMs, .xEnvoyForceTrace,
            .xEnvoyIPTags, .xEnvoyOriginalURL, .xEnvoyHedgeOnPerTryTimeout, .xEnvoyUpstreamAltStatName,
            .xEnvoyDecoratorOperation, .xEnvoyDownstreamServiceCluster, .xEnvoyDownstreamServiceNode,
            .xEnvoyOriginalPath, .xEnvoyInternal, .xEnvoyExternalAddress, .xEnvoyAttemptCount,
            .xForwardedClientCert,
        ]
        for id in removed { edge[Int(id.rawValue)] = true }
    }

    deinit { edge.deallocate() }

    @inline(__always)
    func edgeRemoves(_ id: UInt8) -> Bool { edge[Int(id)] }
}

/// What later steps need to know of the fields that were read.
struct ForwardedFields: BitwiseCopyable {
    var userAgent: ByteView = .empty
    var forwardedFor: ByteView = .empty
    var requestID: ByteView = .empty
    var isTLS = false
    var isGRPC = false
}

extension Worker {
    /// Sanitises and adds fields; the views in the result hold as long as the header list's.
    mutating func forwardFields(
        _ own: UnsafeMutablePointer<Connection>, _ role: ListenerRole
    ) -> ForwardedFields {
        let headers = requestHeaders
        var result = ForwardedFields()
        var forwardedForIndex = -1
        var protoIndex = -1
        var requestIDIndex = -1
        let isEdge = role == .edge
        let trusted = isEdge && isTrusted(own.pointee.peer)
        var index = 0
        let count = headers.pointee.count
        while index < count {
            let field = headers.pointee.fields + index
            let id = field.pointee.id
            if id > HeaderID.trailer.rawValue {
                switch HeaderID(rawValue: id) {
                case .userAgent: result.userAgent = field.pointee.value
                case .xForwardedFor: forwardedForIndex = index
                case .xForwardedProto: protoIndex = index
                case .xRequestID: requestIDIndex = index
                case .referer: checkReferer(field)
                case .contentType:
                    result.isGRPC = GRPC.isContentType(field.pointee.value)
                default:
                    if isEdge, rules.edgeRemoves(id) { field.pointee.dropped = true }
                }
            }
            index &+= 1
        }
        if isEdge {
            appendForwardedFor(own, forwardedForIndex)
            setExternalAddress(own, trusted, forwardedForIndex)
        } else {
            headers.pointee.remove(.xEnvoyInternal)
        }
        if isEdge, own.pointee.flags.contains(.secure) { setClientCertificate(own) }
        setProto(protoIndex, own, keep: !isEdge || trusted, &result)
        setRequestID(requestIDIndex, keep: !isEdge || trusted, &result)
        if let field = headers.pointee.find(.xForwardedFor) { result.forwardedFor = field.pointee.value }
        return result
    }

    /// A proxy in front whose word is taken: any, where a number of hops is configured, else those in
    /// `cidrs`.
    private func isTrusted(_ peer: SocketAddress) -> Bool {
        settings.trustedHops > 0 || settings.trusts(peer)
    }

    /// RFC 9110 10.1.3: neither userinfo nor a fragment belongs there (istio-semantics.md 29).
    private func checkReferer(_ field: UnsafeMutablePointer<HeaderField>) {
        let value = field.pointee.value
        guard let slashes = value.firstIndex(of: 0x3A) else { return }
        if value.firstIndex(of: 0x23) != nil { field.pointee.dropped = true }
        let authorityEnd = value.firstIndex(of: 0x2F, from: slashes + 3) ?? value.count
        if let at = value.firstIndex(of: 0x40), at < authorityEnd { field.pointee.dropped = true }
    }

    private mutating func appendForwardedFor(_ own: UnsafeMutablePointer<Connection>, _ index: Int) {
        let address = own.peerAddressText
        let name = HeaderNames.name(.xForwardedFor)
        if index < 0 {
            requestHeaders.pointee.append(name, address)
            return
        }
        // Repeated lines are one list: the last is extended, the others stay.
        let field = requestHeaders.pointee.fields + index
        let old = field.pointee.value
        field.pointee.dropped = true
        guard let room = requestHeaders.pointee.reserve(name, old.count + 1 + address.count) else { return }
        memcpy(room, old.start, old.count)
        room[old.count] = 0x2C
        memcpy(room + old.count + 1, address.start, address.count)
    }

    /// `x-envoy-external-address`: the client's address as far as it can be trusted.
    private mutating func setExternalAddress(
        _ own: UnsafeMutablePointer<Connection>, _ trusted: Bool, _ index: Int
    ) {
        let name = HeaderNames.name(.xEnvoyExternalAddress)
        if trusted, index >= 0, let address = trustedAddress(index) {
            requestHeaders.pointee.append(name, address)
        } else {
            requestHeaders.pointee.append(name, own.peerAddressText)
        }
    }

    /// With N trusted hops the N-th entry from the right, before ours was appended; with trusted ranges the
    /// last.
    private func trustedAddress(_ index: Int) -> ByteView? {
        let value = requestHeaders.pointee.fields[index].value
        var hops = max(1, Int(settings.trustedHops))
        var end = value.count
        var at = value.count
        while at > 0 {
            at -= 1
            let isFirst = at == 0
            guard value[at] == 0x2C || isFirst else { continue }
            hops -= 1
            let entry = value.slice(value[at] == 0x2C ? at + 1 : at, end).trimmed
            if hops == 0 || isFirst { return entry.isEmpty ? nil : entry }
            end = at
        }
        return nil
    }

    /// What came under this name was removed: only we say whose certificate was shown here.
    private mutating func setClientCertificate(_ own: UnsafeMutablePointer<Connection>) {
        guard let state = tls(of: own), !state.pointee.certificate.isEmpty else { return }
        let certificate = state.pointee.certificate
        requestHeaders.pointee.append(
            HeaderNames.name(.xForwardedClientCert), ByteView(certificate.bytes, certificate.count))
    }

    private mutating func setProto(
        _ index: Int, _ own: UnsafeMutablePointer<Connection>, keep: Bool, _ result: inout ForwardedFields
    ) {
        if keep, index >= 0 {
            result.isTLS = requestHeaders.pointee.fields[index].value.equalsIgnoringCase("https")
            return
        }
        result.isTLS = own.pointee.flags.contains(.secure)
        requestHeaders.pointee.set(
            HeaderNames.name(.xForwardedProto), result.isTLS ? RequestRules.https : RequestRules.http)
    }

    private mutating func setRequestID(_ index: Int, keep: Bool, _ result: inout ForwardedFields) {
        if keep, index >= 0, requestHeaders.pointee.fields[index].valueLength > 0 {
            result.requestID = requestHeaders.pointee.fields[index].value
            return
        }
        let name = HeaderNames.name(.xRequestID)
        requestHeaders.pointee.remove(name)
        guard let room = requestHeaders.pointee.reserve(name, 36) else { return }
        writeUUID(room)
        result.requestID = ByteView(room, 36)
    }

    /// A version 4 UUID (RFC 9562 5.4) in text.
    private mutating func writeUUID(_ out: UnsafeMutablePointer<UInt8>) {
        let high = random.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        fl_write_uuid(high, low, out)
    }
}
