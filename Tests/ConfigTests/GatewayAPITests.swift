// Gateways, routes and grants of the Gateway API: who attaches to what, in which order rules are tried, what
// backends come to (istio-semantics.md 21).
import Testing

@testable import Config
@testable import Lanes

private let auth = service("auth", network: 1)

@Suite struct GatewayAPITests {
    // MARK: attachment

    @Test func aRouteAttachesAndLeadsToItsBackend() throws {
        let text = API.edge + API.gateway(API.http) + API.route("r", API.rule()) + auth
        #expect(loadText(text).findings.map(\.text) == [])
        let model = try modelOf(text)
        #expect(model.listeners.map(\.name) == ["gateway/80"])
        #expect(model.listeners[0].address.text == "0.0.0.0:80")
        let route = try #require(model.host("*", in: "http.80")?.routes.first)
        #expect(route.name == "shop.r.0" && route.source.document == "HTTPRoute shop/r")
        #expect(route.targets == ["outbound|8080||auth.shop.svc.cluster.local"])
        #expect(model.clusters.map(\.addresses) == [["10.0.1.1:8080", "10.0.1.2:8080"]])
    }

    @Test func withoutAProxyDocumentItIsAnEdge() throws {
        let model = try modelOf(API.gateway(API.http) + API.route("r", API.rule()) + auth)
        #expect(model.proxy.isEdge && model.routeNames("*") == ["shop.r.0"])
    }

    @Test func theProxyNamesItsClass() throws {
        let text =
            API.gateway(API.http, className: "ours")
            + API.gateway(
                "{name: b, port: 81, protocol: HTTP}", name: "other", className: "theirs")
        let all = try modelOf(API.edge + text)
        #expect(all.listeners.map(\.name) == ["gateway/81", "gateway/80"])
        let edge = API.edge.replacing("role: edge", with: "role: edge, gatewayClass: ours")
        #expect(try modelOf(edge + text).listeners.map(\.name) == ["gateway/80"])
    }

    @Test(arguments: [
        ("{name: public}", ["a:80", "b:80", "a:81"]), ("{name: public, sectionName: one}", ["a:80"]),
        ("{name: public, port: 81}", ["a:81"]), ("{name: public, sectionName: two, port: 80}", ["b:80"]),
        ("{name: public, sectionName: two, port: 81}", []), ("{name: public, sectionName: four}", []),
        ("{name: public, namespace: other}", []), ("{name: private}", []),
        ("{name: public, group: '', kind: Service}", []),
    ])
    func parents(_ parent: String, _ expected: [String]) throws {
        let text =
            API.edge
            + API.gateway(
                "{name: one, port: 80, protocol: HTTP, hostname: a.test}",
                "{name: two, port: 80, protocol: HTTP, hostname: b.test}",
                "{name: three, port: 81, protocol: HTTP, hostname: a.test}")
            + API.route("r", parents: "[\(parent)]", API.rule()) + auth
        let model = try modelOf(text)
        let served = model.routeTables.flatMap(\.virtualHosts).filter { !$0.routes.isEmpty }.map(\.name)
        #expect(served.map { $0.replacing(".test", with: "") } == expected)
        #expect(loadText(text).findings.isEmpty != expected.isEmpty, "what attaches nowhere is a finding")
    }

    @Test(arguments: [
        ("{namespaces: {from: All}}", true), ("{namespaces: {from: Same}}", false), ("{}", false),
        ("{namespaces: {from: None}}", false),
        ("{namespaces: {from: Selector, selector: {matchLabels: {team: web}}}}", true),
        ("{namespaces: {from: Selector, selector: {matchLabels: {team: ops}}}}", false),
        (
            "{namespaces: {from: Selector, selector: {matchExpressions: "
                + "[{key: kubernetes.io/metadata.name, operator: In, values: [web]}]}}}", true
        ),
        (
            "{namespaces: {from: Selector, selector: {matchExpressions: "
                + "[{key: team, operator: DoesNotExist}]}}}", false
        ),
        ("{namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}", true),
        ("{namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}", false),
        ("{namespaces: {from: All}, kinds: [{group: example.com, kind: HTTPRoute}]}", false),
    ])
    func allowedRoutes(_ allowed: String, _ attaches: Bool) throws {
        let text =
            API.edge + API.gateway("{name: http, port: 80, protocol: HTTP, allowedRoutes: \(allowed)}")
            + "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {team: web}}\n---\n"
            + API.route(
                "r", parents: "[{name: public, namespace: shop}]", namespace: "web",
                API.rule(to: "web")) + service("web", network: 3, namespace: "web")
        #expect(try modelOf(text).routeNames("*") == (attaches ? ["web.r.0"] : []))
        #expect(loadText(text).has("FL0060") != attaches)
    }

