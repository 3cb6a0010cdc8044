// Sockets over loopback: listening, connecting, reading, writing, ending; and what the poller tells of them.
import Base
import CLinux
import Glibc
import TestSupport
import Testing

@testable import Loop

/// Descriptors of a test, closed with it.
private final class Descriptors {
    private var open: [Int32] = []

    deinit { for fd in open { Syscalls.close(fd) } }

    func keep(_ result: SocketResult) throws -> Int32 {
        switch result {
        case .socket(let fd):
            open.append(fd)
            return fd
        case .failed(let code): throw TestFailure("errno \(code)")
        }
    }

    func close(_ fd: Int32) {
        open.removeAll { $0 == fd }
        Syscalls.close(fd)
    }

    /// A listener on an address, and that address with its port.
    func listen(_ address: SocketAddress = SocketAddress(ipv4: 0x7F00_0001, port: 0)) throws -> (
        Int32, SocketAddress
    ) {
        let listener = try keep(Sockets.listen(address, backlog: 16))
        return (listener, Sockets.localAddress(listener))
    }

    /// Both ends of a connection over loopback: who connected, who accepted.
    func pair(_ address: SocketAddress = SocketAddress(ipv4: 0x7F00_0001, port: 0)) throws -> (Int32, Int32) {
        let (listener, place) = try listen(address)
        let client = try keep(Sockets.connect(place))
        try waitWritable(client)
        #expect(Sockets.connectError(client) == 0)
        var peer = SocketAddress.unspecified
        let server = try keep(Sockets.accept(listener, peer: &peer))
        #expect(peer == Sockets.localAddress(client))
        #expect(Sockets.localAddress(server) == place)
        return (client, server)
    }

    func waitWritable(_ fd: Int32) throws {
        var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        try waitUntil("writable") { poll(&entry, 1, 1_000) == 1 }
    }
}

private let ipv6Loopback = SocketAddress(high: 0, low: 1, port: 0, isIPv4: false)

private var hasIPv6: Bool {
    guard case .socket(let fd) = Sockets.listen(ipv6Loopback, backlog: 1) else { return false }
    Syscalls.close(fd)
    return true
}

private func send(_ fd: Int32, _ text: String) -> IOResult {
    text.withView { Syscalls.send(fd, $0.start, $0.count) }
}

private func receive(_ fd: Int32, _ count: Int = 100) -> (IOResult, String) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { buffer in
        guard let start = buffer.baseAddress else { return (.end, "") }
        let result = Syscalls.receive(fd, start, count)
        if case .bytes(let read) = result { return (result, ByteView(start, read).string) }
        return (result, "")
    }
}

private func isWouldBlock(_ result: IOResult) -> Bool {
    if case .wouldBlock = result { return true }
    return false
}

private func isEnd(_ result: IOResult) -> Bool {
    if case .end = result { return true }
    return false
}

private func failure(_ result: IOResult) -> Int32? {
    if case .failed(let code) = result { return code }
    return nil
}

private func failure(_ result: SocketResult) -> Int32? {
    switch result {
    case .failed(let code): return code
    case .socket(let fd):
        Syscalls.close(fd)
        return nil
    }
}

