// One HTTP/2 connection: nghttp2's session and what Fairlead keeps beside it. Bytes from the peer are fed in
// and come out as events; heads, resets and settings are submitted; frames are gathered to be sent. Knows no
// sockets.
public import Base
internal import CLinux
internal import CNghttp2

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
