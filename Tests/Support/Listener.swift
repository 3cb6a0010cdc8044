// Accepting connections on loopback for scripted servers: one thread accepts, one thread serves each
// connection, and the end of the server wakes and ends them all.
internal import CLinux
internal import Glibc
internal import Synchronization

final class Listener: Sendable {
    let port: UInt16
    private let fd: Int32
    private let state = Mutex(State())

    private struct State {
        var accepted = 0
        var open: Set<Int32> = []
        var stopped = false
    }

    /// On 127.0.0.`host`. `serve` gets each connection with its number, counted from 0, on a thread of its
    /// own; the connection is closed when it returns.
    init(port: UInt16, host: UInt8 = 1, _ serve: @escaping @Sendable (RawConnection, Int) -> Void) throws {
        fd = try listenOnLoopback(port: port, host: host)
        self.port = localPort(fd)
        try startThread { [self] in acceptAll(serve) }
    }

    /// On a Unix socket.
    init(path: String, _ serve: @escaping @Sendable (RawConnection, Int) -> Void) throws {
        fd = try listenOnUnixSocket(path)
        port = 0
        try startThread { [self] in acceptAll(serve) }
    }

    /// Connections accepted so far.
    var accepted: Int { state.withLock { $0.accepted } }

    private func acceptAll(_ serve: @escaping @Sendable (RawConnection, Int) -> Void) {
        while true {
            let peer = accept4(fd, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            if peer < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                break
            }
            let number: Int? = state.withLock { state in
                if state.stopped { return nil }
                state.accepted += 1
                state.open.insert(peer)
                return state.accepted - 1
            }
            guard let number else {
                close(peer)
                break
            }
            try? startThread { [self] in
                let connection = RawConnection(accepted: peer)
                // `stop` must not shut down a number that belongs to another socket by then.
                connection.willClose = { [self] in state.withLock { _ = $0.open.remove(peer) } }
                serve(connection, number)
                connection.close()
            }
        }
        close(fd)
    }

    /// Stops listening and ends every connection.
    func stop() {
        state.withLock { state in
            if state.stopped { return }
            state.stopped = true
            shutdown(fd, Int32(SHUT_RDWR))
            for peer in state.open { shutdown(peer, Int32(SHUT_RDWR)) }
        }
    }
}
