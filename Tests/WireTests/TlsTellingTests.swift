// What is told of TLS: to upstreams in x-forwarded-client-cert, in header operations, in the access log, by
// `explain`, and to clients who speak plain HTTP where both kinds of TLS servers are.
import Foundation
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(15)))
struct TlsTellingTests {
    private static func simple(_ host: String) -> String {
        """
        hosts: [\(host)]
        tls: {mode: SIMPLE, serverCertificate: ../edge.crt, privateKey: ../edge.key}
        """
    }

    private static let optional = """
        hosts: [may.test]
        tls:
          mode: OPTIONAL_MUTUAL
          serverCertificate: ../edge.crt
          privateKey: ../edge.key
          caCertificates: ../ca.crt
        """

    // MARK: x-forwarded-client-cert

    /// Istio's `forwardClientCertDetails`: what came, what was shown, on connections with and without a
    /// client certificate.
    @Test(
        arguments: [
            ("SANITIZE", [], []), ("SANITIZE_SET", ["Hash"], []), ("UNDEFINED", ["Hash"], []),
            ("FORWARD_ONLY", ["By=a", "By=b"], []), ("APPEND_FORWARD", ["By=a", "By=b,Hash"], []),
            ("ALWAYS_FORWARD_ONLY", ["By=a", "By=b"], ["By=a", "By=b"]),
        ] as [(String, [String], [String])])
    func clientCertificatesAreForwarded(_ mode: String, _ shown: [String], _ bare: [String]) throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:may.test"])
        let client = try certificates.make("client", ["DNS:client.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.optional],
            annotations:
                #"{proxy.istio.io/config: "gatewayTopology: {forwardClientCertDetails: \#(mode)}"}"#,
            certificates: certificates)
        let given = ["-k", "-H", "x-forwarded-client-cert: By=a", "-H", "x-forwarded-client-cert: By=b"]
        func forwarded(_ more: [String]) throws -> [String] {
            let answer = try site.curl("may.test", "/", given + more)
            return answer.split(separator: "\r\n").filter { $0.hasPrefix("x-forwarded-client-cert:") }
                .map { String($0.dropFirst("x-forwarded-client-cert: ".count)) }
        }
        let told = try forwarded(["--cert", client.certificate, "--key", client.key])
        let hashes = told.map { $0.split(separator: "Hash=", omittingEmptySubsequences: false) }
        #expect(hashes.map { "\($0[0])\($0.count > 1 ? "Hash" : "")" } == shown, "\(told)")
        for line in told where line.contains("Hash=") { #expect(line.contains("Subject=\"CN=client\"")) }
        #expect(try forwarded([]) == bare)
    }

    // MARK: header operations and the access log

    private static let operations = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: shop}
        spec:
          hosts: [may.test]
          gateways: [public]
          http:
          - headers:
              request:
                set:
                  x-tls: "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME%"
                  x-peer: "%DOWNSTREAM_PEER_SUBJECT%"
                  x-issuer: "%DOWNSTREAM_PEER_ISSUER%"
                  x-names: "%DOWNSTREAM_PEER_URI_SAN%|%DOWNSTREAM_PEER_DNS_SAN%"
                  x-print: "%DOWNSTREAM_PEER_FINGERPRINT_256%"
              response: {set: {x-said: "%DOWNSTREAM_TLS_VERSION%"}}
            route: [{destination: {host: app.test, port: {number: 8080}}}]

