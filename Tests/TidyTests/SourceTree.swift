// The files of this repository as the tidy tests see them, and what a rule says about one.
import Glibc
import TestSupport
import Testing

/// One text file.
struct SourceFile {
    /// From the root of the repository: `Sources/Base/Arena.swift`.
    let path: String
    let text: String
    /// The text without comments and strings where it is Swift or C; line by line the same.
    let code: String

    init(path: String, text: String) {
        self.path = path
        self.text = text
        let isCode = [".swift", ".c", ".h", ".cc"].contains { path.hasSuffix($0) }
        code = isCode ? CodeText(text).text : text
    }

    /// Whether the text has that anywhere: cheap, for rules that seldom have to look closer.
    func has(_ needle: String) -> Bool { strstr(text, needle) != nil }

    var name: String { path.split(separator: "/").last.map(String.init) ?? path }
    /// What follows the last dot of the name; empty without one.
    var kind: String { name.contains(".") ? name.split(separator: ".").last.map(String.init) ?? "" : "" }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var isSwift: Bool { kind == "swift" }
    var isC: Bool { ["c", "h", "cc"].contains(kind) }
    var isScript: Bool { ["sh", "py"].contains(kind) || text.hasPrefix("#!") }
}

/// A rule that a line breaks.
struct Violation: CustomStringConvertible, Equatable {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

enum SourceTree {
    /// The repository, found from this file's own place in it.
    static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    private static let folders = ["Sources", "Tests", "benchmarks", "config", ".ci"]
    /// Corpora and measurements are data: rules for text do not apply.
    private static let dataKinds: Set = [
        "json", "bin", "png", "svg", "raw", "http", "txt", "lock", "resolved",
    ]

    /// What builds, tools and interpreters leave behind, and inputs of fuzzing.
    private static let notOurs: Set<Substring> = [".build", "__pycache__", "corpus", "crashes"]

    /// Every text file that people write.
    static let files: [SourceFile] = {
        var paths = listFolder(root).filter { !isFolder("\(root)/\($0)") && $0 != ".git" }
        for folder in folders {
            paths += filesBelow("\(root)/\(folder)").map { "\(folder)/\($0)" }
        }
        return paths.compactMap { path in
            let parts = path.split(separator: "/")
            if parts.contains(where: { notOurs.contains($0) }) {
                return nil
            }
            guard let bytes = readFile("\(root)/\(path)") else { return nil }
            let file = SourceFile(path: path, text: String(decoding: bytes, as: UTF8.self))
            return dataKinds.contains(file.kind) || file.text.contains("\0") ? nil : file
        }
    }()

    static func file(_ path: String) -> SourceFile? { files.first { $0.path == path } }
}

/// Fails the test once for each violation.
func report(_ violations: [Violation]) {
    for violation in violations { Issue.record("\(violation)") }
}
