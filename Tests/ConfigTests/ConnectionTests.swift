// `tls` and `tcp` routes, PASSTHROUGH and TCP servers, PROXY headers: documents to the model.
import Testing

@testable import Config
@testable import Lanes

private func gatewayOf(_ servers: String, name: String = "public") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: \(name), namespace: shop}
    spec:
      selector: {istio: ingressgateway}
      servers: \(servers)
    ---

    """
}

private func routes(
    _ name: String, hosts: String, gateways: String = "[public]", _ routes: String, created: Int = 2024
) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: shop, creationTimestamp: '\(created)-01-01T00:00:00Z'}
    spec: {hosts: \(hosts), gateways: \(gateways), \(routes)}
    ---

    """
}

private func entry(_ host: String, _ protocolName: String = "TCP", port: Int = 9_000) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: \(host.filter { $0 != "." }), namespace: shop}
    spec:
      hosts: [\(host)]
      resolution: STATIC
      location: MESH_INTERNAL
      addresses: [10.9.0.1]
      ports: [{number: \(port), name: p, protocol: \(protocolName)}]
      endpoints: [{address: 10.0.0.1}]
    ---

    """
}

private let passthrough =
    "[{port: {number: 443, name: tls, protocol: TLS}, hosts: HOSTS, tls: {mode: PASSTHROUGH}}]"
private let tcp = #"[{port: {number: 3306, name: mysql, protocol: MYSQL}, hosts: ["*"]}]"#
private let backends = entry("a.test") + entry("b.test")

extension ConnectionsModel.Server {
    fileprivate var routes: [ConnectionRouteModel] {
        switch action {
        case .relay(let routes): routes
        case .terminate: []
        }
    }
    fileprivate var targets: [String] { routes.flatMap(\.route.targets) }
}

private func to(_ host: String) -> String { "route: [{destination: {host: \(host)}}]" }

@Test func serverNamesChooseAmongPassthroughRoutes() throws {
    let text =
        gatewayOf(passthrough.replacing("HOSTS", with: #"["*.test"]"#))
        + routes(
            "one", hosts: #"["*.test", c.example]"#,
            "tls: [{match: [{sniHosts: [a.test, c.example], port: 443}, {sniHosts: [x.test], port: 444}], "
                + "\(to("a.test"))}, {match: [{sniHosts: [\"*.test\"]}], \(to("b.test"))}]")
    let model = try modelOf(edgeProxy + text + backends)
    let listener = model.listeners[0]
    #expect(listener.name == "gateway/443" && listener.tables.isEmpty)
    let connections = try #require(listener.connections)
    #expect(connections.isTLS)
    #expect(connections.servers.map(\.names) == [["a.test"], ["*.test"]])
    #expect(connections.servers.map(\.targets) == [["outbound|9000||a.test"], ["outbound|9000||b.test"]])
}

@Test func tcpRoutesInOrder() throws {
    let text =
        gatewayOf(tcp)
        + routes(
            "younger", hosts: "[any.test]", "tcp: [{\(to("b.test"))}]", created: 2025)
        + routes(
            "older", hosts: "[any.test]",
            "tcp: [{match: [{destinationSubnets: [10.0.0.0/8], port: 3306}, {gateways: [mesh]}], "
                + "route: [{destination: {host: a.test}, weight: 1}, "
                + "{destination: {host: b.test}, weight: 3}]}]"
        )
    let model = try modelOf(edgeProxy + text + backends)
    let connections = try #require(model.listeners[0].connections)
    #expect(!connections.isTLS && connections.servers.map(\.names) == [["*"]])
    let found = connections.servers[0].routes
    #expect(found.map(\.route.targets.count) == [2, 1])
    #expect(found[0].destinationSubnets.count == 1 && found[1].destinationSubnets.isEmpty)
}

@Test func serversOfConnectionsThatCannotBe() throws {
    let auto = passthrough.replacing("HOSTS", with: "[a.test]").replacing(
        "PASSTHROUGH", with: "AUTO_PASSTHROUGH")
    #expect(try modelOf(edgeProxy + gatewayOf(auto)).listeners[0].connections?.servers.isEmpty == true)
    let one = gatewayOf(passthrough.replacing("HOSTS", with: "[a.test]"), name: "a")
    let two = gatewayOf(passthrough.replacing("HOSTS", with: "[b.test, a.test]"), name: "b")
    let taken = loadText(edgeProxy + one + two)
    #expect(taken.has("FL0030", containing: "a.test has a TLS server"))
    let mixed = loadText(
        edgeProxy + one
            + gatewayOf("[{port: {number: 443, name: t, protocol: TCP}, hosts: [c.test]}]", name: "c"))
    #expect(mixed.has("FL0030", containing: "another protocol"))
}

@Test func connectionRoutesThatAreRefused() {
    let cases: [(String, String)] = [
        ("tls: [{\(to("a.test"))}]", "match is missing"),
        ("tls: [{match: [{port: 443}], \(to("a.test"))}]", "sniHosts is missing"),
        ("tls: [{match: [{sniHosts: [b.test]}], \(to("a.test"))}]", "covered by no host"),
        ("tls: [{match: [{sniHosts: [a.test]}]}]", "route is missing"),
        ("tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], \(to("a.test"))}]", "no address range"),
        ("tcp: [{match: [{sniHosts: [a.test]}], \(to("a.test"))}]", "unknown field"),
        ("tcp: [{route: [{destination: {host: a.test}, headers: {}}]}]", "only http has headers"),
        (
            "tcp: [{route: [{destination: {host: a.test}}, {destination: {host: b.test}, weight: 0}]}]",
            "total destination weight"
        ),
    ]
    for (text, problem) in cases {
        let result = loadText(edgeProxy + backends + routes("r", hosts: "[a.test]", text))
        let isSaid = result.findings.contains { $0.refused && $0.text.contains(problem) }
        #expect(result.model == nil && isSaid, "\(text)")
    }
}

@Test func aSidecarTunnelsToPortsThatAreNotHTTP() throws {
    let text =
        entry("db.test", port: 5_432) + entry("tls.test", "TLS", port: 443) + backends
        + routes(
            "db", hosts: "[db.test]", gateways: "[mesh]", "tcp: [{match: [{port: 5432}], \(to("a.test"))}]")
        + routes(
            "tls", hosts: #"["*.test"]"#, gateways: "[mesh]",
            "tls: [{match: [{sniHosts: [other.test]}], \(to("a.test"))}, "
                + "{match: [{sniHosts: [\"*.test\"], sourceLabels: {app: nobody}}], \(to("a.test"))}, "
                + "{match: [{sniHosts: [tls.test], destinationSubnets: [10.9.0.0/16]}], \(to("b.test"))}]")
    let model = try modelOf(sidecarProxy + text)
    func host(_ name: String, _ port: String) throws -> VirtualHostModel {
        try #require(model.host(name, in: port))
    }
    let db = try host("db.test", "5432")
    #expect(db.isStream && db.routes.map(\.targets) == [["outbound|9000||a.test"]])
    #expect(try host("tls.test", "443").routes.map(\.targets) == [["outbound|9000||b.test"]])
    #expect(try host("a.test", "9000").routes.map(\.targets) == [["outbound|9000||a.test"]])
}

@Test func proxyHeaders() throws {
    let edge = edgeProxy.replacing("{role: edge}", with: "{role: edge, proxyProtocol: PORTS}")
    let gateways =
        gatewayOf(#"[{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}]"#, name: "a")
        + gatewayOf(tcp, name: "b")
    func taking(_ text: String) throws -> [UInt16] {
        try modelOf(text + gateways).listeners.filter(\.takesProxyHeader).map(\.address.port)
    }
    #expect(try taking(edgeProxy) == [])
    #expect(try taking(edge.replacing("PORTS", with: "{}")) == [80, 3306])
    #expect(try taking(edge.replacing("PORTS", with: "{ports: [3306]}")) == [3306])
    #expect(loadText(edge.replacing("PORTS", with: "{ports: [81]}") + gateways).has("IST0101"))
    #expect(loadText(edge.replacing("PORTS", with: "{ports: [0]}") + gateways).model == nil)
    let istio = edgeProxy.replacing(
        "namespace: shop,",
        with:
            #"namespace: shop, annotations: {proxy.istio.io/config: "gatewayTopology: {proxyProtocol: {}}"},"#
    )
    #expect(try taking(istio) == [80, 3306])
    #expect(loadText(istio.replacing("proxyProtocol: {}", with: "[") + gateways).model == nil)
}

@Test func proxyHeadersToUpstreams() throws {
    func rule(_ policy: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: a, namespace: shop}
        spec:
          host: a.test
          trafficPolicy: \(policy)
          subsets:
          - {name: v1, labels: {}}
          - {name: v2, labels: {}, trafficPolicy: {proxyProtocol: {version: V2}}}
        ---

        """
    }
    let text =
        edgeProxy + gatewayOf(tcp) + backends
        + routes(
            "r", hosts: "[any.test]",
            "tcp: [{route: [{destination: {host: a.test, subset: v1}, weight: 1}, "
                + "{destination: {host: a.test, subset: v2}, weight: 1}, "
                + "{destination: {host: b.test}, weight: 1}]}]"
        )
    let model = try modelOf(text + rule("{proxyProtocol: {}}"))
    #expect(model.cluster("outbound|9000|v1|a.test")?.proxyHeaderVersion == 1)
    #expect(model.cluster("outbound|9000|v2|a.test")?.proxyHeaderVersion == 2)
    #expect(model.cluster("outbound|9000||b.test")?.proxyHeaderVersion == 0)
    #expect(loadText(text + rule("{proxyProtocol: {version: V3}}")).model == nil)
    #expect(loadText(text + rule("{proxyProtocol: {}, tunnel: {targetHost: a, targetPort: 1}}")).model == nil)
}
