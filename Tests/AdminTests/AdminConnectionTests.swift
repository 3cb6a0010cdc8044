// One admin connection without a socket: whole, split, pipelined and hostile input.
import Base
import HTTP
import Testing

@testable import Admin

/// Feeds pieces and sends whatever comes out; returns all output.
private func converse(_ pieces: [[UInt8]], closed: inout Bool) -> (output: String, requests: [AdminRequest]) {
    var connection = AdminConnection()
    var headers = HeaderList()
    defer { headers.deallocate() }
    var output: [UInt8] = []
    var requests: [AdminRequest] = []
    func handle(_ request: AdminRequest) -> AdminResponse {
        requests.append(request)
        return .text(200, "\(request.method) \(request.path) \(request.body.count)")
    }
    for piece in pieces {
        piece.withUnsafeBufferPointer { connection.receive($0, &headers, nowNs: 0, handle) }
        while connection.hasOutput {
            output += connection.output[connection.sent...]
            connection.markSent(connection.output.count - connection.sent)
            connection.resume(&headers, nowNs: 0, handle)
        }
    }
    closed = connection.isClosing
    return (String(decoding: output, as: UTF8.self), requests)
}

private func converse(_ text: String) -> (output: String, requests: [AdminRequest], closed: Bool) {
    var closed = false
    let (output, requests) = converse([Array(text.utf8)], closed: &closed)
    return (output, requests, closed)
}

private func statuses(_ output: String) -> [Int] {
    output.split(separator: "HTTP/1.1 ").compactMap { Int($0.prefix(3)) }
}

private let several =
    "GET /a?x=1 HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nSec-Fetch-Site: same-origin\r\n\r\n"
    + "POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"
    + "POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    + "3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nt: v\r\n\r\n"
    + "HEAD /d HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"

@Test func pipelinedRequestsAreAnsweredInOrder() {
    let (output, requests, closed) = converse(several)
    #expect(requests.map(\.path) == ["/a", "/b", "/c", "/d"])
    #expect(requests.map(\.method) == ["GET", "POST", "POST", "HEAD"])
    #expect(requests[0].query == "x=1")
    #expect(requests[0].origin == "http://h")
    #expect(requests[0].fetchSite == "same-origin")
    #expect(requests[1].body == Array("hello".utf8))
    #expect(requests[2].body == Array("abcde".utf8))
    #expect(statuses(output) == [200, 200, 200, 200])
    #expect(output.contains("GET /a 0\n"))
    // HEAD tells the length and sends no body.
    #expect(
        output.hasSuffix(
            "content-length: 10\r\nvary: accept-encoding\r\ncache-control: no-store\r\n"
                + "x-content-type-options: nosniff\r\nserver: fairlead\r\n"
                + "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                + "connection: close\r\n\r\n"))
    #expect(closed)
}

@Test func theSameAtEverySplit() {
    let bytes = Array(several.utf8)
    let whole = converse(several)
    for split in 1..<bytes.count {
        var closed = false
        let (output, _) = converse([Array(bytes[..<split]), Array(bytes[split...])], closed: &closed)
        #expect(output == whole.output, "split at \(split)")
    }
    var closed = false
    #expect(converse(bytes.map { [$0] }, closed: &closed).output == whole.output)
}

@Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/2.0\r\nhost: h\r\n\r\n", 505),
    ("\u{1}\u{2}\u{3}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n", 400), ("GET / HTTP/1.1\nhost: h\n\n", 400),
    ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1048577\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{FC}\u{3}\u{3}\r\n", 400),
])
func badRequestsAreRefusedAndTheConnectionCloses(input: String, status: Int) {
    let (output, requests, closed) = converse(input + "GET /next HTTP/1.1\r\nhost: h\r\n\r\n")
    #expect(statuses(output) == [status])
    #expect(requests.isEmpty)
    #expect(closed)
}

@Test func tooLargeHeadsAndChunkedBodiesAreRefused() {
    let field = "x: \(String(repeating: "a", count: 1_000))\r\n"
    let head = "GET / HTTP/1.1\r\nhost: h\r\n" + String(repeating: field, count: 80)
    #expect(statuses(converse(head).output) == [431])
    let target = "GET /\(String(repeating: "a", count: 40_000)) HTTP/1.1\r\nhost: h\r\n\r\n"
    #expect(statuses(converse(target).output) == [414])
    #expect(statuses(converse("GET /" + String(repeating: "a", count: 70_000)).output) == [414])
    let chunk = "10000\r\n" + String(repeating: "b", count: 65_536) + "\r\n"
    let chunked = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    #expect(statuses(converse(chunked + String(repeating: chunk, count: 17)).output) == [413])
}

@Test func continueIsAskedForOnceTheHeadIsThere() {
    let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    var closed = false
    let (output, requests) = converse([Array(head.utf8), Array("ok".utf8)], closed: &closed)
    #expect(statuses(output) == [100, 200])
    #expect(requests.map(\.body) == [Array("ok".utf8)])
    #expect(!closed)
}

@Test func http10EndsAfterOneAnswerUnlessAsked() {
    #expect(converse("GET / HTTP/1.0\r\n\r\n").closed)
    #expect(!converse("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").closed)
}

@Test func junkNeverCrashesAndNeverReachesTheRoutesTwice() {
    var random = SystemRandomNumberGenerator()
    let fragments = [
        "GET / HTTP/1.1\r\n", "host: h\r\n", "\r\n", "content-length: 3\r\n",
        "transfer-encoding: chunked\r\n",
        "0\r\n\r\n", "\0", "\u{FF}", ": \r\n", " ", "POST ", "%%%", "5\r\nhello\r\n",
    ]
    for _ in 0..<3_000 {
        var text = ""
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            text += fragments.randomElement(using: &random)!
        }
        let bytes = Array(text.utf8)
        let split = Int.random(in: 0...bytes.count, using: &random)
        var closed = false
        var once = false
        let halves = converse([Array(bytes[..<split]), Array(bytes[split...])], closed: &closed)
        let whole = converse([bytes], closed: &once)
        #expect(halves.output == whole.output)
        #expect(closed == once)
    }
}
