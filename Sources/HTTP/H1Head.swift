// What an HTTP/1 head says once it has been read: the framing of its body and the fate of its connection.
public import Base

/// How the end of a body is found (RFC 9112 6.3).
public enum BodyFraming: UInt8, Sendable, BitwiseCopyable {
    case none, length, chunked
    /// Responses only: up to the end of the connection.
    case untilClose
    /// HTTP/2: up to END_STREAM. A content-length beside it was checked by the session.
    case stream
}

/// Why a head was refused. Each has one status (`status`), and the connection is closed after it.
public enum HeadError: UInt8, Sendable, BitwiseCopyable {
    case badRequestLine, badVersion, unsupportedVersion, badFieldLine, bareLineFeed, badTarget
    case missingHost, duplicateHost, badHost
    case badContentLength, contentLengthTooLarge, lengthAndChunked, badTransferEncoding
    case unknownTransferEncoding, badConnection, badTE
    case headTooLarge, tooManyFields, targetTooLong, badStatusLine, connectWithBody
    /// Neither the target nor the version of the first line is one: whoever wrote it does not speak HTTP/1.
    case notHTTP

    public var status: Int {
        switch self {
        case .unsupportedVersion: 505
        case .contentLengthTooLarge: 413
        case .unknownTransferEncoding: 501
        case .headTooLarge, .tooManyFields: 431
        case .targetTooLong: 414
        default: 400
        }
    }

    /// For logs and the counter's label.
    public var name: StaticString {
        switch self {
        case .badRequestLine: "bad_request_line"
        case .badVersion: "bad_version"
        case .notHTTP: "not_http"
        case .unsupportedVersion: "unsupported_version"
        case .badFieldLine: "bad_field_line"
        case .bareLineFeed: "bare_line_feed"
        case .badTarget: "bad_target"
        case .missingHost: "missing_host"
        case .duplicateHost: "duplicate_host"
        case .badHost: "bad_host"
        case .badContentLength: "bad_content_length"
        case .contentLengthTooLarge: "content_length_too_large"
        case .lengthAndChunked: "length_and_chunked"
        case .badTransferEncoding: "bad_transfer_encoding"
        case .unknownTransferEncoding: "unknown_transfer_encoding"
        case .badConnection: "bad_connection"
        case .badTE: "bad_te"
        case .headTooLarge: "head_too_large"
        case .tooManyFields: "too_many_fields"
        case .targetTooLong: "target_too_long"
        case .badStatusLine: "bad_status_line"
        case .connectWithBody: "connect_with_body"
        }
    }
}

/// The outcome of reading a head.
public enum HeadResult {
    /// Not there yet; nothing wrong so far.
    case needMore
    /// Bytes of the head, blank line and skipped leading blank lines included.
    case complete(Int)
    case refused(HeadError)
}

/// Methods that framing, retries or routing treat specially.
public enum MethodKind: UInt8, Sendable, BitwiseCopyable {
    case get, head, post, put, delete, options, trace, connect, other

    /// RFC 9110 9.2.2: may be sent again when it is unknown whether it arrived.
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .connect, .other: false
        }
    }

    public init(_ method: ByteView) {
        switch method.count {
        case 3 where method.equals("GET"): self = .get
        case 3 where method.equals("PUT"): self = .put
        case 4 where method.equals("HEAD"): self = .head
        case 4 where method.equals("POST"): self = .post
        case 5 where method.equals("TRACE"): self = .trace
        case 6 where method.equals("DELETE"): self = .delete
        case 7 where method.equals("OPTIONS"): self = .options
        case 7 where method.equals("CONNECT"): self = .connect
        default: self = .other
        }
    }
}

/// What field lines say about framing and connection, gathered while they are read (RFC 9112 6, RFC 9110
/// 7.6).
public struct ConnectionFields: BitwiseCopyable {
    public var contentLength: UInt64 = 0
    public var hasContentLength = false
    public var hasTransferEncoding = false
    public var isChunked = false
    /// `connection` tokens.
    public var hasClose = false
    public var hasKeepAlive = false
    public var hasConnectionUpgrade = false
    /// There are tokens that name fields to remove.
    public var namesFields = false
    /// An `upgrade` field is there; `upgradesToWebSocket` when it is exactly that.
    public var hasUpgrade = false
    public var upgradesToWebSocket = false
    public var upgradesToH2C = false
    public var expectsContinue = false
    /// 0, 1, or 2 for more than one.
    public var hostCount: UInt8 = 0
    /// Legal but worth counting; `isOdd` if any of the others is set.
    public var isOdd = false
    /// Blank lines before the request line.
    public var blankLines: UInt8 = 0
    /// The length was said twice, the same both times.
    public var repeatsLength = false

    public init() {}
}

/// A request head as read. Views hold until the next read.
public struct RequestHead: BitwiseCopyable {
    public var request = Request()
    public var method = MethodKind.other
    /// 0 or 1; 2: HTTP/2.
    public var minorVersion: UInt8 = 1
    public var isAbsoluteForm = false
    /// OPTIONS in absolute form without path or query: `*` for the server that it ends at (RFC 9112 3.2.4).
    /// Routes see `/`.
    public var asksWholeServer = false
    /// `request.path` is known to need no normalisation, whatever the mode; false says nothing.
    public var pathIsPlain = false
    public var framing = BodyFraming.none
    public var connection = ConnectionFields()

    public init() {}

    /// Whether the client lets the connection live on (RFC 9112 9.3).
    public var keepsAlive: Bool {
        if connection.hasClose { return false }
        return minorVersion >= 1 || connection.hasKeepAlive
    }
}

/// A response head as read. Views hold until the next read.
public struct ResponseHead: BitwiseCopyable {
    public var status = 0
    public var reasonPhrase: ByteView = .empty
    public var minorVersion: UInt8 = 1
    public var framing = BodyFraming.none
    public var connection = ConnectionFields()

    public init() {}

    public var keepsAlive: Bool {
        if connection.hasClose || framing == .untilClose { return false }
        return minorVersion >= 1 || connection.hasKeepAlive
    }
}
