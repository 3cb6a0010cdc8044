// SNI and ALPN out of a ClientHello, however it is cut into records and reads (RFC 8446, 6066, 7301).
import Base
import FuzzInvariants
import Sniff
import TestSupport
import Testing

/// Puts ClientHellos together.
enum Hello {
    static func number(_ value: Int, _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(value >> (8 * $0) & 255) }
    }

    static func vector(_ bytes: [UInt8], _ width: Int) -> [UInt8] { number(bytes.count, width) + bytes }

    static func part(_ kind: Int, _ bytes: [UInt8]) -> [UInt8] { number(kind, 2) + vector(bytes, 2) }

    static func name(_ names: String...) -> [UInt8] {
        part(0, vector(names.flatMap { [0] + vector(Array($0.utf8), 2) }, 2))
    }

    static func protocols(_ names: String...) -> [UInt8] {
        part(16, vector(names.flatMap { vector(Array($0.utf8), 1) }, 2))
    }

    /// The handshake message. `parts` nil: without the list of extensions.
    static func message(_ parts: [UInt8]?, session: Int = 32) -> [UInt8] {
        var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
        body += vector([UInt8](repeating: 9, count: session), 1)
        body += vector([0x13, 1, 0x13, 2], 2) + vector([0], 1)
        if let parts { body += vector(parts, 2) }
        return [1] + vector(body, 3)
    }

    /// As records of at most `size` bytes.
    static func records(_ message: [UInt8], of size: Int = 16_384) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { from in
            [0x16, 3, 1] + vector(Array(message[from..<min(message.count, from + size)]), 2)
        }
    }
}

@Suite struct ClientHelloTests {
    private func verdict(_ bytes: [UInt8]) -> ClientHelloVerdict { ClientHelloInvariants.read(bytes).0 }

    private func expect(_ bytes: [UInt8], _ expected: ClientHelloVerdict) {
        #expect(verdict(bytes) == expected, "\(printable(bytes))")
        #expect(ClientHelloInvariants.violation(bytes) == nil, "\(printable(bytes))")
    }

    @Test(arguments: [1, 2, 3, 5, 7, 50, 16_384]) func nameAndProtocols(recordBytes: Int) {
        let parts = Hello.part(43, [2, 3, 4]) + Hello.name("Shop.Test") + Hello.protocols("h2", "http/1.1")
        expect(
            Hello.records(Hello.message(parts), of: recordBytes),
            .hello(serverName: "shop.test", protocols: [Array("h2".utf8), Array("http/1.1".utf8)]))
    }

    @Test func offers() {
        var bytes = Hello.records(Hello.message(Hello.protocols("acme-tls/1", "h2")))
        let count = bytes.count
        var room = [UInt8](repeating: 0, count: ClientHello.roomBytes)
        guard case .complete(let hello) = ClientHello.read(ByteView(&bytes, count), &room) else {
            Issue.record("not read")
            return
        }
        #expect(hello.offers("h2") && hello.offers("acme-tls/1"))
        #expect(!hello.offers("http/1.1") && !hello.offers("h") && !hello.offers("2"))
    }

    @Test func nothingGiven() {
        expect(Hello.records(Hello.message(nil)), .hello(serverName: "", protocols: []))
        expect(Hello.records(Hello.message([])), .hello(serverName: "", protocols: []))
    }

    @Test func finalDotsGo() {
        expect(
            Hello.records(Hello.message(Hello.name("a.test."))), .hello(serverName: "a.test", protocols: []))
    }

    @Test func otherKindsOfNamesAreSkipped() {
        let list = Hello.vector([9] + Hello.vector([1, 2], 2) + [0] + Hello.vector(Array("a".utf8), 2), 2)
        expect(Hello.records(Hello.message(Hello.part(0, list))), .hello(serverName: "a", protocols: []))
    }

    @Test func whatFollowsIsOfNoMatter() {
        let hello = Hello.records(Hello.message(Hello.name("a.test")))
        expect(hello + [0x14, 3, 3, 0, 1, 1], .hello(serverName: "a.test", protocols: []))
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "SSH-2.0-x\r\n", "\0", "\u{16}\u{2}",
        "\u{16}\u{3}\u{1}\0\0", "\u{16}\u{3}\u{1}\0\u{5}\u{2}",
    ])
    func otherProtocols(_ text: String) { expect(Array(text.utf8), .notTLS) }

    @Test func lengthsThatDoNotAddUp() {
        let name = Hello.name("a.test")
        for parts in [
            Hello.name("a.test", "b.test"), name + name, Hello.name(""), Hello.name("a b"),
            Hello.name("a\0b"),
            Hello.name(String(repeating: "a", count: 256)), Hello.part(0, []), Hello.part(0, [0, 0]),
            Hello.part(0, [0, 9, 0, 0, 1, 97]), Hello.part(16, []), Hello.part(16, [0, 2, 5, 97]),
            Hello.part(16, [0, 1, 0]), Hello.protocols("h2") + Hello.protocols("h2"), [0, 0],
            [0, 0, 0, 9, 1],
        ] {
            expect(Hello.records(Hello.message(parts)), .malformed)
        }
        expect(Hello.records(Hello.message(nil, session: 33)), .malformed)
        var longer = Hello.message(name)
        longer[3] += 1
        expect(Hello.records(longer + [0]), .malformed)
        // A second record that is none.
        let cut = Hello.records(Hello.message(name), of: 60)
        var broken = cut
        broken[65] = 0x17
        expect(broken, .malformed)
    }

    @Test func size() {
        let head = Hello.records(Hello.message(Hello.part(21, []))).count
        let most = Limits.clientHelloBytes - head
        expect(
            Hello.records(Hello.message(Hello.part(21, [UInt8](repeating: 0, count: most)))),
            .hello(serverName: "", protocols: []))
        let over = Hello.records(Hello.message(Hello.part(21, [UInt8](repeating: 0, count: most + 1))))
        #expect(verdict(over) == .tooLong || verdict(Array(over.prefix(64))) == .tooLong)
        // The announcement alone is enough to refuse it.
        #expect(verdict([0x16, 3, 1, 0x40, 0, 1, 1, 0, 0]) == .tooLong)
        let many = (0..<200).map { "protocol-\($0)" }
        let list = Hello.part(16, Hello.vector(many.flatMap { Hello.vector(Array($0.utf8), 1) }, 2))
        guard case .hello(_, let kept) = verdict(Hello.records(Hello.message(list))) else {
            Issue.record("refused")
            return
        }
        #expect(kept.count > 20 && kept.count < 60 && kept[0] == Array("protocol-0".utf8))
    }

    @Test func randomDamage() {
        var random = SeededRandom()
        let parts = Hello.name("a.test") + Hello.part(51, [1, 2, 3, 4]) + Hello.protocols("h2", "http/1.1")
        for _ in 0..<400 {
            var bytes = Hello.records(Hello.message(parts), of: random.int(3...200))
            for _ in 0..<random.int(1...3) {
                bytes[random.int(0...bytes.count - 1)] = UInt8(random.int(0...255))
            }
            let wrong = ClientHelloInvariants.violation(bytes)
            #expect(wrong == nil, "\(printable(bytes))")
        }
    }
}
