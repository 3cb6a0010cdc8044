// What OpenSSL says when it refuses something: its error queue as one sentence.
internal import COpenSSL

/// Why certificates, keys or settings cannot be used, for people.
public struct TLSProblem: Error, Sendable, Equatable {
    /// What was wrong, as whoever configured it calls it.
    public enum Part: String, Sendable {
        case certificate, key, authority = "certificate authority", revocations = "revocation list"
        case staple = "OCSP response", ciphers = "cipher suites", versions = "protocol versions"
        case context = "TLS context"
    }

    public var part: Part
    public var text: String

    public init(_ part: Part, _ text: String) {
        self.part = part
        self.text = text
    }

    /// With what OpenSSL's error queue holds, which is empty afterwards.
    static func openSSL(_ part: Part, _ what: String) -> TLSProblem {
        let said = OpenSSLErrors.take()
        return TLSProblem(part, said.isEmpty ? what : "\(what): \(said)")
    }
}

/// The error queue of the calling thread.
enum OpenSSLErrors {
    static func clear() { ERR_clear_error() }

    /// The reasons in the queue, the first (the cause) before what followed from it; the queue is empty
    /// afterwards.
    static func take() -> String {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            let reason = text(code)
            if reasons.count < 3, !reasons.contains(reason) { reasons.append(reason) }
        }
        return reasons.joined(separator: ", ")
    }

    static func text(_ code: UInt) -> String {
        if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
        return "error \(String(code, radix: 16))"
    }
}

/// Digests for telling configurations apart.
public enum TLSDigest {
    /// Over the parts with their lengths, so that no two lists of parts give one.
    public static func sha256(_ parts: [[UInt8]]) -> [UInt8] {
        var input: [UInt8] = []
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count)) { input += $0 }
            input += part
        }
        var hash = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        let isDone = EVP_Digest(input, input.count, &hash, &count, EVP_sha256(), nil)
        precondition(isDone == 1, "SHA-256 is part of every OpenSSL")
        return hash
    }
}
