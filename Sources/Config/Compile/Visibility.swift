// Which hosts a workload sees: the `Sidecar` that applies to it (istio-semantics.md 19).
internal import Base
internal import Lanes

struct Visibility {
    private struct Rule {
        var namespace: String
        var host: String
        var isExclusion: Bool
    }

    private var rules: [Rule]?
    /// Hosts that visible VirtualServices send to, which need no listing.
    private var destinations: Set<String> = []
    /// The Sidecar's outboundTrafficPolicy, where it has one.
    let registryOnly: Bool?

    init(_ documents: DocumentSet, _ registry: Registry, _ proxy: ProxyModel) {
        guard !proxy.isEdge, let sidecar = Self.choose(documents.sidecars, proxy) else {
            registryOnly = nil
            return
        }
        registryOnly = sidecar.registryOnly
        guard sidecar.hasEgress else { return }
        let rules = sidecar.egress.flatMap(\.hosts).compactMap { Self.rule($0.value, proxy.namespace) }
        self.rules = rules
        for document in documents.virtualServices where sees(document) {
            for destination in document.destinations { destinations.insert(destination.host) }
        }
    }

    private static func choose(_ sidecars: [SidecarDocument], _ proxy: ProxyModel) -> SidecarDocument? {
        let oldest = sidecars.oldestFirst()
        let own = oldest.filter { $0.meta.namespace == proxy.namespace }
        return own.first { $0.workloadSelector.map { !$0.isEmpty && proxy.labels.contains($0) } ?? false }
            ?? own.first { $0.workloadSelector == nil }
            ?? oldest.first { $0.meta.namespace == Names.rootNamespace && $0.workloadSelector == nil }
    }

    private static func rule(_ text: String, _ own: String) -> Rule? {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        var namespace = String(text[..<slash])
        let host = text[text.index(after: slash)...].lowercased()
        if namespace == "~" { return nil }
        let isExclusion = namespace.hasPrefix("~")
        if isExclusion { namespace.removeFirst() }
        return Rule(namespace: namespace == "." ? own : namespace, host: host, isExclusion: isExclusion)
    }

    private func lists(_ host: String, namespace: String, overlap: Bool) -> Bool {
        guard let rules else { return true }
        func applies(_ rule: Rule) -> Bool {
            guard rule.namespace == "*" || rule.namespace == namespace else { return false }
            return overlap ? Names.intersection(rule.host, host) != nil : Names.covers(rule.host, host)
        }
        if rules.contains(where: { $0.isExclusion && applies($0) }) { return false }
        return rules.contains { !$0.isExclusion && applies($0) }
    }

    func sees(_ service: Service) -> Bool {
        lists(service.host, namespace: service.namespace, overlap: false)
            || destinations.contains(service.host)
    }

    /// Any host that overlaps is enough.
    func sees(_ document: VirtualServiceDocument) -> Bool {
        if rules == nil { return true }
        return document.hosts.contains { host in
            let full = Names.resolve(host.value, namespace: document.meta.namespace)
            return lists(full, namespace: document.meta.namespace, overlap: true)
        }
    }
}
