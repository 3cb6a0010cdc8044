// Whether any of many patterns accepts a plain value: those around a literal in one pass, the rest by RE2.
internal import Base

struct PatternSet: BitwiseCopyable {
    var automaton: UnsafePointer<LiteralAutomaton>?
    /// Patterns without a literal to look for.
    var others: Frozen<Matcher>

    /// `value` must be plain (`isPlain`).
    func accepts(_ value: ByteView) -> Bool {
        if let automaton, finds(automaton, value) { return true }
        var index = 0
        while index < others.count {
            if others[index].pointee.matches(value) { return true }
            index &+= 1
        }
        return false
    }

    private func finds(_ automaton: UnsafePointer<LiteralAutomaton>, _ value: ByteView) -> Bool {
        var cursor = LiteralAutomaton.Cursor()
        while LiteralAutomaton.advance(automaton, &cursor, value) {
            var row = cursor.row
            while row != 0 {
                let output = automaton.pointee.output(row)
                var index = 0
                while index < output.pointee.entries.count {
                    if output.pointee.entries[index].pointee.fits(value, end: cursor.at) { return true }
                    index &+= 1
                }
                row = output.pointee.next
            }
        }
        return false
    }
}
