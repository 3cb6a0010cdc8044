// `x-forwarded-client-cert` in Envoy's format, for the client certificate of a gateway connection: By, Hash,
// Cert, Subject, URI, DNS, the set that Istio configures (istio-semantics.md 22.2).
internal import COpenSSL

enum ForwardedCertificate {
    /// `own`: the alternative names of the certificate that we showed.
    static func text(_ certificate: OpaquePointer, own: [AlternativeName]) -> String {
        var parts: [String] = []
        for name in own where name.kind == .uri { parts.append("By=\(value(name.value))") }
        parts.append("Hash=\(hex(digest(certificate)))")
        let encoded = pem(certificate)
        if !encoded.isEmpty { parts.append("Cert=\"\(encoded)\"") }
        parts.append("Subject=\"\(distinguishedName(X509_get_subject_name(certificate)))\"")
        let names = AlternativeNames.read(certificate)
        let uris = names.filter { $0.kind == .uri }
        // The key is there even when the certificate has no URI.
        if uris.isEmpty { parts.append("URI=") }
        for name in uris { parts.append("URI=\(value(name.value))") }
        for name in names where name.kind == .dns { parts.append("DNS=\(value(name.value))") }
        return parts.joined(separator: ";")
    }

    /// What would end an element or begin another is percent-encoded.
    private static func value(_ text: String) -> String {
        replace(text, [",": "%2C", ";": "%3B", "\"": "%22", "\\": "%5C"])
    }

    private static func pem(_ certificate: OpaquePointer) -> String {
        guard let memory = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(memory) }
        guard PEM_write_bio_X509(memory, certificate) == 1 else { return "" }
        return replace(
            TLS.text(of: memory), ["\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"])
    }

    private static func replace(_ text: String, _ table: [Character: String]) -> String {
        var out = ""
        for character in text {
            if let other = table[character] { out += other } else { out.append(character) }
        }
        return out
    }
}
