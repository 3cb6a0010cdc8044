// WebSockets as what they are to the proxy, bytes both ways, in all four pairs of versions: either side may
// end first and is still told what the other says; a drain lets them go on, with a bound.
import Glibc
import Synchronization
import TestSupport
import Testing

/// One end of a tunnel of HTTP/1 or, as stream 1, of HTTP/2; byte for byte, without WebSocket's frames.
private final class TunnelEnd {
    private let raw: RawConnection
    private let h2: H2Peer?
    private var came: [UInt8] = []
    private var hasEnded = false

    /// A client at the edge; `lane`: the value of a header field.
    init(port: UInt16, path: String = "/", isH2: Bool, lane: String = "none") throws {
        if isH2 {
            let peer = try H2Peer.client(port: port)
            (raw, h2) = (peer.raw, peer)
            let fields = [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
                (":authority", "h2.test"), ("sec-websocket-version", "13"), ("x-feat-name", lane),
            ]
            try peer.ask(1, fields, end: false)
            let head = try peer.read { $0.type == H2Frame.Kind.headers }.last
            let status = try head.map(peer.fields)?.first?.value
            guard status == "200" else { throw TestFailure("no tunnel: \(status ?? "closed")") }
        } else {
            (raw, h2) = (try RawConnection(port: port), nil)
            try raw.send(
                "GET \(path) HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                    + "X-Feat-Name: \(lane)\r\n\r\n")
            let head = try raw.response()
            guard head.status == 101 else { throw TestFailure("no tunnel: \(head)") }
        }
    }

    /// A server's end, whose head it answers.
    init(serving connection: RawConnection, isH2: Bool) throws {
        raw = connection
        h2 = isH2 ? H2Peer(connection) : nil
        if let h2 {
            try h2.welcome([(H2Setting.enableConnectProtocol, 1), (H2Setting.maxConcurrentStreams, 1)])
            try h2.read { $0.type == H2Frame.Kind.headers }
            try h2.send(.settingsAck, .headers(1, HPACK.block([(":status", "200")]), end: false))
        } else {
            _ = try connection.head()
            try connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Accept: x\r\n\r\n")
        }
    }

    func send(_ text: String) throws {
        if let h2 { try h2.send(.data(1, text)) } else { try raw.send(text) }
    }

    /// Nothing more will be sent from here.
    func end() throws {
        if let h2 { try h2.send(.data(1, "", end: true)) } else { raw.halfClose() }
    }

    /// False: the other side has ended.
    private func fill() throws -> Bool {
        if hasEnded { return false }
        guard let h2 else {
            let bytes = try raw.receive()
            came += bytes
            hasEnded = bytes.isEmpty
            return !hasEnded
        }
        guard let frame = try h2.next() else { throw TestFailure("cut: \(h2.seen.suffix(3))") }
        if frame.type == H2Frame.Kind.reset { throw TestFailure("reset: \(frame)") }
        if frame.type == H2Frame.Kind.data {
            came += frame.payload
            hasEnded = frame.isEnd
        }
        return true
    }

    func receive(_ count: Int) throws -> String {
        while came.count < count {
            guard try fill() else { throw TestFailure("ended after \(printable(came))") }
        }
        defer { came.removeFirst(count) }
        return String(decoding: came.prefix(count), as: UTF8.self)
    }

    /// All up to the other side's end, which is in order.
    func receiveToEnd() throws -> String {
        while try fill() {}
        return String(decoding: came, as: UTF8.self)
    }

    func close() { raw.close() }

    /// Waits until nothing can come any more, however that was brought about.
    func waitUntilCut() throws {
        if let h2 {
            while try h2.next() != nil {}
        } else {
            do { _ = try raw.receiveToEnd() } catch is ConnectionReset {}
        }
    }
}

/// An edge before two upstreams of tunnels, `/h1` and `/h2`.
private final class TunnelSite {
    let proxy: HttpProxy
    private let upstreams: [RawUpstream]
    private let said: Said

    private final class Said: Sendable {
        let texts = Mutex<[String]>([])
    }

    /// What upstreams that end first read then, up to their clients' ends.
    var heard: [String] { said.texts.withLock { $0 } }

