// What is kept of one HTTP/2 stream beside nghttp2's own record of it: which connection slot stands for it,
// bytes that were received and not yet taken, and where the bytes to send lie.
public import Base

public struct H2StreamFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The peer sent END_STREAM.
    public static let remoteEnded = H2StreamFlags(rawValue: 1 << 0)
    /// We send END_STREAM when the output is out.
    public static let shut = H2StreamFlags(rawValue: 1 << 1)
    /// END_STREAM is on its way: nothing more may be sent.
    public static let localEnded = H2StreamFlags(rawValue: 1 << 2)
    /// nghttp2 has forgotten the stream.
    public static let closed = H2StreamFlags(rawValue: 1 << 3)
    /// No slot stands for it any more; it is freed when nghttp2 closes it.
    public static let released = H2StreamFlags(rawValue: 1 << 4)
    /// The last look for output found none.
    public static let deferred = H2StreamFlags(rawValue: 1 << 5)
    /// The response is whole but the request is not: RST_STREAM(NO_ERROR) follows END_STREAM (RFC 9113 8.1).
    public static let resetAfterEnd = H2StreamFlags(rawValue: 1 << 6)
    /// Its output was sent to the last byte and nobody was told yet.
    public static let drained = H2StreamFlags(rawValue: 1 << 7)
    /// A head went out: output may follow.
    public static let hasHead = H2StreamFlags(rawValue: 1 << 8)
    /// The response's head (not 1xx) came, or the request's head did.
    public static let headReceived = H2StreamFlags(rawValue: 1 << 9)
    /// Its slot is told when the peer's SETTINGS are known.
    public static let awaitsSettings = H2StreamFlags(rawValue: 1 << 10)
    /// Why RST_STREAM goes out is noted already, or is ours.
    static let resetNoted = H2StreamFlags(rawValue: 1 << 11)
}

/// One stream. Lives until nghttp2 has closed it and its slot was released.
public struct H2Stream: BitwiseCopyable {
    /// 0: not yet given one (a request that was not submitted).
    public var id: Int32 = 0
    /// The connection slot that stands for it; `noSlot`: none.
    public var slot = H2Stream.noSlot
    /// The slot of the connection that carries it.
    public var parent: UInt32
    public var flags: H2StreamFlags = []
    /// Received and not yet taken; bounded by the stream's window. The caller's memory.
    public var received = Buffer()
    /// Bytes to send: the slot's output. nil: no more will come.
    public var output: UnsafeMutablePointer<Buffer>?
    /// Field lines to send after the output (`takeTrailers`).
    public internal(set) var trailers = Buffer()
    public var session: H2Session
    var next: UnsafeMutablePointer<H2Stream>?
    var previous: UnsafeMutablePointer<H2Stream>?
    var nextDrained: UnsafeMutablePointer<H2Stream>?

    public static var noSlot: UInt32 { .max }

    init(parent: UInt32, session: H2Session) {
        self.parent = parent
        self.session = session
    }
}

/// RFC 9113 7.
public enum H2Error {
    public static var noError: UInt32 { 0 }
    public static var protocolError: UInt32 { 1 }
    public static var internalError: UInt32 { 2 }
    public static var streamClosed: UInt32 { 5 }
    public static var refusedStream: UInt32 { 7 }
    public static var cancel: UInt32 { 8 }
    public static var connectError: UInt32 { 10 }
    public static var enhanceYourCalm: UInt32 { 11 }
    public static var http11Required: UInt32 { 13 }
}
