// One StringMatch made ready (istio-semantics.md 4.1). Regexes of the common shapes around one literal are
// answered without RE2 where that provably gives the same verdict; see `RegexShape`.
internal import Base
internal import CRE2

/// What may stand beside a literal for the value to match.
enum Boundary: UInt8 {
    /// The end of the value, nothing else.
    case end
    /// Anything: `.*`.
    case any
    /// The end of the value, or a `;` with anything beyond it: `(.*;)?`, `(;.*)?`.
    case separator
    /// The same with blanks in between: `(.*;)?\s*`.
    case separatorAndBlanks
    /// The same with blanks at a `;` only, not at the end of the value: `(.*;\s*)?`.
    case blanksAtSeparator
}

struct Matcher: BitwiseCopyable {
    enum Kind: UInt8 {
        /// No condition.
        case none
        case exact, prefix, present
        case exactIgnoringCase, prefixIgnoringCase
        /// Gateway API PathPrefix: `text` is without a trailing slash.
        case pathSegments
        /// A literal between `left` and `right`.
        case shape
        case regex
    }

    var kind = Kind.none
    var left = Boundary.end
    var right = Boundary.end
    /// `text` is lower case, and may stand in any.
    var ignoresCase = false
    /// Of `regex`: what every value that it matches holds (`RequiredLiteral`); empty: nothing is known.
    var text = ByteView.empty
    /// Of `shape` and `regex`.
    var regex: OpaquePointer?
    /// The regex as written, for explain.
    var pattern = ByteView.empty

    func matches(_ value: ByteView) -> Bool {
        switch kind {
        case .none, .present: true
        case .exact: value.equals(text)
        case .prefix: value.hasPrefix(text)
        case .exactIgnoringCase: value.equalsIgnoringCase(text)
        case .prefixIgnoringCase:
            value.count >= text.count && value.slice(0, text.count).equalsIgnoringCase(text)
        case .pathSegments:
            value.hasPrefix(text) && (value.count == text.count || value[text.count] == 0x2F)
        case .shape: isPlain(value) ? matchesShape(value) : matchesRegex(value)
        case .regex: matchesRegex(value)
        }
    }

    func matchesRegex(_ value: ByteView) -> Bool {
        guard let regex else { return false }
        return fullMatch(regex, value)
    }

    /// Some occurrence of the literal with the right neighbours. The value must be plain.
    private func matchesShape(_ value: ByteView) -> Bool {
        if text.isEmpty { return true }
        var from = 0
        while let at = value.firstIndex(of: text[0], from: from) {
            if at &+ text.count > value.count { return false }
            if value.slice(at, at &+ text.count).equals(text),
                fits(value, at, text.count, left, right)
            {
                return true
            }
            from = at &+ 1
        }
        return false
    }
}

func fullMatch(_ regex: OpaquePointer, _ value: ByteView) -> Bool {
    value.start.withMemoryRebound(to: CChar.self, capacity: value.count) { start in
        fl_re2_full_match(regex, start, value.count) != 0
    }
}

/// Whether the occurrence of a literal at `at` has the neighbours that its shape asks for.
@inline(never)
func fits(_ value: ByteView, _ at: Int, _ length: Int, _ left: Boundary, _ right: Boundary) -> Bool {
    switch left {
    case .any: break
    case .end: if at != 0 { return false }
    case .separator: if at != 0, value[at &- 1] != 0x3B { return false }
    case .separatorAndBlanks:
        var start = at
        while start > 0, isRegexBlank(value[start &- 1]) { start &-= 1 }
        if start != 0, value[start &- 1] != 0x3B { return false }
    case .blanksAtSeparator:
        var start = at
        while start > 0, isRegexBlank(value[start &- 1]) { start &-= 1 }
        if at != 0, start == 0 || value[start &- 1] != 0x3B { return false }
    }
    let end = at &+ length
    switch right {
    case .any: return true
    case .end: return end == value.count
    case .separator: return end == value.count || value[end] == 0x3B
    case .separatorAndBlanks:
        var stop = end
        while stop < value.count, isRegexBlank(value[stop]) { stop &+= 1 }
        return stop == value.count || value[stop] == 0x3B
    case .blanksAtSeparator:
        var stop = end
        while stop < value.count, isRegexBlank(value[stop]) { stop &+= 1 }
        return end == value.count || (stop < value.count && value[stop] == 0x3B)
    }
}

/// RE2's `\s`.
private func isRegexBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0C || byte == 0x0D
}

/// ASCII without a newline: what RE2's `.` takes byte by byte. Other bytes are RE2's to judge (a byte that is
/// no valid UTF-8 and a newline are not matched by `.`).
func isPlain(_ value: ByteView) -> Bool {
    var at = value.start
    var left = value.count
    var bits: UInt64 = 0
    while left >= 8 {
        bits |= UnsafeRawPointer(at).loadUnaligned(as: UInt64.self)
        at += 8
        left &-= 8
    }
    while left > 0 {
        bits |= UInt64(at[0])
        at += 1
        left &-= 1
    }
    return bits & 0x8080_8080_8080_8080 == 0 && value.firstIndex(of: 0x0A) == nil
}
