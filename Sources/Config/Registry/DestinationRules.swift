// Which DestinationRule a client sees for a service, and what its subsets and policies come to
// (istio-semantics.md 2.4 and 12).
internal import Lanes

/// The rules of one namespace for one host, merged.
struct EffectiveRule: Sendable {
    var exportTo: [String]
    var namespace: String
    /// Nil: for all workloads.
    var workloadSelector: [String: String]?
    var policy: TrafficPolicy?
    var subsets: [DestinationRuleDocument.Subset]
    private var subsetByName: [String: Int] = [:]

    init(_ document: DestinationRuleDocument) {
        exportTo = document.exportTo.sorted()
        namespace = document.meta.namespace
        workloadSelector = document.workloadSelector
        policy = document.policy
        subsets = []
        add(document.subsets)
    }

    /// Adds a younger rule for the same host: its subsets that are new, its policy if there is none yet.
    mutating func merge(_ younger: DestinationRuleDocument) {
        if policy == nil { policy = younger.policy }
        add(younger.subsets)
    }

    private mutating func add(_ more: [DestinationRuleDocument.Subset]) {
        for subset in more where subsetByName[subset.name] == nil {
            subsetByName[subset.name] = subsets.count
            subsets.append(subset)
        }
    }

    func subset(_ name: String) -> DestinationRuleDocument.Subset? { subsetByName[name].map { subsets[$0] } }

    /// Version of the PROXY header for a subset (or the whole service); 0: none.
    func proxyHeaderVersion(subset: DestinationRuleDocument.Subset?) -> UInt8 {
        subset?.policy?.proxyHeaderVersion ?? policy?.proxyHeaderVersion ?? 0
    }

    /// The settings of one port of a subset (or of the whole service).
    func settings(subset: DestinationRuleDocument.Subset?, port: UInt16) -> TrafficPolicy.Settings {
        let top = policy?.ports[port] ?? policy?.settings ?? TrafficPolicy.Settings()
        guard let own = subset?.policy else { return top }
        if let whole = own.ports[port] { return whole }
        return TrafficPolicy.Settings(
            loadBalancing: own.settings.loadBalancing ?? top.loadBalancing,
            connectTimeoutMs: own.settings.connectTimeoutMs ?? top.connectTimeoutMs,
            idleTimeoutMs: own.settings.hasPool ? own.settings.idleTimeoutMs : top.idleTimeoutMs,
            tls: own.settings.tls ?? top.tls,
            http: own.settings.hasPool ? own.settings.http : top.http, hasPool: true)
    }
}

struct DestinationRules {
    /// By namespace, then host: one entry for each exportTo and workload selector, oldest first.
    private var byNamespace: [String: HostIndex<[EffectiveRule]>] = [:]

    init(_ documents: [DestinationRuleDocument]) {
        for document in documents.oldestFirst() where !document.host.isEmpty {
            let namespace = document.meta.namespace
            let host = Names.resolve(document.host, namespace: namespace)
            var rules = byNamespace[namespace]?[host] ?? []
            let exportTo = document.exportTo.sorted()
            if let index = rules.firstIndex(where: {
                $0.exportTo == exportTo && $0.workloadSelector == document.workloadSelector
            }) {
                rules[index].merge(document)
            } else {
                rules.append(EffectiveRule(document))
            }
            byNamespace[namespace, default: HostIndex()][host] = rules
        }
    }

    /// The rule for a service as this client sees it: own namespace, then the service's, then the root's. The
    /// first with any rule for it decides, also where its selectors leave none for this workload.
    func rule(host: String, serviceNamespace: String, proxy: ProxyModel) -> EffectiveRule? {
        let client = proxy.namespace
        func isPrivate(_ rule: EffectiveRule) -> Bool {
            rule.workloadSelector != nil || rule.exportTo == ["."] || rule.exportTo == [rule.namespace]
        }
        let own = rules(of: host, in: client) { rule in
            if client == Names.rootNamespace { return isPrivate(rule) }
            return rule.workloadSelector != nil || rule.exportTo.isEmpty
                || rule.exportTo.contains { ["*", ".", client].contains($0) }
        }
        if !own.isEmpty { return choose(own, proxy) }
        for namespace in [serviceNamespace, Names.rootNamespace] {
            let exported = rules(of: host, in: namespace) { !isPrivate($0) }.filter { rule in
                rule.exportTo.isEmpty || rule.exportTo.contains { ["*", client].contains($0) }
            }
            if !exported.isEmpty { return choose(exported, proxy) }
        }
        return nil
    }

    /// Of rules for one host that are kept apart by exportTo and selector: one for these labels before those
    /// for all, of which the youngest counts, as in Istio.
    private func choose(_ rules: [EffectiveRule], _ proxy: ProxyModel) -> EffectiveRule? {
        rules.first { $0.workloadSelector.map { proxy.labels.contains($0) } ?? false }
            ?? rules.last { $0.workloadSelector == nil }
    }

    /// The rules of a namespace for the most specific host that has one which belongs.
    private func rules(
        of host: String, in namespace: String, where belongs: (EffectiveRule) -> Bool
    ) -> [EffectiveRule] {
        for (_, rules) in byNamespace[namespace]?.covering(host) ?? [] {
            let seen = rules.filter(belongs)
            if !seen.isEmpty { return seen }
        }
        return []
    }

    /// A namespace whose rule defines a subset of this host, though not for the clients that ask.
    func namespaceDefining(subset: String, of host: String) -> String? {
        byNamespace.keys.sorted().first { namespace in
            byNamespace[namespace]!.mostSpecific(host)?.contains { $0.subset(subset) != nil } ?? false
        }
    }
}
