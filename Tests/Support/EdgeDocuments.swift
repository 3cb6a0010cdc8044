// The documents of the smallest edge: what tests of the HTTP path run.

/// The Proxy `shop/edge` and the Istio Gateway that it serves, `gateway`. `spec`: lines of the Proxy's spec;
/// `servers`: the Gateway's, each an element of the list as YAML lines.
package func edgeGateway(
    _ gateway: String = "public", spec: [String] = [], annotations: String = "",
    servers: [String] = [plainServer()]
) -> String {
    let annotated = annotations.isEmpty ? "" : ", annotations: \(annotations)"
    let lines = spec.map { "\n  \($0)" }.joined()
    let items = servers.map { "  - " + $0.split(separator: "\n").joined(separator: "\n    ") }
    return """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: edge, namespace: shop, labels: {istio: ingressgateway}\(annotated)}
        spec:
          role: edge\(lines)
        ---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: \(gateway), namespace: shop}
        spec:
          selector: {istio: ingressgateway}
          servers:
        \(items.joined(separator: "\n"))
        """
}

/// A Gateway's server for every host on port 80.
package func plainServer(bind: String = "127.0.0.1") -> String {
    """
    port: {number: 80, name: http, protocol: HTTP}
    bind: \(bind)
    hosts: ["*"]
    """
}

/// A ServiceEntry in namespace `shop` with one port, named `app`, and endpoints on loopback.
package func serviceEntry(
    _ host: String, port: Int = 8080, protocol portProtocol: String = "HTTP", endpoints: [UInt16]
) -> String {
    let list = endpoints.map { "{address: 127.0.0.1, ports: {app: \($0)}}" }
    return """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: \(host.prefix { $0 != "." }), namespace: shop}
        spec:
          hosts: [\(host)]
          resolution: STATIC
          location: MESH_INTERNAL
          ports: [{number: \(port), name: app, protocol: \(portProtocol)}]
          endpoints: [\(list.joined(separator: ", "))]
        """
}

/// The VirtualService of every host at the Gateway `public`. `http`: the elements of its list.
package func edgeRoutes(_ http: String) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: app, namespace: shop}
    spec:
      hosts: ["*"]
      gateways: [public]
      http:
    \(http.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
    """
}

/// One listener on port 80 whose every request goes to the endpoints at `upstreams`, but for `/direct`
/// (answered by the proxy itself) and `/timeout` (300 ms). `spec`: lines of the Proxy's spec.
package func edgeDocuments(
    to upstreams: [UInt16], protocol portProtocol: String = "HTTP", spec: [String] = [],
    bind: String = "127.0.0.1"
) -> String {
    """
    \(edgeGateway(spec: spec, servers: [plainServer(bind: bind)]))
    ---
    \(serviceEntry("app.test", protocol: portProtocol, endpoints: upstreams))
    ---
    \(edgeRoutes("""
        - match: [{uri: {prefix: /direct}}]
          directResponse: {status: 200, body: {string: "direct"}}
        - match: [{uri: {prefix: /timeout}}]
          timeout: 300ms
          route: [{destination: {host: app.test, port: {number: 8080}}}]
        - route: [{destination: {host: app.test, port: {number: 8080}}}]
        """))

    """
}
