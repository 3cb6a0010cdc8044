// The cases of HTTP/2 conformance by section of RFC 9113: what the public suite h2spec asks for, and more.
import TestSupport

private typealias Kind = H2Frame.Kind
private typealias Flag = H2Frame.Flag

private func request(
    _ method: String = "GET", _ path: String = "/", _ more: [(String, String)] = []
) -> [(String, String)] {
    H2Peer.request(method, path, more)
}

private func block(_ method: String = "GET", _ more: [(String, String)] = []) -> [UInt8] {
    HPACK.block(request(method, "/", more))
}

private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

private func frame(_ type: UInt8, _ flags: UInt8 = 0, _ stream: UInt32 = 0, _ count: Int = 0) -> H2Frame {
    H2Frame(type: type, flags: flags, stream: stream, [UInt8](repeating: 0, count: count))
}

/// The response's body waits for a window: its stream stays half closed.
private let noWindow: [(UInt16, UInt32)] = [(H2Setting.initialWindowSize, 0)]
private let windowMax: UInt32 = 0x7FFF_FFFF

enum H2Cases {
    static let all =
        beginning + frames + states + identifiers + data + headers + priority + reset + settings
        + ping + goaway + windows + continuation + exchanges + fields + pseudoFields + HPACKCases.all

    // MARK: 3, 4

    private static let beginning: [H2Case] = [
        H2Case("3.4", "SETTINGS come first", .goesOn) { peer in
            guard let first = peer.seen.first, first.type == Kind.settings, !first.isAck else {
                throw TestFailure("\(peer.seen)")
            }
        },
        H2Case("3.4", "bad preface", .ends, isRaw: true) {
            try $0.raw.send("INVALID CONNECTION PREFACE\r\n\r\n")
        },
        H2Case("3.4", "preface of another version", .ends, isRaw: true) {
            try $0.raw.send("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n")
        },
        H2Case("3.4", "preface without SETTINGS", .connectionError(.protocolError), isRaw: true) {
            try $0.raw.send(H2Peer.preface + H2Frame.ping().bytes)
        },
    ]

    private static let frames: [H2Case] = [
        H2Case("4.1", "unknown type", .goesOn, frame(0x16, 0, 0, 8)),
        H2Case("4.1", "unknown flags", .goesOn, frame(Kind.ping, 0x16, 0, 8)),
        H2Case("4.1", "reserved bit", .goesOn, frame(Kind.ping, 0, 1 << 31, 8)),
        H2Case(
            "4.2", "DATA of 16,384", .answer(1), .headers(1, block("POST"), end: false),
            .data(1, bytes(16_384), end: true)),
        H2Case(
            "4.2", "DATA of 16,385", .streamError(1, .frameSize), .headers(1, block("POST"), end: false),
            .data(1, bytes(16_385), end: true)),
        H2Case(
            "4.2", "HEADERS of more than 16,384", .connectionError(.frameSize),
            .headers(1, block() + HPACK.literal("x", String(repeating: "a", count: 16_384)))),
        H2Case(
            "4.3", "block that cannot be read", .connectionError(.compression),
            .headers(1, [0x86, 0x84, 0x41, 0xFF, 0xFF])),
        H2Case(
            "4.3", "PRIORITY inside a block", .connectionError(.protocolError),
            .headers(1, block(), endHeaders: false), .priority(1), .continuation(1, [])),
        H2Case(
            "4.3", "HEADERS of another stream inside a block", .connectionError(.protocolError),
            .headers(1, block(), endHeaders: false), .headers(3, block())),
        H2Case(
            "5.5", "unknown type inside a block", .connectionError(.protocolError),
            .headers(1, block(), endHeaders: false), frame(0x16, 0, 1, 8), .continuation(1, [])),
        H2Case("5.4.1", "PING of a wrong length ends it", .ends, frame(Kind.ping, 0, 0, 6)),
    ]

    // MARK: 5

