// An edge: the servers of the Gateways that select it, merged by port, and the VirtualServices bound to them
// (istio-semantics.md 3, 17).
internal import Base
internal import Lanes

/// A server with its Gateway.
struct BoundServer {
    var gateway: GatewayDocument
    /// `namespace/name`.
    var gatewayName: String
    var server: GatewayDocument.Server
}

extension Compiler {
    func compileEdge() {
        var order: [SocketAddress] = []
        var servers: [SocketAddress: [BoundServer]] = [:]
        // HTTP, TLS and TCP cannot share a port: the first server says what it is.
        var kinds: [SocketAddress: GatewayDocument.Server.Kind] = [:]
        var tlsHosts: Set<String> = []
        for gateway in documents.gateways.oldestFirst() {
            guard servesAnyGateway || proxy.model.labels.contains(gateway.selector) else { continue }
            for server in gateway.servers {
                let bound = BoundServer(
                    gateway: gateway, gatewayName: "\(gateway.meta.namespace)/\(gateway.meta.name)",
                    server: server)
                let place = (server.bind ?? IPAddress("0.0.0.0")!).socket(port: server.port)
                let first = kinds[place] ?? server.kind
                kinds[place] = first
                guard first == server.kind else {
                    note(
                        .error, Code.listenerConflict,
                        "port \(server.port) is taken by a server of another protocol, this one is dropped",
                        gateway.meta.ref, line: server.line)
                    continue
                }
                guard server.kind != .unknown, server.kind != .tls || server.isOpened else {
                    note(
                        .warning, Code.protocolNotSupported,
                        "not supported yet: \(server.protocolText), port \(server.port) is not opened for it",
                        gateway.meta.ref, line: server.line)
                    continue
                }
                if server.kind == .tls, !claimHosts(bound, place, &tlsHosts) { continue }
                if servers[place] == nil { order.append(place) }
                servers[place, default: []].append(bound)
            }
        }
        let bindings = bindVirtualServices()
        for place in order {
            let bound = servers[place]!
            switch bound[0].server.kind {
            case .tls: addTLSListener(place, bound, bindings)
            case .http:
                let table = edgeTable("http.\(place.port)", place.port, bound, bindings)
                addListener(place, bound[0], [PortTable(port: 0, routeTable: add(table))])
            case .tcp, .unknown:
                addListener(
                    place, bound[0], [], connections: connections(port: place.port, bound, bindings))
            }
        }
    }

    private func addListener(
        _ place: SocketAddress, _ first: BoundServer, _ tables: [PortTable],
        connections: ConnectionsModel? = nil, tls: ListenerTLSModel? = nil
    ) {
        var source = first.gateway.meta.ref
        source.line = first.server.line
        var listener = ListenerModel(
            name: "gateway/\(place.port)", role: .edge, address: place, tables: tables, source: source)
        listener.connections = connections
        listener.tls = tls
        model.listeners.append(listener)
    }

    /// Servers of one TLS port are told apart by SNI. Those where TLS ends each have a route table of their
    /// own, or the TCP routes of what is inside; where some pass through, all stand in the table that is
    /// asked with the ClientHello.
    private func addTLSListener(
        _ place: SocketAddress, _ bound: [BoundServer], _ bindings: [String: [VirtualServiceDocument]]
    ) {
        var tls = ListenerTLSModel()
        for one in bound where !one.server.isPassthrough {
            var source = one.gateway.meta.ref
            source.line = one.server.line
            let name = "\(one.gateway.meta.resource) \(one.server.name)"
            guard var settings = one.server.tls else { continue }
            // What is not read as HTTP must not be agreed on as HTTP.
            if one.server.isRelayed { settings.settings.protocols = [] }
            guard let context = serverContext(settings, name: name, ref: source) else { continue }
            let gateway = one.gateway.meta
            let tableName = "https.\(place.port).\(one.server.name).\(gateway.name).\(gateway.namespace)"
            let table =
                one.server.isRelayed
                ? RouteTableModel(name: tableName) : edgeTable(tableName, place.port, [one], bindings)
            tls.servers.append(
                TLSServerModel(
                    name: name,
                    hosts: ServerHosts(one.server.hosts.map(\.value), gateway.namespace).names,
                    mode: settings.mode.rawValue, routeTable: add(table), context: context, source: source,
                    relay: one.server.isRelayed ? tcpRoutes(one, port: place.port, bindings) : nil))
        }
        var passing: ConnectionsModel?
        if bound.contains(where: \.server.isPassthrough) {
            passing = connections(port: place.port, bound, bindings)
            passing?.servers += tls.servers.map { server in
                ConnectionsModel.Server(names: server.hosts, action: .terminate, source: server.source)
            }
        }
        if tls.servers.isEmpty, passing == nil { return }
        addListener(
            place, bound[0], tls.servers.prefix(1).map { PortTable(port: 0, routeTable: $0.routeTable) },
            connections: passing, tls: tls.servers.isEmpty ? nil : tls)
    }

