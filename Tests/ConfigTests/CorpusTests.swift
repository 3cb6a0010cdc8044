// Every document of the corpus loads, or gives a finding that says where, what and what to do; how many of
// each stands in this folder's README.md.
import TestSupport
import Testing

@testable import Config

@Suite struct CorpusTests {
    /// What is not there yet is counted on its own: it may only become less.
    private static let notYet: Set<String> = [
        Code.kindNotSupported, Code.fieldNotSupported, Code.protocolNotSupported,
    ]

    private struct Counts: Equatable, CustomStringConvertible {
        var files = 0
        var documents = 0
        var refused = 0
        var errors = 0
        var warnings = 0
        var notYet = 0
        var description: String {
            [files, documents, refused, errors, warnings, notYet].map(String.init).joined(separator: " | ")
        }
    }

    @Test func theTableIsWellFormed() throws {
        for row in try listed("Counts") {
            #expect(row.count == 7 && row.dropFirst().allSatisfy { Int($0) != nil })
        }
        if !Corpus.isThere { print("no corpus in \(Corpus.place): its documents are not read") }
    }

    @Test(.enabled(if: Corpus.isThere, "no corpus beside the project"))
    func everyDocumentLoadsOrSaysWhy() throws {
        let rows = Dictionary(
            uniqueKeysWithValues: try listed("Counts").map { ($0[0], $0.dropFirst().compactMap { Int($0) }) })
        #expect(Set(rows.keys) == Set(Corpus.folders))
        for folder in Corpus.folders {
            let counts = try read(folder)
            guard let row = rows[folder], row.count == 6 else {
                Issue.record("| `\(folder)` | \(counts) |")
                continue
            }
            let wanted = Counts(
                files: row[0], documents: row[1], refused: row[2], errors: row[3], warnings: counts.warnings,
                notYet: counts.notYet)
            #expect(counts == wanted, "| `\(folder)` | \(counts) |")
            #expect(counts.warnings <= row[4] && counts.notYet <= row[5], "| `\(folder)` | \(counts) |")
        }
    }

    private func read(_ folder: String) throws -> Counts {
        let place = try #require(Corpus.folder(folder))
        var counts = Counts()
        for file in filesBelow(place) where file != "EXPECTATIONS.yaml" {
            let bytes = try readBounded("\(place)/\(file)", limit: 1 << 24).get()
            let chunks = splitDocuments(bytes)
            counts.files += 1
            counts.documents += chunks.count
            var options = LoadOptions(purpose: .check)
            options.nowSeconds = 1_790_000_000
            let result = load(Sources(texts: [SourceText(file: file, bytes: bytes)]), options: options)
            let lines = bytes.count { $0 == 0x0A } + 1
            for finding in result.findings {
                #expect(finding.file == file && (1...lines).contains(finding.line), "\(finding.text)")
                #expect(!finding.message.isEmpty && !finding.suggestion.isEmpty, "\(finding.text)")
                let isNotYet = Self.notYet.contains(finding.code)
                if finding.refused { counts.refused += 1 }
                if finding.severity == .error {
                    counts.errors += 1
                } else if !isNotYet {
                    counts.warnings += 1
                }
                if isNotYet { counts.notYet += 1 }
            }
            #expect((result.model == nil) == result.findings.contains { $0.refused }, "\(file)")
        }
        return counts
    }
}
