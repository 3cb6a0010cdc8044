// A client's connection: reading requests from it, one exchange at a time (pipelined requests wait in its
// input), its deadlines, its end.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import TLS
internal import Telemetry

extension Worker {
    mutating func downstreamEvent(_ slot: UInt32, _ event: PollEvent) {
        let own = connection(slot)
        // A reset client takes no answer, whatever it sent before. (A hang-up alone means that both sides
        // have shut their writing; what was sent before is still to be read.)
        if event.failed || (event.broken && !event.readable) {
            if own.pointee.exchange != noSlot { meter.add(.downstreamResets) }
            closeDownstream(slot)
            return
        }
        if event.writable, !own.pointee.output.isEmpty {
            if !flush(slot) {
                closeDownstream(slot)
                return
            }
            if own.pointee.output.isEmpty { downstreamDrained(slot) }
            if own.pointee.generation == 0 { return }
        }
        if own.pointee.flags.contains(.mayRead) { readDownstream(slot) }
    }

    /// Everything kept for the client is out: go on with what waited for it.
    mutating func downstreamDrained(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.exchange != noSlot {
            if own.pointee.flags.contains(.shutAfterFlush) { shutWriting(slot) }
            let upstream = exchange(own.pointee.exchange).pointee.upstream
            if upstream != noSlot,
                !connection(upstream).pointee.flags.isDisjoint(with: [.mayRead, .writeFailed])
            {
                readUpstream(upstream)
            }
            return
        }
        if own.pointee.flags.contains(.closeAfterFlush) {
            linger(slot)
        } else {
            continueDownstream(slot)
        }
    }

    /// Uses input that waited, then reads on.
    mutating func continueDownstream(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.exchange == noSlot, !own.pointee.input.isEmpty,
            !own.pointee.flags.contains(.closeAfterFlush)
        {
            // The bytes are parsed where they are; whatever is left over is put back.
            var waiting = own.pointee.input
            own.pointee.input = Buffer()
            own.pointee.scanned = 0
            useInput(slot, waiting.bytes, waiting.count)
            buffers.release(&waiting)
            if own.pointee.generation == 0 { return }
            if own.pointee.flags.contains(.session) {
                readSession(slot)
                return
            }
        }
        if own.pointee.flags.contains(.mayRead) { readDownstream(slot) }
    }

    /// Whether bytes from the client can be used now.
    private mutating func wantsDownstream(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        if own.pointee.flags.contains(.lingering) { return true }
        if own.pointee.flags.contains(.closeAfterFlush) { return false }
        let slot = own.pointee.exchange
        // Requests that wait in the input come before whatever follows them, the end of the stream included.
        // A connection that began to speak HTTP/2 is read by `readSession`.
        if slot == noSlot {
            return own.pointee.output.isEmpty && own.pointee.flags.isDisjoint(with: [.queued, .session])
        }
        let exchange = exchange(slot)
        if exchange.pointee.step == .tunnel {
            return exchange.pointee.upstream != noSlot
                && connection(exchange.pointee.upstream).pointee.output.isEmpty
        }
        if exchange.pointee.flags.contains(.requestComplete) { return false }
        if exchange.pointee.step == .scripting { return true }
        // The body goes on when what was sent is out, and not before there is a connection.
        let upstream = exchange.pointee.upstream
        return upstream != noSlot && connection(upstream).pointee.output.isEmpty
            && !connection(upstream).pointee.flags.contains(.connecting)
    }

