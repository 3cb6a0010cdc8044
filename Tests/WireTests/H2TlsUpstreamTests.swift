// HTTP/2 to upstreams inside TLS: what is agreed on, which names are asked for and checked, what is shared
// and kept, and what is said when it fails.
import TestSupport
import Testing

/// An edge before an upstream that speaks inside TLS and tells of its connections.
private final class SecureSite {
    let site: H2Site
    private let server: RunningProcess

    /// `alpn`: what the upstream speaks; `tls`, `pool`: of the DestinationRule.
    init(
        _ certificates: TestCertificates, alpn: String = "h2", protocol name: String = "HTTP2",
        tls: String? = nil, pool: String? = nil, options: [String] = []
    ) throws {
        let pair = try certificates.make("app", ["DNS:app.test", "DNS:other.test"])
        let (server, port) = try WireClients.start(
            "h2_tls_server", [pair.certificate, pair.key, alpn] + options)
        self.server = server
        let simple = "{mode: SIMPLE, caCertificates: \(certificates.authority)}"
        site = try H2Site([("/", name, port)], more: tlsRule(0, tls ?? simple, pool: pool))
    }

    deinit { server.signal(9) }

    /// The answer's body; head and body with `-i`.
    func ask(
        _ path: String = "/", host: String = "app.test", http2: Bool = false, _ more: [String] = []
    ) throws -> String {
        try Programs.curl(
            [http2 ? "--http2-prior-knowledge" : "--http1.1", "-H", "Host: \(host)"] + more
                + ["http://127.0.0.1:\(site.port)\(path)"])
    }

    func expectMetric(_ sample: String, _ value: Int) throws {
        try waitUntil("\(sample) to be \(value)") { try site.gauge(sample) == value }
    }
}

/// A DestinationRule for one of `H2Site`'s upstreams.
func tlsRule(_ index: Int, _ tls: String, pool: String? = nil) -> String {
    let pool = pool.map { "    connectionPool: \($0)\n" } ?? ""
    return """
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: app-\(index), namespace: shop}
        spec:
          host: app-\(index).test
          trafficPolicy:
            tls: \(tls)
        \(pool)
        """
}

@Suite(.timeLimit(.minutes(15)))
struct H2TlsUpstream {
    @Test func oneConnectionCarriesAll() throws {
        let secure = try SecureSite(TestCertificates())
        let files = try TemporaryDirectory()
        let body = try files.write("body", String(repeating: "x", count: 300_000))
        for http2 in [false, true, false, true] {
            let same = "sni=app.test connection=0 resumed=no alpn=h2"
            #expect(try secure.ask(http2: http2) == "\(same) body=0")
            let posted = try secure.ask(http2: http2, ["-H", "Expect:", "--data-binary", "@\(body)"])
            #expect(posted == "\(same) body=300000")
        }
        try secure.expectMetric("fairlead_tls_upstream_handshakes_total{kind=\"full\"}", 1)
    }

    /// What comes while the handshake is under way waits for it.
    @Test func manyAtOnceShareOneHandshake() throws {
        let secure = try SecureSite(TestCertificates())
        let loaded = try Programs.result([
            "h2load", "-n", "400", "-c", "4", "-m", "10", "-H", ":authority: app.test",
            "http://127.0.0.1:\(secure.site.port)/",
        ])
        #expect(loaded.stdout.contains("400 succeeded, 0 failed"), "\(loaded.stdout)\(loaded.stderr)")
        try secure.expectMetric("fairlead_tls_upstream_handshakes_total{kind=\"full\"}", 1)
        try secure.expectMetric("fairlead_tls_upstream_handshakes_total{kind=\"resumed\"}", 0)
    }

    /// The next connection is made when one is full.
    @Test func connectionsAreAddedByTheServersLimit() throws {
        let secure = try SecureSite(TestCertificates(), options: ["streams=2"])
        #expect(try secure.ask().contains(" connection=0 "))
        let loaded = try Programs.result([
            "h2load", "-n", "200", "-c", "1", "-m", "10", "-H", ":authority: app.test",
            "http://127.0.0.1:\(secure.site.port)/",
        ])
        #expect(loaded.stdout.contains("200 succeeded, 0 failed"), "\(loaded.stdout)\(loaded.stderr)")
        try waitUntil("more handshakes") {
            try secure.site.gauge("fairlead_tls_upstream_handshakes_total{kind=\"resumed\"}") >= 1
        }
    }

    /// Without `sni` each host has connections of its own, checked for its own name.
    @Test func aConnectionIsForOneName() throws {
        let secure = try SecureSite(TestCertificates())
        for _ in 0..<2 {
            for (number, host) in ["app.test", "other.test"].enumerated() {
                for http2 in [false, true] {
                    let said = try secure.ask(host: host, http2: http2)
                    #expect(said.hasPrefix("sni=\(host) connection=\(number) "), "\(said)")
                }
            }
        }
        for http2 in [false, true] {
            let refused = try secure.ask(host: "third.test", http2: http2, ["-i"])
            #expect(refused.hasPrefix("HTTP/\(http2 ? "2" : "1.1") 503"))
            #expect(refused.contains("x-fairlead-reason: upstream-connect"))
            #expect(refused.contains("TLS error: certificate verify failed: hostname mismatch"))
            #expect(refused.contains("DNS:app.test, DNS:other.test"), "\(refused)")
        }
    }

