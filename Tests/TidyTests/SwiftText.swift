// Swift and C text with comments and string contents blanked out, so that rules see code alone. A scanner,
// not a parser: it knows nested comments, raw and multi-line strings, and interpolation.

struct CodeText {
    /// Same lines as the original; what was comment or string content is blanks.
    let text: String

    init(_ source: String) {
        var scanner = Scanner(source)
        scanner.run()
        text = String(decoding: scanner.out, as: UTF8.self)
    }
}

private struct Scanner {
    private let bytes: [UInt8]
    private var at = 0
    var out: [UInt8] = []

    init(_ source: String) {
        bytes = Array(source.utf8)
        out.reserveCapacity(bytes.count)
    }

    private func starts(with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard at + count <= bytes.count else { return false }
        return (0..<count).allSatisfy { bytes[at + $0] == text.utf8Start[$0] }
    }

    private mutating func keep(_ count: Int) {
        out += bytes[at..<at + count]
        at += count
    }

    private mutating func blank(_ count: Int) {
        for _ in 0..<min(count, bytes.count - at) {
            out.append(bytes[at] == 0x0A ? 0x0A : 0x20)
            at += 1
        }
    }

    mutating func run() {
        while at < bytes.count { step() }
    }

    /// One comment, string or byte.
    private mutating func step() {
        // Most bytes begin nothing; the rest looks closer.
        guard [0x2F, 0x23, 0x22, 0x27].contains(bytes[at]) else {
            out.append(bytes[at])
            at += 1
            return
        }
        if starts(with: "//") {
            while at < bytes.count, bytes[at] != 0x0A { blank(1) }
        } else if starts(with: "/*") {
            blockComment()
        } else if let hashes = hashesBeforeQuote() {
            string(hashes: hashes)
        } else if starts(with: "'\"'") {
            blank(3)
        } else {
            keep(1)
        }
    }

    private mutating func blockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                blank(2)
            } else if starts(with: "*/") {
                depth -= 1
                blank(2)
            } else {
                blank(1)
            }
        } while depth > 0 && at < bytes.count
    }

    /// The number of `#` of a string literal that starts here; nil if none does.
    private func hashesBeforeQuote() -> Int? {
        var end = at
        while end < bytes.count, bytes[end] == 0x23 { end += 1 }
        return end < bytes.count && bytes[end] == 0x22 ? end - at : nil
    }

    private func closes(_ hashes: Int, _ quotes: Int) -> Bool {
        guard at + quotes + hashes <= bytes.count else { return false }
        return (0..<quotes).allSatisfy { bytes[at + $0] == 0x22 }
            && (0..<hashes).allSatisfy { bytes[at + quotes + $0] == 0x23 }
    }

    private mutating func string(hashes: Int) {
        keep(hashes)
        let quotes = starts(with: "\"\"\"") ? 3 : 1
        keep(quotes)
        while at < bytes.count, !closes(hashes, quotes) {
            if bytes[at] == 0x5C, isEscape(hashes) {
                blank(1 + hashes)
                if at < bytes.count, bytes[at] == 0x28 { interpolation() } else { blank(1) }
            } else if quotes == 1, bytes[at] == 0x0A {
                return
            } else {
                blank(1)
            }
        }
        if at < bytes.count { keep(quotes + hashes) }
    }

    private func isEscape(_ hashes: Int) -> Bool {
        at + hashes < bytes.count && (0..<hashes).allSatisfy { bytes[at + 1 + $0] == 0x23 }
    }

    /// Code inside a string is code: kept, with strings inside it blanked in turn.
    private mutating func interpolation() {
        var depth = 0
        repeat {
            if bytes[at] == 0x28 { depth += 1 }
            if bytes[at] == 0x29 { depth -= 1 }
            step()
        } while depth > 0 && at < bytes.count
    }
}

/// A function and how long its body is.
struct FunctionLength: Equatable {
    let name: String
    /// Where it is declared, counted from 1.
    let line: Int
    /// Lines between its braces.
    let bodyLines: Int
}

/// Every function, initializer and subscript with a body, inner ones too. `code` has no comments and strings
/// (`CodeText`).
func functionLengths(_ code: String) -> [FunctionLength] {
    var finder = FunctionFinder()
    for byte in code.utf8 { finder.take(byte) }
    finder.take(0x0A)
    return finder.found
}

private struct FunctionFinder {
    private struct Open {
        var function: (name: String, line: Int)?
        var line: Int
    }

    var found: [FunctionLength] = []
    private var stack: [Open] = []
    /// Declared, its body not yet begun.
    private var pending: (name: String, line: Int)?
    private var parentheses = 0
    private var line = 1
    private var word: [UInt8] = []
    private var afterFunc = false
    private var afterDot = false

    private static func isWord(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x5F || byte >= 0x80
    }

    mutating func take(_ byte: UInt8) {
        if Self.isWord(byte) { return word.append(byte) }
        if !word.isEmpty { endWord() }
        switch byte {
        case UInt8(ascii: "\n"): line += 1
        case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
        case UInt8(ascii: "{"):
            stack.append(Open(function: parentheses == 0 ? pending : nil, line: line))
            if parentheses == 0 { pending = nil }
        case UInt8(ascii: "}"):
            if parentheses == 0 { pending = nil }
            if let open = stack.popLast(), let function = open.function {
                let lines = max(0, line - open.line - 1)
                found.append(FunctionLength(name: function.name, line: function.line, bodyLines: lines))
            }
        default: break
        }
        afterDot = byte == UInt8(ascii: ".")
    }

    private mutating func endWord() {
        let text = String(decoding: word, as: UTF8.self)
        if afterFunc { pending = (text, line) }
        // `.init(` is a call.
        let declares = ["init", "deinit", "subscript"].contains(text) && !afterDot
        if declares, pending == nil { pending = (text, line) }
        afterFunc = text == "func"
        afterDot = false
        word = []
    }
}
