// Random sites of the Gateway API: several routes a host, at the shared Gateway or one of their own. What
// Istio does otherwise than the Gateway API says is not made (README.md).
import TestSupport

extension Generator {
    mutating func apiSite() -> Site {
        var documents: [Json] = []
        documents += kubernetesService("k-$ID", "shop", "$V1") + kubernetesService("k-$ID", "team", "$V2")
        if random.chance(40) { documents += kubernetesService("m-$ID", "team", "$V3") }
        if random.chance(50) { documents += grants() }
        let kind = random.chance(15) ? "GRPCRoute" : "HTTPRoute"
        let own = random.chance(30) ? listeners() : []
        if !own.isEmpty { documents.append(gateway(own)) }
        for index in 0..<random.int(1...4) {
            let isFirst = index == 0
            let namespace = isFirst ? "shop" : random.pick(["shop", "shop", "team"])
            var rules = APIRuleGenerator(
                random: random, kind: kind,
                services: [("k-$ID", nil), ("k-$ID", "team"), ("k-$ID", "shop"), ("m-$ID", "team")])
            let entries = (0..<rules.random.int(1...4)).map { _ in rules.rule() }
            random = rules.random
            let hosts = own.isEmpty ? some(Self.edgeHosts + ["*.$HOST", "*.a.$HOST", "$HOST"]) : []
            let parents = own.isEmpty ? sharedParents() : ownParents(own, isFirst: isFirst)
            documents.append(
                apiDocument(
                    kind, "r\(index)-$ID", namespace,
                    .members([
                        ("parentRefs", .list(parents)), ("hostnames", Json.texts(hosts)),
                        ("rules", .list(entries)),
                    ]), created: created()))
        }
        return Site(documents: documents)
    }

    /// Of the services `k`, whose routes are all of one namespace and for one port or all: others Istio does
    /// not rank together (README.md).
    mutating func meshRoutes() -> [Json] {
        let kind = random.chance(15) ? "GRPCRoute" : "HTTPRoute"
        return ["shop", "team"].flatMap { target -> [Json] in
            let namespace = random.pick(["shop", "team", "elsewhere"])
            let port: Json? = random.chance(30) ? .number(random.pick([80, 80, 81])) : nil
            let parent = Json.members([
                ("group", ""), ("kind", "Service"), ("name", "k-$ID"), ("namespace", .text(target)),
                ("port", port),
            ])
            return (0..<random.int(0...2)).map { index in
                var rules = APIRuleGenerator(
                    random: random, kind: kind,
                    services: [("k-$ID", nil), ("k-$ID", "team"), ("k-$ID", "shop"), ("m-$ID", "team")])
                let entries = (0..<rules.random.int(1...3)).map { _ in rules.rule() }
                random = rules.random
                return apiDocument(
                    kind, "r\(index)-\(target)-$ID", namespace,
                    ["parentRefs": [parent], "rules": .list(entries)], created: created())
            }
        }
    }

    private func apiDocument(
        _ kind: String, _ name: String, _ namespace: String, _ spec: Json, created: String? = nil
    ) -> Json {
        let version = kind == "ReferenceGrant" ? "v1beta1" : "v1"
        return document(
            "gateway.networking.k8s.io/" + version, kind, name, spec, namespace: namespace, created: created)
    }

    private mutating func grants() -> [Json] {
        let kinds = some(["HTTPRoute", "HTTPRoute", "GRPCRoute"])
        return [("shop", "team"), ("team", "shop")].map { from, to in
            apiDocument(
                "ReferenceGrant", "g-$ID", to,
                [
                    "from": .list(
                        kinds.map {
                            [
                                "group": "gateway.networking.k8s.io", "kind": .text($0),
                                "namespace": .text(from),
                            ]
                        }),
                    // All sites of a run see all grants.
                    "to": [
                        [
                            "group": "", "kind": "Service",
                            "name": .text(random.pick(["k-$ID", "k-$ID", "m-$ID"])),
                        ]
                    ],
                ])
        }
    }

    // MARK: Gateways

