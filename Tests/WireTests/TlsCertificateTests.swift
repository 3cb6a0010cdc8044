// Where certificates come from and when they change: Secrets in each form, authorities beside them,
// revocation lists, OCSP responses, pins; what cannot be used is told and the last good one goes on.
import Foundation
import TLS
import TestSupport
import Testing

/// A Secret with values in base64 under `data`, or as text under `stringData`.
func secretDocument(_ name: String, _ values: [(String, String)], isText: Bool = false) throws -> String {
    var lines = ["apiVersion: v1", "kind: Secret", "metadata: {name: \(name), namespace: shop}"]
    lines.append(isText ? "stringData:" : "data:")
    for (key, path) in values {
        let bytes = readFile(path) ?? []
        if isText {
            lines.append("  \(key): |")
            lines += String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { "    \($0)" }
        } else {
            lines.append("  \(key): \(Data(bytes).base64EncodedString())")
        }
    }
    return lines.joined(separator: "\n") + "\n"
}

@Suite(.serialized, .timeLimit(.minutes(15)))
struct TlsCertificateTests {
    private static func credential(_ host: String, _ tls: String) -> String {
        "hosts: [\(host)]\ntls: {\(tls)}"
    }

    private static func files(_ host: String, _ more: String) -> String {
        """
        hosts: [\(host)]
        tls: {serverCertificate: ../edge.crt, privateKey: ../edge.key, \(more)}
        """
    }

    /// curl's arguments for a client certificate.
    private static func shows(_ pair: TestCertificates.Pair) -> [String] {
        ["-k", "--cert", pair.certificate, "--key", pair.key]
    }

    // MARK: Secrets

