// The decision for one request, in the order of its steps: injection, lane, virtual host, route, target,
// endpoints. Explain runs this very code with a trace that records (ARCHITECTURE.md, decision 5).
public import Base
public import HTTP

/// Decides where a request goes and edits its carriers on the way; initialises `place`. Views and pointers of
/// the result hold as long as the table and the request's head. No allocation, no locks; cost does not grow
/// with the number of lanes.
public func decide(
    _ table: UnsafePointer<Table>, _ listener: UnsafePointer<Listener>, _ request: inout Request,
    _ headers: inout HeaderList, _ context: DecisionContext, into place: UnsafeMutablePointer<Decision>
) {
    var trace = NoTrace()
    place.initialize(to: Decision(listener))
    decide(table, listener, &request, &headers, context, &place.pointee, &trace)
}

func decide<Trace: DecisionTrace>(
    _ table: UnsafePointer<Table>, _ listener: UnsafePointer<Listener>, _ request: inout Request,
    _ headers: inout HeaderList, _ context: DecisionContext, _ decision: inout Decision,
    _ trace: inout Trace
) {
    decision.originalAuthority = request.authority
    decision.response.isTLS = context.isTLS
    let role = listener.pointee.role
    if role == .outbound, !table.pointee.injected.isEmpty {
        inject(table, &headers, &decision)
    }
    let received = headers.count
    let scan = scanLines(table.pointee.policy, role == .edge, &headers)
    decision.debugRequested = scan.debugRequested
    if let policy = table.pointee.policy {
        let entry = LaneEntry<Trace>(
            table: table, policy: policy, role: role, nowSeconds: context.nowSeconds)
        entry.enter(scan, &request, &headers, &decision, context.memo, &trace)
        if role == .edge, request.method.count == 7 {
            decision.response.preflightAsksForKey = preflightAsks(for: policy, request, headers)
        }
        decision.response.pinSeconds = context.nowSeconds
    }
    if decision.outcome != .laneRejected, decision.outcome != .laneLost {
        // The lane's own line may have been added behind those that were received.
        var notes = LineNotes(firstKey: scan.firstKey, firstCookie: scan.firstCookie)
        if scan.firstKey < 0, headers.count > received { notes.firstKey = received }
        route(table, listener, &request, &headers, notes, context, &decision, &trace)
    }
    if let policy = decision.response.policy, policy.pointee.stripQuery, role == .edge,
        decision.outcome == .forward || decision.outcome == .passthrough
    {
        stripParameter(policy.pointee.key, &request, &headers)
    }
    decision.response.reason = decision.reason
    if decision.injected != nil { decision.needsFormatting = true }
}

/// `Proxy.spec.headers`: as if the application had sent them, so that routes and lanes see them; where a
/// value needs what only the worker knows it waits for `applyRequestEdits`.
private func inject(
    _ table: UnsafePointer<Table>, _ headers: inout HeaderList, _ decision: inout Decision
) {
    let place =
        UnsafeRawPointer(table) + MemoryLayout<Table>.offset(of: \Table.injected).unsafelyUnwrapped
    let level = place.assumingMemoryBound(to: HeaderLevel.self)
    if table.pointee.injectedIsFormatted {
        decision.injected = level
    } else {
        applyLiteral(level, &headers)
    }
}

// Request and headers are `inout` though they are only read: values of their size are copied else.
private func route<Trace: DecisionTrace>(
    _ table: UnsafePointer<Table>, _ listener: UnsafePointer<Listener>, _ request: inout Request,
    _ headers: inout HeaderList, _ notes: LineNotes, _ context: DecisionContext, _ decision: inout Decision,
    _ trace: inout Trace
) {
    let inLane = decision.lane.known
    if inLane { decision.laneDecision = .stable }
    guard let host = findVirtualHost(listener, &request, context.memo) else {
        let canPass = listener.pointee.role == .outbound
        decision.outcome =
            !canPass ? .noRoute : table.pointee.proxy.allowAnyOutbound ? .passthrough : .blocked
        if decision.outcome != .passthrough { decision.reason = .noRoute }
        return
    }
    decision.virtualHost = host
    if host.pointee.httpsRedirect, !context.isTLS {
        decision.outcome = .httpsRedirect
        return
    }
    guard let route = findRoute(host, &request, &headers, notes, &trace) else {
        decision.outcome = .noRoute
        decision.reason = .noRoute
        return
    }
    decision.route = route
    decision.needsFormatting = route.pointee.isFormatted
    decision.response.levels = route.pointee.responseLevels
    switch route.pointee.action {
    case .redirect: decision.outcome = .redirect
    case .direct: decision.outcome = .direct
    case .passthrough: decision.outcome = .passthrough
    case .blocked:
        decision.outcome = .blocked
        decision.reason = .noRoute
    case .forward: forward(route, context, &decision)
    case .forwardWithCORS:
        if !answersPreflight(route, request, headers, &decision) {
            forward(route, context, &decision)
            // The Origin is kept aside with the edits, before the head is gone.
            if decision.response.cors != .none { decision.editsRequest = true }
        }
    }
    if inLane, route.pointee.requiresLane { decision.laneDecision = .lane }
}

