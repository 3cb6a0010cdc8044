// One configuration as requests see it, with the memory it lives in. Workers hold one reference each and swap
// it between requests; the memory goes with the last.
internal import Base

/// Why a model cannot be frozen. Config validates before, so these are its bugs or a limit's.
public enum TableError: Error, Equatable {
    /// RE2 refused a pattern, with what it said.
    case regex(pattern: String, problem: String)
    /// A value of a header operation that cannot be written.
    case headerValue(name: String, problem: String)
    /// A reference to a route table or cluster that is not there.
    case reference(String)
    case emptyKey

    public var text: String {
        switch self {
        case .regex(let pattern, let problem): "regex \(pattern): \(problem)"
        case .headerValue(let name, let problem): "value of header \(name): \(problem)"
        case .reference(let what): "reference to a missing \(what)"
        case .emptyKey: "the lane policy's key is empty"
        }
    }
}

public final class Snapshot: Sendable {
    public let model: RoutingModel
    public let generation: UInt64
    /// Numbers of labels and lanes found in the table.
    public let registry: Registry
    private let addresses: [SocketAddress]
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
        addresses = builder.addresses
        arena = builder.arena
        root = table
    }

    deinit { registry.release(addresses) }

    /// Valid while the snapshot lives.
    public var table: UnsafePointer<Table> { root }

    /// Bytes of the frozen table.
    public var bytes: Int { arena.bytesUsed }
}
