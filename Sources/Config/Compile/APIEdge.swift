// An edge's listeners from Gateways of the Gateway API (istio-semantics.md 21.1): those of one port become
// one listener, each hostname a virtual host (or a server name) of its own, and no route of a broader
// listener answers for it.
internal import Base
internal import Lanes

/// A listener with the numbers it goes by in `RouteAttachments`.
private struct BoundAPIListener {
    enum Transport: Equatable {
        case http
        /// TLS that ends here, and TLS that is passed on: told apart by server name.
        case tls
        case tcp
    }

    var gateway: Int
    var position: Int
    var listener: APIGateway.Listener
    var ref: SourceRef
    var transport: Transport

    var key: RouteAttachments.ListenerKey {
        RouteAttachments.ListenerKey(gateway: gateway, listener: position)
    }
    /// Requests follow.
    var isHTTP: Bool { listener.protocolName == "HTTP" || listener.protocolName == "HTTPS" }
    /// TLS ends here.
    var isTerminated: Bool { transport == .tls && (isHTTP || listener.isTerminated) }
}

extension Compiler {
    /// Adds to what Istio's Gateways have opened.
    func compileAPIGateways() {
        var ports: [UInt16] = []
        var byPort: [UInt16: [BoundAPIListener]] = [:]
        for (index, gateway) in registry.attachments.gateways.enumerated() where serves(gateway) {
            for (position, listener) in gateway.listeners.enumerated() {
                var ref = gateway.meta.ref
                ref.line = listener.line
                let transport: BoundAPIListener.Transport
                switch listener.protocolName {
                case "HTTP": transport = .http
                case "TCP": transport = .tcp
                case "HTTPS", "TLS": transport = .tls
                default:
                    noteUnopened(listener, ref)
                    continue
                }
                let bound = BoundAPIListener(
                    gateway: index, position: position, listener: listener, ref: ref, transport: transport)
                if let first = byPort[listener.port]?.first, first.transport != transport {
                    noteTaken(listener, ref)
                    continue
                }
                if byPort[listener.port] == nil { ports.append(listener.port) }
                byPort[listener.port, default: []].append(bound)
            }
        }
        for port in ports { open(port, byPort[port]!) }
    }

    func serves(_ gateway: APIGateway) -> Bool {
        servesAnyGateway || proxy.gatewayClass.isEmpty || gateway.className == proxy.gatewayClass
    }

    private func noteUnopened(_ listener: APIGateway.Listener, _ ref: SourceRef) {
        note(
            .warning, Code.protocolNotSupported,
            "not supported yet: the protocol \(listener.protocolName), port \(listener.port) is not opened "
                + "for \(listener.name)", ref, suggestion: "HTTP, HTTPS, TLS and TCP are")
    }

    private func noteTaken(_ listener: APIGateway.Listener, _ ref: SourceRef) {
        note(
            .error, Code.listenerConflict,
            "port \(listener.port) is taken by a listener of another protocol, \(listener.name) is dropped",
            ref, suggestion: "one port speaks one protocol")
    }

    private func open(_ port: UInt16, _ bound: [BoundAPIListener]) {
        let place = IPAddress("0.0.0.0")!.socket(port: port)
        if bound[0].transport == .tls {
            openTLS(place, bound)
            return
        }
        let isHTTP = bound[0].transport == .http
        if let known = model.listeners.first(where: { $0.address == place }) {
            // Istio's Gateways share plain HTTP ports with these, and no others.
            if isHTTP, known.connections == nil, known.tls == nil, let table = known.tables.first {
                addHosts(to: table.routeTable, bound, among: bound, port)
            } else {
                for one in bound { noteTaken(one.listener, one.ref) }
            }
            return
        }
        var listener = ListenerModel(
            name: "gateway/\(port)", role: .edge, address: place, tables: [], source: bound[0].ref)
        if isHTTP {
            let table = add(RouteTableModel(name: "http.\(port)"))
            addHosts(to: table, bound, among: bound, port)
            listener.tables = [PortTable(port: 0, routeTable: table)]
        } else {
            listener.connections = relays(bound, among: bound, port)
        }
        model.listeners.append(listener)
    }

