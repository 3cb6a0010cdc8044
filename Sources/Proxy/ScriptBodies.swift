// Bodies under scripts: a response that waits until its body is whole, and bodies that scripts watch as they
// pass.
internal import Base
internal import HTTP

extension Worker {
    // MARK: a response that waits

    /// Keeps a response's head until its script goes on.
    mutating func suspendResponse(
        _ number: UInt32, _ head: ResponseHead, _ wait: ScriptWait, _ readNs: UInt64
    ) {
        let x = exchange(number)
        x.pointee.responseFraming = head.framing
        x.pointee.responseRemaining = head.framing == .length ? head.connection.contentLength : 0
        keepResponse(number, head, wait, readNs) { $0.isWhole = head.framing == .none }
    }

    private mutating func keepResponse(
        _ number: UInt32, _ head: ResponseHead, _ wait: ScriptWait, _ readNs: UInt64,
        _ more: (inout SuspendedResponse) -> Void
    ) {
        exchange(number).pointee.step = wait.call == noSlot ? .relayingResponse : .held
        var kept = head
        var texts = [head.reasonPhrase]
        let (bytes, lines) = keepLines(responseHeaders, &texts)
        kept.reasonPhrase = texts[0]
        var made = SuspendedResponse(wait: wait, head: kept, bytes: bytes, lines: lines, readNs: readNs)
        made.newBody = scripting.message.pointee.newBody
        more(&made)
        scripting.suspendedResponses[number] = made
    }

    /// Runs the scripts on an answer of our own. True: it waits for one of them.
    mutating func runReplyScripts(
        _ number: UInt32, _ status: inout Int, _ phrase: inout ByteView, _ text: inout ByteView
    ) -> Bool {
        let x = exchange(number)
        let own = text
        if let wait = runResponseScripts(number, &status, &phrase, body: own) {
            var head = ResponseHead()
            head.status = status
            head.reasonPhrase = phrase
            head.framing = x.pointee.flags.contains(.toHead) || own.isEmpty ? .none : .length
            head.connection.contentLength = UInt64(own.count)
            keepResponse(number, head, wait, nowNs) {
                $0.body = own.bytes
                $0.isWhole = true
                $0.isTaken = true
                $0.isLocal = true
            }
            return true
        }
        responseHeaders.pointee.remove(rules.responseFixed)
        if scripting.message.pointee.newBody != nil {
            text = scripting.message.pointee.body
            setLength(responseHeaders, text.count)
        }
        return false
    }

