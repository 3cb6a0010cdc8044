// A pointer and a length: bytes that somebody else owns. Whoever makes a view says how long it holds; views
// of a request's head hold until the worker reads the next bytes, views of configuration as long as the
// snapshot they came from.
public import CLinux

/// Borrowed bytes. Trivial, so that structs made of views are trivial too and cost no reference counting.
@frozen
public struct ByteView: BitwiseCopyable {
    public var start: UnsafePointer<UInt8>
    public var count: Int

    @inlinable
    public init(_ start: UnsafePointer<UInt8>, _ count: Int) {
        self.start = start
        self.count = count
    }

    /// No bytes at all. The address is no place: nothing reads zero bytes.
    @inlinable
    public static var empty: ByteView {
        ByteView(UnsafePointer(bitPattern: 1).unsafelyUnwrapped, 0)
    }

    @inlinable public var isEmpty: Bool { count == 0 }
    @inlinable public var end: UnsafePointer<UInt8> { start + count }

    @inlinable
    public subscript(index: Int) -> UInt8 { start[index] }

    /// The bytes from `from` up to `to`; both must lie within the view.
    @inlinable
    public func slice(_ from: Int, _ to: Int) -> ByteView {
        ByteView(start + from, to &- from)
    }

    /// The same bytes, compared as they are.
    @inlinable
    public func equals(_ other: ByteView) -> Bool {
        count == other.count && fl_same(start, other.start, count) != 0
    }

    /// Equal but for the case of ASCII letters.
    @inlinable
    public func equalsIgnoringCase(_ other: ByteView) -> Bool {
        guard count == other.count else { return false }
        var index = 0
        while index < count {
            if asciiLower(start[index]) != asciiLower(other.start[index]) { return false }
            index &+= 1
        }
        return true
    }

    @inlinable
    public func hasPrefix(_ prefix: ByteView) -> Bool {
        count >= prefix.count && fl_same(start, prefix.start, prefix.count) != 0
    }

    /// Index of the first `byte` at or after `from`; nil if there is none.
    @inlinable
    public func firstIndex(of byte: UInt8, from: Int = 0) -> Int? {
        guard from < count, let hit = memchr(start + from, Int32(byte), count &- from) else { return nil }
        return UnsafeRawPointer(hit) - UnsafeRawPointer(start)
    }

    /// Index of the first place at or after `from` where `key`, which is not empty, stands; nil if there is
    /// none.
    @inlinable
    public func firstIndex(of key: ByteView, from: Int = 0) -> Int? {
        let hit = fl_find(start, count, key.start, key.count, from)
        return hit < count ? hit : nil
    }

    /// Without blanks and tabs at both ends (OWS, RFC 9110 5.6.3).
    @inlinable
    public var trimmed: ByteView {
        var from = 0
        var to = count
        while from < to, start[from] == 0x20 || start[from] == 0x09 { from &+= 1 }
        while to > from, start[to &- 1] == 0x20 || start[to &- 1] == 0x09 { to &-= 1 }
        return slice(from, to)
    }

    /// A hash for tables keyed by bytes; its seed is random per process, so that peers cannot aim at
    /// collisions.
    @inlinable
    public var hash: UInt64 { fl_hash(start, count) }

    /// A copy as text; bytes that are not UTF-8 become U+FFFD. Not for the request path.
    public var string: String {
        String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// A copy. Not for the request path.
    public var bytes: [UInt8] { Array(UnsafeBufferPointer(start: start, count: count)) }
}

extension ByteView: ExpressibleByStringLiteral {
    /// Bytes of the program itself.
    @inlinable
    public init(stringLiteral text: StaticString) {
        self.init(text.utf8Start, text.utf8CodeUnitCount)
    }
}

/// ASCII lower case of one byte; other bytes as they are.
@inlinable
public func asciiLower(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}

extension String {
    /// Calls `body` with this text's UTF-8 as a view that holds for the call.
    public func withView<Result>(_ body: (ByteView) throws -> Result) rethrows -> Result {
        var copy = self
        return try copy.withUTF8 { buffer in
            guard let base = buffer.baseAddress, !buffer.isEmpty else { return try body(.empty) }
            return try body(ByteView(base, buffer.count))
        }
    }

    /// Whether `part` stands anywhere in this text, compared byte by byte: `contains` looks for characters,
    /// which takes ten times as long.
    public func holds(_ part: String) -> Bool {
        withView { text in part.withView { part in part.isEmpty || text.firstIndex(of: part) != nil } }
    }
}
