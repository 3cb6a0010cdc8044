// Sockets on loopback: addresses, listening, and ports that nobody uses.
internal import CLinux
internal import Glibc
internal import Synchronization

private let handedOut = Mutex<Set<UInt16>>([])

/// A TCP port on 127.0.0.1 that was free a moment ago and that this process has not handed out before.
package func freeLoopbackPort() throws -> UInt16 {
    for _ in 0..<100 {
        let fd = try listenOnLoopback(port: 0)
        let port = localPort(fd)
        close(fd)
        if port != 0, handedOut.withLock({ $0.insert(port).inserted }) { return port }
    }
    throw TestFailure("no free port on loopback")
}

/// A blocking listening socket on 127.0.0.1; port 0 lets the system choose.
func listenOnLoopback(port: UInt16, backlog: Int32 = 128) throws -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { throw TestFailure("socket: errno \(errno)") }
    _ = fl_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    guard withLoopback(port, { bind(fd, $0, $1) }) == 0, listen(fd, backlog) == 0 else {
        let error = errno
        close(fd)
        throw TestFailure("listen on 127.0.0.1:\(port): errno \(error)")
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

func withLoopback<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
