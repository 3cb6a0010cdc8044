// Compressed responses over real sockets: what their clients get, when, and what is left alone.
import CZlib
import TestSupport
import Testing

/// Takes a coding off again, piece by piece; recognises gzip and zlib by their headers.
private final class Inflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private(set) var isAtEnd = false

    init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        _ = inflateInit2_(stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func inflate(_ bytes: [UInt8]) throws -> [UInt8] {
        var bytes = bytes
        var out: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = bytes.count
        try bytes.withUnsafeMutableBufferPointer { input in
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(count)
            while stream.pointee.avail_in > 0 || !isAtEnd {
                let produced = try piece.withUnsafeMutableBufferPointer { room in
                    stream.pointee.next_out = room.baseAddress
                    stream.pointee.avail_out = UInt32(room.count)
                    let result = CZlib.inflate(stream, Z_NO_FLUSH)
                    if result == Z_STREAM_END { isAtEnd = true }
                    guard [Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(result) else {
                        throw TestFailure("not a compressed body: \(result)")
                    }
                    return room.count - Int(stream.pointee.avail_out)
                }
                out += piece[..<produced]
                if produced == 0 { break }
            }
        }
        if isAtEnd, stream.pointee.avail_in > 0 { throw TestFailure("bytes behind the end of a body") }
        return out
    }
}

private func inflated(_ answer: HTTPMessage) throws -> String {
    let inflater = Inflater()
    let bytes = try inflater.inflate(answer.body)
    guard inflater.isAtEnd else { throw TestFailure("a body without its end: \(answer.body.count) bytes") }
    return String(decoding: bytes, as: UTF8.self)
}

@Suite(.timeLimit(.minutes(15)))
struct HttpCompression {
    private static let on = ["compression: {types: [text/*], minBytes: 100}"]
    private static let page = String(repeating: "<p>the same again</p>\n", count: 100)

    /// Both live as long as this does.
    private struct Site {
        let proxy: HttpProxy
        let upstream: EchoUpstream

        func connect(receiveBytes: Int32? = nil) throws -> RawConnection {
            try proxy.connect(receiveBytes: receiveBytes)
        }
    }

    /// An edge whose upstream answers `GET /STATUS|line|line` with those lines and the page.
    private func edge(_ spec: [String] = Self.on, page: String = Self.page) throws -> Site {
        let upstream = try EchoUpstream("a") { request in
            let parts = request.target.dropFirst().split(separator: "|").map {
                String($0.replacing("_", with: " "))
            }
            let status = parts.first.flatMap { Int($0) } ?? 200
            let lines = ["content-type: text/html"] + parts.dropFirst()
            return EchoUpstream.response(
                status, lines, status == 204 || status == 304 ? [] : Array(page.utf8),
                toHead: request.method == "HEAD")
        }
        return Site(proxy: try HttpProxy(to: [upstream.port], spec: spec), upstream: upstream)
    }

    @Test(arguments: ["gzip", "deflate"]) func bodiesComeCompressed(_ coding: String) throws {
        let site = try edge()
        let client = try site.connect()
        for _ in 0..<3 {
            let answer = try client.get("/200|etag:_\"v1\"", ["Accept-Encoding: \(coding)"])
            #expect(answer.status == 200 && answer.values("content-encoding") == [coding])
            #expect(
                answer.values("content-length") == [] && answer.values("transfer-encoding") == ["chunked"])
            #expect(answer.values("vary") == ["Accept-Encoding"] && answer.values("etag") == ["W/\"v1\""])
            #expect(answer.body.count < Self.page.utf8.count / 5, "\(answer.body.count)")
            #expect(try inflated(answer) == Self.page)
        }
        try site.proxy.expectMetric(3, "fairlead_compressions_total", "result=\"done\"")
        #expect(try client.get("/200", ["Accept-Encoding: \(coding);q=0"]).text == Self.page)
    }

    @Test func whoDoesNotAskGetsThePageAndTheVary() throws {
        let site = try edge()
        for lines in [[], ["Accept-Encoding: br"], ["Accept-Encoding: gzip;q=0"]] {
            let answer = try site.connect().get("/200|etag:_\"v1\"", lines)
            #expect(answer.text == Self.page && answer.value("content-encoding") == nil)
            #expect(answer.values("vary") == ["Accept-Encoding"] && answer.values("etag") == ["\"v1\""])
            #expect(answer.values("content-length") == ["\(Self.page.utf8.count)"])
        }
    }

    /// A weight of 0 excludes a coding, by either version of HTTP; who excludes the page as it is and allows
    /// nothing else gets it all the same.
    @Test func weightsOfZero() throws {
        let site = try edge()
        let cases: [([String], String?)] = [
            (["gzip;q=0"], nil), (["identity;q=0"], nil), (["identity;q=0, gzip;q=0"], nil),
            (["*;q=0"], nil), (["identity;q=0, *;q=0"], nil), (["gzip;q=0, br"], nil),
            (["gzip;q=0, deflate"], "deflate"), (["gzip;q=0", "deflate;q=0.1"], "deflate"),
            (["gzip;q=0, *"], "deflate"), (["identity;q=0, gzip;q=0.001"], "gzip"),
            (["identity;q=0", "*;q=0.5"], "gzip"), (["deflate;q=0, gzip"], "gzip"),
        ]
        let (h1, h2) = (try site.connect(), try H2Peer.client(port: site.proxy.port))
        for (index, (lines, coding)) in cases.enumerated() {
            let told = try h1.get("/200", lines.map { "Accept-Encoding: \($0)" })
            let stream = UInt32(2 * index + 1)
            try h2.ask(stream, H2Peer.request("GET", "/200", lines.map { ("accept-encoding", $0) }))
            let answer = try h2.response(stream)
            for (status, codings, vary, body) in [
                (told.status, told.values("content-encoding"), told.value("vary"), told.body),
                (
                    answer.status, answer.fields.filter { $0.name == "content-encoding" }.map(\.value),
                    answer.value("vary"), answer.body
                ),
            ] {
                #expect(status == 200 && vary == "Accept-Encoding", "\(lines)")
                #expect(codings == (coding.map { [$0] } ?? []), "\(lines)")
                let bytes = coding == nil ? body : try Inflater().inflate(body)
                #expect(String(decoding: bytes, as: UTF8.self) == Self.page, "\(lines)")
            }
        }
        let admin = try RawConnection(port: site.proxy.adminPort)
        for (value, coding) in [("gzip;q=0", nil), ("identity;q=0", nil), ("gzip;q=0.1", "gzip")] {
            let page = try admin.get("/metrics", ["Accept-Encoding: \(value)"])
            #expect(page.status == 200 && page.value("content-encoding") == coding, "\(value)")
        }
    }

    @Test func whatIsLeftAlone() throws {
        let site = try edge()
        let asks = ["Accept-Encoding: gzip"]
        for target in [
            "/206|content-range:_bytes_0-9/10000", "/200|cache-control:_no-transform",
            "/200|content-encoding:_br", "/200|repr-digest:_sha-256=:AA==:",
        ] {
            let answer = try site.connect().get(target, asks)
            #expect(answer.text == Self.page && answer.values("content-encoding") != ["gzip"], "\(target)")
        }
        for status in [204, 304] {
            #expect(try site.connect().get("/\(status)", asks).value("content-encoding") == nil)
        }
        let client = try site.connect()
        try client.send("HEAD /200 HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
        let head = try client.response(toHead: true)
        #expect(head.value("content-encoding") == nil && head.values("vary") == ["Accept-Encoding"])
        let old = try site.proxy.exchange("GET /200 HTTP/1.0\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
        #expect(old.hasSuffix(Self.page) && !old.contains("content-encoding"), "no chunks, no coding")
        let small = try edge(page: "a small page")
        #expect(try small.connect().get("/200", asks).text == "a small page")
        let off = try edge([])
        let answer = try off.connect().get("/200", asks)
        #expect(answer.text == Self.page && answer.value("vary") == nil, "not configured: never")
    }

    @Test func errorsOfUpstreamsAreCompressedOurOwnAreNot() throws {
        let site = try edge()
        let asks = ["Accept-Encoding: gzip"]
        #expect(try inflated(try site.connect().get("/404", asks)) == Self.page)
        #expect(try site.connect().get("/direct", asks).text == "direct")
        site.upstream.stop()
        let answer = try site.connect().get("/200", asks)
        #expect(answer.status == 503 && answer.value("content-encoding") == nil)
    }

    /// Each piece can be read when it came, however small: nothing waits for more.
    @Test(arguments: [true, false]) func piecesAreNotHeldBack(_ chunked: Bool) throws {
        let gates = (0..<3).map { _ in Gate() }
        let pieces = ["data: one\n\n", "data: two\n\n", "data: three\n\n"]
        func framed(_ text: String) -> String {
            chunked ? "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" : text
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            + (chunked ? "transfer-encoding: chunked\r\n\r\n" : "connection: close\r\n\r\n")
        let upstream = try ScriptedUpstream(
            .readRequest, .send(head), .waitFor(gates[0]), .send(framed(pieces[0])), .waitFor(gates[1]),
            .send(framed(pieces[1])), .waitFor(gates[2]),
            .send(framed(pieces[2]) + (chunked ? "0\r\n\r\n" : "")),
            .close)
        let proxy = try HttpProxy(to: [upstream.port], spec: Self.on)
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
        #expect(try client.head()?.values("content-encoding") == ["gzip"])
        let inflater = Inflater()
        var text = ""
        for (gate, piece) in zip(gates, pieces) {
            gate.open()
            let expected = text + piece
            while text != expected {
                text += try String(decoding: inflater.inflate(chunk(client)), as: UTF8.self)
            }
        }
        while case let bytes = try chunk(client), !bytes.isEmpty { _ = try inflater.inflate(bytes) }
        #expect(inflater.isAtEnd)
        client.close()
        try proxy.waitUntilQuiet()
    }

    /// The data of the next chunk; empty: the last.
    private func chunk(_ client: RawConnection) throws -> [UInt8] {
        guard let line = try client.receive(through: [0x0D, 0x0A]),
            let size = Int(String(decoding: line.dropLast(2), as: UTF8.self), radix: 16)
        else { throw TestFailure("no chunk") }
        return try Array(client.receive(exactly: size + 2).dropLast(2))
    }

    /// Bodies of all sizes, those that do not shrink among them, to a client that reads slowly.
    @Test(arguments: [100, 16_384, 131_072, 8_000_000]) func bodiesOfAllSizes(_ size: Int) throws {
        var random = SeededRandom()
        var page = ""
        while page.utf8.count < size { page += String(random.next(), radix: 36) + (size > 1_000 ? "" : "\n") }
        let site = try edge(page: page)
        let client = try site.connect(receiveBytes: 8_192)
        let answer = try client.get("/200", ["Accept-Encoding: gzip"])
        #expect(try inflated(answer) == page)
        client.close()
        try site.proxy.waitUntilQuiet()
    }

    @Test func curlReadsIt() throws {
        let site = try edge()
        let text = try Programs.curl(["--compressed", "-s", "http://127.0.0.1:\(site.proxy.port)/200"])
        #expect(text == Self.page)
    }

    @Test func aBodyCutShortIsNoWholeOne() throws {
        let page = Self.page
        let upstream = try ScriptedUpstream(
            .readRequest,
            .send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99999\r\n\r\n\(page)"),
            .reset)
        let proxy = try HttpProxy(to: [upstream.port], spec: Self.on)
        let answer = try proxy.exchange(
            "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n", halfClose: false)
        #expect(!answer.hasSuffix("0\r\n\r\n"))
        try proxy.waitUntilQuiet()
    }

    /// States of clients that went away are used again.
    @Test func clientsThatLeaveGiveTheirStateBack() throws {
        var random = SeededRandom()
        // What does not shrink: most of it is still to come when a client leaves.
        let noise = (0..<3_000_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let upstream = try EchoUpstream("a") { _ in
            EchoUpstream.response(200, ["content-type: text/plain"], noise)
        }
        let proxy = try HttpProxy(to: [upstream.port], spec: Self.on)
        for _ in 0..<20 {
            let client = try proxy.connect(receiveBytes: 4_096)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: deflate\r\n\r\n")
            _ = try client.receive(atMost: 64)
            client.reset()
        }
        try proxy.waitUntilQuiet()
        let answer = try proxy.connect().get("/", ["Accept-Encoding: deflate"])
        #expect(try Inflater().inflate(answer.body) == noise)
    }
}
