// The little of YAML reading that the conformance runner needs: documents of a file with their text, and
// nodes as plain values.
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
        let bytes = try readBounded(path, limit: 1 << 24).get()
        return try splitDocuments(bytes).compactMap { chunk in
            let text = String(decoding: chunk.bytes, as: UTF8.self)
            return try parseYAML(chunk).map { Manifest(text: text, node: $0) }
        }
    }
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
