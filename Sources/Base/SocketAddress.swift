// An IP address and port as numbers: what configuration says, what sockets use and what logs print.
internal import CLinux

/// IPv4 is held as IPv4-mapped IPv6 (`::ffff:a.b.c.d`); both halves in host order.
public struct SocketAddress: Sendable, Hashable, BitwiseCopyable {
    public var high: UInt64
    public var low: UInt64
    public var port: UInt16
    public var isIPv4: Bool

    public init(high: UInt64, low: UInt64, port: UInt16, isIPv4: Bool) {
        self.high = high
        self.low = low
        self.port = port
        self.isIPv4 = isIPv4
    }

    /// An IPv4 address given as its 32 bits.
    public init(ipv4: UInt32, port: UInt16) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4), port: port, isIPv4: true)
    }

    public static var unspecified: SocketAddress { SocketAddress(ipv4: 0, port: 0) }

    /// The same address with another port.
    public func at(port: UInt16) -> SocketAddress {
        SocketAddress(high: high, low: low, port: port, isIPv4: isIPv4)
    }

    /// 0.0.0.0 or `::`: every address of the machine.
    public var isAny: Bool { isIPv4 ? low & 0xFFFF_FFFF == 0 : high == 0 && low == 0 }

    /// 127.0.0.0/8 or ::1.
    public var isLoopback: Bool {
        isIPv4 ? (low >> 24) & 0xFF == 127 : high == 0 && low == 1
    }

    /// Most bytes `writeAddress` and `writeAddressAndPort` write: the path of a Unix socket, which is longer
    /// than a bracketed IPv6 address and a port.
    public static var textBytesMax: Int { 112 }

    /// A Unix socket's path, or `@name` of one without a file; nil if it is too long, or the last of
    /// `Limits.unixPaths`.
    public init?(unixPath path: String) {
        let number = path.withView { fl_unix_number($0.start, $0.count, UInt32(Limits.unixPaths)) }
        guard number >= 0 else { return nil }
        self.init(high: Self.unixMark, low: UInt64(number), port: 0, isIPv4: true)
    }

    /// As in CLinux.h, which cannot show it. No IPv4 address has it: nothing that comes from a socket, a
    /// PROXY header or a text is ever taken for a Unix socket.
    private static var unixMark: UInt64 { UInt64.max }

    /// It is a Unix socket.
    public var isUnix: Bool { isIPv4 && high == Self.unixMark }

    private func writeUnix(_ out: UnsafeMutablePointer<UInt8>) -> Int {
        var path: UnsafePointer<UInt8>?
        let count = fl_unix_path(low, &path)
        if let path { out.update(from: path, count: count) }
        return count
    }

    /// Writes the address without port; returns the number of bytes. IPv6 as RFC 5952 asks; of a Unix socket
    /// its path.
    public func writeAddress(to out: UnsafeMutablePointer<UInt8>) -> Int {
        isUnix ? writeUnix(out) : isIPv4 ? writeIPv4(out) : writeIPv6(out)
    }

    /// Writes `a.b.c.d:port`, `[v6]:port` or a path; returns the number of bytes.
    public func writeAddressAndPort(to out: UnsafeMutablePointer<UInt8>) -> Int {
        var count = 0
        if isUnix { return writeUnix(out) }
        if isIPv4 {
            count = writeIPv4(out)
        } else {
            out[0] = 0x5B
            count = 1 + writeIPv6(out + 1)
            out[count] = 0x5D
            count += 1
        }
        out[count] = 0x3A
        return count + 1 + writeDecimal(UInt64(port), to: out + count + 1)
    }

    /// For control-side text.
    public var text: String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.textBytesMax) { buffer in
            let start = buffer.baseAddress!
            return ByteView(start, writeAddressAndPort(to: start)).string
        }
    }

    private func writeIPv4(_ out: UnsafeMutablePointer<UInt8>) -> Int {
        var count = 0
        var shift: UInt64 = 24
        while true {
            count += writeDecimal(low >> shift & 0xFF, to: out + count)
            if shift == 0 { return count }
            out[count] = 0x2E
            count += 1
            shift -= 8
        }
    }

    private func group(_ index: Int) -> UInt64 {
        (index < 4 ? high >> UInt64(48 - 16 * index) : low >> UInt64(112 - 16 * index)) & 0xFFFF
    }

    private func writeIPv6(_ out: UnsafeMutablePointer<UInt8>) -> Int {
        // The longest run of two or more zero groups, the first of equals, becomes `::`.
        var best = 0
        var bestLength = 1
        var index = 0
        while index < 8 {
            var length = 0
            while index + length < 8, group(index + length) == 0 { length += 1 }
            if length > bestLength {
                best = index
                bestLength = length
            }
            index += max(1, length)
        }
        var count = 0
        index = 0
        while index < 8 {
            if bestLength > 1, index == best {
                out[count] = 0x3A
                out[count + 1] = 0x3A
                count += 2
                index += bestLength
                continue
            }
            if index > 0, out[count - 1] != 0x3A {
                out[count] = 0x3A
                count += 1
            }
            count += writeHex(group(index), to: out + count)
            index += 1
        }
        return count
    }
}

/// Writes a decimal number; returns the number of bytes (at most 20).
public func writeDecimal(_ value: UInt64, to out: UnsafeMutablePointer<UInt8>) -> Int {
    var digits = 1
    var rest = value
    while rest >= 10 {
        rest /= 10
        digits &+= 1
    }
    rest = value
    var at = digits
    repeat {
        at &-= 1
        out[at] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
    } while at > 0
    return digits
}

/// Writes a hexadecimal number in lower case without leading zeros; returns the number of bytes (at most 16).
public func writeHex(_ value: UInt64, to out: UnsafeMutablePointer<UInt8>) -> Int {
    let digits = max(1, (64 - value.leadingZeroBitCount + 3) / 4)
    var index = 0
    while index < digits {
        let nibble = UInt8(truncatingIfNeeded: value >> UInt64(4 * (digits - 1 - index))) & 15
        out[index] = nibble < 10 ? 0x30 &+ nibble : 0x57 &+ nibble
        index &+= 1
    }
    return digits
}

extension SocketAddress {
    /// Reads an IP address without brackets; nil for names.
    public init?(text: String, port: UInt16) {
        var parts = fl_address()
        let parsed = text.withView { fl_address_parse($0.start, $0.count, &parts) }
        guard parsed == 1 else { return nil }
        self.init(high: parts.high, low: parts.low, port: port, isIPv4: parts.is_ipv4 != 0)
    }

    /// Reads `a.b.c.d:port` or `[v6]:port`, what `text` writes; nil for names.
    public init?(addressAndPort text: String) {
        guard let colon = text.utf8.lastIndex(of: 0x3A) else { return nil }
        var host = text[..<colon]
        let digits = text.utf8[colon...].dropFirst()
        guard digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(String(digits) ?? "") else {
            return nil
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.utf8.contains(0x3A) else { return nil }
        } else if host.utf8.contains(0x3A) {
            return nil
        }
        self.init(text: String(host), port: port)
    }
}
