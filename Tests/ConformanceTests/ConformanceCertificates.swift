// The certificates that the suite makes while it runs: of HTTPS listeners, of backends, of clients and of the
// edge itself, and the authorities that judge them, as the Secrets and ConfigMaps that its manifests name.
import TLS
import TestSupport

struct ConformanceCertificates: Sendable {
    static let shared = Result { try ConformanceCertificates() }

    private let suite: TestCertificates
    private let perPort: TestCertificates
    private let listener: TestCertificates.Pair
    private let backend: TestCertificates.Pair
    private let edge: TestCertificates.Pair

    private init() throws {
        suite = try TestCertificates("suite")
        perPort = try TestCertificates("per port")
        listener = try suite.make(
            "listener",
            ["example.org", "second-example.org", "*.wildcard.org", "*.example.com"].map { "DNS:\($0)" })
        backend = try suite.make("backend", ["DNS:abc.example.com"])
        edge = try suite.make("edge", ["DNS:edge.example.com"])
        try suite.make("client", ["DNS:client.example.com"])
        try perPort.make("client", ["DNS:client.example.com"])
    }

    private static func identity(_ certificate: String, _ key: String) throws -> TLSIdentity {
        try TLSIdentity(
            certificate: Array(TestCertificates.text(certificate).utf8),
            key: Array(TestCertificates.text(key).utf8))
    }

    /// Of a backend that takes every name. `asksClients`: they must show a certificate of the suite's.
    func backend(_ inner: TLSProtocol, asksClients: Bool) throws -> TLSAcceptor {
        var settings = TLSServerContext.Settings()
        settings.identities = [try Self.identity(backend.certificate, backend.key)]
        settings.tls.protocols = [inner]
        if asksClients {
            settings.clients = .required
            settings.authorities = Array(try TestCertificates.text(suite.authority).utf8)
        }
        return try TLSAcceptor([(hosts: ["*"], context: TLSServerContext(settings))])
    }

    /// A client that trusts anybody and shows a certificate of the suite's, or of the authority per port.
    func client(ofPort: Bool) throws -> TLSClientContext {
        let folder = (ofPort ? perPort : suite).folder
        var settings = TLSClientContext.Settings()
        settings.skipsVerification = true
        settings.identity = try Self.identity(folder.file("client.crt"), folder.file("client.key"))
        return try TLSClientContext(settings)
    }

    /// All Secrets and ConfigMaps.
    func documents() throws -> [String] {
        let secrets = try [
            ("tls-validity-checks-certificate", listener), ("tls-terminate-checks-certificate", listener),
            ("tls-checks-client-certificate", edge),
        ].map { try Self.secret($0, $1) }
        let authorities = try [
            ("tls-checks-ca-certificate", suite), ("tls-validity-checks-ca-certificate", suite),
            ("mismatch-ca-certificate", perPort), ("tls-validity-checks-per-port-ca-certificate", perPort),
        ].map { try Self.authority($0, $1.authority) }
        return secrets + authorities
    }

    private static func indented(_ path: String) throws -> String {
        try TestCertificates.text(path).split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
    }

    private static func secret(_ name: String, _ pair: TestCertificates.Pair) throws -> String {
        """
        apiVersion: v1
        kind: Secret
        metadata: {name: \(name), namespace: gateway-conformance-infra}
        type: kubernetes.io/tls
        stringData:
          tls.crt: |
        \(try indented(pair.certificate))
          tls.key: |
        \(try indented(pair.key))
        """
    }

    private static func authority(_ name: String, _ path: String) throws -> String {
        """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: \(name), namespace: gateway-conformance-infra}
        data:
          ca.crt: |
        \(try indented(path))
        """
    }
}