    /// HTTPS listeners have a route table each, which the client chooses by server name; of TLS listeners
    /// each name is a server that relays.
    private func openTLS(_ place: SocketAddress, _ bound: [BoundAPIListener]) {
        if model.listeners.contains(where: { $0.address == place }) {
            for one in bound { noteTaken(one.listener, one.ref) }
            return
        }
        var tls = ListenerTLSModel()
        var taken: Set<String> = []
        for one in bound where one.isTerminated {
            let gateway = registry.attachments.gateways[one.gateway]
            let name = "\(gateway.meta.resource) \(one.listener.name)"
            guard taken.insert(one.listener.domain).inserted else {
                noteTaken(one.listener, one.ref)
                continue
            }
            guard let fields = certificates(one, gateway),
                let context = serverContext(fields, name: name, ref: one.ref)
            else { continue }
            let meta = gateway.meta
            let table = add(
                RouteTableModel(
                    name: "https.\(place.port).\(one.listener.name).\(meta.name).\(meta.namespace)"))
            var server = TLSServerModel(
                name: name, hosts: [one.listener.domain], mode: fields.mode.rawValue, routeTable: table,
                context: context, source: one.ref)
            if one.isHTTP {
                addHosts(to: table, [one], among: bound.filter(\.isHTTP), place.port)
                tls.servers.append(server)
                continue
            }
            for (domain, routes) in routesByDomain([one], among: bound.filter { !$0.isHTTP }) {
                server.hosts = [domain]
                server.relay = firstRelay(routes, place.port, isEncrypted: false)
                tls.servers.append(server)
            }
        }
        addMisdirected(tls.servers.filter { $0.relay == nil }, place.port)
        var listener = ListenerModel(
            name: "gateway/\(place.port)", role: .edge, address: place,
            tables: tls.servers.prefix(1).map { PortTable(port: 0, routeTable: $0.routeTable) },
            source: bound[0].ref)
        let passing = bound.filter { !$0.isTerminated }
        if !passing.isEmpty {
            var connections = relays(passing, among: bound.filter { !$0.isHTTP }, place.port)
            connections.servers += tls.servers.map { server in
                ConnectionsModel.Server(names: server.hosts, action: .terminate, source: server.source)
            }
            listener.connections = connections
        } else if tls.servers.isEmpty {
            return
        }
        if !tls.servers.isEmpty { listener.tls = tls }
        model.listeners.append(listener)
    }

    /// A request for a host that another HTTPS listener of the port serves came on the wrong connection: 421
    /// sends the client to a connection of its own (RFC 9110 15.5.20).
    private func addMisdirected(_ servers: [TLSServerModel], _ port: UInt16) {
        for server in servers {
            let known = Set(model.routeTables[server.routeTable].virtualHosts.flatMap(\.domains))
            for other in servers where !known.contains(other.hosts[0]) {
                let route = RouteModel(
                    name: "misdirected", source: other.source, action: .direct(status: 421, body: []))
                model.routeTables[server.routeTable].virtualHosts.append(
                    VirtualHostModel(
                        name: "misdirected \(other.hosts[0]):\(port)", domains: other.hosts,
                        routes: [route]))
            }
        }
    }

