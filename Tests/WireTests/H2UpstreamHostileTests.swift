// HTTP/2 upstreams that lie: nothing of what they say becomes a line of an HTTP/1 head, a body that is not
// whole is not taken for whole, and nothing is left of them.
import TestSupport
import Testing

private typealias Kind = H2Frame.Kind

/// What an upstream answers to the request on a stream.
struct H2Lie: Sendable, CustomTestStringConvertible {
    let what: String
    let answer: @Sendable (UInt32) -> [H2Frame]
    var testDescription: String { what }

    init(_ what: String, _ answer: @escaping @Sendable (UInt32) -> [H2Frame]) {
        self.what = what
        self.answer = answer
    }

    /// A head with one field more, and a body of two bytes.
    init(_ what: String, _ name: String, _ value: String) {
        self.init(what, [(":status", "200"), (name, value)])
    }

    init(_ what: String, _ fields: [(String, String)]) {
        self.init(what) { [.headers($0, HPACK.block(fields), end: false), .data($0, "ok", end: true)] }
    }
}

private let ok = HPACK.block([(":status", "200")])

/// Refused before anything of it went to the client.
private let heads: [H2Lie] = [
    H2Lie("value with CR LF", "x", "y\r\nevil: 1"), H2Lie("value with LF", "x", "y\nevil: 1"),
    H2Lie("value with NUL", "x", "y\u{0}z"), H2Lie("name with CR LF", "x: y\r\nevil", "1"),
    H2Lie("name with a blank", "x evil", "1"), H2Lie("name with a colon", "x:evil", "1"),
    H2Lie("name in upper case", "Evil", "1"), H2Lie("name that is empty", "", "evil"),
    H2Lie("connection", "connection", "close"), H2Lie("transfer-encoding", "transfer-encoding", "chunked"),
    H2Lie("upgrade", "upgrade", "websocket"), H2Lie("pseudo field of requests", ":path", "/evil"),
    H2Lie("pseudo field nobody knows", ":evil", "1"),
    H2Lie("no status", [("x", "1")]), H2Lie("two statuses", [(":status", "200"), (":status", "201")]),
    H2Lie("status behind a field", [("x", "1"), (":status", "200")]),
    H2Lie("status of letters", [(":status", "abc")]), H2Lie("status of four digits", [(":status", "2000")]),
    H2Lie("status with CR LF", [(":status", "200 OK\r\nevil: 1")]), H2Lie("status empty", [(":status", "")]),
    H2Lie("101", [(":status", "101"), ("upgrade", "websocket")]),
    H2Lie("lengths that differ", [(":status", "200"), ("content-length", "2"), ("content-length", "3")]),
    H2Lie("length with a sign", "content-length", "+2"), H2Lie("length list", "content-length", "2, 2"),
    H2Lie("head too large", "x", String(repeating: "v", count: 70_000)),
    H2Lie("DATA without a head") { [.data($0, "ok", end: true)] },
    H2Lie("HPACK that cannot be read") { [.headers($0, [0x86, 0x84, 0x41, 0xFF, 0xFF])] },
    H2Lie("reset") { [.reset($0, .internalError)] },
    H2Lie("GOAWAY that names no stream") { _ in [.goaway(last: 0, .internalError)] },
    H2Lie("push") { [.pushPromise($0, promised: 2, HPACK.block(H2Peer.request()))] },
    H2Lie("a stream of its own") { _ in [.headers(2, ok)] },
    H2Lie("interim heads without end") { stream in
        [H2Frame](repeating: .headers(stream, HPACK.block([(":status", "103")]), end: false), count: 200)
    },
    H2Lie("a frame that is too long") { _ in [H2Frame(type: Kind.data, stream: 1, [], statedLength: 1 << 20)]
    },
    // "HTTP/1.1 400" as a frame's head and what follows.
    H2Lie("HTTP/1") { _ in
        [
            H2Frame(
                type: 0x50, flags: 0x2F, stream: 0x312E_3120, Array("400 Bad Request\r\n\r\n".utf8),
                statedLength: 0x48_5454)
        ]
    },
]

/// A head that is fine, a body that is not.
private let bodies: [H2Lie] = [
    H2Lie("DATA short of the length") {
        [
            .headers($0, HPACK.block([(":status", "200"), ("content-length", "5")]), end: false),
            .data($0, "ok", end: true),
        ]
    },
    H2Lie("DATA beyond the length") {
        [
            .headers($0, HPACK.block([(":status", "200"), ("content-length", "1")]), end: false),
            .data($0, "okevil", end: true),
        ]
    },
    H2Lie("reset inside") {
        [.headers($0, ok, end: false), .data($0, "ok"), .reset($0, .internalError)]
    },
    H2Lie("a second head") { [.headers($0, ok, end: false), .data($0, "ok"), .headers($0, ok, end: false)] },
    H2Lie("trailers with a status") { [.headers($0, ok, end: false), .data($0, "ok"), .headers($0, ok)] },
    H2Lie("trailers with CR LF") {
        [.headers($0, ok, end: false), .data($0, "ok"), .headers($0, HPACK.literal("x", "y\r\nevil: 1"))]
    },
    H2Lie("padding that is too long") {
        [
            .headers($0, ok, end: false),
            H2Frame(type: Kind.data, flags: H2Frame.Flag.padded, stream: $0, [9, 1, 2]),
        ]
    },
]