    private static let states: [H2Case] = [
        H2Case(
            "5.1", "idle: DATA", .connectionError(.protocolError, .streamClosed), .data(1, "x", end: true)),
        H2Case("5.1", "idle: RST_STREAM", .connectionError(.protocolError), .reset(1)),
        H2Case("5.1", "idle: WINDOW_UPDATE", .connectionError(.protocolError), .windowUpdate(1, 100)),
        H2Case("5.1", "idle: CONTINUATION", .connectionError(.protocolError), .continuation(1, block())),
        H2Case("5.1", "idle: PRIORITY", .answer(1), .priority(1), .headers(1, block())),
        H2Case("5.1", "idle: PRIORITY, then a lower stream", .answer(3), .priority(9), .headers(3, block())),
        H2Case(
            "5.1", "half closed: DATA", .streamError(1, .streamClosed), settings: noWindow,
            .headers(1, block()), .data(1, "x", end: true)),
        H2Case(
            "5.1", "half closed: HEADERS", .streamError(1, .streamClosed), settings: noWindow,
            .headers(1, block()), .headers(1, block())),
        H2Case(
            "5.1", "half closed: CONTINUATION", .connectionError(.protocolError, .streamClosed),
            settings: noWindow, .headers(1, block()), .continuation(1, block())),
        H2Case(
            "5.1", "half closed: WINDOW_UPDATE", .answer(1), settings: noWindow, .headers(1, block()),
            .windowUpdate(1, 60_000)),
        H2Case(
            "5.1", "half closed: PRIORITY", .answer(1), settings: noWindow, .headers(1, block()),
            .priority(1), .windowUpdate(1, 60_000)),
        H2Case(
            "5.1", "half closed: RST_STREAM", .goesOn, settings: noWindow, .headers(1, block()), .reset(1)),
        H2Case(
            "5.1", "reset: DATA", .streamError(1, .streamClosed), .headers(1, block("POST"), end: false),
            .reset(1), .data(1, "x", end: true)),
        H2Case(
            "5.1", "reset: HEADERS", .streamError(1, .streamClosed), .headers(1, block("POST"), end: false),
            .reset(1), .headers(1, block("POST"))),
        H2Case(
            "5.1", "reset: CONTINUATION", .connectionError(.protocolError, .streamClosed),
            .headers(1, block("POST"), end: false), .reset(1), .continuation(1, block())),
        H2Case("5.1", "closed: DATA", .streamError(1, .streamClosed)) {
            try $0.complete(1)
            try $0.send(.data(1, "x", end: true))
        },
        H2Case("5.1", "closed: HEADERS", .connectionError(.streamClosed)) {
            try $0.complete(1)
            try $0.ask(1)
        },
        H2Case("5.1", "closed: CONTINUATION", .connectionError(.streamClosed, .protocolError)) {
            try $0.complete(1)
            try $0.send(.continuation(1, block()))
        },
        H2Case("5.1", "closed: PRIORITY", .goesOn) {
            try $0.complete(1)
            try $0.send(.priority(1))
        },
        H2Case("5.1", "closed: WINDOW_UPDATE", .goesOn) {
            try $0.complete(1)
            try $0.send(.windowUpdate(1, 1))
        },
    ]

    private static let identifiers: [H2Case] = [
        H2Case("5.1.1", "even stream", .connectionError(.protocolError), .headers(2, block())),
        H2Case("5.1.1", "lower stream than before", .connectionError(.protocolError)) {
            try $0.complete(5)
            try $0.ask(3)
        },
        H2Case("5.1.1", "streams may be left out", .answer(99)) {
            try $0.complete(5)
            try $0.ask(99)
        },
        H2Case(
            "5.1.2", "more streams than allowed", .streamError(0, .protocolError, .refused),
            settings: noWindow
        ) { peer in
            let allowed = peer.seen.flatMap(\.settings).first { $0.id == H2Setting.maxConcurrentStreams }
            guard let allowed else { throw TestFailure("no limit is told: \(peer.seen)") }
            for index in 0...allowed.value { try peer.ask(1 + 2 * index) }
        },
    ]

