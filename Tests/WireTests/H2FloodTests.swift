// HTTP/2 peers that cost more than they should, by the names of their attacks: each is cut with
// ENHANCE_YOUR_CALM and counted by name, others are served meanwhile, and nothing is left of it.
import TestSupport
import Testing

/// Frames that come over and over, and how they are counted.
struct H2Attack: Sendable, CustomTestStringConvertible {
    let name: String
    /// `name` of `fairlead_glitches_total`.
    let metric: String
    var settings: [(UInt16, UInt32)] = []
    /// Before the flood.
    var first: @Sendable (H2Peer) throws -> Void = { _ in }
    /// One of many batches, by number.
    let batch: @Sendable (Int) -> [H2Frame]

    var testDescription: String { name }
}

private typealias Kind = H2Frame.Kind

private let plain = HPACK.block(H2Peer.request())
private let upload = HPACK.block(H2Peer.request("POST"))

private func streams(_ batch: Int, each: (UInt32) -> [H2Frame]) -> [H2Frame] {
    (0..<50).flatMap { each(UInt32(batch * 100 + $0 * 2 + 1)) }
}

private func frames(_ count: Int, _ frame: H2Frame) -> [H2Frame] {
    [H2Frame](repeating: frame, count: count)
}

private let attacks: [H2Attack] = [
    H2Attack(name: "rapid reset (CVE-2023-44487)", metric: "reset") { batch in
        streams(batch) { [.headers($0, plain), .reset($0)] }
    },
    H2Attack(name: "rapid reset inside a body", metric: "reset") { batch in
        streams(batch) { [.headers($0, upload, end: false), .data($0, "x"), .reset($0)] }
    },
    H2Attack(name: "MadeYouReset by a window overflow (CVE-2025-8671)", metric: "made_reset") { batch in
        streams(batch) {
            [
                .headers($0, upload, end: false), .windowUpdate($0, 0x7FFF_FFFF),
                .windowUpdate($0, 0x7FFF_FFFF),
            ]
        }
    },
    H2Attack(name: "MadeYouReset by a length that does not fit", metric: "made_reset") { batch in
        let head = HPACK.block(H2Peer.request("POST", "/", [("content-length", "1")]))
        return streams(batch) { [.headers($0, head, end: false), .data($0, "xx", end: true)] }
    },
    H2Attack(name: "MadeYouReset by second HEADERS", metric: "made_reset") { batch in
        streams(batch) {
            [.headers($0, upload, end: false), .headers($0, HPACK.literal("x", "1"), end: false)]
        }
    },
    H2Attack(name: "malformed fields", metric: "malformed") { batch in
        let head = HPACK.block(H2Peer.request("GET", "/", [("x", "a\nb")]))
        return streams(batch) { [.headers($0, head)] }
    },
    H2Attack(name: "SETTINGS (CVE-2019-9515)", metric: "settings") { _ in
        frames(100, .settings([(4, 65_535)]))
    },
    H2Attack(name: "empty SETTINGS", metric: "settings") { _ in frames(100, .settings()) },
    H2Attack(name: "PING (CVE-2019-9512)", metric: "ping") { _ in frames(100, .ping()) },
    H2Attack(
        name: "empty DATA (CVE-2019-9518)", metric: "empty_data",
        first: { try $0.send(.headers(1, upload, end: false)) },
        batch: { _ in frames(100, .data(1)) }),
    H2Attack(
        name: "DATA of padding alone", metric: "empty_data",
        first: { try $0.send(.headers(1, upload, end: false)) },
        batch: { _ in frames(20, .data(1, [], pad: 10)) }),
    H2Attack(name: "PRIORITY (CVE-2019-9513)", metric: "priority") { batch in
        (0..<100).map { .priority(1, dependsOn: UInt32(2 * $0 + 3), exclusive: batch % 2 == 0) }
    },
    H2Attack(
        name: "WINDOW_UPDATE of one byte", metric: "window_update",
        first: { try $0.send(.headers(1, upload, end: false)) },
        batch: { _ in frames(50, .windowUpdate(1, 1)) + frames(50, .windowUpdate(0, 1)) }),
    H2Attack(name: "unknown frames", metric: "unknown_frame") { _ in
        frames(100, H2Frame(type: 0x42, [1, 2, 3]))
    },
]

