// Upstreams that fail, lie, are stale, or switch protocols.
import Glibc
import TestSupport
import Testing

extension [UInt8] {
    /// Up to and with the first occurrence of a text, which must be there.
    fileprivate func prefix(through text: String) -> ArraySlice<UInt8> {
        prefix(firstRange(of: Array(text.utf8))?.upperBound ?? 0)
    }
}

@Suite(.timeLimit(.minutes(15)))
struct HttpUpstream {
    private let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    private let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"

    // MARK: stale connections

    /// Serves one request; the second one on the same connection is read and the connection closed without an
    /// answer. Later connections behave.
    private func stale() throws -> ScriptedUpstream {
        try ScriptedUpstream([
            [.readRequest, .send(okResponse("one")), .readRequest, .close],
            [.readRequest, .send(okResponse("again")), .readToEnd],
        ])
    }

    @Test func staleConnectionIsRetriedOnceForGet() throws {
        let upstream = try stale()
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        #expect(try client.get("/").text == "one")
        #expect(try client.get("/").text == "again")
        #expect(upstream.connections == 2)
        try proxy.expectMetric(1, "fairlead_upstream_stale_retries_total")
        let second = String(decoding: upstream.received(1), as: UTF8.self)
        #expect(second.contains("x-envoy-attempt-count: 2\r\n"))
    }

    /// What another attempt is told of the timeout is what remains of it; the body behind that is whole.
    @Test func aRetryHasTheRestOfTheTimeout() throws {
        let upstream = try ScriptedUpstream([
            [.readRequest, .send(okResponse("one")), .readRequest, .pause(ms: 20), .close],
            [.readRequest, .send(okResponse("again")), .readToEnd],
        ])
        let proxy = try HttpProxy(
            edgeDocuments(to: [upstream.port]).replacing("timeout: 300ms", with: "timeout: 100s"))
        let client = try proxy.connect()
        #expect(try client.get("/timeout").text == "one")
        try client.send("PUT /timeout HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        #expect(try client.response().text == "again")
        let name = "x-envoy-expected-rq-timeout-ms"
        let first = try HTTPMessage(rawHead: Array(upstream.received(0).prefix(through: "\r\n\r\n")))
        #expect(first.value(name) == "100000")
        let bytes = upstream.received(1)
        let head = Array(bytes.prefix(through: "\r\n\r\n"))
        let second = try HTTPMessage(rawHead: head)
        let left = try #require(second.value(name).flatMap { Int($0) })
        #expect((1..<100_000).contains(left) && second.value("x-envoy-attempt-count") == "2", "\(second)")
        #expect(bytes.dropFirst(head.count) == Array("hello".utf8)[...])
    }

    @Test func staleConnectionIsNotRetriedForPost() throws {
        let upstream = try stale()
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        #expect(try client.get("/").text == "one")
        try client.send(post)
        let answer = try client.response()
        #expect(answer.status == 503 && answer.value("x-fairlead-reason") == "upstream-reset")
        #expect(upstream.connections == 1)
        #expect(try client.get("/").text == "again", "the client's connection lives on")
    }

    /// Serves one request on the first connection and waits; when the gate opens it says something that
    /// nobody asked for and goes, by reset or in order. Other connections echo.
    private func leaving(_ gate: Gate, _ gone: Gate, reset: Bool) throws -> RawUpstream {
        try RawUpstream { connection, number in
            while let request = try? connection.request() {
                let body = String(decoding: request.body, as: UTF8.self)
                try? connection.send(okResponse("\(request.startLine) \(body) on \(number)"))
                if number > 0 { continue }
                try? waitUntil("the gate") { gate.isOpen }
                if reset { try? connection.send(okResponse("evil")) }
                if reset { connection.reset() } else { connection.close() }
                return gone.open()
            }
        }
    }

    /// Stops every thread of a process.
    private func stop(_ process: RunningProcess) throws {
        kill(process.pid, SIGSTOP)
        let tasks = "/proc/\(process.pid)/task"
        try waitUntil("all threads to be stopped") {
            listFolder(tasks).allSatisfy { task in
                let stat = String(decoding: readFile("\(tasks)/\(task)/stat") ?? [], as: UTF8.self)
                return stat.firstRange(of: ") T ") != nil
            }
        }
    }

    /// Whether a connection to a port of loopback is open and its other end not known to be gone: on a loaded
    /// machine a FIN or RST reaches the kernel's other end some time after the close that sent it.
    private func isConnected(to port: UInt16) -> Bool {
        let hex = String(port, radix: 16, uppercase: true)
        let remote = "0100007F:" + String(repeating: "0", count: 4 - hex.count) + hex
        let table = String(decoding: readFile("/proc/net/tcp") ?? [], as: UTF8.self)
        // sl local_address rem_address st ...; 01 is ESTABLISHED.
        return table.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ")
            return fields.count > 3 && fields[2] == remote && fields[3] == "01"
        }
    }

