// What is told of TLS: by `explain`, and to clients who speak plain HTTP where both kinds of TLS servers are.
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
