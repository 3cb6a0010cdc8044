// What a chosen route does: header operations, rewrites, redirects, direct responses, delegates, weights, and
// the answers where it leads nowhere (istio-semantics.md 5 to 7, 23).
import TestSupport
import Testing

@Suite struct RouteActionTests {
    private let edge: RouteEdge

    init() throws { edge = try RouteEdge.shared.get() }

    // MARK: header operations

    @Test func oneDestinationIsOneLevel() throws {
        let answer = try edge.get(
            "/",
            [
                "x-both: client", "x-add: client", "x-gone: 1", "x-too: 1", "x-set: 1", "x-set: 2",
                "x-copy: old",
                "x-respond: 201|x-both: app|x-app: 1|x-app: 2|x-replace: a|x-replace: b|set-cookie: app=1",
            ], host: "single.test")
        let seen = try answer.seen
        #expect(seen.values("x-both") == ["destination"] && seen.values("x-set") == ["entry"])
        #expect(seen.values("x-add") == ["client", "entry", "destination"])
        #expect(seen.values("x-gone") == [] && seen.values("x-too") == [])
        #expect(seen.values("x-copy") == ["old"], "a value of a removed header is empty and sets nothing")
        #expect(seen.values("x-host") == ["single.test"])
        let response = answer.response
        #expect(response.values("x-both") == ["destination"] && response.values("x-replace") == ["one"])
        #expect(response.values("x-app") == [] && response.values("x-status") == ["201"])
        #expect(answer.cookies == ["app=1", "entry=1", "destination=1"], "\(response)")
    }

    @Test func severalDestinationsAreALevelBelow() throws {
        let answer = try edge.get("/", host: "several.test")
        #expect(try answer.seen("x-both") == ["entry"] && answer.seen("x-mine") == [])
        #expect(answer.response.values("x-both") == ["entry"] && answer.response.values("x-mine") == [])
    }

