// Requests that two parsers may read differently (RFC 9112 11.2), by the names of the attacks: refused, or
// forwarded so that only one reading is left.
import TestSupport
import Testing

/// One input and what becomes of it.
struct Smuggling: Sendable, CustomTestStringConvertible {
    let name: String
    let status: Int
    let raw: String

    init(_ name: String, _ status: Int, _ raw: String) {
        self.name = name
        self.status = status
        self.raw = raw
    }

    var testDescription: String { name }
}

/// A request that must never be seen by itself: what an attacker would smuggle.
private let tail = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
private let chunked = "Transfer-Encoding: chunked"
private let last = "0\r\n\r\n"

private func post(_ lines: String..., body: String = "") -> String {
    (["POST / HTTP/1.1", "Host: h"] + lines).joined(separator: "\r\n") + "\r\n\r\n" + body
}

private func get(_ lines: String..., start: String = "GET / HTTP/1.1") -> String {
    ([start] + lines).joined(separator: "\r\n") + "\r\n\r\n"
}

private let lengths: [Smuggling] = [
    .init("CL.TE", 400, post("Content-Length: 6", chunked, body: last + tail)),
    .init("TE.CL", 400, post(chunked, "Content-Length: 4", body: "5c\r\n\(tail)0\r\n\r\n")),
    .init("CL.TE, length of zero", 400, post("Content-Length: 0", chunked, body: last + tail)),
    .init("CL twice", 400, post("Content-Length: 3", "Content-Length: 4", body: "abcd")),
    .init("CL list", 400, post("Content-Length: 3, 3", body: "abc")),
    .init("CL plus", 400, post("Content-Length: +3", body: "abc")),
    .init("CL minus", 400, post("Content-Length: -1")),
    .init("CL hex", 400, post("Content-Length: 0x3", body: "abc")),
    .init("CL blank inside", 400, post("Content-Length: 1 0", body: "0123456789")),
    .init("CL empty", 400, post("Content-Length:", body: tail)),
    .init("CL overflow", 413, post("Content-Length: 18446744073709551619", body: "abc")),
    .init("CL space before colon", 400, post("Content-Length : 3", body: "abc")),
    .init("CL tab before colon", 400, post("Content-Length\t: 3", body: "abc")),
    .init("CL folded", 400, post("Content-Length: 1\r\n 0", body: "0123456789")),
    .init("CL vertical tab", 400, post("Content-Length:\u{0B}3", body: "abc")),
    .init("CL behind a bare LF", 400, post("X: y\nContent-Length: 3", body: "abc")),
    .init("CL behind a bare CR", 400, post("X: y\rContent-Length: 3", body: "abc")),
]

