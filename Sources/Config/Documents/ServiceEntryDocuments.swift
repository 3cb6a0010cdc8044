// `ServiceEntry` and `WorkloadEntry`: services and endpoints that Kubernetes does not know.
internal import Lanes

/// How a port's bytes are to be understood: by appProtocol, the port's name, or not declared.
enum PortProtocol: Sendable {
    case http, http2, tls, tcp, udp, auto

    /// HTTP routing applies to declared HTTP and to what is not declared.
    var isHTTP: Bool { self == .http || self == .http2 || self == .auto }

    /// From a protocol's name in any case; nil if it names none.
    init?(word: some StringProtocol) {
        switch word.lowercased() {
        case "http": self = .http
        case "http2", "grpc", "grpc-web": self = .http2
        case "https", "tls": self = .tls
        case "tcp", "mongo", "redis", "mysql": self = .tcp
        case "udp": self = .udp
        default: return nil
        }
    }
}

/// A port of a service.
struct ServicePort: Sendable {
    enum Target: Sendable {
        case number(UInt16)
        case named(String)
    }

    var number: UInt16
    var name: String
    var proto: PortProtocol
    var target: Target
    var line = 0
}

/// `WorkloadEntry`, alone or inline in a ServiceEntry.
struct Workload: Sendable {
    var address: String
    var ports: [String: UInt16] = [:]
    var labels: [String: String] = [:]
    var weight = 1
    var line = 0

    static func read(_ fields: Fields) -> Workload {
        var workload = Workload(address: fields.string("address") ?? "", line: fields.line)
        if let ports = fields.object("ports"), case .map(let entries) = ports.node.value {
            for entry in entries { workload.ports[entry.key] = ports.port(entry.key) }
        }
        workload.labels = fields.labels("labels")
        workload.weight = max(1, fields.integer("weight", in: 0...Int(Int32.max)) ?? 1)
        fields.accept("network", "locality", "serviceAccount")
        workload.check(fields)
        fields.finish()
        return workload
    }
}

extension Workload {
    /// What Istio's validation refuses.
    fileprivate func check(_ fields: Fields) {
        let context = fields.context
        if address.isEmpty, !fields.has("network") {
            context.invalid(fields.line, "\(fields.path).address is missing")
        }
        for name in ports.keys.sorted() where !isDNSLabel(name.lowercased()) {
            context.invalid(
                fields.line(of: "ports"), "\(fields.path).ports: \"\(name)\" is no port name",
                suggestion: "letters, digits and -, as in the service's port")
        }
        guard address.hasPrefix("unix://") else { return }
        let path = address.dropFirst("unix://".count)
        let line = fields.line(of: "address")
        if !path.hasPrefix("/"), !path.hasPrefix("@") {
            context.invalid(
                line, "\(fields.path).address: \(address) is not absolute",
                suggestion: "unix:///run/app.sock, or unix://@name")
        } else if path.hasSuffix("/") {
            context.invalid(
                line, "\(fields.path).address: \(address) is a folder", suggestion: "name the socket in it")
        } else if parseUnixAddress(address) == nil {
            context.invalid(
                line, "\(fields.path).address: \(address) is no path that the system takes",
                suggestion: "/PATH or @NAME of at most 107 bytes")
        } else if !ports.isEmpty {
            context.invalid(
                fields.line(of: "ports"), "\(fields.path): a Unix socket has no ports",
                suggestion: "leave ports out")
        }
    }
}

struct WorkloadEntryDocument: Document {
    var meta: Meta
    var workload = Workload(address: "")
    /// What its health check says, where it has one.
    var isHealthy = true

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        isHealthy = Self.health(root) ?? (meta.annotations["proxy.istio.io/health-checks-enabled"] == nil)
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        workload = Workload.read(spec)
    }

    /// The status' condition `Healthy`; nil: it has none.
    private static func health(_ root: YAML) -> Bool? {
        guard case .list(let conditions)? = root["status"]?["conditions"]?.value else { return nil }
        for condition in conditions {
            guard case .scalar("Healthy", _)? = condition["type"]?.value,
                case .scalar(let status, _)? = condition["status"]?.value
            else { continue }
            return status == "True"
        }
        return nil
    }
}

