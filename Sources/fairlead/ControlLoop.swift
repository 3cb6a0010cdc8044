// The control thread of `run`: loads configuration, starts the workers, takes signals, watches files,
// reloads, drains. Requests never wait for anything that happens here.
internal import Admin
internal import Base
internal import CLinux
internal import Config
internal import Glibc
internal import Lanes
internal import Loop
internal import Proxy
internal import Synchronization
internal import Telemetry

/// What admin handlers share with the control thread.
final class Control: Sendable {
    private struct State {
        var snapshot: Snapshot?
        /// Earlier ones that workers may still hold.
        var retired: [Snapshot] = []
        var generation: UInt64 = 0
        var firstSeen: [String: Int64] = [:]
        var contexts = TLSContexts()
        /// What the last load, refused or not, read of large texts.
        var kept: KeptParts? = KeptParts()
        /// Files beside the documents that the last load read, refused or not, as they were before.
        var filesBeside: [String: UInt64] = [:]
        /// Findings of the last load, as told.
        var told: Set<Finding> = []
        /// Warnings of the last load that was accepted, as told.
        var warned: [String] = []
    }

    let options: RunOptions
    let paths: [String]
    let registry = Lanes.Registry()
    let fleet: Fleet
    let meter = ControlMeter()
    private let state = Mutex(State())
    private let loading = Mutex(())
    private let draining = Atomic<Bool>(false)
    /// When a drained process ends though nobody sent it a signal, milliseconds of the monotonic clock.
    private let lingerMs = Atomic<UInt64>(0)
    private let wakeDescriptor: Int32

    init(options: RunOptions, paths: [String], fleet: Fleet, wakeDescriptor: Int32) {
        self.options = options
        self.paths = paths
        self.fleet = fleet
        self.wakeDescriptor = wakeDescriptor
    }

    var snapshot: Snapshot? { state.withLock { $0.snapshot } }
    /// Everything whose change means a reload.
    var watched: [String] { paths + filesBeside.keys.sorted() }
    /// Files beside the documents, with their fingerprints of just before they were read.
    var filesBeside: [String: UInt64] { state.withLock { $0.filesBeside } }
    var isDraining: Bool { draining.load(ordering: .relaxed) }

    /// Loads and, if nothing is refused, routes by it. Also the first load.
    func reload() -> (ok: Bool, findings: [Finding], listen: ListenError?, unreadable: Bool) {
        // One at a time: two reloads at once would race for the generation.
        loading.withLock { _ in
            // The documents' trees and what was compiled from them are many times the frozen result, and they
            // are gone: without being asked the allocator keeps their pages.
            defer { fl_trim_heap() }
            let (generation, firstSeen, contexts, kept) = state.withLock {
                ($0.generation + 1, $0.firstSeen, $0.contexts, $0.kept)
            }
            var loaded = Configuration.load(
                paths, proxy: options.proxy, ports: options.ports, generation: generation,
                registry: registry, firstSeen: firstSeen, contexts: contexts, kept: kept)
            state.withLock { state in
                state.filesBeside = loaded.contexts.files
                state.kept = loaded.kept
            }
            // Whoever asked for it: what is watched may be other files now.
            defer { wake() }
            if !loaded.unreadable { for note in loaded.notes where generation == 1 { Log.info(note) } }
            var listen: ListenError?
            if let snapshot = loaded.snapshot {
                do throws(ListenError) {
                    try fleet.apply(snapshot)
                    state.withLock { state in
                        if let before = state.snapshot { state.retired.append(before) }
                        state.snapshot = snapshot
                        state.generation = generation
                        state.firstSeen = loaded.firstSeen
                        state.contexts = loaded.contexts
                    }
                    meter.configurationAccepted(generation: generation)
                    warn(loaded.warnings)
                    return (true, loaded.findings, nil, false)
                } catch {
                    listen = error
                    let source = snapshot.model.listeners.first { $0.name == error.name }?.source
                    loaded.findings.append(
                        Finding(
                            .error, Code.cannotListen, error.message,
                            file: source?.file ?? paths.first ?? "-", line: source?.line ?? 0,
                            resource: source?.document ?? "",
                            suggestion: error.remedy, refused: true)
                    )
                }
            }
            meter.configurationRefused()
            return (false, loaded.findings, listen, loaded.unreadable)
        }
    }

