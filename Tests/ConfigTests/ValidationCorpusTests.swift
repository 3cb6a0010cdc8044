// Documents that Istio's and the Gateway API's validation takes or refuses, with the verdict in their names
// or folders: ours must be the same, or the difference stands in this folder's README.md.
import TestSupport
import Testing

@testable import Config

private let isThere = Corpus.isThere

@Suite(.enabled(if: isThere, "no corpus beside the project"))
struct ValidationCorpusTests {
    private static let heading = "Verdicts that differ"

    /// Texts of a file's documents, by a name of their own; `_err` lines that the tests read are left out.
    private func documents(_ file: String) throws -> [(name: String, text: String)] {
        let bytes = try readBounded(file, limit: 1 << 24).get()
        return splitDocuments(bytes).compactMap { chunk in
            let lines = String(decoding: chunk.bytes, as: UTF8.self).split(
                separator: "\n", omittingEmptySubsequences: false)
            let text = lines.filter { !$0.hasPrefix("_err:") }.joined(separator: "\n")
            guard text.range(of: "kind:") != nil else { return nil }
            let name = lines.first { $0.hasPrefix("  name:") }?.dropFirst(7).trimmed ?? ""
            let base = file.split(separator: "/").last ?? ""
            return ("\(base) \(name)", text)
        }
    }

    private func isRefused(_ text: String) -> Bool {
        let source = SourceText(file: "f.yaml", bytes: Array(text.utf8))
        let result = load(Sources(texts: [source]), options: LoadOptions(purpose: .check))
        return result.findings.contains { $0.refused }
    }

    /// Each document alone: whether it is refused as recorded.
    private func compare(_ folder: String, _ isValid: (String) -> Bool) throws -> (
        agreed: Int, differ: [String]
    ) {
        let folder = try #require(Corpus.folder(folder))
        var agreed = 0
        var differ: [String] = []
        for file in filesBelow(folder) where file.hasSuffix(".yaml") {
            for (name, text) in try documents("\(folder)/\(file)") {
                if isRefused(text) == !isValid(file) { agreed += 1 } else { differ.append(name) }
            }
        }
        return (agreed, differ)
    }

    @Test func verdictsAgree() throws {
        let valid = try compare("istio-validation") { _ in true }
        let unit = try compare("istio-validation-unit") { $0.hasSuffix("-valid.yaml") }
        let refused = try compare("gateway-api-invalid-examples") { _ in false }
        let differ = valid.differ + unit.differ + refused.differ
        #expect(Set(differ) == Set(try listed(Self.heading).map { $0[0] }), "\(differ)")
        let agreed = valid.agreed + unit.agreed + refused.agreed
        #expect(agreed > 50)
        print("\(agreed) verdicts of validation agree, \(differ.count) are listed")
    }

    /// The examples of the projects themselves are no mistakes: nothing that an API server would refuse.
    @Test(arguments: ["gateway-api-examples", "istio-samples"])
    func examplesAreTaken(_ name: String) throws {
        let folder = try #require(Corpus.folder(name))
        let paths = filesBelow(folder).filter { $0.hasSuffix(".yaml") }.map { "\(folder)/\($0)" }
        for path in paths {
            let findings = load(paths: [path], options: LoadOptions(purpose: .check)).findings
            let refused = findings.filter { $0.refused && $0.code != Code.duplicateObject }
            #expect(refused.map(\.text) == [])
        }
    }
}