    /// What is in common of both sides' hostnames, and nothing else.
    @Test(arguments: [
        ("", "[]", ["*"]), ("", "[a.test, '*.b.test']", ["*", "a.test", "*.b.test"]),
        ("a.test", "[]", ["a.test"]), ("a.test", "['*.test']", ["a.test"]), ("a.test", "[b.test]", []),
        ("'*.test'", "[a.test, b.c.test, test]", ["*.test", "a.test", "b.c.test"]),
        ("'*.a.test'", "['*.test', '*.b.a.test']", ["*.a.test", "*.b.a.test"]),
    ])
    func hostnames(_ listener: String, _ route: String, _ expected: [String]) throws {
        let hostname = listener.isEmpty ? "" : ", hostname: \(listener)"
        let model = try modelOf(
            API.edge + API.gateway("{name: http, port: 80, protocol: HTTP\(hostname)}")
                + API.route("r", hostnames: route, API.rule()) + auth)
        let hosts = try #require(model.table("http.80")).virtualHosts
        let own = listener.isEmpty ? "*" : listener.filter { $0 != "'" }
        #expect(Set(hosts.flatMap(\.domains)) == Set(expected + [own]))
        #expect(
            hosts.allSatisfy { $0.routes.isEmpty == !expected.contains($0.domains[0]) || $0.domains == [own] }
        )
    }

    /// A broader listener's routes never answer for a host that a more specific one of its Gateway has.
    @Test func listenersAreIsolated() throws {
        let names = "[bar.com, '*.example.com', '*.foo.example.com', abc.foo.example.com]"
        var text = API.edge + auth
        var listeners: [String] = []
        for (section, hostname) in [
            ("all", ""), ("wide", "*.example.com"), ("narrow", "*.foo.example.com"),
            ("exact", "abc.foo.example.com"),
        ] {
            let host = hostname.isEmpty ? "" : ", hostname: '\(hostname)'"
            listeners.append("{name: \(section), port: 80, protocol: HTTP\(host)}")
            text += API.route(
                section, hostnames: names, parents: "[{name: public, sectionName: \(section)}]", API.rule())
        }
        let model = try modelOf(text + API.gateway(listeners.joined(separator: "\n  - ")))
        #expect(model.routeNames("bar.com") == ["shop.all.0"])
        #expect(model.routeNames("*") == [])
        #expect(model.routeNames("*.example.com") == ["shop.wide.0"])
        #expect(model.routeNames("*.foo.example.com") == ["shop.narrow.0"])
        #expect(model.routeNames("abc.foo.example.com") == ["shop.exact.0"])
    }

    @Test func gatewaysOfOnePortShareAListener() throws {
        let text =
            API.edge + API.gateway(API.http) + API.gateway(API.http, name: "second")
            + API.route("a", hostnames: "[a.test]", API.rule())
            + API.route("b", hostnames: "[a.test]", parents: "[{name: second}]", API.rule("/b")) + auth
        let model = try modelOf(text)
        #expect(model.listeners.count == 1 && model.routeNames("a.test") == ["shop.b.0", "shop.a.0"])
        let istio = gateway.replacing("selector: {istio: ingressgateway}", with: "selector: {}")
        let mixed = try modelOf(text.replacing("kind: Proxy", with: "kind: Proxy") + istio)
        #expect(mixed.listeners.count == 1 && mixed.routeNames("a.test")?.count == 2)
    }

    // MARK: precedence

    @Test func rulesAreTriedByWhatTheyAskFor() throws {
        func matched(_ name: String, _ match: String) -> String {
            "{name: \(name), matches: [\(match)], backendRefs: [{name: auth, port: 8080}]}"
        }
        let model = try modelOf(
            API.edge + API.gateway(API.http) + auth
                + API.route(
                    "young", created: 2024, matched("young", "{path: {value: /abc}}"),
                    matched("longest", "{path: {value: /abc/def}}"))
                + API.route(
                    "old", created: 2020, matched("plain", "{}"),
                    matched("query", "{queryParams: [{name: q, value: a}]}"),
                    matched("regex", "{path: {type: RegularExpression, value: '/a.*/very/long/pattern'}}"),
                    matched("header", "{headers: [{name: h, value: a}]}"),
                    matched("two", "{headers: [{name: h, value: a}, {name: i, value: a}]}"),
                    matched("method", "{method: GET}"), matched("old", "{path: {value: /abc/}}"),
                    matched("exact", "{path: {type: Exact, value: /x}}"),
                    matched("method-prefix", "{path: {value: /abc}, method: PUT}"),
                    matched("longer-exact", "{path: {type: Exact, value: /xy}}")))
        #expect(
            model.routeNames("*") == [
                "longer-exact", "exact", "longest", "method-prefix", "old", "young", "method", "two",
                "header",
                "query", "plain", "regex",
            ])
    }

    @Test func ofEqualRulesTheOlderThenTheNameThenThePlaceDecides() throws {
        let text =
            API.edge
            + API.gateway("{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}")
            + API.route("b", created: 2020, API.rule("/b")) + API.route("c", created: 2019, API.rule("/c"))
            + API.route("a", created: 2020, API.rule("/a"), API.rule("/d"))
            + API.route(
                "z", parents: "[{name: public, namespace: shop}]", namespace: "early", created: 2020,
                API.rule("/z")) + auth
        #expect(
            try modelOf(text).routeNames("*") == [
                "shop.c.0", "early.z.0", "shop.a.0", "shop.a.1", "shop.b.0",
            ])
    }

    /// Only a listener that is narrower than a route's hostname brings different ones to one host.
    @Test func theRouteWithTheLongerHostnameComesFirst() throws {
        func text(_ listener: String) -> String {
            API.edge + API.gateway("{name: http, port: 80, protocol: HTTP, hostname: \(listener)}") + auth
                + API.route("wide", hostnames: "['*.test']", created: 2019, API.rule("/a/b"))
                + API.route("none", created: 2020, API.rule("/c"))
                + API.route("wild", hostnames: "['*.b.test']", created: 2021, API.rule("/d"))
                + API.route("exact", hostnames: "['*.test', a.b.test]", created: 2022, API.rule("/"))
        }
        let exact = try modelOf(text("a.b.test"))
        #expect(
            exact.routeNames("a.b.test") == ["shop.none.0", "shop.exact.0", "shop.wild.0", "shop.wide.0"])
        let wild = try modelOf(text("'*.b.test'"))
        #expect(wild.routeNames("a.b.test") == ["shop.exact.0"])
        #expect(wild.routeNames("*.b.test") == ["shop.none.0", "shop.wild.0", "shop.wide.0", "shop.exact.0"])
    }

    @Test func kindsDoNotMixOnAHostname() throws {
        let text =
            API.edge + API.gateway(API.http) + auth
            + API.route("web", hostnames: "[a.test, b.test]", created: 2020, API.rule())
            + API.route(
                "rpc", hostnames: "[a.test, c.test]", kind: "GRPCRoute", created: 2021,
                "{backendRefs: [{name: auth, port: 8080}]}")
        let result = loadText(text)
        #expect(result.model?.routeNames("a.test") == ["shop.web.0"])
        #expect(result.model?.routeNames("c.test") == ["shop.rpc.0"])
        #expect(result.has("FL0063", containing: "a.test"))
    }

    @Test func aCoveredMatchIsTold() {
        let text = API.edge + API.gateway(API.http) + auth + API.route("r", API.rule("/a"), API.rule("/a/"))
        #expect(loadText(text).has("IST0130", containing: "shop.r.1"))
    }

    // MARK: matches and gRPC

    @Test func grpcMethodsArePaths() throws {
        func to(_ name: String, _ method: String) -> String {
            "{name: \(name), matches: [{method: \(method)}], backendRefs: [{name: auth, port: 8080}]}"
        }
        let model = try modelOf(
            API.edge + API.gateway(API.http) + auth
                + API.route(
                    "r", kind: "GRPCRoute", to("all", "{service: a.B}"),
                    to("any", "{method: Get}"), to("one", "{service: a.B, method: Get}"),
                    to("regex", "{type: RegularExpression, service: 'a\\.[A-Z]', method: 'G.*|Put'}"),
                    "{name: rest, backendRefs: [{name: auth, port: 8080}]}"))
        let routes = try #require(model.host("*", in: "http.80")).routes
        #expect(routes.map(\.name) == ["regex", "one", "all", "any", "rest"])
        #expect(
            routes.map(\.match.uri) == [
                .regex("/(?:a\\.[A-Z])/(?:G.*|Put)"), .exact("/a.B/Get"), .prefix("/a.B/"),
                .regex("/[^/]+/Get"), nil,
            ])
    }

    // MARK: backends

    @Test func backendsThatCannotBeReachedKeepTheirShare() throws {
        let text =
            API.edge + API.gateway(API.http) + auth + service("far", network: 4, namespace: "away")
            + API.route(
                "r",
                """
                backendRefs:
                    - {name: auth, port: 8080, weight: 3}
                    - {name: gone, port: 8080, weight: 2}
                    - {name: auth, port: 9090}
                    - {name: far, namespace: away, port: 8080}
                    - {kind: Bucket, group: example.com, name: b}
                    - {name: auth, port: 8080, weight: 0}
                """)
        let result = loadText(text)
        let targets = try #require(result.model?.host("*", in: "http.80")?.routes.first?.targetModels)
        #expect(targets.map(\.weight) == [3, 2, 1, 1, 1])
        #expect(targets.map { $0.cluster != nil } == [true, false, false, false, false])
        #expect(targets.allSatisfy { $0.missingStatus == 500 })
        #expect(result.has("IST0101", containing: "gone") && result.has("IST0101", containing: "port 9090"))
        #expect(result.has("FL0061", containing: "ReferenceGrant in away"))
        #expect(result.has("FL0062", containing: "Bucket of example.com"))
        #expect(result.findings.allSatisfy { $0.line > 0 && !$0.suggestion.isEmpty })
    }

    @Test(arguments: [
        ("{group: '', kind: Service}", "HTTPRoute", "shop", true),
        ("{group: '', kind: Service, name: far}", "HTTPRoute", "shop", true),
        ("{group: '', kind: Service, name: near}", "HTTPRoute", "shop", false),
        ("{group: '', kind: Secret}", "HTTPRoute", "shop", false),
        ("{group: '', kind: Service}", "GRPCRoute", "shop", false),
        ("{group: '', kind: Service}", "HTTPRoute", "other", false),
    ])
    func grants(_ to: String, _ kind: String, _ from: String, _ permits: Bool) throws {
        let text =
            API.edge + API.gateway(API.http) + service("far", network: 4, namespace: "away")
            + API.grant(in: "away", from: from, kind: kind, to: to)
            + API.route("r", "{backendRefs: [{name: far, namespace: away, port: 8080}]}")
        let target = try modelOf(text).host("*", in: "http.80")?.routes[0].targetModels.first
        #expect((target?.cluster != nil) == permits)
        #expect(loadText(text).has("FL0061") != permits)
    }

    @Test func destinationRulesApply() throws {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: auth, namespace: shop}
            spec:
              host: auth
              trafficPolicy:
                loadBalancer: {simple: ROUND_ROBIN}
                connectionPool: {tcp: {connectTimeout: 3s}}
            ---

            """
        let text = API.edge + API.gateway(API.http) + API.route("r", API.rule()) + auth + rule
        let cluster = try #require(try modelOf(text).clusters.first)
        #expect(cluster.loadBalancing == .roundRobin && cluster.connectTimeoutMs == 3_000)
    }

    @Test(arguments: ["{}", "{backendRefs: []}", "{backendRefs: [{name: auth, port: 8080, weight: 0}]}"])
    func nothingToSendToIs500(_ rule: String) throws {
        let result = loadText(API.edge + API.gateway(API.http) + API.route("r", rule) + auth)
        let targets = result.model?.host("*", in: "http.80")?.routes[0].targetModels
        #expect(targets?.map(\.missingStatus) == [500] && targets?[0].cluster == nil)
        #expect(result.has("FL0064"))
    }

    // MARK: lanes

    @Test func lanesChooseTheVersionAndMatchesMakeThemKnown() throws {
        let policy = """
            apiVersion: fairlead.dev/v1alpha1
            kind: LanePolicy
            metadata: {name: default, namespace: shop}
            spec: {key: x-feat-name}
            ---
            apiVersion: fairlead.dev/v1alpha1
            kind: Lane
            metadata: {name: a, namespace: shop}
            spec: {members: [{service: auth, selector: {version: v2}}]}
            ---

            """
        let model = try modelOf(
            API.edge + policy + API.gateway(API.http) + auth
                + API.route(
                    "r",
                    "{matches: [{headers: [{name: X-Feat-Name, value: b}]}], "
                        + "backendRefs: [{name: auth, port: 8080}]}"))
        #expect(model.clusters[0].stableAddresses == ["10.0.1.1:8080"])
        #expect(model.clusters[0].laneAddresses(0) == ["10.0.1.2:8080"])
        #expect(model.policy?.knownByRoutes == [.exact("b")])
    }
}

// MARK: the mesh

@Suite struct GAMMATests {
    private func routes(_ documents: String, port: String = "8080") throws -> [String]? {
        try modelOf(sidecarProxy + auth + documents)
            .routeNames("auth.shop.svc.cluster.local", in: port)
    }

    private let onAuth = "[{group: '', kind: Service, name: auth, namespace: shop}]"

    @Test func aServiceIsAParent() throws {
        let route = API.route("r", parents: onAuth, API.rule("/a"), API.rule("/b"))
        #expect(try routes(route) == ["shop.r.0", "shop.r.1"])
        #expect(try routes(API.route("r", API.rule())) == ["default"])
        let ported = API.route(
            "r", parents: onAuth.replacing("name: auth", with: "name: auth, port: 8080"), API.rule())
        #expect(try routes(ported) == ["shop.r.0"])
        let other = API.route(
            "r", parents: onAuth.replacing("name: auth", with: "name: auth, port: 81"), API.rule())
        #expect(try routes(other) == ["default"])
    }

    /// A consumer's route is its namespace's alone, and comes before the producer's.
    @Test func routesOfOtherNamespacesAreForTheirOwnClients() throws {
        let theirs = API.route("theirs", parents: onAuth, namespace: "away", API.rule(to: "auth"))
        #expect(try routes(theirs) == ["default"])
        let away = sidecarProxy.replacing("namespace: shop", with: "namespace: away")
        let producers = API.route("ours", parents: onAuth, API.rule())
        let model = try modelOf(away + auth + theirs + producers)
        #expect(model.routeNames("auth.shop.svc.cluster.local", in: "8080") == ["away.theirs.0"])
    }

    @Test func noGrantIsNeeded() throws {
        let route = API.route(
            "r", parents: onAuth, "{backendRefs: [{name: far, namespace: away, port: 8080}]}")
        let text = sidecarProxy + auth + route + service("far", network: 4, namespace: "away")
        #expect(loadText(text).findings.map(\.text) == [])
        let host = try modelOf(text).host("auth.shop.svc.cluster.local", in: "8080")
        #expect(host?.routes[0].targetModels[0].cluster != nil)
    }

    @Test func theOlderOfTwoKindsDecides() throws {
        func both(_ route: Int) -> String {
            API.route("r", parents: onAuth, created: route, API.rule()) + """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: vs, namespace: shop, creationTimestamp: '2022-01-01T00:00:00Z'}
                spec: {hosts: [auth], http: [{name: vs, route: [{destination: {host: auth}}]}]}
                """
        }
        #expect(try routes(both(2021)) == ["shop.r.0"])
        #expect(try routes(both(2023)) == ["vs"])
        #expect(
            loadText(sidecarProxy + auth + both(2021)).has("FL0063", containing: "HTTPRoute shop/r is older"))
    }

    @Test func aServiceEntryIsAParent() throws {
        let entry = """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: out, namespace: shop}
            spec:
              hosts: [out.test]
              resolution: STATIC
              ports: [{number: 8080, name: http, protocol: HTTP}]
              endpoints: [{address: 10.9.0.1}]
            ---

            """
        let route = API.route(
            "r", parents: "[{group: networking.istio.io, kind: ServiceEntry, name: out}]",
            "{backendRefs: [{group: networking.istio.io, kind: Hostname, name: out.test, port: 8080}]}")
        let model = try modelOf(sidecarProxy + entry + route)
        let found = try #require(model.host("out.test", in: "8080")?.routes.first)
        #expect(found.name == "shop.r.0" && found.targetModels[0].cluster != nil)
    }
}

// MARK: connections

@Suite struct APIRelayTests {
    private let tls = "{name: tls, port: 443, protocol: TLS, hostname: '*.a.test', tls: {mode: Passthrough}}"
    private let tcp = "{name: tcp, port: 3306, protocol: TCP}"

    private func servers(_ model: RoutingModel, _ port: Int) -> [String: [String]] {
        let connections = model.listeners.first { $0.name == "gateway/\(port)" }?.connections
        let pairs = (connections?.servers ?? []).map { server -> (String, [String]) in
            guard case .relay(let routes) = server.action else { return (server.names[0], []) }
            return (server.names[0], routes.map(\.route.name))
        }
        return Dictionary(pairs, uniquingKeysWith: +)
    }

    @Test func tlsByNameAndTCPByPort() throws {
        let rule = "{backendRefs: [{name: auth, port: 8080}]}"
        let text =
            API.edge + API.gateway(API.http, tls, tcp) + auth
            + API.route("b", hostnames: "[x.a.test, b.test]", kind: "TLSRoute", rule)
            + API.route("late", hostnames: "[x.a.test]", kind: "TLSRoute", created: 2024, rule)
            + API.route("db", kind: "TCPRoute", rule).replacing("  hostnames: []\n", with: "")
        let result = loadText(text)
        let model = try #require(result.model, "\(result.findings.map(\.text))")
        #expect(servers(model, 443) == ["*.a.test": [], "x.a.test": ["shop.b.0"]])
        #expect(servers(model, 3306) == ["*": ["shop.db.0"]])
        #expect(model.routeNames("*") == [], "no such route is for requests")
        #expect(result.findings.map(\.code) == ["FL0060", "FL0063"])
        #expect(result.has("FL0060", containing: "b.test"))
        #expect(result.has("FL0063", containing: "shop/b is older and has those for x.a.test"))
    }

    /// What is never used is said: of routes with one name all but the oldest, of rules all but the first.
    @Test func rivalsAndRulesThatAreNeverUsed() throws {
        let rule = "{backendRefs: [{name: auth, port: 8080}]}"
        func plain(_ name: String, _ created: Int, _ rules: String...) -> String {
            API.route(name, kind: "TCPRoute", created: created, rules.joined(separator: "\n  - "))
                .replacing("  hostnames: []\n", with: "")
        }
        let result = loadText(
            API.edge + API.gateway(tcp) + auth + plain("one", 2023, rule, rule) + plain("two", 2024, rule))
        #expect(servers(try #require(result.model), 3306) == ["*": ["shop.one.0"]])
        #expect(result.has("IST0130", containing: "a TCPRoute has one rule"))
        #expect(result.has("FL0063", containing: "TCPRoute shop/one is older and has the connections"))
        #expect(result.findings.map(\.resource) == ["TCPRoute shop/one", "TCPRoute shop/two"])
        let others = API.route("c", hostnames: "[c.a.test]", kind: "TLSRoute", rule)
        let apart = API.route("d", hostnames: "[d.a.test]", kind: "TLSRoute", rule)
        #expect(loadText(API.edge + API.gateway(tls) + auth + others + apart).findings.isEmpty)
    }

    @Test func onePortSpeaksOneProtocol() throws {
        let other = API.gateway("{name: x, port: 80, protocol: TCP}", name: "z")
        let result = loadText(API.edge + API.gateway(API.http) + other)
        #expect(result.model?.listeners.map { $0.connections == nil } == [true] && result.has("FL0030"))
        let istio = gateway.replacing("selector: {istio: ingressgateway}", with: "selector: {}")
        let mixed = loadText(API.edge + istio + other)
        #expect(mixed.model?.listeners.count == 1 && mixed.has("FL0030", containing: "Gateway shop/z"))
    }

    @Test func whatCannotBe() {
        let rule = "{backendRefs: [{name: auth, port: 8080}]}"
        let unnamed = API.route("b", kind: "TLSRoute", rule)
        #expect(
            loadText(API.edge + API.gateway(tls) + unnamed).has("FL0006", containing: "hostnames is missing"))
        let parents = "[{group: '', kind: Service, name: auth}]"
        let mesh = API.route("b", hostnames: "[a.test]", parents: parents, kind: "TLSRoute", rule)
        #expect(loadText(sidecarProxy + auth + mesh).has("FL0060", containing: "TLSRoute on a Service"))
        let terminated = tls.replacing("{mode: Passthrough}", with: "{certificateRefs: [{name: c}]}")
        let secretless = loadText(API.edge + API.gateway(terminated))
        #expect(secretless.has("IST0101", line: 12, containing: "no Secret shop/c"))
    }
}
