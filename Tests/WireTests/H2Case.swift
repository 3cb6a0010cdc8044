// One case of HTTP/2 conformance: what a client sends after the connection's beginning, and what a server
// must make of it. Judged without waiting: a PING behind the frames tells when they have been dealt with.
import TestSupport
import Testing

/// What must become of a case.
enum H2Outcome: Sendable {
    /// GOAWAY with one of the codes; the connection's end alone is the same in fewer words (RFC 9113 5.4.1).
    case endsConnection([H2Code])
    /// RST_STREAM with one of the codes on that stream (0: any), or the connection error of that code
    /// (RFC 9113 5.4.2 lets a server be that strict).
    case endsStream(UInt32, [H2Code])
    /// A whole response on that stream, and no error.
    case answer(UInt32)
    /// Nothing: the connection goes on.
    case goesOn
    /// Nothing, or a connection that ends without blame.
    case goesOnOrEnds
    /// The connection ends, whatever is said before.
    case ends

    static func connectionError(_ codes: H2Code...) -> H2Outcome { .endsConnection(codes) }
    static func streamError(_ stream: UInt32, _ codes: H2Code...) -> H2Outcome { .endsStream(stream, codes) }
}

struct H2Case: Sendable, CustomTestStringConvertible {
    /// Of RFC 9113, or of RFC 7541 where it says so.
    let section: String
    let what: String
    let outcome: H2Outcome
    /// The client has not sent its preface yet.
    var isRaw = false
    /// SETTINGS of the client.
    var settings: [(UInt16, UInt32)] = []
    let play: @Sendable (H2Peer) throws -> Void

    init(
        _ section: String, _ what: String, _ outcome: H2Outcome, settings: [(UInt16, UInt32)] = [],
        isRaw: Bool = false, _ play: @escaping @Sendable (H2Peer) throws -> Void
    ) {
        self.section = section
        self.what = what
        self.outcome = outcome
        self.settings = settings
        self.isRaw = isRaw
        self.play = play
    }

    /// Frames and nothing else.
    init(
        _ section: String, _ what: String, _ outcome: H2Outcome, settings: [(UInt16, UInt32)] = [],
        _ frames: H2Frame...
    ) {
        self.init(section, what, outcome, settings: settings) { try $0.send(frames) }
    }

    var testDescription: String { "\(section) \(what)" }

    /// Plays the case against the server at `port`; nil if it did what it must, else what it did instead.
    func complaint(port: UInt16, _ deadline: Deadline = .usual) -> String? {
        do {
            let peer =
                isRaw ? try H2Peer(port: port) : try H2Peer.client(port: port, settings: settings)
            // A server that ends the connection early may do so while we still send.
            do { try play(peer) } catch is ConnectionReset {}
            return try judge(peer, deadline)
        } catch {
            return "\(error)"
        }
    }

    private func judge(_ peer: H2Peer, _ deadline: Deadline) throws -> String? {
        switch outcome {
        case .endsConnection(let codes): return try error(peer, nil, codes, deadline)
        case .endsStream(let stream, let codes): return try error(peer, stream, codes, deadline)
        case .answer(let stream):
            let response = try peer.response(stream, deadline)
            let isGood = response.status == 200 && response.reset == nil && response.goaway == nil
            return isGood && !response.isCut ? nil : "\(response)"
        case .goesOn, .goesOnOrEnds:
            // PING may be what the case is about: the last one tells.
            try? peer.send(.ping("lastping"))
            var end: H2Frame?
            _ = try peer.read(deadline) { frame in
                if frame.type == H2Frame.Kind.goaway || isPong(frame, "lastping") { end = frame }
                return end != nil
            }
            if let end, end.type != H2Frame.Kind.goaway { return nil }
            if case .goesOnOrEnds = outcome, end == nil || end?.errorCode == H2Code.none { return nil }
            return "\(end.map { "\($0)" } ?? "the connection ended")"
        case .ends:
            _ = try peer.raw.receiveToEnd(deadline)
            return nil
        }
    }

    private func isPong(_ frame: H2Frame, _ text: String) -> Bool {
        frame.type == H2Frame.Kind.ping && frame.isAck && frame.payload == Array(text.utf8)
    }

    /// Reads on until an error comes. What is decided behind the protocol's engine may be told after the
    /// first PING's answer, not after the second's.
    private func error(
        _ peer: H2Peer, _ stream: UInt32?, _ codes: [H2Code], _ deadline: Deadline
    ) throws -> String? {
        for round in ["1st ping", "2nd ping"] {
            try? peer.send(.ping(round))
            var verdict: String??
            _ = try peer.read(deadline) { frame in
                if frame.type == H2Frame.Kind.goaway, let code = frame.errorCode, code != .none {
                    verdict = codes.contains(code) ? .some(nil) : "\(frame) instead of \(codes)"
                } else if let stream, frame.type == H2Frame.Kind.reset, let code = frame.errorCode,
                    stream == 0 || frame.stream == stream
                {
                    verdict = codes.contains(code) ? .some(nil) : "\(frame) instead of \(codes)"
                } else if isPong(frame, round) {
                    verdict = "no error, but \(peer.seen.suffix(4))"
                }
                return verdict != nil
            }
            guard let verdict else { return nil }
            if verdict == nil || round == "2nd ping" || verdict?.hasPrefix("no error") == false {
                return verdict
            }
        }
        return nil
    }
}

extension H2Peer {
    /// A request and its whole response.
    func complete(_ stream: UInt32, _ fields: [(String, String)] = request()) throws {
        try ask(stream, fields)
        let response = try response(stream)
        guard response.status == 200 else { throw TestFailure("\(response)") }
    }

    /// The payloads of the next DATA frames of a stream, as many as that.
    func dataSizes(_ stream: UInt32, frames: Int) throws -> [Int] {
        var sizes: [Int] = []
        try read { frame in
            if frame.type == H2Frame.Kind.data, frame.stream == stream { sizes.append(frame.payload.count) }
            return sizes.count == frames
        }
        return sizes
    }
}
