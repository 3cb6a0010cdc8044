// One HTTP/2 connection: nghttp2's session and what Fairlead keeps beside it. Bytes from the peer are fed in
// and come out as events; heads, resets and settings are submitted; frames are gathered to be sent. Knows no
// sockets.
public import Base
internal import CLinux
internal import CNghttp2

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

public struct H2Session: BitwiseCopyable {
    let state: UnsafeMutablePointer<H2State>

    /// Frees the session and every stream record. Slots that stand for its streams must be released before.
    public func free() {
        unlinkDirty()
        state.pointee.engine.pointee.sessionCount -= 1
        nghttp2_session_del(state.pointee.session)
        while let stream = state.pointee.streams { forget(stream) }
        state.pointee.saved?.deallocate()
        state.deallocate()
    }

    private func unlinkDirty() {
        guard state.pointee.isDirty else { return }
        let engine = state.pointee.engine
        var at = engine.pointee.firstDirty
        var before: UnsafeMutablePointer<H2State>?
        while let own = at, own != state {
            before = own
            at = own.pointee.nextDirty
        }
        if let before {
            before.pointee.nextDirty = state.pointee.nextDirty
        } else {
            engine.pointee.firstDirty = state.pointee.nextDirty
        }
        if engine.pointee.lastDirty == state { engine.pointee.lastDirty = before }
    }

    // MARK: what is known of it