    // MARK: 6.1 to 6.4

    private static let data: [H2Case] = [
        H2Case("6.1", "DATA", .answer(1), .headers(1, block("POST"), end: false), .data(1, "x", end: true)),
        H2Case(
            "6.1", "several", .answer(1), .headers(1, block("POST"), end: false), .data(1, "x"),
            .data(1, "y", end: true)),
        H2Case(
            "6.1", "padding", .answer(1), .headers(1, block("POST"), end: false),
            .data(1, bytes(4), end: true, pad: 200)),
        H2Case("6.1", "on stream 0", .connectionError(.protocolError), .data(0, "x", end: true)),
        H2Case(
            "6.1", "padding longer than the frame", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false),
            H2Frame(type: Kind.data, flags: Flag.padded | Flag.end, stream: 1, [6] + bytes(5))),
    ]

    private static let headers: [H2Case] = [
        H2Case("6.2", "HEADERS", .answer(1), .headers(1, block())),
        H2Case("6.2", "padding", .answer(1), .headers(1, block(), pad: 8)),
        H2Case("6.2", "priority", .answer(1), .headers(1, block(), priority: (0, false, 255))),
        H2Case("6.2", "on stream 0", .connectionError(.protocolError), .headers(0, block())),
        H2Case(
            "6.2", "padding longer than the frame", .connectionError(.protocolError),
            H2Frame(
                type: Kind.headers, flags: Flag.padded | Flag.end | Flag.endHeaders, stream: 1,
                [UInt8(block().count + 1)] + block())),
        H2Case(
            "5.3.1", "depends on itself", .streamError(1, .protocolError),
            .headers(1, block(), priority: (1, false, 255))),
    ]

    private static let priority: [H2Case] = [
        H2Case("6.3", "weight 1", .answer(1), .priority(1, weight: 0), .headers(1, block())),
        H2Case("6.3", "weight 256", .answer(1), .priority(1, weight: 255), .headers(1, block())),
        H2Case("6.3", "dependency", .answer(3), .priority(3, dependsOn: 1), .headers(3, block())),
        H2Case(
            "6.3", "exclusive", .answer(3), .priority(3, dependsOn: 1, exclusive: true),
            .headers(3, block())),
        H2Case("6.3", "on stream 0", .connectionError(.protocolError), .priority(0)),
        H2Case(
            "6.3", "length", .streamError(1, .frameSize), .headers(1, block("POST"), end: false),
            frame(Kind.priority, 0, 1, 4)),
        H2Case(
            "5.3.1", "depends on itself alone", .streamError(1, .protocolError), .priority(1, dependsOn: 1)),
    ]

    private static let reset: [H2Case] = [
        H2Case(
            "6.4", "RST_STREAM", .answer(3), .headers(1, block("POST"), end: false), .reset(1),
            .headers(3, block())),
        H2Case("6.4", "on stream 0", .connectionError(.protocolError), .reset(0)),
        H2Case(
            "6.4", "length", .connectionError(.frameSize), .headers(1, block("POST"), end: false),
            frame(Kind.reset, 0, 1, 3)),
        H2Case(
            "7", "unknown code", .goesOn, .headers(1, block("POST"), end: false), .reset(1, H2Code(0xFF))),
    ]

    // MARK: 6.5 to 6.8

    private static let settings: [H2Case] = [
        H2Case("6.5", "SETTINGS are acknowledged", .goesOn) { peer in
            try peer.send(.settings([(3, 100)]))
            let last = try peer.read { $0.type == Kind.settings && $0.isAck }.last
            guard last?.type == Kind.settings else { throw TestFailure("\(peer.seen)") }
        },
        H2Case(
            "6.5", "ACK with a payload", .connectionError(.frameSize), frame(Kind.settings, Flag.ack, 0, 6)),
        H2Case("6.5", "on a stream", .connectionError(.protocolError), frame(Kind.settings, 0, 1, 6)),
        H2Case("6.5", "length", .connectionError(.frameSize), frame(Kind.settings, 0, 0, 3)),
        H2Case("6.5.2", "push neither 0 nor 1", .connectionError(.protocolError), .settings([(2, 2)])),
        H2Case("6.5.2", "window of 2^31", .connectionError(.flowControl), .settings([(4, 1 << 31)])),
        H2Case("6.5.2", "frames below 16,384", .connectionError(.protocolError), .settings([(5, 16_383)])),
        H2Case("6.5.2", "frames of 2^24", .connectionError(.protocolError), .settings([(5, 1 << 24)])),
        H2Case("6.5.2", "CONNECT protocol 2", .connectionError(.protocolError), .settings([(8, 2)])),
        H2Case("6.5.2", "unknown identifier", .goesOn, .settings([(0xFF, 1)])),
        H2Case("6.5.3", "the last value counts", .goesOn) { peer in
            try peer.send(.settings([(4, 100), (4, 1)]), .headers(1, block()))
            let sizes = try peer.dataSizes(1, frames: 1)
            guard sizes == [1] else { throw TestFailure("DATA of \(sizes)") }
        },
    ]

    private static let ping: [H2Case] = [
        H2Case("6.7", "PING comes back", .goesOn) { peer in
            try peer.send(.ping("12345678"))
            let last = try peer.read { $0.type == Kind.ping }.last
            guard last == .ping("12345678", ack: true) else { throw TestFailure("\(peer.seen)") }
        },
        H2Case("6.7", "an ACK does not", .goesOn) { peer in
            try peer.send(.ping("abcdefgh", ack: true), .ping("12345678"))
            let last = try peer.read { $0.type == Kind.ping }.last
            guard last == .ping("12345678", ack: true) else { throw TestFailure("\(peer.seen)") }
        },
        H2Case("6.7", "on a stream", .connectionError(.protocolError), frame(Kind.ping, 0, 1, 8)),
        H2Case("6.7", "length", .connectionError(.frameSize), frame(Kind.ping, 0, 0, 6)),
    ]

    private static let goaway: [H2Case] = [
        H2Case("6.8", "GOAWAY", .goesOnOrEnds, .goaway()),
        H2Case("6.8", "what began is answered", .answer(1), .headers(1, block()), .goaway()),
        H2Case("6.8", "on a stream", .connectionError(.protocolError), frame(Kind.goaway, 0, 1, 8)),
        H2Case("6.8", "length", .connectionError(.frameSize), frame(Kind.goaway, 0, 0, 7)),
        H2Case("7", "GOAWAY with an unknown code", .goesOnOrEnds, .goaway(H2Code(0xFF))),
    ]

    // MARK: 6.9, 6.10

    private static let windows: [H2Case] = [
        H2Case("6.9", "of the connection", .goesOn, .windowUpdate(0, 1)),
        H2Case(
            "6.9", "of a stream", .answer(1), .headers(1, block("POST"), end: false), .windowUpdate(1, 1),
            .data(1, "x", end: true)),
        H2Case("6.9", "increment of 0", .connectionError(.protocolError), .windowUpdate(0, 0)),
        H2Case(
            "6.9", "increment of 0 on a stream", .streamError(1, .protocolError),
            .headers(1, block("POST"), end: false), .windowUpdate(1, 0)),
        H2Case("6.9", "increment of 0 on a stream that is over", .streamError(1, .protocolError)) { peer in
            try peer.complete(1)
            try peer.send(.windowUpdate(1, 0))
        },
        H2Case("6.9", "increment of 0 in pieces", .streamError(1, .protocolError)) { peer in
            try peer.complete(1)
            for byte in H2Frame.windowUpdate(1, 0).bytes { try peer.raw.send([byte]) }
        },
        H2Case("6.9", "a small increment on a stream that is over", .goesOn) { peer in
            try peer.complete(1)
            try peer.send(.windowUpdate(1, 256), .windowUpdate(1, 1 << 31 | 1))
        },
        H2Case("6.9", "length", .connectionError(.frameSize), frame(Kind.windowUpdate, 0, 0, 3)),
        H2Case("6.9.1", "a window of 1", .goesOn, settings: [(4, 1)]) { peer in
            try peer.ask(1)
            guard try peer.dataSizes(1, frames: 1) == [1] else { throw TestFailure("\(peer.seen)") }
        },
        H2Case(
            "6.9.1", "beyond 2^31-1", .connectionError(.flowControl), .windowUpdate(0, windowMax),
            .windowUpdate(0, windowMax)),
        H2Case(
            "6.9.1", "beyond 2^31-1 on a stream", .streamError(1, .flowControl),
            .headers(1, block("POST"), end: false), .windowUpdate(1, windowMax), .windowUpdate(1, windowMax)),
        H2Case("6.9.2", "changed under a stream", .goesOn, settings: noWindow) { peer in
            try peer.ask(1)
            try peer.send(.settings([(4, 1)]))
            guard try peer.dataSizes(1, frames: 1) == [1] else { throw TestFailure("\(peer.seen)") }
        },
        H2Case("6.9.2", "below zero", .goesOn, settings: [(4, 3)]) { peer in
            try peer.ask(1)
            guard try peer.dataSizes(1, frames: 1) == [3] else { throw TestFailure("\(peer.seen)") }
            try peer.send(.settings([(4, 2)]), .windowUpdate(1, 2))
            guard try peer.dataSizes(1, frames: 1) == [1] else { throw TestFailure("\(peer.seen)") }
        },
        // The RFC asks for a connection error; the stream's, as nghttp2 has it, ends what is broken as well.
        H2Case(
            "6.9.2", "beyond 2^31-1 by SETTINGS", .streamError(1, .flowControl),
            .headers(1, block("POST"), end: false), .windowUpdate(1, windowMax - 65_535),
            .settings([(4, 65_536)])),
    ]

    private static let continuation: [H2Case] = [
        H2Case("6.10", "one", .answer(1), .headers(1, block(), endHeaders: false), .continuation(1, [])),
        H2Case(
            "6.10", "several", .answer(1), .headers(1, block(), endHeaders: false),
            .continuation(1, HPACK.literal("x", "1"), endHeaders: false),
            .continuation(1, HPACK.literal("y", "2"))),
        H2Case("6.10", "cut inside a field", .answer(1)) { peer in
            let fields = block()
            try peer.send(
                .headers(1, Array(fields.prefix(7)), endHeaders: false),
                .continuation(1, Array(fields.dropFirst(7))))
        },
        H2Case(
            "6.10", "followed by DATA", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false, endHeaders: false),
            .continuation(1, HPACK.literal("x", "1"), endHeaders: false), .data(1, "x", end: true)),
        H2Case(
            "6.10", "on stream 0", .connectionError(.protocolError),
            .headers(1, block(), endHeaders: false), .continuation(0, [])),
        H2Case(
            "6.10", "of another stream", .connectionError(.protocolError),
            .headers(1, block(), endHeaders: false), .continuation(3, [])),
        H2Case(
            "6.10", "behind HEADERS that ended", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false), .continuation(1, [])),
        H2Case(
            "6.10", "behind CONTINUATION that ended", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false, endHeaders: false), .continuation(1, []),
            .continuation(1, [])),
        H2Case(
            "6.10", "behind DATA", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false), .data(1, "x"), .continuation(1, [])),
    ]

    // MARK: 8

    private static let exchanges: [H2Case] = [
        H2Case("8.1", "GET", .answer(1)) { try $0.ask(1) },
        H2Case("8.1", "HEAD", .answer(1)) { try $0.ask(1, request("HEAD")) },
        H2Case("8.1", "POST", .answer(1)) { peer in
            try peer.ask(1, request("POST", "/", [("content-length", "4")]), end: false)
            try peer.send(.data(1, "four", end: true))
        },
        H2Case(
            "8.1", "trailers", .answer(1), .headers(1, block("POST"), end: false), .data(1, "x"),
            .headers(1, HPACK.literal("x-trailer", "1"))),
        H2Case(
            "8.1", "second HEADERS without the end", .streamError(1, .protocolError),
            .headers(1, block("POST"), end: false), .headers(1, HPACK.literal("x", "1"), end: false)),
        H2Case(
            "8.1.1", "content-length against DATA", .streamError(1, .protocolError),
            .headers(1, block("POST", [("content-length", "1")]), end: false), .data(1, "test", end: true)),
        H2Case(
            "8.1.1", "content-length against several DATA", .streamError(1, .protocolError),
            .headers(1, block("POST", [("content-length", "1")]), end: false), .data(1, "t"),
            .data(1, "est", end: true)),
        H2Case(
            "8.1.1", "content-length without DATA", .streamError(1, .protocolError),
            .headers(1, block("POST", [("content-length", "1")]))),
        H2Case(
            "8.1.1", "DATA short of content-length", .streamError(1, .protocolError),
            .headers(1, block("POST", [("content-length", "5")]), end: false), .data(1, "t", end: true)),
        H2Case(
            "8.4", "PUSH_PROMISE", .connectionError(.protocolError),
            .headers(1, block("POST"), end: false), .pushPromise(1, promised: 2, block())),
    ]

    /// One field beside a plain request, in front of which `first` comes.
    private static func malformed(_ section: String, _ what: String, _ name: String, _ value: String)
        -> H2Case
    {
        H2Case(section, what, .streamError(1, .protocolError)) {
            try $0.ask(1, request("GET", "/", [(name, value)]))
        }
    }

    private static func malformed(_ section: String, _ what: String, _ fields: [(String, String)]) -> H2Case {
        H2Case(section, what, .streamError(1, .protocolError)) { try $0.ask(1, fields) }
    }

    private static let fields: [H2Case] = [
        malformed("8.2.1", "upper case in a name", "X-Upper", "1"),
        malformed("8.2.1", "blank in a name", "x y", "1"),
        malformed("8.2.1", "colon in a name", "x:y", "1"),
        malformed("8.2.1", "line feed in a value", "x", "a\nb"),
        malformed("8.2.1", "NUL in a value", "x", "a\u{0}b"),
        malformed("8.2.2", "connection", "connection", "keep-alive"),
        malformed("8.2.2", "keep-alive", "keep-alive", "1"),
        malformed("8.2.2", "proxy-connection", "proxy-connection", "keep-alive"),
        malformed("8.2.2", "transfer-encoding", "transfer-encoding", "chunked"),
        malformed("8.2.2", "upgrade", "upgrade", "h2c"),
        malformed("8.2.2", "te beside trailers", "te", "trailers, deflate"),
        H2Case("8.2.2", "te: trailers", .answer(1)) {
            try $0.ask(1, request("GET", "/", [("te", "trailers")]))
        },
    ]

    private static let pseudoFields: [H2Case] = [
        malformed("8.3", "unknown", [(":test", "1")] + request()),
        malformed("8.3", "of responses", [(":status", "200")] + request()),
        malformed("8.3", "behind a field", [("x", "1")] + request()),
        H2Case(
            "8.3", "in trailers", .streamError(1, .protocolError), .headers(1, block("POST"), end: false),
            .data(1, "x"), .headers(1, HPACK.literal(":method", "POST"))),
        malformed("8.3.1", "empty path", request("GET", "")),
        malformed("8.3.1", "no method", request().filter { $0.0 != ":method" }),
        malformed("8.3.1", "no scheme", request().filter { $0.0 != ":scheme" }),
        malformed("8.3.1", "no path", request().filter { $0.0 != ":path" }),
        malformed("8.3.1", "two methods", [(":method", "GET")] + request()),
        malformed("8.3.1", "two schemes", [(":scheme", "http")] + request()),
        malformed("8.3.1", "two paths", [(":path", "/")] + request()),
        malformed("8.3.1", "two authorities", [(":authority", "h2.test")] + request()),
    ]
}
