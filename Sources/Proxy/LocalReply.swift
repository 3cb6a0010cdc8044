// Answers that Fairlead makes itself (istio-semantics.md 23): before a request could be read, instead of an
// upstream's, or because a route says so.
internal import Base
internal import Glibc
internal import HTTP
internal import Lanes
internal import Loop
internal import Telemetry

/// An answer to a request that became an exchange.
struct LocalReply {
    var status: Int
    var reason: Reason
    var details: ByteView
    var flags: ResponseFlags
    /// The body: `text`, else `body`.
    var text: ByteView = .empty
    var body: ByteView = .empty
    var location: ByteView = .empty
    /// errno of a connection attempt: the body names it.
    var connectCode: Int32 = 0
    var protocolError: HeadError?
    /// A script's `respond`: its fields are in the worker's bench.
    var isScripts = false

    init(status: Int, reason: Reason, details: ByteView, flags: ResponseFlags) {
        self.status = status
        self.reason = reason
        self.details = details
        self.flags = flags
    }

    static var noHealthyUpstream: LocalReply {
        var answer = LocalReply(
            status: 503, reason: .noHealthyUpstream, details: "no_healthy_upstream", flags: .UH)
        answer.text = "no healthy upstream"
        return answer
    }
}

/// An answer to what did not become an exchange; the connection ends after it.
struct Refusal {
    var status: Int
    var reason: Reason
    var details: ByteView
    /// The body; empty: what the status says.
    var text: ByteView = .empty
    /// No body at all.
    var isSilent = false
    /// The method is HEAD, as far as the head could be read: the answer has no body.
    var toHead = false
    /// As the access log has them.
    var flags: ResponseFlags = []
}

extension Worker {
    // MARK: before an exchange

    mutating func refuse(_ slot: UInt32, _ why: HeadError, toHead: Bool, _ startNs: UInt64) {
        if why == .bareLineFeed { meter.add(.glitchBareLineFeed) }
        let refusal = Refusal(
            status: why.status, reason: .badRequest,
            details: why == .missingHost ? "missing_host_header" : "http1.codec_error", toHead: toHead,
            flags: why == .missingHost ? [] : .DPE)
        let role = listeners[Int(connection(slot).pointee.listener)].role
        if why == .notHTTP, role != ListenerRole.outbound.rawValue {
            // An answer in HTTP/1 would be noise to it, as to an HTTP/2 client whose preface is damaged.
            meter.add(.badRequest400)
            reportRefusal(slot, refusal, startNs, 0)
            closeDownstream(slot)
            return
        }
        refuse(slot, refusal, startNs)
    }

    /// Somebody typed https:// for http://. It cannot read the answer, so it is told here too.
    mutating func refuseTLS(_ slot: UInt32, _ startNs: UInt64) {
        meter.add(.refusedTLS)
        let own = connection(slot)
        if nowMs >= wrongPortLogMs {
            wrongPortLogMs = nowMs + Limits.failureLogMs
            let listener = listeners[Int(own.pointee.listener)]
            let remedy =
                listener.role == ListenerRole.outbound.rawValue
                ? "send plain HTTP, or CONNECT first" : "use http://, or give the port's server tls"
            Log.warning(
                "worker \(setup.index): TLS from \(own.pointee.peer.text) on the plain HTTP port "
                    + "\(listener.address.text): \(remedy)")
        }
        var refusal = Refusal(status: 400, reason: .badRequest, details: "tls_on_http_port", flags: .DPE)
        refusal.text = "Client sent a TLS handshake to a plain HTTP port: use http://\n"
        refuse(slot, refusal, startNs)
    }

    /// The head did not come in time.
    mutating func refuseLate(_ slot: UInt32) {
        refuse(
            slot, Refusal(status: 408, reason: .timeout, details: "request_header_timeout"),
            Syscalls.monotonicNs())
    }

