// Freezes route tables: virtual hosts by name, routes with conditions, actions and header operations, and the
// index over routes that a literal speaks for.
internal import Base
internal import HTTP

extension TableBuilder {
    mutating func freezeRouteTables() throws(TableError) -> [UnsafePointer<HostIndex>] {
        var tables: [UnsafePointer<HostIndex>] = []
        for table in model.routeTables { tables.append(try freeze(table)) }
        return tables
    }

    private mutating func freeze(_ table: RouteTableModel) throws(TableError) -> UnsafePointer<HostIndex> {
        var hosts: [VirtualHost] = []
        for host in table.virtualHosts { hosts.append(try freeze(host)) }
        var exact: [(ByteView, UInt32)] = []
        var suffixes: [Int: [(ByteView, UInt32)]] = [:]
        var prefixes: [Int: [(ByteView, UInt32)]] = [:]
        var any = -1
        for (position, host) in table.virtualHosts.enumerated() {
            for domain in host.domains {
                let text = domain.lowercased()
                let at = UInt32(position)
                if text == "*" {
                    if any < 0 { any = position }
                } else if text.hasPrefix("*") {
                    let part = arena.store(String(text.dropFirst()))
                    suffixes[part.count, default: []].append((part, at))
                } else if text.hasSuffix("*") {
                    let part = arena.store(String(text.dropLast()))
                    prefixes[part.count, default: []].append((part, at))
                } else {
                    exact.append((arena.store(text), at))
                }
            }
        }
        func longestFirst(_ groups: [Int: [(ByteView, UInt32)]]) -> Frozen<HostIndex.Wildcards> {
            arena.store(
                groups.sorted { $0.key > $1.key }
                    .map { HostIndex.Wildcards(length: $0.key, parts: ByteTable($0.value, arena)) })
        }
        return UnsafePointer(
            arena.store(
                HostIndex(
                    virtualHosts: arena.store(hosts), exact: ByteTable(exact, arena),
                    suffixes: longestFirst(suffixes), prefixes: longestFirst(prefixes), any: any)))
    }

    private mutating func freeze(_ host: VirtualHostModel) throws(TableError) -> VirtualHost {
        var routes: [Route] = []
        for route in host.routes { routes.append(try freeze(route)) }
        let frozen = arena.store(routes)
        return VirtualHost(
            name: arena.store(host.name), httpsRedirect: host.httpsRedirect, routes: frozen,
            index: freezeIndex(frozen))
    }

    // MARK: routes

    mutating func freeze(_ route: RouteModel) throws(TableError) -> Route {
        let conditions = try freezeConditions(route.match)
        let request = try freezeLevels(route.requestHeaders, isRequest: true)
        let response = try freezeLevels(route.responseHeaders, isRequest: false)
        var frozen = Route(
            name: arena.store(route.name), document: arena.store(route.source.document), action: .forward,
            timeoutMs: route.timeoutMs, targets: .empty, status: 0,
            connectRetries: UInt8(clamping: route.connectRetries),
            refusedRetries: UInt8(clamping: route.refusedRetries), body: .empty,
            requiresLane: requiresLane(route.match), totalWeight: 0,
            conditions: UnsafePointer(arena.store(conditions)), redirect: nil,
            rewrite: try freezeRewrite(route.rewrite), cors: nil, requestLevels: request,
            responseLevels: response,
            isFormatted: isFormatted(request) || isFormatted(response))
        switch route.action {
        case .passthrough: frozen.action = .passthrough
        case .blocked: frozen.action = .blocked
        case .direct(let status, let body):
            frozen.action = .direct
            frozen.status = UInt16(clamping: status)
            frozen.body = arena.store(body)
        case .redirect(let redirect):
            frozen.action = .redirect
            frozen.status = UInt16(clamping: redirect.code)
            frozen.redirect = UnsafePointer(arena.store(freeze(redirect)))
        case .forward(let targets):
            var made: [Target] = []
            let single = targets.count == 1 && !route.isSplit
            for target in targets { made.append(try freeze(target, route, single: single)) }
            frozen.targets = arena.store(made)
            frozen.totalWeight = made.reduce(0) { $0 &+ $1.weight }
            if let cors = route.cors {
                frozen.action = .forwardWithCORS
                frozen.isFormatted = true
                frozen.cors = UnsafePointer(arena.store(try freeze(cors)))
            }
        }
        return frozen
    }

    private mutating func freeze(
        _ target: TargetModel, _ route: RouteModel, single: Bool
    ) throws(TableError) -> Target {
        var cluster: UnsafePointer<Cluster>?
        if let index = target.cluster {
            guard index >= 0, index < clusters.count else { throw TableError.reference("cluster \(index)") }
            cluster = clusters[index]
        }
        let request: Frozen<HeaderLevel>
        let response: Frozen<HeaderLevel>
        if single {
            // One destination: one level of both, the entry's operations first.
            request = try freezeLevels(
                merged(route.requestHeaders, target.requestHeaders), isRequest: true)
            response = try freezeLevels(
                merged(route.responseHeaders, target.responseHeaders), isRequest: false)
        } else {
            request = try freezeLevels(target.requestHeaders, route.requestHeaders, isRequest: true)
            response = try freezeLevels(target.responseHeaders, route.responseHeaders, isRequest: false)
        }
        let ofEntry = route.rewrite?.authority ?? authority(route.requestHeaders)
        return Target(
            cluster: cluster, missingStatus: UInt16(clamping: target.missingStatus),
            clusterName: arena.store(target.clusterName),
            weight: UInt64(max(0, target.weight)),
            requestLevels: request, responseLevels: response,
            isFormatted: isFormatted(request) || isFormatted(response) || route.cors != nil,
            authority: arena.store(
                ofEntry ?? target.authority ?? authority(target.requestHeaders) ?? ""),
            tellsOldAuthority: single || ofEntry != nil)
    }

