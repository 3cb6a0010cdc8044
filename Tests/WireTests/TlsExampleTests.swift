// The example config/tls as it lies there, but for the port of its upstream: TLS to clients and to the
// service behind, and the redirect to it.
import TestSupport
import Testing

@Suite struct TlsExampleTests {
    private static let example =
        #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/config/tls/gateway.yaml"

    @Test func theExampleServes() throws {
        let certificates = try TestCertificates()
        let folder = certificates.folder
        try certificates.make("edge", ["DNS:shop.example.com"])
        let pair = try certificates.make("api", ["DNS:api.internal"])
        try folder.write("upstream-ca.crt", TestCertificates.text(certificates.authority))
        let upstream = try SecureUpstream(pair)
        let text = try #require(readFile(Self.example))
        let parts = String(decoding: text, as: UTF8.self).split(
            separator: "{https: 8443}", omittingEmptySubsequences: false)
        #expect(parts.count == 2)
        try folder.write("tls/gateway.yaml", parts.joined(separator: "{https: \(upstream.port)}"))
        let port = try freeLoopbackPort()
        let plainPort = try freeLoopbackPort()
        let process = try Programs.runFairlead([
            folder.file("tls"), "--admin", "127.0.0.1:0", "--workers", "1", "--port", "443=\(port)", "--port",
            "80=\(plainPort)", "--access-log", "off",
        ])
        #expect(process.stderr == "")
        let host = "shop.example.com"
        let known = [
            "--cacert", certificates.authority, "--resolve", "\(host):\(port):127.0.0.1", "--resolve",
            "\(host):\(plainPort):127.0.0.1",
        ]
        #expect(
            try Programs.curl(known + ["https://\(host):\(port)/"]).hasPrefix("sni=api.internal"))
        let moved = try Programs.curl(
            known + ["-i", "-H", "host: \(host)", "http://\(host):\(plainPort)/a?b"])
        #expect(moved.hasPrefix("HTTP/1.1 301") && moved.contains("location: https://\(host)/a?b\r\n"))
    }
}
