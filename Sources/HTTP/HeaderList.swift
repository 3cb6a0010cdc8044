// The field lines of one head while it is on its way through: lines of the buffer they were read into, lines
// that edits added, and marks on the lines that will not go on. Lines are copied once, when the head is
// written for the other side.
public import Base
public import CLinux

/// One field line. `line` points at its name (lower case) and runs to and with CRLF; valid until the worker
/// reads the next bytes.
@frozen
public struct HeaderField: BitwiseCopyable {
    public var line: UnsafePointer<UInt8>
    /// Name, colon, blanks, value and CRLF together.
    public var lineLength: UInt32
    /// Where the value starts, from `line`; blanks around the value are not part of it.
    public var valueOffset: UInt32
    public var valueLength: UInt32
    public var nameLength: UInt16
    /// A `HeaderID`.
    public var id: UInt8
    /// True: the line does not go on to the other side. It stays readable.
    public var dropped: Bool

    @inlinable
    public init(
        line: UnsafePointer<UInt8>, lineLength: UInt32, nameLength: UInt16, valueOffset: UInt32,
        valueLength: UInt32, id: UInt8
    ) {
        self.line = line
        self.lineLength = lineLength
        self.nameLength = nameLength
        self.valueOffset = valueOffset
        self.valueLength = valueLength
        self.id = id
        dropped = false
    }

    @inlinable public var name: ByteView { ByteView(line, Int(nameLength)) }
    @inlinable public var value: ByteView { ByteView(line + Int(valueOffset), Int(valueLength)) }
}

/// A field name to look up: its lower-case bytes and its `HeaderID` (`other` means: compare the bytes).
/// Made once by configuration, so that a look-up on the request path compares one byte for known names.
@frozen
public struct HeaderName: BitwiseCopyable {
    public var bytes: ByteView
    public var id: UInt8

    /// `bytes` must be lower case and outlive the name.
    public init(_ bytes: ByteView) {
        self.bytes = bytes
        id = HeaderNames.id(bytes)
    }

    @inlinable
    public func matches(_ field: UnsafePointer<HeaderField>) -> Bool {
        if id != 0 { return field.pointee.id == id }
        return field.pointee.id == 0 && Int(field.pointee.nameLength) == bytes.count
            && fl_equal(field.pointee.line, bytes.start, bytes.count) != 0
    }
}

/// Writes lines of known names one after the other, with what each changes in registers.
@frozen
public struct LineWriter: BitwiseCopyable {
    @usableFromInline var field: UnsafeMutablePointer<HeaderField>
    @usableFromInline var line: UnsafeMutablePointer<UInt8>
    @usableFromInline var position: Int
    @usableFromInline var present: UInt64
    @usableFromInline var repeated: UInt64
    @usableFromInline let places: UnsafeMutablePointer<UInt8>

    @usableFromInline @inline(__always)
    init(
        field: UnsafeMutablePointer<HeaderField>, line: UnsafeMutablePointer<UInt8>, position: Int,
        present: UInt64, repeated: UInt64, places: UnsafeMutablePointer<UInt8>
    ) {
        self.field = field
        self.line = line
        self.position = position
        self.present = present
        self.repeated = repeated
        self.places = places
    }

    /// Adds a line and returns where its value of `count` bytes goes. `start` is the name in lower case, a
    /// colon and a blank; the name's number is below 64.
    @inlinable @inline(__always)
    public mutating func add(
        _ id: HeaderID, _ start: StaticString, _ count: Int
    ) -> UnsafeMutablePointer<UInt8> {
        let startLength = start.utf8CodeUnitCount
        let length = startLength &+ count &+ 2
        let value = line + startLength
        fl_copy_short(line, start.utf8Start, startLength)
        fl_store16(value + count, 0x0A0D)
        field.initialize(
            to: HeaderField(
                line: UnsafePointer(line), lineLength: UInt32(truncatingIfNeeded: length),
                nameLength: UInt16(truncatingIfNeeded: startLength &- 2),
                valueOffset: UInt32(truncatingIfNeeded: startLength),
                valueLength: UInt32(truncatingIfNeeded: count), id: id.rawValue))
        let bit: UInt64 = 1 &<< UInt64(id.rawValue)
        repeated |= present & bit
        present |= bit
        places[Int(id.rawValue)] = UInt8(truncatingIfNeeded: position)
        field += 1
        line += length
        position &+= 1
        return value
    }
}

