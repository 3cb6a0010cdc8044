// HTTP/2 connections: a connection slot with a session beside it. Bytes from the socket go to the session,
// its events to the slots of its streams (Streams.swift); frames are gathered once a turn and sent. What a
// stream does is no different from what a connection of HTTP/1 does; see ARCHITECTURE.md.
internal import Base
internal import Glibc
internal import HTTP2
internal import Loop
internal import TLS
internal import Telemetry

extension Worker {
    // MARK: the beginning

    /// The client speaks HTTP/2: `bytes` begin with its preface.
    mutating func becomeSession(_ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let own = connection(slot)
        let limits = H2Limits(
            headBytes: Int(settings.headerBytes), headFields: Int(settings.headerCount),
            streams: Limits.h2Streams, streamWindow: Limits.h2StreamWindow,
            connectionWindow: Limits.h2ConnectionWindow)
        guard let session = h2Engine()?.server(slot: slot, limits: limits) else {
            closeDownstream(slot)
            return
        }
        own.pointee.session = session
        own.pointee.flags.insert([.session, .served])
        own.pointee.flags.remove(.partialHead)
        meter.add(.h2SessionsDownstream)
        setTimeout(slot, settings.requestHeaderTimeoutMs)
        // What is fed must not be where the streams' bytes are put.
        memcpy(sessionSpace, bytes, count)
        guard feedSession(slot, sessionSpace, count) else { return }
        if isRetired(slot) { retireSession(slot) }
        // More may be there, and whoever read this reads no sessions.
        if own.pointee.flags.contains(.mayRead) { enqueue(slot) }
    }

    /// Made at the first use: a worker that meets no HTTP/2 spends nothing on it.
    mutating func h2Engine() -> H2Engine? {
        if engine == nil { engine = H2Engine.make() }
        return engine
    }

    // MARK: events of the socket

    mutating func sessionEvent(_ slot: UInt32, _ event: PollEvent) {
        let own = connection(slot)
        if own.pointee.flags.contains(.outlived) { return }
        if own.pointee.flags.contains(.connecting) {
            sessionConnectEvent(slot, event)
            return
        }
        if event.failed, own.pointee.side == .upstream || hasTunnel(own) {
            // What it said before is read: responses, the alert that refuses us, a tunnel's last bytes.
            let generation = own.pointee.generation
            own.pointee.flags.insert([.mayRead, .peerClosing])
            readSession(slot)
            if own.pointee.generation == generation,
                own.pointee.flags.isDisjoint(with: [.queued, .outlived])
            {
                loseSession(slot)
            }
            return
        }
        if event.failed || (event.broken && !event.readable) {
            loseSession(slot)
            return
        }
        if event.writable, !own.pointee.output.isEmpty {
            if !flush(slot) {
                loseSession(slot)
                return
            }
            if own.pointee.output.isEmpty { own.pointee.session?.markDirty() }
            settleSessionTimer(slot)
        }
        if own.pointee.flags.contains(.mayRead) { readSession(slot) }
    }

    /// Whether a client's connection carries a tunnel. A client that closes with our frames unread resets the
    /// connection behind the last bytes it sent.
    private func hasTunnel(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        var at = own.pointee.session?.firstStream
        while let stream = at {
            if stream.pointee.slot != H2Stream.noSlot {
                let number = connection(stream.pointee.slot).pointee.exchange
                if number != noSlot, exchange(number).pointee.step == .tunnel { return true }
            }
            at = stream.pointee.session.next(after: stream)
        }
        return false
    }

