// Bulk that needs no look goes from socket to socket inside the kernel: tunnels, and bodies with a length or
// up to the end, where both ends are plain sockets. It begins when a read was full and ends when little comes
// at a time, so small messages are copied as ever, which is cheaper for them. The one pipe of a worker is
// empty between steps: what the second socket did not take becomes its pending output, and back-pressure,
// half-close and the end are those of copying.
internal import Base
internal import Loop

/// What a step came to for the loop that reads.
enum PassStep {
    case again
    /// The connection waits, or is gone.
    case stop
    /// Not for the kernel: read as ever.
    case copy
}

extension Worker {
    private enum Pass {
        /// `alive`: the second socket still takes bytes.
        case moved(Int, alive: Bool)
        case wouldBlock, end, failed, unavailable
    }

    /// Whether bytes may pass between two connections unseen, and nothing waits before them.
    private func mayPass(_ from: UInt32, _ to: UInt32) -> Bool {
        let source = connection(from)
        let target = connection(to)
        return source.pointee.transport == .plain && target.pointee.transport == .plain
            && source.pointee.input.isEmpty && target.pointee.output.isEmpty
            && source.pointee.stage == .requests && target.pointee.stage == .requests
            && !source.pointee.flags.contains(.writeFailed)
            && target.pointee.flags.isDisjoint(with: [.writeFailed, .connecting, .writeShut])
    }

    /// Moves at most `most` bytes, and notes on the source what that told.
    private mutating func pass(_ from: UInt32, _ to: UInt32, _ most: Int) -> Pass {
        let result = move(from, to, most)
        let source = connection(from)
        switch result {
        case .unavailable: source.pointee.flags.remove(.bulk)
        case .wouldBlock: source.pointee.flags.remove(.mayRead)
        case .end:
            source.pointee.flags.remove(.mayRead)
            source.pointee.flags.insert(.ended)
        case .moved(let count, _):
            if count < Limits.spliceLeastBytes { source.pointee.flags.remove(.bulk) }
        case .failed: break
        }
        return result
    }

    private mutating func move(_ from: UInt32, _ to: UInt32, _ most: Int) -> Pass {
        if splicePipe == nil, !splicePipeRefused {
            splicePipe = SplicePipe(bytes: 4 * Limits.spliceBytes)
            splicePipeRefused = splicePipe == nil
        }
        let source = connection(from)
        let target = connection(to)
        switch splicePipe?.fill(from: source.pointee.fd, min(most, Limits.spliceBytes)) {
        case nil: return .unavailable
        case .wouldBlock?: return .wouldBlock
        case .end?: return .end
        case .failed?: return .failed
        case .bytes(let count)?:
            meter.add(
                source.pointee.side == .downstream ? .downstreamReadBytes : .upstreamReadBytes, UInt64(count))
            meter.add(.splicedBytes, UInt64(count))
            var sent = 0
            switch splicePipe?.drain(to: target.pointee.fd, count) {
            case .bytes(let taken)?: sent = taken
            case .wouldBlock?: break
            case .end?, .failed?, nil:
                // The rest is nobody's: it goes with the pipe.
                splicePipe = nil
                target.pointee.flags.insert(.writeFailed)
                return .moved(count, alive: false)
            }
            meter.add(
                target.pointee.side == .downstream ? .downstreamWrittenBytes : .upstreamWrittenBytes,
                UInt64(sent))
            if sent == count { return .moved(count, alive: true) }
            let left = count - sent
            buffers.reserve(&target.pointee.output, left)
            let room = target.pointee.output.base.unsafelyUnwrapped + Int(target.pointee.output.end)
            guard splicePipe?.copyOut(room, left) == true else {
                splicePipe = nil
                buffers.release(&target.pointee.output)
                target.pointee.flags.insert(.writeFailed)
                return .moved(count, alive: false)
            }
            target.pointee.output.end &+= UInt32(truncatingIfNeeded: left)
            return .moved(count, alive: true)
        }
    }

    // MARK: from the upstream