private let codings: [Smuggling] = [
    .init("TE.TE", 400, post(chunked, "Transfer-Encoding: identity", body: last)),
    .init("TE.TE, the other first", 501, post("Transfer-Encoding: x", chunked, body: last)),
    .init("TE.TE, same twice", 400, post(chunked, chunked, body: last)),
    .init("TE.TE, names in two cases", 400, post(chunked, "transfer-encoding: cow", body: last)),
    .init("TE list", 501, post("Transfer-Encoding: chunked, chunked", body: last)),
    .init("TE chunked not last", 501, post("Transfer-Encoding: chunked, gzip", body: last)),
    .init("TE chunked behind gzip", 501, post("Transfer-Encoding: gzip, chunked", body: last)),
    .init("TE chunked and identity", 501, post("Transfer-Encoding: chunked, identity", body: last)),
    .init("TE trailing comma", 501, post("Transfer-Encoding: chunked,", body: last)),
    .init("TE parameter", 501, post("Transfer-Encoding: chunked;q=1", body: last)),
    .init("TE unknown", 501, post("Transfer-Encoding: xchunked", body: tail)),
    .init("TE empty", 501, post("Transfer-Encoding:", "Content-Length: 3", body: "abc")),
    .init("TE identity", 501, post("Transfer-Encoding: identity", "Content-Length: 3", body: "abc")),
    .init("TE quoted", 501, post("Transfer-Encoding: \"chunked\"", body: last)),
    .init("TE in apostrophes", 501, post("Transfer-Encoding: 'chunked'", body: last)),
    .init("TE vertical tab", 400, post("Transfer-Encoding: \u{0B}chunked", body: last)),
    .init("TE form feed", 400, post("Transfer-Encoding: chunked\u{0C}", body: last)),
    .init("TE NUL", 400, post("Transfer-Encoding: chunked\u{0}", body: last)),
    .init("TE no-break space", 501, post("Transfer-Encoding: \u{A0}chunked", body: last)),
    .init("TE space before colon", 400, post("Transfer-Encoding : chunked", body: last)),
    .init("TE LF before colon", 400, post("Transfer-Encoding\n: chunked", body: last)),
    .init("TE folded", 501, post("Transfer-Encoding:\r\n chunked", body: last)),
    .init("TE folded behind", 400, post("X: y", " Transfer-Encoding: chunked", body: last)),
    .init("TE behind a bare LF", 400, post("X: y\nTransfer-Encoding: chunked", body: last)),
    .init("TE behind a bare CR", 400, post("X: y\rTransfer-Encoding: chunked", body: last)),
    .init("TE in 1.0", 400, get("Host: h", chunked, start: "POST / HTTP/1.0") + last),
    .init(
        "TE in 1.0, kept alive", 400,
        get("Host: h", "Connection: keep-alive", chunked, start: "POST / HTTP/1.0") + last + tail),
]

