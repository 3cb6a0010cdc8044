// The cookie that keeps a browser in its lane, and what keeps caches and browsers from mixing lanes up
// (lanes.md 4).
import TestSupport
import Testing

@Suite struct LanePinTests {
    private let edge: LaneEdge

    init() throws { edge = try LaneEdge.shared.get() }

    private let pin = "x-feat-name=foo; Path=/; Domain=shop.test; Max-Age=28800; HttpOnly; SameSite=Lax"

    /// Attributes in any order, the pair first.
    private func isPin(_ cookie: String?, _ expected: String) -> Bool {
        func parts(_ text: String) -> [String] {
            text.split(separator: ";").map { String($0.trimmingPrefix(" ")) }
        }
        guard let cookie else { return false }
        return parts(cookie).first == parts(expected).first
            && parts(cookie).sorted() == parts(expected).sorted()
    }

    // MARK: written

    @Test(arguments: [("/?x-feat-name=foo", "app.test"), ("/", "foo.preview.test")])
    func writtenForLinks(_ target: String, _ host: String) throws {
        let answer = try edge.get(target, host: host)
        #expect(answer.cookies.count == 1 && isPin(answer.cookies.first, pin), "\(answer)")
    }

    @Test func notWrittenForOtherCarriers() throws {
        for line in ["x-feat-name: foo", "Cookie: x-feat-name=foo", "baggage: x-feat-name=foo"] {
            #expect(try edge.get("/", [line]).cookies.isEmpty, "\(line)")
        }
        #expect(try edge.get("/?x-feat-name=nobody").cookies.isEmpty)
        #expect(try edge.get("/").cookies.isEmpty)
    }

    @Test func notWrittenAgain() throws {
        #expect(try edge.get("/?x-feat-name=foo", ["Cookie: x-feat-name=foo"]).cookies.isEmpty)
        #expect(try edge.get("/?x-feat-name=foo", ["Cookie: a=b; x-feat-name=\"foo\""]).cookies.isEmpty)
        let moved = try edge.get("/?x-feat-name=foo", ["Cookie: x-feat-name=bar"]).cookies
        #expect(moved.count == 1 && isPin(moved.first, pin), "\(moved)")
    }

    @Test func besideTheApplicationsCookies() throws {
        let answer = try edge.get(
            "/?x-feat-name=foo", ["x-respond: 200|set-cookie: a=b; Path=/|set-cookie: x-feat-name=app"])
        #expect(answer.cookies.count == 3, "\(answer)")
        #expect(answer.cookies.prefix(2) == ["a=b; Path=/", "x-feat-name=app"])
        #expect(isPin(answer.cookies.last, pin))
    }

    @Test(arguments: ["301|location: /x", "302|location: /x", "404", "500", "503", "204"])
    func onEveryStatusOfTheUpstream(_ wish: String) throws {
        let answer = try edge.get("/?x-feat-name=foo", ["x-respond: \(wish)"])
        #expect(answer.status == Int(wish.prefix(3)) && isPin(answer.cookies.first, pin), "\(answer)")
    }

    @Test(arguments: [("moved.test", 302), ("said.test", 200), ("broken.test", 503), ("nobody.test", 404)])
    func onOwnAnswers(_ host: String, _ status: Int) throws {
        let answer = try edge.get("/?x-feat-name=foo", host: host)
        #expect(answer.status == status && answer.upstream == nil)
        #expect(answer.cookies.count == 1 && isPin(answer.cookies.first, pin), "\(answer)")
    }

    @Test func onAnUnreachableLane() throws {
        let answer = try edge.get("/?x-feat-name=gone-strict")
        #expect(answer.status == 503 && answer.reason == "lane-unreachable")
        #expect(answer.cookies.count == 1 && answer.cookies[0].hasPrefix("x-feat-name=gone-strict;"))
    }

    @Test func secureBehindATrustedProxy() throws {
        let https = try edge.get("/?x-feat-name=foo", ["X-Forwarded-Proto: https"])
        #expect(isPin(https.cookies.first, pin + "; Secure"), "\(https)")
        let http = try edge.get("/?x-feat-name=foo", ["X-Forwarded-Proto: http"])
        #expect(isPin(http.cookies.first, pin))
        // Nobody is trusted here, so a client's word is not taken.
        let closed = try PolicyEdge.signable.get()
        let answer = try closed.get("/?x-feat-name=foo", ["X-Forwarded-Proto: https"])
        #expect(answer.cookies.first?.contains("Secure") == false, "\(answer)")
    }

