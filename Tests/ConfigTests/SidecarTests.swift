// What a sidecar's tables hold (istio-semantics.md 3, 5.2, 18, 19).
import Testing

@testable import Config
@testable import Lanes

private func virtualService(_ name: String, _ hosts: String, subset: String = "v1", more: String = "")
    -> String
{
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: shop\(more)}
    spec:
      hosts: \(hosts)
      http: [{name: \(name), route: [{destination: {host: auth, subset: \(subset)}}]}]
    ---

    """
}

@Test func serviceWithoutVirtualServiceHasOneDefaultRoute() throws {
    let model = try modelOf(sidecarProxy + service("auth", network: 1))
    let host = try #require(model.host("auth", in: "8080"))
    #expect(
        host.domains == [
            "auth.shop.svc.cluster.local", "auth.shop.svc.cluster.local.", "auth.shop", "auth.shop.svc",
            "auth",
            "10.96.0.1",
        ])
    #expect(host.routes.map(\.name) == ["default"])
    #expect(host.routes[0].targets == ["outbound|8080||auth.shop.svc.cluster.local"])
    let cluster = try #require(model.cluster("outbound|8080||auth.shop.svc.cluster.local"))
    #expect(cluster.addresses == ["10.0.1.1:8080", "10.0.1.2:8080"])
    #expect(cluster.endpoints.map { $0.labels["version"] } == ["v1", "v2"])
    #expect(cluster.stable == [0, 1])
    #expect(cluster.connectTimeoutMs == 10_000)
    // A Host without a port finds the only HTTP port of a service that has no port 80.
    #expect(model.host("auth", in: "80")?.routes.first?.targets == host.routes[0].targets)
}

@Test func shortNamesOfOtherNamespacesAreNotServed() throws {
    let model = try modelOf(sidecarProxy + service("auth", network: 1, namespace: "other"))
    #expect(model.host("auth", in: "8080") == nil)
    #expect(model.host("auth.other", in: "8080") != nil)
    #expect(model.host("auth.other.svc.cluster", in: "8080") == nil)
}

@Test func headlessServicesHaveWildcards() throws {
    let text = service("db", network: 1).replacing("clusterIP: 10.96.0.1", with: "clusterIP: None")
    let host = try #require(try modelOf(sidecarProxy + text).host("db", in: "8080"))
    #expect(host.domains.contains("*.db") && host.domains.contains("*.db.shop.svc.cluster.local"))
    #expect(!host.domains.contains("None") && !host.domains.contains("none"))
}

@Test func aShortFormThatIsAFullNameBelongsToItsOwner() throws {
    let entry = """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: se, namespace: shop}
        spec:
          hosts: [auth.other]
          ports: [{number: 8080, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 1.2.3.4}]
        ---

        """
    let model = try modelOf(sidecarProxy + service("auth", network: 1, namespace: "other") + entry)
    #expect(model.host("auth.other", in: "8080")?.routes[0].targets == ["outbound|8080||auth.other"])
    #expect(model.cluster("outbound|8080||auth.other")?.addresses == ["1.2.3.4:8080"])
}

@Test func aVirtualServiceTakesAllDomainsOfItsService() throws {
    let model = try modelOf(sidecarProxy + service("auth", network: 1) + virtualService("a", "[auth]"))
    let host = try #require(model.host("auth", in: "8080"))
    #expect(host.domains.count == 6)
    #expect(host.routes.map(\.name) == ["a"])
    guard case .forward(let targets) = host.routes[0].action else { return }
    #expect(targets[0].cluster == nil, "the subset is not defined")
    #expect(targets[0].clusterName == "outbound|8080|v1|auth.shop.svc.cluster.local")
}

/// Trap 3: in the mesh VirtualServices never merge.
@Test func theOldestVirtualServiceOwnsTheHost() throws {
    let services = sidecarProxy + service("auth", network: 1)
    func created(_ year: Int) -> String { ", creationTimestamp: '\(year)-01-01T00:00:00Z'" }
    func owner(_ text: String) throws -> [String]? {
        try modelOf(services + text).host("auth", in: "8080")?.routes.map(\.name)
    }
    let young = virtualService("a", "[auth]", more: created(2024))
    let old = virtualService("b", "[auth.shop.svc.cluster.local]", more: created(2023))
    #expect(try owner(young + old) == ["b"])
    let result = loadText(services + young + old)
    #expect(result.has("IST0109", containing: "the older VirtualService shop/b"))
    // Same age: the name decides; no timestamp counts as older.
    #expect(try owner(virtualService("d", "[auth]") + virtualService("c", "[auth]")) == ["c"])
    #expect(try owner(old + virtualService("c", "[auth]")) == ["c"])
    // Not for clients that only one of them is exported to.
    let hidden = virtualService("a", "[auth]").replacing(
        "hosts: [auth]", with: "hosts: [auth]\n  exportTo: [x]")
    #expect(try owner(hidden + old) == ["b"])
}

@Test func unknownHostsGetPort80Alone() throws {
    let model = try modelOf(
        sidecarProxy + service("auth", network: 1)
            + virtualService("a", "[www.example.com, '*.wild.com', AUTH.example.com]"))
    #expect(model.host("www.example.com", in: "80")?.routes.map(\.name) == ["a"])
    #expect(model.host("*.wild.com", in: "80")?.routes.map(\.name) == ["a"])
    #expect(model.host("auth.example.com", in: "80") != nil)
    #expect(model.host("www.example.com", in: "8080") == nil)
}

@Test func wildcardHostsAttachToTheServicesTheyCover() throws {
    let text =
        sidecarProxy + service("auth", network: 1) + service("info", network: 2)
        + virtualService("wide", "['*.shop.svc.cluster.local']") + virtualService("exact", "[info]")
        + virtualService("wider", "['*.cluster.local']")
    let model = try modelOf(text)
    #expect(model.host("auth", in: "8080")?.routes.map(\.name) == ["wide"])
    #expect(model.host("info", in: "8080")?.routes.map(\.name) == ["exact"])
    #expect(model.host("*.shop.svc.cluster.local", in: "80") == nil)
}

@Test func nothingElseOwnsAHost() throws {
    let model = try modelOf(sidecarProxy + service("auth", network: 1))
    let any = try #require(model.host("*", in: "8080"))
    #expect(any.routes.map(\.name) == ["allow_any"] && any.routes[0].isPassthrough)
    let outbound = try #require(model.listeners.first { $0.role == .outbound })
    #expect(outbound.tables.map(\.port) == [80, 8080, 0])
    #expect(model.routeTables[outbound.tables[2].routeTable].virtualHosts.map(\.name) == ["allow_any"])
    let strict = try modelOf(
        sidecarProxy.replacing("role: sidecar", with: "role: sidecar, outboundTrafficPolicy: REGISTRY_ONLY"))
    let block = try #require(strict.host("*", in: "80"))
    guard case .blocked = block.routes[0].action else {
        Issue.record("not refused")
        return
    }
    #expect(block.routes[0].name == "block_all")
}

@Test func inboundListenersLeadToTheApp() throws {
    let model = try modelOf(sidecarProxy + service("web", network: 1))
    let listener = try #require(model.listeners.first { $0.role == .inbound })
    #expect(listener.name == "inbound/15006")
    #expect(listener.address.text == "0.0.0.0:15006")
    let table = model.routeTables[listener.tables[0].routeTable]
    #expect(table.virtualHosts.map(\.domains) == [["*"]])
    #expect(table.virtualHosts[0].routes.map(\.name) == ["default"])
    let cluster = try #require(model.cluster("inbound|8080||"))
    #expect(cluster.addresses == ["127.0.0.1:8080"])
    #expect(cluster.service == "web.shop.svc.cluster.local")
    #expect(cluster.stable == [0])
}

@Test func portsOfTheMesh() throws {
    let text = """
        apiVersion: v1
        kind: Service
        metadata: {name: mixed, namespace: shop}
        spec:
          ports:
          - {name: tcp-a, port: 1001}
          - {name: grpc, port: 1002}
          - {name: https-x, port: 1003}
          - {name: anything, port: 1004}
          - {name: mysql, port: 1005, appProtocol: http}
          - {name: http, port: 1006, protocol: UDP}
          - {port: 3306}
          - {name: Http2-b, port: 1007}
          - {name: x, port: 1008, appProtocol: kubernetes.io/wss}
        ---

        """
    let model = try modelOf(sidecarProxy + text)
    #expect(
        model.listeners[0].tables.map(\.port) == [80, 1001, 1002, 1003, 1004, 1005, 1007, 1008, 3306, 0])
    let streams = model.routeTables.filter { $0.virtualHosts.contains { $0.isStream } }.map(\.name)
    #expect(streams == ["1001", "1003", "1008", "3306"])
}

@Test func destinationPorts() throws {
    let text = """
        apiVersion: v1
        kind: Service
        metadata: {name: two, namespace: shop}
        spec: {ports: [{name: http-a, port: 81}, {name: http-b, port: 82}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: shop}
        spec:
          hosts: [two]
          http:
          - {match: [{uri: {exact: /1}}], route: [{destination: {host: two}}]}
          - {match: [{uri: {exact: /2}}], route: [{destination: {host: two, port: {number: 82}}}]}
          - {match: [{uri: {exact: /3}}], route: [{destination: {host: two, port: {number: 9}}}]}
          - {match: [{uri: {exact: /4}}], route: [{destination: {host: auth}}]}
          - {match: [{uri: {exact: /5}}], route: [{destination: {host: nowhere}}]}
          - {match: [{uri: {exact: /6}}], route: [{destination: {host: auth.shop}}]}
        ---

        """
    let model = try modelOf(sidecarProxy + text + service("auth", network: 1))
    let routes = try #require(model.host("two", in: "81")).routes
    #expect(
        routes.map { $0.targets[0] } == [
            "outbound|81||two.shop.svc.cluster.local", "outbound|82||two.shop.svc.cluster.local",
            "outbound|9||two.shop.svc.cluster.local", "outbound|8080||auth.shop.svc.cluster.local",
            "outbound|81||nowhere.shop.svc.cluster.local", "outbound|81||auth.shop",
        ])
    let known = routes.map { route in
        if case .forward(let targets) = route.action { targets[0].cluster != nil } else { false }
    }
    #expect(known == [true, true, false, true, false, false])
}

@Test func sidecarsNarrowWhatIsSeen() throws {
    let sidecar = """
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {name: default, namespace: shop}
        spec:
          outboundTrafficPolicy: {mode: REGISTRY_ONLY}
          egress: [{hosts: ['./*', 'other/info.other.svc.cluster.local']}]
        ---

        """
    let services =
        service("auth", network: 1) + service("info", network: 2, namespace: "other")
        + service("hidden", network: 3, namespace: "other")
    let model = try modelOf(sidecarProxy + sidecar + services)
    #expect(model.host("auth", in: "8080") != nil)
    #expect(model.host("info.other", in: "8080") != nil)
    #expect(model.host("hidden.other", in: "8080") == nil)
    #expect(!model.proxy.allowAnyOutbound)
    // Destinations of visible VirtualServices need no listing, and get no names of their own for that.
    let toHidden = virtualService("a", "[auth]").replacing(
        "{host: auth, subset: v1}", with: "{host: hidden.other.svc.cluster.local}")
    let routed = try modelOf(sidecarProxy + sidecar + services + toHidden)
    #expect(routed.host("hidden.other", in: "8080") == nil)
    guard case .forward(let targets)? = routed.host("auth", in: "8080")?.routes.first?.action else {
        Issue.record("no route to the hidden service")
        return
    }
    #expect(targets.map { $0.cluster != nil } == [true])
}

@Test func servicesThatAreNotExportedAreUnknown() throws {
    let text = service("auth", network: 1, namespace: "other").replacing(
        "metadata: {name: auth, namespace: other}",
        with: "metadata: {name: auth, namespace: other, annotations: {networking.istio.io/exportTo: 'x, .'}}")
    #expect(try modelOf(sidecarProxy + text).host("auth.other", in: "8080") == nil)
}

private func sidecarDocument(_ spec: String) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: Sidecar
    metadata: {name: default, namespace: shop}
    spec:
    \(spec.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
    ---

    """
}

