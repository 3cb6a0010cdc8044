// EnvoyFilter's Lua, seen from outside (istio-semantics.md 20): the published pattern's own scripts, the
// handle, and scripts that must not harm anybody else's requests.
import TestSupport
import Testing

@Suite struct ScriptTests {
    private let edge: ScriptEdge
    private let play: ScriptPlayground
    private let sidecar: ScriptSidecar

    init() throws {
        edge = try ScriptEdge.shared.get()
        play = try ScriptPlayground.shared.get()
        sidecar = try ScriptSidecar.shared.get()
    }

    // MARK: the pattern

    @Test func aLinkIsPromotedAndRoutedAnew() throws {
        let answer = try edge.get("/login?a=1&x-feat-name=auth-refactor")
        #expect(answer.upstream == "auth-refactor", "\(answer)")
        #expect(try answer.seen("x-feat-name") == ["auth-refactor"])
        #expect(answer.response.value("x-feat-name") == "auth-refactor")
        #expect(answer.cookies == ["x-feat-name=auth-refactor; Path=/; Domain=digillect.ca; HttpOnly"])
        try waitUntil("the script's line") { edge.site.process.stderr.contains("promoted from queryParam") }
    }

    @Test func itsMistakesStay() throws {
        // Trap 2: everyone else has no route. Trap 9: the query is searched as text.
        #expect(try edge.get("/login").status == 404)
        #expect(try edge.get("/?y=1&x-feat-name=nobody").status == 404)
        #expect(try edge.get("/?y=%26x-feat-name=auth-refactor").status == 404)
        #expect(try edge.get("/?x-feat-name=not-auth-refactor-either").upstream == "auth-refactor")
        #expect(try edge.get("/", ["Cookie: x-feat-name=auth-refactor"]).upstream == "auth-refactor")
    }

    @Test func explainTellsWhatTheScriptDid() throws {
        let body =
            #"{"method":"GET","url":"http://\#(ScriptEdge.host)/?x-feat-name=auth-refactor","headers":{}}"#
        let answer = try edge.site.admin("POST", "/explain", body: body)
        let told = try jsonObject(answer.text)
        let scripts = told["scripts"] as? [[String: Any]] ?? []
        #expect(scripts.first?["document"] as? String == "EnvoyFilter shop/promotion", "\(told)")
        #expect((scripts.first?["did"] as? [String])?.first == "sets x-feat-name: auth-refactor")
        #expect((told["destination"] as? [String: Any])?["subset"] as? String == "auth-refactor")
        let live = try edge.get("/?x-feat-name=auth-refactor", ["x-fairlead-debug: 1"])
        #expect(live.response.value("x-fairlead-explain")?.contains("sets x-feat-name") == true)
        let url = "http://\(ScriptEdge.host)/?x-feat-name=auth-refactor"
        let text = try Programs.result([Programs.fairlead(), "explain", edge.site.path, url]).stdout
        #expect(text.contains("EnvoyFilter shop/promotion envoy.lua, on request"), "\(text)")
    }

    @Test func theOutboundFilterAddsToAnswersOnly() throws {
        let answer = try sidecar.site.get("/", host: "web.test", port: 15_001)
        #expect(answer.upstream == "stable")
        #expect(try answer.seen("x-feat-name") == [])
        #expect(answer.response.values("x-feat-name") == ["auth-refactor"])
        // Our own answers have it too.
        let own = try sidecar.site.get("/", host: "\(refusedPort()).invalid", port: 15_001)
        #expect(own.upstream == nil && own.response.values("x-feat-name") == ["auth-refactor"], "\(own)")
    }

