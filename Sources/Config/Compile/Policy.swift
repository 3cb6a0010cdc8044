// Which LanePolicy counts for this proxy, its secret, and the lane names that routes know.
internal import Base
internal import Lanes

extension Compiler {
    func compilePolicy() {
        guard let document = choosePolicy() else { return }
        var policy = document.model
        if let file = document.secretFile { policy.signingSecret = readSecret(file, document.meta.ref) }
        policy.knownByRoutes = knownByRoutes(key: policy.key)
        model.policy = policy
    }

    /// The oldest in the proxy's namespace, else in the root namespace, else the only one there is.
    private func choosePolicy() -> LanePolicyDocument? {
        let all = documents.policies.oldestFirst()
        for namespace in [proxy.model.namespace, Names.rootNamespace] {
            let here = all.filter { $0.meta.namespace == namespace }
            guard let first = here.first else { continue }
            for other in here.dropFirst() {
                note(
                    .warning, Code.severalPolicies, "ignored: \(first.meta.resource) is older",
                    other.meta.ref,
                    suggestion: "keep one LanePolicy a namespace")
            }
            return first
        }
        if all.count <= 1 { return all.first }
        for policy in all {
            note(
                .warning, Code.severalPolicies,
                "ignored: one of \(all.count), none in \(proxy.model.namespace) or \(Names.rootNamespace)",
                policy.meta.ref)
        }
        return nil
    }

    private func readSecret(_ file: Located<String>, _ ref: SourceRef) -> [UInt8]? {
        let path = path(file.value, ref)
        let isCheck = options.purpose == .check
        switch readBeside(path, limit: Limits.secretBytes) {
        case .success(var bytes):
            if bytes.last == 0x0A { bytes.removeLast() }
            if !bytes.isEmpty { return bytes }
            note(
                isCheck ? .warning : .error, Code.secretUnreadable,
                "spec.signing.secretFile: \(path) is empty",
                ref, line: file.line, refused: !isCheck)
        case .failure(let problem):
            // A check may run where the secret is not mounted; a proxy without it must not start.
            note(
                isCheck ? .warning : .error, Code.secretUnreadable,
                "spec.signing.secretFile: cannot read \(path): \(problem.text)", ref, line: file.line,
                refused: !isCheck)
        }
        return nil
    }

    /// Values of the key that some match accepts, as header, query parameter or inside a Cookie pattern.
    private func knownByRoutes(key: String) -> [StringMatch] {
        var known: [StringMatch] = []
        var seen: Set<String> = []
        func add(_ match: StringMatch) {
            if case .present = match { return }
            if seen.insert("\(match)").inserted { known.append(match) }
        }
        func look(_ match: MatchModel) {
            for header in match.headers where !header.inverted {
                if header.name == key {
                    add(header.match)
                } else if header.name == "cookie" {
                    if let value = cookieLiteral(header.match, key: key) { add(.exact(value)) }
                }
            }
            for parameter in match.queryParams where parameter.name == key { add(parameter.match) }
        }
        for document in documents.virtualServices {
            for match in document.http.lazy.flatMap(\.matches) { look(match.model) }
        }
        for document in documents.apiRoutes {
            for match in document.rules.lazy.flatMap(\.matches) { look(match.model) }
        }
        return known
    }
}

/// The lane name in a Cookie pattern such as `.*(x-feat-name=auth-refactor).*`; nil if there is no literal.
func cookieLiteral(_ match: StringMatch, key: String) -> String? {
    let text: String
    switch match {
    case .exact(let given), .prefix(let given), .regex(let given): text = given
    case .present: return nil
    }
    guard let found = text.range(of: key + "=") else { return nil }
    let value = text[found.upperBound...].prefix { character in
        character == "-" || character.isASCII && (character.isLowercase || character.isNumber)
    }
    return isDNSLabel(String(value)) ? String(value) : nil
}
