// The middle of an exchange's life: an endpoint is chosen, a connection is found or made, the request goes
// out; and what happens when that fails.
internal import Base
internal import CLinux
internal import Glibc
internal import HTTP
internal import Lanes
internal import Loop
internal import TLS
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

    /// A pooled connection took no byte of the request: whatever its method, it goes out again; and whatever
    /// lies there to be read (a 408 for idleness, say) is no answer to it.
    private mutating func resend(_ number: UInt32) {
        abandonUpstream(number)
        exchange(number).pointee.flags.insert(.retried)
        meter.add(.staleRetries)
        rewriteForRetry(number)
        startUpstream(number)
    }

    /// The route's timeout runs from the moment the request is complete (istio-semantics.md 7).
    mutating func armResponseDeadline(_ number: UInt32) {
        let own = exchange(number)
        let timeoutMs = own.pointee.timeoutMs
        if timeoutMs > 0, own.pointee.deadlineMs == 0 { own.pointee.deadlineMs = nowMs &+ timeoutMs }
        if own.pointee.upstream != noSlot,
            !connection(own.pointee.upstream).pointee.flags.contains(.connecting)
        {
            setDeadline(own.pointee.upstream, own.pointee.deadlineMs)
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

    // MARK: failure

    /// No connection could be made: another endpoint of a lane may do, or stable where the lane allows it.
    mutating func connectFailed(_ number: UInt32, _ code: Int32) {
        let own = exchange(number)
        meter.add(code == ETIMEDOUT ? .upstreamConnectTimeouts : .upstreamConnectFailures)
        let decision = own.pointee.decision.pointee
        let isLane = decision.laneDecision == .lane
        // A script's call has no policy of retries.
        let isCall = own.pointee.flags.contains(.call)
        let tries = isCall ? 1 : isLane ? decision.endpoints.count : 1 + Self.connectRetries
        if own.pointee.attempts < tries, decision.endpoints.count > 1 || !isLane,
            decision.outcome == .forward
        {
            sendAgain(number)
            return
        }
        if isLane, !decision.fallbackEndpoints.isEmpty, !own.pointee.flags.contains(.fellBack) {
            own.pointee.flags.insert(.fellBack)
            own.pointee.decision.pointee.endpoints = decision.fallbackEndpoints
            own.pointee.decision.pointee.laneDecision = .stable
            own.pointee.reason = .laneUnreachable
            own.pointee.decision.pointee.response.reason = .laneUnreachable
            own.pointee.attempts = 0
            sendAgain(number)
            return
        }
        reply(number, connectFailure(number, code))
    }

    func connectFailure(_ number: UInt32, _ code: Int32) -> LocalReply {
        let isLane = exchange(number).pointee.decision.pointee.laneDecision == .lane
        var answer = LocalReply(
            status: 503, reason: isLane ? .laneUnreachable : .upstreamConnect, details: connectDetails(code),
            flags: .UF)
        answer.connectCode = code
        return answer
    }

    /// What the answer's text says, without its blanks.
    private func connectDetails(_ code: Int32) -> ByteView {
        switch code {
        case Self.tlsFailed: transportFailure.details
        case ETIMEDOUT: "upstream_reset_before_response_started{connection_timeout}"
        case ECONNREFUSED:
            """
            upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_\
            Connection_refused}
            """
        default: "upstream_reset_before_response_started{remote_connection_failure}"
        }
    }

    /// Istio's default policy: two more tries where no connection could be made (istio-semantics.md 8).
    private static let connectRetries = 2

    mutating func sendAgain(_ number: UInt32) {
        let own = exchange(number)
        rewriteForRetry(number)
        // A pooled connection may take the request at once, and no event tells the rest of the body to
        // follow.
        if !own.pointee.flags.contains(.requestComplete) { enqueue(own.pointee.downstream) }
        startUpstream(number)
    }

    /// `x-envoy-attempt-count` is the last line of the head; one digit until nine tries. The line before it
    /// tells of the timeout, where there is one.
    private mutating func rewriteForRetry(_ number: UInt32) {
        let own = exchange(number)
        guard let base = own.pointee.head.base, own.pointee.headBytes > 5, !own.pointee.flags.contains(.call)
        else { return }
        let digit = base + Int(own.pointee.headBytes) - 5
        if digit[0] >= 0x31, digit[0] < 0x39 { digit[0] += 1 }
        let line: ByteView = "\r\nx-envoy-attempt-count: "
        if own.pointee.deadlineMs != 0 { rewriteTimeout(number, digit - line.count) }
    }

    /// Writes what remains of the timeout over what stood there, as Envoy does: no more digits than before.
    /// `end`: behind the last of these.
    private mutating func rewriteTimeout(_ number: UInt32, _ end: UnsafeMutablePointer<UInt8>) {
        let own = exchange(number)
        let remainingMs = max(1, own.pointee.deadlineMs - min(nowMs, own.pointee.deadlineMs))
        var start = end
        while start[-1] != 0x20 { start -= 1 }
        let count = writeDecimal(min(remainingMs, own.pointee.timeoutMs), to: start)
        let gone = (end - start) - count
        if gone == 0 { return }
        let rest = own.pointee.head.bytes + own.pointee.head.count - end
        memmove(start + count, end, rest)
        own.pointee.head.end -= UInt32(truncatingIfNeeded: gone)
        own.pointee.headBytes -= UInt32(truncatingIfNeeded: gone)
    }

    /// In TLS 1.3 a server judges our certificate when our handshake is already over: its refusal comes where
    /// the response should.
    func isRefusedByAlert(
        _ own: UnsafeMutablePointer<Connection>, _ x: UnsafeMutablePointer<Exchange>
    ) -> Bool {
        own.pointee.transport == .tls && own.pointee.tls?.pointee.failure == .alert
            && !own.pointee.flags.contains(.reused) && !x.pointee.flags.contains(.responseStarted)
            && x.pointee.step == .awaitingResponse
    }

    mutating func refusedByAlert(_ number: UInt32) {
        let own = exchange(number)
        noteTransportFailure(connection(own.pointee.upstream), .alert)
        dropSession(connection(own.pointee.upstream).pointee.endpoint)
        abandonUpstream(number)
        meter.add(.upstreamConnectFailures)
        reply(number, connectFailure(number, Self.tlsFailed))
    }

    /// The upstream connection ended or failed before the response was whole.
    mutating func upstreamFailed(_ number: UInt32, _ termination: Bool, refused: Bool = false) {
        let own = exchange(number)
        let slot = own.pointee.upstream
        let reused = slot != noSlot && connection(slot).pointee.flags.contains(.reused)
        abandonUpstream(number)
        if !own.pointee.flags.contains(.responseStarted), reused, mayReplay(own) {
            own.pointee.flags.insert(.retried)
            meter.add(.staleRetries)
            sendAgain(number)
            return
        }
        meter.add(.upstreamResets)
        if own.pointee.flags.contains(.headSent) {
            own.pointee.responseFlags.insert(termination ? .UC : .UR)
            own.pointee.details =
                termination
                ? "upstream_reset_after_response_started{connection_termination}"
                : "upstream_reset_after_response_started{remote_reset}"
            closeDownstream(own.pointee.downstream)
            return
        }
        var answer = LocalReply(
            status: 503, reason: .upstreamReset,
            details: "upstream_reset_before_response_started{connection_termination}",
            flags: termination ? .UC : .UR)
        if termination {
            answer.text = """
                upstream connect error or disconnect/reset before headers. reset reason: connection \
                termination
                """
        } else if refused {
            answer.details = "upstream_reset_before_response_started{remote_refused_stream_reset}"
            answer.text = """
                upstream connect error or disconnect/reset before headers. reset reason: remote refused \
                stream reset
                """
        } else {
            answer.details = "upstream_reset_before_response_started{remote_reset}"
            answer.text =
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset"
        }
        reply(number, answer)
    }

    /// A pooled connection may have died while nobody looked. A request that cannot change anything twice,
    /// and of which all that was sent is still at hand, goes out once more (RFC 9110 9.2.2, RFC 9112 9.3.1).
    private func mayReplay(_ own: UnsafeMutablePointer<Exchange>) -> Bool {
        own.pointee.flags.contains(.replayable) && !own.pointee.flags.contains(.retried)
            && own.pointee.method.isIdempotent
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

    mutating func upstreamTimeout(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.idle) {
            closeIdleUpstream(slot, .poolClosedIdle)
            return
        }
        let number = own.pointee.exchange
        if number == noSlot {
            closeUpstream(slot)
        } else if own.pointee.flags.contains(.connecting) {
            if own.pointee.tls != nil {
                meter.add(Counter.tlsFailure(TLSFailure.timeout.rawValue, upstream: true))
            }
            abandonUpstream(number)
            connectFailed(number, ETIMEDOUT)
        } else {
            exchangeTimeout(number)
        }
    }

    /// Whether the client's body stands still because the upstream takes no more of it.
    private func waitsForUpstream(_ own: UnsafeMutablePointer<Exchange>) -> Bool {
        let upstream = own.pointee.upstream
        return !own.pointee.flags.contains(.requestComplete) && own.pointee.deadlineMs == 0
            && settings.streamIdleTimeoutMs == 0 && upstream != noSlot
            && !connection(upstream).pointee.output.isEmpty
    }

    /// A deadline of the exchange passed: of the client's body, of the route, of a silent stream.
    mutating func exchangeTimeout(_ number: UInt32) {
        let own = exchange(number)
        if waitsForUpstream(own) {
            // It is not the client who is late, and a silent upstream has its own deadlines.
            setTimeout(own.pointee.downstream, settings.requestBodyIdleTimeoutMs)
            return
        }
        if own.pointee.step == .tunnel || own.pointee.flags.contains(.headSent) {
            noteStall(own.pointee.downstream)
            own.pointee.responseFlags.insert(own.pointee.deadlineMs != 0 ? .UT : .SI)
            meter.add(.timeoutStreamIdle)
            abandonUpstream(number)
            closeDownstream(own.pointee.downstream)
            return
        }
        if own.pointee.step == .resolving {
            reply(number, Self.unresolved)
            return
        }
        abandonUpstream(number)
        own.pointee.flags.insert(.closeDownstream)
        if !own.pointee.flags.contains(.requestComplete) {
            meter.add(.timeoutRequestBody)
            var answer = LocalReply(
                status: 408, reason: .timeout, details: "stream_idle_timeout", flags: .SI)
            answer.text = "stream timeout"
            reply(number, answer)
            return
        }
        meter.add(.timeoutResponse)
        let byRoute = own.pointee.deadlineMs != 0 && nowMs >= own.pointee.deadlineMs
        var answer = LocalReply(
            status: 504, reason: byRoute ? .upstreamTimeout : .timeout,
            details: byRoute ? "upstream_response_timeout" : "stream_idle_timeout",
            flags: byRoute ? .UT : .SI)
        answer.text = byRoute ? "upstream request timeout" : "stream timeout"
        reply(number, answer)
    }
}
