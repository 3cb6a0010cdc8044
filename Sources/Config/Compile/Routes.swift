// One VirtualService to the routes that exist for one proxy, gateway and port (istio-semantics.md 4 to 6).
internal import Lanes

extension Compiler {
    /// The routes of a VirtualService seen from `gateway` (`mesh` or `namespace/name`) on a port; empty: it
    /// is absent there.
    func routes(_ document: VirtualServiceDocument, gateway: String, port: UInt16) -> [RouteModel] {
        let key = RoutesKey(document: ObjectIdentifier(document), gateway: gateway, port: port)
        if let known = routesByPort[key] { return known }
        var routes: [RouteModel] = []
        entries: for entry in entries(document) {
            if entry.matches.isEmpty {
                // Everything matches, so nothing after this entry is ever reached.
                routes.append(route(entry, line: entry.ref.line, port: port))
                break
            }
            var first: RouteModel?
            for match in entry.matches where exists(match, gateway: gateway, port: port) {
                // What the request has to be is all that tells the routes of one entry apart.
                var route = first ?? route(entry, line: match.line, port: port)
                if first == nil, entry.matches.count > 1 { first = route }
                route.source.line = match.line
                route.match = match.model
                if !match.name.isEmpty { route.name = "\(entry.name).\(match.name)" }
                routes.append(route)
                if match.model.endsList { break entries }
            }
        }
        routesByPort[key] = routes
        return routes
    }

    private func entries(_ document: VirtualServiceDocument) -> [VirtualServiceDocument.HTTPRoute] {
        guard document.http.contains(where: { $0.delegate != nil }) else { return document.http }
        let key = "\(document.meta.namespace)/\(document.meta.name)"
        if let known = entriesByVirtualService[key] { return known }
        let merged = expandDelegates(document)
        entriesByVirtualService[key] = merged
        return merged
    }

    /// Conditions that are decided when the table is built.
    private func exists(_ match: VirtualServiceDocument.Match, gateway: String, port: UInt16) -> Bool {
        if match.isUnsupported { return false }
        if let wanted = match.port, wanted != port { return false }
        if !match.gateways.isEmpty { return match.gateways.contains(gateway) }
        return proxy.model.labels.contains(match.sourceLabels)
            && (match.sourceNamespace.isEmpty || match.sourceNamespace == proxy.model.namespace)
    }

    /// What is done with the requests of an entry. `line`: of its first match.
    private func route(
        _ entry: VirtualServiceDocument.HTTPRoute, line: Int, port: UInt16
    ) -> RouteModel {
        var source = entry.ref
        source.line = line
        var route = RouteModel(name: entry.name, source: source, action: .forward([]))
        route.requestHeaders = entry.requestHeaders
        route.responseHeaders = entry.responseHeaders
        if var redirect = entry.redirect {
            if redirect.portFromRequest { redirect.port = Int(port) }
            route.action = .redirect(redirect)
        } else if let direct = entry.direct {
            route.action = .direct(status: direct.status, body: direct.body)
        } else {
            forward(&route, entry, port: port)
        }
        return route
    }

    private func forward(
        _ route: inout RouteModel, _ entry: VirtualServiceDocument.HTTPRoute, port: UInt16
    ) {
        route.timeoutMs = entry.timeoutMs ?? 0
        if let retries = entry.retries {
            route.connectRetries = retries.onConnectFailure
            route.refusedRetries = retries.onRefusedStream
        }
        route.cors = entry.cors
        var authority = entry.rewrite?.authority ?? entry.authority
        var targets: [TargetModel] = []
        let isSingle = entry.destinations.count == 1
        route.isSplit = entry.destinations.count > 1
        for destination in entry.destinations where isSingle || (destination.weight ?? 0) > 0 {
            var target = target(
                host: destination.host, subset: destination.subset, port: destination.port, arrivalPort: port,
                weight: destination.weight ?? 0, source: route.source)
            if isSingle {
                // One level: the destination's sets come later and so win.
                route.requestHeaders.append(destination.requestHeaders)
                route.responseHeaders.append(destination.responseHeaders)
                authority = authority ?? destination.authority
            } else {
                target.requestHeaders = destination.requestHeaders
                target.responseHeaders = destination.responseHeaders
                if authority == nil { target.authority = destination.authority }
            }
            targets.append(target)
        }
        route.action = .forward(targets)
        if entry.rewrite != nil || authority != nil {
            var rewrite = entry.rewrite ?? RewriteModel()
            rewrite.authority = authority
            route.rewrite = rewrite
        }
    }
}

/// A VirtualService at a gateway's (or the mesh's) port.
struct RoutesKey: Hashable {
    var document: ObjectIdentifier
    var gateway: String
    var port: UInt16
}

extension MatchModel {
    /// No condition besides the path's.
    var hasOnlyURI: Bool {
        headers.isEmpty && queryParams.isEmpty && method == nil && authority == nil && scheme == nil
    }

    /// Prefix `/` (or no condition on the path) or regex `.*` and no other condition on the request: the list
    /// of its VirtualService ends here, and gateways move it behind the other routes of a host. An empty
    /// prefix matches as much and does neither.
    var endsList: Bool { isCatchAll && uri != .prefix("") }

    /// Matches every request.
    var isCatchAll: Bool {
        guard hasOnlyURI else { return false }
        switch uri {
        case nil, .prefix("/")?, .prefix("")?, .regex(".*")?: return true
        default: return false
        }
    }
}

extension HeaderOperations {
    /// Concatenates another level into this one.
    mutating func append(_ other: HeaderOperations) {
        remove += other.remove
        set += other.set
        add += other.add
    }
}
