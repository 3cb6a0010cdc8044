// `DestinationRule` and `Gateway`: subsets with their policies, and servers with their hosts.
internal import Lanes

/// The part of a trafficPolicy that is acted on, for one level and one port.
struct TrafficPolicy: Sendable {
    struct Settings: Sendable {
        var loadBalancing: LoadBalancing?
        var connectTimeoutMs: UInt64?
        /// `connectionPool.tcp.idleTimeout`; 0: no limit, nil: not given.
        var idleTimeoutMs: UInt64?
        var tls: ClientTLSFields?
        /// `connectionPool.http`; nil where connectionPool does not say.
        var http: HTTPPool?
        var hasPool = false
    }

    /// What `connectionPool.http` says of the protocol.
    struct HTTPPool: Sendable {
        /// nil: DEFAULT.
        var upgrades: Bool?
        var usesClientProtocol = false
        var streamsMax: UInt32?
        /// `maxRequestsPerConnection`.
        var requestsMax: UInt32?
        /// `idleTimeout`; 0: no limit, nil: not given.
        var idleTimeoutMs: UInt64?
        /// `http2KeepAlive`: how often a PING is sent, and how long its answer is waited for.
        var keepAliveMs: UInt64?
        var keepAliveTimeoutMs: UInt64?
    }

    var settings = Settings()
    /// Version of the PROXY header sent; nil: not given.
    var proxyHeaderVersion: UInt8?
    /// By port number: replaces `settings` whole (istio-semantics.md 12).
    var ports: [UInt16: Settings] = [:]
}

struct DestinationRuleDocument: Document {
    struct Subset: Sendable {
        var name: String
        var labels: [String: String]
        var policy: TrafficPolicy?
        var line: Int
    }

