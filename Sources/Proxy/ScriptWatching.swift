// Scripts that look at a body as it passes (`bodyChunks`): pieces are shown to them, and go on without
// waiting for them. While one waits for the answer to a call, the pieces that it has yet to see are kept.
internal import Base
internal import Lua

extension Worker {
    /// Shows a piece of a body to the scripts that iterate over it, and its end.
    mutating func showBody(
        _ number: UInt32, _ phase: ScriptPhase, _ bytes: UnsafePointer<UInt8>, _ count: Int, last: Bool
    ) {
        guard let watchers = scripting.watchers.removeValue(forKey: number) else { return }
        var left: [BodyWatcher] = []
        for var watcher in watchers {
            if watcher.phase == phase {
                watcher.isLast = watcher.isLast || last
                if watcher.call == noSlot {
                    if !show(number, &watcher, ByteView(bytes, count)) { continue }
                } else {
                    watcher.pending.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
                    if watcher.pending.count > Limits.scriptBodyBytes {
                        end(number, watcher, "more of the body came during its call than can be kept")
                        continue
                    }
                }
            }
            left.append(watcher)
        }
        if !left.isEmpty { scripting.watchers[number] = left }
    }

    /// The answer to the call that a watching script waits for is there.
    mutating func continueWatcher(_ number: UInt32, _ slot: UInt32, _ answer: ScriptCallState) {
        guard let index = scripting.watchers[number]?.firstIndex(where: { $0.call == slot }),
            var watcher = scripting.watchers[number]?.remove(at: index),
            let interpreter = interpreter(number), lay(number, watcher)
        else { return }
        watcher.call = noSlot
        lay(answer)
        var outcome = interpreter.resume(
            watcher.run, scripting.message, given: !scripting.isAnswerImmediate)
        settle(number, interpreter, &watcher, &outcome)
        if outcome == .waitsForChunk, !watcher.pending.isEmpty {
            let bytes = copyOf(watcher.pending)
            defer { bytes.deallocate() }
            let piece = ByteView(bytes, watcher.pending.count)
            watcher.pending = []
            if show(number, &watcher, piece) { scripting.watchers[number, default: []].append(watcher) }
        } else if stays(number, interpreter, &watcher, outcome) {
            scripting.watchers[number, default: []].append(watcher)
        }
    }

    /// True: somebody's watching script waits for this call.
    func watcherWaits(_ number: UInt32, for slot: UInt32) -> Bool {
        scripting.watchers[number]?.contains { $0.call == slot } ?? false
    }

    /// The message is over, and with it the script. What it asked others for is still asked.
    mutating func endWatchers(_ number: UInt32) {
        for watcher in scripting.watchers.removeValue(forKey: number) ?? [] {
            interpreter(number)?.cancel(watcher.run)
            if watcher.call != noSlot { scripting.calls[watcher.call]?.parent = noSlot }
        }
    }

    /// Goes on with a run that waits for a piece; false: it is over.
    private mutating func show(_ number: UInt32, _ watcher: inout BodyWatcher, _ piece: ByteView) -> Bool {
        guard let interpreter = interpreter(number), lay(number, watcher) else { return false }
        var outcome = ScriptOutcome.waitsForChunk
        if !piece.isEmpty {
            scripting.message.pointee.body = piece
            outcome = interpreter.resume(watcher.run, scripting.message, given: true)
            settle(number, interpreter, &watcher, &outcome)
        }
        return stays(number, interpreter, &watcher, outcome)
    }

    /// Tells a run of the body's end, if that has come; false: the run is over.
    private mutating func stays(
        _ number: UInt32, _ interpreter: Interpreter, _ watcher: inout BodyWatcher, _ last: ScriptOutcome
    ) -> Bool {
        var outcome = last
        if watcher.isLast, !watcher.isTold, outcome == .waitsForChunk {
            watcher.isTold = true
            scripting.message.pointee.body = .empty
            outcome = interpreter.resume(watcher.run, scripting.message, given: false)
            settle(number, interpreter, &watcher, &outcome)
        }
        switch outcome {
        case .waitsForCall: return true
        case .waitsForChunk where !watcher.isTold: return true
        case .done, .responded: return false
        case .failed:
            noteScriptFailure(filter(number, watcher), interpreter.lastError)
            return false
        case .waitsForChunk, .waitsForBody:
            end(number, watcher, "it waits for a body that went on")
            return false
        }
    }

    /// Makes the calls that a run wants; one that cannot be made is answered at once.
    private mutating func settle(
        _ number: UInt32, _ interpreter: Interpreter, _ watcher: inout BodyWatcher,
        _ outcome: inout ScriptOutcome
    ) {
        while true {
            let waits = outcome == .waitsForCall
            var call = noSlot
            if !scripting.message.pointee.calls.isEmpty { call = beginCalls(number, waits: waits) }
            if !waits { return }
            watcher.call = call
            if call != noSlot { return }
            lay(ScriptCallState.failure)
            outcome = interpreter.resume(watcher.run, scripting.message, given: false)
        }
    }

    private func filter(_ number: UInt32, _ watcher: BodyWatcher) -> UnsafePointer<ScriptFilter> {
        exchange(number).pointee.decision.pointee.listener.pointee.scripts[watcher.position]
    }

    /// False: there is nothing that it could look at any more.
    private mutating func lay(_ number: UInt32, _ watcher: BodyWatcher) -> Bool {
        guard let facts = scriptFacts(number) else { return false }
        scripting.lay(response: 0, nil, facts)
        scripting.message.pointee.filter = filter(number, watcher).pointee
        return true
    }

    private mutating func end(_ number: UInt32, _ watcher: BodyWatcher, _ why: String) {
        interpreter(number)?.cancel(watcher.run)
        dropCall(watcher.call)
        noteScriptFailure(filter(number, watcher), why)
    }
}
