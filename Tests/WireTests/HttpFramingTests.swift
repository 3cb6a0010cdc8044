// How messages are delimited, forwarded and kept apart, over real sockets (RFC 9112 6, 7, 9).
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpFraming {
    @Test func contentLengthBothWays() throws {
        let upstream = try ScriptedUpstream(.readRequest, .send(okResponse("hello")), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("POST /a?b=c HTTP/1.1\r\nHost: h.test\r\nContent-Length: 4\r\nX-One: 1\r\n\r\nbody")
        let answer = try client.response()
        #expect(answer.status == 200 && answer.text == "hello")
        #expect(answer.values("content-length") == ["5"])
        #expect(answer.values("server") == ["istio-envoy"])
        let request = try HTTPMessage(rawHead: Array(upstream.received().dropLast(4)))
        #expect(request.startLine == "POST /a?b=c HTTP/1.1")
        #expect(request.values("host") == ["h.test"])
        #expect(request.values("content-length") == ["4"])
        #expect(request.values("x-one") == ["1"])
        #expect(request.values("x-forwarded-for") == ["127.0.0.1"])
        #expect(request.values("x-forwarded-proto") == ["http"])
        #expect(request.values("x-request-id").first?.count == 36)
        #expect(request.values("connection").isEmpty)
        #expect(String(decoding: upstream.received().suffix(4), as: UTF8.self) == "body")
    }

    @Test func chunkedIsFramedAnew() throws {
        let response =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
            + "3;name=\"v\"\r\nabc\r\n0004\r\ndefg\r\n0;last\r\nX-T: trailer\r\n\r\n"
        let upstream = try ScriptedUpstream(.readRequest, .send(response), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "5;ext=1;x\r\nhello\r\n01\r\n!\r\n000\r\nX-Evil: 1\r\n\r\n")
        let answer = try client.response()
        #expect(answer.text == "abcdefg")
        #expect(answer.trailers.isEmpty && answer.values("trailer").isEmpty)
        #expect(answer.values("transfer-encoding") == ["chunked"])
        client.close()
        try waitUntil("the request") { upstream.received().count > 0 }
        // What the upstream got was read with the chunks taken off: look at the framing itself elsewhere.
        let text = String(decoding: upstream.received(), as: UTF8.self)
        #expect(text.hasSuffix("\r\n\r\nhello!"))
        #expect(!text.lowercased().contains("x-evil") && !text.contains("ext="))
    }

    @Test func rawBytesOfAForwardedChunkedRequest() throws {
        let upstream = try ScriptedUpstream(.readHead, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send(
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "a;q\r\n0123456789\r\n2\r\nab\r\n0\r\nT: v\r\n\r\n")
        try waitUntil("the last chunk") {
            String(decoding: upstream.received(), as: UTF8.self).count > 0
                && (try? proxy.metric("fairlead_bytes_total", "upstream_written")) ?? 0 > 100
        }
        client.reset()
        try waitUntil("the upstream to be released") {
            String(decoding: upstream.received(), as: UTF8.self).hasSuffix("\r\n0\r\n\r\n")
        }
        let text = String(decoding: upstream.received(), as: UTF8.self)
        #expect(text.hasSuffix("\r\n\r\nc\r\n0123456789ab\r\n0\r\n\r\n"))
    }

    @Test func closeDelimitedResponses() throws {
        let upstream = try ScriptedUpstream(
            .readRequest, .send("HTTP/1.1 200 OK\r\n\r\nuntil "), .pause(ms: 50), .send("the end"), .close)
        let proxy = try HttpProxy(to: [upstream.port])
        let modern = try proxy.connect()
        let first = try modern.get("/")
        #expect(first.text == "until the end")
        #expect(first.values("transfer-encoding") == ["chunked"])
        #expect(try modern.get("/").text == "until the end", "the client's connection lives on")
        let old = try proxy.exchange("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
        #expect(old.hasSuffix("\r\n\r\nuntil the end"))
        #expect(old.contains("connection: close\r\n") && !old.contains("transfer-encoding"))
    }

    @Test func closeDelimitedBodyBehindASplitHead() throws {
        // The head comes in two pieces, so that head and body lie in a buffer of their own, filled to its
        // end.
        let body = String(repeating: "x", count: 200_000)
        let upstream = try ScriptedUpstream(
            .readRequest, .send("HTTP/1.1 200 OK\r\nX-"), .pause(ms: 60), .send("A: b\r\n\r\n" + body), .close
        )
        let proxy = try HttpProxy(to: [upstream.port])
        for _ in 0..<5 {
            let answer = try proxy.connect().get("/")
            #expect(answer.text == body)
            #expect(answer.value("x-a") == "b")
        }
    }

    @Test func keepAliveUsesOneUpstreamConnection() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for _ in 0..<20 { #expect(try client.get("/").value("x-connection") == "0") }
        #expect(upstream.connections == 1)
        try proxy.expectMetric(19, "fairlead_pool_requests_total", "pooled")
    }

    @Test func hundredPipelinedRequestsWithBodies() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        var bytes = ""
        var lengths: [Int] = []
        for index in 0..<100 {
            switch index % 4 {
            case 0: bytes += "GET /\(index) HTTP/1.1\r\nHost: h\r\n\r\n"
            case 1: bytes += "POST /\(index) HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
            case 2:
                bytes +=
                    "PUT /\(index) HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3\r\nabc\r\n4\r\nGET \r\n0\r\n\r\n"
            default: bytes += "GET /direct/\(index) HTTP/1.1\r\nHost: h\r\n\r\n"
            }
            lengths.append([0, 5, 7, -1][index % 4])
        }
        try client.send(bytes)
        client.halfClose()
        for index in 0..<100 {
            let answer = try client.response()
            #expect(answer.status == 200, "\(index): \(answer)")
            if lengths[index] < 0 {
                #expect(answer.text == "direct")
            } else {
                #expect(answer.value("x-body-bytes") == "\(lengths[index])")
                #expect(answer.text.contains(" /\(index) HTTP/1.1\r\n"))
            }
        }
        #expect(try client.receiveToEnd().isEmpty)
        #expect(upstream.requests.count == 75)
        try proxy.waitUntilQuiet()
    }

    @Test func pipelinedRequestsOfLocalAnswersAndEnd() throws {
        let proxy = try HttpProxy(to: [try freeLoopbackPort()])
        let text = try proxy.exchange(
            String(repeating: "GET /direct HTTP/1.1\r\nHost: h\r\n\r\n", count: 300))
        #expect(text.components("HTTP/1.1 200 OK\r\n") == 300)
    }

    @Test func noBodyWhereThereIsNone() throws {
        let upstream = try EchoUpstream("a") { request in
            switch request.target {
            case "/204": Array("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n".utf8)
            case "/304": Array("HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\netag: \"e\"\r\n\r\n".utf8)
            case "/chunked":
                request.method == "HEAD"
                    ? Array("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".utf8) : nil
            default: nil
            }
        }
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for _ in 0..<2 {
            try client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            let head = try client.response(toHead: true)
            #expect(head.status == 200 && (head.value("content-length").flatMap { Int($0) } ?? 0) > 10)
            try client.send("HEAD /chunked HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response(toHead: true).status == 200)
            let none = try client.get("/204")
            #expect(none.status == 204 && none.values("content-length").isEmpty)
            let same = try client.get("/304")
            #expect(same.status == 304 && same.values("content-length") == ["10"])
            try client.send("HEAD /direct HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response(toHead: true).values("content-length") == ["6"])
        }
        #expect(upstream.connections == 1)
    }

    @Test func interimResponses() throws {
        let upstream = try ScriptedUpstream(
            .readRequest,
            .send(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n"
            ),
            .send(okResponse()), .readRequest, .send("HTTP/1.1 100 Continue\r\n\r\n" + okResponse("two")),
            .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try client.head()?.status == 100)
        let hints = try #require(try client.head())
        #expect(hints.status == 103 && hints.values("link") == ["</a>"] && hints.values("connection").isEmpty)
        #expect(try client.response().text == "ok")
        // HTTP/1.0 knows no interim responses.
        let old = try proxy.exchange("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        #expect(old.hasPrefix("HTTP/1.1 200 OK\r\n") && old.hasSuffix("two"))
    }

    @Test func floodOfInterimResponsesIsCut() throws {
        let flood = String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 500)
        let upstream = try ScriptedUpstream(.readRequest, .send(flood), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let answer = try proxy.connect().get("/")
        #expect(answer.status == 502 && answer.value("x-fairlead-reason") == "upstream-protocol")
        try proxy.expectMetric(1, "fairlead_glitches_total", "interim_flood")
    }

    @Test func expectContinuePassesThrough() throws {
        let upstream = try ScriptedUpstream(
            .readHead, .send("HTTP/1.1 100 Continue\r\n\r\n"), .readBytes(5), .send(okResponse()), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        #expect(try client.head()?.status == 100)
        try client.send("12345")
        #expect(try client.response().status == 200)
        #expect(String(decoding: upstream.received(), as: UTF8.self).contains("expect: 100-continue\r\n"))
    }

    @Test func http10() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let once = try proxy.exchange("GET / HTTP/1.0\r\nHost: h\r\n\r\n", halfClose: false)
        #expect(once.hasPrefix("HTTP/1.1 200") && once.contains("connection: close\r\n"))
        let client = try proxy.connect()
        for _ in 0..<2 {
            try client.send("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
            let answer = try client.response()
            #expect(answer.values("connection") == ["keep-alive"])
            #expect(answer.text.hasPrefix("GET / HTTP/1.1\r\n"), "upstreams are spoken to in HTTP/1.1")
        }
        let strict = try HttpProxy(to: [upstream.port], spec: ["http10: false"])
        let refused = try strict.exchange("GET / HTTP/1.0\r\nHost: h\r\n\r\n", halfClose: false)
        #expect(refused.hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
        #expect(refused.contains("connection: close\r\n"))
    }

    @Test func absoluteForm() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET http://abs.test:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n")
        let seen = try HTTPMessage(rawHead: try client.response().body)
        #expect(seen.startLine == "GET /p?q HTTP/1.1" && seen.values("host") == ["abs.test:81"])
        try client.send("GET http://abs.test HTTP/1.1\r\nHost: abs.test\r\n\r\n")
        #expect(try HTTPMessage(rawHead: try client.response().body).startLine == "GET / HTTP/1.1")
        for (target, expected) in [("http://abs.test", "*"), ("http://abs.test/", "/"), ("/", "/")] {
            try client.send("OPTIONS \(target) HTTP/1.1\r\nHost: abs.test\r\n\r\n")
            let seen = try HTTPMessage(rawHead: try client.response().body)
            #expect(seen.startLine == "OPTIONS \(expected) HTTP/1.1", "RFC 9112 3.2.4")
        }
    }

    /// Whatever a refusal would say, to HEAD it says no body (RFC 9110 9.3.2).
    @Test(arguments: [
        "/ HTTP/1.1\r\n\r\n", "/ HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "/%00 HTTP/1.1\r\nHost: h\r\n\r\n",
        "https://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "/ HTTP/2.0\r\n\r\n",
    ])
    func refusedHeadHasNoBody(_ rest: String) throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let head = try proxy.exchange("HEAD \(rest)", halfClose: false)
        let get = try proxy.exchange("GET \(rest)", halfClose: false)
        #expect(head.hasPrefix("HTTP/1.1 4") || head.hasPrefix("HTTP/1.1 5"), "\(head)")
        #expect(head.hasSuffix("\r\n\r\n"), "\(head)")
        let lines = { (text: String) in text.split(separator: "\r\n").filter { $0.contains("content-length") }
        }
        #expect(lines(head) == lines(get), "the length that GET is told")
    }

    @Test func clientMayShutItsSideAfterTheRequest() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readRequest, .waitFor(gate), .send(okResponse("late")), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        client.halfClose()
        try waitUntil("the request") { !upstream.received().isEmpty }
        gate.open()
        #expect(try client.response().text == "late")
        #expect(try client.receiveToEnd().isEmpty)
        try proxy.waitUntilQuiet()
    }
}

extension String {
    /// How often `part` occurs.
    func components(_ part: String) -> Int {
        var count = 0
        var from = startIndex
        while let range = self[from...].firstRange(of: part) {
            count += 1
            from = range.upperBound
        }
        return count
    }
}
