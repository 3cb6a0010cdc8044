// The only door between threads: others put letters in, the loop that owns the box takes them out. A quiet
// turn of the loop reads nothing: the eventfd wakes it through epoll.
internal import CLinux
internal import Synchronization

public final class Mailbox<Letter: Sendable>: Sendable {
    private let letters = Mutex<[Letter]>([])
    /// Watch this for reading.
    public let descriptor: Int32

    /// nil: no descriptor to be had.
    public init?() {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        if descriptor < 0 { return nil }
    }

    deinit { Syscalls.close(descriptor) }

    /// Puts a letter in and wakes the owner; from any thread.
    public func post(_ letter: Letter) {
        letters.withLock { $0.append(letter) }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Takes all letters out, in order; by the owner, when `descriptor` is readable.
    public func take() -> [Letter] {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return letters.withLock { letters in
            let taken = letters
            letters.removeAll(keepingCapacity: true)
            return taken
        }
    }
}
