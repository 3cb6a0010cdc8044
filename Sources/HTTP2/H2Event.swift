// What a session found in the bytes it was given. nghttp2's callbacks only write these down; whoever fed the
// session acts on them afterwards, so nghttp2 is never entered from within itself.
public import Base
internal import CLinux

public struct H2Event: BitwiseCopyable {
    public enum Kind: UInt8, Sendable, BitwiseCopyable {
        /// A request's or a response's head (1xx included), a trailer section: `readRequest` and its like
        /// take them apart. `ended`: END_STREAM came with it.
        case head, trailers
        /// `bytes` lie in what was fed.
        case data
        case ended
        /// nghttp2 forgot the stream: `code` 0 when both sides ended as they should.
        case closed
        /// Our END_STREAM went out on a stream with `resetAfterEnd`.
        case sentEnd
        case settings, pingAck
        case goaway
    }

    public var kind: Kind
    public var ended = false
    /// An error code of RFC 9113 7.
    public var code: UInt32 = 0
    public var stream: UnsafeMutablePointer<H2Stream>?
    public var bytes = ByteView.empty
    /// Within the inbox's fields and bytes.
    var firstField: UInt32 = 0
    var fieldCount: UInt32 = 0
    var firstByte: UInt32 = 0
    var byteCount: UInt32 = 0
}

/// One field of a head as it lies in the inbox.
struct H2Field: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case regular, method, scheme, authority, path, `protocol`, status
    }

    /// From the inbox's first byte. Regular fields and `:authority` (as `host`) lie there as whole lines, the
    /// others as values.
    var offset: UInt32
    var valueLength: UInt32
    var nameLength: UInt16
    var kind: Kind
}

/// Events, and the bytes of their heads, until they are acted on. One per worker, shared by its sessions;
/// grows to what one slice of input can hold and stays so.
struct H2Inbox: ~Copyable {
    private(set) var events: UnsafeMutablePointer<H2Event>
    private(set) var count = 0
    private var eventCapacity = 256
    private(set) var fields: UnsafeMutablePointer<H2Field>
    private(set) var fieldCount = 0
    private var fieldCapacity = 512
    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var byteCount = 0
    private var byteCapacity = 16_384

    /// Stands before the lines of each head, so that they can be read as an HTTP/1 head where one is asked
    /// for (explain).
    static let requestLine: StaticString = "GET / HTTP/1.1\r\n"

    init() {
        events = .allocate(capacity: eventCapacity)
        fields = .allocate(capacity: fieldCapacity)
        bytes = .allocate(capacity: byteCapacity)
    }

    deinit {
        events.deallocate()
        fields.deallocate()
        bytes.deallocate()
    }

    mutating func append(_ event: H2Event) {
        if count == eventCapacity {
            let larger = UnsafeMutablePointer<H2Event>.allocate(capacity: eventCapacity * 2)
            larger.initialize(from: events, count: count)
            events.deallocate()
            events = larger
            eventCapacity *= 2
        }
        (events + count).initialize(to: event)
        count += 1
    }

    /// Room for `count` bytes at the end.
    mutating func room(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        if byteCount + count > byteCapacity {
            let capacity = max(byteCapacity * 2, byteCount + count)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            memcpy(larger, bytes, byteCount)
            bytes.deallocate()
            bytes = larger
            byteCapacity = capacity
        }
        defer { byteCount += count }
        return bytes + byteCount
    }

    mutating func append(_ text: StaticString) {
        memcpy(room(text.utf8CodeUnitCount), text.utf8Start, text.utf8CodeUnitCount)
    }

    mutating func append(_ field: H2Field) {
        if fieldCount == fieldCapacity {
            let larger = UnsafeMutablePointer<H2Field>.allocate(capacity: fieldCapacity * 2)
            larger.initialize(from: fields, count: fieldCount)
            fields.deallocate()
            fields = larger
            fieldCapacity *= 2
        }
        (fields + fieldCount).initialize(to: field)
        fieldCount += 1
    }

    /// Writes a field down as the head has it.
    mutating func append(name: ByteView, value: ByteView, _ kind: H2Field.Kind) {
        let shown: ByteView = kind == .regular ? name : (kind == .authority ? "host" : .empty)
        let isLine = !shown.isEmpty
        let offset = UInt32(truncatingIfNeeded: byteCount)
        var at = room(shown.count + value.count + (isLine ? 4 : 0))
        if isLine {
            memcpy(at, shown.start, shown.count)
            at += shown.count
            at[0] = 0x3A
            at[1] = 0x20
            at += 2
        }
        memcpy(at, value.start, value.count)
        if isLine {
            at[value.count] = 0x0D
            at[value.count + 1] = 0x0A
        }
        append(
            H2Field(
                offset: offset, valueLength: UInt32(truncatingIfNeeded: value.count),
                nameLength: UInt16(truncatingIfNeeded: shown.count), kind: kind))
    }

    /// Drops all but the events that are still to be acted on.
    mutating func reset() {
        count = 0
        fieldCount = 0
        byteCount = 0
    }

    mutating func cut(fields: Int, bytes: Int) {
        fieldCount = fields
        byteCount = bytes
    }
}