    /// The next bytes of a tunnel or a response's body.
    mutating func passResponse(_ slot: UInt32) -> PassStep {
        let number = connection(slot).pointee.exchange
        let x = exchange(number)
        let downstream = x.pointee.downstream
        var most = Limits.spliceBytes
        switch x.pointee.step {
        case .tunnel: break
        case .relayingResponse:
            if x.pointee.isScripted, scriptsSeeBody(number) { return .copy }
            guard x.pointee.responseFraming == x.pointee.downstreamFraming, x.pointee.compressor == noSlot
            else { return .copy }
            switch x.pointee.responseFraming {
            case .length: most = Int(clamping: x.pointee.responseRemaining)
            case .untilClose: break
            case .chunked, .stream, .none: return .copy
            }
        case .awaitingResponse, .connecting, .resolving, .scripting, .calling, .held: return .copy
        }
        guard most > 0, mayPass(slot, downstream) else { return .copy }
        switch pass(slot, downstream, most) {
        case .unavailable: return .copy
        case .wouldBlock: return .again
        case .end: upstreamEnded(number)
        case .failed: upstreamReadFailed(slot)
        case .moved(let count, let alive): return responsePassed(slot, count, alive)
        }
        return .stop
    }

    private mutating func responsePassed(_ slot: UInt32, _ count: Int, _ alive: Bool) -> PassStep {
        let own = connection(slot)
        let generation = own.pointee.generation
        let number = own.pointee.exchange
        let x = exchange(number)
        let downstream = x.pointee.downstream
        let isTunnel = x.pointee.step == .tunnel
        if isTunnel {
            countTunnel(number, fromClient: false, count)
            setTimeout(downstream, tunnelIdleMs(x))
        } else {
            x.pointee.responseBodyBytes += UInt64(count)
            x.pointee.responseWireBytes += UInt64(count)
            if settings.streamIdleTimeoutMs > 0 { setTimeout(downstream, settings.streamIdleTimeoutMs) }
        }
        guard alive else {
            meter.add(.downstreamResets)
            closeDownstream(downstream)
            return .stop
        }
        if !isTunnel, x.pointee.responseFraming == .length {
            x.pointee.responseRemaining -= UInt64(count)
            if x.pointee.responseRemaining == 0 { completeResponse(number, leftover: 0) }
        }
        return own.pointee.generation == generation ? .again : .stop
    }

    // MARK: from the client

    /// The next bytes of a tunnel or a request's body. The caller has seen that the upstream wants them.
    mutating func passRequest(_ slot: UInt32) -> PassStep {
        let number = connection(slot).pointee.exchange
        guard number != noSlot else { return .copy }
        let x = exchange(number)
        let upstream = x.pointee.upstream
        guard upstream != noSlot, mayPass(slot, upstream) else { return .copy }
        var most = Limits.spliceBytes
        if x.pointee.step != .tunnel {
            if x.pointee.isScripted, scriptsSeeBody(number) { return .copy }
            guard x.pointee.requestFraming == .length, x.pointee.requestRemaining > 0 else { return .copy }
            most = Int(clamping: x.pointee.requestRemaining)
        }
        switch pass(slot, upstream, most) {
        case .unavailable: return .copy
        case .wouldBlock: return .again
        case .end: downstreamEnded(slot)
        case .failed: closeDownstream(slot)
        case .moved(let count, let alive): return requestPassed(slot, count, alive)
        }
        return .stop
    }

    private mutating func requestPassed(_ slot: UInt32, _ count: Int, _ alive: Bool) -> PassStep {
        let own = connection(slot)
        let generation = own.pointee.generation
        let number = own.pointee.exchange
        let x = exchange(number)
        if x.pointee.step == .tunnel {
            countTunnel(number, fromClient: true, count)
            setTimeout(slot, tunnelIdleMs(x))
            if !alive { closeDownstream(slot) }
        } else {
            setTimeout(slot, settings.requestBodyIdleTimeoutMs)
            x.pointee.flags.remove(.replayable)
            x.pointee.requestRemaining -= UInt64(count)
            x.pointee.requestBodyBytes += UInt64(count)
            x.pointee.requestWireBytes += UInt64(count)
            if x.pointee.requestRemaining == 0 { requestCompleted(number) }
            // A peer that takes no more may have answered: its answer counts.
            if !alive { enqueue(x.pointee.upstream) }
        }
        return own.pointee.generation == generation ? .again : .stop
    }
}