    mutating func readDownstream(_ slot: UInt32) {
        let own = connection(slot)
        let generation = own.pointee.generation
        var reads = 0
        while own.pointee.flags.contains(.mayRead), wantsDownstream(own) {
            if reads == Limits.readsPerTurn {
                enqueue(slot)
                return
            }
            reads &+= 1
            if own.pointee.flags.contains(.bulk) {
                let step = passRequest(slot)
                if step == .again { continue }
                if step == .stop { return }
            }
            let buffered = own.pointee.exchange == noSlot && !own.pointee.input.isEmpty
            let bytes: UnsafeMutablePointer<UInt8>
            let room: Int
            if buffered {
                buffers.reserve(&own.pointee.input, 2_048)
                bytes = own.pointee.input.base! + Int(own.pointee.input.end)
                room = own.pointee.input.room
            } else {
                bytes = readSpace + Self.margin
                room = Limits.readBytes
            }
            switch receive(own, bytes, room) {
            case .bytes(let count):
                if count < room, own.pointee.flags.isDisjoint(with: .readOn) {
                    own.pointee.flags.remove(.mayRead)
                } else if count == Limits.readBytes {
                    own.pointee.flags.insert(.bulk)
                }
                meter.add(.downstreamReadBytes, UInt64(count))
                if own.pointee.flags.contains(.lingering) { continue }
                if buffered {
                    own.pointee.input.end &+= UInt32(truncatingIfNeeded: count)
                    useBufferedInput(slot)
                } else {
                    useInput(slot, bytes, count)
                }
                if own.pointee.generation != generation { return }
                // It turned out to speak HTTP/2; what else is there, its end included, is the session's.
                if own.pointee.flags.contains(.session) {
                    readSession(slot)
                    return
                }
            case .wouldBlock:
                own.pointee.flags.remove(.mayRead)
            case .end:
                own.pointee.flags.remove(.mayRead)
                own.pointee.flags.insert(.ended)
                downstreamEnded(slot)
                return
            case .failed:
                closeDownstream(slot)
                return
            }
        }
    }

    /// A partial head grew: looks whether it can be whole before it is parsed again.
    private mutating func useBufferedInput(_ slot: UInt32) {
        let own = connection(slot)
        var scanned = Int(own.pointee.scanned)
        let held = own.pointee.input.count
        if own.pointee.stage != .requests {
            if held >= scanned { continueInput(slot) }
            return
        }
        if !H1Parser.mayBeComplete(own.pointee.input.bytes, held, scanned: &scanned),
            held < Int(settings.headerBytes)
        {
            own.pointee.scanned = UInt32(truncatingIfNeeded: scanned)
            return
        }
        continueInput(slot)
    }

    private mutating func continueInput(_ slot: UInt32) {
        let own = connection(slot)
        var waiting = own.pointee.input
        own.pointee.input = Buffer()
        own.pointee.scanned = 0
        useInput(slot, waiting.bytes, waiting.count)
        buffers.release(&waiting)
    }

    /// Takes bytes apart: heads become exchanges, bodies go to their upstream, what must wait is kept. The
    /// bytes may be written over.
    mutating func useInput(_ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let own = connection(slot)
        let generation = own.pointee.generation
        var at = bytes
        var left = count
        var requests = 0
        while left > 0 {
            if own.pointee.exchange != noSlot {
                let exchange = exchange(own.pointee.exchange)
                if exchange.pointee.step == .tunnel {
                    relay(from: slot, at, left)
                    return
                }
                if exchange.pointee.flags.contains(.requestComplete) {
                    buffers.append(&own.pointee.input, at, left)
                    return
                }
                let used = forwardRequestBody(own.pointee.exchange, at, left)
                if own.pointee.generation != generation { return }
                at += used
                left -= used
                if used == 0 { return }
                continue
            }
            if own.pointee.flags.contains(.closeAfterFlush) { return }
            if own.pointee.stage != .requests {
                useOpening(slot, at, left)
                return
            }
            if requests == Limits.pipelinePerTurn || !own.pointee.output.isEmpty {
                buffers.append(&own.pointee.input, at, left)
                if own.pointee.output.isEmpty { enqueue(slot) }
                return
            }
            requests += 1
            let used = readHead(slot, at, left)
            if own.pointee.generation != generation || used == 0 { return }
            at += used
            left -= used
        }
    }

