// nghttp2's callbacks. Each finds its session's state in the user data, writes down what happened and
// returns: nothing is decided here but what nghttp2 must be told at once.
internal import Base
internal import CLinux
internal import CNghttp2

enum H2Callbacks {
    static func set(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, h2BeginFrame)
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, h2BeginHeaders)
        nghttp2_session_callbacks_set_on_header_callback(callbacks, h2Header)
        nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, h2InvalidHeader)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2FrameReceived)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2Data)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2StreamClosed)
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, h2InvalidFrame)
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, h2FrameSent)
        nghttp2_session_callbacks_set_send_data_callback(callbacks, h2SendData)
        nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, h2Extension)
    }
}

private typealias StatePointer = UnsafeMutablePointer<H2State>

private func state(_ user: UnsafeMutableRawPointer?) -> StatePointer {
    user.unsafelyUnwrapped.assumingMemoryBound(to: H2State.self)
}

private func record(_ state: StatePointer, _ id: Int32) -> UnsafeMutablePointer<H2Stream>? {
    nghttp2_session_get_stream_user_data(state.pointee.session, id)?.assumingMemoryBound(to: H2Stream.self)
}

private let temporalFailure = NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
private func isType(_ type: UInt8, _ wanted: nghttp2_frame_type) -> Bool {
    UInt32(type) == UInt32(wanted.rawValue)
}

private func h2BeginFrame(
    _ session: OpaquePointer?, _ header: UnsafePointer<nghttp2_frame_hd>?, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let header else { return 0 }
    let own = state(user)
    switch UInt32(header.pointee.type) {
    case UInt32(NGHTTP2_DATA.rawValue): break
    case UInt32(NGHTTP2_HEADERS.rawValue):
        if own.pointee.isServer {
            H2Session(state: own).refuseForgotten(header.pointee.stream_id)
            H2Session(state: own).refuseBeyondLimit(header.pointee.stream_id)
        }
    case UInt32(NGHTTP2_CONTINUATION.rawValue):
        own.pointee.glitches.note(.continuation)
    case UInt32(NGHTTP2_SETTINGS.rawValue):
        // The first is everybody's duty, and so are answers to ours.
        let isAnswer = header.pointee.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
        if own.pointee.hasSettings, !isAnswer { own.pointee.glitches.note(.settings) }
    case UInt32(NGHTTP2_PING.rawValue):
        // A client may measure with it how fast our bytes come, once for what came since the last one.
        if header.pointee.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 {
            if !own.pointee.sentData { own.pointee.glitches.note(.ping) }
            own.pointee.sentData = false
        }
    case UInt32(NGHTTP2_PRIORITY.rawValue): own.pointee.glitches.note(.priority)
    case UInt32(NGHTTP2_WINDOW_UPDATE.rawValue), UInt32(NGHTTP2_RST_STREAM.rawValue),
        UInt32(NGHTTP2_GOAWAY.rawValue):
        break
    default: own.pointee.glitches.note(.unknownFrame)
    }
    return 0
}

/// Frames of unknown types are thrown away, counted by `h2BeginFrame`.
private func h2Extension(
    _ session: OpaquePointer?, _ payload: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    _ header: UnsafePointer<nghttp2_frame_hd>?, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    NGHTTP2_ERR_CANCEL.rawValue
}

private func h2BeginHeaders(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame else { return 0 }
    let own = state(user)
    let engine = own.pointee.engine
    own.pointee.blockOpen = true
    own.pointee.blockTooLarge = false
    own.pointee.blockHasLines = false
    own.pointee.blockFirstField = engine.pointee.inbox.fieldCount
    own.pointee.blockFirstByte = engine.pointee.inbox.byteCount
    if frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
        let id = frame.pointee.hd.stream_id
        if id > own.pointee.lastStream + 2 {
            own.pointee.firstLeftOut = own.pointee.lastStream + 2
            own.pointee.lastLeftOut = id - 2
        }
        own.pointee.lastStream = id
        own.pointee.openStreams += 1
        let stream = H2Session(state: own).take()
        stream.pointee.id = frame.pointee.hd.stream_id
        nghttp2_session_set_stream_user_data(session, frame.pointee.hd.stream_id, stream)
    }
    return 0
}

/// Pseudo-header fields by name; nghttp2 has refused unknown ones.
private func kind(_ name: ByteView) -> H2Field.Kind {
    if name.count == 0 || name[0] != 0x3A { return .regular }
    return switch name.count {
    case 5: .path
    case 7: name[1] == 0x6D ? .method : (name[2] == 0x63 ? .scheme : .status)
    case 9: .protocol
    default: .authority
    }
}

