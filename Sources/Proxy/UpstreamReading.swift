// Reading from upstreams: as much as its client takes, head or body or bytes of a tunnel; what an upstream
// says that was asked for nothing; and the end of what can be read.
internal import Base
internal import HTTP
internal import Telemetry

extension Worker {
    mutating func readUpstream(_ slot: UInt32) {
        let own = connection(slot)
        let generation = own.pointee.generation
        var reads = 0
        while own.pointee.flags.contains(.mayRead) || own.pointee.flags.contains(.writeFailed) {
            let number = own.pointee.exchange
            if number == noSlot {
                checkIdle(slot)
                return
            }
            let x = exchange(number)
            // The client's pending bytes come first, and what a script has to say of the head.
            if !connection(x.pointee.downstream).pointee.output.isEmpty || x.pointee.step == .held { return }
            if reads == Limits.readsPerTurn {
                enqueue(slot)
                return
            }
            reads &+= 1
            if own.pointee.flags.contains(.bulk) {
                let step = passResponse(slot)
                if step == .again { continue }
                if step == .stop { return }
            }
            let buffered = !own.pointee.input.isEmpty
            let bytes: UnsafeMutablePointer<UInt8>
            let room: Int
            if buffered {
                buffers.reserve(&own.pointee.input, 4_096)
                bytes = own.pointee.input.base! + Int(own.pointee.input.end)
                // A body behind the head may be framed in place: that takes two bytes more (`sendChunk`).
                room = own.pointee.input.room - 2
            } else {
                bytes = readSpace + Self.margin
                room = Limits.readBytes
            }
            switch receive(own, bytes, room) {
            case .bytes(let count):
                if count < room, own.pointee.flags.isDisjoint(with: .readOn),
                    !own.pointee.flags.contains(.writeFailed)
                {
                    own.pointee.flags.remove(.mayRead)
                } else if count == Limits.readBytes {
                    own.pointee.flags.insert(.bulk)
                }
                meter.add(.upstreamReadBytes, UInt64(count))
                if buffered {
                    own.pointee.input.end &+= UInt32(truncatingIfNeeded: count)
                    if x.pointee.step == .awaitingResponse, headIsPartial(own) { continue }
                    var waiting = own.pointee.input
                    own.pointee.input = Buffer()
                    useResponse(slot, waiting.bytes, waiting.count)
                    buffers.release(&waiting)
                } else {
                    useResponse(slot, bytes, count)
                }
                if own.pointee.generation != generation { return }
            case .wouldBlock:
                own.pointee.flags.remove(.mayRead)
                if own.pointee.flags.contains(.writeFailed) { return upstreamFailed(number, true) }
            case .end:
                own.pointee.flags.remove(.mayRead)
                own.pointee.flags.insert(.ended)
                upstreamEnded(number)
                return
            case .failed:
                return upstreamReadFailed(slot)
            }
        }
    }

    /// Whether what came of a head cannot be all of it: a head that drips is parsed once, not once a byte.
    private func headIsPartial(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        let held = own.pointee.input.count
        if held >= Limits.headBytes { return false }
        var scanned = Int(own.pointee.scanned)
        if H1Parser.mayBeComplete(own.pointee.input.bytes, held, scanned: &scanned) { return false }
        own.pointee.scanned = UInt32(truncatingIfNeeded: scanned)
        return true
    }

    /// Reading failed.
    mutating func upstreamReadFailed(_ slot: UInt32) {
        let own = connection(slot)
        let number = own.pointee.exchange
        let x = exchange(number)
        own.pointee.flags.remove(.mayRead)
        if isRefusedByAlert(own, x) {
            refusedByAlert(number)
        } else if x.pointee.step == .tunnel {
            x.pointee.responseFlags.insert(.UC)
            closeDownstream(x.pointee.downstream)
        } else {
            upstreamFailed(number, true)
        }
    }

    /// An idle connection that speaks or ends is of no use to anybody.
    private mutating func checkIdle(_ slot: UInt32) {
        let own = connection(slot)
        own.pointee.flags.remove([.mayRead, .writeFailed])
        if case .wouldBlock = receive(own, readSpace, 1) { return }
        if own.pointee.flags.contains(.idle) {
            closeIdleUpstream(slot, .poolClosedByPeer)
        } else {
            closeUpstream(slot)
        }
    }

    /// Takes an upstream's bytes apart. They may be written over.
    mutating func useResponse(_ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let own = connection(slot)
        let generation = own.pointee.generation
        var at = bytes
        var left = count
        while left > 0 {
            let number = own.pointee.exchange
            if number == noSlot {
                // More than the response it owed: what follows could be taken for the next one's answer.
                meter.add(.glitchIdleBytes)
                if own.pointee.flags.contains(.idle) { closeIdleUpstream(slot, .poolClosedByPeer) }
                return
            }
            let x = exchange(number)
            switch x.pointee.step {
            case .tunnel:
                relay(from: slot, at, left)
                return
            case .relayingResponse:
                let used = relayBody(number, at, left)
                if own.pointee.generation != generation || used == 0 { return }
                at += used
                left -= used
            case .awaitingResponse:
                let used = readResponseHead(number, at, left)
                if own.pointee.generation != generation || used == 0 { return }
                at += used
                left -= used
            case .held:
                buffers.append(&own.pointee.input, at, left)
                return
            case .connecting, .resolving, .scripting, .calling:
                return
            }
        }
    }
}
