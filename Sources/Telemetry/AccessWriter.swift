// The access log's thread: gathers records from all rings, formats them and writes in batches. It does not
// spin: while there is work it naps `Limits.accessGatherMs` between batches (a ring half full wakes it),
// and once a look finds nothing it sleeps until a worker wakes it, so an idle proxy has no wake-ups and a
// busy one pays one system call for many lines.
internal import Base
internal import CLinux
internal import Glibc
internal import Synchronization

struct AccessWriter {
    private let wiring: AccessWiring
    private let target: AccessLogTarget
    private var format: AccessFormat
    private var descriptor: Int32
    private let shared: AccessWriterShared
    private var lines: UInt64 = 0
    /// Pipes, sockets and terminals can block for ever; files cannot.
    private var canBlock: Bool
    private var stopDeadlineNs: UInt64?
    private var warnedAtNs: UInt64 = 0

    init(
        wiring: AccessWiring, target: AccessLogTarget, format: AccessLogFormat, descriptor: Int32,
        shared: AccessWriterShared
    ) {
        self.wiring = wiring
        self.target = target
        self.format = AccessFormat(format)
        self.descriptor = descriptor
        self.shared = shared
        canBlock = Self.canBlock(descriptor)
    }

    static func open(_ target: AccessLogTarget) throws(AccessLogError) -> Int32 {
        guard case .file(let path) = target else { return STDOUT_FILENO }
        // O_NONBLOCK: a FIFO without a reader must not hold the process up at start. No effect on files.
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = Glibc.open(path, flags, 0o644)
        if descriptor < 0 { throw AccessLogError(path: path, code: errno) }
        return descriptor
    }

    private static func canBlock(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFREG
    }

    /// Until told to stop; then whatever the rings still hold.
    mutating func run() {
        while true {
            let stopping = shared.stop.load(ordering: .acquiring)
            if shared.reopen.exchange(false, ordering: .acquiring) { reopen() }
            let found = drain()
            if stopping {
                if !found || givesUp() { break }
                continue
            }
            wait(found ? WriterState.napping : WriterState.asleep)
        }
        if target != .standardOutput { Glibc.close(descriptor) }
    }

    /// True once the time for the last lines is over; it begins when the writer sees that it shall stop.
    private mutating func givesUp() -> Bool {
        guard shared.stop.load(ordering: .acquiring) else { return false }
        let now = fl_monotonic_ns()
        let deadline = stopDeadlineNs ?? now + Limits.accessFlushMs * 1_000_000
        stopDeadlineNs = deadline
        return now >= deadline
    }

    private func wait(_ state: UInt64) {
        fl_store_relaxed(wiring.writerState, state)
        fl_fence()
        let asleep = state == WriterState.asleep
        if asleep && wiring.rings.contains(where: { !$0.isEmpty }) {
            fl_store_relaxed(wiring.writerState, WriterState.awake)
            return
        }
        var waited = pollfd(fd: wiring.wakeDescriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&waited, 1, asleep ? -1 : Limits.accessGatherMs)
        fl_store_relaxed(wiring.writerState, WriterState.awake)
        var count: UInt64 = 0
        _ = read(wiring.wakeDescriptor, &count, 8)
    }

    /// Everything that is in the rings now; false if that was nothing. A bounded round per ring, so that one
    /// busy worker does not starve the others or a request to stop.
    private mutating func drain() -> Bool {
        var found = false
        for ring in wiring.rings {
            var budget = Limits.accessRingBytes / MemoryLayout<AccessRecord>.stride
            while budget > 0, ring.pop({ format.append($0) }) {
                found = true
                budget -= 1
                lines += 1
                if format.out.count >= Limits.accessBatchBytes { flush() }
            }
        }
        flush()
        return found
    }

    private mutating func flush() {
        guard lines > 0 else { return }
        let code = write()
        if code == 0 {
            shared.written.wrappingAdd(lines, ordering: .relaxed)
        } else {
            shared.failed.wrappingAdd(lines, ordering: .relaxed)
            warn("access log: \(lines) lines lost: \(String(cString: strerror(code)))")
        }
        lines = 0
        format.out.removeAll(keepingCapacity: true)
    }

    /// All of the batch, or the error number that stopped it.
    private mutating func write() -> Int32 {
        var done = 0
        while done < format.out.count {
            if canBlock {
                var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if poll(&waited, 1, 100) <= 0 {
                    if givesUp() { return ETIMEDOUT }
                    continue
                }
            }
            // A pipe that polls writable takes PIPE_BUF bytes without blocking; more might not fit.
            let left = format.out.count - done
            let count = format.out.withUnsafeBytes { bytes in
                Glibc.write(descriptor, bytes.baseAddress! + done, canBlock ? min(4_096, left) : left)
            }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return errno
            }
            done += count
        }
        return 0
    }

    private mutating func reopen() {
        guard target != .standardOutput else { return }
        do throws(AccessLogError) {
            let fresh = try Self.open(target)
            Glibc.close(descriptor)
            descriptor = fresh
            canBlock = Self.canBlock(fresh)
        } catch {
            warn("\(error); the old file stays in use")
        }
    }

    /// At most one line a minute: a full disk must not fill the program's own log too.
    private mutating func warn(_ message: String) {
        let now = fl_monotonic_ns()
        guard warnedAtNs == 0 || now - warnedAtNs > 60_000_000_000 else { return }
        warnedAtNs = now
        Log.warning(message)
    }
}
