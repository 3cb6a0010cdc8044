// What a request carries about its way here: believed, replaced or added by the rules of istio-semantics.md
// 22.2. The edge trusts nobody it was not told to; a sidecar passes on what it got.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes

/// What a listener's role does with known fields of a request.
struct FieldRules {
    /// What the edge removes.
    let edgeRemoves = HeaderIDSet(
        .xEnvoyRetryOn, .xEnvoyRetryGrpcOn, .xEnvoyMaxRetries, .xEnvoyRetriableStatusCodes,
        .xEnvoyRetriableHeaderNames, .xEnvoyUpstreamRqTimeoutMs, .xEnvoyUpstreamRqPerTryTimeoutMs,
        .xEnvoyUpstreamRqTimeoutAltResponse, .xEnvoyExpectedRqTimeoutMs, .xEnvoyForceTrace,
        .xEnvoyIPTags, .xEnvoyOriginalURL, .xEnvoyHedgeOnPerTryTimeout, .xEnvoyUpstreamAltStatName,
        .xEnvoyDecoratorOperation, .xEnvoyDownstreamServiceCluster, .xEnvoyDownstreamServiceNode,
        .xEnvoyOriginalPath, .xEnvoyInternal, .xEnvoyExternalAddress, .xEnvoyAttemptCount,
        .xForwardedClientCert)
}

/// What later steps need to know of the fields that were read.
struct ForwardedFields: BitwiseCopyable {
    var isTLS = false
    var isGRPC = false
}

extension Worker {
    /// Sanitises and adds fields.
    mutating func forwardFields(
        _ own: UnsafeMutablePointer<Connection>, _ role: ListenerRole
    ) -> ForwardedFields {
        let headers = requestHeaders
        var result = ForwardedFields()
        let isEdge = role == .edge
        let trusted = isEdge && isTrusted(own)
        // The last of repeated lines counts.
        let forwardedFor = headers.pointee.last(.xForwardedFor).map { $0 - headers.pointee.fields } ?? -1
        if let field = headers.pointee.last(.referer) {
            checkReferer(field)
            if headers.pointee.isRepeated(.referer) { checkReferers() }
        }
        if let type = headers.pointee.last(.contentType) {
            result.isGRPC = GRPC.isContentType(type.pointee.value)
        }
        if isEdge {
            headers.pointee.remove(rules.edgeRemoves)
            appendForwardedFor(own, forwardedFor)
            setExternalAddress(own, trusted, forwardedFor)
            if own.pointee.flags.contains(.secure) { setClientCertificate(own) }
        } else {
            headers.pointee.remove(.xEnvoyInternal)
        }
        setProto(own, keep: !isEdge || trusted, &result)
        setRequestID(keep: !isEdge || trusted)
        return result
    }

    /// A proxy in front whose word is taken: any, where a number of hops is configured, else those in
    /// `cidrs`.
    @inline(__always)
    private func isTrusted(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        // The call copies all settings.
        settings.trustedHops > 0
            || (!settings.trustedCIDRs.isEmpty && settings.trusts(own.pointee.peer))
    }

    private mutating func checkReferers() {
        var from = 0
        while let field = requestHeaders.pointee.find(.referer, from: from) {
            from = requestHeaders.pointee.index(of: field) &+ 1
            checkReferer(field)
        }
    }

    /// RFC 9110 10.1.3: neither userinfo nor a fragment belongs there (istio-semantics.md 29).
    @inline(__always)
    private func checkReferer(_ field: UnsafeMutablePointer<HeaderField>) {
        let value = field.pointee.value
        if fl_holds_either(value.start, value.count, 0x23, 0x40) != 0, Self.isBadReferer(value) {
            field.pointee.dropped = true
        }
    }

    private static func isBadReferer(_ value: ByteView) -> Bool {
        guard let slashes = value.firstIndex(of: 0x3A) else { return false }
        if value.firstIndex(of: 0x23) != nil { return true }
        let authorityEnd = value.firstIndex(of: 0x2F, from: slashes + 3) ?? value.count
        if let at = value.firstIndex(of: 0x40) { return at < authorityEnd }
        return false
    }

    @inline(__always)
    private mutating func appendForwardedFor(_ own: UnsafeMutablePointer<Connection>, _ index: Int) {
        if index < 0 {
            let address = own.peerAddressText
            let room = requestHeaders.pointee.reserve(.xForwardedFor, "x-forwarded-for: ", address.count)
            if let room { fl_copy_short(room, address.start, address.count) }
        } else {
            extendForwardedFor(own, index)
        }
    }

    private mutating func extendForwardedFor(_ own: UnsafeMutablePointer<Connection>, _ index: Int) {
        let address = own.peerAddressText
        let name = HeaderNames.name(.xForwardedFor)
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
    @inline(__always)
    private mutating func setExternalAddress(
        _ own: UnsafeMutablePointer<Connection>, _ trusted: Bool, _ index: Int
    ) {
        var address = own.peerAddressText
        if trusted, index >= 0, let told = trustedAddress(index) { address = told }
        let room = requestHeaders.pointee.reserve(
            .xEnvoyExternalAddress, "x-envoy-external-address: ", address.count)
        if let room { fl_copy_short(room, address.start, address.count) }
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

    @inline(__always)
    private mutating func setProto(
        _ own: UnsafeMutablePointer<Connection>, keep: Bool, _ result: inout ForwardedFields
    ) {
        if keep, let field = requestHeaders.pointee.last(.xForwardedProto) {
            result.isTLS = field.pointee.value.equalsIgnoringCase("https")
            return
        }
        requestHeaders.pointee.remove(.xForwardedProto)
        result.isTLS = own.pointee.flags.contains(.secure)
        if result.isTLS {
            if let room = requestHeaders.pointee.reserve(.xForwardedProto, "x-forwarded-proto: ", 5) {
                fl_copy_short(room, RequestRules.https.start, 5)
            }
        } else if let room = requestHeaders.pointee.reserve(.xForwardedProto, "x-forwarded-proto: ", 4) {
            fl_copy_short(room, RequestRules.http.start, 4)
        }
    }

    @inline(__always)
    private mutating func setRequestID(keep: Bool) {
        let headers = requestHeaders
        if keep, let field = headers.pointee.last(.xRequestID), field.pointee.valueLength > 0 { return }
        headers.pointee.remove(.xRequestID)
        if let room = headers.pointee.reserve(.xRequestID, "x-request-id: ", 36) { writeUUID(room) }
    }

    /// A version 4 UUID (RFC 9562 5.4) in text.
    @inline(__always)
    private mutating func writeUUID(_ out: UnsafeMutablePointer<UInt8>) {
        let high = random.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        fl_write_uuid(high, low, out)
    }
}
