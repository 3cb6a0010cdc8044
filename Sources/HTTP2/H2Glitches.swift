// Odd but legal things a peer did, counted by kind until the caller takes the counts and charges them to the
// connection's budget.

/// What is counted. Raw values are those of `Glitch` in Telemetry.
public enum H2Glitch: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// RST_STREAM before the response was whole (CVE-2023-44487).
    case reset
    /// The peer made us reset a stream: a stream error, a window overflow (CVE-2025-8671).
    case madeReset
    case continuation, settings, ping, emptyData, priority, windowUpdate
    /// A head larger than it may be.
    case headTooLarge
    /// A field that RFC 9113 forbids.
    case malformed
    /// A stream that found no window for its output in time.
    case zeroWindow
    /// Frames of types that nobody knows.
    case unknownFrame
}

struct H2Glitches: BitwiseCopyable {
    private var counts = (
        UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0),
        UInt32(0), UInt32(0), UInt32(0)
    )
    fileprivate(set) var hasNew = false
    /// What the session has ended the connection for by itself.
    var cut: H2Glitch? {
        didSet { hasNew = true }
    }

    mutating func note(_ glitch: H2Glitch) {
        hasNew = true
        withUnsafeMutableBytes(of: &counts) { bytes in
            bytes.assumingMemoryBound(to: UInt32.self)[Int(glitch.rawValue)] &+= 1
        }
    }

    fileprivate mutating func take(_ glitch: H2Glitch) -> Int {
        withUnsafeMutableBytes(of: &counts) { bytes in
            let counts = bytes.assumingMemoryBound(to: UInt32.self)
            defer { counts[Int(glitch.rawValue)] = 0 }
            return Int(counts[Int(glitch.rawValue)])
        }
    }
}

extension H2Session {
    /// Notes something odd that the caller saw.
    public func note(_ glitch: H2Glitch) { state.pointee.glitches.note(glitch) }

    /// Something odd was noted since the counts were taken.
    public var hasGlitches: Bool { state.pointee.glitches.hasNew }

    /// What the session has ended the connection for by itself, told once.
    public func takeCut() -> H2Glitch? {
        defer { state.pointee.glitches.cut = nil }
        return state.pointee.glitches.cut
    }

    /// Calls `body` with each kind that was noted and how often; the counts are zero then.
    public func takeGlitches(_ body: (H2Glitch, Int) -> Void) {
        state.pointee.glitches.hasNew = false
        for glitch in H2Glitch.allCases {
            let count = state.pointee.glitches.take(glitch)
            if count > 0 { body(glitch, count) }
        }
    }
}
