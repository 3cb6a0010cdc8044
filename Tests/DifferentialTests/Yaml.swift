// Documents of the hand-written cases are YAML, as people write them. Reading YAML is not what is compared,
// so the product's own reader serves.
import TestSupport

@testable import Config

/// The documents of a YAML text.
func documents(yaml text: String) throws -> [Json] {
    try splitDocuments(Array(text.utf8)).compactMap { chunk in try parseYAML(chunk).map(Json.init) }
}

extension Json {
    fileprivate init(_ yaml: YAML) {
        switch yaml.value {
        case .null: self = .object([])
        case .scalar(let text, plain: true):
            if let number = Int(text) {
                self = .number(number)
            } else if let flag = yamlBool(text) {
                self = .flag(flag)
            } else {
                self = .text(text)
            }
        case .scalar(let text, plain: false): self = .text(text)
        case .list(let items): self = .list(items.map(Json.init))
        case .map(let entries):
            self = .object(entries.map { Member(name: $0.key, value: Json($0.value)) })
        }
    }
}
