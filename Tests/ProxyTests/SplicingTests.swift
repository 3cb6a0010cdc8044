// Bulk inside the kernel: every byte arrives once and in order, whoever is slow, leaves early or ends half.
import Telemetry
import TestSupport
import Testing

@testable import Proxy

/// A stream of blocks that tells a byte lost, doubled or out of place: of no even size, each with its number.
private struct Blocks: Sendable {
    static let size = 700_001
    private let noise: [UInt8]

    init() {
        var random = SeededRandom(seed: 7)
        noise = (0..<Self.size).map { _ in UInt8(random.int(0...255)) }
    }

    func block(_ number: Int) -> [UInt8] {
        var bytes = noise
        for index in 0..<4 { bytes[index] = UInt8(number >> (8 * index) & 255) }
        return bytes
    }

    func send(_ count: Int, to connection: RawConnection) throws {
        for number in 0..<count { try connection.send(block(number)) }
    }

    /// How many blocks came whole and right before the first that did not.
    func receive(_ count: Int, from connection: RawConnection) throws -> Int {
        for number in 0..<count {
            let bytes = try connection.receive(exactly: Self.size)
            if bytes != block(number) { return number }
        }
        return count
    }
}

@Suite struct SplicingTests {
    private let blocks = Blocks()
    private let count = 30
    private var bytes: Int { count * Blocks.size }

    private func head(_ lines: String...) -> String { lines.joined(separator: "\r\n") + "\r\n\r\n" }

    /// Answers each request with the blocks, framed as `lines` say.
    private func server(_ lines: String..., keeps: Bool = true) throws -> RawUpstream {
        let answer = (["HTTP/1.1 200 OK"] + lines).joined(separator: "\r\n") + "\r\n\r\n"
        let (blocks, count) = (blocks, count)
        return try RawUpstream { connection, _ in
            while let request = try? connection.head() {
                guard request.method == "GET", (try? connection.send(answer)) != nil,
                    (try? blocks.send(count, to: connection)) != nil, keeps
                else { return }
            }
        }
    }

    private func get(_ workers: Workers, _ version: String = "1.1", receiveBytes: Int32? = nil) throws
        -> RawConnection
    {
        let client = try RawConnection(port: workers.port, receiveBytes: receiveBytes)
        try client.send(head("GET / HTTP/\(version)", "Host: a"))
        return client
    }

    @Test func downloadsOneAfterTheOther() throws {
        let upstream = try server("Content-Length: \(bytes)")
        let workers = try Workers(to: [upstream.port])
        let client = try RawConnection(port: workers.port)
        for _ in 0..<3 {
            try client.send(head("GET / HTTP/1.1", "Host: a"))
            #expect(try client.head()?.value("content-length") == "\(bytes)")
            #expect(try blocks.receive(count, from: client) == count)
        }
        #expect(upstream.connections == 1, "the connection was kept")
        #expect(workers.value(.splicedBytes) > bytes)
        #expect(workers.value(.upstreamReadBytes) >= 3 * bytes)
        try waitUntil("all to be counted") { workers.value(.downstreamWrittenBytes) >= 3 * bytes }
        client.close()
        try workers.waitUntilQuiet()
        try workers.stop()
    }

    @Test func aSlowClientHoldsTheUpstreamBack() throws {
        let upstream = try server("Content-Length: \(bytes)")
        let workers = try Workers(to: [upstream.port])
        let client = try get(workers, receiveBytes: 8_192)
        _ = try client.head()
        var most = 0
        for number in 0..<count {
            #expect(try client.receive(exactly: Blocks.size) == blocks.block(number))
            most = max(most, workers.value(.memoryBufferUsedBytes))
            sleepMs(10)
        }
        #expect(most < 2 << 20, "\(most) bytes kept")
        client.close()
        try workers.waitUntilQuiet()
        try workers.stop()
    }

    @Test func bodiesUpToTheEnd() throws {
        let upstream = try server(keeps: false)
        let workers = try Workers(to: [upstream.port])
        let client = try get(workers, "1.0")
        _ = try client.head()
        #expect(try blocks.receive(count, from: client) == count)
        #expect(try client.receive() == [], "the end is passed on")
        #expect(workers.value(.splicedBytes) > 0)
        try workers.waitUntilQuiet()
        try workers.stop()
    }

    @Test func uploads() throws {
        let (blocks, count) = (blocks, count)
        let upstream = try RawUpstream { connection, _ in
            for _ in 0..<2 {
                guard (try? connection.head()) != nil else { return }
                let right = (try? blocks.receive(count, from: connection)) ?? -1
                try? connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-right: \(right)\r\n\r\n")
            }
        }
        let workers = try Workers(to: [upstream.port])
        let client = try RawConnection(port: workers.port)
        for _ in 0..<2 {
            try client.send(head("POST / HTTP/1.1", "Host: a", "Content-Length: \(bytes)"))
            try blocks.send(count, to: client)
            #expect(try client.response().value("x-right") == "\(count)")
        }
        #expect(workers.value(.splicedBytes) > 0)
        client.close()
        try workers.waitUntilQuiet()
        try workers.stop()
    }

    @Test func whoLeavesEarly() throws {
        let upstream = try server("Content-Length: \(bytes)")
        let workers = try Workers(to: [upstream.port])
        for reset in [true, false] {
            let client = try get(workers)
            _ = try client.head()
            #expect(try blocks.receive(5, from: client) == 5)
            if reset { client.reset() } else { client.close() }
            try workers.waitUntilQuiet()
        }
        upstream.stop()
        let short = try RawUpstream { [blocks] connection, number in
            guard (try? connection.head()) != nil else { return }
            try? connection.send("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
            try? blocks.send(4, to: connection)
            if number == 0 { connection.reset() }
        }
        try workers.apply(to: [short.port], generation: 2)
        for _ in 0..<2 {
            let client = try get(workers)
            _ = try client.head()
            do {
                let got = try client.receiveToEnd()
                Issue.record("a whole response of \(got.count) bytes")
            } catch is ConnectionReset {}
        }
        try workers.waitUntilQuiet()
        try workers.stop()
    }

    @Test func tunnelsBothWaysAndHalfClosed() throws {
        let upstream = try RawUpstream { connection, _ in
            guard (try? connection.head()) != nil else { return }
            try? connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            // An echo: what comes goes back, and the end is passed on.
            while let bytes = try? connection.receive(atMost: 1 << 20), !bytes.isEmpty {
                guard (try? connection.send(bytes)) != nil else { return }
            }
        }
        let workers = try Workers(to: [upstream.port])
        let client = try RawConnection(port: workers.port)
        try client.send(
            head("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"))
        #expect(try client.head()?.status == 101)
        for number in 0..<count {
            try client.send(blocks.block(number))
            #expect(try client.receive(exactly: Blocks.size) == blocks.block(number))
        }
        // Small pieces go on as quickly as before.
        for _ in 0..<3 {
            try client.send("ping")
            #expect(try client.receive(exactly: 4) == Array("ping".utf8))
        }
        client.halfClose()
        #expect(try client.receiveToEnd() == [])
        #expect(workers.value(.splicedBytes) > 0)
        try workers.waitUntilQuiet()
        try workers.stop()
    }
}
