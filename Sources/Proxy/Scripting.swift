// EnvoyFilter's Lua filters in an exchange's life (istio-semantics.md 20): on the request before it is
// routed, on the response, an upstream's or our own, after the route's edits. A script that fails is logged
// and counted, and the message goes on.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Lua
internal import Telemetry

/// What came of a request's scripts.
enum RequestScripts {
    case finished
    case responded
    /// The body must be there first.
    case waits(ScriptRun, position: Int)
}

/// A run of a response's script that waits, and its filter's position.
struct ScriptWait {
    var run: ScriptRun
    var position: Int
}

/// What a new request was started with.
struct RequestStart {
    var fields: ForwardedFields
    var context: DecisionContext
    var body: UnsafeMutablePointer<UInt8>
    var bodyCount: Int
    var headLength: Int
}

extension Worker {
    mutating func interpreter(_ number: UInt32) -> Interpreter? {
        held[Int(exchange(number).pointee.snapshot)].interpreter
    }

    /// `undecided`: the request in `scripting.request` and `requestHeaders`, as long as it has no route.
    mutating func scriptFacts(
        _ number: UInt32, undecided: UnsafePointer<Request>? = nil
    ) -> ScriptFacts? {
        let x = exchange(number)
        guard let snapshot = held[Int(x.pointee.snapshot)].snapshot else { return nil }
        let own = connection(x.pointee.downstream)
        let decision = x.pointee.decision
        var facts = ScriptFacts(
            table: snapshot.table, listener: decision.pointee.listener, request: undecided,
            headers: requestHeaders)
        if let route = decision.pointee.route {
            facts.routeName = route.pointee.name
            facts.request = nil
        }
        if own.pointee.flags.contains(.secure) { facts.tls = tls(of: own).map { UnsafePointer($0) } }
        facts.protocolName = protocolName(x.pointee.minorVersion)
        facts.peer = own.pointee.peer
        facts.fd = socket(of: own)
        facts.nowNs = nowNs
        return facts
    }

    // MARK: requests

    /// A request whose listener has scripts, from there to its upstream or answer; returns the body bytes
    /// used. Afterwards the connection may be gone.
    mutating func startScripts(_ number: UInt32, _ head: inout RequestHead, _ start: RequestStart) -> Int {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        if listener.pointee.role == .outbound {
            x.pointee.scriptPort = outboundPort(listener, head.request.authority)
        }
        switch runRequestScripts(number, &head) {
        case .finished: return routeAfterScripts(number, &head, start)
        case .responded:
            replyOfScript(number, &head, start.context)
            return 0
        case .waits(let run, let position):
            return suspend(number, head, start, run, position)
        }
    }

    mutating func runRequestScripts(
        _ number: UInt32, _ head: inout RequestHead, from first: Int = 0, resuming: ScriptRun? = nil,
        given: Bool = false
    ) -> RequestScripts {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        guard let interpreter = interpreter(number),
            let facts = scriptFacts(number, undecided: scripting.request)
        else { return .finished }
        // A resumed run finds what was laid out for it.
        if resuming == nil { scripting.lay(request: head.request, requestHeaders, facts) }
        defer { takeEdits(number, &head) }
        var waiting = resuming
        for position in first..<listener.pointee.scripts.count {
            let filter = listener.pointee.scripts[position]
            let script = listener.pointee.firstScript + position
            if filter.pointee.port != 0, filter.pointee.port != x.pointee.scriptPort { continue }
            guard interpreter.has(script, .request) else { continue }
            scripting.message.pointee.filter = filter.pointee
            var outcome: ScriptOutcome
            if let run = waiting {
                outcome = interpreter.resume(run, scripting.message, given: given)
                waiting = nil
                if outcome.waits { waiting = run }
            } else {
                meter.add(.scriptRuns)
                outcome = interpreter.run(
                    script, .request, scripting.message, data: x.scriptData, run: &waiting)
            }
            if let run = waiting {
                let isWhole = x.pointee.flags.contains(.requestComplete) || isTunnelRequest(x)
                if outcome == .waitsForBody, !isWhole { return .waits(run, position: position) }
                if isWhole { outcome = feedWhole(interpreter, run, outcome) }
            }
            if let run = waiting { settle(number, run, outcome, position, .request) }
            waiting = nil
            if outcome == .failed { noteScriptFailure(filter, interpreter.lastError) }
            if outcome == .responded { return .responded }
        }
        return .finished
    }

