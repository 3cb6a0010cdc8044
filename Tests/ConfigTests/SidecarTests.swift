// What a sidecar's tables hold.
import Testing

@testable import Config
@testable import Lanes

@Test func serviceWithoutVirtualServiceHasOneDefaultRoute() throws {
    let model = try modelOf(sidecarProxy + service("auth", network: 1))
    let host = try #require(model.host("auth", in: "8080"))
    #expect(
        host.domains == [
            "auth.shop.svc.cluster.local", "auth.shop.svc.cluster.local.", "auth.shop", "auth.shop.svc", "auth",
            "10.96.0.1",
        ])
    #expect(host.routes.map(\.name) == ["default"])
    #expect(host.routes[0].targets == ["outbound|8080||auth.shop.svc.cluster.local"])
    let cluster = try #require(model.cluster("outbound|8080||auth.shop.svc.cluster.local"))
    #expect(cluster.addresses == ["10.0.1.1:8080", "10.0.1.2:8080"])
    #expect(cluster.endpoints.map { $0.labels["version"] } == ["v1", "v2"])
    #expect(cluster.stable == [0, 1])
    // A Host without a port finds the only HTTP port of a service that has no port 80.
    #expect(model.host("auth", in: "80")?.routes.first?.targets == host.routes[0].targets)
}
