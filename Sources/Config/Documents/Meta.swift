// What every object has: kind, name, namespace, labels, age. And the bag that holds all objects of one load.
internal import Base
internal import Lanes

/// `metadata` and where the object stands.
struct Meta: Sendable {
    var kind: String
    var name: String
    var namespace: String
    var labels: [String: String] = [:]
    var annotations: [String: String] = [:]
    /// Seconds since 1970; nil: not given, which counts as the oldest, as Istio has it.
    var createdAtSeconds: Int64?
    /// `deletionTimestamp` is set.
    var isTerminating = false
    /// The first owner: the workload behind a pod.
    var owner: (kind: String, name: String)?
    var ref: SourceRef

    /// `VirtualService ns/name`.
    var resource: String { ref.document }

    /// Istio's creation order: oldest first, then name, then namespace. Objects in files seldom have a
    /// timestamp; those are equally old, so their names decide, just as when kubectl applies them in one go.
    static func isOlder(_ left: Meta, _ right: Meta) -> Bool {
        let leftTime = left.createdAtSeconds ?? Int64.min
        let rightTime = right.createdAtSeconds ?? Int64.min
        if leftTime != rightTime { return leftTime < rightTime }
        if left.name != right.name { return left.name < right.name }
        return left.namespace < right.namespace
    }
}

protocol Document: Sendable {
    var meta: Meta { get }
}

extension Array where Element: Document {
    func oldestFirst() -> [Element] { sorted { Meta.isOlder($0.meta, $1.meta) } }
}

/// All objects of one load, typed, in the order they were read.
package struct DocumentSet: Sendable {
    var proxies: [ProxyDocument] = []
    var policies: [LanePolicyDocument] = []
    var lanes: [LaneDocument] = []
    var gateways: [GatewayDocument] = []
    var virtualServices: [VirtualServiceDocument] = []
    var destinationRules: [DestinationRuleDocument] = []
    var serviceEntries: [ServiceEntryDocument] = []
    var workloadEntries: [WorkloadEntryDocument] = []
    var sidecars: [SidecarDocument] = []
    var envoyFilters: [EnvoyFilterDocument] = []
    var apiGateways: [APIGateway] = []
    var gatewayClasses: [GatewayClassDocument] = []
    var apiRoutes: [APIRoute] = []
    var referenceGrants: [ReferenceGrantDocument] = []
    var ingresses: [IngressDocument] = []
    /// Namespaces that have labels.
    var namespaces: [(name: String, labels: [String: String])] = []
    var services: [ServiceDocument] = []
    var endpointSlices: [EndpointSliceDocument] = []
    var pods: [PodDocument] = []
    var secrets: [SecretDocument] = []
    var configMaps: [ConfigMapDocument] = []
    var backendPolicies: [BackendTLSPolicyDocument] = []
    var listenerSets: [ListenerSetDocument] = []
    /// Labels of nodes by name.
    var nodes: [String: [String: String]] = [:]
    var peerAuthentications: [PeerAuthenticationDocument] = []
    /// Kinds that are read for their existence alone: `Secret ns/name`.
    var others: Set<String> = []

    package init() {}

    /// What was read behind these.
    mutating func append(_ later: DocumentSet) {
        proxies += later.proxies
        policies += later.policies
        lanes += later.lanes
        gateways += later.gateways
        virtualServices += later.virtualServices
        destinationRules += later.destinationRules
        serviceEntries += later.serviceEntries
        workloadEntries += later.workloadEntries
        sidecars += later.sidecars
        envoyFilters += later.envoyFilters
        apiGateways += later.apiGateways
        gatewayClasses += later.gatewayClasses
        apiRoutes += later.apiRoutes
        referenceGrants += later.referenceGrants
        ingresses += later.ingresses
        namespaces += later.namespaces
        services += later.services
        endpointSlices += later.endpointSlices
        pods += later.pods
        secrets += later.secrets
        configMaps += later.configMaps
        backendPolicies += later.backendPolicies
        listenerSets += later.listenerSets
        nodes.merge(later.nodes) { _, last in last }
        peerAuthentications += later.peerAuthentications
        others.formUnion(later.others)
    }
}

extension Fields {
    /// Reads `metadata` of a namespaced object; an object without a namespace is in `default`.
    static func readMeta(_ root: YAML, kind: String, file: String) -> Meta {
        let metadata = root["metadata"]
        func text(_ key: String) -> String? {
            guard case .scalar(let text, _)? = metadata?[key]?.value, !text.isEmpty else { return nil }
            return text
        }
        func map(_ key: String) -> [String: String] {
            guard case .map(let entries)? = metadata?[key]?.value else { return [:] }
            var result: [String: String] = [:]
            for entry in entries {
                if case .scalar(let text, _) = entry.value.value { result[entry.key] = text }
            }
            return result
        }
        let name = text("name") ?? text("generateName") ?? ""
        let namespace = text("namespace") ?? "default"
        var meta = Meta(
            kind: kind, name: name, namespace: namespace,
            ref: SourceRef(document: "\(kind) \(namespace)/\(name)", file: file, line: root.line))
        meta.labels = map("labels")
        meta.annotations = map("annotations")
        meta.createdAtSeconds = text("creationTimestamp").flatMap { UTCTime.seconds(rfc3339: $0) }
        meta.isTerminating = text("deletionTimestamp") != nil
        if case .list(let owners)? = metadata?["ownerReferences"]?.value, let first = owners.first,
            case .scalar(let kind, _)? = first["kind"]?.value,
            case .scalar(let name, _)? = first["name"]?.value
        {
            meta.owner = (kind, name)
        }
        return meta
    }
}

extension DocumentContext {
    /// What an API server would refuse of `metadata`: other types than texts, and mappings of texts.
    func checkMeta(_ root: YAML) {
        guard let metadata = root["metadata"] else { return }
        guard case .map(let entries) = metadata.value else {
            if case .null = metadata.value { return }
            return invalid(metadata.line, "metadata must be a mapping, not \(metadata.kindName)")
        }
        for entry in entries {
            switch entry.key {
            case "name", "generateName", "namespace", "creationTimestamp", "deletionTimestamp":
                checkText(entry, "metadata")
            case "labels", "annotations": checkTexts(entry)
            default: break
            }
        }
    }

    private func checkTexts(_ entry: YAML.Entry) {
        switch entry.value.value {
        case .map(let texts) where entry.key == "labels":
            for text in texts { checkText(text, "metadata.labels") }
        // What is meant by an annotation that is no text, its reader knows.
        case .map, .null: break
        default:
            invalid(entry.line, "metadata.\(entry.key) must be a mapping, not \(entry.value.kindName)")
        }
    }

    private func checkText(_ entry: YAML.Entry, _ path: String) {
        switch entry.value.value {
        case .null, .scalar(_, plain: false): return
        case .scalar(let text, plain: true) where !mayBeTyped(text): return
        default:
            let kind = entry.value.kindName
            if kind == "a string" { return }
            invalid(entry.line, "\(path).\(entry.key) must be a string, not \(kind)")
        }
    }

    /// A number or a truth value begins with few letters or is short: most texts need no closer look.
    private func mayBeTyped(_ text: String) -> Bool {
        guard let first = text.utf8.first else { return false }
        return isDigit(first) || first == 0x2D || first == 0x2B || first == 0x2E || text.utf8.count <= 5
    }
}
