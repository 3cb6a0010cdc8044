// Why a handshake or a connection failed, as a short list that can be counted, read off OpenSSL's errors.
internal import COpenSSL

public enum TLSFailure: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// What came is no TLS, or broken.
    case notTLS
    /// HTTP without TLS.
    case plainHTTP
    /// No version in common.
    case version
    /// No cipher suite, group or signature algorithm in common.
    case cipher
    /// The client's server name has no server here.
    case serverName
    /// The peer's certificate was refused.
    case certificate
    /// The peer had to show a certificate and did not.
    case noCertificate
    /// The peer refused us: its alert says why.
    case alert
    /// The peer closed in the middle.
    case closed
    case timeout
    /// No application protocol in common (ALPN), or not the one that is needed.
    case alpn
    case other

    /// As in metrics.
    public var name: String {
        switch self {
        case .notTLS: "not_tls"
        case .plainHTTP: "plain_http"
        case .version: "version"
        case .cipher: "cipher"
        case .serverName: "server_name"
        case .certificate: "certificate"
        case .noCertificate: "no_certificate"
        case .alert: "alert"
        case .closed: "closed"
        case .timeout: "timeout"
        case .alpn: "alpn"
        case .other: "other"
        }
    }

    /// From the code that stands first in the error queue.
    init(_ code: UInt) {
        guard code != 0, ERR_GET_LIB(code) == ERR_LIB_SSL else {
            self = code == 0 ? .closed : .other
            return
        }
        let reason = ERR_GET_REASON(code)
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: self = .plainHTTP
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
            SSL_R_WRONG_SSL_VERSION, SSL_R_NO_PROTOCOLS_AVAILABLE, SSL_R_INAPPROPRIATE_FALLBACK:
            self = .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
            SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_CIPHERS_AVAILABLE:
            self = .cipher
        case SSL_R_CERTIFICATE_VERIFY_FAILED: self = .certificate
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: self = .noCertificate
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_RECORD,
            SSL_R_BAD_RECORD_TYPE, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_LENGTH_MISMATCH,
            SSL_R_BAD_PACKET, SSL_R_UNKNOWN_PROTOCOL, SSL_R_RECORD_TOO_SMALL, SSL_R_BAD_EXTENSION,
            SSL_R_EXCESSIVE_MESSAGE_SIZE, SSL_R_UNKNOWN_ALERT_TYPE:
            self = .notTLS
        // The second is the peer's alert.
        case SSL_R_NO_APPLICATION_PROTOCOL, 1_000 + SSL_AD_NO_APPLICATION_PROTOCOL: self = .alpn
        // SSL_AD_REASON_OFFSET: alerts that the peer sent.
        case 1_000..<1_256: self = .alert
        default: self = .other
        }
    }
}
