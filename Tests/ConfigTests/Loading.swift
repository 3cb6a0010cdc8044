// Helpers of this module's tests: load text, look into the model.
import Base
import Testing

@testable import Config
@testable import Lanes

/// Loads one text as `test.yaml`.
func loadText(
    _ text: String, proxy: String? = nil, purpose: LoadOptions.Purpose = .run, now: Int64 = 1_000_000
)
    -> LoadResult
{
    var options = LoadOptions(proxy: proxy, purpose: purpose)
    options.nowSeconds = now
    return load(Sources(texts: [SourceText(file: "test.yaml", bytes: Array(text.utf8))]), options: options)
}

/// Loads a text that must be accepted and returns its model.
func modelOf(_ text: String, proxy: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> RoutingModel
{
    let result = loadText(text, proxy: proxy)
    return try #require(result.model, "\(result.findings.map(\.text))", sourceLocation: sourceLocation)
}

extension LoadResult {
    /// `line code` of each finding.
    var places: [String] { findings.map { "\($0.line) \($0.code)" } }
    func has(_ code: String, line: Int? = nil, containing text: String = "") -> Bool {
        findings.contains {
            $0.code == code && (line == nil || $0.line == line)
                && ($0.text.range(of: text) != nil || text.isEmpty)
        }
    }
}

extension RoutingModel {
    func table(_ name: String) -> RouteTableModel? { routeTables.first { $0.name == name } }

    /// The virtual host of a table that has this domain.
    func host(_ domain: String, in table: String) -> VirtualHostModel? {
        self.table(table)?.virtualHosts.first { $0.domains.contains(domain) }
    }

    func cluster(_ name: String) -> ClusterModel? { clusters.first { $0.name == name } }
}

extension ClusterModel {
    /// `ip:port` of endpoints.
    var addresses: [String] { endpoints.map { $0.address.text } }
    var stableAddresses: [String] { stable.map { addresses[$0] } }
    func laneAddresses(_ lane: Int) -> [String]? {
        laneMembers.first { $0.lane == lane }.map { $0.endpoints.map { addresses[$0] } }
    }
}

extension RouteModel {
    /// Names of the clusters a route forwards to.
    var targets: [String] {
        if case .forward(let targets) = action { targets.map(\.clusterName) } else { [] }
    }
    var isPassthrough: Bool { if case .passthrough = action { true } else { false } }
}

let edgeProxy = """
    apiVersion: fairlead.dev/v1alpha1
    kind: Proxy
    metadata: {name: edge, namespace: shop, labels: {istio: ingressgateway}}
    spec: {role: edge}
    ---

    """

let sidecarProxy = """
    apiVersion: fairlead.dev/v1alpha1
    kind: Proxy
    metadata: {name: web, namespace: shop, labels: {app: web}}
    spec: {role: sidecar, outbound: {port: 15001}, inbound: [{port: 15006, app: "127.0.0.1:8080"}]}
    ---

    """

let gateway = """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: public, namespace: shop}
    spec:
      selector: {istio: ingressgateway}
      servers:
      - port: {number: 80, name: http, protocol: HTTP}
        hosts: ["*"]
    ---

    """

/// A Service `name` in `shop` on port 8080 with two pods, v1 at .1 and v2 at .2 of a network of its own.
func service(_ name: String, network: Int, namespace: String = "shop", port: Int = 8080) -> String {
    var text = """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          clusterIP: 10.96.0.\(network)
          selector: {app: \(name)}
          ports: [{name: http, port: \(port), targetPort: 8080}]
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: \(name)-abc, namespace: \(namespace), labels: {kubernetes.io/service-name: \(name)}}
        addressType: IPv4
        ports: [{name: http, port: 8080, protocol: TCP}]
        endpoints:
        - {addresses: [10.0.\(network).1], targetRef: {kind: Pod, name: \(name)-v1}}
        - {addresses: [10.0.\(network).2], targetRef: {kind: Pod, name: \(name)-v2}}
        ---

        """
    for version in 1...2 {
        text += """
            apiVersion: v1
            kind: Pod
            metadata:
              name: \(name)-v\(version)
              namespace: \(namespace)
              labels: {app: \(name), version: v\(version)}
            status: {podIP: 10.0.\(network).\(version)}
            ---

            """
    }
    return text
}

extension String {
    /// This text with every `part` exchanged; `part` must be there, or the test tests nothing.
    func replacing(_ part: String, with other: String, sourceLocation: SourceLocation = #_sourceLocation)
        -> String
    {
        var result = ""
        var rest = self[...]
        var isFound = false
        while let found = rest.range(of: part) {
            isFound = true
            result += rest[..<found.lowerBound] + other
            rest = rest[found.upperBound...]
        }
        #expect(isFound, "nothing to replace: \(part)", sourceLocation: sourceLocation)
        return result + rest
    }
}
