// HPACK (RFC 7541) as a test needs it: every representation can be written by hand, right or wrong, and what
// a peer sends can be read. Shares nothing with the product.

/// One field of a decoded block.
package struct H2Field: Sendable, Equatable, CustomStringConvertible {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    package var description: String { "\(name): \(value)" }
}

/// Writes representations (RFC 7541 6).
package enum HPACK {
    /// An integer behind the bits of `first`, of which the lowest `prefix` are its own (5.1).
    package static func integer(_ value: Int, prefix: Int, _ first: UInt8 = 0) -> [UInt8] {
        let most = 1 << prefix - 1
        if value < most { return [first | UInt8(value)] }
        var bytes = [first | UInt8(most)]
        var rest = value - most
        while rest >= 128 {
            bytes.append(UInt8(rest % 128 + 128))
            rest /= 128
        }
        return bytes + [UInt8(rest)]
    }

    /// A string literal (5.2).
    package static func string(_ bytes: [UInt8], huffman: Bool = false) -> [UInt8] {
        let coded = huffman ? Huffman.encode(bytes) : bytes
        return integer(coded.count, prefix: 7, huffman ? 0x80 : 0) + coded
    }

    package static func string(_ text: String, huffman: Bool = false) -> [UInt8] {
        string(Array(text.utf8), huffman: huffman)
    }

    /// How a literal is kept by the peer (6.2).
    package enum Indexing: Sendable, CaseIterable {
        case incremental, none, never

        var prefix: Int { self == .incremental ? 6 : 4 }
        var first: UInt8 {
            switch self {
            case .incremental: 0x40
            case .none: 0x00
            case .never: 0x10
            }
        }
    }

    package static func indexed(_ index: Int) -> [UInt8] { integer(index, prefix: 7, 0x80) }

    package static func literal(
        _ name: [UInt8], _ value: [UInt8], _ indexing: Indexing = .none, huffman: Bool = false
    ) -> [UInt8] {
        integer(0, prefix: indexing.prefix, indexing.first) + string(name, huffman: huffman)
            + string(value, huffman: huffman)
    }

    package static func literal(
        _ name: String, _ value: String, _ indexing: Indexing = .none, huffman: Bool = false
    ) -> [UInt8] {
        literal(Array(name.utf8), Array(value.utf8), indexing, huffman: huffman)
    }

    /// A literal whose name is in the table.
    package static func literal(
        nameAt index: Int, _ value: String, _ indexing: Indexing = .none, huffman: Bool = false
    ) -> [UInt8] {
        integer(index, prefix: indexing.prefix, indexing.first) + string(value, huffman: huffman)
    }

    package static func tableSize(_ size: Int) -> [UInt8] { integer(size, prefix: 5, 0x20) }

    /// Fields as plain literals, in order.
    package static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { literal($0.0, $0.1) }
    }

    /// Index and content of Appendix A, from 1.
    static let staticTable: [H2Field] =
        [
            .init(":authority", ""), .init(":method", "GET"), .init(":method", "POST"), .init(":path", "/"),
            .init(":path", "/index.html"), .init(":scheme", "http"), .init(":scheme", "https"),
            .init(":status", "200"), .init(":status", "204"), .init(":status", "206"),
            .init(":status", "304"),
            .init(":status", "400"), .init(":status", "404"), .init(":status", "500"),
            .init("accept-charset", ""), .init("accept-encoding", "gzip, deflate"),
        ]
            + """
            accept-language accept-ranges accept access-control-allow-origin age allow authorization \
            cache-control content-disposition content-encoding content-language content-length \
            content-location content-range content-type cookie date etag expect expires from host if-match \
            if-modified-since if-none-match if-range if-unmodified-since last-modified link location \
            max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server \
            set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate
            """.split(separator: " ").map { H2Field(String($0), "") }
}

