// Finds every occurrence of thousands of literals in one pass over a value (Aho and Corasick), as a table of
// transitions so that a byte costs a few instructions whatever the number of literals. Bytes that no literal
// holds share one class; typical values stay in the few rows near the root.
internal import Base

/// A rule that one literal speaks for.
struct LiteralEntry: BitwiseCopyable {
    /// Position of the route or pattern.
    var rule: UInt32
    var length: UInt16
    var left: Boundary
    var right: Boundary
    var proof: Proof

    /// For which values an occurrence with the right neighbours proves the rule's condition.
    enum Proof: UInt8 {
        case always
        /// For plain ones (`isPlain`); of others RE2 judges.
        case plain
        /// For none: RE2 judges, but only where the literal occurs.
        case never
    }

    /// Whether an occurrence that ends at `end` has the neighbours it needs.
    func fits(_ value: ByteView, end: Int) -> Bool {
        let length = Int(self.length)
        return Lanes.fits(value, end &- length, length, left, right)
    }
}

struct LiteralAutomaton: BitwiseCopyable {
    /// Table cells that one automaton may take: 32 MiB. Rules beyond are tried one by one.
    static let cellLimit = 8 << 20

    struct Output: BitwiseCopyable {
        var entries: Frozen<LiteralEntry>
        /// Row of the longest shorter literal that ends here too; 0: none.
        var next: UInt32
    }

    /// Class of each byte.
    var classes: UnsafePointer<UInt8>
    var classCount: Int
    /// Row offset after each (row, class).
    var next: UnsafePointer<UInt32>
    /// Rows from here on end a literal.
    var firstOutput: UInt32
    /// By row number, from `firstOutput / classCount`.
    var outputs: Frozen<Output>
    /// What all literals begin with; empty: nothing.
    var prefix: ByteView
    var rowAfterPrefix: UInt32

    /// How far a scan has come.
    struct Cursor {
        /// Where the next byte is: just behind the occurrences that `row` stands for.
        var at = 0
        var row: UInt32 = 0
    }

    /// Goes on to the next place where some literal ends; false at the end of the value. Not inlined: the
    /// loop needs every register.
    @inline(never)
    static func advance(
        _ automaton: UnsafePointer<LiteralAutomaton>, _ cursor: inout Cursor, _ value: ByteView
    ) -> Bool {
        let classes = automaton.pointee.classes
        let next = automaton.pointee.next
        let firstOutput = automaton.pointee.firstOutput
        // Rows that are neither the root nor an end are below it, one taken off.
        let quiet = firstOutput &- 1
        let count = value.count
        let bytes = value.start
        var row = cursor.row
        var at = cursor.at
        if row == 0, !automaton.pointee.skipToPrefix(value, &at, &row) { return false }
        if row >= firstOutput, at > cursor.at {
            cursor = Cursor(at: at, row: row)
            return true
        }
        while at < count {
            row = next[Int(row) &+ Int(classes[Int(bytes[at])])]
            at &+= 1
            if row &- 1 < quiet { continue }
            if row == 0 {
                if !automaton.pointee.skipToPrefix(value, &at, &row) { return false }
                if row < firstOutput { continue }
            }
            cursor = Cursor(at: at, row: row)
            return true
        }
        return false
    }

    /// At the root nothing is begun: goes behind the next common prefix, wherever a literal can begin. False:
    /// there is none.
    @inline(__always)
    private func skipToPrefix(_ value: ByteView, _ at: inout Int, _ row: inout UInt32) -> Bool {
        if prefix.isEmpty { return true }
        while let hit = value.firstIndex(of: prefix[0], from: at) {
            if hit &+ prefix.count > value.count { return false }
            if value.slice(hit, hit &+ prefix.count).equals(prefix) {
                at = hit &+ prefix.count
                row = rowAfterPrefix
                return true
            }
            at = hit &+ 1
        }
        return false
    }

    /// What ends at a row; its `next` is the row to go on with, 0: none.
    func output(_ row: UInt32) -> UnsafePointer<Output> {
        outputs[Int(row &- firstOutput) / classCount]
    }
}

/// Builds the table. Literals must not be empty.
struct LiteralAutomatonBuilder {
    private var classes = [UInt8](repeating: 0, count: 256)
    private var classCount = 1
    /// Row by row, the state after each byte class; 0: no literal goes on so.
    private var children: [UInt32]
    /// By state.
    private var entries: [[LiteralEntry]] = [[]]
    private var prefix: [UInt8]?

