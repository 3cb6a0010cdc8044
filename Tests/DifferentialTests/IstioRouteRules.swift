// Rules of HTTPRoutes and GRPCRoutes as entries of a VirtualService, one for each match, and their order.
// What the API server fills in where nothing is said is filled in here.

struct IstioRouteRules {
    let route: IstioObject
    private let grants: [IstioObject]

    init(route: IstioObject, objects: [IstioObject]) {
        self.route = route
        grants = objects.filter { $0.kind == "ReferenceGrant" }
    }

    /// None: the route is not accepted as a whole. In the mesh no grants are asked for.
    func entries(inMesh: Bool) -> [Json] {
        var all: [Json] = []
        let rules = route.spec["rules"]?.items ?? (route.kind == "HTTPRoute" ? [[:]] : [])
        for (index, rule) in rules.enumerated() {
            var matches: [Json?] = rule.items("matches")
            if matches.isEmpty { matches = route.kind == "HTTPRoute" ? [[:]] : [nil] }
            for match in matches {
                guard let entry = entry(rule, index, match, inMesh) else { return [] }
                all.append(entry)
            }
        }
        return all
    }

    private func entry(_ rule: Json, _ index: Int, _ match: Json?, _ inMesh: Bool) -> Json? {
        var entry: Json = [
            "name": .text(rule["name"]?.string ?? "\(route.namespace).\(route.name).\(index)")
        ]
        if let match {
            let conditions = route.kind == "HTTPRoute" ? Self.httpMatch(match) : Self.grpcMatch(match)
            entry = entry.setting("match", [conditions])
        }
        guard let more = filtered(entry, rule.items("filters"), ofBackend: false) else { return nil }
        entry = more
        for name in ["request", "backendRequest"] {
            guard let text = rule["timeouts"]?[name]?.string, text != "0s" else { continue }
            entry = entry.setting("timeout", .text(text))
        }
        if entry["redirect"] != nil { return entry }
        let backends = rule.items("backendRefs").filter { $0["weight"] != 0 }
        if backends.isEmpty { return entry.setting("directResponse", ["status": 500]) }
        var destinations: [Json] = []
        for backend in backends {
            let base: Json = [
                "destination": destination(backend, inMesh),
                "weight": backends.count == 1 ? 0 : backend["weight"] ?? 1,
            ]
            guard let whole = filtered(base, backend.items("filters"), ofBackend: true) else { return nil }
            destinations.append(whole)
        }
        return entry.setting("route", .list(destinations))
    }

    // MARK: matches

    private static func texts(_ items: [Json]) -> Json? {
        let pairs = items.map { item -> (String, Json?) in
            let isRegex = item["type"] == "RegularExpression"
            return (item.string("name"), [isRegex ? "regex" : "exact": item["value"] ?? ""])
        }
        return pairs.isEmpty ? nil : .members(pairs)
    }

    private static func httpMatch(_ match: Json) -> Json {
        var value = match["path"]?["value"]?.string ?? "/"
        var kind = "exact"
        switch match["path"]?["type"]?.string ?? "PathPrefix" {
        case "Exact": break
        case "RegularExpression": kind = "regex"
        default:
            kind = "prefix"
            if value != "/", value.hasSuffix("/") { value.removeLast() }
        }
        return .members([
            ("uri", [kind: .text(value)]), ("method", match["method"].map { ["exact": $0] }),
            ("headers", texts(match.items("headers"))), ("queryParams", texts(match.items("queryParams"))),
        ])
    }

    private static func grpcMatch(_ match: Json) -> Json {
        var uri: Json?
        if let method = match["method"] {
            let isRegex = method["type"] == "RegularExpression"
            switch (method["service"]?.string, method["method"]?.string) {
            case (let service?, nil):
                uri = isRegex ? ["regex": .text("/\(service)/.+")] : ["prefix": .text("/\(service)/")]
            case (nil, let name?): uri = ["regex": .text("/[^/]+/\(name)")]
            case (let service?, let name?): uri = [isRegex ? "regex" : "exact": .text("/\(service)/\(name)")]
            case (nil, nil): break
            }
        }
        return .members([("uri", uri), ("headers", texts(match.items("headers")))])
    }

    // MARK: filters

    /// Nil: there is one that Istio does not know.
    private func filtered(_ entry: Json, _ filters: [Json], ofBackend: Bool) -> Json? {
        var entry = entry
        for filter in filters {
            switch filter.string("type") {
            case "RequestHeaderModifier":
                entry = entry.settingHeaders("request", Self.operations(filter["requestHeaderModifier"]))
            case "ResponseHeaderModifier":
                entry = entry.settingHeaders("response", Self.operations(filter["responseHeaderModifier"]))
            case "RequestRedirect" where !ofBackend:
                entry = entry.setting("redirect", Self.redirect(filter["requestRedirect"] ?? [:]))
            case "URLRewrite" where !ofBackend && route.kind == "HTTPRoute":
                entry = entry.setting("rewrite", Self.rewrite(filter["urlRewrite"] ?? [:]))
            case "CORS" where !ofBackend && route.kind == "HTTPRoute":
                entry = entry.setting("corsPolicy", Self.cors(filter["cors"] ?? [:]))
            default: return nil
            }
        }
        return entry
    }

