// Whose certificates are accepted beyond the chain of trust: names that one of the certificate's alternative
// names must match, and pinned hashes. Looked at inside the handshake, so that a refused peer gets an alert.
internal import COpenSSL

public struct PeerRules: Sendable, Hashable {
    /// `subjectAltNames`: the certificate must have one of them. `*` at the start or end stands for anything.
    /// Empty: any name.
    public var names: [String] = []
    /// SHA-256 of the certificate's DER form, lower-case hex. Empty: any.
    public var fingerprints: [String] = []
    /// SHA-256 of the public key's DER form, base64. Empty: any.
    public var keyPins: [String] = []

    public init() {}

    /// Whether the rules can refuse anything.
    var isEmpty: Bool { names.isEmpty && fingerprints.isEmpty && keyPins.isEmpty }

    /// nil: accepted; else what was wrong.
    func refusal(of certificate: OpaquePointer) -> String? {
        if !names.isEmpty {
            let given = AlternativeNames.read(certificate)
            let isNamed = names.contains { wanted in given.contains { Self.matches(wanted, $0) } }
            if !isNamed {
                return "none of the names \(names.joined(separator: ", ")) is in the certificate"
            }
        }
        if !fingerprints.isEmpty || !keyPins.isEmpty {
            let isPinned =
                fingerprints.contains(hex(digest(certificate)))
                || keyPins.contains(keyDigest(certificate))
            if !isPinned { return "the certificate is none of the pinned ones" }
        }
        return nil
    }

    /// A DNS name in a certificate may itself be a wildcard for one label (RFC 6125 6.4.3).
    static func matches(_ wanted: String, _ given: AlternativeName) -> Bool {
        let ignoresCase = given.kind == .dns || given.kind == .mail
        let name = ignoresCase ? given.value.lowercased() : given.value
        let rule = ignoresCase ? wanted.lowercased() : wanted
        if rule == name { return true }
        if rule.hasPrefix("*"), rule.utf8.count > 1 { return name.hasSuffix(rule.dropFirst()) }
        if rule.hasSuffix("*"), rule.utf8.count > 1 { return name.hasPrefix(rule.dropLast()) }
        guard given.kind == .dns, name.hasPrefix("*."), let dot = rule.firstIndex(of: ".") else {
            return false
        }
        return rule[dot...] == name.dropFirst() && dot != rule.startIndex
    }

    private func keyDigest(_ certificate: OpaquePointer) -> String {
        let count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), nil)
        guard count > 0 else { return "" }
        var der = [UInt8](repeating: 0, count: Int(count))
        der.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            _ = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &start)
        }
        var hash = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        guard EVP_Digest(der, der.count, &hash, &length, EVP_sha256(), nil) == 1 else { return "" }
        var text = [UInt8](repeating: 0, count: 48)
        let written = EVP_EncodeBlock(&text, hash, 32)
        return String(decoding: text.prefix(Int(written)), as: UTF8.self)
    }
}

/// What the callbacks of a context need of it. The context owns it: it lives as long as any connection.
final class ContextRules: Sendable {
    let peer: PeerRules
    let identities: [TLSIdentity]
    /// Chosen from what clients offer, best first.
    let protocols: [TLSProtocol]
    /// Of a server: equal for those that ask the same of clients.
    let clientPolicy: UInt64
    /// Of a listener's own context: which server a name leads to.
    let servers: ServerChoice?

    init(
        peer: PeerRules = PeerRules(), identities: [TLSIdentity] = [], protocols: [TLSProtocol] = [],
        clientPolicy: UInt64 = 0, servers: ServerChoice? = nil
    ) {
        self.peer = peer
        self.identities = identities
        self.protocols = protocols
        self.clientPolicy = clientPolicy
        self.servers = servers
    }

    private static let index: Int32 = fl_ctx_index { _, pointer, _, _, _, _ in
        if let pointer { Unmanaged<ContextRules>.fromOpaque(pointer).release() }
    }

    func attach(to context: OpaquePointer) throws(TLSProblem) {
        let own = Unmanaged.passRetained(self)
        if SSL_CTX_set_ex_data(context, Self.index, own.toOpaque()) != 1 {
            own.release()
            throw TLSProblem.openSSL(.context, "out of memory")
        }
    }

    static func of(_ context: OpaquePointer) -> ContextRules? {
        guard let pointer = SSL_CTX_get_ex_data(context, index) else { return nil }
        return Unmanaged<ContextRules>.fromOpaque(pointer).takeUnretainedValue()
    }
}

/// OpenSSL asks about each certificate of a chain, the root first: its own verdict stands, and the leaf must
/// also satisfy our rules. What is refused is noted, with the names that the certificate has.
func verifyCallback(_ isFine: Int32, _ store: OpaquePointer?) -> Int32 {
    guard let store,
        let raw = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    else { return 0 }
    let ssl = OpaquePointer(raw)
    let depth = X509_STORE_CTX_get_error_depth(store)
    let certificate = X509_STORE_CTX_get_current_cert(store)
    if isFine == 1 {
        guard depth == 0, let certificate, let context = SSL_get_SSL_CTX(ssl),
            let rules = ContextRules.of(context)?.peer, !rules.isEmpty,
            let refusal = rules.refusal(of: certificate)
        else { return 1 }
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
        note(ssl, refusal, certificate)
        return 0
    }
    let code = X509_STORE_CTX_get_error(store)
    let reason = X509_verify_cert_error_string(Int(code)).map { String(cString: $0) } ?? "error \(code)"
    note(ssl, reason, certificate)
    return 0
}

private func note(_ ssl: OpaquePointer, _ reason: String, _ certificate: OpaquePointer?) {
    guard let pipe = Pipe.of(ssl) else { return }
    var text = reason
    if let certificate {
        let names = AlternativeNames.read(certificate).prefix(8).map(\.text)
        text += "; certificate \(distinguishedName(X509_get_subject_name(certificate)))"
        if !names.isEmpty { text += " for \(names.joined(separator: ", "))" }
    }
    pipe.pointee.note(text)
}
