// `{set, add, remove}` of header operations, as VirtualServices and Proxy write them (istio-semantics.md 6).
internal import Lanes

/// The Host that header operations of one level ask for: `set` beats `add`.
final class AuthorityOperation {
    var replaced: String?
    var added: String?
    var value: String? { replaced ?? added }
}

/// Reads one level's operations. Names come out in lower case and sorted, which is the order they apply in.
/// `host` and `:authority` go to `authority`, where the level may rewrite the Host; other names that cannot
/// be modified are left out, as in Istio.
func readHeaderOperations(
    _ fields: Fields, authority: AuthorityOperation?
) -> HeaderOperations {
    var operations = HeaderOperations()
    operations.set = readValues(fields, "set") { name, value, line in
        noteAuthority(fields, authority, name, value, line, isSet: true)
    }
    operations.add = readValues(fields, "add") { name, value, line in
        noteAuthority(fields, authority, name, value, line, isSet: false)
    }
    for name in fields.strings("remove") {
        let lower = name.value.lowercased()
        if isFixedName(lower) {
            fields.context.warn(
                name.line, Code.deprecated, "the header \(name.value) cannot be removed, ignored")
        } else if !isHeaderName(lower) {
            fields.context.invalid(name.line, "\(fields.path).remove: \"\(name.value)\" is no header name")
        } else {
            operations.remove.append(lower)
        }
    }
    fields.finish()
    return operations
}

private func isFixedName(_ lower: String) -> Bool { lower == "host" || lower.hasPrefix(":") }

private func readValues(
    _ fields: Fields, _ key: String, fixed: (String, String, Int) -> Void
) -> [(name: String, value: String)] {
    var values: [(name: String, value: String)] = []
    for pair in fields.pairs(key) {
        let lower = pair.name.lowercased()
        if isFixedName(lower) {
            fixed(lower, pair.value, pair.line)
            continue
        }
        guard isHeaderName(lower) else {
            fields.context.invalid(pair.line, "\(fields.path).\(key): \"\(pair.name)\" is no header name")
            continue
        }
        if let problem = HeaderValue.problem(pair.value) {
            fields.context.invalid(pair.line, "\(fields.path).\(key).\(pair.name): \(problem)")
            continue
        }
        for name in HeaderValue.empty(pair.value) {
            fields.context.warn(
                pair.line, Code.fieldNotSupported,
                "not supported yet: %\(name)% in \(fields.path).\(key).\(pair.name), which comes out empty")
        }
        values.append((lower, pair.value))
    }
    return values.sorted { $0.name < $1.name }
}

private func noteAuthority(
    _ fields: Fields, _ authority: AuthorityOperation?, _ name: String,
    _ value: String, _ line: Int, isSet: Bool
) {
    guard let authority, name == "host" || name == ":authority" else {
        fields.context.warn(line, Code.deprecated, "the header \(name) cannot be modified here, ignored")
        return
    }
    let earlier = isSet ? authority.replaced : authority.added
    if earlier != nil {
        fields.context.invalid(line, "\(fields.path) sets the Host twice, as host and as :authority")
    }
    if isSet { authority.replaced = value } else { authority.added = value }
}
