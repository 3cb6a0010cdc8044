// The proxies: one `fairlead run` each for the edge and every pod's sidecar, started with the same documents
// and told apart by --proxy. None outlives the demo.
internal import Base
internal import CLinux
internal import Glibc

final class ProxyProcesses {
    /// Loading the documents takes milliseconds; a proxy that needs longer has failed.
    private static let startMs: UInt64 = 15_000
    /// How long they may take to end before they are killed.
    private static let endMs: UInt64 = 3_000

    private let program: String
    private let folder: WorkFolder
    private let site: Site
    private var running: [(name: String, pid: Int32)] = []

    init(program: String, folder: WorkFolder, site: Site) {
        self.program = program
        self.folder = folder
        self.site = site
    }

    /// Starts all and waits until each is ready.
    func start(_ signals: EndSignals) throws(DemoError) {
        // The Gateway's port 80 needs a privilege; everything else is bound as the documents say.
        try start("edge", site.edgeAdmin, ["--port", "80=\(site.edgePort)"])
        for pod in Pod.all { try start(pod.name, site.admin(pod), []) }
        let end = fl_monotonic_ns() + Self.startMs * 1_000_000
        for (name, _) in running {
            while !textOfFile(folder.log(name)).split(separator: "\n").contains("ready") {
                if let ended = reap() {
                    throw failure("\(ended.name) ended (exit \(ended.exit))", ended.name)
                }
                if fl_monotonic_ns() > end { throw failure("\(name) does not become ready", name) }
                if signals.wait(ms: 10) { return }
            }
        }
    }

    private func start(_ name: String, _ admin: SocketAddress, _ more: [String]) throws(DemoError) {
        let arguments =
            [program, "run", folder.documents, "--proxy", "\(Site.namespace)/\(name)"]
            + ["--admin", admin.text, "--workers", "1", "--access-log", folder.accessLog(name)] + more
        let pid = spawn(arguments, log: folder.log(name))
        if pid < 0 { throw DemoError("cannot start \(program): \(String(cString: strerror(-pid)))") }
        running.append((name, pid))
    }

    private func spawn(_ arguments: [String], log: String) -> Int32 {
        // Settings of the user's own would reach all seven proxies and mean something else in each.
        var environment: [UnsafeMutablePointer<CChar>?] = []
        var entry = environ
        while let text = entry.pointee {
            if strncmp(text, "FAIRLEAD_", 9) != 0 { environment.append(strdup(text)) }
            entry += 1
        }
        environment.append(nil)
        var words = arguments.map { strdup($0) } + [nil]
        defer {
            for text in words + environment { free(text) }
        }
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        defer {
            close(nothing)
            close(output)
        }
        return fl_spawn(&words, &environment, nothing, output, output, SIGKILL)
    }

    private func failure(_ text: String, _ name: String) -> DemoError {
        let tail = textOfFile(folder.log(name)).split(separator: "\n").suffix(20).joined(separator: "\n  ")
        return DemoError("\(text). The last it said:\n  \(tail)")
    }

    /// One that has ended since the last call, with its exit code or minus its signal.
    private func reap() -> (name: String, exit: Int32)? {
        for (index, process) in running.enumerated() {
            var status: Int32 = 0
            guard waitpid(process.pid, &status, WNOHANG) == process.pid else { continue }
            running.remove(at: index)
            return (process.name, status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F))
        }
        return nil
    }

    /// Stays until a signal comes (true) or a proxy ends by itself (false).
    func watch(until signals: EndSignals) -> Bool {
        while !signals.wait(ms: 200) {
            // A terminal's Ctrl-C reaches the proxies too, so look for the signal once more.
            if let ended = reap(), !signals.wait(ms: 200) {
                say("\(failure("\(ended.name) ended (exit \(ended.exit))", ended.name))")
                return false
            }
        }
        return true
    }

    /// Ends all that still run.
    func stop() {
        for process in running { kill(process.pid, SIGTERM) }
        let end = fl_monotonic_ns() + Self.endMs * 1_000_000
        while !running.isEmpty {
            if reap() == nil { usleep(5_000) }
            if fl_monotonic_ns() > end { break }
        }
        for process in running {
            kill(process.pid, SIGKILL)
            waitpid(process.pid, nil, 0)
        }
        running = []
    }
}
