// The handle's methods (istio-semantics.md 20).
import Base
import HTTP
import Lua
import Testing

@Suite struct HandleTests {
    private func request(_ body: String) -> String {
        "function envoy_on_request(h)\nlocal headers = h:headers()\n\(body)\nend"
    }

    @Test func theGatewayFilterOfThePatternPromotesTheQuery() throws {
        let head = Scripted(path: "/login?a=1&x-feat-name=auth-refactor&b=2")
        let outcome = try head.run(
            """
            function envoy_on_request(request_handle)
              local path = request_handle:headers():get(":path") or ""
              local feat = path:match("[?&]x%-feat%-name=([^&]+)")
              if feat then
                request_handle:headers():replace("x-feat-name", feat)
                request_handle:logInfo("digillect: x-feat-name=" .. feat .. " promoted from queryParam")
              end
            end
            """)
        #expect(outcome == .done)
        #expect(head.values("x-feat-name") == ["auth-refactor"])
        #expect(head.message.pointee.clearsRoute)
        #expect(
            head.trace.lines == [
                "sets x-feat-name: auth-refactor",
                "logs info: digillect: x-feat-name=auth-refactor promoted from queryParam",
            ])
    }

    @Test func aHeaderThatIsOnlyReadChangesNothing() throws {
        let head = Scripted([("x-a", "1")])
        #expect(try head.run(request("headers:get('x-a')")) == .done)
        #expect(!head.message.pointee.isEdited)
        #expect(!head.message.pointee.clearsRoute)
    }

    @Test func severalLinesAreReadTogetherAndByPosition() throws {
        let head = Scripted([("x-a", "1"), ("x-b", "2"), ("x-a", "3")])
        let code = request(
            """
            headers:add("x-all", headers:get("X-A"))
            headers:add("x-count", tostring(headers:getNumValues("x-a")))
            headers:add("x-first", headers:getAtIndex("x-a", 0))
            headers:add("x-second", headers:getAtIndex("x-a", 1))
            headers:add("x-none", tostring((headers:getAtIndex("x-a", 2))) .. tostring((headers:get("x-c"))))
            """)
        #expect(try head.run(code) == .done)
        #expect(head.values("x-all") == ["1,3"])
        #expect(head.values("x-count") == ["2"])
        #expect(head.values("x-first") == ["1"])
        #expect(head.values("x-second") == ["3"])
        #expect(head.values("x-none") == ["nilnil"])
    }

    @Test func addReplaceRemove() throws {
        let head = Scripted([("x-a", "1"), ("x-a", "2"), ("x-b", "3"), ("x-c", "4")])
        let code = request(
            """
            headers:replace("x-a", "9")
            headers:add("x-b", "5")
            headers:remove("x-c")
            headers:replace("X-New", "6")
            """)
        #expect(try head.run(code) == .done)
        #expect(head.values("x-a") == ["9"])
        #expect(head.values("x-b") == ["3", "5"])
        #expect(head.values("x-c") == [])
        #expect(head.values("x-new") == ["6"])
    }

    @Test func pseudoHeadersAreReadAndReplaced() throws {
        let head = Scripted(method: "POST", authority: "a.example.com:80", path: "/p?q=1")
        let code = request(
            """
            headers:add("x-seen", headers:get(":method") .. " " .. headers:get(":scheme") .. "://"
              .. headers:get(":authority") .. headers:get(":path") .. " " .. headers:get("host"))
            headers:replace(":path", "/other?z=2")
            headers:replace(":authority", "b.example.com")
            headers:add("x-now", headers:get(":path"))
            """)
        #expect(try head.run(code) == .done)
        #expect(head.values("x-seen") == ["POST http://a.example.com:80/p?q=1 a.example.com:80"])
        #expect(head.values("x-now") == ["/other?z=2"])
        #expect(head.request.pointee.path.string == "/other")
        #expect(head.request.pointee.query.string == "z=2")
        #expect(head.request.pointee.authority.string == "b.example.com")
    }

    @Test func pairsMeetsEveryLineOnce() throws {
        let head = Scripted(path: "/p", [("x-a", "1"), ("x-a", "2")])
        let code = request(
            """
            local seen = {}
            for name, value in pairs(headers) do seen[#seen + 1] = name .. "=" .. value end
            headers:add("x-seen", table.concat(seen, ";"))
            """)
        #expect(try head.run(code) == .done)
        #expect(
            head.values("x-seen")
                == [":authority=shop.example.com;:path=/p;:method=GET;:scheme=http;x-a=1;x-a=2"])
    }

    @Test func noEditsWhileIterating() throws {
        let head = Scripted([("x-a", "1")])
        let code = request("for name in pairs(headers) do headers:remove(name) end")
        #expect(try head.run(code) == .failed)
        #expect(head.error.contains("cannot be modified while iterating"))
        #expect(head.error.hasPrefix("test.yaml:13:"))
    }

    @Test(arguments: [
        "headers:add('x y', '1')", "headers:add('', '1')", "headers:add('x', '1\\r\\nevil: 2')",
        "headers:add('x', 'a\\0b')", "headers:replace(':path', 'no-slash')",
        "headers:replace(':path', '/a b')", "headers:replace(':authority', 'a/b')",
        "headers:add(':path', '/x')", "headers:remove(':method')", "headers:replace(':status', '200')",
    ])
    func whatWouldBreakAHeadIsRefused(_ line: String) throws {
        let head = Scripted()
        #expect(try head.run(request(line)) == .failed)
        #expect(!head.message.pointee.isEdited)
    }

    @Test(arguments: ["content-length", "Transfer-Encoding", "connection", "TE"])
    func framingIsNotTheScripts(_ name: String) throws {
        let head = Scripted(method: "POST", [("content-length", "3")])
        #expect(try head.run(request("headers:replace('\(name)', '7')\nheaders:remove('\(name)')")) == .done)
        #expect(head.values("content-length") == ["3"])
        #expect(head.values("transfer-encoding") == [])
    }

    @Test func responsesHaveAStatusAndAReason() throws {
        let head = Scripted(response: 503, [("x-a", "1")])
        let code = """
            function envoy_on_response(h)
              local headers = h:headers()
              headers:add("x-was", headers:get(":status"))
              headers:replace(":status", "418")
              headers:setHttp1ReasonPhrase("Short and stout")
            end
            """
        #expect(try head.run(code) == .done)
        #expect(head.values("x-was") == ["503"])
        #expect(head.message.pointee.status == 418)
        #expect(head.message.pointee.reasonPhrase.string == "Short and stout")
    }

    @Test func respondEndsTheScript() throws {
        let head = Scripted()
        let code = request(
            """
            h:respond({[":status"] = "403", ["X-Why"] = "no", ["x-list"] = {"a", "b"}}, "go away")
            headers:add("x-after", "1")
            """)
        #expect(try head.run(code) == .responded)
        let answer = head.message.pointee.answer
        #expect(answer.value(":status") == Array("403".utf8))
        #expect(answer.value("x-why") == Array("no".utf8))
        #expect(answer.fields.filter { $0.name == Array("x-list".utf8) }.count == 2)
        #expect(answer.body == Array("go away".utf8))
        #expect(head.values("x-after") == [])
    }

    @Test(arguments: ["{}", "{[':status'] = '99'}", "{[':status'] = '600'}", "{[':status'] = 'x'}", "nil"])
    func respondNeedsAStatus(_ table: String) throws {
        let head = Scripted()
        #expect(try head.run(request("h:respond(\(table), '')")) == .failed)
    }

    @Test func smallTools() throws {
        #expect(try evaluate("h:base64Escape('foobar')") == "Zm9vYmFy")
        #expect(try evaluate("h:base64Escape('fooba')") == "Zm9vYmE=")
        #expect(try evaluate("h:base64Escape('foob')") == "Zm9vYg==")
        #expect(try evaluate("h:base64Escape('')") == "")
        #expect(try evaluate("h:timestamp() > 1e12") == "true")
        #expect(
            try evaluate("h:timestamp(EnvoyTimestampResolution.MICROSECOND) > 1e15") == "true")
        #expect(try evaluate("#h:timestampString()") == "13")
        #expect(try evaluate("h:metadata():get('x')") == "nil")
        #expect(try evaluate("h:trailers()") == "nil")
        #expect(try evaluate("h:connection():ssl()") == "nil")
    }

    @Test func dynamicMetadataLivesFromRequestToResponse() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(path: "/kept")
        let code = """
            function envoy_on_request(h)
              h:streamInfo():dynamicMetadata():set("f", "path", h:headers():get(":path"))
            end
            function envoy_on_response(h)
              local kept = h:streamInfo():dynamicMetadata():get("f")
              h:headers():add("x-path", kept and kept["path"] or "none")
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .done)
        let response = Scripted(response: 200)
        response.data.pointee = head.data.pointee
        #expect(response.run(interpreter, run: &waiting) == .done)
        #expect(response.values("x-path") == ["/kept"])
        interpreter.forget(head.data.pointee)
        let other = Scripted(response: 200)
        #expect(other.run(interpreter, run: &waiting) == .done)
        #expect(other.values("x-path") == ["none"])
    }

    @Test func globalsPersistAndEachScriptHasItsOwn() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted()
        let counting = """
            n = 0
            function envoy_on_request(h) n = n + 1; h:headers():replace("NAME", tostring(n)) end
            """
        for name in ["x-one", "x-two"] {
            let code = counting.split(separator: "NAME").joined(separator: name)
            #expect(interpreter.add(head.filter(code)) == nil)
        }
        var waiting: ScriptRun?
        for position in [0, 0, 0, 1] { #expect(head.run(interpreter, position, run: &waiting) == .done) }
        #expect(head.values("x-one") == ["3"])
        #expect(head.values("x-two") == ["1"])
    }

    @Test func objectsEndWithTheirRun() throws {
        let interpreter = try #require(Interpreter())
        let first = Scripted([("x-a", "1")])
        let code = """
            function envoy_on_request(h)
              if kept then kept:add("x-late", "1") else kept = h:headers() end
            end
            """
        #expect(interpreter.add(first.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(first.run(interpreter, run: &waiting) == .done)
        let second = Scripted()
        #expect(second.run(interpreter, run: &waiting) == .failed)
        #expect(interpreter.lastError.contains("outside of proper scope"))
        #expect(second.values("x-late") == [])
    }

    @Test func aRunWaitsForTheBodyAndGoesOn() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(method: "POST")
        let code = """
            function envoy_on_request(h)
              local body = h:body()
              h:headers():add("x-body", body:length() .. ":" .. body:getBytes(1, 3))
              body:setBytes("new")
              h:headers():add("x-new", body:getBytes(0, body:length()))
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .waitsForBody)
        let run = try #require(waiting)
        head.message.pointee.body = "hello"
        head.message.pointee.mayReplaceBody = true
        #expect(interpreter.resume(run, head.message, given: true) == .done)
        #expect(head.values("x-body") == ["5:ell"])
        #expect(head.values("x-new") == ["new"])
        #expect(head.message.pointee.newBody == Array("new".utf8))
    }

    @Test(arguments: ["headers:get('x')", "kept:length()", "pairs(headers)()"])
    func objectsEndWithAWait(_ late: String) throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(method: "POST")
        let code = """
            function envoy_on_request(h)
              local headers, kept = h:headers(), nil
              h:headers():add("x-before", "1")
              kept = h:body()
              if kept then for chunk in h:bodyChunks() do break end end
              local again = \(late)
              h:logInfo("after")
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .waitsForBody)
        let run = try #require(waiting)
        head.message.pointee.body = "abc"
        #expect(interpreter.resume(run, head.message, given: true) == .waitsForChunk)
        #expect(interpreter.resume(run, head.message, given: true) == .failed)
        #expect(interpreter.lastError.contains("outside of proper scope"))
        #expect(head.values("x-before") == ["1"] && head.trace.lines.count == 1)
        // Where there was nothing to wait for they live on.
        let bare = Scripted()
        #expect(bare.run(interpreter, run: &waiting) == .waitsForBody)
        let outcome = interpreter.resume(try #require(waiting), bare.message, given: false)
        #expect(outcome == (late.hasPrefix("kept") ? .failed : .done))
    }

    @Test func whatIsNotThereIsNoValue() throws {
        for absent in ["h:headers():get('x')", "h:trailers()", "h:metadata():get('x')"] {
            let head = Scripted()
            let code = "function envoy_on_request(h) h:logInfo(select('#', \(absent)) .. '') end"
            #expect(try head.run(code) == .done)
            #expect(head.trace.lines == ["logs info: 0"])
        }
    }

    @Test func chunksComeOneByOne() throws {
        let interpreter = try #require(Interpreter())
        let head = Scripted(method: "POST")
        let code = """
            function envoy_on_request(h)
              total = 0
              for chunk in h:bodyChunks() do total = total + chunk:length() end
              h:logInfo("total " .. total)
            end
            """
        #expect(interpreter.add(head.filter(code)) == nil)
        var waiting: ScriptRun?
        #expect(head.run(interpreter, run: &waiting) == .waitsForChunk)
        let run = try #require(waiting)
        head.message.pointee.body = "abc"
        #expect(interpreter.resume(run, head.message, given: true) == .waitsForChunk)
        head.message.pointee.body = "de"
        #expect(interpreter.resume(run, head.message, given: true) == .waitsForChunk)
        #expect(interpreter.resume(run, head.message, given: false) == .done)
        #expect(head.trace.lines == ["logs info: total 5"])
    }
}