@Suite(.timeLimit(.minutes(15)))
struct H2Flood {
    @Test(arguments: attacks)
    func isCut(_ attack: H2Attack) throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let other = try H2Peer.client(port: proxy.port)
        #expect(try ask(other, 1).status == 200)
        let peer = try H2Peer.client(port: proxy.port, settings: attack.settings)
        do {
            try attack.first(peer)
            for batch in 0..<400 {
                try peer.send(attack.batch(batch))
            }
        } catch is ConnectionReset {}
        // Who does not read what he provokes is not read from either: so the flood goes on while we read.
        _ = try? peer.read { $0.type == Kind.goaway }
        if let last = peer.seen.last, last.type == Kind.goaway { #expect(last.errorCode == .calm) }
        do {
            try proxy.expectMetric(1, "fairlead_connections_cut_total")
        } catch {
            let page = try proxy.admin("GET", "/metrics").text.split(separator: "\n")
            Issue.record(
                "not cut: \(page.filter { $0.hasPrefix("fairlead_glitches") && !$0.hasSuffix(" 0") })")
            return
        }
        // A stream that is refused for what is malformed counts as both.
        let names = attack.metric == "malformed" ? ["malformed", "made_reset"] : [attack.metric]
        #expect(try names.contains { try proxy.metric("fairlead_connections_cut_total", "\"\($0)\"") == 1 })
        let glitches = try proxy.metric("fairlead_glitches_total", "name=\"\(attack.metric)\"")
        // (Resets that have not left yet count as open streams: a hundred at once are enough.)
        #expect(glitches >= 1 && glitches < 400 * 50 / 2, "a flood was taken to its end")
        #expect(try ask(other, 3).status == 200, "others are served")
        try close(peer, other, proxy)
    }

    private func ask(_ peer: H2Peer, _ stream: UInt32) throws -> H2Peer.Response {
        try peer.ask(stream)
        return try peer.response(stream)
    }

    private func close(_ peers: H2Peer..., proxy: HttpProxy) throws {
        for peer in peers { peer.raw.close() }
        try proxy.waitUntilNothingIsLeft()
    }

    private func close(_ peer: H2Peer, _ other: H2Peer, _ proxy: HttpProxy) throws {
        try close(peer, other, proxy: proxy)
    }

