// The PROXY protocol of HAProxy (proxy-protocol.txt, versions 1 and 2): one header before everything else of
// a connection, by which a load balancer tells whose connection it passes on. Believed only where
// configuration says so, because anyone can write it.
public import Base
internal import CLinux

public enum ProxyHeaderError: UInt8, Sendable, BitwiseCopyable {
    /// Another protocol begins here.
    case missing
    /// Fields that the protocol does not allow.
    case malformed
    /// An address family that cannot be a client of ours: unix sockets, datagrams.
    case family
    /// More than `Limits.proxyHeaderBytes`.
    case tooLong
}

public enum ProxyHeaderResult {
    /// At least so many bytes in all before it is worth asking again.
    case needMore(Int)
    case complete(ProxyHeader)
    case refused(ProxyHeaderError)
}

public struct ProxyHeader: BitwiseCopyable {
    public enum Version: UInt8, Sendable, BitwiseCopyable { case v1 = 1, v2 = 2 }

    /// Bytes of the header; what follows is the connection.
    public var length: Int
    /// False: a health check or an unknown protocol (LOCAL, UNKNOWN): the connection's own addresses hold.
    public var hasAddresses = false
    /// Whose connection it is, and the address it was made to.
    public var source = SocketAddress.unspecified
    public var destination = SocketAddress.unspecified

    init(length: Int) { self.length = length }

    /// Version 1's longest line (section 2.1) with CRLF.
    private static var lineBytes: Int { 107 }
    private static var signature: ByteView { "\r\n\r\n\0\r\nQUIT\n" }

    /// Reads the first bytes of a connection, from their beginning each time.
    public static func read(_ bytes: ByteView) -> ProxyHeaderResult {
        if bytes.isEmpty { return .needMore(1) }
        let signature = Self.signature
        let shown = min(bytes.count, signature.count)
        if bytes.slice(0, shown).equals(signature.slice(0, shown)) {
            return bytes.count < 16 ? .needMore(bytes.count + 1) : readBinary(bytes)
        }
        let word: ByteView = "PROXY "
        let seen = min(bytes.count, word.count)
        guard bytes.slice(0, seen).equals(word.slice(0, seen)) else { return .refused(.missing) }
        return bytes.count < word.count ? .needMore(bytes.count + 1) : readLine(bytes)
    }

    // MARK: version 1

    private static func readLine(_ bytes: ByteView) -> ProxyHeaderResult {
        let shown = min(bytes.count, lineBytes)
        guard let feed = bytes.slice(0, shown).firstIndex(of: 0x0A) else {
            return shown == lineBytes ? .refused(.tooLong) : .needMore(bytes.count + 1)
        }
        guard bytes[feed - 1] == 0x0D else { return .refused(.malformed) }
        var header = ProxyHeader(length: feed + 1)
        var words = Words(rest: bytes.slice(6, feed - 1))
        guard let family = words.next() else { return .refused(.malformed) }
        // What follows UNKNOWN is of no meaning.
        if family.equals("UNKNOWN") { return .complete(header) }
        let isFour = family.equals("TCP4")
        guard isFour || family.equals("TCP6") else { return .refused(.family) }
        guard let source = words.next(), let destination = words.next(), let from = words.next(),
            let to = words.next(), words.isAtEnd, let sourcePort = port(from), let port = port(to),
            let first = address(source, sourcePort, isFour: isFour),
            let second = address(destination, port, isFour: isFour)
        else { return .refused(.malformed) }
        header.hasAddresses = true
        header.source = first
        header.destination = second
        return .complete(header)
    }

    /// Exactly one blank between words.
    private struct Words {
        var rest: ByteView
        var isAtEnd = false

        init(rest: ByteView) { self.rest = rest }

        mutating func next() -> ByteView? {
            if isAtEnd { return nil }
            let end = rest.firstIndex(of: 0x20) ?? rest.count
            let word = rest.slice(0, end)
            isAtEnd = end == rest.count
            rest = isAtEnd ? .empty : rest.slice(end + 1, rest.count)
            return word.isEmpty ? nil : word
        }
    }

    private static func address(_ text: ByteView, _ port: UInt16, isFour: Bool) -> SocketAddress? {
        var parts = fl_address()
        guard fl_address_parse(text.start, text.count, &parts) == 1 else { return nil }
        let hasColon = text.firstIndex(of: 0x3A) != nil
        guard hasColon != isFour else { return nil }
        return SocketAddress(high: parts.high, low: parts.low, port: port, isIPv4: parts.is_ipv4 != 0)
    }

