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

/// Every function, initializer and subscript with a body, inner ones too.
func functionLengths(_ source: String) -> [FunctionLength] {
    struct Open {
        var function: (name: String, line: Int)?
        var line: Int
    }
    var found: [FunctionLength] = []
    var stack: [Open] = []
    var pending: (name: String, line: Int)?
    var parentheses = 0
    var line = 1
    var word = ""
    var previousWord = ""
    var beforeWord: Character = " "
    var previous: Character = " "
    for character in CodeText(source).text + "\n" {
        if character.isLetter || character.isNumber || character == "_" {
            if word.isEmpty { beforeWord = previous }
            word.append(character)
            previous = character
            continue
        }
        if !word.isEmpty {
            if previousWord == "func" { pending = (word, line) }
            let isOwn = beforeWord != "."
            if isOwn, ["init", "deinit", "subscript"].contains(word), pending == nil {
                pending = (word, line)
            }
            previousWord = word
            word = ""
        }
        previous = character
        switch character {
        case "\n": line += 1
        case "(", "[": parentheses += 1
        case ")", "]": parentheses -= 1
        case "{":
            stack.append(Open(function: parentheses == 0 ? pending : nil, line: line))
            if parentheses == 0 { pending = nil }
        case "}":
            if parentheses == 0 { pending = nil }
            guard let open = stack.popLast() else { continue }
            if let function = open.function {
                found.append(
                    FunctionLength(
                        name: function.name, line: function.line, bodyLines: max(0, line - open.line - 1)))
            }
        default: break
        }
    }
    return found
}
