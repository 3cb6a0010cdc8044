// Memory for everything that lives exactly as long as one configuration snapshot. Built by one thread, then
// frozen and read by all; freed whole. The structs in it are trivial and point at each other directly, so
// a request that walks them touches no reference count.
internal import CLinux

/// A bump allocator that frees all at once. Not for growing structures: count first, then allocate.
public final class Arena {
    private let chunkBytes: Int
    private var chunks: [UnsafeMutableRawPointer] = []
    private var cursor: UnsafeMutableRawPointer?
    private var remaining = 0
    private var atEnd: [() -> Void] = []
    /// Bytes handed out so far.
    public private(set) var bytesUsed = 0

    /// 64 KiB: a small configuration fits in one chunk, and a large one wastes little.
    public init(chunkBytes: Int = 65_536) { self.chunkBytes = chunkBytes }

    deinit {
        for action in atEnd { action() }
        for chunk in chunks { free(chunk) }
    }

    /// Runs when the arena is freed: for handles of C libraries that the frozen structs refer to.
    public func whenFreed(_ action: @escaping () -> Void) { atEnd.append(action) }

    private func allocate(bytes: Int, alignment: Int) -> UnsafeMutableRawPointer {
        precondition(alignment <= 16, "malloc(3) aligns to 16 bytes")
        bytesUsed += bytes
        if bytes > chunkBytes / 4 {
            guard let own = malloc(bytes) else {
                fatalError("out of memory: \(bytes) bytes of configuration")
            }
            chunks.append(own)
            return own
        }
        let padding = cursor.map { (alignment - Int(bitPattern: $0) % alignment) % alignment } ?? 0
        if cursor == nil || remaining < bytes + padding {
            guard let chunk = malloc(chunkBytes) else {
                fatalError("out of memory: \(chunkBytes) bytes of configuration")
            }
            chunks.append(chunk)
            cursor = chunk
            remaining = chunkBytes
            return allocateFromChunk(bytes: bytes, padding: 0)
        }
        return allocateFromChunk(bytes: bytes, padding: padding)
    }

    private func allocateFromChunk(bytes: Int, padding: Int) -> UnsafeMutableRawPointer {
        let place = cursor! + padding
        cursor = place + bytes
        remaining -= bytes + padding
        return place
    }

    /// Room for `count` values of a trivial type, uninitialised.
    public func allocate<Value: BitwiseCopyable>(
        _ type: Value.Type, count: Int
    ) -> UnsafeMutablePointer<Value> {
        allocate(
            bytes: max(1, MemoryLayout<Value>.stride * count), alignment: MemoryLayout<Value>.alignment
        ).bindMemory(to: Value.self, capacity: count)
    }

    /// A frozen copy of one value.
    public func store<Value: BitwiseCopyable>(_ value: Value) -> UnsafeMutablePointer<Value> {
        let place = allocate(Value.self, count: 1)
        place.initialize(to: value)
        return place
    }

    /// A frozen copy of an array.
    public func store<Value: BitwiseCopyable>(_ values: [Value]) -> Frozen<Value> {
        let place = allocate(Value.self, count: values.count)
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { place.initialize(from: base, count: source.count) }
        }
        return Frozen(start: UnsafePointer(place), count: values.count)
    }

    /// A frozen copy of a text's UTF-8.
    public func store(_ text: String) -> ByteView {
        text.withView { text in
            if text.isEmpty { return .empty }
            let place = allocate(UInt8.self, count: text.count)
            place.initialize(from: text.start, count: text.count)
            return ByteView(UnsafePointer(place), text.count)
        }
    }

    /// Texts one after the other, as one.
    public func store(_ texts: String...) -> ByteView {
        let count = texts.reduce(0) { $0 + $1.utf8.count }
        if count == 0 { return .empty }
        let place = allocate(UInt8.self, count: count)
        var at = place
        for text in texts {
            text.withView { text in
                at.initialize(from: text.start, count: text.count)
                at += text.count
            }
        }
        return ByteView(UnsafePointer(place), count)
    }

    /// A frozen copy of bytes.
    public func store(_ bytes: [UInt8]) -> ByteView {
        if bytes.isEmpty { return .empty }
        let frozen: Frozen<UInt8> = store(bytes)
        return ByteView(frozen.start, frozen.count)
    }
}

/// An immutable array in an `Arena`: trivial, unlike Array.
@frozen
public struct Frozen<Value: BitwiseCopyable>: BitwiseCopyable {
    public var start: UnsafePointer<Value>
    public var count: Int

    @inlinable
    public init(start: UnsafePointer<Value>, count: Int) {
        self.start = start
        self.count = count
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    @inlinable
    public subscript(index: Int) -> UnsafePointer<Value> { start + index }
}
