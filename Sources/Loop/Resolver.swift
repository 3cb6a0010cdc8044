// Names to addresses, off the event loops: one thread with a channel of c-ares. What is remembered, for how
// long, and when names that are watched are asked for again is NameBook's.
public import Base
internal import CLinux
internal import Glibc
internal import Synchronization

/// Questions by what became of them.
public struct ResolverStats: Sendable, Equatable {
    public var resolved: UInt64 = 0
    public var absent: UInt64 = 0
    public var failed: UInt64 = 0
    public var timeouts: UInt64 = 0
    /// Watched names at the moment.
    public var watched = 0
    /// Names remembered, these included.
    public var names = 0

    public init() {}
}

public final class Resolver: Sendable {
    private let desk: ResolverDesk

    /// `servers`: DNS servers to ask instead of those of resolv.conf. nil: the system refused a descriptor or
    /// a thread.
    public init?(servers: [SocketAddress] = []) {
        guard let desk = ResolverDesk(servers), Thread(name: "resolver", { desk.run() }) != nil else {
            return nil
        }
        self.desk = desk
    }

    deinit { desk.stop() }

    /// Asks for a name's addresses; `answer` is called once: on the resolver's thread, or at once if they are
    /// known, or with none when too many questions wait already or the resolver was stopped. None also when
    /// the name cannot be resolved.
    public func resolve(_ name: String, port: UInt16, _ answer: @escaping @Sendable ([SocketAddress]) -> Void)
    {
        if let literal = SocketAddress(text: name, port: port) {
            answer([literal])
            return
        }
        desk.ask(name.lowercased()) { answer($0.map { $0.at(port: port) }) }
    }

    /// Keeps the addresses of these names fresh, and of no others; each is asked for now. Lower case. More
    /// than `Limits.resolverNames` are not taken.
    public func watch(_ names: Set<String>) { desk.watch(names) }

    /// Who is told, on the resolver's thread, of watched names whose addresses changed.
    public func whenChanged(_ changed: @escaping @Sendable (Set<String>) -> Void) { desk.tell(changed) }

    /// Waits, at most so long, until each of these names had an answer or a failure since it is watched.
    public func settle(_ names: Set<String>, withinMs: UInt64) { desk.settle(names, withinMs) }

    /// What is known of a name; addresses have port 0.
    public func state(_ name: String) -> NameState { desk.knownState(name) }

    public var stats: ResolverStats { desk.stats }

    /// Ends the thread; what waits is answered with none.
    public func stop() { desk.stop() }
}

/// What the resolver and its thread share. Its descriptor lives as long as either, so that neither ever
/// writes to or reads from a number that belongs to something else by then.
private final class ResolverDesk: Sendable {
    private struct State {
        var book = NameBook()
        var stats = ResolverStats()
        var changed: (@Sendable (Set<String>) -> Void)?
        /// Descriptors to ring after each answer.
        var settling: [Int32] = []
        var stopped = false
    }

    private let state = Mutex(State())
    private let servers: [SocketAddress]
    private let bell: Int32

    init?(_ servers: [SocketAddress]) {
        self.servers = servers
        bell = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        if bell < 0 { return nil }
    }

    deinit { Syscalls.close(bell) }

    private static var nowMs: UInt64 { Syscalls.monotonicNs() / 1_000_000 }

