// TLS with clients, with curl and openssl as clients: versions, server names, client certificates, what is
// refused and how.
import TLS
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct TlsDownstreamTests {
    private static func simple(_ hosts: String, _ name: String) -> String {
        """
        hosts: [\(hosts)]
        tls: {mode: SIMPLE, serverCertificate: ../\(name).crt, privateKey: ../\(name).key}
        """
    }

    @Test(arguments: ["1.2", "1.3"])
    func requestsOverEachVersion(_ version: String) throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("a.test", "a")], certificates: certificates)
        let only = ["--tlsv\(version)", "--tls-max", version]
        let answer = try site.curl("a.test", "/x?y=1", only + ["-i"])
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(answer.contains("x-forwarded-proto: https\r\n"))
        #expect(upstream.requests.first?.value("host") == "a.test:\(site.port)")
        #expect(try site.curl("a.test", "/direct", only) == "direct")
        try site.expectMetric("fairlead_tls_versions_total{version=\"TLSv\(version)\"}", atLeast: 2)
        try site.waitForLog(" a.test ")
    }

    @Test func http2InsideTLS() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        try certificates.make("b", ["DNS:b.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("b.test", "b"), Self.simple("a.test", "a")],
            certificates: certificates)
        let answer = try site.curl("a.test", "/x", ["--http2", "-i"])
        #expect(answer.hasPrefix("HTTP/2 200"))
        #expect(answer.contains("x-forwarded-proto: https\r\n"))
        // The second server's own routes, by the name in its handshake.
        #expect(try site.curl("a.test", "/direct", ["--http2"]) == "direct")
        try site.waitForLog(" HTTP/2\" 200 ")
    }

    @Test func serverNamesChooseCertificateAndRoutes() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        try certificates.make("b", ["DNS:*.b.test"])
        try certificates.make("deep", ["DNS:*.deep.b.test"])
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                Self.simple("a.test", "a"), Self.simple("'*.b.test'", "b"),
                Self.simple("'*.deep.b.test'", "deep"),
            ], certificates: certificates)
        for (host, subject) in [("a.test", "a"), ("x.b.test", "b"), ("x.deep.b.test", "deep")] {
            #expect(try site.curl(host, "/direct") == "direct")
            #expect(try site.client(host).contains("subject=CN = \(subject)\n"))
        }
        // No server is for this name: the connection is reset without a word.
        let (code, said) = try site.curlFailure("c.test", "/direct")
        #expect(code == 35, "\(said)")
        #expect(said.contains("reset"), "\(said)")
        try site.expectMetric("fairlead_tls_failures_total{reason=\"server_name\"}", atLeast: 1)
        // Inside a server the Host decides, and another server's host is unknown there.
        let other = try site.curl(
            "a.test", "/direct", ["-H", "host: x.b.test", "-o", "-", "-w", "%{http_code}"])
        #expect(other == "404")
    }

    @Test func bothKeyTypesForOneHost() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("rsa", ["DNS:a.test"], isRSA: true)
        try certificates.make("ec", ["DNS:a.test"])
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                """
                hosts: [a.test]
                tls:
                  mode: SIMPLE
                  tlsCertificates:
                  - {serverCertificate: ../rsa.crt, privateKey: ../rsa.key}
                  - {serverCertificate: ../ec.crt, privateKey: ../ec.key}
                """
            ], certificates: certificates)
        for (cipher, subject) in [
            ("ECDHE-RSA-AES128-GCM-SHA256", "rsa"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ec"),
        ] {
            let said = try site.client("a.test", ["-tls1_2", "-cipher", cipher])
            #expect(said.contains("subject=CN = \(subject)\n"), "\(said)")
        }
    }

    @Test func clientCertificates() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        let client = try certificates.make("client", ["URI:spiffe://mesh/ns/shop/sa/web", "DNS:web.test"])
        let others = try TestCertificates("Another CA")
        let stranger = try others.make("stranger", ["DNS:web.test"])
        func server(_ host: String, _ mode: String) -> String {
            """
            hosts: [\(host)]
            tls:
              mode: \(mode)
              serverCertificate: ../a.crt
              privateKey: ../a.key
              caCertificates: ../ca.crt
            """
        }
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [server("must.test", "MUTUAL"), server("may.test", "OPTIONAL_MUTUAL")],
            certificates: certificates)
        let forged = ["-k", "-H", "x-forwarded-client-cert: Subject=\"CN=admin\""]
        let known = forged + ["--cert", client.certificate, "--key", client.key]
        let answer = try site.curl("must.test", "/", known)
        let line = answer.split(separator: "\r\n").first { $0.hasPrefix("x-forwarded-client-cert: ") } ?? ""
        #expect(line.hasPrefix("x-forwarded-client-cert: Hash="))
        #expect(line.contains(";Cert=\"-----BEGIN%20CERTIFICATE-----%0A"))
        #expect(line.hasSuffix(";Subject=\"CN=client\";URI=spiffe://mesh/ns/shop/sa/web;DNS=web.test"))
        #expect(!answer.contains("CN=admin"))
        #expect(try site.curl("may.test", "/", known).contains("Subject=\"CN=client\""))
        #expect(!(try site.curl("may.test", "/", forged).contains("x-forwarded-client-cert")))
        let unknown = ["-k", "--cert", stranger.certificate, "--key", stranger.key]
        for host in ["must.test", "may.test"] {
            let (code, said) = try site.curlFailure(host, "/", unknown)
            #expect(code != 0 && said.contains("unknown ca"), "\(code) \(said)")
        }
        let (code, said) = try site.curlFailure("must.test", "/", ["-k"])
        #expect(code != 0 && said.contains("certificate required"), "\(code) \(said)")
        try site.expectMetric("fairlead_tls_failures_total{reason=\"certificate\"}", atLeast: 2)
        try site.expectMetric("fairlead_tls_failures_total{reason=\"no_certificate\"}", atLeast: 1)
        withExtendedLifetime(others) {}
    }

    @Test func whatIsNoTLSIsTold() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("'*'", "a")], certificates: certificates)
        for request in [
            Array("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n".utf8), Array("DELETE /x HTTP/1.1\r\n".utf8),
            H2Peer.preface + H2Frame.settings().bytes,
        ] {
            let client = try RawConnection(port: site.port)
            try client.send(request)
            let answer = String(decoding: try client.receiveToEnd(), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
            #expect(answer.contains("content-type: text/plain\r\n"))
            #expect(answer.contains("connection: close\r\n"))
            #expect(answer.hasSuffix("Client sent an HTTP request to an HTTPS port: use https://\n"))
        }
        try site.expectMetric("fairlead_tls_failures_total{reason=\"plain_http\"}", atLeast: 3)
        // Who has asked for HTTP/1.1 by ALPN gets that, and HTTP/2 is another version.
        let peer = try TLSPeer.client(RawConnection(port: site.port), "a.test")
        try peer.send(H2Peer.preface + H2Frame.settings().bytes)
        let answer = String(decoding: try peer.receiveToEnd().bytes, as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 505 "), "\(answer)")
        // Random bytes get an alert at most, and an end.
        var random = SeededRandom()
        for _ in 0..<20 {
            let client = try RawConnection(port: site.port)
            try client.send([0x16, 0x03, 0x01] + random.bytes(200))
            client.halfClose()
            do { _ = try client.receiveToEnd() } catch is ConnectionReset {}
        }
        #expect(try site.curl("a.test", "/direct") == "direct")
    }

    /// Two readings of what is spoken are an attacker's: whoever trusts ALPN has the other one.
    @Test func whoAgreedOnHTTP2SpeaksIt() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("'*'", "a")], certificates: certificates)
        var settings = TLSClientContext.Settings()
        settings.skipsVerification = true
        settings.tls.protocols = [.http2, .http1]
        let context = try TLSClientContext(settings)
        let head = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
        for cut in [0, 1, 10] {
            let peer = try TLSPeer.client(RawConnection(port: site.port), "a.test", context)
            #expect(peer.stream.agreedProtocol == .http2)
            try peer.send(String(head.prefix(cut)))
            try peer.send(String(head.dropFirst(cut)))
            let answer = String(decoding: try peer.receiveToEnd().bytes, as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"), "\(answer)")
            #expect(answer.hasSuffix("Client agreed on h2 by ALPN and sent a request of HTTP/1\n"))
        }
        #expect(upstream.connections == 0)
        #expect(try site.curl("a.test", "/direct") == "direct")
    }

    @Test func httpsRedirectLeadsHere() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("a.test", "a")], certificates: certificates)
        let said = try Programs.curl([
            "-L", "--resolve", "a.test:443:127.0.0.1", "--resolve", "a.test:\(site.plainPort):127.0.0.1",
            "--connect-to", "a.test:443:127.0.0.1:\(site.port)", "--cacert", certificates.authority, "-H",
            "host: a.test", "-w", " %{num_redirects} %{url_effective}",
            "http://a.test:\(site.plainPort)/direct?x=1",
        ])
        #expect(said == "direct 1 https://a.test/direct?x=1")
    }
}
