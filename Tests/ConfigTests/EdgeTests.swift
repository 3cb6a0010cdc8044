// What an edge serves: Gateways, VirtualServices bound to them, delegates (istio-semantics.md 3, 5.6, 17).
import Testing

@testable import Config
@testable import Lanes

private func bound(
    _ name: String, hosts: String = "[shop.example.com]", gateways: String = "[public]", http: String? = nil,
    namespace: String = "shop", created: Int = 2024
) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: \(namespace), creationTimestamp: '\(created)-01-01T00:00:00Z'}
    spec:
      hosts: \(hosts)
      gateways: \(gateways)
      http:

    """ + (http ?? "  - {name: \(name), route: [{destination: {host: auth}}]}") + "\n---\n"
}

private func gatewayOf(
    _ hosts: String, name: String = "public", more: String = "", namespace: String = "shop"
) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: \(name), namespace: \(namespace)}
    spec:
      selector: {istio: ingressgateway}
      servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: \(hosts)\(more)}]
    ---

    """
}

private let auth = service("auth", network: 1)

@Test func aGatewayAloneAnswersNothing() throws {
    let model = try modelOf(edgeProxy + gateway)
    #expect(model.listeners.map(\.name) == ["gateway/80"])
    #expect(model.listeners[0].address.text == "0.0.0.0:80")
    #expect(model.listeners[0].source.line == 12)
    #expect(model.routeTables.map(\.virtualHosts.count) == [0])
}

@Test func selectorsChooseGateways() throws {
    let other = gateway.replacing("istio: ingressgateway", with: "istio: egress").replacing(
        "public", with: "other")
    #expect(try modelOf(edgeProxy + other).listeners.isEmpty)
    #expect(loadText(edgeProxy + other).has("FL0031"))
    let everybody = gateway.replacing("selector: {istio: ingressgateway}", with: "selector: {}")
    #expect(try modelOf(edgeProxy + everybody).listeners.count == 1)
}

@Test func virtualServicesOfAHostMergeOldestFirstWithCatchAllsLast() throws {
    let text =
        bound(
            "b",
            http: "  - {name: b1, match: [{uri: {prefix: /b}}], route: [{destination: {host: auth}}]}\n"
                + "  - {name: b2, route: [{destination: {host: auth}}]}", created: 2021)
        + bound(
            "a",
            http: "  - {name: a1, match: [{uri: {prefix: /a}}], route: [{destination: {host: auth}}]}\n"
                + "  - {name: a2, match: [{uri: {regex: '.*'}}], route: [{destination: {host: auth}}]}",
            created: 2022)
        + bound(
            "c",
            http: "  - {name: c1, match: [{headers: {x: {exact: y}}}], route: [{destination: {host: auth}}]}",
            created: 2020)
    let model = try modelOf(edgeProxy + gateway + auth + text)
    #expect(
        model.host("shop.example.com", in: "http.80")?.routes.map(\.name) == ["c1", "b1", "a1", "b2", "a2"])
}

@Test func hostsAreTheIntersection() throws {
    func domains(_ server: String, _ hosts: String) throws -> [String] {
        let model = try modelOf(edgeProxy + gatewayOf(server) + auth + bound("a", hosts: hosts))
        return model.routeTables[0].virtualHosts.flatMap(\.domains).sorted()
    }
    #expect(try domains("['*.com']", "[a.com, b.org]") == ["a.com"])
    #expect(try domains("['*.foo.com']", "['*.com']") == ["*.foo.com"])
    #expect(try domains("[a.foo.com, b.foo.com, c.org]", "['*.foo.com']") == ["a.foo.com", "b.foo.com"])
    #expect(try domains("['*']", "['*']") == ["*"])
    #expect(try domains("[A.foo.com]", "[a.FOO.com]") == ["a.foo.com"])
    #expect(try domains("[x.org]", "[a.com]") == [])
}

@Test func serverHostsMayNameANamespace() throws {
    func count(_ server: String) throws -> Int {
        let text = bound("a", gateways: "[shop/public]", namespace: "team")
        return try modelOf(edgeProxy + gatewayOf(server) + auth + text).routeTables[0].virtualHosts.count
    }
    #expect(try count("['team/*']") == 1)
    #expect(try count("['other/*']") == 0)
    #expect(try count("['./*']") == 0)
    #expect(try count("['*/*']") == 1)
    #expect(try count("[shop.example.com]") == 1)
}

