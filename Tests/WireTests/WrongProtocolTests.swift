// TLS where plain HTTP is spoken: refused at its first byte, told to whoever looks; nothing of it goes on.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct WrongProtocols {
    @Test func tlsOnAPlainPort() throws {
        let upstream = try EchoUpstream("app")
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--access-log", "-"])
        let hello = clientHello("edge.test")
        // However it is cut: the rest may come when nobody reads any more.
        for cut in [1, 2, 3, 60, hello.count] {
            let client = try proxy.connect()
            try client.send(Array(hello[..<cut]))
            let answer = try client.response()
            #expect(answer.status == 400 && answer.values("connection") == ["close"], "cut at \(cut)")
            #expect(answer.text == "Client sent a TLS handshake to a plain HTTP port: use http://\n")
            #expect(answer.value("x-fairlead-reason") == "bad-request")
            _ = client.sendNow(Array(hello[cut...]))
            do { #expect(try client.receiveToEnd().isEmpty) } catch is ConnectionReset {}
        }
        let ended = try Programs.result([
            "curl", "-q", "-sS", "--noproxy", "*", "-k", "https://127.0.0.1:\(proxy.port)/",
        ])
        #expect(ended.exit == 35, "curl's code for a handshake that came to nothing: \(ended)")
        try proxy.expectMetric(6, "fairlead_refused_connections_total", "cause=\"tls_on_http_port\"")
        try proxy.expectMetric(6, "fairlead_bad_requests_total", "status=\"400\"")
        try waitUntil("its log line") {
            proxy.process.stderr.contains("on the plain HTTP port 127.0.0.1:\(proxy.port): use http://")
        }
        try waitUntil("its access log") { proxy.process.stdout.contains(" tls_on_http_port ") }
        #expect(upstream.connections == 0)
        // Behind a request it is a bad request as any other, and HTTP goes on.
        let client = try proxy.connect()
        #expect(try client.get("/direct").text == "direct")
        try client.send(hello)
        #expect(try client.response().text == "Bad Request")
        #expect(try proxy.connect().get("/").status == 200)
        try proxy.waitUntilQuiet()
    }
}