    /// Gives a run that waits what there is of the body, whole.
    private mutating func feedWhole(
        _ interpreter: Interpreter, _ run: ScriptRun, _ first: ScriptOutcome
    ) -> ScriptOutcome {
        var outcome = first
        let message = scripting.message
        while outcome == .waitsForBody {
            outcome = interpreter.resume(run, message, given: !message.pointee.body.isEmpty)
        }
        let body = message.pointee.body
        if outcome == .waitsForChunk, !body.isEmpty {
            outcome = interpreter.resume(run, message, given: true)
        }
        message.pointee.body = .empty
        if outcome == .waitsForChunk { outcome = interpreter.resume(run, message, given: false) }
        // What `setBytes` made is what later filters see.
        message.pointee.body = body
        return outcome
    }

    /// A run that the head does not wait for: it watches the body, or it wants what it cannot have.
    mutating func settle(
        _ number: UInt32, _ run: ScriptRun, _ outcome: ScriptOutcome, _ position: Int, _ phase: ScriptPhase
    ) {
        switch outcome {
        case .waitsForChunk:
            scripting.watchers[number, default: []].append(
                BodyWatcher(run: run, position: position, phase: phase))
        case .waitsForBody, .waitsForCall:
            interpreter(number)?.cancel(run)
            let listener = exchange(number).pointee.decision.pointee.listener
            noteScriptFailure(listener.pointee.scripts[position], "httpCall is not supported here")
        case .done, .failed, .responded: break
        }
    }

    /// What follows such a head is no body.
    private mutating func isTunnelRequest(_ x: UnsafeMutablePointer<Exchange>) -> Bool {
        !x.pointee.flags.isDisjoint(with: [.upgrade, .connect])
    }

    /// The start line as the scripts left it.
    private mutating func takeEdits(_ number: UInt32, _ head: inout RequestHead) {
        head.request = scripting.request.pointee
        let method = MethodKind(head.request.method)
        guard method != head.method else { return }
        let x = exchange(number)
        head.method = method
        x.pointee.method = method
        if method == .head { x.pointee.flags.insert(.toHead) } else { x.pointee.flags.remove(.toHead) }
    }

    private mutating func routeAfterScripts(
        _ number: UInt32, _ head: inout RequestHead, _ start: RequestStart
    ) -> Int {
        let x = exchange(number)
        decideAfterScripts(number, &head, start.context)
        noteLane(number)
        let received = UnsafeMutableBufferPointer(
            start: start.body - start.headLength, count: start.headLength)
        explainIfAsked(number, connection(x.pointee.downstream), received)
        return route(number, &head, start.fields, start.body, start.bodyCount)
    }

    mutating func decideAfterScripts(
        _ number: UInt32, _ head: inout RequestHead, _ context: DecisionContext
    ) {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        guard !listener.pointee.routesBeforeScripts,
            let snapshot = held[Int(x.pointee.snapshot)].snapshot
        else { return }
        var context = context
        // Of the configuration it began under, and of now: names may have changed since.
        context.resolved = UnsafePointer(held[Int(x.pointee.snapshot)].resolved.pointers)
        // Much may have happened to the connection since the request began.
        context.memo = nil
        decide(
            snapshot.table, listener, &head.request, &requestHeaders.pointee, context,
            into: x.pointee.decision)
        x.pointee.reason = x.pointee.decision.pointee.reason
        holdCluster(number)
    }

