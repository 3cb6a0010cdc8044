// The first half of an exchange's life: a head was read; check it, decide where it goes, write it for the
// upstream. Reads top to bottom in the order of istio-semantics.md 1.
internal import Base
internal import CLinux
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

extension Worker {
    /// Starts the exchange of a head that is whole. `body` is what came behind it; returns how much of that
    /// was used. Afterwards the connection may be gone.
    mutating func startExchange(
        _ slot: UInt32, _ head: inout RequestHead, _ body: UnsafeMutablePointer<UInt8>, _ bodyCount: Int,
        _ headLength: Int, _ startNs: UInt64
    ) -> Int {
        let own = connection(slot)
        let listener = listener(of: own)
        let role = listener.pointee.role
        meter.add(Counter.requests(role: role.rawValue))
        let memo = memo(of: own)
        let known = memo.pointee.authority
        if let why = RequestRules.settleAuthority(&head, &requestHeaders.pointee, known: known) {
            refuse(slot, why, toHead: head.method == .head, startNs)
            return 0
        }
        if var refusal = refusalBeforeRouting(&head, role, own.pointee.flags.contains(.secure)) {
            refusal.toHead = head.method == .head
            refuse(slot, refusal, startNs)
            return 0
        }
        if !normalizePath(&head) {
            let refusal = Refusal(
                status: 400, reason: .badRequest, details: "path_normalization_failed", isSilent: true,
                toHead: head.method == .head)
            refuse(slot, refusal, startNs)
            return 0
        }
        ConnectionRules.removeHopByHop(&requestHeaders.pointee, namesFields: head.connection.namesFields)
        if head.request.scheme.isEmpty { head.request.scheme = scheme(of: own) }
        let fields = forwardFields(own, role)
        let context = DecisionContext(
            random: random.next(), nowSeconds: Int64((nowNs &+ realtimeOffsetNs) / 1_000_000_000),
            isTLS: fields.isTLS, resolved: resolvedClusters, memo: memo)
        guard let table else { return 0 }
        guard let number = admitExchange() else {
            let refusal = Refusal(
                status: 503, reason: .overload, details: "overload", toHead: head.method == .head, flags: .OM)
            refuse(slot, refusal, startNs)
            return 0
        }
        let decision = decisions + Int(number)
        let isScripted = !listener.pointee.scripts.isEmpty
        if isScripted, !listener.pointee.routesBeforeScripts {
            decision.initialize(to: .undecided(listener))
        } else {
            decide(table, listener, &head.request, &requestHeaders.pointee, context, into: decision)
        }
        let x = exchange(number)
        x.initialize(
            to: Exchange(downstream: slot, snapshot: current, decision: decision, startNs: startNs))
        x.pointee.role = role
        x.pointee.requestWireBytes = UInt64(headLength)
        fill(x, &head, fields)
        x.pointee.reason = decision.pointee.reason
        holdCluster(number)
        if settings.compression != nil { noteAcceptedCoding(&x.pointee) }
        own.pointee.exchange = number
        own.pointee.flags.insert(.served)
        setTimeout(slot, settings.streamIdleTimeoutMs)
        if isScripted {
            x.pointee.flags.insert(.scripted)
            return startScripts(
                number, &head,
                RequestStart(
                    fields: fields, context: context, body: body, bodyCount: bodyCount,
                    headLength: headLength))
        }
        noteLane(number)
        if decision.pointee.debugRequested {
            let received = UnsafeMutableBufferPointer(start: body - headLength, count: headLength)
            explainIfAsked(number, own, received)
        }
        return route(number, &head, fields, body, bodyCount)
    }

    /// What is remembered of the connection's requests under this configuration.
    @inline(__always)
    private mutating func memo(
        of own: UnsafeMutablePointer<Connection>
    ) -> UnsafeMutablePointer<DecisionMemo> {
        let memo = own.memo
        if memo.pointee.serial != configurationSerial {
            memo.initialize(to: DecisionMemo(serial: configurationSerial))
        }
        return memo
    }

    /// What a head says of its exchange.
    @inline(__always)
    private mutating func fill(
        _ x: UnsafeMutablePointer<Exchange>, _ head: inout RequestHead, _ fields: ForwardedFields
    ) {
        x.pointee.serial = serial
        x.pointee.method = head.method
        x.pointee.minorVersion = head.minorVersion
        x.pointee.requestFraming = head.framing
        x.pointee.requestRemaining = head.framing == .length ? head.connection.contentLength : 0
        if head.framing == .none { x.pointee.flags.insert(.requestComplete) }
        if !head.keepsAlive || isRetired(x.pointee.downstream) { x.pointee.flags.insert(.closeDownstream) }
        if head.method == .head { x.pointee.flags.insert(.toHead) }
        if fields.isGRPC { x.pointee.flags.insert(.isGRPC) }
        if fields.isTLS { x.pointee.flags.insert(.overTLS) }
        if head.connection.hasUpgrade, head.connection.hasConnectionUpgrade,
            head.connection.upgradesToWebSocket
        {
            x.pointee.flags.insert(.upgrade)
        }
        if head.request.isConnect { x.pointee.flags.insert(.connect) }
    }

