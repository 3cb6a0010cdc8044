// The searches for our key in cookies and queries against plain references, flush with the end of memory.
import CLinux
import TestSupport
import Testing

@Suite struct KeySearchTests {
    private let memory = GuardedBytes()
    private let keyMemory = GuardedBytes()

    private func plainFind(_ text: [UInt8], _ key: [UInt8], _ from: Int) -> Int {
        var at = from
        while at + key.count <= text.count {
            if Array(text[at..<at + key.count]) == key { return at }
            at += 1
        }
        return text.count
    }

    @Test func findsAKeyWhereverItStands() {
        var random = SeededRandom()
        for _ in 0..<20_000 {
            let alphabet = random.pick(["ab", "abc-", "x-feat-name=;"])
            let text = Array(random.text(random.int(0...80), of: alphabet).utf8)
            let key = Array(random.text(random.int(1...18), of: alphabet).utf8)
            let from = random.int(0...text.count)
            let start = memory.place(text, before: random.int(0...20))
            let found = fl_find(start, text.count, keyMemory.place(key), key.count, from)
            #expect(found == plainFind(text, key, from), "\(printable(text)) \(printable(key)) \(from)")
        }
    }

    @Test func findsAKeyAtEveryPlaceOfEveryLength() {
        let key = Array("x-feat-name".utf8)
        for count in 0...60 {
            for at in 0...count {
                let text =
                    [UInt8](repeating: 0x78, count: at) + key + [UInt8](repeating: 0x2D, count: count - at)
                let found = fl_find(memory.place(text), text.count, keyMemory.place(key), key.count, 0)
                #expect(found == at)
            }
        }
    }

    /// What a query says of a parameter, piece by piece; nil where a name before it would have to be decoded.
    private func plainParameter(_ query: [UInt8], _ key: [UInt8]) -> (found: Bool, value: [UInt8])? {
        let text = query.prefix { $0 != 0x23 }
        for piece in text.split(separator: 0x26, omittingEmptySubsequences: false) {
            let name = piece.prefix { $0 != 0x3D }
            if Array(name) == key { return (true, Array(piece.dropFirst(name.count + 1))) }
            if name.contains(0x25) { return nil }
        }
        return (false, [])
    }

    @Test func findsTheFirstParameterOfAName() {
        var random = SeededRandom()
        let key = Array("x-f".utf8)
        var founds = 0
        for _ in 0..<20_000 {
            let pieces = (0..<random.int(0...5)).map { _ in
                random.pick([
                    "x-f", "x-f=", "x-f=lane-1", "x-f=%61", "a", "a=%20", "x-fa=1", "ax-f=1", "", "%78=1",
                ])
                    + (random.chance(10) ? random.text(random.int(0...30), of: "=&#%$x-fa") : "")
            }
            let query = Array(pieces.joined(separator: "&").utf8)
            var parameter = fl_parameter()
            let start = memory.place(query, before: random.int(0...20))
            let state = fl_find_parameter(start, query.count, keyMemory.place(key), key.count, &parameter)
            guard let expected = plainParameter(query, key) else {
                #expect(state == FL_PARAMETER_UNSURE, "\(printable(query))")
                continue
            }
            #expect(state == (expected.found ? FL_PARAMETER_FOUND : FL_PARAMETER_NONE), "\(printable(query))")
            guard state == FL_PARAMETER_FOUND else { continue }
            founds += 1
            let value = Array(UnsafeBufferPointer(start: parameter.value, count: parameter.count))
            #expect(value == expected.value, "\(printable(query))")
            #expect((parameter.has_escape != 0) == value.contains(0x25))
        }
        #expect(founds > 1_000)
    }

    @Test func tellsOnlyPairsThatItIsSureOf() {
        var random = SeededRandom()
        let key = Array("x-f".utf8)
        var founds = 0
        for _ in 0..<20_000 {
            let pieces = (0..<random.int(0...5)).map { _ in
                random.pick([
                    "x-f=lane-1", "x-f=", "x-f", " x-f=b", "  x-f=c", "x-f =d", "x-f=\"e\"", "x-f= f ",
                    "xx-f=g", "session=x-f", "theme=dark",
                ])
            }
            let text = Array(pieces.joined(separator: random.pick([";", "; "])).utf8)
            var pair = fl_pair()
            let start = memory.place(text, before: random.int(0...20))
            let state = fl_find_pair(start, text.count, 0x3B, keyMemory.place(key), key.count, &pair)
            let first = text.split(separator: 0x3B).lazy
                .map { Array($0.drop { $0 == 0x20 }) }
                .first { $0.starts(with: key) && $0.dropFirst(3).first { $0 != 0x20 } == 0x3D }
            if state == FL_PAIR_NONE { #expect(plainFind(text, key, 0) == text.count) }
            guard state == FL_PAIR_FOUND else { continue }
            founds += 1
            let value = Array(UnsafeBufferPointer(start: pair.value, count: pair.count))
            #expect(first == key + [0x3D] + value, "\(printable(text))")
        }
        #expect(founds > 1_000)
    }
}
