// CONNECT on the sidecar's outbound listener: REGISTRY_ONLY lets out to services alone, by host and port; a
// tunnel goes where routes and lanes send it (lanes.md 5, 10), also to ports that are not HTTP.
import TestSupport
import Testing

@Suite struct ConnectPolicyTests {
    private struct Site {
        let stable: RawUpstream
        let lane: RawUpstream
        let other: RawUpstream
        let site: LaneSite

        init(_ spec: String) throws {
            stable = try RelaySite.upstream("stable")
            lane = try RelaySite.upstream("lane")
            other = try RelaySite.upstream("other")
            site = try LaneSite(
                Documents.join([
                    Documents.sidecar(spec), Documents.policy("pin: {maxAge: 1h}"),
                    Self.entry("db.test", "TCP", 5_432, stable.port),
                    Self.entry("tls.test", "TLS", 443, stable.port),
                    Self.entry("other.test", "TCP", 5_432, other.port),
                    Documents.lane("foo", "db.test", [lane.port]),
                    """
                    apiVersion: networking.istio.io/v1
                    kind: VirtualService
                    metadata: {name: tls, namespace: shop}
                    spec:
                      hosts: [tls.test]
                      gateways: [mesh]
                      tls:
                      - match: [{sniHosts: [tls.test], port: 443}]
                        route: [{destination: {host: other.test, port: {number: 5432}}}]
                    """,
                ]), ports: [15_001])
        }

        private static func entry(_ host: String, _ name: String, _ number: Int, _ port: UInt16) -> String {
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: \(host.prefix { $0 != "." }), namespace: shop}
            spec:
              hosts: [\(host)]
              resolution: STATIC
              location: MESH_INTERNAL
              ports: [{number: \(number), name: p, protocol: \(name)}]
              endpoints: [{address: 127.0.0.1, ports: {p: \(port)}}]
            """
        }

        /// The status of CONNECT, and who is at the other end.
        func connect(_ authority: String, _ lines: String...) throws -> (status: Int, peer: String) {
            let client = try RawConnection(port: site.port(15_001))
            let head = ["CONNECT \(authority) HTTP/1.1", "Host: \(authority)"] + lines
            try client.send(head.joined(separator: "\r\n") + "\r\n\r\n")
            guard let answer = try client.head() else { throw TestFailure("no answer") }
            guard answer.status == 200 else { return (answer.status, "") }
            let name = try client.receive(through: [0x3A])
            return (200, String(decoding: name?.dropLast() ?? [], as: UTF8.self))
        }
    }

    @Test func registryOnly() throws {
        let site = try Site("outboundTrafficPolicy: REGISTRY_ONLY")
        #expect(try site.connect("db.test:5432") == (200, "stable"))
        #expect(try site.connect("DB.test:5432") == (200, "stable"))
        for authority in [
            "db.test:5433", "nobody.test:443", "127.0.0.1:\(site.stable.port)", "tls.test:5432", "test:5432",
        ] {
            #expect(try site.connect(authority).status == 502, "\(authority)")
        }
        #expect(try site.connect("db.test:5432", "x-feat-name: foo") == (200, "lane"))
        #expect(try site.connect("db.test:5432", "x-feat-name: nobody") == (200, "stable"))
    }

    @Test func aLanePodHasItsOwnDatabase() throws {
        let site = try Site("lane: foo")
        #expect(try site.connect("db.test:5432") == (200, "lane"))
        #expect(try site.connect("other.test:5432") == (200, "other"))
        #expect(try site.connect("127.0.0.1:\(site.stable.port)") == (200, "stable"))
    }

    @Test func tlsRoutesOfTheMesh() throws {
        let site = try Site("outboundTrafficPolicy: REGISTRY_ONLY")
        #expect(try site.connect("tls.test:443") == (200, "other"))
    }

    /// A stream of HTTP/2 is a tunnel of its own (RFC 9113 8.5): bytes both ways, each side's end passed on.
    @Test func streamsAreTunnels() throws {
        let site = try Self.strict.get()
        let peer = try H2Peer.client(port: site.site.port(15_001))
        let bytes = [UInt8](repeating: 0x62, count: 100_000)
        func connect(_ stream: UInt32, _ authority: String, _ more: [(String, String)] = []) throws {
            try peer.ask(stream, [(":method", "CONNECT"), (":authority", authority)] + more, end: false)
        }
        try connect(1, "db.test:5432")
        for at in stride(from: 0, to: bytes.count, by: 10_000) {
            try peer.send(.data(1, Array(bytes[at..<at + 10_000]), end: at + 10_000 == bytes.count))
        }
        let answer = try peer.response(1)
        #expect(answer.status == 200 && answer.value("content-length") == nil, "\(answer.fields)")
        #expect(answer.body == Array("stable:".utf8) + bytes + Array(":100000".utf8))
        try connect(3, "db.test:5432", [("x-feat-name", "foo")])
        try peer.send(.data(3, "x", end: true))
        #expect(try peer.response(3).text == "lane:x:1")
        for (index, authority) in ["db.test:5433", "nobody.test:443"].enumerated() {
            let stream = UInt32(5 + 2 * index)
            try connect(stream, authority)
            #expect(try peer.response(stream).status == 502, "\(authority)")
        }
        // Taking a tunnel back ends it alone.
        try connect(9, "db.test:5432")
        try peer.send(.reset(9))
        try connect(11, "other.test:5432")
        try peer.send(.data(11, end: true))
        #expect(try peer.response(11).text == "other::0")
    }

    /// RFC 9112 3.2.3: a host and a port, nothing else.
    @Test(arguments: [
        "db.test", "db.test:", "db.test:0", "db.test:99999", "http://db.test:5432/", "/", ":5432",
    ])
    func targetsThatAreNone(_ target: String) throws {
        let site = try Self.strict.get()
        #expect(try site.connect(target).status == 400)
    }

    private static let strict = Result { try Site("outboundTrafficPolicy: REGISTRY_ONLY") }

    /// What a client of HTTP/2 said before it ended its tunnel and was gone reaches the peer, however slowly
    /// that reads.
    @Test func theLastWordsOfATunnelArrive() throws {
        let gate = Gate()
        let peer = try ScriptedUpstream(.waitFor(gate), .readToEnd)
        let site = try LaneSite(Documents.sidecar("outboundTrafficPolicy: ALLOW_ANY"), ports: [15_001])
        let client = try H2Peer.client(port: site.port(15_001))
        try client.ask(1, [(":method", "CONNECT"), (":authority", "127.0.0.1:\(peer.port)")], end: false)
        let head = try #require(try client.read { $0.type == H2Frame.Kind.headers }.last)
        #expect(try client.fields(head).first?.value == "200")
        let sent = try client.fill(1) { try site.metric("fairlead_memory_buffer_used_bytes") > 100_000 }
        try client.send(.data(1, "last words", end: true))
        client.raw.halfClose()
        // Time for a proxy that would lose the bytes with the connection.
        sleepMs(100)
        gate.open()
        try waitUntil("all of it") { peer.received().count >= sent.count + 10 || !peer.failures.isEmpty }
        let isWhole = peer.received() == sent + Array("last words".utf8)
        #expect(isWhole, "\(peer.received().count) of \(sent.count + 10) bytes, \(peer.failures)")
        try waitUntil("the tunnel to end") { try site.metric("fairlead_tunnels_active") == 0 }
    }
}
