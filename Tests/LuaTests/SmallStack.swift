// A thread with as little stack as a worker has.
import Base
import Glibc
import Synchronization
import TestSupport

/// Runs `body` on such a thread; false: it did not come back.
func onSmallStack(_ body: @escaping @Sendable () throws -> String) throws -> (String, Bool) {
    final class Box: Sendable {
        let body: @Sendable () throws -> String
        let result = Mutex<Result<String, any Error>?>(nil)
        init(_ body: @escaping @Sendable () throws -> String) { self.body = body }
    }
    let box = Box(body)
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 512 << 10)
    var thread = pthread_t()
    let started = pthread_create(
        &thread, &attributes,
        { argument in
            let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            let result = Result { try box.body() }
            box.result.withLock { $0 = result }
            return nil
        }, Unmanaged.passRetained(box).toOpaque())
    pthread_attr_destroy(&attributes)
    guard started == 0, pthread_join(thread, nil) == 0, let result = box.result.withLock({ $0 }) else {
        return ("", false)
    }
    return (try result.get(), true)
}
