// The requests and responses of llhttp's test suite (Tests/Fixtures/llhttp, MIT). llhttp has lenient modes;
// we have none, so many are refused. What is accepted must read the same for a strict second reader.
import FuzzInvariants
import HTTP
import TestSupport
import Testing

struct LlhttpCase: Sendable {
    let id: String
    let kind: HeadKind
    let raw: [UInt8]

    static func load() throws -> [LlhttpCase] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let path = "/\(tests)/Fixtures/llhttp/requests.json"
        guard let bytes = readFile(path) else { throw TestFailure("cannot read \(path)") }
        guard case .object(let root) = try SmallJSON.parse(bytes), case .array(let cases) = root["cases"]
        else {
            throw TestFailure("\(path) has no list of cases")
        }
        return try cases.map { entry in
            guard case .object(let members) = entry, case .string(let id) = members["id"],
                case .string(let kind) = members["kind"], case .string(let raw) = members["raw"]
            else { throw TestFailure("not a case: \(entry)") }
            // One character stands for one byte.
            let bytes = raw.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            return LlhttpCase(id: id, kind: kind == "request" ? .request : .response, raw: bytes)
        }
    }
}

@Suite struct Llhttp {
    /// The message with a Host, where it lacks nothing else that we ask of it: llhttp's cases rarely have
    /// one, and what is behind a refusal for that would stay untested.
    private func withHost(_ raw: [UInt8]) -> [UInt8] {
        // The request line's end; blank lines may come before it.
        guard HeadReader().read(.request, raw) == .refused(.missingHost),
            let end = raw.indices.first(where: { $0 > 1 && raw[$0] == 0x0A && raw[$0 - 2] != 0x0A })
        else { return raw }
        return raw[...end] + Array("Host: a\r\n".utf8) + raw[(end + 1)...]
    }

    @Test func everyCaseHasOneReading() throws {
        let reader = HeadReader()
        for one in try LlhttpCase.load() {
            for raw in one.kind == .request ? [one.raw, withHost(one.raw)] : [one.raw] {
                if let wrong = HeadInvariants.violation(one.kind, raw, reader) {
                    Issue.record("\(one.id): \(wrong)")
                }
                if isLookedAt(raw), raw.count < 400 {
                    try assertSameAtEverySplit(raw) { readByPieces(one.kind, $0) }
                }
            }
        }
    }

    /// Message after message, as a connection meets them: bodies end where a second reader ends them, and the
    /// next head has one reading too.
    @Test func everyMessageOfAConnectionHasOneReading() throws {
        let reader = HeadReader()
        var messages: [HeadKind: Int] = [:]
        var chunked: [ChunkedDecoder.Status: Int] = [:]
        for one in try LlhttpCase.load() {
            var rest = one.kind == .request ? withHost(one.raw) : one.raw
            while let head = reader.read(one.kind, rest).head {
                messages[one.kind, default: 0] += 1
                rest.removeFirst(head.length)
                if head.framing == .length {
                    rest.removeFirst(Int(min(head.contentLength, UInt64(rest.count))))
                } else if head.framing == .chunked {
                    #expect(ChunkedInvariants.violation(rest, sizes: [1, 2, 3, 5]) == nil, "\(one.id)")
                    let body = ChunkedInvariants.reference(rest)
                    chunked[body.status, default: 0] += 1
                    if body.status != .done { break }
                    rest.removeFirst(body.consumed)
                } else if head.framing == .untilClose {
                    break
                }
                #expect(HeadInvariants.violation(one.kind, rest, reader) == nil, "\(one.id)")
                if !head.keepsAlive || head.isConnect || head.status == 101 { break }
            }
        }
        #expect(messages == [.request: 90, .response: 56])
        // `bad` are the suite's own malformed chunks, `more` bodies that it leaves off.
        #expect(chunked == [.done: 20, .bad: 11, .more: 7])
    }

    private func tally(_ kind: HeadKind, _ change: ([UInt8]) -> [UInt8] = { $0 }) throws -> [String: Int] {
        let reader = HeadReader()
        var counts: [String: Int] = [:]
        for one in try LlhttpCase.load() where one.kind == kind {
            switch reader.read(kind, change(one.raw)) {
            case .needMore: counts["needs more", default: 0] += 1
            case .complete: counts["accepted", default: 0] += 1
            case .refused(let why): counts["\(why.name)", default: 0] += 1
            }
        }
        return counts
    }

    /// Most lack a Host, which llhttp leaves to its user. `needs more` are heads that the case cuts off.
    @Test func requestsByOutcome() throws {
        let counts = try tally(.request)
        #expect(
            counts == [
                "accepted": 24, "needs more": 3, "missing_host": 66, "bad_request_line": 1, "bad_version": 9,
                "unsupported_version": 1, "bad_target": 3, "bad_field_line": 33, "bare_line_feed": 7,
                "bad_content_length": 4, "content_length_too_large": 1, "bad_transfer_encoding": 2,
                "unknown_transfer_encoding": 11, "connect_with_body": 1,
            ])
    }

    /// Accepted although llhttp's strict mode refuses it: a byte above ASCII in a target, which goes on as it
    /// is and cannot change where anything ends. Refused although llhttp takes it: ICE and RTSP, a list of
    /// transfer codings (we forward no coding but `chunked`), CRLF missing anywhere.
    @Test func requestsWithAHostByOutcome() throws {
        let counts = try tally(.request, withHost)
        #expect(
            counts == [
                "accepted": 90, "needs more": 3, "bad_request_line": 1, "bad_version": 9,
                "unsupported_version": 1, "bad_target": 3, "bad_field_line": 33, "bare_line_feed": 7,
                "bad_content_length": 4, "content_length_too_large": 1, "bad_transfer_encoding": 2,
                "unknown_transfer_encoding": 11, "connect_with_body": 1,
            ])
    }

    /// Refused although llhttp takes it: RTSP and ICE, blank lines before a response, a list of codings.
    @Test func responsesByOutcome() throws {
        let counts = try tally(.response)
        #expect(
            counts == [
                "accepted": 54, "bad_status_line": 24, "bad_field_line": 4, "bad_transfer_encoding": 1,
                "unknown_transfer_encoding": 2,
            ])
    }
}
