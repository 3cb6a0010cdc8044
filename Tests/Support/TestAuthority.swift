// What an authority says of its certificates after it has signed them: revocation lists and OCSP responses.
extension TestCertificates {
    /// A revocation list of everything revoked so far, in `NAME.crl` (PEM); returns its path.
    package func revocations(_ name: String, revoking certificates: [String] = []) throws -> String {
        for certificate in certificates { try authority(["-revoke", certificate]) }
        let list = folder.file("\(name).crl")
        try authority(["-gencrl", "-out", list])
        return list
    }

    /// An OCSP response (DER) for a certificate, good for a week.
    package func response(for pair: Pair) throws -> [UInt8] {
        try authority(["-valid", pair.certificate])
        let out = folder.file("response.der")
        try Self.openssl([
            "ocsp", "-index", folder.file("index.txt"), "-CA", authority, "-rsigner", authority, "-rkey",
            folder.file("ca.key"), "-issuer", authority, "-cert", pair.certificate, "-ndays", "7",
            "-respout", out,
        ])
        return readFile(out) ?? []
    }

    /// `openssl ca` with a database beside the certificates.
    private func authority(_ arguments: [String]) throws {
        let database = folder.file("index.txt")
        if readFile(database) == nil {
            try folder.write("index.txt", "")
            try folder.write("crlnumber", "01\n")
        }
        let settings = try folder.write(
            "ca.cnf",
            """
            [ca]
            default_ca = own
            [own]
            database = \(database)
            crlnumber = \(folder.file("crlnumber"))
            default_md = sha256
            default_crl_days = 30

            """)
        try Self.openssl(
            ["ca", "-config", settings, "-cert", authority, "-keyfile", folder.file("ca.key")] + arguments)
    }
}
