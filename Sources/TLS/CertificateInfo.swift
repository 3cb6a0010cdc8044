// What people want to know of a certificate: shown by admin, judged by `check`, written into forwarded
// fields. Read once when a certificate is loaded, never per request.
internal import Base
internal import COpenSSL

public struct CertificateInfo: Sendable, Equatable {
    /// RFC 2253: `CN=shop.example,O=Example`.
    public var subject: String
    public var issuer: String
    /// Subject alternative names, each with its type: `DNS:a.example`, `URI:spiffe://…`, `IP:10.0.0.1`.
    public var names: [String]
    /// Seconds since 1970.
    public var notBefore: Int64
    public var notAfter: Int64
    /// SHA-256 of the DER form, lower-case hex.
    public var fingerprint: String
    /// Hex.
    public var serial: String
    /// `RSA 2048`, `EC P-256`.
    public var key: String

    init(_ certificate: OpaquePointer) {
        subject = distinguishedName(X509_get_subject_name(certificate))
        issuer = distinguishedName(X509_get_issuer_name(certificate))
        names = AlternativeNames.read(certificate).map(\.text)
        notBefore = seconds(X509_get0_notBefore(certificate))
        notAfter = seconds(X509_get0_notAfter(certificate))
        fingerprint = hex(digest(certificate))
        serial = serialNumber(certificate)
        key = keyName(certificate)
    }

    /// The names a client may ask for: host names of the certificate, else its common name.
    public var hosts: [String] {
        let dns = names.filter { $0.hasPrefix("DNS:") }.map { String($0.dropFirst(4)) }
        return dns
    }
}

/// One subject alternative name.
struct AlternativeName: Equatable {
    enum Kind: Equatable { case dns, uri, mail, address }

    var kind: Kind
    /// Text; an IP address in its usual form.
    var value: String

    var text: String {
        switch kind {
        case .dns: "DNS:\(value)"
        case .uri: "URI:\(value)"
        case .mail: "email:\(value)"
        case .address: "IP:\(value)"
        }
    }
}

enum AlternativeNames {
    static func read(_ certificate: OpaquePointer) -> [AlternativeName] {
        guard let raw = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
        let list = OpaquePointer(raw)
        defer { fl_names_free(list) }
        var names: [AlternativeName] = []
        for index in 0..<fl_names_count(list) {
            var type: Int32 = 0
            var count: Int32 = 0
            guard let name = fl_name_at(list, index), let bytes = fl_name_bytes(name, &type, &count) else {
                continue
            }
            let value = UnsafeBufferPointer(start: bytes, count: Int(count))
            switch type {
            case GEN_DNS:
                names.append(AlternativeName(kind: .dns, value: plainText(value)))
            case GEN_URI:
                names.append(AlternativeName(kind: .uri, value: plainText(value)))
            case GEN_EMAIL:
                names.append(AlternativeName(kind: .mail, value: plainText(value)))
            default:
                if let address = addressText(value) {
                    names.append(AlternativeName(kind: .address, value: address))
                }
            }
        }
        return names
    }

    private static func addressText(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let address: SocketAddress
        switch bytes.count {
        case 4: address = SocketAddress(ipv4: UInt32(number(0..<4)), port: 0)
        case 16: address = SocketAddress(high: number(0..<8), low: number(8..<16), port: 0, isIPv4: false)
        default: return nil
        }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SocketAddress.textBytesMax) {
            ByteView($0.baseAddress!, address.writeAddress(to: $0.baseAddress!)).string
        }
    }
}

/// Names come from certificates that peers made: what is not printable ASCII is escaped, so that no name can
/// forge a log line or a field.
private func plainText(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    var text = ""
    for byte in bytes {
        if byte > 0x20, byte < 0x7F {
            text.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            text += "\\x" + hex([byte])
        }
    }
    return text
}

func distinguishedName(_ name: OpaquePointer?) -> String {
    guard let name, let memory = BIO_new(BIO_s_mem()) else { return "" }
    defer { BIO_free(memory) }
    guard fl_name_print(memory, name) >= 0 else { return "" }
    return text(of: memory)
}

func text(of memory: OpaquePointer) -> String {
    var bytes: UnsafeMutablePointer<CChar>?
    let count = fl_bio_memory(memory, &bytes)
    guard count > 0, let bytes else { return "" }
    return bytes.withMemoryRebound(to: UInt8.self, capacity: count) {
        String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
    }
}

private func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
    var parts = tm()
    guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
    return Int64(timegm(&parts))
}

func digest(_ certificate: OpaquePointer) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    guard X509_digest(certificate, EVP_sha256(), &out, &count) == 1 else { return [] }
    return Array(out.prefix(Int(count)))
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.unicodeScalars.append(Unicode.Scalar(digit < 10 ? 0x30 + digit : 0x57 + digit))
        }
    }
    return text
}

private func serialNumber(_ certificate: OpaquePointer) -> String {
    guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nil) else { return "" }
    defer { BN_free(number) }
    guard let text = BN_bn2hex(number) else { return "" }
    defer { fl_free(text) }
    return String(cString: text).lowercased()
}

private func keyName(_ certificate: OpaquePointer) -> String {
    guard let key = X509_get0_pubkey(certificate) else { return "unknown" }
    var group = [CChar](repeating: 0, count: 64)
    var count = 0
    switch EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_RSA: return "RSA \(EVP_PKEY_get_bits(key))"
    case EVP_PKEY_EC:
        guard EVP_PKEY_get_group_name(key, &group, group.count, &count) == 1 else { return "EC" }
        let name = String(decoding: group.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        switch name {
        case "prime256v1": return "EC P-256"
        case "secp384r1": return "EC P-384"
        case "secp521r1": return "EC P-521"
        default: return "EC \(name)"
        }
    case EVP_PKEY_ED25519: return "Ed25519"
    default: return "unknown"
    }
}
