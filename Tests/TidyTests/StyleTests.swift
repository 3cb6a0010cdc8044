// How files look: widths, lengths, purpose comments, leftovers. Rules with numbers are those of
// CONTRIBUTING.md.
import TestSupport
import Testing

enum Style {
    static func columns(_ file: SourceFile) -> Int { file.kind == "py" ? 125 : 110 }
    static let functionLines = 70
    /// Fewer characters cannot say what a file is for.
    static let purposeCharacters = 15

    /// Code no wider than a reviewer's window. Prose and YAML wrap by themselves.
    static func width(_ file: SourceFile) -> [Violation] {
        guard file.isSwift || file.isC || file.isScript else { return [] }
        let columns = columns(file)
        return violations(file) { line in
            if line.utf8.count <= columns { return nil }
            let count = line.unicodeScalars.count
            return count > columns ? "\(count) columns; the limit is \(columns)" : nil
        }
    }

    static func functions(_ file: SourceFile) -> [Violation] {
        guard file.isSwift || file.isC else { return [] }
        let lengths = file.isSwift ? functionLengths(file.code) : cFunctionLengths(file)
        return lengths.filter { $0.bodyLines > functionLines }.map {
            Violation(
                path: file.path, line: $0.line,
                message: "\($0.name) has \($0.bodyLines) lines; the limit is \(functionLines): split it")
        }
    }

    /// The first line says what the file is for, before any code.
    static func purpose(_ file: SourceFile) -> [Violation] {
        var lines = file.lines[...]
        if let first = lines.first, first.hasPrefix("#!") || first.hasPrefix("// swift-tools-version") {
            lines.removeFirst()
        }
        let marks: [String]
        switch file.kind {
        case "swift", "c", "h", "cc": marks = ["//"]
        case "yaml", "yml", "sh": marks = ["#"]
        case "py": marks = ["#", "\"\"\""]
        default:
            guard ["Makefile", "Dockerfile"].contains(file.name) || file.isScript else { return [] }
            marks = ["#"]
        }
        let first = lines.first ?? ""
        let says = marks.contains { first.hasPrefix($0) } && first.count >= purposeCharacters
        let message = "starts without a comment that says what the file is for"
        return says ? [] : [Violation(path: file.path, line: 1, message: message)]
    }

    /// No blanks at line ends, no tabs, no CR, one newline at the end.
    static func whitespace(_ file: SourceFile) -> [Violation] {
        let hasTab = file.has("\t") && file.name != "Makefile"
        let hasReturn = file.has("\r")
        var found = violations(file) { line in
            if let last = line.utf8.last, last == 0x20 || last == 0x09 {
                return "blanks at the end of the line"
            }
            if hasReturn, line.utf8.contains(0x0D) { return "carriage return" }
            if hasTab, line.utf8.contains(0x09) { return "tab: indent with four blanks" }
            return nil
        }
        if !file.text.isEmpty, !file.text.hasSuffix("\n") || file.text.hasSuffix("\n\n") {
            found.append(
                Violation(path: file.path, line: file.lines.count, message: "end with exactly one newline"))
        }
        return found
    }

    /// What is not done belongs in the tracker, and what is named here would be this file's own text.
    static func leftovers(_ file: SourceFile) -> [Violation] {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].filter(file.has)
        if marks.isEmpty { return [] }
        return violations(file) { line in
            let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
            return marks.first { words.contains(Substring($0)) }.map { "\($0): open an issue instead" }
        }
    }

    /// Paths of somebody's machine; the repository must read the same everywhere.
    static func machinePaths(_ file: SourceFile) -> [Violation] {
        let prefixes = ["work", "opt", "root", "home", "Users", "tmp/wt"].map { "/" + $0 + "/" }.filter(
            file.has)
        if prefixes.isEmpty { return [] }
        return violations(file) { line in
            prefixes.first { prefix in
                var rest = line[...]
                while let hit = rest.firstRange(of: prefix) {
                    // `config/work/x` and `https://host/home/x` are no machine paths.
                    let before =
                        hit.lowerBound == line.startIndex ? " " : line[line.index(before: hit.lowerBound)]
                    if !before.isLetter, !before.isNumber, !"._-/}*".contains(before) { return true }
                    rest = rest[hit.upperBound...]
                }
                return false
            }.map { "a machine's own path (\($0))" }
        }
    }

    /// A file of imports alone is a placeholder somebody forgot; a map of a module in comments is none.
    static func placeholders(_ file: SourceFile) -> [Violation] {
        guard file.isSwift, file.name != "Package.swift" else { return [] }
        let code = file.code.split(separator: "\n").filter { line in
            let words = line.split(separator: " ")
            return !words.isEmpty && !words.prefix(3).contains("import")
        }
        let isMap = file.lines.filter { $0.hasPrefix("//") }.count >= 3
        return code.isEmpty && !isMap ? [Violation(path: file.path, line: 1, message: "empty file")] : []
    }

    private static func violations(
        _ file: SourceFile, _ message: (Substring) -> String?
    ) -> [Violation] {
        file.lines.enumerated().compactMap { index, line in
            message(line).map { Violation(path: file.path, line: index + 1, message: $0) }
        }
    }

    /// C functions start at the left edge and end with a brace at the left edge.
    private static func cFunctionLengths(_ file: SourceFile) -> [FunctionLength] {
        var found: [FunctionLength] = []
        var open: (line: Int, name: String)?
        for (index, line) in file.lines.enumerated() {
            if line.first?.isLetter == true, line.hasSuffix(") {") || line.hasSuffix("{"), line.contains("(")
            {
                open = (index + 1, String(line.prefix { $0 != "(" }.split(separator: " ").last ?? ""))
            } else if line == "}", let start = open {
                found.append(
                    FunctionLength(name: start.name, line: start.line, bodyLines: index - start.line))
                open = nil
            }
        }
        return found
    }
}

