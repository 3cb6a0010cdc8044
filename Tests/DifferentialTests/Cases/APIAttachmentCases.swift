// Section 21.1: which routes of the Gateway API are at which listeners, and in the mesh.

func apiAttachmentCases() throws -> [Case] {
    try parents() + admission() + hostnames() + isolation() + inMesh()
}

/// `kind: Hostname` backends: the first echo and the second.
let toV1 = "backendRefs: [{group: networking.istio.io, kind: Hostname, name: one.test, port: 80}]"
let toV2 = "backendRefs: [{group: networking.istio.io, kind: Hostname, name: two.test, port: 8080}]"

/// A route of `$HOST` at the shared Gateway; `rules` is the list's YAML.
func apiRoute(
    _ rules: String, name: String = "r", kind: String = "HTTPRoute", namespace: String = "shop",
    hosts: String? = "[$HOST]", parents: String = "[{name: public, namespace: shop}]", created: String? = nil
) -> String {
    let age = created.map { ", creationTimestamp: \"\($0)\"" } ?? ""
    return """
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: \(kind)
        metadata: {name: \(name)-$ID, namespace: \(namespace)\(age)}
        spec:
          parentRefs: \(parents)
          \(hosts.map { "hostnames: \($0)" } ?? "")
          rules:
        \(rules)

        """
}

/// A rule that says its name in `x-rule` of the response.
func apiRule(_ name: String, _ matches: String? = nil, to backend: String = toV1, more: String = "") -> String
{
    """
      - \(matches.map { "matches: \($0)\n    " } ?? "")filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: \(name)}]}}
    \(more.isEmpty ? "" : "    \(more)\n")    \(backend)

    """
}

/// A Gateway `gw-$ID` of the edge; `listeners` is the list's YAML.
func apiGateway(_ listeners: String, name: String = "gw", namespace: String = "shop") -> String {
    """
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: {name: \(name)-$ID, namespace: \(namespace)}
    spec: {gatewayClassName: istio, listeners: \(listeners)}

    """
}

private let own = "[{name: gw-$ID}]"

private func listener(_ name: String, _ hostname: String, port: Int = 80, more: String = "") -> String {
    "{name: \(name), port: \(port), protocol: HTTP, hostname: \"\(hostname)\"\(more)}"
}

private func parents() throws -> [Case] {
    let both = "[\(listener("one", "a.$HOST")), \(listener("two", "b.$HOST"))]"
    func at(_ parents: String, _ name: String = "r") -> String {
        apiRoute(apiRule(name), name: name, hosts: nil, parents: parents)
    }
    return [
        try .documents(
            "21.1 parentRef: the Gateway of that name in the route's namespace", .api,
            apiGateway("[\(listener("one", "$HOST"))]") + at(own)
                + apiGateway("[\(listener("one", "x.$HOST"))]", namespace: "team"),
            Ask("/", "< x-rule: r"), Ask("/", host: "x.$HOST", "404")),
        try .documents(
            "21.1 parentRef: sectionName is a listener's name", .api,
            apiGateway(both) + at("[{name: gw-$ID, sectionName: two}]"), Ask("/", host: "a.$HOST", "404"),
            Ask("/", host: "b.$HOST", "200 V1")),
        try .documents(
            "21.1 parentRef: port is a listener's port", .api,
            apiGateway("[\(listener("one", "$HOST")), \(listener("two", "$HOST", port: 8_080))]")
                + at("[{name: gw-$ID, port: 8080}]"), Ask("/", "404"),
            Ask("/", "200 V1").with { $0.port = 8_080 }),
        try .documents(
            "21.1 parentRef: no such Gateway, no such listener", .api,
            apiGateway(both) + at("[{name: gx-$ID}]", "a") + at("[{name: gw-$ID, sectionName: six}]", "b"),
            Ask("/", host: "a.$HOST", "404"), Ask("/", host: "b.$HOST", "404")),
        try .documents(
            "21.1 parentRefs: several", .api,
            apiGateway(both) + at("[{name: gw-$ID, sectionName: one}, {name: gw-$ID, sectionName: two}]"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "200 V1")),
    ]
}