    /// Answers, says that the connection ends, and ends it.
    mutating func refuse(_ slot: UInt32, _ refusal: Refusal, _ startNs: UInt64) {
        let own = connection(slot)
        let listener = listeners[Int(own.pointee.listener)]
        meter.add(Counter.badRequest(status: UInt16(truncatingIfNeeded: refusal.status)))
        let phrase = ReasonPhrase.of(refusal.status)
        var body: ByteView =
            switch refusal.status {
            case 400, 413, 414, 431, 501, 505: refusal.details.equals("missing_host_header") ? "" : phrase
            case 408: "request header timeout"
            case 503: "envoy overloaded"
            default: .empty
            }
        if !refusal.text.isEmpty { body = refusal.text }
        if refusal.isSilent { body = .empty }
        var at = writeSpace
        let isGRPC = isStream(slot) && asksGRPC()
        if isGRPC {
            // In gRPC's own terms: a head with the status and nothing else.
            writeStatusLine(&at, 200, "OK", minorVersion: 1)
            put(&at, "content-type: application/grpc\r\ngrpc-status: ")
            put(&at, GRPC.code(ofHTTP: refusal.status))
            if !body.isEmpty, !refusal.toHead {
                put(&at, "\r\ngrpc-message: ")
                put(&at, body)
            }
            body = .empty
        } else {
            writeStatusLine(&at, refusal.status, phrase, minorVersion: 1)
            if !body.isEmpty { put(&at, "content-type: text/plain\r\n") }
            put(&at, "content-length: ")
            at += writeDecimal(UInt64(body.count), to: at)
        }
        put(&at, "\r\nx-fairlead-reason: ")
        put(&at, view(refusal.reason.text))
        put(&at, "\r\ndate: ")
        put(&at, date.view(realtimeNs: nowNs &+ realtimeOffsetNs))
        put(
            &at,
            listener.role == ListenerRole.outbound.rawValue ? "\r\nserver: envoy" : "\r\nserver: istio-envoy")
        put(&at, "\r\nconnection: close\r\n\r\n")
        let headCount = at - writeSpace
        let bodyCount = refusal.toHead ? 0 : body.count
        memcpy(at, body.start, bodyCount)
        let alive = sendResponse(slot, headCount, UnsafePointer(writeSpace) + headCount, bodyCount)
        var told = refusal
        if isGRPC { told.status = 200 }
        reportRefusal(slot, told, startNs, headCount + bodyCount)
        if alive { finishDownstream(slot) } else { closeDownstream(slot) }
    }

    /// Whether the head that was just read is of a gRPC call.
    private func asksGRPC() -> Bool {
        guard let type = requestHeaders.pointee.find(.contentType) else { return false }
        return GRPC.isContentType(type.pointee.value)
    }

    // MARK: instead of an upstream

    /// Answers an exchange and ends it. The upstream side is settled already.
    mutating func reply(_ number: UInt32, _ answer: LocalReply) {
        let x = exchange(number)
        if !x.pointee.flags.isDisjoint(with: [.raw, .call]) {
            if x.pointee.flags.contains(.raw) {
                failRelay(number, answer)
            } else {
                replyToCall(number, answer, text(of: answer))
            }
            return
        }
        if x.pointee.step == .scripting || x.pointee.step == .calling { recallRequest(number) }
        if x.pointee.step == .held { dropSuspendedResponse(number) }
        let isUpstreams = !answer.flags.isDisjoint(with: [.UF, .UC, .UR, .UH, .UPE])
        let isGRPC = x.pointee.flags.contains(.isGRPC) && (answer.status >= 400 || isWritten(number, answer))
        var status = isGRPC ? 200 : answer.status
        x.pointee.status = UInt16(truncatingIfNeeded: status)
        x.pointee.details = answer.details
        x.pointee.responseFlags.formUnion(answer.flags)
        if answer.reason != .none { x.pointee.reason = answer.reason }
        x.pointee.serviceMs = -1
        x.pointee.downstreamFraming = .length
        // What follows a CONNECT that came to nothing was meant for the tunnel: it is no request of ours.
        if !x.pointee.flags.contains(.requestComplete) || x.pointee.flags.contains(.connect)
            || isRetired(x.pointee.downstream)
        {
            x.pointee.flags.insert(.closeDownstream)
        }
        x.pointee.connectCode = answer.connectCode
        let headers = responseHeaders
        headers.pointee.reset()
        var text = text(of: answer)
        if x.pointee.attempts > 1 { text = transportFailure.retried(text) }
        if !answer.location.isEmpty {
            headers.pointee.append(HeaderNames.name(.location), answer.location)
        }
        x.pointee.decision.pointee.response.reason = x.pointee.reason
        if isGRPC {
            appendGRPC(answer.status, x.pointee.flags.contains(.toHead) ? .empty : text)
            text = .empty
        }
        if status != 204, !isGRPC || !isStream(x.pointee.downstream) { appendLength(text.count) }
        let hasRoute = x.pointee.decision.pointee.route != nil || isUpstreams
        applyResponseEdits(
            x.pointee.decision.responsePlan, status, &headers.pointee, &scratch,
            formatContext(number, response: hasRoute))
        if answer.isScripts { appendScriptFields(headers, isGRPC) }
        headers.pointee.remove(rules.responseFixed)
        // What a call is answered with is gRPC's, whatever a route or a script makes of it.
        if isGRPC { headers.pointee.set(HeaderNames.name(.contentType), "application/grpc") }
        if isGRPC { noteGRPC(number) } else { settleType(answer, isEmpty: text.isEmpty) }
        var phrase = ReasonPhrase.of(status)
        if x.pointee.isScripted, runReplyScripts(number, &status, &phrase, &text) { return }
        var at = writeSpace
        writeStatusLine(&at, status, phrase, minorVersion: x.pointee.minorVersion)
        at = headers.pointee.copyLines(to: at)
        finishResponseHead(number, &at, needsDate: headers.pointee.find(.date) == nil)
        let headCount = at - writeSpace
        let bodyCount = x.pointee.flags.contains(.toHead) ? 0 : text.count
        let alive = sendResponse(x.pointee.downstream, headCount, text.start, bodyCount)
        x.pointee.flags.insert(.headSent)
        x.pointee.responseWireBytes = UInt64(headCount + bodyCount)
        x.pointee.responseBodyBytes = UInt64(bodyCount)
        if !x.pointee.flags.contains(.observed) {
            meter.overhead(ns: Syscalls.monotonicNs() &- max(nowNs, x.pointee.startNs))
        }
        if alive { finishExchange(number) } else { closeDownstream(x.pointee.downstream) }
    }

