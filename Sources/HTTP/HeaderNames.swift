// The table from a lower-case field name to its `HeaderID`, filled once per process and only read afterwards.
public import Base
public import CLinux

public enum HeaderNames {
    /// The `HeaderID` of a lower-case name; `HeaderID.other` (0) if Fairlead does not act on it.
    public static func id(_ name: ByteView) -> UInt8 { fl_name_id(ids, name.start, name.count) }

    /// The name of a known field, as a value that holds for the life of the process.
    @inlinable
    public static func name(_ id: HeaderID) -> HeaderName { table.pointee.names[Int(id.rawValue)] }

    @inline(__always)
    static var ids: UnsafePointer<fl_names> { table.pointee.ids }

    /// Built at the first use. Two threads that come first together build the same table twice, and one is
    /// never freed.
    @inlinable @inline(__always)
    static var table: UnsafePointer<NameTable> {
        if let built = fl_header_names_now() {
            return UnsafePointer(built.assumingMemoryBound(to: NameTable.self))
        }
        return NameTable.buildShared()
    }
}

/// Names by number, and numbers by name in the form in which heads are read (`fl_names`).
@usableFromInline
struct NameTable {
    static let longest = Int(FL_NAME_LONGEST)
    static let shortBytes = 15
    let ids: UnsafePointer<fl_names>
    @usableFromInline let names: UnsafePointer<HeaderName>

    @usableFromInline
    @inline(never)
    static func buildShared() -> UnsafePointer<NameTable> {
        let table = build()
        fl_header_names_set(UnsafeMutableRawPointer(mutating: table))
        return table
    }

    static func build() -> UnsafePointer<NameTable> {
        let names = UnsafeMutablePointer<HeaderName>.allocate(capacity: HeaderID.allCases.count)
        let ids = UnsafeMutablePointer<fl_names>.allocate(capacity: 1)
        fl_names_clear(ids)
        for id in HeaderID.allCases {
            let text = Array(id.name.utf8)
            let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, text.count))
            bytes.initialize(from: text, count: text.count)
            (names + Int(id.rawValue)).initialize(
                to: HeaderName(known: ByteView(UnsafePointer(bytes), text.count), id: id))
            if id != .other { fl_names_add(ids, id.rawValue, bytes, text.count) }
        }
        fillShort(ids)
        let table = UnsafeMutablePointer<NameTable>.allocate(capacity: 1)
        table.initialize(to: NameTable(ids: UnsafePointer(ids), names: UnsafePointer(names)))
        return UnsafePointer(table)
    }

    /// Looks for a multiplier that gives every short name a slot of its own. One in ten or so does.
    private static func fillShort(_ ids: UnsafeMutablePointer<fl_names>) {
        let short = HeaderID.allCases.filter { (1...shortBytes).contains($0.name.utf8.count) }
        let texts = short.map(words(of:))
        var multiplier: UInt64 = 0x9E37_79B9_7F4A_7C15
        while Set(texts.map { fl_short_slot(multiplier, $0.0, $0.1) }).count < texts.count {
            multiplier = multiplier &* 0xBF58_476D_1CE4_E5B9 &+ 2
        }
        ids.pointee.multiplier = multiplier
        for (id, words) in zip(short, texts) {
            let length = UInt8(id.name.utf8.count)
            fl_names_add_short(ids, id.rawValue, length, words.0, words.1)
        }
    }

    private static func words(of id: HeaderID) -> (UInt64, UInt64) {
        var words: [UInt64] = [0, 0]
        for (index, byte) in id.name.utf8.enumerated() {
            words[index / 8] |= UInt64(byte) << UInt64(8 * (index % 8))
        }
        return (words[0], words[1])
    }
}

extension HeaderName {
    init(known bytes: ByteView, id: HeaderID) {
        self.bytes = bytes
        self.id = id.rawValue
    }
}
