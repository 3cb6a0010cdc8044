// Calls that scripts make (`httpCall`): each is an exchange of its own, whose downstream side is a slot
// without a socket. So pools, balancing, TLS, HTTP/2 and deadlines are those of every other request. What
// comes back is gathered under the slot; the script that waits for it goes on later in the turn, when no
// bytes of another connection lie in the spaces that reads use.
internal import Base
internal import HTTP
internal import Lanes
internal import Lua

/// A call under way, by the slot of its exchange's downstream side.
struct ScriptCallState {
    /// Whose script waits; `noSlot`: nobody.
    var parent: UInt32
    /// Of the answer, `:status` first.
    var fields: [(name: [UInt8], value: [UInt8])] = []
    var body: [UInt8] = []
    /// No endpoint was chosen: the call came to nothing before it began.
    var isImmediate = false

    /// What a script gets where there is no answer (Envoy's words).
    static var failure: ScriptCallState {
        ScriptCallState(
            parent: noSlot, fields: [(name: Array(":status".utf8), value: Array("503".utf8))],
            body: Array("upstream failure".utf8), isImmediate: true)
    }
}

extension Worker {
    // MARK: beginning

    /// Begins the calls that a script's run put into the message; returns the slot of the one that the run
    /// waits for (`waits`), `noSlot`: it cannot be made.
    mutating func beginCalls(_ parent: UInt32, waits: Bool) -> UInt32 {
        let calls = scripting.message.pointee.calls
        scripting.message.pointee.calls = []
        var last = noSlot
        for (index, call) in calls.enumerated() {
            let isAwaited = waits && index == calls.count - 1
            last = beginCall(isAwaited ? parent : noSlot, call, of: parent)
        }
        return last
    }

    private mutating func beginCall(_ parent: UInt32, _ call: ScriptCall, of origin: UInt32) -> UInt32 {
        let own = exchange(origin)
        let index = own.pointee.snapshot
        meter.add(.scriptCalls)
        guard scripting.calls.count < Limits.scriptCalls,
            let cluster = cluster(call.cluster, of: index),
            let slot = adoptCall(of: own.pointee.downstream)
        else {
            meter.add(.scriptCallFailures)
            return noSlot
        }
        guard let number = exchanges.take() else {
            release(slot)
            meter.add(.scriptCallFailures)
            return noSlot
        }
        serial &+= 1
        if index == current { currentExchanges &+= 1 } else { held[Int(index)].exchanges &+= 1 }
        meter.add(.requestsActive)
        let decision = decisions + Int(number)
        decision.initialize(to: .call(own.pointee.decision.pointee.listener, cluster))
        let x = exchange(number)
        x.initialize(to: Exchange(downstream: slot, snapshot: index, decision: decision, startNs: nowNs))
        holdCluster(number)
        x.pointee.serial = serial
        x.pointee.role = own.pointee.role
        x.pointee.flags = [.call, .scripted, .requestComplete, .replayable]
        x.pointee.method = call.method.withUnsafeBufferPointer {
            MethodKind(ByteView($0.baseAddress.unsafelyUnwrapped, $0.count))
        }
        if x.pointee.method == .head { x.pointee.flags.insert(.toHead) }
        if goesBySession(x) { x.pointee.flags.insert(.toSession) }
        if cluster.pointee.tls != nil { x.pointee.flags.insert(.overTLS) }
        writeCall(number, call, peer: connection(own.pointee.downstream).peerAddressText)
        connection(slot).pointee.exchange = number
        scripting.calls[slot] = ScriptCallState(parent: parent)
        let wish = call.timeoutMs == 0 ? Limits.scriptCallMs : min(call.timeoutMs, Limits.scriptCallMs)
        x.pointee.deadlineMs = nowMs &+ wish
        setDeadline(slot, x.pointee.deadlineMs)
        startUpstream(number)
        // The answer may have come already: of a cluster without endpoints, say.
        if connection(slot).pointee.exchange == number, x.pointee.requestSentNs == 0 {
            x.pointee.requestSentNs = nowNs
        }
        return slot
    }

    /// Of a configuration, with the addresses that its names have now.
    private mutating func cluster(_ name: [UInt8], of index: UInt32) -> UnsafePointer<Cluster>? {
        guard let table = held[Int(index)].snapshot?.table else { return nil }
        let known = name.withUnsafeBufferPointer { bytes in
            table.pointee.cluster(named: bytes.baseAddress.map { ByteView($0, bytes.count) } ?? .empty)
        }
        guard let known, known.pointee.resolvedIndex >= 0 else { return known }
        return held[Int(index)].resolved.pointers?[Int(known.pointee.resolvedIndex)]
    }

    /// A slot that stands for the script, with what is known of the client whose request it looks at.
    private mutating func adoptCall(of client: UInt32) -> UInt32? {
        generation &+= 1
        if generation == 0 { generation = 1 }
        let own = connection(client)
        var value = Connection(
            fd: -1, generation: generation, side: .downstream, peer: own.pointee.peer)
        value.transport = .call
        value.listener = own.pointee.listener
        return connections.take(value)
    }