    private let ignoresCase: Bool

    /// Which literals there will be: classes must be known before the first is added. `ignoringCase`: they
    /// are lower case, and found in any.
    init(_ literals: [[UInt8]], ignoringCase: Bool = false) {
        ignoresCase = ignoringCase
        for literal in literals {
            for byte in literal where classes[Int(byte)] == 0 {
                classes[Int(byte)] = UInt8(min(classCount, 255))
                classCount = min(classCount + 1, 256)
            }
        }
        if ignoringCase {
            for lower in UInt8(ascii: "a")...UInt8(ascii: "z") {
                classes[Int(lower) - 0x20] = classes[Int(lower)]
            }
        }
        children = [UInt32](repeating: 0, count: classCount)
    }

    /// Nothing was added.
    var isEmpty: Bool { prefix == nil }

    /// False: the table would pass its bound, and nothing was added.
    mutating func add(_ literal: [UInt8], _ entry: LiteralEntry) -> Bool {
        guard classCount < 256, !literal.isEmpty, literal.count <= Int(UInt16.max),
            (entries.count + literal.count) * classCount <= LiteralAutomaton.cellLimit
        else { return false }
        if let known = prefix {
            if !literal.starts(with: known) { prefix = zip(known, literal).prefix { $0 == $1 }.map(\.0) }
        } else {
            prefix = literal
        }
        var state = 0
        for byte in literal {
            let cell = state * classCount + Int(classes[Int(byte)])
            if children[cell] == 0 {
                children[cell] = UInt32(entries.count)
                children.append(contentsOf: repeatElement(0, count: classCount))
                entries.append([])
            }
            state = Int(children[cell])
        }
        entries[state].append(entry)
        return true
    }

    func build(_ arena: Arena) -> LiteralAutomaton {
        let (order, fail) = breadthFirst()
        // The longest proper suffix of each state that ends a literal.
        var shorter = [Int](repeating: 0, count: entries.count)
        for state in order where state != 0 {
            shorter[state] = entries[fail[state]].isEmpty ? shorter[fail[state]] : fail[state]
        }
        let silent = order.filter { entries[$0].isEmpty && shorter[$0] == 0 }
        let loud = order.filter { !entries[$0].isEmpty || shorter[$0] != 0 }
        var row = [UInt32](repeating: 0, count: entries.count)
        for (number, state) in (silent + loud).enumerated() { row[state] = UInt32(number * classCount) }

        // It is looked for byte by byte.
        let common = ignoresCase ? [] : prefix ?? []
        var afterPrefix = 0
        for byte in common { afterPrefix = child(afterPrefix, Int(classes[Int(byte)])) }

        let next = arena.allocate(UInt32.self, count: entries.count * classCount)
        for state in order {
            // The suffix's row is complete: it is shorter, so it came before.
            let from = Int(row[fail[state]])
            let to = Int(row[state])
            for group in 0..<classCount {
                let child = child(state, group)
                next[to + group] = child != 0 ? row[child] : state == 0 ? 0 : next[from + group]
            }
        }
        let outputs = loud.map { state in
            LiteralAutomaton.Output(entries: arena.store(entries[state]), next: row[shorter[state]])
        }
        return LiteralAutomaton(
            classes: arena.store(classes).start, classCount: classCount, next: UnsafePointer(next),
            firstOutput: UInt32(silent.count * classCount), outputs: arena.store(outputs),
            prefix: arena.store(common), rowAfterPrefix: row[afterPrefix])
    }

    private func child(_ state: Int, _ group: Int) -> Int { Int(children[state * classCount + group]) }

    private func breadthFirst() -> (order: [Int], fail: [Int]) {
        var order = [0]
        order.reserveCapacity(entries.count)
        var fail = [Int](repeating: 0, count: entries.count)
        var at = 0
        while at < order.count {
            let state = order[at]
            at += 1
            for group in 0..<classCount {
                let child = child(state, group)
                if child == 0 { continue }
                order.append(child)
                if state == 0 { continue }
                var suffix = fail[state]
                while suffix != 0, self.child(suffix, group) == 0 { suffix = fail[suffix] }
                fail[child] = self.child(suffix, group)
            }
        }
        return (order, fail)
    }
}
