// TLS with upstreams: what is checked of their certificates and what is said when a check fails, client
// certificates, names, sessions, pools.
import TLS
import TestSupport
import Testing

/// An upstream behind TLS that answers each request with a fixed body and keeps what it was asked.
final class SecureUpstream: Sendable {
    let listener: RawUpstream
    var port: UInt16 { listener.port }
    private let acceptor: TLSAcceptor

    /// `clients`: PEM of the authority that client certificates must come from.
    init(
        _ pair: TestCertificates.Pair, clients: String? = nil, minVersion: TLSVersion = .v1_2,
        maxVersion: TLSVersion = .v1_3, ciphers: [String] = [],
        serve: @escaping @Sendable (TLSPeer) throws -> Void = { try SecureUpstream.answer($0) }
    ) throws {
        var settings = TLSServerContext.Settings()
        settings.tls.minVersion = minVersion
        settings.tls.maxVersion = maxVersion
        settings.tls.ciphers = ciphers
        settings.identities = [
            try TLSIdentity(
                certificate: readFile(pair.certificate) ?? [], key: readFile(pair.key) ?? [])
        ]
        if let clients {
            settings.clients = .required
            settings.authorities = readFile(clients) ?? []
        }
        let acceptor = try TLSAcceptor([(["*"], TLSServerContext(settings))])
        self.acceptor = acceptor
        listener = try RawUpstream { connection, _ in
            guard let peer = try? TLSPeer.server(connection, acceptor) else { return }
            try? serve(peer)
        }
    }

    /// Says on each request which connection it is, by SNI and whether it was resumed.
    static func answer(_ peer: TLSPeer) throws {
        while true {
            _ = try peer.receive(through: "\r\n\r\n")
            let body = "sni=\(peer.stream.serverName.string) resumed=\(peer.stream.isResumed)"
            try peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(15)))
struct TlsUpstreamTests {
    private static let server = """
        hosts: ["*"]
        tls: {mode: SIMPLE, serverCertificate: ../edge.crt, privateKey: ../edge.key}
        """

    private static func site(
        _ certificates: TestCertificates, to upstream: UInt16, _ tls: String, spec: [String] = []
    ) throws -> TlsSite {
        try certificates.make("edge", ["DNS:edge.test"])
        return try TlsSite(
            upstream: 1, secure: upstream, servers: [server], documents: TlsSite.rule(tls), spec: spec,
            certificates: certificates)
    }

    @Test func namesAndSessions() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test", "DNS:other.test"])
        let upstream = try SecureUpstream(pair) { peer in
            _ = try peer.receive(through: "\r\n\r\n")
            let body = "sni=\(peer.stream.serverName.string) resumed=\(peer.stream.isResumed)"
            try peer.send(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
            try peer.sayGoodbye()
        }
        let site = try Self.site(certificates, to: upstream.port, "{mode: SIMPLE, caCertificates: ../ca.crt}")
        // The Host is the name that is asked for and that the certificate must have; each its own session.
        #expect(try site.curl("app.test", "/tls", ["-k"]) == "sni=app.test resumed=false")
        #expect(try site.curl("app.test", "/tls", ["-k"]) == "sni=app.test resumed=true")
        #expect(try site.curl("other.test", "/tls", ["-k"]) == "sni=other.test resumed=false")
        try site.expectMetric("fairlead_tls_upstream_handshakes_total{kind=\"resumed\"}", atLeast: 1)
        let refused = try site.curl("third.test", "/tls", ["-k", "-i"])
        #expect(refused.hasPrefix("HTTP/1.1 503"))
        #expect(refused.contains("x-fairlead-reason: upstream-connect"))
        #expect(
            refused.contains("TLS error: certificate verify failed: hostname mismatch; certificate CN=app"))
        #expect(refused.contains("DNS:app.test, DNS:other.test"), "\(refused)")
        try site.waitForLog(
            "UF,URX upstream_reset_before_response_started{remote_connection_failure|TLS_error:_certificate"
        )
        try site.waitForLog("- \"TLS_error:_cert")
    }

