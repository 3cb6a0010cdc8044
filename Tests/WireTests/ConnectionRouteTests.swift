// Gateway servers of protocol TCP and TLS (PASSTHROUGH) with `tcp` and `tls` routes: connections that nobody
// reads, by name and weight, their metrics and log lines (istio-semantics.md 17, 24).
import TestSupport
import Testing

/// An edge with a TCP port 3306, a TLS port 443 and upstreams that tell who they are.
struct RelaySite: Sendable {
    let site: LaneSite
    let a: RawUpstream
    let b: RawUpstream

    static let shared = Result { try RelaySite() }

    /// Says its name, then echoes; at the client's end it says how much that was.
    static func upstream(_ name: String) throws -> RawUpstream {
        try RawUpstream { connection, _ in
            try? connection.send("\(name):")
            var count = 0
            while let bytes = try? connection.receive(), !bytes.isEmpty {
                count += bytes.count
                try? connection.send(bytes)
            }
            try? connection.send(":\(count)")
        }
    }

    init(
        spec: [String] = [], arguments: [String] = ["--access-log", "-"], more: String = ""
    ) throws {
        a = try Self.upstream("a")
        b = try Self.upstream("b")
        let refused = try refusedPort()
        site = try LaneSite(
            Documents.join([
                edgeGateway(spec: spec, servers: Self.servers),
                """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: routes, namespace: shop}
                spec:
                  hosts: ["*.test"]
                  gateways: [public]
                  tcp:
                  - match: [{port: 3306, destinationSubnets: [10.0.0.0/8]}]
                    route: [{destination: {host: b.test}}]
                  - match: [{port: 3306}]
                    route: [{destination: {host: a.test}}]
                  tls:
                  - match: [{sniHosts: [dead.test]}]
                    route: [{destination: {host: dead.test}}]
                  - match: [{sniHosts: [a.test]}]
                    route: [{destination: {host: a.test}}]
                  - match: [{sniHosts: ["*.b.test"]}]
                    route: [{destination: {host: b.test}}]
                """,
                Self.entry("a.test", [refused, a.port]), Self.entry("b.test", [b.port]),
                Self.entry("dead.test", [refused]),
            ]) + more, ports: [443, 3306, 3307], arguments: arguments)
    }

    private static let servers = [
        "{port: {number: 3306, name: tcp, protocol: TCP}, bind: 127.0.0.1, hosts: ['*']}",
        "{port: {number: 3307, name: tcp-none, protocol: TCP}, bind: 127.0.0.1, hosts: ['*']}",
        """
        port: {number: 443, name: tls, protocol: TLS}
        bind: 127.0.0.1
        hosts: ["*.test"]
        tls: {mode: PASSTHROUGH}
        """,
    ]

    private static func entry(_ host: String, _ ports: [UInt16]) -> String {
        serviceEntry(host, port: 9_000, protocol: "TCP", endpoints: ports)
    }

    func connect(_ port: UInt16) throws -> RawConnection { try RawConnection(port: site.port(port)) }

    func stream(_ name: String, _ labels: String...) throws -> Int {
        let page = try site.admin("GET", "/metrics").text
        return page.split(separator: "\n").filter { line in
            line.hasPrefix("istio_tcp_\(name)_total{") && labels.allSatisfy { line.contains($0) }
        }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
    }
}

/// The first flight of a TLS client that asks for a name.
func clientHello(_ name: String, recordBytes: Int = 16_384) -> [UInt8] {
    func vector(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(bytes.count >> (8 * $0) & 255) } + bytes
    }
    let list = name.isEmpty ? [] : [0, 0] + vector(vector([0] + vector(Array(name.utf8), 2), 2), 2)
    var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32) + [0]
    body += vector([0x13, 1], 2) + [1, 0] + vector(list, 2)
    let message = [1] + vector(body, 3)
    return stride(from: 0, to: message.count, by: recordBytes).flatMap { from in
        [0x16, 3, 1] + vector(Array(message[from..<min(message.count, from + recordBytes)]), 2)
    }
}

@Suite struct ConnectionRouteTests {
    private let relay: RelaySite

    init() throws { relay = try RelaySite.shared.get() }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func tcpConnectionsAreRelayedWithTheirHalves() throws {
        for _ in 0..<6 {
            let client = try relay.connect(3_306)
            // The server speaks first; a refused endpoint is not seen by anybody.
            #expect(text(try client.receive(exactly: 2)) == "a:")
            try client.send("hello")
            #expect(text(try client.receive(exactly: 5)) == "hello")
            client.halfClose()
            #expect(text(try client.receiveToEnd()) == ":5")
        }
    }

    @Test func connectionsAndBytesAreCountedAsIstioDoes() throws {
        let site = try RelaySite()
        let labels = [
            "destination_service=\"a.test\"", "request_protocol=\"tcp\"", "reporter=\"source\"",
            "response_flags=\"-\"",
        ]
        func count(_ name: String) throws -> Int {
            try site.stream(name, labels[0], labels[1], labels[2], labels[3])
        }
        let client = try site.connect(3_306)
        _ = try client.receive(exactly: 2)
        try client.send("12345")
        _ = try client.receive(exactly: 5)
        try waitUntil("opened") { try count("connections_opened") == 1 }
        #expect(try count("connections_closed") == 0)
        client.halfClose()
        _ = try client.receiveToEnd()
        try waitUntil("closed") { try count("connections_closed") == 1 }
        #expect(try count("connections_opened") == 1)
        #expect(try count("received_bytes") == 5 && count("sent_bytes") == 9)
        #expect(try site.site.metric("istio_requests_total") == 0, "no request took place")
        try waitUntil("its log line") {
            site.site.process.stdout.split(separator: "\n").contains {
                $0.contains("] \"- - -\" 0 - ") && $0.contains(" 5 9 ")
                    && $0.contains("outbound|9000||a.test")
            }
        }
    }