    /// Reads one head and starts its exchange; returns the bytes used, with whatever of the body was at hand.
    /// 0: more is needed, or the connection is ending.
    @inline(__always)
    private mutating func readHead(_ slot: UInt32, _ at: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        let own = connection(slot)
        let startNs = Syscalls.monotonicNs()
        let head = requestHead
        let result = H1Parser.readRequest(
            at, count, &head.pointee, &requestHeaders.pointee, maxBytes: Int(settings.headerBytes),
            maxFields: Int(settings.headerCount))
        switch result {
        case .needMore:
            keepPartialHead(slot, at, count)
            return 0
        case .refused(let why):
            if why == .unsupportedVersion, !own.pointee.flags.contains(.served),
                startsSession(slot, at, count)
            {
                return 0
            }
            refuseBytes(slot, ByteView(at, count), why, startNs)
            return 0
        case .complete(let length):
            own.pointee.flags.remove(.partialHead)
            if own.pointee.flags.intersection([.secure, .served]) == .secure, agreedOnHTTP2(own) {
                refuse(slot, .notAsAgreed, startNs)
                return 0
            }
            if head.pointee.connection.isOdd, !chargeHead(slot, head.pointee.connection) {
                refuse(slot, .tooManyGlitches, startNs)
                return 0
            }
            return length + startExchange(slot, &head.pointee, at + length, count - length, length, startNs)
        }
    }

    /// Bytes that are no request, as far as they came.
    private mutating func refuseBytes(
        _ slot: UInt32, _ bytes: ByteView, _ why: HeadError, _ startNs: UInt64
    ) {
        noteRefused(slot, bytes)
        let isFirst = connection(slot).pointee.flags.isDisjoint(with: [.served, .secure])
        if isFirst, TLSLookahead.isHandshake(bytes) {
            refuseTLS(slot, startNs)
        } else {
            refuse(slot, why, toHead: requestHead.pointee.method == .head, startNs)
        }
    }

    private mutating func keepPartialHead(_ slot: UInt32, _ at: UnsafePointer<UInt8>, _ count: Int) {
        let own = connection(slot)
        buffers.append(&own.pointee.input, at, count)
        own.pointee.scanned = UInt32(truncatingIfNeeded: count)
        // The deadline for a head runs from its first byte, however slowly the rest drips.
        if !own.pointee.flags.contains(.partialHead) {
            own.pointee.flags.insert(.partialHead)
            setTimeout(slot, settings.requestHeaderTimeoutMs)
        }
    }

    /// Whether a head of an unknown version is the preface of HTTP/2, as far as it is here: the client knows
    /// without asking that we speak it (RFC 9113 3.3), unless it has just asked for HTTP/1.1 by ALPN.
    private mutating func startsSession(
        _ slot: UInt32, _ at: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Bool {
        if connection(slot).pointee.tls?.pointee.agreed == .http1 { return false }
        let preface: ByteView = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        guard memcmp(at, preface.start, min(count, preface.count)) == 0 else { return false }
        if count < preface.count {
            keepPartialHead(slot, at, count)
        } else {
            becomeSession(slot, at, count)
        }
        return true
    }

    /// Who was given HTTP/2 by ALPN speaks it (RFC 7301 3.2).
    private func agreedOnHTTP2(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        own.pointee.tls?.pointee.agreed == .http2
    }

    /// The client sent all it will.
    mutating func downstreamEnded(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.lingering) {
            dropDownstream(slot)
            return
        }
        let exchangeSlot = own.pointee.exchange
        if exchangeSlot == noSlot {
            // Half a head is nothing that can be answered.
            if own.pointee.output.isEmpty {
                dropDownstream(slot)
            } else {
                own.pointee.flags.insert(.closeAfterFlush)
            }
            return
        }
        let exchange = exchange(exchangeSlot)
        if exchange.pointee.step == .tunnel {
            tunnelEnded(from: slot)
        } else if exchange.pointee.requestFraming == .stream,
            !exchange.pointee.flags.contains(.requestComplete)
        {
            finishRequestStream(exchangeSlot)
        } else if !exchange.pointee.flags.contains(.requestComplete) {
            // A body cut short: nothing must take it for a whole one.
            exchange.pointee.responseFlags.insert(.DC)
            meter.add(.downstreamResets)
            closeDownstream(slot)
        }
    }

