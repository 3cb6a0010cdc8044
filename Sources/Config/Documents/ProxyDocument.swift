// `Proxy`: who this proxy is, where it listens, what it trusts (config/README.md has the fields).
internal import Base
internal import Lanes

struct ProxyDocument: Document {
    struct Inbound: Sendable {
        var address: SocketAddress
        var app: SocketAddress
        /// The port that callers know: what documents speak of.
        var port: UInt16
        /// Connections are passed on as they are.
        var isStream = false
        var line: Int
        /// TLS of a Sidecar's `ingress`, which ends here; nil: connections are as they come.
        var tls: ServerTLSFields?
    }

    var meta: Meta
    var model = ProxyModel()
    var inbound: [Inbound] = []
    /// Sidecar: nil when there is no `outbound`.
    var outbound: SocketAddress?
    var outboundLine = 0
    /// Ports whose connections begin with a PROXY header; nil: none, empty: all.
    var proxyHeaderPorts: [Located<UInt16>]?
    /// `identity`: what it shows in the mesh, and whom it believes there.
    struct Identity: Sendable {
        var files: CertificateFiles
        var authorities: Located<String>
    }
    var identity: Identity?
    /// Edge: Gateways of the Gateway API of this class are served; empty: of any.
    var gatewayClass = ""

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        model.name = meta.name
        model.namespace = meta.namespace
        model.labels = meta.labels
        model.debugCIDRs = ["127.0.0.0/8", "::1/128"].compactMap(parseCIDR)
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        readRole(spec)
        readBehaviour(spec)
        readTimeouts(spec)
        readLimits(spec)
        readTrust(spec)
        readProxyHeader(spec)
        readIdentity(spec)
        spec.finish()
    }

    /// The sidecar or edge that stands in when no document says who we are.
    init(synthetic isEdge: Bool, namespace: String) {
        let name = isEdge ? "edge" : "sidecar"
        meta = Meta(
            kind: "Proxy", name: name, namespace: namespace,
            ref: SourceRef(document: "Proxy \(namespace)/\(name)", file: "built-in", line: 0))
        model.name = name
        model.namespace = namespace
        model.isEdge = isEdge
        model.debugCIDRs = ["127.0.0.0/8", "::1/128"].compactMap(parseCIDR)
        if !isEdge { outbound = parseSocketAddress("127.0.0.1:15001") }
    }

    private mutating func readRole(_ spec: Fields) {
        let role = spec.word("role", of: ["edge", "sidecar"])
        if role == nil, !spec.has("role") {
            spec.context.invalid(spec.line, "spec.role is missing", suggestion: "edge or sidecar")
        }
        model.isEdge = role != "sidecar"
        for fields in spec.objects("inbound") { readInbound(fields) }
        if let fields = spec.object("outbound") { readOutbound(fields) }
        if model.isEdge {
            for key in ["inbound", "outbound", "lane"] where spec.has(key) {
                spec.context.warn(
                    spec.line(of: key), Code.fieldNotSupported,
                    "spec.\(key) means nothing at an edge, ignored")
            }
        }
        model.memberOfLane = spec.string("lane")
        if let lane = model.memberOfLane, !isDNSLabel(lane) {
            spec.context.invalid(spec.line(of: "lane"), "spec.lane: \"\(lane)\" is no lane name")
        }
    }

    /// `spec.proxyProtocol`, or Istio's way to say it: `gatewayTopology` in the annotation
    /// `proxy.istio.io/config`, for every port. There Istio also says what becomes of client certificates.
    private mutating func readProxyHeader(_ spec: Fields) {
        if let fields = spec.object("proxyProtocol") {
            proxyHeaderPorts = fields.list("ports").compactMap { element in
                if case .scalar(let text, plain: true) = element.value, let number = parseInteger(text),
                    (1...65_535).contains(number)
                {
                    return Located(UInt16(number), line: element.line)
                }
                fields.context.invalid(element.line, "\(fields.path).ports[] must be a port")
                return nil
            }
            fields.finish()
        }
        guard let text = meta.annotations["proxy.istio.io/config"] else { return }
        let context = spec.context
        do throws(YAMLError) {
            guard let chunk = splitDocuments(Array(text.utf8)).first, let root = try parseYAML(chunk) else {
                return
            }
            let config = Fields(root, path: "proxy.istio.io/config", context: context)
            guard let topology = config.object("gatewayTopology") else { return }
            if topology.has("proxyProtocol"), proxyHeaderPorts == nil { proxyHeaderPorts = [] }
            if let hops = topology.integer("numTrustedProxies", in: 0...1_000), model.trustedHops == 0 {
                model.trustedHops = hops
            }
            switch topology.word(
                "forwardClientCertDetails",
                of: [
                    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET",
                    "ALWAYS_FORWARD_ONLY",
                ])
            {
            case "SANITIZE"?: model.clientCertificates = .sanitize
            case "FORWARD_ONLY"?: model.clientCertificates = .forwardOnly
            case "APPEND_FORWARD"?: model.clientCertificates = .appendForward
            case "ALWAYS_FORWARD_ONLY"?: model.clientCertificates = .alwaysForwardOnly
            default: model.clientCertificates = .sanitizeSet
            }
        } catch {
            context.invalid(meta.ref.line, "proxy.istio.io/config: \(error.message)")
        }
    }

    private mutating func readInbound(_ fields: Fields) {
        let port = fields.port("port")
        if port == nil, !fields.has("port") {
            fields.context.invalid(fields.line, "\(fields.path).port is missing")
        }
        let address = fields.address("address") ?? IPAddress("0.0.0.0")!
        let app = fields.string("app")
        let target = app.flatMap(parseSocketAddress)
        if target == nil {
            let given = app.map { ": \"\($0)\" is no address" } ?? " is missing"
            fields.context.invalid(
                fields.line(of: "app"), "\(fields.path).app\(given)", suggestion: "as in 127.0.0.1:8080")
        }
        if let port, let target {
            inbound.append(
                Inbound(
                    address: address.socket(port: port), app: target, port: target.port, line: fields.line))
        }
        fields.finish()
    }

    private mutating func readOutbound(_ fields: Fields) {
        let address = fields.address("address") ?? IPAddress("127.0.0.1")!
        let port = fields.port("port") ?? 15_001
        if fields.word("capture", of: ["explicit", "transparent"]) == "transparent" {
            fields.context.warn(
                fields.line(of: "capture"), Code.fieldNotSupported,
                "not supported yet: capture: transparent, served as explicit")
        }
        outbound = address.socket(port: port)
        outboundLine = fields.line
        fields.finish()
    }

    private mutating func readBehaviour(_ spec: Fields) {
        model.allowAnyOutbound =
            spec.word("outboundTrafficPolicy", of: ["ALLOW_ANY", "REGISTRY_ONLY"]) != "REGISTRY_ONLY"
        if let headers = spec.object("headers") {
            if let request = headers.object("request") {
                model.injected = readHeaderOperations(request, authority: nil)
            }
            headers.finish()
        }
        gatewayClass = spec.string("gatewayClass") ?? ""
        switch spec.word(
            "pathNormalization", of: ["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"])
        {
        case "NONE"?: model.pathNormalization = .none
        case "MERGE_SLASHES"?: model.pathNormalization = .mergeSlashes
        case "DECODE_AND_MERGE_SLASHES"?: model.pathNormalization = .decodeAndMergeSlashes
        default: model.pathNormalization = .base
        }
        model.shadowHostSuffix = spec.bool("shadowHostSuffix") ?? true
        model.http10 = spec.bool("http10") ?? true
        if let fields = spec.object("compression") { readCompression(fields) }
    }

    private mutating func readCompression(_ fields: Fields) {
        var compression = CompressionModel()
        if fields.has("types") {
            let types = fields.strings("types")
            for type in types where !isMediaRange(type.value) {
                fields.context.invalid(
                    type.line, "\(fields.path).types[]: \"\(type.value)\" is no media type",
                    suggestion: "as in text/html or text/*, without parameters")
            }
            if types.count > Limits.compressionTypes {
                fields.context.invalid(
                    fields.line(of: "types"), "\(fields.path).types has more than \(Limits.compressionTypes)",
                    suggestion: "text/* stands for all of text")
            }
            compression.types = types.map(\.value)
        }
        if let bytes = fields.integer("minBytes", in: 1...Int(Int32.max)) { compression.minBytes = bytes }
        fields.finish()
        model.compression = compression
    }

    private mutating func readTimeouts(_ spec: Fields) {
        guard let fields = spec.object("timeouts") else { return }
        if let value = fields.duration("requestHeader") { model.requestHeaderTimeoutMs = value }
        if let value = fields.duration("requestBodyIdle") { model.requestBodyIdleTimeoutMs = value }
        if let value = fields.duration("idle") { model.idleTimeoutMs = value }
        if let value = fields.duration("streamIdle") { model.streamIdleTimeoutMs = value }
        if let value = fields.duration("upstreamIdle") { model.upstreamIdleTimeoutMs = value }
        if let value = fields.duration("connect") { model.connectTimeoutMs = value }
        if let value = fields.duration("drain") { model.drainTimeoutMs = value }
        fields.finish()
    }

    private mutating func readLimits(_ spec: Fields) {
        guard let fields = spec.object("limits") else { return }
        if let value = fields.integer("headerBytes", in: 1_024...Limits.headBytes) {
            model.headerBytes = value
        }
        if let value = fields.integer("headerCount", in: 8...Limits.headFields) { model.headerCount = value }
        if let value = fields.integer("connections", in: 0...Int(Int32.max)) { model.connections = value }
        if let value = fields.integer("requests", in: 0...Int(Int32.max)) { model.requests = value }
        if let value = fields.integer("memory", in: 0...(1 << 50)) { model.memoryBytes = value }
        fields.finish()
    }

    private mutating func readIdentity(_ spec: Fields) {
        guard let fields = spec.object("identity") else { return }
        let certificate = fields.located("certificate")
        let key = fields.located("privateKey")
        let authorities = fields.located("ca")
        if let certificate, let key, let authorities {
            identity = Identity(
                files: CertificateFiles(certificate: certificate, key: key), authorities: authorities)
        } else {
            fields.context.invalid(fields.line, "\(fields.path) needs certificate, privateKey and ca")
        }
        fields.finish()
    }

    private mutating func readTrust(_ spec: Fields) {
        if let trust = spec.object("trust") {
            model.trustedHops = trust.integer("hops", in: 0...255) ?? 0
            model.trustedCIDRs = trust.cidrs("cidrs")
            trust.finish()
        }
        if let debug = spec.object("debug") {
            if debug.has("allow") { model.debugCIDRs = debug.cidrs("allow") }
            debug.finish()
        }
    }
}

extension Fields {
    /// The `spec` of an object; the other keys an object may have are looked at elsewhere.
    func spec() -> Fields? {
        accept("apiVersion", "kind", "metadata", "status")
        let spec = object("spec")
        finish()
        if spec == nil { context.invalid(line, "spec is missing") }
        return spec
    }

    /// An IP address alone.
    func address(_ key: String) -> IPAddress? {
        guard let text = string(key) else { return nil }
        if let address = IPAddress(text) { return address }
        context.invalid(line(of: key), "\(path).\(key): \"\(text)\" is no IP address")
        return nil
    }

    func cidrs(_ key: String) -> [CIDR] {
        strings(key).compactMap { text in
            if let cidr = parseCIDR(text.value) { return cidr }
            context.invalid(
                text.line, "\(path).\(key): \"\(text.value)\" is no address range",
                suggestion: "as in 10.0.0.0/8 or ::1/128")
            return nil
        }
    }
}
