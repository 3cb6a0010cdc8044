// What an exchange leaves behind when it is over: metrics and an access log record, read off its plain
// fields.
internal import Base
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// What formatters of header operations may speak of.
    @inline(__always)
    mutating func formatContext(_ number: UInt32, response: Bool = false) -> UnsafePointer<FormatContext> {
        exchange(number).pointee.decision.pointee.needsFormatting
            ? fillFormatContext(number, response) : UnsafePointer(noFormat)
    }

    private mutating func fillFormatContext(
        _ number: UInt32, _ response: Bool
    ) -> UnsafePointer<FormatContext> {
        let x = exchange(number)
        var context = FormatContext()
        let own = connection(x.pointee.downstream)
        let remote = own.pointee.peer.writeAddressAndPort(to: formatSpace)
        context.downstreamRemote = ByteView(formatSpace, remote)
        let localStart = formatSpace + 64
        let local = Sockets.localAddress(socket(of: own)).writeAddressAndPort(to: localStart)
        context.downstreamLocal = ByteView(localStart, local)
        context.networkProtocol = protocolName(x.pointee.minorVersion)
        context.hostname = hostname
        context.startNanoseconds = x.pointee.startNs &+ realtimeOffsetNs
        context.elapsedMs = (Syscalls.monotonicNs() &- x.pointee.startNs) / 1_000_000
        if response {
            let flags = formatSpace + 128
            context.responseFlags = ByteView(flags, x.pointee.responseFlags.write(to: flags))
            context.responseDetails = x.pointee.details
            context.transportFailure = connectTexts(x.pointee.connectCode).logged
        }
        if let route = x.pointee.decision.pointee.route { context.routeName = route.pointee.name }
        if let tls = tls(of: own) { context.tls = Self.facts(tls) }
        if let cluster = x.pointee.decision.pointee.cluster {
            context.upstreamCluster = cluster.pointee.name
            if response, x.pointee.endpointIndex >= 0 {
                context.upstreamHost =
                    cluster.pointee.endpoints[Int(x.pointee.endpointIndex)].pointee.addressText
            }
        }
        if x.pointee.head.isEmpty {
            context.requestHeaders = UnsafePointer(requestHeaders)
            context.request = currentRequest
        } else {
            context.requestHead = ByteView(x.pointee.head.base!, Int(x.pointee.headBytes))
        }
        if x.pointee.decision.pointee.response.cors != .none {
            keepOrigin(number)
            x.pointee.decision.pointee.addCORS(to: &context)
            context.origin = keptOrigin(number)
        }
        format.pointee = context
        return UnsafePointer(format)
    }

    private static func facts(_ tls: UnsafeMutablePointer<TLSState>) -> TLSFacts {
        var facts = TLSFacts()
        facts.serverName = tls.pointee.stream.serverName
        facts.version = tls.pointee.stream.version.name
        facts.cipher = tls.pointee.stream.cipher
        facts.peerSubject = tls.pointee.client(.subject)
        facts.peerIssuer = tls.pointee.client(.issuer)
        facts.peerURIs = tls.pointee.client(.uris)
        facts.peerNames = tls.pointee.client(.names)
        facts.peerFingerprint = tls.pointee.client(.fingerprint)
        facts.peerSerial = tls.pointee.client(.serial)
        return facts
    }

    func protocolName(_ minorVersion: UInt8) -> ByteView {
        minorVersion == 1 ? "HTTP/1.1" : (minorVersion == 2 ? "HTTP/2" : "HTTP/1.0")
    }

    /// The metric labels of where an exchange went.
    mutating func labelsID(_ x: UnsafeMutablePointer<Exchange>) -> UInt32 {
        guard let table else { return 0 }
        if x.pointee.decision.pointee.outcome == .passthrough { return table.pointee.passthroughLabelsID }
        if x.pointee.decision.pointee.outcome == .blocked { return table.pointee.blackHoleLabelsID }
        guard let cluster = x.pointee.decision.pointee.cluster else { return table.pointee.unknownLabelsID }
        if x.pointee.endpointIndex < 0 { return cluster.pointee.noEndpointLabelsID }
        return cluster.pointee.endpoints[Int(x.pointee.endpointIndex)].pointee.labelsID
    }

    /// Counts and logs an exchange that is over.
    mutating func report(_ number: UInt32) {
        let x = exchange(number)
        if !x.pointee.flags.isDisjoint(with: [.raw, .call]) {
            // A script's call is nobody's request.
            if x.pointee.flags.contains(.raw) { reportRelay(number) }
            return
        }
        let endNs = sentNs != 0 ? sentNs : Syscalls.monotonicNs()
        if table != nil {
            var sample = RequestSample()
            sample.labelsID = labelsID(x)
            sample.reporter = x.pointee.role == .inbound ? .destination : .source
            sample.connectionSecurity = x.pointee.role == .inbound ? .none : .unknown
            sample.responseCode = x.pointee.status
            sample.flags = x.pointee.responseFlags
            sample.isGRPC = x.pointee.flags.contains(.isGRPC)
            sample.grpcStatus = x.pointee.grpcStatus
            sample.durationNs = endNs &- x.pointee.startNs
            sample.requestBytes = x.pointee.requestWireBytes
            sample.responseBytes = x.pointee.responseWireBytes
            meter.request(sample)
        }
        laneEnded(number)
        if logs { log(number, endNs) }
    }

    private mutating func log(_ number: UInt32, _ endNs: UInt64) {
        let x = exchange(number)
        var record = AccessRecord()
        if x.pointee.head.isEmpty {
            fill(&record, currentRequest)
        } else {
            fill(&record, ByteView(x.pointee.head.base!, Int(x.pointee.headBytes)))
        }
        if let cluster = x.pointee.decision.pointee.cluster {
            record.cluster = cluster.pointee.name
        } else if x.pointee.decision.pointee.outcome == .passthrough {
            record.cluster = "PassthroughCluster"
        }
        if let route = x.pointee.decision.pointee.route { record.route = route.pointee.name }
        record.details = x.pointee.details
        record.reason = view(x.pointee.reason.text)
        record.serverName = serverName(number)
        if x.pointee.decision.pointee.laneDecision != .none {
            record.laneDecision = view(x.pointee.decision.pointee.laneDecision.text)
            record.laneCarrier = view(x.pointee.decision.pointee.lane.carrier.text)
        }
        let lane = x.pointee.decision.pointee.response.lane
        if x.pointee.endpointIndex >= 0 || x.pointee.flags.contains(.byHost) {
            record.upstream = x.pointee.address
            record.upstreamLocal = x.pointee.upstreamLocal
        }
        let own = connection(x.pointee.downstream)
        record.downstreamRemote = own.pointee.peer
        noteTLS(own, &record)
        record.transportFailure = connectTexts(x.pointee.connectCode).logged
        record.downstreamLocal = localAddress(own)
        record.startNs = x.pointee.startNs &+ realtimeOffsetNs
        record.durationNs = endNs &- x.pointee.startNs
        record.upstreamServiceMs = x.pointee.serviceMs
        record.bytesReceived = x.pointee.requestBodyBytes
        record.bytesSent = x.pointee.responseBodyBytes
        record.flags = x.pointee.responseFlags
        record.responseCode = x.pointee.status
        record.httpVersion =
            x.pointee.minorVersion == 1 ? .http11 : (x.pointee.minorVersion == 2 ? .http2 : .http10)
        lane.withView { name in
            record.lane = name
            if let ring { withUnsafePointer(to: &record) { _ = ring.push($0) } }
        }
    }

    @inline(__always)
    private mutating func noteTLS(_ own: UnsafeMutablePointer<Connection>, _ record: inout AccessRecord) {
        guard let tls = tls(of: own) else { return }
        record.serverName = tls.pointee.stream.serverName
        record.tlsVersion = tls.pointee.stream.version.name
        record.tlsCipher = tls.pointee.stream.cipher
        record.peerSubject = tls.pointee.client(.subject)
    }

    func view(_ text: StaticString) -> ByteView {
        ByteView(text.utf8Start, text.utf8CodeUnitCount)
    }

    /// From the request head as it was written for the upstream.
    private func fill(_ record: inout AccessRecord, _ head: ByteView) {
        guard let first = head.firstIndex(of: 0x20), let lineEnd = head.firstIndex(of: 0x0D) else { return }
        record.method = head.slice(0, first)
        // " HTTP/1.1" ends the line.
        record.path = head.slice(first + 1, max(first + 1, lineEnd - 9))
        var at = lineEnd + 2
        while at < head.count, let end = head.firstIndex(of: 0x0D, from: at), end > at {
            let line = head.slice(at, end)
            at = end + 2
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let value = line.slice(colon + 1, line.count).trimmed
            switch HeaderID(rawValue: HeaderNames.id(line.slice(0, colon))) {
            case .host: record.authority = value
            case .userAgent: record.userAgent = value
            case .xForwardedFor: record.forwardedFor = value
            case .xRequestID: record.requestID = value
            case .xEnvoyOriginalPath: record.originalPath = value
            default: break
            }
        }
    }

    /// From the request that is being answered before anything was written for an upstream.
    private func fill(_ record: inout AccessRecord, _ request: Request) {
        record.method = request.method
        record.path = pathOf(request)
        record.authority = request.authority
        if let field = requestHeaders.pointee.find(.userAgent) { record.userAgent = field.pointee.value }
        if let field = requestHeaders.pointee.find(.xForwardedFor) {
            record.forwardedFor = field.pointee.value
        }
        if let field = requestHeaders.pointee.find(.xRequestID) { record.requestID = field.pointee.value }
    }

    /// As it would have gone upstream: of a target in absolute form its path alone; CONNECT has none.
    private func pathOf(_ request: Request) -> ByteView {
        let target = request.target
        if request.isConnect { return .empty }
        guard !target.isEmpty, target[0] != 0x2F, let colon = target.firstIndex(of: 0x3A),
            target.slice(colon, target.count).hasPrefix("://")
        else { return target }
        guard let slash = target.firstIndex(of: 0x2F, from: colon + 3) else { return "/" }
        return target.slice(slash, target.count)
    }

    /// Where a client's connection came in: on a listener of every address only the connection knows.
    func localAddress(_ own: UnsafeMutablePointer<Connection>) -> SocketAddress {
        let bound = listeners[Int(own.pointee.listener)].address
        guard bound.isAny else { return bound }
        let local = Sockets.localAddress(socket(of: own))
        return local.port == 0 ? bound : local
    }

    /// A head that did not become an exchange.
    mutating func reportRefusal(_ slot: UInt32, _ refusal: Refusal, _ startNs: UInt64, _ sent: Int) {
        let own = connection(slot)
        let endNs = Syscalls.monotonicNs()
        guard let table else { return }
        var sample = RequestSample()
        sample.labelsID = table.pointee.unknownLabelsID
        let role = listeners[Int(own.pointee.listener)].role
        sample.reporter = role == ListenerRole.inbound.rawValue ? .destination : .source
        sample.responseCode = UInt16(truncatingIfNeeded: refusal.status)
        sample.flags = refusal.flags
        sample.durationNs = endNs &- startNs
        sample.responseBytes = UInt64(sent)
        meter.request(sample)
        guard logs, let ring else { return }
        var record = AccessRecord()
        record.details = refusal.details
        record.reason = view(refusal.reason.text)
        record.downstreamRemote = own.pointee.peer
        noteTLS(own, &record)
        record.downstreamLocal = localAddress(own)
        record.startNs = startNs &+ realtimeOffsetNs
        record.durationNs = endNs &- startNs
        record.flags = sample.flags
        record.responseCode = sample.responseCode
        withUnsafePointer(to: &record) { _ = ring.push($0) }
    }

    /// `grpc-status` of a trailers-only answer.
    mutating func noteGRPC(_ number: UInt32) {
        guard let field = responseHeaders.pointee.find(.grpcStatus) else { return }
        let value = field.pointee.value
        if value.count == 1, value[0] &- 0x30 <= 9 {
            exchange(number).pointee.grpcStatus = value[0] &- 0x30
        } else if value.count == 2, value[0] == 0x31, value[1] &- 0x30 <= 6 {
            exchange(number).pointee.grpcStatus = 10 + value[1] &- 0x30
        }
    }
}
