// Destinations that are names: the built program asks a scripted DNS server, follows what it says while
// requests flow, and keeps what it had when the server fails (istio-semantics.md 18).
import TestSupport
import Testing

@Suite struct DnsServices {
    private static let host = "app.test"

    /// `one` and `two` on one port, which keep `/wait` until the gate is open.
    private static func pair(waitingFor gate: Gate) throws -> [EchoUpstream] {
        try upstreamsOnOnePort(["one", "two"]) { request in
            if request.target == "/wait" { try? waitUntil("the gate") { gate.isOpen } }
            return nil
        }
    }

    // MARK: DNS

    /// Every address is an endpoint; addresses that come are used, those that go are left, no request fails.
    @Test func addressesAreFollowedWhileRequestsFlow() throws {
        let upstreams = try upstreamsOnOnePort(["one", "two", "three"])
        let dns = try ScriptedDNS([Self.host: .addresses(["127.0.0.1", "127.0.0.2"], ttl: 1)])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: upstreams, [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstreams[0].port)])
        let client = try site.proxy.connect()
        try site.waitFor("one", at: Self.host, on: client)
        try site.waitFor("two", at: Self.host, on: client)
        #expect(upstreams[2].requests.isEmpty)
        dns.set(Self.host, .addresses(["127.0.0.3"], ttl: 1))
        try site.waitFor("three", at: Self.host, on: client)
        // Idle connections to addresses that are gone are closed.
        try site.proxy.expectMetric(1, "fairlead_upstream_connections_active")
        let before = upstreams[0].requests.count + upstreams[1].requests.count
        for _ in 0..<20 { #expect(try site.get(Self.host, on: client).upstream == "three") }
        #expect(upstreams[0].requests.count + upstreams[1].requests.count == before)
        let clusters = try site.clusters()
        #expect(clusters.contains("\"127.0.0.3:\(upstreams[0].port)\""), "\(clusters)")
        #expect(clusters.contains("\"hostname\":\"app.test\"") && clusters.contains("\"ttlSeconds\":1"))
        #expect(try site.proxy.metric("fairlead_dns_names") == 1)
        #expect(try site.proxy.metric("fairlead_dns_endpoint_changes_total") >= 1)
        #expect(try site.proxy.metric("fairlead_dns_questions_total", "result=\"resolved\"") >= 2)
    }

    /// What is in flight when its address goes ends as if nothing had happened, and its connection after it.
    @Test func requestsInFlightOutliveTheirAddress() throws {
        let gate = Gate()
        let upstreams = try Self.pair(waitingFor: gate)
        let dns = try ScriptedDNS([Self.host: .addresses(["127.0.0.1"], ttl: 1)])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: upstreams, [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstreams[0].port)])
        let waiting = try site.proxy.connect()
        try waiting.send("GET /wait HTTP/1.1\r\nhost: \(Self.host)\r\n\r\n")
        try waitUntil("the request") { upstreams[0].requests.count == 1 }
        dns.set(Self.host, .addresses(["127.0.0.2"], ttl: 1))
        try site.waitFor("two", at: Self.host)
        gate.open()
        let answer = LaneAnswer(response: try waiting.response())
        #expect(answer.status == 200 && answer.upstream == "one")
        try site.proxy.expectMetric(1, "fairlead_upstream_connections_active")
        #expect(try site.get(Self.host, on: waiting).upstream == "two")
    }

    /// A server that fails takes nothing away; one that says there is no such name does.
    @Test func failuresKeepAddressesAndAbsenceDoesNot() throws {
        let upstream = try EchoUpstream("one")
        let dns = try ScriptedDNS([Self.host: .addresses(["127.0.0.1"], ttl: 1)])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: [upstream], [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstream.port)])
        dns.set(Self.host, .serverFailure)
        try waitUntil("a failure") { try site.clusters().contains("\"state\":\"failing\"") }
        #expect(try site.get(Self.host).upstream == "one")
        dns.set(Self.host, .noSuchName)
        try waitUntil("no endpoint") { try site.get(Self.host).status == 503 }
        let answer = try site.get(Self.host)
        #expect(answer.response.text == "no healthy upstream" && answer.reason == "no-healthy-upstream")
        dns.set(Self.host, .addresses(["127.0.0.1"], ttl: 1))
        try waitUntil("the name again") { try site.get(Self.host).upstream == "one" }
    }

    /// Being ready does not wait for a name for ever, and requests before its first answer find nobody.
    @Test func aNameThatNobodyKnowsYet() throws {
        let upstream = try EchoUpstream("one")
        let dns = try ScriptedDNS([Self.host: .serverFailure])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: [upstream], [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstream.port)],
            isKnown: false)
        let answer = try site.get(Self.host)
        #expect(answer.status == 503 && answer.response.text == "no healthy upstream", "\(answer)")
        dns.set(Self.host, .addresses(["127.0.0.1"], ttl: 60))
        try waitUntil("the name") { try site.get(Self.host).upstream == "one" }
    }

    /// Endpoints with names and addresses, ports and weights of their own.
    @Test func endpointsWithNames() throws {
        let upstreams = try upstreamsOnOnePort(["one", "two"])
        let other = try EchoUpstream("other")
        let dns = try ScriptedDNS([
            "a.test": .alias("b.test", ttl: 60), "b.test": .addresses(["127.0.0.2"], ttl: 60),
            "c.test": .addresses(["127.0.0.1"], ttl: 60),
        ])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: upstreams + [other],
            [
                DnsSite.sidecar(),
                DnsSite.entry(
                    Self.host, "DNS", port: upstreams[0].port,
                    """
                    endpoints:
                    - {address: a.test, weight: 2}
                    - {address: C.test, ports: {http: \(other.port)}}
                    - {address: 127.0.0.1}
                    """),
            ])
        for name in ["one", "two", "other"] { try site.waitFor(name, at: Self.host) }
        #expect(dns.asked(Self.host) == 0, "the host is no endpoint")
    }

    /// A new configuration's names are known when it serves.
    @Test func newNamesAreResolvedBeforeTheyServe() throws {
        let upstream = try EchoUpstream("one")
        let dns = try ScriptedDNS([
            Self.host: .addresses(["127.0.0.1"], ttl: 60), "new.test": .addresses(["127.0.0.1"], ttl: 60),
        ])
        defer { dns.stop() }
        let first = [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstream.port)]
        let site = try DnsSite(dns, to: [upstream], first)
        #expect(try site.get("new.test").upstream == nil)
        try site.proxy.folder.write(
            "conf/edge.yaml",
            Documents.join(first + [DnsSite.entry("new.test", "DNS", port: upstream.port)]))
        #expect(try site.proxy.admin("POST", "/reload").status == 200)
        try waitUntil("the new name") { try site.get("new.test").upstream == "one" }
        #expect(try site.get(Self.host).upstream == "one")
        #expect(try site.proxy.metric("fairlead_dns_names") == 2)
    }

    // MARK: DNS_ROUND_ROBIN

    /// The first address of the latest answer is for new connections; those that are there stay in use.
    @Test func roundRobinKeepsItsConnections() throws {
        let gate = Gate()
        let upstreams = try Self.pair(waitingFor: gate)
        let dns = try ScriptedDNS([Self.host: .addresses(["127.0.0.1"], ttl: 1)])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: upstreams,
            [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS_ROUND_ROBIN", port: upstreams[0].port)])
        #expect(try site.get(Self.host).upstream == "one")
        dns.set(Self.host, .addresses(["127.0.0.2"], ttl: 1))
        try waitUntil("the new address") { try site.clusters().contains("127.0.0.2:") }
        try waitUntil("the worker to have it") {
            try site.proxy.metric("fairlead_dns_endpoint_changes_total") == 1
        }
        #expect(try site.get(Self.host).upstream == "one", "its connection stays")
        let waiting = try site.proxy.connect()
        try waiting.send("GET /wait HTTP/1.1\r\nhost: \(Self.host)\r\n\r\n")
        try waitUntil("the request") { upstreams[0].requests.contains { $0.target == "/wait" } }
        try site.waitFor("two", at: Self.host)
        gate.open()
        #expect(LaneAnswer(response: try waiting.response()).upstream == "one")
    }

    // MARK: by the host of the request

    @Test(arguments: ["DYNAMIC_DNS", "NONE"]) func wildcardsAreLookedUpByRequest(_ resolution: String) throws
    {
        let upstreams = try upstreamsOnOnePort(["one", "two"])
        let dns = try ScriptedDNS([
            "a.wild.test": .addresses(["127.0.0.1"], ttl: 60),
            "b.wild.test": .addresses(["127.0.0.2"], ttl: 60),
            "a.wild.other": .addresses(["127.0.0.1"], ttl: 60),
        ])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: upstreams,
            [
                DnsSite.sidecar("outboundTrafficPolicy: REGISTRY_ONLY"),
                DnsSite.entry("*.wild.test", resolution, port: upstreams[0].port),
            ])
        #expect(dns.questions.isEmpty, "nothing to look up before a request")
        let client = try site.proxy.connect()
        for _ in 0..<10 {
            #expect(try site.get("a.wild.test", on: client).upstream == "one")
            #expect(try site.get("B.wild.test", on: client).upstream == "two")
        }
        #expect(dns.asked("a.wild.test") < 10, "remembered for as long as it holds")
        let missing = try site.get("c.wild.test", on: client)
        #expect(missing.status == 503 && missing.reason == "upstream-connect", "\(missing)")
        #expect(try site.get("a.wild.other", on: client).status == 502, "REGISTRY_ONLY")
        #expect(try site.get("wild.test", on: client).status == 502)
        try site.proxy.expectMetric(
            20, "istio_requests_total", "destination_service=\"*.wild.test\"", "response_code=\"200\"")
    }

    /// NONE without addresses looks its host up when asked; with addresses it goes there.
    @Test func noneGoesWhereItsClientsWould() throws {
        let upstreams = try upstreamsOnOnePort(["one", "two"])
        let dns = try ScriptedDNS(["named.test": .addresses(["127.0.0.2"], ttl: 60)])
        defer { dns.stop() }
        let port = upstreams[0].port
        let site = try DnsSite(
            dns, to: upstreams,
            [
                DnsSite.sidecar(), DnsSite.entry("named.test", "NONE", port: port),
                """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: numbered, namespace: shop}
                spec:
                  hosts: [numbered.test]
                  addresses: [127.0.0.1]
                  ports: [{number: \(port), name: http, protocol: HTTP}]
                """,
            ])
        #expect(try site.get("named.test").upstream == "two")
        #expect(try site.get("numbered.test:\(port)").upstream == "one")
        #expect(dns.asked("numbered.test") == 0)
    }

    /// An edge routes to such a service by the service's own name, not by its visitors' Host.
    @Test func anEdgeLooksUpTheServiceNotItsOwnHost() throws {
        let upstream = try EchoUpstream("one")
        let dns = try ScriptedDNS(["pay.test": .addresses(["127.0.0.1"], ttl: 60)])
        defer { dns.stop() }
        let site = try DnsSite(
            dns, to: [upstream],
            [
                Documents.edge(), DnsSite.entry("pay.test", "NONE", port: upstream.port),
                Documents.virtualService("*", "- route: [{destination: {host: pay.test}}]"),
            ])
        #expect(try site.get("shop.example").upstream == "one")
    }

    /// TLS asks for the name of the request, not for that of its address, and checks it.
    @Test(arguments: [("DNS", "a.wild.test"), ("DYNAMIC_DNS", "*.wild.test")])
    func encryptedByName(_ resolution: String, _ host: String) throws {
        let certificates = try TestCertificates()
        let upstream = try SecureUpstream(try certificates.make("app", ["DNS:a.wild.test"]))
        let dns = try ScriptedDNS([
            "a.wild.test": .addresses(["127.0.0.1"], ttl: 60),
            "b.wild.test": .addresses(["127.0.0.1"], ttl: 60),
        ])
        defer { dns.stop() }
        let site = try DnsSite(
            dns,
            [
                DnsSite.sidecar(), DnsSite.entry(host, resolution, port: upstream.port),
                """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: wild, namespace: shop}
                spec:
                  host: "\(host)"
                  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: \(certificates.authority)}}
                """,
            ])
        for _ in 0..<2 {
            #expect(try site.get("a.wild.test").response.text.hasPrefix("sni=a.wild.test"))
        }
        if resolution == "DYNAMIC_DNS" {
            let refused = try site.get("b.wild.test")
            #expect(
                refused.status == 503 && refused.response.text.contains("hostname mismatch"), "\(refused)")
        }
    }

    // MARK: other documents with names

    @Test func kubernetesAndWorkloadNames() throws {
        let upstreams = try upstreamsOnOnePort(["one", "two"])
        let port = upstreams[0].port
        let dns = try ScriptedDNS([
            "abroad.test": .addresses(["127.0.0.2"], ttl: 60), "vm.test": .addresses(["127.0.0.1"], ttl: 60),
        ])
        defer { dns.stop() }
        func service(_ name: String, _ rest: String) -> String {
            """
            apiVersion: v1
            kind: Service
            metadata: {name: \(name), namespace: shop}
            spec: {\(rest)}
            """
        }
        let site = try DnsSite(
            dns, to: upstreams,
            [
                DnsSite.sidecar(),
                service(
                    "ext",
                    "type: ExternalName, externalName: abroad.test., ports: [{name: http, port: \(port)}]"),
                service("alias", "type: ExternalName, externalName: sliced.shop.svc.cluster.local"),
                service("sliced", "ports: [{name: http, port: 80}]"),
                """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: sliced, namespace: shop, labels: {kubernetes.io/service-name: sliced}}
                addressType: FQDN
                ports: [{name: http, port: \(port)}]
                endpoints: [{addresses: [abroad.test]}]
                """,
                """
                apiVersion: networking.istio.io/v1
                kind: WorkloadEntry
                metadata: {name: vm, namespace: shop}
                spec: {address: vm.test, labels: {app: vm}, ports: {http: \(port)}}
                """,
                DnsSite.entry("vms.test", "DNS", port: 9, "workloadSelector: {labels: {app: vm}}"),
            ])
        #expect(try site.get("ext.shop:\(port)").upstream == "two")
        #expect(try site.get("sliced").upstream == "two")
        #expect(try site.get("alias.shop.svc.cluster.local").upstream == "two")
        #expect(try site.get("vms.test").upstream == "one")
    }

    // MARK: telling

    @Test func explainSaysNamesAndAddresses() throws {
        let upstream = try EchoUpstream("one")
        let dns = try ScriptedDNS([Self.host: .addresses(["127.0.0.1"], ttl: 60)])
        defer { dns.stop() }
        let documents = [DnsSite.sidecar(), DnsSite.entry(Self.host, "DNS", port: upstream.port)]
        let site = try DnsSite(dns, to: [upstream], documents)
        let live = try RawConnection(port: site.proxy.adminPort)
        let body = "{\"method\":\"GET\",\"url\":\"http://app.test/\",\"headers\":{}}"
        try live.send(
            "POST /explain HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
                + "content-length: \(body.utf8.count)\r\n\r\n\(body)")
        let told = try live.response().text
        #expect(told.contains("\"127.0.0.1:\(upstream.port)\""), "\(told)")
        let offline = try Programs.result([
            Programs.fairlead(), "explain", site.proxy.folder.file("conf"), "http://app.test/",
        ])
        #expect(offline.exit == 0 && offline.stdout.contains("app.test:\(upstream.port)"), "\(offline)")
    }

    @Test(arguments: ["1.2.3", "dns.test", "127.0.0.1:99999", ""]) func serversMustBeAddresses(_ text: String)
        throws
    {
        let ended = try Programs.result([Programs.fairlead(), "run", "/nowhere", "--dns", text])
        #expect(ended.exit == 2 && ended.stderr.contains("--dns"), "\(ended)")
    }
}
