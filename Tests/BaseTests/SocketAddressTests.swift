// Addresses as text, against inet_ntop(3) and inet_pton(3).
import Base
import CLinux
import TestSupport
import Testing

@Suite struct SocketAddresses {
    private func text(_ address: SocketAddress) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SocketAddress.textBytesMax) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            return ByteView(start, address.writeAddress(to: start)).string
        }
    }

    private func reference(_ family: Int32, _ address: [UInt8]) -> String {
        var out = [CChar](repeating: 0, count: 64)
        _ = inet_ntop(family, address, &out, socklen_t(out.count))
        return String(decoding: out.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private func bigEndian(_ value: UInt64, _ bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (bytes - 1 - $0))) }
    }

    @Test(arguments: ["10.1.2.3:8080", "[::1]:80", "[fd00::5]:0", "0.0.0.0:65535"])
    func addressAndPort(_ text: String) { #expect(SocketAddress(addressAndPort: text)?.text == text) }

    @Test(arguments: [
        "", ":", ":80", "10.1.2.3", "10.1.2.3:", "10.1.2.3:+80", "10.1.2.3:65536", "10.1.2.3: 80", "::1:80",
        "[::1]", "[::1]80", "[10.1.2.3]:80", "[::1:80", "::1]:80", "host:80", "10.1.2.3:8\u{660}", "[]:1",
    ])
    func textThatIsNoAddressAndPort(_ text: String) { #expect(SocketAddress(addressAndPort: text) == nil) }

    @Test func randomIPv4AgainstTheSystem() throws {
        var random = SeededRandom()
        for _ in 0..<2_000 {
            let bits = UInt32(truncatingIfNeeded: random.next())
            let port = UInt16(truncatingIfNeeded: random.next())
            let address = SocketAddress(ipv4: bits, port: port)
            let expected = reference(AF_INET, bigEndian(UInt64(bits), 4))
            #expect(text(address) == expected && address.text == "\(expected):\(port)")
            #expect(SocketAddress(text: expected, port: port) == address)
        }
    }

    @Test func randomIPv6AgainstTheSystem() throws {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            // Groups of zero are what the short form is about.
            let groups = (0..<8).map { _ in
                random.chance(50) ? 0 : random.next() & random.pick([0xF, 0xFF, 0xFFF, 0xFFFF])
            }
            let high = groups[..<4].reduce(UInt64(0)) { $0 << 16 | $1 }
            let low = groups[4...].reduce(UInt64(0)) { $0 << 16 | $1 }
            let expected = reference(AF_INET6, bigEndian(high, 8) + bigEndian(low, 8))
            // glibc writes some addresses with an IPv4 tail (`::1.2.3.4`), which RFC 5952 5 leaves to taste.
            if expected.contains(".") { continue }
            let port = UInt16(truncatingIfNeeded: random.next())
            let address = SocketAddress(high: high, low: low, port: port, isIPv4: false)
            #expect(text(address) == expected && address.text == "[\(expected)]:\(port)")
            #expect(SocketAddress(text: expected, port: port) == address)
        }
    }

    @Test(
        arguments: [
            (0, 0, "::"), (0, 1, "::1"), (0x2001_0DB8_0000_0000, 1, "2001:db8::1"),
            (0x2001_0DB8_0000_0001, 0x0001_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
            (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "2001:0:0:1::1"),
            (0x2001_0000_0000_0001, 0x0001_0000_0000_0001, "2001::1:1:0:0:1"),
            (0x0001_0000_0000_0000, 0, "1::"), (0, 0x0102_0304, "::102:304"),
            (.max, .max, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] as [(UInt64, UInt64, String)])
    func shortForms(_ high: UInt64, _ low: UInt64, _ expected: String) {
        #expect(text(SocketAddress(high: high, low: low, port: 0, isIPv4: false)) == expected)
    }

    @Test func theLongestTextFits() {
        let address = SocketAddress(high: .max, low: .max, port: .max, isIPv4: false)
        #expect(address.text.utf8.count == 47 && address.text.utf8.count <= SocketAddress.textBytesMax)
    }

    @Test(
        arguments: [
            "", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4x", "[::1]",
            ":::",
            "1::2::3", "12345::", "fe80::1%eth0", "127.0.0.1\0evil", "::1\0", "1.2.3.4:80",
            String(repeating: "1", count: 70), "\u{661}.2.3.4",
        ])
    func names(_ text: String) { #expect(SocketAddress(text: text, port: 1) == nil) }

    @Test func mappedIPv6IsIPv4() {
        #expect(SocketAddress(text: "::ffff:1.2.3.4", port: 5) == SocketAddress(ipv4: 0x0102_0304, port: 5))
        #expect(SocketAddress(text: "::ffff:1.2.3.4", port: 5)?.text == "1.2.3.4:5")
    }

    @Test func loopback() {
        for (text, expected) in [
            ("127.0.0.1", true), ("127.255.255.254", true), ("128.0.0.1", false), ("126.255.255.255", false),
            ("::1", true), ("::", false), ("::2", false), ("::ffff:127.0.0.1", true), ("0.0.0.0", false),
            ("1::1", false), ("::7f00:1", false),
        ] {
            #expect(SocketAddress(text: text, port: 1)?.isLoopback == expected, "\(text)")
        }
        #expect(SocketAddress.unspecified.text == "0.0.0.0:0")
    }
}

@Suite struct Numbers {
    private func decimal(_ value: UInt64) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { buffer in
            buffer.baseAddress.map { ByteView($0, writeDecimal(value, to: $0)).string } ?? ""
        }
    }

    private func hexadecimal(_ value: UInt64) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { buffer in
            buffer.baseAddress.map { ByteView($0, writeHex(value, to: $0)).string } ?? ""
        }
    }

    @Test func everyEdge() {
        var values: [UInt64] = [0, 1, .max, .max - 1]
        var power: UInt64 = 1
        for _ in 0..<19 {
            power *= 10
            values += [power - 1, power, power + 1]
        }
        for bit in UInt64(0)..<64 { values += [1 << bit, (1 << bit) - 1, (1 << bit) + 1] }
        for value in values {
            #expect(decimal(value) == String(value))
            #expect(hexadecimal(value) == String(value, radix: 16))
        }
    }

    @Test func randomNumbers() {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            let value = random.next() >> (random.next() % 64)
            #expect(decimal(value) == String(value) && hexadecimal(value) == String(value, radix: 16))
        }
    }

    @Test func uuids() {
        let text = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { buffer -> String in
            guard let start = buffer.baseAddress else { return "" }
            fl_write_uuid(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, start)
            return ByteView(start, 36).string
        }
        #expect(text == "01234567-89ab-cdef-fedc-ba9876543210")
    }

    @Test func unixSocketsAreAddresses() throws {
        let path = "/run/" + String(repeating: "p", count: 102)
        let address = try #require(SocketAddress(unixPath: path))
        #expect(address.isUnix && address.text == path && path.utf8.count == 107)
        #expect(SocketAddress(unixPath: path) == address, "the same path is the same number")
        let other = try #require(SocketAddress(unixPath: "@name"))
        #expect(other != address && other.text == "@name" && !other.isAny && !other.isLoopback)
        for bad in ["", path + "p", "/a\0b"] { #expect(SocketAddress(unixPath: bad) == nil) }
        #expect(SocketAddress.unspecified.isUnix == false)
        // A PROXY header and a text can give any IPv6 address, with any port.
        for high in [address.high, 0, 0x0100_0000_0000_0000] {
            let given = SocketAddress(high: high, low: address.low, port: 0, isIPv4: false)
            #expect(!given.isUnix && given != address && given.text.hasSuffix("]:0"))
        }
    }
}
