// What all HTTP/2 sessions of one worker share: nghttp2's callbacks and options, made once; the inbox of
// events; where frames are gathered to be sent; spare stream records; the list of sessions with something to
// send.
internal import Base
internal import CNghttp2

/// Where a session's frames are put together to be sent.
struct H2Outbox: BitwiseCopyable {
    var base: UnsafeMutablePointer<UInt8>
    var used = 0
    var capacity: Int
}

struct H2EngineState: ~Copyable {
    let callbacks: OpaquePointer
    let serverOptions: OpaquePointer
    let clientOptions: OpaquePointer
    var inbox = H2Inbox()
    var outbox: H2Outbox
    /// Field pointers for one submission.
    let nva: UnsafeMutablePointer<nghttp2_nv>
    var spare: UnsafeMutablePointer<H2Stream>?
    var spareCount = 0
    /// Streams whose output ran empty in the last gathering.
    var drained: UnsafeMutablePointer<H2Stream>?
    var firstDirty: UnsafeMutablePointer<H2State>?
    var lastDirty: UnsafeMutablePointer<H2State>?
    var sessionCount = 0
    /// nghttp2 is running: it must not be entered again.
    var inside = false

    static let nvaCapacity = Limits.headFields + Limits.editFields + 8

    init(callbacks: OpaquePointer, serverOptions: OpaquePointer, clientOptions: OpaquePointer) {
        self.callbacks = callbacks
        self.serverOptions = serverOptions
        self.clientOptions = clientOptions
        nva = .allocate(capacity: Self.nvaCapacity)
        outbox = H2Outbox(
            base: .allocate(capacity: Limits.h2GatherBytes), capacity: Limits.h2GatherBytes)
    }

    deinit {
        nghttp2_session_callbacks_del(callbacks)
        nghttp2_option_del(serverOptions)
        nghttp2_option_del(clientOptions)
        nva.deallocate()
        outbox.base.deallocate()
        var next = spare
        while let stream = next {
            next = stream.pointee.next
            stream.deallocate()
        }
    }

    mutating func takeStream(_ parent: UInt32, _ session: H2Session) -> UnsafeMutablePointer<H2Stream> {
        let stream: UnsafeMutablePointer<H2Stream>
        if let first = spare {
            spare = first.pointee.next
            spareCount -= 1
            stream = first
        } else {
            stream = .allocate(capacity: 1)
        }
        stream.initialize(to: H2Stream(parent: parent, session: session))
        return stream
    }

    mutating func putStream(_ stream: UnsafeMutablePointer<H2Stream>) {
        if spareCount == Limits.h2SpareStreams {
            stream.deallocate()
            return
        }
        stream.pointee.next = spare
        spare = stream
        spareCount += 1
    }
}

/// One worker's HTTP/2.
public struct H2Engine: BitwiseCopyable {
    let state: UnsafeMutablePointer<H2EngineState>

    /// nil: out of memory. Lives until `free`.
    public static func make() -> H2Engine? {
        var callbacks: OpaquePointer?
        var server: OpaquePointer?
        var client: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, nghttp2_option_new(&server) == 0,
            nghttp2_option_new(&client) == 0, let callbacks, let server, let client
        else { return nil }
        H2Callbacks.set(callbacks)
        for option in [server, client] {
            // Windows follow the progress of the other side of the exchange.
            nghttp2_option_set_no_auto_window_update(option, 1)
            // Nothing is asked of streams that are over; keeping them would be memory a peer can claim.
            nghttp2_option_set_no_closed_streams(option, 1)
            // nghttp2 tells of frames of unknown types only if asked to.
            for type in UInt8(10)...UInt8.max { nghttp2_option_set_user_recv_extension_type(option, type) }
            nghttp2_option_set_max_outbound_ack(option, Limits.h2OutboundAcks)
            nghttp2_option_set_max_settings(option, Limits.h2SettingsEntries)
            nghttp2_option_set_max_continuations(option, Limits.h2Continuations)
            nghttp2_option_set_max_send_header_block_length(
                option, Limits.headBytes + Limits.editBytes + Limits.explanationBytes)
            // Our own budget of glitches cuts an abuser by name before this would (GlitchBudget).
            nghttp2_option_set_stream_reset_rate_limit(option, 1 << 40, 1 << 40)
        }
        nghttp2_option_set_peer_max_concurrent_streams(client, UInt32(Limits.h2PeerStreams))
        let state = UnsafeMutablePointer<H2EngineState>.allocate(capacity: 1)
        state.initialize(
            to: H2EngineState(callbacks: callbacks, serverOptions: server, clientOptions: client))
        return H2Engine(state: state)
    }

    /// Every session of it must be gone.
    public func free() {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// A client's connection. `slot` is handed back with its streams (`H2Stream.parent`).
    public func server(slot: UInt32, limits: H2Limits) -> H2Session? {
        make(slot, limits, isServer: true)
    }

    /// Our connection to an upstream.
    public func client(slot: UInt32, limits: H2Limits) -> H2Session? {
        make(slot, limits, isServer: false)
    }

    private func make(_ slot: UInt32, _ limits: H2Limits, isServer: Bool) -> H2Session? {
        let place = UnsafeMutablePointer<H2State>.allocate(capacity: 1)
        var session: OpaquePointer?
        let code =
            isServer
            ? nghttp2_session_server_new2(
                &session, state.pointee.callbacks, place, state.pointee.serverOptions)
            : nghttp2_session_client_new2(
                &session, state.pointee.callbacks, place, state.pointee.clientOptions)
        guard code == 0, let session else {
            place.deallocate()
            return nil
        }
        place.initialize(
            to: H2State(session: session, engine: state, slot: slot, isServer: isServer, limits: limits))
        state.pointee.sessionCount += 1
        let made = H2Session(state: place)
        made.submitSettings()
        return made
    }

    /// Sessions that were made and are not freed.
    public var sessionCount: Int { state.pointee.sessionCount }

    // MARK: events of the last `feed` or `gather`

    public var eventCount: Int { state.pointee.inbox.count }
    public func event(_ index: Int) -> H2Event { state.pointee.inbox.events[index] }

    // MARK: sending

    /// The slot of the next connection that has frames to send; taken off the list.
    public func takeDirty() -> UInt32? {
        guard let first = state.pointee.firstDirty else { return nil }
        state.pointee.firstDirty = first.pointee.nextDirty
        if state.pointee.firstDirty == nil { state.pointee.lastDirty = nil }
        first.pointee.nextDirty = nil
        first.pointee.isDirty = false
        return first.pointee.slot
    }

    public var hasDirty: Bool { state.pointee.firstDirty != nil }

    /// The next stream whose output ran empty; taken off the list.
    public func takeDrained() -> UnsafeMutablePointer<H2Stream>? {
        guard let first = state.pointee.drained else { return nil }
        state.pointee.drained = first.pointee.nextDrained
        first.pointee.nextDrained = nil
        first.pointee.flags.remove(.drained)
        return first
    }
}
