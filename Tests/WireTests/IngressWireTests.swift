// An edge made of Ingresses, over sockets: the main backend, its canary by header and by cookie, a rewrite.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct IngressWireTests {
    private static func ingress(
        _ name: String, _ backend: String, _ path: String, _ notes: String
    ) -> String {
        """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: \(name), namespace: shop, annotations: {\(notes)}}
        spec:
          rules:
          - host: a.test
            http:
              paths:
              - path: \(path)
                pathType: ImplementationSpecific
                backend: {service: {name: \(backend), port: {number: 80}}}
        """
    }

    private static func service(_ name: String, _ port: UInt16) -> String {
        """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), namespace: shop}
        spec: {ports: [{name: http, port: 80}]}
        ---
        apiVersion: v1
        kind: Endpoints
        metadata: {name: \(name), namespace: shop}
        subsets: [{addresses: [{ip: 127.0.0.1}], ports: [{name: http, port: \(port)}]}]
        """
    }

    /// Certificates by server name, and the way there from port 80.
    @Test func secretsAndRedirects() throws {
        let certificates = try TestCertificates()
        let upstream = try puppet("main")
        func secret(_ name: String) throws -> String {
            let pair = try certificates.make(name, ["DNS:\(name).test"])
            func encoded(_ path: String) throws -> String {
                try TestCertificates.openssl(["base64", "-A", "-in", path])
            }
            return """
                apiVersion: v1
                kind: Secret
                metadata: {name: \(name), namespace: shop}
                type: kubernetes.io/tls
                data: {tls.crt: \(try encoded(pair.certificate)), tls.key: \(try encoded(pair.key))}
                """
        }
        func secure(_ name: String) -> String {
            Self.ingress(name, "main", "/", "other: '1'").replacing("a.test", with: "\(name).test")
                .replacing("spec:\n", with: "spec:\n  tls: [{hosts: [\(name).test], secretName: \(name)}]\n")
        }
        let site = try LaneSite(
            Documents.join([
                """
                apiVersion: fairlead.dev/v1alpha1
                kind: Proxy
                metadata: {name: edge, namespace: shop}
                spec: {role: edge}
                """,
                secure("one"), secure("two"), try secret("one"), try secret("two"),
                Self.service("main", upstream.port),
            ]), ports: [80, 443])
        for name in ["one", "two"] {
            let moved = try site.get("/x?y=1", host: "\(name).test")
            #expect(moved.status == 308, "\(moved)")
            #expect(moved.response.value("location") == "https://\(name).test/x?y=1")
            let said = try Programs.result([
                "curl", "-sS", "--cacert", certificates.authority, "--resolve",
                "\(name).test:\(site.port(443)):127.0.0.1", "https://\(name).test:\(site.port(443))/x?y=1",
            ])
            #expect(said.exit == 0 && said.stdout.hasPrefix("GET /x?y=1 HTTP/1.1"), "\(said.stderr)")
        }
    }

    @Test func aCanaryBesideItsMainIngress() throws {
        let main = try puppet("main")
        let next = try puppet("next")
        let nginx = "nginx.ingress.kubernetes.io"
        let site = try LaneSite(
            Documents.join([
                """
                apiVersion: fairlead.dev/v1alpha1
                kind: Proxy
                metadata: {name: edge, namespace: shop}
                spec: {role: edge}
                """,
                Self.ingress("main", "main", "/app(/|$)(.*)", "\(nginx)/rewrite-target: /$2"),
                Self.ingress(
                    "canary", "next", "/app(/|$)(.*)",
                    "\(nginx)/canary: 'true', \(nginx)/canary-by-header: x-canary, "
                        + "\(nginx)/canary-by-cookie: feature, \(nginx)/canary-by-cookie-value: basket"),
                Self.service("main", main.port), Self.service("next", next.port),
            ]))
        let plain = try site.get("/app/x?y=1", host: "a.test")
        #expect(plain.upstream == "main", "\(plain)")
        #expect(try plain.seen.target == "/x?y=1")
        #expect(try site.get("/app", host: "a.test", ["x-canary: always"]).upstream == "next")
        let byCookie = try site.get("/app/z", host: "a.test", ["Cookie: a=b; feature=basket"])
        #expect(byCookie.upstream == "next", "\(byCookie)")
        #expect(try byCookie.seen.target == "/z")
        #expect(try site.get("/other", host: "a.test").status == 404)
    }

    /// What ingress-nginx's users have most: a target that is the path itself; a wildcard for one label.
    @Test func targetsWildcardsAndFirstCookies() throws {
        let (main, next) = (try puppet("main"), try puppet("next"))
        defer { withExtendedLifetime((main, next)) {} }
        let nginx = "nginx.ingress.kubernetes.io"
        func at(_ host: String, _ document: String) -> String {
            document.replacing("host: a.test", with: "host: \(host)")
        }
        let site = try LaneSite(
            Documents.join([
                "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: edge, namespace: shop}\n"
                    + "spec: {role: edge}",
                Self.ingress("main", "main", "/", "\(nginx)/rewrite-target: /"),
                Self.ingress(
                    "canary", "next", "/",
                    "\(nginx)/canary: 'true', \(nginx)/canary-by-cookie: beta"),
                at("'*.wide.test'", Self.ingress("wide", "main", "/", "a: b")),
                Self.service("main", main.port), Self.service("next", next.port),
            ]))
        #expect(try site.get("/deep/er?x=1", host: "a.test").seen.target == "/deep/er?x=1")
        for (cookies, upstream) in [
            ("beta=always; beta=never", "next"), ("beta=never; beta=always", "main"), ("a=b", "main"),
        ] {
            let answer = try site.get("/", host: "a.test", ["Cookie: \(cookies)"])
            #expect(answer.upstream == upstream, "\(cookies): \(answer)")
        }
        #expect(try site.get("/", host: "x.wide.test").upstream == "main")
        #expect(try site.get("/", host: "x.y.wide.test").status == 404)
    }
}
