// `httpCall` (istio-semantics.md 20): what scripts are answered, in which order, and what is bounded.
import TestSupport
import Testing

@Suite struct ScriptCallTests {
    private let calls: ScriptCallSite

    init() throws { calls = try ScriptCallSite.shared.get() }

    @Test func theAnswerIsTheScripts() throws {
        #expect(try calls.told("/check") == "200 bob ask")
        let asked = try #require(calls.auth.requests.first { $0.target == "/check?a=1" })
        #expect(asked.method == "POST" && asked.values("host") == ["auth.test"])
        #expect(asked.values("content-length") == ["3"] && asked.text == "ask")
        #expect(asked.values("x-two") == ["a", "b"])
        #expect(try calls.told("/nothing") == "204 nil nil")
        #expect(try calls.told("/head") == "200 bob nil")
        #expect(try calls.told("/lists") == "abbob")
    }

    @Test func connectionsAreThoseOfThePool() throws {
        let site = try LaneSite(readText(calls.site.path))
        let told = try site.get("/twice", host: "up.test").seen("x-call").first ?? ""
        let halves = (told.prefix(told.count / 2), told.suffix(told.count / 2))
        #expect(!told.isEmpty && halves.0 == halves.1, "\(told)")
    }

    @Test func whatFailsIsAnAnswerToo() throws {
        let refused =
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection"
        #expect(try calls.told("/dead")?.hasPrefix("503 nil \(refused)") == true)
        #expect(try calls.told("/empty") == "503 nil no healthy upstream")
        #expect(try calls.told("/late") == "504 nil upstream request timeout")
        #expect(try calls.told("/cut") == "503 nil upstream failure")
        #expect(try calls.told("/large") == "503 nil upstream failure")
    }

    @Test(arguments: ["/unknown", "/method", "/path", "/long", "/option", "/inside", "/many"])
    func whatCannotBeCalledIsAnErrorOfTheScript(_ target: String) throws {
        let before = try calls.site.metric("fairlead_script_errors_total")
        let answer = try calls.get(target)
        #expect(answer.status == 200 && answer.upstream == "up", "\(answer)")
        #expect(try answer.seen("x-before") == ["1"])
        #expect(try answer.seen("x-call") == [])
        #expect(try calls.site.metric("fairlead_script_errors_total") > before)
    }

    @Test func aLoopOfCallsEnds() throws {
        #expect(try calls.get("/polls").seen("x-call") == [])
        #expect(try calls.get("/").status == 200)
    }

    @Test func nobodyWaitsForAnAsynchronousCall() throws {
        #expect(try calls.told("/asynchronous") == "nil")
        try waitUntil("the call") { calls.auth.requests.contains { $0.target == "/later" } }
    }

    @Test func theAnswerChoosesTheRouteAndTheResponse() throws {
        #expect(try calls.get("/move").seen("x-bob") == ["1"])
        let denied = try calls.get("/deny")
        #expect(denied.status == 403 && denied.response.value("x-why") == "not you", "\(denied)")
        #expect(denied.response.text == "denied")
    }

    // MARK: bodies

    /// A POST whose body is sent in pieces, the first with the head.
    private func post(_ target: String, _ framing: String, _ pieces: [String]) throws -> LaneAnswer {
        let connection = try RawConnection(port: calls.site.port())
        let first = pieces.first ?? ""
        try connection.send("POST \(target) HTTP/1.1\r\nHost: up.test\r\n\(framing)\r\n\r\n\(first)")
        for piece in pieces.dropFirst() { try connection.send(piece) }
        let answer = LaneAnswer(response: try connection.response())
        // What came behind the body is the next request, whole.
        try connection.send("GET /check HTTP/1.1\r\nHost: up.test\r\n\r\n")
        let next = LaneAnswer(response: try connection.response())
        #expect(try next.seen("x-call") == ["200 bob ask"])
        return answer
    }

    @Test(arguments: [
        ("Content-Length: 6", ["abc", "def"]), ("Content-Length: 6", ["", "abcdef"]),
        ("Content-Length: 6", ["abcdef"]),
        ("Transfer-Encoding: chunked", ["3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n"]),
        ("Transfer-Encoding: chunked", ["6\r\nabcdef\r\n0\r\n\r\n"]),
    ])
    func bodiesSurviveCalls(_ framing: String, _ pieces: [String]) throws {
        for (target, told) in [
            ("/check", "200 bob ask"), ("/body-first", "abcdef6"), ("/body-last", "askabc"),
            ("/set", "askchanged"),
        ] {
            let answer = try post(target, framing, pieces)
            #expect(try answer.seen("x-call") == [told], "\(target): \(answer)")
            #expect(answer.response.value("x-body-bytes") == (target == "/set" ? "7" : "6"), "\(target)")
        }
    }

