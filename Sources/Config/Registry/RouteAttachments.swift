// Which routes of the Gateway API attach to which listeners and services, for every proxy alike
// (istio-semantics.md 21.1): parents, allowedRoutes, hostnames in common. What keeps one from attaching is a
// finding, made here because it is here that it is known.
internal import Lanes

struct RouteAttachments {
    /// A route on one listener, with the hostnames that are left of both.
    struct Attached: Sendable {
        /// Number in `routes`.
        var route: Int
        var hostnames: [String]
    }

    struct ListenerKey: Hashable {
        var gateway: Int
        var listener: Int
    }

    /// A route on a service in the mesh.
    struct MeshAttached: Sendable {
        var route: Int
        /// Nil: every port.
        var port: UInt16?
    }

    /// Oldest first, then by `namespace/name`: the order in which they count.
    private(set) var routes: [APIRoute] = []
    /// Those that are none but add listeners to one (`owner`) come last.
    private(set) var gateways: [APIGateway] = []
    private(set) var findings: [Finding] = []
    private var byListener: [ListenerKey: [Attached]] = [:]
    private var byService: [String: [MeshAttached]] = [:]
    private var gatewayByName: [String: Int] = [:]
    private var setByName: [String: Int] = [:]
    private var grants: [String: [ReferenceGrantDocument]] = [:]
    private var namespaceLabels: [String: [String: String]] = [:]

    init() {}

    /// `ports`: of the services of a host; nil: it is none.
    init(_ documents: DocumentSet, ports: (String) -> [ServicePort]?) {
        routes = documents.apiRoutes.sorted { Self.comesFirst($0.meta, $1.meta) }
        gateways = documents.apiGateways.sorted { Self.comesFirst($0.meta, $1.meta) }
        grants = Dictionary(grouping: documents.referenceGrants, by: \.meta.namespace)
        for namespace in documents.namespaces { namespaceLabels[namespace.name] = namespace.labels }
        for (index, gateway) in gateways.enumerated() {
            gatewayByName["\(gateway.meta.namespace)/\(gateway.meta.name)"] = index
        }
        for set in documents.listenerSets.inOrder() { add(set) }
        var entryHosts: [String: [String]] = [:]
        for entry in documents.serviceEntries {
            entryHosts["\(entry.meta.namespace)/\(entry.meta.name)"] = entry.hosts.map {
                $0.value.lowercased()
            }
        }
        let istio = Set(documents.gateways.map { "\($0.meta.namespace)/\($0.meta.name)" })
        for index in routes.indices { attach(index, istio, entryHosts, ports) }
        separateKinds()
        noteRivals()
    }

    static func comesFirst(_ left: Meta, _ right: Meta) -> Bool {
        let leftTime = left.createdAtSeconds ?? Int64.min
        let rightTime = right.createdAtSeconds ?? Int64.min
        if leftTime != rightTime { return leftTime < rightTime }
        return (left.namespace, left.name) < (right.namespace, right.name)
    }

    func attached(gateway: Int, listener: Int) -> [Attached] {
        byListener[ListenerKey(gateway: gateway, listener: listener)] ?? []
    }

    func attached(service host: String) -> [MeshAttached] { byService[host] ?? [] }

    /// Whether an object of `kind` (`HTTPRoute`, `Gateway`) in `namespace` may refer to another one.
    func mayRefer(from kind: String, _ namespace: String, to target: String, _ name: String, in there: String)
        -> Bool
    {
        if namespace == there { return true }
        let asking = "\(kind).\(gatewayAPIGroup)"
        return (grants[there] ?? []).contains { grant in
            grant.from.contains { $0.kind == asking && $0.namespace == namespace }
                && grant.to.contains { $0.kind == target && ($0.name == nil || $0.name == name) }
        }
    }

    private mutating func note(
        _ severity: Severity, _ code: String, _ message: String, _ route: APIRoute, _ line: Int,
        _ suggestion: String = ""
    ) {
        note(severity, code, message, route.meta, line, suggestion)
    }

    private mutating func note(
        _ severity: Severity, _ code: String, _ message: String, _ meta: Meta, _ line: Int,
        _ suggestion: String
    ) {
        findings.append(
            Finding(
                severity, code, message, file: meta.ref.file, line: line, resource: meta.resource,
                suggestion: suggestion))
    }

    /// The Gateway that a listener belongs to, its ListenerSet's where it is in one. Of all listeners of a
    /// Gateway the most specific alone answers for a host.
    func owner(_ gateway: Int) -> Int { gateways[gateway].owner ?? gateway }

    // MARK: listeners of others