@Test func gatewayReferencesAndExport() throws {
    func count(_ gateways: String, more: String = "", namespace: String = "shop") throws -> Int {
        let text = bound("a", gateways: gateways + more, namespace: namespace)
        return try modelOf(edgeProxy + gateway + auth + text).routeTables[0].virtualHosts.count
    }
    #expect(try count("[public]") == 1)
    #expect(try count("[mesh]") == 0)
    #expect(try count("[mesh, ./public]") == 1)
    #expect(try count("[public]", namespace: "team") == 0)
    #expect(try count("[public.shop.svc.cluster.local]", namespace: "team") == 1)
    #expect(try count("[shop/public]", more: "\n  exportTo: ['.']", namespace: "team") == 0)
}

@Test func matchesMayNameGatewaysAndPorts() throws {
    let http = """
          - {name: g, match: [{gateways: [public], uri: {exact: /1}}], route: [{destination: {host: auth}}]}
          - {name: m, match: [{gateways: [mesh], uri: {exact: /2}}], route: [{destination: {host: auth}}]}
          - {name: p, match: [{port: 80, uri: {exact: /3}}], route: [{destination: {host: auth}}]}
          - {name: q, match: [{port: 8080, uri: {exact: /4}}], route: [{destination: {host: auth}}]}
        """.split(separator: "\n").map { "  " + $0.drop { $0 == " " } }.joined(separator: "\n")
    let model = try modelOf(edgeProxy + gateway + auth + bound("a", http: http))
    #expect(model.host("shop.example.com", in: "http.80")?.routes.map(\.name) == ["g", "p"])
}

@Test func redirectingServersNeedNoVirtualService() throws {
    let model = try modelOf(
        edgeProxy + gatewayOf("[a.com, 'team/b.com']", more: ", tls: {httpsRedirect: true}"))
    let hosts = model.routeTables[0].virtualHosts
    #expect(hosts.map(\.domains) == [["a.com"], ["b.com"]])
    #expect(hosts.allSatisfy { $0.httpsRedirect && $0.routes.isEmpty })
}

@Test func gatewaysOfOnePortShareATable() throws {
    let text =
        gatewayOf("[a.com]") + gatewayOf("[b.com]", name: "second") + auth + bound("a", hosts: "[a.com]")
        + bound("b", hosts: "[a.com, b.com]", gateways: "[second]")
    let model = try modelOf(edgeProxy + text)
    #expect(model.listeners.count == 1)
    #expect(model.routeTables[0].virtualHosts.map(\.domains) == [["a.com"], ["b.com"]])
    #expect(model.host("a.com", in: "http.80")?.routes.map(\.name) == ["a"])
}

@Test func serversThatCannotBeOpenedAreNamed() throws {
    let text = """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: public, namespace: shop}
        spec:
          selector: {istio: ingressgateway}
          servers:
          - {port: {number: 443, name: hbone, protocol: HBONE}, hosts: ["*"]}
          - {port: {number: 80, name: http, protocol: http2}, hosts: ["*"], bind: 127.0.0.1}
        """
    let result = loadText(edgeProxy + text)
    #expect(result.has("FL0012", line: 12, containing: "port 443 is not opened"))
    #expect(result.model?.listeners.map { $0.address.text } == ["127.0.0.1:80"])
}

@Test func protocolsDoNotShareAPort() throws {
    let tcp = gateway.replacing("name: http, protocol: HTTP", with: "name: tcp, protocol: TCP")
    let later = loadText(edgeProxy + tcp.replacing("public", with: "a") + gateway)
    #expect(later.has("FL0030", containing: "Gateway shop/public"))
    #expect(later.model?.listeners.map { $0.connections == nil } == [false])
    #expect(loadText(edgeProxy + tcp.replacing("public", with: "z") + gateway).model?.listeners.count == 1)
}

@Test func refusedGateways() {
    let cases: [(String, String)] = [
        ("{port: {number: 80, name: a, protocol: HTTP}}", "hosts is missing"),
        ("{hosts: ['*']}", "port is missing"),
        ("{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*']}", "outside 1 to 65535"),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['*']}", "name is missing"),
        ("{port: {number: 80, name: a, protocol: HTPP}, hosts: ['*']}", "did you mean HTTP?"),
        ("{port: {number: 80, name: a, protocol: HTTPS}, hosts: ['*']}", "tls is missing"),
        (
            "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], tls: {mode: SIMPLE}}",
            "httpsRedirect alone"
        ),
        ("{port: {number: 80, name: a, protocol: HTTP}, hosts: ['a/b/c']}", "is no host"),
        ("{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], bind: nowhere}", "is no IP address"),
    ]
    for (server, message) in cases {
        let result = loadText(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
                + "spec:\n  servers:\n  - \(server)\n"
        )
        let isFound = result.has("IST0106", line: 6, containing: message)
        #expect(isFound, "\(server): \(result.findings.map(\.text))")
    }
}

// MARK: delegates

