// A sidecar: one route table for each service port on the way out, one listener to the app for each inbound
// port (istio-semantics.md 3, 19).
internal import Lanes

extension Compiler {
    func compileSidecar() {
        let outbound = OutboundServices(self)
        var tables: [PortTable] = []
        if let address = proxy.outbound {
            var source = proxy.meta.ref
            if proxy.outboundLine > 0 { source.line = proxy.outboundLine }
            tables = outboundTables(outbound)
            var listener = ListenerModel(
                name: "outbound", role: .outbound, address: address, tables: tables, source: source)
            listener.scripts = scripts(.outbound, port: nil)
            model.listeners.append(listener)
        }
        compileEgress(outbound, tables)
        var seen = Set(model.listeners.map(\.address))
        for inbound in acceptedInbound() {
            guard seen.insert(inbound.address).inserted else {
                note(
                    .error, Code.listenerConflict, "\(inbound.address.text) is listened on twice",
                    proxy.meta.ref, line: inbound.line, refused: true)
                continue
            }
            compileInbound(inbound)
        }
    }

    // MARK: outbound

    private func outboundTables(_ outbound: OutboundServices) -> [PortTable] {
        var tables: [PortTable] = []
        for port in outbound.ports {
            tables.append(PortTable(port: port, routeTable: add(outboundTable(port, outbound))))
        }
        // Ports that no service has: destinations nobody owns.
        var unknown = RouteTableModel(name: "unknown")
        unknown.virtualHosts = [unknownDestinations()]
        tables.append(PortTable(port: 0, routeTable: add(unknown)))
        return tables
    }

    func outboundTable(_ port: UInt16, _ outbound: OutboundServices) -> RouteTableModel {
        var draft = OutboundTable(table: RouteTableModel(name: String(port)))
        let unknown = outbound.unknownHosts(port: port, visibility)
        addServices(outbound.byPort[port] ?? [], port: port, outbound, unknown, to: &draft)
        for index in outbound.streams[port] ?? [] {
            let service = registry.services[index]
            guard let servicePort = service.port(port) else { continue }
            draft.add(
                "\(service.host):\(port)", domains(of: index, outbound),
                [streamRoute(service, servicePort, outbound)], isStream: true)
        }
        if port == 80 {
            // A Host without a port means port 80, or the only HTTP port of a service that has no 80.
            for (number, services) in outbound.withoutPort80.sorted(by: { $0.key < $1.key }) {
                addServices(services, port: number, outbound, [], to: &draft)
            }
        }
        if draft.taken.insert("*").inserted { draft.table.virtualHosts.append(unknownDestinations()) }
        return draft.table
    }

    /// Services with the VirtualServices that own them, in the VirtualServices' order; then services alone.
    /// `unknownHosts` are known on port 80, and beside a service that their VirtualService names on its port,
    /// whoever owns that. They come before the services of their VirtualService: one that looks like a
    /// service's short name is not that service's.
    private func addServices(
        _ services: [Int], port: UInt16, _ outbound: OutboundServices,
        _ unknownHosts: [(order: Int, host: String)], to draft: inout OutboundTable
    ) {
        var plain: [Int] = []
        var owned: [(order: Int, service: Int, name: String, routes: [RouteModel])] = []
        var orders: Set<Int> = []
        for index in services {
            let host = registry.services[index].host
            let attached = meshRoutes(of: registry.services[index], port: port)
            let naming = outbound.owners(of: host, port: port, self)
            orders.formUnion(naming)
            let owner = naming.lazy.map { document in
                (document, self.routes(outbound.virtualServices[document], gateway: "mesh", port: port))
            }.first { !$0.1.isEmpty }
            if let attached,
                owner.map({ isOlder(attached.oldest, outbound.virtualServices[$0.0]) }) ?? true
            {
                owned.append((-1, index, host, attached.routes))
            } else if let owner {
                owned.append((owner.0, index, host, owner.1))
            } else {
                plain.append(index)
            }
        }
        for (order, host) in unknownHosts where port == 80 || orders.contains(order) {
            let routes = routes(outbound.virtualServices[order], gateway: "mesh", port: port)
            if !routes.isEmpty { owned.append((order, -1, host, routes)) }
        }
        owned.sort { ($0.order, $0.service) < ($1.order, $1.service) }
        for item in owned {
            let names = item.service < 0 ? [item.name] : domains(of: item.service, outbound)
            draft.add("\(item.name):\(port)", names, item.routes)
        }
        for index in plain {
            let service = registry.services[index]
            draft.add(
                "\(service.host):\(port)", domains(of: index, outbound), [defaultRoute(service, port: port)])
        }
    }

    /// Where connections to a port that is not HTTP go.
    func streamRoute(_ service: Service, _ port: ServicePort, _ outbound: OutboundServices) -> RouteModel {
        let routed = outbound.owners(of: service.host, port: port.number, self).lazy.compactMap {
            self.streamRoute(outbound.virtualServices[$0], service, port)
        }.first
        return routed ?? defaultRoute(service, port: port.number)
    }

