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
    /// The occurrence proves the rule's condition for values that are not plain, too.
    var isProofForAnyBytes: Bool
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
    /// All literals begin with this byte; 256: they differ.
    var onlyFirst: UInt16

    /// Calls `body` with the end of each occurrence and what it stands for.
    @inline(__always)
    func scan(_ value: ByteView, _ body: (Int, UnsafePointer<LiteralEntry>) -> Void) {
        var row: UInt32 = 0
        var at = 0
        while at < value.count {
            if row == 0, onlyFirst < 256 {
                guard let hit = value.firstIndex(of: UInt8(truncatingIfNeeded: onlyFirst), from: at) else {
                    return
                }
                at = hit
            }
            row = next[Int(row) &+ Int(classes[Int(value[at])])]
            at &+= 1
            if row >= firstOutput { report(row, at, body) }
        }
    }

    @inline(__always)
    private func report(
        _ row: UInt32, _ end: Int, _ body: (Int, UnsafePointer<LiteralEntry>) -> Void
    ) {
        var row = row
        while row != 0 {
            let output = outputs[Int(row &- firstOutput) / classCount]
            var index = 0
            while index < output.pointee.entries.count {
                body(end, output.pointee.entries[index])
                index &+= 1
            }
            row = output.pointee.next
        }
    }
}

/// Builds the table. Literals must not be empty.
struct LiteralAutomatonBuilder {
    private var classes = [UInt8](repeating: 0, count: 256)
    private var classCount = 1
    /// children[state][byte class]
    private var children: [[UInt8: Int]] = [[:]]
    private var entries: [[LiteralEntry]] = [[]]
    private var firstBytes: Set<UInt8> = []

    /// Which literals there will be: classes must be known before the first is added.
    init(_ literals: [[UInt8]]) {
        for byte in literals.joined() where classes[Int(byte)] == 0 {
            classes[Int(byte)] = UInt8(min(classCount, 255))
            classCount = min(classCount + 1, 256)
        }
    }

    /// False: the table would pass its bound, and nothing was added.
    mutating func add(_ literal: [UInt8], _ entry: LiteralEntry) -> Bool {
        guard classCount < 256, !literal.isEmpty, literal.count <= Int(UInt16.max),
            (children.count + literal.count) * classCount <= LiteralAutomaton.cellLimit
        else { return false }
        firstBytes.insert(literal[0])
        var state = 0
        for byte in literal {
            let group = classes[Int(byte)]
            if let child = children[state][group] {
                state = child
            } else {
                children.append([:])
                entries.append([])
                children[state][group] = children.count - 1
                state = children.count - 1
            }
        }
        entries[state].append(entry)
        return true
    }

    func build(_ arena: Arena) -> LiteralAutomaton {
        let (order, fail) = breadthFirst()
        // The longest proper suffix of each state that ends a literal.
        var shorter = [Int](repeating: 0, count: children.count)
        for state in order where state != 0 {
            shorter[state] = entries[fail[state]].isEmpty ? shorter[fail[state]] : fail[state]
        }
        let silent = order.filter { entries[$0].isEmpty && shorter[$0] == 0 }
        let loud = order.filter { !entries[$0].isEmpty || shorter[$0] != 0 }
        var row = [UInt32](repeating: 0, count: children.count)
        for (number, state) in (silent + loud).enumerated() { row[state] = UInt32(number * classCount) }

        let next = arena.allocate(UInt32.self, count: children.count * classCount)
        for state in order {
            for group in 0..<classCount {
                let cell = Int(row[state]) + group
                if let child = children[state][UInt8(group)] {
                    next[cell] = row[child]
                } else {
                    // The suffix's row is complete: it is shorter, so it came before.
                    next[cell] = state == 0 ? 0 : next[Int(row[fail[state]]) + group]
                }
            }
        }
        let outputs = loud.map { state in
            LiteralAutomaton.Output(entries: arena.store(entries[state]), next: row[shorter[state]])
        }
        return LiteralAutomaton(
            classes: arena.store(classes).start, classCount: classCount, next: UnsafePointer(next),
            firstOutput: UInt32(silent.count * classCount), outputs: arena.store(outputs),
            onlyFirst: firstBytes.count == 1 ? UInt16(firstBytes.first!) : 256)
    }

    private func breadthFirst() -> (order: [Int], fail: [Int]) {
        var order = [0]
        var fail = [Int](repeating: 0, count: children.count)
        var at = 0
        while at < order.count {
            let state = order[at]
            at += 1
            for (group, child) in children[state].sorted(by: { $0.key < $1.key }) {
                order.append(child)
                if state == 0 { continue }
                var suffix = fail[state]
                while suffix != 0, children[suffix][group] == nil { suffix = fail[suffix] }
                fail[child] = children[suffix][group] ?? 0
            }
        }
        return (order, fail)
    }
}
