// The admin server's sockets: one thread, poll(2), a handful of connections. Slow and silent clients are
// cut by deadlines; when all places are taken the longest idle connection makes room, so that a probe gets
// in.
package import Base
internal import CLinux
internal import Glibc
internal import HTTP
internal import Loop
internal import Synchronization

package final class AdminServer: Sendable {
    /// Where it listens; the port is the real one when 0 was asked for.
    package let address: SocketAddress
    private let stopDescriptor: Int32
    private let thread: Mutex<Thread?>

    /// The address cannot be listened on, or the system has no more descriptors or threads.
    package struct StartError: Error {
        /// errno.
        package var code: Int32
    }

    /// Binds and starts answering. Unlike the listeners of workers the port is not shared (SO_REUSEPORT): a
    /// second proxy on it must fail rather than answer every other question.
    package convenience init(address: SocketAddress, actions: AdminActions) throws(StartError) {
        try self.init(address: address, actions: actions, patience: AdminPatience())
    }

    init(address: SocketAddress, actions: AdminActions, patience: AdminPatience) throws(StartError) {
        let listener = try Self.listen(address)
        let stop = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        if stop < 0 {
            let code = errno
            Syscalls.close(listener)
            throw StartError(code: code)
        }
        self.address = Sockets.localAddress(listener)
        stopDescriptor = stop
        let started = Thread(name: "admin") {
            var loop = AdminLoop(
                listener: listener, stop: stop, routes: AdminRoutes(actions), patience: patience)
            loop.run()
        }
        guard let started else {
            Syscalls.close(listener)
            Syscalls.close(stop)
            throw StartError(code: EAGAIN)
        }
        thread = Mutex(started)
    }

    deinit {
        stop()
        Syscalls.close(stopDescriptor)
    }

    /// Closes all connections and ends the thread; a second call does nothing.
    package func stop() {
        var one: UInt64 = 1
        _ = write(stopDescriptor, &one, 8)
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    private static func listen(_ address: SocketAddress) throws(StartError) -> Int32 {
        var parts = fl_address(
            high: address.high, low: address.low, port: address.port, is_ipv4: address.isIPv4 ? 1 : 0)
        var storage = sockaddr_storage()
        let length = fl_address_write(&parts, &storage)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let listener = socket(Int32(storage.ss_family), kind, 0)
        if listener < 0 { throw StartError(code: errno) }
        _ = fl_set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1)
        let bound = withUnsafePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, length) }
        }
        if bound != 0 || Glibc.listen(listener, 64) != 0 {
            let code = errno
            Syscalls.close(listener)
            throw StartError(code: code)
        }
        return listener
    }
}

/// How long clients may take, milliseconds.
struct AdminPatience: Sendable {
    var requestMs = Limits.adminDeadlineMs
    var idleMs = Limits.adminIdleMs
    var lingerMs = Limits.adminLingerMs
}

/// The thread's own state.
private struct AdminLoop {
    private struct Client {
        var descriptor: Int32
        var connection = AdminConnection()
        /// When the request in hand began, or when the connection fell idle.
        var sinceNs: UInt64
        var isBusy = false
        /// All is sent and our side is shut: only waits for the client to see it.
        var isLingering = false

        func deadlineNs(_ patience: AdminPatience) -> UInt64 {
            let limit = isLingering ? patience.lingerMs : isBusy ? patience.requestMs : patience.idleMs
            return sinceNs + limit * 1_000_000
        }
    }

    private let listener: Int32
    private let stop: Int32
    private let routes: AdminRoutes
    private let patience: AdminPatience
    private var clients: [Client] = []
    private var headers = HeaderList()
    private var buffer = [UInt8](repeating: 0, count: 16_384)
    /// Accepting failed for want of descriptors: wait a little before the next try.
    private var acceptAgainNs: UInt64 = 0

    init(listener: Int32, stop: Int32, routes: AdminRoutes, patience: AdminPatience) {
        self.patience = patience
        self.listener = listener
        self.stop = stop
        self.routes = routes
    }

    mutating func run() {
        while true {
            var polled = [pollfd(fd: stop, events: Int16(POLLIN), revents: 0)]
            let now = Syscalls.monotonicNs()
            let accepts = now >= acceptAgainNs
            polled.append(pollfd(fd: accepts ? listener : -1, events: Int16(POLLIN), revents: 0))
            for client in clients {
                let events = client.connection.hasOutput ? POLLOUT : POLLIN
                polled.append(pollfd(fd: client.descriptor, events: Int16(events), revents: 0))
            }
            let next = (clients.map { $0.deadlineNs(patience) } + (accepts ? [] : [acceptAgainNs])).min()
            let wait = next.map { Int32(clamping: ($0 > now ? $0 - now : 0) / 1_000_000 + 1) } ?? -1
            _ = poll(&polled, nfds_t(polled.count), wait)
            if polled[0].revents != 0 { break }
            for index in clients.indices where polled[index + 2].revents != 0 { serve(index) }
            enforceDeadlines()
            clients.removeAll { $0.descriptor < 0 }
            if polled[1].revents != 0 { accept() }
        }
        for client in clients { Syscalls.close(client.descriptor) }
        Syscalls.close(listener)
        headers.deallocate()
    }