    /// Of a Gateway API route and a VirtualService for one service the older counts.
    private func isOlder(_ route: Meta, _ other: VirtualServiceDocument) -> Bool {
        let wins = !Meta.isOlder(other.meta, route)
        note(
            .warning, Code.routeConflict,
            "\(wins ? route.resource : other.meta.resource) is older and decides for this service alone",
            wins ? other.meta.ref : route.ref, suggestion: "use one kind of route for a service")
        return wins
    }

    /// The one route of a service without a VirtualService.
    private func defaultRoute(_ service: Service, port: UInt16) -> RouteModel {
        let target = target(
            host: service.host, subset: "", port: port, arrivalPort: port, weight: 0,
            source: service.meta.ref)
        return RouteModel(name: "default", source: service.meta.ref, action: .forward([target]))
    }

    private func unknownDestinations() -> VirtualHostModel {
        let allowed = model.proxy.allowAnyOutbound
        let name = allowed ? "allow_any" : "block_all"
        var route = RouteModel(
            name: name, source: proxy.meta.ref,
            action: allowed ? .passthrough : .blocked)
        if allowed, let sidecar = visibility.sidecar, let egress = sidecar.egressProxy {
            route.source = sidecar.meta.ref
            route.source.line = egress.line
            let target = target(
                host: egress.host, subset: egress.subset, port: egress.port, arrivalPort: 80, weight: 0,
                source: route.source)
            route.action = .forward([target])
        }
        return VirtualHostModel(name: name, domains: ["*"], routes: [route])
    }

    /// The Hosts by which this client may call a service.
    private func domains(of index: Int, _ outbound: OutboundServices) -> [String] {
        let aliases = outbound.aliases[index] ?? []
        return domains(of: registry.services[index]) + aliases.flatMap { domains(of: registry.services[$0]) }
    }

    private func domains(of service: Service) -> [String] {
        guard !Names.isWildcard(service.host) else { return [service.host] }
        var names = [service.host, service.host + "."]
        if service.isKubernetes {
            var short = ["\(service.name).\(service.namespace)", "\(service.name).\(service.namespace).svc"]
            if service.namespace == proxy.model.namespace { short.append(service.name) }
            // A short form that is another service's full name belongs to that one.
            names += short.filter { !registry.isKnown($0) }
        }
        let wildcards = service.isHeadless ? names.map { "*." + $0 } : []
        let addresses = service.clusterIPs.map { $0.contains(":") ? "[\($0)]" : $0 }
        return (names + wildcards + addresses).map { $0.lowercased() }
    }

    // MARK: inbound

    private func compileInbound(_ inbound: ProxyDocument.Inbound) {
        let port = inbound.port
        let name = "inbound|\(port)||"
        let own = ownService(port: port)
        var cluster = ClusterModel(
            name: name, service: own?.host ?? "", serviceNamespace: proxy.model.namespace, subset: "",
            port: port)
        cluster.connectTimeoutMs = model.proxy.connectTimeoutMs
        var endpoint = EndpointModel(address: inbound.app)
        endpoint.workload = proxy.model.name
        endpoint.namespace = proxy.model.namespace
        endpoint.labels = proxy.model.labels
        cluster.endpoints = [endpoint]
        cluster.stable = [0]
        var source = proxy.meta.ref
        source.line = inbound.line
        let target = TargetModel(
            cluster: clusterByName[name] ?? add(cluster), clusterName: name, weight: 0)
        let route = RouteModel(name: "default", source: source, action: .forward([target]))
        var table = RouteTableModel(name: name)
        table.virtualHosts = [
            VirtualHostModel(name: "inbound|http|\(port)", domains: ["*"], routes: [route])
        ]
        let routeTable = add(table)
        var listener = ListenerModel(
            name: "inbound/\(inbound.address.port)", role: .inbound, address: inbound.address,
            tables: [PortTable(port: 0, routeTable: routeTable)], source: source)
        listener.scripts = scripts(.inbound, port: port)
        let relay = ConnectionRouteModel(route: route)
        if let tls = inbound.tls {
            guard let ended = endedTLS(tls, inbound, routeTable, relay) else { return }
            listener.tls = ended
        } else if inbound.isStream {
            listener.connections = ConnectionsModel(
                isTLS: false,
                servers: [.init(names: ["*"], action: .relay([relay]), source: source)])
        }
        model.listeners.append(listener)
    }

    /// The TLS of a Sidecar's ingress; nil where there is no certificate, which was said: nothing listens.
    private func endedTLS(
        _ tls: ServerTLSFields, _ inbound: ProxyDocument.Inbound, _ routeTable: Int,
        _ relay: ConnectionRouteModel
    ) -> ListenerTLSModel? {
        let meta = visibility.sidecar?.meta ?? proxy.meta
        var source = meta.ref
        source.line = tls.line
        let name = "\(meta.resource) ingress \(inbound.port)"
        var fields = tls
        if inbound.isStream { fields.settings.protocols = [] }
        guard let context = serverContext(fields, name: name, ref: source) else { return nil }
        var model = ListenerTLSModel()
        model.servers = [
            TLSServerModel(
                name: name, hosts: ["*"], mode: fields.mode.rawValue, routeTable: routeTable,
                context: context, source: source, relay: inbound.isStream ? [relay] : nil)
        ]
        return model
    }

