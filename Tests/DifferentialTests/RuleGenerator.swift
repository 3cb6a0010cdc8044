// Random entries of a VirtualService: conditions, actions, rewrites, header operations, CORS.
import TestSupport

struct RuleGenerator {
    var random: SeededRandom
    /// Sidecars look for a destination's only port among the services of the listener's port, documents say
    /// among all (README.md): in the mesh the port is always given.
    var mesh: Bool

    static let paths = [
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/api", "/api/v1", "/api/v2/x", "/API", "/a%2Fb", "/a%20b",
        "//a", "/x.y", "/%61", "/a+b", "/%C3%BC",
    ]
    private static let patterns = [
        ".*", "/a.*", "/(a|api)(/.*)?", "/api/v[0-9]+", "(?i)/api", "/a/?", "/[^/]*", "/a/b/.*",
    ]
    static let names = ["x-a", "x-b", "x-lane", "cookie", "user-agent"]
    static let values = [
        "1", "2", "foo", "foobar", "a,b", "lane=a", "k=v; lane=a; z=1", "lane=ab", "FOO",
    ]
    private static let valuePatterns = [
        ".*", "fo+.*", "^(.*;)?\\s*(lane=a)(;.*)?$", ".*(lane=a).*", "[0-9]", "(?i)foo", "1|2", "*",
    ]
    static let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]
    static let keys = ["q", "v", "Q"]

    mutating func entry() -> Json {
        var pairs: [(String, Json?)] = []
        if random.chance(20) { pairs.append(("name", .text(random.pick(["one", "two"])))) }
        let matches = random.chance(12) ? [] : (0..<random.int(1...2)).map { _ in match() }
        pairs.append(("match", matches.isEmpty ? nil : .list(matches)))
        var hasHost = false
        switch random.int(0...9) {
        case 0: pairs.append(("redirect", redirect(matches)))
        case 1: pairs.append(("directResponse", direct()))
        default:
            let destinations = destinations()
            // Of two hosts Envoy tells the destination's as the old one.
            hasHost = destinations.count > 1 && destinations[0].hasMember { $0.setsHost }
            pairs.append(("route", .list(destinations)))
            if random.chance(35) { pairs.append(("rewrite", rewrite(authority: !hasHost))) }
            if random.chance(15) { pairs.append(("timeout", .text(random.pick(["10s", "30s"])))) }
            if random.chance(20) { pairs.append(("corsPolicy", cors())) }
        }
        if random.chance(50) { pairs.append(("headers", operations(authority: !hasHost))) }
        return .members(pairs)
    }

    /// An entry that delegates.
    mutating func delegating(_ name: String, _ namespace: String?) -> Json {
        let matches = random.chance(30) ? [] : (0..<random.int(1...2)).map { _ in match() }
        return .members([
            ("match", matches.isEmpty ? nil : .list(matches)),
            ("delegate", .members([("name", .text(name)), ("namespace", namespace.map(Json.text))])),
            ("rewrite", random.chance(20) ? ["uri": "/outer"] : nil),
            ("headers", random.chance(30) ? operations(authority: false) : nil),
            ("corsPolicy", random.chance(10) ? cors() : nil),
        ])
    }

    // MARK: conditions

    private mutating func match() -> Json {
        var pairs: [(String, Json?)] = []
        if random.chance(75) {
            switch random.int(0...5) {
            case 0, 1: pairs.append(("uri", ["exact": .text(random.pick(Self.paths))]))
            case 2, 3, 4: pairs.append(("uri", ["prefix": .text(random.pick(Self.paths))]))
            default: pairs.append(("uri", ["regex": .text(random.pick(Self.patterns))]))
            }
            if random.chance(12) { pairs.append(("ignoreUriCase", true)) }
        }
        if random.chance(12) { pairs.append(("method", text(Self.methods, ["G.*", "P(OS|U)T"]))) }
        if random.chance(8) {
            pairs.append(("authority", text(["$HOST", "$HOST:80", "a.$HOST", "s.$HOST"], [".*"])))
        }
        if random.chance(6) { pairs.append(("scheme", text(["http", "https"], ["h.*"]))) }
        pairs.append(("headers", conditions(Self.names, percent: 30)))
        pairs.append(("withoutHeaders", conditions(Self.names, percent: 14)))
        pairs.append(("queryParams", conditions(Self.keys, percent: 18)))
        if random.chance(5) { pairs.append(("port", .number(random.pick([80, 8_080])))) }
        if random.chance(8) {
            pairs.append(
                (
                    "sourceLabels",
                    random.pick([["app": "caller"], ["app": "caller", "version": "v2"], ["app": "no"]])
                ))
        }
        if random.chance(4) { pairs.append(("sourceNamespace", .text(random.pick(["shop", "team"])))) }
        if random.chance(6) {
            pairs.append(("gateways", .list([.text(random.pick(["mesh", "public", "shop/public"]))])))
        }
        if random.chance(10) { pairs.append(("name", .text(random.pick(["m", "n"])))) }
        return .members(pairs)
    }

    private mutating func conditions(_ names: [String], percent: Int) -> Json? {
        var found: [(String, Json?)] = []
        while random.chance(percent) {
            let name = random.pick(names)
            if found.contains(where: { $0.0 == name }) { continue }
            found.append((name, random.chance(15) ? [:] : text(Self.values, Self.valuePatterns)))
        }
        return found.isEmpty ? nil : .members(found)
    }

    private mutating func text(_ values: [String], _ patterns: [String]) -> Json {
        switch random.int(0...3) {
        case 0: ["regex": .text(random.pick(patterns))]
        case 1: ["prefix": .text(String(random.pick(values).prefix(random.int(1...3))))]
        default: ["exact": .text(random.pick(values))]
        }
    }

    // MARK: actions

    private mutating func destinations() -> [Json] {
        guard random.chance(20) else {
            return [
                .members([
                    ("destination", destination()), ("weight", random.chance(10) ? 0 : nil),
                    ("headers", random.chance(40) ? operations(authority: true) : nil),
                ])
            ]
        }
        // Both alike, because the choice is random.
        let target = destination()
        let headers = random.chance(60) ? operations(authority: true) : nil
        let twins = (0..<2).map { _ in
            Json.members([
                ("destination", target), ("weight", .number(random.int(1...100))), ("headers", headers),
            ])
        }
        let unused: [Json] = random.chance(40) ? [["destination": destination(), "weight": 0]] : []
        return (unused.isEmpty || random.chance(50) ? twins : [twins[0]]) + unused
    }

    private mutating func destination() -> Json {
        let app: [(String, Int)] = [
            ("v1", 8_080), ("v1", 8_080), ("v2", 8_080), ("v2", 8_080), ("empty", 8_080), ("none", 8_080),
            ("v1", 81),
        ]
        let others: [(String, Int)] = [
            ("one.test", 80), ("two.test", 80), ("two.test", 8_080), ("s.$HOST", 80), ("k-$ID", 80),
            ("k-$ID.team", 80),
            ("k-$ID.team.svc.cluster.local", 80), ("t.$HOST", 80), ("nowhere.test", 80),
        ]
        if random.chance(55) {
            let (subset, port) = random.pick(app)
            let isGiven = mesh || port == 81 || random.chance(50)
            return .members([
                ("host", "app.test"), ("subset", .text(subset)),
                ("port", isGiven ? ["number": .number(port)] : nil),
            ])
        }
        let (host, port) = random.pick(others)
        let subset: Json? = random.chance(30) ? .text(random.pick(["v1", "v2", "canary"])) : nil
        let isGiven = mesh || random.chance(50)
        return .members([
            ("host", .text(host)), ("subset", subset), ("port", isGiven ? ["number": .number(port)] : nil),
        ])
    }

    private mutating func redirect(_ matches: [Json]) -> Json {
        var pairs: [(String, Json?)] = []
        let scheme: String? = random.chance(40) ? random.pick(["http", "https"]) : nil
        pairs.append(("scheme", scheme.map(Json.text)))
        let isPrefixed = !matches.isEmpty && matches.allSatisfy { $0["uri"]?["prefix"] != nil }
        if isPrefixed, random.chance(30) {
            pairs.append(("prefixRewrite", .text(random.pick(["/new", "/"]))))
        } else if random.chance(50) {
            pairs.append(("uri", .text(random.pick(["/new", "/new?x=1", "/", "new"]))))
        }
        var hasPort = true
        if random.chance(20) {
            // A scheme's own port would be left out by Istio, and the host's kept.
            pairs.append(("port", .number(random.pick([81, 8_181]))))
        } else if random.chance(20) {
            let derived = scheme == "https" ? "FROM_REQUEST_PORT" : "FROM_PROTOCOL_DEFAULT"
            pairs.append(("derivePort", .text(derived)))
        } else {
            hasPort = false
        }
        if random.chance(40) {
            // Envoy writes both ports.
            let authority = !hasPort && random.chance(50) ? "other.test:81" : "other.test"
            pairs.append(("authority", .text(authority)))
        }
        if random.chance(50) {
            pairs.append(("redirectCode", .number(random.pick([301, 302, 303, 307, 308]))))
        }
        return .members(pairs)
    }

    private mutating func direct() -> Json {
        let status = random.pick([200, 204, 404, 418, 503])
        let bodies: [Json] = [["string": "said"], ["bytes": "c2FpZA=="], ["string": "{\"a\": \"\\u00fc\"}"]]
        // Envoy gives a 204 its body's length (RFC 9110 15.3.5).
        let body = status != 204 && random.chance(60) ? random.pick(bodies) : nil
        return .members([("status", .number(status)), ("body", body)])
    }

    private mutating func rewrite(authority: Bool) -> Json {
        var pairs: [(String, Json?)] = []
        switch random.int(0...3) {
        case 0, 1: pairs.append(("uri", .text(random.pick(["/", "/new", "/new/", "/v2/x"]))))
        case 2:
            let regex = random.pick([
                ("^/a(.*)$", "/z\\1"), ("a", "bb"), ("/([^/]+)/(.*)", "/\\2/\\1"), ("[0-9]", "<\\0>"),
                ("b*", "/"),
            ])
            pairs.append(("uriRegexRewrite", ["match": .text(regex.0), "rewrite": .text(regex.1)]))
        default: break
        }
        if authority, random.chance(30) {
            pairs.append(("authority", .text(random.pick(["other.test", "other.test:81"]))))
        }
        return .members(pairs)
    }

    // MARK: headers

    private mutating func operations(authority: Bool) -> Json {
        .members([
            ("request", random.chance(70) ? requestEdits(authority) : nil),
            ("response", random.chance(50) ? responseEdits() : nil),
        ])
    }

    private static let anyValues = [
        "1", "new", "a, b", "%REQ(x-a)%", "[%REQ(X-B)%]", "%PROTOCOL%", "100%%", "%REQ(:METHOD)%",
        "%REQ(x-a?x-b)%", "%REQ(x-a):1%", "%ROUTE_NAME%", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    ]

    private mutating func requestEdits(_ authority: Bool) -> Json {
        var edits = edits(
            ["x-a", "x-new", "x-lane", "cookie", "user-agent", "accept", "x-forwarded-proto", "X-Mixed"],
            Self.anyValues + ["%REQ(:PATH)%", "%REQ(:AUTHORITY)%"])
        if authority, random.chance(8) {
            let name = random.pick(["host", ":authority", "Host"])
            let own = (edits["set"]?.members ?? []) + [.init(name: name, value: "set.test")]
            edits = edits.setting("set", .object(own))
        }
        return edits
    }

    private mutating func responseEdits() -> Json {
        edits(
            ["x-a", "x-new", "set-cookie", "x-up", "content-type", "location", "vary"],
            Self.anyValues + ["%RESP(x-up)%"])
    }

    private mutating func edits(_ names: [String], _ values: [String]) -> Json {
        var pairs: [(String, Json?)] = []
        for (key, percent) in [("set", 45), ("add", 40)] {
            var found: [(String, Json?)] = []
            while random.chance(percent) {
                let name = random.pick(names)
                if found.contains(where: { $0.0 == name }) { continue }
                found.append((name, .text(random.pick(values))))
            }
            if !found.isEmpty { pairs.append((key, .members(found))) }
        }
        if random.chance(30) { pairs.append(("remove", [.text(random.pick(names))])) }
        return .members(pairs)
    }

    private mutating func cors() -> Json {
        let origins: [Json] = [
            ["exact": "http://o.test"], ["exact": "*"], ["regex": "http://.*"], ["prefix": "http://o"],
        ]
        func list(_ values: [[String]]) -> Json? { Json.texts(random.pick(values)) }
        var pairs: [(String, Json?)] = [("allowOrigins", [random.pick(origins)])]
        if random.chance(60) { pairs.append(("allowMethods", list([["GET"], ["GET", "POST"], ["*"]]))) }
        if random.chance(50) { pairs.append(("allowHeaders", list([["x-a"], ["x-a", "x-b"], ["*"]]))) }
        if random.chance(30) { pairs.append(("exposeHeaders", ["x-up"])) }
        if random.chance(40) { pairs.append(("maxAge", .text(random.pick(["60s", "24h"])))) }
        if random.chance(40) { pairs.append(("allowCredentials", .flag(random.chance(70)))) }
        if random.chance(30) { pairs.append(("unmatchedPreflights", "FORWARD")) }
        return .members(pairs)
    }
}

extension Json {
    /// Header operations that set the authority.
    fileprivate var setsHost: Bool {
        (self["set"]?.members ?? []).contains { ["host", ":authority"].contains($0.name.lowercased()) }
    }
}
