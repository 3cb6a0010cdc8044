// Deadlines of many connections, looked at rarely. A connection's deadline is a field of its own; the wheel
// only knows when to look at it next, so moving a deadline later, as every request does, costs one store.
// Links are slot numbers in the caller's storage; the wheel allocates once.

/// What one timed thing holds for the wheel.
@frozen
public struct TimerLink: BitwiseCopyable {
    /// Milliseconds of the loop's clock; 0: none.
    public var deadlineMs: UInt64 = 0
    /// When the wheel looks; 0: not in the wheel.
    @usableFromInline var lookAtMs: UInt64 = 0
    @usableFromInline var next: UInt32 = UInt32.max
    @usableFromInline var previous: UInt32 = UInt32.max

    @inlinable public init() {}

    /// Moves the deadline; true: the wheel looks in time, and need not be told. That is nearly always so.
    @inlinable @inline(__always)
    public mutating func postpone(_ deadlineMs: UInt64) -> Bool {
        self.deadlineMs = deadlineMs
        // No deadline, 0, is later than any; not in the wheel, 0 as well, is never in time but for it.
        return lookAtMs &- 1 <= deadlineMs &- 1
    }

    public var isArmed: Bool { lookAtMs != 0 }
}

/// Slots of `tickMs`; later deadlines are looked at when the horizon comes and put off again.
public struct TimerWheel: ~Copyable {
    fileprivate static let none = UInt32.max
    private static let slots = 1_024
    /// 32 ms: no deadline of a proxy needs to be finer, and a turn at load is shorter.
    private static let tickMs: UInt64 = 32

    private let heads: UnsafeMutablePointer<UInt32>
    /// Bit n of word m: slot 64 m + n has a head.
    private let occupied: UnsafeMutablePointer<UInt64>
    private var currentTick: UInt64
    private var armed = 0

    public init(nowMs: UInt64) {
        heads = .allocate(capacity: Self.slots)
        heads.initialize(repeating: Self.none, count: Self.slots)
        occupied = .allocate(capacity: Self.slots / 64)
        occupied.initialize(repeating: 0, count: Self.slots / 64)
        currentTick = nowMs / Self.tickMs
    }

    deinit {
        heads.deallocate()
        occupied.deallocate()
    }

    /// Sets the deadline of `slot`; 0 takes it away. `link` finds a slot's link; its storage must not move.
    @inline(__always)
    public mutating func set(
        _ slot: UInt32, _ deadlineMs: UInt64,
        link: (UInt32) -> UnsafeMutablePointer<TimerLink>
    ) {
        let own = link(slot)
        own.pointee.deadlineMs = deadlineMs
        if deadlineMs == 0 || (own.pointee.lookAtMs != 0 && own.pointee.lookAtMs <= deadlineMs) { return }
        if own.pointee.lookAtMs != 0 { unlink(slot, link) }
        insert(slot, deadlineMs, link)
    }

    /// Takes `slot` out: before its storage is used for something else.
    public mutating func remove(_ slot: UInt32, link: (UInt32) -> UnsafeMutablePointer<TimerLink>) {
        let own = link(slot)
        own.pointee.deadlineMs = 0
        if own.pointee.lookAtMs != 0 { unlink(slot, link) }
    }

    private mutating func insert(
        _ slot: UInt32, _ deadlineMs: UInt64,
        _ link: (UInt32) -> UnsafeMutablePointer<TimerLink>
    ) {
        let soonest = (currentTick + 1) * Self.tickMs
        // Never the slot that is being looked through: it would be found again at once, for ever.
        let latest = (currentTick + UInt64(Self.slots) - 1) * Self.tickMs
        let lookAtMs = min(max(deadlineMs, soonest), latest)
        let index = Self.index(lookAtMs)
        let head = heads + index
        occupied[index / 64] |= 1 << UInt64(index % 64)
        let own = link(slot)
        own.pointee.lookAtMs = lookAtMs
        own.pointee.previous = Self.none
        own.pointee.next = head.pointee
        if head.pointee != Self.none { link(head.pointee).pointee.previous = slot }
        head.pointee = slot
        armed += 1
    }

    /// A deadline within a tick is looked at when the tick is over.
    private static func index(_ timeMs: UInt64) -> Int {
        Int(truncatingIfNeeded: (timeMs + tickMs - 1) / tickMs) & (slots - 1)
    }

    private mutating func unlink(_ slot: UInt32, _ link: (UInt32) -> UnsafeMutablePointer<TimerLink>) {
        let own = link(slot)
        let next = own.pointee.next
        let previous = own.pointee.previous
        if next != Self.none { link(next).pointee.previous = previous }
        if previous != Self.none {
            link(previous).pointee.next = next
        } else {
            let index = Self.index(own.pointee.lookAtMs)
            heads[index] = next
            if next == Self.none { occupied[index / 64] &= ~(1 << UInt64(index % 64)) }
        }
        own.pointee.lookAtMs = 0
        own.pointee.next = Self.none
        own.pointee.previous = Self.none
        armed -= 1
    }

    /// The next slot whose deadline has passed, taken out of the wheel; nil when none is left for now.
    /// Slots that were only to be looked at are put off inside.
    public mutating func nextExpired(
        nowMs: UInt64, link: (UInt32) -> UnsafeMutablePointer<TimerLink>
    ) -> UInt32? {
        let nowTick = nowMs / Self.tickMs
        // After a long sleep one round over all slots sees everything.
        if nowTick > currentTick + UInt64(Self.slots) { currentTick = nowTick - UInt64(Self.slots) }
        while currentTick <= nowTick {
            let slot = heads[Int(truncatingIfNeeded: currentTick) & (Self.slots - 1)]
            if slot == Self.none {
                if currentTick == nowTick { return nil }
                currentTick += 1
                continue
            }
            let own = link(slot)
            let deadlineMs = own.pointee.deadlineMs
            unlink(slot, link)
            if deadlineMs == 0 { continue }
            if deadlineMs <= nowMs {
                own.pointee.deadlineMs = 0
                return slot
            }
            insert(slot, deadlineMs, link)
        }
        return nil
    }

    /// How long a poll may sleep, milliseconds, at most `most`.
    public func sleepMs(nowMs: UInt64, most: UInt64) -> Int32 {
        if armed == 0 { return Int32(most) }
        let last = nowMs / Self.tickMs + most / Self.tickMs + 1
        var tick = currentTick
        while tick <= last {
            let index = Int(truncatingIfNeeded: tick) & (Self.slots - 1)
            let word = occupied[index / 64] >> UInt64(index % 64)
            if word != 0 {
                let dueMs = (tick + UInt64(word.trailingZeroBitCount)) * Self.tickMs
                return dueMs <= nowMs ? 1 : Int32(min(most, dueMs - nowMs + 1))
            }
            tick += UInt64(64 - index % 64)
        }
        return Int32(most)
    }
}
