// Response heads: status lines, framing, and what must become a 502.
import FuzzInvariants
import HTTP
import TestSupport
import Testing

@Suite struct ResponseHeads {
    @Test func aWholeResponse() throws {
        let raw = "HTTP/1.1 200 All \u{E4}\tright\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello"
        let head = try #require(readResponse(raw).head)
        #expect(head.length == raw.utf8.count - 5)
        #expect(head.status == 200 && text(head.phrase) == "All \u{E4}\tright")
        #expect(head.framing == .length && head.contentLength == 5 && head.keepsAlive)
        #expect(head.linesText == "content-length: 5\r\nx: 1\r\n")
        try checkHead(.response, Array(raw.utf8))
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200 OK", 200, "OK"), ("HTTP/1.1 200 ", 200, ""), ("HTTP/1.1 200", 200, ""),
            ("HTTP/1.1 999  two", 999, " two"), ("HTTP/1.0 100 Go", 100, "Go"),
        ])
    func statusLines(_ line: String, _ status: Int, _ phrase: String) throws {
        let head = try #require(readResponse(line + "\r\n\r\n").head)
        #expect(head.status == status && text(head.phrase) == phrase)
        try checkHead(.response, Array((line + "\r\nContent-Length: 0\r\n\r\n").utf8))
    }

    @Test(
        arguments: [
            "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200\tOK\r\n\r\n", "HTTP/1.1 200 O\u{0}K\r\n\r\n", "HTTP/1.1 200 OK\n\r\n",
            "HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\rX\r\n\r\n", "HTTP/1.1 200\n", "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\u{16}",
        ])
    func badStatusLines(_ raw: String) throws {
        #expect(readResponse(raw) == .refused(.badStatusLine))
        try checkHead(.response, Array(raw.utf8))
    }

    @Test(
        arguments: [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", HeadError.lengthAndChunked),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .badTransferEncoding),
            ("Transfer-Encoding: gzip", .unknownTransferEncoding),
            ("Content-Length: 5\r\nContent-Length: 6", .badContentLength),
            ("Content-Length: -1", .badContentLength),
            ("Content-Length: 99999999999999999999", .contentLengthTooLarge), ("X : 1", .badFieldLine),
            ("X: 1\n", .bareLineFeed), (" X: 1", .badFieldLine), ("X: \u{0}", .badFieldLine),
        ])
    func refused(_ lines: String, _ why: HeadError) throws {
        let raw = "HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n"
        #expect(readResponse(raw) == .refused(why))
        try checkHead(.response, Array(raw.utf8))
    }

    @Test func codingsIn10AreRefused() {
        #expect(
            readResponse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                == .refused(.badTransferEncoding))
    }

    private func framed(_ status: Int, _ lines: String, toHead: Bool) -> BodyFraming? {
        var head = ResponseHead()
        head.status = status
        switch lines {
        case "length":
            head.connection.hasContentLength = true
            head.connection.contentLength = 5
        case "zero": head.connection.hasContentLength = true
        case "chunked": head.connection.hasTransferEncoding = true
        default: break
        }
        return ResponseRules.frame(&head, toHead: toHead) == nil ? head.framing : nil
    }

    /// RFC 9112 6.3, cases 1 to 8 without CONNECT.
    @Test(
        arguments: [
            (200, "length", false, BodyFraming.length), (200, "zero", false, .none),
            (200, "chunked", false, .chunked), (200, "", false, .untilClose), (404, "", false, .untilClose),
            (200, "length", true, .none), (200, "chunked", true, .none), (200, "", true, .none),
            (204, "length", false, .none), (204, "chunked", false, .none), (204, "", false, .none),
            (304, "length", false, .none), (304, "", false, .none), (205, "", false, .untilClose),
        ])
    func bodies(_ status: Int, _ lines: String, _ toHead: Bool, _ framing: BodyFraming) {
        #expect(framed(status, lines, toHead: toHead) == framing)
    }

    /// An ambiguous answer is refused even where it has no body: what reads it next may think otherwise.
    @Test(arguments: [204, 304, 200]) func bothFramingsAreRefusedAlways(_ status: Int) {
        var head = ResponseHead()
        head.status = status
        head.connection.hasContentLength = true
        head.connection.hasTransferEncoding = true
        #expect(ResponseRules.frame(&head, toHead: true) == .lengthAndChunked)
    }

    @Test(
        arguments: [
            ("HTTP/1.1", "Content-Length: 0", true), ("HTTP/1.1", "X: 1", false),
            ("HTTP/1.1", "Content-Length: 1\r\nConnection: close", false),
            ("HTTP/1.0", "Content-Length: 1", false),
            ("HTTP/1.0", "Content-Length: 1\r\nConnection: keep-alive", true),
        ])
    func keepsAlive(_ version: String, _ lines: String, _ keeps: Bool) throws {
        #expect(try #require(readResponse("\(version) 200 OK\r\n\(lines)\r\n\r\n").head).keepsAlive == keeps)
    }
}
