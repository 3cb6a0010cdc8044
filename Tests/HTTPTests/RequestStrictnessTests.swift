// What is refused, and why: each row names a way in which two parsers could read one request differently, or
// a rule of RFC 9112 that a sender broke. Every row is also read at every split.
import FuzzInvariants
import HTTP
import TestSupport
import Testing

struct Strictness: Sendable, CustomTestStringConvertible {
    let why: String
    let raw: String
    /// nil: accepted.
    let refusal: HeadError?

    init(_ why: String, _ raw: String, _ refusal: HeadError?) {
        self.why = why
        self.raw = raw
        self.refusal = refusal
    }

    var testDescription: String { why }
}

private func post(_ lines: String...) -> String {
    (["POST / HTTP/1.1", "Host: a"] + lines).map { $0 + "\r\n" }.joined() + "\r\n"
}

private let framing: [Strictness] = [
    .init("CL.TE", post("Content-Length: 6", "Transfer-Encoding: chunked"), .lengthAndChunked),
    .init("TE.CL", post("Transfer-Encoding: chunked", "Content-Length: 6"), .lengthAndChunked),
    .init(
        "TE with a length of zero", post("Transfer-Encoding: chunked", "Content-Length: 0"), .lengthAndChunked
    ),
    .init("TE.TE", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), .badTransferEncoding),
    .init(
        "TE.TE identity", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        .badTransferEncoding),
    .init("TE identity", post("Transfer-Encoding: identity"), .unknownTransferEncoding),
    .init("TE gzip, chunked", post("Transfer-Encoding: gzip, chunked"), .unknownTransferEncoding),
    .init("TE chunked, chunked", post("Transfer-Encoding: chunked, chunked"), .unknownTransferEncoding),
    .init("TE chunked with a parameter", post("Transfer-Encoding: chunked;a=b"), .unknownTransferEncoding),
    .init("TE xchunked", post("Transfer-Encoding: xchunked"), .unknownTransferEncoding),
    .init("TE empty", post("Transfer-Encoding:"), .unknownTransferEncoding),
    .init("TE quoted", post("Transfer-Encoding: \"chunked\""), .unknownTransferEncoding),
    .init("TE with vertical tab", post("Transfer-Encoding: \u{0B}chunked"), .badFieldLine),
    .init("TE in any case", post("tRANSFER-eNCODING:\t CHUNKED \t"), nil),
    .init("TE_ is another field", post("Transfer_Encoding: chunked", "Content-Length: 1"), nil),
    .init(
        "TE in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        .badTransferEncoding),
    .init("CL twice, equal", post("Content-Length: 5", "Content-Length: 5"), nil),
    .init("CL twice, equal in number", post("Content-Length: 5", "Content-Length: 05"), nil),
    .init("CL twice, different", post("Content-Length: 5", "Content-Length: 6"), .badContentLength),
    .init("CL list", post("Content-Length: 5, 5"), .badContentLength),
    .init("CL plus", post("Content-Length: +5"), .badContentLength),
    .init("CL minus", post("Content-Length: -5"), .badContentLength),
    .init("CL with a blank inside", post("Content-Length: 5 5"), .badContentLength),
    .init("CL hex", post("Content-Length: 0x5"), .badContentLength),
    .init("CL hex digit", post("Content-Length: 1a"), .badContentLength),
    .init("CL empty", post("Content-Length:"), .badContentLength),
    .init("CL only blanks", post("Content-Length:  \t "), .badContentLength),
    .init("CL fraction", post("Content-Length: 5.0"), .badContentLength),
    .init("CL Arabic digit", post("Content-Length: \u{0665}"), .badContentLength),
    .init("CL 2^63-1", post("Content-Length: 9223372036854775807"), nil),
    .init("CL 2^63", post("Content-Length: 9223372036854775808"), .contentLengthTooLarge),
    .init("CL 2^64", post("Content-Length: 18446744073709551616"), .contentLengthTooLarge),
    .init("CL 2^64+5", post("Content-Length: 18446744073709551621"), .contentLengthTooLarge),
    .init(
        "CL 40 digits", post("Content-Length: \(String(repeating: "9", count: 40))"), .contentLengthTooLarge),
    .init("CL 2^63+", post("Content-Length: 9223372036854775810"), .contentLengthTooLarge),
    .init("CL in many zeros", post("Content-Length: \(String(repeating: "0", count: 40))5"), nil),
]

