// TLS that ends at the edge with no requests inside: TLSRoute and TCPRoute on listeners with mode Terminate
// (istio-semantics.md 21.7), and Istio's servers of protocol TLS with a certificate (17).
import TLS
import TestSupport
import Testing

@Suite struct GatewayTerminateTests {
    private let certificates: TestCertificates
    private let a: RawUpstream
    private let b: RawUpstream
    private let trusting: TLSClientContext

    init() throws {
        certificates = try TestCertificates()
        a = try RelaySite.upstream("a")
        b = try RelaySite.upstream("b")
        var settings = TLSClientContext.Settings()
        settings.authorities = Array(try TestCertificates.text(certificates.authority).utf8)
        trusting = try TLSClientContext(settings)
    }

    private func relay(_ kind: String, _ name: String, _ section: String, _ hosts: String, _ to: String)
        -> String
    {
        """
        apiVersion: gateway.networking.k8s.io/v1alpha2
        kind: \(kind)
        metadata: {name: \(name), namespace: shop}
        spec:
          parentRefs: [{name: front, sectionName: \(section)}]
        \(hosts.isEmpty ? "" : "  hostnames: [\(hosts)]")
          rules: [{backendRefs: [{name: \(to), port: 8080}]}]
        """
    }

    private func site() throws -> LaneSite {
        let passed = "protocol: TLS, tls: {mode: Passthrough}"
        let ended = "protocol: TLS, tls: {certificateRefs: [{name: c}]}"
        return try LaneSite(
            Documents.join([
                GatewayDocuments.edge(
                    """
                    - {name: ended, port: 443, hostname: "*.end.test", \(ended)}
                    - {name: passed, port: 443, hostname: "*.pass.test", \(passed)}
                    - {name: tcp, port: 8443, \(ended)}
                    """),
                try GatewayDocuments.secret(
                    "c", certificates.make("c", ["DNS:*.end.test", "DNS:any.test"])),
                GatewayDocuments.service("a", a.port), GatewayDocuments.service("b", b.port),
                relay("TLSRoute", "ended-a", "ended", "a.end.test", "a"),
                relay("TLSRoute", "ended-b", "ended", "\"*.end.test\"", "b"),
                relay("TLSRoute", "passed", "passed", "a.pass.test", "a"),
                relay("TCPRoute", "plain", "tcp", "", "b"),
            ]), ports: [443, 8443], arguments: ["--access-log", "-"])
    }

    /// Sends bytes through TLS, ends, and returns all that came back.
    private func exchange(_ port: UInt16, _ name: String, _ text: String) throws -> String {
        let peer = try TLSPeer.client(RawConnection(port: port), name, trusting)
        let greeting = try peer.receive(through: ":")
        try peer.send(text)
        try peer.sayGoodbye()
        return greeting + String(decoding: try peer.receiveToEnd().bytes, as: UTF8.self)
    }

    @Test func bytesInsideGoOnPlain() throws {
        let site = try site()
        defer { withExtendedLifetime(site) {} }
        // The server speaks first, and the ends are passed on one by one.
        #expect(try exchange(site.port(443), "a.end.test", "hello") == "a:hello:5")
        #expect(try exchange(site.port(443), "x.end.test", "hello") == "b:hello:5")
        #expect(try exchange(site.port(8_443), "any.test", "hello") == "b:hello:5")
        let long = String(repeating: "x", count: 1 << 20)
        #expect(try exchange(site.port(443), "a.end.test", long) == "a:\(long):\(long.utf8.count)")
        // Passing through on the same port is untouched.
        let connection = try RawConnection(port: site.port(443))
        let hello = clientHello("a.pass.test")
        try connection.send(hello)
        #expect(try connection.receive(exactly: 2 + hello.count) == Array("a:".utf8) + hello)
        try waitUntil("its log line") {
            site.process.stdout.split(separator: "\n").contains {
                $0.contains(" a.end.test ") && $0.contains("outbound|8080||a.shop.svc.cluster.local")
            }
        }
    }

