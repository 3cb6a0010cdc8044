// `Sidecar`: which hosts a workload sees.
internal import Base
internal import Lanes

struct SidecarDocument: Document {
    struct Egress: Sendable {
        var hosts: [Located<String>]
        var port: UInt16?
        var line: Int
    }

    var meta: Meta
    /// Nil: every workload of the namespace.
    var workloadSelector: [String: String]?
    var egress: [Egress] = []
    var hasEgress = false
    /// Nil: not given.
    var registryOnly: Bool?

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        if let selector = spec.object("workloadSelector") {
            workloadSelector = selector.labels("labels")
            selector.finish()
        }
        hasEgress = spec.has("egress")
        for fields in spec.objects("egress") {
            let port = fields.object("port").flatMap { inner in
                inner.accept("protocol", "name", "targetPort")
                defer { inner.finish() }
                return inner.port("number")
            }
            let hosts = fields.strings("hosts")
            if hosts.isEmpty { context.invalid(fields.line, "\(fields.path).hosts is missing") }
            for host in hosts where host.value.split(separator: "/").count != 2 {
                context.invalid(host.line, "\(fields.path).hosts: \"\(host.value)\" is not namespace/host")
            }
            if port != nil {
                context.warn(
                    fields.line(of: "port"), Code.fieldNotSupported,
                    "not supported yet: \(fields.path).port, its hosts are seen on every port")
            }
            fields.accept("bind", "captureMode")
            egress.append(Egress(hosts: hosts, port: port, line: fields.line))
            fields.finish()
        }
        if let policy = spec.object("outboundTrafficPolicy") {
            registryOnly =
                policy.word("mode", of: ["REGISTRY_ONLY", "ALLOW_ANY"]).map { $0 == "REGISTRY_ONLY" }
            policy.unsupported("egressProxy", effect: "ignored")
            policy.finish()
        }
        spec.unsupported(
            "ingress", "inboundConnectionPool", effect: "Proxy.spec.inbound says where requests go")
        spec.finish()
    }
}
