// One finished exchange as the access log sees it: filled by the worker, formatted by the log's own thread.
public import Base

public enum LogProtocol: UInt8, BitwiseCopyable, Sendable {
    /// The head was not read far enough to know.
    case unknown
    case http10, http11, http2
}

/// Empty views, `unspecified` addresses and negative numbers are missing values: `-` in text, null in JSON.
/// Views need to hold only for the call of `AccessRing.push`.
public struct AccessRecord: BitwiseCopyable {
    // The views come first and adjoin: the ring walks them as an array.

    public var method: ByteView = .empty
    /// As it went upstream, query included.
    public var path: ByteView = .empty
    /// Before a rewrite (`x-envoy-original-path`); empty if there was none.
    public var originalPath: ByteView = .empty
    public var authority: ByteView = .empty
    public var userAgent: ByteView = .empty
    public var forwardedFor: ByteView = .empty
    public var requestID: ByteView = .empty
    public var cluster: ByteView = .empty
    public var route: ByteView = .empty
    /// `via_upstream`, `route_not_found`, ... (istio-semantics.md 23).
    public var details: ByteView = .empty
    public var terminationDetails: ByteView = .empty
    public var transportFailure: ByteView = .empty
    /// SNI.
    public var serverName: ByteView = .empty
    public var lane: ByteView = .empty
    public var laneDecision: ByteView = .empty
    public var laneCarrier: ByteView = .empty
    /// The `x-fairlead-reason`.
    public var reason: ByteView = .empty
    /// Of the client's certificate.
    public var peerSubject: ByteView = .empty

    // These hold for ever and are not copied.

    /// `TLSv1.3`; empty: the client spoke plain text, and `peerSubject` is empty too.
    public var tlsVersion: ByteView = .empty
    public var tlsCipher: ByteView = .empty
    /// Views to copy, at most.
    static var viewsMax: Int { 18 }
    var viewCount: Int { tlsVersion.isEmpty ? Self.viewsMax &- 1 : Self.viewsMax }

    public var upstream: SocketAddress = .unspecified
    public var upstreamLocal: SocketAddress = .unspecified
    public var downstreamLocal: SocketAddress = .unspecified
    public var downstreamRemote: SocketAddress = .unspecified
    /// CLOCK_REALTIME of the first byte, nanoseconds since 1970.
    public var startNs: UInt64 = 0
    /// First byte in to last byte out.
    public var durationNs: UInt64 = 0
    /// `x-envoy-upstream-service-time`, milliseconds; negative: none.
    public var upstreamServiceMs: Int64 = -1
    /// Body bytes.
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
    public var flags: ResponseFlags = []
    public var responseCode: UInt16 = 0
    public var httpVersion = LogProtocol.unknown

    public init() {}
}
