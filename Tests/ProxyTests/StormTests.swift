// Storms: clients and upstreams that do random things, legal and not, for a bounded number of steps.
// Afterwards every gauge is back at nothing: no exchange, buffer, connection or tunnel was lost on any path.
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct Storms {
    /// Answers of an upstream: right, wrong, cut short, slow, or none.
    private static func serve(_ connection: RawConnection, _ number: Int, seed: UInt64) {
        var random = SeededRandom(seed: seed &+ UInt64(number) &* 7_919)
        let deadline = Deadline.seconds(5)
        func whole() throws -> HTTPMessage? { try connection.request(deadline) }
        do {
            while true {
                if random.chance(3) { return }
                if random.chance(2) { return connection.reset() }
                if random.chance(10) { sleepMs(random.int(0...10)) }
                let isWhole = !random.chance(15)
                guard let request = isWhole ? try whole() : try connection.head(deadline) else { return }
                if random.chance(5) { return }
                let isHead = request.method == "HEAD"
                let isUpgrade = request.value("upgrade") == "websocket"
                let body = [UInt8](repeating: 0x62, count: random.chance(20) ? random.int(0...300_000) : 20)
                let length = "content-length: \(body.count)\r\n\r\n"
                switch random.int(0...19) {
                case 0...7:
                    try connection.send(Array("HTTP/1.1 200 OK\r\n\(length)".utf8) + (isHead ? [] : body))
                case 8, 9:
                    try connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    if isHead { continue }
                    try connection.send(random.chunked(body))
                    try connection.send("0\r\n\r\n")
                case 10:
                    try connection.send(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + (isHead ? [] : body))
                    return
                case 11:
                    try connection.send(
                        Array("HTTP/1.1 200 OK\r\n\(length)".utf8) + body.prefix(body.count / 2))
                    return
                case 12: try connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n")
                case 13: try connection.send(random.bytes(random.int(1...100)))
                case 14: try connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
                case 15: try connection.send(Array("HTTP/1.1 200 OK\r\n\(length)".utf8) + body + [0x78])
                case 16 where isUpgrade, 17 where isUpgrade, 18 where isUpgrade:
                    try connection.send(
                        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello")
                    if random.chance(30) { connection.halfClose() }
                    try connection.send(body)
                    _ = try connection.receiveToEnd(deadline)
                    return
                default:
                    let head = Array("HTTP/1.1 200 OK\r\nx-split: yes\r\n\(length)".utf8)
                    for piece in random.split(head + (isHead ? [] : body)) {
                        try connection.send(piece)
                        if random.chance(50) { sleepMs(1) }
                    }
                }
            }
        } catch {
            // Whatever ended it: the proxy closed, or the test's own bound.
        }
    }

    /// One client's life: a few requests, good and bad, read or left unread, and an end of some kind.
    private static func live(_ port: UInt16, _ random: inout SeededRandom) {
        guard let client = try? RawConnection(port: port, receiveBytes: random.chance(20) ? 4_096 : nil)
        else {
            return
        }
        do {
            for _ in 0..<random.int(0...4) {
                let bytes = request(&random)
                if random.chance(70) {
                    try client.send(bytes)
                } else {
                    for piece in random.split(bytes) {
                        try client.send(piece)
                        if random.chance(40) { sleepMs(1) }
                    }
                }
                if random.chance(60) { _ = try client.receive(.seconds(0.3)) }
                if random.chance(10) { _ = try client.receive(.seconds(0.02)) }
            }
            if random.chance(30) {
                client.halfClose()
                _ = try client.receiveToEnd(.seconds(0.5))
            }
        } catch {
            // A reset, a silence: the storm goes on.
        }
        if random.chance(30) { client.reset() } else { client.close() }
    }

    private static func request(_ random: inout SeededRandom) -> [UInt8] {
        let body = [UInt8](
            repeating: 0x61, count: random.chance(15) ? random.int(1...400_000) : random.int(1...50))
        let path = random.chance(10) ? "/direct" : "/x"
        var bytes: [UInt8]
        switch random.int(0...11) {
        case 0...3: bytes = Array("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
        case 4: bytes = Array("HEAD \(path) HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
        case 5: bytes = Array("GET \(path) HTTP/1.0\r\nHost: h\r\n\r\n".utf8)
        case 6, 7:
            bytes =
                Array("POST \(path) HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
        case 8, 9:
            bytes = Array("PUT \(path) HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
            bytes += random.chunked(body) + Array("0\r\n\r\n".utf8)
        case 10:
            bytes = Array(
                "GET \(path) HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".utf8)
            bytes += random.chance(50) ? body : []
        default: bytes = Array("GET \(path) HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab".utf8)
        }
        if random.chance(15) { bytes = random.mutated(bytes) }
        if random.chance(20) { bytes += Array("GET /y HTTP/1.1\r\nHost: h\r\n\r\n".utf8) }
        if random.chance(10) { bytes = Array(bytes.prefix(random.int(0...bytes.count))) }
        return bytes
    }

    /// Runs `lives` clients' lives on `threads` threads.
    private func storm(_ port: UInt16, _ seed: UInt64, threads: Int, lives: Int) throws {
        final class Running: Sendable { let left: Mutex<Int>; init(_ count: Int) { left = Mutex(count) } }
        let running = Running(threads)
        for thread in 0..<threads {
            try startThread {
                var random = SeededRandom(seed: seed &+ UInt64(thread) &* 104_729)
                for _ in 0..<lives { Self.live(port, &random) }
                running.left.withLock { $0 -= 1 }
            }
        }
        try waitUntil("the storm to end", .seconds(60)) { running.left.withLock { $0 == 0 } }
    }

    @Test(arguments: [1, 2])
    func nothingIsLeftAfterAStorm(_ workers: Int) throws {
        let random = SeededRandom()
        let upstreams = try (0..<2).map { index in
            try RawUpstream { Self.serve($0, $1, seed: random.seed &+ UInt64(index)) }
        }
        // The third endpoint refuses every connection.
        let proxy = try Workers(
            to: upstreams.map(\.port) + [try freeLoopbackPort()], workers: workers,
            spec: ["timeouts: {requestHeader: 1s, requestBodyIdle: 1s, streamIdle: 1s, idle: 1s}"])
        try storm(proxy.port, random.seed, threads: 8, lives: 60)
        try proxy.waitUntilQuiet()
        #expect(proxy.value(.requestsEdge) > 100)
        // It serves as if nothing had been.
        #expect(try RawConnection(port: proxy.port).get("/direct").text == "direct")
        try proxy.stop()
        #expect(proxy.open(.upstreamOpened, .upstreamClosed) == 0)
    }

    @Test func stormUnderReloads() throws {
        let random = SeededRandom()
        let upstreams = try (0..<2).map { index in
            try RawUpstream { Self.serve($0, $1, seed: random.seed &+ UInt64(index)) }
        }
        let spec = ["timeouts: {requestHeader: 1s, requestBodyIdle: 1s, streamIdle: 1s, idle: 1s}"]
        let proxy = try Workers(to: [upstreams[0].port], spec: spec)
        let ended = Gate()
        let seed = random.seed
        try startThread {
            try? storm(proxy.port, seed, threads: 6, lives: 40)
            ended.open()
        }
        var generation: UInt64 = 1
        try waitUntil("the storm to end", .seconds(60)) {
            generation += 1
            try proxy.apply(to: [upstreams[Int(generation % 2)].port], spec: spec, generation: generation)
            sleepMs(20)
            return ended.isOpen
        }
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    /// Every kind of early end of a client, many at once in each turn of the loop: events of closed
    /// connections and used-again slots must hit nobody.
    @Test func slotsUsedAgainWithinATurn() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try Workers(to: [upstream.port])
        for round in 0..<40 {
            let clients = try (0..<12).map { _ in try RawConnection(port: proxy.port) }
            for (index, client) in clients.enumerated() {
                try client.send("GET /\(index) HTTP/1.1\r\nHost: h\r\n\r\n")
                if (index + round) % 3 == 0 { client.reset() }
            }
            for (index, client) in clients.enumerated() where (index + round) % 3 != 0 {
                let answer = try client.response()
                #expect(answer.text.hasPrefix("GET /\(index) HTTP/1.1\r\n"), "another client's answer")
            }
        }
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }
}

extension SeededRandom {
    /// Cut at one to four random places.
    mutating func split(_ bytes: [UInt8]) -> [[UInt8]] {
        let cuts = (0..<int(1...4)).map { _ in int(0...bytes.count) }.sorted() + [bytes.count]
        var pieces: [[UInt8]] = []
        var from = 0
        for cut in cuts where cut > from {
            pieces.append(Array(bytes[from..<cut]))
            from = cut
        }
        return pieces
    }

    /// Chunks of random sizes, without the last one.
    mutating func chunked(_ body: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var at = 0
        while at < body.count {
            let size = min(int(1...max(1, body.count / 3)), body.count - at)
            out += Array("\(String(size, radix: 16))\r\n".utf8) + body[at..<at + size] + [0x0D, 0x0A]
            at += size
        }
        return out
    }
}
