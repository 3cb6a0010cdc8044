// An edge's listeners from Gateways of the Gateway API (istio-semantics.md 21.1): those of one port become one
// listener, each hostname a virtual host of its own, and no route of a broader listener answers for it.
internal import Base
internal import HTTP
internal import Lanes

/// A listener with the numbers it goes by in `RouteAttachments`.
private struct BoundAPIListener {
    var gateway: Int
    var position: Int
    var listener: APIGateway.Listener
    var ref: SourceRef
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
                let bound = BoundAPIListener(gateway: index, position: position, listener: listener, ref: ref)
                guard listener.protocolName == "HTTP" else {
                    noteUnopened(bound)
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

    private func noteUnopened(_ bound: BoundAPIListener) {
        let what = bound.listener.protocolName
        let why = what == "HTTPS" ? "HTTPS with certificateRefs" : "the protocol \(what)"
        note(
            .warning, Code.protocolNotSupported,
            "not supported yet: \(why), port \(bound.listener.port) is not opened for \(bound.listener.name)",
            bound.ref)
    }

    private func open(_ port: UInt16, _ bound: [BoundAPIListener]) {
        let place = IPAddress("0.0.0.0")!.socket(port: port)
        if let known = model.listeners.first(where: { $0.address == place }) {
            addHosts(to: known.tables[0].routeTable, bound, port)
            return
        }
        let table = add(RouteTableModel(name: "http.\(port)"))
        addHosts(to: table, bound, port)
        model.listeners.append(
            ListenerModel(
                name: "gateway/\(port)", role: .edge, address: place,
                tables: [PortTable(port: 0, routeTable: table)], source: bound[0].ref))
    }

    /// Adds the virtual hosts of listeners to a table, behind the routes that a host has there already.
    private func addHosts(to table: Int, _ bound: [BoundAPIListener], _ port: UInt16) {
        // The most specific listener of a Gateway alone answers for a host (listener isolation).
        var owners: [Int: HostIndex<Int>] = [:]
        for one in bound { owners[one.gateway, default: HostIndex()][one.listener.domain] = one.position }
        var domains: [String] = []
        var routes: [String: Set<Int>] = [:]
        for one in bound {
            if routes[one.listener.domain] == nil {
                // Even without a route: broader listeners must not answer for it.
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
        var position: [String: Int] = [:]
        for (index, host) in model.routeTables[table].virtualHosts.enumerated() {
            for domain in host.domains { position[domain] = index }
        }
        for domain in domains {
            let ordered = orderedRoutes(routes[domain]!.sorted(), port: port)
            if let index = position[domain] {
                model.routeTables[table].virtualHosts[index].routes += ordered
            } else {
                model.routeTables[table].virtualHosts.append(
                    VirtualHostModel(name: "\(domain):\(port)", domains: [domain], routes: ordered))
            }
        }
    }
}

extension Compiler {
    /// The routes that a client in the mesh follows to a service's port (GAMMA); nil: none is attached. Routes
    /// of the client's own namespace come before those of the service's, which are for everybody.
    func meshRoutes(of service: Service, port: UInt16) -> (oldest: Meta, routes: [RouteModel])? {
        let attachments = registry.attachments
        let here = attachments.attached(service: service.host).filter { ($0.port ?? port) == port }
            .map(\.route)
        if here.isEmpty { return nil }
        func from(_ namespace: String) -> [Int] {
            Set(here.filter { attachments.routes[$0].meta.namespace == namespace }).sorted()
        }
        let own = from(proxy.model.namespace)
        let chosen = own.isEmpty ? from(service.namespace) : own
        guard let oldest = chosen.first else { return nil }
        return (attachments.routes[oldest].meta, orderedRoutes(chosen, port: port))
    }
}