private func delegate(_ http: String, name: String = "inner", more: String = "") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: team}
    spec:
    \(more)  http:

    """ + http + "\n---\n"
}

private func delegated(_ root: String, _ inner: String, more: String = "") throws -> [RouteModel] {
    let model = try modelOf(
        edgeProxy + gateway + auth + bound("root", http: root) + delegate(inner, more: more))
    return model.host("shop.example.com", in: "http.80")?.routes ?? []
}

private let to = "route: [{destination: {host: auth.shop.svc.cluster.local}}]"
private let root = "delegate: {name: inner, namespace: team}"

@Test func delegatesNarrowTheRootsConditions() throws {
    let found = try delegated(
        "  - {name: r, match: [{uri: {prefix: /api}, headers: {x: {exact: y}}}], \(root)}",
        """
          - name: a
            match: [{uri: {prefix: /api/v1}, headers: {z: {exact: w}}}, {uri: {exact: /api}}]
            \(to)
          - {name: b, match: [{uri: {prefix: /other}}], \(to)}
          - {name: c, match: [{uri: {regex: '/api.*'}}], \(to)}
          - {name: d, match: [{headers: {x: {exact: other}}}], \(to)}
          - {name: e, match: [{uri: {prefix: /api/e}, ignoreUriCase: true}], \(to)}
          - {name: f, \(to)}
        """)
    #expect(found.map(\.name) == ["r-a", "r-a", "r-f"])
    #expect(found[0].match.uri == .prefix("/api/v1"))
    #expect(found[0].match.headers.map(\.name) == ["x", "z"])
    #expect(found[1].match.uri == .exact("/api"))
    #expect(found[2].match.uri == .prefix("/api"))
}

@Test func delegatesInheritWhatTheyLeaveOut() throws {
    let found = try delegated(
        "  - {timeout: 5s, headers: {request: {set: {a: b}}}, rewrite: {uri: /r}, \(root)}",
        "  - {timeout: 1s, match: [{uri: {exact: /1}}], headers: {response: {set: {c: d}}}, \(to)}\n"
            + "  - {rewrite: {uri: /d}, \(to)}"
    )
    #expect(found.map(\.timeoutMs) == [1_000, 5_000])
    #expect(found[0].requestHeaders.isEmpty && found[0].responseHeaders.set.map(\.name) == ["c"])
    #expect(found[1].requestHeaders.set.map(\.name) == ["a"])
    #expect(found.map { $0.rewrite?.uri } == ["/r", "/d"])
}

@Test func delegatesThatCannotBe() throws {
    #expect(try delegated("  - {\(root)}", "  - {\(to)}", more: "  exportTo: ['.']\n").isEmpty)
    let missing = loadText(edgeProxy + gateway + bound("root", http: "  - {\(root)}"))
    #expect(missing.has("IST0101", containing: "team/inner does not exist"))
    let dropped = loadText(
        edgeProxy + gateway + auth + bound("root", http: "  - {match: [{uri: {exact: /a}}], \(root)}")
            + delegate("  - {match: [{uri: {exact: /b}}], \(to)}"))
    #expect(dropped.has("FL0042"))
    let deeper = loadText(
        edgeProxy + gateway + bound("root", http: "  - {\(root)}") + delegate("  - {delegate: {name: x}}"))
    #expect(deeper.has("FL0042", containing: "cannot delegate further"))
}

// MARK: which proxy

@Test func withoutAProxyDocumentEveryGatewayIsServed() throws {
    let result = loadText(gateway.replacing("istio: ingressgateway", with: "x: y") + auth + bound("a"))
    #expect(result.model?.listeners.map(\.name) == ["gateway/80"])
    #expect(result.proxyName == "shop/edge")
    #expect(result.notes.count == 1)
    #expect(result.findings.isEmpty)
    let sidecar = loadText(auth)
    #expect(sidecar.model?.listeners.map { $0.address.text } == ["127.0.0.1:15001"])
    #expect(sidecar.proxyName == "shop/sidecar")
}

@Test func severalProxiesNeedAName() throws {
    let both = edgeProxy + sidecarProxy + gateway
    let unnamed = loadText(both)
    #expect(
        unnamed.model == nil && unnamed.has("FL0020", line: 1, containing: "--proxy shop/edge or shop/web"))
    #expect(try modelOf(both, proxy: "shop/web").proxy.name == "web")
    #expect(try modelOf(both, proxy: "shop/edge").proxy.isEdge)
    #expect(loadText(both, proxy: "shop/none").has("FL0020"))
    #expect(loadText(gateway, proxy: "shop/none").has("FL0020"))
    #expect(loadText(both, purpose: .check).findings.isEmpty)
}
