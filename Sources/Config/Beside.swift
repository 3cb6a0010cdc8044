// Work that another thread does while this one goes on, where there is a processor for it.
internal import CLinux
internal import Loop
internal import Synchronization

struct Beside<Value: Sendable>: Sendable {
    private final class Outcome: Sendable {
        let value = Mutex<Value?>(nil)
    }

    private let outcome = Outcome()
    private let work: @Sendable () -> Value
    private var thread: Thread?

    /// Begins at once if it `pays`; else, or where there is no thread to be had, `value` does the work.
    init(_ name: String, pays: Bool, _ work: @escaping @Sendable () -> Value) {
        self.work = work
        let outcome = outcome
        guard pays, Thread.processorsAllowed > 1 else { return }
        // As deep as the main thread's: values nest.
        thread = Thread(name: name, stackBytes: 8 << 20) {
            // Requests come first.
            fl_lower_thread_priority()
            let done = work()
            outcome.value.withLock { $0 = done }
        }
    }

    /// Waits for the work. To be asked once.
    func value() -> Value {
        thread?.join()
        return outcome.value.withLock { $0 } ?? work()
    }
}
