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
            model: { control.snapshot?.model },
            metrics: {
                MetricsPage(
                    meters: fleet.memories, names: names, own: own(control), control: control.meter,
                    accessLog: fleet.accessLog, version: Version.fairlead
                ).render()
            },
            reload: {
                let result = control.reload()
                let body = Array(renderCheck(result.findings, json: true).utf8)
                return result.ok ? .done(body) : .refused(body)
            },
            drain: { control.drain() },
            explain: { query in
                guard let snapshot = control.snapshot else { return .invalid("no configuration yet") }
                let fields = query.headers.map { ($0.name, $0.value) }
                let explanation = Lanes.explain(
                    snapshot, method: query.method, url: query.url, headers: fields)
                return .done(query.asText ? Array(explanation.text().utf8) : explanation.json())
            })
        actions.laneReceipts = { laneReceipts(fleet.memories, names) }
        actions.connections = { ConnectionStats(fleet.memories) }
        return actions
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
