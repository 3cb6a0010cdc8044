// Which server a name leads to, and which route of it a connection takes.
import Base
import HTTP
import Testing

@testable import Lanes

private func address(_ text: String, _ port: UInt16 = 443) throws -> SocketAddress {
    try #require(SocketAddress(text: text, port: port))
}

private struct ConnectionSite {
    let snapshot: Snapshot
    var table: UnsafePointer<ConnectionTable> { snapshot.table.pointee.listeners[0].pointee.connections! }

    init(_ connections: ConnectionsModel) throws {
        var model = RoutingModel()
        for name in ["a", "b"] {
            var cluster = ClusterModel(
                name: "outbound|1||\(name)", service: name, serviceNamespace: "", subset: "", port: 1)
            cluster.endpoints = [EndpointModel(address: try address("10.0.0.1", 1))]
            cluster.stable = [0]
            model.clusters.append(cluster)
        }
        let source = SourceRef(document: "Gateway shop/public", file: "x", line: 1)
        var listener = ListenerModel(
            name: "gateway/443", role: .edge, address: try address("0.0.0.0"), tables: [], source: source)
        listener.connections = connections
        model.listeners = [listener]
        snapshot = try Snapshot(model: model, generation: 1, registry: Registry())
    }

    static func server(_ names: String..., to targets: Int?..., subnets: [CIDR] = [])
        -> ConnectionsModel.Server
    {
        let source = SourceRef(document: "VirtualService shop/r", file: "x", line: 2)
        let models = targets.map { TargetModel(cluster: $0, clusterName: "c", weight: 1) }
        let route = RouteModel(name: "", source: source, action: .forward(models))
        return ConnectionsModel.Server(
            names: names, action: .relay([ConnectionRouteModel(route: route, destinationSubnets: subnets)]),
            source: source)
    }

    func cluster(_ name: String, _ local: SocketAddress, random: UInt64 = 0) throws -> Decision {
        let server = try #require(name.withView { table.pointee.server($0) })
        return decideConnection(
            server, snapshot.table.pointee.listeners[0], local,
            DecisionContext(random: random, nowSeconds: 0, isTLS: false))
    }
}

@Test func exactNamesBeforeTheLongestWildcard() throws {
    let site = try ConnectionSite(
        ConnectionsModel(
            isTLS: true,
            servers: [
                ConnectionSite.server("*.test", to: 0), ConnectionSite.server("*.b.test", to: 0),
                ConnectionSite.server("a.b.test", to: 0),
            ]))
    func position(_ name: String) -> Int? {
        name.withView { view in
            site.table.pointee.server(view).map { $0 - site.table.pointee.servers.start }
        }
    }
    #expect(position("a.b.test") == 2 && position("x.b.test") == 1 && position("b.test") == 0)
    #expect(position("x.a.b.test") == 1 && position("c.test") == 0)
    for name in ["test", ".test", "atest", "a.test.example", ""] { #expect(position(name) == nil, "\(name)") }
}

@Test func withoutANameOnlyTheStar() throws {
    let site = try ConnectionSite(
        ConnectionsModel(
            isTLS: true, servers: [ConnectionSite.server("a.test", to: 0), ConnectionSite.server("*", to: 1)])
    )
    #expect(try site.cluster("", address("10.0.0.9")).cluster?.pointee.service.string == "b")
    #expect(try site.cluster("x.test", address("10.0.0.9")).cluster?.pointee.service.string == "b")
    #expect(try site.cluster("a.test", address("10.0.0.9")).cluster?.pointee.service.string == "a")
}

@Test func subnetsWeightsAndNothing() throws {
    let ten = CIDR(high: 0, low: 0xFFFF_0A00_0000, prefixLength: 104)
    let site = try ConnectionSite(
        ConnectionsModel(
            isTLS: false,
            servers: [
                ConnectionSite.server("*", to: 0, 1, subnets: [ten]),
                ConnectionSite.server("n.test", to: nil),
            ]))
    #expect(try site.cluster("", address("11.0.0.1")).outcome == .noRoute)
    let drawn = try (0..<2).map { draw in
        try site.cluster("", address("10.9.9.9"), random: UInt64(draw)).cluster?.pointee.service.string
    }
    #expect(drawn == ["a", "b"])
    #expect(try site.cluster("n.test", address("10.0.0.1")).outcome == .noCluster)
}