@Suite struct StyleTests {
    @Test func thereIsSomethingToLookAt() {
        #expect(SourceTree.files.count > 30)
        #expect(SourceTree.file("Package.swift") != nil)
        #expect(SourceTree.file("Sources/Base/Arena.swift") != nil)
    }

    @Test func linesAreNoWiderThan110Columns() { report(SourceTree.files.flatMap(Style.width)) }
    @Test func functionsAreNoLongerThan70Lines() { report(SourceTree.files.flatMap(Style.functions)) }
    @Test func filesStartWithTheirPurpose() { report(SourceTree.files.flatMap(Style.purpose)) }
    @Test func whitespaceIsClean() { report(SourceTree.files.flatMap(Style.whitespace)) }
    @Test func nothingIsLeftOver() { report(SourceTree.files.flatMap(Style.leftovers)) }
    @Test func noMachineIsNamed() { report(SourceTree.files.flatMap(Style.machinePaths)) }
    @Test func noFileIsEmpty() { report(SourceTree.files.flatMap(Style.placeholders)) }
}

/// Each rule is shown something to object to: a rule that cannot fail proves nothing.
@Suite struct StyleRulesBite {
    private func swift(_ text: String) -> SourceFile { SourceFile(path: "Sources/X/Y.swift", text: text) }

    @Test func width() {
        #expect(Style.width(swift(String(repeating: "a", count: 110))).isEmpty)
        #expect(Style.width(swift("ok\n" + String(repeating: "é", count: 111))).map(\.line) == [2])
    }

    @Test func functionLength() {
        let long = "func long() {\n" + String(repeating: "    work()\n", count: 71) + "}\n"
        #expect(Style.functions(swift(long)).map(\.line) == [1])
        let allowed = "func short() {\n" + String(repeating: "    work()\n", count: 70) + "}\n"
        #expect(Style.functions(swift(allowed)).isEmpty)
        let c = SourceFile(
            path: "a.c", text: "int f(void) {\n" + String(repeating: "  ;\n", count: 71) + "}\n")
        #expect(Style.functions(c).count == 1)
    }

    @Test func functionsAreFoundInTheirSurroundings() {
        let source = """
            struct A {
                // func no() {
                init(_ a: Int = { 1 }()) {
                    self.init()
                }
                var text: String { "} func \\(call { "}" }) {" }
                func two(
                    _ x: Int
                ) -> Int where T: B {
                    let raw = #"{"\\#(x)"#
                    func inner() { }
                    return x
                }
                /* { /* { */ */
                subscript(i: Int) -> Int {
                    i
                }
            }
            """
        #expect(
            functionLengths(CodeText(source).text) == [
                FunctionLength(name: "init", line: 3, bodyLines: 1),
                FunctionLength(name: "inner", line: 11, bodyLines: 0),
                FunctionLength(name: "two", line: 7, bodyLines: 3),
                FunctionLength(name: "subscript", line: 15, bodyLines: 1),
            ])
    }

    @Test func purpose() {
        #expect(Style.purpose(swift("// What this file is for.\nimport Base\n")).isEmpty)
        #expect(!Style.purpose(swift("import Base\n")).isEmpty)
        #expect(!Style.purpose(swift("//\n// late\n")).isEmpty)
        let script = SourceFile(path: ".ci/run", text: "#!/bin/bash\nset -e\n")
        #expect(!Style.purpose(script).isEmpty)
    }

    @Test func whitespace() {
        #expect(Style.whitespace(swift("a\n")).isEmpty)
        for bad in ["a \n", "a\t\n", "\ta\n", "a\r\n", "a", "a\n\n"] {
            #expect(!Style.whitespace(swift(bad)).isEmpty, "\(bad.debugDescription)")
        }
    }

    @Test func leftoversAndPaths() {
        #expect(!Style.leftovers(swift("// TO" + "DO: later")).isEmpty)
        #expect(Style.leftovers(swift("// mastodon")).isEmpty)
        #expect(!Style.machinePaths(swift("open(\"/ho" + "me/me/x\")")).isEmpty)
        #expect(!Style.machinePaths(swift("a/home/b /ro" + "ot/x")).isEmpty)
        #expect(Style.machinePaths(swift("https://example.com/home/x")).isEmpty)
        #expect(!Style.placeholders(swift("// A comment and no more.\ninternal import Base\n")).isEmpty)
    }
}
