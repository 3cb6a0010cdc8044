// A route's CORS policy: which requests it takes part in, and what their answers say (istio-semantics.md 11
// and 29).
import Testing

@testable import Lanes

private func corsModel(_ change: (inout CORSModel) -> Void = { _ in }) -> RoutingModel {
    var cors = CORSModel()
    cors.allowOrigins = [
        .exact("https://a.test"), .prefix("http://dev."), .regex("https://[a-z]+\\.b\\.test"),
    ]
    cors.allowMethods = ["GET", "PUT"]
    cors.allowHeaders = ["x-one", "x-two"]
    cors.exposeHeaders = ["x-seen"]
    cors.maxAgeSeconds = 90
    change(&cors)
    var route = forward("cors")
    route.cors = cors
    route.requestHeaders.remove = ["origin"]
    route.responseHeaders.set = [("x-route", "1")]
    return model([route])
}

private func preflight(_ origin: String, _ more: [(String, String)] = []) -> [(String, String)] {
    [("origin", origin), ("access-control-request-method", "PUT")] + more
}

@Suite struct CORSTests {
    @Test func preflightsAreAnsweredHere() throws {
        let bench = try Bench(corsModel())
        let sent = bench.send("/x", method: "OPTIONS", preflight("https://a.test"))
        #expect(sent.decision.outcome == .preflight && sent.decision.status == 200)
        #expect(sent.responseValues("access-control-allow-origin") == ["https://a.test"])
        #expect(sent.responseValues("access-control-allow-methods") == ["GET,PUT"])
        #expect(sent.responseValues("access-control-allow-headers") == ["x-one,x-two"])
        #expect(sent.responseValues("access-control-expose-headers") == ["x-seen"])
        #expect(sent.responseValues("access-control-max-age") == ["90"])
        #expect(sent.responseValues("access-control-allow-credentials") == [])
        #expect(sent.responseValues("x-route") == [], "the router, which edits headers, was not reached")
    }

    @Test(arguments: [
        ("https://a.test", true), ("https://a.test:443", false), ("HTTPS://a.test", false),
        ("http://dev.anything", true), ("https://x.b.test", true), ("https://x.b.test.evil", false),
        ("null", false), ("", false),
    ])
    func origins(_ origin: String, _ allowed: Bool) throws {
        let bench = try Bench(corsModel())
        let sent = bench.send(
            "/x", [("origin", origin)], responseHeaders: [("access-control-allow-origin", "u")])
        #expect(sent.decision.outcome == .forward)
        #expect(sent.responseValues("access-control-allow-origin") == [allowed ? origin : "u"])
        #expect(sent.responseValues("access-control-expose-headers") == (allowed ? ["x-seen"] : []))
        #expect(sent.responseValues("access-control-allow-methods") == [], "that is for preflights")
        #expect(sent.responseValues("x-route") == ["1"])
        let ahead = bench.send("/x", method: "OPTIONS", preflight(origin))
        #expect(ahead.decision.outcome == (allowed ? .preflight : .forward))
    }

    @Test func whatIsNoPreflightIsForwarded() throws {
        let bench = try Bench(corsModel())
        #expect(
            bench.send("/x", method: "OPTIONS", [("origin", "https://a.test")]).decision.outcome == .forward)
        let empty = bench.send(
            "/x", method: "OPTIONS", [("origin", "https://a.test"), ("access-control-request-method", "")])
        #expect(empty.decision.outcome == .forward)
        #expect(bench.send("/x", preflight("https://a.test")).decision.outcome == .forward)
        let none = bench.send("/x")
        #expect(none.response.map(\.name) == ["x-route"] && none.decision.response.cors == .none)
    }

    @Test func otherPreflightsMayBeAnsweredWithoutAWord() throws {
        let bench = try Bench(corsModel { $0.answersUnmatched = true })
        let sent = bench.send("/x", method: "OPTIONS", preflight("https://other.test"))
        #expect(sent.decision.outcome == .preflight && sent.response.isEmpty)
        #expect(bench.send("/x", [("origin", "https://other.test")]).decision.outcome == .forward)
    }

    @Test func aLoneStarEchoes() throws {
        let bench = try Bench(
            corsModel {
                $0 = CORSModel()
                $0.allowOrigins = [.present]
                $0.allowMethods = ["*"]
                $0.allowHeaders = ["*"]
                $0.allowCredentials = true
            })
        let sent = bench.send(
            "/x", method: "OPTIONS", preflight("null", [("access-control-request-headers", "x-a, x-b")]))
        #expect(sent.responseValues("access-control-allow-origin") == ["null"])
        #expect(sent.responseValues("access-control-allow-methods") == ["PUT"])
        #expect(sent.responseValues("access-control-allow-headers") == ["x-a, x-b"])
        #expect(sent.responseValues("access-control-allow-credentials") == ["true"])
        #expect(sent.responseValues("access-control-max-age") == [])
        let bare = bench.send("/x", method: "OPTIONS", preflight("null"))
        #expect(bare.responseValues("access-control-allow-headers") == [])
    }

    /// The lane's header is allowed beside the policy's own, or no script could enter the lane.
    @Test func preflightsAllowTheLaneHeader() throws {
        var lanes = laneModel()
        lanes.routeTables = corsModel().routeTables
        let sent = try Bench(lanes).send(
            "/x", method: "OPTIONS",
            preflight("https://a.test", [("access-control-request-headers", "x-one, x-feat-name")]))
        #expect(sent.responseValues("access-control-allow-headers") == ["x-one,x-two, x-feat-name"])
    }

    /// Redirects and direct answers have no destination, and so no CORS.
    @Test func onlyForwardingRoutesHaveOne() throws {
        var table = corsModel()
        table.routeTables[0].virtualHosts[0].routes[0].action = .direct(status: 200, body: [])
        let sent = try Bench(table).send("/x", method: "OPTIONS", preflight("https://a.test"))
        #expect(sent.decision.outcome == .direct && sent.responseValues("access-control-allow-origin") == [])
    }

    @Test func explainTellsOfIt() throws {
        let bench = try Bench(corsModel())
        let told = explain(
            bench.snapshot, method: "OPTIONS", url: "http://a.test/x", headers: preflight("https://a.test"))
        #expect(told.outcome == "cors-preflight" && told.status == 200)
        #expect(told.edits.contains("response: add access-control-allow-origin: https://a.test"))
    }

    @Test func aBadPatternIsFoundBeforeAnythingIsHeld() {
        #expect(throws: TableError.self) {
            _ = try Bench(corsModel { $0.allowOrigins = [.regex("(")] })
        }
    }

    /// What an unknown target is answered with is the document kind's to say.
    @Test func missingTargetsHaveTheirStatus() throws {
        var table = model([forward("gone", to: nil)])
        #expect(try Bench(table).send("/").decision.status == 503)
        guard case .forward(var targets) = table.routeTables[0].virtualHosts[0].routes[0].action else {
            return
        }
        targets[0].missingStatus = 500
        table.routeTables[0].virtualHosts[0].routes[0].action = .forward(targets)
        #expect(try Bench(table).send("/").decision.status == 500)
    }

    @Test(arguments: [("/a/b", "/new"), ("/", "/new")])
    func theWholePathMayBeReplaced(_ path: String, _ expected: String) throws {
        var route = forward("full", uri(.prefix("/"), bySegment: true))
        route.rewrite = RewriteModel()
        route.rewrite?.uri = "/new"
        route.rewrite?.replacesPath = true
        let sent = try Bench(model([route])).send(path + "?q=1")
        #expect(sent.path == expected && sent.query == "q=1")
    }
}
