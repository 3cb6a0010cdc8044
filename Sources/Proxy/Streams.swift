// Streams of HTTP/2 as connections: each has a slot of its own, so that an exchange stays between two slots,
// and deadlines, buffers and back-pressure are one code. Here is what differs: heads come as fields and leave
// as frames, bytes come from the session and leave by it, and the end is a flag.
internal import Base
internal import CLinux
internal import HTTP
internal import HTTP2
internal import Loop
internal import Telemetry

extension Worker {
    // MARK: slots

    @inline(__always)
    func isStream(_ slot: UInt32) -> Bool { connection(slot).pointee.transport == .stream }

    /// The socket that carries a connection or stream.
    func socket(of own: UnsafeMutablePointer<Connection>) -> Int32 {
        if let stream = own.pointee.stream { return connection(stream.pointee.parent).pointee.fd }
        return own.pointee.fd
    }

    /// The TLS of a connection, or of the connection that carries a stream.
    func tls(of own: UnsafeMutablePointer<Connection>) -> UnsafeMutablePointer<TLSState>? {
        if let stream = own.pointee.stream { return connection(stream.pointee.parent).pointee.tls }
        return own.pointee.tls
    }

    /// A slot for a stream of the connection in `parent`; nil: all are in use.
    mutating func adopt(
        _ stream: UnsafeMutablePointer<H2Stream>, of parent: UInt32
    ) -> UInt32? {
        generation &+= 1
        if generation == 0 { generation = 1 }
        let carrier = connection(parent)
        var value = Connection(
            fd: -1, generation: generation, side: carrier.pointee.side, peer: carrier.pointee.peer)
        value.transport = .stream
        value.stream = stream
        value.listener = carrier.pointee.listener
        if carrier.pointee.flags.contains(.secure) { value.flags.insert(.secure) }
        value.peerText = carrier.pointee.peerText
        value.peerTextLength = carrier.pointee.peerTextLength
        value.endpoint = carrier.pointee.endpoint
        value.endpointGeneration = carrier.pointee.endpointGeneration
        guard let slot = connections.take(value) else { return nil }
        stream.pointee.slot = slot
        stream.pointee.output = connection(slot).outputPlace
        return slot
    }

    /// What `release` does for a stream in place of closing a socket.
    mutating func releaseStream(_ own: UnsafeMutablePointer<Connection>) {
        guard let stream = own.pointee.stream else { return }
        let session = stream.pointee.session
        if !stream.pointee.received.isEmpty {
            if own.pointee.side == .downstream {
                session.consumeConnection(stream.pointee.received.count)
            }
            buffers.release(&stream.pointee.received)
        }
        // Output that will not be sent: the peer must not take what it has for all.
        if !own.pointee.output.isEmpty { stream.pointee.flags.remove(.shut) }
        let code = own.pointee.side == .downstream ? H2Error.internalError : H2Error.cancel
        own.pointee.stream = nil
        let parent = connection(stream.pointee.parent)
        session.release(stream, code: code)
        // The connection may have waited for it alone, or is idle from now on.
        if session.streamCount == 0 || parent.pointee.flags.contains(.outlived) { session.markDirty() }
    }

    // MARK: what came

    /// A request begins.
    mutating func openStream(
        _ parent: UInt32, _ session: H2Session, _ stream: UnsafeMutablePointer<H2Stream>, _ event: H2Event
    ) {
        guard let engine else { return }
        let startNs = Syscalls.monotonicNs()
        guard let slot = adopt(stream, of: parent) else {
            session.release(stream, code: H2Error.refusedStream)
            return
        }
        var head = RequestHead()
        var received = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
        if let why = engine.readRequest(event, &head, &requestHeaders.pointee, &received) {
            refuse(slot, why, toHead: head.method == .head, startNs)
            return
        }
        guard let start = received.baseAddress else { return }
        _ = startExchange(slot, &head, start + received.count, 0, received.count, startNs)
    }

    mutating func dataCame(_ session: H2Session, _ event: H2Event) {
        guard let stream = event.stream, stream.pointee.slot != H2Stream.noSlot else {
            session.consumeConnection(event.bytes.count)
            return
        }
        let slot = stream.pointee.slot
        let own = connection(slot)
        if own.pointee.side == .upstream { session.consumeConnection(event.bytes.count) }
        buffers.append(&stream.pointee.received, event.bytes)
        own.pointee.flags.insert(.mayRead)
        readStream(slot)
    }

    /// END_STREAM after the bytes.
    mutating func streamEnded(_ stream: UnsafeMutablePointer<H2Stream>) {
        stream.pointee.flags.insert(.remoteEnded)
        guard stream.pointee.slot != H2Stream.noSlot else { return }
        // To be read on to its end even after a short read.
        connection(stream.pointee.slot).pointee.flags.insert([.mayRead, .peerClosing])
        readStream(stream.pointee.slot)
    }

    private mutating func readStream(_ slot: UInt32) {
        if connection(slot).pointee.side == .downstream {
            readDownstream(slot)
        } else {
            readUpstream(slot)
        }
    }

