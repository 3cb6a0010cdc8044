// Views: comparing, searching, trimming, hashing.
import Base
import TestSupport
import Testing

/// Runs `body` on a view of `bytes` in memory of exactly their size.
private func withView<Result>(_ bytes: [UInt8], _ body: (ByteView) -> Result) -> Result {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
    defer { memory.deallocate() }
    memory.initialize(from: bytes, count: bytes.count)
    return body(ByteView(memory, bytes.count))
}

private func withView<Result>(_ text: String, _ body: (ByteView) -> Result) -> Result {
    withView(Array(text.utf8), body)
}

@Suite struct ByteViews {
    @Test func empty() {
        let empty = ByteView.empty
        #expect(empty.isEmpty && empty.bytes.isEmpty && empty.string.isEmpty && empty.trimmed.isEmpty)
        #expect(empty.equals(ByteView.empty) && empty.equals("") && empty.equalsIgnoringCase(""))
        #expect(empty.hasPrefix("") && !empty.hasPrefix("a") && empty.firstIndex(of: 0) == nil)
        #expect("".withView { $0.isEmpty })
    }

    @Test(
        arguments: [
            ("abc", "abc", true, true), ("abc", "ABC", false, true), ("abc", "abd", false, false),
            ("abc", "ab", false, false), ("", "", true, true), ("a[", "A{", false, false),
            ("@", "`", false, false),
            ("\u{C4}", "\u{E4}", false, false), ("a\0b", "a\0c", false, false),
        ])
    func equality(_ one: String, _ other: String, _ same: Bool, _ sameButCase: Bool) {
        withView(one) { one in
            withView(other) { other in
                #expect(one.equals(other) == same && other.equals(one) == same)
                #expect(one.equalsIgnoringCase(other) == sameButCase)
                #expect(other.equalsIgnoringCase(one) == sameButCase)
            }
        }
    }

    @Test func literals() {
        withView("Close") { view in
            #expect(view.equals("Close") && !view.equals("close") && view.equalsIgnoringCase("cLOSE"))
            #expect(view.hasPrefix("Clo") && view.hasPrefix("Close") && !view.hasPrefix("Closed"))
            #expect(!view.hasPrefix("clo"))
            withView("Clos") { #expect(view.hasPrefix($0) && !$0.hasPrefix(view)) }
        }
    }

    @Test func everyByteLowered() {
        for byte in UInt8.min...UInt8.max {
            let expected = byte >= 0x41 && byte <= 0x5A ? byte + 32 : byte
            #expect(asciiLower(byte) == expected)
        }
    }

    @Test func searching() {
        withView("a=b=c") { view in
            #expect(view.firstIndex(of: 0x3D) == 1 && view.firstIndex(of: 0x3D, from: 1) == 1)
            #expect(view.firstIndex(of: 0x3D, from: 2) == 3 && view.firstIndex(of: 0x3D, from: 4) == nil)
            #expect(view.firstIndex(of: 0x3D, from: 5) == nil && view.firstIndex(of: 0x3D, from: 99) == nil)
            #expect(view.slice(2, 3).equals("b") && view.slice(5, 5).isEmpty && view.slice(0, 5).equals(view))
            #expect(view[4] == 0x63 && view.end == view.start + 5)
        }
    }

    @Test(
        arguments: [
            ("", ""), (" ", ""), (" \t \t", ""), ("a", "a"), (" a", "a"), ("a\t", "a"), ("\t a b \t", "a b"),
            ("\u{A0}a", "\u{A0}a"), ("\r\na", "\r\na"),
        ])
    func trimming(_ text: String, _ trimmed: String) {
        withView(text) { #expect($0.trimmed.string == trimmed) }
    }

    @Test func randomSearchesAgainstArrays() {
        var random = SeededRandom()
        for _ in 0..<2_000 {
            let bytes = Array(random.text(random.int(0...20), of: "ab \t").utf8)
            let from = random.int(0...22)
            withView(bytes) { view in
                #expect(
                    view.firstIndex(of: 0x61, from: from)
                        == bytes.indices.first { $0 >= from && bytes[$0] == 0x61 })
                let trimmed = bytes.drop { $0 == 0x20 || $0 == 9 }.reversed().drop { $0 == 0x20 || $0 == 9 }
                #expect(view.trimmed.bytes == trimmed.reversed())
                #expect(view.bytes == bytes)
            }
        }
    }

    /// Equal bytes hash alike wherever they lie; one changed bit anywhere changes the hash.
    @Test func hashing() {
        var random = SeededRandom()
        for count in 0...40 {
            let bytes = random.bytes(count)
            let hash = withView(bytes) { $0.hash }
            let shifted = [0] + bytes
            #expect(withView(shifted) { $0.slice(1, shifted.count).hash } == hash)
            var seen: Set<UInt64> = [hash]
            for bit in 0..<(count * 8) {
                var changed = bytes
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(seen.insert(withView(changed) { $0.hash }).inserted)
            }
            #expect(seen.insert(withView(bytes + [0]) { $0.hash }).inserted, "length counts")
        }
    }

    /// The low bits choose the slot of a table: names that differ little must spread.
    @Test func hashesSpreadOverSlots() {
        var slots = [Int](repeating: 0, count: 256)
        for number in 0..<4_096 { slots[Int(withView("lane-\(number)") { $0.hash } & 255)] += 1 }
        #expect((slots.max() ?? 0) < 64 && !slots.contains { $0 > 0 && $0 > 64 })
        #expect(slots.filter { $0 == 0 }.count < 16)
    }

    @Test func textOfBrokenUTF8() {
        withView([0x61, 0xFF, 0x62]) { #expect($0.string == "a\u{FFFD}b") }
    }
}

@Test func textsHoldParts() {
    #expect("a.svc.b".holds(".svc."))
    #expect("ab".holds("ab") && "ab".holds("") && "".holds(""))
    #expect(!"ab".holds("abc") && !"".holds("a") && !"a.sv.c".holds(".svc."))
}