    private func isFormatted(_ levels: Frozen<HeaderLevel>) -> Bool {
        (0..<levels.count).contains { levels[$0].pointee.isFormatted }
    }

    private func merged(_ first: HeaderOperations, _ second: HeaderOperations) -> HeaderOperations {
        if second.isEmpty { return first }
        var level = first
        level.remove += second.remove
        level.set += second.set
        level.add += second.add
        return level
    }

    /// `set` or `add` of the Host is an authority rewrite; `set` comes first.
    private func authority(_ operations: HeaderOperations) -> String? {
        operations.set.first { isAuthority($0.name) }?.value
            ?? operations.add.first { isAuthority($0.name) }?.value
    }

    private func isAuthority(_ name: String) -> Bool { name == "host" || name == ":authority" }

    private func freeze(_ redirect: RedirectModel) -> Redirect {
        Redirect(
            scheme: arena.store(redirect.scheme ?? ""), authority: arena.store(redirect.authority ?? ""),
            uri: arena.store(redirect.uri ?? ""), prefixRewrite: arena.store(redirect.prefixRewrite ?? ""),
            hasPrefixRewrite: redirect.prefixRewrite != nil, port: UInt16(clamping: redirect.port ?? 0))
    }

    private mutating func freezeRewrite(
        _ rewrite: RewriteModel?
    ) throws(TableError) -> UnsafePointer<Rewrite>? {
        guard let rewrite, rewrite.uri != nil || rewrite.uriRegex != nil else { return nil }
        var frozen = Rewrite(
            hasURI: rewrite.uri != nil, replacesPath: rewrite.replacesPath,
            uri: arena.store(rewrite.uri ?? ""), regex: nil, regexRewrite: .empty)
        if let regex = rewrite.uriRegex {
            frozen.regex = try self.regex(regex.match)
            frozen.regexRewrite = arena.store(regex.rewrite)
        }
        return UnsafePointer(arena.store(frozen))
    }

    /// It cannot match a request without the policy's key in one of its places.
    private func requiresLane(_ match: MatchModel) -> Bool {
        guard let key = model.policy?.key else { return false }
        let header = key.lowercased()
        let inHeaders = match.headers.contains { named in
            if named.inverted { return false }
            if named.name == header { return true }
            guard named.name == "cookie" else { return false }
            switch named.match {
            case .exact(let text), .prefix(let text): return text.holds(key)
            case .regex(let pattern):
                return String(decoding: pattern.utf8.filter { $0 != 0x5C }, as: UTF8.self).holds(key)
            case .present: return false
            }
        }
        return inHeaders || match.queryParams.contains { !$0.inverted && $0.name == key }
    }

    // MARK: conditions

    private mutating func freezeConditions(_ match: MatchModel) throws(TableError) -> RouteConditions {
        var conditions = RouteConditions()
        conditions.uri = try freezeURI(match)
        conditions.method = try freeze(match.method)
        conditions.authority = try freeze(match.authority)
        conditions.scheme = try freeze(match.scheme)
        var fields: [FieldCondition] = []
        for named in match.headers { fields.append(try freezeHeader(named)) }
        for named in match.queryParams {
            fields.append(
                FieldCondition(
                    field: .query, name: HeaderName(arena.store(named.name)), inverted: named.inverted,
                    matcher: try freeze(named.match)))
        }
        // The longest literal tells most.
        let indexable = fields.indices.filter { index in
            let isListed = fields[index].field == .header || fields[index].field == .query
            return isListed && !fields[index].inverted && fields[index].matcher.isIndexable
        }
        conditions.indexed =
            indexable.max { fields[$0].matcher.text.count < fields[$1].matcher.text.count }
            ?? -1
        conditions.fields = arena.store(fields)
        let matchers = [conditions.uri, conditions.method, conditions.authority, conditions.scheme]
        conditions.holdAlways = fields.isEmpty && matchers.allSatisfy { $0.kind == .none }
        return conditions
    }

    private mutating func freezeURI(_ match: MatchModel) throws(TableError) -> Matcher {
        var matcher = try freeze(match.uri)
        if match.uriPrefixBySegment, matcher.kind == .prefix {
            matcher.kind = .pathSegments
            if !matcher.text.isEmpty, matcher.text[matcher.text.count - 1] == 0x2F {
                matcher.text = matcher.text.slice(0, matcher.text.count - 1)
            }
        } else if match.ignoreUriCase {
            if matcher.kind == .exact { matcher.kind = .exactIgnoringCase }
            if matcher.kind == .prefix { matcher.kind = .prefixIgnoringCase }
        }
        return matcher
    }

    private mutating func freezeHeader(_ named: NamedMatch) throws(TableError) -> FieldCondition {
        let field: ConditionField =
            switch named.name {
            case ":path": .path
            case ":method": .method
            case ":scheme": .scheme
            // Envoy keeps the Host as :authority.
            case ":authority", "host": .authority
            default: .header
            }
        return FieldCondition(
            field: field, name: HeaderName(arena.store(named.name.lowercased())), inverted: named.inverted,
            matcher: try freeze(named.match))
    }
}
