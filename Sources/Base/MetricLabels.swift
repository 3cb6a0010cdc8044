// How Istio's metrics name the two ends of a request (istio-semantics.md 24). What nobody knows is `unknown`.

/// One workload.
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
