// A port where connecting neither succeeds nor fails: its queue is full and nobody takes from it.
internal import CLinux
internal import Glibc

package final class SilentPort {
    package let port: UInt16
    private let fd: Int32
    /// Connections that fill the queue.
    private var filling: [Int32] = []

    package init() throws {
        fd = try listenOnLoopback(port: 0, backlog: 0)
        port = localPort(fd)
        // The kernel lets one more in than the backlog says; what comes later is left without an answer.
        for _ in 0..<3 {
            let client = socket(AF_INET, fl_sock_stream(), 0)
            guard client >= 0, fcntl(client, F_SETFL, O_NONBLOCK) == 0 else {
                throw TestFailure("socket: errno \(errno)")
            }
            _ = withLoopback(port) { connect(client, $0, $1) }
            filling.append(client)
        }
    }

    deinit {
        for client in filling { close(client) }
        close(fd)
    }
}
