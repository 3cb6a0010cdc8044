// Handshakes, driven by the events of their sockets: a client's while its first bytes are read, ours with an
// upstream between connecting and sending the request. Both under the deadlines that run anyway.
internal import Base
internal import Glibc
internal import HTTP2
internal import Lanes
internal import Loop
internal import TLS
internal import Telemetry

/// Where a handshake stands.
enum HandshakeProgress {
    case done
    /// The next event goes on with it.
    case pending
    case failed(TLSFailure)
}

extension Worker {
    /// Goes on with a handshake as far as the socket allows.
    mutating func advanceHandshake(_ own: UnsafeMutablePointer<Connection>) -> HandshakeProgress {
        let state = own.pointee.tls.unsafelyUnwrapped
        var held = state.pointee.leftover
        state.pointee.leftover = Buffer()
        defer { buffers.release(&held) }
        pipe.feed(held.isEmpty ? UnsafePointer(cipherSpace) : UnsafePointer(held.bytes), held.count)
        var socketHasMore = true
        while true {
            let step = state.pointee.stream.handshake()
            // Who asked for a name that is not served hears nothing at all, as from Envoy.
            if case .failed(.serverName) = step { pipe.clearOutput() }
            let isSent = sendPipe(own)
            switch step {
            case .done:
                if !isSent { return .failed(.closed) }
                let rest = pipe.unread
                if !rest.isEmpty { buffers.append(&state.pointee.leftover, rest) }
                return .done
            case .failed(let why): return .failed(why)
            case .wantsRoom: if !isSent { return .failed(.closed) }
            case .wantsInput:
                if !isSent { return .failed(.closed) }
                if !socketHasMore { return .pending }
                switch Syscalls.receive(own.pointee.fd, cipherSpace, Limits.tlsReadBytes) {
                case .bytes(let count):
                    pipe.feed(cipherSpace, count)
                    socketHasMore =
                        count == Limits.tlsReadBytes || own.pointee.flags.contains(.peerClosing)
                case .wouldBlock: return .pending
                case .end, .failed: return .failed(.closed)
                }
            }
        }
    }

    // MARK: downstream

    /// The client's next bytes are TLS; `bytes` came already.
    mutating func startTLS(_ slot: UInt32, _ bytes: ByteView) {
        let own = connection(slot)
        own.pointee.transport = .handshake
        if bytes.isEmpty { return }
        if let end = beginDownstreamTLS(own, bytes) {
            if case .failed = end { closeDownstream(slot) }
            return
        }
        // Reading goes on where bytes that came early wait.
        own.pointee.flags.insert(.mayRead)
        enqueue(slot)
    }

