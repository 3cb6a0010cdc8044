// Explains one request by running `decide` with a trace that records, then the edits (ARCHITECTURE.md,
// decision 5). Control plane: allocates as it likes.
internal import Base
internal import Glibc
internal import HTTP

/// The decision for one request and why. `listener`: a listener's name; nil: the first that fits the URL.
/// `serverName`: what the client's handshake names (SNI); nil: the host of an https URL. `nowSeconds` nil:
/// now.
public func explain(
    _ snapshot: Snapshot, method: String, url: String, headers: [(String, String)],
    listener: String? = nil, serverName: String? = nil, nowSeconds: Int64? = nil,
    resolved: [ResolvedCluster] = []
) -> Explanation {
    var random = SystemRandomNumberGenerator()
    return withExtendedLifetime(resolved) {
        resolved.map(\.cluster).withUnsafeBufferPointer { clusters in
            explain(
                snapshot, method: method, url: url, headers: headers, listener: listener,
                serverName: serverName, nowSeconds: nowSeconds ?? Int64(time(nil)), random: random.next(),
                resolved: clusters.count == snapshot.named.count && !clusters.isEmpty
                    ? clusters.baseAddress : nil)
        }
    }
}

func explain(
    _ snapshot: Snapshot, method: String, url: String, headers: [(String, String)], listener: String?,
    serverName: String? = nil, nowSeconds: Int64, random: UInt64,
    resolved: UnsafePointer<UnsafePointer<Cluster>>? = nil
) -> Explanation {
    var explanation = Explanation()
    explanation.method = method
    explanation.url = url
    let entry = ExplainEntry(snapshot, URLParts(url), listener: listener, serverName: serverName)
    guard let entry else {
        explanation.problem = listener.map { "no listener \($0)" } ?? "no listener"
        explanation.outcome = "none"
        return explanation
    }
    explanation.listener = entry.listener.pointee.name.string
    explanation.server = entry.server
    explanation.problem = entry.remark
    let context = DecisionContext(random: random, nowSeconds: nowSeconds, isTLS: false, resolved: resolved)
    switch entry.next {
    case .requests: explainRequest(snapshot, entry.listener, headers, context, &explanation)
    case .relay(let server): explainRelay(snapshot, server, entry.listener, context, &explanation)
    case .refused(let problem, let status):
        explanation.problem = problem
        explanation.outcome = "none"
        explanation.status = status
        if status != nil { explanation.reason = .badRequest }
    }
    return explanation
}

/// A connection that is passed on: TLS with its server name, or TCP.
private func explainRelay(
    _ snapshot: Snapshot, _ server: UnsafePointer<ConnectionServer>, _ place: UnsafePointer<Listener>,
    _ context: DecisionContext, _ explanation: inout Explanation
) {
    let decision = decideConnection(server, place, place.pointee.address, context)
    fill(&explanation, snapshot, decision, RecordingTrace())
    explanation.rules = relayRules(server, place.pointee.address, decision.route)
    switch decision.outcome {
    case .forward: explanation.outcome = "relay"
    case .noRoute:
        // There is no request that could be answered 404.
        explanation.outcome = "none"
        explanation.status = nil
        explanation.problem =
            "no route of \(place.pointee.name.string) takes this connection: it is closed"
    default: break
    }
}

/// The routes of a server of connections in the order tried, up to the one taken.
private func relayRules(
    _ server: UnsafePointer<ConnectionServer>, _ local: SocketAddress, _ taken: UnsafePointer<Route>?
) -> [Explanation.Rule] {
    let routes = server.pointee.routes
    var rules: [Explanation.Rule] = []
    for index in 0..<routes.count {
        let route = routes[index].pointee.route
        let isTaken = route == taken
        rules.append(
            Explanation.Rule(
                document: route.pointee.document.string, name: route.pointee.name.string, matched: isTaken,
                failed: isTaken ? [] : ["destinationSubnets: \(local.text) is in none of them"]))
        if isTaken { break }
    }
    return rules
}

/// Destinations that share requests, with the part of each; and what is missing where the chosen one is.
private func tellTargets(_ decision: Decision, _ explanation: inout Explanation) {
    guard let route = decision.route else { return }
    let targets = (0..<route.pointee.targets.count).map { route.pointee.targets[$0].pointee }
    let total = targets.reduce(0) { $0 + $1.weight }
    if targets.count > 1, total > 0 {
        explanation.shares = targets.map { target in
            let tenths = (target.weight * 1_000 + total / 2) / total
            let part = tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
            return "\(part) % \(clusterWords(target.clusterName))"
        }
    }
    let missing = targets.filter { $0.cluster == nil }.map { clusterWords($0.clusterName) }
    guard decision.outcome == .noCluster, !missing.isEmpty, explanation.problem == nil else { return }
    explanation.problem = "there is no " + missing.joined(separator: ", no ")
}

