// The access log: rings that workers fill and one thread that empties them into a file. The request path
// never formats, never locks and never waits: a writer that cannot keep up costs lines, which are counted.
internal import Base
internal import CLinux
internal import Glibc
internal import Loop
internal import Synchronization

/// Where access log lines go.
public enum AccessLogTarget: Sendable, Equatable {
    case standardOutput
    case file(String)

    /// From `--access-log FILE|-|off`; nil is off.
    public init?(flag: String) {
        switch flag {
        case "", "off": return nil
        case "-", "/dev/stdout": self = .standardOutput
        default: self = .file(flag)
        }
    }
}

public enum AccessLogFormat: String, Sendable {
    /// Istio's default line, then ` lane=... lane_decision=... lane_carrier=... reason=...`.
    case text
    /// One object a line with Istio's keys and those four.
    case json
}

/// The log file cannot be opened.
public struct AccessLogError: Error, CustomStringConvertible {
    public var path: String
    public var code: Int32
    public var description: String { "cannot open access log \(path): \(String(cString: strerror(code)))" }
}

/// What the access log has done so far.
public struct AccessLogStats: Sendable {
    /// Lines handed to the file.
    public var written: UInt64 = 0
    /// Lines lost because a ring was full.
    public var dropped: UInt64 = 0
    /// Lines lost because the file refused them.
    public var failed: UInt64 = 0
}

public final class AccessLog: Sendable {
    private let wiring: AccessWiring
    private let shared = AccessWriterShared()
    private let thread: Mutex<Thread?>

    /// Opens the target and starts the writer.
    public init(target: AccessLogTarget, format: AccessLogFormat, workers: Int) throws(AccessLogError) {
        let wiring = try AccessWiring(workers: workers)
        let descriptor = try AccessWriter.open(target)
        let shared = shared
        let started = Thread(name: "access-log") {
            var writer = AccessWriter(
                wiring: wiring, target: target, format: format, descriptor: descriptor, shared: shared)
            writer.run()
        }
        guard let started else {
            if target != .standardOutput { Glibc.close(descriptor) }
            throw AccessLogError(path: "(thread)", code: EAGAIN)
        }
        self.wiring = wiring
        thread = Mutex(started)
    }

    deinit { close() }

    /// The end for one worker; workers count from 0 up to the number given at creation.
    public func ring(worker: Int) -> AccessRing { wiring.rings[worker] }

    /// Closes the file and opens its name again: after a log rotation (SIGUSR1). The writer does it before
    /// the next line; if the name cannot be opened, the old file stays.
    public func reopen() {
        shared.reopen.store(true, ordering: .releasing)
        wake()
    }

    /// Writes what is left and ends the writer. Waits at most `Limits.accessFlushMs` for a target that takes
    /// nothing. Workers must have ended; a second call does nothing.
    public func close() {
        shared.stop.store(true, ordering: .releasing)
        wake()
        thread.withLock { thread in
            guard let running = thread else { return }
            running.join()
            thread = nil
        }
    }

    public var stats: AccessLogStats {
        var stats = AccessLogStats()
        stats.written = shared.written.load(ordering: .relaxed)
        stats.failed = shared.failed.load(ordering: .relaxed)
        for ring in wiring.rings { stats.dropped += ring.dropped }
        return stats
    }

    private func wake() {
        var one: UInt64 = 1
        _ = Glibc.write(wiring.wakeDescriptor, &one, 8)
    }
}

/// The rings and what wakes their reader; freed when neither the log nor its writer is left.
final class AccessWiring: Sendable {
    nonisolated(unsafe) let rings: [AccessRing]
    nonisolated(unsafe) let writerState: UnsafeMutablePointer<UInt64>
    let wakeDescriptor: Int32

    init(workers: Int) throws(AccessLogError) {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        if descriptor < 0 { throw AccessLogError(path: "(eventfd)", code: errno) }
        let state = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        state.initialize(to: WriterState.awake)
        var rings: [AccessRing] = []
        for _ in 0..<max(1, workers) {
            let ring = AccessRing(
                capacity: Limits.accessRingBytes, writerState: state, wakeDescriptor: descriptor)
            guard let ring else {
                for ring in rings { ring.unmap() }
                state.deallocate()
                Glibc.close(descriptor)
                throw AccessLogError(path: "(ring)", code: ENOMEM)
            }
            rings.append(ring)
        }
        self.rings = rings
        writerState = state
        wakeDescriptor = descriptor
    }

    deinit {
        for ring in rings { ring.unmap() }
        writerState.deallocate()
        Glibc.close(wakeDescriptor)
    }
}

/// What the writer and its owner tell each other.
final class AccessWriterShared: Sendable {
    let stop = Atomic<Bool>(false)
    let reopen = Atomic<Bool>(false)
    let written = Atomic<UInt64>(0)
    let failed = Atomic<UInt64>(0)
}