private func findRoute<Trace: DecisionTrace>(
    _ host: UnsafePointer<VirtualHost>, _ request: inout Request, _ headers: inout HeaderList,
    _ notes: LineNotes, _ trace: inout Trace
) -> UnsafePointer<Route>? {
    let routes = host.pointee.routes
    if !Trace.isRecording, let index = host.pointee.index {
        return index.pointee.choose(routes, request, headers, notes)
    }
    var at = 0
    while at < routes.count {
        let route = routes[at]
        if !Trace.isRecording, route.pointee.conditions.pointee.holdAlways { return route }
        trace.trying(route)
        let matched = matches(route.pointee.conditions, request, headers, proven: false, &trace)
        trace.tried(route, matched)
        if matched { return route }
        at &+= 1
    }
    return nil
}

/// Draws the target by weight (istio-semantics.md 5.1) and chooses its endpoints.
func forward(
    _ route: UnsafePointer<Route>, _ context: DecisionContext, _ decision: inout Decision
) {
    let targets = route.pointee.targets
    guard !targets.isEmpty else {
        decision.outcome = .noCluster
        decision.reason = .noCluster
        return
    }
    var target = targets[0]
    if targets.count > 1, route.pointee.totalWeight > 0 {
        var left = context.random % route.pointee.totalWeight
        var at = 0
        while at < targets.count &- 1, left >= targets[at].pointee.weight {
            left &-= targets[at].pointee.weight
            at &+= 1
        }
        target = targets[at]
    }
    decision.target = target
    decision.needsFormatting = target.pointee.isFormatted
    decision.editsRequest =
        decision.injected != nil || route.pointee.rewrite != nil || target.pointee.requestLevels.count > 0
        || !target.pointee.authority.isEmpty
    decision.response.levels = target.pointee.responseLevels
    guard var cluster = target.pointee.cluster else {
        decision.outcome = .noCluster
        decision.reason = .noCluster
        return
    }
    if cluster.pointee.resolvedIndex >= 0, let resolved = context.resolved {
        cluster = resolved[Int(cluster.pointee.resolvedIndex)]
    }
    decision.cluster = cluster
    decision.outcome = .forward
    chooseEndpoints(cluster, &decision)
}

/// The lane's members where it has some here, else stable (lanes.md 5).
private func chooseEndpoints(_ cluster: UnsafePointer<Cluster>, _ decision: inout Decision) {
    if let lane = decision.lane.lane, let members = cluster.pointee.members(ofLane: lane.pointee.index) {
        if lane.pointee.mode == .observe {
            decision.observed = !members.isEmpty
        } else if !members.isEmpty {
            decision.endpoints = members
            decision.laneDecision = .lane
            if lane.pointee.mode == .loose, !lane.pointee.failWhenEmpty {
                decision.fallbackEndpoints = cluster.pointee.stable
            }
            return
        } else {
            decision.reason = .laneEmpty
            if lane.pointee.mode == .strict || lane.pointee.failWhenEmpty {
                decision.laneDecision = .lane
                decision.outcome = .laneEmpty
                return
            }
        }
    }
    decision.endpoints = cluster.pointee.stable
    if decision.endpoints.isEmpty, !cluster.pointee.resolvesRequest {
        decision.outcome = .noHealthyUpstream
        decision.reason = .noHealthyUpstream
    }
}

/// On an outbound listener the Host's port chooses the routes; without one it is 80, or the service's only
/// HTTP port where it has no 80 (interface.md 3).
@inline(__always)
func findVirtualHost(
    _ listener: UnsafePointer<Listener>, _ request: inout Request,
    _ memo: UnsafeMutablePointer<DecisionMemo>?
) -> UnsafePointer<VirtualHost>? {
    let tables = listener.pointee.tables
    if request.hasPlainAuthority, listener.pointee.role != .outbound, !tables.isEmpty {
        let hosts = tables[0].pointee.hosts
        // The bytes of the table itself: the connection's last authority, as it was settled.
        if let entry = memo?.pointee.host, entry.pointee.key.start == request.authority.start {
            return hosts.pointee.virtualHosts[Int(entry.pointee.value)]
        }
        return find(request.authority, hosts, memo)
    }
    return findVirtualHost(listener, request.authority)
}

