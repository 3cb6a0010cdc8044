// Sections 21.2, 21.3 and 21.7: matches of HTTPRoutes and GRPCRoutes, and the order in which they are tried.

func apiMatchCases() throws -> [Case] {
    try paths() + conditions() + precedence() + age() + grpc()
}

/// A case with one HTTPRoute.
private func one(_ row: String, _ rules: String, _ asks: Ask...) throws -> Case {
    Case(row: row, setup: .api, site: Site(documents: try documents(yaml: apiRoute(rules))), asks: asks)
}

private func paths() throws -> [Case] {
    [
        try one("21.2 no match: everything", apiRule("r"), Ask("/any?x", "200 V1")),
        try one(
            "21.2 path Exact", apiRule("r", "[{path: {type: Exact, value: /a}}]"), Ask("/a?x=1", "200 V1"),
            Ask("/a/", "404"), Ask("/A", "404")),
        try one(
            "21.2 path PathPrefix, the default: by segments", apiRule("r", "[{path: {value: /abc}}]"),
            Ask("/abc", "200 V1"), Ask("/abc/", "200 V1"), Ask("/abc/d?e", "200 V1"), Ask("/abcd", "404"),
            Ask("/ABC", "404"), Ask("/abc?x", "200 V1"), Ask("/abc//", "200 V1")),
        try one(
            "21.2 path PathPrefix: a last slash means nothing",
            apiRule("r", "[{path: {type: PathPrefix, value: /abc/}}]"), Ask("/abc", "200 V1"),
            Ask("/abc/d", "200 V1"), Ask("/abcd", "404")),
        try one(
            "21.2 path RegularExpression: of the whole path",
            apiRule("r", "[{path: {type: RegularExpression, value: \"/a[0-9]+\"}}]"), Ask("/a12?x", "200 V1"),
            Ask("/a12b", "404"), Ask("/x/a1", "404")),
        try one(
            "21.2 paths are compared as they are after normalisation",
            apiRule("r", "[{path: {value: /a/b}}]"), Ask("/x/../a/%62/c", "200 V1"), Ask("/a%2Fb", "404")),
    ]
}

private func conditions() throws -> [Case] {
    [
        try one(
            "21.2 headers: all must hold, names in any case",
            apiRule(
                "r",
                """
                [{headers: [{name: X-A, value: "1"}, {name: x-b, type: RegularExpression, value: "b+"}]}]
                """),
            Ask("/", ["x-a: 1", "X-B: bb"], "200 V1"), Ask("/", ["x-a: 1", "x-b: abb"], "404"),
            Ask("/", ["x-a: 1"], "404"), Ask("/", ["x-a: 11", "x-b: b"], "404")),
        try one(
            "21.2 headers: of repeated lines one is enough",
            apiRule("r", "[{headers: [{name: x-a, value: \"2\"}]}]"),
            Ask("/", ["x-a: 1", "x-a: 2"], "200 V1"),
            Ask("/", ["x-a: 1,2"], "404")),
        try one(
            "21.2 headers: of one name twice the first counts",
            apiRule("r", "[{headers: [{name: x-a, value: \"1\"}, {name: X-A, value: \"2\"}]}]"),
            Ask("/", ["x-a: 1"], "200 V1")
        ).differing("both must hold"),
        try one(
            "21.2 queryParams: the first value, names in their case",
            apiRule(
                "r",
                """
                [{queryParams: [{name: q, value: "1"}, {name: V, type: RegularExpression, value: "[ab]"}]}]
                """),
            Ask("/?q=1&V=a", "200 V1"), Ask("/?q=1&V=a&q=2", "200 V1"), Ask("/?q=2&q=1&V=a", "404"),
            Ask("/?q=1&v=a", "404"), Ask("/?q=1&V=ab", "404"), Ask("/?q=%31&V=a", "404")),
        try one(
            "21.2 method", apiRule("r", "[{method: POST}]"), Ask("POST /", "200 V1"), Ask("GET /", "404")),
        try one(
            "21.2 all conditions of one match, any of the matches",
            apiRule(
                "r", "[{path: {value: /a}, method: GET, headers: [{name: x-a, value: \"1\"}]}, {method: PUT}]"
            ),
            Ask("/a", ["x-a: 1"], "200 V1"), Ask("/a", "404"), Ask("PUT /", "200 V1"),
            Ask("/b", ["x-a: 1"], "404")),
        try one(
            "21.3 no rule matches: 404", apiRule("r", "[{path: {value: /a}}]"), Ask("/b", "404", "!body")),
    ]
}

