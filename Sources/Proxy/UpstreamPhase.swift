// The middle of an exchange's life: an endpoint is chosen, a connection found or made, the request sent; and
// what becomes of connections to upstreams.
internal import Base
internal import Glibc
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// Chooses an endpoint and sends the request there. The exchange may be over afterwards.
    mutating func startUpstream(_ number: UInt32) {
        let own = exchange(number)
        let set = own.pointee.decision.pointee.endpoints
        guard let cluster = own.pointee.decision.pointee.cluster,
            let index = own.pointee.attempts == 0
                ? pickEndpoint(cluster, set) : pickOther(set, than: own.pointee.endpointIndex)
        else {
            if let cluster = own.pointee.decision.pointee.cluster, cluster.pointee.resolvesRequest {
                startByHost(number, cluster)
            } else {
                reply(number, LocalReply.noHealthyUpstream)
            }
            return
        }
        own.pointee.endpointIndex = Int32(truncatingIfNeeded: index)
        own.pointee.attempts &+= 1
        let endpoint = cluster.pointee.endpoints[index]
        own.pointee.address = endpoint.pointee.address
        let state = pool.state(endpoint.pointee.id)
        if state.pointee.generation != endpoint.pointee.idGeneration {
            forget(endpoint.pointee.id, endpoint.pointee.idGeneration)
        }
        if own.pointee.flags.contains(.toSession) {
            startStream(
                number, endpoint.pointee.address, endpoint.pointee.id, endpoint.pointee.idGeneration,
                cluster.pointee.connectTimeoutMs)
            return
        }
        let tls = cluster.pointee.tls
        var idle = pool.state(endpoint.pointee.id).pointee.idleHead
        if idle != noSlot, let tls, tls.pointee.serverName.isEmpty {
            idle = idleConnection(endpoint.pointee.id, hash: nameHash(upstreamHost(number)))
        }
        // What pooled connections to a peer are worth after one was found dead is unknown: the retry makes
        // its own.
        if idle != noSlot, own.pointee.flags.isDisjoint(with: [.connect, .retried]),
            cluster.pointee.proxyHeaderVersion == 0
        {
            pool.remove(idle) { [base = connections.at(0)] in base + Int($0) }
            meter.add(.poolHits)
            meter.sub(.poolIdle)
            use(idle, for: number)
            sendRequest(number)
            return
        }
        meter.add(.poolMisses)
        connect(
            number, endpoint.pointee.address, endpoint.pointee.id, endpoint.pointee.idGeneration,
            cluster.pointee.connectTimeoutMs, tls == nil ? .plain : .handshake)
    }

    /// The id belongs to another address now: connections to the old one go.
    private mutating func forget(_ id: UInt32, _ generation: UInt32) {
        closePooled(id)
        pool.state(id).pointee = EndpointState(generation: generation)
    }

    /// Nothing goes to an endpoint any more: idle connections are closed, others end with their requests.
    mutating func closePooled(_ id: UInt32) {
        while true {
            let idle = pool.state(id).pointee.idleHead
            if idle == noSlot { break }
            closeIdleUpstream(idle, .poolClosedGone)
        }
        while true {
            let slot = pool.state(id).pointee.sessions
            if slot == noSlot { break }
            leavePool(slot)
            connection(slot).pointee.session?.submitGoaway()
        }
        dropSession(id)
    }

    /// Ties a connection and an exchange together.
    @inline(__always)
    mutating func use(_ slot: UInt32, for number: UInt32) {
        let own = exchange(number)
        own.pointee.upstream = slot
        connection(slot).pointee.exchange = number
        own.pointee.flags.insert(.countedActive)
        if connection(slot).pointee.endpoint != noSlot {
            pool.state(connection(slot).pointee.endpoint).pointee.active &+= 1
        }
    }

    mutating func connect(
        _ number: UInt32, _ address: SocketAddress, _ endpoint: UInt32, _ endpointGeneration: UInt32,
        _ timeoutMs: UInt64, _ transport: Transport = .plain
    ) {
        let own = exchange(number)
        own.pointee.address = address
        switch Sockets.connect(address) {
        case .failed(let code):
            connectFailed(number, code)
        case .socket(let fd):
            guard let slot = adopt(fd, .upstream, address) else {
                connectFailed(number, ENFILE)
                return
            }
            meter.add(.upstreamOpened)
            let connection = connection(slot)
            connection.pointee.flags.insert(.connecting)
            connection.pointee.transport = transport
            connection.pointee.endpoint = endpoint
            connection.pointee.endpointGeneration = endpointGeneration
            connection.pointee.requestsLeft = own.pointee.decision.pointee.cluster?.pointee.requestsMax ?? 0
            use(slot, for: number)
            own.pointee.step = .connecting
            setTimeout(slot, timeoutMs == 0 ? settings.connectTimeoutMs : timeoutMs)
        }
    }

    /// Sends the request as far as it is at hand.
    mutating func sendRequest(_ number: UInt32) {
        let own = exchange(number)
        let slot = own.pointee.upstream
        own.pointee.step = .awaitingResponse
        // By the time of its line the connection may be another request's, or gone.
        if logs { own.pointee.upstreamLocal = Sockets.localAddress(socket(of: connection(slot))) }
        if own.pointee.flags.contains(.connect) {
            establishTunnel(number)
            return
        }
        if own.pointee.flags.contains(.toSession) {
            sendByStream(number)
            return
        }
        let alive = send(slot, own.pointee.head.bytes, own.pointee.head.count)
        if own.pointee.flags.contains(.requestComplete) {
            armResponseDeadline(number)
        } else {
            setTimeout(own.pointee.downstream, settings.requestBodyIdleTimeoutMs)
        }
        if alive { return }
        if connection(slot).pointee.flags.contains(.reused) {
            resend(number)
        } else {
            // It may have answered before it closed. Read later in this turn: the client's bytes behind this
            // request may still lie in the space that reads use.
            enqueue(slot)
        }
    }

    mutating func upstreamEvent(_ slot: UInt32, _ event: PollEvent) {
        let own = connection(slot)
        if own.pointee.flags.contains(.connecting) {
            connectEvent(slot, event)
            return
        }
        if event.writable, !own.pointee.output.isEmpty {
            let alive = flush(slot)
            if alive, own.pointee.output.isEmpty { upstreamDrained(slot) }
            if own.pointee.generation == 0 { return }
        }
        if !own.pointee.flags.isDisjoint(with: [.mayRead, .writeFailed]) { readUpstream(slot) }
    }

    private mutating func connectEvent(_ slot: UInt32, _ event: PollEvent) {
        let own = connection(slot)
        if own.pointee.tls != nil {
            upstreamHandshakeEvent(slot, event)
            return
        }
        if !event.writable, !event.broken { return }
        let number = own.pointee.exchange
        let code = Sockets.connectError(own.pointee.fd)
        own.pointee.flags.remove(.mayRead)
        if code != 0 || event.broken {
            abandonUpstream(number)
            connectFailed(number, code == 0 ? ECONNREFUSED : code)
            return
        }
        guard introduce(slot, number) else {
            abandonUpstream(number)
            connectFailed(number, ECONNRESET)
            return
        }
        if own.pointee.transport == .handshake {
            beginUpstreamTLS(slot)
            return
        }
        if event.readable || event.peerClosed { own.pointee.flags.insert(.mayRead) }
        upstreamConnected(slot)
    }

    /// The connection is made, TLS included: the request goes out.
    mutating func upstreamConnected(_ slot: UInt32) {
        let own = connection(slot)
        let number = own.pointee.exchange
        own.pointee.flags.remove(.connecting)
        setDeadline(slot, 0)
        sendRequest(number)
        if own.pointee.generation == 0 || own.pointee.exchange != number { return }
        noteSent(number)
        // The body that waited for the connection.
        if own.pointee.output.isEmpty { upstreamDrained(slot) }
        if own.pointee.generation != 0, own.pointee.flags.contains(.mayRead) { readUpstream(slot) }
    }

    /// The request went out later than its head was written.
    func noteSent(_ number: UInt32) {
        let x = exchange(number)
        let sent = Syscalls.monotonicNs()
        x.pointee.requestSentNs = sent
        x.pointee.overheadNs &+= sent &- nowNs
    }

    /// What was kept for the upstream is out: the client may send on.
    mutating func upstreamDrained(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.shutAfterFlush) { shutWriting(slot) }
        guard own.pointee.exchange != noSlot else { return }
        let downstream = exchange(own.pointee.exchange).pointee.downstream
        if own.pointee.flags.contains(.ended), connection(downstream).pointee.flags.contains(.ended) {
            tunnelEnded(from: slot)
            return
        }
        if connection(downstream).pointee.flags.contains(.mayRead) {
            readDownstream(downstream)
        }
    }

    /// Ends the upstream side of an exchange without a response.
    mutating func abandonUpstream(_ number: UInt32) {
        let own = exchange(number)
        let slot = own.pointee.upstream
        if slot == noSlot { return }
        uncount(number)
        own.pointee.upstream = noSlot
        connection(slot).pointee.exchange = noSlot
        closeUpstream(slot)
    }

    /// The endpoint no longer has this request.
    @inline(__always)
    mutating func uncount(_ number: UInt32) {
        let own = exchange(number)
        guard own.pointee.flags.contains(.countedActive) else { return }
        own.pointee.flags.remove(.countedActive)
        let connection = connection(own.pointee.upstream)
        if connection.pointee.endpoint == noSlot { return }
        let state = pool.state(connection.pointee.endpoint)
        if state.pointee.generation == connection.pointee.endpointGeneration, state.pointee.active > 0 {
            state.pointee.active &-= 1
        }
    }

    /// Keeps a connection for the endpoint's next request. `cluster`: of the last one.
    @inline(__always)
    mutating func keepUpstream(_ slot: UInt32, _ cluster: UnsafePointer<Cluster>?) {
        let own = connection(slot)
        own.pointee.exchange = noSlot
        let id = own.pointee.endpoint
        if own.pointee.requestsLeft != 0 {
            own.pointee.requestsLeft &-= 1
            if own.pointee.requestsLeft == 0 {
                closeUpstream(slot)
                return
            }
        }
        if let cluster, cluster.pointee.resolvedIndex >= 0, isGone(id, of: cluster) {
            closeUpstream(slot)
            return
        }
        if isDraining || id == noSlot
            || pool.state(id).pointee.generation != own.pointee.endpointGeneration
        {
            closeUpstream(slot)
            return
        }
        if pool.state(id).pointee.idleCount >= UInt32(Limits.idlePerEndpoint) {
            meter.add(.poolClosedFull)
            closeUpstream(slot)
            return
        }
        own.pointee.flags.insert(.reused)
        if own.pointee.tls != nil { keepSession(own) }
        pool.push(slot, id) { [base = connections.at(0)] in base + Int($0) }
        meter.add(.poolIdle)
        setTimeout(slot, upstreamIdleMs(cluster))
    }

    /// How long an upstream connection may wait for its next request.
    func upstreamIdleMs(_ cluster: UnsafePointer<Cluster>?) -> UInt64 {
        let own = cluster?.pointee.idleTimeoutMs ?? .max
        return own == .max ? settings.upstreamIdleTimeoutMs : own
    }

    mutating func closeIdleUpstream(_ slot: UInt32, _ why: Counter) {
        pool.remove(slot) { [base = connections.at(0)] in base + Int($0) }
        meter.sub(.poolIdle)
        meter.add(why)
        closeUpstream(slot)
    }

    mutating func closeUpstream(_ slot: UInt32) {
        if isStream(slot) {
            release(slot)
            return
        }
        if connection(slot).pointee.flags.contains(.session) {
            closeSession(slot)
            return
        }
        meter.add(.upstreamClosed)
        release(slot)
    }
}
