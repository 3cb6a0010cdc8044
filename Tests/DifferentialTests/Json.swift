// JSON as both programs read it: Envoy's configuration is JSON, and a document in JSON is a document in YAML.

indirect enum Json: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([Json])
    case object([(String, Json)])

    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .flag(value) }
    init(arrayLiteral elements: Json...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, Json)...) { self = .object(elements) }

    /// An object of those members that are there.
    static func members(_ pairs: [(String, Json?)]) -> Json {
        .object(pairs.compactMap { name, value in value.map { (name, $0) } })
    }

    /// Nil where there is nothing to say.
    static func texts(_ values: [String]) -> Json? { values.isEmpty ? nil : .list(values.map(Json.text)) }

    static func texts(_ values: [String: String]) -> Json? {
        let sorted = values.sorted { $0.key < $1.key }
        return values.isEmpty ? nil : .object(sorted.map { ($0.key, .text($0.value)) })
    }

    /// With more members.
    func with(_ pairs: [(String, Json?)]) -> Json {
        guard case .object(let own) = self, case .object(let more) = Json.members(pairs) else { return self }
        return .object(own + more)
    }

    /// With a host's name for `$HOST` in every text.
    func named(_ name: String) -> Json {
        switch self {
        case .text(let value): .text(naming(value, name))
        case .number, .flag: self
        case .list(let values): .list(values.map { $0.named(name) })
        case .object(let pairs): .object(pairs.map { ($0.0, $0.1.named(name)) })
        }
    }

    var encoded: String {
        switch self {
        case .text(let value): Self.quoted(value)
        case .number(let value): "\(value)"
        case .flag(let value): "\(value)"
        case .list(let values): "[" + values.map(\.encoded).joined(separator: ", ") + "]"
        case .object(let pairs):
            "{" + pairs.map { "\(Self.quoted($0.0)): \($0.1.encoded)" }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
