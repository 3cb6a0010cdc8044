// What routes of the Gateway API refer to: the parents they attach to and the backends they send to
// (istio-semantics.md 21.1 and 21.5).
internal import Lanes

let gatewayAPIGroup = "gateway.networking.k8s.io"

/// One element of `parentRefs`.
struct ParentReference: Sendable {
    enum Target: Sendable {
        case gateway
        case listenerSet
        /// The mesh: requests to this Service (GAMMA).
        case service
        case serviceEntry
        case other(String)
    }

    var target: Target
    var namespace: String
    var name: String
    /// Nil: any listener.
    var sectionName: String?
    var port: UInt16?
    var line: Int

    static func read(_ fields: Fields, namespace own: String) -> ParentReference {
        let group = fields.string("group") ?? gatewayAPIGroup
        let kind = fields.string("kind") ?? "Gateway"
        let target: Target =
            switch (group, kind) {
            case (gatewayAPIGroup, "Gateway"): .gateway
            case (gatewayAPIGroup, "ListenerSet"): .listenerSet
            case ("", "Service"): .service
            case ("networking.istio.io", "ServiceEntry"): .serviceEntry
            default: .other(group.isEmpty ? kind : "\(kind) of \(group)")
            }
        let parent = ParentReference(
            target: target, namespace: fields.string("namespace") ?? own, name: fields.string("name") ?? "",
            sectionName: fields.string("sectionName"), port: fields.port("port"), line: fields.line)
        if parent.name.isEmpty { fields.context.invalid(fields.line, "\(fields.path).name is missing") }
        fields.finish()
        return parent
    }

    /// All of a route's, and whether they can be told apart, as the API server asks.
    static func readAll(_ spec: Fields, namespace: String) -> [ParentReference] {
        let parents = spec.objects("parentRefs").map { read($0, namespace: namespace) }
        var seen: Set<String> = []
        for parent in parents {
            let section = parent.sectionName ?? ""
            let key = "\(parent.target) \(parent.namespace)/\(parent.name) \(section) \(parent.port ?? 0)"
            if !seen.insert(key).inserted {
                spec.context.invalid(
                    parent.line, "spec.parentRefs names \(parent.name) twice",
                    suggestion: "sectionName or port must differ")
            }
        }
        return parents
    }
}

/// A backend: one element of `backendRefs`, or the one of a mirror.
struct BackendReference: Sendable {
    enum Kind: Sendable {
        case service
        /// Istio's `Hostname` of `networking.istio.io`: any host of the registry.
        case hostname
        case other(String)
    }

    var kind: Kind
    var namespace: String
    var name: String
    var port: UInt16?
    var weight = 1
    var filters = APIFilters()
    var line: Int

    /// The FQDN that the registry knows it by.
    var host: String {
        if case .hostname = kind { return name.lowercased() }
        return "\(name).\(namespace).svc.\(Names.clusterDomain)".lowercased()
    }

    static func read(_ fields: Fields, namespace own: String, filters kind: APIRoute.Kind?)
        -> BackendReference
    {
        let group = fields.string("group") ?? ""
        let name = fields.string("kind") ?? "Service"
        let target: Kind =
            switch (group, name) {
            case ("", "Service"): .service
            case ("networking.istio.io", "Hostname"): .hostname
            default: .other(group.isEmpty ? name : "\(name) of \(group)")
            }
        var backend = BackendReference(
            kind: target, namespace: fields.string("namespace") ?? own, name: fields.string("name") ?? "",
            port: fields.port("port"), line: fields.line)
        if backend.name.isEmpty { fields.context.invalid(fields.line, "\(fields.path).name is missing") }
        if case .service = target, !fields.has("port") {
            fields.context.invalid(
                fields.line, "\(fields.path).port is missing", suggestion: "a Service needs the port's number"
            )
        }
        if let kind {
            backend.weight = fields.integer("weight", in: 0...1_000_000) ?? 1
            if kind.isHTTP {
                backend.filters = APIFilters.read(fields, kind: kind, matches: nil, namespace: own)
            }
        }
        fields.finish()
        return backend
    }
}

/// `spec.hostnames`: lower case, wildcards as whole first labels.
func readHostnames(_ spec: Fields) -> [Located<String>] {
    let hostnames = spec.strings("hostnames")
    for hostname in hostnames {
        checkHostname(hostname, "\(spec.path).hostnames", spec.context, wildcard: true)
    }
    return hostnames
}

/// The API server's pattern: `*.example.com`, no capitals, no address.
func checkHostname(_ name: Located<String>, _ path: String, _ context: DocumentContext, wildcard: Bool) {
    var rest = name.value[...]
    if wildcard, rest.hasPrefix("*.") { rest = rest.dropFirst(2) }
    let labels = rest.split(separator: ".", omittingEmptySubsequences: false)
    let isFine =
        rest.utf8.count <= 253 && IPAddress(name.value) == nil
        && labels.allSatisfy { isDNSLabel(String($0)) }
    if isFine { return }
    let lower = name.value.lowercased()
    context.invalid(
        name.line, "\(path): \"\(name.value)\" is no host name",
        suggestion: lower != name.value ? "\(lower), in lower case" : "as in example.com or *.example.com")
}
