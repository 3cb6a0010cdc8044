// Typed reading of a mapping that never fails: what is wrong becomes a finding with its line, what nobody
// asked for becomes an "unknown field" with the nearest name that exists.
internal import Lanes

/// Where findings of one object go, and how the object calls itself.
final class DocumentContext {
    let file: String
    var resource: String
    /// Code of validation errors: Istio's own for Istio's kinds.
    let validationCode: String
    private(set) var findings: [Finding] = []

    init(file: String, resource: String, validationCode: String) {
        self.file = file
        self.resource = resource
        self.validationCode = validationCode
    }

    func ref(_ line: Int) -> SourceRef { SourceRef(document: resource, file: file, line: line) }

    /// An object that an API server would not take.
    func invalid(_ line: Int, _ message: String, suggestion: String = "") {
        findings.append(
            Finding(
                .error, validationCode, message, file: file, line: line, resource: resource,
                suggestion: suggestion, refused: true))
    }

    func warn(_ line: Int, _ code: String, _ message: String, suggestion: String = "") {
        findings.append(
            Finding(
                .warning, code, message, file: file, line: line, resource: resource, suggestion: suggestion))
    }

    func add(_ finding: Finding) { findings.append(finding) }
}

/// A cursor over one mapping. Ask for every field that exists, then call `finish`.
final class Fields {
    let context: DocumentContext
    let node: YAML
    /// `spec.http[0].match[1]`.
    let path: String
    private var asked: [String] = []

    init(_ node: YAML, path: String, context: DocumentContext) {
        self.node = node
        self.path = path
        self.context = context
        switch node.value {
        case .map, .null: break
        default: context.invalid(node.line, "\(path) must be a mapping, not \(node.kindName)")
        }
    }

    var line: Int { node.line }

    private func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Any value of a key but null, which means "not given".
    func any(_ key: String) -> YAML? {
        asked.append(key)
        guard let value = node[key] else { return nil }
        if case .null = value.value { return nil }
        return value
    }

    func has(_ key: String) -> Bool { node[key] != nil }

    /// The line of a key, else of the mapping.
    func line(of key: String) -> Int {
        guard case .map(let entries) = node.value else { return node.line }
        for entry in entries where entry.key == key { return entry.line }
        return node.line
    }

    private func wrongType(_ key: String, _ wanted: String, _ value: YAML) {
        let isScalar = if case .scalar = value.value { true } else { false }
        let quote = wanted == "a string" && isScalar ? "write it in quotes" : ""
        context.invalid(
            value.line, "\(name(key)) must be \(wanted), not \(value.kindName)", suggestion: quote)
    }

    func string(_ key: String) -> String? {
        guard let value = any(key) else { return nil }
        if let text = text(of: value) { return text }
        wrongType(key, "a string", value)
        return nil
    }

    /// A node's text if it is a string: quoted, or plain and neither number nor truth value.
    private func text(of value: YAML) -> String? {
        guard case .scalar(let text, let plain) = value.value, !plain || value.kindName == "a string"
        else { return nil }
        return text
    }

