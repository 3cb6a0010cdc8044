// Which addresses the names of the configuration in force have: a cluster with names is frozen anew when they
// change, and each worker is told. Lives on the threads that configure and resolve, never on a worker's.
internal import Base
package import Lanes
package import Loop
internal import Synchronization

package final class Discovery: Sendable {
    private struct State {
        var snapshot: Snapshot?
        var clusters: [ResolvedCluster] = []
        /// Of earlier configurations, while workers may hold them.
        var retired: [ResolvedCluster] = []
        /// Positions of the clusters that have a name.
        var positions: [String: [Int]] = [:]
        var changes: UInt64 = 0
    }

    package let resolver: Resolver
    private let mailboxes: [Mailbox<WorkerLetter>]
    private let state = Mutex(State())

    package init(_ resolver: Resolver, _ mailboxes: [Mailbox<WorkerLetter>]) {
        self.resolver = resolver
        self.mailboxes = mailboxes
        resolver.whenChanged { [weak self] names in self?.changed(names) }
    }

    /// The configuration in force and its clusters with names; nil before the first.
    package var inForce: (snapshot: Snapshot, clusters: [ResolvedCluster])? {
        state.withLock { state in state.snapshot.map { ($0, state.clusters) } }
    }

    /// Its model, with the addresses that names have now.
    package var model: RoutingModel? {
        guard let (snapshot, clusters) = inForce else { return nil }
        var model = snapshot.model
        for cluster in clusters { model.clusters[snapshot.named[cluster.position]] = cluster.model }
        return model
    }

    /// How often a cluster's endpoints changed since the start.
    package var changes: UInt64 { state.withLock { $0.changes } }

    /// Before a configuration is in force: its names are looked up, and waited for, but not long. The names
    /// of the one that still serves stay fresh.
    func prepare(_ snapshot: Snapshot) {
        let wanted = Set(Self.positions(of: snapshot).keys)
        let (isFirst, before) = state.withLock { ($0.snapshot == nil, $0.positions.keys) }
        if wanted.isEmpty { return }
        resolver.watch(wanted.union(before))
        resolver.settle(wanted, withinMs: isFirst ? Limits.resolverStartMs : Limits.resolverReloadMs)
    }

    /// The configuration is in force from now on: `post` gives it to the workers, with its clusters as they
    /// are now; what changes from then on comes behind it.
    func take(_ snapshot: Snapshot, _ post: ([ResolvedCluster]) -> Void) {
        state.withLock { state in
            let hadNames = !state.clusters.isEmpty
            state.snapshot = snapshot
            state.retired += state.clusters
            state.positions = Self.positions(of: snapshot)
            state.clusters = snapshot.named.indices.map { resolve(snapshot, $0) }
            post(state.clusters)
            if hadNames || !snapshot.named.isEmpty { resolver.watch(Set(state.positions.keys)) }
        }
    }

    /// Frees the clusters of earlier configurations that no worker holds any more; whether some are left.
    func freeRetired() -> Bool {
        let (areLeft, _) = state.withLock { state in
            let gone = takeUnshared(&state.retired)
            return (!state.retired.isEmpty, gone)
        }
        return areLeft
    }

    /// What `prepare` was told of was refused: only the names of the configuration in force are wanted.
    func keep() {
        state.withLock { state in
            if state.snapshot != nil { resolver.watch(Set(state.positions.keys)) }
        }
    }

    private static func positions(of snapshot: Snapshot) -> [String: [Int]] {
        var positions: [String: [Int]] = [:]
        for (position, index) in snapshot.named.enumerated() {
            for name in snapshot.model.clusters[index].names { positions[name, default: []].append(position) }
        }
        return positions
    }

    private func resolve(_ snapshot: Snapshot, _ position: Int) -> ResolvedCluster {
        ResolvedCluster(snapshot, position: position) { resolver.state($0).addresses }
    }

    /// On the resolver's thread.
    private func changed(_ names: Set<String>) {
        state.withLock { state in
            guard let snapshot = state.snapshot else { return }
            for position in Set(names.flatMap { state.positions[$0] ?? [] }).sorted() {
                let next = resolve(snapshot, position)
                if next.model.endpoints == state.clusters[position].model.endpoints { continue }
                state.clusters[position] = next
                state.changes += 1
                for mailbox in mailboxes { mailbox.post(.endpoints(next)) }
            }
        }
    }
}

/// Takes those out that nobody else refers to.
package func takeUnshared<Value: AnyObject>(_ values: inout [Value]) -> [Value] {
    var unshared: [Value] = []
    var index = 0
    while index < values.count {
        if isKnownUniquelyReferenced(&values[index]) {
            values.swapAt(index, values.count - 1)
            unshared.append(values.removeLast())
        } else {
            index += 1
        }
    }
    return unshared
}
