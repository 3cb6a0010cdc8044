// Clients and servers of HTTP/2 that people use (curl, nghttp, h2load, nghttpd), and WebSocket by extended
// CONNECT with the h2 package: all pairs of versions.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct H2Clients {
    @Test func curlSpeaksEveryPairOfVersions() throws {
        let body = [UInt8](repeating: 0x66, count: 3_000_000)
        let h1 = try EchoUpstream("h1") { request in
            request.target == "/h1/big" ? EchoUpstream.response(200, [], body) : nil
        }
        let files = try TemporaryDirectory()
        try files.write("h2/small", "hello")
        try files.write("h2/big", String(repeating: "f", count: body.count))
        let filePort = try freeLoopbackPort()
        let server = try RunningProcess(["nghttpd", "--no-tls", "-d", files.path, "\(filePort)"])
        defer { server.signal(9) }
        let site = try H2Site([("/h1", "HTTP", h1.port), ("/h2", "HTTP2", filePort)])
        let versions = [(["--http1.1"], "1.1"), (["--http2-prior-knowledge"], "2")]
        for (options, version) in versions {
            for path in ["/h1/big", "/h2/big"] {
                let answer = try Programs.curl(
                    options + [
                        "-w", "%{http_version} %{http_code} %{size_download}", "-o", "/dev/null",
                        "http://127.0.0.1:\(site.port)\(path)",
                    ])
                #expect(answer == "\(version) 200 \(body.count)", "\(path)")
            }
            let posted = try Programs.curl(
                options + [
                    "--data-binary", "@\(files.file("h2/big"))", "-H", "Expect:", "-w", "%{http_code}",
                    "http://127.0.0.1:\(site.port)/h1/post",
                ])
            #expect(posted.hasSuffix("200"))
        }
        #expect(h1.requests.filter { $0.target == "/h1/post" }.allSatisfy { $0.body.count == body.count })
        let loaded = try Programs.result([
            "h2load", "-n", "500", "-c", "5", "-m", "20", "http://127.0.0.1:\(site.port)/h2/small",
        ])
        #expect(loaded.stdout.contains("500 succeeded, 0 failed"), "\(loaded.stdout)")
        let fetched = try Programs.result(["nghttp", "http://127.0.0.1:\(site.port)/h2/small"])
        #expect(fetched.stdout == "hello")
    }

    @Test func webSocketsPassBetweenAllVersions() throws {
        let (h1, h1Port) = try WireClients.start("websocket_server")
        let (h2, h2Port) = try WireClients.start("websocket_h2_server")
        defer {
            h1.signal(9)
            h2.signal(9)
        }
        let site = try H2Site([("/h1", "HTTP", h1Port), ("/h2", "HTTP2", h2Port)])
        for path in ["/h1", "/h2"] {
            #expect(try WireClients.run("websocket_calls", ["\(site.port)", path]) == "ok\n", "\(path)")
            #expect(try WireClients.run("websocket_h2", ["\(site.port)", path]) == "ok\n", "\(path) by h2")
        }
        try waitUntil("the tunnels to end") { try site.metrics().contains("\nfairlead_tunnels_active 0") }
    }

    /// An upstream that does not offer extended CONNECT cannot take a WebSocket.
    @Test func withoutExtendedConnectThereIsNoWebSocket() throws {
        let (server, port) = try WireClients.start("websocket_h2_server", ["no-connect"])
        defer { server.signal(9) }
        let site = try H2Site([("/h2", "HTTP2", port)])
        let client = try RawConnection(port: site.port)
        try client.send(
            "GET /h2 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        let answer = try client.response()
        #expect(answer.status == 502)
        #expect(answer.value("x-fairlead-reason") == "upstream-protocol")
    }
}
