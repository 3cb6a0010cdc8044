// Contexts made from PEM: what OpenSSL refuses is told, what certificates say of themselves is read.
import TLS
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct TLSContextTests {
    private static func identity(_ pair: TestCertificates.Pair, staple: [UInt8] = []) throws -> TLSIdentity {
        try TLSIdentity(
            certificate: readFile(pair.certificate) ?? [], key: readFile(pair.key) ?? [], staple: staple)
    }

    private static func problem(_ body: () throws -> Void) -> TLSProblem? {
        do {
            try body()
            return nil
        } catch {
            return error as? TLSProblem
        }
    }

    @Test func whatACertificateSays() throws {
        let certificates = try TestCertificates()
        let names = ["DNS:a.test", "DNS:*.b.test", "IP:127.0.0.1", "IP:::1", "URI:spiffe://mesh/x"]
        let identity = try Self.identity(certificates.make("leaf", names))
        #expect(identity.leaf.subject == "CN=leaf")
        #expect(identity.leaf.issuer == "CN=Test CA")
        #expect(identity.leaf.names == names)
        #expect(identity.leaf.key == "EC P-256")
        #expect(identity.leaf.fingerprint.count == 64)
        #expect(identity.leaf.notAfter - identity.leaf.notBefore == 20 * 86_400)
        #expect(try Self.identity(certificates.make("rsa", [], isRSA: true)).leaf.key == "RSA 2048")
    }

    @Test func whatCannotBeUsedIsTold() throws {
        let certificates = try TestCertificates()
        let one = try certificates.make("one", ["DNS:a.test"])
        let two = try certificates.make("two", ["DNS:a.test"])
        let leaf = try #require(readFile(one.certificate))
        let key = try #require(readFile(one.key))
        let other = try #require(readFile(two.key))
        let mismatch = Self.problem { _ = try TLSIdentity(certificate: leaf, key: other) }
        #expect(mismatch?.part == .key)
        #expect(mismatch?.text.contains("key values mismatch") == true, "\(mismatch?.text ?? "")")
        let empty = Self.problem { _ = try TLSIdentity(certificate: [], key: key) }
        #expect(empty == Self.problem { _ = try TLSIdentity(certificate: [], key: other) })
        #expect(empty?.part == .certificate)
        #expect(Self.problem { _ = try TLSIdentity(certificate: leaf, key: leaf) }?.part == .key)
        var broken = leaf
        broken[leaf.count / 2] = 0x21
        #expect(Self.problem { _ = try TLSIdentity(certificate: broken, key: key) }?.part == .certificate)
        let half = Self.problem { _ = try TLSIdentity(certificate: leaf + broken, key: key) }
        #expect(half?.text.contains("certificate 2") == true, "\(half?.text ?? "")")
        let staple = Self.problem { _ = try TLSIdentity(certificate: leaf, key: key, staple: [1, 2, 3]) }
        #expect(staple?.part == .staple)
        let locked = certificates.folder.file("locked.key")
        try TestCertificates.openssl(
            ["ec", "-in", one.key, "-aes128", "-passout", "pass:secret", "-out", locked])
        let encrypted = Self.problem { _ = try TLSIdentity(certificate: leaf, key: readFile(locked) ?? []) }
        #expect(encrypted?.text.contains("encrypted") == true)
    }

    @Test func settingsThatOpenSSLRefuses() throws {
        let certificates = try TestCertificates()
        var settings = TLSServerContext.Settings()
        settings.identities = [try Self.identity(certificates.make("leaf", ["DNS:a.test"]))]
        settings.tls.ciphers = ["NONSENSE"]
        #expect(Self.problem { _ = try TLSServerContext(settings) }?.part == .ciphers)
        settings.tls.ciphers = ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"]
        settings.clients = .required
        #expect(Self.problem { _ = try TLSServerContext(settings) }?.part == .authority)
        settings.authorities = readFile(certificates.authority) ?? []
        settings.revocations = [0x41]
        #expect(Self.problem { _ = try TLSServerContext(settings) }?.part == .revocations)
        settings.revocations = []
        _ = try TLSServerContext(settings)
        #expect(TLSSettings.isCipher("ECDHE-RSA-AES128-GCM-SHA256"))
        #expect(TLSSettings.isCipher("TLS_AES_256_GCM_SHA384"))
        for name in ["", "ALL:!aNULL", "ecdhe rsa", "TLS_NONSENSE", "@SECLEVEL=0"] {
            #expect(!TLSSettings.isCipher(name), "\(name)")
        }
    }

    @Test func policiesTellServersApart() throws {
        let certificates = try TestCertificates()
        var settings = TLSServerContext.Settings()
        settings.identities = [try Self.identity(certificates.make("leaf", ["DNS:a.test"]))]
        let plain = try TLSServerContext(settings).clientPolicyNumber
        settings.identities = [try Self.identity(certificates.make("other", ["DNS:a.test"]))]
        #expect(try TLSServerContext(settings).clientPolicyNumber == plain)
        settings.authorities = readFile(certificates.authority) ?? []
        settings.clients = .optional
        let optional = try TLSServerContext(settings).clientPolicyNumber
        settings.clients = .required
        let required = try TLSServerContext(settings).clientPolicyNumber
        settings.peer.names = ["a.test"]
        let named = try TLSServerContext(settings).clientPolicyNumber
        #expect(Set([plain, optional, required, named]).count == 4)
    }
}