    mutating func readSession(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.outlived) { return }
        var reads = 0
        while own.pointee.flags.contains(.mayRead), let session = own.pointee.session {
            // A peer that asks and asks and does not read the answers waits until it does.
            if session.queued > Limits.h2QueuedFrames, !own.pointee.output.isEmpty { return }
            if reads == Limits.readsPerTurn {
                enqueue(slot)
                return
            }
            reads &+= 1
            switch receive(own, sessionSpace, Limits.readBytes) {
            case .bytes(let count):
                if count < Limits.readBytes, own.pointee.flags.isDisjoint(with: .readOn) {
                    own.pointee.flags.remove(.mayRead)
                }
                meter.add(
                    own.pointee.side == .downstream ? .downstreamReadBytes : .upstreamReadBytes, UInt64(count)
                )
                if !feedSession(slot, sessionSpace, count) { return }
            case .wouldBlock:
                own.pointee.flags.remove(.mayRead)
            case .end:
                own.pointee.flags.remove(.mayRead)
                own.pointee.flags.insert(.ended)
                loseSession(slot)
                return
            case .failed:
                own.pointee.flags.remove(.mayRead)
                sessionFailed(slot)
                return
            }
        }
    }

    /// Gives bytes to the session and acts on what is in them. False: the connection is gone or ending.
    private mutating func feedSession(
        _ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Bool {
        let own = connection(slot)
        let generation = own.pointee.generation
        var at = bytes
        var left = count
        while let session = own.pointee.session, left > 0 || session.isPaused {
            guard let used = session.feed(at, min(left, Limits.h2SliceBytes)) else {
                if session.hasGlitches { settleGlitches(slot) }
                endSession(slot)
                return false
            }
            at += used
            left -= used
            actOnEvents(slot)
            if own.pointee.generation != generation { return false }
            if session.hasGlitches { settleGlitches(slot) }
            if session.isTerminated || session.isOver { break }
        }
        settleSessionTimer(slot)
        return true
    }

    /// Acts on the events of the last `feed` or `gather`. Neither is called from here: they share one inbox.
    private mutating func actOnEvents(_ slot: UInt32) {
        guard let engine else { return }
        let own = connection(slot)
        let generation = own.pointee.generation
        let count = engine.eventCount
        var index = 0
        while index < count {
            let event = engine.event(index)
            index &+= 1
            guard own.pointee.generation == generation, let session = own.pointee.session else { return }
            switch event.kind {
            case .head: headCame(slot, session, event)
            case .trailers: trailersCame(event)
            case .data: dataCame(session, event)
            case .ended: if let stream = event.stream { streamEnded(stream) }
            case .closed: if let stream = event.stream { streamClosed(stream, event.code) }
            case .sentEnd: if let stream = event.stream { session.reset(stream, code: H2Error.noError) }
            case .pingAck:
                own.pointee.flags.remove(.pinged)
                noticeAnswered(slot)
            case .settings:
                if own.pointee.side == .upstream {
                    keepSession(own)
                    keepLimit(own, session)
                    settingsCame(session)
                }
            case .goaway: break
            }
        }
    }

    private mutating func headCame(_ slot: UInt32, _ session: H2Session, _ event: H2Event) {
        guard let stream = event.stream else { return }
        if event.ended { stream.pointee.flags.insert(.remoteEnded) }
        if connection(slot).pointee.side == .downstream {
            openStream(slot, session, stream, event)
        } else {
            responseCame(stream, event)
        }
    }

    // MARK: sending

    /// Sends what the sessions have to send; what that makes room for may make more.
    mutating func flushSessions() {
        guard let engine else { return }
        var flushes = 0
        while flushes < Limits.h2FlushesPerTurn, let slot = engine.takeDirty() {
            flushSession(slot)
            flushes &+= 1
        }
    }

    private mutating func flushSession(_ slot: UInt32) {
        let own = connection(slot)
        let generation = own.pointee.generation
        if own.pointee.flags.contains(.outlived) {
            if let session = own.pointee.session, !hasSlots(session) { closeSession(slot) }
            return
        }
        guard let engine, let session = own.pointee.session, own.pointee.output.isEmpty,
            !own.pointee.flags.contains(.connecting)
        else { return }
        if session.hasGlitches { settleGlitches(slot) }
        guard let frames = session.gather() else {
            endSession(slot)
            return
        }
        let isFull = frames.count > Limits.h2GatherBytes / 2
        let alive = frames.isEmpty || send(slot, frames.start, frames.count)
        actOnEvents(slot)
        while let stream = engine.takeDrained() { streamDrained(stream) }
        if own.pointee.generation != generation { return }
        if !alive {
            loseSession(slot)
        } else if session.isOver {
            endSession(slot)
        } else {
            if isFull, own.pointee.output.isEmpty { session.markDirty() }
            settleSessionTimer(slot)
            // It may have waited for its answers to leave.
            if own.pointee.flags.contains(.mayRead) { enqueue(slot) }
        }
    }

    // MARK: abuse

    /// Charges what was odd to the connection's budget, and ends a client's connection that has spent it.
    private mutating func settleGlitches(_ slot: UInt32) {
        guard let session = connection(slot).pointee.session else { return }
        var isSpent = false
        if let kind = session.takeCut(), let glitch = Glitch(rawValue: kind.rawValue),
            connection(slot).pointee.side == .downstream
        {
            meter.add(.cut(glitch))
            isSpent = true
        }
        session.takeGlitches { kind, count in
            let cost =
                switch kind {
                case .continuation: Limits.glitchContinuationCost
                case .headTooLarge: Limits.glitchLargeHeadCost
                default: 1
                }
            let glitch = Glitch(rawValue: kind.rawValue) ?? .malformed
            // An upstream's connection carries many clients' streams: it is not ours to cut for its habits.
            if isSpent || connection(slot).pointee.side == .upstream {
                meter.add(.glitch(glitch), UInt64(count))
            } else if !charge(slot, glitch, count, cost: cost) {
                isSpent = true
            }
        }
        if isSpent { session.terminate(code: H2Error.enhanceYourCalm) }
    }

    // MARK: deadlines

    /// While a head is incomplete its deadline runs; else the connection's idle time while it has no stream.
    private mutating func settleSessionTimer(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session else { return }
        let inHead = session.hasPartialHead
        if inHead != own.pointee.flags.contains(.partialHead) {
            if inHead {
                own.pointee.flags.insert(.partialHead)
                setTimeout(slot, settings.requestHeaderTimeoutMs)
                return
            }
            own.pointee.flags.remove(.partialHead)
        } else if inHead {
            return
        }
        if own.pointee.side == .downstream, !own.pointee.output.isEmpty {
            // A client that does not read has as long as one that does not send.
            setTimeout(slot, settings.requestBodyIdleTimeoutMs)
            return
        }
        if own.pointee.flags.contains(.retiring) { return }
        if !own.pointee.flags.isDisjoint(with: [.connecting, .pinged]) { return }
        if session.streamCount > 0 {
            setTimeout(slot, session.keepAliveMs)
        } else if own.pointee.side == .upstream,
            own.pointee.endpoint == noSlot || own.pointee.flags.contains(.single)
        {
            // Nobody else is going there, or not by this one.
            session.submitGoaway()
        } else {
            setTimeout(slot, idleTimeoutMs(own, session))
        }
    }

    private func idleTimeoutMs(
        _ own: UnsafeMutablePointer<Connection>, _ session: H2Session
    ) -> UInt64 {
        if own.pointee.side == .upstream { return session.idleMs }
        // A client that never asked for anything has the time of a head for it.
        return session.hadStreams ? settings.idleTimeoutMs : settings.requestHeaderTimeoutMs
    }

    mutating func sessionTimeout(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session else { return }
        if own.pointee.flags.contains(.connecting) {
            if own.pointee.tls != nil {
                meter.add(Counter.tlsFailure(TLSFailure.timeout.rawValue, upstream: true))
            }
            sessionConnectFailed(slot, ETIMEDOUT)
        } else if own.pointee.flags.contains(.partialHead) {
            meter.add(.timeoutRequestHead)
            endSession(slot)
        } else if own.pointee.side == .downstream, !own.pointee.output.isEmpty {
            meter.add(.timeoutStreamIdle)
            closeSession(slot)
        } else if own.pointee.flags.contains(.retiring) {
            noticeAnswered(slot)
        } else if own.pointee.flags.contains(.pinged) {
            loseSession(slot)
        } else if session.streamCount > 0 {
            own.pointee.flags.insert(.pinged)
            session.ping()
            setTimeout(slot, session.keepAliveTimeoutMs)
        } else if session.streamCount == 0 {
            if own.pointee.side == .downstream { meter.add(.timeoutIdle) }
            leavePool(slot)
            session.submitGoaway()
        }
    }

    // MARK: the end

    /// Ends a client's connection in two steps: a GOAWAY that refuses nothing yet, and when the client has
    /// read that, the one that names the last stream served. It closes when its streams are over.
    mutating func retireSession(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session, own.pointee.flags.isDisjoint(with: [.retiring, .outlived])
        else { return }
        own.pointee.flags.insert(.retiring)
        session.submitNotice()
        setTimeout(slot, Limits.h2NoticeMs)
    }

    private mutating func noticeAnswered(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session, own.pointee.flags.contains(.retiring),
            !own.pointee.flags.contains(.goawaySent)
        else { return }
        own.pointee.flags.insert(.goawaySent)
        setDeadline(slot, 0)
        session.submitGoaway()
    }

    /// The session is over: its last frames go out, then the connection ends.
    mutating func endSession(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session else { return }
        leavePool(slot)
        // The reason it cannot go on, as far as the socket takes it.
        if own.pointee.output.isEmpty, let frames = session.gather(), !frames.isEmpty {
            _ = send(slot, frames.start, frames.count)
        }
        // A client's connection that ends by our doing ends with all it had.
        if own.pointee.side == .upstream, outlives(slot, session) { return }
        endStreams(session)
        own.pointee.session = nil
        own.pointee.flags.remove([.session, .partialHead])
        session.free()
        if own.pointee.side == .upstream {
            closeUpstream(slot)
        } else if own.pointee.flags.contains(.writeFailed) {
            closeDownstream(slot)
        } else {
            finishDownstream(slot)
        }
    }

    /// The connection is lost, and every stream that has not all it needs.
    mutating func loseSession(_ slot: UInt32) {
        guard let session = connection(slot).pointee.session else { return }
        if !outlives(slot, session) { closeSession(slot) }
    }

    /// Ends the connection, and every stream with it.
    mutating func closeSession(_ slot: UInt32) {
        let own = connection(slot)
        guard let session = own.pointee.session else { return }
        leavePool(slot)
        endStreams(session)
        own.pointee.session = nil
        own.pointee.flags.remove([.session, .partialHead])
        session.free()
        if own.pointee.side == .upstream {
            closeUpstream(slot)
        } else {
            closeDownstream(slot)
        }
    }

    /// Of a connection that is over: what came whole is handed on all the same. From an upstream, responses
    /// that wait for their clients; from a client, what it said in tunnels before it ended its side of them.
    /// False: there is nothing of that.
    private mutating func outlives(_ slot: UInt32, _ session: H2Session) -> Bool {
        let own = connection(slot)
        if own.pointee.flags.contains(.connecting) { return false }
        leavePool(slot)
        endStreams(session, butWhole: true)
        if !hasSlots(session) { return false }
        own.pointee.flags.insert(.outlived)
        buffers.release(&own.pointee.output)
        setDeadline(slot, 0)
        return true
    }

    /// Whether a stream needs nothing more of its connection: its response came whole, or its client ended
    /// its side of a tunnel.
    private mutating func goesOnAlone(_ stream: UnsafeMutablePointer<H2Stream>) -> Bool {
        guard stream.pointee.flags.contains(.remoteEnded) else { return false }
        let slot = stream.pointee.slot
        let own = connection(slot)
        if own.pointee.side == .upstream { return true }
        guard own.pointee.exchange != noSlot, exchange(own.pointee.exchange).pointee.step == .tunnel else {
            return false
        }
        leaveTunnel(slot)
        return true
    }

    private func hasSlots(_ session: H2Session) -> Bool {
        var at = session.firstStream
        while let stream = at {
            if stream.pointee.slot != H2Stream.noSlot { return true }
            at = session.next(after: stream)
        }
        return false
    }

    /// Cuts streams off: nothing can be sent on any more. `butWhole`: not those that go on without it.
    private mutating func endStreams(_ session: H2Session, butWhole: Bool = false) {
        var at = session.firstStream
        while let stream = at {
            if stream.pointee.slot == H2Stream.noSlot {
                at = session.next(after: stream)
                continue
            }
            stream.pointee.flags.insert(.closed)
            if butWhole, goesOnAlone(stream) {
                at = session.next(after: stream)
                continue
            }
            streamFailed(stream.pointee.slot, H2Error.cancel, lost: true)
            at = session.firstStream
        }
    }
}
