// epoll, edge-triggered. A descriptor is registered once for everything; a round of events is read into
// memory that the poller owns.
public import CLinux

/// One event: what is ready, and the 64 bits given at registration.
@frozen
public struct PollEvent {
    public var bits: UInt32
    public var data: UInt64

    @inlinable
    init(bits: UInt32, data: UInt64) {
        self.bits = bits
        self.data = data
    }

    public var readable: Bool { bits & EPOLLIN.rawValue != 0 }
    public var writable: Bool { bits & EPOLLOUT.rawValue != 0 }
    /// The peer will send no more.
    public var peerClosed: Bool { bits & EPOLLRDHUP.rawValue != 0 }
    /// Both directions are gone, or the socket has an error.
    public var broken: Bool { bits & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 }
    /// The socket has an error: a reset, usually. Nothing that is sent arrives any more.
    public var failed: Bool { bits & EPOLLERR.rawValue != 0 }
}

public struct Poller: ~Copyable {
    private let descriptor: Int32
    @usableFromInline let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int

    /// nil: the system refused (descriptor limit).
    public init?(eventsPerTurn: Int) {
        descriptor = fl_epoll_create()
        if descriptor < 0 { return nil }
        capacity = eventsPerTurn
        events = .allocate(capacity: eventsPerTurn)
    }

    deinit {
        events.deallocate()
        Syscalls.close(descriptor)
    }

    /// Watches a connection for reading, writing and the peer's end, edge-triggered, until it is closed.
    public func add(connection fd: Int32, data: UInt64) -> Bool {
        fl_epoll_add(
            descriptor, fd,
            EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue, data) == 0
    }

    /// Watches for reading, level-triggered: listeners and the mailbox.
    public func add(reader fd: Int32, data: UInt64) -> Bool {
        fl_epoll_add(descriptor, fd, EPOLLIN.rawValue, data) == 0
    }

    /// Stops watching a descriptor that stays open.
    public func remove(_ fd: Int32) { _ = fl_epoll_remove(descriptor, fd) }

    /// Waits at most `timeoutMs`; returns how many events there are.
    public func wait(timeoutMs: Int32) -> Int {
        let count = epoll_wait(descriptor, events, Int32(capacity), timeoutMs)
        return count > 0 ? Int(count) : 0
    }

    @inlinable
    public func event(_ index: Int) -> PollEvent {
        PollEvent(bits: fl_event_bits(events + index), data: fl_event_data(events + index))
    }
}
