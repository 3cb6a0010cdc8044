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
        guard let problem = valueProblem(pair.value) else {
            values.append((lower, pair.value))
            continue
        }
        fields.context.invalid(pair.line, "\(fields.path).\(key).\(pair.name): \(problem)")
    }
    return values.sorted { $0.name < $1.name }
}

/// Why a value cannot be a header's: a control character, or a `%` that opens a formatter without end.
private func valueProblem(_ value: String) -> String? {
    if value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) {
        return "control characters cannot stand in a header"
    }
    var inside = false
    var depth = 0
    for byte in value.utf8 {
        switch byte {
        case 0x25 where depth == 0: inside.toggle()
        case 0x28 where inside: depth += 1
        case 0x29 where inside && depth > 0: depth -= 1
        default: break
        }
    }
    return inside ? "unbalanced %; a percent sign alone is written %%" : nil
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
