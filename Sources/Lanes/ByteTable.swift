// Hash tables in an arena, built once and only read on the request path: byte strings to numbers, and numbers
// to numbers.
public import Base

/// Byte strings to numbers by open addressing, at most half full. Empty tables answer nil.
public struct ByteTable: BitwiseCopyable {
    @usableFromInline struct Slot: BitwiseCopyable {
        @usableFromInline var key: ByteView
        var hash: UInt64
        var value: UInt32
        var used: Bool
    }

    private var slots: UnsafePointer<Slot>?
    private var mask: Int

    init() {
        slots = nil
        mask = 0
    }

    /// Keys must outlive the table. Of equal keys the first counts.
    init(_ entries: [(key: ByteView, value: UInt32)], _ arena: Arena) {
        self.init()
        if entries.isEmpty { return }
        var size = 4
        while size < entries.count * 2 { size *= 2 }
        mask = size - 1
        let room = arena.allocate(Slot.self, count: size)
        room.initialize(repeating: Slot(key: .empty, hash: 0, value: 0, used: false), count: size)
        for entry in entries {
            let hash = entry.key.hash
            var at = Int(truncatingIfNeeded: hash) & mask
            while room[at].used {
                if room[at].hash == hash, room[at].key.equals(entry.key) { break }
                at = (at + 1) & mask
            }
            if !room[at].used { room[at] = Slot(key: entry.key, hash: hash, value: entry.value, used: true) }
        }
        slots = UnsafePointer(room)
    }

    func find(_ key: ByteView) -> UInt32? {
        guard let slot = slot(key) else { return nil }
        return slot.pointee.value
    }

    /// The table's own copy of the key with its value.
    func slot(_ key: ByteView) -> UnsafePointer<Slot>? {
        guard let slots else { return nil }
        let hash = key.hash
        var at = Int(truncatingIfNeeded: hash) & mask
        while slots[at].used {
            if slots[at].hash == hash, slots[at].key.equals(key) { return slots + at }
            at = (at &+ 1) & mask
        }
        return nil
    }

    var isEmpty: Bool { slots == nil }
}

/// Small numbers to positions in an array, for the members of a lane in a cluster.
public struct IndexTable: BitwiseCopyable {
    private struct Slot: BitwiseCopyable {
        var key: UInt32
        /// Position plus one; 0: free.
        var value: UInt32
    }

    private var slots: UnsafePointer<Slot>?
    private var mask: UInt32

    init() {
        slots = nil
        mask = 0
    }

    init(_ keys: [UInt32], _ arena: Arena) {
        self.init()
        if keys.isEmpty { return }
        var size = 4
        while size < keys.count * 2 { size *= 2 }
        mask = UInt32(size - 1)
        let room = arena.allocate(Slot.self, count: size)
        room.initialize(repeating: Slot(key: 0, value: 0), count: size)
        for (position, key) in keys.enumerated() {
            var at = Int(Self.hash(key) & mask)
            while room[at].value != 0 {
                if room[at].key == key { break }
                at = (at + 1) & Int(mask)
            }
            if room[at].value == 0 { room[at] = Slot(key: key, value: UInt32(position + 1)) }
        }
        slots = UnsafePointer(room)
    }

    private static func hash(_ key: UInt32) -> UInt32 {
        let mixed = key &* 0x9E37_79B1
        return mixed ^ (mixed &>> 15)
    }

    func find(_ key: UInt32) -> Int? {
        guard let slots else { return nil }
        var at = Self.hash(key) & mask
        while slots[Int(at)].value != 0 {
            if slots[Int(at)].key == key { return Int(slots[Int(at)].value &- 1) }
            at = (at &+ 1) & mask
        }
        return nil
    }
}
