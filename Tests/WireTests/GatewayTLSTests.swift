// HTTPS listeners of the Gateway API with the certificates of Secrets (istio-semantics.md 21.7).
import TestSupport
import Testing

@Suite struct GatewayTLSTests {
    private static func secret(_ name: String, _ pair: TestCertificates.Pair) throws -> String {
        func indented(_ path: String) throws -> String {
            try TestCertificates.text(path).split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
        }
        return """
            apiVersion: v1
            kind: Secret
            metadata: {name: \(name), namespace: shop}
            type: kubernetes.io/tls
            stringData:
              tls.crt: |
            \(try indented(pair.certificate))
              tls.key: |
            \(try indented(pair.key))
            """
    }

    @Test func serverNamesChooseListenerAndRoutes() throws {
        let upstream = try puppet("v1")
        let certificates = try TestCertificates()
        let gateway = GatewayDocuments.edge(
            """
            - {name: a, port: 443, protocol: HTTPS, hostname: a.test, tls: {certificateRefs: [{name: a}]}}
            - {name: b, port: 443, protocol: HTTPS, hostname: "*.b.test", tls: {certificateRefs: [{name: b}]}}
            """)
        let site = try LaneSite(
            Documents.join([
                gateway, try Self.secret("a", certificates.make("a", ["DNS:a.test"])),
                try Self.secret("b", certificates.make("b", ["DNS:*.b.test"])),
                GatewayDocuments.service("v1", upstream.port),
                GatewayDocuments.route(
                    "all", host: "",
                    "- {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, "
                        + "requestRedirect: {}}]}\n- \(GatewayDocuments.to("v1"))"),
            ]), ports: [443])
        func curl(_ host: String, _ path: String, _ more: [String] = []) throws -> String {
            let port = site.port(443)
            return try Programs.curl(
                [
                    "-i", "--http1.1", "--resolve", "\(host):\(port):127.0.0.1", "--cacert",
                    certificates.authority,
                ]
                    + more + ["https://\(host):\(port)\(path)"])
        }
        for host in ["a.test", "x.b.test"] {
            #expect(try curl(host, "/").contains("x-upstream: v1\r\n"))
            #expect(try curl(host, "/moved").contains("location: https://\(host)/moved\r\n"))
        }
        // Inside a listener the Host decides, and another one's host is unknown there.
        #expect(try curl("a.test", "/", ["-H", "host: x.b.test"]).hasPrefix("HTTP/1.1 404"))
    }
}
