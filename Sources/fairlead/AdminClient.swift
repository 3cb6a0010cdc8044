// A small blocking client for a proxy's admin port: for `explain --admin` and the health check. Answers are
// bounded; every wait has a deadline.
internal import Base
internal import CLinux
internal import Glibc
internal import Loop

struct AdminAnswer {
    var status: Int
    var body: [UInt8]
}

struct AdminClient {
    private let address: SocketAddress
    private static let timeoutMs: Int32 = 5_000

    init(_ address: SocketAddress) { self.address = address }

    /// nil: no whole answer in time.
    func get(_ path: String) -> AdminAnswer? { exchange("GET", path, []) }
    func post(_ path: String, body: [UInt8]) -> AdminAnswer? { exchange("POST", path, body) }

    private func exchange(_ method: String, _ path: String, _ body: [UInt8]) -> AdminAnswer? {
        guard case .socket(let fd) = Sockets.connect(address) else { return nil }
        defer { Syscalls.close(fd) }
        let head =
            "\(method) \(path) HTTP/1.1\r\nhost: \(address.text)\r\nconnection: close\r\n"
            + "content-type: application/json\r\ncontent-length: \(body.count)\r\n\r\n"
        guard sendAll(fd, Array(head.utf8) + body) else { return nil }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while received.count < Limits.fileBytes {
            guard wait(fd, Int16(POLLIN)) else { return nil }
            let count = recv(fd, &chunk, chunk.count, 0)
            if count == 0 { break }
            if count < 0 { return nil }
            received += chunk[..<count]
        }
        return parse(received)
    }

    private func sendAll(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            guard wait(fd, Int16(POLLOUT)) else { return false }
            let count = bytes.withUnsafeBufferPointer { fl_send(fd, $0.baseAddress! + sent, $0.count - sent) }
            if count < 0 { return false }
            sent += count
        }
        return true
    }

    private func wait(_ fd: Int32, _ events: Int16) -> Bool {
        var descriptor = pollfd(fd: fd, events: events, revents: 0)
        return poll(&descriptor, 1, Self.timeoutMs) == 1
    }

    /// The connection is closed after the answer, so its end is the body's.
    private func parse(_ bytes: [UInt8]) -> AdminAnswer? {
        guard bytes.count > 12, let status = Int(String(decoding: bytes[9..<12], as: UTF8.self)) else {
            return nil
        }
        var at = 0
        while at + 3 < bytes.count {
            if bytes[at] == 13, bytes[at + 1] == 10, bytes[at + 2] == 13, bytes[at + 3] == 10 {
                return AdminAnswer(status: status, body: Array(bytes[(at + 4)...]))
            }
            at += 1
        }
        return nil
    }
}
