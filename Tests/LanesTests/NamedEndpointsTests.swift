// What a cluster is once its names have addresses.
import Base
import Testing

@testable import Lanes

private func numbered(_ last: UInt32, port: UInt16 = 0) -> SocketAddress {
    SocketAddress(ipv4: 0x0A00_0000 | last, port: port)
}

private func named(_ name: String, port: UInt16 = 80, weight: UInt32 = 1) -> EndpointModel {
    var model = EndpointModel(address: SocketAddress.unspecified.at(port: port))
    model.hostname = name
    model.weight = weight
    return model
}

private func cluster(_ endpoints: [EndpointModel]) -> ClusterModel {
    var cluster = ClusterModel(
        name: "outbound|80||a.test", service: "a.test", serviceNamespace: "shop", subset: "", port: 80)
    cluster.endpoints = endpoints
    cluster.stable = Array(endpoints.indices)
    return cluster
}

@Suite struct NamedEndpoints {
    private let book: [String: [SocketAddress]] = [
        "one.test": [numbered(1)], "two.test": [numbered(3), numbered(2)], "same.test": [numbered(2)],
    ]

    private func resolve(_ name: String) -> [SocketAddress] { book[name] ?? [] }

    @Test func everyAddressIsAnEndpointOnce() {
        let model = cluster([
            named("two.test", weight: 5), EndpointModel(address: numbered(9, port: 7)),
            named("same.test"), named("none.test"), named("same.test", port: 81),
        ])
        #expect(model.hasNames && model.names == ["two.test", "same.test", "none.test"])
        let result = model.resolved(resolve)
        #expect(
            result.endpoints.map(\.text)
                == ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:7", "10.0.0.2:81"], "in an order of our own")
        #expect(result.endpoints.map(\.weight) == [5, 5, 1, 1], "who had an address first gives the weight")
        #expect(result.stable == [0, 1, 2, 3])
        #expect(result.sources == ["none.test", "same.test", "two.test"])
        #expect(result.endpoints.map(\.hostname) == ["two.test", "two.test", "", "same.test"])
        #expect(model.resolved { _ in [] }.endpoints.map(\.text) == ["10.0.0.9:7"])
    }

    @Test func theFirstAddressIsTheAnswersFirst() {
        var model = cluster([named("two.test")])
        model.resolution = .firstAddress
        #expect(model.resolved(resolve).endpoints.map(\.text) == ["10.0.0.3:80"])
    }

    @Test func lanesAndUnhealthyOnesStayWhatTheyAre() {
        var sick = named("one.test")
        sick.healthy = false
        let given = EndpointModel(address: numbered(7))
        var model = cluster([sick, named("two.test"), named("none.test"), given])
        model.stable = [0, 2]
        model.laneMembers = [(lane: 4, endpoints: [1, 3]), (lane: 5, endpoints: [2])]
        let result = model.resolved(resolve)
        #expect(result.endpoints.map(\.healthy) == [false, true, true, true])
        #expect(result.stable == [0])
        #expect(result.laneMembers.map(\.lane) == [4, 5])
        #expect(result.laneMembers.map(\.endpoints) == [[1, 2, 3], []])
    }

    @Test func withoutAnAddressTheNameIsTold() {
        #expect(named("one.test", port: 443).text == "one.test:443")
        #expect(!cluster([EndpointModel(address: numbered(1))]).hasNames)
    }

    /// The frozen cluster of a snapshot takes the place of the one with names, and gives its numbers back.
    @Test func resolvedClustersAreFrozenAlone() throws {
        var model = RoutingModel()
        var logical = cluster([named("two.test")])
        logical.resolution = .firstAddress
        model.clusters = [
            cluster([EndpointModel(address: numbered(1, port: 80))]), logical, cluster([named("one.test")]),
        ]
        let registry = Lanes.Registry()
        let snapshot = try Snapshot(model: model, generation: 1, registry: registry)
        #expect(snapshot.named == [1, 2])
        #expect(snapshot.table.pointee.clusters[0].pointee.resolvedIndex == -1)
        #expect(snapshot.table.pointee.clusters[2].pointee.resolvedIndex == 1)
        let first = ResolvedCluster(snapshot, position: 0, addresses: resolve)
        let moved = ResolvedCluster(snapshot, position: 0) { _ in [numbered(8)] }
        let plain = ResolvedCluster(snapshot, position: 1, addresses: resolve)
        #expect(first.cluster.pointee.index == 1 && first.cluster.pointee.resolvedIndex == 0)
        #expect(first.cluster.pointee.endpoints[0].pointee.addressText.string == "10.0.0.3:80")
        // A logical endpoint is the same one at another address; an address is the same in every cluster.
        let ids = [first, moved, plain].map { $0.cluster.pointee.endpoints[0].pointee.id }
        #expect(ids[0] == ids[1] && ids[0] != ids[2])
        #expect(ids[2] == snapshot.table.pointee.clusters[0].pointee.endpoints[0].pointee.id)
        #expect(registry.endpointCapacity == 2)
    }

    @Test(
        arguments: [
            ("a.test", "b.test", "a.test"), ("*.a.test", "x.a.test", "x.a.test"),
            ("*.a.test", "X.A.test", "X.A.test"),
            ("*.a.test", "a.test", nil), ("*.a.test", ".a.test", nil), ("*.a.test", "x.b.test", nil),
            ("*.a.test", "", nil), ("*-x.test", "a-x.test", "a-x.test"),
        ] as [(String, String, String?)])
    func namesForRequests(_ service: String, _ host: String, _ name: String?) throws {
        var model = RoutingModel()
        var own = ClusterModel(
            name: "c", service: service, serviceNamespace: "", subset: "", port: 80)
        own.resolution = .requestHost
        model.clusters = [own]
        let snapshot = try Snapshot(model: model, generation: 1, registry: Lanes.Registry())
        let cluster = snapshot.table.pointee.clusters[0]
        #expect(host.withView { cluster.pointee.name(for: $0)?.string } == name)
    }
}
