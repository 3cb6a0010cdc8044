// BackendTLSPolicy and `Gateway.spec.tls` over real sockets: what backends are asked for and shown, and whose
// certificates clients must show (istio-semantics.md 21.7).
import TLS
import TestSupport
import Testing

@Suite struct GatewayBackendTLSTests {
    private let certificates: TestCertificates
    private let strangers: TestCertificates

    init() throws {
        certificates = try TestCertificates()
        strangers = try TestCertificates("Another CA")
    }

    private static func policy(
        _ name: String, for service: String, authority: String = "known", host: String = "app.test",
        section: String = "", more: String = ""
    ) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: BackendTLSPolicy
        metadata: {name: \(name), namespace: shop}
        spec:
          targetRefs: [{group: "", kind: Service, name: \(service)\(section)}]
          validation:
            caCertificateRefs: [{group: "", kind: ConfigMap, name: \(authority)}]
            hostname: \(host)
        \(more)
        """
    }

    /// A route to a service by its name as the path.
    private static func routes(_ services: [String]) -> String {
        GatewayDocuments.route(
            "all", host: "",
            services.map { "- {matches: [{path: {value: /\($0)}}], \(GatewayDocuments.to($0))}" }
                .joined(separator: "\n"))
    }

    @Test func theNameIsAskedForAndProved() throws {
        let upstream = try SecureUpstream(certificates.make("app", ["DNS:app.test", "URI:spiffe://x/app"]))
        let services = ["good", "other", "stranger", "gone", "named", "wrong", "port", "plain", "rule"]
        let policies = [
            Self.policy("good", for: "good"), Self.policy("other", for: "other", host: "other.test"),
            Self.policy("stranger", for: "stranger", authority: "unknown"),
            Self.policy("gone", for: "gone", authority: "missing"),
            Self.policy(
                "named", for: "named", host: "asked.test",
                more: "    subjectAltNames: [{type: URI, uri: \"spiffe://x/app\"}]"),
            Self.policy(
                "wrong", for: "wrong", more: "    subjectAltNames: [{type: Hostname, hostname: b.test}]"),
            // The port's own policy counts more than an older one of the Service.
            Self.policy("port-a", for: "port", host: "other.test"),
            Self.policy("port-b", for: "port", section: ", sectionName: http"),
            Self.policy("rule", for: "rule"),
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: rule, namespace: shop}
            spec: {host: rule, trafficPolicy: {tls: {mode: DISABLE}}}
            """,
        ]
        let plain = try puppet("plain")
        defer { withExtendedLifetime((upstream, plain)) {} }
        let site = try LaneSite(
            Documents.join(
                [
                    GatewayDocuments.edge("- {name: http, port: 80, protocol: HTTP}"),
                    Self.routes(services),
                    try GatewayDocuments.authorities("known", certificates.authority),
                    try GatewayDocuments.authorities("unknown", strangers.authority),
                ] + policies
                    + services.map {
                        GatewayDocuments.service(
                            $0, ["plain", "rule"].contains($0) ? plain.port : upstream.port)
                    }))
        for (service, expected) in [
            ("good", "sni=app.test"), ("named", "sni=asked.test"), ("port", "sni=app.test"),
        ] {
            let answer = try site.get("/\(service)", host: "any.test")
            #expect(answer.status == 200 && answer.response.text.hasPrefix(expected), "\(answer)")
        }
        for (service, why) in [
            ("other", "hostname mismatch"), ("stranger", "unable to get local issuer"),
            ("gone", "no certificate authority"), ("wrong", "none of the names b.test"),
        ] {
            let answer = try site.get("/\(service)", host: "any.test")
            #expect(answer.status == 503 && answer.response.text.contains(why), "\(service): \(answer)")
        }
        for service in ["plain", "rule"] {
            #expect(try site.get("/\(service)", host: "any.test").upstream == "plain")
        }
        let told = try Programs.result([
            try Programs.fairlead(), "explain", site.path, "http://any.test/good",
        ]).stdout
        #expect(told.contains("BackendTLSPolicy shop/good, server name app.test"), "\(told)")
    }

    /// What passes through is encrypted already: a policy's TLS around it would be TLS in TLS.
    @Test func whatPassesThroughIsLeftAsItIs() throws {
        let (upstream, raw) = (
            try SecureUpstream(certificates.make("app", ["DNS:app.test"])), try RelaySite.upstream("a")
        )
        defer { withExtendedLifetime((upstream, raw)) {} }
        func relay(_ service: String) -> String {
            """
            apiVersion: gateway.networking.k8s.io/v1alpha2
            kind: TLSRoute
            metadata: {name: \(service), namespace: shop}
            spec:
              parentRefs: [{name: front, sectionName: tls}]
              hostnames: [\(service).test]
              rules: [{\(GatewayDocuments.to(service))}]
            """
        }
        let site = try LaneSite(
            Documents.join([
                GatewayDocuments.edge(
                    "- {name: http, port: 80, protocol: HTTP}\n"
                        + "- {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"),
                Self.routes(["app"]), relay("app"), relay("raw"),
                Self.policy("app", for: "app"), Self.policy("raw", for: "raw"),
                GatewayDocuments.service("app", upstream.port), GatewayDocuments.service("raw", raw.port),
                try GatewayDocuments.authorities("known", certificates.authority),
            ]), ports: [80, 443])
        let connection = try RawConnection(port: site.port(443))
        let hello = clientHello("raw.test")
        try connection.send(hello)
        #expect(try connection.receive(exactly: hello.count + 2) == Array("a:".utf8) + hello)
        let said = try Programs.result([
            "curl", "-sS", "--http1.1", "--cacert", certificates.authority, "--resolve",
            "app.test:\(site.port(443)):127.0.0.1", "https://app.test:\(site.port(443))/",
        ])
        #expect(said.exit == 0 && said.stdout.hasPrefix("sni=app.test"), "\(said)")
        // Requests of the same Service are encrypted by the policy.
        let answer = try site.get("/app", host: "any.test")
        #expect(answer.status == 200 && answer.response.text.hasPrefix("sni=app.test"), "\(answer)")
    }

    @Test func theSystemsAuthorities() throws {
        let upstream = try SecureUpstream(certificates.make("app", ["DNS:app.test"]))
        defer { withExtendedLifetime(upstream) {} }
        let policy = Self.policy("app", for: "app").replacing(
            "caCertificateRefs: [{group: \"\", kind: ConfigMap, name: known}]",
            with: "wellKnownCACertificates: System")
        let documents = Documents.join([
            GatewayDocuments.edge("- {name: http, port: 80, protocol: HTTP}"), Self.routes(["app"]), policy,
            GatewayDocuments.service("app", upstream.port),
        ])
        for (authority, status) in [(certificates.authority, 200), (strangers.authority, 503)] {
            let proxy = try HttpProxy(documents, environment: ["SSL_CERT_FILE": authority])
            #expect(try proxy.connect().get("/app").status == status)
        }
    }

    @Test func theGatewayShowsItsCertificate() throws {
        let upstream = try SecureUpstream(
            certificates.make("app", ["DNS:app.test"]), clients: strangers.authority)
        defer { withExtendedLifetime(upstream) {} }
        let edge = GatewayDocuments.edge("- {name: http, port: 80, protocol: HTTP}")
        func answer(_ gateway: String) throws -> LaneAnswer {
            let site = try LaneSite(
                Documents.join([
                    gateway, Self.routes(["app"]), Self.policy("app", for: "app"),
                    GatewayDocuments.service("app", upstream.port),
                    try GatewayDocuments.authorities("known", certificates.authority),
                    try GatewayDocuments.secret("mine", strangers.make("mine", ["DNS:edge.test"])),
                ]))
            return try site.get("/app", host: "any.test")
        }
        let shown = try answer(edge + "\n  tls: {backend: {clientCertificateRef: {name: mine}}}")
        #expect(shown.status == 200, "\(shown)")
        #expect(try answer(edge).status == 503)
    }

    @Test func clientsShowTheirs() throws {
        let upstream = try puppet("v1")
        defer { withExtendedLifetime(upstream) {} }
        let listeners = """
            - {name: all, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}
            - {name: own, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}
            - {name: broken, port: 9443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}
            - {name: plain, port: 80, protocol: HTTP}
            """
        func validation(_ name: String) -> String {
            "validation: {caCertificateRefs: [{group: \"\", kind: ConfigMap, name: \(name)}]}"
        }
        let clients = """

              tls:
                frontend:
                  default: {\(validation("known"))}
                  perPort:
                  - {port: 8443, tls: {\(validation("unknown"))}}
                  - {port: 9443, tls: {\(validation("missing"))}}
            """
        let site = try LaneSite(
            Documents.join([
                GatewayDocuments.edge(listeners) + clients,
                Self.routes(["v1"]), GatewayDocuments.service("v1", upstream.port),
                try GatewayDocuments.secret("c", certificates.make("c", ["DNS:any.test"])),
                try GatewayDocuments.authorities("known", certificates.authority),
                try GatewayDocuments.authorities("unknown", strangers.authority),
            ]), ports: [80, 443, 8_443])
        let known = try certificates.make("client", ["DNS:client.test"])
        let strange = try strangers.make("client", ["DNS:client.test"])
        func curl(_ port: UInt16, _ pair: TestCertificates.Pair?) throws -> String {
            let shown = pair.map { ["--cert", $0.certificate, "--key", $0.key] } ?? []
            return try Programs.result(
                [
                    "curl", "-q", "-s", "-S", "--max-time", "60", "--cacert", certificates.authority,
                    "--resolve", "any.test:\(site.port(port)):127.0.0.1", "-o", "/dev/null", "-w",
                    "%{http_code}",
                ] + shown + ["https://any.test:\(site.port(port))/v1"]
            ).stdout
        }
        #expect(try curl(443, known) == "200")
        #expect(try curl(443, strange) == "000")
        #expect(try curl(443, nil) == "000")
        #expect(try curl(8_443, strange) == "200")
        #expect(try curl(8_443, known) == "000")
        // Where the authorities are not there nothing is opened; plain HTTP is no business of theirs.
        #expect(try site.get("/v1", host: "any.test").upstream == "v1")
        #expect(!site.process.stdout.contains("9443"), "\(site.process.stdout)")
    }
}