@Suite(.timeLimit(.minutes(15)))
struct H2UpstreamHostile {
    /// An edge whose upstream answers every request with `lie`.
    private func site(_ lie: H2Lie) throws -> (upstream: RawUpstream, proxy: HttpProxy) {
        let upstream = try RawUpstream { connection, _ in
            let peer = H2Peer(connection)
            try? peer.welcome()
            while let frame = try? peer.next() {
                if frame.type == Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
                if frame.type == Kind.headers { try? peer.send(lie.answer(frame.stream)) }
            }
        }
        return (upstream, try HttpProxy(edgeDocuments(to: [upstream.port], protocol: "HTTP2")))
    }

    @Test(arguments: heads)
    func headIsRefused(_ lie: H2Lie) throws {
        let (upstream, proxy) = try site(lie)
        for line in ["HTTP/1.1", "HTTP/1.0"] {
            var text = try proxy.exchange("GET / \(line)\r\nHost: h\r\nConnection: close\r\n\r\n")
            // Interim responses go on to who knows them (RFC 9110 15.2), as long as there are few.
            let interim = "HTTP/1.1 103 Early Hints\r\n\r\n"
            while line == "HTTP/1.1", text.hasPrefix(interim) { text.removeFirst(interim.count) }
            #expect(text.hasPrefix("HTTP/1.1 50"), "\(text)")
            #expect(!text.contains("evil") && text.components("HTTP/1.1 ") == 1, "\(text)")
        }
        let peer = try H2Peer.client(port: proxy.port)
        try peer.ask(1)
        let answer = try peer.response(1)
        #expect(answer.status >= 500 || answer.reset != nil, "\(answer)")
        peer.raw.close()
        upstream.stop()
        try proxy.waitUntilNothingIsLeft()
    }

    /// It speaks HTTP/1 from the start.
    @Test func whoSpeaksHTTP1() throws {
        let upstream = try RawUpstream { connection, _ in
            _ = try? connection.receive()
            try? connection.send("HTTP/1.1 400 Bad Request\r\nevil: 1\r\ncontent-length: 0\r\n\r\n")
            _ = try? connection.receiveToEnd()
        }
        let proxy = try HttpProxy(edgeDocuments(to: [upstream.port], protocol: "HTTP2"))
        let text = try proxy.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 50") && !text.contains("evil"), "\(text)")
        upstream.stop()
        try proxy.waitUntilNothingIsLeft()
    }

    @Test(arguments: bodies)
    func bodyIsNotWhole(_ lie: H2Lie) throws {
        let (upstream, proxy) = try site(lie)
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        var bytes: [UInt8] = []
        do { bytes = try client.receiveToEnd() } catch let reset as ConnectionReset { bytes = reset.received }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("evil"), "\(text)")
        // What began as a good response must not end as one.
        #expect(text.hasPrefix("HTTP/1.1 50") || !text.hasSuffix("\r\n0\r\n\r\n"), "\(text)")
        let peer = try H2Peer.client(port: proxy.port)
        try peer.ask(1)
        let answer = try peer.response(1)
        #expect(answer.status >= 500 || answer.reset != nil, "\(answer)")
        client.close()
        peer.raw.close()
        upstream.stop()
        try proxy.waitUntilNothingIsLeft()
    }

    /// Frames that mean nothing, over and over: the proxy does not drown in them, nor does its client.
    @Test(arguments: [
        ("PING", H2Frame.ping()), ("SETTINGS", .settings([(4, 65_535)])),
        ("WINDOW_UPDATE", .windowUpdate(0, 1)),
        ("unknown", H2Frame(type: 0x42, [1])), ("empty DATA", .data(1)),
    ])
    func floods(_ name: String, _ frame: H2Frame) throws {
        let (upstream, proxy) = try site(
            H2Lie(name) { stream in
                [.headers(stream, ok, end: false)] + [H2Frame](repeating: frame, count: 20_000)
                    + [.data(stream, "ok", end: true)]
            })
        let before = try proxy.residentKiB()
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        // Either it is borne or the upstream is given up; a client is not left hanging.
        _ = try? client.response()
        #expect(try proxy.connect().get("/direct").status == 200)
        #expect(try proxy.residentKiB() - before < 16_384)
        client.close()
        upstream.stop()
        try proxy.waitUntilNothingIsLeft()
    }
}
