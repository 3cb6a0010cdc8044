// Which lane a request is in: every carrier, the order between them, and what leaves for the upstream
// (lanes.md 2).
import TestSupport
import Testing

@Suite struct LaneCarrierTests {
    private let edge: LaneEdge

    init() throws { edge = try LaneEdge.shared.get() }

    private static let carriers: [(name: String, target: String, host: String, lines: [String])] = [
        ("query", "/?x-feat-name=LANE", "app.test", []),
        ("preview-host", "/", "LANE.preview.test", []),
        ("header", "/", "app.test", ["x-feat-name: LANE"]),
        ("cookie", "/", "app.test", ["Cookie: x-feat-name=LANE"]),
        ("baggage", "/", "app.test", ["baggage: x-feat-name=LANE"]),
        ("tracestate", "/", "app.test", ["tracestate: x-feat-name=LANE"]),
    ]

    @Test(arguments: carriers.indices) func eachCarrierNamesALane(_ index: Int) throws {
        let carrier = Self.carriers[index]
        func filled(_ text: String) -> String { text.replacing("LANE", with: "foo") }
        let answer = try edge.get(
            filled(carrier.target), carrier.lines.map(filled), host: filled(carrier.host))
        #expect(answer.upstream == "foo" && answer.reason == nil, "\(answer)")
        #expect(try answer.seen("x-feat-name") == ["foo"])
        #expect(try answer.seen("baggage") == ["x-feat-name=foo"])
        #expect(try answer.seen("tracestate") == ["x-feat-name=foo"])
        #expect(try answer.seen("host") == ["app.test"])
        try edge.site.waitForMetric(
            "fairlead_lane_requests_total",
            "carrier=\"\(carrier.name)\"", atLeast: 1)
    }

    /// Each carrier beats all that come after it, which are counted as conflicts.
    @Test(arguments: 0..<5) func theOrderOfCarriers(_ winner: Int) throws {
        var target = "/"
        var host = "app.test"
        var lines: [String] = []
        for (index, carrier) in Self.carriers.enumerated() where index >= winner {
            let lane = index == winner ? "foo" : "bar"
            func filled(_ text: String) -> String { text.replacing("LANE", with: lane) }
            if carrier.target != "/" { target = filled(carrier.target) }
            if carrier.host != "app.test" { host = filled(carrier.host) }
            lines += carrier.lines.map(filled)
        }
        let answer = try edge.get(target, lines, host: host)
        #expect(answer.upstream == "foo", "\(answer)")
        #expect(try answer.seen("x-feat-name") == ["foo"])
        #expect(try answer.seen("baggage") == ["x-feat-name=foo"])
        #expect(try answer.seen("tracestate") == ["x-feat-name=foo"])
        try edge.site.waitForMetric("fairlead_lane_lost_total", "reason=\"conflict\"", atLeast: 1)
    }

    @Test func agreeingCarriersAreNoConflict() throws {
        let lines = ["x-feat-name: foo", "Cookie: x-feat-name=foo", "baggage: x-feat-name=foo"]
        let explained = try edge.get("/?x-feat-name=foo", lines + ["x-fairlead-debug: 1"])
        let json = try jsonObject(explained.response.value("x-fairlead-explain") ?? "")
        let lane = json["lane"] as? [String: Any]
        #expect(lane?["conflicts"] as? [String] == [])
        #expect((lane?["carriers"] as? [[String: Any]])?.count == 4)
    }

    @Test func conflictsAreNamed() throws {
        let explained = try edge.get(
            "/?x-feat-name=foo", ["Cookie: x-feat-name=bar", "x-fairlead-debug: 1"])
        let json = try jsonObject(explained.response.value("x-fairlead-explain") ?? "")
        #expect((json["lane"] as? [String: Any])?["conflicts"] as? [String] == ["cookie=bar"])
    }

    // MARK: header

    @Test func headerNamesAreExact() throws {
        #expect(try edge.upstream("X-Feat-Name: foo") == "foo")
        #expect(try edge.upstream("x_feat_name: foo") == "stable")
        #expect(try edge.upstream("x-feat-names: foo") == "stable")
        #expect(try edge.upstream("x-feat-name: \t foo  ") == "foo")
        #expect(try edge.upstream("x-feat-name:") == "stable")
    }

    @Test func repeatedHeadersFirstWins() throws {
        let answer = try edge.get("/", ["x-feat-name: foo", "x-feat-name: bar"])
        #expect(answer.upstream == "foo")
        #expect(try answer.seen("x-feat-name") == ["foo"])
        #expect(try edge.upstream("x-feat-name: bar", "x-feat-name: foo") == "bar")
        #expect(try edge.get("/", ["x-feat-name: foo", "x-feat-name: foo"]).seen("x-feat-name") == ["foo"])
        // A list is no name.
        #expect(try edge.get("/", ["x-feat-name: foo, bar"]).reason == "lane-invalid")
    }

    // MARK: preview hosts

    @Test func previewHosts() throws {
        let second = try edge.get("/p", host: "pr-elsewhere.dev.test")
        #expect(second.upstream == "foo")
        #expect(try second.seen("host") == ["other.test"])
        #expect(try edge.get("/", host: "FOO.Preview.TEST:8443").upstream == "foo")
        for host in ["a.foo.preview.test", "foo.preview.test.evil", "preview.test", ".preview.test"] {
            #expect(try edge.get("/", host: host).reason == "no-route", "\(host)")
        }
        let unknown = try edge.get("/", host: "nobody.preview.test")
        #expect(unknown.upstream == "stable" && unknown.reason == "lane-unknown")
        #expect(try unknown.seen("host") == ["app.test"])
        let invalid = try edge.get("/", host: "no_name.preview.test")
        #expect(invalid.upstream == "stable" && invalid.reason == "lane-invalid")
    }

