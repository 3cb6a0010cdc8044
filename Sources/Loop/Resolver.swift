// Names to addresses, off the event loops: one thread asks the system's resolver, which may block for
// seconds. Answers are remembered for a short while, since getaddrinfo(3) tells no time to live.
public import Base
internal import CLinux
internal import Glibc
internal import Synchronization

public final class Resolver: Sendable {
    private let desk: ResolverDesk

    /// nil: the system refused a descriptor or a thread.
    public init?() {
        guard let desk = ResolverDesk(), Thread(name: "resolver", { desk.run() }) != nil else { return nil }
        self.desk = desk
    }

    deinit { desk.stop() }

    /// Asks for a name's addresses; `answer` is called once: on the resolver's thread, or at once with none
    /// when too many questions wait already or the resolver was stopped. None also when the name cannot be
    /// resolved.
    public func resolve(_ name: String, port: UInt16, _ answer: @escaping @Sendable ([SocketAddress]) -> Void)
    {
        if !desk.ask(ResolverDesk.Question(name: name, port: port, answer: answer)) { answer([]) }
    }

    /// Ends the thread after the question it is busy with; what waits is answered with none.
    public func stop() { desk.stop() }
}

/// What the resolver and its thread share. Its descriptor lives as long as either, so that neither ever
/// writes to or reads from a number that belongs to something else by then.
private final class ResolverDesk: Sendable {
    struct Question {
        var name: String
        var port: UInt16
        var answer: @Sendable ([SocketAddress]) -> Void
    }

    private struct Remembered {
        var addresses: [SocketAddress]
        var untilNs: UInt64
    }

    private struct State {
        var waiting: [Question] = []
        var cache: [String: Remembered] = [:]
        var stopped = false
    }

    private let state = Mutex(State())
    private let bell: Int32

    init?() {
        bell = eventfd(0, Int32(EFD_CLOEXEC))
        if bell < 0 { return nil }
    }

    deinit { Syscalls.close(bell) }

    /// False: too many questions wait, or there is nobody to answer any more.
    func ask(_ question: Question) -> Bool {
        let accepted = state.withLock { state in
            guard state.waiting.count < Limits.resolverQuestions, !state.stopped else { return false }
            state.waiting.append(question)
            return true
        }
        if accepted { ring() }
        return accepted
    }

    func stop() {
        state.withLock { $0.stopped = true }
        ring()
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    /// The thread: answers until it is told to stop.
    func run() {
        while true {
            var count: UInt64 = 0
            if read(bell, &count, 8) < 0, errno != EINTR { return }
            while let question = next() { answer(question) }
            let unanswered: [Question]? = state.withLock { state in
                if !state.stopped { return nil }
                defer { state.waiting.removeAll() }
                return state.waiting
            }
            if let unanswered {
                for question in unanswered { question.answer([]) }
                return
            }
        }
    }

    private func next() -> Question? {
        state.withLock { $0.stopped || $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
    }

    private func answer(_ question: Question) {
        question.answer(
            addresses(question.name).map {
                SocketAddress(high: $0.high, low: $0.low, port: question.port, isIPv4: $0.isIPv4)
            })
    }

    private func addresses(_ name: String) -> [SocketAddress] {
        let now = Syscalls.monotonicNs()
        let known = state.withLock { $0.cache[name] }
        if let known, known.untilNs > now { return known.addresses }
        let answer = ask(system: name)
        state.withLock { state in
            if state.cache.count >= Limits.resolverNames { state.cache.removeAll() }
            state.cache[name] = Remembered(
                addresses: answer, untilNs: now + Limits.resolverMemoryMs * 1_000_000)
        }
        return answer
    }

    private func ask(system name: String) -> [SocketAddress] {
        // C would take what stands before a NUL for the name.
        if name.utf8.contains(0) { return [] }
        var hints = addrinfo()
        hints.ai_socktype = fl_sock_stream()
        hints.ai_family = AF_UNSPEC
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = list
        while let at = entry, found.count < Limits.resolverAddresses {
            if let address = at.pointee.ai_addr {
                var storage = sockaddr_storage()
                memcpy(
                    &storage, address, min(Int(at.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size))
                found.append(SocketAddress(storage))
            }
            entry = at.pointee.ai_next
        }
        return found
    }
}