    /// What the Secrets of a listener are to its context; nil: none may be used, or clients cannot be judged.
    private func certificates(_ bound: BoundAPIListener, _ gateway: APIGateway) -> ServerTLSFields? {
        let names = bound.listener.certificates.compactMap { certificate -> Located<String>? in
            guard let namespace = certificate.namespace,
                registry.attachments.mayRefer(
                    from: gateway.meta.kindName, gateway.meta.namespace, to: "Secret", certificate.name,
                    in: namespace)
            else { return nil }
            return Located("\(namespace)/\(certificate.name)", line: certificate.line)
        }
        var clients: AuthorityBundle?
        if bound.isHTTP, let validation = gateway.clientValidation(port: bound.listener.port) {
            let asking = registry.attachments.gateways[registry.attachments.owner(bound.gateway)].meta
            clients = authorities(validation.authorities) {
                registry.attachments.mayRefer(
                    from: "Gateway", asking.namespace, to: "ConfigMap", $0.name, in: $0.namespace)
            }
            if clients == nil { return nil }
        }
        if !names.isEmpty {
            return ServerTLSFields(
                secrets: names, clients: clients, isHTTP: bound.isHTTP, line: bound.listener.line)
        }
        note(
            .error, Code.referenceNotFound,
            "no certificate: port \(bound.listener.port) is not opened for \(bound.listener.name)", bound.ref,
            suggestion: "name a Secret in tls.certificateRefs")
        return nil
    }

    /// The routes of each hostname, in the order in which hostnames came; those of listeners are there even
    /// without a route, for broader listeners must not answer for them. Of all listeners of a Gateway the
    /// most specific alone counts for a host (listener isolation).
    private func routesByDomain(
        _ bound: [BoundAPIListener], among all: [BoundAPIListener]
    ) -> [(domain: String, routes: [Int])] {
        let attachments = registry.attachments
        var owners: [Int: HostIndex<RouteAttachments.ListenerKey>] = [:]
        for one in all {
            owners[attachments.owner(one.gateway), default: HostIndex()][one.listener.domain] = one.key
        }
        var domains: [String] = []
        var routes: [String: Set<Int>] = [:]
        for one in bound {
            if routes[one.listener.domain] == nil {
                routes[one.listener.domain] = []
                domains.append(one.listener.domain)
            }
            let owner = owners[attachments.owner(one.gateway)]
            for attached in attachments.attached(gateway: one.gateway, listener: one.position) {
                for domain in attached.hostnames where owner?.mostSpecific(domain) == one.key {
                    if routes[domain] == nil { domains.append(domain) }
                    routes[domain, default: []].insert(attached.route)
                }
            }
        }
        return domains.map { ($0, routes[$0]!.sorted()) }
    }

    /// Adds the virtual hosts of listeners to a table, behind the routes that a host has there already.
    private func addHosts(
        to table: Int, _ bound: [BoundAPIListener], among all: [BoundAPIListener], _ port: UInt16
    ) {
        var position: [String: Int] = [:]
        for (index, host) in model.routeTables[table].virtualHosts.enumerated() {
            for domain in host.domains { position[domain] = index }
        }
        for (domain, routes) in routesByDomain(bound, among: all) {
            let ordered = orderedRoutes(routes, port: port, domain: domain)
            if let index = position[domain] {
                model.routeTables[table].virtualHosts[index].routes += ordered
            } else {
                model.routeTables[table].virtualHosts.append(
                    VirtualHostModel(name: "\(domain):\(port)", domains: [domain], routes: ordered))
            }
        }
    }

    /// TLSRoutes by server name, or the one TCPRoute of a port: of several the oldest counts.
    private func relays(
        _ bound: [BoundAPIListener], among all: [BoundAPIListener], _ port: UInt16
    ) -> ConnectionsModel {
        var relays = ConnectionsModel(isTLS: bound[0].transport == .tls)
        for (domain, routes) in routesByDomain(bound, among: all) {
            relays.servers.append(
                ConnectionsModel.Server(
                    names: [domain], action: .relay(firstRelay(routes, port, isEncrypted: relays.isTLS)),
                    source: bound[0].ref))
        }
        return relays
    }

    /// Where connections go: of several routes the first alone counts.
    private func firstRelay(_ routes: [Int], _ port: UInt16, isEncrypted: Bool) -> [ConnectionRouteModel] {
        let route = routes.lazy.compactMap { self.relayRoute($0, port: port, isEncrypted: isEncrypted) }.first
        return route.map { [$0] } ?? []
    }
}
