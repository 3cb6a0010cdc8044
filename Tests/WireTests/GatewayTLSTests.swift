// HTTPS listeners of the Gateway API with the certificates of Secrets (istio-semantics.md 21.7).
import TestSupport
import Testing

@Suite struct GatewayTLSTests {
    @Test func serverNamesChooseListenerAndRoutes() throws {
        let upstream = try puppet("v1")
        defer { withExtendedLifetime(upstream) {} }
        let certificates = try TestCertificates()
        let gateway = GatewayDocuments.edge(
            """
            - {name: a, port: 443, protocol: HTTPS, hostname: a.test, tls: {certificateRefs: [{name: a}]}}
            - {name: b, port: 443, protocol: HTTPS, hostname: "*.b.test", tls: {certificateRefs: [{name: b}]}}
            """)
        let site = try LaneSite(
            Documents.join([
                gateway, try GatewayDocuments.secret("a", certificates.make("a", ["DNS:a.test"])),
                try GatewayDocuments.secret("b", certificates.make("b", ["DNS:*.b.test"])),
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
        // Inside a listener the Host decides; another one's host wants a connection of its own.
        for (name, host, status) in [
            ("a.test", "x.b.test", 421), ("x.b.test", "a.test", 421), ("x.b.test", "y.b.test", 200),
            ("a.test", "c.test", 404),
        ] {
            let answer = try curl(name, "/", ["-H", "host: \(host)"])
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(name) \(host): \(answer)")
        }
    }
}