    @inline(__always)
    private func scheme(of own: UnsafeMutablePointer<Connection>) -> ByteView {
        own.pointee.flags.contains(.secure) ? RequestRules.https : RequestRules.http
    }

    /// A slot for one more exchange, its content still to be written; nil: a limit is reached.
    @inline(__always)
    mutating func admitExchange() -> UInt32? {
        if settings.requests > 0, fleet.total(.requestsActive) >= Int(settings.requests) {
            meter.add(.requestOverload)
            return nil
        }
        if settings.memoryBytes > 0, fleet.total(.memoryBufferUsedBytes) > Int(settings.memoryBytes) {
            meter.add(.requestOverload)
            return nil
        }
        guard let number = exchanges.take() else { return nil }
        serial &+= 1
        currentExchanges &+= 1
        meter.add(.requestsActive)
        return number
    }

    /// Refusals that need no route.
    @inline(__always)
    private mutating func refusalBeforeRouting(
        _ head: inout RequestHead, _ role: ListenerRole, _ isSecure: Bool
    ) -> Refusal? {
        if head.minorVersion == 0, !settings.http10 {
            return Refusal(status: 426, reason: .badRequest, details: "low_version")
        }
        if head.connection.hasUpgrade, head.connection.hasConnectionUpgrade,
            !head.connection.upgradesToWebSocket, !head.connection.upgradesToH2C
        {
            // A proposal to speak h2c may be ignored (RFC 9110 7.8); other protocols would be cut off
            // silently.
            return Refusal(status: 403, reason: .badRequest, details: "upgrade_failed")
        }
        if head.isAbsoluteForm {
            // A request to a forward proxy looks so; to anybody else hardly ever.
            if role != .outbound { meter.add(.glitchAbsoluteForm) }
            // Asking a proxy to fetch https in the clear would drop the encryption the client believes in.
            if head.request.scheme.equals("https"), !isSecure {
                return Refusal(status: 403, reason: .badRequest, details: "scheme_mismatch")
            }
        }
        if head.method == .options, head.request.path.equals("*") {
            return Refusal(status: 404, reason: .noRoute, details: "absolute_path_rejected")
        }
        return nil
    }

    @inline(__always)
    private mutating func normalizePath(_ head: inout RequestHead) -> Bool {
        if head.pathIsPlain || head.request.isConnect { return true }
        let mode = PathNormalizer.Mode(rawValue: settings.pathNormalization.rawValue) ?? .base
        switch PathNormalizer.normalize(head.request.path, mode, pathSpace) {
        case .unchanged: return true
        case .changed(let count):
            head.request.path = ByteView(pathSpace, count)
            return true
        case .refused: return false
        }
    }

    /// Acts on the decision.
    mutating func route(
        _ number: UInt32, _ head: inout RequestHead, _ fields: ForwardedFields,
        _ body: UnsafeMutablePointer<UInt8>, _ bodyCount: Int
    ) -> Int {
        let own = exchange(number)
        currentRequest = head.request
        switch own.pointee.decision.pointee.outcome {
        case .forward, .passthrough:
            if own.pointee.flags.contains(.connect), own.pointee.role != .outbound {
                reply(
                    number, LocalReply(status: 404, reason: .noRoute, details: "route_not_found", flags: .NR))
                return 0
            }
            return forward(number, &head, body, bodyCount)
        case .redirect, .httpsRedirect:
            let context = DecisionContext(
                random: 0, nowSeconds: 0, isTLS: fields.isTLS)
            let location = redirectLocation(own.pointee.decision.pointee, head.request, context, &scratch)
            var answer = LocalReply(status: 301, reason: .none, details: "direct_response", flags: [])
            answer.location = location
            answer.status = own.pointee.decision.pointee.status
            reply(number, answer)
        case .direct:
            var answer = LocalReply(status: 200, reason: .none, details: "direct_response", flags: [])
            if let route = own.pointee.decision.pointee.route {
                answer.status = Int(route.pointee.status)
                answer.body = route.pointee.body
            }
            reply(number, answer)
        case .preflight:
            reply(number, LocalReply(status: 200, reason: .none, details: "cors_response", flags: []))
        case .noRoute:
            reply(number, LocalReply(status: 404, reason: .noRoute, details: "route_not_found", flags: .NR))
        case .noCluster:
            reply(
                number,
                LocalReply(
                    status: own.pointee.decision.pointee.status, reason: .noCluster,
                    details: "cluster_not_found", flags: .NC))
        case .noHealthyUpstream:
            // Operators of the answer's header operations see the request as it would have gone on.
            edit(number, &head)
            reply(number, LocalReply.noHealthyUpstream)
        case .laneEmpty:
            var answer = LocalReply(
                status: 503, reason: .laneEmpty, details: "no_healthy_upstream", flags: .UH)
            answer.text = "no healthy upstream: the lane has no endpoint of this service"
            reply(number, answer)
        case .laneRejected:
            var answer = LocalReply(
                status: 404, reason: own.pointee.decision.pointee.reason, details: "lane_rejected", flags: [])
            answer.text = "no such lane"
            reply(number, answer)
        case .laneLost:
            var answer = LocalReply(
                status: 502, reason: own.pointee.decision.pointee.reason, details: "lane_lost", flags: [])
            answer.text = "the lane of this request is lost"
            reply(number, answer)
        case .blocked:
            reply(number, LocalReply(status: 502, reason: .noRoute, details: "direct_response", flags: []))
        }
        return 0
    }