private func h2Header(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ name: UnsafePointer<UInt8>?,
    _ nameLength: Int, _ value: UnsafePointer<UInt8>?, _ valueLength: Int, _ flags: UInt8,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    let own = state(user)
    let engine = own.pointee.engine
    guard own.pointee.blockOpen, let name, let value else { return 0 }
    let nameView = ByteView(name, nameLength)
    let kind = kind(nameView)
    let fields = engine.pointee.inbox.fieldCount - own.pointee.blockFirstField
    let bytes = engine.pointee.inbox.byteCount - own.pointee.blockFirstByte
    // Pseudo-header fields are the protocol's own and do not count as fields.
    if fields >= own.pointee.limits.headFields + 5
        || bytes + nameLength + valueLength + 4 > own.pointee.limits.headBytes
    {
        own.pointee.blockTooLarge = true
        own.pointee.blockOpen = false
        engine.pointee.inbox.cut(fields: own.pointee.blockFirstField, bytes: own.pointee.blockFirstByte)
        own.pointee.glitches.note(.headTooLarge)
        noteReset(own, frame)
        return temporalFailure
    }
    if kind == .regular, !own.pointee.blockHasLines {
        own.pointee.blockHasLines = true
        engine.pointee.inbox.append(H2Inbox.requestLine)
    }
    engine.pointee.inbox.append(name: nameView, value: ByteView(value, valueLength), kind)
    // What many small indexed fields decode to has to be used before more is decoded.
    if engine.pointee.inbox.byteCount > Limits.h2InboxBytes {
        own.pointee.paused = true
        return NGHTTP2_ERR_PAUSE.rawValue
    }
    return 0
}

private func h2InvalidHeader(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ name: UnsafePointer<UInt8>?,
    _ nameLength: Int, _ value: UnsafePointer<UInt8>?, _ valueLength: Int, _ flags: UInt8,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    state(user).pointee.glitches.note(.malformed)
    noteReset(state(user), frame)
    // The stream ends with PROTOCOL_ERROR: a field that other parsers could split is not just left out.
    return temporalFailure
}

private func h2FrameReceived(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame else { return 0 }
    let own = state(user)
    let header = frame.pointee.hd
    let ended = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    if isType(header.type, NGHTTP2_HEADERS) {
        headersReceived(own, frame, ended)
    } else if isType(header.type, NGHTTP2_DATA) {
        guard let stream = record(own, header.stream_id) else { return 0 }
        if ended {
            var event = H2Event(kind: .ended)
            event.stream = stream
            own.pointee.engine.pointee.inbox.append(event)
        } else if header.length <= frame.pointee.data.padlen {
            own.pointee.glitches.note(.emptyData)
        }
    } else if isType(header.type, NGHTTP2_RST_STREAM) {
        own.pointee.glitches.note(.reset)
    } else if isType(header.type, NGHTTP2_SETTINGS) {
        if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 {
            own.pointee.hasSettings = true
            own.pointee.engine.pointee.inbox.append(H2Event(kind: .settings))
        } else {
            own.pointee.settingsTaken = true
        }
    } else if isType(header.type, NGHTTP2_PING) {
        if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 {
            own.pointee.engine.pointee.inbox.append(H2Event(kind: .pingAck))
        }
    } else if isType(header.type, NGHTTP2_GOAWAY) {
        var event = H2Event(kind: .goaway)
        event.code = frame.pointee.goaway.error_code
        own.pointee.engine.pointee.inbox.append(event)
    } else if isType(header.type, NGHTTP2_WINDOW_UPDATE) {
        // Windows opened a few bytes at a time cost us frames of a few bytes.
        if frame.pointee.window_update.window_size_increment < Limits.h2SmallWindowUpdate {
            own.pointee.glitches.note(.windowUpdate)
        }
    }
    return 0
}

private func headersReceived(_ own: StatePointer, _ frame: UnsafePointer<nghttp2_frame>, _ ended: Bool) {
    guard own.pointee.blockOpen else { return }
    own.pointee.blockOpen = false
    let engine = own.pointee.engine
    guard let stream = record(own, frame.pointee.hd.stream_id) else { return }
    let isTrailers =
        frame.pointee.headers.cat == NGHTTP2_HCAT_HEADERS
        && stream.pointee.flags.contains(.headReceived)
    if !own.pointee.blockHasLines { engine.pointee.inbox.append(H2Inbox.requestLine) }
    engine.pointee.inbox.append("\r\n")
    var event = H2Event(kind: isTrailers ? .trailers : .head)
    event.ended = ended
    event.stream = stream
    event.firstField = UInt32(truncatingIfNeeded: own.pointee.blockFirstField)
    event.fieldCount = UInt32(
        truncatingIfNeeded: engine.pointee.inbox.fieldCount - own.pointee.blockFirstField)
    event.firstByte = UInt32(truncatingIfNeeded: own.pointee.blockFirstByte)
    event.byteCount = UInt32(
        truncatingIfNeeded: engine.pointee.inbox.byteCount - own.pointee.blockFirstByte)
    if !isTrailers, !isInterim(engine, event) { stream.pointee.flags.insert(.headReceived) }
    engine.pointee.inbox.append(event)
}

/// Whether a response head's status is 1xx.
private func isInterim(_ engine: UnsafeMutablePointer<H2EngineState>, _ event: H2Event) -> Bool {
    for index in 0..<Int(event.fieldCount) {
        let field = engine.pointee.inbox.fields[Int(event.firstField) + index]
        if field.kind == .regular { return false }
        if field.kind == .status { return engine.pointee.inbox.bytes[Int(field.offset)] == 0x31 }
    }
    return false
}

