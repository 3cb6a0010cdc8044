// What an HTTP/1 head says once it has been read: the framing of its body and the fate of its connection.
package import Base

/// How the end of a body is found (RFC 9112 6.3).
package enum BodyFraming: UInt8, Sendable, BitwiseCopyable {
    case none, length, chunked
    /// Responses only: up to the end of the connection.
    case untilClose
}

/// Why a head was refused. Each has one status (`status`), and the connection is closed after it.
package enum HeadError: UInt8, Sendable, BitwiseCopyable {
    case badRequestLine, badVersion, unsupportedVersion, badFieldLine, bareLineFeed, badTarget
    case missingHost, duplicateHost, badHost
    case badContentLength, contentLengthTooLarge, lengthAndChunked, badTransferEncoding
    case unknownTransferEncoding, badConnection, badTE
    case headTooLarge, tooManyFields, targetTooLong, badStatusLine, connectWithBody

    package var status: Int {
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
    package var name: StaticString {
        switch self {
        case .badRequestLine: "bad_request_line"
        case .badVersion: "bad_version"
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
package enum HeadResult {
    /// Not there yet; nothing wrong so far.
    case needMore
    /// Bytes of the head, blank line and skipped leading blank lines included.
    case complete(Int)
    case refused(HeadError)
}

/// Methods that framing, retries or routing treat specially.
package enum MethodKind: UInt8, Sendable, BitwiseCopyable {
    case get, head, post, put, delete, options, trace, connect, other

    /// RFC 9110 9.2.2: may be sent again when it is unknown whether it arrived.
    package var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .connect, .other: false
        }
    }

    package init(_ method: ByteView) {
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

/// What field lines say about framing and connection, gathered while they are read (RFC 9112 6, RFC 9110 7.6).
package struct ConnectionFields: BitwiseCopyable {
    package var contentLength: UInt64 = 0
    package var hasContentLength = false
    package var hasTransferEncoding = false
    package var isChunked = false
    /// `connection` tokens.
    package var hasClose = false
    package var hasKeepAlive = false
    package var hasConnectionUpgrade = false
    /// There are tokens that name fields to remove.
    package var namesFields = false
    /// An `upgrade` field is there; `upgradesToWebSocket` when it is exactly that.
    package var hasUpgrade = false
    package var upgradesToWebSocket = false
    package var upgradesToH2C = false
    package var expectsContinue = false
    package var hostCount: UInt8 = 0

    package init() {}
}

/// A request head as read. Views hold until the next read.
package struct RequestHead: BitwiseCopyable {
    package var request = Request()
    package var method = MethodKind.other
    /// 0 or 1.
    package var minorVersion: UInt8 = 1
    package var isAbsoluteForm = false
    package var framing = BodyFraming.none
    package var connection = ConnectionFields()

    package init() {}

    /// Whether the client lets the connection live on (RFC 9112 9.3).
    package var keepsAlive: Bool {
        if connection.hasClose { return false }
        return minorVersion == 1 || connection.hasKeepAlive
    }
}

/// A response head as read. Views hold until the next read.
package struct ResponseHead: BitwiseCopyable {
    package var status = 0
    package var reasonPhrase: ByteView = .empty
    package var minorVersion: UInt8 = 1
    package var framing = BodyFraming.none
    package var connection = ConnectionFields()

    package init() {}

    package var keepsAlive: Bool {
        if connection.hasClose || framing == .untilClose { return false }
        return minorVersion == 1 || connection.hasKeepAlive
    }
}