    /// Frees the configurations that no worker holds any more. Here, because that takes milliseconds, and
    /// whoever lets go of one last frees it: a worker's requests would wait. Returns whether some are left.
    func freeRetired() -> Bool {
        let partsAreLeft = fleet.freeRetired()
        var (gone, areLeft) = state.withLock { state in
            let gone = takeUnshared(&state.retired)
            return (gone, !state.retired.isEmpty)
        }
        if !gone.isEmpty {
            gone = []
            fl_trim_heap()
        }
        return areLeft || partsAreLeft
    }

    /// Those of a load's findings that the load before did not have: what has stood there for long is not
    /// said again with each change of a file.
    func news(_ findings: [Finding]) -> [Finding] {
        state.withLock { state in
            let before = state.told
            state.told = Set(findings)
            return findings.filter { !before.contains($0) }
        }
    }

    /// Says those that the load before did not have.
    private func warn(_ warnings: [String]) {
        let before = state.withLock { state in
            defer { state.warned = warnings }
            return state.warned
        }
        for warning in warnings where !before.contains(warning) { Log.warning(warning) }
    }

    /// Starts draining. `ends`: the process ends with the workers, as a signal wants it. Without, as the
    /// admin port wants it, it answers probes 503 until the drain time is over: balancers have to see that.
    func drain(ends: Bool) {
        let configured = snapshot?.model.proxy.drainTimeoutMs ?? 30_000
        let timeMs = options.drainSeconds.map { $0 * 1_000 } ?? configured
        if ends || !isDraining {
            lingerMs.store(ends ? 0 : Syscalls.monotonicMs() + timeMs, ordering: .relaxed)
        }
        guard !draining.exchange(true, ordering: .relaxed) else { return }
        fleet.drain(milliseconds: timeMs)
        wake()
    }

    /// Draining is over, and nobody has to be told of it any longer.
    var isOver: Bool {
        isDraining && fleet.isFinished && Syscalls.monotonicMs() >= lingerMs.load(ordering: .relaxed)
    }

    /// Makes the control loop look at what has changed.
    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }
}

struct ControlLoop {
    var options: RunOptions
    var paths: [String]

    /// How long after a change of files the reload waits for the rest of the change, milliseconds; and how
    /// long at most, where the folder never rests.
    private static let settleMs: Int32 = 100
    private static let settleMostMs: UInt64 = 1_000
    /// How often it is looked whether workers still hold earlier configurations.
    private static let retiredPollMs: Int32 = 500
    /// How often the end of the workers is looked for while draining.
    private static let drainPollMs: Int32 = 20

    /// Runs until stopped. Throws the process's exit status.
    func run() throws(ExitStatus) {
        // Reading the flags and loading the configuration take most of the program's code, serving takes
        // little of it: no phase keeps the pages of the one before.
        fl_drop_code_pages()
        let signals = SignalSource()
        guard signals.descriptor >= 0 else {
            throw fail("the system refused a descriptor for signals", .refused)
        }
        let wake = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        var log: AccessLog?
        if let target = AccessLogTarget(flag: options.accessLog) {
            do throws(AccessLogError) {
                log = try AccessLog(
                    target: target, format: options.logFormat == "json" ? .json : .text,
                    workers: options.workers)
            } catch {
                throw fail("\(error)", .refused)
            }
        }
        guard
            let fleet = Fleet(
                workers: options.workers, accessLog: log, pin: false, dnsServers: options.dnsServers)
        else {
            throw fail("the system refused threads, descriptors or memory", .refused)
        }
        let control = Control(options: options, paths: paths, fleet: fleet, wakeDescriptor: wake)
        let seen = SeenFiles(paths)
        try start(control)
        fl_drop_code_pages()
        let admin: AdminServer
        do throws(AdminServer.StartError) {
            admin = try AdminServer(address: options.admin, actions: Actions.make(control))
        } catch {
            throw fail(
                "cannot listen on \(options.admin.text) for admin: \(String(cString: strerror(error.code)))",
                .cannotBind)
        }
        // Before anybody is told that we are ready: a change right after that is seen.
        var watcher = FileWatcher()
        watcher?.watch(control.watched)
        if watcher == nil { Log.warning("no inotify instance left: files are reloaded on SIGHUP only") }
        announce(control, admin)
        serve(control, signals, wake, &watcher, seen)
        fleet.join()
        admin.stop()
        log?.close()
    }

    private func fail(_ message: String, _ status: ExitStatus) -> ExitStatus {
        writeText("fairlead: \(message)\n", to: 2)
        return status
    }

    private func start(_ control: Control) throws(ExitStatus) {
        let result = control.reload()
        tell(control.news(result.findings))
        if result.listen != nil { throw fail("a listener could not be opened", .cannotBind) }
        if !result.ok { throw fail("the configuration was refused", .refused) }
    }