    @Test func manyBytesAreSeenBeforeTheEnd() throws {
        let client = try relay.connect(3_306)
        _ = try client.receive(exactly: 2)
        let before = try relay.stream("received_bytes")
        let piece = [UInt8](repeating: 120, count: 1 << 20)
        for _ in 0..<3 {
            try client.send(piece)
            _ = try client.receive(exactly: piece.count)
        }
        try waitUntil("bytes of an open connection") {
            try relay.stream("received_bytes") >= before + 2 << 20
        }
        client.close()
    }

    @Test(arguments: [
        ("a.test", "a:"), ("A.TEST", "a:"), ("a.test.", "a:"), ("x.b.test", "b:"), ("y.x.b.test", "b:"),
    ])
    func serverNamesChoose(_ name: String, _ expected: String) throws {
        for recordBytes in [16_384, 9] {
            let hello = clientHello(name, recordBytes: recordBytes)
            let client = try relay.connect(443)
            try client.send(hello)
            #expect(text(try client.receive(exactly: 2)) == expected)
            #expect(try client.receive(exactly: hello.count) == hello, "every byte goes on")
            client.halfClose()
            #expect(text(try client.receiveToEnd()) == ":\(hello.count)")
        }
    }

    @Test func aServerNameByteByByte() throws {
        let hello = clientHello("a.test")
        let client = try relay.connect(443)
        for byte in hello {
            try client.send([byte])
            sleepMs(1)
        }
        #expect(text(try client.receive(exactly: 2)) == "a:")
        #expect(try client.receive(exactly: hello.count) == hello)
        try waitUntil("its log line") {
            client.close()
            return relay.site.process.stdout.contains(" a.test ")
        }
    }

    @Test(arguments: [
        ("client_hello", Array("GET / HTTP/1.1\r\n\r\n".utf8)), ("server_name", clientHello("b.test")),
        ("server_name", clientHello("other.example")), ("server_name", clientHello("")),
        ("client_hello", [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
    ])
    func whatNoServerTakes(_ cause: String, _ bytes: [UInt8]) throws {
        func count() throws -> Int {
            try relay.site.metric("fairlead_refused_connections_total", "cause=\"\(cause)\"")
        }
        let before = try count()
        let client = try relay.connect(443)
        try client.send(bytes)
        do { #expect(try client.receiveToEnd() == []) } catch is ConnectionReset {}
        try waitUntil("the count") { try count() > before }
    }

    @Test func upstreamsThatAreNotThere() throws {
        let client = try relay.connect(443)
        try client.send(clientHello("dead.test"))
        do { #expect(try client.receiveToEnd() == []) } catch is ConnectionReset {}
        try waitUntil("its flags") {
            try relay.stream(
                "connections_closed", "destination_service=\"dead.test\"", "response_flags=\"UF,URX\"") > 0
        }
        let nowhere = try relay.connect(3_307)
        do { #expect(try nowhere.receiveToEnd() == []) } catch is ConnectionReset {}
        try waitUntil("its flags") { try relay.stream("connections_closed", "response_flags=\"NR\"") > 0 }
    }

    @Test func aClientHelloThatDoesNotCome() throws {
        let site = try RelaySite(spec: ["timeouts: {requestHeader: 300ms}"], arguments: [])
        for bytes in [[], Array(clientHello("a.test").prefix(20))] {
            let client = try site.connect(443)
            try client.send(bytes)
            do { #expect(try client.receiveToEnd() == []) } catch is ConnectionReset {}
        }
        try waitUntil("the count") {
            try site.site.metric("fairlead_refused_connections_total", "cause=\"late\"") == 2
        }
    }

    @Test func silenceEndsAConnection() throws {
        let site = try RelaySite(spec: ["timeouts: {idle: 300ms}"], arguments: [])
        let client = try site.connect(3_306)
        _ = try client.receive(exactly: 2)
        do { _ = try client.receiveToEnd() } catch is ConnectionReset {}
        try waitUntil("its end") { try site.stream("connections_closed") == 1 }
    }

    @Test func drainingLetsConnectionsGoOnForAWhile() throws {
        let site = try RelaySite(arguments: ["--drain-seconds", "1"])
        let client = try site.connect(3_306)
        _ = try client.receive(exactly: 2)
        site.site.process.signal(15)
        try waitUntil("the port to close") { (try? site.connect(3_306)) == nil }
        try client.send("still")
        #expect(text(try client.receive(exactly: 5)) == "still")
        #expect(try site.site.process.waitForExit() == 0)
    }

    @Test func listenersShowTheirServers() throws {
        let page = try relay.site.admin("GET", "/listeners").text
        #expect(page.contains("\"protocol\":\"TLS\"") && page.contains("\"names\":[\"*.b.test\"]"), "\(page)")
    }
}
