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

/// The lines of one head and room for the lines that edits add. One per direction and worker; its memory is
/// allocated once. Nothing here allocates.
public struct HeaderList {
    public let fields: UnsafeMutablePointer<HeaderField>
    public private(set) var capacity: Int
    public var count = 0
    private let editBytes: UnsafeMutablePointer<UInt8>
    private var editUsed = 0
    /// Bytes of lines that somebody else owns.
    private var lentBytes = 0
    /// Bit n: a line with `HeaderID` n was there, dropped or not. Most look-ups are for fields that most
    /// heads do not have, and end here.
    var present: (UInt64, UInt64) = (0, 0)
    private let editCapacity: Int
    /// An edit did not fit (`Limits.editFields`, `Limits.editBytes`): the head must not go on.
    public private(set) var overflowed = false

    /// Owned by a worker for its whole life.
    public init() {
        capacity = Limits.headFields + Limits.editFields
        fields = .allocate(capacity: capacity)
        editCapacity = Limits.editBytes
        editBytes = .allocate(capacity: editCapacity)
    }

    /// Frees the memory; the list must not be used afterwards.
    public func deallocate() {
        fields.deallocate()
        editBytes.deallocate()
    }

    public mutating func reset() {
        count = 0
        editUsed = 0
        lentBytes = 0
        overflowed = false
        present = (0, 0)
    }

    @inline(__always)
    func mayHave(_ id: UInt8) -> Bool {
        (id < 64 ? present.0 >> UInt64(id) : present.1 >> UInt64(id & 63)) & 1 != 0
    }

    @inline(__always)
    private mutating func note(_ id: UInt8) {
        if id < 64 { present.0 |= 1 << UInt64(id) } else { present.1 |= 1 << UInt64(id & 63) }
    }

    /// At most the bytes that the lines still going on take, for a head of `headLength` bytes.
    public func lineBytesMax(headLength: Int) -> Int { headLength &+ editUsed &+ lentBytes }

    /// First line with this name that still goes on, at or after index `from`.
    public func find(_ name: HeaderName, from: Int = 0) -> UnsafeMutablePointer<HeaderField>? {
        if name.id != 0 { return find(id: name.id, from) }
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
    public func find(_ id: HeaderID, from: Int = 0) -> UnsafeMutablePointer<HeaderField>? {
        find(id: id.rawValue, from)
    }

    private func find(id: UInt8, _ from: Int) -> UnsafeMutablePointer<HeaderField>? {
        if !mayHave(id) { return nil }
        let end = fields + count
        var field = fields + from
        while field < end {
            if field.pointee.id == id, !field.pointee.dropped { return field }
            field += 1
        }
        return nil
    }

    /// Index of a line of this list.
    public func index(of field: UnsafeMutablePointer<HeaderField>) -> Int { field - fields }

    /// Marks every line of this name as not going on. Returns whether there was one.
    @discardableResult
    public mutating func remove(_ name: HeaderName) -> Bool {
        if name.id != 0, !mayHave(name.id) { return false }
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
    public mutating func remove(_ id: HeaderID) {
        if !mayHave(id.rawValue) { return }
        var index = 0
        while index < count {
            if fields[index].id == id.rawValue { fields[index].dropped = true }
            index &+= 1
        }
    }

    /// Adds a line at the end. `value` must be free of control characters; the name is lower case.
    public mutating func append(_ name: HeaderName, _ value: ByteView) {
        guard let room = reserve(name, value.count) else { return }
        memcpy(room, value.start, value.count)
    }

    /// Adds a whole line that somebody else owns; it must hold as long as the head.
    public mutating func append(_ field: HeaderField) {
        guard count < capacity else {
            overflowed = true
            return
        }
        (fields + count).initialize(to: field)
        count &+= 1
        lentBytes &+= Int(field.lineLength)
        note(field.id)
    }

    /// Adds a line whose value the caller writes: room for exactly `count` bytes, or nil when it does not fit
    /// (`overflowed` is set).
    public mutating func reserve(_ name: HeaderName, _ count: Int) -> UnsafeMutablePointer<UInt8>? {
        let nameLength = name.bytes.count
        let length = nameLength + 2 + count + 2
        guard self.count < capacity, editUsed + length <= editCapacity else {
            overflowed = true
            return nil
        }
        let line = editBytes + editUsed
        editUsed += length
        memcpy(line, name.bytes.start, nameLength)
        line[nameLength] = 0x3A
        line[nameLength + 1] = 0x20
        line[length - 2] = 0x0D
        line[length - 1] = 0x0A
        (fields + self.count).initialize(
            to: HeaderField(
                line: UnsafePointer(line), lineLength: UInt32(truncatingIfNeeded: length),
                nameLength: UInt16(truncatingIfNeeded: nameLength),
                valueOffset: UInt32(truncatingIfNeeded: nameLength + 2),
                valueLength: UInt32(truncatingIfNeeded: count), id: name.id))
        self.count &+= 1
        note(name.id)
        return line + nameLength + 2
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
    public func copyLines(to out: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        var to = out
        var runStart: UnsafePointer<UInt8>? = nil
        var runEnd: UnsafePointer<UInt8>? = nil
        var index = 0
        while index < count {
            let field = fields + index
            index &+= 1
            if field.pointee.dropped { continue }
            if runEnd == field.pointee.line {
                runEnd = field.pointee.line + Int(field.pointee.lineLength)
                continue
            }
            if let start = runStart, let end = runEnd {
                memcpy(to, start, end - start)
                to += end - start
            }
            runStart = field.pointee.line
            runEnd = field.pointee.line + Int(field.pointee.lineLength)
        }
        if let start = runStart, let end = runEnd {
            memcpy(to, start, end - start)
            to += end - start
        }
        return to
    }
}
