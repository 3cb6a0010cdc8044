// What becomes of a request whose upstream cannot be reached, or ends before its response is whole: another
// endpoint, stable in place of a lane, the same again, or an answer of ours.
internal import Base
internal import Glibc
internal import Lanes
internal import Telemetry

extension Worker {
    /// A pooled connection took no byte of the request: whatever its method, it goes out again; and whatever
    /// lies there to be read (a 408 for idleness, say) is no answer to it.
    mutating func resend(_ number: UInt32) {
        abandonUpstream(number)
        exchange(number).pointee.flags.insert(.retried)
        meter.add(.staleRetries)
        rewriteForRetry(number)
        startUpstream(number)
    }

    /// No connection could be made: another endpoint of a lane may do, or stable where the lane allows it.
    mutating func connectFailed(_ number: UInt32, _ code: Int32) {
        let own = exchange(number)
        meter.add(code == ETIMEDOUT ? .upstreamConnectTimeouts : .upstreamConnectFailures)
        let decision = own.pointee.decision.pointee
        let isLane = decision.laneDecision == .lane
        // A script's call has no policy of retries.
        let isCall = own.pointee.flags.contains(.call)
        let tries = isCall ? 1 : isLane ? decision.endpoints.count : 1 + retries(own, \.connectRetries)
        if own.pointee.attempts < tries, decision.endpoints.count > 1 || !isLane,
            decision.outcome == .forward
        {
            sendAgain(number)
            return
        }
        if isLane, !decision.fallbackEndpoints.isEmpty, !own.pointee.flags.contains(.fellBack) {
            own.pointee.flags.insert(.fellBack)
            own.pointee.decision.pointee.endpoints = decision.fallbackEndpoints
            own.pointee.decision.pointee.laneDecision = .stable
            own.pointee.reason = .laneUnreachable
            own.pointee.decision.pointee.response.reason = .laneUnreachable
            own.pointee.attempts = 0
            sendAgain(number)
            return
        }
        var answer = connectFailure(number, code)
        if tries > 1, own.pointee.attempts > 1 { answer.flags.insert(.URX) }
        reply(number, answer)
    }

    /// What its route allows; Istio's default policy where none decided (a sidecar's way out).
    func retries(_ x: UnsafeMutablePointer<Exchange>, _ kind: KeyPath<Route, UInt8>) -> Int {
        x.pointee.decision.pointee.route.map { Int($0.pointee[keyPath: kind]) } ?? Limits.retriesByDefault
    }

    func connectFailure(_ number: UInt32, _ code: Int32) -> LocalReply {
        let isLane = exchange(number).pointee.decision.pointee.laneDecision == .lane
        var answer = LocalReply(
            status: 503, reason: isLane ? .laneUnreachable : .upstreamConnect,
            details: connectTexts(code).details,
            flags: .UF)
        answer.connectCode = code
        return answer
    }

    mutating func sendAgain(_ number: UInt32) {
        let own = exchange(number)
        rewriteForRetry(number)
        // A pooled connection may take the request at once, and no event tells the rest of the body to
        // follow.
        if !own.pointee.flags.contains(.requestComplete) { enqueue(own.pointee.downstream) }
        startUpstream(number)
    }

    /// `x-envoy-attempt-count` is the last line of the head; one digit until nine tries. The line before it
    /// tells of the timeout, where there is one.
    private mutating func rewriteForRetry(_ number: UInt32) {
        let own = exchange(number)
        guard let base = own.pointee.head.base, own.pointee.headBytes > 5, !own.pointee.flags.contains(.call)
        else { return }
        let digit = base + Int(own.pointee.headBytes) - 5
        if digit[0] >= 0x31, digit[0] < 0x39 { digit[0] += 1 }
        let line: ByteView = "\r\nx-envoy-attempt-count: "
        if own.pointee.deadlineMs != 0 { rewriteTimeout(number, digit - line.count) }
    }