    @Test func pipelinedRequestsWaitForTheCall() throws {
        let connection = try RawConnection(port: calls.site.port())
        let head = "Host: up.test\r\n"
        try connection.send(
            "GET /check HTTP/1.1\r\n\(head)\r\n"
                + "POST /check HTTP/1.1\r\n\(head)Content-Length: 3\r\n\r\nabc"
                + "GET / HTTP/1.1\r\n\(head)\r\n")
        for told in [["200 bob ask"], ["200 bob ask"], []] {
            #expect(try LaneAnswer(response: try connection.response()).seen("x-call") == told)
        }
    }

    // MARK: responses

    @Test(arguments: [0, 10, 500_000]) func aResponseWaitsForItsScript(_ count: Int) throws {
        let body = String(repeating: "b", count: count)
        for isChunked in [false, true] {
            let framing = isChunked ? "transfer-encoding: chunked" : "content-length: \(count)"
            let sent =
                !isChunked
                ? body : count == 0 ? "0\r\n\r\n" : "\(String(count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
            let upstream = try ScriptedUpstream([
                [
                    .readRequest, .send("HTTP/1.1 200 OK\r\nx-wish: call\r\n\(framing)\r\n\r\n\(sent)"),
                    .readToEnd,
                ]
            ])
            let site = try callingSite(upstream.port)
            let answer = try site.get("/", host: "two.test")
            #expect(answer.response.value("x-answer") == "200 bob ask", "\(answer.response.startLine)")
            #expect(answer.response.body.count == count && answer.response.text == body)
        }
    }

    /// The script of the shared site in front of an upstream of this test's own.
    private func callingSite(_ port: UInt16) throws -> LaneSite {
        let text = readText(calls.site.path)
        return try LaneSite(
            text + "\n---\n" + Documents.service("two.test", [(port, "{version: v1}")]) + "\n---\n"
                + Documents.published("two.test"))
    }

    @Test func aResponsesBodyIsReadAndThenTheCallMade() throws {
        let answer = try calls.get("/", ["x-respond: 200|x-wish: body"])
        #expect(answer.response.value("x-answer") == "200 bob ask", "\(answer)")
        #expect(answer.response.value("x-length") == String(2 * answer.response.body.count))
    }

    @Test func ourOwnAnswersWaitToo() throws {
        let missing = try calls.get("/missing")
        #expect(missing.status == 404 && missing.response.text == "not here", "\(missing)")
        #expect(missing.response.value("x-answer") == "200 bob ask")
        let head = try calls.site.send("HEAD", "/missing", host: "up.test")
        #expect(head.response.value("content-length") == "8" && head.response.value("x-answer") != nil)
        let nowhere = try calls.site.get("/", host: "nowhere.test")
        #expect(nowhere.status == 404 && nowhere.response.value("x-answer") == "200 bob ask")
    }

    // MARK: ends

    @Test func aClientThatLeavesEndsItsCall() throws {
        let site = try LaneSite(readText(calls.site.path))
        for _ in 0..<5 {
            let connection = try RawConnection(port: site.port())
            try connection.send("GET /wait HTTP/1.1\r\nHost: up.test\r\n\r\n")
            try waitUntil("the call") { try site.metric("fairlead_downstream_requests_active") >= 2 }
            connection.reset()
            try waitUntil("no request") { try site.metric("fairlead_downstream_requests_active") == 0 }
        }
        #expect(try site.get("/", host: "up.test").status == 200)
    }

    @Test func aReloadDuringACallChangesNothing() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream([
            [.readHead, .waitFor(gate), .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), .readToEnd]
        ])
        let site = try LaneSite(
            readText(calls.site.path).replacing(
                "ports: {http: \(calls.silent.port)}", with: "ports: {http: \(upstream.port)}"))
        let connection = try RawConnection(port: site.port())
        try connection.send("GET /wait HTTP/1.1\r\nHost: up.test\r\n\r\n")
        try waitUntil("the call") { upstream.connections == 1 }
        for _ in 0..<2 { #expect(try site.admin("POST", "/reload").status == 200) }
        gate.open()
        #expect(try LaneAnswer(response: try connection.response()).seen("x-call") == ["200 nil ok"])
    }
}