struct ServiceEntryDocument: Document {
    var meta: Meta
    var hosts: [Located<String>] = []
    var addresses: [String] = []
    var ports: [ServicePort] = []
    var resolution = "NONE"
    /// `location`.
    var isExternal = true
    var endpoints: [Workload] = []
    /// Nil: no selector.
    var workloadSelector: [String: String]?
    var exportTo: [String] = []
    /// One of them must be in the certificates of its endpoints.
    var subjectAltNames: [String] = []
    var line = 0
    /// An API server has given it addresses by itself.
    var hasStatusAddresses = false
    /// Of ports that are TCP or say nothing.
    var plainPortLines: [Int] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        line = meta.ref.line
        if case .list(let given)? = root["status"]?["addresses"]?.value {
            hasStatusAddresses = !given.isEmpty
        }
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        hosts = spec.strings("hosts")
        addresses = spec.strings("addresses").map(\.value)
        exportTo = spec.strings("exportTo").map(\.value)
        isExternal = spec.word("location", of: ["MESH_EXTERNAL", "MESH_INTERNAL"]) != "MESH_INTERNAL"
        resolution =
            spec.word("resolution", of: ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]) ?? "NONE"
        endpoints = spec.objects("endpoints").map(Workload.read)
        if let selector = spec.object("workloadSelector") {
            workloadSelector = selector.labels("labels")
            selector.finish()
        }
        subjectAltNames = spec.strings("subjectAltNames").map(\.value)
        readPorts(spec)
        validate(spec)
        spec.finish()
    }

    private mutating func readPorts(_ spec: Fields) {
        var numbers: Set<UInt16> = []
        var names: Set<String> = []
        for fields in spec.objects("ports") {
            let name = fields.string("name") ?? ""
            let word = fields.string("protocol") ?? ""
            let target = fields.port("targetPort")
            if word.isEmpty || word.uppercased() == "TCP" { plainPortLines.append(fields.line) }
            if let number = fields.port("number") {
                let proto = PortProtocol(word: word.isEmpty ? name.prefix { $0 != "-" } : word[...]) ?? .auto
                ports.append(
                    ServicePort(number: number, name: name, proto: proto, target: .number(target ?? number)))
                if !numbers.insert(number).inserted {
                    fields.context.invalid(fields.line, "the port \(number) is given twice")
                }
            } else if !fields.has("number") {
                fields.context.invalid(fields.line, "\(fields.path).number is missing")
            }
            if name.isEmpty {
                fields.context.invalid(fields.line, "\(fields.path).name is missing")
            } else if !names.insert(name).inserted {
                fields.context.invalid(fields.line, "the port name \(name) is given twice")
            }
            fields.finish()
        }
    }

    private func validate(_ spec: Fields) {
        let context = spec.context
        if hosts.isEmpty { context.invalid(spec.line, "spec.hosts is missing") }
        for host in hosts {
            if host.value == "*" || !isHostName(host.value, wildcard: true) {
                context.invalid(host.line, "spec.hosts: \"\(host.value)\" is no host name")
            }
            if resolution == "DYNAMIC_DNS", !host.value.hasPrefix("*") {
                context.invalid(
                    host.line, "resolution DYNAMIC_DNS is for wildcard hosts, not \(host.value)",
                    suggestion: "DNS resolves a name that is known")
            }
            if host.value.hasPrefix("*"), resolution == "DNS" || resolution == "DNS_ROUND_ROBIN",
                endpoints.isEmpty
            {
                context.invalid(
                    host.line, "a wildcard host with resolution \(resolution) needs endpoints",
                    suggestion: "the name to resolve is not known")
            }
        }
        if workloadSelector?.isEmpty == true {
            context.warn(
                spec.line(of: "workloadSelector"), Code.invalid,
                "a workloadSelector without labels selects every workload of the namespace")
        }
        if workloadSelector != nil, !endpoints.isEmpty {
            context.invalid(
                spec.line(of: "workloadSelector"), "workloadSelector and endpoints exclude each other")
        }
        if resolution == "NONE" || resolution == "DYNAMIC_DNS", !endpoints.isEmpty {
            context.invalid(spec.line(of: "endpoints"), "endpoints with resolution \(resolution)")
        }
        if resolution == "DNS_ROUND_ROBIN", endpoints.count > 1 {
            context.invalid(
                spec.line(of: "endpoints"), "resolution DNS_ROUND_ROBIN takes one endpoint",
                suggestion: "DNS takes several")
        }
        for endpoint in endpoints
        where resolution.hasPrefix("DNS") && !endpoint.address.isEmpty
            && IPAddress(endpoint.address) == nil && !endpoint.address.hasPrefix("unix://")
            && !isHostName(endpoint.address, wildcard: false)
        {
            context.invalid(endpoint.line, "\"\(endpoint.address)\" is no host name")
        }
        guard resolution == "STATIC" else { return }
        for endpoint in endpoints
        where !endpoint.address.isEmpty && IPAddress(endpoint.address) == nil
            && !endpoint.address.hasPrefix("unix://")
        {
            context.invalid(endpoint.line, "resolution STATIC needs IP addresses, not \(endpoint.address)")
        }
    }
}