    /// Adds a ListenerSet beside the Gateway that it names, if that lets it. Its own listeners come first,
    /// then those of older sets: what they have taken is dropped from this one.
    private mutating func add(_ set: ListenerSetDocument) {
        let name = "\(set.meta.namespace)/\(set.meta.name)"
        let parent = "\(set.gatewayNamespace)/\(set.gatewayName)"
        setByName[name] = -1
        if set.gatewayName.isEmpty { return }
        guard let index = gatewayByName[parent] else {
            note(
                .error, Code.referenceNotFound, "the Gateway \(parent) does not exist", set.meta,
                set.parentLine, gatewayHint(set.gatewayNamespace, set.gatewayName, set.meta))
            return
        }
        let gateway = gateways[index]
        guard admits(gateway.allowedListeners, set.meta.namespace, own: gateway.meta.namespace) else {
            note(
                .warning, Code.routeUnattached,
                "the Gateway \(parent) admits no ListenerSet of namespace \(set.meta.namespace)", set.meta,
                set.parentLine, "spec.allowedListeners.namespaces is None where nothing is said")
            return
        }
        var taken = gateways.indices.filter { owner($0) == index }.flatMap { gateways[$0].listeners }
        var kept: [APIGateway.Listener] = []
        for listener in set.listeners {
            if let other = taken.first(where: { listener.isInConflict(with: $0) }) {
                note(
                    .error, Code.listenerConflict,
                    "port \(listener.port) is \(other.protocolName) for \(other.domain) by the listener "
                        + "\(other.name): \(listener.name) is dropped", set.meta, listener.line,
                    "another port, or another hostname of the same protocol")
                continue
            }
            taken.append(listener)
            kept.append(listener)
        }
        setByName[name] = gateways.count
        gateways.append(APIGateway(set, kept, of: gateway, at: index))
    }

    // MARK: attaching

    private mutating func attach(
        _ index: Int, _ istio: Set<String>, _ entryHosts: [String: [String]],
        _ ports: (String) -> [ServicePort]?
    ) {
        let route = routes[index]
        if route.parents.isEmpty {
            note(
                .warning, Code.routeUnattached, "no parentRefs, so no request ever comes to it", route,
                route.meta.ref.line, "name the Gateway, or the Service, that it is for")
        }
        for parent in route.parents {
            let name = "\(parent.namespace)/\(parent.name)"
            switch parent.target {
            case .gateway:
                guard let gateway = gatewayByName[name] else {
                    noteNoGateway(name, route, parent, isIstios: istio.contains(name))
                    continue
                }
                attach(index, parent, to: gateway)
            case .listenerSet:
                guard let set = setByName[name] else {
                    note(
                        .error, Code.referenceNotFound, "the ListenerSet \(name) does not exist", route,
                        parent.line,
                        "a namespace left out is the route's own, \(route.meta.namespace)")
                    continue
                }
                // Why it is in no Gateway was said.
                if set >= 0 { attach(index, parent, to: set) }
            case .service:
                let host = "\(parent.name).\(parent.namespace).svc.\(Names.clusterDomain)".lowercased()
                if !route.kind.isHTTP {
                    note(
                        .warning, Code.routeUnattached,
                        "not supported yet: a \(route.kind.rawValue) on a Service is not followed",
                        route, parent.line, "a VirtualService with tls or tcp routes does it")
                } else if let ports = ports(host) {
                    attach(index, parent, toService: host, ports)
                } else {
                    note(
                        .error, Code.referenceNotFound, "the parent Service \(name) does not exist", route,
                        parent.line, "a namespace left out is the route's own, \(route.meta.namespace)")
                }
            case .serviceEntry where route.kind.isHTTP:
                for host in entryHosts[name] ?? [] {
                    attach(index, parent, toService: host, ports(host) ?? [])
                }
                if entryHosts[name] == nil {
                    note(
                        .error, Code.referenceNotFound, "the parent ServiceEntry \(name) does not exist",
                        route, parent.line,
                        "a namespace left out is the route's own, \(route.meta.namespace)")
                }
            case .serviceEntry:
                note(
                    .warning, Code.routeUnattached,
                    "not supported yet: a \(route.kind.rawValue) on a ServiceEntry", route, parent.line,
                    "a VirtualService with tls or tcp routes does it")
            case .other(let kind):
                note(
                    .warning, Code.routeUnattached, "parents of kind \(kind) are not served", route,
                    parent.line,
                    kind.hasPrefix("Service of")
                        ? "write group: \"\" beside kind: Service" : "Gateway or Service")
            }
        }
    }