    /// Different hostnames on a port. Of those that lie within each other the narrower has a route as well:
    /// the first of a site is at all of them.
    private mutating func listeners() -> [Json] {
        var taken: [String] = []
        return (0..<random.int(1...3)).compactMap { index -> Json? in
            let port = random.chance(75) ? 80 : 8_080
            let host = random.pick(["$HOST", "*.$HOST", "a.$HOST", "*.a.$HOST"])
            let from = random.pick(["Same", "All", "All"])
            if taken.contains("\(port) \(host)") { return nil }
            taken.append("\(port) \(host)")
            return .members([
                ("name", .text("l\(index)")), ("port", .number(port)), ("protocol", "HTTP"),
                ("hostname", .text(host)),
                ("allowedRoutes", from == "Same" ? nil : ["namespaces": ["from": .text(from)]]),
            ])
        }
    }

    private func gateway(_ listeners: [Json]) -> Json {
        apiDocument(
            "Gateway", "gw-$ID", "shop", ["gatewayClassName": "istio", "listeners": .list(listeners)])
    }

    private mutating func sharedParents() -> [Json] {
        let base: [(String, Json?)] = [("name", "public"), ("namespace", "shop")]
        switch random.int(0...5) {
        case 0: return [.members(base + [("sectionName", "http-80")])]
        case 1: return [.members(base + [("port", 8_080)])]
        case 2:
            return [
                .members(base + [("sectionName", "http-80")]),
                .members(base + [("sectionName", "http-8080")]),
            ]
        default: return [.members(base)]
        }
    }

    private mutating func ownParents(_ listeners: [Json], isFirst: Bool) -> [Json] {
        let base: [(String, Json?)] = [("name", "gw-$ID"), ("namespace", "shop")]
        if isFirst || random.chance(60) { return [.members(base)] }
        if random.chance(30) { return [.members(base + [("port", .number(random.pick([80, 8_080])))])] }
        return [.members(base + [("sectionName", random.pick(listeners)["name"])])]
    }
}

/// Rules of HTTPRoutes and GRPCRoutes.
struct APIRuleGenerator {
    var random: SeededRandom
    /// Of all routes of a site: Istio serves both kinds on one hostname.
    var kind: String
    /// With their namespaces, nil for the route's own.
    var services: [(name: String, namespace: String?)] = []

    private static let paths = [
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/api", "/api/v1", "/API", "/a%20b", "/x.y", "/a+b",
    ]
    private static let patterns = ["/a.*", "/(a|api)(/.*)?", "/api/v[0-9]+", "(?i)/api", "/[^/]*", "/a/b/.*"]
    private static let names = ["x-a", "x-b", "x-lane", "cookie", "user-agent"]
    private static let valuePatterns = ["fo+.*", ".*(lane=a).*", "[0-9]", "(?i)foo", "1|2", ".+"]
    /// Of paths without a method only Istio makes calls (README.md): none of the others comes to these names.
    private static let grpcNames = (services: ["a.S", "g", "a.b.T"], methods: ["Get", "Put"])

    mutating func rule() -> Json {
        let matches = random.chance(12) ? [] : (0..<random.int(1...3)).map { _ in match() }
        var filters = headerFilters(45)
        var backends: Json?
        let isHTTP = kind == "HTTPRoute"
        if isHTTP, random.chance(15) {
            filters.append(["type": "RequestRedirect", "requestRedirect": redirect(matches)])
        } else {
            if isHTTP, random.chance(30) {
                filters.append(["type": "URLRewrite", "urlRewrite": rewrite(matches)])
            }
            backends = .list(backendRefs())
            // Without a backend Istio has no route that CORS could be for.
            let isServed = backends?.items.contains { $0["weight"] != 0 } ?? false
            if isHTTP, isServed, random.chance(20) { filters.append(["type": "CORS", "cors": cors()]) }
        }
        let timeouts: [Json] = [
            ["request": "10s"], ["request": "0s"], ["backendRequest": "5s"],
            ["request": "30s", "backendRequest": "10s"], ["request": "0s", "backendRequest": "7s"],
        ]
        let timeout = isHTTP && random.chance(12) ? random.pick(timeouts) : nil
        return .members([
            ("name", random.chance(15) ? .text("n\(random.int(0...1_000_000))") : nil),
            ("matches", matches.isEmpty ? nil : .list(matches)),
            ("filters", filters.isEmpty ? nil : .list(filters)), ("backendRefs", backends),
            ("timeouts", timeout),
        ])
    }

