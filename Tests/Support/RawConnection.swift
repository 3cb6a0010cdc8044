// One end of a TCP connection, byte for byte: what a test sends is what goes out, malformed or not. Blocking,
// with a deadline on every wait. Used by test clients and scripted servers alike.
internal import CLinux
internal import Glibc

package final class RawConnection {
    package let fd: Int32
    private var isOpen = true
    /// Bytes read from the socket that no call has returned yet.
    private var buffered: [UInt8] = []
    /// Called before the descriptor is closed and its number can belong to another socket.
    var willClose: (() -> Void)?

    /// Connects to 127.0.0.1. `receiveBytes` shrinks the socket's receive buffer: a slow reader.
    package init(port: UInt16, receiveBytes: Int32? = nil) throws {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw TestFailure("socket: errno \(errno)") }
        if let receiveBytes { _ = fl_set_option(fd, SOL_SOCKET, SO_RCVBUF, receiveBytes) }
        _ = fl_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let fd = fd
        guard withLoopback(port, { connect(fd, $0, $1) }) == 0 else {
            throw TestFailure("connect to 127.0.0.1:\(port): \(String(cString: strerror(errno)))")
        }
    }

    /// Takes over an accepted socket.
    init(accepted: Int32) {
        fd = accepted
        _ = fl_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// A second handle of a socket that another connection closes.
    package init(borrowing other: Int32) {
        fd = other
        isOpen = false
    }

    deinit { close() }

    /// The port of this end.
    package var port: UInt16 { localPort(fd) }

    // MARK: sending

    /// Sends everything, waiting for room until the deadline; throws `ConnectionReset` when the peer is gone.
    package func send(_ bytes: [UInt8], _ deadline: Deadline = .usual) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                guard wait(for: Int16(POLLOUT), deadline) else {
                    throw TestFailure("peer took only \(sent) of \(bytes.count) bytes")
                }
            } else if errno == EPIPE || errno == ECONNRESET {
                throw ConnectionReset(received: [])
            } else if errno != EINTR {
                throw TestFailure("send: errno \(errno)")
            }
        }
    }

    package func send(_ text: String, _ deadline: Deadline = .usual) throws {
        try send(Array(text.utf8), deadline)
    }

    /// Sends what the socket takes at once, without waiting; returns how much that was. For slow readers on
    /// the other side.
    package func sendNow(_ bytes: [UInt8]) -> Int {
        let count = bytes.withUnsafeBytes {
            Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        return max(0, count)
    }

    // MARK: receiving

    /// What is there, waiting for at least one byte; empty at the end of the stream.
    package func receive(atMost limit: Int = 65_536, _ deadline: Deadline = .usual) throws -> [UInt8] {
        if buffered.isEmpty, try !fill(deadline) { return [] }
        let piece = Array(buffered.prefix(limit))
        buffered.removeFirst(piece.count)
        return piece
    }

    /// Exactly `count` bytes; throws if the stream ends before.
    package func receive(exactly count: Int, _ deadline: Deadline = .usual) throws -> [UInt8] {
        while buffered.count < count {
            guard try fill(deadline) else {
                throw TestFailure("stream ended after \(buffered.count) of \(count): \(printable(buffered))")
            }
        }
        defer { buffered.removeFirst(count) }
        return Array(buffered.prefix(count))
    }

    /// Everything up to and with `marker`; nil if the stream ends before its first byte.
    package func receive(through marker: [UInt8], _ deadline: Deadline = .usual) throws -> [UInt8]? {
        var searched = 0
        while true {
            if let end = endOfFirst(marker, in: buffered, from: searched) {
                defer { buffered.removeFirst(end) }
                return Array(buffered.prefix(end))
            }
            searched = max(0, buffered.count - marker.count + 1)
            if try fill(deadline) { continue }
            if buffered.isEmpty { return nil }
            throw TestFailure("stream ended before \(printable(marker)): \(printable(buffered))")
        }
    }

    /// All bytes until the peer closes its side; throws when it does not, or resets.
    package func receiveToEnd(_ deadline: Deadline = .usual) throws -> [UInt8] {
        while try fill(deadline) {}
        defer { buffered = [] }
        return buffered
    }

    /// Whether the peer stays silent and open for `ms`. Proves nothing by itself; use it where bytes would
    /// come at once if they came.
    package func isQuiet(forMs ms: Int) -> Bool {
        buffered.isEmpty && !wait(for: Int16(POLLIN), .seconds(Double(ms) / 1_000))
    }

    /// Reads once into `buffered`; false at the end of the stream.
    private func fill(_ deadline: Deadline) throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            guard wait(for: Int16(POLLIN), deadline) else {
                throw TestFailure("nothing more came; so far \(printable(buffered))")
            }
            let count = recv(fd, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                buffered += chunk[..<count]
                return true
            }
            if count == 0 { return false }
            if errno == ECONNRESET || errno == EPIPE { throw ConnectionReset(received: buffered) }
            if errno != EINTR && errno != EAGAIN { throw TestFailure("recv: errno \(errno)") }
        }
    }

    private func wait(for events: Int16, _ deadline: Deadline) -> Bool {
        var entry = pollfd(fd: fd, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, deadline.remainingMs)
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }

    // MARK: ending

    /// No more bytes from this end; the other direction stays open.
    package func halfClose() { shutdown(fd, Int32(SHUT_WR)) }

    package func close() {
        guard isOpen else { return }
        isOpen = false
        willClose?()
        Glibc.close(fd)
    }

    /// Closes with RST instead of FIN (SO_LINGER of zero).
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }
}

/// Index behind the first occurrence of `marker`, searching from `from`.
func endOfFirst(_ marker: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
    var at = from
    while at + marker.count <= bytes.count {
        if bytes[at..<at + marker.count].elementsEqual(marker) { return at + marker.count }
        at += 1
    }
    return nil
}
