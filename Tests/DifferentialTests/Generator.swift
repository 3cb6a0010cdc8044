// Random sites and requests out of a small vocabulary, so that rules and requests meet often.
import TestSupport

struct Generator {
    var random: SeededRandom

    private static let paths = [
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/api", "/api/v1", "/api/v2/x", "/API", "/a%2Fb", "/a%20b",
        "//a", "/x.y", "/%61", "/a+b",
        "/ü".utf8.map { $0 < 128 ? String(UnicodeScalar($0)) : "%C3" }.joined(),
    ]
    private static let patterns = [
        ".*", "/a.*", "/(a|api)(/.*)?", "/api/v[0-9]+", "(?i)/api", "/a/?", "/[^/]*", "/a/b/.*",
    ]
    private static let names = ["x-a", "x-b", "x-lane", "cookie", "user-agent"]
    private static let values = [
        "1", "2", "foo", "foobar", "a,b", "lane=a", "k=v; lane=a; z=1", "lane=ab", "FOO",
    ]
    private static let valuePatterns = [
        ".*", "fo+.*", "^(.*;)?\\s*(lane=a)(;.*)?$", ".*(lane=a).*", "[0-9]", "(?i)foo", "1|2", "",
    ]
    private static let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]
    private static let keys = ["q", "v", "Q"]

    // MARK: rules

    mutating func site() -> Site {
        Site(rules: (0..<random.int(1...5)).map { _ in rule() })
    }

    private mutating func rule() -> Rule {
        var rule = Rule()
        rule.matches = random.chance(12) ? [] : (0..<random.int(1...2)).map { _ in match() }
        switch random.int(0...9) {
        case 0: rule.action = .redirect(redirect())
        case 1:
            let status = random.pick([200, 204, 404, 503])
            // Envoy gives a 204 its body's length (RFC 9110 15.3.5).
            rule.action = .direct(status: status, body: status != 204 && random.chance(60) ? "said" : nil)
        default:
            rule.action = .route(destinations())
            if random.chance(35) { rule.rewrite = rewrite(rule.matches) }
            if random.chance(15) { rule.timeout = random.pick(["10s", "30s"]) }
            if random.chance(20) { rule.cors = cors() }
        }
        if random.chance(50) { rule.operations = operations() }
        return rule
    }

    private mutating func destinations() -> [Destination] {
        let subset = random.pick(["v1", "v1", "v1", "v2", "v2", "v2", "empty", "none"])
        guard random.chance(20) else {
            return [
                Destination(subset: subset, operations: random.chance(40) ? operations() : Operations())
            ]
        }
        // Both alike, because the choice is random.
        let twin = Destination(
            subset: subset, weight: random.int(1...100),
            operations: random.chance(60) ? operations() : Operations())
        return [twin, twin] + (random.chance(30) ? [Destination(subset: "v1", weight: 0)] : [])
    }

    private mutating func match() -> Match {
        var match = Match()
        if random.chance(75) {
            switch random.int(0...5) {
            case 0, 1: match.uri = .exact(random.pick(Self.paths))
            case 2, 3, 4: match.uri = .prefix(random.pick(Self.paths))
            default: match.uri = .regex(random.pick(Self.patterns))
            }
            match.ignoreUriCase = random.chance(15)
        }
        if random.chance(15) { match.method = text(Self.methods, ["G.*", "P(OS|U)T"]) }
        if random.chance(10) { match.authority = text(["$HOST", "$HOST:80", "a.$HOST"], [".*"]) }
        if random.chance(8) { match.scheme = text(["http", "https"], ["h.*"]) }
        while random.chance(35) {
            match.headers[random.pick(Self.names)] =
                random.chance(15) ? .present : text(Self.values, Self.valuePatterns)
        }
        while random.chance(15) {
            match.withoutHeaders[random.pick(Self.names)] =
                random.chance(25) ? .present : text(Self.values, Self.valuePatterns)
        }
        while random.chance(20) {
            match.queryParams[random.pick(Self.keys)] =
                random.chance(20) ? .present : text(Self.values, Self.valuePatterns)
        }
        if random.chance(5) { match.port = random.pick([80, 8080]) }
        return match
    }

    private mutating func text(_ values: [String], _ patterns: [String]) -> Text {
        switch random.int(0...3) {
        case 0: .regex(random.pick(patterns.filter { !$0.isEmpty }))
        case 1:
            .prefix(String(random.pick(values).prefix(random.int(1...3))))
        default: .exact(random.pick(values))
        }
    }

    private mutating func rewrite(_ matches: [Match]) -> Rewrite {
        var rewrite = Rewrite()
        switch random.int(0...3) {
        case 0, 1: rewrite.uri = random.pick(["/", "/new", "/new/", "/v2/x"])
        case 2:
            rewrite.regex = random.pick([
                ["^/a(.*)$", "/z\\1"], ["a", "bb"], ["/([^/]+)/(.*)", "/\\2/\\1"],
            ])
        default: break
        }
        if random.chance(30) { rewrite.authority = random.pick(["other.test", "other.test:81"]) }
        return rewrite
    }

    private mutating func redirect() -> Redirect {
        var redirect = Redirect()
        if random.chance(50) { redirect.uri = random.pick(["/new", "/new?x=1", "/"]) }
        if random.chance(40) { redirect.scheme = random.pick(["http", "https"]) }
        if random.chance(20) {
            // The scheme's own port would be left out by Istio, and the host's kept.
            redirect.port = random.pick([81, 8080])
        } else if random.chance(20) {
            redirect.derivePort =
                redirect.scheme == "https" ? "FROM_REQUEST_PORT" : "FROM_PROTOCOL_DEFAULT"
        }
        if random.chance(40) {
            // Envoy writes both ports.
            let hasPort = redirect.port == nil && redirect.derivePort == nil && random.chance(50)
            redirect.authority = hasPort ? "other.test:81" : "other.test"
        }
        if random.chance(50) { redirect.code = random.pick([301, 302, 303, 307, 308]) }
        return redirect
    }

    private mutating func operations() -> Operations {
        Operations(
            request: random.chance(70) ? edits(isResponse: false) : Edits(),
            response: random.chance(50) ? edits(isResponse: true) : Edits())
    }

    private mutating func edits(isResponse: Bool) -> Edits {
        let names =
            isResponse
            ? ["x-a", "x-new", "set-cookie", "x-up", "content-type", "location", "vary"]
            : ["x-a", "x-new", "x-lane", "cookie", "user-agent", "accept", "x-forwarded-proto"]
        let values =
            [
                "1", "new", "a, b", "%REQ(x-a)%", "[%REQ(X-B)%]", "%PROTOCOL%", "100%%",
                "%REQ(:METHOD)%", "%REQ(x-a?x-b)%",
            ] + (isResponse ? ["%RESP(x-up)%"] : ["%REQ(:PATH)%", "%REQ(:AUTHORITY)%"])
        var edits = Edits()
        while random.chance(45) { edits.set[random.pick(names)] = random.pick(values) }
        while random.chance(40) { edits.add[random.pick(names)] = random.pick(values) }
        if random.chance(30) { edits.remove = [random.pick(names)] }
        return edits
    }

    private mutating func cors() -> Cors {
        var cors = Cors()
        cors.origins = [
            random.pick([.exact("http://o.test"), .exact("*"), .regex("http://.*"), .prefix("http://o")])
        ]
        if random.chance(60) { cors.methods = random.pick([["GET"], ["GET", "POST"], ["*"]]) }
        if random.chance(50) { cors.headers = random.pick([["x-a"], ["x-a", "x-b"], ["*"]]) }
        if random.chance(30) { cors.exposed = ["x-up"] }
        if random.chance(40) { cors.maxAge = random.pick(["60s", "86400s"]) }
        if random.chance(40) { cors.credentials = random.chance(70) }
        if random.chance(30) { cors.unmatchedPreflights = "FORWARD" }
        return cors
    }

    // MARK: requests

    mutating func probe() -> Probe {
        var probe = Probe()
        if random.chance(30) { probe.method = random.pick(Self.methods) }
        probe.target = random.pick(Self.paths)
        if random.chance(15) { probe.target += random.pick(["/..", "/../a", "/./b", "/", "\\x"]) }
        if random.chance(30) {
            probe.target +=
                "?"
                + (0..<random.int(1...2)).map { _ in
                    random.pick(Self.keys)
                        + random.pick(["", "=", "=" + random.pick(["1", "foo", "a%20b", "2"])])
                }.joined(separator: "&")
        }
        if random.chance(20) {
            probe.host = random.pick(["a.$HOST", "$HOST:80", "$HOST:8080", "A.$HOST", "unknown.invalid"])
        }
        while random.chance(50) {
            let name = random.pick(Self.names)
            // Envoy joins repeated lines of fields that it keeps in one place.
            if name == "user-agent", probe.fields.contains(where: { $0.name.lowercased() == name }) {
                continue
            }
            probe.fields.append(
                .init(
                    name: random.chance(15) ? name.uppercased() : name, value: random.pick(Self.values + [""])
                ))
        }
        if random.chance(20) {
            probe.fields.append(
                .init(name: "origin", value: random.pick(["http://o.test", "http://evil.test"])))
            if random.chance(60) {
                probe.method = "OPTIONS"
                probe.fields.append(.init(name: "access-control-request-method", value: "POST"))
                if random.chance(50) {
                    probe.fields.append(.init(name: "access-control-request-headers", value: "x-q"))
                }
            }
        }
        return probe
    }
}
