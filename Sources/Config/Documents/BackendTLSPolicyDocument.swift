// BackendTLSPolicy of the Gateway API (istio-semantics.md 21.7): that connections to a Service are TLS, for
// which name, and by whose authorities its certificate is judged.
internal import Lanes

struct BackendTLSPolicyDocument: Document {
    /// A Service of the policy's namespace.
    struct Target: Sendable {
        var service: String
        /// Name of the one port that is meant; nil: all.
        var port: String?
        var line: Int
    }

    var meta: Meta
    var targets: [Target] = []
    var authorities: [AuthorityReference] = []
    /// `wellKnownCACertificates: System`.
    var usesSystemRoots = false
    /// Server name, and what the certificate must be for unless `names` say it.
    var hostname = ""
    /// `subjectAltNames`: one of them must be in the certificate.
    var names: [String] = []
    var hostnameLine = 0
    /// Its author takes it out of effect, by Istio's annotation.
    var isIgnored: Bool { meta.annotations["istio.io/ignore-policy-attachment"] == "true" }

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        targets = spec.objects("targetRefs").compactMap(Self.readTarget)
        if !spec.has("targetRefs") { context.invalid(spec.line, "spec.targetRefs is missing") }
        checkTogether(context)
        spec.accept("options")
        if let validation = spec.object("validation") {
            readValidation(validation)
        } else {
            context.invalid(spec.line, "spec.validation is missing")
        }
        spec.finish()
    }

    private static func readTarget(_ fields: Fields) -> Target? {
        let group = fields.string("group") ?? ""
        let kind = fields.string("kind") ?? ""
        let target = Target(
            service: fields.string("name") ?? "",
            port: fields.string("sectionName").flatMap { $0.isEmpty ? nil : $0 }, line: fields.line)
        fields.finish()
        if target.service.isEmpty { fields.context.invalid(fields.line, "\(fields.path).name is missing") }
        if group.isEmpty, kind == "Service" { return target }
        if kind.isEmpty {
            fields.context.invalid(fields.line, "\(fields.path).kind is missing")
        } else {
            fields.context.warn(
                fields.line, Code.backendKind,
                "not supported: a BackendTLSPolicy for \(group.isEmpty ? kind : "\(kind) of \(group)")",
                suggestion: "kind Service of the core group")
        }
        return nil
    }

    /// Several references to one Service must name different ports.
    private func checkTogether(_ context: DocumentContext) {
        var seen: Set<String> = []
        for target in targets {
            let isNew = seen.insert("\(target.service) \(target.port ?? "")").inserted
            let isMixed = targets.contains {
                $0.service == target.service && ($0.port == nil) != (target.port == nil)
            }
            if !isNew || isMixed {
                context.invalid(
                    target.line, "spec.targetRefs names \(target.service) twice",
                    suggestion: "each with the sectionName of another port")
            }
        }
    }

    private mutating func readValidation(_ fields: Fields) {
        let context = fields.context
        authorities = AuthorityReference.readAll(fields, namespace: meta.namespace)
        usesSystemRoots = fields.word("wellKnownCACertificates", of: ["System"]) != nil
        if authorities.isEmpty, !fields.has("caCertificateRefs"), !fields.has("wellKnownCACertificates") {
            context.invalid(
                fields.line, "\(fields.path) names no authority",
                suggestion: "caCertificateRefs, or wellKnownCACertificates: System")
        } else if !authorities.isEmpty, usesSystemRoots {
            context.invalid(
                fields.line(of: "wellKnownCACertificates"),
                "\(fields.path): caCertificateRefs and wellKnownCACertificates exclude each other")
        }
        hostnameLine = fields.line(of: "hostname")
        hostname = fields.string("hostname") ?? ""
        if hostname.isEmpty {
            context.invalid(fields.line, "\(fields.path).hostname is missing")
        } else {
            checkHostname(
                Located(hostname, line: hostnameLine), "\(fields.path).hostname", context, wildcard: false)
        }
        names = fields.objects("subjectAltNames").compactMap(Self.readName)
        fields.finish()
    }

    private static func readName(_ fields: Fields) -> String? {
        let type = fields.word("type", of: ["Hostname", "URI"])
        let hostname = fields.string("hostname") ?? ""
        let uri = fields.string("uri") ?? ""
        defer { fields.finish() }
        switch (type, hostname.isEmpty, uri.isEmpty) {
        case ("Hostname"?, false, true):
            checkHostname(
                Located(hostname, line: fields.line(of: "hostname")), "\(fields.path).hostname",
                fields.context, wildcard: true)
            return hostname
        case ("URI"?, true, false): return uri
        default:
            fields.context.invalid(
                fields.line,
                "\(fields.path): type Hostname goes with hostname alone, URI with uri")
            return nil
        }
    }
}
