// HTTP/2 to upstreams: an endpoint has a few connections, each carrying many exchanges as streams. Which one
// takes the next, how one is made and what becomes of its streams when it ends.
internal import Base
internal import Glibc
internal import HTTP
internal import HTTP2
internal import Loop
internal import Telemetry

extension Worker {
    /// Whether an exchange goes upstream as a stream: its cluster's protocol decides, and where that is not
    /// declared, the client's (istio-semantics.md 14). A CONNECT's bytes go to the endpoint as they are.
    func goesBySession(_ own: UnsafeMutablePointer<Exchange>) -> Bool {
        if own.pointee.flags.contains(.connect) { return false }
        let isH2 = own.pointee.minorVersion == 2
        guard let cluster = own.pointee.decision.pointee.cluster else { return isH2 }
        return switch cluster.pointee.upstreamProtocol {
        case .http1: false
        case .http2: true
        case .sameAsClient: isH2
        }
    }

    // MARK: choosing

    /// Puts an exchange on a connection to its endpoint that has room, or on a new one.
    mutating func startStream(
        _ number: UInt32, _ address: SocketAddress, _ endpoint: UInt32, _ endpointGeneration: UInt32,
        _ timeoutMs: UInt64
    ) {
        // A PROXY header tells of one client: such a connection carries one exchange.
        let isShared = exchange(number).pointee.decision.pointee.cluster?.pointee.proxyHeaderVersion ?? 0 == 0
        let endpoint = isShared ? endpoint : noSlot
        if endpoint != noSlot, let slot = sessionWithRoom(number, endpoint) {
            meter.add(.poolHits)
            join(number, slot)
            return
        }
        meter.add(.poolMisses)
        exchange(number).pointee.address = address
        switch Sockets.connect(address) {
        case .failed(let code): connectFailed(number, code)
        case .socket(let fd):
            guard let slot = adopt(fd, .upstream, address) else {
                connectFailed(number, ENFILE)
                return
            }
            meter.add(.upstreamOpened)
            let own = connection(slot)
            own.pointee.endpoint = endpoint
            own.pointee.endpointGeneration = endpointGeneration
            guard let session = makeClientSession(slot) else {
                closeUpstream(slot)
                connectFailed(number, ENOMEM)
                return
            }
            own.pointee.session = session
            let cluster = exchange(number).pointee.decision.pointee.cluster
            session.setIdle(afterMs: upstreamIdleMs(cluster))
            if let cluster {
                session.setKeepAlive(
                    everyMs: cluster.pointee.keepAliveMs, timeoutMs: cluster.pointee.keepAliveTimeoutMs)
                own.pointee.requestsLeft = cluster.pointee.requestsMax
            }
            own.pointee.flags.insert([.session, .connecting])
            if cluster?.pointee.tls != nil { own.pointee.transport = .handshake }
            if endpoint != noSlot {
                pool.addSession(slot, endpoint) { [base = connections.at(0)] in base + Int($0) }
            }
            setTimeout(slot, timeoutMs == 0 ? settings.connectTimeoutMs : timeoutMs)
            join(number, slot)
        }
    }

    private mutating func makeClientSession(_ slot: UInt32) -> H2Session? {
        let limits = H2Limits(
            headBytes: Limits.headBytes, headFields: Limits.headFields, streams: 0,
            streamWindow: Limits.h2StreamWindow, connectionWindow: Limits.h2UpstreamConnectionWindow)
        return h2Engine()?.client(slot: slot, limits: limits)
    }

    /// The first of an endpoint's connections that takes one more stream.
    private mutating func sessionWithRoom(_ number: UInt32, _ endpoint: UInt32) -> UInt32? {
        let cluster = exchange(number).pointee.decision.pointee.cluster
        let most = cluster?.pointee.streamsMax ?? .max
        let hash =
            cluster?.pointee.tls?.pointee.serverName.isEmpty == true ? nameHash(upstreamHost(number)) : 0
        let known = Int(pool.state(endpoint).pointee.peerStreams)
        var slot = pool.state(endpoint).pointee.sessions
        while slot != noSlot {
            let own = connection(slot)
            if let session = own.pointee.session, session.takesRequests,
                session.streamCount < min(session.peerStreams, Int(most)),
                // A new one's SETTINGS may come after the first requests are on their way.
                session.hasSettings || session.streamCount < known,
                hash == 0 || hash == serverNameHash(slot)
            {
                return slot
            }
            slot = own.pointee.next
        }
        return nil
    }

