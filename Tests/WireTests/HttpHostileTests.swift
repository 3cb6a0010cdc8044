// Input that means harm: whatever comes, an upstream gets whole well-formed requests or nothing it could take
// for one, and the client a 4xx or 5xx and the end of its connection.
import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpHostile {
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
        let probe = try HttpProbe()
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

    /// Random damage to valid requests at random splits: no crash, nothing malformed upstream.
    @Test func randomDamage() throws {
        var random = SeededRandom()
        let probe = try HttpProbe()
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