    /// Reading from a client whose handshake is not over.
    mutating func receiveHandshake(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> IOResult {
        if own.pointee.tls == nil {
            switch Syscalls.receive(own.pointee.fd, cipherSpace, Limits.tlsReadBytes) {
            case .bytes(let count):
                if let end = beginDownstreamTLS(own, ByteView(cipherSpace, count)) { return end }
            case let other: return other
            }
        }
        switch advanceHandshake(own) {
        case .pending: return .wouldBlock
        case .done:
            if !finishDownstreamHandshake(own) { return .failed(EPROTO) }
            if let relay = own.pointee.tls.unsafelyUnwrapped.pointee.relay { return startRelay(own, relay) }
            return receiveTLS(own, bytes, room)
        case .failed(let why): return downstreamHandshakeFailed(own, why)
        }
    }

    /// The first bytes of a client: nothing is made for one that never speaks.
    private mutating func beginDownstreamTLS(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: ByteView
    ) -> IOResult? {
        // A TLS record begins with its type, 22 for the first; a request with the letter of a method.
        if bytes[0] &- 0x41 < 26 { return refusePlainHTTP(own) }
        let place = listeners[Int(own.pointee.listener)]
        guard place.fd >= 0, let tls = place.listener.pointee.tls,
            let stream = TLSStream(accepting: tls.pointee.acceptor, pipe)
        else { return .failed(ENOMEM) }
        attach(own, stream)
        buffers.append(&own.pointee.tls.unsafelyUnwrapped.pointee.leftover, bytes)
        return nil
    }

    /// Somebody typed http:// for https://.
    mutating func refusePlainHTTP(_ own: UnsafeMutablePointer<Connection>) -> IOResult {
        meter.add(Counter.tlsFailure(TLSFailure.plainHTTP.rawValue, upstream: false))
        own.pointee.transport = .plain
        own.pointee.flags.insert(.moreAtHand)
        var refusal = Refusal(status: 400, reason: .badRequest, details: "http_on_tls_port", flags: .DPE)
        refusal.text = "Client sent an HTTP request to an HTTPS port: use https://\n"
        refuse(connections.slot(of: own), refusal, Syscalls.monotonicNs())
        return own.pointee.generation == 0 ? .wouldBlock : .bytes(0)
    }

    /// False: the configuration has no such server any more.
    private mutating func finishDownstreamHandshake(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        let state = own.pointee.tls.unsafelyUnwrapped
        let stream = state.pointee.stream
        own.pointee.transport = .tls
        own.pointee.flags.insert(.secure)
        state.pointee.clientPolicy = stream.clientPolicy
        state.pointee.agreed = stream.agreedProtocol
        meter.add(stream.isResumed ? .tlsResumed : .tlsFull)
        meter.add(Counter.tlsVersion(stream.version.rawValue))
        if !settleServer(own) { return false }
        if let certificate = stream.clientCertificate() {
            buffers.append(&state.pointee.certificate, certificate.text, certificate.text.count)
            state.pointee.certificateEnds = certificate.ends
        }
        return true
    }

    /// The bytes inside are no requests: they go on as they come, once there is a connection to take them.
    private mutating func startRelay(
        _ own: UnsafeMutablePointer<Connection>, _ server: UnsafePointer<ConnectionServer>
    ) -> IOResult {
        // What came behind the handshake waits where it is.
        own.pointee.flags.insert(.moreAtHand)
        let name = own.pointee.tls.unsafelyUnwrapped.pointee.stream.serverName
        startRelay(connections.slot(of: own), server, name, .empty)
        return own.pointee.generation == 0 ? .wouldBlock : .bytes(0)
    }

    /// Finds the connection's server in the current configuration; false: there is none, or it asks other
    /// things of clients than were asked of this one, or takes the bytes inside for something else.
    mutating func settleServer(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        guard let state = own.pointee.tls else { return false }
        let place = listeners[Int(own.pointee.listener)]
        guard place.fd >= 0, let tls = place.listener.pointee.tls,
            let snapshot = held[Int(current)].snapshot,
            let index = snapshot.server(
                listener: place.listener.pointee.index, name: state.pointee.stream.serverName.string)
        else { return false }
        let server = tls.pointee.servers[index]
        if server.pointee.clientPolicy != state.pointee.clientPolicy { return false }
        let isSettled = state.pointee.listener != nil
        if isSettled, (server.pointee.relay == nil) != (state.pointee.relay == nil) { return false }
        state.pointee.listener = server.pointee.listener
        state.pointee.relay = server.pointee.relay
        return true
    }

    private mutating func downstreamHandshakeFailed(
        _ own: UnsafeMutablePointer<Connection>, _ why: TLSFailure
    ) -> IOResult {
        meter.add(Counter.tlsFailure(why.rawValue, upstream: false))
        Log.debug("TLS handshake with \(own.pointee.peer.text): \(why.name): \(pipe.failureText.string)")
        if why == .closed { return .failed(ECONNRESET) }
        if why == .serverName {
            abortTransmission(own)
            return .failed(ECONNRESET)
        }
        // The alert is on its way: a close with unread bytes would destroy it.
        detachTLS(own)
        own.pointee.transport = .plain
        own.pointee.flags.insert(.moreAtHand)
        finishDownstream(connections.slot(of: own))
        return .bytes(0)
    }

    /// The routes that a client's requests go by.
    @inline(__always)
    func listener(of own: UnsafeMutablePointer<Connection>) -> UnsafePointer<Listener> {
        if own.pointee.flags.contains(.secure), let listener = tls(of: own)?.pointee.listener {
            return listener
        }
        return listeners[Int(own.pointee.listener)].listener
    }

    /// After a new configuration: connections whose server is gone, or asks other things of clients now, end
    /// as soon as nothing is lost by it.
    mutating func settleServers() {
        eachDownstream { worker, slot in
            let own = worker.connection(slot)
            // Streams go with their connection.
            if own.pointee.transport == .stream { return }
            let place = worker.listeners[Int(own.pointee.listener)]
            if place.fd < 0 { return }
            let isTLS = place.listener.pointee.tls != nil
            // Of a port whose servers are told apart first, or that is not so far yet.
            let isOpening = place.listener.pointee.connections != nil || own.pointee.stage != .requests
            switch own.pointee.transport {
            case .plain where !isTLS || isOpening, .handshake where isTLS: return
            case .tls where isTLS: if worker.settleServer(own) { return }
            default: break
            }
            own.pointee.tls?.pointee.listener = place.listener
            own.pointee.flags.insert(.retired)
            worker.retireDownstream(slot, dropPartialHead: true)
        }
    }

    // MARK: upstream

    /// The exchange that a connection to an upstream is made for; HTTP/2: the first of those that wait for
    /// it. `noSlot`: nobody waits any more.
    func waitingExchange(_ slot: UInt32) -> UInt32 {
        guard let session = connection(slot).pointee.session else { return connection(slot).pointee.exchange }
        var at = session.firstStream
        while let stream = at {
            if stream.pointee.slot != H2Stream.noSlot {
                let number = connection(stream.pointee.slot).pointee.exchange
                if number != noSlot { return number }
            }
            at = session.next(after: stream)
        }
        return noSlot
    }

    /// The one protocol that an upstream is asked for: the connection is for an exchange that speaks it. Of a
    /// tunnel's bytes nobody knows what they are.
    private func offer(_ number: UInt32) -> TLSProtocol {
        let flags = exchange(number).pointee.flags
        return flags.contains(.toSession) ? .http2 : (flags.contains(.connect) ? .none : .http1)
    }

    /// The socket is connected: the handshake begins.
    mutating func beginUpstreamTLS(_ slot: UInt32) {
        let own = connection(slot)
        let number = waitingExchange(slot)
        if number == noSlot {
            closeUpstream(slot)
            return
        }
        guard let tls = exchange(number).pointee.decision.pointee.cluster?.pointee.tls else {
            upstreamHandshakeFailed(slot, .other, "the destination is gone")
            return
        }
        guard let context = tls.pointee.context else {
            upstreamHandshakeFailed(slot, .noCertificate, tls.pointee.problem.string)
            return
        }
        let host = upstreamHost(number)
        let isConfigured = !tls.pointee.serverName.isEmpty
        let isAddress = HostAndPort.literal(host, 0) != nil
        let name = isConfigured ? tls.pointee.serverName : (isAddress ? .empty : host)
        let hash = isConfigured ? 0 : nameHash(host)
        let session = resumable(own, hash)
        guard
            let stream = TLSStream(
                connecting: context, pipe, serverName: name,
                host: tls.pointee.verifiesHost ? (isConfigured ? name : host) : .empty, session: session,
                offering: offer(number))
        else {
            upstreamHandshakeFailed(slot, .other, "the host cannot be a server name")
            return
        }
        attach(own, stream)
        own.pointee.tls.unsafelyUnwrapped.pointee.nameHash = hash
        continueUpstreamTLS(slot)
    }

    /// An event of a connection whose handshake is under way.
    mutating func upstreamHandshakeEvent(_ slot: UInt32, _ event: PollEvent) {
        if event.writable, !connection(slot).pointee.output.isEmpty, !flush(slot) {
            upstreamHandshakeFailed(slot, .closed)
        } else {
            continueUpstreamTLS(slot)
        }
    }

    private mutating func continueUpstreamTLS(_ slot: UInt32) {
        let own = connection(slot)
        switch advanceHandshake(own) {
        case .pending: return
        case .failed(let why): upstreamHandshakeFailed(slot, why)
        case .done:
            let state = own.pointee.tls.unsafelyUnwrapped
            own.pointee.transport = .tls
            state.pointee.agreed = state.pointee.stream.agreedProtocol
            meter.add(state.pointee.stream.isResumed ? .tlsUpstreamResumed : .tlsUpstreamFull)
            // Bytes behind the handshake were perhaps read with it.
            own.pointee.flags.insert(.mayRead)
            if !own.pointee.flags.contains(.session) {
                upstreamConnected(slot)
            } else if state.pointee.agreed == .http2 {
                sessionConnected(slot)
            } else {
                // RFC 9113 3.2: without that it would be HTTP/1.1.
                upstreamHandshakeFailed(slot, .alpn)
            }
        }
    }

    /// `text`: of a handshake that did not begin.
    mutating func upstreamHandshakeFailed(_ slot: UInt32, _ why: TLSFailure, _ text: String = "") {
        let own = connection(slot)
        let number = own.pointee.exchange
        noteTransportFailure(own, why, text)
        // A session that the server no longer likes must not spoil the next try too.
        dropSession(own.pointee.endpoint)
        if own.pointee.flags.contains(.session) {
            sessionConnectFailed(slot, Self.tlsFailed)
            return
        }
        abandonUpstream(number)
        connectFailed(number, Self.tlsFailed)
    }

    /// In place of errno.
    static var tlsFailed: Int32 { -1 }

    /// Counts and remembers why an upstream's TLS failed, for the answer and the access log.
    mutating func noteTransportFailure(
        _ own: UnsafeMutablePointer<Connection>, _ why: TLSFailure, _ text: String = ""
    ) {
        meter.add(Counter.tlsFailure(why.rawValue, upstream: true))
        let heard =
            switch why {
            case .closed: "the upstream closed the connection"
            case .alpn: "the upstream did not agree to ALPN h2"
            default: pipe.failureText.string
            }
        let said = text.isEmpty ? heard : text
        transportFailure.write("TLS error: \(said.isEmpty ? why.name : said)")
        if nowMs >= transportFailureLogMs {
            transportFailureLogMs = nowMs + Limits.failureLogMs
            Log.warning(
                "worker \(setup.index): upstream \(own.pointee.peer.text): \(transportFailure.reason.string)")
        }
    }

    /// The host that a request is for, as it goes upstream; without port.
    func upstreamHost(_ number: UInt32) -> ByteView {
        let head = exchange(number).pointee.head
        guard !head.isEmpty else { return .empty }
        // Our own writing: the Host follows the request line.
        let text = ByteView(head.bytes, head.count)
        guard let line = text.firstIndex(of: 0x0A), text.count > line + 7,
            let end = text.firstIndex(of: 0x0D, from: line + 1), end >= line + 7
        else { return .empty }
        return HostAndPort.split(text.slice(line + 7, end), defaultPort: 443)?.0 ?? .empty
    }

    /// Never 0; the case of letters does not count.
    func nameHash(_ host: ByteView) -> UInt64 {
        var hash: UInt64 = 14_695_981_039_346_656_037
        for index in 0..<host.count { hash = (hash ^ UInt64(asciiLower(host[index]))) &* 1_099_511_628_211 }
        return hash | 1
    }

    /// An idle connection of an endpoint that was made for this host; few are looked at.
    mutating func idleConnection(_ id: UInt32, hash: UInt64) -> UInt32 {
        var slot = pool.state(id).pointee.idleHead
        var looks = 0
        while slot != noSlot, looks < Limits.idleLooks {
            if connection(slot).pointee.tls?.pointee.nameHash == hash { return slot }
            slot = connection(slot).pointee.next
            looks += 1
        }
        return noSlot
    }

    // MARK: sessions

    /// Puts the session of an upstream connection aside for the next to the same endpoint.
    mutating func keepSession(_ own: UnsafeMutablePointer<Connection>) {
        guard let tls = own.pointee.tls, !tls.pointee.sessionKept, !tls.pointee.isBroken,
            own.pointee.endpoint != noSlot
        else { return }
        let state = pool.state(own.pointee.endpoint)
        guard state.pointee.generation == own.pointee.endpointGeneration,
            let session = tls.pointee.stream.session
        else { return }
        tls.pointee.sessionKept = true
        state.pointee.session?.free()
        state.pointee.session = session
        state.pointee.sessionNameHash = tls.pointee.nameHash
    }

    /// What a new connection to the same endpoint for the same host may resume.
    private mutating func resumable(
        _ own: UnsafeMutablePointer<Connection>, _ hash: UInt64
    ) -> TLSSession? {
        if own.pointee.endpoint == noSlot { return nil }
        let state = pool.state(own.pointee.endpoint)
        let isOf =
            state.pointee.generation == own.pointee.endpointGeneration
            && state.pointee.sessionNameHash == hash
        return isOf ? state.pointee.session : nil
    }

    mutating func dropSession(_ endpoint: UInt32) {
        if endpoint == noSlot { return }
        let state = pool.state(endpoint)
        state.pointee.session?.free()
        state.pointee.session = nil
    }
}
