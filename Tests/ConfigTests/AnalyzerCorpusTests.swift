// Istio's own analyzer tests: the same codes on the same objects, where the corpus is beside the project. The
// table of this folder's README.md has the cases that a data plane cannot know.
import TestSupport
import Testing

@testable import Config

/// This folder's README.md as rows of its tables, by the heading they stand under.
func listed(_ heading: String) throws -> [[String]] {
    let path = "/" + "\(#filePath)".split(separator: "/").dropLast().joined(separator: "/") + "/README.md"
    let text = String(decoding: try readBounded(path, limit: 1 << 20).get(), as: UTF8.self)
    let sections = text.split(separator: "## ").map(String.init)
    let section = try #require(sections.first { $0.hasPrefix(heading + "\n") }, "no heading \(heading)")
    let rows = Corpus.rows(section)
    #expect(Set(rows.map { $0[0] }).count == rows.count, "something stands there twice")
    for row in rows { #expect(row.last?.isEmpty == false, "\(row)") }
    return rows
}

/// One case of the list of Istio's analyzer tests.
struct AnalyzerCase {
    struct Wanted: Hashable {
        var code: String
        /// Kind and name; the list leaves some namespaces out.
        var resource: String
    }

    var name: String
    var inputs: [String]
    /// The analyzer that is tested: others are silent.
    var check: String
    var wanted: Set<Wanted>

    static func all(_ folder: String) throws -> [AnalyzerCase] {
        let bytes = try readBounded("\(folder)/EXPECTATIONS.yaml", limit: 1 << 24).get()
        let chunk = try #require(splitDocuments(bytes).first)
        let root = try #require(try parseYAML(chunk))
        let context = DocumentContext(file: "EXPECTATIONS.yaml", resource: "", validationCode: "")
        let cases = Fields(root, path: "", context: context).objects("cases").map { entry in
            AnalyzerCase(
                name: entry.string("case") ?? "", inputs: entry.strings("input").map(\.value),
                check: entry.string("check") ?? "",
                wanted: Set(
                    entry.objects("expect").map { message in
                        Wanted(
                            code: message.string("code") ?? "",
                            resource: short(message.string("resource") ?? ""))
                    }))
        }
        #expect(context.findings.isEmpty)
        return cases
    }

    /// Without its namespace.
    static func short(_ resource: String) -> String {
        let parts = resource.split(separator: " ", maxSplits: 1).map(String.init)
        return parts.count == 2 ? "\(parts[0]) \(parts[1].split(separator: "/").last ?? "")" : resource
    }

    /// Of what several analyzers say under one code, the part that is this one's.
    func isOwn(_ finding: Finding) -> Bool {
        guard finding.code == "IST0101" else { return true }
        return switch check {
        case "virtualservice.DestinationHostAnalyzer": finding.message.range(of: "service ") != nil
        case "virtualservice.GatewayAnalyzer": finding.message.range(of: "Gateway") != nil
        default: true
        }
    }
}

@Suite struct AnalyzerCorpusTests {
    private static let heading = "Istio's analyzer cases that a data plane cannot know"

    @Test func theListIsWellFormed() throws {
        #expect(try !listed(Self.heading).isEmpty)
        if !Corpus.isThere { print("no corpus in \(Corpus.place): Istio's analyzer cases are not run") }
    }

    @Test(.enabled(if: Corpus.isThere, "no corpus beside the project"))
    func sameCodesOnTheSameObjects() throws {
        let folder = try #require(Corpus.folder("istio-analyze"))
        let cases = try AnalyzerCase.all(folder)
        let left = Set(try listed(Self.heading).map { $0[0] })
        #expect(left.isSubset(of: cases.map(\.name)), "\(left.subtracting(cases.map(\.name)))")
        var codes: [String: Set<String>] = [:]
        for one in cases { codes[one.check, default: []].formUnion(one.wanted.map(\.code)) }
        for one in cases where !left.contains(one.name) {
            let paths = one.inputs.map { "\(folder)/\($0)" }
            let findings = load(paths: paths, options: LoadOptions(purpose: .check)).findings
            let found = findings.filter { (codes[one.check] ?? []).contains($0.code) && one.isOwn($0) }
            let said = Set(
                found.map { AnalyzerCase.Wanted(code: $0.code, resource: AnalyzerCase.short($0.resource)) })
            #expect(said == one.wanted, "\(one.name): \(found.map(\.text))")
        }
        print("\(cases.count - left.count) of \(cases.count) analyzer cases agree, \(left.count) are listed")
    }
}
