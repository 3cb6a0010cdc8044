// The documents of the smallest edge: what tests of the HTTP path run.

/// One listener on port 80 whose every request goes to the endpoints at `upstreams`, but for `/direct`
/// (answered by the proxy itself) and `/timeout` (300 ms). `spec`: lines of the Proxy's spec.
package func edgeDocuments(
    to upstreams: [UInt16], protocol portProtocol: String = "HTTP", spec: [String] = [],
    bind: String = "127.0.0.1"
) -> String {
    let endpoints = upstreams.map { "  - {address: 127.0.0.1, ports: {http: \($0)}}\n" }.joined()
    let lines = spec.map { "  \($0)\n" }.joined()
    return """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: edge, namespace: shop, labels: {istio: ingressgateway}}
        spec:
          role: edge
        \(lines)---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: public, namespace: shop}
        spec:
          selector: {istio: ingressgateway}
          servers:
          - port: {number: 80, name: http, protocol: HTTP}
            bind: \(bind)
            hosts: ["*"]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: app, namespace: shop}
        spec:
          hosts: [app.test]
          resolution: STATIC
          location: MESH_INTERNAL
          ports: [{number: 8080, name: http, protocol: \(portProtocol)}]
          endpoints:
        \(endpoints)---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: app, namespace: shop}
        spec:
          hosts: ["*"]
          gateways: [public]
          http:
          - match: [{uri: {prefix: /direct}}]
            directResponse: {status: 200, body: {string: "direct"}}
          - match: [{uri: {prefix: /timeout}}]
            timeout: 300ms
            route: [{destination: {host: app.test, port: {number: 8080}}}]
          - route: [{destination: {host: app.test, port: {number: 8080}}}]

        """
}