private func precedence() throws -> [Case] {
    func ordered(_ row: String, _ rules: [(String, String)], _ asks: Ask...) throws -> Case {
        let text = rules.map { apiRule($0.0, "[{\($0.1)}]") }.joined()
        return Case(
            row: row, setup: .api, site: Site(documents: try documents(yaml: apiRoute(text))), asks: asks)
    }
    return [
        try ordered(
            "21.3 an exact path before the longest prefix",
            [("prefix", "path: {value: /a/b}"), ("exact", "path: {type: Exact, value: /a/b}")],
            Ask("/a/b", "< x-rule: exact"), Ask("/a/b/c", "< x-rule: prefix")),
        try ordered(
            "21.3 the longest prefix, before regexes",
            [
                ("root", "path: {value: /}"), ("regex", "path: {type: RegularExpression, value: \"/a/.*\"}"),
                ("short", "path: {value: /a}"), ("long", "path: {value: /a/b}"),
            ], Ask("/a/b/c", "< x-rule: long"), Ask("/a/x", "< x-rule: short"), Ask("/x", "< x-rule: root")),
        try ordered(
            "21.3 of regexes the longest",
            [
                ("short", "path: {type: RegularExpression, value: \"/a.*\"}"),
                ("long", "path: {type: RegularExpression, value: \"/a/b.*\"}"),
            ], Ask("/a/b", "< x-rule: long"), Ask("/a", "< x-rule: short")),
        try ordered(
            "21.3 a method, then headers, then query parameters",
            [
                ("none", "path: {value: /a}"),
                ("query", "queryParams: [{name: q, value: \"1\"}], path: {value: /a}"),
                ("header", "headers: [{name: x-a, value: \"1\"}], path: {value: /a}"),
                (
                    "headers",
                    "headers: [{name: x-a, value: \"1\"}, {name: x-b, value: \"1\"}], path: {value: /a}"
                ), ("method", "method: GET, path: {value: /a}"),
            ], Ask("/a?q=1", ["x-a: 1", "x-b: 1"], "< x-rule: method"),
            Ask("PUT /a?q=1", ["x-a: 1", "x-b: 1"], "< x-rule: headers"),
            Ask("PUT /a?q=1", ["x-a: 1"], "< x-rule: header"), Ask("PUT /a?q=1", "< x-rule: query"),
            Ask("PUT /a", "< x-rule: none")),
        try ordered(
            "21.3 a longer path before any number of conditions",
            [("many", "method: GET, headers: [{name: x-a, value: \"1\"}]"), ("long", "path: {value: /a}")],
            Ask("/a", ["x-a: 1"], "< x-rule: long"), Ask("/", ["x-a: 1"], "< x-rule: many")),
        try ordered(
            "21.3 what is equal: the first rule",
            [
                ("first", "headers: [{name: x-a, value: \"1\"}]"),
                ("second", "headers: [{name: x-b, value: \"1\"}]"),
            ], Ask("/", ["x-a: 1", "x-b: 1"], "< x-rule: first")),
        try .documents(
            "21.3 a match that takes everything hides regexes", .api,
            apiRoute(
                apiRule("regex", "[{path: {type: RegularExpression, value: \"/a.*\"}}]")
                    + apiRule("all")),
            Ask("/abc", "< x-rule: all")),
    ]
}

private func age() throws -> [Case] {
    let early = "2026-01-01T00:00:00Z"
    let late = "2026-01-02T00:00:00Z"
    func route(_ name: String, _ namespace: String = "shop", _ created: String? = nil, _ match: String = "")
        -> String
    {
        let match = match.isEmpty ? "path: {value: /x}" : match
        return apiRoute(
            apiRule("\(namespace)-\(name)", "[{\(match)}]"), name: name, namespace: namespace,
            created: created)
    }
    return [
        try .documents(
            "21.3 across routes: by match before age", .api,
            route("a", "shop", early) + route("b", "shop", late, "path: {value: /x/y}"),
            Ask("/x/y", "< x-rule: shop-b"), Ask("/x", "< x-rule: shop-a")),
        try .documents(
            "21.3 of equal matches the oldest route", .api,
            route("a", "shop", late) + route("b", "shop", early),
            Ask("/x", "< x-rule: shop-b")),
        try .documents(
            "21.3 of one age by namespace and name", .api, route("b", "shop") + route("a", "team"),
            Ask("/x", "< x-rule: shop-b")),
        try .documents(
            "21.3 of one age and namespace by name", .api, route("b") + route("a"),
            Ask("/x", "< x-rule: shop-a")),
        try .documents(
            "21.3 of hostnames that a listener makes one the longer comes first", .api,
            apiGateway("[{name: one, port: 80, protocol: HTTP, hostname: a.$HOST}]")
                + apiRoute(
                    apiRule("wild", "[{path: {value: /x/y}}]"), name: "a", hosts: "[\"*.$HOST\"]",
                    parents: "[{name: gw-$ID}]", created: early)
                + apiRoute(
                    apiRule("exact", "[{path: {value: /x}}]"), name: "b", hosts: "[a.$HOST]",
                    parents: "[{name: gw-$ID}]", created: late),
            Ask("/x/y", host: "a.$HOST", "< x-rule: exact")
        ).differing("the older route comes first"),
    ]
}

