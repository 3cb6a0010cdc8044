// Which Lua filters a listener has, and in what order: the patches of all EnvoyFilters that select this
// proxy, applied one after the other to the list of HTTP filters that Istio would lay down
// (istio-semantics.md 1, 20).
internal import Base
internal import HTTP
internal import Lanes
internal import Lua

/// One HTTP filter of a listener.
private struct HTTPFilter {
    var name: String
    /// nil: one of the proxy's own.
    var script: ScriptModel?
}

extension Compiler {
    /// Listeners of Istio's Gateways and of the Gateway API alike; connections that nobody reads have none.
    func attachEdgeScripts() {
        for index in model.listeners.indices where !model.listeners[index].tables.isEmpty {
            model.listeners[index].scripts = scripts(.edge, port: model.listeners[index].address.port)
        }
    }

    /// Clusters that scripts call: those that their text names, and where a name is put together when it
    /// runs, all there are.
    func addScriptClusters() {
        let scripts = model.listeners.flatMap(\.scripts).filter { $0.code.range(of: ":httpCall") != nil }
        for script in scripts {
            let (names, isOpen) = Self.clusterNames(in: script.code)
            for name in names where target(named: name, script.source) == nil {
                note(
                    .warning, Code.referenceNotFound,
                    "the script calls the cluster \(name), which does not exist: it fails there",
                    script.source, suggestion: "outbound|PORT|SUBSET|HOST of a Service or ServiceEntry")
            }
            guard isOpen else { continue }
            for index in registry.visible(from: proxy.model.namespace) {
                let service = registry.services[index]
                let rule = rules.rule(
                    host: service.host, serviceNamespace: service.namespace, proxy: proxy.model)
                for subset in [""] + (rule?.subsets.map(\.name) ?? []) {
                    for port in service.httpPorts {
                        _ = target(named: "outbound|\(port.number)|\(subset)|\(service.host)", script.source)
                    }
                }
            }
        }
    }

    private func target(named name: String, _ source: SourceRef) -> Int? {
        let pieces = name.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard pieces.count == 4, pieces[0] == "outbound", let port = UInt16(pieces[1]) else { return nil }
        return target(
            host: pieces[3], subset: pieces[2], port: port, arrivalPort: port, weight: 1, source: source
        ).cluster
    }

    /// The quoted texts that begin like a cluster of Istio's; and whether a call has something else.
    private static func clusterNames(in code: String) -> (names: [String], isOpen: Bool) {
        var names: [String] = []
        var isOpen = false
        for line in code.split(separator: "\n") {
            let pieces = line.split(omittingEmptySubsequences: false) { $0 == "\"" || $0 == "'" }
            for piece in pieces where piece.hasPrefix("outbound|") {
                if piece.split(separator: "|", omittingEmptySubsequences: false).count == 4,
                    piece.last != "|"
                {
                    names.append(String(piece))
                } else {
                    isOpen = true
                }
            }
        }
        return (names, isOpen || names.isEmpty)
    }

    /// Each script loads, as `ScriptCheck` saw; a worker's interpreter has to hold all of them.
    func checkScriptsTogether() {
        let all = model.listeners.flatMap(\.scripts)
        guard all.count > 1, let interpreter = Interpreter() else { return }
        let arena = Arena()
        for script in all {
            guard let problem = interpreter.add(ScriptFilter(script, arena), quietly: true) else { continue }
            note(
                .error, Code.scriptBroken,
                "the \(all.count) scripts do not load together: \(problem.message)", script.source,
                refused: true)
            return
        }
    }

