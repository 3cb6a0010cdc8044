// `PeerAuthentication`: nothing here obeys it; what it asks of servers is compared with what clients are
// told.

struct PeerAuthenticationDocument: Document {
    var meta: Meta
    /// STRICT, PERMISSIVE, DISABLE or UNSET.
    var mode = "UNSET"
    /// For every workload of its namespace, on every port.
    var isForAll = true

    init(_ root: YAML, meta: Meta) {
        self.meta = meta
        let spec = root["spec"]
        if case .scalar(let text, _)? = spec?["mtls"]?["mode"]?.value { mode = text }
        isForAll = spec?["selector"] == nil && spec?["portLevelMtls"] == nil
    }
}
