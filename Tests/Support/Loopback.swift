// Sockets on loopback: addresses, listening, and ports that nobody uses.
internal import CLinux
internal import Glibc
internal import Synchronization

/// Where the next free port is looked for: below the range from which Linux takes ports of outgoing
/// connections and of sockets that ask for any (32,768 and up, ip_local_port_range), so that nothing of the
/// thousand tests beside can take a port between its being handed out and its being listened on. From a
/// random start, for test runs side by side.
private let nextPort = Mutex<UInt16>(.random(in: 10_000..<32_000))

/// A TCP port on 127.0.0.1 that was free a moment ago and that this process has not handed out lately.
package func freeLoopbackPort() throws -> UInt16 {
    for _ in 0..<1_000 {
        let port = nextPort.withLock { next in
            next = next == 31_999 ? 10_000 : next + 1
            return next
        }
        guard let fd = try? listenOnLoopback(port: port) else { continue }
        close(fd)
        return port
    }
    throw TestFailure("no free port on loopback")
}

/// A blocking listening socket on 127.0.0.`host`; port 0 lets the system choose.
func listenOnLoopback(port: UInt16, backlog: Int32 = 128, host: UInt8 = 1) throws -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { throw TestFailure("socket: errno \(errno)") }
    _ = fl_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    guard withLoopback(port, host: host, { bind(fd, $0, $1) }) == 0, listen(fd, backlog) == 0 else {
        let error = errno
        close(fd)
        throw TestFailure("listen on 127.0.0.\(host):\(port): errno \(error)")
    }
    return fd
}

/// A blocking listening socket at a path; `@name`: without a file.
func listenOnUnixSocket(_ path: String) throws -> Int32 {
    let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { throw TestFailure("socket: errno \(errno)") }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let start = MemoryLayout<sockaddr_un>.offset(of: \sockaddr_un.sun_path) ?? 2
    withUnsafeMutableBytes(of: &address) { $0[start...].copyBytes(from: bytes) }
    if path.hasPrefix("@") { withUnsafeMutableBytes(of: &address) { $0[start] = 0 } }
    let length = socklen_t(start + bytes.count)
    let bound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) }
    }
    guard bound == 0, listen(fd, 128) == 0 else {
        let error = errno
        close(fd)
        throw TestFailure("listen on \(path): errno \(error)")
    }
    return fd
}

/// The port a socket is bound to; 0 if none.
func localPort(_ fd: Int32) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) }
    }
    return result == 0 ? UInt16(bigEndian: address.sin_port) : 0
}

func withLoopback<Result>(
    _ port: UInt16, host: UInt8 = 1, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (UInt32(0x7F00_0000) | UInt32(host)).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
