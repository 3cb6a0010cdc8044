// A point in time after which a helper gives up. Deadlines end hangs; no test may assert on how long
// something took.
internal import CLinux
internal import Glibc

/// An instant on the monotonic clock.
package struct Deadline: Sendable {
    private let atNs: UInt64

    /// Long enough for a loaded two-core machine with sanitizers on.
    package static var usual: Deadline { .seconds(60) }

    package static func seconds(_ seconds: Double) -> Deadline {
        Deadline(atNs: fl_monotonic_ns() + UInt64(seconds * 1_000_000_000))
    }

    package var hasPassed: Bool { fl_monotonic_ns() >= atNs }

    /// What is left, rounded up to milliseconds, for poll(2).
    var remainingMs: Int32 {
        let now = fl_monotonic_ns()
        return now >= atNs ? 0 : Int32(clamping: (atNs - now) / 1_000_000 + 1)
    }
}

/// Blocks the calling thread.
package func sleepMs(_ milliseconds: Int) {
    let deadline = Deadline.seconds(Double(milliseconds) / 1_000)
    while !deadline.hasPassed { poll(nil, 0, deadline.remainingMs) }
}

/// Asks every few milliseconds until `condition` holds; throws with `what` when the deadline passes first.
package func waitUntil(
    _ what: String, _ deadline: Deadline = .usual, _ condition: () throws -> Bool
) throws {
    while try !condition() {
        if deadline.hasPassed { throw TestFailure("waited in vain for: \(what)") }
        sleepMs(5)
    }
}