    /// `nameHash` of the host that a TLS connection is for, or will be once its handshake begins.
    private func serverNameHash(_ slot: UInt32) -> UInt64 {
        if let tls = connection(slot).pointee.tls { return tls.pointee.nameHash }
        let number = waitingExchange(slot)
        return number == noSlot ? 0 : nameHash(upstreamHost(number))
    }

    /// Ties an exchange to a new stream of a connection, and sends the request if that is made already.
    private mutating func join(_ number: UInt32, _ parent: UInt32) {
        let carrier = connection(parent)
        guard let session = carrier.pointee.session else { return }
        let stream = session.open(slot: noSlot)
        guard let slot = adopt(stream, of: parent) else {
            session.release(stream, code: H2Error.cancel)
            connectFailed(number, ENFILE)
            return
        }
        if carrier.pointee.requestsLeft != 0 {
            carrier.pointee.requestsLeft &-= 1
            if carrier.pointee.requestsLeft == 0 {
                // It ends behind its last stream.
                leavePool(parent)
                carrier.pointee.flags.insert(.single)
            }
        }
        // The peer may have ended a connection that was used before without our knowing yet.
        if carrier.pointee.flags.contains(.reused) { connection(slot).pointee.flags.insert(.reused) }
        use(slot, for: number)
        if carrier.pointee.flags.contains(.connecting) {
            exchange(number).pointee.step = .connecting
            connection(slot).pointee.flags.insert(.connecting)
        } else {
            sendRequest(number)
        }
    }

    // MARK: the request

    /// `sendRequest` for a stream.
    mutating func sendByStream(_ number: UInt32) {
        let own = exchange(number)
        let slot = own.pointee.upstream
        if !submitRequest(number) {
            upstreamStreamFailed(slot, H2Error.refusedStream, lost: false)
            return
        }
        if own.pointee.step == .connecting { return }
        if own.pointee.flags.contains(.requestComplete) {
            armResponseDeadline(number)
        } else {
            setTimeout(own.pointee.downstream, settings.requestBodyIdleTimeoutMs)
        }
    }

    private mutating func submitRequest(_ number: UInt32) -> Bool {
        let own = exchange(number)
        let slot = own.pointee.upstream
        guard let stream = connection(slot).pointee.stream else { return false }
        let session = stream.pointee.session
        var form = H2RequestForm()
        form.isTLS = own.pointee.flags.contains(.overTLS)
        form.isWebSocket = own.pointee.flags.contains(.upgrade)
        if form.isWebSocket, !session.hasSettings {
            // Whether the peer takes extended CONNECT stands there (RFC 8441 3).
            own.pointee.step = .connecting
            connection(slot).pointee.flags.insert(.connecting)
            stream.pointee.flags.insert(.awaitsSettings)
            setTimeout(slot, settings.connectTimeoutMs)
            return true
        }
        let headCount = Int(own.pointee.headBytes)
        let head = ByteView(own.pointee.head.bytes, headCount)
        let bodyCount = own.pointee.head.count - headCount
        let isComplete = own.pointee.flags.contains(.requestComplete)
        let ends = isComplete && bodyCount == 0 && !form.isWebSocket
        if !session.submitRequest(stream, head, form, ends: ends) { return false }
        if bodyCount > 0 {
            if !send(slot, own.pointee.head.bytes + headCount, bodyCount) { return false }
            if isComplete { endTransmission(connection(slot)) }
        }
        return true
    }

    /// The next connection to the endpoint will hardly take more streams than this one.
    mutating func keepLimit(_ own: UnsafeMutablePointer<Connection>, _ session: H2Session) {
        if own.pointee.endpoint == noSlot { return }
        let state = pool.state(own.pointee.endpoint)
        if state.pointee.generation == own.pointee.endpointGeneration {
            state.pointee.peerStreams = UInt32(clamping: max(1, session.peerStreams))
        }
    }