private let chunkLines: [Smuggling] = [
    .init("chunk size junk", 400, post(chunked, body: "5 \r\nhello\r\n0\r\n\r\n")),
    .init("chunk size letters", 400, post(chunked, body: "5g\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size plus", 400, post(chunked, body: "+5\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size minus", 400, post(chunked, body: "-5\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size blank first", 400, post(chunked, body: " 5\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size underscore", 400, post(chunked, body: "0_5\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size hex prefix", 400, post(chunked, body: "0x5\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size empty", 400, post(chunked, body: "\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size only extension", 400, post(chunked, body: ";a\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size overflow", 400, post(chunked, body: "10000000000000005\r\nhello\r\n0\r\n\r\n")),
    .init("chunk size of many zeros", 400, post(chunked, body: "00000000000000005\r\nhello\r\n0\r\n\r\n")),
    .init("chunk too short", 400, post(chunked, body: "3\r\nhello\r\n0\r\n\r\n")),
    .init("chunk too long", 400, post(chunked, body: "7\r\nhello\r\n0\r\n\r\nxx")),
    .init("chunk with bare LF", 400, post(chunked, body: "5\nhello\n0\n\n")),
    .init("chunk size ended by CR", 400, post(chunked, body: "5\rhello\r\n0\r\n\r\n")),
    .init("chunk ended by LF", 400, post(chunked, body: "5\r\nhello\n0\r\n\r\n")),
    .init("chunk ended by two bytes", 400, post(chunked, body: "5\r\nhelloXX0\r\n\r\n")),
    .init("last chunk ended by LF", 400, post(chunked, body: "5\r\nhello\r\n0\n\n")),
    .init("extension with LF", 400, post(chunked, body: "5;a\nb\r\nhello\r\n0\r\n\r\n")),
    .init("extension with CR", 400, post(chunked, body: "5;a\rb\r\nhello\r\n0\r\n\r\n")),
    .init("extension with NUL", 400, post(chunked, body: "5;a\u{0}b\r\nhello\r\n0\r\n\r\n")),
    .init("extension endless", 400, post(chunked, body: "5;" + String(repeating: "x", count: 1_000))),
    .init("extension of a last chunk with LF", 400, post(chunked, body: "0;a\n\r\n\r\n" + tail)),
    .init("trailer without colon", 400, post(chunked, body: "0\r\nbad trailer\r\n\r\n")),
    .init("trailer with bare LF", 400, post(chunked, body: "0\r\na: b\nc: d\r\n\r\n")),
    .init("trailer folded", 400, post(chunked, body: "0\r\na: b\r\n c\r\n\r\n")),
    .init("trailer space before colon", 400, post(chunked, body: "0\r\na : b\r\n\r\n")),
    .init(
        "trailers endless", 400, post(chunked, body: "0\r\n" + String(repeating: "a: b\r\n", count: 3_000))),
]

private let lines: [Smuggling] = [
    .init("obs-fold", 400, post("X-A: b", " folded: c", "Content-Length: 0")),
    .init("obs-fold by tab", 400, post("X-A: b", "\tfolded: c", "Content-Length: 0")),
    .init("fold at first", 400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    .init("bare LF", 400, "GET / HTTP/1.1\nHost: h\n\n"),
    .init("bare LF in head", 400, "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
    .init("bare LF as end", 400, "GET / HTTP/1.1\r\nHost: h\r\n\nGET /smuggled HTTP/1.1\r\n\r\n"),
    .init("bare CR", 400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
    .init("bare CR as end", 400, "GET / HTTP/1.1\r\nHost: h\r\n\r" + tail),
    .init("NUL in value", 400, get("Host: h", "X: a\u{0}b")),
    .init("NUL in name", 400, get("Host: h", "X\u{0}: a")),
    .init("NUL in target", 400, get("Host: h", start: "GET /\u{0} HTTP/1.1")),
    .init("NUL first", 400, "\u{0}" + tail),
    .init("space before colon", 400, get("Host : h")),
    .init("empty name", 400, get("Host: h", ": v")),
    .init("no colon", 400, get("Host: h", "nothing")),
    .init("blank line of spaces first", 400, " \r\n" + tail),
    .init("space before the method", 400, " " + tail),
    .init("CRLF and space before the method", 400, "\r\n " + tail),
    .init("LF before the method", 400, "\n" + tail),
    .init("CR before the method", 400, "\r" + tail),
    .init("blank lines without end", 400, String(repeating: "\r\n", count: 5) + tail),
    .init("tab in request line", 400, get("Host: h", start: "GET\t/ HTTP/1.1")),
    .init("two blanks", 400, get("Host: h", start: "GET  / HTTP/1.1")),
    .init("blank in target", 400, get("Host: h", start: "GET /a b HTTP/1.1")),
    .init("blank behind version", 400, get("Host: h", start: "GET / HTTP/1.1 ")),
    .init("HTTP/0.9", 400, "GET /\r\n\r\n"),
    .init("half an HTTP/2 preface", 505, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    .init("HTTP/1.2", 505, get("Host: h", start: "GET / HTTP/1.2")),
    .init("HTTP/1.1.1", 400, get("Host: h", start: "GET / HTTP/1.1.1")),
    .init("lower-case version", 400, get("Host: h", start: "GET / http/1.1")),
]

private let hosts: [Smuggling] = [
    .init("no Host", 400, get()),
    .init("two Hosts", 400, get("Host: a", "Host: b")),
    .init("two equal Hosts", 400, get("Host: a", "Host: a")),
    .init("two Hosts in two cases", 400, get("Host: a", "hOST: b")),
    .init("Host list", 400, get("Host: a, b")),
    .init("Host with userinfo", 400, get("Host: a@b")),
    .init("Host with path", 400, get("Host: a/b")),
    .init("Host with a blank", 400, get("Host: a b")),
    .init("Host with a port of letters", 400, get("Host: a:b")),
    .init("absolute form and two Hosts", 400, get("Host: a", "Host: b", start: "GET http://a/ HTTP/1.1")),
    .init("absolute form without Host", 400, get(start: "GET http://a/ HTTP/1.1")),
    .init("absolute form and bad Host", 400, get("Host: a, b", start: "GET http://a/ HTTP/1.1")),
    .init("absolute form with userinfo", 400, get("Host: a", start: "GET http://x@a/ HTTP/1.1")),
    .init("absolute form without authority", 400, get("Host: a", start: "GET http:///x HTTP/1.1")),
    .init("absolute form of https", 403, get("Host: a", start: "GET https://a/ HTTP/1.1")),
    .init("target of another site", 400, get("Host: a", start: "GET @evil/ HTTP/1.1")),
    .init(
        "CONNECT with body", 400, get("Host: h", "Content-Length: 3", start: "CONNECT h:1 HTTP/1.1") + "abc"),
    .init("CONNECT at an edge", 404, get("Host: h", start: "CONNECT h:1 HTTP/1.1") + tail),
]

/// Forwarded, as one request, followed by another one of its own.
private let odd: [(name: String, raw: String)] = [
    ("CL twice the same", post("Content-Length: 3", "Content-Length: 3", body: "abc")),
    ("GET with a body", get("Host: h", "Content-Length: 5") + "GET /"),
    ("body that is a request", post("Content-Length: \(tail.utf8.count)", body: tail)),
    ("blank lines first", "\r\n\r\n" + get("Host: h")),
    ("connection names fields", get("Host: h", "Connection: x-a, host", "X-A: 1")),
    ("connection names the length", post("Connection: content-length", "Content-Length: 3", body: "abc")),
    (
        "connection names the coding",
        post("Connection: transfer-encoding", chunked, body: "3\r\nabc\r\n" + last)
    ),
    ("chunked in capitals", post("TRANSFER-ENCODING: CHUNKED", body: "3\r\nabc\r\n" + last)),
    ("chunked behind a tab", post("Transfer-Encoding:\tchunked\t", body: "3\r\nabc\r\n" + last)),
    ("chunk extensions", post(chunked, body: "3;a=\"b;c\";d\r\nabc\r\n0;e=f\r\n\r\n")),
    (
        "trailers of framing fields",
        post(
            chunked,
            body: "3\r\nabc\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: evil\r\n"
                + "Cookie: x-feat-name=evil\r\n\r\n")
    ),
    ("underscore in a coding's name", post("Transfer_Encoding: chunked", "Content-Length: 3", body: "abc")),
    ("high bytes", get("Host: h", "X: \u{E9}", start: "GET /\u{E9} HTTP/1.1")),
    ("absolute form against Host", get("Host: other", start: "GET http://h/ HTTP/1.1")),
    (
        "h2c",
        get("Host: h", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    ),
    ("WebSocket that is declined", get("Host: h", "Connection: upgrade", "Upgrade: websocket")),
]

@Suite(.serialized, .timeLimit(.minutes(15)))
struct HttpSmuggling {
    /// One proxy for all cases; each looks at a connection of its own.
    private static let shared = Result { try HttpProbe() }

    @Test(arguments: lengths + codings + chunkLines + lines + hosts)
    func isRefused(_ attack: Smuggling) throws {
        let probe = try Self.shared.get()
        var random = SeededRandom(seed: 7)
        let bytes = Array(attack.raw.utf8)
        for pieces in [[bytes], bytes.count > 500 ? [bytes] : bytes.map { [$0] }, random.split(bytes)] {
            let outcome = try probe.run(pieces, attack.name)
            #expect(outcome.statuses == [attack.status])
            #expect(outcome.forwarded.isEmpty)
        }
        #expect(try probe.proxy.connect().get("/").status == 200)
        _ = probe.upstream.take()
    }

    @Test(arguments: odd.map(\.name))
    func isForwardedAsOneRequest(_ name: String) throws {
        let probe = try Self.shared.get()
        let raw = try #require(odd.first { $0.name == name }).raw
        let bytes = Array((raw + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n").utf8)
        for pieces in [[bytes], bytes.map { [$0] }] {
            let outcome = try probe.run(pieces, name)
            #expect(outcome.statuses == [200, 200])
            #expect(outcome.forwarded.count == 2 && outcome.forwarded.last == "GET /next ", "\(outcome)")
            #expect(!outcome.forwarded.contains { $0.contains("evil") })
        }
    }

    /// CL.0: who answers without reading the body must not take the body for the next request.
    @Test(arguments: ["POST /direct", "OPTIONS *"])
    func lengthThatIsNotRead(_ start: String) throws {
        let probe = try Self.shared.get()
        for body in ["Content-Length: \(tail.utf8.count)\r\n\r\n" + tail, "\(chunked)\r\n\r\n" + tail] {
            let raw = "\(start) HTTP/1.1\r\nHost: h\r\n" + body
            let text = try probe.proxy.exchange(raw, halfClose: false)
            #expect(text.components("HTTP/1.1 ") == 1, "\(text)")
        }
        #expect(!probe.upstream.take().contains { String(decoding: $0, as: UTF8.self).contains("/smuggled") })
    }

    /// CL.0 the other way: an upstream answers before it has the body; neither connection is used again.
    @Test(arguments: ["", "Expect: 100-continue\r\n", "Expect: y 100-continue\r\n"])
    func lengthThatTheUpstreamDoesNotRead(_ expect: String) throws {
        let upstream = try ScriptedUpstream(.readHead, .send(okResponse()), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\n\(expect)Content-Length: \(tail.utf8.count)\r\n\r\n")
        let answer = try client.response()
        #expect(answer.status == 200 && answer.values("connection") == ["close"])
        try? client.send(tail)
        #expect(((try? client.receiveToEnd()) ?? []).isEmpty)
        #expect(try proxy.connect().get("/").status == 200)
        #expect(upstream.connections == 2)
        try proxy.expectMetric(1, "fairlead_glitches_total", "early_response")
    }

    /// What follows a request for a tunnel is the tunnel's if there is one, else the next request.
    @Test func bytesBehindAnUpgrade() throws {
        let upstream = try ScriptedUpstream(
            .readHead, .send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + tail)
        #expect(try client.response().status == 101)
        client.halfClose()
        try waitUntil("the bytes as they were") {
            String(decoding: upstream.received(), as: UTF8.self).hasSuffix("\r\n\r\n" + tail)
        }
        try proxy.expectMetric(1, "fairlead_downstream_requests_total")
    }

    /// Who does not speak HTTP/1 gets no HTTP/1 answer.
    @Test func linesOfOtherProtocols() throws {
        let probe = try Self.shared.get()
        for line in ["INVALID CONNECTION PREFACE\r\n\r\n", "HELO mail test\r\n", "a b c"] {
            #expect(try probe.proxy.exchange(line).isEmpty)
        }
        #expect(probe.upstream.take().isEmpty)
    }

    @Test func absoluteFormWinsOverHost() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET http://target.test/p HTTP/1.1\r\nHost: host.test\r\n\r\n")
        let seen = try HTTPMessage(rawHead: try client.response().body)
        #expect(seen.values("host") == ["target.test"] && seen.startLine == "GET /p HTTP/1.1")
        try proxy.expectMetric(1, "fairlead_glitches_total", "absolute_form")
    }

    @Test func trailersGoNoFurther() throws {
        let upstream = try RecordingUpstream()
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send(
            post(chunked, "Trailer: host", body: "1\r\na\r\n0\r\nHost: evil\r\nX-T: evil\r\n\r\n"))
        #expect(try client.response().status == 200)
        let seen = upstream.take().map { String(decoding: $0, as: UTF8.self) }.joined()
        #expect(!seen.contains("evil") && !seen.lowercased().contains("trailer"))
        #expect(seen.hasSuffix("\r\n\r\n1\r\na\r\n0\r\n\r\n"))
        try proxy.expectMetric(1, "fairlead_glitches_total", "trailers")
    }
}