    /// The service in our namespace that selects this pod and targets the app's port, for metrics.
    private func ownService(port: UInt16) -> Service? {
        registry.services.first { service in
            service.namespace == proxy.model.namespace && !service.selector.isEmpty
                && proxy.model.labels.contains(service.selector)
                && service.ports.contains { if case .number(port) = $0.target { true } else { false } }
        }
    }
}

/// A port's table while it is made: a domain belongs to the first that wants it.
private struct OutboundTable {
    var table: RouteTableModel
    var taken: Set<String> = []

    mutating func add(_ name: String, _ domains: [String], _ routes: [RouteModel], isStream: Bool = false) {
        let free = domains.filter { taken.insert($0).inserted }
        guard !free.isEmpty else { return }
        var host = VirtualHostModel(name: name, domains: free, routes: routes)
        host.isStream = isStream
        table.virtualHosts.append(host)
    }
}

/// What a sidecar's outbound tables are made of.
struct OutboundServices {
    /// Bound to the mesh and visible, in the order in which they count.
    let virtualServices: [VirtualServiceDocument]
    /// Numbers of visible services by HTTP port.
    private(set) var byPort: [UInt16: [Int]] = [:]
    /// The same by TCP and TLS port.
    private(set) var streams: [UInt16: [Int]] = [:]
    /// By their only HTTP port, which is not 80.
    private(set) var withoutPort80: [UInt16: [Int]] = [:]
    /// The hosts of VirtualServices, with the number of their VirtualService.
    private var routedHosts: [(order: Int, host: String)] = []
    /// Those of them that are services' or cover one, by egress listener.
    private var coveredHosts: [UInt16: Set<String>] = [:]
    private var ownersByHost = HostIndex<[Int]>()
    /// ExternalName services by the one that they stand for.
    let aliases: [Int: [Int]]

    init(_ compiler: Compiler) {
        let client = compiler.proxy.model.namespace
        let registry = compiler.registry
        aliases = registry.aliases(from: client)
        virtualServices = compiler.documents.virtualServices.visible(from: client).filter { document in
            let inMesh = document.gateways.isEmpty || document.gateways.contains { $0.value == "mesh" }
            return inMesh && !document.hosts.isEmpty && compiler.visibility.sees(document)
        }
        for (order, document) in virtualServices.enumerated() {
            for name in document.fullHosts {
                ownersByHost[name] = (ownersByHost[name] ?? []) + [order]
            }
        }
        let visibility = compiler.visibility
        for index in registry.visible(from: client) {
            let service = registry.services[index]
            let owners = ownersByHost.covering(service.host).map(\.host)
            if !owners.isEmpty {
                for egress in visibility.egressPorts where visibility.imports(service, egress: egress) {
                    coveredHosts[egress, default: []].formUnion(owners)
                }
            }
            let ports = service.ports.filter { visibility.sees(service, port: $0.number) }
            if ports.isEmpty, !service.ports.isEmpty { continue }
            for port in ports where port.proto == .tcp || port.proto == .tls {
                streams[port.number, default: []].append(index)
            }
            let http = ports.filter(\.proto.isHTTP)
            for port in http { byPort[port.number, default: []].append(index) }
            if http.count == 1, http[0].number != 80, service.ports.count(where: \.proto.isHTTP) == 1 {
                withoutPort80[http[0].number, default: []].append(index)
            }
        }
        var seen: Set<String> = []
        for (order, document) in virtualServices.enumerated() {
            for name in document.fullHosts {
                if seen.insert("\(order) \(name)").inserted { routedHosts.append((order, name)) }
            }
        }
    }

    /// VirtualService hosts that are no service which the port's egress listener knows, with the number of
    /// their VirtualService.
    func unknownHosts(port: UInt16, _ visibility: Visibility) -> [(order: Int, host: String)] {
        let covered = coveredHosts[visibility.egress(of: port)] ?? []
        return routedHosts.filter {
            !covered.contains($0.host) && visibility.sees(virtualServices[$0.order], port: port)
        }
    }

    /// All ports that have a table, 80 among them always.
    var ports: [UInt16] { Set(byPort.keys).union(streams.keys).union([80]).sorted() }

    /// VirtualServices that may own a service: those that name it, in their order; else the first of the most
    /// specific wildcard alone, whether or not it has routes here.
    func owners(of host: String, port: UInt16, _ compiler: Compiler) -> [Int] {
        for (name, documents) in ownersByHost.covering(host) {
            let seen = documents.filter { compiler.visibility.sees(virtualServices[$0], port: port) }
            if !seen.isEmpty { return Names.isWildcard(name) ? [seen[0]] : seen }
        }
        return []
    }
}
