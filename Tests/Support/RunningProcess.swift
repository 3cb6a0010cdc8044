// A program that runs beside the test: its output is kept as it comes, and it never outlives the test,
// however that ends.
internal import CLinux
internal import Glibc
internal import Synchronization

package final class RunningProcess: Sendable {
    package let pid: Int32
    private let shared: Shared

    private final class Shared: Sendable {
        let state = Mutex(State())
    }

    private struct State {
        var stdout: [UInt8] = []
        var stderr: [UInt8] = []
        var openStreams = 2
        var exit: Int32?
    }

    /// Starts `arguments[0]` (looked up in PATH when it has no slash). `environment` is added to the test's
    /// own. Standard input is `input`, then its end.
    package init(
        _ arguments: [String], environment: [String: String] = [:], input: [UInt8] = []
    ) throws {
        let pipes = try (0..<3).map { _ in try Pipe() }
        pid = try Spawner.spawn(
            arguments, environment, (pipes[0].read, pipes[1].write, pipes[2].write))
        for fd in [pipes[0].read, pipes[1].write, pipes[2].write] { close(fd) }
        let shared = Shared()
        self.shared = shared
        try Self.collect(pipes[1].read) { bytes in
            shared.state.withLock { $0.stdout += bytes }
        } atEnd: {
            shared.state.withLock { $0.openStreams -= 1 }
        }
        try Self.collect(pipes[2].read) { bytes in
            shared.state.withLock { $0.stderr += bytes }
        } atEnd: {
            shared.state.withLock { $0.openStreams -= 1 }
        }
        let pid = pid
        let inputEnd = pipes[0].write
        try startThread {
            Self.writeAll(input, to: inputEnd)
            close(inputEnd)
        }
        try startThread {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            // As a shell counts: 128 + signal for one that died of a signal.
            let ended = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
            shared.state.withLock { $0.exit = ended }
        }
    }

    deinit {
        // Until waitpid has told its end the number cannot belong to another process.
        if shared.state.withLock({ $0.exit == nil }) { kill(pid, SIGKILL) }
    }

    package var stdout: String { shared.state.withLock { String(decoding: $0.stdout, as: UTF8.self) } }
    package var stderr: String { shared.state.withLock { String(decoding: $0.stderr, as: UTF8.self) } }
    /// Nil while it runs; 128 + N if it died of signal N.
    package var exitCode: Int32? { shared.state.withLock { $0.exit } }

    package func signal(_ number: Int32) {
        if exitCode == nil { kill(pid, number) }
    }

    /// Waits for a line of standard output that starts so and returns it; throws when the program ends first.
    @discardableResult
    package func waitForLine(_ prefix: String, _ deadline: Deadline = .usual) throws -> String {
        var found: String?
        try waitUntil("a line '\(prefix)…' of \(self.description)", deadline) {
            let ended = exitCode != nil && shared.state.withLock { $0.openStreams == 0 }
            var lines = stdout.split(separator: "\n", omittingEmptySubsequences: false)
            // What stands behind the last line feed may go on.
            if !ended { lines.removeLast() }
            found = lines.first { $0.hasPrefix(prefix) }.map(String.init)
            if found == nil, ended {
                throw TestFailure("ended without a line '\(prefix)…': \(self.description)")
            }
            return found != nil
        }
        return found ?? ""
    }

    /// Waits for its end and the end of its output; returns the exit code. Past the deadline it is killed.
    @discardableResult
    package func waitForExit(_ deadline: Deadline = .usual) throws -> Int32 {
        do {
            try waitUntil("the end of \(self.description)", deadline) {
                exitCode != nil && shared.state.withLock { $0.openStreams == 0 }
            }
        } catch {
            signal(SIGKILL)
            throw error
        }
        return exitCode ?? -1
    }

    private var description: String {
        """
        process \(pid) (exit \(exitCode.map(String.init) ?? "none"))
        --- stdout
        \(stdout)--- stderr
        \(stderr)
        """
    }

    private static func collect(
        _ fd: Int32, _ append: @escaping @Sendable ([UInt8]) -> Void,
        atEnd: @escaping @Sendable () -> Void
    ) throws {
        try startThread {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(fd, &chunk, chunk.count)
                if count > 0 { append(Array(chunk[..<count])) }
                if count == 0 || (count < 0 && errno != EINTR) { break }
            }
            close(fd)
            atEnd()
        }
    }

    /// A program that does not read its input to the end must not end the test with SIGPIPE; the test's
    /// process ignores it (`Spawner`), so the write fails instead.
    private static func writeAll(_ bytes: [UInt8], to fd: Int32) {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            written += count
        }
    }
}

struct Pipe {
    let read: Int32
    let write: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard fl_pipe(&ends) == 0 else { throw TestFailure("pipe: errno \(errno)") }
        read = ends[0]
        write = ends[1]
    }
}

/// Starts processes from one thread that lives as long as the test process: the kernel's parent-death signal,
/// which ends them when the tests crash, comes when the thread that forked ends.
private enum Spawner {
    private struct Order: Sendable {
        var arguments: [String]
        var environment: [String]
        var streams: (Int32, Int32, Int32)
        var answer: Answer
    }

    private final class Answer: Sendable {
        let pid = Mutex<Int32?>(nil)
    }

    private static let orders = Mutex<[Order]>([])
    /// A byte in it wakes the thread for one order; nil if the thread could not be started.
    private static let bell: Pipe? = {
        signal(SIGPIPE, SIG_IGN)
        guard let bell = try? Pipe() else { return nil }
        let thread: Void? = try? startThread {
            var byte: UInt8 = 0
            while true {
                guard read(bell.read, &byte, 1) == 1 else { continue }
                let order: Order? = orders.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                if let order { order.answer.pid.withLock { $0 = start(order) } }
            }
        }
        return thread == nil ? nil : bell
    }()

    static func spawn(
        _ arguments: [String], _ extra: [String: String], _ streams: (Int32, Int32, Int32)
    ) throws -> Int32 {
        guard let bell, let name = arguments.first else { throw TestFailure("nothing to start") }
        let program = try resolve(name)
        var environment: [String] = []
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text)
            let name = pair.prefix { $0 != "=" }
            if extra[String(name)] == nil { environment.append(pair) }
            entry += 1
        }
        environment += extra.map { "\($0.key)=\($0.value)" }
        let answer = Answer()
        orders.withLock {
            $0.append(
                Order(
                    arguments: [program] + arguments.dropFirst(), environment: environment,
                    streams: streams, answer: answer))
        }
        var byte: UInt8 = 1
        _ = write(bell.write, &byte, 1)
        try waitUntil("fork") { answer.pid.withLock { $0 != nil } }
        let pid = answer.pid.withLock { $0 } ?? -1
        guard pid > 0 else { throw TestFailure("cannot start \(program): errno \(-pid)") }
        return pid
    }

    private static func start(_ order: Order) -> Int32 {
        var arguments = order.arguments.map { strdup($0) } + [nil]
        var environment = order.environment.map { strdup($0) } + [nil]
        defer {
            for text in arguments + environment { free(text) }
        }
        return fl_spawn(
            &arguments, &environment, order.streams.0, order.streams.1, order.streams.2, SIGKILL)
    }

    private static func resolve(_ program: String) throws -> String {
        if program.contains("/") { return program }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        // Servers lie where a user's PATH does not lead.
        let folders = "\(path):/usr/sbin".split(separator: ":")
        for folder in folders where access("\(folder)/\(program)", X_OK) == 0 {
            return "\(folder)/\(program)"
        }
        throw TestFailure("\(program) is not installed")
    }
}
