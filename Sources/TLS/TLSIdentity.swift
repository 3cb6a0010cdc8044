// A certificate with its chain and key, read from PEM: what a server shows to clients, or a client to servers
// that ask. Read and checked when configuration is loaded.
internal import Base
internal import COpenSSL

public final class TLSIdentity: Sendable {
    // Reference-counted by OpenSSL, never changed after init.
    nonisolated(unsafe) let certificate: OpaquePointer
    nonisolated(unsafe) let chain: [OpaquePointer]
    nonisolated(unsafe) let key: OpaquePointer
    /// DER of an OCSP response to send along; empty: none.
    let staple: [UInt8]
    /// Seconds since 1970 at which the staple is no longer good; `Int64.max`: it does not say.
    let stapleUntil: Int64
    /// Of the certificate itself, then of each in its chain.
    public let information: [CertificateInfo]

    /// `certificate`: PEM, the leaf first, then its chain. `key`: PEM, not encrypted. `staple`: an OCSP
    /// response in DER (or DER in PEM's base64), may be empty.
    public init(certificate: [UInt8], key: [UInt8], staple: [UInt8] = []) throws(TLSProblem) {
        OpenSSLErrors.clear()
        let certificates = try PEM.certificates(certificate, .certificate)
        defer { for certificate in certificates { X509_free(certificate) } }
        let leaf = certificates[0]
        let privateKey = try PEM.key(key)
        defer { EVP_PKEY_free(privateKey) }
        if X509_check_private_key(leaf, privateKey) != 1 {
            throw TLSProblem.openSSL(.key, "the private key does not belong to the certificate")
        }
        let response = try OCSPStaple.read(staple, for: leaf)
        self.staple = response.bytes
        stapleUntil = response.until
        for certificate in certificates { X509_up_ref(certificate) }
        EVP_PKEY_up_ref(privateKey)
        self.certificate = leaf
        chain = Array(certificates.dropFirst())
        self.key = privateKey
        information = certificates.map { CertificateInfo($0) }
    }

    /// What a PEM text of certificates says, without their key.
    public static func read(_ text: [UInt8]) throws(TLSProblem) -> [CertificateInfo] {
        let certificates = try PEM.certificates(text, .certificate)
        defer { for certificate in certificates { X509_free(certificate) } }
        return certificates.map { CertificateInfo($0) }
    }

    deinit {
        X509_free(certificate)
        for certificate in chain { X509_free(certificate) }
        EVP_PKEY_free(key)
    }

    /// Of the certificate itself.
    public var leaf: CertificateInfo { information[0] }
    /// nil: there is no staple; else when it ends, seconds since 1970.
    public var stapleEnd: Int64? { staple.isEmpty ? nil : stapleUntil }

    /// Makes it the context's certificate of its key type: a context holds one for RSA and one for ECDSA.
    func install(in context: OpaquePointer) throws(TLSProblem) {
        if SSL_CTX_use_certificate(context, certificate) != 1 {
            throw TLSProblem.openSSL(.certificate, "OpenSSL refuses the certificate")
        }
        for certificate in chain where fl_ctx_add_chain(context, certificate) != 1 {
            throw TLSProblem.openSSL(.certificate, "OpenSSL refuses a certificate of the chain")
        }
        if SSL_CTX_use_PrivateKey(context, key) != 1 {
            throw TLSProblem.openSSL(.key, "OpenSSL refuses the private key")
        }
    }
}

/// Reading PEM text.
enum PEM {
    /// All certificates of a text, at least one. The caller frees them.
    static func certificates(
        _ text: [UInt8], _ part: TLSProblem.Part
    ) throws(TLSProblem) -> [OpaquePointer] {
        OpenSSLErrors.clear()
        if text.isEmpty { throw TLSProblem(part, "empty") }
        guard let memory = reader(text) else { throw TLSProblem.openSSL(part, "out of memory") }
        defer { BIO_free(memory) }
        var found: [OpaquePointer] = []
        while found.count < Limits.certificatesPerFile,
            let certificate = PEM_read_bio_X509(memory, nil, refusePassword, nil)
        {
            found.append(certificate)
        }
        // The end of a text is an error too, PEM_R_NO_START_LINE; any other means a broken certificate.
        let code = ERR_peek_last_error()
        let atEnd = code == 0 || (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == 108)
        if !found.isEmpty, atEnd {
            OpenSSLErrors.clear()
            return found
        }
        for certificate in found { X509_free(certificate) }
        let what = found.isEmpty ? "no PEM certificate" : "certificate \(found.count + 1) cannot be read"
        throw TLSProblem.openSSL(part, what)
    }

    /// The first private key of a text. The caller frees it.
    static func key(_ text: [UInt8]) throws(TLSProblem) -> OpaquePointer {
        OpenSSLErrors.clear()
        if text.isEmpty { throw TLSProblem(.key, "empty") }
        guard let memory = reader(text) else { throw TLSProblem.openSSL(.key, "out of memory") }
        defer { BIO_free(memory) }
        if let key = PEM_read_bio_PrivateKey(memory, nil, refusePassword, nil) {
            OpenSSLErrors.clear()
            return key
        }
        throw TLSProblem.openSSL(.key, "no PEM private key (an encrypted one cannot be used)")
    }

    /// Adds all revocation lists of a text to a store.
    static func addRevocations(_ text: [UInt8], to store: OpaquePointer) throws(TLSProblem) {
        OpenSSLErrors.clear()
        guard let memory = reader(text) else { throw TLSProblem.openSSL(.revocations, "out of memory") }
        defer { BIO_free(memory) }
        var count = 0
        while count < Limits.certificatesPerFile, let list = PEM_read_bio_X509_CRL(memory, nil, nil, nil) {
            X509_STORE_add_crl(store, list)
            X509_CRL_free(list)
            count += 1
        }
        if count == 0 { throw TLSProblem.openSSL(.revocations, "no PEM revocation list") }
        OpenSSLErrors.clear()
    }

    /// A reader over the bytes, which must outlive it: `BIO_new_mem_buf` does not copy, so they are copied.
    private static func reader(_ text: [UInt8]) -> OpaquePointer? {
        guard let memory = BIO_new(BIO_s_mem()) else { return nil }
        let written = text.withUnsafeBytes { BIO_write(memory, $0.baseAddress, Int32(clamping: $0.count)) }
        if Int(written) == text.count { return memory }
        BIO_free(memory)
        return nil
    }
}

/// Nobody is there to type one.
private func refusePassword(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isWriting: Int32,
    _ data: UnsafeMutableRawPointer?
) -> Int32 { 0 }
