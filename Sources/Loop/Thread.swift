// Threads without Foundation: a name, all signals blocked (the control thread takes them), a processor.
internal import CLinux
internal import Glibc

public struct Thread: Sendable {
    private let handle: pthread_t

    /// Runs `body` on a new thread; what `body` makes never leaves it. nil: the system refused.
    public init?(name: String, stackBytes: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        var thread = pthread_t()
        let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
        let result = pthread_create(&thread, &attributes, runThread, start.toOpaque())
        if result != 0 {
            start.release()
            return nil
        }
        handle = thread
    }

    /// Waits for its end.
    public func join() { pthread_join(handle, nil) }

    /// Processors this process may run on.
    public static var processorsAllowed: Int { Int(fl_cpus_allowed()) }
}

private final class ThreadStart: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
    fl_block_all_signals()
    fl_name_thread(start.name)
    start.body()
    return nil
}