    mutating func downstreamTimeout(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.transport == .stream, own.pointee.exchange == noSlot {
            noteStall(slot)
            closeDownstream(slot)
            return
        }
        if own.pointee.flags.contains(.lingering) {
            dropDownstream(slot)
            return
        }
        let exchangeSlot = own.pointee.exchange
        if own.pointee.flags.contains(.outlived), exchangeSlot != noSlot {
            closeDownstream(slot)
            return
        }
        if exchangeSlot == noSlot, own.pointee.stage != .requests {
            openingTimeout(slot)
            return
        }
        if exchangeSlot == noSlot {
            if own.pointee.input.isEmpty {
                if own.pointee.transport == .handshake {
                    meter.add(Counter.tlsFailure(TLSFailure.timeout.rawValue, upstream: false))
                    dropDownstream(slot)
                } else if own.pointee.output.isEmpty, own.pointee.flags.contains(.served) {
                    meter.add(.timeoutIdle)
                    dropDownstream(slot)
                } else if own.pointee.output.isEmpty {
                    meter.add(.timeoutRequestHead)
                    dropDownstream(slot)
                } else {
                    closeDownstream(slot)
                }
            } else {
                meter.add(.timeoutRequestHead)
                refuseLate(slot)
            }
            return
        }
        exchangeTimeout(exchangeSlot)
    }

    // MARK: the end

    /// Whether the connection must end after its current response: the worker drains, or its listener is
    /// gone.
    @inline(__always)
    mutating func isRetired(_ slot: UInt32) -> Bool {
        isDraining || connection(slot).pointee.flags.contains(.retired)
            || listeners[Int(connection(slot).pointee.listener)].fd < 0
    }

    /// Ends a connection as far as nothing is lost by it: at once without a request, else after the response.
    /// A request that arrived already is served first: a close with unread bytes would reset it.
    mutating func retireDownstream(_ slot: UInt32, dropPartialHead: Bool) {
        let own = connection(slot)
        let generation = own.pointee.generation
        if own.pointee.flags.contains(.session) {
            retireSession(slot)
            return
        }
        if own.pointee.flags.contains(.lingering) || own.pointee.transport.isVirtual { return }
        if own.pointee.exchange == noSlot, own.pointee.output.isEmpty {
            own.pointee.flags.insert(.mayRead)
            own.pointee.flags.remove(.queued)
            continueDownstream(slot)
            if own.pointee.generation != generation || own.pointee.flags.contains(.lingering) { return }
        }
        if own.pointee.exchange != noSlot {
            let exchange = exchange(own.pointee.exchange)
            if !exchange.pointee.flags.contains(.headSent) {
                exchange.pointee.flags.insert(.closeDownstream)
            }
        } else if !own.pointee.output.isEmpty {
            finishDownstream(slot)
        } else if own.pointee.input.isEmpty || dropPartialHead {
            dropDownstream(slot)
        }
    }

    /// Our last word is out (or will be when the output is): shut writing, and throw away for a moment what
    /// still comes.
    mutating func linger(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.ended) || own.pointee.transport == .stream {
            dropDownstream(slot)
            return
        }
        endTransmission(own)
        own.pointee.flags.insert(.lingering)
        buffers.release(&own.pointee.input)
        setTimeout(slot, Limits.lingerMs)
        if own.pointee.flags.contains(.mayRead) { enqueue(slot) }
    }

    /// Ends the connection after the pending output.
    mutating func finishDownstream(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.transport == .stream {
            finishStream(slot)
            return
        }
        own.pointee.flags.insert(.closeAfterFlush)
        buffers.release(&own.pointee.input)
        if own.pointee.output.isEmpty {
            linger(slot)
        } else {
            setTimeout(slot, settings.requestBodyIdleTimeoutMs)
        }
    }

    /// Closes at once, and cancels the exchange if there is one. The client must not take what it has for a
    /// whole response, so a response under way ends with a reset.
    mutating func closeDownstream(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.session) {
            closeSession(slot)
            return
        }
        if own.pointee.transport == .call {
            callFailed(slot)
            return
        }
        let exchangeSlot = own.pointee.exchange
        if exchangeSlot != noSlot {
            let exchange = exchange(exchangeSlot)
            if exchange.pointee.flags.contains(.headSent) || !own.pointee.output.isEmpty {
                abortTransmission(own)
            }
            cancelExchange(exchangeSlot)
        }
        dropDownstream(slot)
    }

    private mutating func dropDownstream(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.transport == .stream {
            release(slot)
            return
        }
        downstreamCount -= 1
        listeners[Int(own.pointee.listener)].connections &-= 1
        meter.add(Counter.downstreamClosed(role: listeners[Int(own.pointee.listener)].role))
        release(slot)
    }
}
