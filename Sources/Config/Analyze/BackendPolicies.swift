// BackendTLSPolicies that do nothing or let nobody in, and authorities of Gateway API objects that are not
// there (istio-semantics.md 21.7).
internal import Lanes

extension Analysis {
    mutating func checkBackendPolicies() {
        var owners: [String: SourceRef] = [:]
        for policy in documents.backendPolicies.inOrder() {
            for target in policy.targets { check(target, of: policy, &owners) }
            check(policy.authorities, of: policy.meta, without: "requests to its Services get 503")
        }
    }

    private mutating func check(
        _ target: BackendTLSPolicyDocument.Target, of policy: BackendTLSPolicyDocument,
        _ owners: inout [String: SourceRef]
    ) {
        let host = policy.host(of: target)
        let key = "\(host) \(target.port ?? "")"
        if let owner = owners[key] {
            note(
                .warning, Code.routeConflict,
                "\(owner.document) is older and decides about \(target.service) alone", policy.meta.ref,
                line: target.line, suggestion: "it is at \(owner.file):\(owner.line)")
        }
        owners[key] = owners[key] ?? policy.meta.ref
        guard let index = registry.service(host, from: policy.meta.namespace) else {
            note(
                .error, Code.referenceNotFound, "the service \(host) does not exist", policy.meta.ref,
                line: target.line,
                suggestion: hint(target.service, policy.meta.namespace).map { "did you mean \($0)?" }
                    ?? "a policy stands in the namespace of its Service")
            return
        }
        let ports = registry.services[index].ports
        guard let name = target.port, !ports.contains(where: { $0.name == name }) else { return }
        note(
            .error, Code.referenceNotFound, "\(host) has no port with the name \(name)", policy.meta.ref,
            line: target.line,
            suggestion: nearest(to: name, among: ports.map(\.name)).map { "did you mean \($0)?" }
                ?? "sectionName is the port's name, not its number")
    }

    private func hint(_ service: String, _ own: String) -> String? {
        let near = registry.nearest(to: ObjectName(own, service))
        return near.flatMap { $0.namespace == own ? $0.name : nil }
    }

    /// `without`: what becomes of it if none of them can be used.
    mutating func check(_ references: [AuthorityReference], of meta: Meta, without: String) {
        let usable = references.filter { mayUse($0, meta) && documents.authority($0) != nil }
        let then = usable.isEmpty ? ": \(without)" : ""
        for reference in references {
            let name = "\(reference.namespace)/\(reference.name)"
            switch reference.kind {
            case .other(let other):
                note(
                    .error, Code.backendKind, "authorities of kind \(other) are not known\(then)", meta.ref,
                    line: reference.line, suggestion: "kind ConfigMap of the core group")
            case .configMap, .secret:
                guard mayUse(reference, meta) else {
                    noteNoGrant(meta.kindName, meta, reference.kindName, name, reference.line)
                    continue
                }
                guard documents.authority(reference) == nil else { continue }
                note(
                    .error, Code.referenceNotFound,
                    "there is no \(reference.kindName) \(name) with ca.crt\(then)", meta.ref,
                    line: reference.line, suggestion: "certificates in PEM form under data.ca.crt")
            }
        }
    }

    private func mayUse(_ reference: AuthorityReference, _ meta: Meta) -> Bool {
        registry.attachments.mayRefer(
            from: meta.kindName, meta.namespace, to: reference.kindName, reference.name,
            in: reference.namespace)
    }
}

extension AuthorityReference {
    fileprivate var kindName: String {
        switch kind {
        case .configMap: "ConfigMap"
        case .secret: "Secret"
        case .other(let name): name
        }
    }
}

extension Meta {
    /// `Gateway` of `Gateway.gateway.networking.k8s.io`.
    var kindName: String { String(kind.prefix { $0 != "." }) }
}
