// Bytes on their way that somebody has to keep: a stretch of memory with a start and an end. Who owns the
// memory, and gives it back, is said where a buffer lies.

/// Bytes between `start` and `end`; no memory at all while empty.
@frozen
public struct Buffer: BitwiseCopyable {
    public var base: UnsafeMutablePointer<UInt8>?
    public var start: UInt32 = 0
    public var end: UInt32 = 0
    public var capacity: UInt32 = 0

    @inlinable
    public init() {}

    @inlinable public var count: Int { Int(end &- start) }
    @inlinable public var isEmpty: Bool { end == start }
    @inlinable public var bytes: UnsafeMutablePointer<UInt8> { base! + Int(start) }
    @inlinable public var room: Int { Int(capacity &- end) }
}
