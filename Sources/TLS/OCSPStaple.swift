// An OCSP response that a server sends along with its certificate, so that clients need not ask the authority
// (RFC 6066 8). Whoever runs the server renews the file; an outdated response is left out.
internal import CLinux
internal import COpenSSL

enum OCSPStaple {
    /// Checks that the bytes are a good response, and about this certificate.
    static func read(
        _ bytes: [UInt8], for certificate: OpaquePointer
    ) throws(TLSProblem) -> (bytes: [UInt8], until: Int64) {
        if bytes.isEmpty { return ([], 0) }
        OpenSSLErrors.clear()
        var start: UnsafePointer<UInt8>?
        let response: OpaquePointer? = bytes.withUnsafeBufferPointer { buffer in
            start = buffer.baseAddress
            return d2i_OCSP_RESPONSE(nil, &start, buffer.count)
        }
        guard let response else { throw TLSProblem.openSSL(.staple, "no OCSP response in DER") }
        defer { OCSP_RESPONSE_free(response) }
        let status = OCSP_response_status(response)
        if status != OCSP_RESPONSE_STATUS_SUCCESSFUL {
            let name = OCSP_response_status_str(Int(status)).map { String(cString: $0) } ?? "\(status)"
            throw TLSProblem(.staple, "the response is no answer but \"\(name)\"")
        }
        guard let basic = OCSP_response_get1_basic(response) else {
            throw TLSProblem.openSSL(.staple, "the response cannot be read")
        }
        defer { OCSP_BASICRESP_free(basic) }
        let wanted = X509_get0_serialNumber(certificate)
        for index in 0..<OCSP_resp_count(basic) {
            guard let single = OCSP_resp_get0(basic, index) else { continue }
            var serial: UnsafeMutablePointer<ASN1_INTEGER>?
            fl_ocsp_serial(single, &serial)
            guard let serial, ASN1_INTEGER_cmp(serial, wanted) == 0 else { continue }
            var until: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
            OCSP_single_get0_status(single, nil, nil, nil, &until)
            var parts = tm()
            guard let until, ASN1_TIME_to_tm(until, &parts) == 1 else { return (bytes, Int64.max) }
            return (bytes, Int64(timegm(&parts)))
        }
        throw TLSProblem(.staple, "the response is about another certificate")
    }
}

/// OpenSSL asks for the response to send; the context's certificates stand in its rules.
func stapleCallback(_ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let ssl, let context = SSL_get_SSL_CTX(ssl), let rules = ContextRules.of(context),
        let shown = SSL_get_certificate(ssl)
    else { return SSL_TLSEXT_ERR_NOACK }
    for identity in rules.identities where identity.certificate == shown {
        let nowSeconds = Int64(fl_realtime_ns() / 1_000_000_000)
        if identity.staple.isEmpty || identity.stapleUntil <= nowSeconds { return SSL_TLSEXT_ERR_NOACK }
        guard let copy = fl_malloc(identity.staple.count) else { return SSL_TLSEXT_ERR_NOACK }
        _ = identity.staple.withUnsafeBytes { memcpy(copy, $0.baseAddress.unsafelyUnwrapped, $0.count) }
        fl_ssl_set_staple(ssl, copy.assumingMemoryBound(to: UInt8.self), identity.staple.count)
        return SSL_TLSEXT_ERR_OK
    }
    return SSL_TLSEXT_ERR_NOACK
}
