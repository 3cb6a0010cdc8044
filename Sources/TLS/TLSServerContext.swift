// How one server of a TLS port shakes hands: its certificates, whose client certificates it takes, versions
// and cipher suites. Immutable; shared by all workers, kept alive by the connections made with it.
internal import Base
internal import COpenSSL

/// Whether clients show certificates.
public enum ClientCertificates: UInt8, Sendable, Hashable, BitwiseCopyable {
    /// SIMPLE, OPTIONAL_MUTUAL (asked for, verified if given), MUTUAL.
    case none, optional, required
}

public final class TLSServerContext: Sendable {
    public struct Settings: Sendable {
        public var tls = TLSSettings()
        /// At least one; one of each key type is used.
        public var identities: [TLSIdentity] = []
        public var clients = ClientCertificates.none
        /// PEM; needed where clients show certificates.
        public var authorities: [UInt8] = []
        /// PEM; empty: none.
        public var revocations: [UInt8] = []
        /// Rules for client certificates.
        public var peer = PeerRules()

        public init() {}
    }

    nonisolated(unsafe) let context: OpaquePointer
    public let identities: [TLSIdentity]
    public let clients: ClientCertificates
    let tls: TLSSettings
    /// Equal for contexts that ask the same of clients: a connection made with one may be served by the
    /// other, and so may a session.
    let clientPolicy: [UInt8]

    public init(_ settings: Settings) throws(TLSProblem) {
        if settings.identities.isEmpty { throw TLSProblem(.certificate, "no certificate") }
        let policy = Self.policy(settings)
        let context = try settings.tls.makeContext()
        do throws(TLSProblem) {
            try Self.fill(context, settings, policy)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        self.context = context
        identities = settings.identities
        clients = settings.clients
        tls = settings.tls
        clientPolicy = policy
    }

    deinit { SSL_CTX_free(context) }

    private static func fill(
        _ context: OpaquePointer, _ settings: Settings, _ policy: [UInt8]
    ) throws(TLSProblem) {
        for identity in settings.identities { try identity.install(in: context) }
        try ContextRules(
            peer: settings.peer, identities: settings.identities, protocols: settings.tls.protocols,
            clientPolicy: policyNumber(policy)
        ).attach(to: context)
        if settings.clients != .none {
            let authorities = try TrustStore.fill(
                context, authorities: settings.authorities, revocations: settings.revocations)
            for authority in authorities {
                SSL_CTX_add_client_CA(context, authority)
                X509_free(authority)
            }
        }
        SSL_CTX_set_verify(context, settings.clients.mode, verifyCallback)
        if settings.identities.contains(where: { !$0.staple.isEmpty }) {
            fl_ctx_set_status(context, stapleCallback, nil)
        }
        // A session made with one policy for client certificates is none for another (RFC 8446 4.6.1).
        if SSL_CTX_set_session_id_context(context, policy, UInt32(policy.count)) != 1 {
            throw TLSProblem.openSSL(.context, "session context")
        }
        fl_ctx_set_session_cache(context, Int(SSL_SESS_CACHE_OFF))
        TicketKeys.install(in: context)
        SSL_CTX_set_alpn_select_cb(context, protocolCallback, nil)
    }

    private static func policyNumber(_ policy: [UInt8]) -> UInt64 {
        policy.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `clientPolicy` as a number.
    public var clientPolicyNumber: UInt64 { Self.policyNumber(clientPolicy) }

    /// SHA-256 over everything that decides which clients are let in.
    private static func policy(_ settings: Settings) -> [UInt8] {
        var input: [UInt8] = [settings.clients.rawValue]
        if settings.clients != .none {
            input += settings.authorities + [0] + settings.revocations + [0]
            input += Array("\(settings.peer.names)\(settings.peer.fingerprints)\(settings.peer.keyPins)".utf8)
        }
        return TLSDigest.sha256([input])
    }
}

extension ClientCertificates {
    var mode: Int32 {
        switch self {
        case .none: SSL_VERIFY_NONE
        case .optional: SSL_VERIFY_PEER
        case .required: SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        }
    }
}

/// The first of our protocols that the client offers too; none in common: go on without (as Envoy does).
private func protocolCallback(
    _ ssl: OpaquePointer?, _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ outCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ count: UInt32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let ssl, let out, let outCount, let offered, let context = SSL_get_SSL_CTX(ssl),
        let wanted = ContextRules.of(context)?.protocols
    else { return SSL_TLSEXT_ERR_NOACK }
    for one in wanted where one != .none {
        var at = 0
        while at < Int(count) {
            let length = Int(offered[at])
            guard length > 0, at + 1 + length <= Int(count) else { return SSL_TLSEXT_ERR_NOACK }
            if ByteView(offered + at + 1, length).equals(one.name) {
                out.pointee = offered + at + 1
                outCount.pointee = UInt8(length)
                return SSL_TLSEXT_ERR_OK
            }
            at += 1 + length
        }
    }
    return SSL_TLSEXT_ERR_NOACK
}