    @Test func aPooledConnectionServesOneNameOnly() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test", "DNS:other.test"])
        let upstream = try SecureUpstream(pair)
        let site = try Self.site(certificates, to: upstream.port, "{mode: SIMPLE, caCertificates: ../ca.crt}")
        for _ in 0..<2 {
            #expect(try site.curl("app.test", "/tls", ["-k"]).hasPrefix("sni=app.test"))
            #expect(try site.curl("other.test", "/tls", ["-k"]).hasPrefix("sni=other.test"))
        }
        #expect(upstream.listener.connections == 2)
    }

    @Test func eachFailedCheckIsNamed() throws {
        let certificates = try TestCertificates()
        let strangers = try TestCertificates("Another CA")
        let good = try certificates.make("app", ["DNS:app.test"])
        let untrusted = try strangers.make("untrusted", ["DNS:app.test"])
        let expired = try certificates.make("expired", ["DNS:app.test"], days: -1)
        let simple = "{mode: SIMPLE, caCertificates: ../ca.crt, sni: app.test}"
        let cases: [(TestCertificates.Pair, String, String)] = [
            (untrusted, simple, "unable to get local issuer certificate"),
            (expired, simple, "certificate has expired"),
            (
                good, "{mode: SIMPLE, caCertificates: ../ca.crt, sni: wrong.test}",
                "hostname mismatch; certificate CN=app for DNS:app.test"
            ),
            (
                good, "{mode: SIMPLE, caCertificates: ../ca.crt, subjectAltNames: [b.test, spiffe://x]}",
                "none of the names b.test, spiffe://x is in the certificate; certificate CN=app"
            ),
        ]
        for (pair, tls, text) in cases {
            let upstream = try SecureUpstream(pair)
            let site = try Self.site(certificates, to: upstream.port, tls)
            let answer = try site.curl("edge.test", "/tls", ["-i"])
            #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
            #expect(answer.contains(text), "\(answer)")
            try site.expectMetric("fairlead_tls_upstream_failures_total{reason=\"certificate\"}", atLeast: 1)
        }
        // What skips the checks gets through to all of them.
        for pair in [untrusted, expired] {
            let upstream = try SecureUpstream(pair)
            let site = try Self.site(
                certificates, to: upstream.port, "{mode: SIMPLE, insecureSkipVerify: true, sni: wrong.test}")
            #expect(try site.curl("edge.test", "/tls") == "sni=wrong.test resumed=false")
        }
    }

    @Test func alternativeNamesAreEnough() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["URI:spiffe://mesh/ns/shop/sa/app", "DNS:*.app.test"])
        for names in ["'spiffe://mesh/ns/shop/sa/app'", "x.app.test", "'spiffe://mesh/*'"] {
            let upstream = try SecureUpstream(pair)
            let site = try Self.site(
                certificates, to: upstream.port,
                "{mode: SIMPLE, caCertificates: ../ca.crt, sni: any.test, subjectAltNames: [\(names)]}")
            #expect(try site.curl("edge.test", "/tls").hasPrefix("sni=any.test"), "\(names)")
        }
    }

    @Test func versionsCiphersAndOtherProtocols() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        let simple = "{mode: SIMPLE, caCertificates: ../ca.crt, sni: app.test}"
        let old = try SecureUpstream(pair, minVersion: .v1_0, maxVersion: .v1_1)
        let odd = try SecureUpstream(pair, maxVersion: .v1_2, ciphers: ["ECDHE-ECDSA-AES128-SHA"])
        let plain = try RawUpstream { connection, _ in
            _ = try? connection.receive()
            try? connection.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        }
        let silent = try RawUpstream { connection, _ in _ = try? connection.receive() }
        let cases: [(UInt16, String)] = [
            (old.port, "protocol version"), (odd.port, "handshake failure"),
            (plain.port, "wrong version number"), (silent.port, "the upstream closed the connection"),
        ]
        for (port, text) in cases {
            let site = try Self.site(certificates, to: port, simple)
            let answer = try site.curl("edge.test", "/tls", ["-i"])
            #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
            #expect(answer.contains("TLS error: ") && answer.contains(text), "\(text): \(answer)")
        }
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func clientCertificates(_ version: TLSVersion) throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        try certificates.make("client", ["DNS:client.test"])
        let upstream = try SecureUpstream(pair, clients: certificates.authority, maxVersion: version)
        let mutual = """
            {mode: MUTUAL, caCertificates: ../ca.crt, sni: app.test, clientCertificate: ../client.crt, \
            privateKey: ../client.key}
            """
        let site = try Self.site(certificates, to: upstream.port, mutual)
        #expect(try site.curl("edge.test", "/tls").hasPrefix("sni=app.test"))
        // Without a certificate the peer's alert is what is told, also where it comes after the handshake.
        let bare = try Self.site(
            certificates, to: upstream.port, "{mode: SIMPLE, caCertificates: ../ca.crt, sni: app.test}")
        let answer = try bare.curl("edge.test", "/tls", ["-i"])
        #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
        let alert = version == .v1_3 ? "certificate required" : "handshake failure"
        #expect(answer.contains("alert \(alert)"), "\(answer)")
        try bare.waitForLog("alert_\(alert.replacing(" ", with: "_"))")
    }

    @Test func theMeshIdentity() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["URI:spiffe://mesh/ns/shop/sa/app"])
        try certificates.make("own", ["URI:spiffe://mesh/ns/shop/sa/edge"])
        let upstream = try SecureUpstream(pair, clients: certificates.authority)
        let site = try Self.site(
            certificates, to: upstream.port, "{mode: ISTIO_MUTUAL}",
            spec: ["identity: {certificate: ../own.crt, privateKey: ../own.key, ca: ../ca.crt}"])
        #expect(try site.curl("edge.test", "/tls").hasPrefix("sni=outbound_.8443_._.app.test "))
    }

    /// Without an identity nothing is said in plain text that was to be encrypted.
    @Test func withoutAMeshIdentityConnectionsFail() throws {
        let certificates = try TestCertificates()
        let upstream = try EchoUpstream("app")
        let site = try Self.site(certificates, to: upstream.port, "{mode: ISTIO_MUTUAL}")
        let answer = try site.curl("edge.test", "/tls", ["-i"])
        #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
        #expect(answer.contains("x-fairlead-reason: upstream-connect"), "\(answer)")
        #expect(answer.contains("TLS error: ISTIO_MUTUAL without Proxy.spec.identity"), "\(answer)")
        #expect(upstream.requests.isEmpty)
        #expect(site.process.stderr.contains("warning [FL0053]"))
        try site.waitForLog("\"TLS_error:_ISTIO_MUTUAL_without_Proxy.spec.identity\"")
        let explained = try Programs.result([
            Programs.fairlead(), "explain", site.folder.file("conf"), "https://edge.test/tls",
        ])
        #expect(
            explained.stdout.contains("ISTIO_MUTUAL without Proxy.spec.identity: connections fail"),
            "\(explained)")
        try site.expectMetric("fairlead_tls_upstream_failures_total{reason=\"no_certificate\"}", atLeast: 1)
    }

    @Test func revokedUpstreamsAreRefused() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        let upstream = try SecureUpstream(pair)
        _ = try certificates.revocations("apps")
        let site = try Self.site(
            certificates, to: upstream.port,
            "{mode: SIMPLE, caCertificates: ../ca.crt, caCrl: ../apps.crl, sni: app.test}")
        #expect(try site.curl("edge.test", "/tls").hasPrefix("sni=app.test"))
        _ = try certificates.revocations("apps", revoking: [pair.certificate])
        try site.waitForReloads(2)
        let answer = try site.curl("edge.test", "/tls", ["-i"])
        #expect(answer.contains("TLS error: certificate verify failed: certificate revoked"), "\(answer)")
    }

    /// The authorities of an upstream from a Secret.
    @Test func credentialsForUpstreams() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        let client = try certificates.make("client", ["DNS:client.test"])
        try certificates.make("edge", ["DNS:edge.test"])
        let upstream = try SecureUpstream(pair, clients: certificates.authority)
        let secrets = try [
            secretDocument("app", [("tls.crt", client.certificate), ("tls.key", client.key)]),
            secretDocument("app-cacert", [("ca.crt", certificates.authority)]),
        ]
        let site = try TlsSite(
            upstream: 1, secure: upstream.port, servers: [Self.server],
            documents: TlsSite.rule("{mode: MUTUAL, credentialName: app, sni: app.test}") + "---\n"
                + secrets.joined(separator: "---\n"), certificates: certificates)
        #expect(try site.curl("edge.test", "/tls").hasPrefix("sni=app.test"))
    }

    /// A body that ends with its connection is whole only if the upstream said goodbye.
    @Test func anEndWithoutGoodbyeIsATruncation() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        for polite in [true, false] {
            let upstream = try SecureUpstream(pair) { peer in
                _ = try peer.receive(through: "\r\n\r\n")
                try peer.send("HTTP/1.1 200 OK\r\n\r\nthe body")
                if polite { try peer.sayGoodbye() }
            }
            let site = try Self.site(
                certificates, to: upstream.port, "{mode: SIMPLE, caCertificates: ../ca.crt, sni: app.test}")
            if polite {
                #expect(try site.curl("edge.test", "/tls") == "the body")
            } else {
                let (code, _) = try site.curlFailure("edge.test", "/tls")
                #expect(code != 0)
            }
        }
    }

    /// 5 MiB both ways through both TLS connections, in records of any size.
    @Test func largeBodiesArriveAsTheyWere() throws {
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        var random = SeededRandom()
        let body = random.bytes(5 << 20)
        let upstream = try SecureUpstream(pair) { peer in
            let head = try peer.receive(through: "\r\n\r\n")
            #expect(head.contains("content-length: \(5 << 20)"))
            var got: [UInt8] = []
            while got.count < 5 << 20 { got += try peer.receiveSome() }
            try peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(got.count)\r\n\r\n")
            try peer.send(got, recordBytes: 9_999)
        }
        let site = try Self.site(
            certificates, to: upstream.port, "{mode: SIMPLE, caCertificates: ../ca.crt, sni: app.test}")
        let client = try TLSPeer.client(RawConnection(port: site.port), "edge.test")
        try client.send("POST /tls HTTP/1.1\r\nhost: edge.test\r\ncontent-length: \(body.count)\r\n\r\n")
        try client.send(body, recordBytes: 3_333)
        let head = try client.receive(through: "\r\n\r\n")
        #expect(head.hasPrefix("HTTP/1.1 200"))
        var got: [UInt8] = []
        while got.count < body.count { got += try client.receiveSome() }
        #expect(got == body)
    }
}
