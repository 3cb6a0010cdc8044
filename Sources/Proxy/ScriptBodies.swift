// Bodies under scripts: a response that waits until its body is whole, and bodies that scripts watch as they
// pass.
internal import Base
internal import HTTP
internal import Lanes
internal import Loop
internal import Lua
internal import Telemetry

extension Worker {
    // MARK: a response that waits

    /// Keeps a response's head until its body is there.
    mutating func suspendResponse(
        _ number: UInt32, _ head: ResponseHead, _ wait: ScriptWait, _ readNs: UInt64
    ) {
        let x = exchange(number)
        x.pointee.responseFraming = head.framing
        x.pointee.responseRemaining = head.framing == .length ? head.connection.contentLength : 0
        x.pointee.step = .relayingResponse
        var kept = head
        var texts = [head.reasonPhrase]
        let (bytes, lines) = keepLines(responseHeaders, &texts)
        kept.reasonPhrase = texts[0]
        scripting.suspendedResponses[number] = SuspendedResponse(
            run: wait.run, position: wait.position, head: kept, bytes: bytes, lines: lines, readNs: readNs)
    }

    /// Body bytes of a response under scripts, decoded. True: they are kept, nothing is to be sent yet.
    /// Afterwards the exchange may be over, if `last`.
    mutating func scriptsTakeResponse(
        _ number: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int, last: Bool
    ) -> Bool {
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

    /// Our own answer goes out in its place.
    private mutating func dropSuspendedResponse(_ number: UInt32) {
        guard let kept = scripting.suspendedResponses.removeValue(forKey: number) else { return }
        interpreter(number)?.cancel(kept.run)
        kept.bytes.deallocate()
    }

    private mutating func responseBodyIsWhole(_ number: UInt32) {
        let x = exchange(number)
        guard var kept = scripting.suspendedResponses.removeValue(forKey: number),
            let facts = scriptFacts(number)
        else { return }
        defer { kept.bytes.deallocate() }
        var body = copyOf(kept.body)
        var count = kept.body.count
        defer { body.deallocate() }
        responseHeaders.pointee.reset()
        for line in kept.lines { responseHeaders.pointee.append(line) }
        scripting.lay(response: kept.head.status, responseHeaders, facts)
        scripting.message.pointee.body = ByteView(body, count)
        scripting.message.pointee.mayReplaceBody = true
        _ = continueResponseScripts(
            number, from: kept.position, resuming: kept.run, given: count > 0, mayWait: false)
        takeStatus(number, &kept.head.status, &kept.head.reasonPhrase)
        if let made = scripting.message.pointee.newBody {
            body.deallocate()
            body = copyOf(made)
            count = made.count
        }
        removeOurs(exceptReason: true)
        setLength(responseHeaders, count)
        kept.head.framing = count > 0 ? .length : .none
        kept.head.connection.contentLength = UInt64(count)
        // Counted again as they leave.
        x.pointee.responseBodyBytes = 0
        let serial = x.pointee.serial
        let used = writeResponse(number, kept.head, body, count, kept.readNs)
        // A body that is compressed does not ride with its head.
        if used < count, x.pointee.serial == serial, x.pointee.step == .relayingResponse {
            _ = relayBody(number, body + used, count - used)
        }
    }

    // MARK: bodies that are watched

    /// Some script waits for a body of this exchange or watches it: its bytes must come by here.
    mutating func scriptsSeeBody(_ number: UInt32) -> Bool {
        scripting.watchers[number] != nil || scripting.suspendedResponses[number] != nil
    }

    /// Shows a piece of a body to the scripts that iterate over `bodyChunks`, and its end.
    mutating func showBody(
        _ number: UInt32, _ phase: ScriptPhase, _ bytes: UnsafePointer<UInt8>, _ count: Int, last: Bool
    ) {
        guard let watchers = scripting.watchers.removeValue(forKey: number),
            let interpreter = interpreter(number),
            let facts = scriptFacts(number)
        else { return }
        let listener = exchange(number).pointee.decision.pointee.listener
        var left: [BodyWatcher] = []
        for watcher in watchers {
            guard watcher.phase == phase else {
                left.append(watcher)
                continue
            }
            let filter = listener.pointee.scripts[watcher.position]
            scripting.lay(response: 0, nil, facts)
            scripting.message.pointee.filter = filter.pointee
            scripting.message.pointee.body = ByteView(bytes, count)
            var outcome = ScriptOutcome.waitsForChunk
            if count > 0 { outcome = interpreter.resume(watcher.run, scripting.message, given: true) }
            if last, outcome == .waitsForChunk {
                scripting.message.pointee.body = .empty
                outcome = interpreter.resume(watcher.run, scripting.message, given: false)
            }
            if outcome == .failed { noteScriptFailure(filter, interpreter.lastError) }
            guard outcome.waits else { continue }
            if last || outcome != .waitsForChunk {
                interpreter.cancel(watcher.run)
                noteScriptFailure(filter, "it waits although the headers went on")
            } else {
                left.append(watcher)
            }
        }
        if !left.isEmpty { scripting.watchers[number] = left }
    }
}
