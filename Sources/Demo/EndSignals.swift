// Ctrl-C and its kin, taken in turn instead of by a handler: the demo looks whether one came where it can end
// in order.
internal import Glibc

/// From its making on INT, TERM and HUP are blocked in this thread and in those it starts.
final class EndSignals {
    private var set = sigset_t()
    private(set) var cameIn = false

    init() {
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A reader of our output that goes away must not leave proxies behind.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits so long at most; true once one of the signals came.
    func wait(ms: Int) -> Bool {
        if cameIn { return true }
        var limit = timespec(tv_sec: ms / 1_000, tv_nsec: ms % 1_000 * 1_000_000)
        cameIn = sigtimedwait(&set, nil, &limit) > 0
        return cameIn
    }
}
