// Kubernetes' Service, Endpoints, EndpointSlice and Pod: the fields that routing needs. Their schema is the
// API server's business, so fields that are not asked for are no finding.
internal import Lanes

struct ServiceDocument: Document {
    var meta: Meta
    var ports: [ServicePort] = []
    var selector: [String: String] = [:]
    var clusterIPs: [String] = []
    var isHeadless = false
    var externalName = ""
    var isExternalName = false
    var publishesNotReady = false

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let node = root["spec"] else { return }
        let spec = Fields(node, path: "spec", context: context)
        selector = spec.labels("selector")
        isExternalName = spec.string("type") == "ExternalName"
        externalName = isExternalName ? (spec.string("externalName") ?? "").lowercased() : ""
        if externalName.hasSuffix(".") { externalName.removeLast() }
        clusterIPs = spec.strings("clusterIPs").map(\.value)
        if let one = spec.string("clusterIP"), !clusterIPs.contains(one) { clusterIPs.insert(one, at: 0) }
        isHeadless = clusterIPs.contains("None")
        clusterIPs.removeAll { $0 == "None" || $0.isEmpty }
        publishesNotReady = spec.bool("publishNotReadyAddresses") ?? false
        for fields in spec.objects("ports") {
            guard let number = fields.port("port") else {
                if !fields.has("port") { context.invalid(fields.line, "\(fields.path).port is missing") }
                continue
            }
            let name = fields.string("name") ?? ""
            let proto = Self.protocolOf(
                name: name, number: number, appProtocol: fields.string("appProtocol"),
                transport: fields.string("protocol") ?? "TCP")
            ports.append(
                ServicePort(
                    number: number, name: name, proto: proto, target: Self.target(fields) ?? .number(number),
                    line: fields.line))
        }
    }

    private static func target(_ fields: Fields) -> ServicePort.Target? {
        guard let value = fields.any("targetPort") else { return nil }
        guard case .scalar(let text, let plain) = value.value else {
            fields.context.invalid(
                value.line, "\(fields.path).targetPort must be a number or a name, not \(value.kindName)")
            return nil
        }
        if plain, parseInteger(text) != nil { return fields.port("targetPort").map { .number($0) } }
        return .named(text)
    }

    /// appProtocol first, then the name up to its first `-`, else by well-known number (istio-semantics.md
    /// 18.3).
    private static func protocolOf(
        name: String, number: UInt16, appProtocol: String?, transport: String
    ) -> PortProtocol {
        if transport.uppercased() == "UDP" { return .udp }
        switch appProtocol {
        case "kubernetes.io/h2c"?: return .http2
        case "kubernetes.io/ws"?: return .http
        case "kubernetes.io/wss"?: return .tls
        case let word?: if let known = PortProtocol(word: word) { return known }
        case nil: break
        }
        if let known = PortProtocol(word: name.prefix { $0 != "-" }) { return known }
        if name.lowercased().hasPrefix("grpc-web") { return .http2 }
        return [25, 53, 3_306, 27_017].contains(number) ? .tcp : .auto
    }
}

/// An EndpointSlice, or an Endpoints object read as slices: one per subset.
struct EndpointSliceDocument: Document {
    struct Endpoint: Sendable {
        var addresses: [String]
        var ready: Bool
        var terminating: Bool
        var pod: String?
        var line: Int
    }

    struct Port: Sendable {
        var name: String
        var number: UInt16
    }

    var meta: Meta
    /// Name of the Service in the same namespace.
    var service = ""
    var endpoints: [Endpoint] = []
    var ports: [Port] = []
    /// `addressType: FQDN`.
    var hasNames = false
    var line = 0

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        line = root.line
        service = meta.labels["kubernetes.io/service-name"] ?? ""
        if service.isEmpty, let owner = meta.owner, owner.kind == "Service" { service = owner.name }
        if service.isEmpty {
            context.warn(
                root.line, Code.invalid,
                "no label kubernetes.io/service-name, so these endpoints belong to no Service")
        }
        let fields = Fields(root, path: "", context: context)
        ports = Self.readPorts(fields)
        hasNames = fields.string("addressType") == "FQDN"
        for fields in fields.objects("endpoints") {
            let conditions = fields.object("conditions")
            endpoints.append(
                Endpoint(
                    addresses: fields.strings("addresses").map(\.value),
                    ready: conditions?.bool("ready") ?? true,
                    terminating: conditions?.bool("terminating") ?? false,
                    pod: Self.podName(fields), line: fields.line))
        }
    }

    /// The subsets of an Endpoints object, which has its Service's name.
    static func read(endpoints root: YAML, meta: Meta, context: DocumentContext) -> [EndpointSliceDocument] {
        let fields = Fields(root, path: "", context: context)
        return fields.objects("subsets").map { subset in
            var slice = EndpointSliceDocument(meta: meta, line: subset.line)
            slice.ports = readPorts(subset)
            for (key, ready) in [("addresses", true), ("notReadyAddresses", false)] {
                for address in subset.objects(key) {
                    slice.endpoints.append(
                        Endpoint(
                            addresses: address.string("ip").map { [$0] } ?? [], ready: ready,
                            terminating: false,
                            pod: podName(address), line: address.line))
                }
            }
            return slice
        }
    }

    private init(meta: Meta, line: Int) {
        self.meta = meta
        self.line = line
        service = meta.name
    }

    private static func podName(_ fields: Fields) -> String? {
        guard let target = fields.object("targetRef"), target.string("kind") == "Pod" else { return nil }
        return target.string("name")
    }

    private static func readPorts(_ fields: Fields) -> [Port] {
        fields.objects("ports").compactMap { port in
            port.port("port").map { Port(name: port.string("name") ?? "", number: $0) }
        }
    }
}

struct PodDocument: Document {
    var meta: Meta
    var addresses: [String] = []
    var ready = true
    var containerPorts: [String: UInt16] = [:]
    /// The node it runs on, whose labels say where that is.
    var node = ""

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        let fields = Fields(root, path: "", context: context)
        let spec = fields.object("spec")
        node = spec?.string("nodeName") ?? ""
        for container in spec?.objects("containers") ?? [] {
            for port in container.objects("ports") {
                if let name = port.string("name"), let number = port.port("containerPort") {
                    containerPorts[name] = number
                }
            }
        }
        guard let status = fields.object("status") else { return }
        if let address = status.string("podIP") { addresses.append(address) }
        for entry in status.objects("podIPs") {
            if let address = entry.string("ip"), !addresses.contains(address) { addresses.append(address) }
        }
        if let phase = status.string("phase"), phase == "Succeeded" || phase == "Failed" { addresses = [] }
        for condition in status.objects("conditions") where condition.string("type") == "Ready" {
            ready = condition.string("status") == "True"
        }
    }

    /// The workload a person knows: the owner, without the hash that a ReplicaSet adds.
    var workload: String {
        if let owner = meta.owner {
            guard owner.kind == "ReplicaSet" else { return owner.name }
            return Self.withoutLast(owner.name)
        }
        if let hash = meta.labels["pod-template-hash"], meta.name.contains("-\(hash)-") {
            return Self.withoutLast(Self.withoutLast(meta.name))
        }
        return meta.name
    }

    private static func withoutLast(_ name: String) -> String {
        guard let dash = name.lastIndex(of: "-"), dash > name.startIndex else { return name }
        return String(name[..<dash])
    }
}
