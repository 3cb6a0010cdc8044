// How we shake hands with upstreams of one kind: what we trust, what we show, which names must be in their
// certificates. Immutable; shared by all workers.
internal import COpenSSL

public final class TLSClientContext: Sendable {
    public struct Settings: Sendable {
        public var tls = TLSSettings()
        /// What is shown to servers that ask (MUTUAL); nil: nothing.
        public var identity: TLSIdentity?
        /// PEM; empty: the system's roots.
        public var authorities: [UInt8] = []
        /// PEM; empty: none.
        public var revocations: [UInt8] = []
        /// Rules for the server's certificate beyond its chain.
        public var peer = PeerRules()
        /// Without names of its own the certificate must be for the host that is asked for.
        public var checksHost = true
        /// `insecureSkipVerify`: any certificate will do.
        public var skipsVerification = false

        public init() {}
    }

    nonisolated(unsafe) let context: OpaquePointer
    public let identity: TLSIdentity?
    /// The certificate must be for the host that is asked for.
    public let verifiesHost: Bool

    public init(_ settings: Settings) throws(TLSProblem) {
        let context = try settings.tls.makeContext()
        do throws(TLSProblem) {
            try Self.fill(context, settings)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        self.context = context
        identity = settings.identity
        verifiesHost = settings.checksHost && !settings.skipsVerification && settings.peer.names.isEmpty
    }

    deinit { SSL_CTX_free(context) }

    private static func fill(_ context: OpaquePointer, _ settings: Settings) throws(TLSProblem) {
        if let identity = settings.identity { try identity.install(in: context) }
        try ContextRules(peer: settings.peer).attach(to: context)
        if settings.skipsVerification {
            SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        } else {
            if settings.authorities.isEmpty {
                if SSL_CTX_set_default_verify_paths(context) != 1 {
                    throw TLSProblem.openSSL(.authority, "the system's roots cannot be read")
                }
            } else {
                let authorities = try TrustStore.fill(
                    context, authorities: settings.authorities, revocations: settings.revocations)
                for authority in authorities { X509_free(authority) }
            }
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verifyCallback)
        }
        // Sessions are kept by whoever made the connection, with the endpoint they are for.
        // (With a cache OpenSSL would also spoil a TLS 1.3 session that was used once.)
        fl_ctx_set_session_cache(context, Int(SSL_SESS_CACHE_OFF))
        let protocols = settings.tls.protocolBytes
        if !protocols.isEmpty, SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count)) != 0 {
            throw TLSProblem.openSSL(.context, "ALPN")
        }
    }

    /// Holds as long as this context.
    public var handle: TLSClientHandle { TLSClientHandle(context: context) }
}

/// A client context as frozen configuration has it. Whoever stores it keeps the context alive.
public struct TLSClientHandle: BitwiseCopyable {
    let context: OpaquePointer
}

/// A session that the next connection to the same server may resume. Owned by whoever holds it.
public struct TLSSession: BitwiseCopyable, Equatable {
    let session: OpaquePointer

    public func free() { SSL_SESSION_free(session) }
}
