// Peers that cost more than they should: the slow, the many, and those who send what is legal and pointless.
// Each is cut by name, others are served meanwhile, and nothing is left of them afterwards.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpFlood {
    private let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    /// Sends `pieces` over and over until the proxy ends the connection; the answers' text.
    private func flood(_ proxy: HttpProxy, _ first: String, _ piece: String, rounds: Int = 4_000) -> String {
        guard let client = try? proxy.connect() else { return "no connection" }
        let bytes = Array(piece.utf8)
        do {
            try client.send(first)
            for _ in 0..<rounds { try client.send(bytes) }
            client.halfClose()
            return String(decoding: try client.receiveToEnd(), as: UTF8.self)
        } catch let reset as ConnectionReset {
            let rest = (try? client.receiveToEnd()) ?? []
            return String(decoding: reset.received + rest, as: UTF8.self)
        } catch {
            return "\(error)"
        }
    }

    // MARK: glitches

    private static let glitches: [(name: String, metric: String, first: String, piece: String)] = [
        (
            "blank lines", "empty_line", "",
            String(repeating: "\r\n\r\n\r\n\r\nGET /direct HTTP/1.1\r\nHost: h\r\n\r\n", count: 20)
        ),
        (
            "lengths said twice", "repeated_length", "",
            String(
                repeating:
                    "GET /direct HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                count: 20)
        ),
        (
            "chunks of one byte", "chunk_framing",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            String(repeating: "1\r\nx\r\n", count: 2_000)
        ),
        (
            "chunk extensions", "chunk_framing",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            String(repeating: "4;\(String(repeating: "e", count: 200))\r\nabcd\r\n", count: 50)
        ),
        (
            "trailers", "chunk_framing", "",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                + String(repeating: "t: \(String(repeating: "v", count: 1_000))\r\n", count: 8) + "\r\n"
        ),
    ]

    @Test(arguments: glitches.map(\.name))
    func endsWhenTheBudgetIsSpent(_ name: String) throws {
        let (_, metric, first, piece) = try #require(Self.glitches.first { $0.name == name })
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let other = try proxy.connect()
        #expect(try other.get("/").status == 200)
        let answers = flood(proxy, first, piece)
        // An answer may be lost to the reset that ends a flood; a whole flood that was served is not.
        #expect(answers.components("HTTP/1.1 200 OK") < 4_000)
        try proxy.expectMetric(1, "fairlead_connections_cut_total", "name=\"\(metric)\"")
        try proxy.expectMetric(1, "fairlead_connections_cut_total")
        #expect(try proxy.metric("fairlead_glitches_total", "name=\"\(metric)\"") > 1_000)
        #expect(try other.get("/").status == 200, "others are served")
        other.close()
        try proxy.waitUntilNothingIsLeft()
    }

    /// What sloppy but honest clients do stays within the budget.
    @Test func oddClientsAreServed() throws {
        let upstream = try RecordingUpstream()
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for _ in 0..<100 {
            try client.send("\r\n" + get)
            #expect(try client.response().status == 200)
        }
        let letters = String(repeating: "1\r\nx\r\n", count: 20_000)
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\(letters)0\r\n\r\n")
        #expect(try client.response().status == 200)
        try proxy.expectMetric(0, "fairlead_connections_cut_total")
    }

    // MARK: slow clients

    @Test func slowHeadsAreCut() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestHeader: 400ms}"])
        let start = Array("GET / HTTP/1.1\r\nHost: h\r\nX: ".utf8)
        let slow = try (0..<100).map { _ in try proxy.connect() }
        // Each byte comes in good time.
        for index in 0..<60 {
            for client in slow {
                _ = client.sendNow([index < start.count ? start[index] : 0x61])
            }
            if index % 10 == 0 { #expect(try proxy.connect().get("/").status == 200) }
            sleepMs(20)
        }
        for client in slow {
            let answer = (try? client.receiveToEnd()) ?? []
            #expect(answer.isEmpty || String(decoding: answer.prefix(12), as: UTF8.self) == "HTTP/1.1 408")
        }
        try proxy.expectMetric(100, "fairlead_timeouts_total", "kind=\"request_head\"")
        #expect(upstream.requests.allSatisfy { $0.value("x") == nil })
        try proxy.waitUntilNothingIsLeft()
    }

    @Test(arguments: ["Content-Length: 100", "Transfer-Encoding: chunked"])
    func slowBodiesAreCut(_ framing: String) throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestBodyIdle: 300ms}"])
        let slow = try (0..<50).map { _ in try proxy.connect() }
        for client in slow {
            try client.send("POST / HTTP/1.1\r\nHost: h\r\n\(framing)\r\n\r\n5\r\nhello")
        }
        #expect(try proxy.connect().get("/").status == 200)
        for client in slow { #expect(try client.response().status == 408) }
        for client in slow { #expect(try client.receiveToEnd().isEmpty) }
        try proxy.expectMetric(50, "fairlead_timeouts_total", "kind=\"request_body\"")
        try proxy.waitUntilNothingIsLeft()
    }

    @Test func slowReadersHoldLittleAndAreCut() throws {
        let body = [UInt8](repeating: 0x62, count: 4 << 20)
        let upstream = try EchoUpstream("a") { request in
            request.target == "/large" ? EchoUpstream.response(200, [], body) : nil
        }
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {streamIdle: 1500ms}"])
        let slow = try (0..<30).map { _ in try proxy.connect(receiveBytes: 4_096) }
        for client in slow { try client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n") }
        try waitUntil("all to be under way") {
            try proxy.metric("fairlead_downstream_requests_active") == 30
        }
        // One read's worth each, whatever the size of the body.
        #expect(try proxy.metric("fairlead_memory_buffer_used_bytes") <= 30 * 262_144)
        #expect(try proxy.connect().get("/").status == 200)
        try proxy.expectMetric(30, "fairlead_timeouts_total", "kind=\"stream_idle\"")
        for client in slow { #expect(throws: ConnectionReset.self) { try client.receiveToEnd() } }
        try proxy.waitUntilNothingIsLeft()
    }

    /// Slow is not idle: who reads on is served to the end, in whatever time.
    @Test func steadyReadersAreServed() throws {
        let body = [UInt8](repeating: 0x62, count: 3 << 20)
        let upstream = try EchoUpstream("a") { _ in EchoUpstream.response(200, [], body) }
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {streamIdle: 400ms}"])
        let client = try proxy.connect(receiveBytes: 16_384)
        try client.send(get)
        _ = try client.head()
        var got = 0
        while got < body.count {
            got += try client.receive(atMost: 65_536).count
            sleepMs(25)
        }
        #expect(got == body.count)
    }

    // MARK: many

    @Test func pipelinesWithoutEnd() throws {
        let upstream = try RecordingUpstream()
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect(receiveBytes: 4_096)
        let batch = Array(String(repeating: "GET /direct HTTP/1.1\r\nHost: h\r\n\r\n", count: 2_000).utf8)
        // Nothing is read: sooner or later the proxy takes no more.
        var stuck = 0
        while stuck < 20 {
            stuck = client.sendNow(batch) == 0 ? stuck + 1 : 0
            if stuck > 0 { sleepMs(10) }
        }
        let held = try proxy.metric("fairlead_memory_buffer_used_bytes")
        #expect(held <= 2 * 262_144, "\(held) bytes for one connection")
        for _ in 0..<20 { #expect(try proxy.connect().get("/").status == 200) }
        client.reset()
        try proxy.waitUntilNothingIsLeft()
    }

    @Test(arguments: [1, 2])
    func connectionsBeyondTheLimit(_ workers: Int) throws {
        let upstream = try RecordingUpstream()
        let proxy = try HttpProxy(
            to: [upstream.port], spec: ["limits: {connections: 20}"], arguments: ["--workers", "\(workers)"])
        let first = try (0..<20).map { _ in try proxy.connect() }
        for client in first { #expect(try client.get("/direct").status == 200) }
        for _ in 0..<300 {
            let client = try proxy.connect()
            #expect(((try? client.receiveToEnd()) ?? []).isEmpty)
        }
        try proxy.expectMetric(300, "fairlead_overload_total", "what=\"connection\"")
        try proxy.expectMetric(20, "fairlead_downstream_connections_active")
        for client in first { #expect(try client.get("/").status == 200, "those who were in are served") }
        for client in first { client.close() }
        try proxy.expectMetric(0, "fairlead_downstream_connections_active")
        for _ in 0..<5 { #expect(try proxy.connect().get("/").status == 200) }
        try proxy.waitUntilNothingIsLeft()
    }

    @Test func connectionsThatSayNothing() throws {
        let upstream = try RecordingUpstream()
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestHeader: 500ms}"])
        let silent = try (0..<300).map { _ in try proxy.connect() }
        #expect(try proxy.connect().get("/").status == 200)
        for client in silent { #expect(try client.receiveToEnd().isEmpty) }
        try proxy.expectMetric(300, "fairlead_timeouts_total", "kind=\"request_head\"")
        try proxy.waitUntilNothingIsLeft()
    }

    @Test func resetsAtEveryMoment() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let whole = Array("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody".utf8)
        for count in 0...whole.count {
            for read in [false, true] {
                let client = try proxy.connect()
                _ = client.sendNow(Array(whole[..<count]))
                if read, count == whole.count { _ = try client.receive(atMost: 10) }
                client.reset()
            }
        }
        #expect(try proxy.connect().get("/").status == 200)
        try proxy.waitUntilNothingIsLeft()
    }
}
