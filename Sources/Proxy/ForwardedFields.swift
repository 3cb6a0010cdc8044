// What a request carries about its way here: believed, replaced or added by the rules of istio-semantics.md
// 22.2. The edge trusts nobody it was not told to; a sidecar passes on what it got.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes

/// What a listener's role does with known fields of a request.
struct FieldRules {
    /// What the edge removes.
    private(set) var edgeRemoves = HeaderIDSet(
        .xEnvoyRetryOn, .xEnvoyRetryGrpcOn, .xEnvoyMaxRetries, .xEnvoyRetriableStatusCodes,
        .xEnvoyRetriableHeaderNames, .xEnvoyUpstreamRqTimeoutMs, .xEnvoyUpstreamRqPerTryTimeoutMs,
        .xEnvoyUpstreamRqTimeoutAltResponse, .xEnvoyExpectedRqTimeoutMs, .xEnvoyForceTrace,
        .xEnvoyIPTags, .xEnvoyOriginalURL, .xEnvoyHedgeOnPerTryTimeout, .xEnvoyUpstreamAltStatName,
        .xEnvoyDecoratorOperation, .xEnvoyDownstreamServiceCluster, .xEnvoyDownstreamServiceNode,
        .xEnvoyOriginalPath, .xEnvoyInternal, .xEnvoyExternalAddress, .xEnvoyAttemptCount,
        .xForwardedClientCert)
    /// What a sidecar removes: nobody is internal, so nobody's word on retries and timeouts counts. The count
    /// of attempts is the one that we write.
    let sidecarRemoves = HeaderIDSet(
        .xEnvoyRetryOn, .xEnvoyRetryGrpcOn, .xEnvoyMaxRetries, .xEnvoyRetriableStatusCodes,
        .xEnvoyRetriableHeaderNames, .xEnvoyUpstreamRqTimeoutMs, .xEnvoyUpstreamRqPerTryTimeoutMs,
        .xEnvoyUpstreamRqTimeoutAltResponse, .xEnvoyExpectedRqTimeoutMs, .xEnvoyForceTrace,
        .xEnvoyIPTags, .xEnvoyOriginalURL, .xEnvoyHedgeOnPerTryTimeout, .xEnvoyUpstreamAltStatName,
        .xEnvoyInternal, .xEnvoyAttemptCount)
    /// What responses say that only we may say, or what is for Istio's own proxies; `server` beside them.
    let responseRemoves = HeaderIDSet(
        .xEnvoyUpstreamServiceTime, .xFairleadReason, .xFairleadExplain, .xEnvoyPeerMetadata,
        .xEnvoyPeerMetadataID)
    /// What neither header operations nor scripts write: `server` is always ours, the rest is the
    /// connection's (istio-semantics.md 22).
    let responseFixed = HeaderIDSet(
        .server, .connection, .keepAlive, .proxyConnection, .upgrade, .xFairleadExplain)
    private(set) var clientCertificates = ClientCertificateForwarding.sanitizeSet
    /// What requests say of client certificates is looked at on plain connections too.
    private(set) var keepsCertificates = false

    /// Follows a new configuration.
    mutating func settle(_ mode: ClientCertificateForwarding) {
        clientCertificates = mode
        keepsCertificates = mode != .sanitize && mode != .sanitizeSet
        if keepsCertificates {
            edgeRemoves.remove(.xForwardedClientCert)
        } else {
            edgeRemoves.insert(.xForwardedClientCert)
        }
    }
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
            if !trusted, forwardedFor < 0, addUsual(own) { return result }
            appendForwardedFor(own, forwardedFor)
            setExternalAddress(own, trusted, forwardedFor)
            if own.pointee.flags.contains(.secure) || rules.keepsCertificates { settleClientCertificate(own) }
        } else {
            headers.pointee.remove(rules.sidecarRemoves)
        }
        setProto(own, keep: !isEdge || trusted, &result)
        setRequestID(keep: !isEdge || trusted)
        return result
    }

    /// What a request in the clear gets that says nothing of its way: the same four lines, in one go. False:
    /// nothing was done.
    @inline(__always)
    private mutating func addUsual(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        let headers = requestHeaders
        if own.pointee.flags.contains(.secure) || rules.keepsCertificates { return false }
        let address = own.peerAddressText
        guard var writer = headers.pointee.writer(lines: 4, bytes: 2 &* address.count &+ 128) else {
            return false
        }
        headers.pointee.remove(.xForwardedProto)
        headers.pointee.remove(.xRequestID)
        fl_copy_short(
            writer.add(.xForwardedFor, "x-forwarded-for: ", address.count), address.start, address.count)
        fl_copy_short(
            writer.add(.xEnvoyExternalAddress, "x-envoy-external-address: ", address.count), address.start,
            address.count)
        fl_copy_short(writer.add(.xForwardedProto, "x-forwarded-proto: ", 4), RequestRules.http.start, 4)
        writeUUID(writer.add(.xRequestID, "x-request-id: ", 36))
        headers.pointee.take(writer)
        return true
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
        extend(name, requestHeaders.pointee.fields + index, address)
    }

    /// Repeated lines are one list: the last is extended, the others stay.
    private mutating func extend(
        _ name: HeaderName, _ field: UnsafeMutablePointer<HeaderField>, _ value: ByteView
    ) {
        let old = field.pointee.value
        field.pointee.dropped = true
        guard let room = requestHeaders.pointee.reserve(name, old.count + 1 + value.count) else { return }
        memcpy(room, old.start, old.count)
        room[old.count] = 0x2C
        memcpy(room + old.count + 1, value.start, value.count)
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

    /// `x-forwarded-client-cert`: whose certificate was shown. Unless asked for otherwise only we say so, and
    /// what came under this name is removed already.
    private mutating func settleClientCertificate(_ own: UnsafeMutablePointer<Connection>) {
        let name = HeaderNames.name(.xForwardedClientCert)
        let shown = tls(of: own)?.pointee.client(.forwarded) ?? .empty
        switch rules.clientCertificates {
        case .sanitize, .alwaysForwardOnly: return
        case .forwardOnly: if shown.isEmpty { requestHeaders.pointee.remove(.xForwardedClientCert) }
        case .sanitizeSet: if !shown.isEmpty { requestHeaders.pointee.append(name, shown) }
        case .appendForward:
            if shown.isEmpty {
                requestHeaders.pointee.remove(.xForwardedClientCert)
            } else if let field = requestHeaders.pointee.last(.xForwardedClientCert) {
                extend(name, field, shown)
            } else {
                requestHeaders.pointee.append(name, shown)
            }
        }
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
