// From trees to typed objects: which kinds exist, which of them are acted on, and what becomes of the rest.
internal import Base
internal import Lanes

/// Collects the objects of all files.
struct DocumentReader: Sendable {
    private(set) var documents = DocumentSet()
    var findings = FindingList()
    private var identities: [String: SourceRef] = [:]
    /// All that was read knows how to stand at other lines.
    private var isMovable = true

    /// Reads one document of a file.
    mutating func read(_ chunk: YAMLChunk, file: String) {
        do throws(YAMLError) {
            if let root = try parseYAML(chunk) { read(root, file: file, depth: 0) }
        } catch {
            // Templates show early; the text may be very long.
            let isTemplate = String(decoding: chunk.bytes.prefix(65_536), as: UTF8.self).contains("{{")
            findings.add(
                Finding(
                    .error, error.isLimit ? Code.limit : Code.notYAML, error.message, file: file,
                    line: error.line,
                    suggestion: isTemplate ? "this looks like a template: render it first" : "",
                    refused: true))
        }
    }

    /// Makes room for what these readers know.
    mutating func reserve(_ readers: [DocumentReader]) {
        identities.reserveCapacity(readers.reduce(0) { $0 + $1.identities.count })
    }

    /// Takes over what was read behind this. False: some object is in both, and nothing was taken over.
    mutating func append(_ later: DocumentReader) -> Bool {
        if later.identities.keys.contains(where: { identities[$0] != nil }) { return false }
        identities.merge(later.identities) { first, _ in first }
        documents.append(later.documents)
        findings.append(later.findings)
        if !later.isMovable { isMovable = false }
        return true
    }

    /// The same, read `lines` further down; nil: what was read has to be read again there.
    func moved(by lines: Int) -> DocumentReader? {
        guard isMovable, findings.all.isEmpty, !findings.refused else { return nil }
        var moved = self
        moved.documents = documents.moved(by: lines)
        moved.identities = identities.mapValues { $0.moved(by: lines) }
        return moved
    }

    private mutating func read(_ root: YAML, file: String, depth: Int) {
        guard case .scalar(let kind, _)? = root["kind"]?.value,
            case .scalar(let version, _)? = root["apiVersion"]?.value
        else {
            let isMapping = if case .map = root.value { true } else { false }
            findings.add(
                Finding(
                    .error, Code.notAnObject,
                    isMapping ? "apiVersion and kind are missing" : "not an object, but \(root.kindName)",
                    file: file,
                    line: root.line, suggestion: "every document is a Kubernetes object", refused: true))
            return
        }
        let group = String(version.contains("/") ? version.prefix { $0 != "/" } : "")
        if kind.hasSuffix("List"), case .list(let items)? = root["items"]?.value {
            guard depth < Limits.yamlDepth else { return }
            for item in items { read(item, file: file, depth: depth + 1) }
            return
        }
        var meta = Fields.readMeta(root, kind: kind, file: file)
        if group == gatewayAPIGroup { meta.kind = "\(kind).\(group)" }
        if kind == "GatewayClass" { meta.ref.document = "\(kind) \(meta.name)" }
        let code = group == "networking.istio.io" ? Code.schema : Code.invalid
        let context = DocumentContext(file: file, resource: meta.resource, validationCode: code)
        let isOurs = [
            "fairlead.dev", "networking.istio.io", "", "discovery.k8s.io", "networking.k8s.io",
            gatewayAPIGroup,
        ].contains(group)
        if isOurs { context.checkMeta(root) }
        if meta.name.isEmpty, isOurs {
            context.invalid(root["metadata"]?.line ?? root.line, "metadata.name is missing")
        }
        if !DocumentSet.canMove(kind: kind, group: group) { isMovable = false }
        if !isOurs || claim(meta, context) { store(root, meta, group: group, version: version, context) }
        for finding in context.findings { findings.add(finding) }
    }

    /// False for the second object of one name: the first stays, as the older one.
    private mutating func claim(_ meta: Meta, _ context: DocumentContext) -> Bool {
        let identity = "\(meta.kind) \(meta.namespace)/\(meta.name)"
        if let first = identities[identity] {
            context.add(
                Finding(
                    .error, Code.duplicateObject, "defined a second time, ignored", file: context.file,
                    line: meta.ref.line, resource: context.resource,
                    suggestion: "the first is at \(first.file):\(first.line)"))
            return false
        }
        identities[identity] = meta.ref
        return true
    }