/// The lines of one head and room for the lines that edits add. One per direction and worker; its memory is
/// allocated once. Nothing here allocates.
public struct HeaderList {
    public let fields: UnsafeMutablePointer<HeaderField>
    public let capacity: Int
    public var count = 0
    @usableFromInline let editBytes: UnsafeMutablePointer<UInt8>
    @usableFromInline var editUsed = 0
    /// Bytes of lines that somebody else owns.
    @usableFromInline var lentBytes = 0
    /// What is known without looking through the lines: most look-ups are for fields that most heads do not
    /// have, or have once.
    @usableFromInline var marks: fl_line_marks
    @usableFromInline let editCapacity: Int
    /// An edit did not fit (`Limits.editFields`, `Limits.editBytes`): the head must not go on.
    public internal(set) var overflowed = false

    /// Owned by a worker for its whole life.
    public init() {
        capacity = Limits.headFields + Limits.editFields
        fields = .allocate(capacity: capacity)
        editCapacity = Limits.editBytes
        editBytes = .allocate(capacity: editCapacity)
        marks = fl_line_marks()
        marks.places = .allocate(capacity: 256)
        marks.places.initialize(repeating: 0, count: 256)
    }

    /// Frees the memory; the list must not be used afterwards.
    public func deallocate() {
        fields.deallocate()
        editBytes.deallocate()
        marks.places.deallocate()
    }

    public mutating func reset() {
        count = 0
        editUsed = 0
        lentBytes = 0
        overflowed = false
        marks.present = (0, 0)
        marks.repeated = (0, 0)
        marks.other_lengths = 0
        marks.other_initials = 0
    }

    @usableFromInline @inline(never)
    mutating func overflow() { overflowed = true }

    /// Bits of the known names of which there was a line, dropped or not.
    @inlinable public var present: HeaderIDSet {
        HeaderIDSet(low: marks.present.0, high: marks.present.1)
    }

    @inlinable @inline(__always)
    func mayHave(_ id: UInt8) -> Bool { Self.bit(id, marks.present) }

    @inlinable @inline(__always)
    func isRepeated(_ id: UInt8) -> Bool { Self.bit(id, marks.repeated) }

    /// Whether there was more than one line with this known name.
    @inlinable @inline(__always)
    public func isRepeated(_ id: HeaderID) -> Bool { isRepeated(id.rawValue) }

    /// The known names below 64 of which there is more than one line.
    @inline(__always) var repeatedLow: UInt64 { marks.repeated.0 }

    /// Index of the last line with a known name that is present.
    @inline(__always)
    func place(_ id: UInt8) -> Int { Int(marks.places[Int(id)]) }

    @inlinable @inline(__always)
    static func bit(_ id: UInt8, _ words: (UInt64, UInt64)) -> Bool {
        (id < 64 ? words.0 &>> UInt64(id) : words.1 &>> UInt64(id)) & 1 != 0
    }

    /// Whether a line without a number can have this name.
    @inlinable @inline(__always)
    public func mayHave(_ name: ByteView) -> Bool {
        marks.other_lengths &>> UInt64(name.count) & 1 != 0
            && marks.other_initials &>> UInt64(name[0]) & 1 != 0
    }

    @inlinable @inline(__always)
    mutating func note(_ position: Int) {
        let field = fields + position
        fl_note_line(
            &marks, field.pointee.line, Int(field.pointee.nameLength), field.pointee.id,
            UInt32(truncatingIfNeeded: position))
    }

    /// At most the bytes that the lines still going on take, for a head of `headLength` bytes.
    public func lineBytesMax(headLength: Int) -> Int { headLength &+ editUsed &+ lentBytes }

    /// First line with this name that still goes on, at or after index `from`.
    @inlinable
    public func find(_ name: HeaderName, from: Int = 0) -> UnsafeMutablePointer<HeaderField>? {
        if name.id != 0 { return find(id: name.id, from) }
        return mayHave(name.bytes) ? findOther(name, from) : nil
    }

    @usableFromInline
    func findOther(_ name: HeaderName, _ from: Int) -> UnsafeMutablePointer<HeaderField>? {
        let end = fields + count
        let length = UInt16(truncatingIfNeeded: name.bytes.count)
        var field = fields + from
        while field < end {
            if field.pointee.nameLength == length, !field.pointee.dropped, name.matches(field) {
                return field
            }
            field += 1
        }
        return nil
    }

    /// First line with this known name that still goes on, at or after index `from`.
    @inlinable @inline(__always)
    public func find(_ id: HeaderID, from: Int = 0) -> UnsafeMutablePointer<HeaderField>? {
        find(id: id.rawValue, from)
    }

    /// The same by number.
    @inlinable @inline(__always)
    public func find(id: UInt8, _ from: Int) -> UnsafeMutablePointer<HeaderField>? {
        if !mayHave(id) { return nil }
        if isRepeated(id) { return findRepeated(id, from) }
        let place = Int(marks.places[Int(id)])
        return place < from || fields[place].dropped ? nil : fields + place
    }

