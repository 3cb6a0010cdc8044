// What a DestinationRule's connectionPool says of an upstream's connections: how many requests one serves and
// how long it may be idle.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct ConnectionPoolTests {
    private static func rule(_ pool: String) -> String {
        """
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: app, namespace: shop}
        spec:
          host: app.test
          trafficPolicy: {connectionPool: \(pool)}

        """
    }

    /// An upstream that answers every request, in HTTP/1.1 or HTTP/2.
    private static func upstream(_ protocolName: String) throws -> RawUpstream {
        try RawUpstream { connection, _ in
            if protocolName == "HTTP" {
                while (try? connection.head()) ?? nil != nil {
                    guard (try? connection.send(okResponse())) != nil else { return }
                }
                return
            }
            let peer = H2Peer(connection)
            try? peer.welcome()
            while let frame = (try? peer.next()) ?? nil {
                if frame.type == H2Frame.Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
                if frame.type == H2Frame.Kind.headers {
                    try? peer.send(
                        .headers(frame.stream, HPACK.block([(":status", "200")]), end: false),
                        .data(frame.stream, "ok", end: true))
                }
            }
        }
    }

    private static func proxy(
        _ upstream: RawUpstream, _ protocolName: String, _ pool: String
    ) throws -> HttpProxy {
        try HttpProxy(edgeDocuments(to: [upstream.port], protocol: protocolName) + rule(pool))
    }

    @Test(arguments: ["HTTP", "HTTP2"], [1, 3])
    func requestsPerConnection(_ protocolName: String, _ most: Int) throws {
        let upstream = try Self.upstream(protocolName)
        let proxy = try Self.proxy(upstream, protocolName, "{http: {maxRequestsPerConnection: \(most)}}")
        let client = try proxy.connect()
        for index in 0..<7 {
            #expect(try client.get("/\(index)").text == "ok")
            #expect(upstream.connections == index / most + 1)
        }
        // Those that served all they may are gone.
        try proxy.expectMetric(7 % most == 0 ? 0 : 1, "fairlead_upstream_connections_active")
    }

    /// Streams that come at once do not share more than that, either.
    @Test func streamsPerConnection() throws {
        let upstream = try Self.upstream("HTTP2")
        let proxy = try Self.proxy(upstream, "HTTP2", "{http: {maxRequestsPerConnection: 5}}")
        let client = try H2Peer.client(port: proxy.port)
        let streams = (0..<20).map { UInt32(2 * $0 + 1) }
        try client.send(streams.map { .headers($0, HPACK.block(H2Peer.request())) })
        var ended: Set<UInt32> = []
        try client.read { frame in
            if frame.isEnd { ended.insert(frame.stream) }
            return ended.count == streams.count
        }
        #expect(ended.count == streams.count)
        #expect(upstream.connections == 4)
        try proxy.expectMetric(0, "fairlead_upstream_connections_active")
    }

    @Test(arguments: ["HTTP", "HTTP2"], ["{http: {idleTimeout: 300ms}}", "{tcp: {idleTimeout: 300ms}}"])
    func idleConnectionsEnd(_ protocolName: String, _ pool: String) throws {
        let upstream = try Self.upstream(protocolName)
        let proxy = try Self.proxy(upstream, protocolName, pool)
        #expect(try proxy.connect().get("/").text == "ok")
        try proxy.expectMetric(0, "fairlead_upstream_connections_active")
    }

    /// An upstream that tells in which version it was asked.
    private static func eitherVersion() throws -> RawUpstream {
        try RawUpstream { connection, _ in
            let first = (try? connection.receive(exactly: 3)) ?? []
            if first == Array("GET".utf8) {
                while (try? connection.head()) ?? nil != nil { try? connection.send(okResponse("1")) }
            }
            guard first == Array(H2Peer.preface.prefix(3)) else { return }
            _ = try? connection.receive(exactly: H2Peer.preface.count - 3)
            let peer = H2Peer(connection)
            try? peer.send(.settings())
            while let frame = (try? peer.next()) ?? nil {
                if frame.type == H2Frame.Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
                if frame.type == H2Frame.Kind.headers {
                    let head = HPACK.block([(":status", "200")])
                    try? peer.send(
                        .headers(frame.stream, head, end: false), .data(frame.stream, "2", end: true))
                }
            }
        }
    }

    /// Without TLS nothing is agreed on: the port's protocol decides, the policy, or the client's version.
    @Test(arguments: [
        ("HTTP", "{tcp: {connectTimeout: 10s}}", "11"), ("HTTP2", "{tcp: {connectTimeout: 10s}}", "22"),
        ("GRPC", "{tcp: {connectTimeout: 10s}}", "22"),
        ("HTTP", "{http: {h2UpgradePolicy: UPGRADE}}", "22"),
        ("HTTP", "{http: {h2UpgradePolicy: DO_NOT_UPGRADE}}", "11"),
        ("HTTP", "{http: {useClientProtocol: true}}", "12"),
    ])
    func versionsOfPlainUpstreams(_ protocolName: String, _ pool: String, _ expected: String) throws {
        let upstream = try Self.eitherVersion()
        let proxy = try Self.proxy(upstream, protocolName, pool)
        var seen = try proxy.connect().get("/").text
        let client = try H2Peer.client(port: proxy.port)
        try client.ask(1)
        seen += try client.response(1).text
        #expect(seen == expected)
    }

    /// An upstream of HTTP/2 that answers a request when it was asked for the third time whether it is there.
    /// `answers`: it says so.
    private static func asked(answers: Bool) throws -> RawUpstream {
        try RawUpstream { connection, _ in
            let peer = H2Peer(connection)
            try? peer.welcome()
            var pings = 0
            while let frame = (try? peer.next()) ?? nil {
                if frame.type == H2Frame.Kind.settings, !frame.isAck { try? peer.send(.settingsAck) }
                guard frame.type == H2Frame.Kind.ping, !frame.isAck, answers else { continue }
                pings += 1
                try? peer.send(H2Frame(type: H2Frame.Kind.ping, flags: H2Frame.Flag.ack, frame.payload))
                if pings == 3 {
                    try? peer.send(
                        .headers(1, HPACK.block([(":status", "200")]), end: false),
                        .data(1, "there", end: true))
                }
            }
        }
    }

    /// `http2KeepAlive`: while requests wait for an answer an upstream is asked whether it is there, and left
    /// when it does not say so.
    @Test func silentUpstreamsAreAsked() throws {
        let there = try Self.asked(answers: true)
        let proxy = try Self.proxy(
            there, "HTTP2", "{http: {http2KeepAlive: {interval: 50ms, timeout: 600s}}}")
        #expect(try proxy.connect().get("/").text == "there")
        let gone = try Self.asked(answers: false)
        let other = try Self.proxy(
            gone, "HTTP2", "{http: {http2KeepAlive: {interval: 50ms, timeout: 100ms}}}")
        let answer = try other.connect().get("/")
        #expect(answer.status == 503 && answer.value("x-fairlead-reason") == "upstream-reset", "\(answer)")
        try other.expectMetric(0, "fairlead_upstream_connections_active")
    }

    /// A TCP route's connection that is silent ends, on both sides.
    @Test func silentRelaysEnd() throws {
        let relay = try RelaySite(
            more: """

                ---
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: a, namespace: shop}
                spec: {host: a.test, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 300ms}}}}
                """)
        let client = try relay.connect(3_306)
        do {
            #expect(String(decoding: try client.receiveToEnd(), as: UTF8.self).hasPrefix("a:"))
        } catch let reset as ConnectionReset {
            #expect(String(decoding: reset.received, as: UTF8.self).hasPrefix("a:"))
        }
    }
}
