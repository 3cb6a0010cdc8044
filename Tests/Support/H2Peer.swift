// One end of an HTTP/2 connection, frame for frame: what a test sends is what goes out. It keeps no state
// that would stop a test from breaking the protocol, and reads whatever comes.

package final class H2Peer {
    package let raw: RawConnection
    /// What the frames pass through; nil: nothing.
    private let tls: TLSPeer?
    /// Decrypted bytes of frames that are not whole.
    private var held: [UInt8] = []
    private var reader = HPACKReader()
    /// The other end is gone; nothing more will come.
    package private(set) var isOver = false
    /// Frames in the order they came, but for what `next` has skipped.
    package private(set) var seen: [H2Frame] = []

    package static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// A client on 127.0.0.1 that has said nothing yet.
    package convenience init(port: UInt16, receiveBytes: Int32? = nil) throws {
        self.init(try RawConnection(port: port, receiveBytes: receiveBytes))
    }

    /// Over a connection that is there already; for a server's part too.
    package init(_ raw: RawConnection) {
        self.raw = raw
        tls = nil
    }

    /// Inside TLS whose handshake is over.
    package init(_ tls: TLSPeer) {
        raw = tls.connection
        self.tls = tls
    }

    /// A client whose preface is sent and whose peer has answered.
    package static func client(
        port: UInt16, settings: [(UInt16, UInt32)] = [], receiveBytes: Int32? = nil
    ) throws -> H2Peer {
        let peer = try H2Peer(port: port, receiveBytes: receiveBytes)
        try peer.greet(settings)
        return peer
    }

    /// The client's part of the beginning (RFC 9113 3.4): preface and SETTINGS there and back.
    package func greet(_ settings: [(UInt16, UInt32)] = []) throws {
        try raw.send(Self.preface + H2Frame.settings(settings).bytes)
        var hasTheirs = false
        var hasAck = false
        while !hasTheirs || !hasAck {
            guard let frame = try next() else { throw TestFailure("closed instead of SETTINGS: \(seen)") }
            guard frame.type == H2Frame.Kind.settings else { continue }
            if frame.isAck {
                hasAck = true
            } else {
                hasTheirs = true
                try send(.settingsAck)
            }
        }
    }

    /// The server's part of the beginning: reads the preface, says SETTINGS.
    package func welcome(_ settings: [(UInt16, UInt32)] = []) throws {
        guard try take(Self.preface.count, .usual) == Self.preface else {
            throw TestFailure("no HTTP/2 preface")
        }
        try send(.settings(settings))
    }

    // MARK: sending

    /// Frames in one write.
    package func send(_ frames: H2Frame...) throws { try send(frames) }

    package func send(_ frames: [H2Frame]) throws {
        let bytes = frames.flatMap(\.bytes)
        if let tls { try tls.send(bytes) } else { try raw.send(bytes) }
    }

    /// Fields of a plain request, what `more` says behind them.
    package static func request(
        _ method: String = "GET", _ path: String = "/", authority: String = "h2.test",
        _ more: [(String, String)] = []
    ) -> [(String, String)] {
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)] + more
    }

    /// Sends a request head of plain literals.
    package func ask(_ stream: UInt32, _ fields: [(String, String)] = request(), end: Bool = true) throws {
        try send(.headers(stream, HPACK.block(fields), end: end))
    }

    /// Sends DATA of random bytes, as the windows that Fairlead gives allow, until `isEnough`; returns them.
    package func fill(_ stream: UInt32, until isEnough: () throws -> Bool) throws -> [UInt8] {
        var random = SeededRandom(seed: 11)
        var sent: [UInt8] = []
        var window = 262_144
        let deadline = Deadline.usual
        while try !isEnough() {
            if deadline.hasPassed { throw TestFailure("not enough after \(sent.count) bytes") }
            if window >= 16_000 {
                let piece = random.bytes(16_000)
                try send(.data(stream, piece))
                sent += piece
                window -= piece.count
            } else if !raw.isQuiet(forMs: 10), let frame = try next(), frame.stream == stream,
                frame.type == H2Frame.Kind.windowUpdate
            {
                window += frame.payload.reduce(0) { $0 << 8 | Int($1) }
            }
        }
        return sent
    }

    // MARK: receiving

    /// The next frame; nil at the end of the connection, a reset included.
    package func next(_ deadline: Deadline = .usual) throws -> H2Frame? {
        if isOver { return nil }
        do {
            // A stream that ends between frames ends in order; one that ends inside is no frame.
            guard let first = try begin(deadline) else {
                isOver = true
                return nil
            }
            let head = [first] + (try take(8, deadline))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let stream = be32(head[5..<9]) & 0x7FFF_FFFF
            let frame = H2Frame(
                type: head[3], flags: head[4], stream: stream, try take(length, deadline))
            seen.append(frame)
            return frame
        } catch is ConnectionReset {
            isOver = true
            return nil
        }
    }

    /// The first byte of a frame; nil: no more come.
    private func begin(_ deadline: Deadline) throws -> UInt8? {
        guard tls != nil else { return try raw.receive(atMost: 1, deadline).first }
        return try? take(1, deadline).first
    }

    private func take(_ count: Int, _ deadline: Deadline) throws -> [UInt8] {
        guard let tls else { return try raw.receive(exactly: count, deadline) }
        while held.count < count { held += try tls.receiveSome(deadline) }
        defer { held.removeFirst(count) }
        return Array(held.prefix(count))
    }

    /// Fields of a whole block without padding or priority, as servers send it.
    package func fields(_ frame: H2Frame) throws -> [H2Field] { try reader.fields(frame.payload) }

    /// Reads on until `isLast` says so; what came, that frame included. Ends at the connection's end, too.
    @discardableResult
    package func read(_ deadline: Deadline = .usual, until isLast: (H2Frame) -> Bool) throws -> [H2Frame] {
        var frames: [H2Frame] = []
        while let frame = try next(deadline) {
            frames.append(frame)
            if isLast(frame) { break }
        }
        return frames
    }

    /// A response, or how its stream ended without one.
    package struct Response: Sendable, CustomStringConvertible {
        package var interim: [Int] = []
        /// 0: none came.
        package var status = 0
        package var fields: [H2Field] = []
        package var body: [UInt8] = []
        package var trailers: [H2Field] = []
        /// RST_STREAM that ended it.
        package var reset: H2Code?
        /// GOAWAY that came meanwhile.
        package var goaway: H2Code?
        /// The connection ended before the response.
        package var isCut = false

        package var text: String { String(decoding: body, as: UTF8.self) }
        package func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }
        package var description: String {
            "\(status) \(fields) \(printable(body)) \(trailers) reset \(reset.map(String.init) ?? "no") "
                + "goaway \(goaway.map(String.init) ?? "no")\(isCut ? " cut" : "")"
        }
    }

    /// Reads one stream's response to its end, opening windows for what comes and answering PING and
    /// SETTINGS; frames of other streams are skipped (their heads are decoded all the same).
    package func response(_ stream: UInt32, _ deadline: Deadline = .usual) throws -> Response {
        var response = Response()
        while let frame = try next(deadline) {
            switch frame.type {
            case H2Frame.Kind.headers:
                let fields = try wholeBlock(frame, deadline)
                if frame.stream != stream { continue }
                let status = fields.first { $0.name == ":status" }.flatMap { Int($0.value) }
                if let status, status < 200 {
                    response.interim.append(status)
                } else if let status {
                    response.status = status
                    response.fields = fields.filter { $0.name != ":status" }
                } else {
                    response.trailers = fields
                }
                if frame.isEnd { return response }
            case H2Frame.Kind.data:
                if !frame.payload.isEmpty {
                    let count = UInt32(frame.payload.count)
                    try? send(.windowUpdate(0, count), .windowUpdate(frame.stream, count))
                }
                if frame.stream != stream { continue }
                response.body += frame.payload
                if frame.isEnd { return response }
            case H2Frame.Kind.reset where frame.stream == stream:
                response.reset = frame.errorCode
                return response
            case H2Frame.Kind.goaway: response.goaway = frame.errorCode
            default: try? answer(frame)
            }
        }
        response.isCut = true
        return response
    }

    /// PING and SETTINGS want an answer.
    private func answer(_ frame: H2Frame) throws {
        if frame.isAck { return }
        if frame.type == H2Frame.Kind.ping {
            try send(H2Frame(type: H2Frame.Kind.ping, flags: H2Frame.Flag.ack, frame.payload))
        } else if frame.type == H2Frame.Kind.settings {
            try send(.settingsAck)
        }
    }

    private func wholeBlock(_ first: H2Frame, _ deadline: Deadline) throws -> [H2Field] {
        var block = first.payload
        var frame = first
        while frame.flags & H2Frame.Flag.endHeaders == 0 {
            guard let more = try next(deadline), more.type == H2Frame.Kind.continuation else {
                throw TestFailure("a header block without its end: \(seen.suffix(3))")
            }
            block += more.payload
            frame = more
        }
        return try reader.fields(block)
    }
}
