// Bodies of requests: what came with the head goes out with it, the rest as the upstream takes it, decoded
// and framed anew where it is chunked.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// Puts what is at hand of the body behind the head, so that both leave in one call and can be sent
    /// again; returns the bytes used, nil when the chunks cannot be read.
    mutating func retainBody(
        _ number: UInt32, _ body: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int? {
        let own = exchange(number)
        if own.pointee.requestFraming == .length {
            let take = Int(min(UInt64(count), own.pointee.requestRemaining))
            if take > 0 { buffers.append(&own.pointee.head, body, take) }
            own.pointee.requestRemaining -= UInt64(take)
            own.pointee.requestBodyBytes += UInt64(take)
            if own.pointee.requestRemaining == 0 { own.pointee.flags.insert(.requestComplete) }
            if own.pointee.isScripted {
                showBody(number, .request, body, take, last: own.pointee.requestRemaining == 0)
            }
            return take
        }
        // What came with a stream's head waits in the stream.
        if own.pointee.requestFraming == .stream { return 0 }
        let step = own.pointee.requestDecoder.decode(body, count)
        if step.status == .bad { return nil }
        if !chargeChunks(number, taken: step.consumed, produced: step.produced) { return nil }
        if own.pointee.isScripted {
            showBody(number, .request, body, step.produced, last: step.status == .done)
        }
        if own.pointee.flags.contains(.toSession) {
            buffers.append(&own.pointee.head, body, step.produced)
        } else if step.produced > 0 {
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { size in
                let digits = writeHex(UInt64(step.produced), to: size.baseAddress!)
                buffers.append(&own.pointee.head, size.baseAddress!, digits)
            }
            buffers.append(&own.pointee.head, "\r\n")
            buffers.append(&own.pointee.head, body, step.produced)
            buffers.append(&own.pointee.head, "\r\n")
        }
        own.pointee.requestBodyBytes += UInt64(step.produced)
        if step.status == .done {
            if !own.pointee.flags.contains(.toSession) { buffers.append(&own.pointee.head, "0\r\n\r\n") }
            own.pointee.flags.insert(.requestComplete)
            if own.pointee.requestDecoder.hasTrailers { meter.add(.glitchTrailers) }
        }
        return step.consumed
    }

    /// More of the body came; returns the bytes used. Afterwards the connection may be gone.
    mutating func forwardRequestBody(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int {
        let own = exchange(number)
        let downstream = own.pointee.downstream
        let upstream = own.pointee.upstream
        if own.pointee.step == .scripting { return takeScriptBody(number, bytes, count) }
        if own.pointee.step == .calling {
            scripting.suspended[number]?.body.append(
                contentsOf: UnsafeBufferPointer(start: bytes, count: count))
            return count
        }
        setTimeout(downstream, settings.requestBodyIdleTimeoutMs)
        if upstream == noSlot, own.pointee.requestFraming == .stream { return 0 }
        if upstream == noSlot
            || own.pointee.requestFraming != .stream
                && connection(upstream).pointee.flags.contains(.connecting)
        {
            // It goes behind the head, which leaves when there is a connection.
            guard let used = retainBody(number, bytes, count) else {
                badRequestBody(number)
                return count
            }
            own.pointee.requestWireBytes += UInt64(used)
            return used
        }
        own.pointee.flags.remove(.replayable)
        var used = count
        var alive = true
        if own.pointee.requestFraming == .length {
            used = Int(min(UInt64(count), own.pointee.requestRemaining))
            own.pointee.requestRemaining -= UInt64(used)
            own.pointee.requestBodyBytes += UInt64(used)
            if own.pointee.isScripted {
                showBody(number, .request, bytes, used, last: own.pointee.requestRemaining == 0)
            }
            alive = send(upstream, bytes, used)
            if own.pointee.requestRemaining == 0 { requestCompleted(number) }
        } else if own.pointee.requestFraming == .stream {
            own.pointee.requestBodyBytes += UInt64(count)
            if own.pointee.isScripted { showBody(number, .request, bytes, count, last: false) }
            alive = sendBody(upstream, bytes, count, last: false)
        } else {
            let step = own.pointee.requestDecoder.decode(bytes, count)
            if step.status == .bad
                || !chargeChunks(number, taken: step.consumed, produced: step.produced)
            {
                badRequestBody(number)
                return count
            }
            used = step.consumed
            own.pointee.requestBodyBytes += UInt64(step.produced)
            if own.pointee.isScripted {
                showBody(number, .request, bytes, step.produced, last: step.status == .done)
            }
            alive = sendBody(upstream, bytes, step.produced, last: step.status == .done)
            if step.status == .done {
                if own.pointee.requestDecoder.hasTrailers { meter.add(.glitchTrailers) }
                requestCompleted(number)
            }
        }
        own.pointee.requestWireBytes += UInt64(used)
        // A peer that takes no more may have answered: its answer counts, not our failure to send. It is
        // read later in this turn, because the client's bytes behind these still lie in the space that
        // reads use.
        if !alive { enqueue(upstream) }
        return used
    }

    /// END_STREAM behind a body of unknown length.
    mutating func finishRequestStream(_ number: UInt32) {
        let own = exchange(number)
        if own.pointee.step == .scripting {
            scriptBodyIsWhole(number)
            return
        }
        if own.pointee.isScripted { showBody(number, .request, readSpace, 0, last: true) }
        let upstream = own.pointee.upstream
        if upstream == noSlot { return }
        if !isStream(upstream), !sendLastChunk(upstream) { enqueue(upstream) }
        requestCompleted(number)
    }

    mutating func requestCompleted(_ number: UInt32) {
        let own = exchange(number)
        own.pointee.flags.insert(.requestComplete)
        if own.pointee.flags.contains(.toSession) { endTransmission(connection(own.pointee.upstream)) }
        setTimeout(own.pointee.downstream, settings.streamIdleTimeoutMs)
        armResponseDeadline(number)
    }

    /// Chunks that cannot be read: the upstream must not take what it got for a whole request.
    mutating func badRequestBody(_ number: UInt32) {
        let own = exchange(number)
        meter.add(.badRequest400)
        abandonUpstream(number)
        if own.pointee.flags.contains(.headSent) {
            closeDownstream(own.pointee.downstream)
        } else {
            own.pointee.flags.insert(.closeDownstream)
            reply(
                number,
                LocalReply(status: 400, reason: .badRequest, details: "http1.codec_error", flags: .DPE))
        }
    }
}
