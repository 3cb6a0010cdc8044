// The little of YAML reading that the conformance runner needs: documents of a file with their text, and nodes
// as plain values.
import TestSupport

@testable import Config

/// One document of a manifest.
struct Manifest {
    var text: String
    var node: YAML

    var kind: String { node["kind"]?.text ?? "" }
    var name: String { node["metadata"]?["name"]?.text ?? "" }
    var namespace: String { node["metadata"]?["namespace"]?.text ?? "default" }

    static func read(_ path: String) throws -> [Manifest] {
        let text = try readText(path)
        return try splitDocuments(text).compactMap { chunk in
            try parseYAML(chunk).map { Manifest(text: String(chunk.text), node: $0) }
        }
    }
}

func readText(_ path: String) throws -> String {
    String(decoding: try readBounded(path, limit: 1 << 24).get(), as: UTF8.self)
}

extension YAML {
    /// Of a scalar.
    var text: String? {
        if case .scalar(let text, _) = value { text } else { nil }
    }

    var elements: [YAML] {
        if case .list(let elements) = value { elements } else { [] }
    }

    var entries: [(key: String, value: YAML)] {
        guard case .map(let entries) = value else { return [] }
        return entries.map { ($0.key, $0.value) }
    }

    var strings: [String] { elements.compactMap(\.text) }
}