    /// Of names that are the same the first counts.
    private static func operations(_ filter: Json?) -> Json {
        func named(_ key: String) -> Json? {
            var pairs: [(String, Json?)] = []
            for item in filter?.items(key) ?? [] {
                let name = item.string("name").lowercased()
                if !pairs.contains(where: { $0.0 == name }) { pairs.append((name, item["value"])) }
            }
            return pairs.isEmpty ? nil : .members(pairs)
        }
        return .members([("set", named("set")), ("add", named("add")), ("remove", filter?["remove"])])
    }

    private static func redirect(_ filter: Json) -> Json {
        var derived: Json?
        if filter["port"] == nil {
            derived = filter["scheme"] == nil ? "FROM_REQUEST_PORT" : "FROM_PROTOCOL_DEFAULT"
        }
        return .members([
            ("redirectCode", filter["statusCode"] ?? 302), ("authority", filter["hostname"]),
            ("scheme", filter["scheme"]), ("port", filter["port"]), ("derivePort", derived),
            ("uri", filter["path"]?["replaceFullPath"]),
            ("prefixRewrite", filter["path"]?["replacePrefixMatch"]),
        ])
    }

    private static func rewrite(_ filter: Json) -> Json {
        var uri: Json?
        if var text = filter["path"]?["replacePrefixMatch"]?.string {
            if text.hasSuffix("/") { text.removeLast() }
            uri = .text(text.isEmpty ? "/" : text)
        }
        let full = filter["path"]?["replaceFullPath"].map { ["match": "/.*", "rewrite": $0] as Json }
        return .members([("uri", uri), ("uriRegexRewrite", full), ("authority", filter["hostname"])])
    }

    private static func cors(_ filter: Json) -> Json {
        let origins = filter.strings("allowOrigins").map { origin -> Json in
            if origin == "*" || !origin.contains("*") { return ["exact": .text(origin)] }
            let pattern = origin.replacing(".", with: "\\.").replacing("*", with: ".+")
            return ["regex": .text(pattern)]
        }
        return .members([
            ("allowOrigins", .list(origins)), ("allowMethods", filter["allowMethods"]),
            ("allowHeaders", filter["allowHeaders"]), ("exposeHeaders", filter["exposeHeaders"]),
            ("allowCredentials", filter["allowCredentials"]),
            ("maxAge", .text("\(filter["maxAge"]?.int ?? 5)s")), ("unmatchedPreflights", "IGNORE"),
        ])
    }

    // MARK: backends

    /// Without a host where the reference is no good.
    private func destination(_ backend: Json, _ inMesh: Bool) -> Json {
        let namespace = backend["namespace"]?.string ?? route.namespace
        let port: Json = ["number": backend["port"] ?? 0]
        if !inMesh, namespace != route.namespace, !isGranted(backend.string("name"), namespace) { return [:] }
        switch (backend.string("group"), backend["kind"]?.string ?? "Service") {
        case ("", "Service"):
            return ["host": .text("\(backend.string("name")).\(namespace).svc.cluster.local"), "port": port]
        case ("networking.istio.io", "Hostname"): return ["host": backend["name"] ?? "", "port": port]
        default: return [:]
        }
    }

    private func isGranted(_ name: String, _ namespace: String) -> Bool {
        grants.contains { grant in
            grant.namespace == namespace
                && grant.spec.items("from").contains {
                    $0.string("group") == "gateway.networking.k8s.io" && $0.string("kind") == route.kind
                        && $0.string("namespace") == route.namespace
                }
                && grant.spec.items("to").contains {
                    $0.string("group").isEmpty && $0.string("kind") == "Service"
                        && [nil, name].contains($0["name"]?.string)
                }
        }
    }

    // MARK: order

    /// Exact paths, prefixes, regexes, of each the longest first; then by method, headers and parameters;
    /// what is equal stays in its order, and what has no match comes last.
    static func sorted(_ entries: [Json]) -> [Json] {
        func rank(_ entry: Json) -> [Int] {
            guard let match = entry.items("match").first else { return [-2] }
            let kinds = ["exact": 3, "prefix": 2, "regex": 1]
            let uri = match["uri"]?.members.first
            return [
                uri.flatMap { kinds[$0.name] } ?? -1, uri?.value.string?.utf8.count ?? 0,
                match["method"] == nil ? 0 : 1, match["headers"]?.members.count ?? 0,
                match["queryParams"]?.members.count ?? 0,
            ]
        }
        let ranked = entries.map { (entry: $0, rank: rank($0)) }
        let order = ranked.indices.sorted { left, right in
            ranked[left].rank == ranked[right].rank
                ? left < right : ranked[right].rank.lexicographicallyPrecedes(ranked[left].rank)
        }
        return order.map { ranked[$0].entry }
    }
}

extension Json {
    fileprivate func settingHeaders(_ side: String, _ operations: Json) -> Json {
        setting("headers", (self["headers"] ?? [:]).setting(side, operations))
    }
}
