// Numbers that survive reloads, and what a snapshot keeps and gives back.
import Base
import Testing

@testable import Lanes

@Suite struct SnapshotTests {
    @Test func endpointNumbersSurviveAReload() throws {
        let registry = Registry()
        var first: Snapshot? = try Snapshot(model: model(), generation: 1, registry: registry)
        let id = try #require(first).table.pointee.clusters[0].pointee.endpoints[0].pointee.id
        var grown = model()
        grown.clusters[0].endpoints.append(EndpointModel(address: address(2)))
        let second = try Snapshot(model: grown, generation: 2, registry: registry)
        first = nil
        let endpoints = second.table.pointee.clusters[0].pointee.endpoints
        #expect(endpoints[0].pointee.id == id)
        #expect(endpoints[0].pointee.idGeneration == 0)
        #expect(endpoints[1].pointee.id != id)
        #expect(registry.endpointCapacity == 2)
    }

    @Test func aNumberComesBackWithAnotherGeneration() throws {
        let registry = Registry()
        var first: Snapshot? = try Snapshot(model: model(), generation: 1, registry: registry)
        let id = try #require(first).table.pointee.clusters[0].pointee.endpoints[0].pointee.id
        first = nil
        var other = model()
        other.clusters[0].endpoints[0].address = address(77)
        let second = try Snapshot(model: other, generation: 2, registry: registry)
        let endpoint = second.table.pointee.clusters[0].pointee.endpoints[0].pointee
        #expect(endpoint.id == id)
        #expect(endpoint.idGeneration == 1)
        #expect(registry.endpointCapacity == 1)
    }

    @Test func oneAddressInTwoClustersIsOneNumber() throws {
        let snapshot = try Snapshot(
            model: model(clusters: [cluster("a"), cluster("b")]), generation: 1,
            registry: Registry())
        let clusters = snapshot.table.pointee.clusters
        #expect(clusters[0].pointee.endpoints[0].pointee.id == clusters[1].pointee.endpoints[0].pointee.id)
        #expect(
            clusters[0].pointee.endpoints[0].pointee.labelsID
                != clusters[1].pointee.endpoints[0].pointee.labelsID)
    }

    @Test func aRefusedModelHoldsNothing() {
        let registry = Registry()
        var bad = model([forward("x", to: 5)])
        bad.clusters[0].endpoints[0].address = address(5)
        #expect(throws: TableError.self) { try Snapshot(model: bad, generation: 1, registry: registry) }
        let numbers = registry.acquire([EndpointKey(address: address(6), transport: 0)])
        // Nobody had a number before.
        #expect(numbers == [Registry.EndpointID(id: 0, generation: 0)])
    }

    @Test func labelsByIstiosRules() throws {
        var built = model(clusters: [cluster("auth.ns.svc.cluster.local", subset: "v1", port: 8080)])
        built.clusters[0].endpoints[0].workload = "auth-v1"
        built.clusters[0].endpoints[0].namespace = "pods"
        built.clusters[0].endpoints[0].labels = [
            "app": "auth", "version": "v1", "app.kubernetes.io/name": "n",
        ]
        let snapshot = try Snapshot(model: built, generation: 1, registry: Registry())
        let cluster = snapshot.table.pointee.clusters[0].pointee
        let labels = snapshot.registry.labels(cluster.endpoints[0].pointee.labelsID)
        #expect(labels.service == "auth.ns.svc.cluster.local")
        #expect(labels.serviceName == "auth")
        #expect(labels.serviceNamespace == "ns")
        #expect(labels.workload.workload == "auth-v1")
        #expect(labels.workload.namespace == "pods")
        #expect(labels.workload.version == "v1")
        #expect(labels.workload.app == "auth")
        #expect(labels.workload.canonicalService == "n")
        #expect(labels.workload.canonicalRevision == "v1")
        let none = snapshot.registry.labels(cluster.noEndpointLabelsID)
        #expect(none.workload == WorkloadLabels())
        #expect(none.service == labels.service)
        let passthrough = snapshot.registry.labels(snapshot.table.pointee.passthroughLabelsID)
        #expect(passthrough.serviceName == "PassthroughCluster")
    }

    @Test func theRegistryIsBounded() {
        let registry = Registry()
        for number in 0..<(Limits.metricLanes + 10) { _ = registry.laneID("lane-\(number)") }
        #expect(registry.laneCount == Limits.metricLanes)
        #expect(registry.laneID("one-more") == 0)
        #expect(registry.laneName(registry.laneID("lane-5")) == "lane-5")
        #expect(registry.laneName(UInt32.max) == "")
        #expect(registry.labels(UInt32.max) == DestinationLabels())
    }

    @Test func structsOfTheRequestPathStaySmall() {
        // An exchange keeps these: what grows here grows every request in flight.
        #expect(MemoryLayout<ResponsePlan>.size <= 128)
        #expect(MemoryLayout<Decision>.size <= 352)
        #expect(MemoryLayout<HeaderLevel>.size <= 56)
    }
}