    @usableFromInline
    func findRepeated(_ id: UInt8, _ from: Int) -> UnsafeMutablePointer<HeaderField>? {
        let end = fields + count
        var field = fields + from
        while field < end {
            if field.pointee.id == id, !field.pointee.dropped { return field }
            field += 1
        }
        return nil
    }

    /// The last line with this known name, whether it still goes on or not.
    @inlinable @inline(__always)
    public func last(_ id: HeaderID) -> UnsafeMutablePointer<HeaderField>? {
        mayHave(id.rawValue) ? fields + Int(marks.places[Int(id.rawValue)]) : nil
    }

    /// Index of the first line with this known name that still goes on; -1: none.
    @inlinable @inline(__always)
    public func position(_ id: HeaderID) -> Int {
        if !mayHave(id.rawValue) { return -1 }
        if isRepeated(id) { return findRepeated(id.rawValue, 0).map { index(of: $0) } ?? -1 }
        let place = Int(marks.places[Int(id.rawValue)])
        return fields[place].dropped ? -1 : place
    }

    /// Whether there can be a line without a number whose name begins with this byte.
    @inlinable @inline(__always)
    public func mayHaveOther(initial: UInt8) -> Bool {
        marks.other_initials &>> UInt64(initial) & 1 != 0
    }

    /// Index of a line of this list.
    public func index(of field: UnsafeMutablePointer<HeaderField>) -> Int { field - fields }

    /// Marks every line of this name as not going on. Returns whether there was one.
    @inlinable @discardableResult
    public mutating func remove(_ name: HeaderName) -> Bool {
        if name.id != 0 { return remove(id: name.id) }
        return mayHave(name.bytes) ? removeOther(name) : false
    }

    @usableFromInline
    mutating func removeOther(_ name: HeaderName) -> Bool {
        var removed = false
        var index = 0
        while index < count {
            if !fields[index].dropped, name.matches(fields + index) {
                fields[index].dropped = true
                removed = true
            }
            index &+= 1
        }
        return removed
    }

    /// Marks every line of this known name as not going on.
    @inlinable @inline(__always)
    public mutating func remove(_ id: HeaderID) { _ = remove(id: id.rawValue) }

    @inlinable @inline(__always)
    public mutating func remove(id: UInt8) -> Bool {
        if !mayHave(id) { return false }
        if isRepeated(id) { return removeRepeated(id) }
        let field = fields + Int(marks.places[Int(id)])
        let removed = !field.pointee.dropped
        field.pointee.dropped = true
        return removed
    }

    @usableFromInline
    mutating func removeRepeated(_ id: UInt8) -> Bool {
        var removed = false
        var index = 0
        while index < count {
            if fields[index].id == id, !fields[index].dropped {
                fields[index].dropped = true
                removed = true
            }
            index &+= 1
        }
        return removed
    }

    /// Marks every line of these known names as not going on.
    @inlinable @inline(__always)
    public mutating func remove(_ ids: HeaderIDSet) {
        let those = present.intersection(ids)
        if !those.isEmpty { removeAll(those) }
    }

    @usableFromInline
    mutating func removeAll(_ ids: HeaderIDSet) {
        var rest = ids
        while let id = rest.popFirst() { _ = remove(id: id) }
    }

    /// Adds a line at the end. `value` must be free of control characters; the name is lower case.
    public mutating func append(_ name: HeaderName, _ value: ByteView) {
        guard let room = reserve(name, value.count) else { return }
        fl_copy_short(room, value.start, value.count)
    }

    /// Adds a whole line that somebody else owns; it must hold as long as the head.
    @inlinable @inline(__always)
    public mutating func append(_ field: HeaderField) {
        guard count < capacity else {
            overflow()
            return
        }
        (fields + count).initialize(to: field)
        note(count)
        count &+= 1
        lentBytes &+= Int(field.lineLength)
    }

    /// The same of a line whose own place is at hand: copied as it stands.
    @inlinable @inline(__always)
    public mutating func append(lent field: UnsafePointer<HeaderField>) {
        guard count < capacity else {
            overflow()
            return
        }
        (fields + count).update(from: field, count: 1)
        note(count)
        count &+= 1
        lentBytes &+= Int(field.pointee.lineLength)
    }

