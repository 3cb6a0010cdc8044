// Chunked bodies: every split, the bounds, and what is malformed, against a naive decoder.
import Base
import FuzzInvariants
import HTTP
import TestSupport
import Testing

@Suite struct ChunkedDecoding {
    private func decode(_ text: String) -> ChunkedOutcome {
        ChunkedInvariants.decode(Array(text.utf8), [1 << 20])
    }

    @Test(
        arguments: [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("0\r\n\r\n", ""), ("000\r\n\r\n", ""),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5;a=b;c=\"d;e\"\r\nhello\r\n0;x\r\n\r\n", "hello"), ("5;\r\nhello\r\n0\r\n\r\n", "hello"),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"), ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
            ("0\r\nA: b\r\nC:\r\n\r\n", ""), ("1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n", "x"),
        ])
    func whole(_ raw: String, _ body: String) throws {
        let bytes = Array(raw.utf8)
        let rest = Array("GET / HTTP/1.1\r\n".utf8)
        for input in [bytes, bytes + rest] {
            let outcome = ChunkedInvariants.decode(input, [input.count])
            #expect(outcome.status == .done && outcome.consumed == bytes.count && text(outcome.body) == body)
            try splits(input)
        }
    }

    /// Every single cut, every byte alone, and random cuts.
    private func splits(_ bytes: [UInt8]) throws {
        let expected = ChunkedInvariants.reference(bytes)
        try assertSameAtEverySplit(bytes) { pieces -> ChunkedOutcome in
            let sizes = pieces.map(\.count).filter { $0 > 0 }
            return sizes.isEmpty ? ChunkedOutcome() : ChunkedInvariants.decode(bytes, sizes)
        }
        #expect(ChunkedInvariants.decode(bytes, [max(1, bytes.count)]) == expected)
    }

    @Test(
        arguments: [
            "\r\n", "x\r\n", "5\nhello\r\n", "5\rhello\r\n", "5 \r\nhello\r\n", " 5\r\nhello\r\n", "5\t\r\n",
            "+5\r\n",
            "-5\r\n", "0x5\r\n", "5 ;a\r\n", ";a\r\n", "5;a\nhello\r\n", "5;a\r\rhello", "5;\u{0}\r\n",
            "5;\u{7F}\r\n",
            "5\r\nhelloX\r\n", "5\r\nhello\rX", "5\r\nhello\n0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            "1000000000000000\r\n", "FFFFFFFFFFFFFFFF\r\n", "10000000000000005\r\nhello\r\n",
            "0000000000000005\r\nhello\r\n", "0\r\n\n", "0\r\nA b: c\r\n\r\n", "0\r\nA\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\n A: b\r\n\r\n", "0\r\nA: b\n\r\n", "0\r\nA: \u{0}\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n",
            "0\r\nA: b\r\n\rX",
            "0\r\n\rX", "\u{0}",
        ])
    func malformed(_ raw: String) throws {
        #expect(decode(raw).status == .bad)
        try splits(Array(raw.utf8))
    }

    @Test(arguments: [
        "", "5", "5\r", "5\r\n", "5\r\nhell", "5\r\nhello", "5\r\nhello\r\n0\r\n", "0\r\nA: b\r\n\r", "5;aa",
    ])
    func unfinished(_ raw: String) throws {
        #expect(decode(raw).status == .more)
        try splits(Array(raw.utf8))
    }

    @Test func extensionAtItsBound() {
        let most = String(repeating: "e", count: Limits.chunkLineBytes)
        #expect(decode("1;\(most)\r\nx\r\n0\r\n\r\n").status == .done)
        #expect(decode("1;\(most)e\r\nx\r\n0\r\n\r\n").status == .bad)
        let chunk = "1;\(most)\r\nx\r\n"
        #expect(decode("\(chunk)\(chunk)\(chunk)0\r\n\r\n").status == .done, "the bound is each chunk's")
    }

    @Test func trailersAtTheirBound() {
        func raw(_ bytes: Int) -> String {
            "0\r\n" + "A: " + String(repeating: "t", count: bytes - 6) + "\r\n\r\n"
        }
        #expect(decode(raw(Limits.trailerBytes)).status == .done)
        #expect(decode(raw(Limits.trailerBytes + 1)).status == .bad)
        let many = "0\r\n" + String(repeating: "A: b\r\n", count: Limits.trailerBytes / 6 + 1) + "\r\n"
        #expect(decode(many).status == .bad)
        #expect(ChunkedInvariants.violation(Array(many.utf8), sizes: [7, 1_000]) == nil)
    }

    /// A size that says nearly everything: bytes flow, nothing is counted wrong, memory does not grow.
    @Test func largestSize() {
        let input = Array("fffffffffffffff\r\n".utf8) + [UInt8](repeating: 0x78, count: 4_096)
        let outcome = ChunkedInvariants.decode(input, [input.count])
        #expect(outcome.status == .more && outcome.body.count == 4_096)
    }

    @Test func doneStaysDoneAndTakesNothing() {
        var decoder = ChunkedDecoder()
        var bytes = Array("0\r\n\r\nGET".utf8)
        let count = bytes.count
        bytes.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            let step = decoder.decode(start, count)
            #expect(step.status == .done && step.consumed == 5 && decoder.isDone)
            let again = decoder.decode(start + 5, 3)
            #expect(again.status == .done && again.consumed == 0 && again.produced == 0)
        }
    }

    /// After a fault nothing more is believed, and the body is never called complete.
    @Test(arguments: ["0\r\n\rX", "5\nhello", "1\r\nxY", "0\r\nA\n"]) func badStaysBad(_ raw: String) {
        var decoder = ChunkedDecoder()
        var bytes = Array(raw.utf8) + Array("\n\r\n0\r\n\r\n".utf8)
        let count = bytes.count
        bytes.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            let step = decoder.decode(start, count)
            #expect(step.status == .bad && !decoder.isDone)
            for at in step.consumed..<count {
                let next = decoder.decode(start + at, 1)
                #expect(next.status == .bad && next.produced == 0 && !decoder.isDone)
            }
        }
    }

    private func randomBody(_ random: inout SeededRandom) -> [UInt8] {
        var raw: [UInt8] = []
        for _ in 0..<random.int(0...4) {
            let data = random.bytes(random.int(1...40))
            let size = String(data.count, radix: 16, uppercase: random.chance(50))
            let zeros = String(repeating: "0", count: random.int(0...3))
            let ext = random.chance(30) ? ";\(random.text(random.int(0...9), of: "ab=\" ;\t"))" : ""
            raw += Array("\(zeros)\(size)\(ext)\r\n".utf8) + data + [0x0D, 0x0A]
        }
        let trailers = (0..<random.int(0...2)).map { _ in "\(random.text(3, of: "aB-")): x\r\n" }.joined()
        return raw + Array("0\r\n\(trailers)\r\n".utf8)
    }

    @Test func randomBodiesAgainstTheReference() {
        var random = SeededRandom()
        var done = 0
        for _ in 0..<1_500 {
            let body = randomBody(&random)
            let input = random.chance(60) ? body : random.mutated(body)
            let sizes = (0..<5).map { _ in random.int(1...12) }
            if let wrong = ChunkedInvariants.violation(input, sizes: sizes) {
                Issue.record("\(printable(input)): \(wrong)")
            }
            if ChunkedInvariants.reference(input).status == .done { done += 1 }
        }
        #expect(done > 500, "too few complete to mean anything")
    }

    @Test func hostileRandomBytes() {
        var random = SeededRandom()
        for _ in 0..<1_000 {
            let input = Array(random.text(random.int(0...40), of: "0123aAfF;:\r\n\r\n x").utf8)
            if let wrong = ChunkedInvariants.violation(input, sizes: [random.int(1...5), random.int(1...5)]) {
                Issue.record("\(printable(input)): \(wrong)")
            }
        }
    }
}