@Suite struct Socketry {
    @Test func connectAcceptAndTalk() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        #expect(isWouldBlock(receive(server).0))
        _ = send(client, "hello")
        try waitUntil("bytes") { receive(server).1 == "hello" }
        let sent = "ab".withView { a in "cde".withView { b in Syscalls.send(server, a.start, 2, b.start, 3) }
        }
        guard case .bytes(5) = sent else { throw TestFailure("\(sent)") }
        try waitUntil("bytes") { receive(client).1 == "abcde" }
    }

    @Test(.enabled(if: hasIPv6)) func overIPv6() throws {
        let own = Descriptors()
        let (client, server) = try own.pair(ipv6Loopback)
        #expect(Sockets.localAddress(client).text.hasPrefix("[::1]:"))
        _ = send(server, "six")
        try waitUntil("bytes") { receive(client).1 == "six" }
    }

    /// An IPv4 client of an IPv6 socket is an IPv4 address to us, however the system spells it.
    @Test(.enabled(if: hasIPv6)) func ipv4OverAnIPv6Listener() throws {
        let own = Descriptors()
        let (listener, place) = try own.listen(SocketAddress(high: 0, low: 0, port: 0, isIPv4: false))
        let client = try own.keep(Sockets.connect(SocketAddress(ipv4: 0x7F00_0001, port: place.port)))
        try own.waitWritable(client)
        var peer = SocketAddress.unspecified
        _ = try own.keep(Sockets.accept(listener, peer: &peer))
        #expect(peer == Sockets.localAddress(client) && peer.isIPv4 && peer.isLoopback)
    }

    @Test func nobodyToAccept() throws {
        let own = Descriptors()
        let (listener, _) = try own.listen()
        var peer = SocketAddress.unspecified
        #expect(failure(Sockets.accept(listener, peer: &peer)) == EAGAIN)
        #expect(peer == .unspecified)
    }

    @Test func eachWorkerListensOnTheSamePort() throws {
        let own = Descriptors()
        let (_, place) = try own.listen()
        let (_, again) = try own.listen(place)
        #expect(again == place)
    }

    @Test func aPortThatAnotherProgramHolds() throws {
        let own = Descriptors()
        let (client, _) = try own.pair()
        // A connection's own port, held without SO_REUSEPORT.
        #expect(failure(Sockets.listen(Sockets.localAddress(client), backlog: 1)) == EADDRINUSE)
        // An address of nobody here (documentation range).
        #expect(
            failure(Sockets.listen(SocketAddress(ipv4: 0xC000_0201, port: 0), backlog: 1)) == EADDRNOTAVAIL)
    }

    @Test func refusedConnects() throws {
        let own = Descriptors()
        let (listener, place) = try own.listen()
        own.close(listener)
        switch Sockets.connect(place) {
        case .failed(let code): #expect(code == ECONNREFUSED)
        case .socket(let fd):
            let fd = try own.keep(.socket(fd))
            try own.waitWritable(fd)
            #expect(Sockets.connectError(fd) == ECONNREFUSED)
        }
    }

    @Test func endOfWritingIsAnEndOfReading() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        _ = send(client, "last")
        Syscalls.shutdownWrite(client)
        try waitUntil("bytes") { receive(server).1 == "last" }
        try waitUntil("end") { isEnd(receive(server).0) }
        _ = send(server, "still")
        try waitUntil("bytes") { receive(client).1 == "still" }
    }

    @Test func aResetIsNoEnd() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        Syscalls.resetOnClose(client)
        own.close(client)
        try waitUntil("reset") { failure(receive(server).0) == ECONNRESET }
    }

    /// Writing to who is gone is an error, not the signal that ends a process.
    @Test func writingToNobody() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        own.close(client)
        try waitUntil("a broken pipe") { failure(send(server, "x")) == EPIPE }
        let both = "ab".withView { Syscalls.send(server, $0.start, 1, $0.start, 1) }
        #expect(failure(both) == EPIPE)
    }

    @Test func aFullSocketWouldBlock() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        let block = String(repeating: "x", count: 1 << 20)
        var sent = 0
        try waitUntil("full") {
            guard case .bytes(let count) = send(client, block) else { return true }
            sent += count
            return false
        }
        #expect(isWouldBlock(send(client, block)))
        var received = 0
        try waitUntil("all of it") {
            received += receive(server, 1 << 16).1.utf8.count
            return received == sent
        }
    }

    @Test func badDescriptors() {
        #expect(failure(receive(-1).0) == EBADF && failure(send(-1, "x")) == EBADF)
        var peer = SocketAddress.unspecified
        #expect(failure(Sockets.accept(-1, peer: &peer)) == EBADF)
        #expect(Sockets.connectError(-1) == EBADF)
        #expect(Sockets.localAddress(-1).port == 0)
    }
}

