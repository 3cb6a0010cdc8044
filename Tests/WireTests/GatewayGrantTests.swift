// What another namespace permits, over real sockets: Services and certificates of others by ReferenceGrants
// that come and go, and listeners that others add to a Gateway (istio-semantics.md 21.1, 21.5).
import TestSupport
import Testing

@Suite struct GatewayGrantTests {
    private static func grant(_ namespace: String, from kind: String, _ to: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1beta1
        kind: ReferenceGrant
        metadata: {name: leave, namespace: \(namespace)}
        spec:
          from: [{group: gateway.networking.k8s.io, kind: \(kind), namespace: shop}]
          to: [{group: "", \(to)}]
        """
    }

    /// Whether a TLS handshake on the port ends well.
    private static func greets(_ port: UInt16, trusting authority: String) throws -> Bool {
        let said = try Programs.result([
            "curl", "-sS", "--cacert", authority, "--resolve", "edge.test:\(port):127.0.0.1",
            "https://edge.test:\(port)/own",
        ])
        return said.exit == 0
    }

    @Test func grantsComeAndGo() throws {
        let certificates = try TestCertificates()
        let (own, away) = (try puppet("own"), try puppet("away"))
        defer { withExtendedLifetime((own, away)) {} }
        let pair = try certificates.make("edge", ["DNS:edge.test"])
        let secret = try GatewayDocuments.secret("cert", pair)
        func rule(_ service: String, _ namespace: String) -> String {
            "- {matches: [{path: {value: /\(service)}}], "
                + "\(GatewayDocuments.to(service, ", namespace: \(namespace)"))}"
        }
        let base = [
            GatewayDocuments.edge(
                "- {name: http, port: 80, protocol: HTTP}\n"
                    + "- {name: far, port: 443, protocol: HTTPS, "
                    + "tls: {certificateRefs: [{name: cert, namespace: vault}]}}\n"
                    + "- {name: near, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}"),
            GatewayDocuments.route(
                "all", host: "",
                [rule("own", "shop"), rule("named", "other"), rule("unnamed", "other"), rule("any", "open")]
                    .joined(separator: "\n")),
            secret, secret.replacing("namespace: shop", with: "namespace: vault"),
            GatewayDocuments.service("own", own.port),
            GatewayDocuments.service("named", away.port, namespace: "other"),
            GatewayDocuments.service("unnamed", away.port, namespace: "other"),
            GatewayDocuments.service("any", away.port, namespace: "open"),
        ]
        let grants = [
            Self.grant("other", from: "HTTPRoute", "kind: Service, name: named"),
            Self.grant("open", from: "HTTPRoute", "kind: Service"),
            Self.grant("vault", from: "Gateway", "kind: Secret"),
        ]
        let site = try LaneSite(Documents.join(base + grants), ports: [80, 443, 8_443])
        /// `paths` that the services of others answer; the rest of them is 500.
        func expect(_ paths: Set<String>, far: Bool) throws {
            for path in ["own", "named", "unnamed", "any"] {
                let answer = try site.get("/\(path)", host: "any.test")
                let isOpen = path == "own" || paths.contains(path)
                #expect(answer.status == (isOpen ? 200 : 500), "\(path): \(answer)")
                #expect(answer.upstream == (isOpen ? (path == "own" ? "own" : "away") : nil))
                if !isOpen { #expect(answer.reason == "no-cluster") }
            }
            #expect(try Self.greets(site.port(443), trusting: certificates.authority) == far)
            #expect(try Self.greets(site.port(8_443), trusting: certificates.authority))
        }
        func reload(_ grants: [String]) throws -> Int {
            try site.folder.replace("site.yaml", Documents.join(base + grants))
            return try site.admin("POST", "/reload").status
        }
        try expect(["named", "any"], far: true)
        #expect(try reload([]) == 200)
        try expect([], far: false)
        // Of another kind, or to another kind: none.
        let others = [
            grants[0].replacing("HTTPRoute", with: "GRPCRoute"),
            grants[1].replacing("kind: Service}", with: "kind: Secret}"),
            grants[2].replacing("namespace: shop", with: "namespace: shops"),
        ]
        #expect(try reload(others) == 200)
        try expect([], far: false)
        #expect(try reload(grants) == 200)
        try expect(["named", "any"], far: true)
        // There is no wildcard, and an empty name is not every name: refused, and all stays as it was.
        for (from, to) in [("namespace: shop}", "namespace: \"*\"}"), ("name: named", "name: \"\"")] {
            let refused = grants[0].replacing(from, with: to)
            #expect(refused != grants[0])
            #expect(try reload([refused]) == 400)
            try expect(["named", "any"], far: true)
        }
    }

    /// Listeners of others: where the Gateway lets them, behind its own, the older set first.
    @Test func listenerSets() throws {
        let certificates = try TestCertificates()
        let names = ["own", "team", "young"]
        let upstreams = try names.map { try puppet($0) }
        defer { withExtendedLifetime(upstreams) {} }
        let pair = try certificates.make("edge", ["DNS:edge.test"])
        func set(_ name: String, _ time: Int, _ listeners: String...) -> String {
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: ListenerSet
            metadata: {name: \(name), namespace: team, creationTimestamp: "\(time)-01-01T00:00:00Z"}
            spec:
              parentRef: {name: front, namespace: shop}
              listeners:
              - \(listeners.joined(separator: "\n  - "))
            """
        }
        func route(_ name: String, _ parent: String, _ namespace: String) -> String {
            GatewayDocuments.route(
                name, host: "", parents: "[\(parent)]", namespace: namespace,
                "- {\(GatewayDocuments.to(name))}")
        }
        let kind = "group: gateway.networking.k8s.io, kind: ListenerSet"
        func documents(_ allowed: String) throws -> String {
            let gateway = GatewayDocuments.edge(
                "- {name: http, port: 80, protocol: HTTP, hostname: own.test}")
            return Documents.join([
                gateway + "\n  allowedListeners: {namespaces: \(allowed)}",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {may: listen}}",
                set(
                    "old", 2_024, "{name: more, port: 80, protocol: HTTP, hostname: team.test}",
                    "{name: all, port: 81, protocol: HTTP}",
                    "{name: same, port: 80, protocol: HTTP, hostname: own.test}",
                    "{name: tcp, port: 80, protocol: TCP}",
                    "{name: tls, port: 443, protocol: HTTPS, hostname: edge.test, "
                        + "tls: {certificateRefs: [{name: cert}]}}"),
                set(
                    "late", 2_025, "{name: late, port: 81, protocol: HTTP}",
                    "{name: fine, port: 81, protocol: HTTP, hostname: young.test}"),
                route("own", "{name: front}", "shop"), route("team", "{name: old, \(kind)}", "team"),
                route("young", "{name: late, \(kind)}", "team"),
                GatewayDocuments.service("own", upstreams[0].port),
                GatewayDocuments.service("team", upstreams[1].port, namespace: "team"),
                GatewayDocuments.service("young", upstreams[2].port, namespace: "team"),
                try GatewayDocuments.secret("cert", pair)
                    .replacing("namespace: shop", with: "namespace: team"),
            ])
        }
        for allowed in ["{from: All}", "{from: Selector, selector: {matchLabels: {may: listen}}}"] {
            let site = try LaneSite(documents(allowed), ports: [80, 81, 443])
            for (host, port, upstream) in [
                ("own.test", 80, "own"), ("team.test", 80, "team"), ("any.test", 81, "team"),
                ("young.test", 81, "young"), ("own.test", 81, "team"),
            ] {
                let answer = try site.get("/", host: host, port: UInt16(port))
                #expect(answer.upstream == upstream, "\(host) \(port): \(answer)")
            }
            #expect(try site.get("/", host: "any.test").status == 404)
            #expect(try Self.greets(site.port(443), trusting: certificates.authority))
            let said = site.process.stderr
            for name in ["same is dropped", "tcp is dropped", "late is dropped"] {
                #expect(said.contains(name), "\(said)")
            }
            // No longer: its listeners close, the Gateway's own stays.
            try site.folder.replace("site.yaml", documents("{from: Same}"))
            #expect(try site.admin("POST", "/reload").status == 200)
            #expect(try site.get("/", host: "own.test").upstream == "own")
            #expect(try site.get("/", host: "team.test").status == 404)
            try waitUntil("the port to close") { (try? RawConnection(port: site.port(81))) == nil }
        }
    }
}
