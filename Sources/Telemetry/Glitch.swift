// What a peer may do and yet hardly ever does: legal or nearly so, cheap to send and dear to serve when it
// comes by the thousand. Each kind has a counter, and one for the connections that were ended because of it.

/// A kind of glitch that is charged to the connection's budget (`Limits.glitchBudget`). In the order of the
/// `glitch...` and `cut...` counters; HTTP/2's come first, in the order of `H2Glitch`.
public enum Glitch: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// A stream that the client took back before it was answered (CVE-2023-44487).
    case reset
    /// A stream that we had to reset because of what the client sent on it (CVE-2025-8671).
    case madeReset
    case continuation, settings, ping, emptyData, priority, windowUpdate
    case headTooLarge, malformed, zeroWindow, unknownFrame
    /// Blank lines before an HTTP/1 request line (RFC 9112 2.2).
    case emptyLine
    /// `content-length` said twice, the same both times (RFC 9110 8.6).
    case repeatedLength
    /// Chunks whose framing outweighs what they carry (RFC 9112 7.1).
    case chunkFraming
}