@Suite struct Polling {
    @Test func edgesComeOnce() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        let poller = try TestPoller(eventsPerTurn: 8)
        #expect(poller.add(connection: server, data: .max))
        let first = try #require(poller.wait().first)
        #expect(first.data == .max && first.writable && !first.readable && !first.peerClosed && !first.broken)
        #expect(poller.wait().isEmpty, "an edge is told once")
        _ = send(client, "one")
        try poller.waitFor("readable", .max) { $0.readable }
        #expect(poller.wait().isEmpty, "unread bytes are no new edge")
        _ = send(client, "two")
        try poller.waitFor("readable again", .max) { $0.readable }
        try waitUntil("bytes") { receive(server).1.hasSuffix("two") }
        Syscalls.shutdownWrite(client)
        try poller.waitFor("peer closed", .max) { $0.peerClosed && !$0.broken }
        Syscalls.resetOnClose(client)
        own.close(client)
        try poller.waitFor("broken", .max) { $0.broken }
    }

    @Test func levelsComeAgain() throws {
        let own = Descriptors()
        let (listener, place) = try own.listen()
        let poller = try TestPoller(eventsPerTurn: 8)
        #expect(poller.add(reader: listener, data: 3))
        #expect(poller.wait().isEmpty)
        _ = try own.keep(Sockets.connect(place))
        try poller.waitFor("a connection to accept", 3) { $0.readable }
        #expect(poller.wait(1_000).map(\.data) == [3], "told until it is accepted")
        poller.remove(listener)
        #expect(poller.wait().isEmpty)
        #expect(poller.add(reader: listener, data: 4))
        #expect(poller.wait(1_000).map(\.data) == [4])
    }

    /// Closing ends the watch: a number used again brings nothing of the old one.
    @Test func aClosedSocketIsSilent() throws {
        let own = Descriptors()
        let (client, server) = try own.pair()
        let poller = try TestPoller(eventsPerTurn: 8)
        #expect(poller.add(connection: server, data: 1))
        own.close(server)
        own.close(client)
        #expect(poller.wait().isEmpty)
    }

    @Test func moreEventsThanOneTurnTakes() throws {
        let poller = try TestPoller(eventsPerTurn: 2)
        let boxes = try (0..<5).map { _ in try #require(Mailbox<Int>()) }
        for (index, box) in boxes.enumerated() {
            #expect(poller.add(reader: box.descriptor, data: UInt64(index)))
            box.post(index)
        }
        var seen: Set<UInt64> = []
        for _ in 0..<10 where seen.count < 5 {
            let turn = poller.wait()
            #expect(turn.count <= 2)
            for data in turn.map(\.data) {
                seen.insert(data)
                _ = boxes[Int(data)].take()
            }
        }
        #expect(seen == [0, 1, 2, 3, 4])
    }

    @Test func whatCannotBeWatched() throws {
        let poller = try TestPoller(eventsPerTurn: 1)
        #expect(!poller.add(connection: -1, data: 0))
        let box = try #require(Mailbox<Int>())
        #expect(poller.add(reader: box.descriptor, data: 0))
        #expect(!poller.add(reader: box.descriptor, data: 0), "once is enough")
    }
}

@Suite struct Threads {
    @Test func runsBlocksSignalsAndJoins() throws {
        let box = try #require(Mailbox<Bool>())
        let thread = try #require(
            Thread(name: "a-name-longer-than-the-kernel-keeps") {
                var mask = sigset_t()
                pthread_sigmask(SIG_BLOCK, nil, &mask)
                box.post(sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1)
                box.post(sigismember(&mask, SIGSEGV) == 0)
            })
        thread.join()
        #expect(box.take() == [true, true])
        #expect(Thread.processorsAllowed >= 1)
    }

    @Test func whatTheThreadHeldIsReleased() throws {
        final class Probe: Sendable {}
        weak var watched: Probe?
        do {
            let probe = Probe()
            watched = probe
            try #require(Thread(name: "holder") { withExtendedLifetime(probe) {} }).join()
        }
        #expect(watched == nil)
    }

    @Test func clocksRun() {
        let before = Syscalls.monotonicNs()
        #expect(before > 0 && Syscalls.monotonicNs() >= before)
        #expect(UTCTime(nanoseconds: Syscalls.realtimeNs()).year >= 2_025)
    }
}
