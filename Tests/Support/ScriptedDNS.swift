// A DNS server on loopback that answers what a test tells it, over UDP and TCP on one port (RFC 1035). It
// reads questions and writes answers itself, so that a mistake of the resolver's library is no mistake of
// both.
internal import CLinux
internal import Glibc
internal import Synchronization

package final class ScriptedDNS: Sendable {
    package enum Answer: Sendable, Equatable {
        /// IPv4 and IPv6 alike: a question gets those of its type.
        case addresses([String], ttl: UInt32)
        /// A CNAME; the addresses of the other name follow in the same answer.
        case alias(String, ttl: UInt32)
        /// RCODE 3.
        case noSuchName
        /// RCODE 2.
        case serverFailure
        case silence
        /// UDP says that the answer does not fit; TCP has it.
        case onlyByTCP([String], ttl: UInt32)
        /// Bytes that are no DNS message.
        case nonsense
    }

    package struct Question: Sendable, Equatable {
        package var name: String
        /// 1: A, 28: AAAA.
        package var type: UInt16
        package var byTCP: Bool
    }

    private struct State {
        var zone: [String: Answer]
        var questions: [Question] = []
        var stopped = false
    }

    package let port: UInt16
    private let udp: Int32
    private let listener: Listener
    private let state: Mutex<State>

    /// Names in lower case without a final dot; others do not exist.
    package init(_ zone: [String: Answer] = [:]) throws {
        var udp: Int32 = -1
        var port: UInt16 = 0
        while udp < 0 {
            port = try freeLoopbackPort()
            let fd = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard fd >= 0 else { throw TestFailure("socket: errno \(errno)") }
            if withLoopback(port, { bind(fd, $0, $1) }) == 0 { udp = fd } else { close(fd) }
        }
        self.udp = udp
        self.port = port
        state = Mutex(State(zone: zone))
        // `Listener` wants its closure before `self` is whole.
        let later = Later()
        self.later = later
        listener = try Listener(port: port) { connection, _ in later.server.withLock { $0 }?.serve(connection)
        }
        later.server.withLock { $0 = self }
        try startThread { [self] in serveDatagrams() }
    }

    private final class Later: Sendable {
        let server = Mutex<ScriptedDNS?>(nil)
    }

    private let later: Later

    /// As `--dns` wants it.
    package var address: String { "127.0.0.1:\(port)" }

    /// From the next question on.
    package func set(_ name: String, _ answer: Answer) { state.withLock { $0.zone[name] = answer } }

    package var questions: [Question] { state.withLock { $0.questions } }

    /// Questions for a name so far, of any type.
    package func asked(_ name: String) -> Int { questions.count { $0.name == name } }

    package func stop() {
        state.withLock { $0.stopped = true }
        // Wakes the thread, which sees that it is over.
        let fd = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var byte: UInt8 = 0
        _ = withLoopback(port) { sendto(fd, &byte, 1, 0, $0, $1) }
        close(fd)
        listener.stop()
        later.server.withLock { $0 = nil }
    }

    private func serveDatagrams() {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        var peer = sockaddr_storage()
        while !state.withLock({ $0.stopped }) {
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &peer) { place in
                place.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(udp, &buffer, buffer.count, 0, $0, &length)
                }
            }
            if count < 0, errno != EINTR { break }
            guard count > 0, let reply = reply(to: Array(buffer[..<count]), byTCP: false) else { continue }
            withUnsafePointer(to: peer) { place in
                place.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = sendto(udp, reply, reply.count, 0, $0, length)
                }
            }
        }
        close(udp)
    }

    /// Messages with their lengths in front (RFC 1035 4.2.2).
    private func serve(_ connection: RawConnection) {
        while let size = try? connection.receive(exactly: 2),
            let message = try? connection.receive(exactly: Int(size[0]) << 8 | Int(size[1]))
        {
            guard let reply = reply(to: message, byTCP: true) else { continue }
            try? connection.send([UInt8(reply.count >> 8), UInt8(reply.count & 255)] + reply)
        }
    }

    // MARK: messages

    /// nil: nothing is said.
    private func reply(to message: [UInt8], byTCP: Bool) -> [UInt8]? {
        guard let (question, end) = Self.read(message, byTCP: byTCP) else { return nil }
        let zone = state.withLock { state in
            state.questions.append(question)
            return state.zone
        }
        let asked = Array(message[12..<end])
        func response(code: UInt8, truncated: Bool = false, _ records: [[UInt8]] = []) -> [UInt8] {
            // QR, RD as asked, RA; one question.
            let flags: [UInt8] = [0x80 | (truncated ? 2 : 0) | message[2] & 1, 0x80 | code]
            let counts: [UInt8] = [0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
            return message[..<2] + flags + counts + asked + records.flatMap { $0 }
        }
        var records: [[UInt8]] = []
        var name = question.name
        // Aliases may follow each other, not for ever.
        for _ in 0..<8 {
            switch zone[name] ?? .noSuchName {
            case .noSuchName: return response(code: records.isEmpty ? 3 : 0, records)
            case .serverFailure: return response(code: 2)
            case .silence: return nil
            case .nonsense: return Array(message[..<2]) + [0xFF, 0xFF, 0xFF]
            case .alias(let other, let ttl):
                records.append(Self.record(name, 5, ttl, Self.labels(other)))
                name = other
                continue
            case .onlyByTCP(let texts, let ttl):
                if !byTCP { return response(code: 0, truncated: true) }
                records += Self.records(name, texts, question.type, ttl)
            case .addresses(let texts, let ttl):
                records += Self.records(name, texts, question.type, ttl)
            }
            break
        }
        return response(code: 0, records)
    }

    private static func read(_ message: [UInt8], byTCP: Bool) -> (Question, end: Int)? {
        guard message.count > 16 else { return nil }
        var at = 12
        var labels: [String] = []
        while at < message.count, message[at] != 0 {
            let next = at + 1 + Int(message[at])
            guard next < message.count else { return nil }
            labels.append(String(decoding: message[at + 1..<next], as: UTF8.self))
            at = next
        }
        guard at + 5 <= message.count else { return nil }
        let type = UInt16(message[at + 1]) << 8 | UInt16(message[at + 2])
        let name = labels.joined(separator: ".").lowercased()
        return (Question(name: name, type: type, byTCP: byTCP), at + 5)
    }

    private static func labels(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private static func records(
        _ name: String, _ texts: [String], _ type: UInt16, _ ttl: UInt32
    ) -> [[UInt8]] {
        texts.compactMap { text in
            var bytes = [UInt8](repeating: 0, count: 16)
            let isIPv4 = inet_pton(AF_INET, text, &bytes) == 1
            guard isIPv4 || inet_pton(AF_INET6, text, &bytes) == 1, (type == 1) == isIPv4 else { return nil }
            return record(name, type, ttl, Array(bytes.prefix(isIPv4 ? 4 : 16)))
        }
    }

    private static func record(_ name: String, _ type: UInt16, _ ttl: UInt32, _ data: [UInt8]) -> [UInt8] {
        labels(name) + [UInt8(type >> 8), UInt8(type & 255), 0, 1]
            + (0..<4).map { UInt8(truncatingIfNeeded: ttl >> UInt32(24 - 8 * $0)) }
            + [UInt8(data.count >> 8), UInt8(data.count & 255)] + data
    }
}
