// A small configuration and a server over it, for the admin tests.
import Admin
import Base
import HTTP
import Lanes
import Synchronization
import Telemetry

func fixtureSource(_ document: String) -> SourceRef {
    SourceRef(document: document, file: "config/\(document).yaml", line: 3)
}

func fixtureEndpoint(_ last: UInt32, port: UInt16 = 8_080, version: String) -> EndpointModel {
    var endpoint = EndpointModel(address: SocketAddress(ipv4: 0x0A01_0200 | last, port: port))
    endpoint.workload = "auth"
    endpoint.namespace = "prod"
    endpoint.labels = ["app": "auth", "version": version]
    return endpoint
}

/// An edge with two services, one of them in a lane, an expired and an empty lane.
func fixtureModel() -> RoutingModel {
    var model = RoutingModel()
    model.proxy.name = "edge"
    model.proxy.namespace = "prod"
    model.proxy.labels = ["istio": "ingressgateway"]
    model.proxy.debugCIDRs = [CIDR(high: 0, low: 0xFFFF_7F00_0000, prefixLength: 104)]
    model.listeners = [
        ListenerModel(
            name: "gateway/80", role: .edge, address: SocketAddress(ipv4: 0, port: 80),
            tables: [PortTable(port: 0, routeTable: 0)], source: fixtureSource("Gateway prod/gateway"))
    ]
    var auth = ClusterModel(
        name: "outbound|8080||auth.prod.svc.cluster.local", service: "auth.prod.svc.cluster.local",
        serviceNamespace: "prod", subset: "", port: 8_080)
    auth.endpoints = [
        fixtureEndpoint(1, version: "v1"), fixtureEndpoint(2, version: "v1"),
        fixtureEndpoint(3, version: "auth-refactor"),
    ]
    auth.laneMembers = [(lane: 0, endpoints: [2])]
    auth.stable = [0, 1]
    var session = ClusterModel(
        name: "outbound|80||session.prod.svc.cluster.local", service: "session.prod.svc.cluster.local",
        serviceNamespace: "prod", subset: "", port: 80)
    session.endpoints = [fixtureEndpoint(9, version: "v1")]
    session.stable = [0]
    model.clusters = [auth, session]
    var route = RouteModel(
        name: "auth-route", source: fixtureSource("VirtualService prod/auth"),
        action: .forward([TargetModel(cluster: 0, clusterName: auth.name, weight: 100)]))
    route.match.uri = .prefix("/auth")
    route.match.headers = [NamedMatch(name: "x-a", match: .regex("\"quoted\\.*"), inverted: true)]
    route.requestHeaders.set = [(name: "x-b", value: "c")]
    let direct = RouteModel(
        name: "teapot", source: fixtureSource("VirtualService prod/tea"),
        action: .direct(status: 418, body: [1, 2, 3]))
    var redirect = RedirectModel()
    redirect.authority = "other.example.com"
    let moved = RouteModel(
        name: "moved", source: fixtureSource("VirtualService prod/moved"), action: .redirect(redirect))
    var table = RouteTableModel(name: "http.80")
    table.virtualHosts = [
        VirtualHostModel(name: "myapp:80", domains: ["myapp.example.com"], routes: [route, direct, moved])
    ]
    model.routeTables = [table]
    model.policy = LanePolicyModel(source: fixtureSource("LanePolicy prod/default"))
    model.policy?.signingSecret = Array("top secret".utf8)
    model.policy?.pin = PinModel()
    var lane = LaneModel(name: "auth-refactor", namespace: "prod", source: fixtureSource("Lane prod/auth"))
    lane.services = [auth.service, session.service]
    lane.expiresAtSeconds = 4_102_444_800
    var old = LaneModel(name: "old", namespace: "prod", source: fixtureSource("Lane prod/old"))
    old.expiresAtSeconds = 1_000_000_000
    old.services = [auth.service]
    var empty = LaneModel(name: "empty", namespace: "prod", source: fixtureSource("Lane prod/empty"))
    empty.services = [session.service]
    model.lanes = [lane, old, empty]
    return model
}

/// What the actions of a fixture were asked.
final class AdminSpy: Sendable {
    let isReady = Atomic<Bool>(true)
    let isDraining = Atomic<Bool>(false)
    let hasModel = Atomic<Bool>(true)
    let reloadFails = Atomic<Bool>(false)
    let explained = Mutex<[ExplainQuery]>([])
    let metrics = Mutex<[UInt8]>(Array("# HELP a b\n# TYPE a gauge\na 1\n".utf8))

    func actions() -> AdminActions {
        let model = fixtureModel()
        var actions = AdminActions(
            isReady: { self.isReady.load(ordering: .relaxed) },
            isDraining: { self.isDraining.load(ordering: .relaxed) },
            model: { self.hasModel.load(ordering: .relaxed) ? model : nil },
            metrics: { self.metrics.withLock { $0 } },
            reload: {
                self.reloadFails.load(ordering: .relaxed)
                    ? .refused(Array(#"{"findings":[{"code":"FL0001"}]}"#.utf8))
                    : .done(Array(#"{"findings":[]}"#.utf8))
            }, drain: { self.isDraining.store(true, ordering: .relaxed) },
            explain: { query in
                self.explained.withLock { $0.append(query) }
                return .done(Array(#"{"decision":"lane"}"#.utf8))
            })
        actions.laneReceipts = {
            [LaneReceipt(lane: "auth-refactor", service: "auth.prod.svc.cluster.local", requests: 7)]
        }
        return actions
    }
}
