// A Sidecar's listeners and the headers by which applications and dashboards know Envoy, on the built program
// (istio-semantics.md 19, 22.2).
import TestSupport
import Testing

@Suite struct SidecarDocuments {
    private static func document(_ spec: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {name: default, namespace: shop}
        spec:
        \(spec.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
        """
    }

    /// `port`: of another listener than the first.
    private func get(
        _ proxy: HttpProxy, _ host: String, _ lines: [String] = [], at port: UInt16? = nil
    ) throws -> LaneAnswer {
        let client = try RawConnection(port: port ?? proxy.port)
        let head = ["GET /a HTTP/1.1", "host: \(host)"] + lines
        try client.send(head.joined(separator: "\r\n") + "\r\n\r\n")
        return LaneAnswer(response: try client.response())
    }

    /// An egress listener of its own: HTTP by Host whatever its port, TCP to the service.
    @Test func egressListeners() throws {
        let upstream = try EchoUpstream("one")
        let http = try freeLoopbackPort()
        let tcp = try freeLoopbackPort()
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar(),
                Self.document(
                    """
                    egress:
                    - {port: {number: \(http), protocol: HTTP}, captureMode: NONE, hosts: ['*/web.test']}
                    - {port: {number: \(tcp), protocol: TCP}, bind: 127.0.0.1, hosts: ['*/db.test']}
                    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
                    """),
                """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: all, namespace: shop}
                spec:
                  hosts: [web.test, hidden.test]
                  resolution: STATIC
                  ports: [{number: \(http), name: http, protocol: HTTP}]
                  endpoints: [{address: 127.0.0.1, ports: {http: \(upstream.port)}}]
                """,
                """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: db, namespace: shop}
                spec:
                  hosts: [db.test]
                  resolution: STATIC
                  ports: [{number: \(tcp), name: tcp, protocol: TCP}]
                  endpoints: [{address: 127.0.0.1, ports: {tcp: \(upstream.port)}}]
                """,
            ]), holding: [upstream])
        for host in ["web.test", "web.test:\(http)", "web.test:1"] {
            #expect(try get(proxy, host, at: http).upstream == "one", "\(host)")
        }
        #expect(try get(proxy, "hidden.test", at: http).status == 502)
        #expect(try get(proxy, "anything", at: tcp).upstream == "one", "bytes as they are")
        #expect(try get(proxy, "web.test:\(http)").upstream == "one")
        #expect(try get(proxy, "hidden.test:\(http)").status == 502)
    }

    @Test func ingressLeadsToTheApplication() throws {
        let app = try EchoUpstream("app")
        let other = try EchoUpstream("other")
        let (inbound, extra) = (try freeLoopbackPort(), try freeLoopbackPort())
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar("inbound: [{address: 127.0.0.1, port: \(inbound), app: '127.0.0.1:8080'}]"),
                Self.document(
                    """
                    ingress:
                    - {port: {number: 8080, protocol: HTTP}, defaultEndpoint: '127.0.0.1:\(app.port)'}
                    - port: {number: \(extra), protocol: HTTP}
                      bind: 127.0.0.1
                      defaultEndpoint: 127.0.0.1:\(other.port)
                    """),
            ]), holding: [app, other])
        #expect(try get(proxy, "caller.shop", at: inbound).upstream == "app")
        #expect(try get(proxy, "caller.shop", at: extra).upstream == "other")
    }

    /// The application, and an endpoint of a ServiceEntry, behind Unix sockets.
    @Test func unixSocketsAreDestinations() throws {
        let folder = try TemporaryDirectory()
        let app = try EchoUpstream("app", path: folder.file("app.sock"))
        let nameless = "fairlead-\(try freeLoopbackPort())"
        let entry = try EchoUpstream("entry", path: "@" + nameless)
        let inbound = try freeLoopbackPort()
        let log = folder.file("access.log")
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar("inbound: [{address: 127.0.0.1, port: \(inbound), app: '127.0.0.1:8080'}]"),
                Self.document(
                    """
                    ingress:
                    - port: {number: 8080, protocol: HTTP}
                      defaultEndpoint: 'unix://\(folder.file("app.sock"))'
                    """),
                DnsSite.entry(
                    "entry.test", "STATIC", port: 80, "endpoints: [{address: 'unix://@\(nameless)'}]"),
                DnsSite.entry("gone.test", "STATIC", port: 80, "endpoints: [{address: 'unix:///none/x'}]"),
            ]), holding: [app, entry, folder], arguments: ["--access-log", log])
        for _ in 0..<3 {
            #expect(try get(proxy, "caller.shop", at: inbound).upstream == "app")
            #expect(try get(proxy, "entry.test").upstream == "entry")
        }
        #expect(entry.connections == 1, "connections are kept as others are")
        let gone = try get(proxy, "gone.test")
        #expect(gone.status == 503 && gone.reason == "upstream-connect", "\(gone)")
        #expect(try proxy.admin("GET", "/clusters").text.contains("\"@\(nameless)\""))
        try waitUntil("the log") {
            let lines = String(decoding: readFile(log) ?? [], as: UTF8.self)
            return lines.contains("\"@\(nameless)\" outbound|80||entry.test - ")
                && lines.contains("\"/none/x\" outbound|80||gone.test")
        }
    }

    /// TLS of an ingress listener ends at the sidecar; MUTUAL asks for a certificate.
    @Test func ingressMayHaveTLS() throws {
        let app = try EchoUpstream("app")
        let ports = try [freeLoopbackPort(), freeLoopbackPort(), freeLoopbackPort()]
        let made = try TestCertificates()
        let pair = try made.make("server", ["DNS:app.test"])
        let files = "serverCertificate: \(pair.certificate), privateKey: \(pair.key)"
        func ingress(_ port: UInt16, _ proto: String, _ tls: String) -> String {
            """
            - port: {number: \(port), protocol: \(proto)}
              bind: 127.0.0.1
              defaultEndpoint: 127.0.0.1:\(app.port)
              tls: {\(tls), \(files)}

