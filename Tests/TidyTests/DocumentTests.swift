// Documents that cannot rot in silence: links lead somewhere, files they name exist, README's map is whole.
import TestSupport
import Testing

enum Documents {
    static var all: [SourceFile] { SourceTree.files.filter { $0.kind == "md" } }

    /// Targets of `[text](target)` with their lines, code blocks left out.
    static func links(_ text: String) -> [(target: String, line: Int)] {
        prose(text).flatMap { line, number in
            var found: [(target: String, line: Int)] = []
            var rest = line[...]
            while let hit = rest.firstRange(of: "](") {
                rest = rest[hit.upperBound...]
                found.append((String(rest.prefix { $0 != ")" && $0 != " " }), number))
            }
            return found
        }
    }

    /// Paths in back quotes that start with a folder of ours.
    static func namedPaths(_ text: String) -> [(target: String, line: Int)] {
        let folders = ["Sources/", "Tests/", "config/", "benchmarks/"]
        return prose(text).flatMap { line, number in
            line.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap {
                index, part in
                // Placeholders such as `Tests/NAMETests` and patterns are not paths.
                let isPath = !part.contains { " *<{$".contains($0) } && !part.contains("NAME")
                guard index % 2 == 1, isPath, folders.contains(where: { part.hasPrefix($0) }) else {
                    return nil
                }
                return (String(part.prefix { $0 != ":" && $0 != "#" }), number)
            }
        }
    }

    /// The anchors that a page's headings get, as GitHub makes them.
    static func anchors(_ text: String) -> Set<String> {
        Set(
            prose(text).filter { $0.line.hasPrefix("#") }.map { heading in
                let title = heading.line.drop { $0 == "#" || $0 == " " }.lowercased()
                return String(
                    title.compactMap {
                        $0 == " " ? "-" : $0.isLetter || $0.isNumber || "-_".contains($0) ? $0 : nil
                    })
            })
    }

    private static func prose(_ text: String) -> [(line: Substring, number: Int)] {
        var inCode = false
        var found: [(Substring, Int)] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") { inCode.toggle() } else if !inCode { found.append((line, index + 1)) }
        }
        return found
    }

    static func brokenLinks(_ file: SourceFile) -> [Violation] {
        let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
        var broken: [Violation] = []
        for (target, line) in links(file.text) where !target.contains("://") && !target.hasPrefix("mailto:") {
            let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let path =
                parts[0].isEmpty ? file.path : folder.isEmpty ? String(parts[0]) : "\(folder)/\(parts[0])"
            if !parts[0].isEmpty, !exists(path) {
                broken.append(Violation(path: file.path, line: line, message: "nothing at \(target)"))
            } else if parts.count == 2, let page = SourceTree.file(path) ?? (parts[0].isEmpty ? file : nil),
                !anchors(page.text).contains(String(parts[1]))
            {
                broken.append(Violation(path: file.path, line: line, message: "no heading for \(target)"))
            }
        }
        for (path, line) in namedPaths(file.text) where !exists(path) {
            broken.append(Violation(path: file.path, line: line, message: "`\(path)` does not exist"))
        }
        return broken
    }

    private static func exists(_ path: String) -> Bool {
        let full = "\(SourceTree.root)/\(path)"
        return isFolder(full.hasSuffix("/") ? String(full.dropLast()) : full) || readFile(full) != nil
    }
}

@Suite struct DocumentTests {
    @Test(arguments: ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
    func pageExists(_ name: String) { #expect(SourceTree.file(name) != nil) }

    @Test func linksLeadSomewhere() { report(Documents.all.flatMap(Documents.brokenLinks)) }

    @Test func readmeMapsEveryModule() throws {
        let readme = try #require(SourceTree.file("README.md"))
        for module in listFolder("\(SourceTree.root)/Sources") {
            #expect(readme.text.contains("`\(module)`"), "README.md's map does not name `\(module)`")
        }
    }

    @Test func contributingHasFewRules() throws {
        let page = try #require(SourceTree.file("CONTRIBUTING.md"))
        let section = page.lines.drop { $0 != "## Rules" }.dropFirst().prefix { !$0.hasPrefix("## ") }
        let rules = section.compactMap { line in
            line.contains(". ") ? Int(line.prefix { $0 != "." }) : nil
        }
        #expect(rules == Array(0..<rules.count), "rules are numbered from 0")
        #expect((1...15).contains(rules.count))
    }

    @Test func checksBite() {
        func broken(_ text: String) -> Int {
            Documents.brokenLinks(SourceFile(path: "X.md", text: text)).count
        }
        #expect(broken("[a](Package.swift) [b](https://example.com/x) `Sources/Base/`\n") == 0)
        #expect(broken("[a](Missing.md) and `Sources/Missing.swift`\n") == 2)
        #expect(broken("# Some Heading\n[a](#some-heading) [b](#other)\n") == 1)
        #expect(broken("```\n[a](Missing.md)\n```\n") == 0)
        #expect(Documents.anchors("## Life of a request, kept\n") == ["life-of-a-request-kept"])
    }
}
