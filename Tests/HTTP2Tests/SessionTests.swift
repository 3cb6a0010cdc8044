// The session by itself: bytes in, events out, the same however the bytes were cut; heads that must not pass
// and floods that must end.
import Base
import CLinux
import HTTP
import HTTP2
import TestSupport
import Testing

/// A server's session that is fed by a test; says in words what it found.
final class FedSession {
    let engine: H2Engine
    let session: H2Session
    var log: [String] = []

    init() throws {
        engine = try #require(H2Engine.make())
        let limits = H2Limits(
            headBytes: 8_192, headFields: 50, streams: 10, streamWindow: 65_535, connectionWindow: 65_535)
        session = try #require(engine.server(slot: 7, limits: limits))
    }

    func end() {
        var at = session.firstStream
        while let stream = at {
            at = session.next(after: stream)
            if stream.pointee.slot != H2Stream.noSlot { session.release(stream, code: 0) }
        }
        session.free()
        engine.free()
    }

    func feed(_ bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            var at = 0
            repeat {
                guard let used = session.feed(start + at, buffer.count - at) else {
                    log.append("broken")
                    return
                }
                at += used
                for index in 0..<engine.eventCount { note(engine.event(index)) }
            } while at < buffer.count || session.isPaused
        }
    }

    private func note(_ event: H2Event) {
        let id = event.stream?.pointee.id ?? 0
        switch event.kind {
        case .head: log.append("head \(id) \(describe(event))\(event.ended ? " end" : "")")
        case .trailers: log.append("trailers \(id)")
        case .data:
            // Pieces of one body come as they were cut.
            if let last = log.last, last.hasPrefix("data \(id) ") { log.removeLast() }
            bodies[id, default: []] += event.bytes.bytes
            log.append("data \(id) \(String(decoding: bodies[id]!, as: UTF8.self))")
        case .ended: log.append("end \(id)")
        case .closed:
            log.append("closed \(id) \(event.code)")
            event.stream.map { session.closed($0) }
        case .sentEnd: log.append("sentEnd \(id)")
        case .settings: log.append("settings")
        case .pingAck: log.append("pingAck")
        case .goaway: log.append("goaway \(event.code)")
        }
    }

    private var bodies: [Int32: [UInt8]] = [:]

    private func describe(_ event: H2Event) -> String {
        var head = RequestHead()
        var list = HeaderList()
        defer { list.deallocate() }
        var received = UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
        if let why = engine.readRequest(event, &head, &list, &received) { return "\(why.name)" }
        let fields = (0..<list.count).filter { !list.fields[$0].dropped }.map {
            "\(list.fields[$0].name.string)=\(list.fields[$0].value.string)"
        }
        let request = head.request
        let target = request.hasQuery ? "\(request.path.string)?\(request.query.string)" : request.path.string
        return "\(request.method.string) \(target) \(head.framing) \(fields.joined(separator: ","))"
    }

    /// What it would send.
    func sent() -> [UInt8] {
        var out: [UInt8] = []
        while let frames = session.gather(), !frames.isEmpty { out += frames.bytes }
        return out
    }
}

private func log(of pieces: [[UInt8]]) throws -> [String] {
    let fed = try FedSession()
    defer { fed.end() }
    for piece in pieces { fed.feed(piece) }
    return fed.log
}

private func log(_ frames: H2Frame...) throws -> [String] {
    try log(of: [H2Peer.preface + H2Frame.settings().bytes + frames.flatMap(\.bytes)])
}

@Suite struct SessionTests {
    private static let get = H2Peer.request("GET", "/a?b=c", [("cookie", "x=1"), ("cookie", "y=2")])

    @Test func eventsDoNotDependOnHowBytesAreCut() throws {
        let block = HPACK.block(H2Peer.request("POST", "/p", [("content-length", "5"), ("a", "b")]))
        let bytes =
            H2Peer.preface + H2Frame.settings([(4, 1_000)]).bytes
            + H2Frame.headers(1, HPACK.block(Self.get)).bytes
            + H2Frame.headers(3, Array(block.prefix(9)), end: false, endHeaders: false).bytes
            + H2Frame.continuation(3, Array(block[9..<20]), endHeaders: false).bytes
            + H2Frame.continuation(3, Array(block[20...])).bytes
            + H2Frame.data(3, "he").bytes + H2Frame.ping().bytes
            + H2Frame.data(3, "llo").bytes
            + H2Frame.headers(3, HPACK.block([("trailer-field", "v")])).bytes + H2Frame.reset(1).bytes
        let expected = [
            "settings", "head 1 GET /a?b=c none host=h2.test,cookie=x=1; y=2 end",
            "head 3 POST /p length host=h2.test,content-length=5,a=b", "data 3 hello", "trailers 3",
            "closed 1 8",
        ]
        #expect(try log(of: [bytes]) == expected)
        try assertSameAtEverySplit(bytes) { try log(of: $0) }
    }

