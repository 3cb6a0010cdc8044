// The examples under config/ load without a finding, and config/README.md tells the truth.
import TestSupport
import Testing

@testable import Config
@testable import Lanes

/// The repository's folder, two above this file's.
private let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

private func lines(of file: String) throws -> [Substring] {
    let bytes = try readBounded("\(root)/\(file)", limit: 1 << 20).get()
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
}

/// Cells of the table rows whose first cell is code.
private func rows(_ file: String) throws -> [[String]] {
    try lines(of: file).filter { $0.hasPrefix("| `") }.map { line in
        line.dropFirst().dropLast().split(separator: "|").map { $0.trimmed }
    }
}

@Test func theEdgeExample() throws {
    let result = load(paths: ["\(root)/config/edge"])
    #expect(result.findings.map(\.text) == [])
    let model = try #require(result.model)
    #expect(model.listeners.map { $0.address.text } == ["0.0.0.0:80"])
    let api = try #require(model.cluster("outbound|8080||api.shop.svc.cluster.local"))
    #expect(api.stableAddresses == ["10.1.0.2:8080"] && api.laneAddresses(0) == ["10.1.0.3:8080"])
}

@Test func theConnectionsExample() throws {
    let result = load(paths: ["\(root)/config/connections"])
    #expect(result.findings.map(\.text) == [])
    let listeners = try #require(result.model).listeners
    #expect(listeners.map { $0.address.port } == [443, 5_432])
    #expect(listeners.map(\.takesProxyHeader) == [true, false])
    #expect(listeners.map { $0.connections?.servers.count } == [1, 1])
    #expect(result.model?.cluster("outbound|443|v2|bank.shop.svc.cluster.local")?.proxyHeaderVersion == 2)
}

@Test func theSidecarExample() throws {
    let options = LoadOptions(proxy: "shop/api")
    let result = load(paths: ["\(root)/config/edge", "\(root)/config/sidecar"], options: options)
    #expect(result.findings.map(\.text) == [])
    #expect(result.model?.listeners.map(\.name) == ["outbound", "inbound/15006"])
    #expect(result.model?.proxy.memberOfLane == "new-basket")
}

@Test func theGatewayAPIExample() throws {
    let result = load(paths: ["\(root)/config/gateway-api", "\(root)/config/edge/services.yaml"])
    #expect(result.findings.map(\.text) == [])
    let model = try #require(result.model)
    let shop = try #require(model.host("shop.example.com", in: "http.80"))
    #expect(shop.routes.map(\.name) == ["api", "frontend"])
    let api = try #require(model.cluster("outbound|8080||api.shop.svc.cluster.local"))
    #expect(api.stableAddresses == ["10.1.0.2:8080"] && api.laneAddresses(0) == ["10.1.0.3:8080"])
}

/// Its certificates are the reader's own (TlsExampleTests serves it with some).
@Test func theTLSExample() {
    let result = load(paths: ["\(root)/config/tls"], options: LoadOptions(purpose: .check))
    let missing = result.findings.filter { $0.text.contains("warning [FL0050]") }
    #expect(result.findings.map(\.text) == missing.map(\.text))
    for name in ["edge.crt", "upstream-ca.crt"] {
        let words = "cannot read \(root)/config/tls/../\(name): "
        #expect(missing.contains { $0.text.contains(words) }, "\(name)")
    }
}

/// A new example comes with a test here.
@Test func everyExampleHasATest() {
    #expect(
        listFolder("\(root)/config") == [
            "README.md", "connections", "demo", "edge", "gateway-api", "ingress", "lua", "sidecar", "tls",
        ])
}

@Test func theIngressExample() throws {
    let result = load(paths: ["\(root)/config/ingress"])
    #expect(result.findings.map(\.text) == [])
    let snapshot = try Snapshot(model: try #require(result.model), generation: 1, registry: Lanes.Registry())
    func service(_ path: String, _ headers: [(String, String)]) -> String? {
        explain(snapshot, method: "GET", url: "http://shop.example.com\(path)", headers: headers)
            .destination?.service
    }
    #expect(service("/api/x", [("x-canary", "always")]) == "api-next.shop.svc.cluster.local")
    #expect(service("/api/x", [("cookie", "feature=new-basket")]) == "api-next.shop.svc.cluster.local")
    #expect(service("/api/x", [("x-canary", "never")]) == "api.shop.svc.cluster.local")
    #expect(service("/", [("x-canary", "always")]) == "web.shop.svc.cluster.local")
}

@Test func theScriptExample() throws {
    let result = load(paths: ["\(root)/config/lua"])
    // The pattern's query is text (trap 9), here too.
    #expect(result.findings.map(\.code) == ["FL0109"])
    let snapshot = try Snapshot(model: try #require(result.model), generation: 1, registry: Lanes.Registry())
    func subset(_ url: String, _ headers: [(String, String)] = []) -> String? {
        explain(snapshot, method: "GET", url: url, headers: headers).destination?.subset
    }
    #expect(subset("http://shop.example.com/?feature=new-basket") == "new-basket")
    #expect(subset("http://shop.example.com/", [("cookie", "x-feature=new-basket")]) == "new-basket")
    #expect(subset("http://shop.example.com/?feature=other") == "stable")
    #expect(subset("http://shop.example.com/") == "stable")
}

@Test func theDemoExampleHasNoErrors() {
    let result = load(paths: ["\(root)/config/demo"], options: LoadOptions(purpose: .check))
    #expect(result.findings.filter { $0.severity == .error }.map(\.text) == [])
}

/// Each example value of the field table is accepted, and a misspelled field would not be.
@Test func theFieldTableIsAccepted() throws {
    let fields = try rows("config/README.md").filter { $0.count == 4 }
    #expect(fields.count > 50)
    for field in fields {
        let kind = field[0].filter { $0 != "`" }
        let path = field[1].filter { $0 != "`" }.split(separator: ".")
        let example = field[2].filter { $0 != "`" }
        var spec = "{\(path.last!): \(example)}"
        for name in path.dropLast().reversed() { spec = "{\(name): \(spec)}" }
        if kind == "Proxy", path != ["role"] { spec = "{role: sidecar, " + spec.dropFirst() }
        let result = loadText(
            "apiVersion: fairlead.dev/v1alpha1\nkind: \(kind)\nmetadata: {name: a}\nspec: \(spec)\n",
            purpose: .check)
        let refused = result.findings.filter { $0.refused }.map(\.text)
        #expect(refused == [], "\(spec)")
    }
}

@Test func everyCodeIsInTheTable() throws {
    let inTable = Set(
        try rows("config/README.md").map { $0[0].filter { $0 != "`" } }.filter { $0.hasPrefix("FL") })
    let inCode = Set(
        try lines(of: "Sources/Config/Code.swift").compactMap { line -> String? in
            let parts = line.split(separator: "\"")
            return parts.count == 2 && parts[1].hasPrefix("FL") ? String(parts[1]) : nil
        })
    #expect(inTable == inCode)
}
