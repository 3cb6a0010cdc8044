// The way of access log records from a worker to the log's writer: a single-producer, single-consumer ring
// of bytes. A record is the AccessRecord itself with its texts after it, eight-byte aligned and never
// split: what does not fit before the end starts at the beginning, behind a mark.
//
// Waking: the writer says in a shared word whether it is awake, naps (it will look again soon) or sleeps. A
// worker wakes a sleeper, and a napper whose ring is half full; else it makes no system call. The fence
// between publishing and reading that word pairs with the writer's between setting it and looking once
// more, so no record waits for a writer that sleeps.
internal import Base
internal import CLinux

/// Offsets of a ring's words, each side's in cache lines of its own; the bytes follow.
enum RingLayout {
    /// Producer: bytes ever written, its copy of `tail`, records dropped.
    static var head: Int { 0 }
    static var tailSeen: Int { 1 }
    static var dropped: Int { 2 }
    /// Consumer: bytes ever read.
    static var tail: Int { 16 }
    static var data: Int { 32 }
    static var wrapMark: UInt32 { 0xFFFF_FFFF }
    /// Length of the record in the ring, padding included; four bytes unused.
    static var headerBytes: Int { 8 }
}

/// What the writer is doing, as the workers see it.
enum WriterState {
    static var awake: UInt64 { 0 }
    static var napping: UInt64 { 1 }
    static var asleep: UInt64 { 2 }
}

/// A worker's end of its ring. Holds as long as the `AccessLog` it came from.
public struct AccessRing: BitwiseCopyable {
    let base: UnsafeMutablePointer<UInt64>
    /// Shared by all rings of a log.
    let writerState: UnsafeMutablePointer<UInt64>
    let wakeDescriptor: Int32
    let capacity: Int

    /// Copies a record in; false, and counted, if the ring is full. Only the worker that owns the ring.
    @discardableResult
    public func push(_ record: UnsafePointer<AccessRecord>) -> Bool {
        let views = UnsafeRawPointer(record).assumingMemoryBound(to: ByteView.self)
        let fixed = RingLayout.headerBytes &+ MemoryLayout<AccessRecord>.stride
        let viewCount = record.pointee.viewCount
        var need = fixed
        var index = 0
        while index < viewCount {
            need &+= min(views[index].count, Limits.accessFieldBytes)
            index &+= 1
        }
        need = (need &+ 7) & ~7
        guard let (place, head) = reserve(need) else { return false }
        place.storeBytes(of: UInt32(truncatingIfNeeded: need), as: UInt32.self)
        let copy = place + RingLayout.headerBytes
        memcpy(copy, record, MemoryLayout<AccessRecord>.size)
        let copiedViews = copy.assumingMemoryBound(to: ByteView.self)
        var text = place + fixed
        index = 0
        while index < viewCount {
            let count = min(views[index].count, Limits.accessFieldBytes)
            copiedViews[index].count = count
            if count > 0 { memcpy(text, views[index].start, count) }
            text += count
            index &+= 1
        }
        publish(head)
        return true
    }

    private var data: UnsafeMutableRawPointer { UnsafeMutableRawPointer(base + RingLayout.data) }

    /// Room for `need` bytes in one piece, past a remainder too small for them, and `head` behind it.
    private func reserve(_ need: Int) -> (UnsafeMutableRawPointer, UInt64)? {
        let head = base[RingLayout.head]
        let offset = Int(truncatingIfNeeded: head) & (capacity &- 1)
        let skip = offset &+ need > capacity ? capacity &- offset : 0
        let after = head &+ UInt64(skip &+ need)
        if after &- base[RingLayout.tailSeen] > UInt64(capacity) {
            base[RingLayout.tailSeen] = fl_load_acquire(base + RingLayout.tail)
            if after &- base[RingLayout.tailSeen] > UInt64(capacity) {
                fl_add_relaxed(base + RingLayout.dropped, 1)
                return nil
            }
        }
        if skip == 0 { return (data + offset, after) }
        (data + offset).storeBytes(of: RingLayout.wrapMark, as: UInt32.self)
        return (data, after)
    }

    private func publish(_ head: UInt64) {
        fl_store_release(base + RingLayout.head, head)
        fl_fence()
        let state = fl_load_relaxed(writerState)
        if state == WriterState.awake { return }
        if state == WriterState.napping,
            head &- base[RingLayout.tailSeen] < UInt64(capacity / 2)
        {
            return
        }
        wake(head)
    }

    @inline(never)
    private func wake(_ head: UInt64) {
        base[RingLayout.tailSeen] = fl_load_acquire(base + RingLayout.tail)
        if fl_load_relaxed(writerState) == WriterState.napping,
            head &- base[RingLayout.tailSeen] < UInt64(capacity / 2)
        {
            return
        }
        guard fl_exchange(writerState, WriterState.awake) != WriterState.awake else { return }
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    // MARK: the writer's end

    var isEmpty: Bool {
        fl_load_acquire(base + RingLayout.head) == fl_load_relaxed(base + RingLayout.tail)
    }

    /// Hands the oldest record to `body`, its views pointing into the ring; false if there is none.
    func pop(_ body: (inout AccessRecord) -> Void) -> Bool {
        let head = fl_load_acquire(base + RingLayout.head)
        var tail = fl_load_relaxed(base + RingLayout.tail)
        while tail != head {
            let offset = Int(truncatingIfNeeded: tail) & (capacity - 1)
            let place = data + offset
            let length = place.load(as: UInt32.self)
            if length == RingLayout.wrapMark {
                tail += UInt64(capacity - offset)
                continue
            }
            var record = (place + RingLayout.headerBytes).load(as: AccessRecord.self)
            var text = place + RingLayout.headerBytes + MemoryLayout<AccessRecord>.stride
            let viewCount = record.viewCount
            withUnsafeMutableBytes(of: &record) { bytes in
                let views = bytes.baseAddress!.assumingMemoryBound(to: ByteView.self)
                for index in 0..<viewCount {
                    views[index] = ByteView(
                        UnsafePointer(text.assumingMemoryBound(to: UInt8.self)), views[index].count)
                    text += views[index].count
                }
            }
            body(&record)
            fl_store_release(base + RingLayout.tail, tail + UInt64(length))
            return true
        }
        return false
    }
}

extension AccessRing {
    /// A new ring; `capacity` is a power of two. Freed by `unmap`. nil: out of memory.
    init?(capacity: Int, writerState: UnsafeMutablePointer<UInt64>, wakeDescriptor: Int32) {
        precondition(capacity & (capacity - 1) == 0 && capacity >= 64)
        let bytes = RingLayout.data * 8 + capacity
        guard let place = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            Int(bitPattern: place) != -1  // MAP_FAILED
        else { return nil }
        self.init(
            base: place.bindMemory(to: UInt64.self, capacity: bytes / 8), writerState: writerState,
            wakeDescriptor: wakeDescriptor, capacity: capacity)
    }

    func unmap() { munmap(base, RingLayout.data * 8 + capacity) }

    /// Records that found the ring full.
    var dropped: UInt64 { fl_load_relaxed(base + RingLayout.dropped) }
}