    /// `respond`. The route's response operations count if the route was known when the script answered: a
    /// changed header clears it.
    mutating func replyOfScript(
        _ number: UInt32, _ head: inout RequestHead, _ context: DecisionContext
    ) {
        let x = exchange(number)
        if !scripting.message.pointee.clearsRoute { decideAfterScripts(number, &head, context) }
        x.pointee.decision.pointee.reason = .none
        x.pointee.reason = .none
        currentRequest = head.request
        scripting.answer = scripting.message.pointee.answer
        let status = scripting.answer.value(":status").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        var answer = LocalReply(status: status ?? 200, reason: .none, details: "lua_response", flags: [])
        answer.isScripts = true
        let body = scripting.answer.body ?? []
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, body.count))
        defer { copy.deallocate() }
        copy.initialize(from: body, count: body.count)
        answer.body = ByteView(copy, body.count)
        reply(number, answer)
    }

    /// The fields of `respond` in our own answer, behind the route's.
    mutating func appendScriptFields(_ headers: UnsafeMutablePointer<HeaderList>) {
        for (name, value) in scripting.answer.fields {
            name.withUnsafeBufferPointer { name in
                value.withUnsafeBufferPointer { value in
                    let name = name.baseAddress.map { ByteView($0, name.count) } ?? .empty
                    let value = value.baseAddress.map { ByteView($0, value.count) } ?? .empty
                    guard ScriptRules.mayAppend(name, value) else { return }
                    headers.pointee.append(HeaderName(name), value)
                }
            }
        }
    }

    mutating func noteScriptFailure(_ filter: UnsafePointer<ScriptFilter>, _ why: String) {
        meter.add(.scriptErrors)
        if scripting.failures.allows(nowNs: nowNs) {
            Log.error("\(filter.pointee.document.string): script failed: \(why)")
        }
    }

    // MARK: responses

    /// Runs the scripts on the response in `responseHeaders`, the last filter's first. The status line that
    /// is to be sent comes back in `status` and `phrase`. Not nil: a script waits for the body; only where
    /// `mayWait`, else there is none to wait for.
    mutating func runResponseScripts(
        _ number: UInt32, _ status: inout Int, _ phrase: inout ByteView, mayWait: Bool
    ) -> ScriptWait? {
        guard let facts = scriptFacts(number) else { return nil }
        scripting.lay(response: status, responseHeaders, facts)
        let last = exchange(number).pointee.decision.pointee.listener.pointee.scripts.count - 1
        let wait = continueResponseScripts(number, from: last, mayWait: mayWait)
        takeStatus(number, &status, &phrase)
        return wait
    }

    /// From the filter at `from` down to the first. `resuming`: the run of that filter, which waited.
    mutating func continueResponseScripts(
        _ number: UInt32, from: Int, resuming: ScriptRun? = nil, given: Bool = false, mayWait: Bool
    ) -> ScriptWait? {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        guard let interpreter = interpreter(number) else { return nil }
        var waiting = resuming
        for position in (0..<(from + 1)).reversed() {
            let filter = listener.pointee.scripts[position]
            let script = listener.pointee.firstScript + position
            if filter.pointee.port != 0, filter.pointee.port != x.pointee.scriptPort { continue }
            guard interpreter.has(script, .response) else { continue }
            scripting.message.pointee.filter = filter.pointee
            var outcome: ScriptOutcome
            if let run = waiting {
                outcome = interpreter.resume(run, scripting.message, given: given)
            } else {
                meter.add(.scriptRuns)
                outcome = interpreter.run(
                    script, .response, scripting.message, data: x.scriptData, run: &waiting)
            }
            if let run = waiting {
                if outcome == .waitsForBody, mayWait { return ScriptWait(run: run, position: position) }
                if !mayWait { outcome = feedWhole(interpreter, run, outcome) }
            }
            if let run = waiting { settle(number, run, outcome, position, .response) }
            waiting = nil
            if outcome == .failed { noteScriptFailure(filter, interpreter.lastError) }
        }
        return nil
    }

    mutating func takeStatus(_ number: UInt32, _ status: inout Int, _ phrase: inout ByteView) {
        let message = scripting.message
        if message.pointee.status != status {
            status = message.pointee.status
            phrase = ReasonPhrase.of(status)
            exchange(number).pointee.status = UInt16(truncatingIfNeeded: status)
        }
        if !message.pointee.reasonPhrase.isEmpty { phrase = message.pointee.reasonPhrase }
    }

    // MARK: the end

    /// The exchange is over: what its scripts keep and wait for goes.
    mutating func scriptsEnded(_ number: UInt32) {
        let x = exchange(number)
        let interpreter = interpreter(number)
        if let suspended = scripting.suspended.removeValue(forKey: number) {
            interpreter?.cancel(suspended.run)
            suspended.bytes.deallocate()
        }
        if let suspended = scripting.suspendedResponses.removeValue(forKey: number) {
            interpreter?.cancel(suspended.run)
            suspended.bytes.deallocate()
        }
        for watcher in scripting.watchers.removeValue(forKey: number) ?? [] {
            interpreter?.cancel(watcher.run)
        }
        if x.pointee.kept != 0 { interpreter?.forget(x.pointee.kept) }
    }
}