private let lines: [Strictness] = [
    .init("obs-fold", request("Host: a", "X: 1", " 2"), .badFieldLine),
    .init("obs-fold by tab", request("Host: a", "X: 1", "\t2"), .badFieldLine),
    .init("fold in the first line", request(" Host: a"), .badFieldLine),
    .init("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", .bareLineFeed),
    .init("bare LF as blank line", "GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
    .init("bare LF ends the last field", "GET / HTTP/1.1\r\nHost: a\n\r\n", .bareLineFeed),
    .init("bare LF is the last byte so far", "GET / HTTP/1.1\r\nHost: a\n", .bareLineFeed),
    .init("bare LF in a name", "GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n", .bareLineFeed),
    .init("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
    .init("bare LF after the method", "GET\n/ HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
    .init("bare LF after the target", "GET /\nHost: a\r\n\r\n", .bareLineFeed),
    .init("bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
    .init("bare CR in a value", request("Host: a", "X: 1\rY: 2"), .badFieldLine),
    .init("CR CR LF", request("Host: a\r"), .badFieldLine),
    .init("bare CR as blank line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", .badFieldLine),
    .init("bare CR in a name", request("Ho\rst: a"), .badFieldLine),
    .init("NUL in a value", request("Host: a", "X: 1\u{0}2"), .badFieldLine),
    .init("NUL as last byte so far", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}", .badFieldLine),
    .init("NUL in a name", request("Host: a", "X\u{0}: 1"), .badFieldLine),
    .init("DEL in a value", request("Host: a", "X: \u{7F}"), .badFieldLine),
    .init("blank before the colon", request("Host: a", "Content-Length : 5"), .badFieldLine),
    .init("tab before the colon", request("Host: a", "X\t: 5"), .badFieldLine),
    .init("blank in a name", request("Host: a", "X Y: 5"), .badFieldLine),
    .init("empty name", request("Host: a", ": 5"), .badFieldLine),
    .init("no colon", request("Host: a", "nothing"), .badFieldLine),
    .init("name above ASCII", request("Host: a", "Tr\u{E4}nsfer: 5"), .badFieldLine),
    .init("semicolon for a colon", request("Host: a", "X; 5"), .badFieldLine),
    .init("value above ASCII", request("Host: a", "X: D\u{FC}sseldorf"), nil),
    .init("empty value", request("Host: a", "X:"), nil),
    .init("empty value of blanks", request("Host: a", "X: \t "), nil),
    .init("value with colons", request("Host: a", "X: :::"), nil),
    .init("tab inside a value", request("Host: a", "X: a\tb"), nil),
    .init("every token character", request("Host: a", "!#$%&'*+-.^_`|~09azAZ: 1"), nil),
]

private let hosts: [Strictness] = [
    .init("no Host", request("X: 1"), .missingHost),
    .init("no Host in 1.0", request(start: "GET / HTTP/1.0"), .missingHost),
    .init("empty Host", request("Host:"), .missingHost),
    .init("two Hosts", request("Host: a", "Host: b"), .duplicateHost),
    .init("two equal Hosts", request("Host: a", "Host: a"), .duplicateHost),
    .init(
        "two Hosts, absolute form", request("Host: a", "Host: a", start: "GET http://a/ HTTP/1.1"),
        .duplicateHost),
    .init("no Host, absolute form", request(start: "GET http://a/ HTTP/1.1"), .missingHost),
    .init("bad Host, absolute form", request("Host: a, b", start: "GET http://a/ HTTP/1.1"), .badHost),
    .init("userinfo", request("Host: user@a"), .badHost),
    .init("list of hosts", request("Host: a, b"), .badHost),
    .init("comma", request("Host: a,b"), .badHost),
    .init("blank inside", request("Host: a b"), .badHost),
    .init("slash", request("Host: a/b"), .badHost),
    .init("backslash", request("Host: a\\b"), .badHost),
    .init("query", request("Host: a?b"), .badHost),
    .init("fragment", request("Host: a#b"), .badHost),
    .init("above ASCII", request("Host: \u{E4}"), .badHost),
    .init("port of letters", request("Host: a:http"), .badHost),
    .init("two ports", request("Host: a:80:80"), .badHost),
    .init("port too large", request("Host: a:65536"), .badHost),
    .init("port too long", request("Host: a:000080"), .badHost),
    .init("port without a host", request("Host: :80"), .badHost),
    .init("bracket open", request("Host: [::1"), .badHost),
    .init("brackets empty", request("Host: []"), .badHost),
    .init("after the bracket", request("Host: [::1]x"), .badHost),
    .init("zone", request("Host: [fe80::1%25eth0]"), .badHost),
    .init("brackets inside", request("Host: a[::1]"), .badHost),
    .init("host of 262 bytes", request("Host: \(String(repeating: "a", count: 262))"), .badHost),
    .init("host of 255 bytes with a port", request("Host: \(String(repeating: "a", count: 255)):65535"), nil),
    .init("port", request("Host: a:8080"), nil),
    .init("port empty", request("Host: a:"), nil),
    .init("IPv6", request("Host: [2001:db8::1]:80"), nil),
    .init("IPv4 in IPv6", request("Host: [::ffff:1.2.3.4]"), nil),
    .init("every sub-delimiter", request("Host: a-._~!$&'()*+;=%41"), nil),
]

private let startLines: [Strictness] = [
    .init("HTTP/0.9", "GET /\r\n", .badRequestLine),
    .init("HTTP/0.9 by name", request("Host: a", start: "GET / HTTP/0.9"), .unsupportedVersion),
    .init("HTTP/1.2", request("Host: a", start: "GET / HTTP/1.2"), .unsupportedVersion),
    .init("HTTP/2.0 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
    .init("HTTP/3.0", request("Host: a", start: "GET / HTTP/3.0"), .unsupportedVersion),
    .init("HTTP/1.10", request("Host: a", start: "GET / HTTP/1.10"), .badVersion),
    .init("HTTP/1", request("Host: a", start: "GET / HTTP/1"), .badVersion),
    .init("HTTP/11", request("Host: a", start: "GET / HTTP/11"), .badVersion),
    .init("HTTP/1,1", request("Host: a", start: "GET / HTTP/1,1"), .badVersion),
    .init("HTTP/x.1", request("Host: a", start: "GET / HTTP/x.1"), .badVersion),
    .init("HTTP/+1.1", request("Host: a", start: "GET / HTTP/+1.1"), .badVersion),
    .init("http in lower case", request("Host: a", start: "GET / http/1.1"), .badVersion),
    .init("a line of another protocol", "INVALID CONNECTION PREFACE\r\n\r\n", .notHTTP),
    .init("another protocol", request("Host: a", start: "GET / ICE/1.0"), .badVersion),
    .init("CR without LF after the version", "GET / HTTP/1.1\rHost: a\r\n\r\n", .badVersion),
    .init("blank after the version", request("Host: a", start: "GET / HTTP/1.1 "), .badVersion),
    .init("two blanks before the version", request("Host: a", start: "GET /  HTTP/1.1"), .badVersion),
    .init("two blanks before the target", request("Host: a", start: "GET  / HTTP/1.1"), .badRequestLine),
    .init("tab for a blank", request("Host: a", start: "GET\t/ HTTP/1.1"), .badRequestLine),
    .init("tab after the target", request("Host: a", start: "GET /\tHTTP/1.1"), .badRequestLine),
    .init("blank first", request("Host: a", start: " GET / HTTP/1.1"), .badRequestLine),
    .init("blank in the target", request("Host: a", start: "GET /a b HTTP/1.1"), .badVersion),
    .init("NUL in the target", request("Host: a", start: "GET /\u{0} HTTP/1.1"), .badRequestLine),
    .init("DEL in the target", request("Host: a", start: "GET /\u{7F} HTTP/1.1"), .badRequestLine),
    .init("no target", request("Host: a", start: "GET HTTP/1.1"), .badRequestLine),
    .init("colon in the method", request("Host: a", start: "GE:T / HTTP/1.1"), .badRequestLine),
    .init("method above ASCII", request("Host: a", start: "GET\u{E4} / HTTP/1.1"), .badRequestLine),
    .init("TLS hello", "\u{16}\u{03}\u{01}\u{00}\u{A5}", .badRequestLine),
    .init("method of 64", request("Host: a", start: "\(String(repeating: "M", count: 64)) / HTTP/1.1"), nil),
    .init(
        "method of 65", request("Host: a", start: "\(String(repeating: "M", count: 65)) / HTTP/1.1"),
        .badRequestLine),
    .init("four CRLFs first", "\r\n\r\n\r\n\r\n" + request("Host: a"), nil),
    .init("five CRLFs first", "\r\n\r\n\r\n\r\n\r\n" + request("Host: a"), .badRequestLine),
    .init("CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
    .init("method in lower case is another method", request("Host: a", start: "get / HTTP/1.1"), nil),
]

private let targets: [Strictness] = [
    .init("absolute form", request("Host: a", start: "GET http://b/c HTTP/1.1"), nil),
    .init("absolute form, scheme in capitals", request("Host: a", start: "GET HTTP://b/c HTTP/1.1"), nil),
    .init("absolute form, https", request("Host: a", start: "GET https://b/ HTTP/1.1"), nil),
    .init("absolute form, no path", request("Host: a", start: "GET http://b HTTP/1.1"), nil),
    .init("absolute form, IPv6", request("Host: a", start: "GET http://[::1]:8080/ HTTP/1.1"), nil),
    .init("absolute form, userinfo", request("Host: a", start: "GET http://u@b/ HTTP/1.1"), .badTarget),
    .init(
        "absolute form, userinfo hides a host", request("Host: a", start: "GET http://b:80@c/ HTTP/1.1"),
        .badTarget),
    .init("absolute form, no host", request("Host: a", start: "GET http:///c HTTP/1.1"), .badTarget),
    .init("absolute form, one slash", request("Host: a", start: "GET http:/b HTTP/1.1"), .badTarget),
    .init("absolute form, only the scheme", request("Host: a", start: "GET http:// HTTP/1.1"), .badTarget),
    .init("absolute form, bad port", request("Host: a", start: "GET http://b:99999/ HTTP/1.1"), .badTarget),
    .init(
        "absolute form, backslash in the host", request("Host: a", start: "GET http://b\\c/ HTTP/1.1"),
        .badTarget),
    .init("absolute form, ftp", request("Host: a", start: "GET ftp://b/ HTTP/1.1"), .badTarget),
    .init("absolute form, no scheme", request("Host: a", start: "GET ://b/ HTTP/1.1"), .badTarget),
    .init("no slash", request("Host: a", start: "GET a/b HTTP/1.1"), .badTarget),
    .init("authority form for GET", request("Host: a", start: "GET a:80 HTTP/1.1"), .badTarget),
    .init("asterisk for GET", request("Host: a", start: "GET * HTTP/1.1"), .badTarget),
    .init("asterisk and more", request("Host: a", start: "OPTIONS ** HTTP/1.1"), .badTarget),
    .init("asterisk for OPTIONS", request("Host: a", start: "OPTIONS * HTTP/1.1"), nil),
    .init("only a fragment", request("Host: a", start: "GET #a HTTP/1.1"), .badTarget),
    .init("only a query", request("Host: a", start: "GET ?a HTTP/1.1"), .badTarget),
    .init("CONNECT", request("Host: a", start: "CONNECT b:443 HTTP/1.1"), nil),
    .init("CONNECT to IPv6", request("Host: a", start: "CONNECT [::1]:443 HTTP/1.1"), nil),
    .init(
        "CONNECT, length of zero", request("Host: a", "Content-Length: 0", start: "CONNECT b:443 HTTP/1.1"),
        nil),
    .init(
        "CONNECT with a body", request("Host: a", "Content-Length: 1", start: "CONNECT b:443 HTTP/1.1"),
        .connectWithBody),
    .init(
        "CONNECT with chunks",
        request("Host: a", "Transfer-Encoding: chunked", start: "CONNECT b:443 HTTP/1.1"),
        .connectWithBody),
    .init("CONNECT without a port", request("Host: a", start: "CONNECT b HTTP/1.1"), .badTarget),
    .init("CONNECT, digits without a port", request("Host: a", start: "CONNECT 443 HTTP/1.1"), .badTarget),
    .init(
        "CONNECT, 200 digits",
        request("Host: a", start: "CONNECT \(String(repeating: "9", count: 200)) HTTP/1.1"), .badTarget),
    .init("CONNECT, empty port", request("Host: a", start: "CONNECT b: HTTP/1.1"), .badTarget),
    .init("CONNECT, port zero", request("Host: a", start: "CONNECT b:00 HTTP/1.1"), .badTarget),
    .init("CONNECT, port too large", request("Host: a", start: "CONNECT b:65536 HTTP/1.1"), .badTarget),
    .init("CONNECT, IPv6 without a port", request("Host: a", start: "CONNECT [::1] HTTP/1.1"), .badTarget),
    .init("CONNECT to a path", request("Host: a", start: "CONNECT / HTTP/1.1"), .badTarget),
    .init("CONNECT to a URL", request("Host: a", start: "CONNECT http://b:80/ HTTP/1.1"), .badTarget),
    .init("CONNECT with userinfo", request("Host: a", start: "CONNECT u@b:80 HTTP/1.1"), .badTarget),
]

private let connections: [Strictness] = [
    .init("nine names", request("Host: a", "Connection: a,b,c,d,e,f,g,h,i"), nil),
    .init("ten names", request("Host: a", "Connection: a,b,c,d,e,f,g,h,i,j"), .badConnection),
    .init("ten commas", request("Host: a", "Connection: ,,,,,,,,,,"), nil),
    .init("pseudo-header", request("Host: a", "Connection: :path"), .badConnection),
    .init("x-forwarded-for", request("Host: a", "Connection: close, X-Forwarded-For"), .badConnection),
    .init("x-forwarded-host", request("Host: a", "Connection: x-forwarded-host"), .badConnection),
    .init("x-forwarded-proto", request("Host: a", "Connection:\tx-forwarded-proto"), .badConnection),
    .init("te of 256", request("Host: a", "TE: \(String(repeating: "t", count: 256))"), nil),
    .init("te of 257", request("Host: a", "TE: \(String(repeating: "t", count: 257))"), .badTE),
]

@Suite struct RequestStrictness {
    static let rows = framing + lines + hosts + startLines + targets + connections

    @Test(arguments: rows) func strict(_ row: Strictness) throws {
        let outcome = readRequest(row.raw)
        if let refusal = row.refusal {
            #expect(outcome == .refused(refusal))
        } else {
            #expect(outcome.head != nil, "\(outcome)")
        }
        try checkHead(.request, Array(row.raw.utf8))
    }

    /// Each reason is reached by some test here or in `HeadLimitTests` and `ResponseHeadTests`.
    @Test func everyReasonIsReached() {
        let elsewhere: Set<HeadError> = [.headTooLarge, .tooManyFields, .targetTooLong, .badStatusLine]
        let reached = Set(Self.rows.compactMap(\.refusal))
        #expect(reached.isDisjoint(with: elsewhere))
        for raw in UInt8(0)... {
            guard let reason = HeadError(rawValue: raw) else { break }
            #expect(reached.contains(reason) || elsewhere.contains(reason), "\(reason.name)")
        }
    }

    @Test func statuses() {
        var byStatus: [Int: Set<String>] = [:]
        for raw in UInt8(0)... {
            guard let reason = HeadError(rawValue: raw) else { break }
            byStatus[reason.status, default: []].insert("\(reason.name)")
        }
        #expect(byStatus.keys.sorted() == [400, 413, 414, 431, 501, 505])
        #expect(byStatus[413] == ["content_length_too_large"])
        #expect(byStatus[414] == ["target_too_long"])
        #expect(byStatus[431] == ["head_too_large", "too_many_fields"])
        #expect(byStatus[501] == ["unknown_transfer_encoding"])
        #expect(byStatus[505] == ["unsupported_version"])
        #expect(byStatus.values.reduce(0) { $0 + $1.count } == 22, "names are distinct")
    }
}
