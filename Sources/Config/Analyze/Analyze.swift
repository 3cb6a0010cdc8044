// All analyzers in turn. Each looks at the documents alone, for every client at once, and never stops a load.
internal import Base
internal import Lanes

/// What analyzers read.
struct Analysis {
    let documents: DocumentSet
    let registry: Registry
    let rules: DestinationRules
    var findings: FindingList

    mutating func note(
        _ severity: Severity, _ code: String, _ message: String, _ ref: SourceRef, line: Int? = nil,
        suggestion: String = ""
    ) {
        findings.add(
            Finding(
                severity, code, message, file: ref.file, line: line ?? ref.line, resource: ref.document,
                suggestion: suggestion))
    }
}

func analyze(
    _ documents: DocumentSet, _ registry: Registry, _ rules: DestinationRules, _ findings: inout FindingList
) {
    let analysis = Analysis(documents: documents, registry: registry, rules: rules, findings: findings)
    findings = analysis.findings
}