    /// Adds a line whose value the caller writes: room for exactly `count` bytes, or nil when it does not fit
    /// (`overflowed` is set).
    public mutating func reserve(_ name: HeaderName, _ count: Int) -> UnsafeMutablePointer<UInt8>? {
        let nameLength = name.bytes.count
        let length = nameLength &+ count &+ 4
        guard self.count < capacity, length <= editCapacity &- editUsed else {
            overflowed = true
            return nil
        }
        let line = editBytes + editUsed
        editUsed &+= length
        fl_copy_short(line, name.bytes.start, nameLength)
        let value = line + nameLength + 2
        fl_store16(line + nameLength, 0x203A)
        fl_store16(value + count, 0x0A0D)
        (fields + self.count).initialize(
            to: HeaderField(
                line: UnsafePointer(line), lineLength: UInt32(truncatingIfNeeded: length),
                nameLength: UInt16(truncatingIfNeeded: nameLength),
                valueOffset: UInt32(truncatingIfNeeded: nameLength &+ 2),
                valueLength: UInt32(truncatingIfNeeded: count), id: name.id))
        note(self.count)
        self.count &+= 1
        return value
    }

    /// The same where the name is known when the program is compiled: `start` is the name in lower case, a
    /// colon and a blank, and costs a store or two.
    @inlinable @inline(__always)
    public mutating func reserve(
        _ id: HeaderID, _ start: StaticString, _ count: Int
    ) -> UnsafeMutablePointer<UInt8>? {
        let startLength = start.utf8CodeUnitCount
        let length = startLength &+ count &+ 2
        let position = self.count
        guard position < capacity, length <= editCapacity &- editUsed else {
            overflow()
            return nil
        }
        let line = editBytes + editUsed
        editUsed &+= length
        fl_copy_short(line, start.utf8Start, startLength)
        fl_store16(line + (length &- 2), 0x0A0D)
        (fields + position).initialize(
            to: HeaderField(
                line: UnsafePointer(line), lineLength: UInt32(truncatingIfNeeded: length),
                nameLength: UInt16(truncatingIfNeeded: startLength &- 2),
                valueOffset: UInt32(truncatingIfNeeded: startLength),
                valueLength: UInt32(truncatingIfNeeded: count), id: id.rawValue))
        note(known: id.rawValue, position)
        self.count = position &+ 1
        return line + startLength
    }

    @inlinable @inline(__always)
    mutating func note(known id: UInt8, _ position: Int) {
        if id < 64 {
            let bit: UInt64 = 1 &<< UInt64(id)
            marks.repeated.0 |= marks.present.0 & bit
            marks.present.0 |= bit
        } else {
            let bit: UInt64 = 1 &<< UInt64(id &- 64)
            marks.repeated.1 |= marks.present.1 & bit
            marks.present.1 |= bit
        }
        marks.places[Int(id)] = UInt8(truncatingIfNeeded: position)
    }

    /// For several lines in a row: room for so many and their bytes; nil, with nothing changed, when they do
    /// not fit.
    @inlinable @inline(__always)
    public func writer(lines: Int, bytes: Int) -> LineWriter? {
        guard count &+ lines <= capacity, bytes <= editCapacity &- editUsed else { return nil }
        return LineWriter(
            field: fields + count, line: editBytes + editUsed, position: count, present: marks.present.0,
            repeated: marks.repeated.0, places: marks.places)
    }

    /// Takes over what was written.
    @inlinable @inline(__always)
    public mutating func take(_ writer: LineWriter) {
        count = writer.position
        editUsed = writer.line - editBytes
        marks.present.0 = writer.present
        marks.repeated.0 = writer.repeated
    }

    /// Room for `count` bytes that belong to no line and hold as long as the head's edits; nil when they do
    /// not fit (`overflowed` is set).
    public mutating func scratch(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
        guard editUsed + count <= editCapacity else {
            overflowed = true
            return nil
        }
        defer { editUsed += count }
        return editBytes + editUsed
    }

    /// Whether one more line of `bytes` fits and leaves room for that many others.
    public func mayAdd(_ bytes: Int, keepingFields: Int, keepingBytes: Int) -> Bool {
        count &+ keepingFields < capacity && editUsed &+ bytes &+ keepingBytes < editCapacity
    }

    /// Replaces all lines of this name by one.
    public mutating func set(_ name: HeaderName, _ value: ByteView) {
        remove(name)
        append(name, value)
    }

    /// Bytes that the lines still going on take.
    public var lineBytes: Int {
        var total = 0
        var index = 0
        while index < count {
            if !fields[index].dropped { total &+= Int(fields[index].lineLength) }
            index &+= 1
        }
        return total
    }

    /// Copies the lines that go on to `out`, neighbours in one piece; returns the end of what was written.
    /// `out` must have room for `lineBytes`.
    @inlinable @inline(__always)
    public func copyLines(to out: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        let lines = UnsafeRawPointer(fields).assumingMemoryBound(to: fl_field.self)
        return fl_copy_lines(lines, UInt32(truncatingIfNeeded: count), out)
    }
}
