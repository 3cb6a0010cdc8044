// TLS that the Gateway API asks for: BackendTLSPolicy on an edge's connections to Services, and the
// authorities that listeners and policies judge certificates by (istio-semantics.md 21.7).
internal import Lanes
internal import TLS

extension Compiler {
    /// Policies by the host of the Service that they name, those that count first in front.
    func indexBackendPolicies() -> [String: [BackendTLSPolicyDocument]] {
        var policies: [String: [BackendTLSPolicyDocument]] = [:]
        for policy in documents.backendPolicies.inOrder() {
            for host in Set(policy.targets.map { policy.host(of: $0) }) {
                policies[host, default: []].append(policy)
            }
        }
        return policies
    }

    /// How an edge's connections to a Service's port are encrypted by the BackendTLSPolicy that names it;
    /// nil: there is none. One for the port counts more than one for the Service, then the older one.
    func backendTLS(_ service: Service, _ port: ServicePort) -> ClusterTLSModel? {
        guard proxy.model.isEdge, let policies = backendPolicies[service.host] else { return nil }
        func first(_ name: String?) -> BackendTLSPolicyDocument? {
            policies.first { policy in
                policy.targets.contains { policy.host(of: $0) == service.host && $0.port == name }
            }
        }
        guard let policy = first(port.name) ?? first(nil) else { return nil }
        if let known = backendContexts[policy.meta.resource] { return known }
        let made = backendTLS(policy)
        backendContexts[policy.meta.resource] = made
        return made
    }

    /// Never plain text: without authorities that can be read no connection is made.
    private func backendTLS(_ policy: BackendTLSPolicyDocument) -> ClusterTLSModel {
        var ref = policy.meta.ref
        ref.line = policy.hostnameLine
        let mode = policy.meta.resource
        let bundle = policy.usesSystemRoots ? nil : authorities(policy.authorities)
        if policy.usesSystemRoots || bundle != nil {
            var settings = TLSClientContext.Settings()
            settings.peer.names = policy.names
            var material = gatewayIdentity()
            if let bundle {
                material.authorities = bundle.bytes
                material.authoritiesRef = bundle.ref
            }
            if let made = clusterTLS(
                settings, material, mode: mode, serverName: policy.hostname, ref, isFatal: false)
            {
                return made
            }
        }
        return ClusterTLSModel(
            mode: mode, context: nil, serverName: policy.hostname, key: 1,
            problem: "no certificate authority of \(mode) can be used")
    }

    /// What these ConfigMaps and Secrets hold together; nil: nothing. `mayUse`: of objects elsewhere.
    func authorities(
        _ references: [AuthorityReference], mayUse: (AuthorityReference) -> Bool = { _ in true }
    ) -> AuthorityBundle? {
        var bundle: AuthorityBundle?
        for reference in references where mayUse(reference) {
            guard let (bytes, ref) = documents.authority(reference) else { continue }
            bundle = bundle ?? AuthorityBundle(bytes: [], ref: ref)
            bundle?.bytes += bytes + [0x0A]
        }
        return bundle
    }

    /// The certificate that Gateways show to backends (`spec.tls.backend.clientCertificateRef`). Connections
    /// are all Gateways' of the edge, so the oldest Gateway that names one decides.
    private func gatewayIdentity() -> Material {
        var material = Material()
        var shown: String?
        for gateway in registry.attachments.gateways where serves(gateway) {
            guard let reference = gateway.clientCertificate, let namespace = reference.namespace,
                registry.attachments.mayRefer(
                    from: gateway.meta.kindName, gateway.meta.namespace, to: "Secret", reference.name,
                    in: namespace)
            else { continue }
            var ref = gateway.meta.ref
            ref.line = reference.line
            let name = "\(namespace)/\(reference.name)"
            if let shown, shown != name {
                note(
                    .warning, Code.fieldNotSupported,
                    "not supported: another client certificate than the older Gateway's, \(shown)", ref,
                    suggestion: "Gateways with certificates of their own need edges of their own")
            }
            guard shown == nil else { continue }
            shown = name
            if let secret = secret("kubernetes-gateway://\(name)", ref) {
                _ = add(secret, to: &material, ref)
            }
        }
        return material
    }
}

extension DocumentSet {
    /// The PEM text behind a reference; nil: there is none.
    func authority(_ reference: AuthorityReference) -> (bytes: [UInt8], ref: SourceRef)? {
        func isNamed(_ meta: Meta) -> Bool {
            meta.name == reference.name && meta.namespace == reference.namespace
        }
        switch reference.kind {
        case .configMap:
            guard let map = configMaps.first(where: { isNamed($0.meta) }), let value = map.authorities else {
                return nil
            }
            var ref = map.meta.ref
            ref.line = value.line
            return (value.value, ref)
        case .secret:
            guard let secret = secrets.first(where: { isNamed($0.meta) }),
                let value = secret.value("ca.crt", "cacert")
            else { return nil }
            var ref = secret.meta.ref
            ref.line = value.line
            return (value.value, ref)
        case .other: return nil
        }
    }
}

extension BackendTLSPolicyDocument {
    func host(of target: Target) -> String {
        "\(target.service).\(meta.namespace).svc.\(Names.clusterDomain)".lowercased()
    }
}

extension Array where Element: Document {
    /// As the Gateway API orders its objects: oldest first, then by `namespace/name`.
    func inOrder() -> [Element] { sorted { RouteAttachments.comesFirst($0.meta, $1.meta) } }
}
