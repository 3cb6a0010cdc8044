// JSON as both programs read it: Envoy's configuration is JSON, and a document in JSON is a document in YAML.

indirect enum Json: Equatable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([Json])
    case object([Member])

    struct Member: Equatable, Sendable {
        var name: String
        var value: Json
    }

    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .flag(value) }
    init(arrayLiteral elements: Json...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, Json)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }

    /// An object of those members that are there.
    static func members(_ pairs: [(String, Json?)]) -> Json {
        .object(pairs.compactMap { name, value in value.map { Member(name: name, value: $0) } })
    }

    /// Nil where there is nothing to say.
    static func texts(_ values: [String]) -> Json? { values.isEmpty ? nil : .list(values.map(Json.text)) }

    static func texts(_ values: [String: String]) -> Json? {
        let sorted = values.sorted { $0.key < $1.key }
        return values.isEmpty ? nil : .members(sorted.map { ($0.key, .text($0.value)) })
    }

    // MARK: reading

    subscript(name: String) -> Json? { members.first { $0.name == name }?.value }

    var members: [Member] {
        if case .object(let members) = self { members } else { [] }
    }

    var items: [Json] {
        if case .list(let items) = self { items } else { [] }
    }

    /// Of a text, and of a number or truth value as it would be written.
    var string: String? {
        switch self {
        case .text(let value): value
        case .number(let value): "\(value)"
        case .flag(let value): "\(value)"
        case .list, .object: nil
        }
    }

    var int: Int? {
        if case .number(let value) = self { value } else { nil }
    }

    var isTrue: Bool { self == .flag(true) }

    /// The items of a list member, none where it is missing.
    func items(_ name: String) -> [Json] { self[name]?.items ?? [] }
    func strings(_ name: String) -> [String] { items(name).compactMap(\.string) }
    func string(_ name: String) -> String { self[name]?.string ?? "" }

    /// The members of an object member with text values, by name.
    func texts(_ name: String) -> [String: String] {
        Dictionary(
            (self[name]?.members ?? []).map { ($0.name, $0.value.string ?? "") },
            uniquingKeysWith: { first, _ in first })
    }

    // MARK: changing

    /// With more members.
    func with(_ pairs: [(String, Json?)]) -> Json { .object(members + Json.members(pairs).members) }

    /// With another value for a member that is there or not.
    func setting(_ name: String, _ value: Json?) -> Json {
        .object(members.filter { $0.name != name } + (value.map { [Member(name: name, value: $0)] } ?? []))
    }

    /// With every text changed.
    func mapTexts(_ change: (String) -> Json) -> Json {
        switch self {
        case .text(let value): change(value)
        case .number, .flag: self
        case .list(let values): .list(values.map { $0.mapTexts(change) })
        case .object(let members):
            .object(members.map { Member(name: $0.name, value: $0.value.mapTexts(change)) })
        }
    }

    /// Members and elements as they stand.
    private var parts: [Json] {
        if case .object(let members) = self { members.map(\.value) } else { items }
    }

    /// Where each member and element is, however deep: for each level a place among those of the one around
    /// it. What is around others comes before them.
    var places: [[Int]] {
        let parts = parts
        return parts.indices.map { [$0] }
            + parts.indices.flatMap { index in parts[index].places.map { [index] + $0 } }
    }

    /// Whether it, or anything in it however deep, is so.
    func hasMember(_ isSo: (Json) -> Bool) -> Bool { isSo(self) || parts.contains { $0.hasMember(isSo) } }

    /// Without what is at a place.
    func removing(_ place: some Collection<Int>) -> Json {
        guard let first = place.first, parts.indices.contains(first) else { return self }
        let inner = place.count == 1 ? nil : parts[first].removing(place.dropFirst())
        switch self {
        case .text, .number, .flag: return self
        case .list(var items):
            if let inner { items[first] = inner } else { items.remove(at: first) }
            return .list(items)
        case .object(var members):
            if let inner { members[first].value = inner } else { members.remove(at: first) }
            return .object(members)
        }
    }

    // MARK: writing

    var encoded: String {
        switch self {
        case .text(let value): Self.quoted(value)
        case .number(let value): "\(value)"
        case .flag(let value): "\(value)"
        case .list(let values): "[" + values.map(\.encoded).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\(Self.quoted($0.name)): \($0.value.encoded)" }.joined(separator: ", ") + "}"
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
