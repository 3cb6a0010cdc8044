// Bytes from the peer go into a session and come out as events. What nghttp2 would let pass is refused here:
// floods, frames of streams that are over (RFC 9113 5.1).
internal import CLinux
internal import CNghttp2

extension H2Session {
    /// Gives the session bytes; events of them wait in the engine afterwards. Returns the bytes used. nil:
    /// the session cannot go on (a GOAWAY that says why may be queued).
    public func feed(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int? {
        let engine = state.pointee.engine
        precondition(!engine.pointee.inside)
        engine.pointee.inbox.reset()
        restoreBlock()
        state.pointee.paused = false
        engine.pointee.inside = true
        var limit = count
        if state.pointee.isServer {
            let next = state.pointee.scan.beforeData(bytes, count)
            limit = next.count
            if next.stream > 0 { refuseForgotten(next.stream) }
        }
        let used = nghttp2_session_mem_recv(state.pointee.session, bytes, limit)
        if state.pointee.isServer, used > 0 {
            let unopened = state.pointee.scan.advance(bytes, used)
            if unopened > 0 { refuseUnopened(unopened) }
        }
        engine.pointee.inside = false
        saveBlock()
        markDirty()
        if used < 0 {
            if used == Int(NGHTTP2_ERR_FLOODED.rawValue) {
                cut(.ping)
            } else if used == Self.tooManyContinuations {
                cut(.continuation)
            } else {
                terminate(code: H2Error.protocolError)
            }
            return nil
        }
        return used
    }

    /// NGHTTP2_ERR_TOO_MANY_CONTINUATIONS, which older headers do not name.
    private static let tooManyContinuations = -905

    /// A new stream beyond the limit is an error of the protocol, which nghttp2 knows. But resets that have
    /// not left yet count against the limit, too: that many at once are a flood.
    func refuseBeyondLimit(_ id: Int32) {
        let own = state.pointee
        guard own.openStreams >= own.limits.streams, own.settingsTaken, id > own.lastStream,
            own.didReset || queued >= Int(own.limits.streams) / 2
        else { return }
        state.pointee.glitches.note(.madeReset)
        cut(.madeReset)
    }

    /// A flood that ends the connection whatever is left of its budget.
    private func cut(_ glitch: H2Glitch) {
        if state.pointee.isTerminated { return }
        state.pointee.glitches.cut = glitch
        terminate(code: H2Error.enhanceYourCalm)
    }

    /// A frame on a stream that is over, or was left out and can no more begin (RFC 9113 5.1, 5.1.1), ends
    /// the connection; nghttp2, which forgets streams, would ignore it. But streams that we reset may have
    /// frames on their way to us: once there were such, nothing is known.
    func refuseForgotten(_ id: Int32) {
        let own = state.pointee
        if id > own.lastStream || id & 1 == 0 || own.didReset || own.isTerminated { return }
        if nghttp2_session_find_stream(own.session, id) != nil { return }
        let wasLeftOut = id >= own.firstLeftOut && id <= own.lastLeftOut
        state.pointee.glitches.note(.malformed)
        terminate(code: wasLeftOut ? H2Error.protocolError : H2Error.streamClosed)
    }

    /// A window that is opened by 0 is an error whatever has become of its stream (RFC 9113 6.9). nghttp2 has
    /// said so of a stream that it knows.
    private func refuseUnopened(_ id: Int32) {
        if state.pointee.isTerminated { return }
        if nghttp2_session_find_stream(state.pointee.session, id) != nil { return }
        state.pointee.glitches.note(.malformed)
        terminate(code: H2Error.protocolError)
    }

    /// Keeps the part of a head that came so far; the inbox is another session's next.
    func saveBlock() {
        guard state.pointee.blockOpen else { return }
        let engine = state.pointee.engine
        let firstField = state.pointee.blockFirstField
        let firstByte = state.pointee.blockFirstByte
        let fields = engine.pointee.inbox.fieldCount - firstField
        let bytes = engine.pointee.inbox.byteCount - firstByte
        let size = fields * MemoryLayout<H2Field>.stride + bytes
        state.pointee.savedFields = fields
        state.pointee.savedBytes = bytes
        guard size > 0 else { return }
        let place = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        let kept = place.bindMemory(to: H2Field.self, capacity: fields)
        for index in 0..<fields {
            var field = engine.pointee.inbox.fields[firstField + index]
            field.offset -= UInt32(truncatingIfNeeded: firstByte)
            (kept + index).initialize(to: field)
        }
        memcpy(
            place + fields * MemoryLayout<H2Field>.stride, engine.pointee.inbox.bytes + firstByte, bytes)
        state.pointee.saved = place
    }

    func restoreBlock() {
        guard state.pointee.blockOpen else { return }
        state.pointee.blockFirstField = 0
        state.pointee.blockFirstByte = 0
        guard let place = state.pointee.saved else { return }
        let engine = state.pointee.engine
        let kept = place.assumingMemoryBound(to: H2Field.self)
        for index in 0..<state.pointee.savedFields { engine.pointee.inbox.append(kept[index]) }
        let bytes = engine.pointee.inbox.room(state.pointee.savedBytes)
        memcpy(
            bytes, place + state.pointee.savedFields * MemoryLayout<H2Field>.stride,
            state.pointee.savedBytes)
        place.deallocate()
        state.pointee.saved = nil
    }

    /// The other side took `count` bytes of a stream: the peer may send as many more.
    public func consume(_ stream: UnsafeMutablePointer<H2Stream>, _ count: Int) {
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 {
            consumeConnection(count)
            return
        }
        if state.pointee.isServer {
            nghttp2_session_consume(state.pointee.session, stream.pointee.id, count)
        } else {
            nghttp2_session_consume_stream(state.pointee.session, stream.pointee.id, count)
        }
        markDirty()
    }

    /// Bytes that no stream's side will take: the connection's window is given back all the same. (An
    /// upstream connection's window never waits for anybody: one slow client must not stop the others.)
    public func consumeConnection(_ count: Int) {
        nghttp2_session_consume_connection(state.pointee.session, count)
        markDirty()
    }
}
