// Certificates for tests, made by the openssl program in a folder of the test's own: one authority, and what
// it signs.
package final class TestCertificates: Sendable {
    package let folder: TemporaryDirectory
    /// PEM file of the authority.
    package var authority: String { folder.file("ca.crt") }

    /// A fresh authority named `name`.
    package init(_ name: String = "Test CA", in folder: TemporaryDirectory? = nil) throws {
        self.folder = try folder ?? TemporaryDirectory()
        try Self.openssl(
            ["req", "-x509", "-subj", "/CN=\(name)", "-days", "30"] + Self.ecKey
                + ["-keyout", self.folder.file("ca.key"), "-out", self.folder.file("ca.crt")])
    }

    /// Paths of one certificate and its key.
    package struct Pair: Sendable {
        package var certificate: String
        package var key: String
    }

    /// A certificate for `names` (`DNS:a.test`, `IP:127.0.0.1`, `URI:spiffe://…`), signed by the authority,
    /// in `NAME.crt` and `NAME.key`. `days` -1: it expired yesterday.
    @discardableResult
    package func make(_ name: String, _ names: [String], isRSA: Bool = false, days: Int = 20) throws -> Pair {
        let pair = Pair(certificate: folder.file("\(name).crt"), key: folder.file("\(name).key"))
        let request = folder.file("\(name).csr")
        try Self.openssl(
            ["req", "-new", "-subj", "/CN=\(name)"]
                + (isRSA ? ["-newkey", "rsa:2048", "-nodes"] : Self.ecKey)
                + ["-keyout", pair.key, "-out", request])
        let extensions = try folder.write(
            "\(name).ext",
            "basicConstraints=CA:FALSE\n"
                + (names.isEmpty ? "" : "subjectAltName=\(names.joined(separator: ","))\n"))
        try Self.openssl([
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", folder.file("ca.key"),
            "-CAcreateserial", "-days", "\(days)", "-extfile", extensions, "-out", pair.certificate,
        ])
        return pair
    }

    private static let ecKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    /// Runs openssl to its end; throws what it said when it failed.
    @discardableResult
    package static func openssl(_ arguments: [String]) throws -> String {
        let ended = try Programs.result(["openssl"] + arguments)
        guard ended.exit == 0 else {
            throw TestFailure("openssl \(arguments.joined(separator: " ")): \(ended.stderr)")
        }
        return ended.stdout
    }

    /// The text of a PEM file, for documents that carry it.
    package static func text(_ path: String) throws -> String {
        guard let bytes = readFile(path) else { throw TestFailure("cannot read \(path)") }
        return String(decoding: bytes, as: UTF8.self)
    }
}
