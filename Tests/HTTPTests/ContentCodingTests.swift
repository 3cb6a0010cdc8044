// Which coding a client gets for what its accept-encoding says (RFC 9110 12.5.3).
import Base
import Testing

@testable import HTTP

private func preferred(_ lines: [String]) -> ContentCoding {
    let head = lines.map { "accept-encoding: \($0)\r\n" }.joined()
    var bytes = Array("GET / HTTP/1.1\r\nhost: a\r\n\(head)\r\n".utf8)
    var list = HeaderList()
    defer { list.deallocate() }
    return bytes.withUnsafeMutableBufferPointer { buffer in
        var request = RequestHead()
        _ = H1Parser.readRequest(
            buffer.baseAddress!, buffer.count, &request, &list, maxBytes: Limits.headBytes,
            maxFields: Limits.headFields)
        return ContentCoding.preferred(by: HeaderName("accept-encoding"), in: list)
    }
}

@Suite struct ContentCodings {
    @Test(
        arguments: [
            ("gzip", .gzip), ("GZIP", .gzip), ("x-gzip", .gzip), ("deflate", .deflate),
            ("gzip, deflate, br, zstd", .gzip), ("br, deflate;q=0.5, gzip;q=0.4", .deflate),
            ("gzip;q=0.5,deflate;q=0.5", .gzip), ("gzip;q=0, deflate", .deflate), ("*", .gzip),
            ("*;q=0.1, gzip;q=0", .deflate), ("identity, gzip", .gzip), ("identity;q=0.5, gzip", .gzip),
            ("identity;q=0, *;q=0", .identity), ("identity;q=1, gzip;q=0.9", .identity),
            ("identity;q=0", .identity), ("br", .identity), ("", .identity), (",,", .identity),
            ("gzip ; q=0.001", .gzip), ("gzip;q=0.000", .identity), ("gzip;Q=1.000", .gzip),
            // Weights that are none: the element says nothing.
            ("gzip;q=1.001", .identity), ("gzip;q=0.1234", .identity), ("gzip;q=", .identity),
            ("gzip;q=-1", .identity), ("gzip;level=9", .identity), ("gzip;q=.5", .identity),
            ("gzip;q=2", .identity), ("gzip;q=0,5", .identity), ("gzip;q=1x", .identity),
            // The first of duplicates counts.
            ("gzip;q=0, gzip", .identity), ("gzips, agzip", .identity),
        ] as [(String, ContentCoding)])
    func oneLine(_ value: String, _ expected: ContentCoding) { #expect(preferred([value]) == expected) }

    @Test func linesAreOneList() {
        #expect(preferred([]) == .identity)
        #expect(preferred(["br", "gzip;q=0.2", "deflate;q=0.3"]) == .deflate)
    }
}
