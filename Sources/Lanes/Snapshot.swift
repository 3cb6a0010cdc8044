// One configuration as requests see it, with the memory it lives in. Workers hold one reference each and swap
// it between requests; the memory goes with the last.
internal import Base
internal import TLS

/// Why a model cannot be frozen. Config validates before, so these are its bugs or a limit's.
public enum TableError: Error, Equatable {
    /// RE2 refused a pattern, with what it said.
    case regex(pattern: String, problem: String)
    /// A value of a header operation that cannot be written.
    case headerValue(name: String, problem: String)
    /// A reference to a route table or cluster that is not there.
    case reference(String)
    case emptyKey
    /// OpenSSL refused what it had taken when the configuration was read.
    case tls(listener: String, problem: String)

    public var text: String {
        switch self {
        case .regex(let pattern, let problem): "regex \(pattern): \(problem)"
        case .headerValue(let name, let problem): "value of header \(name): \(problem)"
        case .reference(let what): "reference to a missing \(what)"
        case .emptyKey: "the lane policy's key is empty"
        case .tls(let listener, let problem): "TLS of listener \(listener): \(problem)"
        }
    }
}

public final class Snapshot: Sendable {
    public let model: RoutingModel
    public let generation: UInt64
    /// Numbers of labels and lanes found in the table.
    public let registry: Registry
    /// Positions of the clusters that have names among their endpoints, in `model.clusters`.
    public let named: [Int]
    private let endpoints: [EndpointKey]
    private let acceptors: [Int: TLSAcceptor]
    // Written before the snapshot is shared, then only read.
    nonisolated(unsafe) private let arena: Arena
    nonisolated(unsafe) private let root: UnsafePointer<Table>

    /// Freezes a model. Endpoint numbers are held until the snapshot goes.
    public init(model: RoutingModel, generation: UInt64, registry: Registry) throws(TableError) {
        var builder = TableBuilder(model, registry)
        let table = try builder.build(generation)
        self.model = model
        self.generation = generation
        self.registry = registry
        named = model.named
        endpoints = builder.endpoints
        acceptors = builder.acceptors
        arena = builder.arena
        root = table
    }

    deinit { registry.release(endpoints) }

    /// Valid while the snapshot lives.
    public var table: UnsafePointer<Table> { root }

    /// Which server of a TLS listener a server name leads to; nil: none. Not for the request path.
    public func server(listener index: Int, name: String) -> Int? {
        acceptors[index]?.names.server(for: name)
    }

    /// Bytes of the frozen table.
    public var bytes: Int { arena.bytesUsed }
}
