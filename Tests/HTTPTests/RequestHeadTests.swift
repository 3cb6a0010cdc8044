// What an accepted request head says.
import FuzzInvariants
import HTTP
import TestSupport
import Testing

@Suite struct RequestHeads {
    @Test func aWholeRequest() throws {
        let raw =
            "POST /a/b?x=1&y=?2 HTTP/1.1\r\nHost: Shop.Example:8080\r\nX-Feat-Name:\t lane \t\r\n"
            + "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\nhello"
        let head = try #require(readRequest(raw).head)
        #expect(head.length == raw.utf8.count - 5)
        #expect(text(head.method) == "POST")
        #expect(text(head.target) == "/a/b?x=1&y=?2")
        #expect(text(head.path) == "/a/b")
        #expect(head.query.map(text) == "x=1&y=?2")
        #expect(text(head.authority) == "Shop.Example:8080")
        #expect(head.scheme.isEmpty && !head.isAbsoluteForm && !head.isConnect)
        #expect(head.framing == .length && head.contentLength == 12)
        #expect(head.expectsContinue && head.keepsAlive)
        #expect(head.fields.map { text($0.name) } == ["host", "x-feat-name", "content-length", "expect"])
        #expect(head.values("x-feat-name") == ["lane"])
        #expect(
            head.linesText
                == "host: Shop.Example:8080\r\nx-feat-name:\t lane \t\r\n"
                + "content-length: 12\r\nexpect: 100-Continue\r\n"
        )
        try checkHead(.request, Array(raw.utf8))
    }

    @Test(
        arguments: [
            ("/a", "/a", nil), ("/a?", "/a", ""), ("/a?b#c?d", "/a", "b"), ("/a#b?c", "/a", nil),
            ("/#", "/", nil), ("//", "//", nil), ("/?/../", "/", "/../"), ("http://h", "/", nil),
            ("http://h?q", "/", "q"), ("http://h#f", "/", nil), ("http://h#f/?q", "/", nil),
            ("http://h/p?q#f", "/p", "q"), ("http://h//p", "//p", nil), ("/\u{E4}", "/\u{E4}", nil),
        ] as [(String, String, String?)])
    func targetSplits(_ target: String, _ path: String, _ query: String?) throws {
        let head = try #require(readRequest(request("Host: a", start: "GET \(target) HTTP/1.1")).head)
        #expect(text(head.path) == path)
        #expect(head.query.map(text) == query)
        #expect(text(head.target) == target)
    }

    @Test func absoluteFormBeatsHost() throws {
        let head = try #require(readRequest(request("Host: a", start: "GET hTTpS://b:1/ HTTP/1.1")).head)
        #expect(text(head.authority) == "b:1" && text(head.scheme) == "https" && head.isAbsoluteForm)
    }

    @Test(
        arguments: [
            ("OPTIONS http://h", true), ("OPTIONS http://h:80#f", false), ("OPTIONS http://h/", false),
            ("OPTIONS http://h?", false), ("OPTIONS /", false), ("GET http://h", false),
        ] as [(String, Bool)])
    func optionsForTheWholeServer(_ start: String, _ expected: Bool) throws {
        let head = try #require(readRequest(request("Host: a", start: "\(start) HTTP/1.1")).head)
        #expect(head.asksWholeServer == expected && text(head.path) == "/")
    }

    @Test func connectHasAnAuthorityAndNoPath() throws {
        let head = try #require(readRequest(request("Host: a", start: "CONNECT b:443 HTTP/1.1")).head)
        #expect(head.isConnect && text(head.authority) == "b:443" && head.path.isEmpty && head.query == nil)
    }

    @Test(
        arguments: [
            ("HTTP/1.1", "", true), ("HTTP/1.1", "close", false), ("HTTP/1.1", "CLOSE", false),
            ("HTTP/1.1", "keep-alive, Close", false), ("HTTP/1.1", "closed", true),
            ("HTTP/1.0", "", false), ("HTTP/1.0", "Keep-Alive", true), ("HTTP/1.0", "x,\tkeep-alive ", true),
            ("HTTP/1.0", "keep-alive, close", false), ("HTTP/1.0", "keep-alives", false),
        ])
    func keepsAlive(_ version: String, _ connection: String, _ keeps: Bool) throws {
        let raw = request("Host: a", "Connection: \(connection)", start: "GET / \(version)")
        #expect(try #require(readRequest(raw).head).keepsAlive == keeps)
    }

    @Test func closeInAnyOfSeveralLines() throws {
        let raw = request("Connection: x", "Host: a", "Connection: close", "Connection: keep-alive")
        #expect(try #require(readRequest(raw).head).keepsAlive == false)
    }

    @Test(
        arguments: [
            (["websocket"], true, false), (["WebSocket"], true, false), (["h2c"], false, true),
            (["websocket", "websocket"], false, false), (["h2c", "websocket"], false, false),
            (["websocket, h2c"], false, false), (["TLS/1.0"], false, false),
        ])
    func upgrades(_ values: [String], _ webSocket: Bool, _ h2c: Bool) throws {
        let lines = values.map { "Upgrade: \($0)\r\n" }.joined()
        let raw = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\(lines)\r\n"
        let head = try #require(readRequest(raw).head)
        #expect(head.hasConnectionUpgrade)
        #expect(head.upgradesToWebSocket == webSocket && head.upgradesToH2C == h2c)
    }

    @Test func repeatedLengthGoesOnOnce() throws {
        let raw = request("Host: a", "Content-Length: 5", "X: 1", "Content-Length: 05")
        let head = try #require(readRequest(raw).head)
        #expect(head.linesText == "host: a\r\ncontent-length: 5\r\nx: 1\r\n")
    }

    @Test(
        arguments: [
            ("GET", MethodKind.get, true), ("HEAD", .head, true), ("POST", .post, false), ("PUT", .put, true),
            ("DELETE", .delete, true), ("OPTIONS", .options, true), ("TRACE", .trace, true),
            ("CONNECT", .connect, false), ("PATCH", .other, false), ("get", .other, false),
            ("GETS", .other, false), ("", .other, false), ("M-SEARCH", .other, false),
        ])
    func methods(_ name: String, _ kind: MethodKind, _ isIdempotent: Bool) {
        let read = name.withView { MethodKind($0) }
        #expect(read == kind)
        #expect(read.isIdempotent == isIdempotent)
    }

    /// A refused or unfinished look must leave nothing that the next one trips over.
    @Test func aReaderIsReused() throws {
        let reader = HeadReader()
        let good = Array(request("Host: a", "X: 1").utf8)
        let first = reader.read(.request, good)
        _ = reader.read(.request, Array(request("Host: a", "Content-Length: 5", "Content-Length: 6").utf8))
        _ = reader.read(.request, Array("GET / HTTP/1.1\r\nHost: b\r\nConn".utf8))
        #expect(reader.read(.request, good) == first)
    }
}
