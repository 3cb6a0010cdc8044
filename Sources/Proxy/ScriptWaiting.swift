// Requests whose script waits for the body: head and body are kept in memory of their own until the script
// goes on, then the request takes the ordinary way with its body at hand.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Lua
internal import Telemetry

extension Worker {
    /// Keeps a request until its body is whole; returns the body bytes used.
    mutating func suspend(
        _ number: UInt32, _ head: RequestHead, _ start: RequestStart, _ run: ScriptRun, _ position: Int
    ) -> Int {
        let x = exchange(number)
        x.pointee.step = .scripting
        let expects = requestHeaders.pointee.find(.expect) != nil
        scripting.suspended[number] = keep(x.pointee.decision, head, start, run, position)
        setTimeout(x.pointee.downstream, settings.requestBodyIdleTimeoutMs)
        // The client may wait for this before it sends the body; the upstream is not asked for it again.
        if expects, start.bodyCount == 0, x.pointee.minorVersion == 1 {
            let go: ByteView = "HTTP/1.1 100 Continue\r\n\r\n"
            if !send(x.pointee.downstream, go.start, go.count) {
                closeDownstream(x.pointee.downstream)
                return 0
            }
        }
        return start.bodyCount > 0 ? takeScriptBody(number, start.body, start.bodyCount) : 0
    }

    /// The decision, where it came before the scripts, views the head too.
    private mutating func keep(
        _ decision: UnsafeMutablePointer<Decision>, _ head: RequestHead, _ start: RequestStart,
        _ run: ScriptRun, _ position: Int
    ) -> SuspendedRequest {
        var kept = head
        requestHeaders.pointee.remove(.expect)
        var texts = [
            head.request.method, head.request.scheme, head.request.authority, head.request.path,
            head.request.query, head.request.target, decision.pointee.originalAuthority,
            decision.pointee.lane.name,
        ]
        let (bytes, lines) = keepLines(requestHeaders, &texts)
        kept.request.method = texts[0]
        kept.request.scheme = texts[1]
        kept.request.authority = texts[2]
        kept.request.path = texts[3]
        kept.request.query = texts[4]
        kept.request.target = texts[5]
        decision.pointee.originalAuthority = texts[6]
        decision.pointee.lane.name = texts[7]
        return SuspendedRequest(
            run: run, position: position, head: kept, bytes: bytes, lines: lines, fields: start.fields,
            context: start.context, clearsRoute: scripting.message.pointee.clearsRoute)
    }