    /// Of a Service `sectionName` is a port's name.
    private mutating func attach(
        _ index: Int, _ parent: ParentReference, toService host: String, _ ports: [ServicePort]
    ) {
        guard let section = parent.sectionName else {
            byService[host, default: []].append(MeshAttached(route: index, port: parent.port))
            return
        }
        let meant = ports.filter { $0.name == section && (parent.port ?? $0.number) == $0.number }
        let named = Set(meant.map(\.number))
        for port in named.sorted() {
            byService[host, default: []].append(MeshAttached(route: index, port: port))
        }
        if named.isEmpty {
            let has = ports.map { "\($0.name) on \($0.number)" }.joined(separator: ", ")
            let which = parent.port.map { " on port \($0)" } ?? ""
            note(
                .warning, Code.routeUnattached, "\(host) has no port with the name \(section)\(which)",
                routes[index], parent.line, "it has \(has)")
        }
    }

    private mutating func noteNoGateway(
        _ name: String, _ route: APIRoute, _ parent: ParentReference, isIstios: Bool
    ) {
        let hint =
            isIstios
            ? "that Gateway is networking.istio.io's, to which VirtualServices bind"
            : gatewayHint(parent.namespace, parent.name, route.meta)
        note(.error, Code.referenceNotFound, "the Gateway \(name) does not exist", route, parent.line, hint)
    }

    /// The Gateway that may be meant by one that is not there.
    private func gatewayHint(_ namespace: String, _ name: String, _ own: Meta) -> String {
        guard gatewayByName.count <= 1_000,
            let near = nearest(
                to: ObjectName(namespace, name), among: gatewayByName.keys.compactMap { ObjectName($0) })
        else { return "a namespace left out is the object's own, \(own.namespace)" }
        return "did you mean \(near.words(from: own.namespace))?"
    }

    private mutating func attach(_ index: Int, _ parent: ParentReference, to gateway: Int) {
        let route = routes[index]
        let all = gateways[gateway].listeners
        let name = "the \(gateways[gateway].meta.kindName) \(parent.namespace)/\(parent.name)"
        let named = all.indices.filter { position in
            (parent.sectionName == nil || all[position].name == parent.sectionName)
                && (parent.port == nil || all[position].port == parent.port)
        }
        func refuse(_ message: String, _ suggestion: String) {
            note(.warning, Code.routeUnattached, message, route, parent.line, suggestion)
        }
        if named.isEmpty {
            let asked = [
                parent.sectionName.map { "with the name \($0)" }, parent.port.map { "on port \($0)" },
            ].compactMap { $0 }.joined(separator: " and ")
            let has = all.map { "\($0.name) on \($0.port)" }.joined(separator: ", ")
            refuse(
                asked.isEmpty ? "\(name) has no listener" : "\(name) has no listener \(asked)",
                has.isEmpty ? "all of its listeners are dropped" : "it has \(has)")
            return
        }
        let ofKind = named.filter { takes(route.kind, all[$0]) }
        if ofKind.isEmpty {
            refuse(
                "no listener of \(name) takes \(route.kind.rawValue)s",
                "allowedRoutes.kinds and the protocol decide")
            return
        }
        let own = gateways[gateway].meta.namespace
        let admitting = ofKind.filter { admits(all[$0].admission, route.meta.namespace, own: own) }
        if admitting.isEmpty {
            refuse(
                "no listener of \(name) admits routes of namespace \(route.meta.namespace)",
                "allowedRoutes.namespaces is Same where nothing is said")
            return
        }
        connect(index, gateway, admitting, parent)
    }

    private mutating func connect(
        _ index: Int, _ gateway: Int, _ listeners: [Int], _ parent: ParentReference
    ) {
        let route = routes[index]
        var covered: Set<String> = []
        for position in listeners {
            let listener = gateways[gateway].listeners[position]
            var names: [String] = []
            if route.hostnames.isEmpty { names = [listener.domain] }
            for hostname in route.hostnames {
                guard let name = Names.intersection(listener.domain, hostname.value) else { continue }
                covered.insert(hostname.value)
                if !names.contains(name) { names.append(name) }
            }
            if names.isEmpty { continue }
            let key = ListenerKey(gateway: gateway, listener: position)
            // A route's parents come one after the other.
            if let last = byListener[key]?.last, last.route == index {
                let more = names.filter { !last.hostnames.contains($0) }
                byListener[key]![byListener[key]!.count - 1].hostnames += more
            } else {
                byListener[key, default: []].append(Attached(route: index, hostnames: names))
            }
        }
        for hostname in route.hostnames where !covered.contains(hostname.value) {
            let served = listeners.map { gateways[gateway].listeners[$0].domain }.joined(separator: ", ")
            note(
                .warning, Code.routeUnattached,
                "no listener of \(parent.namespace)/\(parent.name) for this route serves "
                    + hostname.value, route, hostname.line, "they serve \(served)")
        }
    }

