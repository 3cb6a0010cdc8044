// YAML for wire tests: the documents that every site has, so that a test writes down only what it is about.
// Everything lives in namespace `shop`.
import TestSupport

enum Documents {
    static func join(_ documents: [String]) -> String { documents.joined(separator: "\n---\n") }

    private static func indented(_ text: String, _ blanks: Int = 2) -> String {
        let prefix = String(repeating: " ", count: blanks)
        return text.split(separator: "\n").map { prefix + $0 }.joined(separator: "\n")
    }

    /// An edge with a plain Gateway for every host on port 80.
    static func edge(_ spec: String = "") -> String {
        edgeGateway("front", spec: spec.split(separator: "\n").map(String.init))
    }

    static func sidecar(_ spec: String = "", labels: String = "{app: caller}", name: String = "caller")
        -> String
    {
        """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: \(name), namespace: shop, labels: \(labels)}
        spec:
          role: sidecar
          outbound: {address: 127.0.0.1, port: 15001}
        \(indented(spec))
        """
    }

    static func policy(_ spec: String = "") -> String {
        """
        apiVersion: fairlead.dev/v1alpha1
        kind: LanePolicy
        metadata: {name: default, namespace: shop}
        spec:
          key: x-feat-name
        \(indented(spec))
        """
    }

    static func lane(_ name: String, _ spec: String) -> String {
        """
        apiVersion: fairlead.dev/v1alpha1
        kind: Lane
        metadata: {name: \(name), namespace: shop}
        spec:
        \(indented(spec))
        """
    }

    /// A lane whose members are addresses on loopback.
    static func lane(_ name: String, _ service: String, _ ports: [UInt16], _ spec: String = "") -> String {
        let endpoints = ports.map { "\"127.0.0.1:\($0)\"" }.joined(separator: ", ")
        return lane(name, "\(spec)\nmembers:\n- {service: \(service), endpoints: [\(endpoints)]}")
    }

    /// A service with its endpoints on loopback, each with the labels given (`{version: v1}`).
    static func service(
        _ host: String, _ endpoints: [(port: UInt16, labels: String)], port: Int = 8080
    ) -> String {
        let list = endpoints.map {
            "  - {address: 127.0.0.1, ports: {http: \($0.port)}, labels: \($0.labels)}"
        }
        return """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: \(dashed(host)), namespace: shop}
            spec:
              hosts: ["\(host)"]
              location: MESH_INTERNAL
              resolution: STATIC
              ports: [{number: \(port), name: http, protocol: HTTP}]
              endpoints:
            \(list.joined(separator: "\n"))
            """
    }

    /// Binds a host of the Gateway to routes, given as the elements of `http`.
    static func virtualService(
        _ host: String, gateways: String = "[front]", name: String? = nil, created: String? = nil,
        _ http: String
    ) -> String {
        let time = created.map { ", creationTimestamp: \"\($0)\"" } ?? ""
        return """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: \(name ?? dashed(host)), namespace: shop\(time)}
            spec:
              hosts: ["\(host)"]
              gateways: \(gateways)
              http:
            \(indented(http))
            """
    }

    /// A host of the Gateway that leads to the service of the same name.
    static func published(_ host: String) -> String {
        virtualService(host, "- route: [{destination: {host: \(host)}}]")
    }

    static func subsets(_ host: String, _ subsets: String, name: String? = nil, created: String? = nil)
        -> String
    {
        let time = created.map { ", creationTimestamp: \"\($0)\"" } ?? ""
        return """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: \(name ?? dashed(host)), namespace: shop\(time)}
            spec:
              host: \(host)
              subsets:
            \(indented(subsets))
            """
    }

    private static func dashed(_ host: String) -> String { host.replacingDots }
}

extension String {
    fileprivate var replacingDots: String {
        String(map { $0 == "." ? "-" : $0 == "*" ? "w" : $0 })
    }
}