    /// Stream records: open, or closed and not yet released.
    public var streamCount: Int { Int(state.pointee.streamCount) }
    /// The first of its streams; `next(after:)` for the rest. Freed streams drop out.
    public var firstStream: UnsafeMutablePointer<H2Stream>? { state.pointee.streams }
    public func next(after stream: UnsafeMutablePointer<H2Stream>) -> UnsafeMutablePointer<H2Stream>? {
        stream.pointee.next
    }
    /// No more requests may be submitted: GOAWAY, or numbers are used up.
    public var takesRequests: Bool { nghttp2_session_check_request_allowed(state.pointee.session) != 0 }
    /// Streams the peer lets us open.
    public var peerStreams: Int {
        Int(
            nghttp2_session_get_remote_settings(
                state.pointee.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }
    /// The peer has opened a stream at some time.
    public var hadStreams: Bool { nghttp2_session_get_last_proc_stream_id(state.pointee.session) > 0 }
    public var hasSettings: Bool { state.pointee.hasSettings }
    /// RFC 8441: the peer takes extended CONNECT.
    public var takesExtendedConnect: Bool {
        nghttp2_session_get_remote_settings(
            state.pointee.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }
    /// Nothing is to be sent or read any more: the connection is over.
    public var isOver: Bool {
        nghttp2_session_want_read(state.pointee.session) == 0
            && nghttp2_session_want_write(state.pointee.session) == 0
    }
    /// Frames that wait to be sent.
    public var queued: Int { nghttp2_session_get_outbound_queue_size(state.pointee.session) }
    public var isTerminated: Bool { state.pointee.isTerminated }
    /// A head began and is not whole.
    public var hasPartialHead: Bool { state.pointee.blockOpen }
    /// The last `feed` stopped before its end; feed on, if need be with nothing.
    public var isPaused: Bool { state.pointee.paused }

    /// How often the caller wants to ask whether the peer is there, 0: never; and how long it waits.
    public var keepAliveMs: UInt64 { state.pointee.keepAliveMs }
    public var keepAliveTimeoutMs: UInt64 { state.pointee.keepAliveTimeoutMs }
    /// How long the caller lets it wait without streams, 0: any time.
    public var idleMs: UInt64 { state.pointee.idleMs }
    public func setIdle(afterMs: UInt64) { state.pointee.idleMs = afterMs }
    public func setKeepAlive(everyMs: UInt64, timeoutMs: UInt64) {
        state.pointee.keepAliveMs = everyMs
        state.pointee.keepAliveTimeoutMs = timeoutMs
    }

    // MARK: reading

    /// Gives the session bytes; events of them wait in the engine afterwards. Returns the bytes used. nil:
    /// the session cannot go on (a GOAWAY that says why may be queued).
    public func feed(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int? {
        let engine = state.pointee.engine
        precondition(!engine.pointee.inside)
        engine.pointee.inbox.reset()
        restoreBlock()
        state.pointee.paused = false
        engine.pointee.inside = true
        var limit = count
        if state.pointee.isServer {
            let next = state.pointee.scan.beforeData(bytes, count)
            limit = next.count
            if next.stream > 0 { refuseForgotten(next.stream) }
        }
        let used = nghttp2_session_mem_recv(state.pointee.session, bytes, limit)
        if state.pointee.isServer, used > 0 {
            let unopened = state.pointee.scan.advance(bytes, used)
            if unopened > 0 { refuseUnopened(unopened) }
        }
        engine.pointee.inside = false
        saveBlock()
        markDirty()
        if used < 0 {
            if used == Int(NGHTTP2_ERR_FLOODED.rawValue) {
                cut(.ping)
            } else if used == Self.tooManyContinuations {
                cut(.continuation)
            } else {
                terminate(code: H2Error.protocolError)
            }
            return nil
        }
        return used
    }

    /// NGHTTP2_ERR_TOO_MANY_CONTINUATIONS, which older headers do not name.
    private static let tooManyContinuations = -905

    /// A new stream beyond the limit is an error of the protocol, which nghttp2 knows. But resets that have
    /// not left yet count against the limit, too: that many at once are a flood.
    func refuseBeyondLimit(_ id: Int32) {
        let own = state.pointee
        guard own.openStreams >= own.limits.streams, own.settingsTaken, id > own.lastStream,
            own.didReset || queued >= Int(own.limits.streams) / 2
        else { return }
        state.pointee.glitches.note(.madeReset)
        cut(.madeReset)
    }

    /// A flood that ends the connection whatever is left of its budget.
    private func cut(_ glitch: H2Glitch) {
        if state.pointee.isTerminated { return }
        state.pointee.glitches.cut = glitch
        terminate(code: H2Error.enhanceYourCalm)
    }

    /// A frame on a stream that is over, or was left out and can no more begin (RFC 9113 5.1, 5.1.1), ends
    /// the connection; nghttp2, which forgets streams, would ignore it. But streams that we reset may have
    /// frames on their way to us: once there were such, nothing is known.
    func refuseForgotten(_ id: Int32) {
        let own = state.pointee
        if id > own.lastStream || id & 1 == 0 || own.didReset || own.isTerminated { return }
        if nghttp2_session_find_stream(own.session, id) != nil { return }
        let wasLeftOut = id >= own.firstLeftOut && id <= own.lastLeftOut
        state.pointee.glitches.note(.malformed)
        terminate(code: wasLeftOut ? H2Error.protocolError : H2Error.streamClosed)
    }

    /// A window that is opened by 0 is an error whatever has become of its stream (RFC 9113 6.9). nghttp2 has
    /// said so of a stream that it knows.
    private func refuseUnopened(_ id: Int32) {
        if state.pointee.isTerminated { return }
        if nghttp2_session_find_stream(state.pointee.session, id) != nil { return }
        state.pointee.glitches.note(.malformed)
        terminate(code: H2Error.protocolError)
    }

    /// Keeps the part of a head that came so far; the inbox is another session's next.
    private func saveBlock() {
        guard state.pointee.blockOpen else { return }
        let engine = state.pointee.engine
        let firstField = state.pointee.blockFirstField
        let firstByte = state.pointee.blockFirstByte
        let fields = engine.pointee.inbox.fieldCount - firstField
        let bytes = engine.pointee.inbox.byteCount - firstByte
        let size = fields * MemoryLayout<H2Field>.stride + bytes
        state.pointee.savedFields = fields
        state.pointee.savedBytes = bytes
        guard size > 0 else { return }
        let place = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        let kept = place.bindMemory(to: H2Field.self, capacity: fields)
        for index in 0..<fields {
            var field = engine.pointee.inbox.fields[firstField + index]
            field.offset -= UInt32(truncatingIfNeeded: firstByte)
            (kept + index).initialize(to: field)
        }
        memcpy(
            place + fields * MemoryLayout<H2Field>.stride, engine.pointee.inbox.bytes + firstByte, bytes)
        state.pointee.saved = place
    }

    private func restoreBlock() {
        guard state.pointee.blockOpen else { return }
        state.pointee.blockFirstField = 0
        state.pointee.blockFirstByte = 0
        guard let place = state.pointee.saved else { return }
        let engine = state.pointee.engine
        let kept = place.assumingMemoryBound(to: H2Field.self)
        for index in 0..<state.pointee.savedFields { engine.pointee.inbox.append(kept[index]) }
        let bytes = engine.pointee.inbox.room(state.pointee.savedBytes)
        memcpy(
            bytes, place + state.pointee.savedFields * MemoryLayout<H2Field>.stride,
            state.pointee.savedBytes)
        place.deallocate()
        state.pointee.saved = nil
    }

    /// The other side took `count` bytes of a stream: the peer may send as many more.
    public func consume(_ stream: UnsafeMutablePointer<H2Stream>, _ count: Int) {
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 {
            consumeConnection(count)
            return
        }
        if state.pointee.isServer {
            nghttp2_session_consume(state.pointee.session, stream.pointee.id, count)
        } else {
            nghttp2_session_consume_stream(state.pointee.session, stream.pointee.id, count)
        }
        markDirty()
    }

    /// Bytes that no stream's side will take: the connection's window is given back all the same. (An
    /// upstream connection's window never waits for anybody: one slow client must not stop the others.)
    public func consumeConnection(_ count: Int) {
        nghttp2_session_consume_connection(state.pointee.session, count)
        markDirty()
    }

    // MARK: sending

    /// Puts the session on the list of those with frames to send.
    public func markDirty() {
        if state.pointee.isDirty { return }
        state.pointee.isDirty = true
        let engine = state.pointee.engine
        if let last = engine.pointee.lastDirty {
            last.pointee.nextDirty = state
        } else {
            engine.pointee.firstDirty = state
        }
        engine.pointee.lastDirty = state
    }

    /// Puts frames together, as many as fit; returns them. Events (streams that closed) wait in the engine
    /// afterwards, and so do drained streams. nil: the session cannot go on.
    public func gather() -> ByteView? {
        let engine = state.pointee.engine
        precondition(!engine.pointee.inside)
        engine.pointee.inbox.reset()
        restoreBlock()
        engine.pointee.outbox.used = 0
        engine.pointee.inside = true
        defer {
            engine.pointee.inside = false
            saveBlock()
        }
        // One frame more fits in each round.
        while engine.pointee.outbox.capacity - engine.pointee.outbox.used >= Self.frameBytes {
            var bytes: UnsafePointer<UInt8>?
            let before = engine.pointee.outbox.used
            let count = nghttp2_session_mem_send(state.pointee.session, &bytes)
            if count < 0 { return nil }
            if count > 0, let bytes {
                memcpy(engine.pointee.outbox.base + engine.pointee.outbox.used, bytes, count)
                engine.pointee.outbox.used += count
            } else if engine.pointee.outbox.used == before {
                break
            }
        }
        // In one gathering nghttp2 would put it before what it is to follow.
        if state.pointee.pingsNext {
            state.pointee.pingsNext = false
            ping()
        }
        return ByteView(engine.pointee.outbox.base, engine.pointee.outbox.used)
    }

    /// nghttp2 makes frames of at most 16 KiB and a header.
    private static let frameBytes = 16_384 + 64

    /// There is output where there was none, or END_STREAM may go.
    public func resume(_ stream: UnsafeMutablePointer<H2Stream>) {
        markDirty()
        guard stream.pointee.flags.contains(.deferred) else { return }
        stream.pointee.flags.remove(.deferred)
        nghttp2_session_resume_data(state.pointee.session, stream.pointee.id)
    }

    // MARK: streams

    /// A record for a request that will be submitted; `slot` stands for it.
    public func open(slot: UInt32) -> UnsafeMutablePointer<H2Stream> {
        let stream = take()
        stream.pointee.slot = slot
        return stream
    }

    func take() -> UnsafeMutablePointer<H2Stream> {
        let stream = state.pointee.engine.pointee.takeStream(state.pointee.slot, self)
        stream.pointee.next = state.pointee.streams
        state.pointee.streams?.pointee.previous = stream
        state.pointee.streams = stream
        state.pointee.streamCount += 1
        return stream
    }

    /// The slot is gone. What the peer still sends is thrown away; a stream that is not over is reset with
    /// `code`. The caller has given back `received`.
    public func release(_ stream: UnsafeMutablePointer<H2Stream>, code: UInt32) {
        stream.pointee.slot = H2Stream.noSlot
        stream.pointee.output = nil
        stream.pointee.flags.insert(.released)
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 {
            forget(stream)
            return
        }
        let ends = !stream.pointee.flags.isDisjoint(with: [.localEnded, .shut])
        let hasAll = stream.pointee.flags.contains(.remoteEnded)
        if ends, stream.pointee.flags.contains(.hasHead), state.pointee.isServer || hasAll {
            if !hasAll {
                if stream.pointee.flags.contains(.localEnded) {
                    state.pointee.didReset = true
                    nghttp2_submit_rst_stream(
                        state.pointee.session, 0, stream.pointee.id, H2Error.noError)
                } else {
                    stream.pointee.flags.insert(.resetAfterEnd)
                }
            }
            resume(stream)
            return
        }
        reset(stream, code: code)
    }

    /// RST_STREAM.
    public func reset(_ stream: UnsafeMutablePointer<H2Stream>, code: UInt32) {
        if stream.pointee.flags.contains(.closed) || stream.pointee.id == 0 { return }
        state.pointee.didReset = true
        stream.pointee.flags.insert(.resetNoted)
        nghttp2_submit_rst_stream(state.pointee.session, 0, stream.pointee.id, code)
        markDirty()
    }

    /// Acts on `closed`: nghttp2 will not name the stream again.
    public func closed(_ stream: UnsafeMutablePointer<H2Stream>) {
        stream.pointee.flags.insert(.closed)
        // Without a slot: released, or its head was never whole.
        if stream.pointee.slot == H2Stream.noSlot { forget(stream) }
    }

    /// Keeps field lines, of `bytes` at most, to be sent when the stream's output is out: `write` puts them
    /// where it is told and returns their end.
    public func takeTrailers(
        _ stream: UnsafeMutablePointer<H2Stream>, bytes: Int,
        _ write: (UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8>
    ) {
        stream.pointee.trailers.base?.deallocate()
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes))
        var lines = Buffer()
        lines.base = room
        lines.capacity = UInt32(truncatingIfNeeded: bytes)
        lines.end = UInt32(truncatingIfNeeded: write(room) - room)
        stream.pointee.trailers = lines
    }

    private func forget(_ stream: UnsafeMutablePointer<H2Stream>) {
        stream.pointee.trailers.base?.deallocate()
        if let next = stream.pointee.next { next.pointee.previous = stream.pointee.previous }
        if let previous = stream.pointee.previous {
            previous.pointee.next = stream.pointee.next
        } else {
            state.pointee.streams = stream.pointee.next
        }
        state.pointee.streamCount -= 1
        let engine = state.pointee.engine
        if stream.pointee.flags.contains(.drained) { unlinkDrained(stream) }
        engine.pointee.putStream(stream)
    }

    private func unlinkDrained(_ stream: UnsafeMutablePointer<H2Stream>) {
        let engine = state.pointee.engine
        if engine.pointee.drained == stream {
            engine.pointee.drained = stream.pointee.nextDrained
            return
        }
        var at = engine.pointee.drained
        while let own = at {
            if own.pointee.nextDrained == stream {
                own.pointee.nextDrained = stream.pointee.nextDrained
                return
            }
            at = own.pointee.nextDrained
        }
    }

    // MARK: the connection

    func submitSettings() {
        let limits = state.pointee.limits
        var entries: [nghttp2_settings_entry] = []
        func add(_ id: nghttp2_settings_id, _ value: UInt32) {
            entries.append(
                nghttp2_settings_entry(settings_id: Int32(bitPattern: UInt32(id.rawValue)), value: value))
        }
        add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow)
        add(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(truncatingIfNeeded: limits.headBytes))
        if state.pointee.isServer {
            add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams)
            add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1)
        } else {
            add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0)
            add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0)
        }
        nghttp2_submit_settings(state.pointee.session, 0, entries, entries.count)
        nghttp2_session_set_local_window_size(
            state.pointee.session, 0, 0, Int32(truncatingIfNeeded: limits.connectionWindow))
        markDirty()
    }

    /// First step of a graceful end: no new streams are wanted, none is refused yet. A PING goes behind it:
    /// its answer tells that the peer has read the notice.
    public func submitNotice() {
        nghttp2_submit_shutdown_notice(state.pointee.session)
        state.pointee.pingsNext = true
        markDirty()
    }

    public func ping() {
        nghttp2_submit_ping(state.pointee.session, 0, nil)
        markDirty()
    }

    /// Second step: what was seen so far is served, nothing else.
    public func submitGoaway() {
        nghttp2_submit_goaway(
            state.pointee.session, 0, nghttp2_session_get_last_proc_stream_id(state.pointee.session),
            H2Error.noError, nil, 0)
        markDirty()
    }

    /// GOAWAY with an error; every stream is over and the session ends when it is out.
    public func terminate(code: UInt32) {
        if state.pointee.isTerminated { return }
        state.pointee.isTerminated = true
        nghttp2_session_terminate_session(state.pointee.session, code)
        markDirty()
    }
}
