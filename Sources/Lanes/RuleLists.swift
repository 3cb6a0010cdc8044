// Ascending lists of routes, read as one: what the indexes of a virtual host find for a request is tried in
// the order of the routes, whichever index found it.
internal import Base

/// A route that may match: its position, and whether its indexed condition is known to hold.
struct Rule: BitwiseCopyable, Comparable {
    private let value: UInt32

    init(_ position: Int, proven: Bool) { value = UInt32(position) << 1 | (proven ? 0 : 1) }

    var position: Int { Int(value &>> 1) }
    var isProven: Bool { value & 1 == 0 }

    static func < (left: Rule, right: Rule) -> Bool { left.value < right.value }
}

/// Bounded: who adds more lists has to look elsewhere (`overflowed`).
struct RuleLists {
    static let capacity = 24

    private let lists: UnsafeMutablePointer<Frozen<Rule>>
    private var count = 0
    private(set) var overflowed = false

    /// `room` has room for `capacity` lists.
    init(_ room: UnsafeMutablePointer<Frozen<Rule>>) { lists = room }

    mutating func add(_ list: Frozen<Rule>) {
        if list.isEmpty { return }
        guard count < Self.capacity else {
            overflowed = true
            return
        }
        (lists + count).initialize(to: list)
        count &+= 1
    }

    /// Takes the smallest of all first elements away.
    mutating func next() -> Rule? {
        if count == 0 { return nil }
        var first = 0
        var rule = lists[0].start.pointee
        var index = 1
        while index < count {
            let other = lists[index].start.pointee
            if other < rule {
                rule = other
                first = index
            }
            index &+= 1
        }
        lists[first].start += 1
        lists[first].count &-= 1
        if lists[first].isEmpty {
            count &-= 1
            lists[first] = lists[count]
        }
        return rule
    }
}
