// Random and hostile heads against the invariants the fuzz targets use.
import FuzzInvariants
import HTTP
import TestSupport
import Testing

@Suite struct HeadRandom {
    private let names = [
        "Host", "Connection", "Content-Length", "Transfer-Encoding", "TE", "Upgrade", "Expect", "Cookie",
        "X-A",
        "x-forwarded-for", "sixteen-bytes-nm", "seventeen-bytes-n", "fifteen-bytes-n", "A", "x_y", "Trailer",
    ]
    private let values = [
        "a", "", "5", "0", "chunked", "close", "keep-alive, x-a", "upgrade", "websocket", "100-continue",
        "a=b; c=d", " \t x \t ", "18446744073709551616", "[::1]:80", "a:8080", "trailers", "D\u{FC}",
        "\u{0B}",
    ]

    private func field(_ random: inout SeededRandom) -> String {
        "\(random.pick(names)):\(random.pick(["", " ", "\t ", "  "]))\(random.pick(values))\r\n"
    }

    private func request(_ random: inout SeededRandom) -> [UInt8] {
        let method = random.pick(["GET", "POST", "CONNECT", "OPTIONS", "m-search"])
        let target = random.pick(["/", "/a?b#c", "*", "a:443", "http://h:80/p?q", "//", "/%2e%2e/"])
        let version = random.pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"])
        let host = random.chance(80) ? "Host: h.example\r\n" : ""
        let lines = (0..<random.int(0...5)).map { _ in field(&random) }.joined()
        let before = random.chance(10) ? "\r\n" : ""
        return Array(
            "\(before)\(method) \(target) \(version)\r\n\(host)\(lines)\r\n\(random.pick(["", "body"]))".utf8)
    }

    private func response(_ random: inout SeededRandom) -> [UInt8] {
        let version = random.pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2"])
        let lines = (0..<random.int(0...5)).map { _ in field(&random) }.joined()
        let status = "\(random.int(0...9))\(random.int(0...9))\(random.int(0...9))"
        return Array(
            "\(version) \(status)\(random.pick(["", " ", " OK", " N\u{E4}"]))\r\n\(lines)\r\nbody".utf8)
    }

    @Test func randomRequests() {
        var random = SeededRandom()
        let reader = HeadReader()
        var accepted = 0
        for _ in 0..<600 {
            let bytes = request(&random)
            let input = random.chance(50) ? bytes : random.mutated(bytes)
            if let wrong = HeadInvariants.violation(.request, input, reader) {
                Issue.record("\(printable(input)): \(wrong)")
            }
            if reader.read(.request, input).head != nil { accepted += 1 }
        }
        #expect(accepted > 60, "too few accepted to mean anything")
    }

    @Test func randomResponses() {
        var random = SeededRandom()
        let reader = HeadReader()
        var accepted = 0
        for _ in 0..<600 {
            let bytes = response(&random)
            let input = random.chance(50) ? bytes : random.mutated(bytes)
            if let wrong = HeadInvariants.violation(.response, input, reader) {
                Issue.record("\(printable(input)): \(wrong)")
            }
            if reader.read(.response, input).head != nil { accepted += 1 }
        }
        #expect(accepted > 60, "too few accepted to mean anything")
    }

    @Test func randomBytesAreNeverAccepted() {
        var random = SeededRandom()
        let reader = HeadReader()
        for _ in 0..<300 {
            let bytes = random.bytes(random.int(0...200))
            for kind in [HeadKind.request, .response] {
                #expect(reader.read(kind, bytes).head == nil)
                #expect(HeadInvariants.violation(kind, bytes, reader) == nil)
            }
        }
    }

    /// Every byte value at every place of a request: accepted or refused alike by two readers.
    @Test func hostileByteAnywhere() {
        let reader = HeadReader()
        let base = Array("GET /a HTTP/1.1\r\nHost: a\r\nX-Y: b\r\n\r\n".utf8)
        for at in 0..<base.count {
            for byte in UInt8.min...UInt8.max {
                var bytes = base
                bytes[at] = byte
                guard case .complete(let head) = reader.read(.request, bytes) else { continue }
                let strict = StrictReader.read(.request, Array(bytes[..<head.length]))
                #expect(strict?.fields == head.fields, "\(printable(bytes))")
            }
        }
    }
}