    /// Body bytes of a response under scripts, decoded. True: they are kept, nothing is to be sent yet.
    /// Afterwards the exchange may be over, if `last`.
    mutating func scriptsTakeResponse(
        _ number: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int, last: Bool
    ) -> Bool {
        if exchange(number).pointee.flags.contains(.call) {
            takeCallBody(number, bytes, count, last: last)
            return true
        }
        guard scripting.suspendedResponses[number] != nil else {
            showBody(number, .response, bytes, count, last: last)
            return false
        }
        scripting.suspendedResponses[number]?.body.append(
            contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        if (scripting.suspendedResponses[number]?.body.count ?? 0) > Limits.scriptBodyBytes {
            abandonUpstream(number)
            dropSuspendedResponse(number)
            reply(
                number,
                LocalReply(
                    status: 500, reason: .upstreamProtocol, details: "response_payload_too_large", flags: [])
            )
        } else if last {
            responseBodyIsWhole(number)
        }
        return true
    }

    /// It will not go out: our own answer does in its place, or the exchange is over.
    mutating func dropSuspendedResponse(_ number: UInt32) {
        guard let kept = scripting.suspendedResponses.removeValue(forKey: number) else { return }
        interpreter(number)?.cancel(kept.wait.run)
        dropCall(kept.wait.call)
        kept.bytes.deallocate()
    }

    private mutating func responseBodyIsWhole(_ number: UInt32) {
        guard var kept = scripting.suspendedResponses.removeValue(forKey: number) else { return }
        kept.isWhole = true
        kept.isTaken = true
        continueResponse(number, &kept, nil)
    }

    /// The answer to a call is there. Afterwards the connection may be gone.
    mutating func continueResponseAfterCall(_ number: UInt32, _ answer: ScriptCallState) {
        guard var kept = scripting.suspendedResponses.removeValue(forKey: number) else { return }
        continueResponse(number, &kept, answer)
    }

    /// Lays the response out again, with what its script waited for, and goes on.
    private mutating func continueResponse(
        _ number: UInt32, _ kept: inout SuspendedResponse, _ answer: ScriptCallState?
    ) {
        defer { kept.bytes.deallocate() }
        guard let facts = scriptFacts(number) else { return }
        var (body, count) = (copyOf(kept.newBody ?? kept.body), (kept.newBody ?? kept.body).count)
        defer { body.deallocate() }
        putBack(kept.lines, responseHeaders)
        let message = scripting.message
        scripting.lay(response: kept.head.status, responseHeaders, facts)
        if let answer { lay(answer) }
        if kept.isTaken { lay(body: ByteView(body, count), kept.newBody) }
        let wait = continueResponseScripts(number, resuming: kept.wait, isWhole: kept.isWhole)
        takeStatus(number, &kept.head.status, &kept.head.reasonPhrase)
        if let wait {
            let before = kept
            keepResponse(number, kept.head, wait, kept.readNs) {
                $0.body = before.body
                $0.isWhole = before.isWhole
                $0.isTaken = before.isTaken
                $0.isLocal = before.isLocal
            }
            if wait.call == noSlot { readHeld(number) }
            return
        }
        responseHeaders.pointee.remove(rules.responseFixed)
        guard kept.isTaken else {
            _ = writeResponse(number, kept.head, readSpace, 0, kept.readNs)
            readHeld(number)
            return
        }
        let isNew = message.pointee.newBody != nil
        if isNew {
            body.deallocate()
            count = message.pointee.body.count
            body = copyOf(message.pointee.body.bytes)
        }
        sendTaken(number, &kept, body, count, isNew: isNew)
    }

    /// Head and body in one piece, framed by its length.
    private mutating func sendTaken(
        _ number: UInt32, _ kept: inout SuspendedResponse, _ body: UnsafeMutablePointer<UInt8>, _ count: Int,
        isNew: Bool
    ) {
        let x = exchange(number)
        if !kept.isLocal || isNew { setLength(responseHeaders, count) }
        kept.head.framing = count > 0 && !x.pointee.flags.contains(.toHead) ? .length : .none
        kept.head.connection.contentLength = UInt64(count)
        // Counted again as they leave.
        x.pointee.responseBodyBytes = 0
        let serial = x.pointee.serial
        let sent = kept.head.framing == .length ? count : 0
        let used = writeResponse(number, kept.head, body, sent, kept.readNs)
        // A body that is compressed does not ride with its head.
        if used < sent, x.pointee.serial == serial, x.pointee.step == .relayingResponse {
            _ = relayBody(number, body + used, sent - used)
        }
    }

    /// The body behind a head that was held.
    private mutating func readHeld(_ number: UInt32) {
        let x = exchange(number)
        let upstream = x.pointee.upstream
        guard x.pointee.step == .relayingResponse, upstream != noSlot else { return }
        let own = connection(upstream)
        let generation = own.pointee.generation
        var waiting = own.pointee.input
        own.pointee.input = Buffer()
        while !waiting.isEmpty, own.pointee.generation == generation, own.pointee.exchange == number {
            // There is room for a chunk's framing around it.
            let bytes = readSpace + Self.margin
            let count = min(waiting.count, Limits.readBytes)
            bytes.update(from: waiting.bytes, count: count)
            waiting.start &+= UInt32(truncatingIfNeeded: count)
            useResponse(upstream, bytes, count)
        }
        buffers.release(&waiting)
        if own.pointee.generation == generation { enqueue(upstream) }
    }

    // MARK: bodies that are watched

    /// Some script waits for a body of this exchange or watches it: its bytes must come by here.
    mutating func scriptsSeeBody(_ number: UInt32) -> Bool {
        scripting.watchers[number] != nil || scripting.suspendedResponses[number] != nil
            || exchange(number).pointee.flags.contains(.call)
    }
}
