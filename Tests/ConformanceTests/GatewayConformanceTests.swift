// The exchanges of the Gateway API's own conformance suite against the built program, where its manifests
// and a list of its exchanges are at hand (Corpus says where). They are not part of this repository;
// GatewayAPITests in WireTests covers the same semantics with documents of its own, always.
import Glibc
import TLS
import TestSupport
import Testing

@testable import Config

/// What is not run, and why: the table of this folder's README.md.
private struct NotRun {
    var test: String
    /// Positions from 0; nil: all of them.
    var exchanges: Set<Int>?
    var reason: String

    static func read() throws -> [NotRun] {
        let path = "/" + "\(#filePath)".split(separator: "/").dropLast().joined(separator: "/") + "/README.md"
        let text = String(decoding: try readBounded(path, limit: 1 << 20).get(), as: UTF8.self)
        return try Corpus.rows(text).map { cells in
            try #require(cells.count == 3, "\(cells)")
            let positions = cells[1].split(separator: " ").compactMap { Int($0) }
            #expect(cells[1] == "all" || !positions.isEmpty, "\(cells)")
            return NotRun(
                test: cells[0], exchanges: cells[1] == "all" ? nil : Set(positions), reason: cells[2])
        }
    }
}

/// Where the suite changes the client's place in between.
private func place(_ test: String, _ position: Int, _ values: [String: String]) -> (UInt16, String?) {
    if let name = values["serverName"] { return (443, name) }
    switch test {
    case "HTTPRouteRedirectPortAndScheme":
        return position < 6 ? (80, nil) : position < 9 ? (8080, nil) : (443, "example.org")
    case "BackendTLSPolicy": return position == 0 ? (443, "https-listener.org") : (80, nil)
    case "GatewayFrontendInvalidDefaultClientCertificateValidation":
        return position == 0 ? (80, nil) : (443, "example.org")
    case "GatewayFrontendClientCertificateValidation":
        return position < 2 ? (443, "example.org") : (8443, "second-example.org")
    default: return (80, nil)
    }
}

/// What a client of TLS shows: the right certificate on each port first, then the other one's.
private func certificate(_ test: String, _ position: Int) throws -> TLSClientContext? {
    guard test == "GatewayFrontendClientCertificateValidation" else { return nil }
    return try ConformanceCertificates.shared.get().client(ofPort: position == 1 || position == 2)
}

private func client(_ test: String, _ position: Int) -> String {
    test == "MeshConsumerRoute" && position == 0
        ? "gateway-conformance-mesh-consumer" : "gateway-conformance-mesh"
}

@Suite struct GatewayConformanceTests {
    private static let folder =
        getenv("FAIRLEAD_GATEWAY_CORPUS").map { String(cString: $0) }
        ?? Corpus.folder("gateway-api-conformance")

    /// The list of what is not run is one whatever is at hand.
    @Test func theListIsWellFormed() throws {
        let list = try NotRun.read()
        #expect(!list.isEmpty)
        #expect(Set(list.map(\.test)).count == list.count, "a test stands there twice")
        for entry in list {
            #expect(entry.reason.count > 10, "\(entry.test) has no reason")
            #expect(
                entry.exchanges != nil
                    || (ConformanceLoops.rounds[entry.test] == nil
                        && ConformanceConnections.expected[entry.test] == nil),
                "\(entry.test) is run and listed")
        }
        if Self.folder == nil {
            print("the conformance suite's manifests are not in \(Corpus.place): no exchange is run")
        }
    }

    @Test(.enabled(if: folder != nil, "no gateway-api-conformance folder beside the project"))
    func exchanges() throws {
        let folder = try #require(Self.folder)
        let list = try Manifest.read("\(folder)/EXPECTATIONS.yaml")
        let tests = try #require(list.first?.node["tests"]).elements
        let notRun = Dictionary(uniqueKeysWithValues: try NotRun.read().map { ($0.test, $0) })
        let names = Set(tests.compactMap { $0["test"]?.text })
        let described = Set(ConformanceLoops.rounds.keys).union(ConformanceConnections.expected.keys)
        for name in described.union(notRun.keys).union(ConformanceLoops.failing.keys) {
            #expect(names.contains(name), "the suite has no test \(name)")
        }
        var ran = 0
        var left = 0
        for test in tests {
            let name = test["test"]?.text ?? ""
            let all = test["exchanges"]?.elements.count ?? 0
            if let entry = notRun[name], entry.exchanges == nil {
                left += all
                continue
            }
            let skipped = notRun[name]?.exchanges ?? []
            #expect(skipped.allSatisfy { $0 < all }, "\(name) has \(all) exchanges")
            left += skipped.count
            ran += try run(test, folder, skipped)
        }
        let whole = tests.map { $0["exchanges"]?.elements.count ?? 0 }.reduce(0, +)
        #expect(ran + left == whole)
        print("\(ran) of \(whole) exchanges run, \(left) listed with the reason")
    }

    /// Runs one test's exchanges; returns how many.
    private func run(_ test: YAML, _ folder: String, _ skipped: Set<Int>) throws -> Int {
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
        for (position, node) in (test["exchanges"]?.elements ?? []).enumerated()
        where !skipped.contains(position) {
            let client = isMesh ? client(name, position) : nil
            let site =
                try sites[client ?? ""] ?? ConformanceSite(manifests, gateways: gateways, client: client)
            sites[client ?? ""] = site
            count += 1
            if let listeners = ConformanceConnections.expected[name] {
                for wanted in listeners {
                    let problem = try ConformanceConnections.problem(site, wanted)
                    #expect(problem == nil, "\(name)")
                }
                continue
            }
            let pod = ["<http.Ipv6SafeHost(v2.Address)>:8080": "127.0.0.1:\(site.podPort("echo-v2"))"]
            for values in ConformanceLoops.rounds[name] ?? [pod] {
                let (port, serverName) = place(name, position, values)
                let exchange = ConformanceExchange(
                    node: ConformanceLoops.fill(node, values), isMesh: isMesh,
                    port: isMesh ? 15_001 : port, serverName: serverName,
                    context: try certificate(name, position),
                    mustFail: ConformanceLoops.failing[name]?.contains(position) ?? false)
                #expect(try exchange.problem(site) == nil, "\(name), exchange \(position) \(values)")
            }
        }
        return count
    }
}
