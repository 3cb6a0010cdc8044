// Recognises regexes that are one literal between "anything" and separators, the shapes that people write for
// lanes: `.*(x).*`, `^(.*?;)?\s*(x=y)(;.*)?$`, `^(.*;\s*)?x=y(;.*)?$`, plain `x`. For plain values
// (`isPlain`) the shape's verdict equals RE2's full match: every part around the literal is a `.*` or empty,
// so only neighbours count.
internal import Base

struct RegexShape: Equatable {
    var literal: [UInt8]
    var left: Boundary
    var right: Boundary

    /// nil: not of a shape known here.
    init?(_ pattern: String) {
        var rest = Array(pattern.utf8)[...]
        if rest.first == 0x5E { rest = rest.dropFirst() }
        if rest.last == 0x24, !Self.endsEscaped(rest) { rest = rest.dropLast() }
        guard let left = Self.takeLeft(&rest), let right = Self.takeRight(&rest),
            let literal = Self.literal(rest)
        else { return nil }
        self.left = left
        self.right = right
        self.literal = literal
        // Without a literal the neighbours meet: fine where one of them takes anything, RE2's case otherwise.
        if literal.isEmpty {
            guard left == .any || right == .any else { return nil }
            self.left = .any
            self.right = .any
        }
    }

    private static let anything = [".*?", ".*", "(.*?)", "(.*)", "(?:.*?)", "(?:.*)"].map { Array($0.utf8) }
    private static let before = ["(.*?;)?", "(.*;)?", "(?:.*?;)?", "(?:.*;)?"].map { Array($0.utf8) }
    private static let after = ["(;.*)?", "(;.*?)?", "(?:;.*)?", "(?:;.*?)?"].map { Array($0.utf8) }
    private static let blanks = ["\\s*?", "\\s*"].map { Array($0.utf8) }
    private static let beforeWithBlanks = before.flatMap { form in
        blanks.map { form.dropLast(2) + $0 + form.suffix(2) }
    }
    private static let afterWithBlanks = after.flatMap { form in
        let open = form[1] == 0x3F ? 3 : 1
        return blanks.map { form.prefix(open) + $0 + form.dropFirst(open) }
    }

    private static func takeLeft(_ rest: inout ArraySlice<UInt8>) -> Boundary? {
        for form in before where rest.starts(with: form) {
            rest = rest.dropFirst(form.count)
            for blank in blanks where rest.starts(with: blank) {
                rest = rest.dropFirst(blank.count)
                return .separatorAndBlanks
            }
            return .separator
        }
        for form in beforeWithBlanks where rest.starts(with: form) {
            rest = rest.dropFirst(form.count)
            return .blanksAtSeparator
        }
        for form in anything where rest.starts(with: form) {
            rest = rest.dropFirst(form.count)
            return .any
        }
        return .end
    }

    private static func takeRight(_ rest: inout ArraySlice<UInt8>) -> Boundary? {
        for form in after where rest.reversed().starts(with: form.reversed()) {
            rest = rest.dropLast(form.count)
            for blank in blanks where rest.reversed().starts(with: blank.reversed()) {
                // `\\\\s*`: an escaped backslash, not a blank.
                guard !endsEscaped(rest.dropLast(blank.count - 1)) else { return nil }
                rest = rest.dropLast(blank.count)
                return .separatorAndBlanks
            }
            return .separator
        }
        for form in afterWithBlanks where rest.reversed().starts(with: form.reversed()) {
            rest = rest.dropLast(form.count)
            return .blanksAtSeparator
        }
        for form in anything where rest.reversed().starts(with: form.reversed()) {
            // `\.*`: an escaped dot, not "anything".
            guard !endsEscaped(rest.dropLast(form.count - 1)) else { return nil }
            rest = rest.dropLast(form.count)
            return .any
        }
        return .end
    }

    /// The last byte is preceded by an odd number of backslashes.
    private static func endsEscaped(_ text: ArraySlice<UInt8>) -> Bool {
        var count = 0
        for byte in text.dropLast().reversed() {
            guard byte == 0x5C else { break }
            count += 1
        }
        return count % 2 == 1
    }

    /// The bytes that a pattern without operators stands for; one pair of parentheses around it is allowed.
    private static func literal(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var rest = text
        if rest.first == 0x28, rest.last == 0x29, !endsEscaped(rest) {
            rest = rest.dropFirst().dropLast()
            if rest.starts(with: [0x3F, 0x3A]) { rest = rest.dropFirst(2) }
        }
        var out: [UInt8] = []
        var escaped = false
        for byte in rest {
            // RE2 reads the pattern as UTF-8, and so could a value be: left to it.
            guard byte < 0x80, byte >= 0x20 else { return nil }
            if escaped {
                // A backslash before punctuation is that character; before a letter or digit an operator.
                guard !isAlphanumeric(byte) else { return nil }
                out.append(byte)
                escaped = false
            } else if byte == 0x5C {
                escaped = true
            } else {
                guard !isOperator(byte) else { return nil }
                out.append(byte)
            }
        }
        return escaped ? nil : out
    }

    private static func isOperator(_ byte: UInt8) -> Bool {
        switch byte {
        // ^ $ . [ ] | ( ) ? * + { }
        case 0x5E, 0x24, 0x2E, 0x5B, 0x5D, 0x7C, 0x28, 0x29, 0x3F, 0x2A, 0x2B, 0x7B, 0x7D: true
        default: false
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(asciiLower(byte))
    }
}
