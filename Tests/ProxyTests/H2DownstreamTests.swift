// Whole workers with clients of HTTP/2: what a stream does is what a connection of HTTP/1 does.
import Telemetry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct H2DownstreamTests {
    @Test func aRequestReachesAnH1Upstream() throws {
        let upstream = try EchoUpstream("app")
        let proxy = try Workers(to: [upstream.port])
        let client = try H2Peer.client(port: proxy.port)
        let fields = [("cookie", "x=1"), ("cookie", "y=2"), ("te", "trailers")]
        try client.ask(1, H2Peer.request("GET", "/a?b", fields))
        let answer = try client.response(1)
        #expect(answer.status == 200)
        #expect(answer.value("x-upstream") == "app")
        #expect(answer.value("server") == "istio-envoy")
        #expect(answer.value("connection") == nil)
        let request = try #require(upstream.requests.first)
        #expect(request.startLine == "GET /a?b HTTP/1.1")
        #expect(request.values("host") == ["h2.test"])
        #expect(request.values("cookie") == ["x=1; y=2"])
        #expect(request.value("transfer-encoding") == nil)
        client.raw.close()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    @Test func thePrefaceIsFoundHoweverItIsCut() throws {
        let proxy = try Workers(to: [])
        let request = H2Frame.headers(1, HPACK.block(H2Peer.request("GET", "/direct"))).bytes
        let bytes = H2Peer.preface + H2Frame.settings().bytes + request
        for cut in 0...(H2Peer.preface.count + 1) {
            let client = try RawConnection(port: proxy.port)
            try client.send(Array(bytes[..<cut]))
            if cut % 3 == 0 { sleepMs(1) }
            try client.send(Array(bytes[cut...]))
            let answer = try client.receive(exactly: 9)
            #expect(answer[3] == H2Frame.Kind.settings, "cut at \(cut)")
        }
        let other = try RawConnection(port: proxy.port)
        try other.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        #expect(try other.response().status == 505)
        try proxy.stop()
    }

    @Test(arguments: [0, 1, 70_000, 700_000])
    func bodiesPassBothWays(_ count: Int) throws {
        let upstream = try EchoUpstream("app") { EchoUpstream.response(200, [], $0.body) }
        let proxy = try Workers(to: [upstream.port])
        var random = SeededRandom(seed: 7)
        let body = random.bytes(count)
        for hasLength in [true, false] {
            let client = try H2Peer.client(port: proxy.port)
            let length = hasLength ? [("content-length", "\(count)")] : []
            try client.ask(1, H2Peer.request("POST", "/", length), end: false)
            try client.sendBody(1, body)
            let answer = try client.response(1)
            #expect(answer.status == 200)
            #expect(answer.body == body)
            client.raw.close()
        }
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    @Test func manyStreamsAtOnce() throws {
        let upstream = try EchoUpstream("app")
        let proxy = try Workers(to: [upstream.port])
        let client = try H2Peer.client(port: proxy.port)
        for index in 0..<100 { try client.ask(UInt32(2 * index + 1), H2Peer.request("GET", "/\(index)")) }
        var ended = 0
        while ended < 100, let frame = try client.next() {
            #expect(frame.type != H2Frame.Kind.reset)
            if frame.isEnd { ended += 1 }
        }
        #expect(Set(upstream.requests.map(\.target)) == Set((0..<100).map { "/\($0)" }))
        client.raw.close()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    @Test func whatAClientLeavesIsCancelled() throws {
        let upstream = try ScriptedUpstream(.readHead, .readToEnd)
        let proxy = try Workers(to: [upstream.port])
        let client = try H2Peer.client(port: proxy.port)
        try client.ask(1)
        try waitUntil("the request to arrive") { !upstream.received().isEmpty }
        try client.send(.reset(1))
        try waitUntil("the request to end") { proxy.value(.requestsActive) == 0 }
        // The connection serves on.
        try client.ask(3, H2Peer.request("GET", "/direct"))
        #expect(try client.response(3).text == "direct")
        client.raw.close()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    @Test func aDrainEndsInTwoSteps() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readRequest, .waitFor(gate), .send(EchoUpstream.response(200, [], Array("late".utf8))))
        let proxy = try Workers(to: [upstream.port])
        let client = try H2Peer.client(port: proxy.port, settings: [(H2Setting.headerTableSize, 0)])
        try client.ask(1)
        try waitUntil("the request to arrive") { !upstream.received().isEmpty }
        proxy.fleet.drain(milliseconds: 10_000)
        let before = try client.read { $0.type == H2Frame.Kind.goaway }
        let notice = try #require(before.last)
        let frames = try client.read { $0.type == H2Frame.Kind.ping }
        #expect(notice.payload.prefix(8) == [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
        // What was sent before the notice was read is served.
        try client.ask(3, H2Peer.request("GET", "/direct"))
        try client.send(H2Frame(type: H2Frame.Kind.ping, flags: H2Frame.Flag.ack, frames.last?.payload ?? []))
        let second = try client.read { $0.type == H2Frame.Kind.goaway }
        #expect(second.last?.payload.prefix(8) == [0, 0, 0, 3, 0, 0, 0, 0])
        gate.open()
        let late = try client.response(1)
        #expect(late.text == "late")
        #expect(try client.read { _ in false }.isEmpty)
        try waitUntil("the workers to end") { proxy.fleet.isFinished }
        proxy.fleet.join()
    }

    /// A client that takes a response and opens no window for it is cut off, and what was held is free.
    @Test func aWindowThatStaysShutEndsTheStream() throws {
        let upstream = try EchoUpstream("app") { _ in
            EchoUpstream.response(200, [], [UInt8](repeating: 0x62, count: 300_000))
        }
        let proxy = try Workers(to: [upstream.port], spec: ["timeouts: {requestBodyIdle: 300ms}"])
        let client = try H2Peer.client(port: proxy.port, settings: [(H2Setting.initialWindowSize, 0)])
        try client.ask(1)
        let frames = try client.read { $0.type == H2Frame.Kind.reset }
        #expect(frames.last?.errorCode == .internalError)
        try waitUntil("the glitch to be counted") { proxy.value(.glitchZeroWindow) == 1 }
        try waitUntil("the request to end") { proxy.value(.requestsActive) == 0 }
        client.raw.close()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }

    @Test func floodsEndWithCalm() throws {
        let proxy = try Workers(to: [])
        let floods: [(Counter, [H2Frame])] = [
            (.cutPing, (0..<3_000).map { _ in .ping() }),
            (.cutSettings, (0..<3_000).map { _ in .settings() }),
            (
                .cutReset,
                (0..<1_500).flatMap { index -> [H2Frame] in
                    let id = UInt32(2 * index + 1)
                    return [.headers(id, HPACK.block(H2Peer.request()), end: false), .reset(id)]
                }
            ),
            (
                .cutContinuation,
                [.headers(1, HPACK.block(H2Peer.request()), endHeaders: false)]
                    + (0..<200).map { _ in .continuation(1, [], endHeaders: false) }
            ),
        ]
        for (cut, frames) in floods {
            let client = try H2Peer.client(port: proxy.port)
            try? client.send(frames)
            let last = try client.read { $0.type == H2Frame.Kind.goaway }.last
            #expect(last?.errorCode == .calm, "\(cut)")
            #expect(proxy.value(cut) == 1, "\(cut)")
        }
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }
}

extension H2Peer {
    /// Sends a body as the windows allow, END_STREAM behind it.
    func sendBody(_ stream: UInt32, _ body: [UInt8]) throws {
        var sent = 0
        var window = 262_144
        while sent < body.count {
            while window < 16_000 {
                guard let frame = try next() else { throw TestFailure("closed after \(sent) bytes") }
                if frame.type == H2Frame.Kind.windowUpdate, frame.stream == stream {
                    window += frame.payload.reduce(0) { $0 << 8 | Int($1) }
                }
            }
            let piece = Array(body[sent..<min(body.count, sent + 16_000)])
            try send(.data(stream, piece))
            sent += piece.count
            window -= piece.count
        }
        try send(.data(stream, end: true))
    }
}
