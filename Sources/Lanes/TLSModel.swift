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
    public var source: SourceRef

    public init(
        name: String, hosts: [String], mode: String, routeTable: Int, context: TLSServerContext,
        source: SourceRef
    ) {
        self.name = name
        self.hosts = hosts
        self.mode = mode
        self.routeTable = routeTable
        self.context = context
        self.source = source
    }
}

/// How connections to a cluster's endpoints are encrypted.
public struct ClusterTLSModel: Sendable {
    /// SIMPLE, MUTUAL, ISTIO_MUTUAL.
    public var mode: String
    /// nil: ISTIO_MUTUAL, and the proxy has no identity. Each connection fails: plain text is not what was
    /// asked for.
    public var context: TLSClientContext?
    /// SNI; nil: the request's host.
    public var serverName: String?
    /// Equal for clusters that can share connections, and for none else; not 0.
    public var key: UInt64

    public init(mode: String, context: TLSClientContext?, serverName: String?, key: UInt64) {
        self.mode = mode
        self.context = context
        self.serverName = serverName
        self.key = key
    }

    /// For people.
    var words: String {
        if context == nil { return "\(mode) without an identity of this proxy: connections fail" }
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
    /// Equal for servers that ask the same of clients.
    public var clientPolicy: UInt64
    /// It asks clients for certificates.
    public var asksClients: Bool
}

public struct ClusterTLS: BitwiseCopyable {
    /// nil: no connection can be made.
    public var context: TLSClientHandle?
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
    func freeze(
        _ tls: ListenerTLSModel, _ acceptor: TLSAcceptor, _ plain: Listener,
        _ hosts: [UnsafePointer<HostIndex>]
    ) -> UnsafePointer<ListenerTLS> {
        let servers = tls.servers.map { server in
            var own = plain
            own.tables = arena.store([PortRoutes(port: 0, hosts: hosts[server.routeTable])])
            return TLSServer(
                name: arena.store(server.name), listener: UnsafePointer(arena.store(own)),
                clientPolicy: server.context.clientPolicyNumber, asksClients: server.context.clients != .none)
        }
        return UnsafePointer(
            arena.store(ListenerTLS(acceptor: acceptor.handle, servers: arena.store(servers))))
    }

    func freeze(_ tls: ClusterTLSModel?) -> UnsafePointer<ClusterTLS>? {
        guard let tls else { return nil }
        return UnsafePointer(
            arena.store(
                ClusterTLS(
                    context: tls.context?.handle, serverName: arena.store(tls.serverName ?? ""),
                    verifiesHost: tls.context?.verifiesHost ?? false)))
    }
}