    private mutating func store(
        _ root: YAML, _ meta: Meta, group: String, version: String, _ context: DocumentContext
    ) {
        switch (group, meta.kind) {
        case ("fairlead.dev", "Proxy"):
            documents.proxies.append(ProxyDocument(root, meta: meta, context: context))
        case ("fairlead.dev", "LanePolicy"):
            documents.policies.append(LanePolicyDocument(root, meta: meta, context: context))
        case ("fairlead.dev", "Lane"):
            documents.lanes.append(LaneDocument(root, meta: meta, context: context))
        case ("networking.istio.io", let kind): storeIstio(root, meta, kind, version, context)
        case (gatewayAPIGroup, _): storeGatewayAPI(root, meta, version, context)
        case ("networking.k8s.io", "Ingress"):
            if version != "networking.k8s.io/v1" { wrongVersion(root, version, context) }
            documents.ingresses.append(IngressDocument(root, meta: meta, context: context))
        case ("", "Namespace"):
            documents.namespaces.append((meta.name, meta.labels))
            other(root, meta, group: group, version: version, context)
        case ("", "Node"):
            documents.nodes[meta.name] = meta.labels
            other(root, meta, group: group, version: version, context)
        case ("security.istio.io", "PeerAuthentication"):
            documents.peerAuthentications.append(PeerAuthenticationDocument(root, meta: meta))
            other(root, meta, group: group, version: version, context)
        case ("", "Service"):
            documents.services.append(ServiceDocument(root, meta: meta, context: context))
        case ("discovery.k8s.io", "EndpointSlice"):
            documents.endpointSlices.append(EndpointSliceDocument(root, meta: meta, context: context))
        case ("", "Endpoints"):
            documents.endpointSlices += EndpointSliceDocument.read(
                endpoints: root, meta: meta, context: context)
        case ("", "Pod"):
            documents.pods.append(PodDocument(root, meta: meta, context: context))
        case ("", "Secret"):
            documents.secrets.append(SecretDocument(root, meta: meta, context: context))
        case ("", "ConfigMap"):
            documents.configMaps.append(ConfigMapDocument(root, meta: meta))
            other(root, meta, group: group, version: version, context)
        default: other(root, meta, group: group, version: version, context)
        }
        if group == "fairlead.dev", version != "fairlead.dev/v1alpha1" {
            wrongVersion(root, version, context)
        }
    }

    private mutating func storeIstio(
        _ root: YAML, _ meta: Meta, _ kind: String, _ version: String, _ context: DocumentContext
    ) {
        let versions = ["v1alpha3", "v1beta1", "v1"].map { "networking.istio.io/\($0)" }
        if !versions.contains(version) { wrongVersion(root, version, context) }
        switch kind {
        case "Gateway": documents.gateways.append(GatewayDocument(root, meta: meta, context: context))
        case "VirtualService":
            documents.virtualServices.append(VirtualServiceDocument(root, meta: meta, context: context))
        case "DestinationRule":
            documents.destinationRules.append(DestinationRuleDocument(root, meta: meta, context: context))
        case "ServiceEntry":
            documents.serviceEntries.append(ServiceEntryDocument(root, meta: meta, context: context))
        case "WorkloadEntry":
            documents.workloadEntries.append(WorkloadEntryDocument(root, meta: meta, context: context))
        case "Sidecar": documents.sidecars.append(SidecarDocument(root, meta: meta, context: context))
        case "EnvoyFilter":
            documents.envoyFilters.append(EnvoyFilterDocument(root, meta: meta, context: context))
        case "WorkloadGroup", "ProxyConfig":
            context.warn(root.line, Code.kindNotSupported, "not supported yet: \(kind), ignored")
        default: unknownKind(root, kind, version, context)
        }
    }

