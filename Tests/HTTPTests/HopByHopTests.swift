// What belongs to one hop only does not go on, and a client cannot name away what must.
import Base
import FuzzInvariants
import TestSupport
import Testing

@testable import HTTP

@Suite struct HopByHop {
    /// The lines that go on after the hop's own are removed.
    private func goingOn(_ lines: String) throws -> [String] {
        var bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n".utf8)
        var headers = HeaderList()
        defer { headers.deallocate() }
        var head = RequestHead()
        return try bytes.withUnsafeMutableBufferPointer { buffer in
            let result = H1Parser.readRequest(
                try #require(buffer.baseAddress), buffer.count, &head, &headers, maxBytes: Limits.headBytes,
                maxFields: Limits.headFields)
            guard case .complete = result else { throw TestFailure("\(result)") }
            ConnectionRules.removeHopByHop(&headers, namesFields: head.connection.namesFields)
            return (0..<headers.count).filter { !headers.fields[$0].dropped }.map {
                "\(headers.fields[$0].name.string): \(headers.fields[$0].value.string)"
            }
        }
    }

    @Test(
        arguments: [
            ("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nX: 1\r\n", ["x: 1"]),
            ("Connection: close\r\n", []), ("Proxy-Connection: keep-alive\r\n", []),
            ("Upgrade: websocket\r\nConnection: upgrade\r\n", []), ("Trailer: X\r\n", []),
            ("Transfer-Encoding: chunked\r\nConnection: x\r\n", []),
            ("TE: trailers\r\n", ["te: trailers"]), ("TE: Trailers\r\n", ["te: Trailers"]),
            ("TE: gzip\r\n", []),
            ("TE: trailers, gzip\r\n", []), ("Connection: cookie\r\nCookie: a\r\nCookie: b\r\n", []),
            ("Connection: X-A , close,\tX-B\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n", ["x-c: 3"]),
            ("x-a: 1\r\nConnection: X-A\r\nx-a: 2\r\n", []),
            ("Connection: x-a\r\nConnection: x-b\r\nx-a: 1\r\nx-b: 2\r\n", []),
            ("Connection: x\r\nx-a: 1\r\n", ["x-a: 1"]),
            ("Connection: ,, ,x-a,,\r\nx-a: 1\r\nX: 2\r\n", ["x: 2"]),
            ("Connection: host\r\n", []), ("Connection: Host, x-a\r\nx-a: 1\r\n", []),
            (
                "Connection: content-length, x-a\r\nContent-Length: 5\r\nx-a: 1\r\n",
                ["content-length: 5"]
            ),
            ("Connection: te, x-a\r\nTE: trailers\r\nx-a: 1\r\n", ["te: trailers"]),
            ("X: 1\r\nY: 2\r\n", ["x: 1", "y: 2"]),
        ] as [(String, [String])])
    func removed(_ lines: String, _ left: [String]) throws {
        #expect(try goingOn(lines) == ["host: a"] + left)
    }

    /// Naming `transfer-encoding` changes nothing: framing is written anew by whoever sends the head.
    @Test func framingCannotBeNamedAway() throws {
        var bytes = Array(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding:chunked\r\n\r\n"
                .utf8)
        var headers = HeaderList()
        defer { headers.deallocate() }
        var head = RequestHead()
        bytes.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            _ = H1Parser.readRequest(
                start, buffer.count, &head, &headers, maxBytes: Limits.headBytes, maxFields: Limits.headFields
            )
            ConnectionRules.removeHopByHop(&headers, namesFields: head.connection.namesFields)
        }
        #expect(head.framing == .chunked)
        #expect(headers.find(.transferEncoding) == nil)
    }

    @Test func randomTokensAgainstTheList() throws {
        var random = SeededRandom()
        let names = ["x-a", "x-b", "cookie", "accept", "x-request-id"]
        for _ in 0..<300 {
            let named = (0..<random.int(0...6)).map { _ in random.pick(names) }
            let tokens = named.map { random.chance(50) ? $0.uppercased() : $0 }
            let connection = tokens.joined(separator: random.pick([",", ", ", " ,\t"]))
            let lines = (0..<random.int(0...8)).map { _ in random.pick(names) }
            let raw = "Connection: \(connection)\r\n" + lines.map { "\($0): v\r\n" }.joined()
            let expected = lines.filter { !named.contains($0) }.map { "\($0): v" }
            #expect(try goingOn(raw) == ["host: a"] + expected, "\(raw)")
        }
    }
}
