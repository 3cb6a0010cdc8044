// What the control thread and the resolver tell a worker.
package import Base
package import Lanes
package import Lua

package enum WorkerLetter: Sendable {
    /// Route by this from the next request on. The listeners are all that are to be open: a descriptor is one
    /// that the worker now owns; nil: it has that address open already. The interpreter is the worker's
    /// alone; nil: no listener has scripts. Then the clusters that have names, as they are now.
    case configuration(Snapshot, [ListenerSocket], Interpreter?, [ResolvedCluster])
    /// A cluster of the configuration in force whose names have other addresses from now on.
    case endpoints(ResolvedCluster)
    /// Stop listening, end what is idle, let the rest end; then stop.
    case drain(deadlineMs: UInt64)
    /// A name's addresses; none: it has no address or could not be resolved.
    case resolved(exchange: UInt32, serial: UInt32, addresses: [SocketAddress])
}

/// A listening socket for one worker.
package struct ListenerSocket: Sendable {
    /// Index into the table's listeners.
    package var index: Int
    package var address: SocketAddress
    package var descriptor: Int32?

    package init(index: Int, address: SocketAddress, descriptor: Int32?) {
        self.index = index
        self.address = address
        self.descriptor = descriptor
    }
}