    @Test(arguments: [
        [("Upper", "case")], [("connection", "close")], [("transfer-encoding", "chunked")],
        [("te", "gzip")], [("bad name", "v")], [("name", "bad\r\nvalue")], [("name", "nul\0")],
        [(":late", "v")], [(":path", "/again")], [("content-length", "1"), ("content-length", "2")],
        [("upgrade", "h2c")], [("keep-alive", "1")], [("proxy-connection", "x")],
    ])
    func fieldsThatMustNotPass(_ fields: [(String, String)]) throws {
        let found = try log(.headers(1, HPACK.block(H2Peer.request("GET", "/", fields))))
        #expect(!found.contains { $0.hasPrefix("head") }, "\(found)")
    }

    @Test(arguments: [
        [(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "a")],
        [(":method", "GET"), (":path", "/"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a")],
        [(":scheme", "http"), (":path", "/"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/")],
        [(":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "a:1")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), (":status", "200")],
        [("early", "v"), (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
    ])
    func headsThatMustNotPass(_ fields: [(String, String)]) throws {
        let found = try log(.headers(1, HPACK.block(fields)))
        #expect(!found.contains { $0.hasPrefix("head") }, "\(found)")
    }

    @Test func headsThatAreRefusedBySense() throws {
        func head(_ fields: [(String, String)]) throws -> String? {
            try log(.headers(1, HPACK.block(fields))).first { $0.hasPrefix("head") }
        }
        let rest = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
        #expect(try head(rest + [(":authority", "a"), ("host", "b")]) == "head 1 duplicate_host end")
        #expect(try head(rest + [(":authority", "a"), ("host", "A")]) == "head 1 GET / none host=a end")
        #expect(try head(rest + [("host", "b")]) == "head 1 GET / none host=b end")
        let star = [(":method", "GET"), (":scheme", "http"), (":path", "*"), (":authority", "a")]
        #expect(try head(star)?.hasPrefix("head 1 GET") != true)
        let other = [(":method", "GET"), (":scheme", "ftp"), (":path", "/"), (":authority", "a")]
        #expect(try head(other) == "head 1 bad_target end")
        #expect(try head([(":method", "CONNECT"), (":authority", "a")]) == "head 1 bad_target end")
        #expect(
            try head([(":method", "CONNECT"), (":authority", "a:80")]) == "head 1 CONNECT  none host=a:80 end"
        )
    }

    @Test func aHeadOverItsLimitIsNoHead() throws {
        let large = (0..<40).map { ("name-\($0)", String(repeating: "v", count: 300)) }
        let fields = H2Peer.request("GET", "/", large)
        #expect(try log(.headers(1, HPACK.block(fields))) == ["settings"])
        let many = H2Peer.request("GET", "/", (0..<60).map { ("n\($0)", "v") })
        #expect(try log(.headers(1, HPACK.block(many))) == ["settings"])
        // The connection goes on: the table of HPACK is still in step.
        let after = try log(
            .headers(1, HPACK.block(fields)), .headers(3, HPACK.block(H2Peer.request("GET", "/ok"))))
        #expect(after.last == "head 3 GET /ok none host=h2.test end")
    }

    /// One small frame of references to a large entry of the table: what it decodes to is bounded, and no
    /// event is lost by the pauses.
    @Test func referencesToALargeEntryAreReadPieceByPiece() throws {
        let fed = try FedSession()
        defer { fed.end() }
        let value = String(repeating: "v", count: 3_000)
        let stored = HPACK.literal("name", value, .incremental)
        fed.feed(H2Peer.preface + H2Frame.settings().bytes)
        let first = HPACK.block(H2Peer.request("GET", "/")) + stored
        fed.feed(H2Frame.headers(1, first).bytes)
        var bytes: [UInt8] = []
        for stream in stride(from: UInt32(3), to: 200, by: 2) {
            // Entry 62 is the first of the dynamic table.
            let block =
                HPACK.block(H2Peer.request("GET", "/\(stream)")) + HPACK.indexed(62) + HPACK.indexed(62)
            bytes += H2Frame.headers(stream, block).bytes
            bytes += H2Frame.reset(stream).bytes
        }
        fed.feed(bytes)
        let heads = fed.log.filter { $0.hasPrefix("head") }
        #expect(heads.count == 100)
        #expect(heads.allSatisfy { $0.contains("name=\(value)") })
    }

    @Test func oddThingsAreCountedByKind() throws {
        let fed = try FedSession()
        defer { fed.end() }
        fed.feed(H2Peer.preface + H2Frame.settings().bytes)
        #expect(!fed.session.hasGlitches)
        fed.feed((0..<30).flatMap { _ in H2Frame.ping().bytes + H2Frame.priority(9).bytes })
        fed.feed(H2Frame.settings().bytes)
        #expect(fed.session.hasGlitches)
        var counts: [String] = []
        fed.session.takeGlitches { counts.append("\($0) \($1)") }
        #expect(counts == ["settings 1", "ping 30", "priority 30"])
        #expect(!fed.session.hasGlitches)
        fed.session.takeGlitches { _, _ in Issue.record("counts stay") }
    }
}
