// What Fairlead keeps of one HTTP/2 connection beside nghttp2's session, and the bounds it was made with.

/// Bounds of one session, from configuration.
public struct H2Limits: BitwiseCopyable, Sendable {
    /// Bytes and fields of one head.
    public var headBytes: Int
    public var headFields: Int
    /// Streams the peer may have open.
    public var streams: UInt32
    public var streamWindow: UInt32
    public var connectionWindow: UInt32

    public init(
        headBytes: Int, headFields: Int, streams: UInt32, streamWindow: UInt32, connectionWindow: UInt32
    ) {
        self.headBytes = headBytes
        self.headFields = headFields
        self.streams = streams
        self.streamWindow = streamWindow
        self.connectionWindow = connectionWindow
    }
}

/// One for each session, in memory of its own.
struct H2State: BitwiseCopyable {
    let session: OpaquePointer
    let engine: UnsafeMutablePointer<H2EngineState>
    let slot: UInt32
    let isServer: Bool
    let limits: H2Limits
    /// All stream records that are not freed.
    var streams: UnsafeMutablePointer<H2Stream>?
    var streamCount: UInt32 = 0
    var nextDirty: UnsafeMutablePointer<H2State>?
    var isDirty = false
    /// The peer's SETTINGS came.
    var hasSettings = false
    /// The peer has acknowledged our SETTINGS.
    var settingsTaken = false
    /// Servers: streams that nghttp2 counts against the limit.
    var openStreams: UInt32 = 0
    /// We reset a stream of the peer's: frames for it may still come.
    var didReset = false
    /// We sent DATA since the last PING came.
    var sentData = false
    /// Servers only.
    var scan = H2FrameScan()
    /// The highest stream the client has begun, and the last ones it left out below that.
    var lastStream: Int32 = -1
    var firstLeftOut: Int32 = 0
    var lastLeftOut: Int32 = -1
    var isTerminated = false
    var keepAliveMs: UInt64 = 0
    var keepAliveTimeoutMs: UInt64 = 0
    var idleMs: UInt64 = 0
    /// A PING is due when what is queued is out.
    var pingsNext = false
    var paused = false
    var glitches = H2Glitches()

    // MARK: the header block that is being read

    var blockOpen = false
    var blockTooLarge = false
    /// The line that stands before the fields was written.
    var blockHasLines = false
    /// In the inbox.
    var blockFirstField = 0
    var blockFirstByte = 0
    /// The part of it that came with earlier bytes; memory of its own while there is one.
    var saved: UnsafeMutableRawPointer?
    var savedFields = 0
    var savedBytes = 0

    init(
        session: OpaquePointer, engine: UnsafeMutablePointer<H2EngineState>, slot: UInt32, isServer: Bool,
        limits: H2Limits
    ) {
        self.session = session
        self.engine = engine
        self.slot = slot
        self.isServer = isServer
        self.limits = limits
    }
}
