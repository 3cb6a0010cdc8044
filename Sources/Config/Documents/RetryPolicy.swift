// `retries` of a VirtualService as far as requests are tried again: those that no upstream has seen, because
// no connection could be made or the stream was refused (istio-semantics.md 8).
internal import Base

struct RetryPolicy {
    /// Tries after the first where no connection could be made.
    var onConnectFailure: Int
    /// Tries after the first where the stream was refused.
    var onRefusedStream: Int

    /// `attempts`: 0 is no retries. `conditions`: `retryOn`; empty is Istio's default list, which has both.
    init(attempts: Int, conditions: String) {
        let words = conditions.split(separator: ",").map { $0.trimmed }
        let most = min(attempts, Limits.retries)
        // No answer at all is what these are about, whatever kept it away.
        let isAny = conditions.isEmpty || words.contains { ["5xx", "gateway-error", "reset"].contains($0) }
        onConnectFailure = isAny || words.contains("connect-failure") ? most : 0
        onRefusedStream = isAny || words.contains("refused-stream") ? most : 0
    }
}
