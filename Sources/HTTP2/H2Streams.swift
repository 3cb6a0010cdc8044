// The records of a session's streams, from their opening to the moment that nobody asks for them any more.
internal import Base
internal import CNghttp2

extension H2Session {
    /// A record for a request that will be submitted; `slot` stands for it.
    public func open(slot: UInt32) -> UnsafeMutablePointer<H2Stream> {
        let stream = take()
        stream.pointee.slot = slot
        return stream
    }

    func take() -> UnsafeMutablePointer<H2Stream> {
        let stream = state.pointee.engine.pointee.takeStream(state.pointee.slot, self)
        stream.pointee.next = state.pointee.streams
        state.pointee.streams?.pointee.previous = stream
        state.pointee.streams = stream
        state.pointee.streamCount += 1
        return stream
    }

    /// The slot is gone. What the peer still sends is thrown away; a stream that is not over is reset with
    /// `code`. The caller has given back `received`.
    public func release(_ stream: UnsafeMutablePointer<H2Stream>, code: UInt32) {
        stream.pointee.slot = H2Stream.noSlot
        stream.pointee.output = nil
        stream.pointee.flags.insert(.released)
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 {
            forget(stream)
            return
        }
        let ends = !stream.pointee.flags.isDisjoint(with: [.localEnded, .shut])
        let hasAll = stream.pointee.flags.contains(.remoteEnded)
        if ends, stream.pointee.flags.contains(.hasHead), state.pointee.isServer || hasAll {
            if !hasAll {
                if stream.pointee.flags.contains(.localEnded) {
                    state.pointee.didReset = true
                    nghttp2_submit_rst_stream(
                        state.pointee.session, 0, stream.pointee.id, H2Error.noError)
                } else {
                    stream.pointee.flags.insert(.resetAfterEnd)
                }
            }
            resume(stream)
            return
        }
        reset(stream, code: code)
    }

    /// RST_STREAM.
    public func reset(_ stream: UnsafeMutablePointer<H2Stream>, code: UInt32) {
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 { return }
        state.pointee.didReset = true
        stream.pointee.flags.insert(.resetNoted)
        nghttp2_submit_rst_stream(state.pointee.session, 0, stream.pointee.id, code)
        markDirty()
    }

    /// Acts on `closed`: nghttp2 will not name the stream again.
    public func closed(_ stream: UnsafeMutablePointer<H2Stream>) {
        stream.pointee.flags.insert(.closed)
        // Without a slot: released, or its head was never whole.
        if stream.pointee.slot == H2Stream.noSlot { forget(stream) }
    }

    /// Keeps field lines, of `bytes` at most, to be sent when the stream's output is out: `write` puts them
    /// where it is told and returns their end.
    public func takeTrailers(
        _ stream: UnsafeMutablePointer<H2Stream>, bytes: Int,
        _ write: (UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8>
    ) {
        stream.pointee.trailers.base?.deallocate()
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes))
        var lines = Buffer()
        lines.base = room
        lines.capacity = UInt32(truncatingIfNeeded: bytes)
        lines.end = UInt32(truncatingIfNeeded: write(room) - room)
        stream.pointee.trailers = lines
    }

    func forget(_ stream: UnsafeMutablePointer<H2Stream>) {
        stream.pointee.trailers.base?.deallocate()
        if let next = stream.pointee.next { next.pointee.previous = stream.pointee.previous }
        if let previous = stream.pointee.previous {
            previous.pointee.next = stream.pointee.next
        } else {
            state.pointee.streams = stream.pointee.next
        }
        state.pointee.streamCount -= 1
        let engine = state.pointee.engine
        if stream.pointee.flags.contains(.drained) { unlinkDrained(stream) }
        engine.pointee.putStream(stream)
    }

    private func unlinkDrained(_ stream: UnsafeMutablePointer<H2Stream>) {
        let engine = state.pointee.engine
        if engine.pointee.drained == stream {
            engine.pointee.drained = stream.pointee.nextDrained
            return
        }
        var at = engine.pointee.drained
        while let own = at {
            if own.pointee.nextDrained == stream {
                own.pointee.nextDrained = stream.pointee.nextDrained
                return
            }
            at = own.pointee.nextDrained
        }
    }
}
