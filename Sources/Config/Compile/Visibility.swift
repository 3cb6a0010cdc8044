// Which hosts a workload sees: the `Sidecar` that applies to it (istio-semantics.md 19), and which
// VirtualServices are exported to it.
internal import Lanes

struct Visibility {
    private struct Rule {
        var namespace: String
        var host: String
        var isExclusion: Bool
    }

    /// Rules by port; a port that is not here goes by `others`. Nil: there is no Sidecar, all is seen.
    private var rulesByPort: [UInt16: [Rule]]?
    /// Nil: no element is for all other ports, which hides them.
    private var others: [Rule]?
    /// The Sidecar that applies; nil: none does.
    let sidecar: SidecarDocument?

    init(_ documents: DocumentSet, _ proxy: ProxyModel) {
        sidecar = proxy.isEdge ? nil : Self.choose(documents.sidecars, proxy)
        guard let sidecar, sidecar.hasEgress else { return }
        var byPort: [UInt16: [Rule]] = [:]
        for element in sidecar.egress {
            let rules = element.hosts.compactMap { Self.rule($0.value, proxy.namespace) }
            if let port = element.port {
                byPort[port, default: []] += rules
            } else {
                others = rules
            }
        }
        rulesByPort = byPort
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

    private static func lists(
        _ rules: [Rule], _ host: String, namespace: String, overlap: Bool
    ) -> Bool {
        let own = rules.filter { $0.namespace == "*" || $0.namespace == namespace }
        if own.contains(where: { $0.isExclusion && Names.covers($0.host, host) }) { return false }
        return own.contains { rule in
            guard !rule.isExclusion else { return false }
            return overlap ? Names.intersection(rule.host, host) != nil : Names.covers(rule.host, host)
        }
    }

    /// Whether a port that a service has may be called by the service's own names. Where visible
    /// VirtualServices send to needs no listing, but is not to be called so for that.
    func sees(_ service: Service, port: UInt16) -> Bool {
        imports(service, egress: egress(of: port))
    }

    /// The Sidecar's egress listeners: 0 is the one for all ports that have none of their own.
    var egressPorts: [UInt16] { [0] + (rulesByPort?.keys.sorted() ?? []) }

    /// The egress listener by which connections to a port go.
    func egress(of port: UInt16) -> UInt16 { rulesByPort?[port] == nil ? 0 : port }

    /// Whether an egress listener knows a service: one of a port, only services that have the port.
    func imports(_ service: Service, egress: UInt16) -> Bool {
        guard let rulesByPort else { return true }
        if egress != 0, service.port(egress) == nil { return false }
        guard let rules = egress == 0 ? others : rulesByPort[egress] else { return false }
        return Self.lists(rules, service.host, namespace: service.namespace, overlap: false)
    }

    /// Any host that overlaps is enough. `port` nil: on some port.
    func sees(_ document: VirtualServiceDocument, port: UInt16? = nil) -> Bool {
        guard let rulesByPort else { return true }
        let some =
            port.map { [rulesByPort[$0] ?? others ?? []] } ?? Array(rulesByPort.values) + [others ?? []]
        return document.fullHosts.contains { host in
            some.contains { Self.lists($0, host, namespace: document.meta.namespace, overlap: true) }
        }
    }
}

extension [VirtualServiceDocument] {
    /// Those exported to a namespace, in the order in which Istio counts them: private to the namespace,
    /// exported to it by name, seen by all; each oldest first.
    func visible(from client: String) -> [VirtualServiceDocument] {
        let seen = oldestFirst().filter {
            Names.isExported($0.exportTo, own: $0.meta.namespace, to: client)
        }
        func rank(_ document: VirtualServiceDocument) -> Int {
            if document.exportTo.isEmpty || document.exportTo.contains("*") { return 2 }
            return document.meta.namespace == client ? 0 : 1
        }
        return (0...2).flatMap { wanted in seen.filter { rank($0) == wanted } }
    }
}