    /// Writes what remains of the timeout over what stood there, as Envoy does: no more digits than before.
    /// `end`: behind the last of these.
    private mutating func rewriteTimeout(_ number: UInt32, _ end: UnsafeMutablePointer<UInt8>) {
        let own = exchange(number)
        let remainingMs = max(1, own.pointee.deadlineMs - min(nowMs, own.pointee.deadlineMs))
        var start = end
        while start[-1] != 0x20 { start -= 1 }
        let count = writeDecimal(min(remainingMs, own.pointee.timeoutMs), to: start)
        let gone = (end - start) - count
        if gone == 0 { return }
        let rest = own.pointee.head.bytes + own.pointee.head.count - end
        memmove(start + count, end, rest)
        own.pointee.head.end -= UInt32(truncatingIfNeeded: gone)
        own.pointee.headBytes -= UInt32(truncatingIfNeeded: gone)
    }

    /// In TLS 1.3 a server judges our certificate when our handshake is already over: its refusal comes where
    /// the response should.
    func isRefusedByAlert(
        _ own: UnsafeMutablePointer<Connection>, _ x: UnsafeMutablePointer<Exchange>
    ) -> Bool {
        own.pointee.transport == .tls && own.pointee.tls?.pointee.failure == .alert
            && !own.pointee.flags.contains(.reused) && !x.pointee.flags.contains(.responseStarted)
            && x.pointee.step == .awaitingResponse
    }

    mutating func refusedByAlert(_ number: UInt32) {
        let own = exchange(number)
        noteTransportFailure(connection(own.pointee.upstream), .alert)
        dropSession(connection(own.pointee.upstream).pointee.endpoint)
        abandonUpstream(number)
        meter.add(.upstreamConnectFailures)
        reply(number, connectFailure(number, Self.tlsFailed))
    }

    /// The upstream connection ended or failed before the response was whole.
    mutating func upstreamFailed(_ number: UInt32, _ termination: Bool, refused: Bool = false) {
        let own = exchange(number)
        let slot = own.pointee.upstream
        let reused = slot != noSlot && connection(slot).pointee.flags.contains(.reused)
        abandonUpstream(number)
        if !own.pointee.flags.contains(.responseStarted), reused, mayReplay(own) {
            own.pointee.flags.insert(.retried)
            meter.add(.staleRetries)
            sendAgain(number)
            return
        }
        meter.add(.upstreamResets)
        if own.pointee.flags.contains(.headSent) {
            own.pointee.responseFlags.insert(termination ? .UC : .UR)
            own.pointee.details =
                termination
                ? "upstream_reset_after_response_started{connection_termination}"
                : "upstream_reset_after_response_started{remote_reset}"
            closeDownstream(own.pointee.downstream)
            return
        }
        var answer = LocalReply(
            status: 503, reason: .upstreamReset,
            details: "upstream_reset_before_response_started{connection_termination}",
            flags: termination ? .UC : .UR)
        if termination {
            answer.text = """
                upstream connect error or disconnect/reset before headers. reset reason: connection \
                termination
                """
        } else if refused {
            answer.details = "upstream_reset_before_response_started{remote_refused_stream_reset}"
            answer.text = """
                upstream connect error or disconnect/reset before headers. reset reason: remote refused \
                stream reset
                """
        } else {
            answer.details = "upstream_reset_before_response_started{remote_reset}"
            answer.text =
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset"
        }
        reply(number, answer)
    }

    /// A pooled connection may have died while nobody looked. A request that cannot change anything twice,
    /// and of which all that was sent is still at hand, goes out once more (RFC 9110 9.2.2, RFC 9112 9.3.1).
    private func mayReplay(_ own: UnsafeMutablePointer<Exchange>) -> Bool {
        own.pointee.flags.contains(.replayable) && !own.pointee.flags.contains(.retried)
            && own.pointee.method.isIdempotent
    }
}
