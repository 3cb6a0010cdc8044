// A second opinion on what leaves the proxy: reads the raw bytes an upstream got, by the letter of RFC 9112,
// and shares no code with the product or with the lenient helpers.
import Synchronization
import TestSupport

/// The requests that bytes hold, and whether they are nothing else.
struct StrictRequests {
    /// Whole requests: start line, lower-case field names with values, body.
    var whole: [(line: String, fields: [(String, String)], body: [UInt8])] = []
    /// Bytes behind the last whole request that may still become one.
    var rest: [UInt8] = []
    /// Why the bytes are not well-formed.
    var fault: String?

    init(_ bytes: [UInt8]) {
        var at = 0
        while at < bytes.count {
            do {
                guard let next = try read(bytes, at) else { break }
                at = next
            } catch {
                fault = "\(error) at \(at) in \(printable(bytes))"
                return
            }
        }
        rest = Array(bytes[at...])
    }

    private struct Fault: Error, CustomStringConvertible { let description: String }

    private mutating func read(_ bytes: [UInt8], _ start: Int) throws -> Int? {
        guard let (line, afterLine) = try self.line(bytes, start) else { return nil }
        let parts = line.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2] == "HTTP/1.1", isToken(parts[0]), !parts[1].isEmpty else {
            throw Fault(description: "request line \(line)")
        }
        var fields: [(String, String)] = []
        var at = afterLine
        while true {
            guard let (line, after) = try self.line(bytes, at) else { return nil }
            at = after
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: ":"), isToken(line[..<colon]) else {
                throw Fault(description: "field line \(line)")
            }
            var value = line[line.index(after: colon)...]
            while value.first == " " || value.first == "\t" { value.removeFirst() }
            while value.last == " " || value.last == "\t" { value.removeLast() }
            fields.append((line[..<colon].lowercased(), String(value)))
        }
        let lengths = fields.filter { $0.0 == "content-length" }.map(\.1)
        let codings = fields.filter { $0.0 == "transfer-encoding" }.map(\.1)
        guard fields.filter({ $0.0 == "host" }).count == 1 else { throw Fault(description: "not one host") }
        guard lengths.count + codings.count <= 1 else { throw Fault(description: "two framings") }
        var body: [UInt8] = []
        if let length = lengths.first {
            guard !length.isEmpty, length.allSatisfy({ "0123456789".contains($0) }), let count = Int(length)
            else {
                throw Fault(description: "content-length \(length)")
            }
            guard bytes.count - at >= count else { return nil }
            body = Array(bytes[at..<at + count])
            at += count
        } else if let coding = codings.first {
            guard coding == "chunked" else { throw Fault(description: "transfer-encoding \(coding)") }
            guard let end = try chunks(bytes, at, &body) else { return nil }
            at = end
        }
        whole.append((line, fields, body))
        return at
    }

    /// Chunks as this proxy writes them: no extensions, no trailers, lower-case hex without leading zeros.
    private func chunks(_ bytes: [UInt8], _ start: Int, _ body: inout [UInt8]) throws -> Int? {
        var at = start
        while true {
            guard let (line, after) = try self.line(bytes, at) else { return nil }
            guard let size = Int(line, radix: 16), String(size, radix: 16) == line else {
                throw Fault(description: "chunk size \(line)")
            }
            guard bytes.count >= after + size + 2 else { return nil }
            body += bytes[after..<after + size]
            guard bytes[after + size] == 13, bytes[after + size + 1] == 10 else {
                throw Fault(description: "end of a chunk")
            }
            at = after + size + 2
            if size == 0 { return at }
        }
    }

    /// A line without its CRLF; control characters are faults.
    private func line(_ bytes: [UInt8], _ start: Int) throws -> (String, Int)? {
        var at = start
        while at < bytes.count {
            let byte = bytes[at]
            if byte == 13 {
                guard at + 1 < bytes.count else { return nil }
                guard bytes[at + 1] == 10 else { throw Fault(description: "bare CR") }
                return (String(decoding: bytes[start..<at], as: UTF8.self), at + 2)
            }
            if byte < 32 && byte != 9 || byte == 127 { throw Fault(description: "control character \(byte)") }
            at += 1
        }
        return nil
    }

    private func isToken(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                    || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
    }
}

/// Keeps the raw bytes of every connection and answers each whole request with 200.
final class RecordingUpstream: Sendable {
    private let upstream: RawUpstream
    private let record: Record

    private struct Connection {
        var bytes: [UInt8] = []
        var hasEnded = false
    }

    private final class Record: Sendable {
        let connections = Mutex<[Connection]>([])
    }

    init() throws {
        let record = Record()
        self.record = record
        upstream = try RawUpstream { connection, number in
            func note(_ change: (inout Connection) -> Void) {
                record.connections.withLock { all in
                    while all.count <= number { all.append(Connection()) }
                    change(&all[number])
                }
            }
            note { _ in }
            defer { note { $0.hasEnded = true } }
            var all: [UInt8] = []
            var answered = 0
            while let piece = try? connection.receive(), !piece.isEmpty {
                all += piece
                note { $0.bytes += piece }
                let whole = StrictRequests(all).whole
                while answered < whole.count {
                    let isHead = whole[answered].line.hasPrefix("HEAD ")
                    let response = isHead ? "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" : okResponse()
                    guard (try? connection.send(response)) != nil else { return }
                    answered += 1
                }
            }
        }
    }

    var port: UInt16 { upstream.port }
    var isIdle: Bool { record.connections.withLock { $0.allSatisfy(\.hasEnded) } }

    /// All connections' bytes since the last call; where that came amid a request, the whole of it again.
    func take() -> [[UInt8]] {
        record.connections.withLock { all in
            let taken = all.map(\.bytes).filter { !$0.isEmpty }
            for index in all.indices {
                let seen = StrictRequests(all[index].bytes)
                all[index].bytes = all[index].hasEnded || seen.fault != nil ? [] : seen.rest
            }
            return taken
        }
    }
}