    private func tell(_ findings: [Finding]) {
        if !findings.isEmpty { writeText(renderNews(findings), to: 2) }
    }

    /// One line per listener, then `ready`: what scripts wait for.
    private func announce(_ control: Control, _ admin: AdminServer) {
        var text = ""
        for listener in control.snapshot?.model.listeners ?? [] {
            text += "listening \(listener.name) on \(listener.address.text)\n"
        }
        text += "admin on \(admin.address.text)\nready\n"
        writeText(text, to: 1)
    }

    private func serve(
        _ control: Control, _ signals: SignalSource, _ wake: Int32, _ watcher: inout FileWatcher?,
        _ before: SeenFiles
    ) {
        var seen = before
        // At first, and after each reload: what changes between a reading and the start of the watches that
        // follow it is reported by none.
        var changedMs: UInt64? = Syscalls.monotonicMs()
        while true {
            var descriptors = [
                pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
                pollfd(fd: watcher?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let idleMs = control.freeRetired() ? Self.retiredPollMs : -1
            let timeoutMs =
                control.isDraining ? Self.drainPollMs : (changedMs == nil ? idleMs : Self.settleMs)
            let count = poll(&descriptors, 3, timeoutMs)
            if control.isOver { return }
            if let since = changedMs, count == 0 || Syscalls.monotonicMs() > since + Self.settleMostMs {
                changedMs = nil
                seen.add(control.filesBeside)
                // Seen before they are read: what changes meanwhile is news.
                if seen.changed(control.watched) { reload(control, "files changed") }
            }
            if descriptors[1].revents != 0 {
                var value: UInt64 = 0
                _ = read(wake, &value, 8)
                // After a reload: what the paths name may have moved.
                watcher?.watch(control.watched)
                changedMs = changedMs ?? Syscalls.monotonicMs()
            }
            if descriptors[2].revents != 0, watcher?.drain() == true {
                changedMs = changedMs ?? Syscalls.monotonicMs()
            }
            if descriptors[0].revents != 0 {
                for signal in signals.take() { handle(signal, control, &seen) }
            }
        }
    }

    private func handle(_ signal: Int32, _ control: Control, _ seen: inout SeenFiles) {
        switch signal {
        case SIGTERM, SIGINT:
            Log.info("draining")
            control.drain(ends: true)
        case SIGHUP:
            // What is read now is no news when the watches tell of it.
            _ = seen.changed(control.watched)
            reload(control, "SIGHUP")
        case SIGUSR1: control.fleet.accessLog?.reopen()
        case SIGUSR2:
            Log.warning("SIGUSR2: this version cannot hand its sockets to a new process; nothing was done")
        default: break
        }
    }

    private func reload(_ control: Control, _ why: String) {
        if control.isDraining { return }
        let result = control.reload()
        let news = control.news(result.findings)
        if result.ok {
            tell(news)
            Log.info("configuration reloaded (\(why))")
        } else {
            // The findings first, as at the start: who waits for the verdict then has them all.
            tell(result.findings)
            Log.error("configuration refused (\(why)): the one before keeps serving")
        }
    }
}

/// What the watched paths held when they were last looked at.
private struct SeenFiles {
    private var fingerprints: [String: UInt64] = [:]

    init(_ paths: [String]) {
        for path in paths { fingerprints[path] = FileWatcher.fingerprint([path]) }
    }

    /// Notes of files that are new what they held before they were read.
    mutating func add(_ files: [String: UInt64]) { fingerprints.merge(files) { known, _ in known } }

    /// Looks again at the paths; true if what one held before is not what it holds now. Others are forgotten.
    mutating func changed(_ paths: [String]) -> Bool {
        let now = Dictionary(paths.map { ($0, FileWatcher.fingerprint([$0])) }) { first, _ in first }
        let differs = now.contains { path, value in fingerprints[path].map { $0 != value } ?? false }
        fingerprints = now
        return differs
    }
}

/// Signals as something to poll. Made before any thread, so that all threads inherit the mask.
struct SignalSource {
    let descriptor: Int32

    init() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] { sigaddset(&set, signal) }
        sigprocmask(SIG_BLOCK, &set, nil)
        descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        // A client that goes away must not end the process.
        var ignored = sigset_t()
        sigemptyset(&ignored)
        sigaddset(&ignored, SIGPIPE)
        sigprocmask(SIG_BLOCK, &ignored, nil)
    }

    func take() -> [Int32] {
        var signals: [Int32] = []
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while read(descriptor, &information, size) == size { signals.append(Int32(information.ssi_signo)) }
        return signals
    }
}
