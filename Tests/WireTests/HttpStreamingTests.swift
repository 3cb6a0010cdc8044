// Bodies larger than any buffer, peers that are slow, early or gone: nothing is lost, mixed up or kept in
// memory.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpStreaming {
    /// Larger than socket and proxy buffers together.
    private static let large = 24 << 20

    private func pattern(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        for index in 0..<count { bytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 9) }
        return bytes
    }

    @Test func uploadToASlowUpstreamTakesNoMemory() throws {
        // The kernel alone may take more than 24 MiB of spliced pages on the way.
        let body = pattern(2 * Self.large)
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readHead, .waitFor(gate), .readBytes(body.count), .send(okResponse()), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let before = try proxy.residentKiB()
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n")
        var sent = 0
        // Until nothing more goes in: every buffer on the way is full.
        var quiet = 0
        while quiet < 10, sent < body.count {
            let took = client.sendNow(Array(body[sent..<min(body.count, sent + 65_536)]))
            sent += took
            quiet = took == 0 ? quiet + 1 : 0
            if took == 0 { sleepMs(20) }
        }
        #expect(sent < body.count, "back-pressure never reached the client")
        #expect(try proxy.residentKiB() - before < 4_096)
        gate.open()
        try client.send(Array(body[sent...]))
        #expect(try client.response().status == 200)
        #expect(Array(upstream.received().suffix(body.count)) == body)
        #expect(try proxy.residentKiB() - before < 4_096)
    }

    @Test func downloadToASlowClientTakesNoMemory() throws {
        let body = pattern(Self.large)
        let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8)
        let upstream = try ScriptedUpstream(.readRequest, .send(head + body), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let before = try proxy.residentKiB()
        let client = try proxy.connect(receiveBytes: 8_192)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        _ = try client.head()
        var received: [UInt8] = []
        for _ in 0..<20 {
            received += try client.receive(atMost: 4_096)
            sleepMs(10)
        }
        #expect(try proxy.residentKiB() - before < 4_096)
        received += try client.receive(exactly: body.count - received.count)
        #expect(received == body)
        #expect(try proxy.residentKiB() - before < 4_096)
    }

    @Test func chunkedBodiesOfAllSizesArriveWhole() throws {
        var random = SeededRandom()
        let upstream = try EchoUpstream("a") { request in
            var body: [UInt8] = []
            for (index, byte) in request.body.enumerated() where index % 3 != 1 { body.append(byte) }
            return Array("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".utf8)
                + chunks(body, [1, 7, 4_096, 70_000]) + Array("0\r\n\r\n".utf8)
        }
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for size in [0, 1, 15, 16, 4_095, 65_536, 131_072, 131_073, 400_000] {
            let body = random.bytes(size)
            let sizes = (0..<4).map { _ in random.int(1...50_000) }
            try client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send(chunks(body, sizes) + Array("0\r\n\r\n".utf8))
            let expected = body.enumerated().filter { $0.offset % 3 != 1 }.map(\.element)
            #expect(try client.response().body == expected, "\(size) bytes in chunks of \(sizes)")
            #expect(upstream.requests.last?.body == body)
        }
    }

    @Test func clientThatLeavesReleasesTheUpstream() throws {
        let body = pattern(Self.large)
        let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8)
        let upstream = try ScriptedUpstream(.readRequest, .send(head + body), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        _ = try client.receive(exactly: 100_000)
        client.close()
        try waitUntil("the upstream to be told") { !upstream.failures.isEmpty }
        try proxy.waitUntilQuiet()
        try proxy.expectMetric(1, "istio_requests_total", "response_flags=\"DC\"")
    }

    @Test func clientThatResetsWhileTheUpstreamThinks() throws {
        let upstream = try ScriptedUpstream(.readRequest, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try waitUntil("the request") { !upstream.received().isEmpty }
        client.reset()
        try proxy.waitUntilQuiet()
        try waitUntil("the upstream's connection to end") {
            try proxy.metric("fairlead_upstream_connections_active") == 0
        }
    }

    @Test func answerBeforeTheBodyIsComplete() throws {
        let upstream = try ScriptedUpstream(
            .readHead, .send("HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nbig"), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\npart")
        let answer = try client.response()
        #expect(answer.status == 413 && answer.text == "big")
        #expect(answer.values("connection") == ["close"])
        #expect(try client.receiveToEnd().isEmpty)
        client.close()
        // Neither side of an exchange that ended early serves another one.
        #expect(try proxy.connect().get("/").status == 413)
        #expect(upstream.connections == 2)
        try proxy.waitUntilQuiet()
    }

    @Test func bodyAndAnswerAtTheSameTime() throws {
        let upstream = try ScriptedUpstream(
            .readHead, .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"),
            .readBytes(9), .send("3\r\nend\r\n0\r\n\r\n"), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nfirst")
        let head = try #require(try client.head())
        #expect(head.status == 200)
        #expect(try client.receive(exactly: 7) == Array("2\r\nok\r\n".utf8))
        try client.send("rest")
        #expect(try client.receive(through: Array("0\r\n\r\n".utf8)) == Array("3\r\nend\r\n0\r\n\r\n".utf8))
        #expect(String(decoding: upstream.received(), as: UTF8.self).hasSuffix("firstrest"))
    }

    @Test func bodyCutShortIsNeverWhole() throws {
        for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
            let upstream = try ScriptedUpstream(.readHead, .readToEnd)
            let proxy = try HttpProxy(to: [upstream.port])
            let client = try proxy.connect()
            try client.send("POST / HTTP/1.1\r\nHost: h\r\n\(framing)\r\n\r\n5\r\nhello\r\n")
            try waitUntil("the head") { !upstream.received().isEmpty }
            client.halfClose()
            _ = try? client.receiveToEnd()
            try waitUntil("the upstream's end") { upstream.received().count > 10 }
            #expect(!String(decoding: upstream.received(), as: UTF8.self).hasSuffix("0\r\n\r\n"))
            try proxy.waitUntilQuiet()
        }
    }
}

/// Chunks of the given sizes in turn, without the last one.
func chunks(_ body: [UInt8], _ sizes: [Int]) -> [UInt8] {
    var out: [UInt8] = []
    var at = 0
    var turn = 0
    while at < body.count {
        let size = min(sizes[turn % sizes.count], body.count - at)
        out += Array("\(String(size, radix: 16))\r\n".utf8) + body[at..<at + size] + [0x0D, 0x0A]
        at += size
        turn += 1
    }
    return out
}
