// Input that means harm: whatever comes, an upstream gets whole well-formed requests or nothing it could take
// for one, and the client a 4xx or 5xx and the end of its connection.
import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3)))
struct HttpHostile {
    /// One raw input through a proxy: forwarded as well-formed requests, each answered, or refused.
    struct Probe {
        let upstream: RecordingUpstream
        let proxy: HttpProxy

        init(spec: [String] = []) throws {
            upstream = try RecordingUpstream()
            proxy = try HttpProxy(to: [upstream.port], spec: spec)
        }

        struct Outcome: Equatable, CustomStringConvertible {
            /// Statuses in order.
            var statuses: [Int]
            /// Bodies of whole requests that the upstream got.
            var forwarded: [String]
            var description: String { "statuses \(statuses), forwarded \(forwarded)" }
        }

        func run(_ pieces: [[UInt8]], _ name: String) throws -> Outcome {
            let client = try proxy.connect()
            var answer: [UInt8] = []
            do {
                for piece in pieces { try client.send(piece) }
                client.halfClose()
                answer = try client.receiveToEnd()
            } catch let reset as ConnectionReset {
                answer = reset.received + ((try? client.receiveToEnd()) ?? [])
            }
            var outcome = Outcome(statuses: statuses(answer), forwarded: [])
            // Whole requests were answered before the client's end, so they are recorded; parts may still
            // come.
            for bytes in upstream.take() {
                let seen = StrictRequests(bytes)
                #expect(seen.fault == nil, "\(name): \(seen.fault ?? "")")
                outcome.forwarded += seen.whole.map {
                    let body = String(decoding: $0.body, as: UTF8.self)
                    return "\($0.line.dropLast(9)) \(body)"
                }
            }
            let served = outcome.statuses.filter { $0 == 200 }.count
            #expect(served == outcome.forwarded.count, "\(name): \(outcome)")
            #expect(outcome.statuses.dropLast().allSatisfy { $0 == 200 }, "\(name): \(outcome)")
            return outcome
        }

        /// Statuses of the responses in `bytes`; each is framed by its length.
        private func statuses(_ bytes: [UInt8]) -> [Int] {
            let text = String(decoding: bytes, as: UTF8.self)
            var statuses: [Int] = []
            var from = text.startIndex
            while let range = text[from...].firstRange(of: "HTTP/1.1 ") {
                statuses.append(Int(text[range.upperBound...].prefix(3)) ?? 0)
                from = range.upperBound
            }
            return statuses
        }
    }

    private struct Corpus: Decodable {
        struct Case: Decodable {
            var id: String
            var kind: String
            var raw: String
        }
        var cases: [Case]
    }

    /// Cases of llhttp's own tests: as they are, and with a Host where they have none, so that more than that
    /// one rule decides.
    @Test func corpusOfLlhttp() throws {
        let file = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let bytes = try #require(readFile("/\(file)/Fixtures/llhttp/requests.json"))
        let cases = try JSONDecoder().decode(Corpus.self, from: Data(bytes)).cases
        let requests = cases.filter { $0.kind == "request" }
        #expect(requests.count > 100)
        let probe = try Probe()
        var forwarded = 0
        var refused = 0
        for one in requests {
            // JSON holds bytes as characters up to U+00FF.
            let raw = one.raw.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            for bytes in [raw, withHost(raw)] {
                let outcome = try probe.run([bytes], one.id)
                forwarded += outcome.forwarded.count
                if let last = outcome.statuses.last, last >= 400 { refused += 1 }
            }
        }
        #expect(forwarded > 30 && refused > 100, "\(forwarded) forwarded, \(refused) refused")
        #expect(try probe.proxy.connect().get("/").status == 200)
        try waitUntil("no request to be left") {
            try probe.proxy.metric("fairlead_downstream_requests_active") == 0
        }
    }

    private func withHost(_ raw: [UInt8]) -> [UInt8] {
        let text = String(decoding: raw, as: UTF8.self)
        if text.lowercased().contains("\nhost:") { return raw }
        guard let end = raw.firstIndex(of: 0x0A) else { return raw }
        return Array(raw[...end]) + Array("Host: h\r\n".utf8) + Array(raw[(end + 1)...])
    }

