// TLS to upstreams that will not be what its author thinks: certificates judged by nobody in particular
// (Istio's IST0128, IST0129), and modes that the other side's PeerAuthentication contradicts.

extension Analysis {
    mutating func checkUpstreamTLS() {
        for rule in destinationRules {
            guard let policy = rule.policy else { continue }
            if let tls = policy.settings.tls {
                checkAuthorities(tls, rule, Code.noAuthorities)
                checkPeers(tls, rule)
            }
            for (_, settings) in policy.ports.sorted(by: { $0.key < $1.key }) {
                if let tls = settings.tls { checkAuthorities(tls, rule, Code.noAuthoritiesOfPort) }
            }
        }
    }

    private mutating func checkAuthorities(
        _ tls: ClientTLSFields, _ rule: DestinationRuleDocument, _ code: String
    ) {
        guard tls.mode == .simple || tls.mode == .mutual, tls.authorities == nil else { return }
        if tls.credential != nil, rule.workloadSelector != nil { return }
        let what =
            tls.credential != nil
            ? "credentialName without a workloadSelector, which Istio's sidecars do not read"
            : tls.skipsVerification
                ? "no caCertificates, and insecureSkipVerify: \(rule.host) may be anybody"
                : "no caCertificates: any authority that the system trusts may vouch for \(rule.host)"
        note(
            .warning, code, what, rule.meta.ref, line: tls.ref.line,
            suggestion: tls.credential != nil
                ? "name the workloads that have the Secret, or give caCertificates"
                : "caCertificates: the file of the authority that signs its certificate")
    }

    /// Only what holds for a whole namespace is known for sure.
    private mutating func checkPeers(_ tls: ClientTLSFields, _ rule: DestinationRuleDocument) {
        guard tls.mode == .disable || tls.mode == .istioMutual, !rule.host.isEmpty else { return }
        let host = Names.resolve(rule.host, namespace: rule.meta.namespace)
        guard let index = registry.service(host, from: rule.meta.namespace),
            registry.services[index].isKubernetes
        else { return }
        let namespace = registry.services[index].namespace
        let all = documents.peerAuthentications.filter(\.isForAll)
        let peers =
            all.first { $0.meta.namespace == namespace }
            ?? all.first { $0.meta.namespace == Names.rootNamespace }
        guard let peers, peers.mode == (tls.mode == .disable ? "STRICT" : "DISABLE") else { return }
        note(
            .warning, Code.mutualTLSConflict,
            "mode \(tls.mode.rawValue), and \(peers.meta.resource) says \(peers.mode): \(host) and its"
                + " clients do not understand each other", rule.meta.ref, line: tls.ref.line,
            suggestion: tls.mode == .disable
                ? "mode ISTIO_MUTUAL, or PERMISSIVE at \(peers.meta.ref.file):\(peers.meta.ref.line)"
                : "mode DISABLE, or PERMISSIVE at \(peers.meta.ref.file):\(peers.meta.ref.line)")
    }
}