    /// Errors that end the connection leave nothing to repeat.
    @Test(arguments: [
        ("MadeYouReset by an increment of 0", [H2Frame.headers(1, upload, end: false), .windowUpdate(1, 0)]),
        ("MadeYouReset by DATA after the end", [.headers(1, plain), .data(1, "x", end: true)]),
        ("MadeYouReset by PRIORITY of a wrong length", [H2Frame(type: Kind.priority, stream: 1, [0])]),
        ("streams beyond the limit", (0..<150).map { .headers(UInt32(2 * $0 + 1), plain) }),
    ])
    func isCutAtOnce(_ name: String, _ frames: [H2Frame]) throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let peer = try H2Peer.client(port: proxy.port, settings: [(4, 0)])
        try peer.send(frames)
        let last = try peer.read { $0.type == Kind.goaway }.last
        #expect(last?.errorCode != H2Code.none && last?.type == Kind.goaway, "\(peer.seen)")
        try close(peer, proxy: proxy)
    }

    /// What honest clients do stays within the budget.
    @Test func honestClientsAreServed() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let peer = try H2Peer.client(port: proxy.port)
        // A gRPC client that cancels calls, measures with PING how fast data flows, and opens windows.
        for index in 0..<300 as Range<UInt32> {
            try peer.ask(1 + 4 * index)
            try peer.send(.ping(), .windowUpdate(0, 1_000))
            #expect(try peer.response(1 + 4 * index).status == 200)
            if index % 3 == 0 { try peer.send(.headers(3 + 4 * index, plain), .reset(3 + 4 * index)) }
        }
        try proxy.expectMetric(0, "fairlead_connections_cut_total")
        try close(peer, proxy: proxy)
    }

    // MARK: heads

    /// A header block without end never becomes a request and never grows.
    @Test(arguments: [0, 1, 16_000])
    func continuationFlood(_ bytes: Int) throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestHeader: 60s}"])
        let before = try proxy.residentKiB()
        let peer = try H2Peer.client(port: proxy.port)
        let field = bytes > 1 ? HPACK.literal("x", String(repeating: "v", count: bytes)) : []
        let piece = bytes == 1 ? HPACK.literal("x", "") : field
        do {
            try peer.send(.headers(1, plain, endHeaders: false))
            for _ in 0..<2_000 { try peer.send(.continuation(1, piece, endHeaders: false)) }
        } catch is ConnectionReset {}
        _ = try? peer.read { $0.type == Kind.goaway }
        #expect(upstream.requests.isEmpty)
        try proxy.expectMetric(1, "fairlead_connections_cut_total")
        #expect(try proxy.residentKiB() - before < 8_192)
        try close(peer, proxy: proxy)
    }

    /// Small on the wire, large when decoded: one entry of the table, said thousands of times.
    @Test func bombOfIndexedFields() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let before = try proxy.residentKiB()
        let other = try H2Peer.client(port: proxy.port)
        #expect(try ask(other, 1).status == 200)
        let peer = try H2Peer.client(port: proxy.port)
        let entry = HPACK.literal("x-bomb", String(repeating: "v", count: 4_000), .incremental)
        let bomb = plain + [UInt8](repeating: HPACK.indexed(62)[0], count: 14_000)
        var stream: UInt32 = 1
        do {
            try peer.send(.headers(stream, plain + entry))
            _ = try peer.response(stream)
            while stream < 4_000 {
                stream += 2
                try peer.send(.headers(stream, bomb))
                let answer = try peer.response(stream)
                if answer.isCut { break }
                #expect(answer.status == 431 || answer.reset != nil, "\(answer)")
            }
        } catch is ConnectionReset {}
        #expect(stream < 4_000, "nobody cut it")
        try proxy.expectMetric(1, "fairlead_connections_cut_total", "name=\"head_too_large\"")
        #expect(try proxy.residentKiB() - before < 16_384)
        #expect(try ask(other, 3).status == 200)
        #expect(upstream.requests.count == 3)
        try close(peer, other, proxy)
    }

    @Test func headsBeyondTheLimits() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["limits: {headerBytes: 4096, headerCount: 20}"])
        let peer = try H2Peer.client(port: proxy.port)
        let long = [("x-long", String(repeating: "v", count: 5_000))]
        let many = (0..<30).map { ("x-\($0)", "v") }
        for (index, more) in [long, many].enumerated() {
            let stream = UInt32(1 + 2 * index)
            try peer.ask(stream, H2Peer.request("GET", "/", more))
            let answer = try peer.response(stream)
            #expect(answer.status == 431 || answer.reset != nil, "\(answer)")
        }
        // The connection, and what its table holds, goes on.
        #expect(try ask(peer, 5).status == 200)
        #expect(upstream.requests.count == 1)
        try close(peer, proxy: proxy)
    }

    @Test func slowHeads() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestHeader: 400ms}"])
        let slow = try (0..<50).map { _ in try H2Peer.client(port: proxy.port) }
        for peer in slow { try peer.send(.headers(1, plain, endHeaders: false)) }
        let half = try H2Peer.client(port: proxy.port)
        try half.raw.send(Array(H2Frame.headers(1, plain).bytes.dropLast(5)))
        let other = try H2Peer.client(port: proxy.port)
        #expect(try ask(other, 1).status == 200)
        for peer in slow + [half] {
            _ = try peer.read { _ in false }
            #expect(peer.isOver)
        }
        try proxy.expectMetric(51, "fairlead_timeouts_total", "kind=\"request_head\"")
        #expect(upstream.requests.count == 1)
        try close(other, proxy: proxy)
    }

    // MARK: windows

    /// The client never opens a window: little is kept of the responses, and the streams end in time.
    @Test func windowsThatStayShut() throws {
        let body = [UInt8](repeating: 0x62, count: 4 << 20)
        let upstream = try EchoUpstream("a") { request in
            request.target == "/large" ? EchoUpstream.response(200, [], body) : nil
        }
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {streamIdle: 1500ms}"])
        let before = try proxy.residentKiB()
        let peer = try H2Peer.client(port: proxy.port, settings: [(4, 0)])
        for index in 0..<50 as Range<UInt32> { try peer.ask(1 + 2 * index, H2Peer.request("GET", "/large")) }
        try waitUntil("all to be under way") {
            try proxy.metric("fairlead_downstream_requests_active") == 50
        }
        #expect(try proxy.metric("fairlead_memory_buffer_used_bytes") <= 50 * 2 * 262_144)
        let other = try H2Peer.client(port: proxy.port)
        #expect(try ask(other, 1).status == 200)
        try proxy.expectMetric(50, "fairlead_timeouts_total", "kind=\"stream_idle\"")
        // Each stream is told; the connection and its next streams live.
        var resets: Set<UInt32> = []
        try peer.read { frame in
            if frame.type == Kind.reset { resets.insert(frame.stream) }
            return resets.count == 50
        }
        #expect(resets.count == 50)
        #expect(try proxy.residentKiB() - before < 50 * 600)
        try peer.send(.settings([(4, 65_535)]), .headers(201, plain))
        let answered = try peer.read { $0.stream == 201 && $0.isEnd }.last
        #expect(answered?.stream == 201)
        try close(peer, other, proxy)
    }

    /// The client reads nothing at all, and asks on.
    @Test func clientsThatDoNotRead() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["timeouts: {requestBodyIdle: 2s}"])
        let peer = try H2Peer.client(port: proxy.port, receiveBytes: 4_096)
        let before = try proxy.residentKiB()
        var stuck = 0
        var stream: UInt32 = 1
        var rest: [UInt8] = []
        while stuck < 20, stream < 200_000 {
            if rest.isEmpty {
                rest = streams(Int(stream / 100)) { [.headers($0, plain)] }.flatMap(\.bytes)
                stream += 100
            }
            let took = peer.raw.sendNow(rest)
            rest.removeFirst(took)
            stuck = took == 0 ? stuck + 1 : 0
            if took == 0 { sleepMs(10) }
        }
        #expect(try proxy.residentKiB() - before < 16_384)
        try H2Peer.client(port: proxy.port).complete(1)
        // Its time ends, too.
        try proxy.waitUntilNothingIsLeft()
        withExtendedLifetime(peer) {}
    }

    /// An upstream that takes nothing: of all streams' bodies no more is kept than the windows allow.
    @Test func bodiesThatNobodyTakes() throws {
        let gate = Gate()
        let upstream = try RawUpstream { connection, _ in
            _ = try? connection.head()
            try? waitUntil("the gate") { gate.isOpen }
        }
        let proxy = try HttpProxy(to: [upstream.port])
        let before = try proxy.residentKiB()
        let peer = try H2Peer.client(port: proxy.port)
        for index in 0..<20 as Range<UInt32> { try peer.send(.headers(1 + 2 * index, upload, end: false)) }
        // As much as the connection's window takes, spread over the streams.
        let allowed =
            65_535
            + peer.seen.filter { $0.type == Kind.windowUpdate && $0.stream == 0 }.reduce(0) {
                $0 + Int($1.payload[0]) << 24 + Int($1.payload[1]) << 16 + Int($1.payload[2]) << 8
                    + Int($1.payload[3])
            }
        var sent = 0
        while sent + 10_000 <= allowed {
            try peer.send(.data(UInt32(1 + 2 * (sent / 10_000 % 20)), [UInt8](repeating: 1, count: 10_000)))
            sent += 10_000
        }
        #expect(try proxy.residentKiB() - before < 16_384)
        #expect(try proxy.connect().get("/direct").status == 200)
        // What is more than was allowed is an error, not memory.
        for _ in 0..<500 {
            guard (try? peer.send(.data(1, [UInt8](repeating: 1, count: 16_000)))) != nil else { break }
        }
        _ = try? peer.read { $0.type == Kind.goaway }
        gate.open()
        try close(peer, proxy: proxy)
    }

    // MARK: ends

    /// Connections that end at every byte of a conversation leave nothing.
    @Test func endsAtEveryMoment() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let frames: [H2Frame] = [
            .settings(), .headers(1, upload, end: false), .data(1, "body"),
            .headers(3, plain, endHeaders: false),
            .continuation(3, HPACK.literal("x", "1")), .data(1, "", end: true), .ping(),
        ]
        let whole = H2Peer.preface + frames.flatMap(\.bytes)
        for count in 0...whole.count {
            let client = try proxy.connect()
            _ = client.sendNow(Array(whole[..<count]))
            if count % 2 == 0 { client.close() } else { client.reset() }
        }
        try H2Peer.client(port: proxy.port).complete(1)
        try proxy.waitUntilNothingIsLeft()
    }

    /// Random damage to a good conversation: no crash, nothing left.
    @Test func randomDamage() throws {
        var random = SeededRandom()
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let good: [H2Frame] = [
            .settings(), .headers(1, upload, end: false), .data(1, "body", end: true), .headers(3, plain),
            .windowUpdate(0, 100), .priority(5), .headers(5, plain), .reset(5), .ping(), .settingsAck,
        ]
        for _ in 0..<300 {
            var bytes = good.flatMap(\.bytes)
            for _ in 0..<random.int(1...3) { bytes = random.mutated(bytes) }
            let client = try proxy.connect()
            try? client.send(H2Peer.preface + bytes)
            if random.chance(50) { _ = try? client.receive(.seconds(0.05)) }
            if random.chance(50) { client.halfClose() }
            if random.chance(30) { client.reset() }
        }
        try H2Peer.client(port: proxy.port).complete(1)
        #expect(proxy.process.exitCode == nil)
        try proxy.waitUntilNothingIsLeft()
    }
}
