// A YAML document as a plain tree that keeps line numbers, and how its plain scalars are typed.
// `YAMLReading.swift` makes it.

/// One node of a document.
struct YAML: Sendable {
    /// In the file, from 1.
    var line: Int
    var value: Value

    enum Value: Sendable {
        case null
        /// `plain`: unquoted, so `8080` and `true` are a number and a truth value.
        case scalar(String, plain: Bool)
        case list([YAML])
        case map([Entry])
    }

    struct Entry: Sendable {
        var key: String
        var line: Int
        var value: YAML
    }

    /// The value of a key; nil for other nodes and for missing keys.
    subscript(key: String) -> YAML? {
        guard case .map(let entries) = value else { return nil }
        for entry in entries where entry.key == key { return entry.value }
        return nil
    }

    /// What a person calls this kind of node.
    var kindName: String {
        switch value {
        case .null: "null"
        case .list: "a list"
        case .map: "a mapping"
        case .scalar(_, plain: false): "a string"
        case .scalar(let text, plain: true):
            if parseInteger(text) != nil {
                "an integer"
            } else if yamlBool(text) != nil {
                "a boolean"
            } else if isYAMLFloat(text) {
                "a number"
            } else {
                "a string"
            }
        }
    }
}

/// `true`, `false` and the older words that Kubernetes' own reader takes for them.
func yamlBool(_ text: String) -> Bool? {
    switch text {
    case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": true
    case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": false
    default: nil
    }
}

func isYAMLFloat(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == 0x2D || first == 0x2B || first == 0x2E || isDigit(first)
    else { return false }
    return text.utf8.contains(where: isDigit) && Double(text) != nil
}

func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

/// Decimal digits with an optional sign; nil for anything else or what does not fit.
func parseInteger(_ text: String) -> Int? {
    var digits = text.utf8[...]
    if digits.first == 0x2D || digits.first == 0x2B { digits = digits.dropFirst() }
    guard !digits.isEmpty, digits.count <= 19, digits.allSatisfy(isDigit) else { return nil }
    return Int(text)
}
