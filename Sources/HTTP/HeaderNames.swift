// The table from a lower-case field name to its `HeaderID`, filled once per process and only read afterwards.
public import Base
internal import CLinux

public enum HeaderNames {
    /// The `HeaderID` of a lower-case name; `HeaderID.other` (0) if Fairlead does not act on it.
    public static func id(_ name: ByteView) -> UInt8 {
        lookup(name.start, name.count, table)
    }

    /// The name of a known field, as a value that holds for the life of the process.
    public static func name(_ id: HeaderID) -> HeaderName { table.pointee.names[Int(id.rawValue)] }

    static func lookup(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ table: UnsafePointer<NameTable>
    ) -> UInt8 {
        if count == 0 || count > NameTable.longest { return 0 }
        var slot = NameTable.slot(start, count)
        while true {
            let id = table.pointee.slots[slot]
            if id == 0 { return 0 }
            let candidate = table.pointee.names[Int(id)].bytes
            if candidate.count == count, fl_equal(candidate.start, start, count) != 0 { return id }
            slot = (slot &+ 1) & NameTable.mask
        }
    }

    /// Built at the first use. Two threads that come first together build the same table twice, and one is
    /// never freed.
    @inline(__always)
    static var table: UnsafePointer<NameTable> {
        if let built = fl_header_names_now() {
            return UnsafePointer(built.assumingMemoryBound(to: NameTable.self))
        }
        return NameTable.buildShared()
    }
}

/// Open addressing over 1,024 slots for some 70 names: most look-ups of unknown names end at an empty slot.
struct NameTable {
    static let mask = 1_023
    static let longest = 48
    let slots: UnsafePointer<UInt8>
    let names: UnsafePointer<HeaderName>

    /// First, middle and last bytes with the length tell apart nearly all real names.
    @inline(__always)
    static func slot(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int {
        let first = Int(start[0])
        let last = Int(start[count &- 1])
        let middle = Int(start[count >> 1])
        return (first &* 7 &+ last &* 61 &+ middle &* 251 &+ count &* 1_031) & mask
    }

    @inline(never)
    static func buildShared() -> UnsafePointer<NameTable> {
        let table = build()
        fl_header_names_set(UnsafeMutableRawPointer(mutating: table))
        return table
    }

    static func build() -> UnsafePointer<NameTable> {
        let slots = UnsafeMutablePointer<UInt8>.allocate(capacity: mask + 1)
        slots.initialize(repeating: 0, count: mask + 1)
        let names = UnsafeMutablePointer<HeaderName>.allocate(capacity: HeaderID.allCases.count)
        for id in HeaderID.allCases {
            let text = Array(id.name.utf8)
            let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, text.count))
            bytes.initialize(from: text, count: text.count)
            (names + Int(id.rawValue)).initialize(
                to: HeaderName(known: ByteView(UnsafePointer(bytes), text.count), id: id))
            if id == .other { continue }
            var slot = slot(bytes, text.count)
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = id.rawValue
        }
        let table = UnsafeMutablePointer<NameTable>.allocate(capacity: 1)
        table.initialize(to: NameTable(slots: UnsafePointer(slots), names: UnsafePointer(names)))
        return UnsafePointer(table)
    }
}

extension HeaderName {
    init(known bytes: ByteView, id: HeaderID) {
        self.bytes = bytes
        self.id = id.rawValue
    }
}
