// `certificateRefs` of a Gateway API listener as the settings that Istio's `tls` blocks come to.
internal import Lanes

extension ServerTLSFields {
    /// SIMPLE with the certificates of Secrets, each `namespace/name`; with `clients` MUTUAL: certificates
    /// by these authorities are asked for. `isHTTP`: requests follow.
    init(
        secrets: [Located<String>], clients: AuthorityBundle? = nil, isHTTP: Bool = true, line: Int
    ) {
        self.init()
        mode = clients == nil ? .simple : .mutual
        authorityBundle = clients
        self.line = line
        credentials = secrets.map { Located("kubernetes-gateway://\($0.value)", line: $0.line) }
        settings.protocols = isHTTP ? TLSOffers.server : []
    }
}

/// Certificates of authorities as PEM, and where they stand.
struct AuthorityBundle: Sendable {
    var bytes: [UInt8]
    var ref: SourceRef
}
