// Storage for connections and exchanges: trivial structs at addresses that never move, named by slot
// numbers. Address space for all slots is reserved once; memory comes as slots are first used. A freed slot
// is handed out again only after the turn in which it was freed, so no event of that turn can reach its
// successor.
internal import CLinux

struct Slab<Value: BitwiseCopyable>: ~Copyable {
    private let base: UnsafeMutablePointer<Value>
    /// Free slots from the bottom, slots freed in this turn from the top; both together never pass
    /// `capacity`.
    private let stack: UnsafeMutablePointer<UInt32>
    private let capacity: Int
    private var freeCount = 0
    private var pendingCount = 0
    /// Slots ever used.
    private(set) var highWater = 0
    private(set) var inUse = 0

    /// nil: the system refused the address space.
    init?(capacity: Int) {
        self.capacity = capacity
        guard let values = fl_reserve(capacity * MemoryLayout<Value>.stride),
            let slots = fl_reserve(capacity * MemoryLayout<UInt32>.stride)
        else { return nil }
        base = values.bindMemory(to: Value.self, capacity: capacity)
        stack = slots.bindMemory(to: UInt32.self, capacity: capacity)
    }

    deinit {
        fl_unreserve(base, capacity * MemoryLayout<Value>.stride)
        fl_unreserve(stack, capacity * MemoryLayout<UInt32>.stride)
    }

    @inline(__always)
    func at(_ slot: UInt32) -> UnsafeMutablePointer<Value> { base + Int(slot) }

    /// The number of the slot that a value lies in.
    @inline(__always)
    func slot(of value: UnsafeMutablePointer<Value>) -> UInt32 { UInt32(truncatingIfNeeded: value - base) }

    /// A slot holding `value`; nil when all are in use.
    mutating func take(_ value: Value) -> UInt32? {
        guard let slot = take() else { return nil }
        (base + Int(slot)).initialize(to: value)
        return slot
    }

    /// A slot whose content the caller writes.
    mutating func take() -> UInt32? {
        let slot: UInt32
        if freeCount > 0 {
            freeCount &-= 1
            slot = stack[freeCount]
        } else if highWater < capacity {
            slot = UInt32(truncatingIfNeeded: highWater)
            highWater &+= 1
        } else {
            return nil
        }
        inUse &+= 1
        return slot
    }

    /// The slot's content stays readable until the turn ends.
    mutating func free(_ slot: UInt32) {
        inUse &-= 1
        pendingCount &+= 1
        stack[capacity &- pendingCount] = slot
    }

    /// Makes the slots freed in this turn free to take.
    mutating func endTurn() {
        while pendingCount > 0 {
            let slot = stack[capacity &- pendingCount]
            pendingCount &-= 1
            stack[freeCount] = slot
            freeCount &+= 1
        }
    }
}

/// No slot.
let noSlot = UInt32.max
