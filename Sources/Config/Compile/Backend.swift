// One port of a service as this proxy reaches it: what the clusters of all its subsets have in common, found
// once. There may be thousands of subsets.
internal import Lanes

struct BackendKey: Hashable {
    /// Number in the registry.
    var service: Int
    var port: UInt16
    /// For TLS that passes through, which a BackendTLSPolicy leaves alone.
    var isPassed: Bool
}

final class Backend {
    let service: Service
    let port: ServicePort
    /// The DestinationRule that this client sees.
    let rule: EffectiveRule?
    let isPassed: Bool
    let endpoints: [EndpointModel]
    /// The cluster of the service as a whole, which is also that of each subset without a policy of its own,
    /// but for name and endpoints; nil: not made yet, or it says the subset's name to its upstreams.
    var whole: ClusterModel?
    private lazy var labels = index()

    init(_ service: Service, _ port: ServicePort, _ rule: EffectiveRule?, isPassed: Bool) {
        self.service = service
        self.port = port
        self.rule = rule
        self.isPassed = isPassed
        endpoints = service.endpoints[port.number] ?? []
    }

    /// Those whose labels contain the selector.
    func endpoints(with selector: [String: String]) -> [EndpointModel] {
        labels.select(scope: "", selector).map { endpoints[$0] }
    }

    private func index() -> LabelIndex {
        var index = LabelIndex()
        for endpoint in endpoints { index.add(scope: "", labels: endpoint.labels) }
        return index
    }
}
