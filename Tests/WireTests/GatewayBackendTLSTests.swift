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
