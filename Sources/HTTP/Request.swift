// What routing sees of a request: HTTP/1 and HTTP/2 both become this.
public import Base

/// Which proxy listener a request came in by; decides defaults of istio-semantics.md 22.2.
public enum ListenerRole: UInt8, Sendable, BitwiseCopyable {
    case edge, outbound, inbound
}

/// The start line's meaning, after normalisation. Views hold until the worker reads the next bytes.
public struct Request: BitwiseCopyable {
    public var method: ByteView = .empty
    /// `http` or `https`: of the target in absolute form, else of the connection.
    public var scheme: ByteView = .empty
    /// The Host as sent, port included; after a preview host or rewrite, the new one.
    public var authority: ByteView = .empty
    /// `authority` is a name in small letters, without a port; false says nothing.
    public var hasPlainAuthority = false
    /// Normalised path without `?query`: what is matched and what goes upstream.
    public var path: ByteView = .empty
    /// After the first `?`; bytes as sent. `hasQuery` tells an empty query from none.
    public var query: ByteView = .empty
    public var hasQuery = false
    /// The request target as sent, for the log.
    public var target: ByteView = .empty
    /// CONNECT: `authority` is the target and there is no path.
    public var isConnect = false

    public init() {}
}
