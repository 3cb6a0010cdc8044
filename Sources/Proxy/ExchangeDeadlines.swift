// The deadlines of an exchange, and what passes when one does: of connecting, of the client's body, of the
// route or the call, of silence.
internal import Glibc
internal import TLS
internal import Telemetry

extension Worker {
    /// The route's timeout runs from the moment the request is complete (istio-semantics.md 7).
    mutating func armResponseDeadline(_ number: UInt32) {
        let own = exchange(number)
        let timeoutMs = own.pointee.timeoutMs
        if timeoutMs > 0, own.pointee.deadlineMs == 0 { own.pointee.deadlineMs = nowMs &+ timeoutMs }
        if own.pointee.upstream != noSlot,
            !connection(own.pointee.upstream).pointee.flags.contains(.connecting)
        {
            setDeadline(own.pointee.upstream, own.pointee.deadlineMs)
        }
    }

    mutating func upstreamTimeout(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.idle) {
            closeIdleUpstream(slot, .poolClosedIdle)
            return
        }
        let number = own.pointee.exchange
        if number == noSlot {
            closeUpstream(slot)
        } else if own.pointee.flags.contains(.connecting) {
            if own.pointee.tls != nil {
                meter.add(Counter.tlsFailure(TLSFailure.timeout.rawValue, upstream: true))
            }
            abandonUpstream(number)
            connectFailed(number, ETIMEDOUT)
        } else {
            exchangeTimeout(number)
        }
    }

    /// Whether the client's body stands still because the upstream takes no more of it.
    private func waitsForUpstream(_ own: UnsafeMutablePointer<Exchange>) -> Bool {
        let upstream = own.pointee.upstream
        return !own.pointee.flags.contains(.requestComplete) && own.pointee.deadlineMs == 0
            && settings.streamIdleTimeoutMs == 0 && upstream != noSlot
            && !connection(upstream).pointee.output.isEmpty
    }

    /// A deadline of the exchange passed: of the client's body, of the route, of a silent stream.
    mutating func exchangeTimeout(_ number: UInt32) {
        let own = exchange(number)
        if waitsForUpstream(own) {
            // It is not the client who is late, and a silent upstream has its own deadlines.
            setTimeout(own.pointee.downstream, settings.requestBodyIdleTimeoutMs)
            return
        }
        if own.pointee.step == .tunnel || own.pointee.flags.contains(.headSent) {
            noteStall(own.pointee.downstream)
            own.pointee.responseFlags.insert(own.pointee.deadlineMs != 0 ? .UT : .SI)
            meter.add(.timeoutStreamIdle)
            abandonUpstream(number)
            closeDownstream(own.pointee.downstream)
            return
        }
        if own.pointee.step == .resolving {
            reply(number, Self.unresolved)
            return
        }
        abandonUpstream(number)
        own.pointee.flags.insert(.closeDownstream)
        if !own.pointee.flags.contains(.requestComplete) {
            meter.add(.timeoutRequestBody)
            var answer = LocalReply(
                status: 408, reason: .timeout, details: "stream_idle_timeout", flags: .SI)
            answer.text = "stream timeout"
            reply(number, answer)
            return
        }
        meter.add(.timeoutResponse)
        let byRoute = own.pointee.deadlineMs != 0 && nowMs >= own.pointee.deadlineMs
        var answer = LocalReply(
            status: 504, reason: byRoute ? .upstreamTimeout : .timeout,
            details: byRoute ? "upstream_response_timeout" : "stream_idle_timeout",
            flags: byRoute ? .UT : .SI)
        answer.text = byRoute ? "upstream request timeout" : "stream timeout"
        reply(number, answer)
    }
}
