// Calls of scripts to clusters of every kind: inside TLS, over HTTP/2, over both, and found by name.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct ScriptCallKinds {
    /// Calls the service that the path names, and says what came.
    private static let script = """
        function envoy_on_request(h)
          local name = string.sub(h:headers():get(":path"), 2)
          local got, body = h:httpCall("outbound|80||" .. name .. ".test",
            {[":method"] = "POST", [":path"] = "/called", [":authority"] = name .. ".test",
             ["x-token"] = "bob"}, "ask", 60000)
          h:respond({[":status"] = got[":status"], ["x-seen"] = tostring(got["x-upstream"])},
            tostring(body))
        end
        """

    private let certificates: TestCertificates
    private let dns: ScriptedDNS
    private let site: DnsSite
    private let held: [Any]

    init() throws {
        certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:tls.test", "DNS:both.test"])
        let secure = try SecureUpstream(pair)
        let (both, bothPort) = try WireClients.start("h2_tls_server", [pair.certificate, pair.key, "h2"])
        let plain = try Self.http2()
        let named = try puppet("named")
        dns = try ScriptedDNS(["named.test": .addresses(["127.0.0.1"], ttl: 60)])
        let simple = "{mode: SIMPLE, caCertificates: \(certificates.authority)}"
        func entry(_ name: String, _ port: UInt16, _ protocolName: String) -> String {
            DnsSite.entry("\(name).test", "STATIC", port: port, "endpoints: [{address: 127.0.0.1}]")
                .replacing("protocol: HTTP", with: "protocol: \(protocolName)")
        }
        func rule(_ name: String) -> String {
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: \(name), namespace: shop}
            spec: {host: \(name).test, trafficPolicy: {tls: \(simple)}}
            """
        }
        site = try DnsSite(
            dns,
            [
                Documents.edge(), luaFilter("calls", "GATEWAY", Self.script),
                entry("tls", secure.port, "HTTP"), rule("tls"), entry("both", bothPort, "HTTP2"),
                rule("both"), entry("plain", plain.port, "HTTP2"),
                DnsSite.entry("named.test", "DNS", port: named.port),
                DnsSite.entry("wrong.test", "STATIC", port: secure.port, "endpoints: [{address: 127.0.0.1}]"),
                rule("wrong"),
            ])
        held = [secure, both, plain, named]
    }

    /// Says what came with the head, and the body behind it.
    private static func http2() throws -> RawUpstream {
        try RawUpstream { connection, _ in
            let peer = H2Peer(connection)
            guard (try? peer.welcome()) != nil else { return }
            var token = ""
            while let frame = try? peer.next() {
                if frame.type == H2Frame.Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
                if frame.type == H2Frame.Kind.headers, let fields = try? peer.fields(frame) {
                    token = fields.first { $0.name == "x-token" }?.value ?? ""
                }
                guard frame.type == H2Frame.Kind.data, frame.isEnd else { continue }
                let fields = [(":status", "200"), ("x-upstream", "plain")]
                let body = Array("\(token) \(String(decoding: frame.payload, as: UTF8.self))".utf8)
                try? peer.send(
                    .headers(frame.stream, HPACK.block(fields), end: false),
                    .data(frame.stream, body, end: true))
            }
        }
    }

    private func ask(_ name: String) throws -> LaneAnswer { try site.get("a.test", "/\(name)") }

    @Test func everyKindOfCluster() throws {
        defer { withExtendedLifetime(held) {} }
        // Twice: over a connection that is there already, too.
        for _ in 0..<2 {
            let tls = try ask("tls")
            #expect(tls.status == 200 && tls.response.text.hasPrefix("sni=tls.test"), "\(tls)")
            let both = try ask("both")
            #expect(both.status == 200, "\(both)")
            #expect(both.response.text.contains("alpn=h2 body=3"), "\(both)")
            let plain = try ask("plain")
            #expect(plain.response.value("x-seen") == "plain" && plain.response.text == "bob ask", "\(plain)")
            let named = try ask("named")
            #expect(named.response.value("x-seen") == "named", "\(named)")
            #expect(named.response.text.contains("x-token: bob\r\n"), "\(named)")
        }
        // A certificate for another name is no answer, and no plain text either.
        #expect(try ask("wrong").status == 503)
        #expect(dns.asked("named.test") > 0)
    }
}

/// Calls while a body passes: the pieces that come meanwhile are seen when the answer is there.
@Suite struct ScriptCallWatching {
    private static let script = """
        local function tell(h, path, text)
          local got, answer = h:httpCall("outbound|8080||auth.test",
            {[":method"] = "POST", [":path"] = path, [":authority"] = "auth.test"}, text, 60000)
          return answer
        end

        function envoy_on_request(h)
          local total = 0
          for chunk in h:bodyChunks() do
            total = total + #tell(h, "/piece", chunk:getBytes(0, chunk:length()))
          end
          tell(h, "/end", tostring(total))
        end

        function envoy_on_response(h)
          if h:headers():get("x-watched") == nil then return end
          for chunk in h:bodyChunks() do tell(h, "/answer", chunk:getBytes(0, chunk:length())) end
        end
        """

    @Test func piecesWaitForTheAnswer() throws {
        let gate = Gate()
        let upstream = try EchoUpstream("up") { request in
            if request.method == "POST" { try? waitUntil("the gate") { gate.isOpen } }
            return EchoUpstream.response(200, ["x-watched: 1"], request.body)
        }
        let auth = try EchoUpstream("auth") { EchoUpstream.response(200, [], $0.body) }
        defer { withExtendedLifetime((upstream, auth)) {} }
        func told(_ path: String) -> String {
            let bodies = auth.requests.filter { $0.target == path }.flatMap(\.body)
            return String(decoding: bodies, as: UTF8.self)
        }
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.service("up.test", [(upstream.port, "{version: v1}")]),
                Documents.service("auth.test", [(auth.port, "{version: v1}")]),
                Documents.virtualService("up.test", "- route: [{destination: {host: up.test}}]"),
                luaFilter("watch", "GATEWAY", Self.script),
            ]))
        let client = try RawConnection(port: site.port())
        try client.send("POST / HTTP/1.1\r\nHost: up.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        try client.send("3\r\none\r\n")
        try waitUntil("the first piece") { told("/piece") == "one" }
        try client.send("3\r\ntwo\r\n0\r\n\r\n")
        try waitUntil("all pieces and the end") { told("/piece") == "onetwo" && told("/end") == "6" }
        gate.open()
        // What the script does holds nothing up, and its last call is made although the answer is out.
        #expect(try client.response().text == "onetwo")
        // However the response was cut into pieces: its first one was told.
        try waitUntil("the response's piece") { !told("/answer").isEmpty }
        #expect("onetwo".hasPrefix(told("/answer")))
        #expect(try site.metric("fairlead_script_errors_total") == 0)
    }
}