    /// The peer's SETTINGS came: requests that waited for them go out, or cannot.
    mutating func settingsCame(_ session: H2Session) {
        var at = session.firstStream
        while let stream = at {
            at = session.next(after: stream)
            guard stream.pointee.flags.contains(.awaitsSettings), stream.pointee.slot != H2Stream.noSlot
            else {
                continue
            }
            stream.pointee.flags.remove(.awaitsSettings)
            let slot = stream.pointee.slot
            let number = connection(slot).pointee.exchange
            connection(slot).pointee.flags.remove(.connecting)
            setDeadline(slot, 0)
            if session.takesExtendedConnect {
                sendRequest(number)
                noteSent(number)
            } else {
                abandonUpstream(number)
                var answer = LocalReply(
                    status: 502, reason: .upstreamProtocol, details: "upgrade_failed", flags: .UPE)
                answer.text = "the upstream takes no WebSocket over HTTP/2"
                reply(number, answer)
            }
        }
    }

    // MARK: connecting

    /// The socket of a connection that is being made is ready, or failed.
    mutating func sessionConnectEvent(_ slot: UInt32, _ event: PollEvent) {
        let own = connection(slot)
        if own.pointee.tls != nil {
            upstreamHandshakeEvent(slot, event)
            return
        }
        if !event.writable, !event.broken { return }
        let code = Sockets.connectError(own.pointee.fd)
        if code != 0 || event.broken {
            sessionConnectFailed(slot, code == 0 ? ECONNREFUSED : code)
            return
        }
        own.pointee.flags.remove(.mayRead)
        let number = waitingExchange(slot)
        if number != noSlot, !introduce(slot, number) {
            sessionConnectFailed(slot, ECONNRESET)
            return
        }
        if own.pointee.transport == .handshake {
            beginUpstreamTLS(slot)
            return
        }
        if event.readable || event.peerClosed { own.pointee.flags.insert(.mayRead) }
        sessionConnected(slot)
    }

    /// The connection is made, TLS included: the requests that waited for it go out.
    mutating func sessionConnected(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session else { return }
        own.pointee.flags.remove(.connecting)
        setDeadline(slot, 0)
        session.markDirty()
        eachStream(session) { worker, stream in
            let number = worker.connection(stream).pointee.exchange
            worker.connection(stream).pointee.flags.remove(.connecting)
            worker.sendRequest(number)
            worker.noteSent(number)
            if worker.connection(stream).pointee.generation != 0 { worker.upstreamDrained(stream) }
        }
        if own.pointee.flags.contains(.mayRead), own.pointee.session != nil { readSession(slot) }
    }

    /// Calls `body` with the slot of each stream that had one when it began.
    private mutating func eachStream(_ session: H2Session, _ body: (inout Worker, UInt32) -> Void) {
        var at = session.firstStream
        while let stream = at {
            at = session.next(after: stream)
            let slot = stream.pointee.slot
            if slot != H2Stream.noSlot, connection(slot).pointee.exchange != noSlot { body(&self, slot) }
        }
    }

    /// No connection could be made: every exchange that waited for it may go elsewhere.
    mutating func sessionConnectFailed(_ slot: UInt32, _ code: Int32) {
        let own = connection(slot)
        leavePool(slot)
        own.pointee.flags.remove(.connecting)
        while let session = own.pointee.session, let stream = session.firstStream {
            stream.pointee.flags.insert(.closed)
            let number = connection(stream.pointee.slot).pointee.exchange
            abandonUpstream(number)
            connectFailed(number, code)
        }
        closeSession(slot)
    }

    /// A connection failed under its streams: what came whole before is handed on. In TLS 1.3 a server judges
    /// our certificate when our handshake is already over: its refusal comes where its SETTINGS should, and
    /// says why.
    mutating func sessionFailed(_ slot: UInt32) {
        let own = connection(slot)
        guard own.pointee.side == .upstream, let session = own.pointee.session, !session.hasSettings,
            own.pointee.tls?.pointee.failure == .alert
        else {
            loseSession(slot)
            return
        }
        noteTransportFailure(own, .alert)
        dropSession(own.pointee.endpoint)
        leavePool(slot)
        eachStream(session) { worker, stream in
            let number = worker.connection(stream).pointee.exchange
            worker.connection(stream).pointee.stream?.pointee.flags.insert(.closed)
            worker.abandonUpstream(number)
            worker.meter.add(.upstreamConnectFailures)
            worker.reply(number, worker.connectFailure(number, Worker.tlsFailed))
        }
        closeSession(slot)
    }

