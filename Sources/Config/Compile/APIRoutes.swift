// One rule of an HTTPRoute or GRPCRoute to the routes of the model (istio-semantics.md 21.3 to 21.6), and the
// order in which the rules of all routes of a host are tried.
internal import Lanes

/// A route with what orders it among others.
struct RankedRoute {
    var route: RouteModel
    var rank: APIRoute.Rank
}

extension Compiler {
    /// The rules of routes given oldest first, as they are tried. `port` is the listener's; `domain` the host
    /// name that they are tried for, nil in the mesh.
    func orderedRoutes(_ numbers: [Int], port: UInt16, domain: String? = nil) -> [RouteModel] {
        var ranked: [RankedRoute] = []
        var hosts: [APIRoute.HostRank] = []
        for number in numbers {
            let own = rankedRoutes(number, port: port)
            let host = domain.map { registry.attachments.routes[number].hostRank(for: $0) } ?? .init()
            ranked += own
            hosts += repeatElement(host, count: own.count)
        }
        // The sort must be stable: age, name and place in the route decide the rest.
        let order = ranked.indices.sorted { left, right in
            if hosts[left] != hosts[right] { return hosts[left].isBefore(hosts[right]) }
            return ranked[left].rank.isBefore(ranked[right].rank) ?? (left < right)
        }
        ranked = order.map { ranked[$0] }
        noteCovered(ranked)
        return ranked.map(\.route)
    }

    /// What a TLSRoute or TCPRoute does with connections; nil: it has no rule. `isEncrypted`: they are TLS
    /// that passes through.
    func relayRoute(_ number: Int, port: UInt16, isEncrypted: Bool) -> ConnectionRouteModel? {
        let document = registry.attachments.routes[number]
        guard let rule = document.rules.first else { return nil }
        var source = document.meta.ref
        source.line = rule.line
        let backends = rule.backends.filter { $0.weight > 0 }
        let name = rule.name.isEmpty ? "\(document.meta.namespace).\(document.meta.name).0" : rule.name
        let targets = targets(document, rule, backends, source, port: port, isEncrypted: isEncrypted)
        return ConnectionRouteModel(route: RouteModel(name: name, source: source, action: .forward(targets)))
    }

    private func rankedRoutes(_ number: Int, port: UInt16) -> [RankedRoute] {
        let key = "\(port) \(number)"
        if let known = apiRoutes[key] { return known }
        let document = registry.attachments.routes[number]
        var made: [RankedRoute] = []
        for (index, rule) in document.rules.enumerated() {
            let template = route(document, rule, index, port: port)
            for match in rule.matches {
                var route = template
                route.match = match.model
                route.source.line = match.line
                made.append(RankedRoute(route: route, rank: match.rank))
            }
        }
        apiRoutes[key] = made
        return made
    }

    private func route(
        _ document: APIRoute, _ rule: APIRoute.Rule, _ index: Int, port: UInt16
    ) -> RouteModel {
        let name = rule.name.isEmpty ? "\(document.meta.namespace).\(document.meta.name).\(index)" : rule.name
        var source = document.meta.ref
        source.line = rule.line
        var route = RouteModel(name: name, source: source, action: .forward([]))
        route.requestHeaders = rule.filters.requestHeaders
        route.responseHeaders = rule.filters.responseHeaders
        route.timeoutMs = rule.timeoutMs
        let backends = rule.backends.filter { $0.weight > 0 }
        // Where nothing is behind, all of it is 500, preflights too.
        if !backends.isEmpty { route.cors = rule.filters.cors }
        // A filter of the only backend there is acts on all requests of the rule.
        let lone = backends.count == 1 ? backends[0].filters : nil
        if let redirect = rule.filters.redirect ?? lone?.redirect, rule.filters.failing == nil {
            route.action = .redirect(redirectModel(redirect, port: port))
            return route
        }
        let rewrite = rule.filters.rewrite ?? lone?.rewrite
        let authority = rewrite?.hostname ?? rule.filters.authority
        if rewrite != nil || authority != nil {
            var model = RewriteModel()
            model.authority = authority
            switch rewrite?.path {
            case .full(let path)?:
                model.uri = path
                model.replacesPath = true
            case .prefix(let prefix)?: model.uri = prefix
            case nil: break
            }
            route.rewrite = model
        }
        route.action = .forward(targets(document, rule, backends, source, port: port))
        return route
    }

