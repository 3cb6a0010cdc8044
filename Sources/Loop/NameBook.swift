// Which names are wanted, what is known of each, and when it is to be asked for again: the resolver without
// its thread and its sockets. Names that are watched are asked for again when their time to live is over,
// others when somebody wants them again. The clock is the caller's.
internal import Base

struct NameBook {
    typealias Waiter = @Sendable ([SocketAddress]) -> Void

    /// A question to send, and the number its answer must name.
    struct Question: Equatable {
        var id: UInt64
        var name: String
    }

    /// Who is to be told after an answer.
    struct Told {
        var waiters: [Waiter] = []
        var addresses: [SocketAddress] = []
        /// The name, if it is watched and what is known of it is new.
        var changed: String?
    }

    enum Reply: Equatable {
        case known([SocketAddress])
        /// The waiter will be told.
        case waits
        /// Too many wait, or no room for another name.
        case refused
    }

    private struct Entry {
        var state = NameState()
        var isWatched = false
        /// Number of the question under way; 0: none.
        var question: UInt64 = 0
        var askedMs: UInt64 = 0
        var isQueued = false
        var waiters: [Waiter] = []
    }

    private var entries: [String: Entry] = [:]
    /// To be asked as soon as there is room.
    private var queue: [String] = []
    /// Questions under way, by number.
    private var asked: [UInt64: String] = [:]
    private var waiting = 0
    private var lastID: UInt64 = 0
    /// Nothing is due before; `.max`: nothing ever.
    private var wakeMs = UInt64.max

    /// Watches these names and no others.
    mutating func watch(_ names: Set<String>) {
        for name in entries.keys where entries[name]!.isWatched && !names.contains(name) {
            entries[name]!.isWatched = false
        }
        for name in names.sorted() where !(entries[name]?.isWatched ?? false) {
            if entries[name] == nil, !makeRoom() { return }
            entries[name, default: Entry()].isWatched = true
            enqueue(name)
        }
    }

    /// What is known of a name; nil: it is not in the book.
    func state(_ name: String) -> NameState? { entries[name]?.state }

    var watchedCount: Int { entries.values.reduce(0) { $0 + ($1.isWatched ? 1 : 0) } }
    var count: Int { entries.count }

    /// Somebody wants the addresses of a name now.
    mutating func want(_ name: String, nowMs: UInt64, _ waiter: @escaping Waiter) -> Reply {
        if let entry = entries[name], entry.state.status != .waiting {
            // Of a watched name the old addresses are as good as it gets until the next answer.
            if nowMs < entry.state.nextMs || entry.isWatched { return .known(entry.state.addresses) }
        }
        guard waiting < Limits.resolverQuestions else { return .refused }
        if entries[name] == nil, !makeRoom() { return .refused }
        entries[name, default: Entry()].waiters.append(waiter)
        waiting += 1
        enqueue(name)
        return .waits
    }

    private mutating func enqueue(_ name: String) {
        guard let entry = entries[name], !entry.isQueued, entry.question == 0 else { return }
        entries[name]!.isQueued = true
        queue.append(name)
    }

    /// Forgets names that nobody asks for any more; false: all are in use.
    private mutating func makeRoom() -> Bool {
        if entries.count < Limits.resolverNames { return true }
        entries = entries.filter { $1.isWatched || $1.question != 0 || $1.isQueued || !$1.waiters.isEmpty }
        return entries.count < Limits.resolverNames
    }

    /// Questions to send now; each is under way until `answer` or `expire`.
    mutating func questions(nowMs: UInt64) -> [Question] {
        if nowMs >= wakeMs { findDue(nowMs) }
        let count = min(queue.count, max(0, Limits.resolverInFlight - asked.count))
        let next = queue.prefix(count)
        queue.removeFirst(count)
        return next.map { name in
            lastID += 1
            entries[name]!.isQueued = false
            entries[name]!.question = lastID
            entries[name]!.askedMs = nowMs
            asked[lastID] = name
            wakeMs = min(wakeMs, nowMs + Limits.resolverQuestionMs)
            return Question(id: lastID, name: name)
        }
    }

    private mutating func findDue(_ nowMs: UInt64) {
        wakeMs = .max
        for (name, entry) in entries {
            if entry.question != 0 {
                wakeMs = min(wakeMs, max(nowMs, entry.askedMs + Limits.resolverQuestionMs))
            } else if entry.isWatched, entry.state.status != .waiting {
                if entry.state.nextMs <= nowMs {
                    enqueue(name)
                } else {
                    wakeMs = min(wakeMs, entry.state.nextMs)
                }
            }
        }
    }

    /// When `questions` or `expire` has something to do; nil: not before something else happens.
    func sleepMs(nowMs: UInt64) -> UInt64? {
        if !queue.isEmpty, asked.count < Limits.resolverInFlight { return 0 }
        return wakeMs == .max ? nil : wakeMs - min(wakeMs, nowMs)
    }

    /// Questions that took too long have failed; their late answers say nothing.
    mutating func expire(nowMs: UInt64) -> [Told] {
        let late = asked.filter { nowMs >= entries[$1]!.askedMs + Limits.resolverQuestionMs }
        return late.keys.sorted().map { answer($0, .failed(.timeout), nowMs: nowMs) }
    }

    /// The answer to a question.
    mutating func answer(_ id: UInt64, _ answer: NameAnswer, nowMs: UInt64) -> Told {
        guard let name = asked.removeValue(forKey: id), var entry = entries[name] else { return Told() }
        let before = entry.state
        entry.question = 0
        entry.state.take(answer, isWatched: entry.isWatched, nowMs: nowMs)
        var told = Told(waiters: entry.waiters, addresses: entry.state.addresses)
        waiting -= entry.waiters.count
        entry.waiters = []
        if entry.isWatched {
            wakeMs = min(wakeMs, entry.state.nextMs)
            if before.addresses != entry.state.addresses { told.changed = name }
        }
        entries[name] = entry
        return told
    }

    /// All who wait are told that there is nothing; the book is empty then.
    mutating func close() -> [Waiter] {
        defer { self = NameBook() }
        return entries.values.flatMap(\.waiters)
    }
}

extension NameState {
    /// Addresses hold for their time to live. That there are none is taken for true; after a question that
    /// failed the old ones stay. Either way it is asked again soon, then ever less often, as Envoy does.
    mutating func take(_ answer: NameAnswer, isWatched: Bool, nowMs: UInt64) {
        switch answer {
        case .addresses(let found, let ttlSeconds):
            status = .resolved
            addresses = Array(found.prefix(Limits.resolverAddresses))
            failures = 0
            failure = nil
            let told = ttlSeconds.map { UInt64($0) * 1_000 } ?? 0
            ttlMs =
                told == 0
                ? Limits.resolverUnknownTTLMs
                : min(max(told, Limits.resolverLeastTTLMs), Limits.resolverMostTTLMs)
            nextMs = nowMs + ttlMs
            return
        case .absent:
            status = .absent
            addresses = []
            failure = nil
        case .failed(let why):
            status = .failing
            failure = why
        }
        let pauseMs = Limits.resolverLeastPauseMs << UInt64(min(failures, 16))
        failures += 1
        // Who asks for a name that nobody watches is not to wait long for one that was just made.
        nextMs = nowMs + min(pauseMs, isWatched ? Limits.resolverMostPauseMs : Limits.resolverMemoryMs)
    }
}
