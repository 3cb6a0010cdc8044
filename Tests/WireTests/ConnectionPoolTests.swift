// What a DestinationRule's connectionPool says of an upstream's connections: how many requests one serves and
// how long it may be idle.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
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
