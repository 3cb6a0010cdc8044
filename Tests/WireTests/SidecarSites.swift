// The sidecars of the wire tests: one of a lane's pod that lets everything out, one of a stable pod that
// knows only the registry.
import TestSupport

struct Sidecar: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let foo: EchoUpstream
    /// What inbound requests reach.
    let app: EchoUpstream
    /// A destination that no document names.
    let abroad: EchoUpstream
    /// Holds back the answers of `app` to requests for `/wait`.
    let gate = Gate()

    /// Of lane `foo`'s pod, ALLOW_ANY.
    static let member = Result {
        try Sidecar(
            """
            lane: foo
            headers:
              request:
                set: {x-team: red, x-agent: "%REQ(user-agent)%!"}
                add: {x-hop: sidecar}
                remove: [x-secret]
            """)
    }
    /// Of a stable pod, REGISTRY_ONLY.
    static let strict = Result { try Sidecar("outboundTrafficPolicy: REGISTRY_ONLY") }
    /// Of a stable pod, telling its clients of lost lanes.
    static let telling = Result { try Sidecar("outboundTrafficPolicy: REGISTRY_ONLY", "onLoss: header") }

    init(_ spec: String, _ policy: String = "", workers: Int = 1) throws {
        stable = try puppet("stable")
        foo = try puppet("foo")
        abroad = try puppet("abroad")
        let gate = gate
        app = try EchoUpstream("app") { request in
            if request.target == "/wait" { try? waitUntil("the gate") { gate.isOpen } }
            return nil
        }
        let inbound = "inbound: [{address: 127.0.0.1, port: 15006, app: \"127.0.0.1:\(app.port)\"}]"
        site = try LaneSite(
            Documents.join(
                Self.documents("\(spec)\n\(inbound)", policy, stable: stable.port, foo: foo.port)),
            ports: [15_001, 15_006], workers: workers)
    }

    private static func documents(
        _ spec: String, _ policy: String, stable: UInt16, foo: UInt16
    ) -> [String] {
        let mesh = "[mesh]"
        func direct(_ text: String) -> String { "directResponse: {status: 200, body: {string: \(text)}}" }
        return [
            Documents.sidecar(spec, labels: "{app: caller, version: v2}"),
            Documents.policy("pin: {maxAge: 1h}\n\(policy)"),
            Documents.service("app.test", [(stable, "{version: stable}")]),
            Documents.service("web.test", [(stable, "{version: stable}")], port: 80),
            Documents.lane("foo", "app.test", [foo]),
            Documents.lane("far", "web.test", [foo]),
            """
            apiVersion: v1
            kind: Service
            metadata: {name: session, namespace: shop}
            spec:
              clusterIP: 10.9.8.7
              ports: [{name: http, port: 9080, targetPort: \(stable)}]
            """,
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: session, namespace: shop, labels: {kubernetes.io/service-name: session}}
            addressType: IPv4
            ports: [{name: http, port: \(stable), protocol: TCP}]
            endpoints: [{addresses: ["127.0.0.1"], conditions: {ready: true}}]
            """,
            Documents.virtualService(
                "labels.test", gateways: mesh,
                """
                - match: [{sourceLabels: {app: somebody}}]
                  \(direct("somebody"))
                - match: [{sourceNamespace: elsewhere}]
                  \(direct("elsewhere"))
                - match: [{gateways: [shop/front]}]
                  \(direct("gateway"))
                - match: [{port: 8080}]
                  \(direct("port"))
                - match: [{sourceLabels: {app: caller}, uri: {prefix: /mine}}]
                  \(direct("caller"))
                - match: [{gateways: [mesh], sourceLabels: {app: nobody}, uri: {prefix: /mesh}}]
                  \(direct("mesh"))
                - match: [{sourceNamespace: shop, sourceLabels: {app: caller, version: v2}}]
                  \(direct("shop"))
                """),
        ]
    }

    /// Out through the sidecar.
    func out(_ host: String, _ lines: [String] = [], _ target: String = "/") throws -> LaneAnswer {
        try site.get(target, host: host, lines, port: 15_001)
    }

    /// In to the application.
    func enter(_ lines: [String] = [], _ target: String = "/") throws -> LaneAnswer {
        try site.get(target, host: "caller.shop", lines, port: 15_006)
    }

    /// A connection on which CONNECT was answered.
    func tunnel(_ authority: String) throws -> (connection: RawConnection, head: HTTPMessage) {
        let connection = try RawConnection(port: site.port(15_001))
        try connection.send("CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n\r\n")
        guard let head = try connection.head() else { throw TestFailure("closed instead of an answer") }
        return (connection, head)
    }

    func lost(_ reason: String) throws -> Int {
        try site.metric("fairlead_lane_lost_total", "reason=\"\(reason)\"")
    }
}