private func admission() throws -> [Case] {
    func gateway(_ allowed: String) -> String {
        apiGateway("[\(listener("one", "*.$HOST", more: ", allowedRoutes: \(allowed)"))]")
    }
    let routes = ["shop", "team"].map { namespace in
        apiRoute(
            apiRule(namespace), namespace: namespace, hosts: "[\(namespace).$HOST]",
            parents: "[{name: gw-$ID, namespace: shop}]")
    }.joined()
    let label = """
        ---
        apiVersion: v1
        kind: Namespace
        metadata: {name: team, labels: {case-$ID: "yes"}}

        """
    return [
        try .documents(
            "21.1 allowedRoutes.namespaces: the Gateway's own unless said otherwise", .api,
            gateway("{kinds: [{kind: HTTPRoute}]}") + routes, Ask("/", host: "shop.$HOST", "200 V1"),
            Ask("/", host: "team.$HOST", "404")),
        try .documents(
            "21.1 allowedRoutes.namespaces: Same", .api, gateway("{namespaces: {from: Same}}") + routes,
            Ask("/", host: "shop.$HOST", "200 V1"), Ask("/", host: "team.$HOST", "404")),
        try .documents(
            "21.1 allowedRoutes.namespaces: All", .api, gateway("{namespaces: {from: All}}") + routes,
            Ask("/", host: "shop.$HOST", "200 V1"), Ask("/", host: "team.$HOST", "200 V1")),
        try .documents(
            "21.1 allowedRoutes.namespaces: None", .api, gateway("{namespaces: {from: None}}") + routes,
            Ask("/", host: "shop.$HOST", "404"), Ask("/", host: "team.$HOST", "404")),
        try .documents(
            "21.1 allowedRoutes.namespaces: Selector", .api,
            gateway("{namespaces: {from: Selector, selector: {matchLabels: {case-$ID: \"yes\"}}}}") + routes
                + label, Ask("/", host: "shop.$HOST", "404"), Ask("/", host: "team.$HOST", "200 V1")),
        try .documents(
            "21.1 allowedRoutes.kinds", .api,
            gateway("{kinds: [{kind: GRPCRoute}]}") + routes, Ask("/", host: "shop.$HOST", "404")),
    ]
}

private func hostnames() throws -> [Case] {
    [
        try .documents(
            "21.1 hostnames: a wildcard covers any number of labels, not none", .api,
            apiRoute(apiRule("r"), hosts: "[\"*.$HOST\"]"), Ask("/", host: "a.$HOST", "200 V1"),
            Ask("/", host: "a.b.$HOST", "200 V1"), Ask("/", "404")),
        try .documents(
            "21.1 hostnames: none are the listener's", .api,
            apiGateway("[\(listener("one", "*.$HOST"))]") + apiRoute(apiRule("r"), hosts: nil, parents: own),
            Ask("/", host: "a.b.$HOST", "200 V1"), Ask("/", "404")),
        try .documents(
            "21.1 hostnames: what both have in common", .api,
            apiGateway("[\(listener("one", "*.a.$HOST")), \(listener("two", "b.$HOST"))]")
                + apiRoute(apiRule("r"), hosts: "[x.a.$HOST, \"*.$HOST\", other.test]", parents: own),
            Ask("/", host: "b.$HOST", "200 V1"), Ask("/", host: "x.a.$HOST", "200 V1"),
            Ask("/", host: "y.a.$HOST", "200 V1"), Ask("/", host: "c.$HOST", "404"),
            Ask("/", host: "other.test", "404")),
        try .documents(
            "21.1 hostnames: none in common", .api,
            apiGateway("[\(listener("one", "a.$HOST"))]")
                + apiRoute(apiRule("r"), hosts: "[b.$HOST]", parents: own),
            Ask("/", host: "a.$HOST", "404"), Ask("/", host: "b.$HOST", "404")),
        try .documents(
            "21.1 hostnames: a port of the Host is cut off, letters are lower-cased", .api,
            apiRoute(apiRule("r"), hosts: "[a.$HOST]"), Ask("/", host: "A.$HOST:81", "200 V1")),
        try .documents(
            "21.1 hostnames: the more specific one answers alone", .api,
            apiRoute(apiRule("wild"), name: "a", hosts: "[\"*.$HOST\"]")
                + apiRoute(
                    apiRule("exact", "[{path: {value: /x}}]"), name: "b", hosts: "[a.$HOST]"),
            Ask("/x", host: "a.$HOST", "< x-rule: exact"), Ask("/", host: "a.$HOST", "404"),
            Ask("/", host: "b.$HOST", "< x-rule: wild")),
    ]
}

