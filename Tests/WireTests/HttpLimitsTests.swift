// Deadlines and bounds: slow clients, oversize heads, too many connections, no descriptors left.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpLimits {
    @Test func slowHeadIs408() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestHeader: 300ms}"])
        let client = try proxy.connect()
        let dripping = Array("GET / HTTP/1.1\r\nHost: h\r\nX: ".utf8)
        var answer = ""
        // Every byte comes in time; the head as a whole does not.
        for index in 0..<2_000 {
            let byte = index < dripping.count ? dripping[index] : 0x61
            guard (try? client.send([byte])) != nil else { break }
            if !client.isQuiet(forMs: 10) { break }
        }
        do { answer = String(decoding: try client.receiveToEnd(), as: UTF8.self) } catch let end
            as ConnectionReset
        {
            answer = String(decoding: end.received, as: UTF8.self)
        }
        #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
        #expect(answer.contains("x-fairlead-reason: timeout\r\n") && answer.contains("connection: close\r\n"))
        #expect(upstream.requests.isEmpty)
        // Blank lines before the request line do not start the clock anew.
        let other = try proxy.connect()
        try other.send("\r\n\r\n")
        #expect(String(decoding: try other.receiveToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
        #expect(try proxy.connect().receiveToEnd().isEmpty, "a connection that says nothing is closed")
        try proxy.expectMetric(3, "fairlead_timeouts_total", "request_head")
    }

    @Test func slowBodyIs408() throws {
        let upstream = try ScriptedUpstream(.readHead, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestBodyIdle: 200ms}"])
        let client = try proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        let answer = try client.response()
        #expect(answer.status == 408 && answer.values("connection") == ["close"])
        #expect(try client.receiveToEnd().isEmpty)
        try waitUntil("the upstream's end") {
            String(decoding: upstream.received(), as: UTF8.self).hasSuffix("\r\n\r\nabc")
        }
        try proxy.expectMetric(1, "fairlead_timeouts_total", "request_body")
    }

    @Test func idleConnectionsEnd() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {idle: 200ms, upstreamIdle: 400ms}"])
        let client = try proxy.connect()
        #expect(try client.get("/").status == 200)
        #expect(try client.receiveToEnd().isEmpty)
        try waitUntil("the pool to be empty") { try proxy.metric("fairlead_pool_idle_connections") == 0 }
        try proxy.expectMetric(1, "fairlead_pool_closed_total", "cause=\"idle\"")
        try proxy.expectMetric(1, "fairlead_timeouts_total", "kind=\"idle\"")
    }

    @Test func silentUpstreamIsNoSlowClient() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readHead, .waitFor(gate), .readBytes(20 << 20), .send(okResponse()), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestBodyIdle: 200ms}"])
        let client = try proxy.connect()
        let body = [UInt8](repeating: 1, count: 20 << 20)
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n")
        try startThread {
            sleepMs(700)
            gate.open()
        }
        try client.send(body)
        #expect(try client.response().status == 200)
    }

    @Test func streamIdle() throws {
        let upstream = try ScriptedUpstream(.readRequest, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {streamIdle: 200ms}"])
        let answer = try proxy.connect().get("/")
        #expect(answer.status == 504 && answer.value("x-fairlead-reason") == "timeout")
    }

    @Test func oversizeHeads() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["limits: {headerBytes: 4096, headerCount: 20}"])
        func status(_ text: String) throws -> String { String(try proxy.exchange(text).prefix(12)) }
        let long = String(repeating: "x", count: 5_000)
        #expect(try status("GET / HTTP/1.1\r\nHost: h\r\nX: \(long)\r\n\r\n") == "HTTP/1.1 431")
        #expect(try status("GET / HTTP/1.1\r\nHost: h\r\nX: \(long)\(long)") == "HTTP/1.1 431")
        let lines = String(repeating: "a: b\r\n", count: 20)
        #expect(try status("GET / HTTP/1.1\r\nHost: h\r\n\(lines)\r\n") == "HTTP/1.1 431")
        #expect(try status("GET / HTTP/1.1\r\nHost: h\r\n\(lines.dropLast(5))\r\n") == "HTTP/1.1 200")
        let target = String(repeating: "/t", count: 20_000)
        #expect(try status("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n") == "HTTP/1.1 431")
        #expect(try status(String(repeating: "M", count: 5_000)) == "HTTP/1.1 400")
        #expect(upstream.requests.count == 1)
        let usual = try HttpProxy(to: [upstream.port])
        #expect(try usual.exchange("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n").hasPrefix("HTTP/1.1 414"))
        let big = String(repeating: "y", count: 60_000)
        #expect(try usual.connect().get("/", ["X-Big: \(big)"]).status == 200)
        #expect(
            try usual.exchange("GET / HTTP/1.1\r\nHost: h\r\nX: \(big)\(long)\r\n\r\n").hasPrefix(
                "HTTP/1.1 431"))
        try proxy.expectMetric(4, "fairlead_bad_requests_total", "431")
    }

    @Test func connectionLimit() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["limits: {connections: 2}"])
        let first = try proxy.connect()
        let second = try proxy.connect()
        #expect(try first.get("/").status == 200)
        #expect(try second.get("/").status == 200)
        let third = try proxy.connect()
        #expect(try third.receiveToEnd().isEmpty)
        try proxy.expectMetric(1, "fairlead_overload_total", "connection")
        first.close()
        try waitUntil("room") { try proxy.metric("fairlead_downstream_connections_active") == 1 }
        #expect(try proxy.connect().get("/").status == 200)
    }

    @Test func requestLimit() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readRequest, .waitFor(gate), .send(okResponse()), .readRequest, .send(okResponse()), .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port], spec: ["limits: {requests: 1}"])
        let first = try proxy.connect()
        try first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try waitUntil("the first request") { !upstream.received().isEmpty }
        let refused = try proxy.connect().get("/")
        #expect(refused.status == 503 && refused.value("x-fairlead-reason") == "overload")
        gate.open()
        #expect(try first.response().status == 200)
        #expect(try proxy.connect().get("/").status == 200)
    }

    @Test func outOfDescriptors() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], shell: "ulimit -n 96")
        var clients: [RawConnection] = []
        for _ in 0..<150 { clients.append(try proxy.connect()) }
        try waitUntil("accepting to pause") { try proxy.metric("fairlead_accept_pauses_total") > 0 }
        // Those who were let in are served, each with an upstream connection to spare.
        for client in clients.prefix(10) { #expect(try client.get("/").status == 200) }
        for client in clients.prefix(75) { client.close() }
        for client in clients.suffix(75) {
            #expect(try client.get("/").status == 200)
            client.close()
        }
        #expect(try proxy.connect().get("/").status == 200)
        #expect(proxy.process.stderr.components("cannot accept") == 1)
    }
}