        """

    @Test func headersAndLogsSayWhatWasAgreed() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:may.test"])
        let client = try certificates.make("client", ["URI:spiffe://mesh/a", "DNS:a.test", "DNS:b.test"])
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.optional], documents: Self.operations,
            arguments: ["--log-format", "json"], certificates: certificates)
        let only = ["--tlsv1.3", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256", "-i"]
        let answer = try site.curl(
            "may.test", "/", only + ["--cert", client.certificate, "--key", client.key])
        for line in [
            "x-tls: TLSv1.3 TLS_AES_128_GCM_SHA256 may.test", "x-peer: CN=client", "x-issuer: CN=Test CA",
            "x-names: spiffe://mesh/a|a.test,b.test", "x-said: TLSv1.3",
        ] {
            #expect(answer.contains("\r\n\(line)\r\n"), "\(line): \(answer)")
        }
        let print = answer.split(separator: "\r\n").first { $0.hasPrefix("x-print: ") }
        #expect(print?.count == "x-print: ".count + 64)
        try site.waitForLog("\"downstream_peer_subject\":\"CN=client\"")
        // Who shows nothing has no subject, and an empty value is no header.
        let bare = try site.curl("may.test", "/", only)
        #expect(!bare.contains("x-peer:") && bare.contains("x-names: |\r\n"), "\(bare)")
        try site.waitForLog("\"downstream_peer_subject\":null")
        let lines = site.accessLog.split(separator: "\n").map(String.init)
        #expect(lines.count == 2)
        for line in lines {
            let entry = try jsonObject(line)
            #expect(entry["downstream_tls_version"] as? String == "TLSv1.3")
            #expect(entry["downstream_tls_cipher"] as? String == "TLS_AES_128_GCM_SHA256")
            #expect(entry["requested_server_name"] as? String == "may.test")
        }
        // Plain text says nothing of TLS.
        let plain = try RawConnection(port: site.plainPort)
        try plain.send("GET / HTTP/1.1\r\nhost: may.test\r\nconnection: close\r\n\r\n")
        #expect(try plain.response().status == 301)
        try site.waitForLog("\"response_code\":301")
        let last = site.accessLog.split(separator: "\n").last { $0.contains("\"response_code\":301") } ?? ""
        #expect(!last.contains("_tls_"))
    }

    // MARK: explain

    @Test func explainChoosesTheServerByName() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:a.test", "DNS:*.b.test"])
        let other = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: b, namespace: shop}
            spec:
              hosts: [x.b.test]
              gateways: [public]
              http: [{name: of-b, directResponse: {status: 204}}]

            """
        let site = try TlsSite(
            upstream: upstream.port, servers: [Self.simple("a.test"), Self.simple("'*.b.test'")],
            documents: other, certificates: certificates)
        func offline(_ url: String, _ more: [String] = []) throws -> [String: Any] {
            let ended = try Programs.result(
                [Programs.fairlead(), "explain", "--format", "json"] + more + [site.folder.file("conf"), url])
            #expect(ended.exit == 0, "\(ended)")
            return try jsonObject(ended.stdout)
        }
        let first = try offline("https://a.test/direct")
        #expect(first["listener"] as? String == "gateway/443")
        #expect(first["server"] as? String == "Gateway shop/public https-0")
        #expect(first["status"] as? Int == 200 && first["problem"] == nil)
        let second = try offline("https://x.b.test/direct")
        #expect(second["server"] as? String == "Gateway shop/public https-1")
        #expect(second["virtualHost"] as? String == "x.b.test:443" || second["status"] as? Int == 204)
        // The server follows the URL, the routes the Host, as with curl.
        let crossed = try offline("https://a.test/direct", ["-H", "Host: x.b.test"])
        #expect(crossed["server"] as? String == "Gateway shop/public https-0")
        #expect(crossed["status"] as? Int == 404)
        let answered = try site.curl(
            "a.test", "/direct", ["-H", "host: x.b.test", "-o", "-", "-w", "%{http_code}"])
        #expect(answered == "404")
        let nobody = try offline("https://c.test/")
        #expect(
            nobody["problem"] as? String
                == "no server of gateway/443 is for the server name c.test: the connection is reset")
        #expect(nobody["outcome"] as? String == "none" && nobody["server"] == nil)
        let plain = try offline("http://a.test:443/")
        #expect(plain["status"] as? Int == 400 && plain["reason"] as? String == "bad-request", "\(plain)")
        #expect(try offline("http://a.test/")["outcome"] as? String == "https-redirect")
        let text = try Programs.result([
            Programs.fairlead(), "explain", site.folder.file("conf"), "https://x.b.test/direct",
        ])
        #expect(text.stdout.contains("server       Gateway shop/public https-1\n"), "\(text.stdout)")
        // The running proxy says the same, and of a live request too.
        let told = try site.curl(
            "x.b.test", "/direct", ["-i", "-H", "x-fairlead-debug: 1"])
        let line = told.split(separator: "\r\n").first { $0.hasPrefix("x-fairlead-explain: ") } ?? ""
        let live = try jsonObject(String(line.dropFirst("x-fairlead-explain: ".count)))
        for key in ["server", "listener", "virtualHost", "rules", "status", "outcome"] {
            #expect(live[key] as? NSObject == second[key] as? NSObject, "\(key): \(live) \(second)")
        }
    }

    // MARK: ports with both kinds of servers

    @Test func whereSomeTLSPassesThrough() throws {
        let upstream = try EchoUpstream("app")
        let passed = try RelaySite.upstream("passed")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:a.test"])
        let relay = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: passed, namespace: shop}
            spec:
              hosts: [through.test]
              gateways: [public]
              tls:
              - match: [{port: 443, sniHosts: [through.test]}]
                route: [{destination: {host: passed.test, port: {number: 443}}}]
            ---
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: passed, namespace: shop}
            spec:
              hosts: [passed.test]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: 127.0.0.1, ports: {tls: \(passed.port)}}]

            """
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [Self.simple("a.test"), "hosts: [through.test]\ntls: {mode: PASSTHROUGH}"],
            documents: relay, certificates: certificates)
        #expect(try site.curl("a.test", "/direct") == "direct")
        let client = try RawConnection(port: site.port)
        try client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
        let answer = String(decoding: try client.receiveToEnd(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.hasSuffix("use https://\n"), "\(answer)")
        for (name, words) in [
            ("through.test", "outcome      relay\n"),
            ("a.test", "server       Gateway shop/public https-0\n"),
            ("c.test", "is for the server name c.test: the connection is reset"),
        ] {
            let ended = try Programs.result([
                Programs.fairlead(), "explain", site.folder.file("conf"), "https://\(name)/direct",
            ])
            #expect(ended.stdout.contains(words), "\(ended.stdout)")
        }
    }
}
