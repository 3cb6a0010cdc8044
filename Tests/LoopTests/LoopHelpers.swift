// What is not copyable in classes of the tests' own: the expectation macros want copies.
import TestSupport

@testable import Loop

final class TestPoller {
    private let poller: Poller

    init(eventsPerTurn: Int) throws {
        guard let poller = Poller(eventsPerTurn: eventsPerTurn) else { throw TestFailure("no epoll") }
        self.poller = poller
    }

    func add(connection fd: Int32, data: UInt64) -> Bool { poller.add(connection: fd, data: data) }

    func add(reader fd: Int32, data: UInt64) -> Bool { poller.add(reader: fd, data: data) }

    func remove(_ fd: Int32) { poller.remove(fd) }

    /// The events of one turn.
    func wait(_ timeoutMs: Int32 = 0) -> [PollEvent] {
        (0..<poller.wait(timeoutMs: timeoutMs)).map { poller.event($0) }
    }

    /// Waits for an event that has `condition`; others before it may tell less.
    func waitFor(_ what: String, _ data: UInt64, _ condition: (PollEvent) -> Bool) throws {
        let deadline = Deadline.usual
        while !deadline.hasPassed {
            if wait(100).contains(where: { $0.data == data && condition($0) }) { return }
        }
        throw TestFailure("waited in vain for: \(what)")
    }
}

final class TestWatcher {
    private var watcher: FileWatcher

    init(_ paths: [String]) throws {
        guard let watcher = FileWatcher() else { throw TestFailure("no inotify instance") }
        self.watcher = watcher
        self.watcher.watch(paths)
    }

    func watch(_ paths: [String]) { watcher.watch(paths) }

    func drain() -> Bool { watcher.drain() }
}