    /// The scripts of a listener. `port`: the one that `listener.portNumber` means; nil: decided per request.
    func scripts(_ role: ListenerRole, port: UInt16?) -> [ScriptModel] {
        var filters = Self.ownFilters(role).map { HTTPFilter(name: $0) }
        for document in applicableFilters where isMeant(document, role, port) {
            for patch in document.patches where Self.applies(patch, to: role, port: port) {
                apply(patch, of: document, to: &filters, role)
            }
        }
        let router = filters.firstIndex { $0.name == Self.router && $0.script == nil }
        for filter in filters[(router ?? filters.endIndex)...] where filter.script != nil {
            note(
                .warning, Code.filterNotApplied,
                "\(filter.name) stands behind the router: no request reaches it", filter.script!.source,
                suggestion: "INSERT_BEFORE with subFilter \(Self.router)")
        }
        var scripts = filters[..<(router ?? filters.endIndex)].compactMap(\.script)
        if scripts.count > Limits.scripts {
            note(
                .error, Code.limit, "more than \(Limits.scripts) scripts on one listener",
                scripts[Limits.scripts].source, refused: true)
            scripts = Array(scripts.prefix(Limits.scripts))
        }
        if let keeping = scripts.first(where: { !$0.clearsRouteCache }),
            scripts.contains(where: \.clearsRouteCache)
        {
            note(
                .warning, Code.mixedRouteCache,
                "clearRouteCache: false beside filters that clear: requests are routed after all of them",
                keeping.source)
        }
        return scripts
    }

    private static let router = "envoy.filters.http.router"

    /// The filters that Istio's control plane writes, which patches can stand next to.
    private static func ownFilters(_ role: ListenerRole) -> [String] {
        var names = ["istio.metadata_exchange", "envoy.filters.http.grpc_stats"]
        if role != .inbound { names.append("istio.alpn") }
        return names + ["envoy.filters.http.fault", "envoy.filters.http.cors", "istio.stats", router]
    }

    /// Those that select this proxy, in the order in which they are applied.
    private var applicableFilters: [EnvoyFilterDocument] {
        let labels = servesAnyGateway ? gatewayLabels : proxy.model.labels
        let root = Names.rootNamespace
        let own = documents.envoyFilters.filter { document in
            let namespace = document.meta.namespace
            guard namespace == root || namespace == proxy.model.namespace || servesAnyGateway else {
                return false
            }
            return document.workloadSelector.map { labels.contains($0) } ?? true
        }
        return own.sorted { left, right in
            if left.priority != right.priority { return left.priority < right.priority }
            let leftIsRoot = left.meta.namespace == root
            if leftIsRoot != (right.meta.namespace == root) { return leftIsRoot }
            return Meta.isOlder(left.meta, right.meta)
        }
    }

    /// Whether one of `targetRefs` leads to this listener; without any of them the workload decides.
    private func isMeant(_ document: EnvoyFilterDocument, _ role: ListenerRole, _ port: UInt16?) -> Bool {
        guard let targets = document.targets else { return true }
        return targets.contains { target in
            switch target.kind {
            case .service:
                guard role != .edge,
                    let service = registry.services.first(where: {
                        $0.name == target.name.lowercased() && $0.namespace == document.meta.namespace
                    })
                else { return false }
                return !service.selector.isEmpty && proxy.model.labels.contains(service.selector)
            case .gateway, .gatewayClass:
                return role == .edge
                    && registry.attachments.gateways.contains { gateway in
                        Self.is(gateway, target, of: document.meta.namespace) && serves(gateway)
                            && gateway.listeners.contains { $0.port == port }
                    }
            }
        }
    }

    private static func `is`(
        _ gateway: APIGateway, _ target: EnvoyFilterDocument.Target, of namespace: String
    ) -> Bool {
        target.kind == .gatewayClass
            ? gateway.className == target.name
            : gateway.meta.name == target.name && gateway.meta.namespace == namespace
    }

    /// Targets that lead nowhere, and ports where others' requests run the same scripts.
    func checkFilterTargets() {
        for document in documents.envoyFilters {
            for target in document.targets ?? [] {
                let gateways = registry.attachments.gateways.filter {
                    Self.is($0, target, of: document.meta.namespace)
                }
                switch target.kind {
                case .service:
                    let known = registry.services.contains {
                        $0.name == target.name.lowercased() && $0.namespace == document.meta.namespace
                    }
                    if !known { noteUnknown(target, "Service", document) }
                case .gatewayClass: break
                case .gateway where gateways.isEmpty: noteUnknown(target, "Gateway", document)
                case .gateway:
                    let ports = Set(gateways.flatMap(\.listeners).map(\.port))
                    let other = registry.attachments.gateways.first { other in
                        !Self.is(other, target, of: document.meta.namespace) && serves(other)
                            && other.listeners.contains { ports.contains($0.port) }
                    }
                    if let other, proxy.model.isEdge {
                        note(
                            .warning, Code.filterNotApplied,
                            "\(other.meta.resource) shares a port with \(target.name): its requests run the "
                                + "script too", document.meta.ref, line: target.line,
                            suggestion: "an edge of its own for each Gateway, by Proxy.spec.gatewayClass")
                    }
                }
            }
        }
    }

