// `Secret`: certificates and keys under the names that Istio knows. Values are base64 in `data`, plain in
// `stringData`; other kinds of Secrets are read for their existence alone.

struct SecretDocument: Document {
    var meta: Meta
    /// Decoded values with the lines of their keys.
    private(set) var values: [String: Located<[UInt8]>] = [:]

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        let fields = Fields(root, path: "", context: context)
        for pair in fields.pairs("data") {
            if let bytes = decodeBase64(pair.value) {
                values[pair.name] = Located(bytes, line: pair.line)
            } else {
                context.invalid(
                    pair.line, "data.\(pair.name) is not base64",
                    suggestion: "plain text goes under stringData")
            }
        }
        for pair in fields.pairs("stringData") {
            values[pair.name] = Located(Array(pair.value.utf8), line: pair.line)
        }
    }

    /// The first of these keys that has a value.
    func value(_ keys: String...) -> Located<[UInt8]>? {
        for key in keys { if let value = values[key], !value.value.isEmpty { return value } }
        return nil
    }
}
