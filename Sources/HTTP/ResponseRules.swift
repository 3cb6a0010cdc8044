// How long a response's body is (RFC 9112 6.3), settled with the request it answers. A response that two
// readers could frame differently is refused: the client gets 502, never the response.

public enum ResponseRules {
    /// Settles the framing of a final (not 1xx) response. `toHead`: it answers HEAD.
    public static func frame(_ head: inout ResponseHead, toHead: Bool) -> HeadError? {
        let connection = head.connection
        if connection.hasTransferEncoding {
            if connection.hasContentLength { return .lengthAndChunked }
            if head.minorVersion == 0 { return .badTransferEncoding }
        }
        if toHead || head.status == 204 || head.status == 304 {
            head.framing = .none
        } else if connection.hasTransferEncoding {
            head.framing = .chunked
        } else if connection.hasContentLength {
            head.framing = connection.contentLength == 0 ? .none : .length
        } else {
            head.framing = .untilClose
        }
        return nil
    }
}
