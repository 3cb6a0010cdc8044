// The Gateway API over real sockets: listeners and hostnames, matches, filters, backends and the answers
// where they lead nowhere, lanes on such routes, and routes attached to a Service (istio-semantics.md 21).
import TestSupport
import Testing

@Suite struct GatewayAPITests {
    private let edge: GatewayEdge

    init() throws { edge = try GatewayEdge.shared.get() }

    // MARK: matches

    @Test(
        arguments: [
            ("/exact", [], "v1"), ("/exact/", [], nil), ("/abc", [], "v1"), ("/abc/", [], "v1"),
            ("/abc/x", [], "v1"),
            ("/abcd", [], nil), ("/abc/def", [], "v2"), ("/abc/def/x", [], "v2"), ("/abc/defg", [], "v1"),
            ("/ABC", [], nil), ("/re/12", [], "v1"), ("/re/12/x", [], nil),
            ("/head", ["x-a: one"], "v1"), ("/head", ["X-A: two"], "v2"), ("/head", ["x-a: One"], nil),
            ("/query?q=1", [], "v1"), ("/query?Q=1", [], nil), ("/query?q=2&q=1", [], nil),
            ("/none", [], nil),
        ] as [(String, [String], String?)])
    func matches(_ target: String, _ lines: [String], _ upstream: String?) throws {
        let answer = try edge.get(target, lines, host: "match.test")
        #expect(answer.upstream == upstream && answer.status == (upstream == nil ? 404 : 200), "\(answer)")
        if upstream == nil { #expect(answer.reason == "no-route") }
    }

    @Test func methodsMatchAndComeBeforeQueries() throws {
        #expect(try edge.site.send("PUT", "/query?q=1", host: "match.test").upstream == "v2")
        #expect(try edge.site.send("POST", "/query", host: "match.test").status == 404)
    }

    @Test(arguments: [("/a.B/Get", "v1"), ("/a.B/Put", "v2"), ("/a.C/Get", nil)] as [(String, String?)])
    func grpcMethods(_ target: String, _ upstream: String?) throws {
        let lines = ["content-type: application/grpc", "te: trailers"]
        let answer = try edge.site.send("POST", target, host: "grpc.test", lines)
        #expect(answer.upstream == upstream)
        if upstream == nil {
            #expect(answer.status == 200 && answer.response.value("grpc-status") == "12")
        }
    }

    @Test(arguments: [
        ("plain.test", "/http", true), ("exact.isolated.test", "/exact", true),
        ("exact.isolated.test:81", "/exact", true), ("exact.isolated.test", "/wide", false),
        ("exact.isolated.test", "/http", false), ("a.isolated.test", "/wide", true),
        ("a.b.isolated.test", "/wide", true), ("a.isolated.test", "/http", false),
        ("isolated.test", "/wide", false), ("isolated.test", "/http", true),
    ])
    func listenersAreIsolated(_ host: String, _ target: String, _ found: Bool) throws {
        #expect(try edge.get(target, host: host).status == (found ? 200 : 404))
    }

    // MARK: filters

    @Test func headerModifiers() throws {
        let lines = ["x-set: c", "x-add: c", "x-gone: 1", "X-GONE: 2"]
        let seen = try edge.get("/request", lines, host: "header.test").seen
        #expect(seen.values("x-set") == ["s"] && seen.values("x-add") == ["c", "a"])
        #expect(seen.values("x-gone") == [])
        let respond = "x-respond: 200|x-set: u|x-add: u|x-gone: 1"
        let response = try edge.get("/response", [respond], host: "header.test").response
        #expect(response.values("x-set") == ["s"] && response.values("x-add") == ["u", "a"])
        #expect(response.values("x-gone") == [])
    }

    @Test(arguments: [
        ("/plain/a?q=1", 302, "http://redirect.test/plain/a?q=1"),
        ("/host", 301, "http://new.test/host"), ("/https", 302, "https://redirect.test/https"),
        ("/port", 302, "https://redirect.test:8443/port"), ("/full/a?q", 302, "http://redirect.test/full?q"),
        ("/prefix/a", 302, "http://redirect.test/new/a"), ("/prefix", 302, "http://redirect.test/new"),
        ("/cut/a", 302, "http://redirect.test/a"), ("/cut", 302, "http://redirect.test/"),
    ])
    func redirects(_ target: String, _ status: Int, _ location: String) throws {
        let answer = try edge.get(target, host: "redirect.test")
        #expect(answer.status == status && answer.response.value("location") == location, "\(answer)")
    }

    /// Without scheme and port the listener's port is the target's, and what the client wrote behind the
    /// host is not.
    @Test func redirectsNameTheListenersPort() throws {
        let other = try edge.get("/plain", host: "redirect.test:99", port: 8_081)
        #expect(other.response.value("location") == "http://redirect.test:8081/plain")
        let https = try edge.get("/https", host: "redirect.test:99", port: 8_081)
        #expect(https.response.value("location") == "https://redirect.test/https")
    }

    @Test(arguments: [
        ("/full/a?q=1", "/full?q=1"), ("/foo/bar", "/xyz/bar"), ("/foo", "/xyz"), ("/foo/", "/xyz/"),
        ("/foo/bar?q=1", "/xyz/bar?q=1"), ("/slash/bar", "/xyz/bar"), ("/slash", "/xyz"),
        ("/cut/bar", "/bar"), ("/cut", "/"), ("/cut/", "/"), ("/base/bar", "/bar"), ("/base", "/"),
    ])
    func rewrites(_ target: String, _ expected: String) throws {
        let seen = try edge.get(target, host: "rewrite.test").seen
        #expect(seen.target == expected && seen.value("x-envoy-original-path") == target)
        #expect(seen.value("host") == "rewrite.test")
    }

    @Test func hostRewrite() throws {
        #expect(try edge.get("/host", host: "rewrite.test").seen("host") == ["new.test"])
    }

    // MARK: backends

    @Test(arguments: ["/none", "/zero", "/gone", "/port", "/kind", "/away", "/failing"])
    func whatLeadsNowhereIs500(_ target: String) throws {
        let answer = try edge.get(target, host: "backend.test")
        #expect(answer.status == 500 && answer.reason == "no-cluster" && answer.response.body.isEmpty)
    }

    @Test func otherAnswers() throws {
        #expect(try edge.get("/void", host: "backend.test").status == 503)
        #expect(try edge.get("/slow", host: "backend.test").status == 504)
        #expect(try edge.get("/granted", host: "backend.test").upstream == "v2")
        #expect(try edge.get("/own", host: "backend.test").seen("x-own") == ["v1"])
        for _ in 0..<20 { #expect(try edge.get("/split", host: "backend.test").upstream == "v1") }
    }

    /// An invalid backend keeps its share. 200 draws of a fair coin are within 60 to 140 but for one in 10^8.
    @Test func invalidBackendsKeepTheirShare() throws {
        let statuses = try (0..<200).map { _ in try edge.get("/half", host: "backend.test").status }
        let good = statuses.count { $0 == 200 }
        #expect((60...140).contains(good) && statuses.allSatisfy { $0 == 200 || $0 == 500 })
    }

    // MARK: CORS

    @Test func preflight() throws {
        let lines = [
            "origin: https://x.y.b.test", "access-control-request-method: PUT",
            "access-control-request-headers: x-one, x-feat-name",
        ]
        let answer = try edge.site.send("OPTIONS", "/", host: "cors.test", lines)
        let response = answer.response
        #expect(answer.status == 200 && answer.upstream == nil && response.body.isEmpty)
        #expect(response.values("access-control-allow-origin") == ["https://x.y.b.test"])
        #expect(response.values("access-control-allow-methods") == ["GET,PUT"])
        #expect(response.values("access-control-allow-headers") == ["x-one, x-feat-name"])
        #expect(response.values("access-control-expose-headers") == ["x-seen"])
        #expect(response.values("access-control-allow-credentials") == ["true"])
        #expect(response.values("access-control-max-age") == ["5"])
        let other = lines.map { $0.hasPrefix("origin") ? "origin: https://other.test" : $0 }
        let silent = try edge.site.send("OPTIONS", "/", host: "cors.test", other)
        #expect(silent.status == 200 && silent.upstream == nil)
        #expect(!silent.response.fields.contains { $0.name.lowercased().hasPrefix("access-control") })
    }

    /// The Origin is known to the answer, though the route takes it from the request.
    @Test func actualRequests() throws {
        let respond = "x-respond: 200|access-control-allow-origin: *"
        let answer = try edge.get("/", ["origin: https://x.b.test", respond], host: "cors.test")
        #expect(answer.response.values("access-control-allow-origin") == ["https://x.b.test"])
        #expect(answer.response.values("access-control-allow-credentials") == ["true"])
        let seen = try edge.get("/", ["origin: https://a.test"], host: "cors.test")
        #expect(try seen.seen("origin") == [] && seen.response.value("access-control-max-age") == nil)
        let other = try edge.get("/", ["origin: https://other.test", respond], host: "cors.test")
        #expect(other.response.values("access-control-allow-origin") == ["*"])
        let asked = try edge.get(
            "/", ["origin: https://a.test", "x-fairlead-debug: 1"], host: "cors.test")
        #expect(asked.response.value("x-fairlead-explain")?.hasSuffix("}") == true)
        #expect(asked.response.values("access-control-allow-origin") == ["https://a.test"])
    }

    // MARK: lanes and explain

    @Test func theRouteDecidesTheServiceAndTheLaneItsVersion() throws {
        #expect(try edge.get("/lane", host: "backend.test").upstream == "v1")
        #expect(try edge.get("/lane", ["x-feat-name: feature"], host: "backend.test").upstream == "lane")
        #expect(try edge.get("/lane?x-feat-name=feature", host: "backend.test").cookies.count == 1)
    }

    @Test func explainNamesDocumentAndRule() throws {
        let told = try Programs.result([
            Programs.fairlead(), "explain", edge.site.path, "--format", "json", "http://match.test/abc/def",
        ])
        let json = try jsonObject(told.stdout)
        let rules = try #require(json["rules"] as? [[String: Any]])
        let last = try #require(rules.last)
        #expect(last["document"] as? String == "HTTPRoute shop/matches" && last["matched"] as? Bool == true)
        #expect(last["name"] as? String == "shop.matches.2")
        #expect((rules[0]["failed"] as? [String])?.isEmpty == false && json["status"] as? Int == nil)
        let missing = try Programs.result([
            Programs.fairlead(), "explain", edge.site.path, "--format", "json", "http://backend.test/failing",
        ])
        let failing = try jsonObject(missing.stdout)
        #expect(failing["status"] as? Int == 500 && failing["outcome"] as? String == "no-cluster")
        #expect((failing["rules"] as? [[String: Any]])?.last?["name"] as? String == "named")
    }
}

@Suite struct GAMMAWireTests {
    /// A sidecar follows the routes of the Service it calls, and of no other.
    @Test func routesOnAService() throws {
        let v1 = try puppet("v1")
        let v2 = try puppet("v2")
        let parent = "[{group: \"\", kind: Service, name: api}]"
        let site = try LaneSite(
            Documents.join([
                Documents.sidecar(), GatewayDocuments.service("api", v1.port),
                GatewayDocuments.service("api-v2", v2.port), GatewayDocuments.service("web", v1.port),
                GatewayDocuments.route(
                    "api", host: "", parents: parent,
                    "- {matches: [{path: {value: /v2}}], \(GatewayDocuments.to("api-v2"))}\n"
                        + "- {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, "
                        + "requestRedirect: {hostname: new.test}}]}"),
            ]), ports: [15_001])
        func get(_ target: String, _ host: String) throws -> LaneAnswer {
            try site.get(target, host: host, port: 15_001)
        }
        for host in ["api", "api:8080", "api.shop", "api.shop.svc.cluster.local:8080"] {
            #expect(try get("/v2/x", host).upstream == "v2", "\(host)")
        }
        #expect(try get("/other", "api").status == 404)
        #expect(try get("/v2", "web").upstream == "v1")
        #expect(try get("/moved", "api:8080").response.value("location") == "http://new.test:8080/moved")
    }
}