    // MARK: matches

    private mutating func match() -> Json {
        guard kind == "HTTPRoute" else {
            // A match of nothing comes before no match with Istio.
            let headers = named(Self.names, percent: 25)
            return .members([
                ("method", headers == nil || random.chance(80) ? grpcMethod() : nil), ("headers", headers),
            ])
        }
        var path: Json?
        if random.chance(80) {
            switch random.int(0...6) {
            case 0, 1: path = ["type": "Exact", "value": .text(random.pick(Self.paths))]
            case 2: path = ["type": "RegularExpression", "value": .text(random.pick(Self.patterns))]
            case 3: path = ["value": .text(random.pick(Self.paths))]
            default: path = ["type": "PathPrefix", "value": .text(random.pick(Self.paths))]
            }
        }
        return .members([
            ("path", path), ("method", random.chance(15) ? .text(random.pick(RuleGenerator.methods)) : nil),
            ("headers", named(Self.names, percent: 28)),
            ("queryParams", named(RuleGenerator.keys, percent: 18)),
        ])
    }

    /// Istio ranks regexes of service and method by their own length.
    private mutating func grpcMethod() -> Json {
        let service = Json.text(random.pick(Self.grpcNames.services))
        let method = Json.text(random.pick(Self.grpcNames.methods))
        switch random.int(0...3) {
        case 0: return ["service": service]
        case 1: return ["method": method]
        case 2: return ["type": "Exact", "service": service, "method": method]
        default: return ["service": service, "method": method]
        }
    }

    private mutating func named(_ names: [String], percent: Int) -> Json? {
        var found: [Json] = []
        while random.chance(percent) {
            let name = random.pick(names)
            if found.contains(where: { $0.string("name") == name }) { continue }
            let isRegex = random.chance(30)
            found.append(
                .members([
                    ("name", .text(name)), ("type", isRegex ? "RegularExpression" : nil),
                    ("value", .text(random.pick(isRegex ? Self.valuePatterns : RuleGenerator.values))),
                ]))
        }
        return found.isEmpty ? nil : .list(found)
    }

    // MARK: filters

    private mutating func headerFilters(_ percent: Int) -> [Json] {
        var filters: [Json] = []
        if random.chance(percent) {
            let names = ["x-a", "x-new", "x-lane", "cookie", "user-agent", "accept", "X-Mixed"]
            filters.append([
                "type": "RequestHeaderModifier", "requestHeaderModifier": operations(names, host: true),
            ])
        }
        if random.chance(percent) {
            let names = ["x-a", "x-new", "set-cookie", "x-up", "content-type", "vary"]
            filters.append([
                "type": "ResponseHeaderModifier", "responseHeaderModifier": operations(names, host: false),
            ])
        }
        return filters
    }

    private mutating func operations(_ names: [String], host: Bool) -> Json {
        func items(_ percent: Int) -> Json? {
            var found: [Json] = []
            while random.chance(percent) {
                let name = host && random.chance(6) ? "host" : random.pick(names)
                if found.contains(where: { $0.string("name") == name }) { continue }
                let value = name == "host" ? "set.test" : random.pick(["1", "new", "a, b", "%REQ(x-a)%"])
                found.append(["name": .text(name), "value": .text(value)])
            }
            return found.isEmpty ? nil : .list(found)
        }
        let remove: Json? = random.chance(30) ? [.text(random.pick(names))] : nil
        return .members([("set", items(45)), ("add", items(40)), ("remove", remove)])
    }