    /// False: another TLS server of the port has one of the hosts, and this one is dropped whole.
    private func claimHosts(_ bound: BoundServer, _ place: SocketAddress, _ taken: inout Set<String>) -> Bool
    {
        let names = ServerHosts(bound.server.hosts.map(\.value), bound.gateway.meta.namespace).names
        let keys = Set(names).map { "\(place.text) \($0)" }
        if let known = keys.first(where: { taken.contains($0) }) {
            note(
                .error, Code.listenerConflict,
                "the host \(known.split(separator: " ")[1]) has a TLS server on port \(place.port) already, "
                    + "this one is dropped", bound.gateway.meta.ref, line: bound.server.line)
            return false
        }
        taken.formUnion(keys)
        return true
    }

    /// VirtualServices by gateway, in the order in which they count.
    private func bindVirtualServices() -> [String: [VirtualServiceDocument]] {
        var bindings: [String: [VirtualServiceDocument]] = [:]
        for document in documents.virtualServices.visible(from: proxy.model.namespace) {
            let names = document.fullGateways
            for (index, name) in names.enumerated() where !names[..<index].contains(name) {
                bindings[name, default: []].append(document)
            }
        }
        return bindings
    }

    private func edgeTable(
        _ name: String, _ port: UInt16, _ servers: [BoundServer],
        _ bindings: [String: [VirtualServiceDocument]]
    ) -> RouteTableModel {
        var table = RouteTableModel(name: name)
        var position: [String: Int] = [:]
        var added: Set<EdgeRoutesKey> = []
        func host(_ name: String) -> Int {
            if let known = position[name] { return known }
            position[name] = table.virtualHosts.count
            table.virtualHosts.append(VirtualHostModel(name: "\(name):\(port)", domains: [name], routes: []))
            return table.virtualHosts.count - 1
        }
        for bound in servers {
            let serverHosts = ServerHosts(bound.server.hosts.map(\.value), bound.gateway.meta.namespace)
            for document in bindings[bound.gatewayName] ?? [] {
                let names = serverHosts.intersection(document)
                guard !names.isEmpty else { continue }
                let routes = routes(document, gateway: bound.gatewayName, port: port)
                guard !routes.isEmpty else { continue }
                for name in names {
                    let index = host(name)
                    if bound.server.httpsRedirect { table.virtualHosts[index].httpsRedirect = true }
                    let key = EdgeRoutesKey(
                        document: ObjectIdentifier(document), gateway: bound.gatewayName, host: name)
                    if added.insert(key).inserted { table.virtualHosts[index].routes += routes }
                }
            }
            if bound.server.httpsRedirect {
                for name in serverHosts.names { table.virtualHosts[host(name)].httpsRedirect = true }
            }
        }
        for index in table.virtualHosts.indices {
            let routes = table.virtualHosts[index].routes
            guard let first = routes.firstIndex(where: \.match.endsList),
                !routes[first...].allSatisfy(\.match.endsList)
            else { continue }
            table.virtualHosts[index].routes =
                routes.filter { !$0.match.endsList } + routes.filter(\.match.endsList)
        }
        return table
    }
}

/// The routes of a VirtualService in one virtual host.
private struct EdgeRoutesKey: Hashable {
    var document: ObjectIdentifier
    var gateway: String
    var host: String
}

/// The hosts of one server, split into namespace and name.
final class ServerHosts {
    private var entries: [(namespace: String, host: String)] = []
    private var byHost = HostIndex<[Int]>()
    /// Thousands of documents in a row give the same names.
    private var last: (hosts: [String], namespace: String, found: [String])?

    init(_ hosts: [String], _ gatewayNamespace: String) {
        for text in hosts {
            var namespace = "*"
            var host = text[...]
            if let slash = text.firstIndex(of: "/") {
                namespace = text[..<slash] == "." ? gatewayNamespace : String(text[..<slash])
                host = text[text.index(after: slash)...]
            }
            let lower = host.lowercased()
            byHost[lower] = (byHost[lower] ?? []) + [entries.count]
            entries.append((namespace, lower))
        }
    }

    var names: [String] { entries.map(\.host) }

    /// The hosts that a VirtualService gets here: of each overlapping pair the narrower one, each once.
    func intersection(_ document: VirtualServiceDocument) -> [String] {
        intersection(document.fullHosts, namespace: document.meta.namespace)
    }

    /// The same for any names that an object of `namespace` gives.
    func intersection(_ hosts: [String], namespace: String) -> [String] {
        if let last, last.namespace == namespace, last.hosts == hosts { return last.found }
        var found: [String] = []
        var seen: Set<String> = []
        for name in hosts {
            // A plain name can only be covered; a wildcard may also cover some of ours.
            let candidates =
                Names.isWildcard(name)
                ? Array(entries.indices) : byHost.covering(name).flatMap(\.value)
            for index in candidates {
                let entry = entries[index]
                guard entry.namespace == "*" || entry.namespace == namespace,
                    let narrower = Names.intersection(entry.host, name)
                else { continue }
                if seen.insert(narrower).inserted { found.append(narrower) }
            }
        }
        last = (hosts, namespace, found)
        return found
    }
}