    private func noteUnknown(
        _ target: EnvoyFilterDocument.Target, _ kind: String, _ document: EnvoyFilterDocument
    ) {
        note(
            .warning, Code.referenceNotFound,
            "the \(kind) \(target.name) is not in \(document.meta.namespace): nothing is applied to it",
            document.meta.ref, line: target.line)
    }

    /// An edge that was made up to serve every Gateway has the labels that they select.
    private var gatewayLabels: [String: String] {
        var labels = proxy.model.labels
        for gateway in documents.gateways { labels.merge(gateway.selector) { first, _ in first } }
        return labels
    }

    private static func applies(
        _ patch: EnvoyFilterDocument.Patch, to role: ListenerRole, port: UInt16?
    ) -> Bool {
        let isHere =
            switch patch.context {
            case .any: true
            case .gateway: role == .edge
            case .outbound: role == .outbound
            case .inbound: role == .inbound
            }
        guard isHere else { return false }
        guard let wanted = patch.port, let port else { return true }
        return wanted == port
    }

    private func apply(
        _ patch: EnvoyFilterDocument.Patch, of document: EnvoyFilterDocument,
        to filters: inout [HTTPFilter], _ role: ListenerRole
    ) {
        let place = patch.neighbour.map { neighbour in filters.firstIndex { $0.name == neighbour.value } }
        if case .some(nil) = place, let neighbour = patch.neighbour {
            missing(neighbour, filters, document)
            return
        }
        let at = place ?? nil
        if patch.operation == .remove || patch.operation == .replace {
            replace(patch, document, at, &filters, role)
            return
        }
        guard let script = patch.script else { return }
        let made = HTTPFilter(name: patch.name, script: model(script, patch, document, role))
        switch patch.operation {
        case .insertBefore: filters.insert(made, at: at ?? 0)
        case .insertAfter: filters.insert(made, at: at.map { $0 + 1 } ?? filters.endIndex)
        case .insertFirst: filters.insert(made, at: 0)
        default: filters.append(made)
        }
    }

    private func replace(
        _ patch: EnvoyFilterDocument.Patch, _ document: EnvoyFilterDocument, _ at: Int?,
        _ filters: inout [HTTPFilter], _ role: ListenerRole
    ) {
        var ref = document.meta.ref
        ref.line = patch.line
        guard let at else {
            note(
                .warning, Code.filterNotApplied,
                "\(patch.operation.rawValue) without a subFilter names no filter: the patch is not applied",
                ref)
            return
        }
        guard filters[at].script != nil else {
            note(
                .warning, Code.filterNotApplied,
                "\(filters[at].name) is the proxy's own and stays: the patch is not applied", ref)
            return
        }
        if patch.operation == .remove {
            filters.remove(at: at)
        } else if let script = patch.script {
            filters[at] = HTTPFilter(name: patch.name, script: model(script, patch, document, role))
        }
    }

    private func missing(
        _ neighbour: Located<String>, _ filters: [HTTPFilter], _ document: EnvoyFilterDocument
    ) {
        let known = filters.map(\.name)
        let old = neighbour.value == "envoy.router" ? Self.router : nil
        let near = old ?? nearest(to: neighbour.value, among: known)
        note(
            .warning, Code.filterNotApplied,
            "there is no HTTP filter \(neighbour.value): the patch is not applied", document.meta.ref,
            line: neighbour.line, suggestion: near.map { "did you mean \($0)?" } ?? "")
    }

    private func model(
        _ script: EnvoyFilterDocument.Script, _ patch: EnvoyFilterDocument.Patch,
        _ document: EnvoyFilterDocument, _ role: ListenerRole
    ) -> ScriptModel {
        var source = document.meta.ref
        source.line = script.firstLine
        var model = ScriptModel(name: patch.name, source: source, code: script.code)
        // One outbound listener stands for those of all ports: the request tells which is meant.
        if role == .outbound, let port = patch.port { model.port = port }
        model.clearsRouteCache = script.clearsRouteCache
        return model
    }
}
