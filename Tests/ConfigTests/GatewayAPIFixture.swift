// Documents of the Gateway API for this module's tests, and who answers a request by the model they compile
// to.
import Testing

@testable import Config
@testable import Lanes

enum API {
    static let edge = """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: edge, namespace: shop}
        spec: {role: edge}
        ---

        """

    /// `listeners` are elements of the list, each `{...}`.
    static func gateway(
        _ listeners: String..., name: String = "public", namespace: String = "shop", className: String = "any"
    ) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          gatewayClassName: \(className)
          listeners:
          - \(listeners.joined(separator: "\n  - "))
        ---

        """
    }

    static let http = "{name: http, port: 80, protocol: HTTP}"

    /// `rules` are the elements of the list.
    static func route(
        _ name: String, hostnames: String = "[]", parents: String = "[{name: public}]",
        kind: String = "HTTPRoute", namespace: String = "shop", created: Int? = nil, _ rules: String...
    ) -> String {
        let time = created.map { ", creationTimestamp: '\($0)-01-01T00:00:00Z'" } ?? ""
        return """
            apiVersion: gateway.networking.k8s.io/v1
            kind: \(kind)
            metadata: {name: \(name), namespace: \(namespace)\(time)}
            spec:
              parentRefs: \(parents)
              hostnames: \(hostnames)
              rules:
              - \(rules.joined(separator: "\n  - "))
            ---

            """
    }

    /// A rule for a path prefix that leads to a service, or one for everything.
    static func rule(_ prefix: String = "/", to service: String = "auth") -> String {
        "{matches: [{path: {value: \(prefix)}}], backendRefs: [{name: \(service), port: 8080}]}"
    }

    static func grant(in namespace: String, from: String, kind: String = "HTTPRoute", to: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1beta1
        kind: ReferenceGrant
        metadata: {name: grant, namespace: \(namespace)}
        spec:
          from: [{group: gateway.networking.k8s.io, kind: \(kind), namespace: \(from)}]
          to: [\(to)]
        ---

        """
    }
}

extension RoutingModel {
    /// Names of the routes that a host of a table has, in the order they are tried; nil: no such virtual
    /// host.
    func routeNames(_ domain: String, in table: String = "http.80") -> [String]? {
        host(domain, in: table)?.routes.map(\.name)
    }
}

extension RouteModel {
    var targetModels: [TargetModel] {
        if case .forward(let targets) = action { targets } else { [] }
    }
    var redirect: RedirectModel? {
        if case .redirect(let redirect) = action { redirect } else { nil }
    }
}