    private mutating func accept() {
        for _ in 0..<Limits.acceptsPerTurn {
            var peer = SocketAddress.unspecified
            switch Sockets.accept(listener, peer: &peer) {
            case .failed(let code):
                if code != EAGAIN { acceptAgainNs = Syscalls.monotonicNs() + 100_000_000 }
                return
            case .socket(let descriptor):
                if clients.count >= Limits.adminConnections, !makeRoom() {
                    Syscalls.close(descriptor)
                    continue
                }
                clients.append(Client(descriptor: descriptor, sinceNs: Syscalls.monotonicNs()))
            }
        }
    }

    /// Closes the connection that has been idle longest; one whose next request waits unread is not idle.
    private mutating func makeRoom() -> Bool {
        let idle = clients.indices.filter { !clients[$0].isBusy || clients[$0].isLingering }
        for index in idle.sorted(by: { clients[$0].sinceNs < clients[$1].sinceNs }) {
            if serve(index) { continue }
            close(index)
            clients.remove(at: index)
            return true
        }
        return false
    }

    /// Reads, answers, sends; true if something came.
    @discardableResult
    private mutating func serve(_ index: Int) -> Bool {
        if clients[index].connection.hasOutput {
            flush(index)
            return true
        }
        let descriptor = clients[index].descriptor
        let result = buffer.withUnsafeMutableBufferPointer {
            Syscalls.receive(descriptor, $0.baseAddress!, $0.count)
        }
        switch result {
        case .wouldBlock: return false
        case .end, .failed:
            close(index)
            return false
        case .bytes(let count):
            if clients[index].isLingering { return false }
            let routes = routes
            buffer.withUnsafeBufferPointer { bytes in
                clients[index].connection.receive(
                    UnsafeBufferPointer(rebasing: bytes[..<count]), &headers, nowNs: Syscalls.realtimeNs()
                ) { routes.respond(to: $0) }
            }
            noteProgress(index)
            flush(index)
            return true
        }
    }

    /// A request's deadline runs from its first byte to the last byte of its answer.
    private mutating func noteProgress(_ index: Int) {
        let busy = clients[index].connection.isInRequest || clients[index].connection.hasOutput
        if busy != clients[index].isBusy {
            clients[index].isBusy = busy
            clients[index].sinceNs = Syscalls.monotonicNs()
        }
    }

    private mutating func flush(_ index: Int) {
        while clients[index].connection.hasOutput {
            let result = clients[index].connection.output.withUnsafeBufferPointer { output in
                let sent = clients[index].connection.sent
                return Syscalls.send(
                    clients[index].descriptor, output.baseAddress! + sent, output.count - sent)
            }
            switch result {
            case .wouldBlock: return
            case .end, .failed: return close(index)
            case .bytes(let count): clients[index].connection.markSent(count)
            }
            guard !clients[index].connection.hasOutput else { continue }
            if clients[index].connection.isClosing {
                Syscalls.shutdownWrite(clients[index].descriptor)
                clients[index].isLingering = true
                clients[index].sinceNs = Syscalls.monotonicNs()
                return
            }
            // The next request is another one, however soon it came.
            clients[index].isBusy = false
            let routes = routes
            clients[index].connection.resume(&headers, nowNs: Syscalls.realtimeNs()) {
                routes.respond(to: $0)
            }
            noteProgress(index)
        }
    }

    private mutating func enforceDeadlines() {
        let now = Syscalls.monotonicNs()
        for index in clients.indices {
            if clients[index].descriptor < 0 || clients[index].deadlineNs(patience) > now { continue }
            let connection = clients[index].connection
            if clients[index].isLingering || connection.hasOutput || !connection.isInRequest {
                close(index)
                continue
            }
            clients[index].connection.refuse(408, "the request took too long", nowNs: Syscalls.realtimeNs())
            clients[index].sinceNs = now
            flush(index)
        }
    }

    private mutating func close(_ index: Int) {
        guard clients[index].descriptor >= 0 else { return }
        Syscalls.close(clients[index].descriptor)
        clients[index].descriptor = -1
    }
}