    // MARK: what makes a lane known

    @Test(arguments: ["by-header", "team-red", "by-cookie", "by-query", "foo"])
    func knownByDocuments(_ lane: String) throws {
        let answer = try edge.get("/?x-feat-name=\(lane)", host: "matched.test")
        #expect(answer.reason == nil && answer.cookies.count == 1, "\(answer)")
        #expect(try answer.seen("x-feat-name") == [lane])
    }

    @Test(arguments: ["by-heade", "team-7", "team-", "xby-cookie", "by-cookie-2"])
    func unknownToAll(_ lane: String) throws {
        let answer = try edge.get("/?x-feat-name=\(lane)", host: "matched.test")
        #expect(answer.upstream == "stable" && answer.cookies.isEmpty, "\(answer)")
    }

    @Test func unknownLanesGoOnAsTheyCame() throws {
        let answer = try edge.get(
            "/?x-feat-name=abroad", ["x-feat-name: abroad", "Cookie: a=b; x-feat-name=abroad"])
        #expect(answer.upstream == "stable" && answer.reason == "lane-unknown")
        let seen = try answer.seen
        #expect(seen.target == "/?x-feat-name=abroad")
        #expect(seen.values("x-feat-name") == ["abroad"])
        #expect(seen.values("cookie") == ["a=b; x-feat-name=abroad"])
        #expect(seen.values("baggage") == [])
        try edge.site.waitForMetric("fairlead_lane_lost_total", "reason=\"unknown\"", atLeast: 1)
    }

    // MARK: lists shared with others

    @Test func baggageOfOthersIsKept() throws {
        func expect(_ lines: [String], _ expected: [String]) throws {
            let answer = try edge.get("/", ["x-feat-name: foo"] + lines)
            let sent = try answer.seen("baggage")
            #expect(answer.upstream == "foo")
            #expect(sent == expected)
        }
        let others = "userId=Am%C3%A9lie;prop=1 , serverNode = DF%2028"
        try expect(["baggage: \(others)"], ["\(others),x-feat-name=foo"])
        // What already says the same stays as it is.
        try expect(["baggage: a=1,x-feat-name=foo;p=q, b=2"], ["a=1,x-feat-name=foo;p=q, b=2"])
        try expect(["baggage: a=1;x,x-feat-name=bar;p, b=2;y"], ["a=1;x,x-feat-name=foo, b=2;y"])
        try expect(["baggage: a=1", "baggage: b=2"], ["a=1", "b=2,x-feat-name=foo"])
    }

    @Test func baggageValuesAreDecoded() throws {
        #expect(try edge.upstream("baggage: x-feat-name=f%6Fo") == "foo")
        #expect(try edge.upstream("baggage: a=b , x-feat-name = foo ; p=1") == "foo")
        #expect(try edge.upstream("baggage: x-feat-name=foo,x-feat-name=bar") == "foo")
        #expect(try edge.upstream("baggage: X-Feat-Name=foo") == "stable")
        #expect(try edge.get("/", ["baggage: x-feat-name=f%0do"]).reason == "lane-invalid")
    }

    @Test func tracestateOfOthersIsKept() throws {
        let others = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        let added = try edge.get("/", ["x-feat-name: foo", "tracestate: \(others)"])
        #expect(try added.seen("tracestate") == ["x-feat-name=foo,\(others)"])
        let replaced = try edge.get("/", ["x-feat-name: foo", "tracestate: a=1,x-feat-name=bar,b=2"])
        #expect(try replaced.seen("tracestate") == ["x-feat-name=foo,a=1,b=2"])
    }

    @Test func aFullCarrierLosesOursNeverTheirs() throws {
        let full = (0..<64).map { "k\($0)=v" }.joined(separator: ",")
        let answer = try edge.get("/", ["x-feat-name: foo", "baggage: \(full)"])
        #expect(answer.upstream == "foo")
        #expect(try answer.seen("baggage") == [full])
        try edge.site.waitForMetric("fairlead_lane_lost_total", "reason=\"limit\"", atLeast: 1)
    }

    // MARK: Fairlead's own names

    @Test func ownNamesEndAtTheEdge() throws {
        let answer = try edge.get(
            "/",
            [
                "x-fairlead-reason: forged", "X-Fairlead-Debug: 0", "x-fairlead-anything: 1",
                "x-fairleadx: kept", "x-feat-name: foo",
            ])
        let names = try answer.seen.fields.map { $0.name.lowercased() }
        #expect(!names.contains { $0.hasPrefix("x-fairlead-") }, "\(names)")
        #expect(names.contains("x-fairleadx"))
        #expect(answer.response.value("x-fairlead-explain") == nil)
    }

    @Test func explanationsForThoseAllowed() throws {
        let answer = try edge.get("/a?x-feat-name=foo", ["x-fairlead-debug: 1"])
        #expect(answer.upstream == "foo")
        let json = try jsonObject(answer.response.value("x-fairlead-explain") ?? "")
        #expect(json["decision"] as? String == "lane")
        #expect((json["lane"] as? [String: Any])?["carrier"] as? String == "query")
        let local = try edge.get("/", ["x-fairlead-debug: 1"], host: "nobody.test")
        let other = try jsonObject(local.response.value("x-fairlead-explain") ?? "")
        #expect(other["reason"] as? String == "no-route" && other["status"] as? Int == 404)

        let refused = try PolicyEdge.rejecting.get().get("/?x-feat-name=foo", ["x-fairlead-debug: 1"])
        #expect(refused.upstream == "foo" && refused.response.value("x-fairlead-explain") == nil)
    }
}
