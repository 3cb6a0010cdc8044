// A cluster with the addresses that its names have at the moment, frozen beside its snapshot. When an address
// comes or goes a new one takes its place, and nothing else of the configuration changes; it lives as long as
// a worker routes by it or has an exchange that does.
public import Base

public final class ResolvedCluster: Sendable {
    /// What is frozen here.
    public let model: ClusterModel
    /// Position in `Snapshot.named`.
    public let position: Int
    // Its TLS context and the names of its lanes.
    private let snapshot: Snapshot
    private let endpoints: [EndpointKey]
    // Written before it is shared, then only read.
    nonisolated(unsafe) private let arena: Arena
    nonisolated(unsafe) private let root: UnsafePointer<Cluster>

    /// `addresses`: of a name.
    public init(_ snapshot: Snapshot, position: Int, addresses: (String) -> [SocketAddress]) {
        let index = snapshot.named[position]
        model = snapshot.model.clusters[index].resolved(addresses)
        self.position = position
        self.snapshot = snapshot
        var single = RoutingModel()
        single.clusters = [model]
        // There may be thousands, with a few endpoints each.
        var builder = TableBuilder(single, snapshot.registry, chunkBytes: 2_048)
        var frozen = builder.freezeAlone(index: index)
        frozen.resolvedIndex = Int32(truncatingIfNeeded: position)
        endpoints = builder.endpoints
        arena = builder.arena
        root = UnsafePointer(arena.store(frozen))
    }

    deinit { snapshot.registry.release(endpoints) }

    /// Valid while this lives.
    public var cluster: UnsafePointer<Cluster> { root }
}
