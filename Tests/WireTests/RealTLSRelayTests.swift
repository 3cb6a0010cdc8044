// Relayed TLS with programs that others wrote: openssl's server behind a PASSTHROUGH port and behind CONNECT,
// curl in front, which checks that the certificate is the server's own.
import TestSupport
import Testing

/// `openssl s_server` with a certificate of its own for a name.
private struct TLSServer {
    let process: RunningProcess
    let port: UInt16
    /// The certificate, which is its own authority.
    let certificate: String

    init(_ name: String, in folder: TemporaryDirectory) throws {
        let (key, certificate) = (folder.file("\(name).key"), folder.file("\(name).pem"))
        let made = try Programs.result([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:\(name)", "-keyout", key,
            "-out", certificate,
        ])
        guard made.exit == 0 else { throw TestFailure(made.stderr) }
        self.certificate = certificate
        port = try freeLoopbackPort()
        // -www answers each request with a page about the connection.
        process = try RunningProcess([
            "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", certificate, "-key", key, "-www",
        ])
        let port = port
        try waitUntil("openssl to listen") { (try? RawConnection(port: port)) != nil }
    }
}

@Suite struct RealTLSRelayTests {
    private func entry(_ host: String, _ port: UInt16) -> String {
        serviceEntry(host, port: 443, protocol: "TLS", endpoints: [port])
    }

    private func routes(_ hosts: String...) -> String {
        let entries = hosts.map {
            "{match: [{sniHosts: [\($0)]}], route: [{destination: {host: \($0)}}]}"
        }
        return """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: tls, namespace: shop}
            spec:
              hosts: ["*.test"]
              gateways: [public]
              tls: [\(entries.joined(separator: ", "))]
            """
    }

    /// The server name is the target: a port and a subset of a service of the mesh that the hosts cover.
    @Test func serverNamesThatAreTargets() throws {
        let folder = try TemporaryDirectory()
        let one = try TLSServer("one.test", in: folder)
        let site = try LaneSite(
            Documents.join([
                edgeGateway(servers: [
                    """
                    port: {number: 443, name: tls, protocol: TLS}
                    bind: 127.0.0.1
                    hosts: ["*.test"]
                    tls: {mode: AUTO_PASSTHROUGH}
                    """
                ]),
                entry("one.test", one.port), entry("two.other", one.port),
                entry("far.test", one.port).replacing("MESH_INTERNAL", with: "MESH_EXTERNAL"),
                """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: one, namespace: shop}
                spec: {host: one.test, subsets: [{name: v1}]}
                """,
            ]), ports: [443])
        func connect(_ name: String) throws -> String {
            try Programs.result(
                [
                    "openssl", "s_client", "-connect", "127.0.0.1:\(site.port(443))", "-servername", name,
                    "-CAfile", one.certificate, "-verify_hostname", "one.test", "-brief",
                ]).stderr
        }
        for name in ["outbound_.443_._.one.test", "outbound_.443_.v1_.one.test"] {
            #expect(try connect(name).contains("Verification: OK"), "\(name)")
        }
        for name in [
            "one.test", "outbound_.80_._.one.test", "outbound_.443_.v2_.one.test",
            "outbound_.443_._.two.other", "outbound_.443_._.far.test",
        ] {
            #expect(try !connect(name).contains("Verification: OK"), "\(name)")
        }
    }

    @Test func certificatesAreTheServersOwn() throws {
        let folder = try TemporaryDirectory()
        let one = try TLSServer("one.test", in: folder)
        let two = try TLSServer("two.test", in: folder)
        let site = try LaneSite(
            Documents.join([
                edgeGateway(servers: [
                    """
                    port: {number: 443, name: tls, protocol: HTTPS}
                    bind: 127.0.0.1
                    hosts: ["*.test"]
                    tls: {mode: PASSTHROUGH}
                    """
                ]),
                routes("one.test", "two.test"), entry("one.test", one.port), entry("two.test", two.port),
            ]), ports: [443])
        for (name, server) in [("one.test", one), ("two.test", two)] {
            for version in ["--tlsv1.3", "--tls-max"] {
                let page = try Programs.curl(
                    [
                        "--connect-to", "\(name):443:127.0.0.1:\(site.port(443))", "--cacert",
                        server.certificate,
                    ]
                        + (version == "--tls-max" ? [version, "1.2"] : [version]) + ["https://\(name)/"])
                #expect(page.contains("s_server"), "\(page)")
            }
        }
        // The name alone decides: the other server's certificate is not for it.
        let wrong = try Programs.result([
            "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "20", "--connect-to",
            "one.test:443:127.0.0.1:\(site.port(443))", "--cacert", two.certificate, "https://one.test/",
        ])
        #expect(wrong.exit == 60, "\(wrong)")
    }

    @Test func aTunnelIsNamedByItsServerName() throws {
        let folder = try TemporaryDirectory()
        let server = try TLSServer("bank.test", in: folder)
        let site = try LaneSite(
            Documents.join([
                Documents.sidecar("lane: foo", labels: "{app: caller}"),
                Documents.policy("pin: {maxAge: 1h}"),
                Documents.service("app.test", [(server.port, "{version: stable}")]),
                Documents.lane("foo", "app.test", [server.port]),
            ]), ports: [15_001], arguments: ["--access-log", "-"])
        let page = try Programs.curl([
            "-x", "http://127.0.0.1:\(site.port(15_001))", "--connect-to",
            "bank.test:443:127.0.0.1:\(server.port)", "--cacert", server.certificate, "https://bank.test/",
        ])
        #expect(page.contains("s_server"), "\(page)")
        try waitUntil("the event under the server's name") {
            try site.metric(
                "fairlead_lane_lost_total", "reason=\"opaque-tls\"", "service=\"bank.test\"", "lane=\"foo\"")
                == 1
        }
        try waitUntil("its log line") { site.process.stderr.contains("service=bank.test") }
        try waitUntil("the name in the access log") { site.process.stdout.contains(" bank.test ") }
    }

    @Test func curlSpeaksThePROXYProtocol() throws {
        let upstream = try EchoUpstream("app")
        let proxy = try HttpProxy(to: [upstream.port], spec: ["proxyProtocol: {}"])
        let answer = try Programs.curl([
            "--haproxy-protocol", "-H", "Host: app.test", "http://127.0.0.1:\(proxy.port)/",
        ])
        #expect(answer.contains("x-forwarded-for: 127.0.0.1"), "\(answer)")
    }
}
