// What both kinds of contexts have in common: versions, cipher suites, groups and modes.
public import Base
internal import COpenSSL

public enum TLSVersion: UInt8, Sendable, Comparable, BitwiseCopyable, CaseIterable {
    case v1_0, v1_1, v1_2, v1_3

    /// As Envoy's formatters have it; holds for ever.
    public var name: ByteView {
        switch self {
        case .v1_0: "TLSv1"
        case .v1_1: "TLSv1.1"
        case .v1_2: "TLSv1.2"
        case .v1_3: "TLSv1.3"
        }
    }

    public var text: String { name.string }

    var number: Int32 {
        switch self {
        case .v1_0: TLS1_VERSION
        case .v1_1: TLS1_1_VERSION
        case .v1_2: TLS1_2_VERSION
        case .v1_3: TLS1_3_VERSION
        }
    }

    public static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }
}

/// What two sides agree to speak inside (RFC 7301).
public enum TLSProtocol: UInt8, Sendable, BitwiseCopyable {
    /// Nothing was agreed on: HTTP/1.1.
    case none
    case http1, http2

    public var name: ByteView {
        switch self {
        case .none: ""
        case .http1: "http/1.1"
        case .http2: "h2"
        }
    }

    /// ALPN's wire form of a list of this one alone.
    var wire: ByteView {
        switch self {
        case .none: ""
        case .http1: "\u{8}http/1.1"
        case .http2: "\u{2}h2"
        }
    }

    init(_ name: ByteView) {
        self = name.equals(TLSProtocol.http2.name) ? .http2 : name.isEmpty ? .none : .http1
    }
}

public struct TLSSettings: Sendable, Hashable {
    public var minVersion = TLSVersion.v1_2
    public var maxVersion = TLSVersion.v1_3
    /// OpenSSL's names, TLS 1.3 ones (`TLS_…`) among them; empty: Envoy's default list.
    public var ciphers: [String] = []
    /// Offered (client) or chosen from (server), best first.
    public var protocols: [TLSProtocol] = [.http1]

    public init() {}

    /// Forward secrecy and authenticated encryption only: what Envoy takes by default.
    public static let defaultCiphers = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    ]

    /// Whether OpenSSL knows a cipher suite by this name.
    public static func isCipher(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !":,@!+".utf8.contains($0) })
        else { return false }
        guard let context = SSL_CTX_new(TLS_method()) else { return false }
        defer {
            SSL_CTX_free(context)
            OpenSSLErrors.clear()
        }
        if name.hasPrefix("TLS_") { return SSL_CTX_set_ciphersuites(context, name) == 1 }
        return SSL_CTX_set_cipher_list(context, "\(name):@SECLEVEL=0") == 1
    }

    /// ALPN's wire form: each name after its length.
    var protocolBytes: [UInt8] {
        protocols.filter { $0 != .none }.flatMap { [UInt8($0.name.count)] + $0.name.bytes }
    }

    /// A context of either side.
    func makeContext() throws(TLSProblem) -> OpaquePointer {
        OpenSSLErrors.clear()
        guard let context = SSL_CTX_new(TLS_method()) else {
            throw TLSProblem.openSSL(.context, "cannot be made")
        }
        do throws(TLSProblem) {
            try apply(to: context)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        return context
    }

    private func apply(to context: OpaquePointer) throws(TLSProblem) {
        fl_ctx_set_options(context)
        guard fl_ctx_set_min_version(context, minVersion.number) == 1,
            fl_ctx_set_max_version(context, maxVersion.number) == 1
        else { throw TLSProblem.openSSL(.versions, "\(minVersion.text) to \(maxVersion.text)") }
        var list = ciphers.filter { !$0.hasPrefix("TLS_") }
        if list.isEmpty { list = Self.defaultCiphers }
        // Versions before 1.2 sign with SHA-1, which only the lowest level allows.
        if minVersion < .v1_2 { list.append("@SECLEVEL=0") }
        if SSL_CTX_set_cipher_list(context, list.joined(separator: ":")) != 1 {
            throw TLSProblem.openSSL(.ciphers, list.joined(separator: ":"))
        }
        let newer = ciphers.filter { $0.hasPrefix("TLS_") }
        if !newer.isEmpty, SSL_CTX_set_ciphersuites(context, newer.joined(separator: ":")) != 1 {
            throw TLSProblem.openSSL(.ciphers, newer.joined(separator: ":"))
        }
        if fl_ctx_set_groups(context, "X25519:P-256:P-384") != 1 {
            throw TLSProblem.openSSL(.context, "groups")
        }
    }
}

/// Certificates that are believed.
struct TrustStore {
    /// Adds all certificates of a PEM text, and revocation lists if there are any.
    static func fill(
        _ context: OpaquePointer, authorities: [UInt8], revocations: [UInt8]
    ) throws(TLSProblem) -> [OpaquePointer] {
        guard let store = SSL_CTX_get_cert_store(context) else {
            throw TLSProblem.openSSL(.context, "no certificate store")
        }
        let certificates = try PEM.certificates(authorities, .authority)
        for certificate in certificates { X509_STORE_add_cert(store, certificate) }
        if !revocations.isEmpty {
            try PEM.addRevocations(revocations, to: store)
            // Only the leaf's issuer need have a list: Envoy's onlyVerifyLeafCertCrl as Istio sets it.
            X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK))
        }
        OpenSSLErrors.clear()
        return certificates
    }
}