    @Test func secretsOfEachForm() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        let client = try certificates.make("client", ["DNS:client.test"])
        func pair(_ name: String) throws -> TestCertificates.Pair {
            try certificates.make(name, ["DNS:\(name).test"])
        }
        let ca = certificates.authority
        let (kube, generic, both, beside, own) = try (
            pair("kube"), pair("generic"), pair("both"), pair("beside"), pair("own")
        )
        let secrets = try [
            secretDocument("kube", [("tls.crt", kube.certificate), ("tls.key", kube.key)]),
            secretDocument("generic", [("cert", generic.certificate), ("key", generic.key)], isText: true),
            secretDocument("both", [("cert", both.certificate), ("key", both.key), ("cacert", ca)]),
            secretDocument("beside", [("tls.crt", beside.certificate), ("tls.key", beside.key)]),
            secretDocument("beside-cacert", [("ca.crt", ca)]),
            secretDocument("own", [("tls.crt", own.certificate), ("tls.key", own.key)]),
            secretDocument("clients", [("cacert", ca)], isText: true),
        ]
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                Self.credential("kube.test", "mode: SIMPLE, credentialName: kube"),
                Self.credential("generic.test", "mode: SIMPLE, credentialName: generic"),
                Self.credential("both.test", "mode: MUTUAL, credentialName: both"),
                Self.credential("beside.test", "mode: MUTUAL, credentialName: beside"),
                Self.credential(
                    "own.test", "mode: MUTUAL, credentialName: own, caCertCredentialName: clients"),
            ], documents: secrets.joined(separator: "---\n"), certificates: certificates)
        for host in ["kube", "generic"] {
            #expect(try site.curl("\(host).test", "/direct") == "direct")
            #expect(try site.client("\(host).test").contains("subject=CN = \(host)\n"))
        }
        for host in ["both", "beside", "own"] {
            let (code, said) = try site.curlFailure("\(host).test", "/direct")
            #expect(code != 0 && said.contains("certificate required"), "\(host): \(code) \(said)")
            #expect(try site.curl("\(host).test", "/direct", Self.shows(client)) == "direct")
        }
    }

    /// A Secret's change is for new handshakes; what cannot be used is told, and changes nothing.
    @Test func aSecretChanges() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        let first = try certificates.make("first", ["DNS:edge.test"])
        let second = try certificates.make("second", ["DNS:edge.test"])
        func write(_ certificate: String, _ key: String) throws {
            try certificates.folder.replace(
                "conf/secret.yaml",
                "# The edge's own.\n" + secretDocument("edge", [("tls.crt", certificate), ("tls.key", key)]))
        }
        try write(first.certificate, first.key)
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [Self.credential("edge.test", "mode: SIMPLE, credentialName: edge")],
            certificates: certificates)
        func subject() throws -> String? {
            try site.client("edge.test").split(separator: "\n").first { $0.hasPrefix("subject=") }
                .map { String($0.dropFirst("subject=CN = ".count)) }
        }
        let kept = try TLSPeer.client(RawConnection(port: site.port), "edge.test")
        func expectKept() throws {
            try kept.send("GET /direct HTTP/1.1\r\nhost: edge.test\r\n\r\n")
            _ = try kept.receive(through: "direct")
        }
        try expectKept()
        #expect(try subject() == "first")
        try write(second.certificate, second.key)
        try waitUntil("the second certificate") { try subject() == "second" }
        try expectKept()

        // Each mistake with its line and with what OpenSSL says.
        try write(first.certificate, second.key)
        try expectRefusal(site, "conf/secret.yaml:6: error [FL0050]", "key values mismatch")
        let broken = try certificates.folder.write(
            "broken.crt",
            TestCertificates.text(first.certificate).replacingOccurrences(of: "MII", with: "AAA"))
        try write(broken, first.key)
        try expectRefusal(site, "conf/secret.yaml:6: error [FL0050]", "certificate: no PEM certificate: ")
        #expect(try subject() == "second")
        try expectKept()
        try certificates.folder.replace("conf/secret.yaml", "# Gone.\n")
        try waitUntil("the finding") { site.process.stderr.contains("there is no Secret shop/edge") }
        #expect(try subject() == "second")
        try expectKept()
    }

    private func expectRefusal(_ site: TlsSite, _ place: String, _ words: String) throws {
        try waitUntil("\(place) \(words)") {
            site.process.stderr.split(separator: "\n").contains { line in
                line.contains(place) && line.contains(words)
            }
        }
    }

    // MARK: revocation

    @Test func revokedClientsAreRefused() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        let good = try certificates.make("good", ["DNS:good.test"])
        let bad = try certificates.make("bad", ["DNS:bad.test"])
        let list = try certificates.revocations("clients", revoking: [bad.certificate])
        let pair = try certificates.make("edge", ["DNS:edge.test"])
        let edge = [("tls.crt", pair.certificate), ("tls.key", pair.key)]
        let secrets = try [
            secretDocument("listed", edge + [("ca.crt", certificates.authority), ("ca.crl", list)]),
            secretDocument("edge", edge),
            secretDocument("edge-cacert", [("ca.crt", certificates.authority), ("ca.crl", list)]),
        ]
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                Self.files("file.test", "mode: MUTUAL, caCertificates: ../ca.crt, caCrl: ../clients.crl"),
                Self.credential("secret.test", "mode: MUTUAL, credentialName: listed"),
                Self.credential("beside.test", "mode: OPTIONAL_MUTUAL, credentialName: edge"),
            ], documents: secrets.joined(separator: "---\n"), certificates: certificates)
        for host in ["file.test", "secret.test", "beside.test"] {
            #expect(try site.curl(host, "/direct", Self.shows(good)) == "direct")
            let (code, said) = try site.curlFailure(host, "/direct", Self.shows(bad))
            #expect(code != 0 && said.contains("certificate revoked"), "\(host): \(code) \(said)")
        }
        // A longer list is in effect like any change of a file.
        _ = try certificates.revocations("clients", revoking: [good.certificate])
        try waitUntil("the new list") {
            try site.curlFailure("file.test", "/direct", Self.shows(good)).0 != 0
        }
        #expect(try site.curl("secret.test", "/direct", Self.shows(good)) == "direct")
    }

    // MARK: OCSP

    @Test func ocspResponsesAreStapled() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        let edge = try certificates.make("edge", ["DNS:edge.test"])
        let response = try certificates.response(for: edge)
        // curl wants the issuer at hand.
        try certificates.folder.replace(
            "edge.crt",
            TestCertificates.text(edge.certificate) + TestCertificates.text(certificates.authority))
        try certificates.folder.replace("edge.crt.ocsp", bytes: outdated(response))
        let base = Data(response).base64EncodedString()
        let secret =
            try secretDocument("edge", [("tls.crt", edge.certificate), ("tls.key", edge.key)])
            + "  tls.ocsp-staple: \(base)\n"
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                Self.files("edge.test", "mode: SIMPLE"),
                Self.credential("secret.test", "mode: SIMPLE, credentialName: edge"),
            ], documents: secret, certificates: certificates)
        let successful = "OCSP Response Status: successful"
        for version in ["-tls1_2", "-tls1_3"] {
            #expect(try site.client("secret.test", ["-status", version]).contains(successful))
            #expect(!(try site.client("secret.test", [version]).contains(successful)))
        }
        // One that is over is not sent, and told of.
        #expect(try site.client("edge.test", ["-status"]).contains("OCSP response: no response sent"))
        #expect(site.process.stderr.contains("[FL0051] Gateway shop/public: the OCSP response is outdated"))
        #expect(try site.curlFailure("edge.test", "/direct", ["--cert-status"]).0 == 91)
        try certificates.folder.replace("edge.crt.ocsp", bytes: response)
        try waitUntil("the new response") {
            try site.client("edge.test", ["-status"]).contains(successful)
        }
        // curl verifies it.
        #expect(try site.curl("edge.test", "/direct", ["--cert-status"]) == "direct")
    }

    /// With a nextUpdate of twenty years ago: an explicit tag [0] around a GeneralizedTime of 15 bytes.
    private func outdated(_ response: [UInt8]) throws -> [UInt8] {
        var bytes = response
        let mark: [UInt8] = [0xA0, 0x11, 0x18, 0x0F]
        let at = try #require(
            (0..<bytes.count - 20).first { bytes[$0..<$0 + 4].elementsEqual(mark) })
        bytes[at + 6] = 0x30
        return bytes
    }

    // MARK: pins, versions, suites

    @Test func pinnedClients() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:edge.test"])
        let known = try certificates.make("known", ["URI:spiffe://mesh/ns/shop/sa/web"])
        let other = try certificates.make("other", ["URI:spiffe://mesh/ns/shop/sa/api"])
        let folder = certificates.folder
        let printed = try TestCertificates.openssl(
            ["x509", "-in", known.certificate, "-noout", "-fingerprint", "-sha256"])
        let fingerprint = try #require(printed.split(separator: "=").last).trimmingCharacters(
            in: .whitespacesAndNewlines)
        try folder.write(
            "known.pub", TestCertificates.openssl(["x509", "-in", known.certificate, "-noout", "-pubkey"]))
        try TestCertificates.openssl([
            "pkey", "-pubin", "-in", folder.file("known.pub"), "-outform", "der", "-out",
            folder.file("known.der"),
        ])
        try TestCertificates.openssl([
            "dgst", "-sha256", "-binary", "-out", folder.file("known.pin"), folder.file("known.der"),
        ])
        let pin = Data(readFile(folder.file("known.pin")) ?? []).base64EncodedString()
        func server(_ host: String, _ rule: String) -> String {
            Self.files(host, "mode: MUTUAL, caCertificates: ../ca.crt, \(rule)")
        }
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                server("name.test", "subjectAltNames: ['spiffe://mesh/ns/shop/sa/web']"),
                server("key.test", "verifyCertificateSpki: ['\(pin)']"),
                server("hash.test", "verifyCertificateHash: ['\(fingerprint)']"),
            ], certificates: certificates)
        for host in ["name.test", "key.test", "hash.test"] {
            #expect(try site.curl(host, "/direct", Self.shows(known)) == "direct")
            #expect(try site.curlFailure(host, "/direct", Self.shows(other)).0 != 0, "\(host)")
        }
        try site.expectMetric("fairlead_tls_failures_total{reason=\"certificate\"}", atLeast: 3)
    }

    @Test func versionsAndSuitesOfEachServer() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:edge.test"])
        let site = try TlsSite(
            upstream: upstream.port,
            servers: [
                Self.files("new.test", "mode: SIMPLE, minProtocolVersion: TLSV1_3"),
                Self.files("old.test", "mode: SIMPLE, maxProtocolVersion: TLSV1_2"),
                Self.files("any.test", "mode: SIMPLE, minProtocolVersion: TLSV1_0"),
                Self.files(
                    "suite.test",
                    "mode: SIMPLE, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384, TLS_AES_128_GCM_SHA256]"),
            ], certificates: certificates)
        // 1.1 wants the client's consent too.
        let cases: [(host: String, version: String, suite: String?)] = [
            ("new.test", "TLSv1.3", "TLS_AES_256_GCM_SHA384"), ("new.test", "TLSv1.2", nil),
            ("old.test", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("old.test", "TLSv1.3", nil),
            ("any.test", "TLSv1.3", "TLS_AES_256_GCM_SHA384"), ("old.test", "TLSv1.1", nil),
            ("any.test", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
            ("suite.test", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            ("suite.test", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ]
        for (host, version, suite) in cases {
            let flag = "-tls" + version.dropFirst(4).replacingOccurrences(of: ".", with: "_")
            let said = try site.client(host, [flag, "-cipher", "ALL:@SECLEVEL=0"])
            if let suite {
                #expect(said.contains("New, \(version), Cipher is \(suite)"), "\(host) \(version): \(said)")
            } else {
                #expect(said.contains("alert protocol version"), "\(host) \(version): \(said)")
            }
        }
        let said = try site.client("suite.test", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"])
        #expect(said.contains("alert handshake failure"), "\(said)")
        #expect(site.process.stderr.contains("[FL0052] "))
    }

    /// Without a server name only a server for any name takes a client.
    @Test func clientsWithoutAServerName() throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("edge", ["DNS:edge.test"])
        for (hosts, isTaken) in [("edge.test", false), ("'*'", true)] {
            let site = try TlsSite(
                upstream: upstream.port, servers: [Self.files(hosts, "mode: SIMPLE")],
                certificates: certificates)
            let ended = try Programs.result([
                "openssl", "s_client", "-connect", "127.0.0.1:\(site.port)", "-noservername",
            ])
            #expect(ended.stdout.contains("subject=CN = edge\n") == isTaken, "\(ended)")
        }
    }
}
