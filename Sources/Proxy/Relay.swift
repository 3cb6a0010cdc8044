// A connection as an exchange: bytes both ways that nobody reads, from a TCP port, a TLS port whose server
// passes through, or from inside TLS that ends here. It takes the way of a CONNECT tunnel (UpstreamPhase,
// Tunnel) without its request and answer, and is counted as Istio counts TCP.
internal import Base
internal import Lanes
internal import Loop
internal import Sniff
internal import Telemetry

extension Worker {
    /// Begins an exchange of a connection that is only relayed. `bytes`, what came so far, go first.
    /// Afterwards the connection may be gone.
    mutating func startRelay(
        _ slot: UInt32, _ server: UnsafePointer<ConnectionServer>, _ serverName: ByteView, _ bytes: ByteView
    ) {
        let own = connection(slot)
        let listener = listeners[Int(own.pointee.listener)].listener
        guard let number = admitExchange() else {
            closeDownstream(slot)
            return
        }
        let context = DecisionContext(
            random: random.next(), nowSeconds: 0, isTLS: false, resolved: resolvedClusters)
        let decision = decisions + Int(number)
        decision.initialize(
            to: decideConnection(server, listener, Sockets.localAddress(own.pointee.fd), context))
        var value = Exchange(downstream: slot, snapshot: current, decision: decision, startNs: nowNs)
        value.serial = serial
        value.role = listener.pointee.role
        value.flags = [.raw, .connect, .requestComplete]
        value.reason = decision.pointee.reason
        exchange(number).initialize(to: value)
        holdCluster(number)
        own.pointee.exchange = number
        own.pointee.flags.insert(.served)
        setTimeout(slot, 0)
        if !bytes.isEmpty { buffers.append(&own.pointee.input, bytes) }
        noteServerName(number, serverName)
        switch decision.pointee.outcome {
        case .forward: startUpstream(number)
        case .passthrough, .redirect, .httpsRedirect, .direct, .preflight, .laneEmpty, .laneRejected,
            .laneLost, .blocked, .noRoute:
            failRelay(number, LocalReply(status: 0, reason: .noRoute, details: "route_not_found", flags: .NR))
        case .noCluster:
            failRelay(
                number,
                LocalReply(status: 0, reason: .noCluster, details: "cluster_not_found", flags: .NC))
        case .noHealthyUpstream: failRelay(number, LocalReply.noHealthyUpstream)
        }
    }

    /// What would be an answer to a request is the end of a connection.
    mutating func failRelay(_ number: UInt32, _ answer: LocalReply) {
        let x = exchange(number)
        x.pointee.details = answer.details
        x.pointee.responseFlags.formUnion(answer.flags)
        if answer.reason != .none { x.pointee.reason = answer.reason }
        closeDownstream(x.pointee.downstream)
    }

    // MARK: server name

    /// Keeps the name that a tunnel's ClientHello gave, behind the head if there is one.
    mutating func noteServerName(_ number: UInt32, _ name: ByteView) {
        if !name.isEmpty { buffers.append(&exchange(number).pointee.head, name) }
    }

    /// The name of a tunnel's ClientHello; empty: none was seen.
    func serverName(_ number: UInt32) -> ByteView {
        let x = exchange(number)
        guard x.pointee.flags.contains(.connect), let base = x.pointee.head.base else { return .empty }
        return ByteView(base, Int(x.pointee.head.end)).slice(
            Int(x.pointee.headBytes), Int(x.pointee.head.end))
    }

    // MARK: telemetry

    private mutating func streamLabels(_ x: UnsafeMutablePointer<Exchange>) -> StreamLabels {
        StreamLabels(
            labelsID: labelsID(x), reporter: x.pointee.role == .inbound ? .destination : .source,
            connectionSecurity: x.pointee.role == .inbound ? .none : .unknown)
    }

    /// The upstream connection is there.
    mutating func relayEstablished(_ number: UInt32) {
        let x = exchange(number)
        var sample = StreamSample(streamLabels(x))
        sample.opened = 1
        meter.stream(sample)
    }

    /// Counts bytes as they go, so that a connection of days is seen before its end. The exchange's wire
    /// bytes are those counted already.
    mutating func countRelayed(_ number: UInt32) {
        let x = exchange(number)
        let received = x.pointee.requestBodyBytes &- x.pointee.requestWireBytes
        let sent = x.pointee.responseBodyBytes &- x.pointee.responseWireBytes
        guard received &+ sent >= Limits.relayReportBytes else { return }
        var sample = StreamSample(streamLabels(x))
        sample.received = received
        sample.sent = sent
        meter.stream(sample)
        x.pointee.requestWireBytes = x.pointee.requestBodyBytes
        x.pointee.responseWireBytes = x.pointee.responseBodyBytes
    }

    /// The connection is over: what is left to count, and a record for the log.
    mutating func reportRelay(_ number: UInt32) {
        let x = exchange(number)
        var sample = StreamSample(streamLabels(x))
        sample.flags = x.pointee.responseFlags
        if x.pointee.step != .tunnel { sample.opened = 1 }
        sample.closed = 1
        sample.received = x.pointee.requestBodyBytes &- x.pointee.requestWireBytes
        sample.sent = x.pointee.responseBodyBytes &- x.pointee.responseWireBytes
        meter.stream(sample)
        guard logs, let ring else { return }
        var record = AccessRecord()
        if let cluster = x.pointee.decision.pointee.cluster { record.cluster = cluster.pointee.name }
        if let route = x.pointee.decision.pointee.route { record.route = route.pointee.name }
        record.details = x.pointee.details
        record.reason = view(x.pointee.reason.text)
        record.serverName = serverName(number)
        if x.pointee.endpointIndex >= 0 || x.pointee.flags.contains(.byHost) {
            record.upstream = x.pointee.address
            record.upstreamLocal = x.pointee.upstreamLocal
        }
        let own = connection(x.pointee.downstream)
        record.downstreamRemote = own.pointee.peer
        record.downstreamLocal = localAddress(own)
        record.startNs = x.pointee.startNs &+ realtimeOffsetNs
        record.durationNs = Syscalls.monotonicNs() &- x.pointee.startNs
        record.bytesReceived = x.pointee.requestBodyBytes
        record.bytesSent = x.pointee.responseBodyBytes
        record.flags = x.pointee.responseFlags
        withUnsafePointer(to: &record) { _ = ring.push($0) }
    }

    // MARK: PROXY header to the upstream

    /// Writes the header by which an upstream learns whose connection this is (DestinationRule
    /// `proxyProtocol`): the first bytes of all, before any TLS. False: the peer does not take them.
    mutating func introduce(_ slot: UInt32, _ number: UInt32) -> Bool {
        let x = exchange(number)
        guard let cluster = x.pointee.decision.pointee.cluster, cluster.pointee.proxyHeaderVersion != 0,
            let version = ProxyHeader.Version(rawValue: cluster.pointee.proxyHeaderVersion)
        else { return true }
        // The next request may be another client's.
        let own = connection(slot)
        own.pointee.flags.insert(.single)
        let client = connection(x.pointee.downstream)
        let count = ProxyHeader.write(
            version, client.pointee.peer, Sockets.localAddress(socket(of: client)), to: formatSpace)
        // A fresh socket has room for a hundred bytes.
        guard case .bytes(count) = Syscalls.send(own.pointee.fd, formatSpace, count) else { return false }
        meter.add(.upstreamWrittenBytes, UInt64(count))
        return true
    }
}