    /// No content, no type of it; ours is plain text, unless a route says otherwise.
    private func settleType(_ answer: LocalReply, isEmpty: Bool) {
        if isEmpty {
            if !answer.isScripts { responseHeaders.pointee.remove(.contentType) }
        } else if responseHeaders.pointee.find(.contentType) == nil {
            responseHeaders.pointee.append(HeaderNames.name(.contentType), "text/plain")
        }
    }

    /// Whether somebody wrote down what to answer: a script, a route that answers or redirects.
    private func isWritten(_ number: UInt32, _ answer: LocalReply) -> Bool {
        switch exchange(number).pointee.decision.pointee.outcome {
        case .direct, .redirect, .httpsRedirect: true
        default: answer.isScripts
        }
    }

    /// The body.
    private mutating func text(of answer: LocalReply) -> ByteView {
        if answer.connectCode != 0 { return connectTexts(answer.connectCode).answer }
        return answer.text.isEmpty ? answer.body : answer.text
    }

    /// A whole response of ours: its head in `writeSpace`, its body behind it or elsewhere.
    private mutating func sendResponse(
        _ slot: UInt32, _ headCount: Int, _ body: UnsafePointer<UInt8>, _ bodyCount: Int
    ) -> Bool {
        if isStream(slot) {
            return sendResponseHead(slot, writeSpace, headCount, ends: bodyCount == 0)
                && (bodyCount == 0 || send(slot, body, bodyCount))
        }
        if bodyCount == 0 { return send(slot, writeSpace, headCount) }
        if body == UnsafePointer(writeSpace) + headCount {
            return send(slot, writeSpace, headCount + bodyCount)
        }
        return send(slot, writeSpace, headCount, body, bodyCount)
    }

    private mutating func appendLength(_ count: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            let length = writeDecimal(UInt64(count), to: digits.baseAddress!)
            responseHeaders.pointee.append(
                HeaderNames.name(.contentLength), ByteView(digits.baseAddress!, length))
        }
    }

    /// An answer in gRPC's own terms: HTTP 200, the status mapped (istio-semantics.md 23).
    private mutating func appendGRPC(_ status: Int, _ text: ByteView) {
        responseHeaders.pointee.append(HeaderNames.name(.contentType), "application/grpc")
        responseHeaders.pointee.append(HeaderNames.name(.grpcStatus), GRPC.code(ofHTTP: status))
        if text.isEmpty { return }
        // Bodies of routes and scripts hold anything, line ends too.
        let told = text.slice(0, min(text.count, Limits.grpcMessageBytes))
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 3 * told.count) { space in
            let encoded = GRPC.percentEncode(told, to: space.baseAddress!)
            responseHeaders.pointee.append(HeaderName("grpc-message"), ByteView(space.baseAddress!, encoded))
        }
    }
}

extension Refusal {
    /// The client asked for HTTP/2 by ALPN, was given it, and sent a request of HTTP/1.
    static var notAsAgreed: Refusal {
        var refusal = Refusal(status: 400, reason: .badRequest, details: "http1_agreed_on_h2", flags: .DPE)
        refusal.text = "Client agreed on h2 by ALPN and sent a request of HTTP/1\n"
        return refusal
    }
}

/// Reason phrases of the statuses that Fairlead or a route may answer with (RFC 9110 15).
enum ReasonPhrase {
    static func of(_ status: Int) -> ByteView {
        switch status {
        case 100: "Continue"
        case 103: "Early Hints"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 413: "Payload Too Large"
        case 414: "URI Too Long"
        case 418: "I'm a teapot"
        case 422: "Unprocessable Entity"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Unknown"
        }
    }
}