    var meta: Meta
    var host = ""
    var hostLine = 0
    var policy: TrafficPolicy?
    var subsets: [Subset] = []
    var exportTo: [String] = []
    /// Nil: for all workloads.
    var workloadSelector: [String: String]?

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        host = spec.string("host") ?? ""
        hostLine = spec.line(of: "host")
        if !isHostName(host, wildcard: true) {
            context.invalid(
                hostLine, host.isEmpty ? "spec.host is missing" : "spec.host: \"\(host)\" is no host name")
        }
        policy = spec.object("trafficPolicy").map { Self.readPolicy($0, isPort: false) }
        exportTo = spec.strings("exportTo").map(\.value)
        if let selector = spec.object("workloadSelector") {
            workloadSelector = selector.labels("matchLabels")
            selector.finish()
        }
        for fields in spec.objects("subsets") {
            let subset = Subset(
                name: fields.string("name") ?? "", labels: fields.labels("labels"),
                policy: fields.object("trafficPolicy").map { Self.readPolicy($0, isPort: false) },
                line: fields.line)
            if !isDNSLabel(subset.name) {
                context.invalid(
                    fields.line(of: "name"),
                    subset.name.isEmpty
                        ? "\(fields.path).name is missing"
                        : "\(fields.path).name: \"\(subset.name)\" is no DNS label")
            }
            subsets.append(subset)
            fields.finish()
        }
        spec.finish()
    }

    private static func readPolicy(_ fields: Fields, isPort: Bool) -> TrafficPolicy {
        var policy = TrafficPolicy()
        if let balancer = fields.object("loadBalancer") {
            policy.settings.loadBalancing = readBalancer(balancer)
        }
        if let pool = fields.object("connectionPool") {
            if let tcp = pool.object("tcp") {
                policy.settings.connectTimeoutMs = tcp.duration("connectTimeout")
                policy.settings.idleTimeoutMs = tcp.duration("idleTimeout")
                tcp.unsupported(
                    "maxConnections", "tcpKeepalive", "maxConnectionDuration", "receiveTimeout",
                    effect: "no limit of that kind is kept")
                tcp.finish()
            }
            policy.settings.hasPool = true
            if let http = pool.object("http") { policy.settings.http = readHTTPPool(http) }
            if !pool.has("tcp"), !pool.has("http") {
                pool.context.invalid(pool.line, "\(pool.path) has neither tcp nor http")
            }
            pool.finish()
        }
        fields.unsupported("outlierDetection", effect: "no endpoint is ejected")
        policy.settings.tls = fields.object("tls").map { ClientTLSFields($0) }
        guard !isPort else { return policy }
        if let header = fields.object("proxyProtocol") {
            policy.proxyHeaderVersion = header.word("version", of: ["V1", "V2"]) == "V2" ? 2 : 1
            header.finish()
            if fields.has("tunnel") {
                fields.context.invalid(
                    fields.line(of: "tunnel"), "\(fields.path): tunnel and proxyProtocol exclude each other")
            }
        }
        fields.unsupported("tunnel", "retryBudget", effect: "ignored")
        for port in fields.objects("portLevelSettings") {
            let number = port.object("port").flatMap { inner in
                defer { inner.finish() }
                return inner.port("number")
            }
            let settings = readPolicy(port, isPort: true).settings
            if let number {
                policy.ports[number] = settings
            } else {
                port.context.invalid(port.line, "\(port.path).port.number is missing")
            }
            port.finish()
        }
        fields.finish()
        return policy
    }

    private static func readHTTPPool(_ fields: Fields) -> TrafficPolicy.HTTPPool {
        var pool = TrafficPolicy.HTTPPool()
        switch fields.word("h2UpgradePolicy", of: ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]) {
        case "UPGRADE"?: pool.upgrades = true
        case "DO_NOT_UPGRADE"?: pool.upgrades = false
        default: break
        }
        pool.usesClientProtocol = fields.bool("useClientProtocol") ?? false
        if let streams = fields.integer("maxConcurrentStreams", in: 0...Int(Int32.max)), streams > 0 {
            pool.streamsMax = UInt32(streams)
        }
        if let requests = fields.integer("maxRequestsPerConnection", in: 0...Int(Int32.max)), requests > 0 {
            pool.requestsMax = UInt32(requests)
        }
        pool.idleTimeoutMs = fields.duration("idleTimeout")
        if let keepAlive = fields.object("http2KeepAlive") {
            pool.keepAliveMs = keepAlive.duration("interval")
            pool.keepAliveTimeoutMs = keepAlive.duration("timeout")
            if pool.keepAliveMs ?? 0 == 0 || pool.keepAliveTimeoutMs ?? 0 == 0 {
                keepAlive.context.invalid(
                    keepAlive.line, "\(keepAlive.path) needs interval and timeout, both above zero")
            }
            keepAlive.finish()
        }
        fields.unsupported(
            "http1MaxPendingRequests", "http2MaxRequests", "maxRetries",
            effect: "no limit of that kind is kept")
        fields.finish()
        return pool
    }

    private static func readBalancer(_ fields: Fields) -> LoadBalancing? {
        var result: LoadBalancing?
        switch fields.word(
            "simple",
            of: ["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH"])
        {
        case "ROUND_ROBIN"?: result = .roundRobin
        case "RANDOM"?: result = .random
        case "PASSTHROUGH"?:
            fields.context.warn(
                fields.line(of: "simple"), Code.fieldNotSupported,
                "not supported yet: PASSTHROUGH, LEAST_REQUEST is used")
            result = .leastRequest
        case .some: result = .leastRequest
        case nil: break
        }
        if fields.has("simple"), fields.has("consistentHash") {
            fields.context.invalid(
                fields.line, "\(fields.path): simple and consistentHash exclude each other")
        }
        // Envoy picks a random host where there is no hash key, so that is what ignoring comes closest to.
        if fields.has("consistentHash") { result = .random }
        fields.unsupported("consistentHash", effect: "endpoints are chosen at random")
        checkWarmup(fields)
        fields.unsupported("localityLbSetting", "warmup", "warmupDurationSecs", effect: "ignored")
        fields.finish()
        return result
    }
}

extension DestinationRuleDocument {
    /// What Istio's validation asks of `warmup`.
    private static func checkWarmup(_ balancer: Fields) {
        guard let fields = balancer.object("warmup") else { return }
        if !fields.has("duration") {
            fields.context.invalid(fields.line, "\(fields.path).duration is missing")
        }
        _ = fields.duration("duration")
        for (key, range) in [("minimumPercent", 0.0...100.0), ("aggression", 0.001...1_000_000.0)] {
            guard let value = fields.any(key) else { continue }
            if case .scalar(let text, plain: true) = value.value, let number = Double(text),
                range.contains(number)
            {
                continue
            }
            fields.context.invalid(
                value.line, "\(fields.path).\(key) is no number in its range",
                suggestion: key == "aggression" ? "a number above 0" : "0 to 100")
        }
        fields.finish()
    }
}

struct GatewayDocument: Document {
    struct Server: Sendable {
        var port: UInt16
        var name: String
        /// Upper case: HTTP, HTTPS, TLS, TCP...
        var protocolName: String
        /// `*`, `*.foo.com`, `ns/host`, `./host`.
        var hosts: [Located<String>]
        var bind: IPAddress?
        var tls: ServerTLSFields?
        var line: Int
        var httpsRedirect: Bool { tls?.httpsRedirect ?? false }

