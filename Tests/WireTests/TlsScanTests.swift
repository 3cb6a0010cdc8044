// What a scanner of TLS servers finds of an edge as it is without any setting: nothing.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct TlsScanTests {
    @Test(arguments: [false, true]) func sslscanFindsNothing(_ isRSA: Bool) throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"], isRSA: isRSA)
        let server = """
            hosts: ["*"]
            tls: {mode: SIMPLE, serverCertificate: ../a.crt, privateKey: ../a.key}
            """
        let site = try TlsSite(upstream: upstream.port, servers: [server], certificates: certificates)
        let scan = try Programs.result(["sslscan", "--no-colour", "127.0.0.1:\(site.port)"]).stdout
        let lines = scan.split(separator: "\n")
        for version in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
            #expect(lines.contains("\(version)\(version.count == 5 ? "  " : "")   disabled"), "\(scan)")
        }
        for version in ["TLSv1.2", "TLSv1.3"] { #expect(lines.contains("\(version)   enabled")) }
        #expect(lines.contains("Session renegotiation not supported"), "\(scan)")
        #expect(!lines.contains { $0.hasSuffix(" vulnerable to heartbleed") && !$0.contains(" not ") })
        // Forward secrecy and authenticated encryption, whoever chooses.
        let suites = lines.filter { $0.hasPrefix("Preferred") || $0.hasPrefix("Accepted") }
        #expect(suites.count >= 4, "\(scan)")
        for suite in suites {
            #expect(suite.contains("TLS_") || suite.contains("ECDHE-"), "\(suite)")
            #expect(suite.contains("GCM") || suite.contains("CHACHA20"), "\(suite)")
        }
    }
}
