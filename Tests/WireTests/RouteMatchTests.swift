// Every kind of match of a VirtualService, over sockets (istio-semantics.md 3, 4, 29).
import TestSupport
import Testing

@Suite struct RouteMatchTests {
    private let edge: RouteEdge

    init() throws { edge = try RouteEdge.shared.get() }

    private func expect(_ host: String, _ target: String, _ lines: [String], _ rule: String) throws {
        let answer = try edge.get(target, lines, host: host)
        #expect(answer.status == 200 && answer.response.text == rule, "\(answer)")
    }

    @Test(arguments: [
        ("/exact", "exact"), ("/exact?q=1", "exact"), ("/exact/", "rest"), ("/Exact", "rest"),
        ("/pre", "prefix"),
        ("/prefixed", "prefix"), ("/prefix", "prefix"), ("/v12/a", "regex"), ("/v12/ab", "rest"),
        ("/x/v1/a", "rest"), ("/case", "exact-any-case"), ("/CASE", "exact-any-case"), ("/cases", "rest"),
        ("/dIR/x", "prefix-any-case"), ("/LOUD/er", "regex-any-case"), ("/a%2Fb", "escaped"),
        ("/a/b", "rest"),
        ("/x/../exact", "exact"), ("/./pre/x", "prefix"), ("/%65xact", "exact"), ("/exact#part", "exact"),
        ("/?/exact", "rest"),
    ])
    func uris(_ target: String, _ rule: String) throws { try expect("uri.test", target, [], rule) }

    @Test(arguments: [
        ("PUT", "/", "put"), ("POST", "/", "p"), ("PATCH", "/", "p"), ("DELETE", "/", "other"),
        ("GET", "/", "rest"),
        ("put", "/", "rest"), ("GET", "/scheme", "http"),
    ])
    func methodsAndSchemes(_ method: String, _ target: String, _ rule: String) throws {
        let length = method == "GET" ? [] : ["Content-Length: 0"]
        let answer = try edge.site.send(method, target, host: "method.test", length)
        #expect(answer.response.text == rule, "\(answer)")
    }

    @Test(arguments: [
        ("a.authority.test", "exact"), ("a.authority.test:81", "port"), ("a.authority.test:82", "rest"),
        ("A.authority.test", "rest"), ("b.x.authority.test", "prefix"), ("c.authority.test", "regex"),
        ("e.authority.test", "rest"),
    ])
    func authorities(_ host: String, _ rule: String) throws { try expect(host, "/", [], rule) }

    @Test(arguments: [
        (["x-a: one"], "exact"), (["X-A: one"], "exact"), (["x-a: One"], "rest"),
        (["x-a: prefixed"], "prefix"),
        (["x-a: r12"], "regex"), (["x-a: r12x"], "rest"), (["x-a: xr12"], "rest"), (["x-a:"], "empty"),
        (["x-b: b", "x-c: c"], "both"), (["x-b: b"], "rest"), (["x-d: anything"], "present"),
        (["x-d:"], "present"),
        (["x-e:"], "star"), (["x-f: y"], "any"), ([], "rest"), (["x-upper: Yes"], "upper"),
        // Repeated lines are matched one by one.
        (["x-a: two", "x-a: one"], "exact"), (["x-a: one,two"], "rest"), (["x-a: r1", "x-a: one"], "exact"),
        (["Cookie: a=b; user=jason; c=d"], "cookie"), (["Cookie: user=jason"], "cookie"),
        (["Cookie: user=jasonx"], "rest"), (["Cookie: a=b", "Cookie: user=jason"], "cookie"),
        (["Cookie: xuser=jason"], "rest"),
    ])
    func headers(_ lines: [String], _ rule: String) throws { try expect("header.test", "/", lines, rule) }

    @Test(
        arguments: [
            ("/absent", [], "absent"), ("/absent", ["x-a:"], "rest"), ("/absent", ["x-a: v"], "rest"),
            ("/exact", [], "not-foo"), ("/exact", ["x-a: bar"], "not-foo"), ("/exact", ["x-a: foo"], "rest"),
            ("/exact", ["x-a: bar", "x-a: foo"], "rest"), ("/empty", [], "rest"),
            ("/empty", ["x-a: v"], "not-empty"),
            ("/", ["x-b: 1"], "mixed"), ("/", ["x-b: 1", "x-a: food"], "rest"),
            ("/", ["x-b: 1", "x-a: good"], "mixed"),
            ("/", ["x-a: good"], "rest"),
        ] as [(String, [String], String)])
    func withoutHeaders(_ target: String, _ lines: [String], _ rule: String) throws {
        try expect("without.test", target, lines, rule)
    }

    @Test(arguments: [
        ("/?a=one", "exact"), ("/?x=y&a=one&z", "exact"), ("/?a=prefixed", "prefix"), ("/?a=42", "regex"),
        ("/?a=4x2", "rest"), ("/?a=", "empty"), ("/?a", "empty"), ("/?A=one", "rest"), ("/?a=one%20", "rest"),
        ("/?a=%6Fne", "rest"), ("/?a=two&a=one", "rest"), ("/?b", "present"), ("/?b=x", "present"),
        ("/?c=1&d=2", "both"), ("/?c=1", "rest"), ("/", "rest"), ("/?", "rest"), ("/?aa=one", "rest"),
    ])
    func queryParameters(_ target: String, _ rule: String) throws {
        try expect("query.test", target, [], rule)
    }

    @Test(
        arguments: [
            (80, "/port", "front"), (8081, "/port", "back"), (80, "/gateway", "by-front"),
            (8081, "/gateway", "by-back"), (80, "/labels", "edge"), (80, "/", "rest"), (8081, "/", "rest"),
        ] as [(UInt16, String, String)])
    func portsGatewaysAndLabels(_ port: UInt16, _ target: String, _ rule: String) throws {
        let answer = try edge.get(target, host: "ports.test", port: port)
        #expect(answer.response.text == rule, "\(answer)")
    }

    @Test(
        arguments: [
            ("/a", [], "first"), ("/a/b", [], "first"), ("/b", ["x-or: 1"], "first"), ("/b", [], "all"),
            ("/", [], "all"),
        ] as [(String, [String], String)])
    func theFirstRuleWins(_ target: String, _ lines: [String], _ rule: String) throws {
        try expect("order.test", target, lines, rule)
    }

    @Test(arguments: ["uri.test", "URI.test", "uri.test:80", "uri.test:12345"])
    func hostsIgnoreCaseAndPort(_ host: String) throws { try expect(host, "/exact", [], "exact") }

    @Test(arguments: ["nobody.test", "uri.test.", "xuri.test", "authority.test", "sub.uri.test"])
    func otherHostsHaveNoRoute(_ host: String) throws {
        let answer = try edge.get("/", host: host)
        #expect(
            answer.status == 404 && answer.response.body.isEmpty && answer.reason == "no-route", "\(answer)")
    }
}
