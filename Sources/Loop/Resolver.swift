// Names to addresses, off the event loops: one thread asks the system's resolver, which may block for seconds.
// Answers are remembered for a short while, since getaddrinfo(3) tells no time to live.
public import Base
internal import CLinux
internal import Glibc
internal import Synchronization

public final class Resolver: Sendable {
    private struct Question {
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
    private let wakeDescriptor: Int32

    /// nil: the system refused a descriptor or a thread.
    public init?() {
        wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC))
        if wakeDescriptor < 0 { return nil }
        guard Thread(name: "resolver", { [weak self] in Resolver.run { self } }) != nil else { return nil }
    }

    deinit { Syscalls.close(wakeDescriptor) }

    /// Asks for a name's addresses; `answer` is called on the resolver's thread, with none if there are none, the
    /// name cannot be resolved, or too many questions wait already.
    public func resolve(_ name: String, port: UInt16, _ answer: @escaping @Sendable ([SocketAddress]) -> Void) {
        let accepted = state.withLock { state in
            guard state.waiting.count < Limits.resolverQuestions, !state.stopped else { return false }
            state.waiting.append(Question(name: name, port: port, answer: answer))
            return true
        }
        if accepted { wake() } else { answer([]) }
    }

    /// Ends the thread after the question it is busy with.
    public func stop() {
        state.withLock { $0.stopped = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    private static func run(_ owner: () -> Resolver?) {
        guard let descriptor = owner()?.wakeDescriptor else { return }
        while true {
            var count: UInt64 = 0
            if read(descriptor, &count, 8) < 0, errno != EINTR { return }
            guard let resolver = owner(), resolver.answerAll() else { return }
        }
    }

    /// False: told to stop.
    private func answerAll() -> Bool {
        while true {
            let next: Question? = state.withLock { state in
                state.stopped || state.waiting.isEmpty ? nil : state.waiting.removeFirst()
            }
            guard let question = next else { return state.withLock { !$0.stopped } }
            question.answer(
                addresses(question.name).map {
                    SocketAddress(high: $0.high, low: $0.low, port: question.port, isIPv4: $0.isIPv4)
                })
        }
    }

    private func addresses(_ name: String) -> [SocketAddress] {
        let now = Syscalls.monotonicNs()
        let known = state.withLock { $0.cache[name] }
        if let known, known.untilNs > now { return known.addresses }
        var hints = addrinfo()
        hints.ai_socktype = fl_sock_stream()
        hints.ai_family = AF_UNSPEC
        var list: UnsafeMutablePointer<addrinfo>?
        var found: [SocketAddress] = []
        if getaddrinfo(name, nil, &hints, &list) == 0 {
            var entry = list
            while let at = entry, found.count < Limits.resolverAddresses {
                if let address = at.pointee.ai_addr {
                    var storage = sockaddr_storage()
                    memcpy(&storage, address, min(Int(at.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size))
                    found.append(SocketAddress(storage))
                }
                entry = at.pointee.ai_next
            }
            freeaddrinfo(list)
        }
        let answer = found
        state.withLock { state in
            if state.cache.count >= Limits.resolverNames { state.cache.removeAll() }
            state.cache[name] = Remembered(
                addresses: answer, untilNs: now + Limits.resolverMemoryMs * 1_000_000)
        }
        return answer
    }
}
