// The exchanges of the Gateway API's own conformance suite against the built program, where its manifests
// and a list of its exchanges are at hand: FAIRLEAD_GATEWAY_CORPUS names the folder. They are not part of
// this repository; GatewayAPITests in WireTests covers the same semantics with documents of its own,
// always.
import Glibc
import TestSupport
import Testing

@testable import Config

/// What cannot run, and why. Everything else must pass.
private let excluded: [String: String] = {
    var reasons: [String: String] = [:]
    func note(_ reason: String, _ tests: String...) { for test in tests { reasons[test] = reason } }
    note(
        "TLS to backends, from BackendTLSPolicy or Gateway.spec.tls", "BackendTLSPolicyGRPCRoute",
        "BackendTLSPolicyInvalidCACertificateRef", "BackendTLSPolicyInvalidKind",
        "BackendTLSPolicyTLSRouteTerminate", "BackendTLSPolicy", "GatewayTLSBackendClientCertificate")
    note(
        "HTTPS listeners; the certificates are made by the suite while it runs",
        "GatewayFrontendInvalidDefaultClientCertificateValidation",
        "GatewayFrontendClientCertificateValidation", "HTTPRouteHTTPSListener",
        "HTTPRouteHTTPSListenerDetectMisdirectedRequests")
    note(
        "gRPC over HTTP/2", "GRPCExactMethodMatching", "GRPCRouteNamedRule", "GRPCRouteRequestHeaderModifier",
        "MeshGRPCRouteWeight")
    note("h2c with prior knowledge", "HTTPRouteBackendProtocolH2C")
    note("mirrors", "HTTPRouteRequestMultipleMirrors")
    note(
        "ListenerSet", "ListenerSetAllowedRoutesNamespaces", "ListenerSetDualParentRefIndependence",
        "ListenerSetGatewayParentSectionNameNotFound")
    note(
        "connections, not requests: GatewayRelayTests has the like; UDP is not spoken",
        "TCPRouteParentRefAttachAll",
        "TCPRouteParentRefPortAndSectionName", "TLSRouteMixedTerminationSameNamespace",
        "TLSRouteSimpleSameNamespace", "UDPRouteParentRefAttachAllListeners",
        "UDPRouteParentRefPortAndSectionName")
    note(
        "the Service is told by the address the client connects to, which an explicit proxy does not see",
        "MeshFrontendHostname")
    note("its path is a placeholder that the suite fills in", "HTTPRouteServiceTypes")
    return reasons
}()

/// Single exchanges, by position: of Gateways beside the first, of a pod's address.
private func isSkipped(_ test: String, _ position: Int) -> Bool {
    switch test {
    // From the tenth on they are for the HTTPS listener.
    case "HTTPRouteRedirectPortAndScheme": position >= 9
    // The second is for the pod's own address, which is known inside a cluster only.
    case "MeshFrontend": position == 1
    default: false
    }
}

/// Where the suite changes the client's place in between.
private func port(_ test: String, _ position: Int) -> UInt16 {
    test == "HTTPRouteRedirectPortAndScheme" && (6..<9).contains(position) ? 8080 : 80
}

private func client(_ test: String, _ position: Int) -> String {
    test == "MeshConsumerRoute" && position == 0
        ? "gateway-conformance-mesh-consumer" : "gateway-conformance-mesh"
}

@Suite struct GatewayConformanceTests {
    private static let folder = getenv("FAIRLEAD_GATEWAY_CORPUS").map { String(cString: $0) }

    @Test(.enabled(if: folder != nil, "FAIRLEAD_GATEWAY_CORPUS names no folder"))
    func exchanges() throws {
        let folder = try #require(Self.folder)
        let list = try Manifest.read("\(folder)/EXPECTATIONS.yaml")
        let tests = try #require(list.first?.node["tests"]).elements
        let names = Set(tests.compactMap { $0["test"]?.text })
        #expect(names.isSuperset(of: excluded.keys), "\(Set(excluded.keys).subtracting(names))")
        var ran = 0
        for test in tests where excluded[test["test"]?.text ?? ""] == nil { ran += try run(test, folder) }
        print("\(ran) exchanges of \(tests.count - excluded.count) tests; not run: \(excluded.count) tests")
        #expect(ran > 150)
    }

    /// Runs one test's exchanges; returns how many.
    private func run(_ test: YAML, _ folder: String) throws -> Int {
        let name = test["test"]?.text ?? ""
        let isMesh = name.hasPrefix("Mesh")
        var manifests = try Manifest.read("\(folder)/\(isMesh ? "mesh" : "base")/manifests.yaml")
        var own: [Manifest] = []
        for path in test["manifests"]?.strings ?? [] {
            // One of a test's two manifests is not in every copy of the suite.
            guard access("\(folder)/\(path)", R_OK) == 0 else { continue }
            own += try Manifest.read("\(folder)/\(path)")
        }
        manifests += own
        let parents = own.flatMap { $0.node["spec"]?["parentRefs"]?.elements ?? [] }
        let gateways = Set(parents.compactMap { $0["name"]?.text } + (test["gateways"]?.strings ?? []))
        var sites: [String: ConformanceSite] = [:]
        var count = 0
        for (position, node) in (test["exchanges"]?.elements ?? []).enumerated() {
            if isSkipped(name, position) { continue }
            let place = isMesh ? client(name, position) : ""
            let site =
                try sites[place]
                ?? ConformanceSite(manifests, gateways: gateways, client: isMesh ? place : nil)
            sites[place] = site
            let exchange = ConformanceExchange(node: node, isMesh: isMesh)
            let problem = try exchange.problem(site, port: isMesh ? 15_001 : port(name, position))
            #expect(problem == nil, "\(name), exchange \(position)")
            count += 1
        }
        return count
    }
}
