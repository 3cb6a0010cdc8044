// `Sidecar`: which hosts a workload sees, where it listens for its own application's requests beside the
// outbound listener, and what it accepts for it (istio-semantics.md 19).
internal import Base

struct SidecarDocument: Document {
    struct Egress: Sendable {
        var hosts: [Located<String>]
        /// Nil: for all ports that no other element has.
        var port: UInt16?
        var proto = PortProtocol.auto
        /// Where to listen; nil: requests come by the outbound listener, as captured ones do under Istio.
        var bind: IPAddress?
        var line: Int
    }

    struct Ingress: Sendable {
        var port: UInt16
        var proto = PortProtocol.auto
        /// Where to listen; nil: connections come by an inbound listener of the Proxy.
        var bind: IPAddress?
        /// Nil: the port on loopback.
        var app: SocketAddress?
        /// Ends at the sidecar.
        var tls: ServerTLSFields?
        /// Requests are inside of its TLS.
        var isHTTPS = false
        var line: Int

        /// Its bytes are not read.
        var isStream: Bool {
            if tls != nil, isHTTPS { return false }
            return proto == .tcp || proto == .tls
        }
    }

    /// Where requests for hosts that nobody owns go.
    struct EgressProxy: Sendable {
        /// FQDN.
        var host: String
        var subset: String
        var port: UInt16?
        var line: Int
    }

    var meta: Meta
    /// Nil: every workload of the namespace.
    var workloadSelector: [String: String]?
    var egress: [Egress] = []
    var hasEgress = false
    var ingress: [Ingress] = []
    var hasIngress = false
    /// Nil: not given.
    var registryOnly: Bool?
    var egressProxy: EgressProxy?

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        if let selector = spec.object("workloadSelector") {
            workloadSelector = selector.labels("labels")
            selector.finish()
        }
        hasEgress = spec.has("egress")
        for fields in spec.objects("egress") { readEgress(fields) }
        if let first = egress.firstIndex(where: { $0.port == nil }), first < egress.count - 1 {
            context.invalid(
                egress[first].line, "spec.egress[\(first)] has no port and is not the last",
                suggestion: "the element for all other ports comes last")
        }
        hasIngress = spec.has("ingress")
        for fields in spec.objects("ingress") { readIngress(fields) }
        if let policy = spec.object("outboundTrafficPolicy") { readPolicy(policy) }
        spec.unsupported("inboundConnectionPool")
        spec.finish()
    }

    /// Number and protocol of a `port`, also as it is written; nil: there is none.
    private func readPort(_ fields: Fields) -> (number: UInt16?, proto: PortProtocol, word: String)? {
        guard let inner = fields.object("port") else { return nil }
        let name = inner.string("name") ?? ""
        let word = inner.string("protocol") ?? ""
        inner.accept("targetPort")
        defer { inner.finish() }
        if !inner.has("number") {
            fields.context.invalid(inner.line, "\(inner.path).number is missing")
        }
        let proto = PortProtocol(word: word.isEmpty ? name.prefix { $0 != "-" } : word[...]) ?? .auto
        return (inner.port("number"), proto, word.uppercased())
    }

    /// Istio opens a socket for `captureMode: NONE`; where nothing is captured, an address to bind says the
    /// same.
    private func readBind(_ fields: Fields, default text: String) -> IPAddress? {
        let isOpen = fields.word("captureMode", of: ["DEFAULT", "IPTABLES", "NONE"]) == "NONE"
        if let given = fields.string("bind"), given.hasPrefix("unix://") {
            fields.context.warn(
                fields.line(of: "bind"), Code.fieldNotSupported,
                "not supported yet: \(fields.path).bind \(given), nothing listens there")
            return nil
        }
        return fields.address("bind") ?? (isOpen ? IPAddress(text) : nil)
    }

    private mutating func readEgress(_ fields: Fields) {
        let port = readPort(fields)
        let hosts = fields.strings("hosts")
        if hosts.isEmpty { fields.context.invalid(fields.line, "\(fields.path).hosts is missing") }
        for host in hosts where host.value.split(separator: "/").count != 2 {
            fields.context.invalid(
                host.line, "\(fields.path).hosts: \"\(host.value)\" is not namespace/host")
        }
        var element = Egress(
            hosts: hosts, port: port?.number, proto: port?.proto ?? .auto,
            bind: readBind(fields, default: "127.0.0.1"), line: fields.line)
        if element.bind != nil, port == nil {
            // Without a port the outbound listener is the place, where there is one.
            if fields.has("bind") {
                fields.context.invalid(fields.line(of: "bind"), "\(fields.path).bind needs a port")
            }
            element.bind = nil
        }
        egress.append(element)
        fields.finish()
    }

    private mutating func readIngress(_ fields: Fields) {
        defer { fields.finish() }
        let bind = readBind(fields, default: "0.0.0.0")
        fields.unsupported("connectionPool")
        guard let port = readPort(fields), let number = port.number else {
            if !fields.has("port") { fields.context.invalid(fields.line, "\(fields.path).port is missing") }
            fields.accept("defaultEndpoint", "tls")
            return
        }
        var element = Ingress(port: number, proto: port.proto, bind: bind, line: fields.line)
        if let text = fields.string("defaultEndpoint") {
            element.app = parseSocketAddress(text) ?? parseUnixAddress(text)
            if element.app == nil {
                fields.context.invalid(
                    fields.line(of: "defaultEndpoint"),
                    "\(fields.path).defaultEndpoint: \"\(text)\" is no address",
                    suggestion: "as in 127.0.0.1:8080, or unix:///run/app.sock")
            }
        }
        element.tls = fields.object("tls").flatMap(readTLS)
        element.isHTTPS = port.word == "HTTPS"
        ingress.append(element)
    }

    private func readTLS(_ fields: Fields) -> ServerTLSFields? {
        let tls = ServerTLSFields(fields)
        switch tls.mode {
        case .simple, .mutual, .optionalMutual, .istioMutual: return tls
        case .passthrough, .autoPassthrough:
            fields.context.invalid(
                fields.line(of: "mode"), "\(fields.path).mode is \(tls.mode.rawValue): nothing ends here",
                suggestion: "SIMPLE or MUTUAL")
            return nil
        }
    }

    private mutating func readPolicy(_ policy: Fields) {
        registryOnly = policy.word("mode", of: ["REGISTRY_ONLY", "ALLOW_ANY"]).map { $0 == "REGISTRY_ONLY" }
        if let fields = policy.object("egressProxy") {
            let port = fields.object("port")
            if let host = fields.string("host") {
                egressProxy = EgressProxy(
                    host: Names.resolve(host, namespace: meta.namespace),
                    subset: fields.string("subset") ?? "", port: port?.port("number"), line: fields.line)
            } else {
                fields.context.invalid(fields.line, "\(fields.path).host is missing")
            }
            port?.finish()
            fields.finish()
        }
        policy.finish()
    }
}
