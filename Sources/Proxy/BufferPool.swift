// Buffers that connections hold only while they must: part of a head, unsent output, a request head until its
// response starts. Four sizes; a few of each are kept for reuse, the rest goes back to the allocator.
internal import Base
internal import CLinux

struct BufferPool: ~Copyable {
    /// Sizes and how many of each are kept: most heads fit the first, a paused body the last.
    private static let sizes: (Int, Int, Int, Int) = (4_096, 16_384, 65_536, 262_144)
    private static let kept: (Int, Int, Int, Int) = (256, 64, 16, 8)

    private var lists: UnsafeMutablePointer<FreeList>
    /// Bytes in buffers that are in use.
    private(set) var bytesInUse = 0
    /// The same with buffers kept for reuse.
    private(set) var bytesHeld = 0

    private struct FreeList: BitwiseCopyable {
        var head: UnsafeMutableRawPointer?
        var count: Int
        var size: Int
        var kept: Int
    }

    init() {
        lists = .allocate(capacity: 4)
        let (a, b, c, d) = Self.sizes
        let (w, x, y, z) = Self.kept
        lists.initialize(to: FreeList(head: nil, count: 0, size: a, kept: w))
        (lists + 1).initialize(to: FreeList(head: nil, count: 0, size: b, kept: x))
        (lists + 2).initialize(to: FreeList(head: nil, count: 0, size: c, kept: y))
        (lists + 3).initialize(to: FreeList(head: nil, count: 0, size: d, kept: z))
    }

    deinit {
        for index in 0..<4 {
            while let head = lists[index].head {
                lists[index].head = head.load(as: UnsafeMutableRawPointer?.self)
                free(head)
            }
        }
        lists.deallocate()
    }

    /// A buffer with room for `count` bytes; larger than the largest size comes straight from the allocator.
    mutating func take(_ count: Int) -> Buffer {
        var buffer = Buffer()
        var index = 0
        while index < 4, lists[index].size < count { index &+= 1 }
        let size = index < 4 ? lists[index].size : count
        if index < 4, let head = lists[index].head {
            lists[index].head = head.load(as: UnsafeMutableRawPointer?.self)
            lists[index].count &-= 1
            buffer.base = head.assumingMemoryBound(to: UInt8.self)
        } else {
            buffer.base = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
            bytesHeld &+= size
        }
        buffer.capacity = UInt32(truncatingIfNeeded: size)
        bytesInUse &+= size
        return buffer
    }

    /// Gives the memory back and leaves the buffer empty.
    mutating func release(_ buffer: inout Buffer) {
        guard let base = buffer.base else { return }
        bytesInUse &-= Int(buffer.capacity)
        var index = 0
        while index < 4, lists[index].size != Int(buffer.capacity) { index &+= 1 }
        if index < 4, lists[index].count < lists[index].kept {
            let raw = UnsafeMutableRawPointer(base)
            raw.storeBytes(of: lists[index].head, as: UnsafeMutableRawPointer?.self)
            lists[index].head = raw
            lists[index].count &+= 1
        } else {
            base.deallocate()
            bytesHeld &-= Int(buffer.capacity)
        }
        buffer = Buffer()
    }

    /// Makes room for `count` more bytes at the end, moving what is there.
    mutating func reserve(_ buffer: inout Buffer, _ count: Int) {
        if buffer.room >= count { return }
        let held = buffer.count
        if Int(buffer.capacity) >= held + count, let base = buffer.base {
            memmove(base, base + Int(buffer.start), held)
        } else {
            var larger = take(held + count)
            if held > 0 { memcpy(larger.base!, buffer.bytes, held) }
            release(&buffer)
            swap(&buffer, &larger)
        }
        buffer.start = 0
        buffer.end = UInt32(truncatingIfNeeded: held)
    }

    mutating func append(_ buffer: inout Buffer, _ bytes: UnsafePointer<UInt8>, _ count: Int) {
        reserve(&buffer, count)
        memcpy(buffer.base! + Int(buffer.end), bytes, count)
        buffer.end &+= UInt32(truncatingIfNeeded: count)
    }

    mutating func append(_ buffer: inout Buffer, _ bytes: ByteView) {
        append(&buffer, bytes.start, bytes.count)
    }

    /// Drops bytes at the front; gives the memory back when none are left.
    mutating func consume(_ buffer: inout Buffer, _ count: Int) {
        buffer.start &+= UInt32(truncatingIfNeeded: count)
        if buffer.start == buffer.end { release(&buffer) }
    }
}
