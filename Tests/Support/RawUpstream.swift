// A server that a test writes out in full: one thread a connection, no idea of HTTP.

package final class RawUpstream: Sendable {
    private let listener: Listener

    /// `serve` gets each connection with its number, counted from 0; it is closed when `serve` returns.
    package init(port: UInt16 = 0, _ serve: @escaping @Sendable (RawConnection, Int) -> Void) throws {
        listener = try Listener(port: port, serve)
    }

    deinit { listener.stop() }

    package var port: UInt16 { listener.port }
    /// Connections accepted so far.
    package var connections: Int { listener.accepted }

    /// Stops listening and ends every connection.
    package func stop() { listener.stop() }
}