/// Reads header blocks of one direction of one connection.
package struct HPACKReader {
    private var dynamic: [H2Field] = []
    private var size = 0
    private var sizeMax = 4_096

    package init() {}

    package mutating func fields(_ block: [UInt8]) throws -> [H2Field] {
        var fields: [H2Field] = []
        var at = 0
        while at < block.count {
            let first = block[at]
            if first & 0x80 != 0 {
                fields.append(try field(Self.integer(block, &at, prefix: 7)))
            } else if first & 0x40 != 0 {
                let field = try literal(block, &at, prefix: 6)
                add(field)
                fields.append(field)
            } else if first & 0x20 != 0 {
                sizeMax = try Self.integer(block, &at, prefix: 5)
                evict()
            } else {
                fields.append(try literal(block, &at, prefix: 4))
            }
        }
        return fields
    }

    private func literal(_ block: [UInt8], _ at: inout Int, prefix: Int) throws -> H2Field {
        let index = try Self.integer(block, &at, prefix: prefix)
        let name = index == 0 ? try Self.string(block, &at) : try field(index).name
        return H2Field(name, try Self.string(block, &at))
    }

    private func field(_ index: Int) throws -> H2Field {
        let count = HPACK.staticTable.count
        if index >= 1, index <= count { return HPACK.staticTable[index - 1] }
        guard index > count, index - count <= dynamic.count else { throw TestFailure("HPACK index \(index)") }
        return dynamic[index - count - 1]
    }

    private mutating func add(_ field: H2Field) {
        dynamic.insert(field, at: 0)
        size += field.name.utf8.count + field.value.utf8.count + 32
        evict()
    }

    private mutating func evict() {
        while size > sizeMax, let last = dynamic.popLast() {
            size -= last.name.utf8.count + last.value.utf8.count + 32
        }
    }

    private static func integer(_ block: [UInt8], _ at: inout Int, prefix: Int) throws -> Int {
        guard at < block.count else { throw TestFailure("HPACK block ends in an integer") }
        var value = Int(block[at]) & (1 << prefix - 1)
        at += 1
        if value < 1 << prefix - 1 { return value }
        var shift = 0
        while true {
            guard at < block.count, shift < 28 else { throw TestFailure("HPACK integer") }
            value += Int(block[at] & 0x7F) << shift
            shift += 7
            at += 1
            if block[at - 1] & 0x80 == 0 { return value }
        }
    }

    private static func string(_ block: [UInt8], _ at: inout Int) throws -> String {
        guard at < block.count else { throw TestFailure("HPACK block ends in a string") }
        let huffman = block[at] & 0x80 != 0
        let count = try integer(block, &at, prefix: 7)
        guard at + count <= block.count else { throw TestFailure("HPACK string of \(count)") }
        defer { at += count }
        let bytes = Array(block[at..<at + count])
        return String(decoding: huffman ? try Huffman.decode(bytes) : bytes, as: UTF8.self)
    }
}

/// The code of RFC 7541 Appendix B. It is canonical: the lengths of the codes tell the codes.
package enum Huffman {
    /// The length of each symbol's code in bits, `a` for 0, `A` for 26; the last is the end of the string.
    private static let lengths: [Int] = """
        nxCCCCCCCyECCECCCCCCCCECCCCCCCCCgkkmngilkkiligggfffggggggghipgmknghhhhhhhhhhhhhhhhhhhhhhihintno\
        gpfgfgfgggfhhgggfghgffghhhhhplonCuwuuwwwxwxxxxxyxyywxyxxxxvwxwxxywvuwwxxvxwwyvwxxvvwvxwxxuwwwxwwx\
        AAutwxwzAAABBAyztvABBAByvvAACBBBuyuvwvvxwwzzyyAxABAABBBBBCBBBBBAE
        """.utf8.map { $0 >= 0x61 ? Int($0) - 0x61 : Int($0) - 0x41 + 26 }

    private static let codes: [UInt32] = {
        var codes = [UInt32](repeating: 0, count: lengths.count)
        var code: UInt32 = 0
        var length = 0
        for symbol in lengths.indices.sorted(by: { (lengths[$0], $0) < (lengths[$1], $1) }) {
            code <<= UInt32(lengths[symbol] - length)
            length = lengths[symbol]
            codes[symbol] = code
            code += 1
        }
        return codes
    }()

    /// Symbols by length and code.
    private static let symbols: [UInt64: Int] = Dictionary(
        uniqueKeysWithValues: lengths.indices.map { (UInt64(lengths[$0]) << 32 | UInt64(codes[$0]), $0) })

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var pending: UInt64 = 0
        var bits = 0
        for byte in bytes {
            pending = pending << UInt64(lengths[Int(byte)]) | UInt64(codes[Int(byte)])
            bits += lengths[Int(byte)]
            while bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: pending >> UInt64(bits)))
            }
        }
        // Padded with the first bits of the end's code, which are ones.
        if bits > 0 { out.append(UInt8(truncatingIfNeeded: pending << UInt64(8 - bits)) | 0xFF >> bits) }
        return out
    }

    package static func decode(_ bytes: [UInt8]) throws -> [UInt8] {
        var out: [UInt8] = []
        var code: UInt64 = 0
        var length: UInt64 = 0
        for byte in bytes {
            for bit in (0..<8).reversed() {
                code = code << 1 | UInt64(byte >> bit & 1)
                length += 1
                if let symbol = symbols[length << 32 | code] {
                    guard symbol < 256 else { throw TestFailure("HPACK string with an end inside") }
                    out.append(UInt8(symbol))
                    code = 0
                    length = 0
                }
            }
        }
        guard length < 8, code == 1 << length - 1 else { throw TestFailure("HPACK padding") }
        return out
    }
}
