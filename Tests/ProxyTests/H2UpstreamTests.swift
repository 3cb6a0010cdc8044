// Whole workers whose upstream speaks HTTP/2: all pairs of versions, trailers, and what a server may do to
// streams and connections.
import Synchronization
import Telemetry
import TestSupport
import Testing

/// A scripted server of HTTP/2: `serve` has each connection to itself, after the preface.
final class H2Upstream: Sendable {
    private let upstream: RawUpstream
    private let heads = Mutex<[[H2Field]]>([])

    init(
        settings: [(UInt16, UInt32)] = [],
        _ serve: @escaping @Sendable (H2Peer, Int, H2Upstream.Record) throws -> Void
    ) throws {
        let record = Record()
        self.record = record
        upstream = try RawUpstream { connection, number in
            let peer = H2Peer(connection)
            do {
                try peer.welcome(settings)
                try serve(peer, number, record)
            } catch {
                record.failures.withLock { $0.append("\(error)") }
            }
        }
    }

    final class Record: Sendable {
        let heads = Mutex<[[H2Field]]>([])
        let bodies = Mutex<[[UInt8]]>([])
        let failures = Mutex<[String]>([])
    }

    let record: Record
    var port: UInt16 { upstream.port }
    var connections: Int { upstream.connections }

    /// Answers each request with what it said, once it is whole.
    static func echo(_ peer: H2Peer, _ number: Int, _ record: Record) throws {
        var bodies: [UInt32: [UInt8]] = [:]
        var fields: [UInt32: [H2Field]] = [:]
        while let frame = try peer.next() {
            switch frame.type {
            case H2Frame.Kind.settings where !frame.isAck: try peer.send(.settingsAck)
            case H2Frame.Kind.headers:
                let block = try peer.fields(frame)
                if fields[frame.stream] == nil {
                    fields[frame.stream] = block
                    record.heads.withLock { $0.append(block) }
                }
            case H2Frame.Kind.data:
                bodies[frame.stream, default: []] += frame.payload
                if !frame.payload.isEmpty {
                    let count = UInt32(frame.payload.count)
                    try peer.send(.windowUpdate(0, count))
                    if !frame.isEnd { try peer.send(.windowUpdate(frame.stream, count)) }
                }
            default: continue
            }
            if frame.isEnd, let head = fields[frame.stream] {
                let body = bodies[frame.stream] ?? []
                record.bodies.withLock { $0.append(body) }
                let path = head.first { $0.name == ":path" }?.value ?? ""
                try peer.send(
                    .headers(
                        frame.stream,
                        HPACK.block([
                            (":status", "200"), ("x-path", path), ("x-connection", "\(number)"),
                            ("set-cookie", "a=1"), ("set-cookie", "b=2"),
                        ]), end: body.isEmpty))
                var at = 0
                // The window of a stream is 256 KiB at first, and tests stay below it.
                while at < body.count {
                    let to = min(body.count, at + 16_000)
                    try peer.send(.data(frame.stream, Array(body[at..<to]), end: to == body.count))
                    at = to
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(15)))
struct H2UpstreamTests {
    @Test func anH1ClientIsServedOverH2() throws {
        let upstream = try H2Upstream(H2Upstream.echo)
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let client = try RawConnection(port: proxy.port)
        try client.send("GET /a?b HTTP/1.1\r\nHost: h\r\nKeep-Alive: 1\r\nCookie: x=1\r\n\r\n")
        let first = try client.response()
        #expect(first.status == 200)
        #expect(first.values("x-path") == ["/a?b"])
        #expect(first.values("set-cookie") == ["a=1", "b=2"])
        #expect(first.startLine == "HTTP/1.1 200 OK")
        try client.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
        #expect(try client.response().text == "hello")
        try client.send("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        try client.send("2\r\nde\r\n0\r\n\r\n")
        #expect(try client.response().text == "abcde")
        let head = try #require(upstream.record.heads.withLock { $0.first })
        let pseudo = head.prefix(4).map(\.description)
        #expect(pseudo == [":method: GET", ":scheme: http", ":authority: h", ":path: /a?b"])
        #expect(!head.contains { ["host", "connection", "keep-alive"].contains($0.name) })
        #expect(head.contains(H2Field("x-envoy-attempt-count", "1")))
        #expect(upstream.connections == 1)
        client.close()
        try proxy.waitUntilQuiet(pooledSessions: 1)
        try proxy.stop()
    }

    @Test(arguments: [0, 1, 200_000])
    func bodiesPassBetweenStreams(_ count: Int) throws {
        let upstream = try H2Upstream(H2Upstream.echo)
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        var random = SeededRandom(seed: 9)
        let body = random.bytes(count)
        let client = try H2Peer.client(port: proxy.port)
        for stream: UInt32 in [1, 3] {
            try client.ask(stream, H2Peer.request("POST", "/\(stream)"), end: false)
            try client.sendBody(stream, body)
            let answer = try client.response(stream)
            #expect(answer.status == 200)
            #expect(answer.value("x-path") == "/\(stream)")
            #expect(answer.body == body)
        }
        #expect(upstream.connections == 1)
        client.raw.close()
        try proxy.waitUntilQuiet(pooledSessions: 1)
        try proxy.stop()
    }

    @Test func trailersAndInterimHeadsPass() throws {
        let upstream = try H2Upstream { peer, _, record in
            let frames = try peer.read { $0.type == H2Frame.Kind.headers && $0.isEnd }
            guard let last = frames.last else { return }
            record.heads.withLock { $0.append((try? peer.fields(last)) ?? []) }
            let stream = last.stream
            try peer.send(
                .headers(stream, HPACK.block([(":status", "103"), ("link", "</a>")]), end: false),
                .headers(stream, HPACK.block([(":status", "200")]), end: false),
                .data(stream, "body"),
                .headers(stream, HPACK.block([("grpc-status", "5"), ("grpc-message", "gone")])))
            while try peer.next() != nil {}
        }
        let proxy = try Workers(to: [upstream.port], protocol: "GRPC")
        let client = try H2Peer.client(port: proxy.port)
        try client.ask(1, H2Peer.request("GET", "/", [("te", "trailers")]))
        let answer = try client.response(1)
        #expect(answer.interim == [103])
        #expect(answer.status == 200)
        #expect(answer.text == "body")
        #expect(answer.trailers == [H2Field("grpc-status", "5"), H2Field("grpc-message", "gone")])
        try proxy.stop()
    }

    @Test func anH1ClientGetsNoTrailers() throws {
        let upstream = try H2Upstream { peer, _, _ in
            let frames = try peer.read { $0.type == H2Frame.Kind.headers && $0.isEnd }
            guard let stream = frames.last?.stream else { return }
            try peer.send(
                .headers(stream, HPACK.block([(":status", "200")]), end: false), .data(stream, "body"),
                .headers(stream, HPACK.block([("x-trailer", "t")])))
            while try peer.next() != nil {}
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let client = try RawConnection(port: proxy.port)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        let answer = try client.response()
        #expect(answer.text == "body")
        #expect(answer.trailers.isEmpty)
        try proxy.stop()
    }

    @Test func aRefusedStreamGoesOutAgain() throws {
        let refusals = Atomic<Int>(0)
        let upstream = try H2Upstream { peer, number, record in
            while let frame = try peer.next() {
                guard frame.type == H2Frame.Kind.headers else { continue }
                _ = try peer.fields(frame)
                if refusals.wrappingAdd(1, ordering: .relaxed).newValue == 1 {
                    try peer.send(.reset(frame.stream, .refused))
                } else {
                    try peer.send(.headers(frame.stream, HPACK.block([(":status", "200")])))
                }
            }
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let client = try RawConnection(port: proxy.port)
        // Even what is not idempotent: nothing of it was looked at.
        try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
        #expect(try client.response().status == 200)
        #expect(refusals.load(ordering: .relaxed) == 2)
        try proxy.stop()
    }

    @Test func aResetIs503BeforeTheHeadAndAResetAfterIt() throws {
        let upstream = try H2Upstream { peer, _, _ in
            var count = 0
            while let frame = try peer.next() {
                guard frame.type == H2Frame.Kind.headers else { continue }
                _ = try peer.fields(frame)
                count += 1
                if count == 2 {
                    try peer.send(.headers(frame.stream, HPACK.block([(":status", "200")]), end: false))
                    try peer.send(.data(frame.stream, "par"))
                }
                try peer.send(.reset(frame.stream, .internalError))
            }
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let client = try H2Peer.client(port: proxy.port)
        try client.ask(1)
        let first = try client.response(1)
        #expect(first.status == 503)
        #expect(first.text.contains("remote reset"))
        try client.ask(3)
        let second = try client.response(3)
        #expect(second.status == 200 || second.status == 0)
        #expect(second.reset == .internalError)
        try proxy.stop()
    }

    /// A response that came whole is handed on whole, whatever becomes of the connection that it came by.
    @Test(arguments: [true, false])
    func whatCameWholeOutlivesItsConnection(_ saysGoodbye: Bool) throws {
        let body = [UInt8](repeating: 0x61, count: 200_000)
        let upstream = try H2Upstream { peer, number, record in
            if number > 0 {
                try H2Upstream.echo(peer, number, record)
                return
            }
            let frames = try peer.read { $0.type == H2Frame.Kind.headers }
            guard let stream = frames.last?.stream else { return }
            // Our windows hold once they are acknowledged.
            try peer.send(.settingsAck, .headers(stream, HPACK.block([(":status", "200")]), end: false))
            for at in stride(from: 0, to: body.count, by: 16_000) {
                let to = min(body.count, at + 16_000)
                try peer.send(.data(stream, Array(body[at..<to]), end: to == body.count))
            }
            if saysGoodbye { try peer.send(.goaway(last: stream)) }
            try peer.send(.ping())
            _ = try peer.read { $0.type == H2Frame.Kind.ping }
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let client = try H2Peer.client(port: proxy.port, settings: [(H2Setting.initialWindowSize, 1_000)])
        var got = 0
        func read(through isLast: (H2Frame) -> Bool) throws -> H2Frame? {
            while let frame = try client.next() {
                if frame.type == H2Frame.Kind.headers { _ = try client.fields(frame) }
                if frame.type == H2Frame.Kind.data, frame.stream == 1 { got += frame.payload.count }
                if isLast(frame) { return frame }
            }
            return nil
        }
        try client.ask(1)
        _ = try read { _ in got == 1_000 }
        // There is a next connection: the first is over.
        var stream: UInt32 = 1
        while upstream.connections < 2, stream < 1_000 {
            stream += 2
            try client.ask(stream)
            _ = try read { $0.stream == stream && $0.isEnd }
        }
        try client.send(.windowUpdate(1, 300_000), .windowUpdate(0, 300_000))
        let last = try read { $0.stream == 1 && ($0.isEnd || $0.type == H2Frame.Kind.reset) }
        #expect(got == body.count && last?.isEnd == true, "\(got) bytes, \(String(describing: last))")
        client.raw.close()
        try proxy.waitUntilQuiet(pooledSessions: 1)
        try proxy.stop()
    }

    /// Streams above what GOAWAY names were not looked at and move to a new connection; the others finish.
    @Test func goawayMovesStreamsToANewConnection() throws {
        let upstream = try H2Upstream { peer, number, record in
            var streams: [UInt32] = []
            while let frame = try peer.next() {
                guard frame.type == H2Frame.Kind.headers else { continue }
                _ = try peer.fields(frame)
                streams.append(frame.stream)
                if number > 0 {
                    try peer.send(.headers(frame.stream, HPACK.block([(":status", "200"), ("x-new", "1")])))
                } else if streams.count == 2 {
                    try peer.send(
                        .goaway(last: streams[0]),
                        .headers(streams[0], HPACK.block([(":status", "200"), ("x-old", "1")])))
                }
            }
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let clients = try (0..<2).map { _ in try RawConnection(port: proxy.port) }
        for client in clients { try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n") }
        let answers = try clients.map { try $0.response() }
        #expect(answers.map(\.status) == [200, 200])
        #expect(Set(answers.map { $0.value("x-old") == "1" }) == [true, false])
        #expect(upstream.connections == 2)
        try proxy.stop()
    }

    @Test func streamsShareConnectionsAsThePeerAllows() throws {
        let gate = Gate()
        let upstream = try H2Upstream(settings: [(H2Setting.maxConcurrentStreams, 3)]) { peer, _, record in
            var streams: [UInt32] = []
            while let frame = try peer.next() {
                guard frame.type == H2Frame.Kind.headers else { continue }
                record.heads.withLock { $0.append((try? peer.fields(frame)) ?? []) }
                streams.append(frame.stream)
                #expect(streams.count <= 3 || gate.isOpen)
                if streams.count < 3, !gate.isOpen { continue }
                try waitUntil("the gate") { gate.isOpen }
                for stream in streams { try peer.send(.headers(stream, HPACK.block([(":status", "200")]))) }
                streams = []
            }
        }
        let proxy = try Workers(to: [upstream.port], protocol: "HTTP2")
        let first = try RawConnection(port: proxy.port)
        try first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try waitUntil("the first request") { upstream.record.heads.withLock { $0.count } == 1 }
        let clients = try (0..<5).map { _ in try RawConnection(port: proxy.port) }
        for client in clients { try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
        try waitUntil("all requests") { upstream.record.heads.withLock { $0.count } >= 4 }
        gate.open()
        for client in [first] + clients { #expect(try client.response().status == 200) }
        #expect(upstream.connections <= 3)
        try proxy.stop()
    }

    @Test func aConnectionThatCannotBeMadeIs503ForEveryStream() throws {
        let port = try freeLoopbackPort()
        let proxy = try Workers(to: [port], protocol: "HTTP2")
        let clients = try (0..<3).map { _ in try H2Peer.client(port: proxy.port) }
        for client in clients { try client.ask(1) }
        for client in clients {
            let answer = try client.response(1)
            #expect(answer.status == 503)
            #expect(answer.text.contains("Connection refused"))
            client.raw.close()
        }
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }
}