    @Test func formatters() throws {
        let answer = try edge.get("/p?q=1", ["x-a: value", "x-kept: client"], host: "formats.test")
        let seen = try answer.seen
        let expected = [
            "x-req": "<value>", "x-alt": "value", "x-cut": "va", "x-proto": "HTTP/1.1",
            "x-client": "127.0.0.1",
            "x-path": "/p?q=1", "x-method": "GET", "x-percent": "100%", "x-kept": "client",
        ]
        for (name, value) in expected { #expect(seen.values(name) == [value], "\(name)") }
        #expect(seen.values("x-empty") == [])
        #expect(answer.response.values("x-up") == ["127.0.0.1:\(edge.v1.port)"])
        #expect(answer.response.values("x-code") == ["200"] && answer.response.values("x-asked") == ["value"])
    }

    @Test func settingTheHostIsARewrite() throws {
        #expect(try edge.get("/", host: "host-set.test").seen("host") == ["set.test"])
    }

    @Test(arguments: [
        ("/known", 503, true), ("/refused", 503, true), ("/direct", 200, true), ("/moved", 301, true),
        ("/none", 404, false),
    ])
    func responseOperationsOnOwnAnswers(_ target: String, _ status: Int, _ applied: Bool) throws {
        let answer = try edge.get(target, host: "local.test")
        #expect(
            answer.status == status && answer.response.values("x-local") == (applied ? ["yes"] : []),
            "\(answer)")
        if target == "/direct" { #expect(answer.response.values("content-type") == ["application/json"]) }
    }

    /// `server` is always ours, the connection's fields are the connection's, and the time that the upstream
    /// took may be taken out or replaced like any other (istio-semantics.md 22).
    @Test(arguments: ["/", "/refused"]) func operationsOnOwnFields(_ target: String) throws {
        let forged = "x-respond: 200|server: app|x-envoy-peer-metadata: m|x-envoy-peer-metadata-id: i"
        let response = try edge.get(target, [forged], host: "own.test").response
        #expect(response.values("server") == ["istio-envoy"])
        #expect(response.values("connection") == [] && response.values("keep-alive") == [])
        #expect(response.values("x-envoy-upstream-service-time") == ["7"])
        #expect(response.value("x-envoy-peer-metadata") == nil)
        #expect(response.value("x-envoy-peer-metadata-id") == nil)
        let told = target == "/" ? "- via_upstream" : "UF"
        #expect(response.value("x-log")?.hasPrefix(told) == true, "\(response)")
    }

    @Test func ownFieldsThatARouteRemoves() throws {
        let response = try edge.get("/removed", host: "own.test").response
        #expect(response.values("server") == ["istio-envoy"] && response.values("date").count == 1)
        #expect(response.values("x-envoy-upstream-service-time") == [])
        #expect(try edge.get("/", host: "both.test").response.value("x-envoy-upstream-service-time") != nil)
    }

    // MARK: rewrite

    @Test(arguments: [
        ("/v1/a?q=1", "/a?q=1"), ("/v2/a", "//a"), ("/v2", "/"), ("/exact?q", "/whole?q"),
        ("/re/x/y", "/whole"),
        ("/sub/ab-12/cd-34", "/sub/12/ab/34/cd"), ("/a", "/v9a"), ("/", "/v9"),
    ])
    func rewrittenPaths(_ target: String, _ expected: String) throws {
        let seen = try edge.get(target, host: "rewrite.test").seen
        #expect(seen.target == expected)
        #expect(seen.values("x-envoy-original-path") == [target])
        #expect(seen.values("host") == ["rewrite.test"])
    }

    @Test func rewrittenAuthority() throws {
        let seen = try edge.get("/host?q", ["x-envoy-original-path: /forged"], host: "rewrite.test").seen
        #expect(seen.values("host") == ["rewritten.test"] && seen.target == "/host?q")
        #expect(seen.values("x-envoy-original-path") == [])
    }

    // MARK: answers of the route itself

    @Test(arguments: [
        ("/uri/a?q=1", 301, "http://redirect.test/new?q=1"),
        ("/query?q=1", 301, "http://redirect.test/new?own=1"),
        ("/code", 308, "http://redirect.test/new"), ("/host/a?b", 301, "http://new.test:8000/host/a?b"),
        ("/scheme", 301, "https://redirect.test/scheme"), ("/port", 301, "http://redirect.test:8443/port"),
        ("/web", 301, "http://redirect.test/web"), ("/tls", 301, "https://redirect.test/tls"),
        ("/old/a?b=c", 301, "http://redirect.test/fresh/a?b=c"),
    ])
    func redirects(_ target: String, _ status: Int, _ location: String) throws {
        let answer = try edge.get(target, host: "redirect.test")
        #expect(answer.status == status && answer.response.values("location") == [location], "\(answer)")
        #expect(answer.response.body.isEmpty)
    }

    @Test func redirectsAndPorts() throws {
        func location(_ target: String, _ host: String) throws -> String? {
            try edge.get(target, host: host).response.value("location")
        }
        #expect(try location("/uri", "redirect.test:8080") == "http://redirect.test:8080/new")
        #expect(try location("/scheme", "redirect.test:80") == "https://redirect.test/scheme")
        #expect(try location("/scheme", "redirect.test:81") == "https://redirect.test:81/scheme")
        #expect(try location("/port", "redirect.test:81") == "http://redirect.test:8443/port")
    }

    @Test func directResponses() throws {
        let answer = try edge.get("/", host: "uri.test")
        #expect(answer.response.values("content-type") == ["text/plain"])
        let head = try edge.site.send("HEAD", "/", host: "uri.test")
        #expect(head.status == 200 && head.response.values("content-length") == ["4"])
    }

    // MARK: delegates

    @Test(
        arguments: [
            ("/shop/cart/1", ["x-root: 1"], "cart", "root"),
            ("/shop/pay?now", ["x-root: 1"], "pay", "delegate"),
            ("/shop/cart", [], "rest", nil), ("/shop/pay", ["x-root: 1"], "rest", nil),
            ("/elsewhere", ["x-root: 1"], "rest", nil), ("/shop", ["x-root: 1"], "rest", nil),
        ] as [(String, [String], String, String?)])
    func delegates(_ target: String, _ lines: [String], _ rule: String, _ from: String?) throws {
        let answer = try edge.get(target, lines, host: "delegating.test")
        #expect(answer.response.text == rule && answer.response.value("x-from") == from, "\(answer)")
    }

    // MARK: nowhere

    @Test(arguments: [
        ("/subset-empty", 503, "no-healthy-upstream", "UH", "no healthy upstream"),
        ("/void", 503, "no-healthy-upstream", "UH", "no healthy upstream"),
        ("/subset-unknown", 503, "no-cluster", "NC", ""), ("/host-unknown", 503, "no-cluster", "NC", ""),
        ("/port-unknown", 503, "no-cluster", "NC", ""), ("/nothing", 404, "no-route", "NR", ""),
        (
            "/refused", 503, "upstream-connect", "UF,URX",
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason"
        ),
        ("/slow", 504, "upstream-timeout", "UT", "upstream request timeout"),
    ])
    func outcomes(_ target: String, _ status: Int, _ reason: String, _ flag: String, _ body: String) throws {
        let answer = try edge.get(target, host: "outcome.test")
        #expect(answer.status == status && answer.reason == reason && answer.upstream == nil, "\(answer)")
        #expect(body.isEmpty ? answer.response.body.isEmpty : answer.response.text.hasPrefix(body))
        try waitUntil("flag \(flag)") {
            try edge.site.metric(
                "istio_requests_total", "response_flags=\"\(flag)\"", "response_code=\"\(status)\"") >= 1
        }
    }

    @Test func inTimeIsInTime() throws {
        #expect(try edge.get("/in-time", host: "outcome.test").status == 200)
    }

    // MARK: weights

    /// How often v1 answered; bounds below are eight standard deviations wide and more.
    private func share(_ host: String, _ count: Int) throws -> Int {
        let connection = try RawConnection(port: edge.site.port())
        var first = 0
        for _ in 0..<count {
            switch try connection.get("/", host: host).value("x-upstream") {
            case "v1": first += 1
            case "v2": break
            case let other: throw TestFailure("answered by \(other ?? "nobody")")
            }
        }
        return first
    }

    @Test(arguments: [
        ("half.test", 120...280), ("canary.test", 335...399), ("quarter.test", 31...169), ("all.test", 0...0),
    ])
    func weightsAreShares(_ host: String, _ expected: ClosedRange<Int>) throws {
        let first = try share(host, 400)
        #expect(expected.contains(first))
    }

    @Test func aSingleDestinationNeedsNoWeight() throws { #expect(try share("alone.test", 20) == 0) }

    @Test func allEndpointsOfAServiceAreUsed() throws {
        let first = try share("both.test", 200)
        #expect((20...180).contains(first))
    }
}