    /// 0...65535 without leading zeros.
    private static func port(_ text: ByteView) -> UInt16? {
        guard !text.isEmpty, text.count <= 5, text.count == 1 || text[0] != 0x30 else { return nil }
        var value = 0
        for index in 0..<text.count {
            let digit = text[index] &- 0x30
            if digit > 9 { return nil }
            value = value * 10 + Int(digit)
        }
        return UInt16(exactly: value)
    }

    // MARK: version 2

    /// `signature(12) version+command family+transport length(2) addresses TLVs`; 16 bytes are there.
    private static func readBinary(_ bytes: ByteView) -> ProxyHeaderResult {
        let command = bytes[12]
        let kind = bytes[13]
        guard command == 0x20 || command == 0x21 else { return .refused(.malformed) }
        let length = 16 + Int(bytes[14]) << 8 + Int(bytes[15])
        if length > Limits.proxyHeaderBytes { return .refused(.tooLong) }
        var addressBytes = 0
        if command == 0x21 {
            switch kind {
            case 0x00: break
            case 0x11: addressBytes = 12
            case 0x21: addressBytes = 36
            default: return .refused(kind >> 4 <= 3 && kind & 15 <= 2 ? .family : .malformed)
            }
        }
        if length < 16 + addressBytes { return .refused(.malformed) }
        if bytes.count < length { return .needMore(length) }
        var header = ProxyHeader(length: length)
        // Without addresses that we read nothing tells where the TLVs begin.
        if addressBytes == 0 { return .complete(header) }
        guard extrasAreWhole(bytes.slice(16 + addressBytes, length)) else { return .refused(.malformed) }
        let size = addressBytes == 12 ? 4 : 16
        let ports = bytes.slice(16 + 2 * size, 16 + addressBytes)
        header.hasAddresses = true
        header.source = address(bytes.slice(16, 16 + size), ports.slice(0, 2))
        header.destination = address(bytes.slice(16 + size, 16 + 2 * size), ports.slice(2, 4))
        return .complete(header)
    }

    private static func address(_ bytes: ByteView, _ port: ByteView) -> SocketAddress {
        let number = UInt16(port[0]) << 8 | UInt16(port[1])
        func half(_ from: Int, _ count: Int) -> UInt64 {
            var value: UInt64 = 0
            for index in from..<from + count { value = value << 8 | UInt64(bytes[index]) }
            return value
        }
        if bytes.count == 4 { return SocketAddress(ipv4: UInt32(half(0, 4)), port: number) }
        let high = half(0, 8)
        let low = half(8, 8)
        return SocketAddress(
            high: high, low: low, port: number, isIPv4: high == 0 && low >> 32 == 0xFFFF)
    }

    /// `type length(2) value` to the very end. We need none of them, but their lengths must add up.
    private static func extrasAreWhole(_ extras: ByteView) -> Bool {
        var at = 0
        while at < extras.count {
            guard at + 3 <= extras.count else { return false }
            at += 3 + Int(extras[at + 1]) << 8 + Int(extras[at + 2])
        }
        return at == extras.count
    }
}

extension ProxyHeader {
    /// Most bytes `write` writes.
    public static var writtenBytesMax: Int { lineBytes }

    /// Writes the header of a connection from `source` to `destination`; returns the number of bytes. Where
    /// only one of both is IPv4 it goes as IPv4-mapped IPv6.
    public static func write(
        _ version: Version, _ source: SocketAddress, _ destination: SocketAddress,
        to out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let isFour = source.isIPv4 && destination.isIPv4
        if version == .v2 { return writeBinary(source, destination, isFour, out) }
        var at = out
        func put(_ text: ByteView) {
            memcpy(at, text.start, text.count)
            at += text.count
        }
        func put(_ address: SocketAddress) {
            var address = address
            if !isFour { address.isIPv4 = false }
            at += address.writeAddress(to: at)
        }
        put(isFour ? "PROXY TCP4 " : "PROXY TCP6 ")
        put(source)
        put(" ")
        put(destination)
        put(" ")
        at += writeDecimal(UInt64(source.port), to: at)
        put(" ")
        at += writeDecimal(UInt64(destination.port), to: at)
        put("\r\n")
        return at - out
    }

    private static func writeBinary(
        _ source: SocketAddress, _ destination: SocketAddress, _ isFour: Bool,
        _ out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        memcpy(out, signature.start, signature.count)
        var at = out + signature.count
        func put(_ value: UInt64, _ count: Int) {
            for index in 0..<count {
                at[index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index)))
            }
            at += count
        }
        put(0x21, 1)
        put(isFour ? 0x11 : 0x21, 1)
        put(isFour ? 12 : 36, 2)
        for address in [source, destination] {
            if !isFour { put(address.high, 8) }
            put(address.low, isFour ? 4 : 8)
        }
        put(UInt64(source.port), 2)
        put(UInt64(destination.port), 2)
        return at - out
    }
}
