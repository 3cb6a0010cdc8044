// What a `Sidecar` says of listeners: `egress` with an address of its own, and `ingress`, which names the
// ports that are accepted at all (istio-semantics.md 19).
internal import Base
internal import Lanes

extension Compiler {
    /// A listener for each `egress` element that has an address: its port's routes, whatever port a Host has.
    func compileEgress(_ outbound: OutboundServices, _ tables: [PortTable]) {
        guard let sidecar = visibility.sidecar else { return }
        for egress in sidecar.egress {
            guard let bind = egress.bind, let port = egress.port else { continue }
            let address = bind.socket(port: port)
            var source = sidecar.meta.ref
            source.line = egress.line
            if model.listeners.contains(where: { $0.address == address }) {
                note(
                    .error, Code.listenerConflict, "\(address.text) is listened on twice", source,
                    refused: true)
                continue
            }
            let known = tables.first { $0.port == port }?.routeTable
            let table = known ?? add(outboundTable(port, outbound))
            var listener = ListenerModel(
                name: "outbound/\(port)", role: .outbound, address: address,
                tables: [PortTable(port: port, routeTable: table)], source: source)
            if egress.proto == .tcp || egress.proto == .tls {
                listener.connections = relays(egress, port, outbound, source)
            } else {
                listener.scripts = scripts(.outbound, port: nil)
            }
            model.listeners.append(listener)
        }
    }

    /// Connections of a port that is not HTTP: by server name under TLS, else to the one service there is.
    private func relays(
        _ egress: SidecarDocument.Egress, _ port: UInt16, _ outbound: OutboundServices, _ source: SourceRef
    ) -> ConnectionsModel {
        var connections = ConnectionsModel(isTLS: egress.proto == .tls)
        let indexes = outbound.streams[port] ?? []
        for index in connections.isTLS ? indexes[...] : indexes.prefix(1) {
            let service = registry.services[index]
            guard let servicePort = service.port(port) else { continue }
            let relay = ConnectionRouteModel(route: streamRoute(service, servicePort, outbound))
            connections.servers.append(
                .init(
                    names: [connections.isTLS ? service.host : "*"], action: .relay([relay]), source: source))
        }
        if !connections.isTLS, indexes.count > 1 {
            let host = registry.services[indexes[0]].host
            note(
                .warning, Code.fieldNotSupported,
                "several TCP services are seen on port \(port): all connections go to \(host)", source,
                suggestion: "name one host")
        }
        return connections
    }

    /// The Proxy's inbound listeners as the Sidecar's `ingress` lets them be: it names the ports that are
    /// accepted and what is behind each. One with an address of its own is a listener more.
    func acceptedInbound() -> [ProxyDocument.Inbound] {
        guard let sidecar = visibility.sidecar, sidecar.hasIngress else { return proxy.inbound }
        var result: [ProxyDocument.Inbound] = []
        var taken: Set<UInt16> = []
        for inbound in proxy.inbound {
            guard let ingress = sidecar.ingress.first(where: { $0.port == inbound.port }) else {
                note(
                    .warning, Code.listenerNotServed,
                    "\(sidecar.meta.resource) does not accept port \(inbound.port): nothing listens on "
                        + inbound.address.text, proxy.meta.ref, line: inbound.line)
                continue
            }
            taken.insert(ingress.port)
            var accepted = inbound
            accepted.app = app(of: ingress) ?? inbound.app
            accepted.isStream = ingress.isStream
            accepted.tls = ingress.tls
            result.append(accepted)
        }
        for ingress in sidecar.ingress where taken.insert(ingress.port).inserted {
            guard let bind = ingress.bind else {
                note(
                    .warning, Code.listenerNotServed,
                    "no inbound listener of the Proxy leads to port \(ingress.port)", sidecar.meta.ref,
                    line: ingress.line, suggestion: "give it bind, or the Proxy an inbound for it")
                continue
            }
            let loopback = SocketAddress(ipv4: 0x7F00_0001, port: ingress.port)
            result.append(
                ProxyDocument.Inbound(
                    address: bind.socket(port: ingress.port), app: app(of: ingress) ?? loopback,
                    port: ingress.port, isStream: ingress.isStream,
                    line: ingress.line, tls: ingress.tls))
        }
        return result
    }

    /// `0.0.0.0:PORT` is the address of the workload, which here is this machine.
    private func app(of ingress: SidecarDocument.Ingress) -> SocketAddress? {
        guard let app = ingress.app else { return nil }
        let isAny = app.isAny && !app.isUnix
        return isAny ? SocketAddress(ipv4: 0x7F00_0001, port: app.port) : app
    }
}