    /// The whole request, as HTTP/1 text like every other.
    private mutating func writeCall(_ number: UInt32, _ call: ScriptCall, peer: ByteView) {
        let x = exchange(number)
        x.pointee.head = buffers.take(call.headBytes + peer.count + 256 + call.body.count)
        append(x, call.method)
        buffers.append(&x.pointee.head, " ")
        append(x, call.path)
        buffers.append(&x.pointee.head, " HTTP/1.1\r\nhost: ")
        append(x, call.authority)
        buffers.append(&x.pointee.head, "\r\n")
        var forwarded = false
        for (name, value) in call.fields {
            if call.sendsForwardedFor, name.elementsEqual("x-forwarded-for".utf8) { forwarded = true }
            append(x, name)
            buffers.append(&x.pointee.head, ": ")
            append(x, value)
            buffers.append(&x.pointee.head, "\r\n")
        }
        if call.sendsForwardedFor, !forwarded {
            buffers.append(&x.pointee.head, "x-forwarded-for: ")
            buffers.append(&x.pointee.head, peer)
            buffers.append(&x.pointee.head, "\r\n")
        }
        // RFC 9110 8.6: a method that gives content a meaning says also that there is none.
        if !call.body.isEmpty || x.pointee.method == .post || x.pointee.method == .put {
            buffers.append(&x.pointee.head, "content-length: ")
            append(x, Array(String(call.body.count).utf8))
            buffers.append(&x.pointee.head, "\r\n")
        }
        buffers.append(&x.pointee.head, "\r\n")
        x.pointee.headBytes = UInt32(truncatingIfNeeded: x.pointee.head.count)
        append(x, call.body)
    }

    private mutating func append(_ x: UnsafeMutablePointer<Exchange>, _ text: [UInt8]) {
        text.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.append(&x.pointee.head, start, bytes.count) }
        }
    }

    // MARK: the answer

    /// The head of the answer, in `responseHeaders`; its body is still to come.
    mutating func takeCallHead(_ number: UInt32, _ head: ResponseHead) {
        let x = exchange(number)
        let slot = x.pointee.downstream
        var fields = [(name: Array(":status".utf8), value: Array(String(head.status).utf8))]
        for index in 0..<responseHeaders.pointee.count {
            let line = responseHeaders.pointee.fields[index]
            if !line.dropped { fields.append((line.name.bytes, line.value.bytes)) }
        }
        scripting.calls[slot]?.fields = fields
        x.pointee.flags.insert(.headSent)
        x.pointee.step = .relayingResponse
        x.pointee.responseFraming = head.framing
        x.pointee.responseRemaining = head.framing == .length ? head.connection.contentLength : 0
        if head.framing == .none || (head.framing == .length && x.pointee.responseRemaining == 0) {
            completeResponse(number, leftover: 0)
        }
    }

    /// More of the answer's body, decoded.
    mutating func takeCallBody(
        _ number: UInt32, _ bytes: UnsafePointer<UInt8>, _ count: Int, last: Bool
    ) {
        let slot = exchange(number).pointee.downstream
        scripting.calls[slot]?.body.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        let held = scripting.calls[slot]?.body.count ?? 0
        if held > Limits.scriptBodyBytes {
            callFailed(slot)
        } else if last {
            completeResponse(number, leftover: 0)
        }
    }

    /// What would be a client's answer from us is the script's. The upstream side is settled already.
    mutating func replyToCall(_ number: UInt32, _ answer: LocalReply, _ text: ByteView) {
        meter.add(.scriptCallFailures)
        let lines = [
            (":status", String(answer.status)), ("content-length", String(text.count)),
            ("content-type", "text/plain"),
        ]
        let slot = exchange(number).pointee.downstream
        scripting.calls[slot]?.fields = lines.map { (name: Array($0.utf8), value: Array($1.utf8)) }
        scripting.calls[slot]?.body = text.bytes
        let isImmediate = exchange(number).pointee.endpointIndex < 0
        scripting.calls[slot]?.isImmediate = isImmediate
        finishExchange(number)
    }

    /// The answer will not come, or not whole.
    mutating func callFailed(_ slot: UInt32) {
        meter.add(.scriptCallFailures)
        let number = connection(slot).pointee.exchange
        if number != noSlot { cancelExchange(number) }
        let failure = ScriptCallState.failure
        scripting.calls[slot]?.fields = failure.fields
        scripting.calls[slot]?.body = failure.body
        callEnded(slot)
    }

    /// The exchange of a call is over: its script goes on when this turn's reads are done.
    mutating func callEnded(_ slot: UInt32) {
        setDeadline(slot, 0)
        enqueue(slot)
    }

    /// Hands a call's answer to the script that waits for it. Afterwards that one's connection may be gone.
    mutating func deliverCall(_ slot: UInt32) {
        guard let call = scripting.calls.removeValue(forKey: slot) else { return }
        release(slot)
        if call.parent == noSlot { return }
        if scripting.suspended[call.parent]?.wait.call == slot {
            continueAfterCall(call.parent, call)
        } else if scripting.suspendedResponses[call.parent]?.wait.call == slot {
            continueResponseAfterCall(call.parent, call)
        } else if watcherWaits(call.parent, for: slot) {
            continueWatcher(call.parent, slot, call)
        }
    }

    /// Nobody waits for it any more.
    mutating func dropCall(_ slot: UInt32) {
        guard slot != noSlot, scripting.calls.removeValue(forKey: slot) != nil else { return }
        let number = connection(slot).pointee.exchange
        if number != noSlot { cancelExchange(number) }
        release(slot)
    }
}