    /// No new exchange is put on it.
    mutating func leavePool(_ slot: UInt32) {
        let own = connection(slot)
        guard own.pointee.flags.contains(.pooled) else { return }
        pool.removeSession(slot) { [base = connections.at(0)] in base + Int($0) }
    }

    // MARK: the response

    /// A response's head came on a stream.
    mutating func responseCame(_ stream: UnsafeMutablePointer<H2Stream>, _ event: H2Event) {
        guard let engine, stream.pointee.slot != H2Stream.noSlot else { return }
        let slot = stream.pointee.slot
        let number = connection(slot).pointee.exchange
        guard number != noSlot, exchange(number).pointee.step == .awaitingResponse else { return }
        let x = exchange(number)
        let readNs = Syscalls.monotonicNs()
        x.pointee.flags.insert(.responseStarted)
        var head = ResponseHead()
        if let why = engine.readResponse(event, &head, &responseHeaders.pointee) {
            protocolError(number, why)
            return
        }
        if head.status == 101 {
            protocolError(number, .badStatusLine)
            return
        }
        head.reasonPhrase = ReasonPhrase.of(head.status)
        if head.status < 200 {
            _ = interim(number, head, 0)
            return
        }
        if x.pointee.flags.contains(.upgrade), head.status == 200, !event.ended {
            connection(slot).pointee.flags.insert(.reused)
            switchProtocols(number, head)
            return
        }
        let hasNone = x.pointee.flags.contains(.toHead) || head.status == 204 || head.status == 304
        head.framing = event.ended || hasNone ? .none : .stream
        // END_STREAM says it by itself; over HTTP/1 it has to be said.
        if !hasNone, event.ended, !head.connection.hasContentLength, x.pointee.minorVersion != 2 {
            responseHeaders.pointee.append(HeaderNames.name(.contentLength), "0")
        }
        noteResponse(number, head, readNs)
        _ = startResponse(number, &head, readSpace + Self.margin, 0, readNs)
    }

    /// Trailers go on to a side that has a place for them.
    mutating func trailersCame(_ event: H2Event) {
        guard let engine, let stream = event.stream else { return }
        let slot = stream.pointee.slot
        let number = slot == H2Stream.noSlot ? noSlot : connection(slot).pointee.exchange
        if number != noSlot {
            let x = exchange(number)
            let isResponse = connection(slot).pointee.side == .upstream
            let other = isResponse ? x.pointee.downstream : x.pointee.upstream
            // A response's lines may be needed no more, a request's are its own list's.
            let list = isResponse ? responseHeaders : requestHeaders
            engine.readTrailers(event, &list.pointee)
            if isResponse, x.pointee.flags.contains(.isGRPC) { noteGRPC(number) }
            if other != noSlot, let target = connection(other).pointee.stream {
                target.pointee.session.takeTrailers(target, bytes: list.pointee.lineBytes) {
                    list.pointee.copyLines(to: $0)
                }
            } else {
                meter.add(.glitchTrailers)
            }
        }
        if event.ended { streamEnded(stream) }
    }

    // MARK: failure

    /// A stream to an upstream is lost before its response was whole. `code`: of RST_STREAM or of the
    /// connection's end.
    mutating func upstreamStreamFailed(_ slot: UInt32, _ code: UInt32, lost: Bool) {
        let number = connection(slot).pointee.exchange
        if number == noSlot {
            release(slot)
            return
        }
        let own = exchange(number)
        if own.pointee.step == .connecting {
            abandonUpstream(number)
            connectFailed(number, ECONNRESET)
            return
        }
        // RFC 9113 8.7: nothing of a refused stream was looked at.
        if code == H2Error.refusedStream, !own.pointee.flags.contains(.responseStarted),
            own.pointee.flags.contains(.replayable), own.pointee.attempts <= retries(own, \.refusedRetries)
        {
            abandonUpstream(number)
            meter.add(.staleRetries)
            sendAgain(number)
            return
        }
        if own.pointee.step == .tunnel {
            own.pointee.responseFlags.insert(.UC)
            closeDownstream(own.pointee.downstream)
            return
        }
        upstreamFailed(number, lost, refused: code == H2Error.refusedStream)
    }
}