@inline(never)
private func find(
    _ host: ByteView, _ hosts: UnsafePointer<HostIndex>, _ memo: UnsafeMutablePointer<DecisionMemo>?
) -> UnsafePointer<VirtualHost>? {
    guard let entry = hosts.pointee.exact.slot(host) else { return hosts.pointee.findWildcard(host) }
    if let memo { memo.pointee.host = entry }
    return hosts.pointee.virtualHosts[Int(entry.pointee.value)]
}

@inline(never)
private func findVirtualHost(
    _ listener: UnsafePointer<Listener>, _ authority: ByteView
) -> UnsafePointer<VirtualHost>? {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: hostBytes) { room in
        guard let host = lowerHost(authority, room.baseAddress.unsafelyUnwrapped) else { return nil }
        let tables = listener.pointee.tables
        if tables.isEmpty { return nil }
        // An outbound listener of one port has one table.
        guard listener.pointee.role == .outbound, tables.count > 1 else {
            return tables[0].pointee.hosts.pointee.find(host)
        }
        if host.count < authority.count {
            return hostsOfPort(portNumber(authority) ?? 0, tables)?.pointee.find(host)
        }
        let web = hostsOfPort(80, tables)
        if let exact = web?.pointee.findExact(host) { return exact }
        if let at = listener.pointee.onlyPort.find(host) {
            return tables[Int(at)].pointee.hosts.pointee.findExact(host)
        }
        return web?.pointee.findWildcard(host)
    }
}

/// The name of the route that a request would take as it is now; empty: none. For scripts that ask before the
/// request is decided: lanes play no part.
public func routeName(
    _ listener: UnsafePointer<Listener>, _ request: Request, _ headers: HeaderList
) -> ByteView {
    guard let host = findVirtualHost(listener, request.authority) else { return .empty }
    var trace = NoTrace()
    let routes = host.pointee.routes
    for index in 0..<routes.count {
        let conditions = routes[index].pointee.conditions
        if matches(conditions, request, headers, proven: false, &trace) { return routes[index].pointee.name }
    }
    return .empty
}

/// The port that a request on an outbound listener is for, as `findVirtualHost` has it.
public func outboundPort(_ listener: UnsafePointer<Listener>, _ authority: ByteView) -> UInt16 {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: hostBytes) { room in
        guard let host = lowerHost(authority, room.baseAddress.unsafelyUnwrapped) else { return 0 }
        let tables = listener.pointee.tables
        if tables.count == 1 { return tables[0].pointee.port }
        if host.count < authority.count { return portNumber(authority) ?? 0 }
        // Table 80 has services that have no port 80, too: `NAME:PORT` tells.
        if let found = hostsOfPort(80, tables)?.pointee.findExact(host) {
            return portNumber(found.pointee.name) ?? 80
        }
        guard let at = listener.pointee.onlyPort.find(host) else { return 80 }
        return tables[Int(at)].pointee.port
    }
}

private func hostsOfPort(_ port: UInt16, _ tables: Frozen<PortRoutes>) -> UnsafePointer<HostIndex>? {
    var low = 0
    var high = tables.count
    while low < high {
        let middle = (low &+ high) &>> 1
        if tables[middle].pointee.port < port { low = middle &+ 1 } else { high = middle }
    }
    if low < tables.count, tables[low].pointee.port == port { return tables[low].pointee.hosts }
    // The table of ports that no service has.
    return tables[0].pointee.port == 0 ? tables[0].pointee.hosts : nil
}

/// OPTIONS with an Origin whose Access-Control-Request-Headers name the lane header (lanes.md 4).
private func preflightAsks(
    for policy: UnsafePointer<LanePolicy>, _ request: Request, _ headers: HeaderList
) -> Bool {
    guard request.method.equals("OPTIONS"), headers.find(.origin) != nil,
        headers.find(.accessControlRequestMethod) != nil
    else { return false }
    var from = 0
    while let line = headers.find(.accessControlRequestHeaders, from: from) {
        if hasToken(line.pointee.value, policy.pointee.header.bytes) { return true }
        from = headers.index(of: line) &+ 1
    }
    return false
}

/// Whether a comma-separated list holds a token, the case of letters aside.
func hasToken(_ list: ByteView, _ token: ByteView) -> Bool {
    var pieces = Pieces(list, separator: 0x2C)
    while let piece = pieces.next() {
        if piece.trimmed.equalsIgnoringCase(token) { return true }
    }
    return false
}
