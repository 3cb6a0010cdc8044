// The TLS side of listeners and clusters, as values and in frozen form. The contexts themselves are
// OpenSSL's, made and checked when configuration was read; a snapshot keeps them alive.
public import Base
public import TLS

/// The servers of a TLS port. Clients choose by the name that they send (SNI).
public struct ListenerTLSModel: Sendable {
    public var servers: [TLSServerModel] = []

    public init() {}
}

public struct TLSServerModel: Sendable {
    /// `Gateway ns/name`, and the port's name.
    public var name: String
    /// `a.example`, `*.example`, `*`.
    public var hosts: [String]
    /// SIMPLE, MUTUAL, OPTIONAL_MUTUAL.
    public var mode: String
    /// Index into `routeTables`: each TLS server has routes of its own.
    public var routeTable: Int
    public var context: TLSServerContext
    /// Where the bytes inside go that are no requests (TLSRoute, TCPRoute); nil: requests follow, by
    /// `routeTable`.
    public var relay: [ConnectionRouteModel]?
    public var source: SourceRef

    public init(
        name: String, hosts: [String], mode: String, routeTable: Int, context: TLSServerContext,
        source: SourceRef, relay: [ConnectionRouteModel]? = nil
    ) {
        self.name = name
        self.hosts = hosts
        self.mode = mode
        self.routeTable = routeTable
        self.context = context
        self.source = source
        self.relay = relay
    }
}

/// How connections to a cluster's endpoints are encrypted.
public struct ClusterTLSModel: Sendable {
    /// SIMPLE, MUTUAL, ISTIO_MUTUAL, or the BackendTLSPolicy.
    public var mode: String
    /// nil: what it takes is not there (`problem`). Each connection fails: plain text is not what was asked
    /// for.
    public var context: TLSClientContext?
    /// Why there is no context, for people; empty: there is one.
    public var problem: String
    /// SNI; nil: the request's host.
    public var serverName: String?
    /// Equal for clusters that can share connections, and for none else; not 0.
    public var key: UInt64

    public init(
        mode: String, context: TLSClientContext?, serverName: String?, key: UInt64, problem: String = ""
    ) {
        self.mode = mode
        self.context = context
        self.serverName = serverName
        self.key = key
        self.problem = problem
    }

    /// For people.
    var words: String {
        if context == nil { return "\(problem): connections fail" }
        return "\(mode), server name \(serverName ?? "of the request's host")"
    }
}

// MARK: frozen

public struct ListenerTLS: BitwiseCopyable {
    public var acceptor: TLSAcceptorHandle
    public var servers: Frozen<TLSServer>
}

public struct TLSServer: BitwiseCopyable {
    public var name: ByteView
    /// The listener with this server's routes.
    public var listener: UnsafePointer<Listener>
    /// What takes the bytes inside where they are no requests; nil: requests follow.
    public var relay: UnsafePointer<ConnectionServer>?
    /// Equal for servers that ask the same of clients.
    public var clientPolicy: UInt64
    /// It asks clients for certificates.
    public var asksClients: Bool
}

public struct ClusterTLS: BitwiseCopyable {
    /// nil: no connection can be made.
    public var context: TLSClientHandle?
    /// Why not.
    public var problem: ByteView
    /// SNI; empty: the request's host.
    public var serverName: ByteView
    /// The certificate must be for the request's host.
    public var verifiesHost: Bool
}

extension TableBuilder {
    /// Makes the acceptor of each TLS listener, by the listener's position.
    static func acceptors(_ model: RoutingModel) throws(TableError) -> [Int: TLSAcceptor] {
        var made: [Int: TLSAcceptor] = [:]
        for (index, listener) in model.listeners.enumerated() {
            guard let tls = listener.tls else { continue }
            for server in tls.servers where !model.routeTables.indices.contains(server.routeTable) {
                throw TableError.reference("route table \(server.routeTable)")
            }
            do throws(TLSProblem) {
                made[index] = try TLSAcceptor(tls.servers.map { ($0.hosts, $0.context) })
            } catch {
                throw TableError.tls(listener: listener.name, problem: error.text)
            }
        }
        return made
    }

    /// The servers of a TLS listener, each with a listener of its own that differs in its routes alone.
    mutating func freeze(
        _ tls: ListenerTLSModel, _ acceptor: TLSAcceptor, _ plain: Listener,
        _ hosts: [UnsafePointer<HostIndex>]
    ) throws(TableError) -> UnsafePointer<ListenerTLS> {
        var servers: [TLSServer] = []
        for server in tls.servers {
            var own = plain
            own.tables = arena.store([PortRoutes(port: 0, hosts: hosts[server.routeTable])])
            var relay: UnsafePointer<ConnectionServer>?
            if let routes = server.relay {
                relay = UnsafePointer(arena.store(try freeze(relay: routes)))
            }
            servers.append(
                TLSServer(
                    name: arena.store(server.name), listener: UnsafePointer(arena.store(own)), relay: relay,
                    clientPolicy: server.context.clientPolicyNumber,
                    asksClients: server.context.clients != .none))
        }
        return UnsafePointer(
            arena.store(ListenerTLS(acceptor: acceptor.handle, servers: arena.store(servers))))
    }

    func freeze(_ tls: ClusterTLSModel?) -> UnsafePointer<ClusterTLS>? {
        guard let tls else { return nil }
        return UnsafePointer(
            arena.store(
                ClusterTLS(
                    context: tls.context?.handle, problem: arena.store(tls.problem),
                    serverName: arena.store(tls.serverName ?? ""),
                    verifiesHost: tls.context?.verifiesHost ?? false)))
    }
}
