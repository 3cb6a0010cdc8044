// All workers as the control thread sees them: start them, give them a configuration, drain them. Listening
// sockets are made here, before anything changes, so that a configuration whose address cannot be bound is
// refused whole.
package import Base
internal import CLinux
internal import Glibc
package import Lanes
internal import Loop
internal import Lua
internal import Synchronization
package import Telemetry

/// A listener that could not be opened.
package struct ListenError: Error, Sendable {
    package var name: String
    package var address: SocketAddress
    /// errno.
    package var code: Int32

    package var message: String {
        "cannot listen on \(address.text) for \(name): \(String(cString: strerror(code)))"
    }

    /// What to do about it.
    package var remedy: String {
        switch code {
        case EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE, or --port FROM=TO for another one"
        case EADDRINUSE: "another process has it: end that one, or take another port with --port FROM=TO"
        case EADDRNOTAVAIL: "no interface of this machine has that address"
        default: "--port FROM=TO takes another port"
        }
    }
}

package final class Fleet: Sendable {
    private struct State {
        var open: Set<SocketAddress> = []
        /// Every address ever opened: workers may still be closing their sockets there.
        var ours: Set<SocketAddress> = []
        var threads: [Thread] = []
        var drained = false
        /// The workers' interpreters, and those of earlier configurations.
        var interpreters: [Interpreter] = []
        var retired: [Interpreter] = []
    }

    package let memories: [MeterMemory]
    package let accessLog: AccessLog?
    private let mailboxes: [Mailbox<WorkerLetter>]
    /// What names stand for.
    package let discovery: Discovery
    private let state = Mutex(State())
    private let finished = Atomic<Int>(0)

    /// Starts `workers` event loops that wait for their first configuration. nil: the system refused threads,
    /// descriptors or address space.
    /// `dnsServers`: instead of those of resolv.conf.
    package init?(workers: Int, accessLog: AccessLog?, pin: Bool, dnsServers: [SocketAddress] = []) {
        guard let resolver = Resolver(servers: dnsServers) else { return nil }
        self.accessLog = accessLog
        var mailboxes: [Mailbox<WorkerLetter>] = []
        var memories: [MeterMemory] = []
        for _ in 0..<workers {
            guard let mailbox = Mailbox<WorkerLetter>(), let memory = MeterMemory() else { return nil }
            mailboxes.append(mailbox)
            memories.append(memory)
        }
        self.mailboxes = mailboxes
        discovery = Discovery(resolver, mailboxes)
        self.memories = memories
        let (connectionsMax, acceptMax) = Self.connectionBounds(workers)
        for index in 0..<workers {
            let setup = WorkerSetup(
                index: index, mailbox: mailboxes[index], memories: memories, accessLog: accessLog,
                resolver: resolver, connectionsMax: connectionsMax, acceptMax: acceptMax)
            let thread = Thread(name: "worker-\(index)") { [self] in
                if pin { _ = fl_pin_to_allowed_cpu(Int32(index)) }
                if var worker = Worker.make(setup) {
                    worker.run()
                } else {
                    Log.error("worker \(index): the system refused memory or descriptors")
                }
                finished.add(1, ordering: .releasing)
            }
            guard let thread else { return nil }
            state.withLock { $0.threads.append(thread) }
        }
    }

    /// For one worker: slots, no more than the process may have descriptors; and at how many connections
    /// accepting stops, so that clients leave a quarter of the descriptors to what serves them.
    private static func connectionBounds(_ workers: Int) -> (slots: Int, accepting: Int) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return (65_536, 65_536)
        }
        // The soft limit protects programs that use select(2); this is none.
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        let descriptors = Int(clamping: limit.rlim_cur)
        let slots = min(Limits.connectionsPerWorker, max(1_024, min(descriptors, 1 << 30) + 64))
        let spare = max(0, min(descriptors, 1 << 30) - Limits.ownDescriptors - 8 * workers)
        return (slots, min(slots, max(4, spare / 4 * 3 / workers)))
    }

    package var workers: Int { mailboxes.count }

    /// Routes by `snapshot` from now on. Nothing has changed when this throws.
    package func apply(_ snapshot: Snapshot) throws(ListenError) {
        discovery.prepare(snapshot)
        let listeners = snapshot.table.pointee.listeners
        let (open, ours) = state.withLock { ($0.open, $0.ours) }
        var made: [Int: [Int32]] = [:]
        var wanted: Set<SocketAddress> = []
        var failure: ListenError?
        for index in 0..<listeners.count where failure == nil {
            let address = listeners[index].pointee.address
            wanted.insert(address)
            if open.contains(address) { continue }
            let (sockets, code) = makeSockets(address, isOurs: ours.contains(address))
            made[index] = sockets
            if code != 0 {
                let name = listeners[index].pointee.name.string
                failure = ListenError(name: name, address: address, code: code)
            }
        }
        if let failure {
            for sockets in made.values { for fd in sockets { Syscalls.close(fd) } }
            discovery.keep()
            throw failure
        }
        let interpreters = makeInterpreters(snapshot)
        discovery.take(snapshot) { resolved in
            for (worker, mailbox) in mailboxes.enumerated() {
                let sockets = (0..<listeners.count).map { index in
                    ListenerSocket(
                        index: index, address: listeners[index].pointee.address,
                        descriptor: made[index]?[worker])
                }
                mailbox.post(.configuration(snapshot, sockets, interpreters[worker], resolved))
            }
        }
        state.withLock { state in
            state.open = wanted
            state.ours.formUnion(wanted)
            state.retired += state.interpreters
            state.interpreters = interpreters.compactMap(\.self)
        }
    }

    /// Frees what earlier configurations left and no worker holds any more: who lets go of it last frees it,
    /// which on a worker's thread requests would wait for. Returns whether some is left.
    package func freeRetired() -> Bool {
        let (areLeft, _) = state.withLock { state in
            let gone = takeUnshared(&state.retired)
            return (!state.retired.isEmpty, gone)
        }
        return discovery.freeRetired() || areLeft
    }

    /// One listening socket a worker; errno tells why there are fewer.
    private func makeSockets(_ address: SocketAddress, isOurs: Bool) -> (sockets: [Int32], code: Int32) {
        let taken = isOurs ? 0 : Sockets.probe(address)
        if taken != 0 { return ([], taken) }
        var sockets: [Int32] = []
        for _ in mailboxes {
            switch Sockets.listen(address, backlog: Limits.backlog) {
            case .socket(let fd): sockets.append(fd)
            case .failed(let code): return (sockets, code)
            }
        }
        return (sockets, 0)
    }

    /// One for each worker, made here: loading scripts would hold up a worker's requests.
    private func makeInterpreters(_ snapshot: Snapshot) -> [Interpreter?] {
        let scripts = snapshot.table.pointee.scripts
        return mailboxes.map { _ in
            guard !scripts.isEmpty else { return nil }
            do throws(ScriptLoadError) {
                return try Interpreter.load(scripts)
            } catch {
                // Each script loaded when it was checked: what is missing is memory for all of them.
                let document = scripts[error.position].pointee.document.string
                Log.error("\(document): the script does not load, no script runs: \(error.problem.message)")
                return nil
            }
        }
    }

    /// Stops accepting; what is in flight may go on for `milliseconds`.
    package func drain(milliseconds: UInt64) {
        let first = state.withLock { state in
            defer { state.drained = true }
            return !state.drained
        }
        guard first else { return }
        let deadlineMs = Syscalls.monotonicMs() + milliseconds
        for mailbox in mailboxes { mailbox.post(.drain(deadlineMs: deadlineMs)) }
    }

    /// Whether every worker has ended.
    package var isFinished: Bool { finished.load(ordering: .acquiring) == mailboxes.count }

    /// Waits for all workers, after `drain`.
    package func join() {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
        discovery.resolver.stop()
    }
}