        enum Kind { case http, tls, tcp, unknown }

        /// What a port serves: servers of different kinds cannot share one.
        var kind: Kind {
            switch protocolName {
            case "HTTP", "HTTP2", "GRPC", "GRPC-WEB": .http
            case "HTTPS", "TLS": .tls
            case "TCP", "MONGO", "MYSQL", "REDIS": .tcp
            default: .unknown
            }
        }
        /// Where a `tls` names no mode, as in Istio.
        var isPassthrough: Bool { kind == .tls && (tls?.mode == .passthrough || isAuto) }
        /// The server name is the target itself.
        var isAuto: Bool { tls?.mode == .autoPassthrough }
        /// A TLS server that passes through, or whose TLS ends here.
        var isOpened: Bool { isPassthrough || tls?.isTerminated == true }
        /// What is inside TLS that ends here is not read.
        var isRelayed: Bool { isOpened && !isPassthrough && protocolName != "HTTPS" }
        /// For people: the protocol and what becomes of its TLS.
        var protocolText: String { protocolName + (tls.map { " with TLS \($0.mode.rawValue)" } ?? "") }
    }

    var meta: Meta
    /// Empty: every gateway workload.
    var selector: [String: String] = [:]
    var selectorLine = 0
    var servers: [Server] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        selector = spec.labels("selector")
        selectorLine = spec.line(of: "selector")
        servers = spec.objects("servers").compactMap { Self.readServer($0) }
        if !spec.has("servers") { context.invalid(spec.line, "spec.servers is missing") }
        var names: Set<String> = []
        for server in servers where !server.name.isEmpty && !names.insert(server.name).inserted {
            context.invalid(server.line, "the port name \(server.name) is given twice")
        }
        spec.finish()
    }

    private static let protocols = [
        "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "MYSQL", "REDIS", "HBONE",
    ]

    private static func readServer(_ fields: Fields) -> Server? {
        let context = fields.context
        defer { fields.finish() }
        fields.accept("defaultEndpoint")
        _ = fields.string("name")
        let hosts = fields.strings("hosts")
        if hosts.isEmpty { context.invalid(fields.line, "\(fields.path).hosts is missing") }
        for host in hosts { checkHost(host, fields) }
        let bind = fields.has("bind") ? fields.address("bind") : nil
        let tls = fields.object("tls")
        guard let port = fields.object("port") else {
            context.invalid(fields.line, "\(fields.path).port is missing")
            return nil
        }
        let number = port.port("number")
        let name = port.string("name") ?? ""
        let protocolName = (port.string("protocol") ?? "").uppercased()
        port.accept("targetPort")
        port.finish()
        if number == nil, !port.has("number") { context.invalid(port.line, "\(port.path).number is missing") }
        if name.isEmpty { context.invalid(port.line, "\(port.path).name is missing") }
        if !protocols.contains(protocolName) {
            let near = nearest(to: protocolName, among: protocols)
            context.invalid(
                port.line(of: "protocol"), "\(port.path).protocol: \"\(protocolName)\" is no protocol",
                suggestion: near.map { "did you mean \($0)?" } ?? "")
        }
        guard let number else { return nil }
        let server = Server(
            port: number, name: name, protocolName: protocolName, hosts: hosts, bind: bind,
            tls: tls.map { ServerTLSFields($0) }, line: fields.line)
        if server.kind == .http, let tls, case .map(let entries) = tls.node.value,
            entries.contains(where: { $0.key != "httpsRedirect" })
        {
            context.invalid(tls.line, "\(tls.path): a plain HTTP server takes httpsRedirect alone")
        }
        if ["HTTPS", "TLS"].contains(protocolName), tls == nil {
            context.invalid(fields.line, "\(fields.path).tls is missing on a \(protocolName) server")
        }
        return server
    }

    private static func checkHost(_ host: Located<String>, _ fields: Fields) {
        let parts = host.value.split(separator: "/", omittingEmptySubsequences: false)
        let name = String(parts.last ?? "")
        let namespaceIsFine =
            parts.count == 1
            || (parts.count == 2 && (parts[0] == "*" || parts[0] == "." || isDNSLabel(String(parts[0]))))
        if !namespaceIsFine || !isHostName(name, wildcard: true) {
            fields.context.invalid(host.line, "\(fields.path).hosts: \"\(host.value)\" is no host")
        }
    }
}
