// Whole texts and prefixes that thousands of routes ask for: those that a value equals are one hash look-up
// away, those that it begins with one binary search.
internal import Base
internal import CLinux

struct TextIndex: BitwiseCopyable {
    /// A text that values may begin with.
    struct Prefix: BitwiseCopyable {
        var text: ByteView
        var rules: Frozen<Rule>
        /// Position of the longest other prefix that this one begins with; negative: there is none.
        var shorter: Int32
    }

    /// Whole texts, to positions in `rules`.
    private var whole: ByteTable
    private var rules: Frozen<Frozen<Rule>>
    /// Sorted by their bytes.
    private var prefixes: Frozen<Prefix>

    /// A text with the rule that asks for it. Texts must outlive the index; rules come ascending.
    struct Item {
        var text: ByteView
        var isWhole: Bool
        var rule: Rule
    }

    init(_ items: [Item], _ arena: Arena) {
        let wholes = Self.grouped(items.filter(\.isWhole))
        whole = ByteTable(wholes.enumerated().map { ($1.text, UInt32($0)) }, arena)
        rules = arena.store(wholes.map { arena.store($0.rules) })
        let begins = Self.grouped(items.filter { !$0.isWhole })
        var made: [Prefix] = []
        made.reserveCapacity(begins.count)
        // Positions of the prefixes that the last one begins with, itself included, each beginning with the
        // one before.
        var open: [Int] = []
        for (position, group) in begins.enumerated() {
            while let last = open.last, !group.text.hasPrefix(begins[last].text) { open.removeLast() }
            made.append(
                Prefix(text: group.text, rules: arena.store(group.rules), shorter: Int32(open.last ?? -1)))
            open.append(position)
        }
        prefixes = arena.store(made)
    }

    /// Texts sorted by their bytes, each once with all its rules.
    private static func grouped(_ items: [Item]) -> [(text: ByteView, rules: [Rule])] {
        // Rules of one text stay ascending.
        let sorted = items.sorted { left, right in
            let order = compare(left.text, right.text)
            return order == 0 ? left.rule < right.rule : order < 0
        }
        var groups: [(text: ByteView, rules: [Rule])] = []
        groups.reserveCapacity(sorted.count)
        for item in sorted {
            if let last = groups.indices.last, groups[last].text.equals(item.text) {
                groups[last].rules.append(item.rule)
            } else {
                groups.append((item.text, [item.rule]))
            }
        }
        return groups
    }

    /// Adds the rules of the text that is this value and of all texts that it begins with.
    func find(_ value: ByteView, _ lists: inout RuleLists) {
        if let at = whole.find(value) { lists.add(rules[Int(at)].pointee) }
        var low = 0
        var high = prefixes.count
        while low < high {
            let middle = (low &+ high) &>> 1
            if compare(prefixes[middle].pointee.text, value) <= 0 { low = middle &+ 1 } else { high = middle }
        }
        // What the value begins with sorts before it, and whatever lies between begins with it, too: so all
        // are reached from the last that is not behind the value.
        var at = Int32(truncatingIfNeeded: low &- 1)
        while at >= 0 {
            let prefix = prefixes[Int(at)]
            if value.hasPrefix(prefix.pointee.text) { lists.add(prefix.pointee.rules) }
            at = prefix.pointee.shorter
        }
    }
}

/// Bytes in the order of memcmp(3); of two that begin alike the shorter comes first.
private func compare(_ left: ByteView, _ right: ByteView) -> Int {
    let order = Int(memcmp(left.start, right.start, min(left.count, right.count)))
    return order != 0 ? order : left.count &- right.count
}
