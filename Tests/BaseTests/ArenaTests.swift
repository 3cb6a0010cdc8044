// The arena: what it hands out is aligned, apart from everything else, and freed once.
import Base
import Testing

@Suite struct Arenas {
    @Test func everyValueKeepsItsPlace() {
        let arena = Arena()
        var bytes: [(UnsafeMutablePointer<UInt8>, Int)] = []
        var words: [UnsafeMutablePointer<UInt64>] = []
        var wide: [UnsafeMutablePointer<SIMD2<UInt64>>] = []
        for round in 0..<3_000 {
            let count = 1 + round % 37
            let place = arena.allocate(UInt8.self, count: count)
            place.initialize(repeating: UInt8(truncatingIfNeeded: round), count: count)
            bytes.append((place, count))
            words.append(arena.store(UInt64(round)))
            wide.append(arena.store(SIMD2(UInt64(round), UInt64(round) + 1)))
        }
        for round in 0..<3_000 {
            let (place, count) = bytes[round]
            #expect((0..<count).allSatisfy { place[$0] == UInt8(truncatingIfNeeded: round) })
            #expect(words[round].pointee == UInt64(round) && wide[round].pointee.y == UInt64(round) + 1)
            #expect(Int(bitPattern: words[round]) % 8 == 0 && Int(bitPattern: wide[round]) % 16 == 0)
        }
    }

    /// Around the size that gets memory of its own, and around the end of a chunk.
    @Test func bigAllocations() {
        let arena = Arena()
        var places: [(UnsafeMutablePointer<UInt8>, Int, UInt8)] = []
        for (index, size) in [1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1 << 20, 16_384, 16_384, 3]
            .enumerated()
        {
            let place = arena.allocate(UInt8.self, count: size)
            place.initialize(repeating: UInt8(index + 1), count: size)
            places.append((place, size, UInt8(index + 1)))
        }
        for (place, size, mark) in places { #expect(place[0] == mark && place[size - 1] == mark) }
        #expect(arena.bytesUsed == places.reduce(0) { $0 + $1.1 })
    }

    @Test func frozenArrays() {
        let arena = Arena()
        let frozen = arena.store([3, 1, 2] as [Int32])
        #expect(frozen.count == 3 && !frozen.isEmpty && frozen[0].pointee == 3 && frozen[2].pointee == 2)
        let none = arena.store([] as [Int64])
        #expect(none.count == 0 && none.isEmpty)
        let many = arena.store(Array(0..<20_000))
        #expect((0..<20_000).allSatisfy { many[$0].pointee == $0 })
    }

    @Test func texts() {
        let arena = Arena()
        let text = arena.store("H\u{E4}llo")
        #expect(text.string == "H\u{E4}llo" && text.count == 6)
        #expect(arena.store("").equals("") && arena.store([] as [UInt8]).count == 0)
        #expect(arena.store([1, 2] as [UInt8]).bytes == [1, 2])
    }

    @Test func allocatingNothing() {
        let arena = Arena()
        let first = arena.allocate(UInt32.self, count: 0)
        let second = arena.allocate(UInt32.self, count: 0)
        #expect(UnsafeRawPointer(first) != UnsafeRawPointer(second))
    }

    @Test func actionsRunOnceInOrderBeforeTheMemoryGoes() {
        final class Record {
            var order: [Int] = []
        }
        let record = Record()
        do {
            let arena = Arena()
            let value = arena.store(UInt64(42))
            arena.whenFreed { record.order.append(Int(value.pointee)) }
            arena.whenFreed { record.order.append(2) }
            withExtendedLifetime(arena) { #expect(record.order.isEmpty) }
        }
        #expect(record.order == [42, 2])
    }
}
