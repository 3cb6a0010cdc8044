// EnvoyFilter's Lua filters in an exchange's life (istio-semantics.md 20): on the request before it is
// routed, on the response, an upstream's or our own, after the route's edits. A script that fails is logged
// and counted, and the message goes on.
internal import Base
internal import HTTP
internal import Lanes
internal import Lua

/// What came of a request's scripts.
enum RequestScripts {
    case finished
    case responded
    /// The body must be there first, or the answer to a call.
    case waits(ScriptWait)
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
        let isWhole = x.pointee.flags.contains(.requestComplete) || isTunnelRequest(x)
        switch runRequestScripts(number, &head, isWhole: isWhole) {
        case .finished: return routeAfterScripts(number, &head, start)
        case .responded:
            replyOfScript(number, &head, start.context)
            return 0
        case .waits(let wait):
            return suspend(number, head, start, wait)
        }
    }

    /// `resuming`: the run that waited; what it waited for is laid out. `isWhole`: all there will be of the
    /// body is in the message.
    mutating func runRequestScripts(
        _ number: UInt32, _ head: inout RequestHead, isWhole: Bool, resuming: ScriptWait? = nil
    ) -> RequestScripts {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        guard let interpreter = interpreter(number),
            let facts = scriptFacts(number, undecided: scripting.request)
        else { return .finished }
        // A resumed run finds what was laid out for it.
        if resuming == nil { scripting.lay(request: head.request, requestHeaders, facts) }
        defer { takeEdits(number, &head) }
        for position in (resuming?.position ?? 0)..<listener.pointee.scripts.count {
            let resumed = position == resuming?.position ? resuming : nil
            var wait: ScriptWait?
            switch runScript(number, interpreter, position, .request, resumed, isWhole: isWhole, &wait) {
            case .responded: return .responded
            case .done, .failed: continue
            case .waitsForBody, .waitsForChunk, .waitsForCall:
                if let wait { return .waits(wait) }
            }
        }
        return .finished
    }

    /// One filter's function, from its start or from where it waited. An outcome that waits: the message has
    /// to wait with it, in `wait`.
    private mutating func runScript(
        _ number: UInt32, _ interpreter: Interpreter, _ position: Int, _ phase: ScriptPhase,
        _ resumed: ScriptWait?, isWhole: Bool, _ wait: inout ScriptWait?
    ) -> ScriptOutcome {
        let x = exchange(number)
        let listener = x.pointee.decision.pointee.listener
        let filter = listener.pointee.scripts[position]
        let script = listener.pointee.firstScript + position
        if filter.pointee.port != 0, filter.pointee.port != x.pointee.scriptPort { return .done }
        guard interpreter.has(script, phase) else { return .done }
        let message = scripting.message
        message.pointee.filter = filter.pointee
        var outcome: ScriptOutcome
        if let resumed {
            wait = resumed
            let given =
                resumed.call != noSlot ? !scripting.isAnswerImmediate : !message.pointee.body.isEmpty
            outcome = interpreter.resume(resumed.run, message, given: given)
        } else {
            meter.add(.scriptRuns)
            var run: ScriptRun?
            outcome = interpreter.run(script, phase, message, data: x.scriptData, run: &run)
            wait = run.map { ScriptWait(run: $0, position: position) }
        }
        settle(number, interpreter, phase, isWhole: isWhole, &outcome, &wait)
        if outcome == .failed { noteScriptFailure(filter, interpreter.lastError) }
        return outcome
    }

    /// Makes the calls that a run wants, and gives it what there is already of that for which it waits.
    private mutating func settle(
        _ number: UInt32, _ interpreter: Interpreter, _ phase: ScriptPhase, isWhole: Bool,
        _ outcome: inout ScriptOutcome, _ wait: inout ScriptWait?
    ) {
        let message = scripting.message
        while true {
            var call = noSlot
            if !message.pointee.calls.isEmpty {
                call = beginCalls(number, waits: outcome == .waitsForCall)
            }
            guard outcome.waits, let run = wait?.run else { return }
            switch outcome {
            case .waitsForCall:
                wait?.call = call
                if call != noSlot { return }
                lay(ScriptCallState.failure)
                outcome = interpreter.resume(run, message, given: false)
            case .waitsForBody:
                wait?.call = noSlot
                if !isWhole { return }
                outcome = interpreter.resume(run, message, given: !message.pointee.body.isEmpty)
            default:
                if !isWhole {
                    scripting.watchers[number, default: []].append(
                        BodyWatcher(run: run, position: wait?.position ?? 0, phase: phase))
                    outcome = .done
                    return
                }
                let isPiece = wait?.isShown != true && !message.pointee.body.isEmpty
                wait?.isShown = true
                outcome = interpreter.resume(run, message, given: isPiece)
            }
        }
    }

    /// The answer that a run waited for.
    mutating func lay(_ answer: ScriptCallState) {
        scripting.message.pointee.answerFields = answer.fields
        scripting.message.pointee.answerBody = answer.body
        scripting.isAnswerImmediate = answer.isImmediate
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

    /// The fields of `respond` in our own answer, behind the route's. The status of a gRPC call is the
    /// script's where it gives one, its message is what `respond` has as a body.
    mutating func appendScriptFields(_ headers: UnsafeMutablePointer<HeaderList>, _ isGRPC: Bool) {
        for (name, value) in scripting.answer.fields {
            name.withUnsafeBufferPointer { name in
                value.withUnsafeBufferPointer { value in
                    let name = name.baseAddress.map { ByteView($0, name.count) } ?? .empty
                    let value = value.baseAddress.map { ByteView($0, value.count) } ?? .empty
                    guard ScriptRules.mayAppend(name, value) else { return }
                    let field = HeaderName(name)
                    if isGRPC {
                        if field.id == HeaderID.grpcStatus.rawValue { headers.pointee.remove(.grpcStatus) }
                        if name.equals("grpc-message"), headers.pointee.find(field) != nil { return }
                    }
                    headers.pointee.append(field, value)
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
    /// is to be sent comes back in `status` and `phrase`. `body`: all there will be of it; nil: it is still
    /// to come. Not nil: a script waits.
    mutating func runResponseScripts(
        _ number: UInt32, _ status: inout Int, _ phrase: inout ByteView, body: ByteView?
    ) -> ScriptWait? {
        guard let facts = scriptFacts(number) else { return nil }
        scripting.lay(response: status, responseHeaders, facts)
        if let body {
            scripting.message.pointee.body = body
            // Of an upstream's there is none; our own answers' may be another.
            scripting.message.pointee.mayReplaceBody = exchange(number).pointee.upstream == noSlot
        }
        let wait = continueResponseScripts(number, isWhole: body != nil)
        takeStatus(number, &status, &phrase)
        return wait
    }

    /// From the filter whose run waited, or from the last, down to the first.
    mutating func continueResponseScripts(
        _ number: UInt32, resuming: ScriptWait? = nil, isWhole: Bool
    ) -> ScriptWait? {
        let last = exchange(number).pointee.decision.pointee.listener.pointee.scripts.count - 1
        guard let interpreter = interpreter(number) else { return nil }
        for position in (0...(resuming?.position ?? last)).reversed() {
            let resumed = position == resuming?.position ? resuming : nil
            var wait: ScriptWait?
            let outcome = runScript(
                number, interpreter, position, .response, resumed, isWhole: isWhole, &wait)
            if outcome.waits, let wait { return wait }
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
            interpreter?.cancel(suspended.wait.run)
            dropCall(suspended.wait.call)
            suspended.bytes.deallocate()
        }
        dropSuspendedResponse(number)
        endWatchers(number)
        if x.pointee.kept != 0 { interpreter?.forget(x.pointee.kept) }
    }
}
