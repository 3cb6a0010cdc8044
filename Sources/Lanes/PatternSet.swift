// Whether any of many patterns accepts a plain value: those with a literal in one pass, which is the verdict
// for most and says of the others which to ask RE2 about; the rest by RE2, one by one.
internal import Base

struct PatternSet: BitwiseCopyable {
    /// Its entries' rules are positions in `patterns`.
    var automaton: UnsafePointer<LiteralAutomaton>?
    var patterns: Frozen<Matcher>
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
                    let entry = output.pointee.entries[index]
                    let isProven = entry.pointee.proof != .never
                    if isProven
                        ? entry.pointee.fits(value, end: cursor.at)
                        : patterns[Int(entry.pointee.rule)].pointee.matches(value)
                    {
                        return true
                    }
                    index &+= 1
                }
                row = output.pointee.next
            }
        }
        return false
    }
}
