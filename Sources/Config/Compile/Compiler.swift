// One proxy's view of all documents, step by step: policy, lanes, clusters as they are asked for, listeners.
internal import Base
internal import Lanes

/// Everything of one compilation. Lives for one call of `compile`.
final class Compiler {
    let documents: DocumentSet
    let registry: Registry
    let rules: DestinationRules
    let proxy: ProxyDocument
    /// Nobody said who we are: every Gateway is ours.
    let servesAnyGateway: Bool
    let options: LoadOptions
    var model = RoutingModel()
    var findings = FindingList()
    /// When a lane without creationTimestamp was first loaded, `namespace/name` to seconds.
    var firstSeen: [String: Int64] = [:]
    /// TLS contexts made or taken over from the load before.
    var contexts = TLSContexts()
    /// `namespace/name`.
    lazy var secretsByName: [String: SecretDocument] = Dictionary(
        documents.secrets.map { ("\($0.meta.namespace)/\($0.meta.name)", $0) },
        uniquingKeysWith: { first, _ in first })
    /// Sidecar visibility.
    let visibility: Visibility

    var clusterByName: [String: Int] = [:]
    var laneMembers: [String: [LaneMember]] = [:]
    var emptyMembers: [(member: LaneMember, host: String)] = []
    var filledMembers: Set<String> = []
    var hiddenSubsets: Set<String> = []
    var backends: [BackendKey: Backend] = [:]
    /// Which service a host is: thousands of destinations in a row have the same.
    var lastService: (host: String, index: Int?)?
    var entriesByVirtualService: [String: [VirtualServiceDocument.HTTPRoute]] = [:]
    lazy var delegates: [String: VirtualServiceDocument] = Dictionary(
        documents.virtualServices.map { ("\($0.meta.namespace)/\($0.meta.name)", $0) },
        uniquingKeysWith: { first, _ in first })
    var routesByPort: [RoutesKey: [RouteModel]] = [:]
    var apiRoutes: [String: [RankedRoute]] = [:]
    lazy var backendPolicies = indexBackendPolicies()
    /// By the policy's resource.
    var backendContexts: [String: ClusterTLSModel] = [:]
    lazy var servicesOfAddress: [SocketAddress: Set<String>] = indexAddresses()

    init(
        _ documents: DocumentSet, _ registry: Registry, _ rules: DestinationRules, proxy: ProxyDocument,
        servesAnyGateway: Bool, options: LoadOptions
    ) {
        self.documents = documents
        self.registry = registry
        self.rules = rules
        self.proxy = proxy
        self.servesAnyGateway = servesAnyGateway
        self.options = options
        visibility = Visibility(documents, proxy.model)
    }

    /// The whole model.
    func compile() {
        model.proxy = proxy.model
        if let registryOnly = visibility.sidecar?.registryOnly {
            model.proxy.allowAnyOutbound = !registryOnly
        }
        compilePolicy()
        compileLanes()
        if proxy.model.isEdge {
            compileEdge()
            compileAPIGateways()
            compileIngresses()
            attachEdgeScripts()
        } else {
            compileSidecar()
        }
        addScriptClusters()
        checkScriptsTogether()
        checkFilterTargets()
        applyProxyHeaders()
        noteEmptyMembers()
        if model.listeners.isEmpty, !(servesAnyGateway && options.purpose == .check) {
            let what =
                proxy.model.isEdge
                ? "no Gateway server that this edge can open" : "neither inbound nor outbound is given"
            note(.warning, Code.nothingToServe, "nothing to serve: \(what)", proxy.meta.ref)
        }
    }

    /// Which listeners' connections begin with a PROXY header.
    private func applyProxyHeaders() {
        guard let ports = proxy.proxyHeaderPorts else { return }
        for index in model.listeners.indices where model.listeners[index].role != .outbound {
            let port = model.listeners[index].address.port
            if ports.isEmpty || ports.contains(where: { $0.value == port }) {
                model.listeners[index].takesProxyHeader = true
            }
        }
        let open = Set(model.listeners.filter(\.takesProxyHeader).map(\.address.port))
        for port in ports where !open.contains(port.value) {
            note(
                .warning, Code.referenceNotFound,
                "spec.proxyProtocol.ports: nothing listens on port \(port.value)", proxy.meta.ref,
                line: port.line)
        }
    }

    func note(
        _ severity: Severity, _ code: String, _ message: String, _ ref: SourceRef, line: Int? = nil,
        suggestion: String = "", refused: Bool = false
    ) {
        findings.add(
            Finding(
                severity, code, message, file: ref.file, line: line ?? ref.line, resource: ref.document,
                suggestion: suggestion, refused: refused))
    }

    /// Adds a route table and returns its number.
    func add(_ table: RouteTableModel) -> Int {
        model.routeTables.append(table)
        return model.routeTables.count - 1
    }
}