    private static func ring(_ bell: Int32) {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    func ask(_ name: String, _ waiter: @escaping NameBook.Waiter) {
        let reply = state.withLock { state in
            state.stopped ? .refused : state.book.want(name, nowMs: Self.nowMs, waiter)
        }
        switch reply {
        case .known(let addresses): waiter(addresses)
        case .waits: Self.ring(bell)
        case .refused: waiter([])
        }
    }

    func watch(_ names: Set<String>) {
        state.withLock { if !$0.stopped { $0.book.watch(names) } }
        Self.ring(bell)
    }

    func tell(_ changed: @escaping @Sendable (Set<String>) -> Void) {
        state.withLock { $0.changed = changed }
    }

    func knownState(_ name: String) -> NameState {
        state.withLock { $0.book.state(name) } ?? NameState()
    }

    var stats: ResolverStats {
        state.withLock { state in
            var stats = state.stats
            stats.watched = state.book.watchedCount
            stats.names = state.book.count
            return stats
        }
    }

    func settle(_ names: Set<String>, _ withinMs: UInt64) {
        let own = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard own >= 0 else { return }
        state.withLock { $0.settling.append(own) }
        defer {
            state.withLock { state in state.settling.removeAll { $0 == own } }
            Syscalls.close(own)
        }
        let deadlineMs = Self.nowMs + withinMs
        while true {
            let isOver = state.withLock { state in
                state.stopped
                    || names.allSatisfy { state.book.state($0).map { $0.status != .waiting } ?? true }
            }
            let nowMs = Self.nowMs
            if isOver || nowMs >= deadlineMs { return }
            var wanted = pollfd(fd: own, events: Int16(POLLIN), revents: 0)
            poll(&wanted, 1, Int32(clamping: deadlineMs - nowMs))
            var count: UInt64 = 0
            _ = read(own, &count, 8)
        }
    }

    func stop() {
        state.withLock { $0.stopped = true }
        Self.ring(bell)
    }

    // MARK: the thread

    /// Answers until it is told to stop.
    func run() {
        var source = ChannelSource(servers)
        while true {
            let nowMs = Self.nowMs
            var told: [NameBook.Told] = []
            let questions: [NameBook.Question]? = state.withLock { state in
                if state.stopped { return nil }
                let late = state.book.expire(nowMs: nowMs)
                state.stats.timeouts += UInt64(late.count)
                told = late
                return state.book.questions(nowMs: nowMs)
            }
            guard let questions else { break }
            source.ask(questions, nowMs)
            told += enter(source.takeAnswers(), nowMs)
            deliver(told)
            wait(&source)
        }
        source.close()
        let unanswered = state.withLock { state in
            for bell in state.settling { Self.ring(bell) }
            return state.book.close()
        }
        for waiter in unanswered { waiter([]) }
    }

    private func enter(_ answers: [(id: UInt64, answer: NameAnswer)], _ nowMs: UInt64) -> [NameBook.Told] {
        if answers.isEmpty { return [] }
        return state.withLock { state in
            answers.map { id, answer in
                switch answer {
                case .addresses: state.stats.resolved += 1
                case .absent: state.stats.absent += 1
                case .failed(.timeout): state.stats.timeouts += 1
                case .failed: state.stats.failed += 1
                }
                return state.book.answer(id, answer, nowMs: nowMs)
            }
        }
    }

    private func deliver(_ told: [NameBook.Told]) {
        if told.isEmpty { return }
        for one in told { for waiter in one.waiters { waiter(one.addresses) } }
        let names = Set(told.compactMap(\.changed))
        let changed = state.withLock { names.isEmpty ? nil : $0.changed }
        changed?(names)
        state.withLock { for bell in $0.settling { Self.ring(bell) } }
    }

    private func wait(_ source: inout ChannelSource) {
        let book = state.withLock { $0.book.sleepMs(nowMs: Self.nowMs) }
        let sleepMs = [book, source.sleepMs].compactMap { $0 }.min()
        var descriptors = [pollfd(fd: bell, events: Int16(POLLIN), revents: 0)] + source.descriptors
        let timeoutMs = sleepMs.map { Int32(clamping: $0) } ?? -1
        let count = poll(&descriptors, nfds_t(descriptors.count), timeoutMs)
        if count > 0, descriptors[0].revents != 0 {
            var rings: UInt64 = 0
            _ = read(bell, &rings, 8)
        }
        source.process(count > 0 ? descriptors.dropFirst() : [])
    }
}

/// The thread's channel; a new one when resolv.conf changed, and while none could be made.
private struct ChannelSource {
    private let servers: [SocketAddress]
    private var channel: NameChannel?
    private var refused: [(id: UInt64, answer: NameAnswer)] = []
    /// Of resolv.conf, when the channel was made.
    private var stamp: UInt64 = 0
    private var lookedMs: UInt64 = 0

    init(_ servers: [SocketAddress]) { self.servers = servers }

    mutating func ask(_ questions: [NameBook.Question], _ nowMs: UInt64) {
        if questions.isEmpty { return }
        renew(nowMs)
        for question in questions {
            if let channel {
                channel.ask(question.id, question.name)
            } else {
                refused.append((question.id, .failed(.server)))
            }
        }
    }

    /// As libc does since long: who moves between networks does not start us again.
    private mutating func renew(_ nowMs: UInt64) {
        if channel != nil, nowMs - lookedMs < Limits.resolverLookMs { return }
        lookedMs = nowMs
        let now = FileWatcher.fingerprint(["/etc/resolv.conf"])
        if let channel {
            // Questions under way belong to the old channel, whose end would fail them.
            if now == stamp || channel.outstanding > 0 { return }
            channel.close()
        }
        stamp = now
        channel = NameChannel(servers: servers)
    }

    mutating func takeAnswers() -> [(id: UInt64, answer: NameAnswer)] {
        defer { refused = [] }
        return refused + (channel?.takeAnswers() ?? [])
    }

    var sleepMs: UInt64? { channel?.sleepMs }
    var descriptors: [pollfd] { channel?.descriptors ?? [] }
    func process(_ ready: ArraySlice<pollfd>) { channel?.process(ready) }
    func close() { channel?.close() }
}