private func grpc() throws -> [Case] {
    func one(_ row: String, _ rules: String, _ asks: Ask...) throws -> Case {
        let yaml = apiRoute(rules, kind: "GRPCRoute")
        return Case(row: row, setup: .api, site: Site(documents: try documents(yaml: yaml)), asks: asks)
    }
    let call = ["content-type: application/grpc", "te: trailers"]
    return [
        try one("21.7 GRPCRoute: no match is everything", apiRule("r"), Ask("POST /s.S/M", call, "200 V1")),
        try one(
            "21.7 GRPCRoute: service and method",
            apiRule("r", "[{method: {service: a.S, method: Get}}]"), Ask("POST /a.S/Get", call, "200 V1"),
            Ask("POST /a.S/Put", call, "< grpc-status: 12"), Ask("POST /a.S/Put", "404"),
            Ask("POST /a.s/Get", "404")),
        try one(
            "21.7 GRPCRoute: a service alone", apiRule("r", "[{method: {service: a.S}}]"),
            Ask("POST /a.S/Any", "200 V1"), Ask("POST /a.ST/Any", "404")),
        try one(
            "21.7 GRPCRoute: a service alone without a method is no call of it",
            apiRule("r", "[{method: {service: a.S}}]"), Ask("POST /a.S", "404")
        ).differing("the path without its last slash as well"),
        try one(
            "21.7 GRPCRoute: a method alone", apiRule("r", "[{method: {method: Get}}]"),
            Ask("POST /a.S/Get", "200 V1"), Ask("POST /b/Get", "200 V1"), Ask("POST /b/c/Get", "404")),
        try one(
            "21.7 GRPCRoute: RegularExpression",
            apiRule("r", "[{method: {type: RegularExpression, service: \"a[.].+\", method: \"(Get|Put)\"}}]"),
            Ask("POST /a.S/Put", "200 V1"), Ask("POST /aS/Put", "404"), Ask("POST /a.S/Del", "404")),
        try one(
            "21.7 GRPCRoute: headers",
            apiRule("r", "[{method: {service: s}, headers: [{name: X-A, value: \"1\"}]}]"),
            Ask("POST /s/M", ["x-a: 1"], "200 V1"), Ask("POST /s/M", "404")),
        try one(
            "21.3 GRPCRoute: service and method, the service, the method, headers",
            apiRule("none") + apiRule("header", "[{headers: [{name: x-a, value: \"1\"}]}]")
                + apiRule("method", "[{method: {method: M}}]")
                + apiRule("service", "[{method: {service: s}}]")
                + apiRule("both", "[{method: {service: s, method: M}}]"),
            Ask("POST /s/M", ["x-a: 1"], "< x-rule: both"), Ask("POST /s/N", ["x-a: 1"], "< x-rule: service"),
            Ask("POST /t/M", ["x-a: 1"], "< x-rule: method"),
            Ask("POST /t/N", ["x-a: 1"], "< x-rule: header"),
            Ask("POST /t/N", "< x-rule: none")),
        try one(
            "21.7 GRPCRoute: a failing call is answered in gRPC's words",
            "  - backendRefs: [{name: nobody-$ID, port: 80}]",
            Ask("POST /s/M", call, "status 200", "< grpc-status: 2"), Ask("POST /s/M", "500")),
        try .documents(
            "21.3 HTTPRoutes and GRPCRoutes of one hostname: the older kind alone", .api,
            apiRoute(apiRule("http", "[{path: {value: /x}}]"), name: "a")
                + apiRoute(apiRule("grpc", "[{method: {service: s}}]"), name: "b", kind: "GRPCRoute"),
            Ask("POST /s/M", "404")
        ).differing("both are served, the rules of the older first"),
    ]
}
