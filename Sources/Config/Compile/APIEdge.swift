// An edge's listeners from Gateways of the Gateway API (istio-semantics.md 21.1): those of one port become
// one listener, each hostname a virtual host (or a server name) of its own, and no route of a broader
// listener answers for it.
internal import Base
internal import HTTP
internal import Lanes

/// A listener with the numbers it goes by in `RouteAttachments`.
private struct BoundAPIListener {
    enum Transport: Equatable {
        case http
        /// TLS that is passed on, told apart by server name.
        case tls
        case tcp
    }

    var gateway: Int
    var position: Int
    var listener: APIGateway.Listener
    var ref: SourceRef
    var transport: Transport
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
                case "TLS" where !listener.isTerminated: transport = .tls
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

    private func serves(_ gateway: APIGateway) -> Bool {
        servesAnyGateway || proxy.gatewayClass.isEmpty || gateway.className == proxy.gatewayClass
    }

    private func noteUnopened(_ listener: APIGateway.Listener, _ ref: SourceRef) {
        let what = listener.protocolName
        let why =
            ["HTTPS", "TLS"].contains(what)
            ? "\(what) with certificateRefs" : "the protocol \(what)"
        note(
            .warning, Code.protocolNotSupported,
            "not supported yet: \(why), port \(listener.port) is not opened for \(listener.name)", ref,
            suggestion: "HTTP, TCP, and TLS with mode Passthrough are")
    }

    private func noteTaken(_ listener: APIGateway.Listener, _ ref: SourceRef) {
        note(
            .error, Code.listenerConflict,
            "port \(listener.port) is taken by a listener of another protocol, \(listener.name) is dropped",
            ref, suggestion: "one port speaks one protocol")
    }

    private func open(_ port: UInt16, _ bound: [BoundAPIListener]) {
        let place = IPAddress("0.0.0.0")!.socket(port: port)
        let isHTTP = bound[0].transport == .http
        if let known = model.listeners.first(where: { $0.address == place }) {
            // Istio's Gateways share plain HTTP ports with these, and no others.
            if isHTTP, known.connections == nil, let table = known.tables.first {
                addHosts(to: table.routeTable, bound, port)
            } else {
                for one in bound { noteTaken(one.listener, one.ref) }
            }
            return
        }
        var listener = ListenerModel(
            name: "gateway/\(port)", role: .edge, address: place, tables: [], source: bound[0].ref)
        if isHTTP {
            let table = add(RouteTableModel(name: "http.\(port)"))
            addHosts(to: table, bound, port)
            listener.tables = [PortTable(port: 0, routeTable: table)]
        } else {
            listener.connections = relays(bound, port)
        }
        model.listeners.append(listener)
    }

    /// The routes of each hostname, in the order in which hostnames came; those of listeners are there even
    /// without a route, for broader listeners must not answer for them. The most specific listener of a
    /// Gateway alone counts for a host (listener isolation).
    private func routesByDomain(_ bound: [BoundAPIListener]) -> [(domain: String, routes: [Int])] {
        var owners: [Int: HostIndex<Int>] = [:]
        for one in bound { owners[one.gateway, default: HostIndex()][one.listener.domain] = one.position }
        var domains: [String] = []
        var routes: [String: Set<Int>] = [:]
        for one in bound {
            if routes[one.listener.domain] == nil {
                routes[one.listener.domain] = []
                domains.append(one.listener.domain)
            }
            for attached in registry.attachments.attached(gateway: one.gateway, listener: one.position) {
                for domain in attached.hostnames
                where owners[one.gateway]?.mostSpecific(domain) == one.position {
                    if routes[domain] == nil { domains.append(domain) }
                    routes[domain, default: []].insert(attached.route)
                }
            }
        }
        return domains.map { ($0, routes[$0]!.sorted()) }
    }

    /// Adds the virtual hosts of listeners to a table, behind the routes that a host has there already.
    private func addHosts(to table: Int, _ bound: [BoundAPIListener], _ port: UInt16) {
        var position: [String: Int] = [:]
        for (index, host) in model.routeTables[table].virtualHosts.enumerated() {
            for domain in host.domains { position[domain] = index }
        }
        for (domain, routes) in routesByDomain(bound) {
            let ordered = orderedRoutes(routes, port: port)
            if let index = position[domain] {
                model.routeTables[table].virtualHosts[index].routes += ordered
            } else {
                model.routeTables[table].virtualHosts.append(
                    VirtualHostModel(name: "\(domain):\(port)", domains: [domain], routes: ordered))
            }
        }
    }

    /// TLSRoutes by server name, or the one TCPRoute of a port: of several the oldest counts.
    private func relays(_ bound: [BoundAPIListener], _ port: UInt16) -> ConnectionsModel {
        var relays = ConnectionsModel(isTLS: bound[0].transport == .tls)
        for (domain, routes) in routesByDomain(bound) {
            let route = routes.lazy.compactMap { self.relayRoute($0, port: port) }.first
            relays.servers.append(
                ConnectionsModel.Server(
                    names: [domain], action: .relay(route.map { [$0] } ?? []), source: bound[0].ref))
        }
        return relays
    }
}