    @Test func aConfiguredNameServesAllHosts() throws {
        let certificates = try TestCertificates()
        let tls = "{mode: SIMPLE, caCertificates: \(certificates.authority), sni: other.test}"
        let secure = try SecureSite(certificates, tls: tls)
        for host in ["app.test", "third.test"] {
            #expect(try secure.ask(host: host).hasPrefix("sni=other.test connection=0 "))
        }
    }

    /// A server of HTTP/1.1 alone: it ignores ALPN, or names what it speaks, or refuses the handshake.
    @Test(arguments: ["-", "http/1.1", "refusing"])
    func whoDoesNotAgreeToHTTP2IsNamed(_ how: String) throws {
        let certificates = try TestCertificates()
        let secure = try SecureSite(certificates, alpn: how == "refusing" ? "h2" : how)
        var port = secure.site.port
        var sites: [H2Site] = [secure.site]
        var servers: [RunningProcess] = []
        defer { for server in servers { server.signal(9) } }
        if how == "refusing" {
            let own = try freeLoopbackPort()
            servers.append(
                try RunningProcess([
                    "openssl", "s_server", "-accept", "127.0.0.1:\(own)", "-alpn", "http/1.1", "-www",
                    "-cert", certificates.folder.file("app.crt"), "-key", certificates.folder.file("app.key"),
                ]))
            try servers[0].waitForLine("ACCEPT")
            let tls = "{mode: SIMPLE, caCertificates: \(certificates.authority)}"
            sites = [try H2Site([("/", "HTTP2", own)], more: tlsRule(0, tls))]
            port = sites[0].port
        }
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let answer = try Programs.curl(
                [version, "-i", "-H", "Host: app.test", "http://127.0.0.1:\(port)/"])
            #expect(answer.contains(" 503") && answer.contains("x-fairlead-reason: upstream-connect"))
            #expect(
                answer.contains("TLS error: the upstream did not agree to ALPN h2"), "\(answer)")
        }
        try waitUntil("it to be counted") {
            try sites[0].gauge("fairlead_tls_upstream_failures_total{reason=\"alpn\"}") >= 2
        }
    }

    /// GOAWAY: the next request goes by a new connection, which resumes the TLS session.
    @Test func connectionsEndAndAreMadeAnew() throws {
        let secure = try SecureSite(TestCertificates())
        for number in 0..<4 {
            let resumed = number == 0 ? "no" : "yes"
            let said = try secure.ask("/goaway", http2: number % 2 == 1)
            #expect(said == "sni=app.test connection=\(number) resumed=\(resumed) alpn=h2 body=0")
        }
    }

    /// `useClientProtocol`: a client's version is asked for.
    @Test func theClientsVersionIsOffered() throws {
        let secure = try SecureSite(
            TestCertificates(), alpn: "h2,http/1.1", protocol: "HTTP",
            pool: "{http: {useClientProtocol: true}}")
        for _ in 0..<2 {
            #expect(try secure.ask(http2: false).contains(" alpn=http/1.1 "))
            #expect(try secure.ask(http2: true).contains(" alpn=h2 "))
        }
    }

    /// `h2UpgradePolicy`, and a port that says nothing about HTTP/2.
    @Test(arguments: [("UPGRADE", "h2"), ("DO_NOT_UPGRADE", "http/1.1")])
    func portsOfHTTP1MayBeUpgraded(_ policy: String, _ expected: String) throws {
        let secure = try SecureSite(
            TestCertificates(), alpn: "h2,http/1.1", protocol: "HTTP",
            pool: "{http: {h2UpgradePolicy: \(policy)}}")
        for http2 in [false, true] {
            #expect(try secure.ask(http2: http2).contains(" alpn=\(expected) "))
        }
    }

    /// In TLS 1.3 a server refuses our certificate when the handshake is over for us.
    @Test func clientCertificates() throws {
        let certificates = try TestCertificates()
        try certificates.make("client", ["DNS:client.test"])
        let demands = ["clients=\(certificates.authority)"]
        let bare = try SecureSite(certificates, options: demands)
        for http2 in [false, true] {
            let refused = try bare.ask(http2: http2, ["-i"])
            #expect(refused.contains(" 503") && refused.contains("TLS error: "), "\(refused)")
            #expect(refused.contains("alert certificate required"), "\(refused)")
        }
        let own = certificates.folder.file("client")
        let tls = """
            {mode: MUTUAL, caCertificates: \(certificates.authority), clientCertificate: \(own).crt, \
            privateKey: \(own).key}
            """
        let mutual = try SecureSite(certificates, tls: tls, options: demands)
        #expect(try mutual.ask().contains(" alpn=h2 "))
    }

    /// Every kind of gRPC call over a TLS upstream.
    @Test func grpcCalls() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        let (server, port) = try WireClients.start("grpc_server", ["stable", pair.certificate, pair.key])
        defer { server.signal(9) }
        let tls = "{mode: SIMPLE, caCertificates: \(certificates.authority), sni: app.test}"
        let site = try H2Site([("/fairlead.test", "GRPC", port)], more: tlsRule(0, tls))
        let calls = [
            "unary", "empty", "large", "error", "unimplemented", "deadline", "cancel", "client-stream",
            "server-stream", "bidirectional", "parallel",
        ]
        let said = try WireClients.run("grpc_calls", ["\(site.port)"] + calls)
        #expect(said.split(separator: "\n").map(String.init) == calls.map { "\($0) ok" })
    }
}