    @Test func attributesAsConfigured() throws {
        let answer = try PolicyEdge.closed.get().get("/?x-feat-name=foo")
        #expect(
            isPin(answer.cookies.first, "x-feat-name=foo; Path=/app; Max-Age=3600; SameSite=Strict; Secure"),
            "\(answer)")
        #expect(try PolicyEdge.rejecting.get().get("/?x-feat-name=foo").cookies.isEmpty)
    }

    // MARK: removed

    @Test(arguments: [("nobody", "lane-unknown"), ("over", "lane-expired"), ("No-Name", "lane-invalid")])
    func removedWhenItPinsToNothing(_ lane: String, _ reason: String) throws {
        let answer = try edge.get("/", ["Cookie: a=b; x-feat-name=\(lane)"])
        #expect(answer.upstream == "stable" && answer.reason == reason, "\(answer)")
        #expect(answer.cookies.count == 1)
        let parts = answer.cookies.first?.split(separator: ";").map { String($0.trimmingPrefix(" ")) } ?? []
        #expect(parts.first == "x-feat-name=")
        #expect(parts.contains("Max-Age=0") && parts.contains("Domain=shop.test") && parts.contains("Path=/"))
        // Once: the browser comes without it, and nothing is told again.
        let next = try edge.get("/", ["Cookie: a=b"])
        #expect(next.cookies.isEmpty && next.reason == nil)
    }

    @Test func removedOnOwnAnswersToo() throws {
        let answer = try edge.get("/", ["Cookie: x-feat-name=nobody"], host: "moved.test")
        #expect(answer.status == 302 && answer.cookies.first?.contains("Max-Age=0") == true, "\(answer)")
    }

    @Test func expiredLanesAreTombstones() throws {
        let answer = try edge.get("/?x-feat-name=over", ["baggage: x-feat-name=over,a=1"])
        #expect(answer.upstream == "stable" && answer.reason == "lane-expired" && answer.cookies.isEmpty)
        #expect(try answer.seen("x-feat-name") == [] && answer.seen("baggage") == ["a=1"])
        try edge.site.waitForMetric("fairlead_lane_lost_total", "reason=\"expired\"", atLeast: 1)
    }

    // MARK: caches

    private func cache(_ edge: LaneEdge, _ lane: String?, _ wish: String) throws -> LaneAnswer {
        try edge.get("/", ["x-respond: 200\(wish)"] + (lane.map { ["x-feat-name: \($0)"] } ?? []))
    }

    @Test(arguments: [
        ("", "private"), ("|cache-control: public, max-age=60", "private, max-age=60"),
        ("|cache-control: max-age=60|cache-control: s-maxage=9", "private, max-age=60"),
        ("|cache-control: no-store", "no-store"), ("|cache-control: private", "private"),
    ])
    func sharedCachesKeepNoLaneResponse(_ wish: String, _ expected: String) throws {
        let answer = try cache(edge, "foo", wish)
        #expect(answer.response.values("cache-control") == [expected], "\(answer)")
        let vary = answer.response.values("vary").joined(separator: ", ").lowercased()
        #expect(vary.contains("x-feat-name") && vary.contains("cookie"), "\(answer)")
    }

    @Test func varyKeepsWhatItHad() throws {
        let answer = try cache(edge, "foo", "|vary: Accept-Encoding|vary: cookie")
        let names = answer.response.values("vary").flatMap { $0.split(separator: ",") }.map {
            $0.trimmingPrefix(" ").lowercased()
        }
        #expect(names.sorted() == ["accept-encoding", "cookie", "x-feat-name"], "\(answer)")
        #expect(try cache(edge, "foo", "|vary: *").response.values("vary") == ["*"])
    }

    @Test func stableResponsesAreUntouched() throws {
        let answer = try cache(edge, nil, "|cache-control: public, max-age=60|vary: Accept")
        #expect(answer.response.values("cache-control") == ["public, max-age=60"])
        #expect(answer.response.values("vary") == ["Accept"])
    }

    @Test func cachePolicies() throws {
        let lines = ["x-respond: 200|cache-control: public", "Cookie: x-feat-name=foo"]
        #expect(try PolicyEdge.closed.get().get("/", lines).response.values("cache-control") == ["no-store"])
        let kept = try PolicyEdge.rejecting.get().get("/", lines).response
        #expect(kept.values("cache-control") == ["public"])
        #expect(kept.values("vary").joined().lowercased().contains("x-feat-name"))
    }

    // MARK: preflight

    private func preflight(_ ask: String, allow: String) throws -> LaneAnswer {
        try edge.site.send(
            "OPTIONS", "/?x-feat-name=foo", host: "app.test",
            [
                "Origin: https://web.test", "Access-Control-Request-Method: GET",
                "Access-Control-Request-Headers: \(ask)", "x-respond: 204|\(allow)",
            ])
    }

    @Test func preflightIsInTheLaneOfItsLink() throws {
        let answer = try preflight("x-feat-name", allow: "access-control-allow-origin: https://web.test")
        #expect(answer.upstream == "foo")
        #expect(answer.response.values("access-control-allow-headers") == ["x-feat-name"])
    }

    @Test func theKeyIsAddedWhereTheOriginIsAllowed() throws {
        let origin = "access-control-allow-origin: *"
        func allowed(_ ask: String, _ allow: String) throws -> String {
            try preflight(ask, allow: allow).response.values("access-control-allow-headers").joined(
                separator: ", ")
        }
        #expect(
            try allowed("a, X-Feat-Name", "\(origin)|access-control-allow-headers: a") == "a, x-feat-name")
        let listed = "\(origin)|access-control-allow-headers: a, X-Feat-Name"
        #expect(try allowed("x-feat-name", listed) == "a, X-Feat-Name")
        #expect(try allowed("a", "\(origin)|access-control-allow-headers: a") == "a")
        #expect(try allowed("x-feat-name", "x-other: 1") == "", "the upstream does not allow the origin")
    }
}
