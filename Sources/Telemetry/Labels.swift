// What the numbers in a meter's cells stand for. Ids are given out once and never change their meaning,
// because a counter outlives the configuration that it was counted under.
internal import Base
internal import Synchronization

/// One workload as Istio's labels name it; what is unknown is `unknown` (istio-semantics.md 24).
package struct WorkloadLabels: Sendable, Hashable {
    package var workload = "unknown"
    package var namespace = "unknown"
    package var principal = "unknown"
    package var app = "unknown"
    package var version = "unknown"
    package var canonicalService = "unknown"
    package var canonicalRevision = "latest"
    package var cluster = "unknown"

    package init() {}

    /// By a pod's labels: `app`, `version` and Istio's order of names for the canonical service and revision.
    package init(workload: String, namespace: String, labels: [String: String]) {
        if !workload.isEmpty { self.workload = workload }
        if !namespace.isEmpty { self.namespace = namespace }
        app = labels["app"] ?? "unknown"
        version = labels["version"] ?? "unknown"
        canonicalService =
            labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"]
            ?? self.workload
        canonicalRevision =
            labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"]
            ?? labels["version"] ?? "latest"
    }
}

/// Where a request went.
package struct DestinationLabels: Sendable, Hashable {
    package var workload = WorkloadLabels()
    /// FQDN.
    package var service = "unknown"
    /// Short name; `PassthroughCluster` or `BlackHoleCluster` for unknown destinations.
    package var serviceName = "unknown"
    package var serviceNamespace = "unknown"

    package init() {}
}

/// Gives each distinct value a small number that it keeps for the life of the process. Number 0 stands for
/// `fallback`, also for what comes when `Limits.meterNames` values are known.
package final class Interner<Value: Hashable & Sendable>: Sendable {
    private struct State: Sendable {
        var ids: [Value: UInt32]
        var values: [Value]
    }

    private let state: Mutex<State>

    package init(fallback: Value) {
        state = Mutex(State(ids: [fallback: 0], values: [fallback]))
    }

    /// The value's number, new or old. Control side: takes a lock.
    package func id(_ value: Value) -> UInt32 {
        state.withLock { state in
            if let known = state.ids[value] { return known }
            guard state.values.count < Limits.meterNames else { return 0 }
            let id = UInt32(state.values.count)
            state.ids[value] = id
            state.values.append(value)
            return id
        }
    }

    /// What a number stands for; `fallback` for one never given out.
    package func value(_ id: UInt32) -> Value {
        state.withLock { state in
            Int(id) < state.values.count ? state.values[Int(id)] : state.values[0]
        }
    }
}

/// Names for the numbers in a meter, asked while a page is rendered.
package struct MeterNames: Sendable {
    /// `RequestSample.labelsID`, and the service of lane events.
    package var destination: @Sendable (UInt32) -> DestinationLabels
    package var lane: @Sendable (UInt32) -> String
    /// Raw values of the decision, carrier and loss reason that lane events were counted with.
    package var decision: @Sendable (UInt8) -> String
    package var carrier: @Sendable (UInt8) -> String
    package var lossReason: @Sendable (UInt8) -> String

    package init(
        destination: @escaping @Sendable (UInt32) -> DestinationLabels,
        lane: @escaping @Sendable (UInt32) -> String,
        decision: @escaping @Sendable (UInt8) -> String,
        carrier: @escaping @Sendable (UInt8) -> String,
        lossReason: @escaping @Sendable (UInt8) -> String
    ) {
        self.destination = destination
        self.lane = lane
        self.decision = decision
        self.carrier = carrier
        self.lossReason = lossReason
    }
}
