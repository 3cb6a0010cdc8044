// Bodies much larger than any buffer, there and back in every pair of versions: what arrives is what was
// sent, and what the proxy holds meanwhile stays small.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct H2LargeBodies {
    private static let bytes = 96 << 20

    @Test func bodiesPassInBoundedMemory() throws {
        let files = try TemporaryDirectory()
        let sent = files.file("sent")
        let made = try Programs.result([
            "bash", "-c",
            "openssl enc -aes-128-ctr -nosalt -pass pass:x -in /dev/zero 2>/dev/null "
                + "| head -c \(Self.bytes) > \(sent); sha256sum < \(sent)",
        ])
        let (h1, h1Port) = try WireClients.start("h1_echo")
        let h2Port = try freeLoopbackPort()
        let h2 = try RunningProcess(["nghttpd", "--no-tls", "--echo-upload", "\(h2Port)"])
        let certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        let tlsPort = try freeLoopbackPort()
        let tls = try RunningProcess(["nghttpd", "--echo-upload", "\(tlsPort)", pair.key, pair.certificate])
        defer {
            h1.signal(9)
            h2.signal(9)
            tls.signal(9)
        }
        let site = try H2Site(
            [("/h1", "HTTP", h1Port), ("/h2", "HTTP2", h2Port), ("/tls", "HTTP2", tlsPort)],
            more: tlsRule(2, "{mode: SIMPLE, caCertificates: \(certificates.authority), sni: app.test}"))
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for path in ["/h1", "/h2", "/tls"] {
                let curl = try RunningProcess([
                    "bash", "-c",
                    "set -o pipefail; curl -q -sS --noproxy '*' --max-time 120 \(version) "
                        + "-H Expect: -T \(sent) http://127.0.0.1:\(site.port)\(path) | sha256sum",
                ])
                var most = 0
                while curl.exitCode == nil {
                    most = max(most, try site.gauge("fairlead_memory_buffer_used_bytes"))
                    sleepMs(20)
                }
                _ = try curl.waitForExit()
                #expect(curl.stdout == made.stdout, "\(version) \(path): \(curl.stderr)")
                #expect(most < 2 << 20, "\(version) \(path)")
            }
        }
    }
}

extension H2Site {
    func gauge(_ name: String) throws -> Int {
        let line = try metrics().split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
    }
}
