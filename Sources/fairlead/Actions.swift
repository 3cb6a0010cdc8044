// What the admin port can see and do of a running proxy: joins Admin's questions to the control side.
internal import Admin
internal import Base
internal import Config
internal import Lanes
internal import Proxy
internal import Telemetry

enum Actions {
    static func make(_ control: Control) -> AdminActions {
        let fleet = control.fleet
        let names = names(control.registry)
        var actions = AdminActions(
            isReady: { control.snapshot != nil && !control.isDraining },
            isDraining: { control.isDraining },
            model: { fleet.discovery.model },
            metrics: {
                var page = MetricsPage(
                    meters: fleet.memories, names: names, own: own(control), control: control.meter,
                    accessLog: fleet.accessLog, version: Version.fairlead)
                page.extra = { nameFamilies(fleet.discovery) }
                return page.render()
            },
            reload: {
                // The workers that would route by it are about to end.
                if control.isDraining { return .invalid("draining: nothing is loaded any more") }
                let result = control.reload()
                let body = Array(renderCheck(result.findings, json: true).utf8)
                return result.ok ? .done(body) : .refused(body)
            },
            drain: { control.drain(ends: false) },
            explain: { query in
                guard let (snapshot, resolved) = fleet.discovery.inForce else {
                    return .invalid("no configuration yet")
                }
                let fields = query.headers.map { ($0.name, $0.value) }
                let explanation = Lanes.explain(
                    snapshot, method: query.method, url: query.url, headers: fields, resolved: resolved)
                return .done(query.asText ? Array(explanation.text().utf8) : explanation.json())
            })
        actions.laneReceipts = { laneReceipts(fleet.memories, names) }
        actions.nameState = { fleet.discovery.resolver.state($0) }
        actions.connections = { ConnectionStats(fleet.memories) }
        return actions
    }

    /// What the resolver does.
    private static func nameFamilies(_ discovery: Discovery) -> [ExtraFamily] {
        let stats = discovery.resolver.stats
        let questions = [
            ("resolved", stats.resolved), ("absent", stats.absent), ("failed", stats.failed),
            ("timeout", stats.timeouts),
        ]
        return [
            ExtraFamily(
                "fairlead_dns_questions_total", help: "Names looked up by what became of it.",
                type: .counter,
                samples: questions.map { (labels: [("result", $0.0)], value: Double($0.1)) }),
            ExtraFamily(
                "fairlead_dns_names", help: "Names whose addresses are kept fresh.", type: .gauge,
                samples: [(labels: [], value: Double(stats.watched))]),
            ExtraFamily(
                "fairlead_dns_endpoint_changes_total",
                help: "How often a cluster's endpoints changed with the addresses of its names.",
                type: .counter, samples: [(labels: [], value: Double(discovery.changes))]),
        ]
    }

    private static func own(_ control: Control) -> WorkloadLabels {
        guard let proxy = control.snapshot?.model.proxy else { return WorkloadLabels() }
        return WorkloadLabels(workload: proxy.name, namespace: proxy.namespace, labels: proxy.labels)
    }

    private static func names(_ registry: Lanes.Registry) -> MeterNames {
        MeterNames(
            destination: { registry.labels($0) },
            lane: { registry.laneName($0) },
            decision: { LaneDecision(rawValue: $0)?.name ?? "none" },
            carrier: { Carrier(rawValue: $0)?.name ?? "none" },
            lossReason: { LaneLoss(rawValue: $0)?.name ?? "unknown" })
    }
}