    /// Copies the lines that go on, and `texts`, which then view the copies. The caller owns the bytes.
    mutating func keepLines(
        _ headers: UnsafeMutablePointer<HeaderList>, _ texts: inout [ByteView]
    ) -> (UnsafeMutablePointer<UInt8>, [HeaderField]) {
        let total = headers.pointee.lineBytes + texts.reduce(0) { $0 + $1.count }
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, total))
        var at = bytes
        for index in texts.indices {
            let text = texts[index]
            at.initialize(from: text.start, count: text.count)
            texts[index] = ByteView(at, text.count)
            at += text.count
        }
        var lines: [HeaderField] = []
        for index in 0..<headers.pointee.count where !headers.pointee.fields[index].dropped {
            var line = headers.pointee.fields[index]
            at.initialize(from: line.line, count: Int(line.lineLength))
            line.line = UnsafePointer(at)
            at += Int(line.lineLength)
            lines.append(line)
        }
        return (bytes, lines)
    }

    /// More of the body of a request whose script waits; returns the bytes used. Afterwards the connection
    /// may be gone.
    mutating func takeScriptBody(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int {
        let x = exchange(number)
        setTimeout(x.pointee.downstream, settings.requestBodyIdleTimeoutMs)
        var used = count
        var produced = count
        var isWhole = false
        if x.pointee.requestFraming == .length {
            used = Int(min(UInt64(count), x.pointee.requestRemaining))
            produced = used
            x.pointee.requestRemaining -= UInt64(used)
            isWhole = x.pointee.requestRemaining == 0
        } else if x.pointee.requestFraming == .chunked {
            let step = x.pointee.requestDecoder.decode(bytes, count)
            if step.status == .bad || !chargeChunks(number, taken: step.consumed, produced: step.produced) {
                badRequestBody(number)
                return count
            }
            used = step.consumed
            produced = step.produced
            isWhole = step.status == .done
        }
        x.pointee.requestWireBytes += UInt64(used)
        scripting.suspended[number]?.body.append(
            contentsOf: UnsafeBufferPointer(start: bytes, count: produced))
        if (scripting.suspended[number]?.body.count ?? 0) > Limits.scriptBodyBytes {
            var answer = LocalReply(
                status: 413, reason: .badRequest, details: "request_payload_too_large", flags: [])
            answer.text = "Payload Too Large"
            reply(number, answer)
            return count
        }
        if isWhole { scriptBodyIsWhole(number) }
        return used
    }

    /// A request that is answered while it waits: the route's operations may speak of its fields.
    mutating func recallRequest(_ number: UInt32) {
        guard let kept = scripting.suspended[number] else { return }
        requestHeaders.pointee.reset()
        for line in kept.lines { requestHeaders.pointee.append(line) }
        currentRequest = kept.head.request
    }

    /// The body came to its end: the script goes on, then the request. Afterwards the connection may be gone.
    mutating func scriptBodyIsWhole(_ number: UInt32) {
        let x = exchange(number)
        guard var kept = scripting.suspended.removeValue(forKey: number) else { return }
        defer {
            // Nothing may view what is gone now.
            requestHeaders.pointee.reset()
            currentRequest = Request()
            kept.bytes.deallocate()
        }
        x.pointee.step = .awaitingResponse
        x.pointee.flags.insert(.requestComplete)
        requestHeaders.pointee.reset()
        for line in kept.lines { requestHeaders.pointee.append(line) }
        let start = RequestStart(
            fields: kept.fields, context: kept.context, body: copyOf(kept.body),
            bodyCount: kept.body.count, headLength: 0)
        defer { start.body.deallocate() }
        continueScripts(number, &kept, start)
    }

    /// Lays the message out again, now with its body, and goes on with the script that waited.
    private mutating func continueScripts(
        _ number: UInt32, _ kept: inout SuspendedRequest, _ start: RequestStart
    ) {
        guard let facts = scriptFacts(number, undecided: scripting.request) else { return }
        scripting.lay(request: kept.head.request, requestHeaders, facts)
        scripting.message.pointee.body = ByteView(start.body, start.bodyCount)
        scripting.message.pointee.mayReplaceBody = true
        scripting.message.pointee.clearsRoute = kept.clearsRoute
        switch runRequestScripts(
            number, &kept.head, from: kept.position, resuming: kept.run, given: start.bodyCount > 0)
        {
        case .responded: replyOfScript(number, &kept.head, start.context)
        // There is nothing left to wait for.
        case .waits, .finished:
            if let made = scripting.message.pointee.newBody {
                var changed = start
                changed.body = copyOf(made)
                changed.bodyCount = made.count
                defer { changed.body.deallocate() }
                sendWithBody(number, &kept.head, changed)
            } else {
                sendWithBody(number, &kept.head, start)
            }
        }
    }

    mutating func copyOf(_ bytes: [UInt8]) -> UnsafeMutablePointer<UInt8> {
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
        copy.initialize(from: bytes, count: bytes.count)
        return copy
    }

    /// The request with its body at hand, framed by its length.
    private mutating func sendWithBody(
        _ number: UInt32, _ head: inout RequestHead, _ start: RequestStart
    ) {
        let x = exchange(number)
        setLength(requestHeaders, start.bodyCount)
        head.framing = start.bodyCount > 0 ? .length : .none
        x.pointee.requestFraming = head.framing
        x.pointee.requestRemaining = UInt64(start.bodyCount)
        if start.bodyCount > 0 { x.pointee.flags.remove(.requestComplete) }
        decideAfterScripts(number, &head, start.context)
        noteLane(number)
        _ = route(number, &head, start.fields, start.body, start.bodyCount)
    }

    mutating func setLength(_ headers: UnsafeMutablePointer<HeaderList>, _ length: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            let count = writeDecimal(UInt64(length), to: digits.baseAddress!)
            headers.pointee.set(HeaderNames.name(.contentLength), ByteView(digits.baseAddress!, count))
        }
    }
}
