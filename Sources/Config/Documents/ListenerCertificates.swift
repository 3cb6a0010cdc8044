// `certificateRefs` of a Gateway API listener as the settings that Istio's `tls` blocks come to.
internal import Base
internal import Lanes
internal import TLS

extension ServerTLSFields {
    /// SIMPLE with the certificates of Secrets, each `namespace/name`.
    init(secrets: [Located<String>], line: Int) {
        self.init()
        mode = .simple
        self.line = line
        credentials = secrets.map { Located("kubernetes-gateway://\($0.value)", line: $0.line) }
        settings.protocols = TLSOffers.server
    }
}
