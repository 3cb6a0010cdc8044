// Requests whose script waits, for the body or for the answer to a call: head and body are kept in memory of
// their own until the script goes on, then the request takes the ordinary way with the body that is at hand.
internal import Base
internal import HTTP
internal import Lanes

extension Worker {
    /// Keeps a request until its script goes on; returns the body bytes used.
    mutating func suspend(
        _ number: UInt32, _ head: RequestHead, _ start: RequestStart, _ wait: ScriptWait
    ) -> Int {
        if wait.call == noSlot { return suspendForBody(number, head, start, wait) }
        let x = exchange(number)
        x.pointee.step = .calling
        var kept = keep(x.pointee.decision, head, start, wait)
        kept.isWhole = x.pointee.flags.contains(.requestComplete)
        if !kept.isWhole {
            kept.body = ByteView(start.body, start.bodyCount).bytes
            kept.isRaw = true
        }
        scripting.suspended[number] = kept
        // No more is read of it meanwhile.
        return kept.isWhole ? 0 : start.bodyCount
    }

    private mutating func suspendForBody(
        _ number: UInt32, _ head: RequestHead, _ start: RequestStart, _ wait: ScriptWait
    ) -> Int {
        let x = exchange(number)
        x.pointee.step = .scripting
        let expects = requestHeaders.pointee.find(.expect) != nil
        requestHeaders.pointee.remove(.expect)
        var kept = keep(x.pointee.decision, head, start, wait)
        kept.isTaken = true
        scripting.suspended[number] = kept
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
        _ wait: ScriptWait
    ) -> SuspendedRequest {
        var kept = head
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
            wait: wait, head: kept, bytes: bytes, lines: lines, fields: start.fields, context: start.context,
            clearsRoute: scripting.message.pointee.clearsRoute)
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

    /// Makes the lines of a list those that were kept.
    mutating func putBack(_ lines: [HeaderField], _ headers: UnsafeMutablePointer<HeaderList>) {
        headers.pointee.reset()
        for line in lines { headers.pointee.append(line) }
    }

    /// Shows the script a body that is whole; `newBody`: the one that it made of it before.
    mutating func lay(body: ByteView, _ newBody: [UInt8]?) {
        let message = scripting.message
        message.pointee.body = body
        message.pointee.mayReplaceBody = true
        message.pointee.newBody = newBody
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
        putBack(kept.lines, requestHeaders)
        currentRequest = kept.head.request
    }

    /// The body came to its end: the script goes on, then the request. Afterwards the connection may be gone.
    mutating func scriptBodyIsWhole(_ number: UInt32) {
        guard var kept = scripting.suspended.removeValue(forKey: number) else { return }
        exchange(number).pointee.flags.insert(.requestComplete)
        kept.isWhole = true
        continueRequest(number, &kept, nil)
    }

    /// The same when the answer to a call is there.
    mutating func continueAfterCall(_ number: UInt32, _ answer: ScriptCallState) {
        guard var kept = scripting.suspended.removeValue(forKey: number) else { return }
        continueRequest(number, &kept, answer)
    }

    /// Lays the message out again, with what its script waited for, and goes on.
    private mutating func continueRequest(
        _ number: UInt32, _ kept: inout SuspendedRequest, _ answer: ScriptCallState?
    ) {
        exchange(number).pointee.step = .awaitingResponse
        putBack(kept.lines, requestHeaders)
        let (bytes, count) = (copyOf(kept.newBody ?? kept.body), (kept.newBody ?? kept.body).count)
        defer {
            // Nothing may view what is gone now.
            requestHeaders.pointee.reset()
            currentRequest = Request()
            kept.bytes.deallocate()
            bytes.deallocate()
        }
        guard let facts = scriptFacts(number, undecided: scripting.request) else { return }
        let message = scripting.message
        scripting.lay(request: kept.head.request, requestHeaders, facts)
        message.pointee.clearsRoute = kept.clearsRoute
        if let answer { lay(answer) }
        if kept.isTaken { lay(body: ByteView(bytes, count), kept.newBody) }
        let start = RequestStart(
            fields: kept.fields, context: kept.context, body: bytes, bodyCount: count, headLength: 0)
        switch runRequestScripts(number, &kept.head, isWhole: kept.isWhole, resuming: kept.wait) {
        case .responded: replyOfScript(number, &kept.head, kept.context)
        case .waits(let wait): suspendAgain(number, kept, start, wait)
        case .finished:
            if !kept.isTaken {
                sendAsItCame(number, &kept.head, start)
            } else if let made = message.pointee.newBody {
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

    private mutating func suspendAgain(
        _ number: UInt32, _ kept: SuspendedRequest, _ start: RequestStart, _ wait: ScriptWait
    ) {
        let x = exchange(number)
        if wait.call != noSlot {
            x.pointee.step = .calling
            var next = keep(x.pointee.decision, kept.head, start, wait)
            next.body = kept.body
            next.isRaw = kept.isRaw
            next.isWhole = kept.isWhole
            next.isTaken = kept.isTaken
            next.newBody = scripting.message.pointee.newBody
            scripting.suspended[number] = next
            return
        }
        let downstream = x.pointee.downstream
        let generation = connection(downstream).pointee.generation
        let used = suspendForBody(number, kept.head, start, wait)
        readOn(downstream, generation, start, used)
    }

    /// The request with what is at hand of its body; the rest follows.
    private mutating func sendAsItCame(
        _ number: UInt32, _ head: inout RequestHead, _ start: RequestStart
    ) {
        let downstream = exchange(number).pointee.downstream
        let generation = connection(downstream).pointee.generation
        decideAfterScripts(number, &head, start.context)
        noteLane(number)
        let used = route(number, &head, start.fields, start.body, start.bodyCount)
        readOn(downstream, generation, start, used)
    }

    /// What came behind the body waits for its turn, and the connection is read again.
    private mutating func readOn(
        _ downstream: UInt32, _ generation: UInt32, _ start: RequestStart, _ used: Int
    ) {
        let own = connection(downstream)
        guard own.pointee.generation == generation,
            own.pointee.flags.isDisjoint(with: [.closeAfterFlush, .lingering])
        else { return }
        if used < start.bodyCount {
            buffers.append(&own.pointee.input, start.body + used, start.bodyCount - used)
        }
        enqueue(downstream)
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
