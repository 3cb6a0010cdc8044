// The second half of an exchange's life: the upstream answers; its head is checked, edited and written for
// the client, and its body relayed.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// Reads one response head; returns the bytes used, its body at hand included. 0: more is needed, or the
    /// connection is gone.
    mutating func readResponseHead(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int {
        let x = exchange(number)
        let readNs = Syscalls.monotonicNs()
        x.pointee.flags.insert(.responseStarted)
        let head = responseHead
        let result = H1Parser.readResponse(
            bytes, count, &head.pointee, &responseHeaders.pointee, maxBytes: Limits.headBytes,
            maxFields: Limits.headFields)
        switch result {
        case .needMore:
            let own = connection(x.pointee.upstream)
            buffers.append(&own.pointee.input, bytes, count)
            own.pointee.scanned = UInt32(truncatingIfNeeded: count)
            return 0
        case .refused(let why):
            protocolError(number, why)
            return 0
        case .complete(let length):
            if head.pointee.status < 200 {
                return interim(number, head.pointee, length) ? length : 0
            }
            if let why = ResponseRules.frame(&head.pointee, toHead: x.pointee.flags.contains(.toHead)) {
                protocolError(number, why)
                return 0
            }
            noteResponse(number, head.pointee, readNs)
            return length + startResponse(number, &head.pointee, bytes + length, count - length, readNs)
        }
    }

    @inline(__always)
    func noteResponse(_ number: UInt32, _ head: ResponseHead, _ readNs: UInt64) {
        let x = exchange(number)
        x.pointee.responseHeadNs = readNs
        x.pointee.serviceMs = Int64((readNs &- x.pointee.requestSentNs) / 1_000_000)
        x.pointee.status = UInt16(truncatingIfNeeded: head.status)
        x.pointee.details = "via_upstream"
    }

    /// 1xx: 101 makes a tunnel of an upgrade, the rest is passed on to clients that know of it.
    mutating func interim(_ number: UInt32, _ head: ResponseHead, _ length: Int) -> Bool {
        let x = exchange(number)
        x.pointee.interimResponses &+= 1
        if Int(x.pointee.interimResponses) > Limits.interimResponses {
            meter.add(.glitchInterimFlood)
            protocolError(number, .badStatusLine)
            return false
        }
        if head.status == 101 {
            if !x.pointee.flags.contains(.upgrade) || !head.connection.upgradesToWebSocket {
                protocolError(number, .badStatusLine)
                return false
            }
            switchProtocols(number, head)
            return true
        }
        if x.pointee.minorVersion == 0 { return true }
        ConnectionRules.removeHopByHop(&responseHeaders.pointee, namesFields: head.connection.namesFields)
        responseHeaders.pointee.remove(.contentLength)
        var at = writeSpace
        writeStatusLine(&at, head.status, head.reasonPhrase, minorVersion: 1)
        at = responseHeaders.pointee.copyLines(to: at)
        put(&at, "\r\n")
        if !sendInterimHead(x.pointee.downstream, writeSpace, at - writeSpace) {
            closeDownstream(x.pointee.downstream)
            return false
        }
        return true
    }

    func writeStatusLine(
        _ at: inout UnsafeMutablePointer<UInt8>, _ status: Int, _ phrase: ByteView, minorVersion: UInt8
    ) {
        put(&at, "HTTP/1.1 ")
        at += writeDecimal(UInt64(status), to: at)
        at[0] = 0x20
        at += 1
        put(&at, phrase)
        put(&at, "\r\n")
    }

    /// Edits the head, writes it with what is at hand of the body; returns the body bytes used.
    mutating func startResponse(
        _ number: UInt32, _ head: inout ResponseHead, _ body: UnsafeMutablePointer<UInt8>, _ count: Int,
        _ readNs: UInt64
    ) -> Int {
        let x = exchange(number)
        let headers = responseHeaders
        settleConnection(number, &head)
        ConnectionRules.removeHopByHop(&headers.pointee, namesFields: head.connection.namesFields)
        if x.pointee.flags.contains(.call) {
            takeCallHead(number, head)
            return 0
        }
        removeOurs()
        // RFC 9110 8.6: a length where there can be no content.
        if head.status == 204 { headers.pointee.remove(.contentLength) }
        if x.pointee.flags.contains(.isGRPC) { noteGRPC(number) }
        x.pointee.decision.pointee.response.reason = x.pointee.reason
        if x.pointee.decision.pointee.response.editsHead { editResponse(number, head.status) }
        if x.pointee.isScripted {
            tellServiceTime(number)
            if let wait = runResponseScripts(
                number, &head.status, &head.reasonPhrase, body: head.framing == .none ? .empty : nil)
            {
                suspendResponse(number, head, wait, readNs)
                return 0
            }
            headers.pointee.remove(rules.responseFixed)
        }
        return writeResponse(number, head, body, count, readNs)
    }

    /// Writes the head as it is in `responseHeaders`, with what is at hand of the body; returns the body
    /// bytes used.
    @inline(__always)
    mutating func writeResponse(
        _ number: UInt32, _ head: ResponseHead, _ body: UnsafeMutablePointer<UInt8>, _ count: Int,
        _ readNs: UInt64
    ) -> Int {
        let x = exchange(number)
        let headers = responseHeaders
        if settings.compression != nil { prepareCompression(number, head) }
        if headers.pointee.overflowed {
            protocolError(number, .headTooLarge)
            return 0
        }
        let needsDate = headers.pointee.find(.date) == nil
        x.pointee.responseFraming = head.framing
        x.pointee.responseRemaining = head.framing == .length ? head.connection.contentLength : 0
        frameForClient(number, head.framing, hasLength: head.connection.hasContentLength)
        var at = writeSpace
        writeStatusLine(&at, head.status, head.reasonPhrase, minorVersion: x.pointee.minorVersion)
        at = headers.pointee.copyLines(to: at)
        finishResponseHead(number, &at, needsDate: needsDate)
        x.pointee.flags.insert(.headSent)
        x.pointee.step = .relayingResponse
        x.pointee.responseWireBytes = UInt64(at - writeSpace)
        return sendResponseStart(number, at, body, count, readNs)
    }

    /// Takes out what only we may say. Nearly every response has `server`, and few any other. Mutating: for
    /// what is not, the compiler copies the whole worker here.
    @inline(__always)
    mutating func removeOurs() {
        responseHeaders.pointee.remove(.server)
        responseHeaders.pointee.remove(rules.responseRemoves)
    }

    /// Header operations, and what the lane adds.
    @inline(__always)
    private mutating func editResponse(_ number: UInt32, _ status: Int) {
        let plan = exchange(number).pointee.decision.responsePlan
        let hasOperations = plan.pointee.hasOperations
        if hasOperations { tellServiceTime(number) }
        applyResponseEdits(
            plan, status, &responseHeaders.pointee, &scratch, formatContext(number, response: true))
        if hasOperations { responseHeaders.pointee.remove(rules.responseFixed) }
    }

    /// Adds `x-envoy-upstream-service-time` where header operations and scripts can see it, and take it out.
    private mutating func tellServiceTime(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.flags.contains(.serviceTimeTold) { return }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            let length = writeDecimal(UInt64(max(0, x.pointee.serviceMs)), to: digits.baseAddress!)
            responseHeaders.pointee.append(
                HeaderNames.name(.xEnvoyUpstreamServiceTime), ByteView(digits.baseAddress!, length))
        }
        x.pointee.flags.insert(.serviceTimeTold)
    }

    /// Whether both connections live on after this response.
    @inline(__always)
    private mutating func settleConnection(_ number: UInt32, _ head: inout ResponseHead) {
        let x = exchange(number)
        if head.keepsAlive { x.pointee.flags.insert(.upstreamKeepsAlive) }
        // The rest of a body nobody reads cannot be told from the next request.
        if !x.pointee.flags.contains(.requestComplete) {
            meter.add(.glitchEarlyResponse)
            x.pointee.flags.insert(.closeDownstream)
            x.pointee.flags.remove(.upstreamKeepsAlive)
        }
        if isRetired(x.pointee.downstream) { x.pointee.flags.insert(.closeDownstream) }
    }

    /// How the client will find the end of the body (RFC 9112 6.3).
    @inline(__always)
    private mutating func frameForClient(_ number: UInt32, _ framing: BodyFraming, hasLength: Bool) {
        let x = exchange(number)
        switch x.pointee.compressor == noSlot ? framing : .chunked {
        case .none, .length:
            x.pointee.downstreamFraming = framing
        case .stream where hasLength:
            // The session holds the stream to it.
            x.pointee.downstreamFraming = .length
        case .chunked, .untilClose, .stream:
            responseHeaders.pointee.remove(.contentLength)
            if x.pointee.minorVersion == 2 {
                x.pointee.downstreamFraming = .stream
            } else if x.pointee.minorVersion == 1 {
                x.pointee.downstreamFraming = .chunked
            } else {
                x.pointee.downstreamFraming = .untilClose
                x.pointee.flags.insert(.closeDownstream)
            }
        }
    }

    /// The fields that are ours, and the blank line.
    @inline(__always)
    mutating func finishResponseHead(
        _ number: UInt32, _ at: inout UnsafeMutablePointer<UInt8>, needsDate: Bool
    ) {
        let x = exchange(number)
        if needsDate {
            put(&at, "date: ")
            put(&at, date.view(realtimeNs: nowNs &+ realtimeOffsetNs))
            put(&at, "\r\n")
        }
        put(&at, x.pointee.role == .outbound ? "server: envoy\r\n" : "server: istio-envoy\r\n")
        if x.pointee.serviceMs >= 0, !x.pointee.flags.contains(.serviceTimeTold) {
            put(&at, "x-envoy-upstream-service-time: ")
            at += writeDecimal(UInt64(x.pointee.serviceMs), to: at)
            put(&at, "\r\n")
        }
        if !x.pointee.explanation.isEmpty { putExplanation(number, &at) }
        if x.pointee.downstreamFraming == .chunked { put(&at, "transfer-encoding: chunked\r\n") }
        if x.pointee.flags.contains(.closeDownstream) {
            put(&at, "connection: close\r\n")
        } else if x.pointee.minorVersion == 0 {
            put(&at, "connection: keep-alive\r\n")
        }
        put(&at, "\r\n")
    }

    /// The head and the body's start, in one call if they fit.
    @inline(__always)
    private mutating func sendResponseStart(
        _ number: UInt32, _ headEnd: UnsafeMutablePointer<UInt8>, _ body: UnsafeMutablePointer<UInt8>,
        _ count: Int, _ readNs: UInt64
    ) -> Int {
        let x = exchange(number)
        let downstream = x.pointee.downstream
        let headCount = headEnd - writeSpace
        var used = 0
        var alive: Bool
        if isStream(downstream) {
            alive = sendResponseHead(
                downstream, writeSpace, headCount, ends: x.pointee.responseFraming == .none)
        } else if x.pointee.responseFraming == .length, x.pointee.downstreamFraming == .length, count > 0 {
            used = Int(min(UInt64(count), x.pointee.responseRemaining))
            x.pointee.responseRemaining -= UInt64(used)
            x.pointee.responseBodyBytes += UInt64(used)
            x.pointee.responseWireBytes += UInt64(used)
            if x.pointee.isScripted {
                showBody(number, .response, body, used, last: x.pointee.responseRemaining == 0)
            }
            if used <= Self.ridingBodyBytes {
                memcpy(headEnd, body, used)
                alive = send(downstream, writeSpace, headCount + used)
            } else {
                alive = send(downstream, writeSpace, headCount, body, used)
            }
        } else {
            alive = send(downstream, writeSpace, headCount)
        }
        let nowNs = observeOverhead(number, readNs)
        if !alive {
            closeDownstream(downstream)
            return 0
        }
        if x.pointee.responseFraming == .none
            || (x.pointee.responseFraming == .length && x.pointee.responseRemaining == 0)
        {
            sentNs = nowNs
            completeResponse(number, leftover: count - used)
            sentNs = 0
        }
        return used
    }

    /// Returns the time that it read.
    @inline(__always)
    private mutating func observeOverhead(_ number: UInt32, _ readNs: UInt64) -> UInt64 {
        let x = exchange(number)
        let nowNs = Syscalls.monotonicNs()
        meter.overhead(ns: x.pointee.overheadNs &+ (nowNs &- readNs))
        x.pointee.flags.insert(.observed)
        return nowNs
    }

    /// Body bytes on their way to the client; returns how many were used.
    mutating func relayBody(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int {
        let x = exchange(number)
        let downstream = x.pointee.downstream
        var used = count
        var produced = count
        var last = false
        switch x.pointee.responseFraming {
        case .length:
            used = Int(min(UInt64(count), x.pointee.responseRemaining))
            produced = used
            x.pointee.responseRemaining -= UInt64(used)
            last = x.pointee.responseRemaining == 0
        case .chunked:
            let step = x.pointee.responseDecoder.decode(bytes, count)
            if step.status == .bad {
                meter.add(.upstreamProtocolErrors)
                x.pointee.responseFlags.insert(.UPE)
                x.pointee.details = "upstream_reset_after_response_started{protocol_error}"
                abandonUpstream(number)
                closeDownstream(downstream)
                return 0
            }
            used = step.consumed
            produced = step.produced
            last = step.status == .done
            if last, x.pointee.responseDecoder.hasTrailers { meter.add(.glitchTrailers) }
        case .untilClose, .none, .stream:
            break
        }
        x.pointee.responseBodyBytes += UInt64(produced)
        if x.pointee.isScripted, scriptsTakeResponse(number, bytes, produced, last: last) { return used }
        var alive: Bool
        if x.pointee.compressor != noSlot {
            alive = sendCompressed(number, bytes, produced, last: last)
        } else {
            x.pointee.responseWireBytes += UInt64(produced)
            alive =
                x.pointee.downstreamFraming == .chunked
                ? sendChunk(downstream, bytes, produced, last: last)
                : (produced == 0 || send(downstream, bytes, produced))
        }
        if !alive {
            meter.add(.downstreamResets)
            closeDownstream(downstream)
            return 0
        }
        if settings.streamIdleTimeoutMs > 0 { setTimeout(downstream, settings.streamIdleTimeoutMs) }
        if last { completeResponse(number, leftover: count - used) }
        return used
    }

    /// The upstream closed: the end of a body that has no other, or too early.
    mutating func upstreamEnded(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.step == .tunnel {
            tunnelEnded(from: x.pointee.upstream)
            return
        }
        if x.pointee.step == .relayingResponse,
            x.pointee.responseFraming == .untilClose || x.pointee.responseFraming == .stream
        {
            if x.pointee.isScripted, scriptsTakeResponse(number, readSpace, 0, last: true) { return }
            let alive =
                x.pointee.compressor != noSlot
                ? sendCompressed(number, readSpace, 0, last: true)
                : x.pointee.downstreamFraming != .chunked || sendLastChunk(x.pointee.downstream)
            if !alive {
                closeDownstream(x.pointee.downstream)
                return
            }
            completeResponse(number, leftover: 0)
            return
        }
        upstreamFailed(number, true)
    }

    /// The upstream spoke HTTP that must not be passed on (istio-semantics.md 23: UPE).
    mutating func protocolError(_ number: UInt32, _ why: HeadError) {
        let x = exchange(number)
        meter.add(.upstreamProtocolErrors)
        abandonUpstream(number)
        x.pointee.flags.remove(.headSent)
        var answer = LocalReply(
            status: 502, reason: .upstreamProtocol,
            details: "upstream_reset_before_response_started{protocol_error}", flags: .UPE)
        answer.text =
            "upstream connect error or disconnect/reset before headers. reset reason: protocol error"
        answer.protocolError = why
        reply(number, answer)
    }
}