    /// Backends that cannot be reached keep their share, which is answered 500; so is everything where there
    /// is none.
    private func targets(
        _ document: APIRoute, _ rule: APIRoute.Rule, _ backends: [BackendReference], _ source: SourceRef,
        port: UInt16, isEncrypted: Bool = false
    ) -> [TargetModel] {
        func missing(_ name: String, weight: Int) -> TargetModel {
            var target = TargetModel(cluster: nil, clusterName: name, weight: weight)
            target.missingStatus = 500
            return target
        }
        if let failing = rule.filters.failing { return [missing("filter \(failing)", weight: 1)] }
        if backends.isEmpty { return [missing("no backend", weight: 1)] }
        return backends.map { backend in
            let filters = backend.filters
            let isLifted = backends.count == 1
            if filters.failing != nil || !isLifted && (filters.redirect != nil || filters.rewrite != nil)
                || filters.cors != nil
                || backend.problem(document, registry.attachments, inMesh: !proxy.model.isEdge) != nil
            {
                // Its header operations act on the answer all the same.
                var target = missing(
                    "outbound|\(backend.port ?? 0)||\(backend.host)", weight: backend.weight)
                target.requestHeaders = filters.requestHeaders
                target.responseHeaders = filters.responseHeaders
                return target
            }
            var target = target(
                host: backend.host, subset: "", port: backend.port, arrivalPort: port,
                weight: backend.weight, source: source, isEncrypted: isEncrypted)
            target.missingStatus = 500
            target.requestHeaders = filters.requestHeaders
            target.responseHeaders = filters.responseHeaders
            target.authority = filters.authority
            return target
        }
    }

    /// Without a port the scheme's own counts, without a scheme the listener's port.
    private func redirectModel(_ redirect: APIRedirect, port: UInt16) -> RedirectModel {
        var model = RedirectModel()
        model.code = redirect.code
        model.scheme = redirect.scheme
        model.authority = redirect.hostname
        switch (redirect.port, redirect.scheme) {
        case (let given?, _): model.port = given
        case (nil, "https"?): model.port = 443
        case (nil, "http"?): model.port = 80
        default: model.port = Int(port)
        }
        switch redirect.path {
        case .full(let path)?: model.uri = path.isEmpty ? "/" : path
        case .prefix(let prefix)?: model.prefixRewrite = prefix
        case nil: break
        }
        return model
    }

    /// A match that an earlier one has word for word is never reached.
    private func noteCovered(_ ranked: [RankedRoute]) {
        var first: [String: SourceRef] = [:]
        for entry in ranked {
            let source = entry.route.source
            guard let earlier = first.updateValue(source, forKey: entry.route.match.text) else { continue }
            first[entry.route.match.text] = earlier
            note(
                .warning, Code.unreachableRule, "this match of \(entry.route.name) is never used", source,
                suggestion:
                    "\(earlier.document) at \(earlier.file):\(earlier.line) has the same and comes first")
        }
    }
}

extension MatchModel {
    /// Equal for equal conditions of the Gateway API.
    fileprivate var text: String {
        func text(_ match: StringMatch?) -> String {
            switch match {
            case nil: "-"
            case .exact(let text)?: "e\(text)"
            case .prefix(let text)?:
                "p"
                    + (uriPrefixBySegment && text.count > 1 && text.hasSuffix("/")
                        ? String(text.dropLast()) : text)
            case .regex(let text)?: "r\(text)"
            case .present?: "*"
            }
        }
        var result = text(uri) + "\n" + text(method)
        for (mark, list) in [("h", headers), ("q", queryParams)] {
            for named in list.sorted(by: { $0.name < $1.name }) {
                result += "\n\(mark)\(named.name)\n" + text(named.match)
            }
        }
        return result
    }
}