    // MARK: forwarding

    @inline(__always)
    private mutating func edit(_ number: UInt32, _ head: inout RequestHead) {
        let own = exchange(number)
        if own.pointee.decision.pointee.editsRequest {
            let format = formatContext(number)
            applyRequestEdits(
                own.pointee.decision, &head.request, &requestHeaders.pointee, &scratch, format)
        }
    }

    /// Edits the request, writes it for the upstream and sends it on its way.
    @inline(__always)
    private mutating func forward(
        _ number: UInt32, _ head: inout RequestHead, _ body: UnsafeMutablePointer<UInt8>, _ bodyCount: Int
    ) -> Int {
        let own = exchange(number)
        edit(number, &head)
        if requestHeaders.pointee.overflowed {
            reply(
                number,
                LocalReply(
                    status: 431, reason: .badRequest, details: "request_headers_too_large", flags: .DPE))
            return 0
        }
        if goesBySession(own) { own.pointee.flags.insert(.toSession) }
        if own.pointee.flags.contains(.isGRPC) {
            own.pointee.grpcTimeoutMs = GRPC.timeoutMs(requestHeaders.pointee)
        }
        writeRequestHead(number, &head)
        var used = 0
        if !own.pointee.flags.contains(.requestComplete) {
            guard let taken = retainBody(number, body, bodyCount) else {
                // Nothing of a request that cannot be read reaches an upstream.
                badRequestBody(number)
                return 0
            }
            used = taken
        }
        own.pointee.flags.insert(.replayable)
        let serial = own.pointee.serial
        if own.pointee.decision.pointee.outcome == .passthrough {
            startPassthrough(number, head.request.authority)
        } else {
            startUpstream(number)
        }
        if own.pointee.serial != serial || own.pointee.downstream == noSlot { return used }
        let sent = Syscalls.monotonicNs()
        if own.pointee.requestSentNs == 0 { own.pointee.requestSentNs = sent }
        own.pointee.overheadNs = sent &- own.pointee.startNs
        return used
    }

    /// `METHOD target HTTP/1.1`, the field lines that go on, our own framing.
    @inline(__always)
    private mutating func writeRequestHead(_ number: UInt32, _ head: inout RequestHead) {
        let own = exchange(number)
        let lines = requestHeaders.pointee.lineBytesMax(
            headLength: Int(truncatingIfNeeded: own.pointee.requestWireBytes))
        let room =
            head.request.method.count &+ head.request.path.count &+ head.request.query.count
            &+ head.request.authority.count &+ lines &+ 256
        own.pointee.head = buffers.take(room)
        var at = own.pointee.head.base!
        put(&at, head.request.method)
        at[0] = 0x20
        at += 1
        let isWhole = head.asksWholeServer && head.request.path.equals(RequestRules.root)
        put(&at, isWhole ? "*" : head.request.path)
        if head.request.hasQuery {
            at[0] = 0x3F
            at += 1
            put(&at, head.request.query)
        }
        put(&at, " HTTP/1.1\r\nhost: ")
        put(&at, head.request.authority)
        put(&at, "\r\n")
        requestHeaders.pointee.remove(.host)
        at = requestHeaders.pointee.copyLines(to: at)
        if own.pointee.flags.contains(.upgrade) {
            put(&at, "connection: upgrade\r\nupgrade: websocket\r\n")
            if head.minorVersion == 2, !own.pointee.flags.contains(.toSession) { putKey(&at) }
        }
        if head.framing == .chunked || (head.framing == .stream && !head.connection.hasContentLength) {
            put(&at, "transfer-encoding: chunked\r\n")
        }
        let timeoutMs = own.pointee.timeoutMs
        if timeoutMs > 0 {
            put(&at, "x-envoy-expected-rq-timeout-ms: ")
            at += writeDecimal(timeoutMs, to: at)
            put(&at, "\r\n")
        }
        put(&at, "x-envoy-attempt-count: 1\r\n\r\n")
        let count = UInt32(truncatingIfNeeded: at - own.pointee.head.base!)
        own.pointee.head.end = count
        own.pointee.headBytes = count
    }

    /// A client of HTTP/2 sends no key; an HTTP/1 upstream wants one (RFC 8441 5).
    private mutating func putKey(_ at: inout UnsafeMutablePointer<UInt8>) {
        put(&at, "sec-websocket-key: ")
        WebSocketKey.write(random.next(), random.next(), to: at)
        at += WebSocketKey.bytes
        put(&at, "\r\n")
    }

    @inline(__always)
    func put(_ at: inout UnsafeMutablePointer<UInt8>, _ bytes: ByteView) {
        fl_copy_short(at, bytes.start, bytes.count)
        at += bytes.count
    }
}
