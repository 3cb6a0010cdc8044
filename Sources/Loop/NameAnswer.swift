// What became of one question for a name's addresses, and what is known of a name by then.
public import Base

/// Why a question had no answer that counts.
public enum NameFailure: String, Sendable {
    /// No server answered in time.
    case timeout
    /// A server said that it failed or that it will not answer, or none could be reached.
    case server
    /// It cannot be a host's name.
    case badName = "bad name"
}

enum NameAnswer: Sendable, Equatable {
    /// Without ports. nil: nobody said how long they hold, as with /etc/hosts.
    case addresses([SocketAddress], ttlSeconds: UInt32?)
    /// There is no such name, or it has no address.
    case absent
    case failed(NameFailure)
}

/// What is known of a name.
public struct NameState: Sendable, Equatable {
    public enum Status: String, Sendable {
        /// Nobody answered yet.
        case waiting
        case resolved
        /// No such name, or no address.
        case absent
        /// The last question failed: the addresses are those from before.
        case failing
    }

    public var status = Status.waiting
    /// Ports are 0.
    public var addresses: [SocketAddress] = []
    /// How long the answer held, milliseconds, within the bounds of `Limits`.
    public var ttlMs: UInt64 = 0
    /// When it is asked for again, on the monotonic clock.
    public var nextMs: UInt64 = 0
    /// Questions in a row that failed or found nothing.
    public var failures = 0
    public var failure: NameFailure?

    public init() {}
}