    /// Where a prefix may be replaced: one match, of a prefix that is not the root's.
    private func replacesPrefix(_ matches: [Json]) -> Bool {
        guard matches.count == 1, let path = matches[0]["path"] else { return false }
        return ["PathPrefix", ""].contains(path.string("type")) && path.string("value") != "/"
    }

    private mutating func redirect(_ matches: [Json]) -> Json {
        var path: Json?
        if replacesPrefix(matches), random.chance(30) {
            // Istio would keep the last slash.
            path = [
                "type": "ReplacePrefixMatch", "replacePrefixMatch": .text(random.pick(["/new", "/n/w"])),
            ]
        } else if random.chance(40) {
            path = ["type": "ReplaceFullPath", "replaceFullPath": .text(random.pick(["/new", "/"]))]
        }
        return .members([
            ("scheme", random.chance(40) ? .text(random.pick(["http", "https"])) : nil),
            ("hostname", random.chance(40) ? "other.test" : nil),
            ("port", random.chance(25) ? .number(random.pick([81, 8_181])) : nil),
            (
                "statusCode",
                random.chance(50) ? .number(random.pick([301, 302, 303, 307, 308])) : nil
            ),
            ("path", path),
        ])
    }

    private mutating func rewrite(_ matches: [Json]) -> Json {
        var path: Json?
        if replacesPrefix(matches), random.chance(60) {
            let to = random.pick(["/new", "/new/", "/", "", "/n/w"])
            path = ["type": "ReplacePrefixMatch", "replacePrefixMatch": .text(to)]
        } else if random.chance(50) {
            path = [
                "type": "ReplaceFullPath", "replaceFullPath": .text(random.pick(["/new", "/", "/n/w/"])),
            ]
        }
        return .members([("path", path), ("hostname", random.chance(40) ? "other.test" : nil)])
    }

    /// Every origin of the requests is one of these: those of others are answered otherwise.
    private mutating func cors() -> Json {
        let origins = random.pick([["*"], ["http://o.test", "http://evil.test"], ["http://*.test"]])
        func list(_ values: [[String]]) -> Json? { Json.texts(random.pick(values)) }
        return .members([
            ("allowOrigins", .list(origins.map(Json.text))),
            ("allowMethods", random.chance(60) ? list([["GET"], ["GET", "POST"], ["*"]]) : nil),
            ("allowHeaders", random.chance(50) ? list([["x-a"], ["x-a", "x-b"], ["*"]]) : nil),
            ("exposeHeaders", random.chance(30) ? ["x-up"] : nil),
            ("maxAge", random.chance(40) ? 60 : nil),
            ("allowCredentials", random.chance(40) ? .flag(random.chance(70)) : nil),
        ])
    }

    // MARK: backends

    private mutating func backendRefs() -> [Json] {
        if random.chance(6) { return [] }
        let filters = headerFilters(25)
        let target = backend()
        let base = target.with([("filters", filters.isEmpty ? nil : .list(filters))])
        if random.chance(75) {
            return [base.setting("weight", random.chance(10) ? 0 : random.chance(10) ? 7 : nil)]
        }
        // Both alike, because the choice is random.
        let twins = (0..<2).map { _ in base.setting("weight", .number(random.int(1...100))) }
        return twins + (random.chance(30) ? [backend().setting("weight", 0)] : [])
    }

    private mutating func backend() -> Json {
        if random.chance(35) {
            let (host, port) = random.pick([
                ("one.test", 80), ("two.test", 80), ("two.test", 8_080), ("nowhere.test", 80),
                ("one.test", 81),
            ])
            return [
                "group": "networking.istio.io", "kind": "Hostname", "name": .text(host),
                "port": .number(port),
            ]
        }
        let service = random.pick(services)
        return .members([
            ("name", .text(random.chance(6) ? "nobody-$ID" : service.name)),
            ("namespace", service.namespace.map(Json.text)),
            ("kind", random.chance(3) ? "Thing" : random.chance(20) ? "Service" : nil),
            ("port", .number(random.chance(95) ? 80 : 81)),
        ])
    }
}
