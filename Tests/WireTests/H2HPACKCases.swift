// The cases of header compression (RFC 7541): every way to write a field is read, and what cannot be read
// ends the connection, because both sides' tables would differ from then on.
import TestSupport

enum HPACKCases {
    static let all = representations + tables + refused

    private static let start = HPACK.indexed(2) + HPACK.indexed(6) + HPACK.indexed(4)
    private static let authority = HPACK.literal(nameAt: 1, "h2.test")

    private static func answered(_ section: String, _ what: String, _ field: [UInt8]) -> H2Case {
        H2Case("RFC 7541 \(section)", what, .answer(1), .headers(1, start + authority + field))
    }

    private static func unreadable(_ section: String, _ what: String, _ field: [UInt8]) -> H2Case {
        H2Case(
            "RFC 7541 \(section)", what, .connectionError(.compression),
            .headers(1, start + authority + field))
    }

    /// Each kind of literal, its name in the table and its own, plain and Huffman coded.
    private static let representations: [H2Case] =
        [answered("6.1", "indexed", HPACK.indexed(16))]
        + HPACK.Indexing.allCases.flatMap { indexing in
            [false, true].flatMap { huffman in
                let how = "\(indexing)\(huffman ? ", Huffman" : "")"
                return [
                    answered(
                        "6.2", "literal of a known name, \(how)",
                        HPACK.literal(nameAt: 58, "curl/8", indexing, huffman: huffman)),
                    answered(
                        "6.2", "literal of a new name, \(how)",
                        HPACK.literal("x-test", "some value", indexing, huffman: huffman)),
                ]
            }
        }

    private static let tables: [H2Case] = [
        H2Case("RFC 7541 2.3.2", "a field of the dynamic table", .answer(3)) { peer in
            let field = HPACK.literal("x-test", "1", .incremental)
            try peer.send(
                .headers(1, start + authority + field), .headers(3, start + authority + HPACK.indexed(62)))
        },
        H2Case("RFC 7541 4.4", "a field larger than the table empties it", .connectionError(.compression)) {
            let large = HPACK.literal("x", String(repeating: "v", count: 5_000), .incremental)
            try $0.send(
                .headers(1, start + authority + HPACK.literal("x-test", "1", .incremental)),
                .headers(3, start + authority + large),
                .headers(5, start + authority + HPACK.indexed(62)))
        },
        H2Case(
            "RFC 7541 6.3", "a table of 0", .answer(1), .headers(1, HPACK.tableSize(0) + start + authority)),
        H2Case(
            "RFC 7541 6.3", "two sizes", .answer(1),
            .headers(1, HPACK.tableSize(128) + HPACK.tableSize(4_096) + start + authority)),
    ]

    /// `/` in Huffman code is 011000: two bits of padding make a byte.
    private static let refused: [H2Case] = [
        unreadable("2.3.3", "index beyond the tables", HPACK.indexed(70)),
        unreadable("2.3.3", "name beyond the tables", HPACK.literal(nameAt: 70, "x")),
        unreadable("4.2", "size at the end of a block", HPACK.tableSize(1)),
        unreadable("6.1", "index 0", HPACK.indexed(0)),
        unreadable("6.3", "size beyond SETTINGS", HPACK.tableSize(4_097)),
        unreadable("5.1", "integer without end", [0xFF] + [UInt8](repeating: 0xFF, count: 12)),
        unreadable("5.2", "string beyond the block", [0x00, 0x01, 0x78, 0x7F]),
        unreadable("5.2", "padding of more than 7 bits", [0x00, 0x01, 0x78, 0x82, 0x63, 0xFF]),
        unreadable("5.2", "padding of zeros", [0x00, 0x01, 0x78, 0x81, 0x60]),
        unreadable("5.2", "end of string inside", [0x00, 0x01, 0x78, 0x84, 0xFF, 0xFF, 0xFF, 0xFC]),
        unreadable("6.3", "size beyond SETTINGS, first", []).beginning(HPACK.tableSize(65_536)),
    ]
}

extension H2Case {
    /// The same expectation of a block that begins otherwise.
    fileprivate func beginning(_ first: [UInt8]) -> H2Case {
        H2Case(section, what, outcome, .headers(1, first + HPACK.indexed(2) + HPACK.indexed(6)))
    }
}