/// Section 19: a port's own element decides alone for that port, the one without a port for all others.
@Test func egressByPort() throws {
    let services =
        service("auth", network: 1) + service("info", network: 2)
        + service("data", network: 3).replacing("port: 8080", with: "port: 9090")
    let named =
        "egress:\n- {port: {number: 8080}, hosts: ['./info.shop.svc.cluster.local']}"
    var model = try modelOf(sidecarProxy + sidecarDocument(named) + services)
    #expect(model.host("info", in: "8080") != nil && model.host("auth", in: "8080") == nil)
    #expect(model.host("data", in: "9090") == nil, "nothing is for other ports")
    model = try modelOf(sidecarProxy + sidecarDocument("\(named)\n- {hosts: ['./*']}") + services)
    #expect(model.host("info", in: "8080") != nil && model.host("auth", in: "8080") == nil)
    #expect(model.host("data", in: "9090") != nil)
    let first = "egress:\n- {hosts: ['./*']}\n- {port: {number: 8080}, hosts: ['./*']}"
    #expect(loadText(sidecarProxy + sidecarDocument(first)).has("IST0106", containing: "not the last"))
}

@Test func egressListeners() throws {
    let spec = """
        egress:
        - {port: {number: 8080, protocol: HTTP}, captureMode: NONE, hosts: ['./*']}
        - {port: {number: 8081, protocol: HTTP}, bind: 127.0.0.9, hosts: ['./*']}
        - {port: {number: 8082, protocol: HTTP}, hosts: ['./*']}
        """
    let model = try modelOf(sidecarProxy + sidecarDocument(spec) + service("auth", network: 1))
    let outbound = model.listeners.filter { $0.role == .outbound }
    #expect(outbound.map(\.address.text) == ["127.0.0.1:15001", "127.0.0.1:8080", "127.0.0.9:8081"])
    #expect(outbound[1].tables.count == 1 && outbound[1].tables[0].port == 8080)
    let socket = spec.replacing("127.0.0.9", with: "'unix:///run/x'")
    #expect(loadText(sidecarProxy + sidecarDocument(socket)).has("FL0011", containing: "unix:///run/x"))
    let twice = spec.replacing("8080", with: "15001")
    #expect(loadText(sidecarProxy + sidecarDocument(twice)).has("FL0030", containing: "twice"))
}