    /// nghttp2 has forgotten the stream: over on both sides, or reset by either.
    mutating func streamClosed(_ stream: UnsafeMutablePointer<H2Stream>, _ code: UInt32) {
        let slot = stream.pointee.slot
        let isWhole = stream.pointee.flags.contains(.remoteEnded)
        stream.pointee.session.closed(stream)
        if slot == H2Stream.noSlot { return }
        let isServer = connection(slot).pointee.side == .downstream
        // A server that needs no more of a request resets it with NO_ERROR behind its response.
        if isWhole, code == H2Error.noError || !isServer { return }
        streamFailed(slot, code, lost: false)
    }

    /// A stream is lost, by the peer's doing or (`lost`) with its connection.
    mutating func streamFailed(_ slot: UInt32, _ code: UInt32, lost: Bool) {
        let own = connection(slot)
        if own.pointee.side == .upstream {
            upstreamStreamFailed(slot, code, lost: lost)
            return
        }
        if own.pointee.exchange != noSlot { meter.add(.downstreamResets) }
        closeDownstream(slot)
    }

    // MARK: carrying bytes

    /// What `receive` does for a stream.
    mutating func receiveFromStream(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> IOResult {
        guard let stream = own.pointee.stream else { return .failed(0) }
        let held = stream.pointee.received.count
        if held == 0 { return stream.pointee.flags.contains(.remoteEnded) ? .end : .wouldBlock }
        let count = min(held, room)
        memcpy(bytes, stream.pointee.received.bytes, count)
        buffers.consume(&stream.pointee.received, count)
        stream.pointee.session.consume(stream, count)
        return .bytes(count)
    }

    /// What `transmit` does for a stream: the bytes are kept as the slot's output and taken from there when
    /// frames are gathered.
    mutating func transmitToStream(_ own: UnsafeMutablePointer<Connection>) -> IOResult {
        guard let stream = own.pointee.stream, !stream.pointee.flags.contains(.closed) else {
            return .failed(0)
        }
        stream.pointee.session.resume(stream)
        // A client that opens no window keeps what we hold for it no longer than one that sends no body.
        if own.pointee.side == .downstream {
            setTimeout(stream.pointee.slot, settings.requestBodyIdleTimeoutMs)
        }
        return .wouldBlock
    }

    /// What `endTransmission` does for a stream.
    func endStream(_ own: UnsafeMutablePointer<Connection>) {
        guard let stream = own.pointee.stream else { return }
        if stream.pointee.flags.contains(.closed) { return }
        stream.pointee.flags.insert(.shut)
        stream.pointee.session.resume(stream)
    }

    /// Its output was taken to the last byte.
    mutating func streamDrained(_ stream: UnsafeMutablePointer<H2Stream>) {
        let slot = stream.pointee.slot
        guard slot != H2Stream.noSlot else { return }
        let own = connection(slot)
        if !own.pointee.output.isEmpty { return }
        buffers.release(&own.pointee.output)
        if own.pointee.side == .downstream {
            let number = own.pointee.exchange
            let isTunnel = number != noSlot && exchange(number).pointee.step == .tunnel
            setTimeout(slot, isTunnel ? settings.idleTimeoutMs : settings.streamIdleTimeoutMs)
            downstreamDrained(slot)
        } else {
            upstreamDrained(slot)
        }
    }

    /// A deadline passed: where output waits on a stream, its client opened no window for it.
    mutating func noteStall(_ slot: UInt32) {
        let own = connection(slot)
        guard let stream = own.pointee.stream, !own.pointee.output.isEmpty else { return }
        stream.pointee.session.note(.zeroWindow)
        stream.pointee.session.markDirty()
    }

    // MARK: heads

    /// Sends a response's head that was written as text, and what follows it in the same place. `ends`:
    /// nothing ever follows.
    mutating func sendResponseHead(
        _ slot: UInt32, _ text: UnsafePointer<UInt8>, _ count: Int, ends: Bool
    ) -> Bool {
        guard let stream = connection(slot).pointee.stream else { return send(slot, text, count) }
        return stream.pointee.session.submitResponse(stream, ByteView(text, count), ends: ends)
    }

    /// A 1xx head.
    mutating func sendInterimHead(_ slot: UInt32, _ text: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard let stream = connection(slot).pointee.stream else { return send(slot, text, count) }
        return stream.pointee.session.submitInterim(stream, ByteView(text, count))
    }

    /// The response is whole: END_STREAM goes out behind what is pending, and the slot is free then.
    mutating func finishStream(_ slot: UInt32) {
        let own = connection(slot)
        endStream(own)
        if own.pointee.output.isEmpty || own.pointee.stream?.pointee.flags.contains(.closed) == true {
            release(slot)
        } else {
            own.pointee.flags.insert(.closeAfterFlush)
            setTimeout(slot, settings.requestBodyIdleTimeoutMs)
        }
    }
}
