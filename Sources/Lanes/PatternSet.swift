// Whether any of many patterns accepts a plain value: those around a literal in one pass, the rest by RE2.
internal import Base

struct PatternSet: BitwiseCopyable {
    var automaton: UnsafePointer<LiteralAutomaton>?
    /// Patterns without a literal to look for.
    var others: Frozen<Matcher>

    /// `value` must be plain (`isPlain`).
    func accepts(_ value: ByteView) -> Bool {
        var accepted = false
        if let automaton {
            automaton.pointee.scan(value) { end, entry in
                let length = Int(entry.pointee.length)
                if fits(value, end &- length, length, entry.pointee.left, entry.pointee.right) {
                    accepted = true
                }
            }
        }
        if accepted { return true }
        var index = 0
        while index < others.count {
            if others[index].pointee.matches(value) { return true }
            index &+= 1
        }
        return false
    }
}
