// Where a lane leads: members, empty and unreachable lanes by mode, and that nothing falls back once bytes
// were sent (lanes.md 5).
import TestSupport
import Testing

@Suite struct LaneModeTests {
    private let edge: LaneEdge

    init() throws { edge = try LaneEdge.shared.get() }

    @Test(
        arguments: [
            ("foo", 200, "foo", nil), ("bar", 200, "bar", nil),
            // A lane that does not list the service: stable, and nothing to tell.
            ("elsewhere", 200, "stable", nil),
            ("empty", 200, "stable", "lane-empty"), ("empty-fail", 503, nil, "lane-empty"),
            ("empty-strict", 503, nil, "lane-empty"), ("gone", 200, "stable", "lane-unreachable"),
            ("gone-strict", 503, nil, "lane-unreachable"), ("gone-fail", 503, nil, "lane-unreachable"),
            ("watched", 200, "stable", nil),
        ] as [(String, Int, String?, String?)])
    func outcomes(_ lane: String, _ status: Int, _ upstream: String?, _ reason: String?) throws {
        let answer = try edge.get("/", ["x-feat-name: \(lane)"])
        #expect(answer.status == status && answer.upstream == upstream, "\(answer)")
        #expect(answer.reason == reason, "\(answer)")
        if upstream != nil {
            #expect(try answer.seen("x-feat-name") == [lane], "the lane goes on wherever the request goes")
        } else {
            #expect(!answer.response.text.isEmpty, "a 503 says why")
        }
    }

    @Test(arguments: [
        ("foo", "lane"), ("elsewhere", "stable"), ("empty", "stable"), ("watched", "stable"),
    ])
    func decisionsAreCounted(_ lane: String, _ decision: String) throws {
        _ = try edge.get("/", ["x-feat-name: \(lane)"])
        try waitUntil("\(lane) counted as \(decision)") {
            try edge.site.metric(
                "fairlead_lane_requests_total", "lane=\"\(lane)\"", "decision=\"\(decision)\"",
                "service=\"app.test\"") >= 1
        }
    }

    @Test func oneReachableMemberIsEnough() throws {
        for _ in 0..<6 {
            let answer = try edge.get("/", ["x-feat-name: half-gone"])
            #expect(answer.upstream == "bar" && answer.reason == nil, "\(answer)")
        }
    }

    @Test func theBodyReachesStableAfterAFallback() throws {
        let body = String(repeating: "0123456789", count: 20_000)
        let connection = try RawConnection(port: edge.site.port())
        try connection.send(
            "POST /up HTTP/1.1\r\nHost: app.test\r\nx-feat-name: gone\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        let answer = LaneAnswer(response: try connection.response())
        #expect(answer.upstream == "stable" && answer.reason == "lane-unreachable", "\(answer)")
        #expect(answer.response.value("x-body-bytes") == "\(body.utf8.count)")
        // And the connection goes on.
        #expect(try connection.get("/", host: "app.test").status == 200)
    }

    @Test func nothingFallsBackAfterBytesWereSent() throws {
        let before = edge.silent.connections
        let answer = try edge.get("/", ["x-feat-name: silent"])
        #expect(
            answer.status == 503 && answer.upstream == nil && answer.reason == "upstream-reset", "\(answer)")
        #expect(edge.silent.connections == before + 1)
    }

    @Test func membersAreStillUsedByTheirLaneAlone() throws {
        var upstreams: Set<String> = []
        for _ in 0..<12 { upstreams.insert(try edge.get("/").upstream ?? "none") }
        #expect(upstreams == ["stable"])
    }

    @Test func redirectsAndOwnAnswersNeedNoMember() throws {
        #expect(try edge.get("/", ["x-feat-name: empty-fail"], host: "said.test").status == 200)
        #expect(try edge.get("/", ["x-feat-name: gone-strict"], host: "moved.test").status == 302)
    }
}