    func bool(_ key: String) -> Bool? {
        guard let value = any(key) else { return nil }
        if case .scalar(let text, plain: true) = value.value, let bool = yamlBool(text) { return bool }
        wrongType(key, "true or false", value)
        return nil
    }

    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = any(key) else { return nil }
        guard case .scalar(let text, plain: true) = value.value, let number = parseInteger(text) else {
            wrongType(key, "an integer", value)
            return nil
        }
        guard range.contains(number) else {
            let bounds = "\(range.lowerBound) to \(range.upperBound)"
            context.invalid(value.line, "\(name(key)) is \(number), outside \(bounds)")
            return nil
        }
        return number
    }

    func port(_ key: String) -> UInt16? { integer(key, in: 1...65_535).map { UInt16($0) } }

    /// A duration in milliseconds.
    func duration(_ key: String) -> UInt64? {
        guard let value = any(key) else { return nil }
        guard case .scalar(let text, _) = value.value else {
            wrongType(key, "a duration", value)
            return nil
        }
        if let duration = parseDuration(text) { return duration }
        context.invalid(
            value.line, "\(name(key)): \"\(text)\" is no duration",
            suggestion: "as in 500ms, 30s, 8h or 1h30m")
        return nil
    }

    /// One word of a fixed set; what is returned is one of `words`.
    func word(_ key: String, of words: [String]) -> String? {
        guard let value = any(key) else { return nil }
        guard case .scalar(let text, _) = value.value else {
            wrongType(key, "one of \(words.joined(separator: ", "))", value)
            return nil
        }
        if words.contains(text) { return text }
        let near = nearest(to: text, among: words)
        context.invalid(
            value.line, "\(name(key)): \"\(text)\" is none of \(words.joined(separator: ", "))",
            suggestion: near.map { "did you mean \($0)?" } ?? "")
        return nil
    }

    /// The elements of a list; empty when not given.
    func list(_ key: String) -> [YAML] {
        guard let value = any(key) else { return [] }
        if case .list(let elements) = value.value { return elements }
        wrongType(key, "a list", value)
        return []
    }

    /// The cursor over each mapping of a list.
    func objects(_ key: String) -> [Fields] {
        list(key).enumerated().map { Fields($1, path: "\(name(key))[\($0)]", context: context) }
    }

    func strings(_ key: String) -> [Located<String>] {
        list(key).compactMap { element in
            if let text = text(of: element) { return Located(text, line: element.line) }
            wrongType(key + "[]", "a string", element)
            return nil
        }
    }

    func object(_ key: String) -> Fields? {
        any(key).map { Fields($0, path: name(key), context: context) }
    }

    /// A mapping of text to text, in the order written.
    func pairs(_ key: String) -> [Pair] {
        guard let value = any(key) else { return [] }
        guard case .map(let entries) = value.value else {
            wrongType(key, "a mapping", value)
            return []
        }
        return entries.compactMap { entry in
            if let text = text(of: entry.value) { return Pair(entry.key, text, line: entry.line) }
            if case .null = entry.value.value { return Pair(entry.key, "", line: entry.line) }
            wrongType("\(key).\(entry.key)", "a string", entry.value)
            return nil
        }
    }

    func labels(_ key: String) -> [String: String] {
        Dictionary(pairs(key).map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    /// Fields that exist but are not acted on and change nothing about routing.
    func accept(_ keys: String...) { asked += keys }

    /// Fields that exist upstream and would change something, but not here yet: a warning each.
    func unsupported(_ keys: String..., effect: String = "ignored") {
        asked += keys
        for key in keys where node[key] != nil {
            if case .null = node[key]!.value { continue }
            context.warn(line(of: key), Code.fieldNotSupported, "not supported yet: \(name(key)), \(effect)")
        }
    }

    /// Every key nobody asked for is unknown.
    func finish() {
        guard case .map(let entries) = node.value else { return }
        for entry in entries where !asked.contains(entry.key) {
            let near = nearest(to: entry.key, among: asked)
            let known = Set(asked).sorted()
            context.add(
                Finding(
                    .error, Code.unknownField, "unknown field \(name(entry.key))", file: context.file,
                    line: entry.line, resource: context.resource,
                    suggestion: near.map { "did you mean \($0)?" }
                        ?? (known.isEmpty
                            ? "nothing may stand here"
                            : "known here: \(known.prefix(12).joined(separator: ", "))"),
                    refused: true))
        }
    }
}

/// A value and the line it stands on.
struct Located<Value: Sendable>: Sendable {
    var value: Value
    var line: Int

    init(_ value: Value, line: Int) {
        self.value = value
        self.line = line
    }
}

/// One entry of a mapping of text to text.
struct Pair: Sendable {
    var name: String
    var value: String
    var line: Int

    init(_ name: String, _ value: String, line: Int) {
        self.name = name
        self.value = value
        self.line = line
    }
}
