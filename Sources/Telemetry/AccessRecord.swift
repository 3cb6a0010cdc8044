// One finished exchange as the access log sees it: filled by the worker, formatted by the log's own thread.
package import Base

package enum LogProtocol: UInt8, BitwiseCopyable, Sendable {
    /// The head was not read far enough to know.
    case unknown
    case http10, http11, http2
}

/// Empty views, `unspecified` addresses and negative numbers are missing values: `-` in text, null in JSON.
/// Views need to hold only for the call of `AccessRing.push`.
package struct AccessRecord: BitwiseCopyable {
    // The views come first and adjoin: the ring walks them as an array of `viewCount` views.

    package var method: ByteView = .empty
    /// As it went upstream, query included.
    package var path: ByteView = .empty
    /// Before a rewrite (`x-envoy-original-path`); empty if there was none.
    package var originalPath: ByteView = .empty
    package var authority: ByteView = .empty
    package var userAgent: ByteView = .empty
    package var forwardedFor: ByteView = .empty
    package var requestID: ByteView = .empty
    package var cluster: ByteView = .empty
    package var route: ByteView = .empty
    /// `via_upstream`, `route_not_found`, ... (istio-semantics.md 23).
    package var details: ByteView = .empty
    package var terminationDetails: ByteView = .empty
    package var transportFailure: ByteView = .empty
    /// SNI.
    package var serverName: ByteView = .empty
    package var lane: ByteView = .empty
    package var laneDecision: ByteView = .empty
    package var laneCarrier: ByteView = .empty
    /// The `x-fairlead-reason`.
    package var reason: ByteView = .empty
    static var viewCount: Int { 17 }

    package var upstream: SocketAddress = .unspecified
    package var upstreamLocal: SocketAddress = .unspecified
    package var downstreamLocal: SocketAddress = .unspecified
    package var downstreamRemote: SocketAddress = .unspecified
    /// CLOCK_REALTIME of the first byte, nanoseconds since 1970.
    package var startNs: UInt64 = 0
    /// First byte in to last byte out.
    package var durationNs: UInt64 = 0
    /// `x-envoy-upstream-service-time`, milliseconds; negative: none.
    package var upstreamServiceMs: Int64 = -1
    /// Body bytes.
    package var bytesReceived: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var flags: ResponseFlags = []
    package var responseCode: UInt16 = 0
    package var httpVersion = LogProtocol.unknown

    package init() {}
}
