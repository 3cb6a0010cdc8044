// Making sockets: listening, accepting, connecting. Addresses cross this border as plain numbers.
public import Base
internal import CLinux
internal import Glibc

extension SocketAddress {
    init(_ storage: sockaddr_storage) {
        var copy = storage
        var parts = fl_address()
        withUnsafePointer(to: &copy) { fl_address_read($0, &parts) }
        self.init(high: parts.high, low: parts.low, port: parts.port, isIPv4: parts.is_ipv4 != 0)
    }

    fileprivate var parts: fl_address {
        fl_address(high: high, low: low, port: port, is_ipv4: isIPv4 ? 1 : 0)
    }
}

/// What became of a call that makes a socket.
public enum SocketResult {
    case socket(Int32)
    /// errno.
    case failed(Int32)
}

public enum Sockets {
    /// A listening socket with SO_REUSEPORT, so that each worker has its own accept queue.
    public static func listen(_ address: SocketAddress, backlog: Int32) -> SocketResult {
        var parts = address.parts
        let fd = fl_listen(&parts, backlog)
        return fd >= 0 ? .socket(fd) : .failed(-fd)
    }

    /// 0: nobody listens at the address at this moment; else errno. `listen` alone would share it with
    /// another process of the same user.
    public static func probe(_ address: SocketAddress) -> Int32 {
        var parts = address.parts
        return fl_is_free(&parts)
    }

    /// Takes one connection; `wouldBlock` comes as EAGAIN.
    public static func accept(_ listener: Int32, peer: inout SocketAddress) -> SocketResult {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        while true {
            let fd = fl_accept(listener, &storage, &length)
            if fd >= 0 {
                peer = SocketAddress(storage)
                _ = fl_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
                return .socket(fd)
            }
            let code = errno
            if code != EINTR, code != ECONNABORTED { return .failed(code) }
        }
    }

    /// Starts a connection; it is there, or has failed, when the socket becomes writable.
    public static func connect(_ address: SocketAddress) -> SocketResult {
        var parts = address.parts
        let fd = fl_connect(&parts)
        return fd >= 0 ? .socket(fd) : .failed(-fd)
    }

    /// What a connection attempt came to: 0, or errno.
    public static func connectError(_ fd: Int32) -> Int32 { fl_socket_error(fd) }

    /// The local address of a connection.
    public static func localAddress(_ fd: Int32) -> SocketAddress {
        var storage = sockaddr_storage()
        _ = fl_local_address(fd, &storage)
        return SocketAddress(storage)
    }
}
