// Findings come as somebody reads the files: file by file as given, line by line, whatever phase found them
// and however bad they are.
import Testing

@testable import Config

@Suite struct FindingOrderTests {
    private static func source(_ file: String, _ text: String) -> SourceText {
        SourceText(file: file, bytes: Array(text.utf8))
    }

    /// An error of the analyzers, a warning of the reader behind it, and an error of the compiler.
    private static let text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: v, namespace: shop}
        spec:
          hosts: [any.test]
          http:
          - route: [{destination: {host: nowhere}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: d, namespace: shop}
        spec: {host: nothing, trafficPolicy: {outlierDetection: {consecutiveErrors: 3}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: g, namespace: shop}
        spec:
          selector: {}
          servers:
          - port: {number: 443, name: h, protocol: HTTPS}
            hosts: ["*"]
            tls: {mode: SIMPLE, credentialName: c}
        """

    @Test func byFileAndLine() throws {
        let proxy = "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: e, namespace: shop}\n"
        let sources = Sources(texts: [
            Self.source("z.yaml", Self.text), Self.source("a.yaml", proxy + "spec: {role: edge, no: 1}"),
            Self.source("m.yaml", Self.text.replacing("name: v,", with: "name: w,")),
        ])
        let findings = load(sources, options: LoadOptions(purpose: .check)).findings
        let places = findings.map { (["z.yaml", "a.yaml", "m.yaml"].firstIndex(of: $0.file) ?? -1, $0.line) }
        #expect(places.count > 6 && Set(places.map(\.0)) == [0, 1, 2])
        #expect(zip(places, places.dropFirst()).allSatisfy { $0 <= $1 }, "\(findings.map(\.text))")
        // Not by how bad they are.
        let first = findings.filter { $0.file == "z.yaml" }.map(\.severity)
        #expect(first.contains(.warning) && first != first.filter { $0 == .error } + [.warning])
        let json = renderCheck(findings, json: true)
        let z = try #require(json.range(of: "z.yaml")), a = try #require(json.range(of: "a.yaml"))
        #expect(z.lowerBound < a.lowerBound)
    }

    @Test func whatIsSaidOfOneLineStays() {
        func finding(_ file: String, _ line: Int, _ message: String) -> Finding {
            Finding(.error, "X", message, file: file, line: line)
        }
        let given = [
            finding("b", 2, "1"), finding("a", 9, "2"), finding("b", 2, "0"), finding("a", 0, "3"),
            finding("gone", 0, "4"), finding("b", 1, "5"),
        ]
        #expect(inReadingOrder(given, files: ["b", "a"]).map(\.message) == ["4", "5", "1", "0", "3", "2"])
    }
}
