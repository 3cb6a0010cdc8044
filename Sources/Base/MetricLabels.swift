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
        // There are few: going through them once costs less than looking each name up.
        var names: (app: String?, version: String?, name: String?, revision: String?)
        var canonical: (name: String?, revision: String?)
        for (key, value) in labels {
            switch key {
            case "app": names.app = value
            case "version": names.version = value
            case "app.kubernetes.io/name": names.name = value
            case "app.kubernetes.io/version": names.revision = value
            case "service.istio.io/canonical-name": canonical.name = value
            case "service.istio.io/canonical-revision": canonical.revision = value
            default: break
            }
        }
        app = names.app ?? "unknown"
        version = names.version ?? "unknown"
        canonicalService = canonical.name ?? names.name ?? names.app ?? self.workload
        canonicalRevision = canonical.revision ?? names.revision ?? names.version ?? "latest"
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