            """
        }
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar(),
                Self.document(
                    "ingress:\n" + ingress(ports[0], "HTTPS", "mode: SIMPLE")
                        + ingress(ports[1], "HTTPS", "mode: MUTUAL, caCertificates: \(made.authority)")
                        + ingress(ports[2], "TLS", "mode: SIMPLE")),
            ]), holding: [app, made])
        func curl(_ port: UInt16, _ more: [String] = []) throws -> String {
            try Programs.curl(
                [
                    "-i", "--http1.1", "--cacert", made.authority, "--resolve",
                    "app.test:\(port):127.0.0.1",
                    "https://app.test:\(port)/x",
                ] + more)
        }
        let page = try curl(ports[0])
        #expect(page.contains("x-upstream: app") && page.contains("x-forwarded-proto: https"), "\(page)")
        #expect(throws: (any Error).self) { try curl(ports[1]) }
        let shown = try curl(ports[1], ["--cert", pair.certificate, "--key", pair.key])
        #expect(shown.contains("x-upstream: app"), "\(shown)")
        #expect(try curl(ports[2]).contains("x-upstream: app"), "bytes as they are")
        withExtendedLifetime(proxy) {}
    }

    @Test func egressProxies() throws {
        let gateway = try EchoUpstream("gateway")
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar(),
                Self.document("outboundTrafficPolicy: {egressProxy: {host: out.test, port: {number: 80}}}"),
                DnsSite.entry("out.test", "STATIC", port: gateway.port, "endpoints: [{address: 127.0.0.1}]"),
            ]), holding: [gateway])
        for host in ["nobody.invalid", "nobody.invalid:8443"] {
            let answer = try get(proxy, host)
            #expect(answer.upstream == "gateway")
            #expect(try answer.seen("host") == [host])
        }
    }

    // MARK: Envoy's headers

    private static let forged = [
        "x-envoy-attempt-count: 7", "x-envoy-expected-rq-timeout-ms: 9", "x-envoy-external-address: 9.9.9.9",
        "x-envoy-original-path: /forged", "x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-internal: true",
    ]

    @Test func headersAtAnEdge() throws {
        let upstream = try EchoUpstream("one") { request in
            request.target == "/slow"
                ? EchoUpstream.response(200, ["x-envoy-upstream-service-time: 77777"]) : nil
        }
        let proxy = try HttpProxy(
            Documents.join([
                Documents.edge(),
                DnsSite.entry("app.test", "STATIC", port: upstream.port, "endpoints: [{address: 127.0.0.1}]"),
                Documents.virtualService(
                    "*",
                    """
                    - match: [{headers: {x-case: {exact: both}}}]
                      rewrite: {uri: /slow}
                      timeout: 30s
                      route: [{destination: {host: app.test}}]
                    - match: [{headers: {x-case: {exact: direct}}}]
                      directResponse: {status: 200}
                    - route: [{destination: {host: app.test}}]
                    """),
            ]), holding: [upstream])
        var answer = try get(proxy, "a.test", Self.forged)
        #expect(try answer.seen("x-envoy-attempt-count") == ["1"])
        #expect(try answer.seen("x-envoy-expected-rq-timeout-ms") == [], "the route has no timeout")
        #expect(try answer.seen("x-envoy-original-path") == [], "nothing is rewritten")
        #expect(try answer.seen("x-envoy-external-address") == ["127.0.0.1"])
        #expect(try answer.seen("x-envoy-upstream-rq-timeout-ms") == [])
        #expect(try answer.seen("x-envoy-internal") == [])
        #expect(answer.response.values("x-envoy-upstream-service-time").count == 1)
        answer = try get(proxy, "a.test", Self.forged + ["x-case: both"])
        let seen = try #require(upstream.requests.last)
        #expect(seen.values("x-envoy-original-path") == ["/a"])
        #expect(seen.values("x-envoy-expected-rq-timeout-ms") == ["30000"])
        let times = answer.response.values("x-envoy-upstream-service-time")
        #expect(times.count == 1 && times != ["77777"], "ours, not the upstream's")
        answer = try get(proxy, "a.test", ["x-case: direct"])
        #expect(answer.response.values("x-envoy-upstream-service-time") == [], "no upstream answered")
    }

    @Test func headersAtASidecar() throws {
        let upstream = try EchoUpstream("one")
        let inbound = try freeLoopbackPort()
        let proxy = try HttpProxy(
            Documents.join([
                DnsSite.sidecar(
                    "inbound: [{address: 127.0.0.1, port: \(inbound), app: '127.0.0.1:\(upstream.port)'}]"),
                DnsSite.entry("app.test", "STATIC", port: upstream.port, "endpoints: [{address: 127.0.0.1}]"),
            ]), holding: [upstream])
        for port in [proxy.port, inbound] {
            let answer = try get(proxy, "app.test", Self.forged, at: port)
            #expect(try answer.seen("x-envoy-attempt-count") == ["1"])
            #expect(try answer.seen("x-envoy-expected-rq-timeout-ms") == [])
            #expect(try answer.seen("x-envoy-upstream-rq-timeout-ms") == [])
            #expect(try answer.seen("x-envoy-internal") == [])
            #expect(try answer.seen("x-envoy-external-address") == ["9.9.9.9"], "an edge's word is kept")
            #expect(try answer.seen("x-envoy-original-path") == ["/forged"])
            #expect(answer.response.values("x-envoy-upstream-service-time").count == 1)
        }
    }
}
