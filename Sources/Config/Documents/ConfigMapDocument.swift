// `ConfigMap`: of interest for the certificate authorities that Gateway API objects name (`ca.crt`); and how
// those objects name them.

struct ConfigMapDocument: Document {
    var meta: Meta
    /// PEM under `ca.crt`, with its line; nil: there is none.
    private(set) var authorities: Located<[UInt8]>?

    init(_ root: YAML, meta: Meta) {
        self.meta = meta
        guard let value = root["data"]?["ca.crt"], case .scalar(let text, _) = value.value, !text.isEmpty
        else { return }
        authorities = Located(Array(text.utf8), line: value.line)
    }
}

/// One element of `caCertificateRefs`.
struct AuthorityReference: Sendable {
    enum Kind: Sendable {
        case configMap
        case secret
        case other(String)
    }

    var kind: Kind
    var namespace: String
    var name: String
    var line: Int

    static func readAll(_ owner: Fields, namespace own: String) -> [AuthorityReference] {
        owner.objects("caCertificateRefs").map { fields in
            let group = fields.string("group") ?? ""
            let word = fields.string("kind") ?? ""
            let kind: Kind =
                switch (group, word) {
                case ("", "ConfigMap"): .configMap
                case ("", "Secret"): .secret
                default: .other(group.isEmpty ? word : "\(word) of \(group)")
                }
            let reference = AuthorityReference(
                kind: kind, namespace: fields.string("namespace") ?? own, name: fields.string("name") ?? "",
                line: fields.line)
            if word.isEmpty { fields.context.invalid(fields.line, "\(fields.path).kind is missing") }
            if reference.name.isEmpty {
                fields.context.invalid(fields.line, "\(fields.path).name is missing")
            }
            fields.finish()
            return reference
        }
    }
}