    /// The upstreams echo until their client ends, say `bye` and end. `endsFirst`: they say `hi` and end at
    /// once.
    init(endsFirst isFirst: Bool = false, arguments: [String] = []) throws {
        let said = Said()
        self.said = said
        upstreams = try [false, true].map { isH2 in
            try RawUpstream { connection, _ in
                guard let end = try? TunnelEnd(serving: connection, isH2: isH2) else { return }
                if isFirst {
                    try? end.send("hi")
                    try? end.end()
                    let text = (try? end.receiveToEnd()) ?? "cut"
                    said.texts.withLock { $0.append(text) }
                } else {
                    while let text = try? end.receive(3) { try? end.send(text) }
                    try? end.send("bye")
                    try? end.end()
                }
                try? end.waitUntilCut()
            }
        }
        proxy = try HttpProxy(
            H2Site.documents([("/h1", "HTTP", upstreams[0].port), ("/h2", "HTTP2", upstreams[1].port)]),
            arguments: arguments)
    }

    /// A client of each version at each upstream.
    func clients() throws -> [TunnelEnd] {
        try [false, true].flatMap { isH2 in
            try ["/h1", "/h2"].map { try TunnelEnd(port: proxy.port, path: $0, isH2: isH2) }
        }
    }
}

@Suite(.timeLimit(.minutes(15)))
struct Tunnels {
    @Test func theClientEndsFirst() throws {
        let site = try TunnelSite()
        for client in try site.clients() {
            try client.send("abc")
            #expect(try client.receive(3) == "abc")
            try client.send("xyz")
            try client.end()
            #expect(try client.receiveToEnd() == "xyzbye")
        }
        try site.proxy.expectMetric(0, "fairlead_tunnels_active")
    }

    @Test func theUpstreamEndsFirst() throws {
        let site = try TunnelSite(endsFirst: true)
        for (index, client) in try site.clients().enumerated() {
            #expect(try client.receiveToEnd() == "hi")
            try client.send("late \(index)")
            try client.end()
            client.close()
        }
        try waitUntil("what was said late") { site.heard.count == 4 }
        #expect(site.heard.sorted() == (0..<4).map { "late \($0)" })
        try site.proxy.expectMetric(0, "fairlead_tunnels_active")
    }

    /// A tunnel stays in the lane in which it began, also when there is no such lane any more.
    @Test func theLaneIsForLife() throws {
        func upstream(_ name: String) throws -> RawUpstream {
            try RawUpstream { connection, _ in
                guard let end = try? TunnelEnd(serving: connection, isH2: false) else { return }
                try? end.send(name)
                while let text = try? end.receive(3) { try? end.send(text) }
            }
        }
        let (stable, feature) = (try upstream("stable."), try upstream("feature"))
        let members = "members: [{service: app.test, endpoints: ['127.0.0.1:\(feature.port)']}]"
        let base = Documents.join([Documents.policy(), edgeDocuments(to: [stable.port])])
        let proxy = try HttpProxy(Documents.join([base, Documents.lane("foo", members)]))
        func enter(isH2: Bool) throws -> (end: TunnelEnd, upstream: String) {
            let end = try TunnelEnd(port: proxy.port, isH2: isH2, lane: "foo")
            return (end, try end.receive(7))
        }
        let inside = try [false, true].map { try enter(isH2: $0) }
        #expect(inside.map(\.upstream) == ["feature", "feature"])
        try proxy.folder.replace("conf/edge.yaml", base)
        try waitUntil("the lane to be gone") { try enter(isH2: false).upstream == "stable." }
        for (end, _) in inside {
            try end.send("abc")
            #expect(try end.receive(3) == "abc")
        }
    }

    /// A drain waits for tunnels, which go on meanwhile; when the last is over the process ends.
    @Test func aDrainWaits() throws {
        let site = try TunnelSite(arguments: ["--drain-seconds", "600"])
        let clients = try site.clients()
        site.proxy.process.signal(SIGTERM)
        try waitUntil("new connections to be refused") { (try? site.proxy.connect()) == nil }
        for client in clients {
            try client.send("abc")
            #expect(try client.receive(3) == "abc")
            try client.end()
            #expect(try client.receiveToEnd() == "bye")
            client.close()
        }
        #expect(try site.proxy.process.waitForExit() == 0)
    }

    /// But not longer than it is told to.
    @Test func aDrainHasABound() throws {
        let site = try TunnelSite(arguments: ["--drain-seconds", "1"])
        let clients = try site.clients()
        site.proxy.process.signal(SIGTERM)
        #expect(try site.proxy.process.waitForExit() == 0)
        for client in clients { try client.waitUntilCut() }
    }
}
