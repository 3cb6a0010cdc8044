// The table of known names: every name finds its number, nothing else does.
import Base
import CLinux
import TestSupport
import Testing

@testable import HTTP

@Suite struct KnownNames {
    private func id(_ text: String) -> UInt8 { text.withView { HeaderNames.id($0) } }

    @Test func everyNameRoundTrips() {
        for known in HeaderID.allCases where known != .other {
            #expect(id(known.name) == known.rawValue, "\(known)")
            #expect(HeaderNames.name(known).bytes.string == known.name)
            #expect(HeaderNames.name(known).id == known.rawValue)
            #expect(known.name == known.name.lowercased() && known.name.utf8.count <= NameTable.longest)
        }
        #expect(Set(HeaderID.allCases.map(\.name)).count == HeaderID.allCases.count, "names are distinct")
        #expect(HeaderID.allCases.map { Int($0.rawValue) } == Array(0..<HeaderID.allCases.count))
    }

    @Test func nearMissesAreUnknown() {
        let known = Set(HeaderID.allCases.map(\.name))
        for name in known where !name.isEmpty {
            let variants = [
                name + "x", "x" + name, String(name.dropLast()), String(name.dropFirst()), name.uppercased(),
                String(name.reversed()), name + " ", String(name.first.map { [$0] } ?? []),
            ]
            for variant in variants where !known.contains(variant) {
                #expect(id(variant) == 0, "\(variant)")
            }
        }
        #expect(id("") == 0)
        #expect(id(String(repeating: "a", count: NameTable.longest + 1)) == 0)
    }

    /// Names made to fall into the slot of a known one are still told apart, and the search ends.
    @Test func collisionsAreToldApart() {
        for known in HeaderID.allCases where known.name.utf8.count > 4 {
            var bytes = Array(known.name.utf8)
            let slot = bytes.withUnsafeBufferPointer { fl_name_slot($0.baseAddress!, $0.count) }
            let at = bytes.count / 2 == 1 ? 2 : 1
            bytes[at] = bytes[at] == 0x7A ? 0x61 : 0x7A
            let same = bytes.withUnsafeBufferPointer { fl_name_slot($0.baseAddress!, $0.count) }
            #expect(slot == same)
            #expect(id(String(decoding: bytes, as: UTF8.self)) == 0, "\(known)")
        }
    }

    /// A look-up of an unknown name walks a few slots at most: peers choose names.
    @Test func runsOfFullSlotsAreShort() {
        var longest = 0
        var run = 0
        let ids = HeaderNames.ids
        let offset = MemoryLayout<fl_names>.offset(of: \fl_names.slots) ?? 0
        let slots = (UnsafeRawPointer(ids) + offset).assumingMemoryBound(to: UInt8.self)
        for slot in 0..<(2 * Int(FL_NAME_SLOTS)) {
            let isFull = slots[slot % Int(FL_NAME_SLOTS)] != 0
            run = isFull ? run + 1 : 0
            longest = max(longest, run)
        }
        #expect(longest <= 8)
    }

    @Test func randomNamesAgainstADictionary() {
        var random = SeededRandom()
        let ids = Dictionary(uniqueKeysWithValues: HeaderID.allCases.map { ($0.name, $0.rawValue) })
        let names = HeaderID.allCases.map(\.name)
        for _ in 0..<20_000 {
            let name = text(random.mutated(Array(random.pick(names).utf8)))
            #expect(id(name) == ids[name] ?? 0)
        }
    }
}