    private func takes(_ kind: APIRoute.Kind, _ listener: APIGateway.Listener) -> Bool {
        let isSpoken =
            switch kind {
            case .http, .grpc: ["HTTP", "HTTPS"].contains(listener.protocolName)
            case .tls: listener.protocolName == "TLS"
            case .tcp:
                listener.protocolName == "TCP" || listener.protocolName == "TLS" && listener.isTerminated
            }
        return isSpoken && (listener.kinds?.contains { $0.value == kind.rawValue } ?? true)
    }

    private func admits(_ admission: APIGateway.Admission, _ namespace: String, own: String) -> Bool {
        switch admission {
        case .all: return true
        case .none: return false
        case .same: return namespace == own
        case .selector(let selector):
            var labels = namespaceLabels[namespace] ?? [:]
            labels["kubernetes.io/metadata.name"] = namespace
            return selector.matches(labels)
        }
    }

    /// HTTPRoutes and GRPCRoutes are not merged: on a hostname of a listener the kind of the older one stays.
    private mutating func separateKinds() {
        guard Set(routes.map(\.kind)).isSuperset(of: [.http, .grpc]) else { return }
        for key in byListener.keys {
            var owner: [String: Int] = [:]
            var kept: [Attached] = []
            for var attached in byListener[key]! {
                let route = routes[attached.route]
                attached.hostnames.removeAll { hostname in
                    let first = owner[hostname] ?? attached.route
                    owner[hostname] = first
                    if !route.kind.isHTTP || routes[first].kind == route.kind { return false }
                    note(
                        .warning, Code.routeConflict,
                        "\(routes[first].meta.resource) is older and has \(hostname) on this listener: "
                            + "this \(route.kind.rawValue) gets no request for it", route,
                        route.meta.ref.line,
                        "give the kinds hostnames of their own")
                    return true
                }
                if !attached.hostnames.isEmpty { kept.append(attached) }
            }
            byListener[key] = kept
        }
    }
}

extension RouteAttachments {
    /// A connection goes by one TLSRoute or TCPRoute: of several for a name of a listener the oldest.
    private mutating func noteRivals() {
        for route in routes where !route.kind.isHTTP {
            for rule in route.rules.dropFirst() {
                note(
                    .warning, Code.unreachableRule,
                    "a \(route.kind.rawValue) has one rule, this one is never used", route, rule.line,
                    "several backends go into the backendRefs of one rule, with weights")
            }
        }
        var told: Set<String> = []
        let keys = byListener.keys.sorted { ($0.gateway, $0.listener) < ($1.gateway, $1.listener) }
        for attached in keys.map({ byListener[$0]! }) {
            var owner: [String: Int] = [:]
            for one in attached where !routes[one.route].kind.isHTTP && !routes[one.route].rules.isEmpty {
                let route = routes[one.route]
                for hostname in one.hostnames {
                    guard let first = owner[hostname] else {
                        owner[hostname] = one.route
                        continue
                    }
                    guard told.insert("\(one.route) \(hostname)").inserted else { continue }
                    let what = hostname == "*" ? "the connections" : "those for \(hostname)"
                    note(
                        .warning, Code.routeConflict,
                        "\(routes[first].meta.resource) is older and has \(what) of this listener", route,
                        route.meta.ref.line, "a listener, or a hostname, of its own")
                }
            }
        }
    }
}

extension APIGateway.Listener {
    /// Both on one port, and no connection could tell them apart.
    fileprivate func isInConflict(with other: APIGateway.Listener) -> Bool {
        guard port == other.port else { return false }
        let mayShare = ["HTTPS", "TLS"]
        let isOneProtocol =
            protocolName == other.protocolName
            || mayShare.contains(protocolName) && mayShare.contains(other.protocolName)
        return !isOneProtocol || domain == other.domain
    }
}

extension BackendReference {
    enum Problem {
        /// Nothing here serves that kind.
        case kind(String)
        /// In another namespace, without a ReferenceGrant.
        case notPermitted
    }

    /// What forbids this backend, whoever asks; nil: nothing. In the mesh no grant is asked for: clients
    /// reach other namespaces' services without any route as well.
    func problem(_ route: APIRoute, _ attachments: RouteAttachments, inMesh: Bool) -> Problem? {
        switch kind {
        case .other(let kind): return .kind(kind)
        case .hostname: return nil
        case .service:
            let permitted =
                inMesh
                || attachments.mayRefer(
                    from: route.kind.rawValue, route.meta.namespace, to: "Service", name, in: namespace)
            return permitted ? nil : .notPermitted
        }
    }
}
