// Whole workers with clients of HTTP/2 that end their side of a tunnel and are gone at once: what they said
// before still reaches the upstream, whatever that does meanwhile, and nothing is kept for ever.
import Synchronization
import Telemetry
import TestSupport
import Testing

/// A tunnel's upstream that says `greeting`, reads nothing until the gate is open, and then all.
private final class LateReader: Sendable {
    let gate = Gate()
    private let record: Record
    private let upstream: RawUpstream

    private final class Record: Sendable {
        let heard = Mutex<[UInt8]?>(nil)
        let failures = Mutex<[String]>([])
    }

    var port: UInt16 { upstream.port }
    /// What came up to the client's end; nil: that did not come yet.
    var heard: [UInt8]? { record.heard.withLock { $0 } }
    var failures: [String] { record.failures.withLock { $0 } }

    /// `end`: ends its own side only when that gate opens.
    init(isH2: Bool = false, greeting: [UInt8] = [], end: Gate? = nil) throws {
        let (record, gate) = (Record(), gate)
        self.record = record
        upstream = try RawUpstream { connection, _ in
            do {
                if isH2 {
                    try Self.serveH2(connection, gate) { bytes in record.heard.withLock { $0 = bytes } }
                    return
                }
                _ = try connection.head()
                try connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                        + "Sec-WebSocket-Accept: x\r\n\r\n")
                try connection.send(greeting)
                try waitUntil("the gate") { gate.isOpen }
                let bytes = try connection.receiveToEnd()
                record.heard.withLock { $0 = bytes }
                if let end { try waitUntil("the other gate") { end.isOpen } }
            } catch {
                record.failures.withLock { $0.append("\(error)") }
            }
        }
    }

    private static func serveH2(
        _ connection: RawConnection, _ gate: Gate, _ hear: ([UInt8]) -> Void
    ) throws {
        let peer = H2Peer(connection)
        try peer.welcome([(H2Setting.enableConnectProtocol, 1)])
        guard let stream = try peer.read(until: { $0.type == H2Frame.Kind.headers }).last?.stream else {
            throw TestFailure("no tunnel was asked for")
        }
        try peer.send(.settingsAck, .headers(stream, HPACK.block([(":status", "200")]), end: false))
        try waitUntil("the gate") { gate.isOpen }
        var bytes: [UInt8] = []
        while let frame = try peer.next() {
            if frame.type == H2Frame.Kind.reset { throw TestFailure("reset after \(bytes.count) bytes") }
            guard frame.type == H2Frame.Kind.data else { continue }
            bytes += frame.payload
            if frame.isEnd { break }
            let count = UInt32(frame.payload.count)
            if count > 0 { try peer.send(.windowUpdate(0, count), .windowUpdate(stream, count)) }
        }
        hear(bytes)
        try peer.send(.data(stream, end: true))
        while try peer.next() != nil {}
    }
}

@Suite(.timeLimit(.minutes(15)))
struct LeftTunnels {
    private static func enter(_ proxy: Workers) throws -> H2Peer {
        let client = try H2Peer.client(port: proxy.port)
        let fields = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
            (":authority", "h2.test"), ("sec-websocket-version", "13"),
        ]
        try client.ask(1, fields, end: false)
        let head = try client.read { $0.type == H2Frame.Kind.headers }.last
        guard let head, try client.fields(head).first?.value == "200" else {
            throw TestFailure("no tunnel: \(client.seen)")
        }
        return client
    }

    /// Sends until the proxy has to keep some of it, since the upstream takes nothing; returns what was sent.
    private static func fill(_ client: H2Peer, _ proxy: Workers) throws -> [UInt8] {
        try client.fill(1) { proxy.value(.memoryBufferUsedBytes) > 100_000 }
    }

    enum Farewell: CaseIterable { case close, reset }

    @Test(arguments: [false, true], Farewell.allCases)
    func lastWordsArrive(_ isH2: Bool, _ farewell: Farewell) throws {
        let upstream = try LateReader(isH2: isH2)
        let proxy = try Workers(to: [upstream.port], protocol: isH2 ? "HTTP2" : "HTTP")
        let client = try Self.enter(proxy)
        var sent = try Self.fill(client, proxy)
        if farewell == .reset {
            // What lies in our own socket goes with a reset; so nothing does but the last frame.
            try client.send(.ping())
            try client.read { $0.type == H2Frame.Kind.ping && $0.isAck }
        }
        try client.send(.data(1, "last words", end: true))
        sent += Array("last words".utf8)
        if farewell == .reset { client.raw.reset() } else { client.raw.halfClose() }
        // Time for a proxy that would lose the bytes with the connection; one that does not needs none.
        sleepMs(100)
        upstream.gate.open()
        try waitUntil("the client's end to arrive: \(upstream.failures)") {
            upstream.heard != nil || !upstream.failures.isEmpty
        }
        let isWhole = upstream.heard == sent
        #expect(isWhole, "\(upstream.heard?.count ?? 0) of \(sent.count) bytes")
        client.raw.close()
        try proxy.waitUntilQuiet(pooledSessions: isH2 ? 1 : 0)
        try proxy.stop()
        #expect(upstream.failures == [])
    }

    /// An upstream that says what nobody takes any more, before it reads.
    @Test func anUpstreamThatTalksHearsThem() throws {
        let upstream = try LateReader(greeting: [UInt8](repeating: 0x61, count: 12 << 20))
        let proxy = try Workers(to: [upstream.port])
        let client = try Self.enter(proxy)
        try client.send(.data(1, "last words", end: true))
        client.raw.halfClose()
        upstream.gate.open()
        try waitUntil("the client's end to arrive: \(upstream.failures)") {
            upstream.heard != nil || !upstream.failures.isEmpty
        }
        #expect(upstream.heard == Array("last words".utf8), "\(upstream.failures)")
        client.raw.close()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    /// An upstream that hears the end and does not end has a bound, and so has one that reads nothing when
    /// the proxy is to end.
    @Test func nothingIsKeptForEver() throws {
        let (never, later) = (Gate(), Gate())
        let endless = try LateReader(end: never)
        endless.gate.open()
        let proxy = try Workers(to: [endless.port], spec: ["timeouts: {requestBodyIdle: 300ms}"])
        let client = try Self.enter(proxy)
        try client.send(.data(1, "last words", end: true))
        client.raw.halfClose()
        try proxy.waitUntilQuiet()
        #expect(endless.heard == Array("last words".utf8), "\(endless.failures)")
        never.open()
        let stuck = try LateReader(end: later)
        let draining = try Workers(to: [stuck.port])
        let other = try Self.enter(draining)
        _ = try Self.fill(other, draining)
        try other.send(.data(1, end: true))
        other.raw.halfClose()
        try draining.stop()
        #expect(stuck.heard == nil)
        stuck.gate.open()
        later.open()
        client.raw.close()
        other.raw.close()
        try proxy.stop()
    }
}
