// Getting bytes out: at once if the socket takes them, else kept, and then nothing more is read from the
// other side until they are out. So no direction ever holds more than one read's worth.
internal import Base
internal import Loop

extension Worker {
    /// Sends or keeps bytes. False: the peer takes no more (`writeFailed` is set).
    @discardableResult
    mutating func send(_ slot: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let own = connection(slot)
        if own.pointee.flags.contains(.writeFailed) { return false }
        if !own.pointee.output.isEmpty || own.pointee.flags.contains(.connecting) {
            return keep(own, bytes, count)
        }
        switch transmit(own, bytes, count) {
        case .bytes(let sent):
            noteWritten(own.pointee.side, sent)
            return sent == count || keep(own, bytes + sent, count - sent)
        case .wouldBlock: return keep(own, bytes, count)
        case .end, .failed:
            own.pointee.flags.insert(.writeFailed)
            return false
        }
    }

    private mutating func keep(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> Bool {
        if case .bytes = hold(own, bytes, count) { return true }
        own.pointee.flags.insert(.writeFailed)
        return false
    }

    /// Two pieces in one call.
    mutating func send(
        _ slot: UInt32, _ first: UnsafePointer<UInt8>, _ firstCount: Int, _ second: UnsafePointer<UInt8>,
        _ secondCount: Int
    ) -> Bool {
        let own = connection(slot)
        if !own.pointee.output.isEmpty || own.pointee.flags.contains(.connecting) {
            return send(slot, first, firstCount) && send(slot, second, secondCount)
        }
        if own.pointee.flags.contains(.writeFailed) { return false }
        var sent = 0
        switch transmit(own, first, firstCount, second, secondCount) {
        case .bytes(let count): sent = count
        case .wouldBlock: break
        case .end, .failed:
            own.pointee.flags.insert(.writeFailed)
            return false
        }
        noteWritten(own.pointee.side, sent)
        if sent < firstCount {
            if !keep(own, first + sent, firstCount - sent) { return false }
            sent = firstCount
        }
        let rest = secondCount - (sent - firstCount)
        return rest == 0 || keep(own, second + (secondCount - rest), rest)
    }

    /// Body bytes in the chunked coding: one chunk of what is at hand, then the last chunk if `last`.
    /// Writes the framing around `bytes` in place: they must have `Worker.margin` bytes before and two
    /// behind that nobody needs any more.
    mutating func sendChunk(
        _ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, last: Bool
    ) -> Bool {
        if count == 0 { return last ? sendLastChunk(slot) : true }
        var size = 1
        while count >> (4 * size) != 0 { size += 1 }
        let start = bytes - (size + 2)
        _ = writeHex(UInt64(count), to: start)
        start[size] = 0x0D
        start[size + 1] = 0x0A
        bytes[count] = 0x0D
        bytes[count + 1] = 0x0A
        if last {
            let tail: ByteView = "0\r\n\r\n"
            return send(slot, start, size + 2 + count + 2, tail.start, tail.count)
        }
        return send(slot, start, size + 2 + count + 2)
    }

    /// Body bytes of unknown length: in chunks, or as a stream's DATA, which says by itself where it ends.
    mutating func sendBody(
        _ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, last: Bool
    ) -> Bool {
        if isStream(slot) { return count == 0 || send(slot, bytes, count) }
        return sendChunk(slot, bytes, count, last: last)
    }

    mutating func sendLastChunk(_ slot: UInt32) -> Bool {
        let tail: ByteView = "0\r\n\r\n"
        return send(slot, tail.start, tail.count)
    }

    /// Sends what was kept. False: the peer takes no more.
    mutating func flush(_ slot: UInt32) -> Bool {
        let own = connection(slot)
        while !own.pointee.output.isEmpty {
            let count = own.pointee.output.count
            switch transmitHeld(own) {
            case .bytes(let sent):
                noteWritten(own.pointee.side, sent)
                buffers.consume(&own.pointee.output, sent)
                if sent < count { return true }
            case .wouldBlock:
                return true
            case .end, .failed:
                own.pointee.flags.insert(.writeFailed)
                buffers.release(&own.pointee.output)
                return false
            }
        }
        // A last word of the transport's own was among it.
        if own.pointee.flags.contains(.writeShut) { Syscalls.shutdownWrite(own.pointee.fd) }
        return true
    }

    @inline(__always)
    private func noteWritten(_ side: ConnectionSide, _ count: Int) {
        meter.add(side == .downstream ? .downstreamWrittenBytes : .upstreamWrittenBytes, UInt64(count))
    }
}