@Test func ingressNamesWhatIsAccepted() throws {
    func inbound(_ spec: String) throws -> [String] {
        let model = try modelOf(sidecarProxy + sidecarDocument(spec))
        return model.listeners.filter { $0.role == .inbound }.map { listener in
            let route = model.routeTables[listener.tables[0].routeTable].virtualHosts[0].routes[0]
            let app = model.cluster(route.targets[0])?.addresses ?? []
            return "\(listener.address.text) \(app.joined())"
        }
    }
    #expect(try inbound("egress: [{hosts: ['*/*']}]") == ["0.0.0.0:15006 127.0.0.1:8080"], "none is given")
    #expect(
        try inbound("ingress: [{port: {number: 8080, protocol: HTTP}, defaultEndpoint: '127.0.0.1:9000'}]")
            == ["0.0.0.0:15006 127.0.0.1:9000"])
    #expect(
        try inbound("ingress: [{port: {number: 8080, protocol: HTTP}, defaultEndpoint: '0.0.0.0:9000'}]")
            == ["0.0.0.0:15006 127.0.0.1:9000"])
    #expect(
        try inbound(
            "ingress:\n- {port: {number: 7000}, bind: 127.0.0.1, defaultEndpoint: '127.0.0.1:9'}"
        )
            == ["127.0.0.1:7000 127.0.0.1:9"])
    let other = loadText(sidecarProxy + sidecarDocument("ingress: [{port: {number: 7000, protocol: HTTP}}]"))
    #expect(other.has("FL0034", containing: "does not accept port 8080"))
    #expect(other.has("FL0034", containing: "leads to port 7000"))
    let unix = "ingress: [{port: {number: 8080, protocol: HTTP}, defaultEndpoint: 'unix:///run/app.sock'}]"
    #expect(try inbound(unix) == ["0.0.0.0:15006 /run/app.sock"])
    for bad in ["unix:///run/", "unix://x", "app:80", "127.0.0.1"] {
        let text = sidecarDocument(unix.replacing("unix:///run/app.sock", with: bad))
        #expect(loadText(sidecarProxy + text).has("IST0106", containing: "is no address"), "\(bad)")
    }
    let tls = "ingress: [{port: {number: 8080, protocol: HTTPS}, tls: {mode: SIMPLE}}]"
    #expect(loadText(sidecarProxy + sidecarDocument(tls)).model == nil, "there is no certificate")
    let passing = loadText(sidecarProxy + sidecarDocument(tls.replacing("SIMPLE", with: "PASSTHROUGH")))
    #expect(passing.has("IST0106", containing: "nothing ends here"))
    let missing = sidecarDocument("ingress: [{defaultEndpoint: '127.0.0.1:9000'}]")
    #expect(loadText(sidecarProxy + missing).has("IST0106", containing: "port is missing"))
}

@Test func egressProxiesTakeWhatNobodyOwns() throws {
    let spec = "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: auth, port: {number: 8080}}}"
    let text = sidecarProxy + sidecarDocument(spec) + service("auth", network: 1)
    let auth = "outbound|8080||auth.shop.svc.cluster.local"
    for table in ["80", "8080", "unknown"] {
        #expect(try modelOf(text).host("*", in: table)?.routes.map(\.targets) == [[auth]])
    }
    let strict = text.replacing("ALLOW_ANY", with: "REGISTRY_ONLY")
    #expect(try modelOf(strict).host("*", in: "80")?.routes[0].targets == [])
}
