// What routing sees of a request: HTTP/1 and HTTP/2 both become this.
package import Base

/// Which proxy listener a request came in by; decides defaults of istio-semantics.md 22.2.
package enum ListenerRole: UInt8, Sendable, BitwiseCopyable {
    case edge, outbound, inbound
}

/// The start line's meaning, after normalisation. Views hold until the worker reads the next bytes.
package struct Request: BitwiseCopyable {
    package var method: ByteView = .empty
    /// `http` or `https`: of the target in absolute form, else of the connection.
    package var scheme: ByteView = .empty
    /// The Host as sent, port included; after a preview host or rewrite, the new one.
    package var authority: ByteView = .empty
    /// Normalised path without `?query`: what is matched and what goes upstream.
    package var path: ByteView = .empty
    /// After the first `?`; bytes as sent. `hasQuery` tells an empty query from none.
    package var query: ByteView = .empty
    package var hasQuery = false
    /// The request target as sent, for the log.
    package var target: ByteView = .empty
    /// CONNECT: `authority` is the target and there is no path.
    package var isConnect = false

    package init() {}
}
