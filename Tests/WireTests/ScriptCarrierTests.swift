// Scripts on what carries requests besides plain HTTP/1.1: streams of HTTP/2, TLS, bodies that would
// otherwise pass inside the kernel, and bodies that are compressed.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct ScriptCarrierTests {
    private let play: ScriptPlayground

    init() throws { play = try ScriptPlayground.shared.get() }

    // MARK: HTTP/2

    /// One request on a connection of its own; a body is sent in frames, its length untold.
    private func ask(
        _ path: String, body: [UInt8]? = nil, _ fields: [(String, String)] = []
    ) throws -> H2Peer.Response {
        let client = try H2Peer.client(port: play.site.port())
        let method = body == nil ? "GET" : "POST"
        try client.ask(
            1, H2Peer.request(method, path, authority: "up.test", fields), end: body == nil)
        // It stays within the window that the stream has from the beginning.
        if let body {
            for start in stride(from: 0, to: body.count, by: 16_000) {
                try client.send(.data(1, Array(body[start..<min(body.count, start + 16_000)])))
            }
            try client.send(.data(1, [], end: true))
        }
        return try client.response(1)
    }

    @Test func streamsMeetTheScriptsOfTheirListener() throws {
        let rewritten = try ask("/rewrite")
        #expect(rewritten.text.contains("GET /other?z=1 HTTP/1.1"), "\(rewritten)")
        #expect(rewritten.value("x-status-seen") == "200")
        #expect(try ask("/authority").text.contains("x-second: 1"))
        #expect(try ask("/facts").text.contains("x-facts: HTTP/2 all 127.0.0.1:"))
        #expect(try ask("/remember").value("x-remembered") == "/remember")
        let refused = try ask("/respond")
        #expect(refused.status == 403 && refused.text == "no entry", "\(refused)")
        #expect(try ask("/", [("x-respond", "200|x-status-wish: 418")]).status == 418)
        // A script that fails on one stream leaves the others alone.
        #expect(try ask("/loop").status == 200)
    }

    @Test func bodiesOfStreamsAreWaitedForReplacedAndWatched() throws {
        let long = [UInt8](repeating: 0x61, count: 200_000)
        #expect(try ask("/body", body: Array("hello".utf8)).text.contains("x-body: 5:hel"))
        #expect(try ask("/body", body: long).text.contains("x-body: 200000:aaa"))
        #expect(try ask("/body", body: []).text.contains("x-body: none"))
        // Longer than any window: it is opened again as the bytes are taken.
        let files = try TemporaryDirectory()
        try files.write("body", String(repeating: "a", count: 1_000_000))
        let whole = try Programs.curl([
            "--http2-prior-knowledge", "-H", "Host: up.test", "--data-binary", "@\(files.file("body"))",
            "http://127.0.0.1:\(play.site.port())/body",
        ])
        #expect(whole.contains("x-body: 1000000:aaa"), "\(whole)")
        let replaced = try ask("/set-body", body: long)
        #expect(replaced.text.contains("content-length: 8"), "\(replaced)")
        #expect(replaced.value("x-body-bytes") == "8")
        #expect(try ask("/watch", body: long).value("x-body-bytes") == "200000")
        try waitUntil("the script's line") { play.site.process.stderr.contains("request of 200000") }
        let set = try ask("/", [("x-respond", "200|x-body-wish: set")])
        #expect(set.text == "brand new", "\(set)")
        let read = try ask("/", [("x-respond", "200|x-body-wish: read")])
        #expect(read.value("x-body")?.hasSuffix(":GET") == true, "\(read)")
    }

    // MARK: TLS

    @Test(arguments: [[], ["--http2"]]) func encryptedRequestsMeetThem(_ version: [String]) throws {
        let upstream = try EchoUpstream("app")
        let certificates = try TestCertificates()
        try certificates.make("a", ["DNS:a.test"])
        try certificates.make("c", ["DNS:client.test"])
        let script = """
            function envoy_on_request(h)
              local info = h:streamInfo()
              h:headers():add("x-name", info:requestedServerName() .. " " .. h:headers():get(":scheme"))
              local tls = h:connection():ssl()
              if tls then
                local shown = tls:peerCertificatePresented() and tls:peerCertificateValidated()
                h:headers():add("x-tls", tls:tlsVersion() .. " " .. tostring(shown))
                h:headers():add("x-subject", tls:subjectPeerCertificate())
                h:headers():add("x-san", tls:dnsSansPeerCertificate()[1] or "none")
                h:headers():add("x-digest", tostring(#tls:sha256PeerCertificateDigest()))
              end
              if h:headers():get("x-direct") then h:headers():replace(":path", "/direct") end
            end
            function envoy_on_response(h) h:headers():add("x-scripted", "1") end
            """
        let server = """
            hosts: [a.test]
            tls: {mode: OPTIONAL_MUTUAL, serverCertificate: ../a.crt, privateKey: ../a.key,
              caCertificates: ../ca.crt}
            """
        let site = try TlsSite(
            upstream: upstream.port, servers: [server],
            documents: luaFilter("secure", "GATEWAY", script, match: "portNumber: 443, ") + "\n",
            certificates: certificates)
        let answer = try site.curl("a.test", "/x", version + ["-i"])
        #expect(answer.contains("x-scripted: 1"), "\(answer)")
        #expect(upstream.requests.last?.values("x-name") == ["a.test https"])
        #expect(upstream.requests.last?.values("x-tls") == ["TLSv1.3 false"])
        #expect(upstream.requests.last?.values("x-san") == ["none"])
        let identity = [
            "--cert", certificates.folder.file("c.crt"), "--key", certificates.folder.file("c.key"),
        ]
        _ = try site.curl("a.test", "/x", version + identity)
        #expect(upstream.requests.last?.values("x-tls") == ["TLSv1.3 true"])
        #expect(upstream.requests.last?.values("x-subject") == ["CN=c"])
        #expect(upstream.requests.last?.values("x-san") == ["client.test"])
        #expect(upstream.requests.last?.values("x-digest") == ["64"])
        // Routed anew by what the script wrote, in the table of the server that the handshake chose.
        #expect(try site.curl("a.test", "/x", version + ["-H", "x-direct: 1"]) == "direct")
        // Port 80 has a filter chain without it.
        let plain = try Programs.curl(["-i", "http://127.0.0.1:\(site.plainPort)/"])
        #expect(plain.contains("301") && !plain.contains("x-scripted"), "\(plain)")
    }

    // MARK: bulk

    private static let bulk = 12_000_000

    /// A site with the playground's script, whose upstream answers with `count` bytes and does what
    /// `wish` says.
    private func download(
        _ wish: String
    ) throws -> (site: LaneSite, upstream: EchoUpstream, response: HTTPMessage) {
        let bytes = [UInt8](repeating: 0x62, count: Self.bulk)
        let upstream = try EchoUpstream("up") { _ in
            EchoUpstream.response(200, ["x-body-wish: \(wish)"], bytes)
        }
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.service("up.test", [(upstream.port, "{version: v1}")]),
                Documents.published("up.test"), luaFilter("play", "GATEWAY", ScriptPlayground.script),
            ]))
        return (site, upstream, try site.get("/", host: "up.test").response)
    }

    @Test func bulkThatNoScriptSeesStaysInTheKernel() throws {
        let (site, _, response) = try download("none")
        #expect(response.body.count == Self.bulk)
        #expect(try site.metric("fairlead_spliced_bytes_total") > 0)
    }

    @Test func bulkThatAScriptWatchesPassesByIt() throws {
        let (site, upstream, response) = try download("watch")
        #expect(response.body.count == Self.bulk)
        try waitUntil("the script's line") { site.process.stderr.contains("watched \(Self.bulk)") }
        #expect(try site.metric("fairlead_spliced_bytes_total") == 0)
        let connection = try RawConnection(port: site.port())
        try connection.send(
            "POST /watch HTTP/1.1\r\nHost: up.test\r\nContent-Length: \(Self.bulk)\r\n\r\n")
        try connection.send([UInt8](repeating: 0x63, count: Self.bulk))
        #expect(try connection.response().status == 200)
        try waitUntil("the script's line") { site.process.stderr.contains("request of \(Self.bulk)") }
        #expect(upstream.requests.last?.body.count == Self.bulk)
    }

    @Test func bulkThatAScriptWaitsForHasItsBound() throws {
        let (site, _, response) = try download("set")
        #expect(response.status == 500, "\(response.startLine)")
        #expect(try site.metric("fairlead_requests_active") == 0)
    }

    // MARK: compression

    @Test func whatScriptsSeeIsNotCompressedYet() throws {
        let page = String(repeating: "<p>the same again</p>\n", count: 20_000)
        let upstream = try EchoUpstream("up") { request in
            EchoUpstream.response(
                200, ["content-type: text/html", "x-wish: \(request.target.dropFirst())"], Array(page.utf8))
        }
        let script = """
            function envoy_on_response(h)
              local wish = h:headers():get("x-wish")
              if wish == "read" then
                local length = h:body():length()
                h:headers():add("x-length", tostring(length))
              end
              if wish == "set" then h:body():setBytes(string.rep("new ", 1000)) end
              if wish == "watch" then
                local n = 0
                for chunk in h:bodyChunks() do n = n + chunk:length() end
                h:logInfo("watched " .. n)
              end
            end
            """
        let site = try LaneSite(
            Documents.join([
                Documents.edge("compression: {types: [text/*], minBytes: 100}"),
                Documents.service("up.test", [(upstream.port, "{version: v1}")]),
                Documents.published("up.test"), luaFilter("bodies", "GATEWAY", script),
            ]))
        func get(_ wish: String, _ more: [String]) throws -> String {
            try Programs.curl(
                more + ["--compressed", "-H", "Host: up.test", "http://127.0.0.1:\(site.port())/\(wish)"])
        }
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            #expect(try get("read", [version]) == page)
            let head = try get("read", [version, "-D", "-", "-o", "/dev/null"])
            #expect(head.contains("content-encoding: gzip") && head.contains("x-length: \(page.utf8.count)"))
            #expect(try get("set", [version]) == String(repeating: "new ", count: 1_000))
            #expect(try get("watch", [version]) == page)
        }
        try waitUntil("the script's line") { site.process.stderr.contains("watched \(page.utf8.count)") }
        #expect(try site.metric("fairlead_compressions_total", "result=\"done\"") >= 8)
    }
}
