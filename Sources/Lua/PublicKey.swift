// `importPublicKey` and `verifySignature`: a public key in DER and what it says of a signature.
internal import Base
internal import CLuaJIT
internal import COpenSSL

/// Lives as long as one question to it.
struct PublicKey: ~Copyable {
    private let key: OpaquePointer

    /// nil: the bytes are no SubjectPublicKeyInfo (RFC 5280 4.1), or have something behind it.
    init?(_ bytes: ByteView) {
        guard !bytes.isEmpty, bytes.count <= Limits.scriptKeyBytes else { return nil }
        var at: UnsafePointer<UInt8>? = bytes.start
        let made = d2i_PUBKEY(nil, &at, bytes.count)
        // What failed is told by the result; the thread's queue of errors is for connections.
        ERR_clear_error()
        guard let made else { return nil }
        guard at == bytes.start + bytes.count else {
            EVP_PKEY_free(made)
            return nil
        }
        key = made
    }

    deinit { EVP_PKEY_free(key) }

    /// One of the shim's outcomes. `hash`: sha1, sha224, sha256, sha384 or sha512 in any case.
    borrowing func verify(_ hash: ByteView, _ signature: ByteView, _ data: ByteView) -> Int32 {
        guard let digest = Self.digest(hash) else { return Int32(FL_LUA_UNKNOWN_HASH) }
        guard let context = EVP_MD_CTX_new() else { return Int32(FL_LUA_UNFIT_KEY) }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        guard EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else {
            return Int32(FL_LUA_UNFIT_KEY)
        }
        let outcome = EVP_DigestVerify(context, signature.start, signature.count, data.start, data.count)
        return Int32(outcome == 1 ? FL_LUA_VERIFIED : FL_LUA_FALSE_SIGNATURE)
    }

    private static func digest(_ name: ByteView) -> OpaquePointer? {
        if name.equalsIgnoringCase("sha1") { return EVP_sha1() }
        if name.equalsIgnoringCase("sha224") { return EVP_sha224() }
        if name.equalsIgnoringCase("sha256") { return EVP_sha256() }
        if name.equalsIgnoringCase("sha384") { return EVP_sha384() }
        if name.equalsIgnoringCase("sha512") { return EVP_sha512() }
        return nil
    }
}
