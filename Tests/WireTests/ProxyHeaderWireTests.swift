// The PROXY protocol over real sockets: accepted where configuration says so, sent where a DestinationRule
// asks for it.
import TestSupport
import Testing

@Suite struct ProxyHeaderWireTests {
    private let upstream: EchoUpstream
    private let proxy: HttpProxy

    init() throws {
        upstream = try EchoUpstream("app")
        proxy = try HttpProxy(
            to: [upstream.port],
            spec: [
                "proxyProtocol: {ports: [80]}", "timeouts: {requestHeader: 1s}",
                "debug: {allow: [192.0.2.0/24]}",
            ], arguments: ["--access-log", "-"])
    }

    private let get = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"
    private let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10] + Array("QUIT\n".utf8)

    private func binary(_ command: UInt8, _ kind: UInt8, _ rest: [UInt8]) -> [UInt8] {
        signature + [command, kind, 0, UInt8(rest.count)] + rest
    }

    private func forwardedFor(_ header: [UInt8]) throws -> String? {
        let answer = try proxy.exchange(header + Array(get.utf8), halfClose: false)
        return answer.split(separator: "\r\n").first { $0.hasPrefix("x-forwarded-for: ") }
            .map { String($0.dropFirst(17)) }
    }

    @Test func theHeadersAddressIsTheClients() throws {
        let line = Array("PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n".utf8)
        #expect(try forwardedFor(line) == "192.0.2.7")
        #expect(try forwardedFor(Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8)) == "2001:db8::1")
        let four: [UInt8] = [192, 0, 2, 9, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB]
        #expect(try forwardedFor(binary(0x21, 0x11, four + [4, 0, 1, 0])) == "192.0.2.9")
        for own in [Array("PROXY UNKNOWN\r\n".utf8), binary(0x20, 0, []), binary(0x21, 0, [])] {
            #expect(try forwardedFor(own) == "127.0.0.1")
        }
        try waitUntil("the log's address") { proxy.process.stdout.contains("192.0.2.7:56324") }
    }

    @Test func keptConnectionsKeepTheAddress() throws {
        let client = try proxy.connect()
        try client.send("PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n")
        for _ in 0..<3 {
            try client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            #expect(try client.response().text.contains("x-forwarded-for: 192.0.2.7\r\n"))
        }
    }

    @Test func byteByByte() throws {
        for header in [
            Array("PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n".utf8),
            binary(0x21, 0x11, [192, 0, 2, 7, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB]),
        ] {
            let client = try proxy.connect()
            for byte in header + Array(get.utf8) { try client.send([byte]) }
            #expect(try client.response().text.contains("x-forwarded-for: 192.0.2.7\r\n"))
        }
    }

    @Test func debuggingGoesByTheHeadersAddress() throws {
        let ask = Array(get.replacing("Connection", with: "x-fairlead-debug: 1\r\nConnection").utf8)
        for (address, isAllowed) in [("192.0.2.7", true), ("127.0.0.1", false)] {
            let header = Array("PROXY TCP4 \(address) 198.51.100.2 56324 443\r\n".utf8)
            let answer = try proxy.exchange(header + ask, halfClose: false)
            #expect(answer.contains("x-fairlead-explain:") == isAllowed, "\(address)")
        }
    }

    @Test func badOrMissingHeadersEndTheConnection() throws {
        let bad: [[UInt8]] = [
            Array(get.utf8), Array("PROXY TCP4 1.2.3.4\r\n".utf8), binary(0x21, 0x31, []),
            Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n".utf8), [0x16, 3, 1],
        ]
        for (index, bytes) in bad.enumerated() {
            #expect(try proxy.exchange(bytes, halfClose: false) == "", "\(index)")
            try proxy.expectMetric(index + 1, "fairlead_refused_connections_total", "proxy_header")
        }
        #expect(upstream.requests.isEmpty)
    }

    @Test func aHeaderThatDoesNotCome() throws {
        #expect(try proxy.exchange(Array("PROXY TC".utf8), halfClose: false) == "")
        try proxy.expectMetric(1, "fairlead_refused_connections_total", "late")
        #expect(try proxy.exchange([], halfClose: true) == "")
        try proxy.waitUntilQuiet()
    }

    // MARK: sent

    private static func sending(_ version: String, to port: UInt16) throws -> LaneSite {
        try LaneSite(
            edgeDocuments(to: [port]) + """
                ---
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: app, namespace: shop}
                spec: {host: app.test, trafficPolicy: {proxyProtocol: {version: \(version)}}}
                """)
    }

    @Test(arguments: ["V1", "V2"]) func upstreamsLearnTheClient(_ version: String) throws {
        let upstream = try ScriptedUpstream(
            .readBytes(100), .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), .readToEnd)
        let site = try Self.sending(version, to: upstream.port)
        let clients = try (0..<2).map { _ in try RawConnection(port: site.port()) }
        for (number, client) in clients.enumerated() {
            try client.send("GET /\(number) HTTP/1.1\r\nHost: app.test\r\n\r\n")
            #expect(try client.response().text == "ok")
        }
        for (number, client) in clients.enumerated() {
            let seen = upstream.received(number)
            let port = [UInt8(client.port >> 8), UInt8(client.port & 255)]
            let line = "PROXY TCP4 127.0.0.1 127.0.0.1 \(client.port) \(site.port())\r\nGET /\(number) "
            let expected =
                version == "V1"
                ? Array(line.utf8)
                : binary(
                    0x21, 0x11,
                    [127, 0, 0, 1, 127, 0, 0, 1] + port + [UInt8(site.port() >> 8), UInt8(site.port() & 255)])
            #expect(Array(seen.prefix(expected.count)) == expected, "\(printable(seen))")
        }
        #expect(upstream.connections == 2, "a connection tells of one client alone")
    }
}