private func h2Data(
    _ session: OpaquePointer?, _ flags: UInt8, _ id: Int32, _ data: UnsafePointer<UInt8>?, _ count: Int,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let data, count > 0 else { return 0 }
    let own = state(user)
    var event = H2Event(kind: .data)
    event.stream = record(own, id)
    event.bytes = ByteView(data, count)
    own.pointee.engine.pointee.inbox.append(event)
    return 0
}

private func h2StreamClosed(
    _ session: OpaquePointer?, _ id: Int32, _ code: UInt32, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    let own = state(user)
    guard let stream = record(own, id) else { return 0 }
    if own.pointee.isServer { own.pointee.openStreams -= 1 }
    var event = H2Event(kind: .closed)
    event.stream = stream
    event.code = code
    own.pointee.engine.pointee.inbox.append(event)
    return 0
}

private func h2InvalidFrame(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ code: Int32,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    // nghttp2 answers with RST_STREAM or GOAWAY; the former costs us, so it costs the peer too.
    state(user).pointee.glitches.note(.madeReset)
    noteReset(state(user), frame)
    return 0
}

/// RST_STREAM will go out for a frame that was counted.
private func noteReset(_ own: StatePointer, _ frame: UnsafePointer<nghttp2_frame>?) {
    own.pointee.didReset = true
    guard let frame, frame.pointee.hd.stream_id != 0 else { return }
    record(own, frame.pointee.hd.stream_id)?.pointee.flags.insert(.resetNoted)
}

private func h2FrameSent(
    _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame else { return 0 }
    if isType(frame.pointee.hd.type, NGHTTP2_RST_STREAM) { resetSent(state(user), frame) }
    guard frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0,
        isType(frame.pointee.hd.type, NGHTTP2_DATA) || isType(frame.pointee.hd.type, NGHTTP2_HEADERS)
    else { return 0 }
    let own = state(user)
    guard let stream = record(own, frame.pointee.hd.stream_id) else { return 0 }
    stream.pointee.flags.insert(.localEnded)
    if stream.pointee.flags.contains(.resetAfterEnd) {
        var event = H2Event(kind: .sentEnd)
        event.stream = stream
        own.pointee.engine.pointee.inbox.append(event)
    }
    return 0
}

/// nghttp2 tells nothing of some resets that it makes, as for DATA that does not fit the content-length.
private func resetSent(_ own: StatePointer, _ frame: UnsafePointer<nghttp2_frame>) {
    guard own.pointee.isServer, frame.pointee.rst_stream.error_code != H2Error.noError,
        let stream = record(own, frame.pointee.hd.stream_id), !stream.pointee.flags.contains(.resetNoted)
    else { return }
    own.pointee.didReset = true
    own.pointee.glitches.note(.madeReset)
}

/// Tells nghttp2 how much of a stream's output goes into its next DATA frame; the bytes are copied by
/// `h2SendData`.
func h2ReadOutput(
    _ session: OpaquePointer?, _ id: Int32, _ buffer: UnsafeMutablePointer<UInt8>?, _ room: Int,
    _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
    _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let flags, let source, let raw = source.pointee.ptr else {
        return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
    }
    let stream = raw.assumingMemoryBound(to: H2Stream.self)
    let held = stream.pointee.output?.pointee.count ?? 0
    if held == 0, !stream.pointee.flags.contains(.shut) {
        stream.pointee.flags.insert(.deferred)
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    let taken = min(held, room)
    if taken > 0 { flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue) }
    if taken == held, stream.pointee.flags.contains(.shut) {
        flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        if !stream.pointee.trailers.isEmpty {
            flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
            H2Session(state: state(user)).submitTrailers(stream)
        }
    }
    return taken
}

private func h2SendData(
    _ session: OpaquePointer?, _ frame: UnsafeMutablePointer<nghttp2_frame>?,
    _ header: UnsafePointer<UInt8>?, _ length: Int, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let header, let raw = source?.pointee.ptr else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
    let stream = raw.assumingMemoryBound(to: H2Stream.self)
    state(user).pointee.sentData = true
    let engine = state(user).pointee.engine
    if engine.pointee.outbox.capacity - engine.pointee.outbox.used < length + 9 {
        return NGHTTP2_ERR_WOULDBLOCK.rawValue
    }
    // The slot may have been released while the frame waited for room.
    guard let output = stream.pointee.output, output.pointee.count >= length else { return temporalFailure }
    let at = engine.pointee.outbox.base + engine.pointee.outbox.used
    memcpy(at, header, 9)
    memcpy(at + 9, output.pointee.bytes, length)
    engine.pointee.outbox.used += length + 9
    output.pointee.start &+= UInt32(truncatingIfNeeded: length)
    if output.pointee.isEmpty, !stream.pointee.flags.contains(.drained) {
        stream.pointee.flags.insert(.drained)
        stream.pointee.nextDrained = engine.pointee.drained
        engine.pointee.drained = stream
    }
    return 0
}
