// Blocking sockets for the demo's small programs: one thread a connection, a deadline on what must answer.
internal import Base
internal import CLinux
internal import Glibc

/// Owns one descriptor.
final class BlockingSocket {
    /// What must answer has this long.
    private static let answerSeconds = 10
    private let fd: Int32
    private var unread: [UInt8] = []

    /// Takes over an open socket, such as `accept` gives.
    init(_ fd: Int32) { self.fd = fd }
    deinit { close(fd) }

    /// Waits for the connection; reads and writes on it fail after ten seconds of silence.
    static func connect(to address: SocketAddress) -> BlockingSocket? {
        let fd = make()
        if fd < 0 { return nil }
        let socket = BlockingSocket(fd)
        var limit = timeval(tv_sec: answerSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        return withAddress(address) { Glibc.connect(fd, $0, $1) } == 0 ? socket : nil
    }

    /// A listening descriptor; nil if the address is taken.
    static func listen(on address: SocketAddress) -> Int32? {
        let fd = make()
        if fd < 0 { return nil }
        _ = fl_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if withAddress(address, { bind(fd, $0, $1) }) == 0, Glibc.listen(fd, 128) == 0 { return fd }
        close(fd)
        return nil
    }

    static func canListen(on address: SocketAddress) -> Bool {
        guard let fd = listen(on: address) else { return false }
        close(fd)
        return true
    }

    /// Waits for the next connection; nil when the listener broke.
    static func accept(on listener: Int32) -> Int32? {
        while true {
            let peer = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            if peer >= 0 {
                _ = fl_set_option(peer, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
                return peer
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            // Other connections will end and give their descriptors back.
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: usleep(10_000)
            default: return nil
            }
        }
    }

    /// False when the peer has gone or takes nothing.
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// Up to and with the blank line; nil at the end of the stream, on silence, or past `limit` bytes.
    func readHead(limit: Int) -> [UInt8]? {
        var from = 0
        while unread.count <= limit {
            var at = max(0, from - 3)
            while at + 4 <= unread.count {
                if unread[at..<at + 4].elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) {
                    defer { unread.removeFirst(at + 4) }
                    return Array(unread.prefix(at + 4))
                }
                at += 1
            }
            from = unread.count
            if !fill() { return nil }
        }
        return nil
    }

    /// Exactly `count` bytes; nil if fewer come.
    func read(_ count: Int) -> [UInt8]? {
        while unread.count < count {
            if !fill() { return nil }
        }
        defer { unread.removeFirst(count) }
        return Array(unread.prefix(count))
    }

    /// What comes until the peer closes; nil past `limit` bytes.
    func readToEnd(limit: Int) -> [UInt8]? {
        while fill() {
            if unread.count > limit { return nil }
        }
        defer { unread = [] }
        return unread
    }

    private func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(fd, &chunk, chunk.count, 0)
            if count > 0 {
                unread += chunk[..<count]
                return true
            }
            if count == 0 || errno != EINTR { return false }
        }
    }

    private static func make() -> Int32 {
        socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }

    /// The demo uses IPv4 alone.
    private static func withAddress(
        _ address: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = address.port.bigEndian
        raw.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
        return withUnsafePointer(to: &raw) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
