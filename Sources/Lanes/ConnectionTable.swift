// What becomes of a connection before anything in it is read as HTTP (istio-semantics.md 17): on a port of
// protocol TLS or HTTPS its server name says which server takes it, on a TCP port there is one for all. Model
// and frozen form; a server that relays has routes by which the connection's target is chosen. Where TLS ends
// and no requests follow, the TLS server has such routes (TLSModel).
public import Base

/// The servers of one listener.
public struct ConnectionsModel: Sendable {
    public enum Action: Sendable {
        /// Bytes both ways, nothing read: VirtualService `tls` routes (PASSTHROUGH) or `tcp` routes.
        case relay([ConnectionRouteModel])
        /// TLS ends here, and requests follow: the listener's `tls` has the server of the name.
        case terminate
    }

    public struct Server: Sendable {
        /// Lower case: exact, `*.suffix`, `*`. A connection that names no server is for `*` alone.
        public var names: [String]
        public var action: Action
        public var source: SourceRef

        public init(names: [String], action: Action, source: SourceRef) {
            self.names = names
            self.action = action
            self.source = source
        }
    }

    /// A ClientHello must come first; a connection whose name no server has is refused.
    public var isTLS: Bool
    public var servers: [Server]

    public init(isTLS: Bool, servers: [Server] = []) {
        self.isTLS = isTLS
        self.servers = servers
    }
}

/// One element of `match[]` of one `tls` or `tcp` entry.
public struct ConnectionRouteModel: Sendable {
    /// Its action forwards; it has no conditions.
    public var route: RouteModel
    /// The address that the connection was made to lies in one of them; empty: any.
    public var destinationSubnets: [CIDR]

    public init(route: RouteModel, destinationSubnets: [CIDR] = []) {
        self.route = route
        self.destinationSubnets = destinationSubnets
    }
}

public struct ConnectionTable: BitwiseCopyable {
    public var isTLS: Bool
    public var servers: Frozen<ConnectionServer>
    var exact: ByteTable
    /// Longest first.
    var suffixes: Frozen<HostIndex.Wildcards>
    /// Position of the server for `*`; negative: none.
    var any: Int

    /// The server of a name (lower case; empty: none was given): exact before the longest wildcard.
    public func server(_ name: ByteView) -> UnsafePointer<ConnectionServer>? {
        if let at = exact.find(name) { return servers[Int(at)] }
        var index = 0
        while index < suffixes.count {
            let wildcards = suffixes[index]
            let length = wildcards.pointee.length
            if length < name.count,
                let at = wildcards.pointee.parts.find(name.slice(name.count &- length, name.count))
            {
                return servers[Int(at)]
            }
            index &+= 1
        }
        return any < 0 ? nil : servers[any]
    }
}

public struct ConnectionServer: BitwiseCopyable {
    public enum Action: UInt8, BitwiseCopyable { case relay, terminate }

    public var action: Action
    var routes: Frozen<ConnectionRoute>
}

struct ConnectionRoute: BitwiseCopyable {
    var route: UnsafePointer<Route>
    var subnets: Frozen<CIDR>

    func takes(_ local: SocketAddress) -> Bool {
        if subnets.isEmpty { return true }
        var index = 0
        while index < subnets.count {
            if subnets[index].pointee.contains(local) { return true }
            index &+= 1
        }
        return false
    }
}

/// Decides where a relayed connection goes; `local` is the address that it was made to. No lane takes part:
/// nothing in the connection is read.
public func decideConnection(
    _ server: UnsafePointer<ConnectionServer>, _ listener: UnsafePointer<Listener>, _ local: SocketAddress,
    _ context: DecisionContext
) -> Decision {
    var decision = Decision(listener)
    let routes = server.pointee.routes
    var index = 0
    while index < routes.count {
        if routes[index].pointee.takes(local) {
            let route = routes[index].pointee.route
            decision.route = route
            forward(route, context, &decision)
            decision.response.reason = decision.reason
            return decision
        }
        index &+= 1
    }
    decision.outcome = .noRoute
    decision.reason = .noRoute
    return decision
}

extension TableBuilder {
    mutating func freeze(
        _ model: ConnectionsModel?
    ) throws(TableError) -> UnsafePointer<ConnectionTable>? {
        guard let model else { return nil }
        var servers: [ConnectionServer] = []
        var exact: [(ByteView, UInt32)] = []
        var suffixes: [Int: [(ByteView, UInt32)]] = [:]
        var any = -1
        for server in model.servers {
            let position = UInt32(servers.count)
            servers.append(try freeze(server))
            for name in server.names {
                if name == "*" {
                    if any < 0 { any = Int(position) }
                } else if name.hasPrefix("*") {
                    let part = arena.store(String(name.dropFirst()))
                    suffixes[part.count, default: []].append((part, position))
                } else {
                    exact.append((arena.store(name), position))
                }
            }
        }
        let groups = suffixes.sorted { $0.key > $1.key }
        return UnsafePointer(
            arena.store(
                ConnectionTable(
                    isTLS: model.isTLS, servers: arena.store(servers), exact: ByteTable(exact, arena),
                    suffixes: arena.store(
                        groups.map {
                            HostIndex.Wildcards(length: $0.key, parts: ByteTable($0.value, arena))
                        }),
                    any: any)))
    }

    private mutating func freeze(_ server: ConnectionsModel.Server) throws(TableError) -> ConnectionServer {
        switch server.action {
        case .relay(let models): try freeze(relay: models)
        case .terminate: ConnectionServer(action: .terminate, routes: .empty)
        }
    }

    mutating func freeze(relay models: [ConnectionRouteModel]) throws(TableError) -> ConnectionServer {
        var routes: [ConnectionRoute] = []
        for model in models {
            let route = try freeze(model.route)
            routes.append(
                ConnectionRoute(
                    route: UnsafePointer(arena.store(route)),
                    subnets: arena.store(model.destinationSubnets)))
        }
        return ConnectionServer(action: .relay, routes: arena.store(routes))
    }
}