    /// Requests that two parsers may read differently, with what becomes of them. The tail, a request that
    /// must never be seen by itself, is what an attacker would smuggle.
    private static let smuggling: [(name: String, status: Int, raw: String)] = {
        let tail = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
        func post(_ lines: String..., body: String = "") -> String {
            (["POST / HTTP/1.1", "Host: h"] + lines).joined(separator: "\r\n") + "\r\n\r\n" + body
        }
        let chunked = "Transfer-Encoding: chunked"
        return [
            ("CL.TE", 400, post("Content-Length: 6", chunked, body: "0\r\n\r\n" + tail)),
            ("TE.CL", 400, post(chunked, "Content-Length: 4", body: "5c\r\n\(tail)0\r\n\r\n")),
            ("TE.TE", 400, post(chunked, "Transfer-Encoding: identity", body: "0\r\n\r\n")),
            ("TE twice", 400, post(chunked, chunked, body: "0\r\n\r\n")),
            ("TE list", 501, post("Transfer-Encoding: chunked, chunked", body: "0\r\n\r\n")),
            ("TE unknown", 501, post("Transfer-Encoding: xchunked", body: tail)),
            ("TE identity", 501, post("Transfer-Encoding: identity", "Content-Length: 3", body: "abc")),
            ("TE quoted", 501, post("Transfer-Encoding: \"chunked\"", body: "0\r\n\r\n")),
            ("TE vertical tab", 400, post("Transfer-Encoding: \u{0B}chunked", body: "0\r\n\r\n")),
            ("TE space before colon", 400, post("Transfer-Encoding : chunked", body: "0\r\n\r\n")),
            ("TE folded", 501, post("Transfer-Encoding:\r\n chunked", body: "0\r\n\r\n")),
            ("TE in 1.0", 400, "POST / HTTP/1.0\r\nHost: h\r\n\(chunked)\r\n\r\n0\r\n\r\n"),
            ("CL twice", 400, post("Content-Length: 3", "Content-Length: 4", body: "abcd")),
            ("CL list", 400, post("Content-Length: 3, 3", body: "abc")),
            ("CL sign", 400, post("Content-Length: +3", body: "abc")),
            ("CL minus", 400, post("Content-Length: -1")),
            ("CL hex", 400, post("Content-Length: 0x3", body: "abc")),
            ("CL blank inside", 400, post("Content-Length: 1 0", body: "0123456789")),
            ("CL empty", 400, post("Content-Length:", body: tail)),
            ("CL overflow", 413, post("Content-Length: 18446744073709551619", body: "abc")),
            ("CL space before colon", 400, post("Content-Length : 3", body: "abc")),
            ("CL folded", 400, post("Content-Length: 1\r\n 0", body: "0123456789")),
            ("obs-fold", 400, post("X-A: b", " folded: c", "Content-Length: 0")),
            ("fold at first", 400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
            ("bare LF", 400, "GET / HTTP/1.1\nHost: h\n\n"),
            ("bare LF in head", 400, "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
            ("bare CR", 400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
            ("NUL in value", 400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n"),
            ("NUL in name", 400, "GET / HTTP/1.1\r\nHost: h\r\nX\u{0}: a\r\n\r\n"),
            ("NUL in target", 400, "GET /\u{0} HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("no host", 400, "GET / HTTP/1.1\r\n\r\n"),
            ("two hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ("same host twice", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            ("host list", 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            ("host with userinfo", 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
            ("host with path", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ("empty name", 400, "GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n"),
            ("no colon", 400, "GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n"),
            ("tab in request line", 400, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("two blanks", 400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("blank in target", 400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("HTTP/0.9", 400, "GET /\r\n\r\n"),
            ("HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("HTTP/1.2", 505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"),
            ("lower-case version", 400, "GET / http/1.1\r\nHost: h\r\n\r\n"),
            ("CONNECT with body", 400, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
            ("CONNECT at an edge", 404, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("chunk size junk", 400, post(chunked, body: "5 \r\nhello\r\n0\r\n\r\n")),
            ("chunk size sign", 400, post(chunked, body: "+5\r\nhello\r\n0\r\n\r\n")),
            ("chunk size hex prefix", 400, post(chunked, body: "0x5\r\nhello\r\n0\r\n\r\n")),
            ("chunk size empty", 400, post(chunked, body: "\r\nhello\r\n0\r\n\r\n")),
            ("chunk size overflow", 400, post(chunked, body: "10000000000000005\r\nhello\r\n0\r\n\r\n")),
            ("chunk too short", 400, post(chunked, body: "3\r\nhello\r\n0\r\n\r\n")),
            ("chunk with bare LF", 400, post(chunked, body: "5\nhello\n0\n\n")),
            ("chunk ended by LF", 400, post(chunked, body: "5\r\nhello\n0\r\n\r\n")),
            ("extension with LF", 400, post(chunked, body: "5;a\nb\r\nhello\r\n0\r\n\r\n")),
            ("endless extension", 400, post(chunked, body: "5;" + String(repeating: "x", count: 1_000))),
            ("bad trailer", 400, post(chunked, body: "0\r\nbad trailer\r\n\r\n")),
            (
                "endless trailers", 400,
                post(chunked, body: "0\r\n" + String(repeating: "a: b\r\n", count: 3_000))
            ),
        ]
    }()

    @Test(arguments: [0, 1, 2])
    func smugglingIsRefused(_ delivery: Int) throws {
        let probe = try Probe()
        var random = SeededRandom()
        for (name, status, raw) in Self.smuggling {
            let bytes = Array(raw.utf8)
            let pieces: [[UInt8]]
            switch delivery {
            case 0: pieces = [bytes]
            case 1: pieces = bytes.count > 500 ? [bytes] : bytes.map { [$0] }
            default: pieces = random.split(bytes)
            }
            let outcome = try probe.run(pieces, name)
            #expect(outcome.statuses == [status], "\(name): \(outcome)")
            #expect(outcome.forwarded.isEmpty, "\(name): \(outcome)")
        }
        #expect(try probe.proxy.connect().get("/").status == 200)
    }

    /// What is merely odd goes through, and the request behind it is a request of its own.
    @Test func oddButUnambiguousIsForwarded() throws {
        let probe = try Probe()
        let next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
        let odd = [
            (
                "CL twice the same",
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
            ),
            ("GET with a body", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /"),
            ("blank lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            (
                "connection names fields",
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, host\r\nX-A: 1\r\n\r\n"
            ),
            (
                "chunked in capitals",
                "PUT / HTTP/1.1\r\nhOST: h\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            ),
            ("high bytes", "GET /\u{E9} HTTP/1.1\r\nHost: h\r\nX: \u{E9}\r\n\r\n"),
        ]
        for (name, raw) in odd {
            for pieces in [[Array((raw + next).utf8)], Array((raw + next).utf8).map { [$0] }] {
                let outcome = try probe.run(pieces, name)
                #expect(outcome.statuses == [200, 200], "\(name): \(outcome)")
                #expect(
                    outcome.forwarded.count == 2 && outcome.forwarded.last == "GET /next ",
                    "\(name): \(outcome)")
            }
        }
    }

    /// Random damage to valid requests at random splits: no crash, nothing malformed upstream.
    @Test func randomDamage() throws {
        var random = SeededRandom()
        let probe = try Probe()
        let valid = [
            "GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5;x\r\nhello\r\n0\r\nT: v\r\n\r\n",
        ].map { Array($0.utf8) }
        for round in 0..<400 {
            let bytes = random.mutated(random.pick(valid)) + (random.chance(30) ? random.pick(valid) : [])
            _ = try probe.run(random.chance(50) ? [bytes] : random.split(bytes), "round \(round)")
        }
        #expect(try probe.proxy.connect().get("/").status == 200)
        #expect(probe.proxy.process.exitCode == nil)
    }
}

extension SeededRandom {
    /// Cut at one to five random places.
    mutating func split(_ bytes: [UInt8]) -> [[UInt8]] {
        var cuts = (0..<int(1...5)).map { _ in int(0...bytes.count) }.sorted()
        cuts.append(bytes.count)
        var pieces: [[UInt8]] = []
        var from = 0
        for cut in cuts where cut > from {
            pieces.append(Array(bytes[from..<cut]))
            from = cut
        }
        return pieces
    }
}
