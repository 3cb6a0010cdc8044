// Storms of HTTP/2: clients and upstreams that do random things with streams, legal and not. Afterwards every
// gauge is back at nothing: no exchange, stream, buffer or connection was lost on any path.
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct H2Storms {
    /// A server that answers as it likes.
    private static func serve(_ connection: RawConnection, _ number: Int, seed: UInt64) {
        var random = SeededRandom(seed: seed &+ UInt64(number) &* 7_919)
        let peer = H2Peer(connection)
        do {
            let few = [(H2Setting.maxConcurrentStreams, UInt32(2))]
            try peer.welcome(random.chance(20) ? few : [])
            try peer.send(.windowUpdate(0, 1 << 28))
            while let frame = try peer.next(.seconds(2)) {
                if frame.type == H2Frame.Kind.settings, !frame.isAck { try peer.send(.settingsAck) }
                guard frame.type == H2Frame.Kind.headers else { continue }
                let id = frame.stream
                let body = [UInt8](
                    repeating: 0x62, count: random.chance(20) ? random.int(0...60_000) : 20)
                let ok = HPACK.block([(":status", "200"), ("x", "y")])
                switch random.int(0...15) {
                case 0...5:
                    try peer.send(.headers(id, ok, end: false))
                    for piece in random.split(body) { try peer.send(.data(id, Array(piece.prefix(16_000)))) }
                    try peer.send(.data(id, end: true))
                case 6: try peer.send(.headers(id, ok))
                case 7:
                    try peer.send(
                        .headers(id, HPACK.block([(":status", "103")]), end: false),
                        .headers(id, ok, end: false), .data(id, "x"),
                        .headers(id, HPACK.block([("grpc-status", "0")])))
                case 8: try peer.send(.reset(id, random.chance(50) ? .refused : .internalError))
                case 9: try peer.send(.headers(id, ok, end: false), .data(id, "part"), .reset(id))
                case 10: try peer.send(.goaway(last: id), .headers(id, ok))
                case 11: return
                case 12: try peer.send(.headers(id, HPACK.block([("no", "status")])))
                case 13: try peer.send(.headers(id, ok, end: false), .data(id, body.count > 20 ? "" : "x"))
                case 14: try connection.send(random.bytes(random.int(1...60)))
                default: continue
                }
            }
        } catch {
            // Whatever ended it: the proxy closed, or the test's own bound.
        }
    }

    private static func live(_ port: UInt16, _ random: inout SeededRandom) {
        guard let client = try? H2Peer(port: port) else { return }
        do {
            try client.raw.send(H2Peer.preface + H2Frame.settings().bytes)
            var id: UInt32 = 1
            for _ in 0..<random.int(1...8) {
                let path = random.chance(10) ? "/direct" : "/x"
                switch random.int(0...13) {
                case 0...4: try client.ask(id, H2Peer.request("GET", path))
                case 5, 6:
                    try client.ask(id, H2Peer.request("POST", path), end: false)
                    let body = [UInt8](repeating: 0x61, count: random.int(0...40_000))
                    for piece in random.split(body) {
                        try client.send(.data(id, Array(piece.prefix(16_000))))
                        if random.chance(20) { sleepMs(1) }
                    }
                    if random.chance(80) { try client.send(.data(id, end: true)) }
                case 7:
                    try client.ask(id, H2Peer.request("POST", path, [("content-length", "3")]), end: false)
                    try client.send(.data(id, random.chance(50) ? "abc" : "abcd", end: true))
                case 8:
                    try client.ask(id)
                    try client.send(.reset(id))
                case 9: try client.ask(id, H2Peer.request("GET", path, [("Bad", "name")]))
                case 10:
                    try client.ask(
                        id,
                        [
                            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                            (":path", "/ws"), (":authority", "h"),
                        ], end: false)
                    try client.send(.data(id, "hello"))
                case 11: try client.send(.windowUpdate(random.chance(50) ? 0 : id, 1 << 16))
                case 12: try client.raw.send(random.bytes(random.int(1...40)))
                default: try client.send(.ping(), .settings([(H2Setting.initialWindowSize, UInt32(10))]))
                }
                id += 2
                if random.chance(30) { _ = try client.raw.receive(.seconds(0.05)) }
            }
            if random.chance(50) { _ = try client.raw.receive(.seconds(0.3)) }
        } catch {
            // A reset, a silence: the storm goes on.
        }
        if random.chance(40) { client.raw.reset() } else { client.raw.close() }
    }

    @Test(arguments: ["HTTP", "HTTP2"])
    func nothingIsLeftAfterAStorm(_ portProtocol: String) throws {
        let seed = SeededRandom().seed
        let h1 = try EchoUpstream("h1")
        let h2 = try RawUpstream { Self.serve($0, $1, seed: seed) }
        let proxy = try Workers(
            to: [portProtocol == "HTTP2" ? h2.port : h1.port],
            spec: ["timeouts: {requestHeader: 1s, requestBodyIdle: 1s, idle: 1s, streamIdle: 1s}"],
            protocol: portProtocol)
        let living = Atomic<Int>(6)
        for index in 0..<6 {
            try startThread {
                var random = SeededRandom(seed: seed &+ UInt64(index))
                for _ in 0..<40 { Self.live(proxy.port, &random) }
                living.subtract(1, ordering: .relaxed)
            }
        }
        try waitUntil("the storm to end", .seconds(90)) { living.load(ordering: .relaxed) == 0 }
        h2.stop()
        try proxy.waitUntilQuiet()
        try proxy.stop()
    }
}
