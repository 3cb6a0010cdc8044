// The PROXY protocol, versions 1 and 2, read and written.
import Base
import FuzzInvariants
import Sniff
import TestSupport
import Testing

@Suite struct ProxyHeaderTests {
    private let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10] + Array("QUIT\n".utf8)

    private func expect(_ bytes: [UInt8], _ expected: ProxyHeaderVerdict) {
        let (verdict, _) = ProxyHeaderInvariants.read(bytes)
        #expect(verdict == expected, "\(printable(bytes))")
        #expect(ProxyHeaderInvariants.violation(bytes) == nil, "\(printable(bytes))")
    }

    private func expect(_ text: String, _ expected: ProxyHeaderVerdict) { expect(Array(text.utf8), expected) }

    private func binary(_ command: UInt8, _ kind: UInt8, _ rest: [UInt8]) -> [UInt8] {
        signature + [command, kind, UInt8(rest.count >> 8), UInt8(rest.count & 255)] + rest
    }

    @Test func lines() {
        expect(
            "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n",
            .header(length: 45, source: "192.0.2.7:56324", destination: "198.51.100.2:443"))
        expect(
            "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n",
            .header(length: 36, source: "[2001:db8::1]:0", destination: "[::1]:65535"))
        expect(
            "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n",
            .header(length: 37, source: "192.0.2.7:1", destination: "[::1]:2"))
        let unknown = ["", " ", " TCP4 1.2.3.4", " " + String(repeating: "x", count: 91)]
        for rest in unknown {
            expect(
                "PROXY UNKNOWN\(rest)\r\n",
                .header(length: 15 + rest.utf8.count, source: nil, destination: nil))
        }
    }

    @Test(arguments: [
        "PROXY TCP4 192.0.2.7 198.51.100.2 56324\r\n", "PROXY TCP4 192.0.2.7 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.2 56324 443\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY \r\n", "PROXY \n",
        "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", "PROXY TCP4\t1.2.3.4 1.2.3.4 1 2\r\n",
    ])
    func badLines(_ text: String) {
        let (verdict, _) = ProxyHeaderInvariants.read(Array(text.utf8))
        #expect(verdict == .malformed || verdict == .family, "\(text): \(verdict)")
        #expect(ProxyHeaderInvariants.violation(Array(text.utf8)) == nil, "\(text)")
    }

    @Test func lineWithoutEnd() {
        expect("PROXY UNKNOWN " + String(repeating: "x", count: 93), .tooLong)
        expect("PROXY UNKNOWN " + String(repeating: "x", count: 92), .more)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "proxy TCP4", "PROXYTCP4", "\r\nGET", "\r\n\r\n\0\r\nQUIT\r", "\u{16}\u{3}",
    ])
    func otherProtocols(_ text: String) { expect(text, .missing) }

    @Test func binaryAddresses() {
        let four: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB]
        expect(
            binary(0x21, 0x11, four) + Array("GET".utf8),
            .header(length: 28, source: "192.0.2.7:56324", destination: "198.51.100.2:443"))
        let six: [UInt8] = [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        expect(
            binary(0x21, 0x21, six + six + [0, 9, 0, 80] + [4, 0, 2, 1, 2] + [1, 0, 0]),
            .header(length: 60, source: "[2001:db8::1]:9", destination: "[2001:db8::1]:80"))
        expect(
            binary(
                0x21, 0x21, [UInt8](repeating: 0, count: 10) + [255, 255, 1, 2, 3, 4] + six + [0, 9, 0, 80]),
            .header(length: 52, source: "1.2.3.4:9", destination: "[2001:db8::1]:80"))
    }

    @Test func binaryWithoutAddresses() {
        for (command, kind) in [(0x20, 0), (0x20, 0x11), (0x20, 0x31), (0x21, 0)] as [(UInt8, UInt8)] {
            expect(binary(command, kind, []), .header(length: 16, source: nil, destination: nil))
            expect(binary(command, kind, [1, 2, 3]), .header(length: 19, source: nil, destination: nil))
        }
    }

    @Test func binaryRefused() {
        let four: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB]
        expect(binary(0x21, 0x31, [UInt8](repeating: 0, count: 216)), .family)
        expect(binary(0x21, 0x12, four), .family)
        expect(binary(0x21, 0x41, four), .malformed)
        expect(binary(0x21, 0x13, four), .malformed)
        expect(binary(0x11, 0x11, four), .malformed)
        expect(binary(0x22, 0x11, four), .malformed)
        expect(binary(0x21, 0x11, Array(four.dropLast())), .malformed)
        expect(binary(0x21, 0x21, four), .malformed)
        expect(binary(0x21, 0x11, four + [4]), .malformed)
        expect(binary(0x21, 0x11, four + [4, 0, 9, 1]), .malformed)
        expect(binary(0x21, 0x11, four + [UInt8](repeating: 0, count: Limits.proxyHeaderBytes)), .tooLong)
        let extras = [4] + Hello.vector([UInt8](repeating: 1, count: Limits.proxyHeaderBytes - 31), 2)
        expect(
            binary(0x21, 0x11, four + extras),
            .header(
                length: Limits.proxyHeaderBytes, source: "192.0.2.7:56324", destination: "198.51.100.2:443"))
    }

    @Test func mixedFamiliesGoAsIPv6() throws {
        let source = SocketAddress(ipv4: 0x0102_0304, port: 5)
        let destination = try #require(SocketAddress(text: "2001:db8::9", port: 443))
        for version in [ProxyHeader.Version.v1, .v2] {
            var out = [UInt8](repeating: 0, count: ProxyHeader.writtenBytesMax)
            let count = ProxyHeader.write(version, source, destination, to: &out)
            expect(
                Array(out[..<count]),
                .header(length: count, source: "1.2.3.4:5", destination: "[2001:db8::9]:443"))
        }
    }

    @Test func longestLineFits() throws {
        let longest = try #require(
            SocketAddress(text: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", port: 65_535))
        var out = [UInt8](repeating: 0, count: ProxyHeader.writtenBytesMax)
        let count = ProxyHeader.write(.v1, longest, longest, to: &out)
        #expect(count <= ProxyHeader.writtenBytesMax)
        expect(Array(out[..<count]), .header(length: count, source: longest.text, destination: longest.text))
    }

    @Test func randomDamage() {
        var random = SeededRandom()
        let seeds = [
            Array("PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\nG".utf8),
            Array("PROXY TCP6 2001:db8::1 ::1 1 65535\r\nG".utf8),
            binary(0x21, 0x11, [192, 0, 2, 7, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB, 4, 0, 1, 7]) + [71],
        ]
        for _ in 0..<600 {
            var bytes = random.pick(seeds)
            for _ in 0..<random.int(1...3) {
                bytes[random.int(0...bytes.count - 1)] = UInt8(random.int(0...255))
            }
            let wrong = ProxyHeaderInvariants.violation(bytes)
            #expect(wrong == nil, "\(printable(bytes))")
        }
    }
}