    @Test func explainTellsTheRoute() throws {
        let site = try site()
        let told = try Programs.result([
            try Programs.fairlead(), "explain", site.path, "https://a.end.test/",
        ]).stdout
        #expect(told.contains("TLSRoute shop/ended-a") && told.contains("relay"), "\(told)")
        let listeners = try site.admin("GET", "/listeners").text
        #expect(listeners.contains("\"hosts\":[\"a.end.test\"]"), "\(listeners)")
        #expect(listeners.contains("\"relay\":[{"), "\(listeners)")
    }

    /// What a listener makes of the bytes inside TLS is settled when the handshake is over: connections that
    /// are relayed go on, those that wait for a request end.
    @Test func aReloadThatChangesTheProtocol() throws {
        let upstream = try puppet("v1")
        let pair = try certificates.make("c", ["DNS:any.test"])
        func documents(_ name: String) throws -> String {
            let route =
                name == "TLS"
                ? relay("TLSRoute", "r", "both", "any.test", "a")
                : GatewayDocuments.route("r", host: "", "- \(GatewayDocuments.to("v1"))")
            return Documents.join([
                GatewayDocuments.edge(
                    "- {name: both, port: 443, protocol: \(name), tls: {certificateRefs: [{name: c}]}}"),
                try GatewayDocuments.secret("c", pair), GatewayDocuments.service("a", a.port),
                GatewayDocuments.service("v1", upstream.port), route,
            ])
        }
        let site = try LaneSite(documents("TLS"), ports: [443])
        defer { withExtendedLifetime((site, upstream)) {} }
        func reload(_ name: String) throws {
            try site.folder.write("site.yaml", documents(name))
            #expect(try site.admin("POST", "/reload").status == 200)
        }
        let relayed = try TLSPeer.client(RawConnection(port: site.port(443)), "any.test", trusting)
        #expect(try relayed.receive(through: ":") == "a:")
        try reload("HTTPS")
        let asking = try TLSPeer.client(RawConnection(port: site.port(443)), "any.test", trusting)
        try asking.send("GET / HTTP/1.1\r\nHost: any.test\r\n\r\n")
        #expect(try asking.receive(through: "\r\n\r\n").contains("x-upstream: v1\r\n"))
        try relayed.send("still here")
        #expect(try relayed.receive(through: "here") == "still here")
        try reload("TLS")
        #expect(try asking.receiveToEnd().isWhole)
        #expect(try exchange(site.port(443), "any.test", "hello") == "a:hello:5")
        try relayed.send("and here")
        #expect(try relayed.receive(through: "here") == "and here")
    }

    @Test func istioServersOfProtocolTLS() throws {
        let pair = try certificates.make("i", ["DNS:i.test"])
        let site = try LaneSite(
            Documents.join([
                edgeGateway(servers: [
                    """
                    port: {number: 443, name: tls, protocol: TLS}
                    hosts: ["*.test"]
                    tls: {mode: SIMPLE, serverCertificate: \(pair.certificate), privateKey: \(pair.key)}
                    """
                ]),
                """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: routes, namespace: shop}
                spec:
                  hosts: [i.test]
                  gateways: [public]
                  tcp:
                  - match: [{port: 443}]
                    route: [{destination: {host: a.shop.svc.cluster.local, port: {number: 8080}}}]
                """, GatewayDocuments.service("a", a.port),
            ]), ports: [443])
        defer { withExtendedLifetime(site) {} }
        #expect(try exchange(site.port(443), "i.test", "hello") == "a:hello:5")
    }

    /// Without a route the connection ends, after the handshake and without a word.
    @Test func aNameWithoutARouteIsClosed() throws {
        let site = try LaneSite(
            Documents.join([
                GatewayDocuments.edge(
                    "- {name: ended, port: 443, protocol: TLS, tls: {certificateRefs: [{name: c}]}}"),
                try GatewayDocuments.secret("c", certificates.make("c", ["DNS:any.test"])),
            ]), ports: [443])
        defer { withExtendedLifetime(site) {} }
        let connection = try RawConnection(port: site.port(443))
        do {
            let peer = try TLSPeer.client(connection, "any.test", trusting)
            #expect(try peer.receiveToEnd().bytes == [])
        } catch is ConnectionReset {} catch let failure as TestFailure {
            #expect("\(failure)".contains("closed"), "\(failure)")
        }
    }
}
