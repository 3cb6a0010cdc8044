// Which responses may be compressed, and what becomes of their heads.
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct CompressionRulesTests {
    /// The response's lines after the rules; nil where it is left alone.
    private func compress(
        _ lines: [(String, String)], status: Int = 200, coding: ContentCoding = .gzip,
        change: (inout CompressionModel) -> Void = { _ in }
    ) -> [String]? {
        var model = CompressionModel()
        change(&model)
        let arena = Arena()
        let rules = CompressionRules(model, arena)
        let read = ExplainHead(method: "GET", url: "/", headers: lines, normalization: .none)
        var headers = read.headers
        defer { read.deallocate() }
        headers.remove(.host)
        var head = ResponseHead()
        head.status = status
        if let length = lines.first(where: { $0.0 == "content-length" }) {
            head.connection.hasContentLength = true
            head.connection.contentLength = UInt64(length.1) ?? 0
        }
        guard rules.cover(head, headers) else { return nil }
        rules.noteVariance(&headers)
        rules.encode(coding, &headers)
        return (0..<headers.count).map { headers.fields[$0] }.filter { !$0.dropped }
            .map { "\($0.name.string): \($0.value.string)" }
    }

    @Test func aHeadSaysWhatWasDone() {
        let html = [("content-type", "text/html; charset=utf-8"), ("content-length", "5000")]
        #expect(
            compress(html) == [
                "content-type: text/html; charset=utf-8", "vary: Accept-Encoding", "content-encoding: gzip",
            ])
        #expect(compress(html, coding: .deflate)?.last == "content-encoding: deflate")
        #expect(compress(html + [("etag", "\"a\"")])?.last == "etag: W/\"a\"")
        #expect(compress(html + [("etag", "W/\"a\"")])?.filter { $0.hasPrefix("etag") } == ["etag: W/\"a\""])
        #expect(
            compress(html + [("vary", "Origin, accept-Encoding")])?.contains("vary: Accept-Encoding") == false
        )
        #expect(compress(html + [("vary", "*")])?.filter { $0.hasPrefix("vary") } == ["vary: *"])
        #expect(compress(html + [("vary", "Origin")])?.filter { $0.hasPrefix("vary") }.count == 2)
    }

    @Test(
        arguments: [
            ("text/html", true), ("TEXT/HTML ;a=b", true), ("text/html2", false), ("text", false),
            ("image/png", false), ("", false), ("text/csv", false), ("application/json", true),
        ] as [(String, Bool)])
    func mediaTypes(_ type: String, _ expected: Bool) {
        #expect((compress([("content-type", type)]) != nil) == expected)
    }

    @Test(
        arguments: [
            ("text/csv", true), ("text/", false), ("texts/csv", false), ("Image/SVG+xml", true),
            ("image/png", false),
        ] as [(String, Bool)])
    func configuredTypes(_ type: String, _ expected: Bool) {
        let lines = compress([("content-type", type)]) { $0.types = ["text/*", "image/svg+XML"] }
        #expect((lines != nil) == expected)
    }

    @Test func whatIsLeftAlone() {
        let text = [("content-type", "text/plain")]
        #expect(compress(text) != nil, "of a length that nobody knows")
        for status in [204, 206, 304] { #expect(compress(text, status: status) == nil, "\(status)") }
        for status in [200, 404, 503] { #expect(compress(text, status: status) != nil, "\(status)") }
        #expect(compress([]) == nil)
        for line in [
            ("content-encoding", "br"), ("content-encoding", "identity"), ("content-range", "bytes 0-9/20"),
            ("cache-control", "public, No-Transform"), ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "x"), ("digest", "x"), ("content-md5", "x"), ("content-length", "1023"),
            ("content-length", "0"),
        ] {
            #expect(compress(text + [line]) == nil, "\(line)")
        }
        #expect(compress(text + [("content-length", "1024")]) != nil)
        #expect(compress(text + [("content-length", "10")]) { $0.minBytes = 10 } != nil)
        #expect(compress(text + [("cache-control", "no-transformer")]) != nil)
    }
}