    @Test func aPortNarrowsAFilter() throws {
        let session = try sidecar.site.get("/", host: "session.test:8080", port: 15_001)
        #expect(try session.seen("x-injected") == ["yes"])
        // Its only port is meant.
        #expect(
            try sidecar.site.get("/", host: "session.test", port: 15_001).seen("x-injected") == ["yes"])
        #expect(try sidecar.site.get("/", host: "web.test", port: 15_001).seen("x-injected") == [])
        let inbound = try sidecar.site.get("/", host: "anything", port: 15_006)
        #expect(inbound.response.values("api-version") == ["v1"])
        #expect(try inbound.seen("x-injected") == [])
        #expect(inbound.response.value("x-feat-name") == nil)
    }

    // MARK: the handle

    @Test func respondAnswersInPlaceOfAnUpstream() throws {
        let answer = try play.get("/respond")
        #expect(answer.status == 403 && answer.upstream == nil, "\(answer)")
        #expect(answer.response.text == "no entry")
        #expect(answer.response.value("x-why") == "script")
        #expect(answer.response.value("content-type") == "text/plain")
        #expect(answer.response.values("content-length") == ["8"])
        // Headers were edited before: the route was cleared with its operations.
        #expect(answer.response.value("x-route") == nil)
        #expect(answer.response.value("x-status-seen") == "403")
    }

    @Test func pathAndAuthorityAreRoutedAnew() throws {
        #expect(try play.get("/rewrite").seen.target == "/other?z=1")
        let second = try play.get("/authority")
        #expect(try second.seen("x-second") == ["1"])
        #expect(try second.seen("host") == ["second.test"])
    }

    @Test func streamInformation() throws {
        let facts = try play.get("/facts").seen("x-facts").first ?? ""
        #expect(facts.hasPrefix("HTTP/1.1 all 127.0.0.1:"), "\(facts)")
    }

    @Test func metadataGoesFromRequestToResponse() throws {
        #expect(try play.get("/remember").response.values("x-remembered") == ["/remember"])
        #expect(try play.get("/").response.values("x-remembered") == [])
    }

    @Test func aResponseIsChangedAfterTheRoutesOperations() throws {
        let answer = try play.get("/", ["x-respond: 200|x-status-wish: 418"])
        #expect(answer.status == 418 && answer.response.startLine.hasSuffix("As Wished"), "\(answer)")
        #expect(answer.response.value("x-status-seen") == "200")
        #expect(answer.response.value("x-route") == "1")
        let own = try play.site.get("/", host: "nobody.test")
        #expect(own.status == 404 && own.response.value("x-status-seen") == "404")
    }

    @Test func aFailingResponseScriptLeavesTheResponse() throws {
        let answer = try play.get("/", ["x-respond: 200|x-break: yes"])
        #expect(answer.status == 200 && answer.response.value("x-status-seen") == "200")
    }

    // MARK: bodies

    @Test func theBodyIsWaitedFor() throws {
        let counted = try play.post("/body", ["Content-Length: 10"], ["hel", "lo wo", "rl"])
        #expect(try counted.seen("x-body") == ["10:hel"], "\(counted)")
        #expect(try counted.seen("content-length") == ["10"])
        let chunks = ["3\r\nabc\r\n", "2\r\nde\r\n0\r\n", "\r\n"]
        let chunked = try play.post("/body", ["Transfer-Encoding: chunked"], chunks)
        #expect(try chunked.seen("x-body") == ["5:abc"], "\(chunked)")
        #expect(try play.get("/body").seen("x-body") == ["none"])
        let atOnce = try play.post("/body", ["Content-Length: 3\r\n\r\nabc"], [])
        #expect(try atOnce.seen("x-body") == ["3:abc"], "\(atOnce)")
    }

    @Test func theBodyIsReplaced() throws {
        let answer = try play.post("/set-body", ["Content-Length: 3"], ["old"])
        #expect(try answer.seen("content-length") == ["8"], "\(answer)")
        #expect(try answer.seen("x-set") == ["1"])
    }

    @Test func theBodyChoosesTheRoute() throws {
        let second = try play.post("/body-lane", ["Content-Length: 7"], ["sec", "ond!"])
        #expect(try second.seen("x-second") == ["1"])
        let first = try play.post("/body-lane", ["Content-Length: 7"], ["first..", ""])
        #expect(try first.seen("x-second") == [])
    }

    @Test func aClientThatExpectsIsToldToGoOn() throws {
        let connection = try RawConnection(port: play.site.port())
        try connection.send(
            "POST /body HTTP/1.1\r\nHost: up.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        let interim = try connection.receive(through: Array("\r\n\r\n".utf8)) ?? []
        #expect(String(decoding: interim, as: UTF8.self).hasPrefix("HTTP/1.1 100"))
        try connection.send("hello")
        let answer = LaneAnswer(response: try connection.response())
        #expect(try answer.seen("x-body") == ["5:hel"])
        #expect(try answer.seen("expect") == [])
    }

    /// A response that says what its script is to do with a body of `count` bytes, chunked or not.
    private func wished(_ wish: String, _ count: Int, chunked: Bool) throws -> LaneAnswer {
        let text = String(repeating: "b", count: count)
        let framing =
            chunked
            ? ["transfer-encoding: chunked"] : ["content-length: \(count)"]
        let body =
            chunked
            ? "\(String(count, radix: 16))\r\n\(text)\r\n0\r\n\r\n" : text
        let head = ["HTTP/1.1 200 OK", "x-upstream: scripted", "x-body-wish: \(wish)"] + framing
        let upstream = try ScriptedUpstream(
            .readRequest, .send(head.joined(separator: "\r\n") + "\r\n\r\n"), .send(body))
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.service("up.test", [(upstream.port, "{version: v1}")]),
                Documents.published("up.test"), luaFilter("play", "GATEWAY", ScriptPlayground.script),
            ]))
        let answer = try site.get("/", host: "up.test")
        if wish == "watch" {
            try waitUntil("the script's line") { site.process.stderr.contains("watched \(count)") }
        }
        return answer
    }

    @Test(arguments: [false, true]) func aResponsesBodyIsReadReplacedAndWatched(_ chunked: Bool) throws {
        let read = try wished("read", 1_000, chunked: chunked)
        #expect(read.response.value("x-body") == "1000:bbb" && read.response.body.count == 1_000, "\(read)")
        #expect(read.response.values("content-length") == ["1000"])
        let set = try wished("set", 50_000, chunked: chunked)
        #expect(set.response.value("x-was") == "50000" && set.response.text == "brand new")
        #expect(try wished("watch", 70_000, chunked: chunked).response.body.count == 70_000)
        #expect(try wished("read", 2_000_000, chunked: chunked).status == 500)
        if !chunked { #expect(try wished("read", 0, chunked: false).response.value("x-body") == "none") }
    }

    @Test func aRequestsBodyIsWatched() throws {
        let answer = try play.post("/watch", ["Content-Length: 6"], ["abc", "def"])
        #expect(answer.status == 200)
        try waitUntil("the script's line") { play.site.process.stderr.contains("request of 6") }
        #expect(try play.get("/watch").status == 200)
        try waitUntil("the script's line") { play.site.process.stderr.contains("request of 0") }
    }

    @Test func aBodyThatIsTooLongIsRefused() throws {
        let connection = try RawConnection(port: play.site.port())
        try connection.send("POST /body HTTP/1.1\r\nHost: up.test\r\nContent-Length: 3000000\r\n\r\n")
        _ = connection.sendNow([UInt8](repeating: 0x61, count: 2_000_000))
        #expect(try connection.response().status == 413)
        #expect(try play.get("/").status == 200)
    }

    @Test func aClientThatLeavesMidwayLeavesNothing() throws {
        let site = try LaneSite(readText(play.site.path))
        for _ in 0..<10 {
            let connection = try RawConnection(port: site.port())
            try connection.send("POST /body HTTP/1.1\r\nHost: up.test\r\nContent-Length: 100\r\n\r\nabc")
            connection.reset()
        }
        try waitUntil("no request") { try site.metric("fairlead_downstream_requests_active") == 0 }
        #expect(try site.get("/", host: "up.test").status == 200)
    }

    // MARK: misdeeds

    @Test(arguments: ScriptPlayground.paths)
    func aMisdeedHarmsNobody(_ path: String) throws {
        let before = try play.site.metric("fairlead_script_errors_total")
        let answer = try play.get("/\(path)")
        #expect(answer.status == 200 && answer.upstream == "up", "\(answer)")
        // What it did before it failed stays, nothing comes after.
        #expect(try answer.seen("x-before") == ["1"])
        #expect(try answer.seen("x-evil") == [])
        #expect(try answer.seen("transfer-encoding") == [])
        if path == "frame" {
            #expect(try answer.seen("x-after") == ["1"])
            return
        }
        #expect(try answer.seen("x-after") == [])
        #expect(try play.site.metric("fairlead_script_errors_total") > before)
        #expect(try play.get("/").seen("x-after") == ["1"])
        #expect(try !Programs.result(["/bin/ls", "/tmp"]).stdout.contains("fairlead-was-here"))
    }

    /// `line`: of the script, whose third is the code's first; 0: Lua does not tell.
    @Test(arguments: [
        ("function envoy_on_request(h\nend", "expected", 4), ("while true do end", "script ran", 3),
        ("local s = 'x' while true do s = s .. s end", "memory", 0), ("io.open('/etc/passwd')", "io", 3),
    ])
    func aScriptThatDoesNotLoadIsRefused(_ code: String, _ why: String, _ line: Int) throws {
        let text = Documents.join([Documents.edge(), luaFilter("bad", "GATEWAY", "\n\n" + code)])
        let found = try check(text)
        #expect(found.exit == 1)
        let finding = try #require(found.lines.coded("FL0071").first, "\(found)")
        #expect(finding.contains(why), "\(finding)")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.contains("inlineCode") }) + 1
        #expect(finding.hasPrefix("site.yaml:\(start + line):"), "\(finding)")
    }

    @Test func aBrokenReloadChangesNothing() throws {
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.virtualService("a.test", "- directResponse: {status: 200}"),
                luaFilter("one", "GATEWAY", "function envoy_on_response(h) h:headers():add('x-v', '1') end"),
            ]))
        func version() throws -> [String] {
            try site.get("/", host: "a.test").response.values("x-v")
        }
        #expect(try version() == ["1"])
        let text = readText(site.path)
        try site.folder.write("site.yaml", text.replacing("function envoy", with: "function function envoy"))
        #expect(try site.admin("POST", "/reload").status == 400)
        #expect(try version() == ["1"])
        try site.folder.write("site.yaml", text.replacing("'x-v', '1'", with: "'x-v', '2'"))
        #expect(try site.admin("POST", "/reload").status == 200)
        #expect(try version() == ["2"])
    }
}