    /// The proxy is stopped while the client asks and then the upstream goes, so that it sees both at once,
    /// the request first. It must look at the connection before it hands it to the request: no attempt is
    /// lost, and what the upstream said unasked answers nobody.
    @Test(arguments: [true, false])
    func connectionThatGoesAtTheMomentOfItsReuse(_ reset: Bool) throws {
        let gate = Gate()
        let gone = Gate()
        let upstream = try leaving(gate, gone, reset: reset)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        #expect(try client.get("/first").status == 200)
        try stop(proxy.process)
        #expect(isConnected(to: upstream.port))
        let first = reset ? post : get
        try client.send(first + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
        gate.open()
        try waitUntil("the upstream to be gone") { gone.isOpen && !isConnected(to: upstream.port) }
        kill(proxy.process.pid, SIGCONT)
        let answer = try client.response()
        #expect(answer.text == (reset ? "POST / HTTP/1.1 hi on 1" : "GET / HTTP/1.1  on 1"))
        #expect(try client.response().text == "GET /b HTTP/1.1  on 1")
        try proxy.expectMetric(0, "fairlead_upstream_stale_retries_total")
    }

    @Test func retryIsNotRepeated() throws {
        let upstream = try ScriptedUpstream([
            [.readRequest, .send(okResponse("one")), .readRequest, .close], [.readRequest, .close],
        ])
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        #expect(try client.get("/").status == 200)
        #expect(try client.get("/").status == 503)
        #expect(upstream.connections == 2)
    }

    @Test func answerThatBeganIsNotRetried() throws {
        let upstream = try ScriptedUpstream([
            [.readRequest, .send(okResponse("one")), .readRequest, .send("HTTP/1.1 2"), .close],
            [.readRequest, .send(okResponse("never"))],
        ])
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        #expect(try client.get("/").status == 200)
        #expect(try client.get("/").status == 503)
        #expect(upstream.connections == 1)
    }

    @Test func idleConnectionClosedByTheUpstreamIsNotUsed() throws {
        let upstream = try ScriptedUpstream(.readRequest, .send(okResponse()), .close)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for _ in 0..<10 {
            try client.send(post)
            #expect(try client.response().status == 200)
            try waitUntil("the pool to notice") { try proxy.metric("fairlead_pool_idle_connections") == 0 }
        }
        #expect(upstream.connections == 10)
    }

    @Test func restartOfTheUpstreamUnderGets() throws {
        let first = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [first.port])
        let clients = try (0..<8).map { _ in try proxy.connect() }
        for client in clients { try client.send(get) }
        for client in clients { #expect(try client.response().status == 200) }
        first.stop()
        var second: EchoUpstream?
        try waitUntil("the port to be free") {
            second = try? EchoUpstream("b", port: first.port)
            return second != nil
        }
        for client in clients { try client.send(get) }
        for client in clients { #expect(try client.response().value("x-upstream") == "b") }
    }

    // MARK: no connection

    @Test func refusedConnectionIsTriedThreeTimes() throws {
        let proxy = try HttpProxy(to: [try freeLoopbackPort()])
        let client = try proxy.connect()
        for round in 1...3 {
            let answer = try client.get("/")
            #expect(answer.status == 503 && answer.value("x-fairlead-reason") == "upstream-connect")
            #expect(answer.text.contains("Connection refused"))
            try proxy.expectMetric(3 * round, "fairlead_upstream_failures_total", "kind=\"connect\"")
        }
        try proxy.expectMetric(3, "istio_requests_total", "response_flags=\"UF,URX\"")
        try client.send(post)
        #expect(try client.response().status == 503)
    }

    @Test func refusedEndpointGivesWayToAnother() throws {
        let upstream = try EchoUpstream("alive")
        let proxy = try HttpProxy(to: [try freeLoopbackPort(), upstream.port])
        let client = try proxy.connect()
        var served = 0
        for _ in 0..<20 where try client.get("/").status == 200 { served += 1 }
        // Three draws of two endpoints: seven of eight requests reach the living one.
        #expect(served >= 8)
    }

    @Test func connectTimeout() throws {
        let silent = try SilentPort()
        let proxy = try HttpProxy(to: [silent.port], spec: ["timeouts: {connect: 100ms}"])
        let answer = try proxy.connect().get("/")
        #expect(answer.status == 503 && answer.value("x-fairlead-reason") == "upstream-connect")
        #expect(answer.text.contains("connection timeout"))
        try proxy.expectMetric(3, "fairlead_upstream_failures_total", "connect_timeout")
        // A body larger than any buffer waits in the client while the connection is made.
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n")
        var took = 0
        for _ in 0..<3 {
            took = client.sendNow([UInt8](repeating: 1, count: 1 << 20))
            if took == 0 { break }
        }
        #expect(try client.response().status == 503)
    }

    @Test func routeTimeout() throws {
        let upstream = try ScriptedUpstream(.readRequest, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let answer = try proxy.connect().get("/timeout")
        #expect(answer.status == 504 && answer.value("x-fairlead-reason") == "upstream-timeout")
        #expect(answer.text == "upstream request timeout")
        let half = try ScriptedUpstream(
            .readRequest, .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart"), .readToEnd)
        let other = try HttpProxy(to: [half.port])
        #expect(throws: ConnectionReset.self) {
            let client = try other.connect()
            try client.send("GET /timeout HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = try client.receiveToEnd()
        }
    }

    // MARK: malformed responses

    /// Refused before anything of it went to the client.
    private static let refused: [(name: String, bytes: String)] = [
        (
            "both lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        ("different lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"),
        ("length list", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab"),
        ("negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        ("unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"),
        ("coding list", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked in 1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("garbage", "SSH-2.0-OpenSSH_9.6\r\n"),
        ("version", "HTTP/2.0 200 OK\r\n\r\n"),
        ("status", "HTTP/1.1 20 OK\r\n\r\n"),
        ("status 0xx", "HTTP/1.1 099 OK\r\n\r\n"),
        ("bare LF", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
        ("NUL", "HTTP/1.1 200 OK\r\na: b\u{0}c\r\ncontent-length: 0\r\n\r\n"),
        ("folding", "HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n"),
        ("space before colon", "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n"),
        ("huge head", "HTTP/1.1 200 OK\r\na: " + String(repeating: "x", count: 70_000) + "\r\n\r\n"),
        ("endless head", "HTTP/1.1 200 OK\r\na: " + String(repeating: "x", count: 300_000)),
        ("too many lines", "HTTP/1.1 200 OK\r\n" + String(repeating: "a: b\r\n", count: 101) + "\r\n"),
        ("101 nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"),
        ("coding twice", head("transfer-encoding: chunked", "transfer-encoding: chunked") + "0\r\n\r\n"),
        ("coding not last", head("transfer-encoding: chunked, gzip") + "0\r\n\r\n"),
        ("coding and length of zero", head("transfer-encoding: chunked", "content-length: 0")),
        ("length with a sign", head("content-length: +2") + "ab"),
        ("length beyond 64 bits", head("content-length: 18446744073709551618") + "ab"),
        ("length empty", head("content-length:")),
        ("CR in a value", head("a: b\rc: d", "content-length: 0")),
        ("LF in a value", head("a: b\nset-cookie: evil=1", "content-length: 0")),
        ("NUL in a name", head("a\u{0}: b", "content-length: 0")),
        ("no colon", head("nothing", "content-length: 0")),
        ("empty name", head(": b", "content-length: 0")),
        ("folding first", "HTTP/1.1 200 OK\r\n a: b\r\ncontent-length: 0\r\n\r\n"),
        ("blank line first", "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("body without a head", "<html>hello</html>"),
        ("lower-case version", "http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("version 1.2", "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("ICY", "ICY 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n"),
        ("status of letters", "HTTP/1.1 2xx OK\r\ncontent-length: 0\r\n\r\n"),
        ("status negative", "HTTP/1.1 -20 OK\r\ncontent-length: 0\r\n\r\n"),
        ("two blanks before the status", "HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("tab before the status", "HTTP/1.1\t200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("CR in the phrase", "HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n"),
        ("NUL in the phrase", "HTTP/1.1 200 O\u{0}K\r\ncontent-length: 0\r\n\r\n"),
        ("endless phrase", "HTTP/1.1 200 " + String(repeating: "x", count: 70_000)),
        ("body behind 100", "HTTP/1.1 100 C\r\ncontent-length: 2\r\n\r\nab" + okResponse()),
        ("chunks behind 103", "HTTP/1.1 103 E\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + okResponse()),
        ("request for an answer", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ]

    private static func head(_ lines: String...) -> String {
        (["HTTP/1.1 200 OK"] + lines).joined(separator: "\r\n") + "\r\n\r\n"
    }

    @Test(arguments: refused.map(\.name))
    func malformedHeadIsRefused(_ name: String) throws {
        let bytes = try #require(Self.refused.first { $0.name == name }).bytes
        let upstream = try ScriptedUpstream(.readRequest, .send(bytes), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for _ in 0..<2 {
            let answer = try client.get("/")
            #expect(answer.status == 502)
            #expect(answer.value("x-fairlead-reason") == "upstream-protocol")
            #expect(answer.text.contains("protocol error"))
        }
        #expect(upstream.connections == 2, "the connection was used again")
        try proxy.expectMetric(2, "istio_requests_total", "response_flags=\"UPE\"")
    }

    /// A head that is fine, a body that is not: the client must not take it for whole.
    private static let broken: [(name: String, head: String, body: String)] = [
        ("early close", "content-length: 10", "12345"),
        ("no last chunk", "transfer-encoding: chunked", "5\r\n12345\r\n"),
        ("bad chunk size", "transfer-encoding: chunked", "5\r\n12345\r\nxyz\r\n"),
        ("chunk too long", "transfer-encoding: chunked", "5\r\n123456\r\n0\r\n\r\n"),
        ("chunk size overflow", "transfer-encoding: chunked", "1\r\na\r\nfffffffffffffffff\r\nabc"),
        ("cut in a chunk", "transfer-encoding: chunked", "ff\r\n12345"),
        ("chunk ended by LF", "transfer-encoding: chunked", "5\r\n12345\n0\r\n\r\n"),
        ("chunk size with a sign", "transfer-encoding: chunked", "1\r\na\r\n+5\r\n12345\r\n0\r\n\r\n"),
        ("endless extension", "transfer-encoding: chunked", "5;" + String(repeating: "e", count: 2_000)),
        (
            "endless trailers", "transfer-encoding: chunked",
            "0\r\n" + String(repeating: "a: b\r\n", count: 3_000)
        ),
        ("trailer with bare LF", "transfer-encoding: chunked", "1\r\na\r\n0\r\na: b\nc: d\r\n\r\n"),
    ]

    @Test(arguments: broken.map(\.name))
    func brokenBodyEndsInAReset(_ name: String) throws {
        let (_, head, body) = try #require(Self.broken.first { $0.name == name })
        let upstream = try ScriptedUpstream(
            .readRequest, .send("HTTP/1.1 200 OK\r\n\(head)\r\n\r\n"), .pause(ms: 30), .send(body), .close)
        let proxy = try HttpProxy(to: [upstream.port])
        for line in ["HTTP/1.1", "HTTP/1.0"] {
            let client = try proxy.connect()
            try client.send("GET / \(line)\r\nHost: h\r\n\r\n")
            #expect(throws: ConnectionReset.self) { try client.receiveToEnd() }
        }
        try proxy.expectMetric(0, "fairlead_pool_idle_connections")
        try proxy.waitUntilQuiet()
    }

    /// Content where there must be none (RFC 9112 6.3) is not the next response.
    @Test(arguments: [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", 200),
        ("GET", "HTTP/1.1 204 No\r\ncontent-length: 4\r\n\r\nevil", 204),
        ("GET", "HTTP/1.1 304 No\r\ncontent-length: 4\r\n\r\nevil", 304),
        ("GET", "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", 204),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", 200),
    ])
    func contentWhereThereIsNone(_ method: String, _ bytes: String, _ status: Int) throws {
        let upstream = try ScriptedUpstream(.readRequest, .send(bytes), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        for round in 1...3 {
            try client.send("\(method) / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(try client.response(toHead: true).status == status)
            #expect(upstream.connections == round, "the connection was used again")
        }
        try proxy.expectMetric(3, "fairlead_glitches_total", "name=\"idle_bytes\"")
        client.close()
        try proxy.waitUntilNothingIsLeft()
    }

    /// 101 to what was asked for in words, but not what was asked for.
    @Test(arguments: [
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 S\r\n\r\n",
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
    ])
    func switchToAnotherProtocol(_ bytes: String) throws {
        let upstream = try ScriptedUpstream(.readHead, .send(bytes), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        let answer = try client.get("/", ["Connection: upgrade", "Upgrade: websocket"])
        #expect(answer.status == 502 && answer.value("x-fairlead-reason") == "upstream-protocol")
        try proxy.expectMetric(0, "fairlead_tunnels_total")
    }

    /// A head that drips is read once, not once a byte, and ends at its limit.
    @Test func headThatDrips() throws {
        let upstream = try RawUpstream { connection, _ in
            guard (try? connection.request()) != nil else { return }
            try? connection.send("HTTP/1.1 200 OK\r\n")
            let piece = Array("x: \(String(repeating: "y", count: 36))\r\n".utf8)
            for _ in 0..<5_000 {
                guard (try? connection.send(piece)) != nil else { return }
            }
        }
        let proxy = try HttpProxy(to: [upstream.port])
        let answer = try proxy.connect().get("/")
        #expect(answer.status == 502 && answer.value("x-fairlead-reason") == "upstream-protocol")
        try proxy.waitUntilNothingIsLeft()
    }

    @Test func bytesAfterTheResponseAreNobodysAnswer() throws {
        let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
        for pause in [0, 40] {
            let upstream = try ScriptedUpstream(
                .readRequest, .send(okResponse("good") + (pause == 0 ? evil : "")), .pause(ms: pause),
                .send(pause == 0 ? "" : evil), .readToEnd)
            let proxy = try HttpProxy(to: [upstream.port])
            let client = try proxy.connect()
            for round in 1...3 {
                #expect(try client.get("/").text == "good")
                try waitUntil("the connection to be given up") {
                    try proxy.metric("fairlead_upstream_connections_active") == 0
                }
                #expect(upstream.connections == round)
            }
        }
    }

    // MARK: other protocols

    @Test func upgradeMakesATunnel() throws {
        let upstream = try ScriptedUpstream(
            .readHead,
            .send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Accept: x\r\n\r\nserver first"),
            .readBytes(5), .send("answer"), .halfClose, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send(
            "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nhe")
        let head = try client.response()
        #expect(head.status == 101 && head.values("upgrade") == ["websocket"])
        #expect(head.values("connection") == ["upgrade"] && head.values("sec-websocket-accept") == ["x"])
        #expect(try client.receive(exactly: 12) == Array("server first".utf8))
        try client.send("llo")
        #expect(try client.receiveToEnd() == Array("answer".utf8))
        // The other direction stays open until the client ends it too.
        try client.send("more")
        client.halfClose()
        try waitUntil("the tunnel's last bytes") {
            String(decoding: upstream.received(), as: UTF8.self).hasSuffix("hellomore")
        }
        try proxy.waitUntilQuiet()
        try proxy.expectMetric(1, "fairlead_tunnels_total")
    }

    @Test func pendingBytesOfATunnelOutliveBothEnds() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readHead, .send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            .halfClose,
            .waitFor(gate), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        #expect(try client.response().status == 101)
        let bytes = [UInt8](repeating: 7, count: 12 << 20)
        try startThread { [bytes] in
            sleepMs(200)
            gate.open()
            _ = bytes
        }
        try client.send(bytes)
        client.halfClose()
        try waitUntil("all bytes") { upstream.received().count > bytes.count }
        #expect(upstream.received().suffix(bytes.count).allSatisfy { $0 == 7 })
        try proxy.waitUntilQuiet()
    }

    @Test func otherUpgradesAreRefused() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        for token in ["irc/6.9", "websocket, foo", "TLS/1.0"] {
            let text = try proxy.exchange(
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: \(token)\r\n\r\n")
            #expect(text.hasPrefix("HTTP/1.1 403 "), "\(token): \(text)")
        }
        #expect(upstream.requests.isEmpty)
        let client = try proxy.connect()
        let ignored = try client.get(
            "/", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"])
        #expect(ignored.status == 200)
        #expect(!ignored.text.lowercased().contains("upgrade") && !ignored.text.contains("http2-settings"))
        // Without the connection option the field is one hop's business and goes no further.
        #expect(!(try client.get("/", ["Upgrade: websocket"]).text.lowercased().contains("upgrade")))
    }

    @Test func upgradeThatIsDeclinedIsAPlainResponse() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        let answer = try client.get("/", ["Connection: upgrade", "Upgrade: websocket"])
        #expect(answer.status == 200)
        #expect(answer.text.contains("connection: upgrade\r\nupgrade: websocket\r\n"))
        #expect(try client.get("/").status == 200)
    }
}
