// What the numbers in a meter's cells stand for. Ids are given out once and never change their meaning,
// because a counter outlives the configuration that it was counted under.
internal import Base
internal import Synchronization

/// One workload as Istio's labels name it; what is unknown is `unknown` (istio-semantics.md 24).
public struct WorkloadLabels: Sendable, Hashable {
    public var workload = "unknown"
    public var namespace = "unknown"
    public var principal = "unknown"
    public var app = "unknown"
    public var version = "unknown"
    public var canonicalService = "unknown"
    public var canonicalRevision = "latest"
    public var cluster = "unknown"

    public init() {}

    /// By a pod's labels: `app`, `version` and Istio's order of names for the canonical service and revision.
    public init(workload: String, namespace: String, labels: [String: String]) {
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
public struct DestinationLabels: Sendable, Hashable {
    public var workload = WorkloadLabels()
    /// FQDN.
    public var service = "unknown"
    /// Short name; `PassthroughCluster` or `BlackHoleCluster` for unknown destinations.
    public var serviceName = "unknown"
    public var serviceNamespace = "unknown"

    public init() {}
}

/// Gives each distinct value a small number that it keeps for the life of the process. Number 0 stands for
/// `fallback`, also for what comes when `Limits.meterNames` values are known.
public final class Interner<Value: Hashable & Sendable>: Sendable {
    private struct State: Sendable {
        var ids: [Value: UInt32]
        var values: [Value]
    }

    private let state: Mutex<State>

    public init(fallback: Value) {
        state = Mutex(State(ids: [fallback: 0], values: [fallback]))
    }

    /// The value's number, new or old. Control side: takes a lock.
    public func id(_ value: Value) -> UInt32 {
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
    public func value(_ id: UInt32) -> Value {
        state.withLock { state in
            Int(id) < state.values.count ? state.values[Int(id)] : state.values[0]
        }
    }
}

/// Names for the numbers in a meter, asked while a page is rendered.
public struct MeterNames: Sendable {
    /// `RequestSample.labelsID`, and the service of lane events.
    public var destination: @Sendable (UInt32) -> DestinationLabels
    public var lane: @Sendable (UInt32) -> String
    /// Raw values of the decision, carrier and loss reason that lane events were counted with.
    public var decision: @Sendable (UInt8) -> String
    public var carrier: @Sendable (UInt8) -> String
    public var lossReason: @Sendable (UInt8) -> String

    public init(
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