/// `outbound|8080|v1|app.test` for people.
private func clusterWords(_ name: ByteView) -> String {
    let parts = name.string.split(separator: "|", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return name.isEmpty ? "such backend" : name.string }
    let port = parts[1].isEmpty || parts[1] == "0" ? "" : ":\(parts[1])"
    return "\(parts[3])\(port)" + (parts[2].isEmpty ? "" : ", subset \(parts[2])")
}

private func explainRequest(
    _ snapshot: Snapshot, _ place: UnsafePointer<Listener>, _ headers: [(String, String)],
    _ context: DecisionContext, _ explanation: inout Explanation
) {
    var context = context
    let table = snapshot.table
    let head = ExplainHead(
        method: explanation.method, url: explanation.url, headers: headers,
        normalization: table.pointee.proxy.pathNormalization)
    defer { head.deallocate() }
    if let problem = head.problem { explanation.problem = problem }
    var request = head.request
    var list = head.headers
    // Seen before any header operation takes it away.
    let origin = list.find(.origin)?.pointee.value ?? .empty
    context.isTLS = request.scheme.equals("https")
    var trace = RecordingTrace()
    var scripts = ExplainedScripts(table, place, request.authority)
    defer { scripts.deallocate() }
    // Live traffic keeps this order (`Listener.routesBeforeScripts`).
    if !place.pointee.routesBeforeScripts { scripts.run(request: &request, &list) }
    var decision = Decision(place)
    decide(table, place, &request, &list, context, &decision, &trace)
    if place.pointee.routesBeforeScripts { scripts.run(request: &request, &list) }
    fill(&explanation, snapshot, decision, trace)
    if let status = scripts.answer {
        explanation.outcome = "script-response"
        explanation.status = status
        explanation.destination = nil
    }
    var scratch = EditScratch()
    defer { scratch.deallocate() }
    if decision.outcome == .forward || decision.outcome == .passthrough {
        var format = FormatContext()
        applyRequestEdits(&decision, &request, &list, &scratch, &format)
    }
    explanation.edits = requestEdits(head, request, list)
    if decision.outcome == .redirect || decision.outcome == .httpsRedirect {
        let location = redirectLocation(decision, request, context, &scratch)
        explanation.edits.append("response: add location: \(location.string)")
    }
    explanation.edits += responseEdits(decision, origin, list, &scratch, &scripts)
    explanation.scripts = scripts.told
}

private func fill(
    _ explanation: inout Explanation, _ snapshot: Snapshot, _ decision: Decision, _ trace: RecordingTrace
) {
    let lane = decision.lane
    explanation.laneName = lane.left ? "" : lane.name.string
    explanation.laneKnown = lane.known
    explanation.carrier = lane.carrier
    explanation.carriers = trace.found
    explanation.conflicts = Carrier.allCases.filter { lane.conflicts.contains($0) }.map { carrier in
        let value = trace.found.first { $0.carrier == carrier }?.value
        return value.map { $0 == explanation.laneName } == true
            ? "\(carrier.name)=repeated with another value" : "\(carrier.name)=\(value ?? "another value")"
    }
    explanation.invalid = Carrier.allCases.filter { lane.invalidCarriers.contains($0) }.map(\.name)
    explanation.refused = Carrier.allCases.filter { lane.refusedCarriers.contains($0) }.map(\.name)
    explanation.stripped = Carrier.allCases.filter { lane.strippedCarriers.contains($0) }.map(\.name)
    explanation.virtualHost = decision.virtualHost?.pointee.name.string ?? ""
    explanation.rules = trace.rules
    explanation.decision = decision.laneDecision
    explanation.reason = decision.reason
    explanation.outcome = decision.outcome.name
    explanation.status = decision.status == 0 ? nil : decision.status
    if let cluster = decision.cluster {
        let endpoints = (0..<decision.endpoints.count).map { position in
            cluster.pointee.endpoints[Int(decision.endpoints[position].pointee)].pointee.addressText.string
        }
        explanation.destination = Explanation.Destination(
            service: cluster.pointee.service.string, subset: cluster.pointee.subset.string,
            port: cluster.pointee.port, cluster: cluster.pointee.name.string, endpoints: endpoints,
            tls: snapshot.model.clusters[cluster.pointee.index].tls?.words)
    }
    tellTargets(decision, &explanation)
}