private func isolation() throws -> [Case] {
    let nested = apiGateway(
        "[\(listener("wide", "*.$HOST")), \(listener("mid", "*.a.$HOST")), \(listener("one", "x.a.$HOST"))]")
    func at(_ section: String, _ name: String, hosts: String? = nil) -> String {
        apiRoute(
            apiRule(name), name: name, hosts: hosts, parents: "[{name: gw-$ID, sectionName: \(section)}]")
    }
    return [
        try .documents(
            "21.1 isolation: the most specific listener alone answers", .api,
            nested + at("wide", "wide") + at("mid", "mid") + at("one", "one"),
            Ask("/", host: "x.a.$HOST", "< x-rule: one"), Ask("/", host: "y.a.$HOST", "< x-rule: mid"),
            Ask("/", host: "y.$HOST", "< x-rule: wide")),
        try .documents(
            "21.1 isolation: a route's hostname that a more specific listener covers", .api,
            nested + at("wide", "wide", hosts: "[x.a.$HOST, b.$HOST]") + at("one", "one"),
            Ask("/", host: "x.a.$HOST", "< x-rule: one"), Ask("/", host: "b.$HOST", "< x-rule: wide")),
        try .documents(
            "21.1 isolation: a listener without routes answers nothing", .api, nested + at("wide", "wide"),
            Ask("/", host: "x.a.$HOST", "404")
        ).differing("routes of the broader listener answer, a listener without routes is nowhere"),
    ]
}

private func inMesh() throws -> [Case] {
    let strict = Setup.strictSidecar
    func to(_ service: String, _ name: String, _ namespace: String, port: Int? = nil) -> String {
        let port = port.map { ", port: \($0)" } ?? ""
        return apiRoute(
            apiRule(name), name: name, namespace: namespace, hosts: nil,
            parents: "[{group: \"\", kind: Service, name: \(service)-$ID, namespace: team\(port)}]")
    }
    let service = kubernetesService("a", namespace: "team", echo: "$V2")
    return [
        try .documents(
            "21.1 mesh: a route of the service's namespace is for all clients", strict,
            service + to("a", "producer", "team"), Ask("/", host: "a-$ID.team", "< x-rule: producer"),
            Ask("/", host: "a-$ID.team.svc.cluster.local:80", "< x-rule: producer")),
        try .documents(
            "21.1 mesh: a route of the client's namespace is for its clients", strict,
            service + to("a", "consumer", "shop"), Ask("/", host: "a-$ID.team", "< x-rule: consumer")),
        try .documents(
            "21.1 mesh: a route of a third namespace is not for this client", strict,
            service + to("a", "third", "elsewhere"), Ask("/", host: "a-$ID.team", "200 V2")),
        try .documents(
            "21.1 mesh: a parent's port", strict,
            service + to("a", "there", "team", port: 80) + kubernetesService("b", namespace: "team")
                + to("b", "other", "team", port: 81), Ask("/", host: "a-$ID.team", "< x-rule: there"),
            Ask("/", host: "b-$ID.team", "200 V1", "!< x-rule")),
    ]
}
