// What loading has to say about the documents: one finding is one sentence about one line of one file.
internal import Base

package enum Severity: String, Sendable {
    case error, warning
}

/// One sentence about a document. `IST....` codes are those of Istio's own analyzers and validation and mean
/// the same; `FL....` codes are Fairlead's (config/README.md lists them).
package struct Finding: Sendable, Hashable {
    package var severity: Severity
    package var code: String
    package var message: String
    package var file: String
    /// From 1; 0: the file as a whole.
    package var line: Int
    /// `VirtualService digillect-nonprod/auth`; empty when the text is not an object at all.
    package var resource: String
    /// What to do about it; never empty.
    package var suggestion: String
    /// True: an API server would not accept such an object, so neither does `run`. An error that is not
    /// refused (a reference to a missing service, say) is an error of `check`, and is run as Istio runs it.
    package var refused: Bool

    package init(
        _ severity: Severity, _ code: String, _ message: String, file: String, line: Int,
        resource: String = "", suggestion: String = "", refused: Bool = false
    ) {
        self.severity = severity
        self.code = code
        self.message = message
        self.file = file
        self.line = line
        self.resource = resource
        self.suggestion = suggestion.isEmpty ? remedy(code, message) : suggestion
        self.refused = refused
    }

    /// The rest seldom differs where these do not.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(line)
        hasher.combine(message)
    }

    /// `FILE:LINE: error [CODE] message`.
    package var text: String {
        var line = "\(file):\(line): \(severity.rawValue) [\(code)] "
        if !resource.isEmpty { line += "\(resource): " }
        line += message
        line += " (\(suggestion))"
        // Nearly always.
        if line.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x80 }) { return line }
        return String(line.map { $0.isNewline ? " " : $0 })
    }
}

/// Findings in the order they were made, each once, and never more than `Limits.findings` of each severity:
/// thousands of warnings do not hide the error for which all is refused.
struct FindingList: Sendable {
    private struct Identity: Hashable {
        var line: Int
        var code: String
        var message: String
        var file: String

        func hash(into hasher: inout Hasher) {
            hasher.combine(line)
            hasher.combine(message)
        }
    }

    private(set) var all: [Finding] = []
    private(set) var refused = false
    private var seen: Set<Identity> = []
    private var errors = 0

    mutating func add(_ finding: Finding) {
        if finding.refused { refused = true }
        let isError = finding.severity == .error
        guard (isError ? errors : all.count - errors) < Limits.findings else { return }
        let identity = Identity(
            line: finding.line, code: finding.code, message: finding.message, file: finding.file)
        if seen.insert(identity).inserted {
            all.append(finding)
            if isError { errors += 1 }
        }
    }

    mutating func append(_ later: FindingList) {
        if all.isEmpty, !refused {
            self = later
            return
        }
        for finding in later.all { add(finding) }
        // Also where the findings that said so did not fit any more.
        if later.refused { refused = true }
    }
}

/// As somebody goes through the files: by file in the order of `files`, then by line. What is said of one
/// line stays in the order in which it was found. Files beside the documents, and paths that could not be
/// read, come first.
func inReadingOrder(_ findings: [Finding], files: some Sequence<String>) -> [Finding] {
    var ranks: [String: Int] = [:]
    for (rank, file) in files.enumerated() { ranks[file] = rank }
    let keys = findings.map { (rank: ranks[$0.file] ?? -1, file: $0.file, line: $0.line) }
    let order = findings.indices.sorted { left, right in
        let (one, other) = (keys[left], keys[right])
        if one.rank != other.rank { return one.rank < other.rank }
        if one.file != other.file { return one.file < other.file }
        return one.line == other.line ? left < right : one.line < other.line
    }
    return order.map { findings[$0] }
}

/// What `fairlead check` prints: one line a finding, or with `json` the object of interface.md section 3.
package func renderCheck(_ findings: [Finding], json: Bool) -> String {
    let errors = findings.count { $0.severity == .error }
    guard json else {
        var text = ""
        for finding in findings { text += finding.text + "\n" }
        return text
    }
    var writer = JSONWriter()
    writer.object { root in
        root.array("findings") { list in
            for finding in findings { list.object { finding.write(to: &$0) } }
        }
        root.member("errors", errors)
        root.member("warnings", findings.count - errors)
    }
    return writer.finishString() + "\n"
}

/// What `run` prints of findings: every error, and of each code's warnings the first `Limits.warningsTold`;
/// of the rest how many there are.
package func renderNews(_ findings: [Finding]) -> String {
    var text = ""
    var counts: [String: Int] = [:]
    var codes: [String] = []
    for finding in findings {
        if finding.severity == .warning {
            let count = counts[finding.code, default: 0] + 1
            counts[finding.code] = count
            if count == Limits.warningsTold + 1 { codes.append(finding.code) }
            if count > Limits.warningsTold { continue }
        }
        text += finding.text + "\n"
    }
    for code in codes {
        let more = counts[code]! - Limits.warningsTold
        text += "\(more) more of warning [\(code)]: `fairlead check` lists all\n"
    }
    return text
}

extension Finding {
    /// The members of this finding's JSON object.
    func write(to json: inout JSONWriter) {
        json.member("file", file)
        json.member("line", line)
        json.member("severity", severity.rawValue)
        json.member("code", code)
        json.member("message", message)
        json.member("resource", resource)
        json.member("suggestion", suggestion)
        json.member("refused", refused)
    }
}