/// Compares the request with what came in.
private func requestEdits(_ head: ExplainHead, _ request: Request, _ list: HeaderList) -> [String] {
    var edits: [String] = []
    func compare(_ what: String, _ before: ByteView, _ after: ByteView) {
        if !before.equals(after) { edits.append("request: \(what) \(before.string) -> \(after.string)") }
    }
    compare("authority", head.request.authority, request.authority)
    compare("path", head.request.path, request.path)
    if head.request.hasQuery { compare("query", head.request.query, request.query) }
    for (index, line) in head.lines.enumerated() where line.name != "host" {
        let field = list.fields[index]
        if field.dropped {
            edits.append("request: remove \(line.name): \(line.value)")
        } else if field.value.string != line.value.trimmedBlanks {
            edits.append("request: rewrite \(line.name): \(field.value.string)")
        }
    }
    for index in head.lines.count..<max(head.lines.count, list.count) {
        let field = list.fields[index]
        if !field.dropped, field.name.string != "host" {
            edits.append("request: add \(field.name.string): \(field.value.string)")
        }
    }
    return edits
}

/// What the plan does to an empty response.
private func responseEdits(
    _ decision: Decision, _ origin: ByteView, _ request: HeaderList, _ scratch: inout EditScratch,
    _ scripts: inout ExplainedScripts
) -> [String] {
    var response = HeaderList()
    defer { response.deallocate() }
    withUnsafePointer(to: request) { lines in
        var format = FormatContext()
        format.requestHeaders = lines
        format.cors = decision.route?.pointee.cors
        format.origin = origin
        var plan = decision.response
        applyResponseEdits(&plan, decision.status, &response, &scratch, &format)
    }
    let status = scripts.answer ?? decision.status
    scripts.run(status: status == 0 ? 200 : status, &response)
    var edits: [String] = []
    for index in 0..<response.count where !response.fields[index].dropped {
        let field = response.fields[index]
        edits.append("response: add \(field.name.string): \(field.value.string)")
    }
    let levels = decision.response.levels
    for level in 0..<levels.count {
        let remove = levels[level].pointee.remove
        for index in 0..<remove.count {
            edits.append("response: remove \(remove[index].pointee.bytes.string)")
        }
    }
    return edits
}

extension String {
    fileprivate var trimmedBlanks: String { withView { $0.trimmed.string } }
}

extension Outcome {
    public var name: String {
        switch self {
        case .forward: "forward"
        case .passthrough: "passthrough"
        case .redirect: "redirect"
        case .httpsRedirect: "https-redirect"
        case .direct: "direct-response"
        case .preflight: "cors-preflight"
        case .noRoute: "no-route"
        case .noCluster: "no-cluster"
        case .noHealthyUpstream: "no-healthy-upstream"
        case .laneEmpty: "lane-empty"
        case .laneRejected: "lane-rejected"
        case .laneLost: "lane-lost"
        case .blocked: "blocked"
        }
    }
}

/// Writes down what `decide` does, in words.
struct RecordingTrace: DecisionTrace {
    static var isRecording: Bool { true }
    private(set) var rules: [Explanation.Rule] = []
    private(set) var found: [Explanation.Found] = []
    private var failed: [String] = []

    mutating func trying(_ route: UnsafePointer<Route>) { failed = [] }

    mutating func tried(_ route: UnsafePointer<Route>, _ matched: Bool) {
        rules.append(
            Explanation.Rule(
                document: route.pointee.document.string, name: route.pointee.name.string, matched: matched,
                failed: failed))
    }

    mutating func found(_ carrier: Carrier, _ value: ByteView) {
        found.append(Explanation.Found(carrier: carrier, value: value.string))
    }

    mutating func failed(
        _ field: ConditionField, _ name: ByteView, _ matcher: Matcher, _ inverted: Bool, _ actual: ByteView?
    ) {
        let what =
            switch field {
            case .uri: "uri"
            case .path: "header :path"
            case .method: name.isEmpty ? "method" : "header :method"
            case .authority: name.isEmpty ? "authority" : "header \(name.string)"
            case .scheme: name.isEmpty ? "scheme" : "header :scheme"
            case .header: "header \(name.string)"
            case .query: "query parameter \(name.string)"
            }
        let expected = matcher.words
        let got = actual.map { "is \"\($0.string)\"" } ?? "is missing"
        failed.append("\(what): expected \(inverted ? "not " : "")\(expected), but it \(got)")
    }
}

extension Matcher {
    var words: String {
        switch kind {
        case .none: "anything"
        case .exact: "exact \"\(text.string)\""
        case .prefix: "prefix \"\(text.string)\""
        case .present: "any value"
        case .exactIgnoringCase: "exact \"\(text.string)\" in any case"
        case .prefixIgnoringCase: "prefix \"\(text.string)\" in any case"
        case .pathSegments: "path prefix \"\(text.isEmpty ? "/" : text.string)\""
        case .shape, .regex: "regex \"\(pattern.string)\""
        }
    }
}
