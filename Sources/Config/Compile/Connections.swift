// Gateway servers of protocol TLS, HTTPS with PASSTHROUGH, and TCP to the servers of a listener; `tls` and
// `tcp` routes of VirtualServices to routes of connections (istio-semantics.md 17).
internal import Base
internal import Lanes

extension Compiler {
    /// The servers of one TLS or TCP port, in the order of the Gateways.
    func connections(
        port: UInt16, _ bound: [BoundServer], _ bindings: [String: [VirtualServiceDocument]]
    ) -> ConnectionsModel {
        guard bound[0].server.kind == .tls else {
            var routes: [ConnectionRouteModel] = []
            for server in bound { routes += tcpRoutes(server, port: port, bindings) }
            let source = bound[0].gateway.meta.ref
            return ConnectionsModel(
                isTLS: false,
                servers: [
                    ConnectionsModel.Server(names: ["*"], action: .relay(routes), source: source)
                ])
        }
        var model = ConnectionsModel(isTLS: true)
        for server in bound where server.server.isPassthrough {
            model.servers +=
                server.server.isAuto ? autoPassthrough(server) : passthrough(server, port: port, bindings)
        }
        return model
    }

    /// AUTO_PASSTHROUGH asks no VirtualService: each port and subset of a service of the mesh that the
    /// server's hosts cover has a server name of its own, `outbound_.PORT_.SUBSET_.HOST`.
    private func autoPassthrough(_ bound: BoundServer) -> [ConnectionsModel.Server] {
        let serverHosts = ServerHosts(bound.server.hosts.map(\.value), bound.gateway.meta.namespace)
        var source = bound.gateway.meta.ref
        source.line = bound.server.line
        var servers: [ConnectionsModel.Server] = []
        for index in registry.visible(from: proxy.model.namespace) {
            let service = registry.services[index]
            let isCovered = serverHosts.intersection([service.host], namespace: service.namespace)
                .contains(service.host)
            guard isCovered, !service.isExternal, !Names.isWildcard(service.host) else { continue }
            let rule = rules.rule(
                host: service.host, serviceNamespace: service.namespace, proxy: proxy.model)
            for port in service.ports where port.proto != .udp {
                for subset in [""] + (rule?.subsets.map(\.name) ?? []) {
                    let target = target(
                        host: service.host, subset: subset, port: port.number, arrivalPort: port.number,
                        weight: 0, source: source)
                    let route = RouteModel(name: "", source: source, action: .forward([target]))
                    servers.append(
                        ConnectionsModel.Server(
                            names: ["outbound_.\(port.number)_.\(subset)_.\(service.host)"],
                            action: .relay([ConnectionRouteModel(route: route)]), source: source))
                }
            }
        }
        return servers
    }

    /// One server for each name of the `tls` routes that are bound to a PASSTHROUGH server.
    private func passthrough(
        _ bound: BoundServer, port: UInt16, _ bindings: [String: [VirtualServiceDocument]]
    ) -> [ConnectionsModel.Server] {
        let serverHosts = ServerHosts(bound.server.hosts.map(\.value), bound.gateway.meta.namespace)
        var names: [String] = []
        var routes: [String: [ConnectionRouteModel]] = [:]
        for document in bindings[bound.gatewayName] ?? [] where !serverHosts.intersection(document).isEmpty {
            for entry in document.tls {
                for match in entry.matches where exists(match, gateway: bound.gatewayName, port: port) {
                    let route = connectionRoute(entry, match, port: port)
                    let wanted = serverHosts.intersection(
                        match.sniHosts.map(\.value), namespace: document.meta.namespace)
                    for name in wanted {
                        if routes[name] == nil { names.append(name) }
                        routes[name, default: []].append(route)
                    }
                }
            }
        }
        var source = bound.gateway.meta.ref
        source.line = bound.server.line
        return names.map { name in
            ConnectionsModel.Server(names: [name], action: .relay(routes[name] ?? []), source: source)
        }
    }

    /// Of a TCP server, or of what is inside TLS that ends here.
    func tcpRoutes(
        _ bound: BoundServer, port: UInt16, _ bindings: [String: [VirtualServiceDocument]]
    ) -> [ConnectionRouteModel] {
        let serverHosts = ServerHosts(bound.server.hosts.map(\.value), bound.gateway.meta.namespace)
        return (bindings[bound.gatewayName] ?? []).filter { !serverHosts.intersection($0).isEmpty }
            .flatMap { document in
                document.tcp.flatMap { entry -> [ConnectionRouteModel] in
                    if entry.matches.isEmpty { return [connectionRoute(entry, nil, port: port)] }
                    return entry.matches.filter { exists($0, gateway: bound.gatewayName, port: port) }
                        .map { connectionRoute(entry, $0, port: port) }
                }
            }
    }

    /// The routes of a VirtualService for a port of the mesh that is not HTTP: CONNECT names the host, which
    /// stands for the server name too, and its service's addresses for the one connected to. Nil: none
    /// matches.
    func streamRoute(
        _ document: VirtualServiceDocument, _ service: Service, _ port: ServicePort
    ) -> RouteModel? {
        for entry in port.proto == .tls ? document.tls : document.tcp {
            if entry.matches.isEmpty { return connectionRoute(entry, nil, port: port.number).route }
            for match in entry.matches where exists(match, gateway: "mesh", port: port.number) {
                let isNamed =
                    match.sniHosts.isEmpty
                    || match.sniHosts.contains { Names.covers($0.value, service.host) }
                guard isNamed, isAddressed(match, service) else { continue }
                return connectionRoute(entry, match, port: port.number).route
            }
        }
        return nil
    }

    /// Some address of the service lies in `destinationSubnets`.
    private func isAddressed(
        _ match: VirtualServiceDocument.ConnectionMatch, _ service: Service
    ) -> Bool {
        match.destinationSubnets.isEmpty
            || service.clusterIPs.contains { text in
                guard let address = SocketAddress(text: text, port: 0) else { return false }
                return match.destinationSubnets.contains { $0.contains(address) }
            }
    }

    private func exists(
        _ match: VirtualServiceDocument.ConnectionMatch, gateway: String, port: UInt16
    ) -> Bool {
        if let wanted = match.port, wanted != port { return false }
        if !match.gateways.isEmpty { return match.gateways.contains(gateway) }
        return proxy.model.labels.contains(match.sourceLabels)
            && (match.sourceNamespace.isEmpty || match.sourceNamespace == proxy.model.namespace)
    }

    private func connectionRoute(
        _ entry: VirtualServiceDocument.ConnectionRoute, _ match: VirtualServiceDocument.ConnectionMatch?,
        port: UInt16
    ) -> ConnectionRouteModel {
        var source = entry.ref
        if let match { source.line = match.line }
        let isSingle = entry.destinations.count == 1
        let targets = entry.destinations.filter { isSingle || ($0.weight ?? 0) > 0 }.map { destination in
            target(
                host: destination.host, subset: destination.subset, port: destination.port,
                arrivalPort: port, weight: destination.weight ?? 0, source: source)
        }
        return ConnectionRouteModel(
            route: RouteModel(name: "", source: source, action: .forward(targets)),
            destinationSubnets: match?.destinationSubnets ?? [])
    }
}