    private mutating func storeGatewayAPI(
        _ root: YAML, _ meta: Meta, _ version: String, _ context: DocumentContext
    ) {
        let versions = ["v1", "v1beta1", "v1alpha2", "v1alpha3"].map { "\(gatewayAPIGroup)/\($0)" }
        if !versions.contains(version) { wrongVersion(root, version, context) }
        switch meta.kind.prefix(while: { $0 != "." }) {
        case "Gateway":
            documents.apiGateways.append(APIGateway(root, meta: meta, context: context))
            documents.others.insert("\(meta.kind) \(meta.namespace)/\(meta.name)")
        case "GatewayClass":
            documents.gatewayClasses.append(GatewayClassDocument(root, meta: meta, context: context))
        case "HTTPRoute":
            documents.apiRoutes.append(APIRoute(root, kind: .http, meta: meta, context: context))
        case "GRPCRoute":
            documents.apiRoutes.append(APIRoute(root, kind: .grpc, meta: meta, context: context))
        case "ReferenceGrant":
            documents.referenceGrants.append(ReferenceGrantDocument(root, meta: meta, context: context))
        case "TLSRoute":
            documents.apiRoutes.append(APIRoute(root, kind: .tls, meta: meta, context: context))
        case "TCPRoute":
            documents.apiRoutes.append(APIRoute(root, kind: .tcp, meta: meta, context: context))
        case "BackendTLSPolicy":
            let policy = BackendTLSPolicyDocument(root, meta: meta, context: context)
            if !policy.isIgnored { documents.backendPolicies.append(policy) }
        case "ListenerSet":
            documents.listenerSets.append(ListenerSetDocument(root, meta: meta, context: context))
        default: other(root, meta, group: gatewayAPIGroup, version: version, context)
        }
    }

    private func wrongVersion(_ root: YAML, _ version: String, _ context: DocumentContext) {
        context.warn(
            root["apiVersion"]?.line ?? root.line, Code.unknownKind,
            "unknown version \(version), read as the one known")
    }

    /// Kinds that routing has no use for, and kinds that are not there yet.
    private mutating func other(
        _ root: YAML, _ meta: Meta, group: String, version: String, _ context: DocumentContext
    ) {
        switch (group, meta.kind) {
        case ("", "Namespace"), ("", "ConfigMap"), ("", "ServiceAccount"), ("", "Node"),
            ("", "PersistentVolumeClaim"), ("apps", _), ("batch", _), ("autoscaling", _), ("policy", _),
            ("rbac.authorization.k8s.io", _), ("apiextensions.k8s.io", _),
            ("networking.k8s.io", "IngressClass"),
            ("admissionregistration.k8s.io", _):
            documents.others.insert("\(meta.kind) \(meta.namespace)/\(meta.name)")
        case ("gateway.networking.k8s.io", _), ("security.istio.io", _), ("telemetry.istio.io", _),
            ("extensions.istio.io", _), ("networking.k8s.io", _):
            documents.others.insert("\(meta.kind) \(meta.namespace)/\(meta.name)")
            let kind = meta.kind.prefix { $0 != "." }
            context.warn(root.line, Code.kindNotSupported, "not supported yet: \(kind) of \(group), ignored")
        default: unknownKind(root, meta.kind, version, context)
        }
    }

    private func unknownKind(_ root: YAML, _ kind: String, _ version: String, _ context: DocumentContext) {
        let known = [
            "Proxy", "LanePolicy", "Lane", "Gateway", "VirtualService", "DestinationRule", "ServiceEntry",
            "WorkloadEntry", "Sidecar", "EnvoyFilter", "Service", "Endpoints", "EndpointSlice", "Pod",
            "Namespace", "ConfigMap", "Secret", "HTTPRoute", "GRPCRoute", "GatewayClass", "ReferenceGrant",
            "TLSRoute", "TCPRoute", "BackendTLSPolicy", "ListenerSet", "Ingress",
        ]
        let near = nearest(to: kind, among: known)
        let hint =
            near.map { "did you mean \($0)?" } ?? (known.contains(kind) ? "is the apiVersion right?" : "")
        context.warn(
            root["kind"]?.line ?? root.line, Code.unknownKind, "unknown kind \(kind) of \(version), ignored",
            suggestion: hint)
    }
}
