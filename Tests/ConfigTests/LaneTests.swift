// Native lanes, their policy and the Proxy document (interface.md 2, lanes.md).
import Base
import Testing

@testable import Config
@testable import Lanes

private let policy = """
    apiVersion: fairlead.dev/v1alpha1
    kind: LanePolicy
    metadata: {name: default, namespace: shop}
    spec: {}
    ---

    """

private func lane(
    _ name: String, _ members: String, namespace: String = "shop", more: String = "", metadata: String = ""
) -> String {
    """
    apiVersion: fairlead.dev/v1alpha1
    kind: Lane
    metadata: {name: \(name), namespace: \(namespace)\(metadata)}
    spec:
    \(more)  members: \(members)
    ---

    """
}

private let auth = service("auth", network: 1)

private func cluster(_ text: String) throws -> ClusterModel {
    try #require(
        try modelOf(sidecarProxy + auth + policy + text).cluster("outbound|8080||auth.shop.svc.cluster.local")
    )
}

/// Trap 12: a feature pod that the stable Service selects serves its lane alone.
@Test func stableIsAllButTheMembersOfEveryLane() throws {
    let found = try cluster(lane("a", "[{service: auth, selector: {app: auth, version: v2}}]"))
    #expect(found.laneAddresses(0) == ["10.0.1.2:8080"])
    #expect(found.stableAddresses == ["10.0.1.1:8080"])
    let two = try cluster(
        lane("a", "[{service: auth, selector: {version: v2}}]")
            + lane("b", "[{service: auth, selector: {version: v1}}]"))
    #expect(two.laneMembers.map(\.lane) == [0, 1])
    #expect(two.stable.isEmpty)
}

@Test func lanesThatLeaveNothingAreNamed() {
    func told(_ selector: String) -> [String] {
        loadText(sidecarProxy + auth + policy + lane("a", "[{service: auth, selector: {\(selector)}}]"))
            .findings.map(\.text).filter { $0.contains("FL0035") }
    }
    #expect(told("app: auth").count == 1 && told("app: auth")[0].contains("every endpoint of auth.shop"))
    #expect(told("version: v2") == [])
}

@Test func podsThatTheServiceDoesNotSelectCanBeMembers() throws {
    let pods = """
        apiVersion: v1
        kind: Pod
        metadata: {name: feature, namespace: team, labels: {lane: a}}
        status: {podIP: 10.9.0.1}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: near, namespace: shop, labels: {lane: a}}
        status: {podIP: 10.9.0.2}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: far, namespace: far, labels: {lane: a}}
        status: {podIP: 10.9.0.3}
        ---

        """
    let found = try cluster(
        pods + lane("a", "[{service: auth.shop.svc.cluster.local, selector: {lane: a}}]", namespace: "team"))
    #expect(found.laneAddresses(0) == ["10.9.0.2:8080", "10.9.0.1:8080"])
    #expect(found.stableAddresses == ["10.0.1.1:8080", "10.0.1.2:8080"])
}

@Test func aPodOfAnotherServiceOfTheLaneIsNoMember() throws {
    let found = try cluster(
        service("info", network: 2)
            + lane(
                "a", "[{service: auth, selector: {version: v2}}, {service: info, selector: {version: v2}}]"))
    #expect(found.laneAddresses(0) == ["10.0.1.2:8080"])
}

@Test func explicitEndpoints() throws {
    let found = try cluster(lane("a", "[{service: auth, endpoints: ['10.0.1.1:8080', '127.0.0.1:9001']}]"))
    #expect(found.laneAddresses(0) == ["10.0.1.1:8080", "127.0.0.1:9001"])
    #expect(found.stableAddresses == ["10.0.1.2:8080"])
    #expect(found.endpoints[found.laneMembers[0].endpoints[0]].labels["version"] == "v1")
    // With several ports, an endpoint serves the port it is the target of.
    let ports = auth.replacing(
        "targetPort: 8080}", with: "targetPort: 8080}, {name: http-b, port: 81, targetPort: 9001}")
    let model = try modelOf(
        sidecarProxy + ports + policy
            + lane("a", "[{service: auth, endpoints: ['10.5.0.1:9001', '10.5.0.2:7']}]"))
    #expect(model.cluster("outbound|8080||auth.shop.svc.cluster.local")?.laneAddresses(0) == ["10.5.0.2:7"])
    #expect(
        model.cluster("outbound|81||auth.shop.svc.cluster.local")?.laneAddresses(0) == [
            "10.5.0.1:9001", "10.5.0.2:7",
        ])
}

@Test func aMemberThatSelectsNothingHasAnEmptyList() throws {
    let text = lane("a", "[{service: auth, selector: {version: none}}]", more: "  whenEmpty: fail\n")
    let found = try cluster(text)
    #expect(found.laneAddresses(0) == [])
    let result = loadText(sidecarProxy + auth + policy + text)
    #expect(result.has("FL0027", containing: "503"))
    #expect(result.model?.lanes[0].failWhenEmpty == true)
}

@Test func subsetsAreDividedToo() throws {
    let text = """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: auth, namespace: shop}
        spec: {host: auth, subsets: [{name: stable, labels: {version: v1}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: auth, namespace: shop}
        spec: {hosts: [auth], http: [{route: [{destination: {host: auth, subset: stable}}]}]}
        ---

        """
    let model = try modelOf(
        sidecarProxy + auth + policy + text + lane("a", "[{service: auth, selector: {version: v2}}]"))
    let found = try #require(model.cluster("outbound|8080|stable|auth.shop.svc.cluster.local"))
    #expect(found.stableAddresses == ["10.0.1.1:8080"])
    #expect(found.laneAddresses(0) == ["10.0.1.2:8080"])
}

@Test func withoutAPolicyThereAreNoLanes() throws {
    let text = sidecarProxy + auth + lane("a", "[{service: auth, selector: {version: v2}}]")
    let result = loadText(text)
    #expect(result.has("FL0023"))
    let model = try #require(result.model)
    #expect(model.policy == nil && model.lanes.isEmpty)
    #expect(model.clusters.allSatisfy { $0.laneMembers.isEmpty && $0.stable.count == $0.endpoints.count })
}

@Test func laneTimes() throws {
    func expiry(_ more: String, metadata: String = "", seen: [String: Int64] = [:]) throws -> (
        Int64?, [String: Int64]
    ) {
        var options = LoadOptions()
        options.nowSeconds = 1_000_000
        options.firstSeen = seen
        let text = sidecarProxy + auth + policy + lane("a", "[]", more: more, metadata: metadata)
        let result = load(
            Sources(texts: [SourceText(file: "t", bytes: Array(text.utf8))]), options: options)
        return (try #require(result.model).lanes[0].expiresAtSeconds, result.firstSeen)
    }
    #expect(try expiry("").0 == nil)
    let first = try expiry("  ttl: 1h\n")
    #expect(first.0 == 1_003_600 && first.1 == ["shop/a": 1_000_000])
    #expect(try expiry("  ttl: 1h\n", seen: ["shop/a": 999_000]).0 == 1_002_600)
    let created = ", creationTimestamp: '1970-01-02T00:00:00Z'"
    #expect(try expiry("  ttl: 1h\n", metadata: created).0 == 90_000)
    #expect(try expiry("  expires: 1970-01-01T00:01:00Z\n").0 == 60)
    #expect(try expiry("  expires: 2030-01-01T00:00:00Z\n  ttl: 1h\n").0 == 1_003_600)
}

@Test func refusedLanes() {
    let cases: [(String, String)] = [
        ("Lane_A", "[]"), ("a.b", "[]"), (String(repeating: "a", count: 64), "[]"),
        ("a", "[{selector: {x: y}}]"),
        ("a", "[{service: auth}]"), ("a", "[{service: auth, selector: {x: y}, endpoints: ['1.2.3.4:5']}]"),
        ("a", "[{service: auth, selector: {}}]"), ("a", "[{service: auth, endpoints: ['auth:80']}]"),
        ("a", "[{service: 'a b', selector: {x: y}}]"), ("a", "{service: auth}"),
    ]
    for (name, members) in cases {
        let result = loadText(policy + lane(name, members))
        let isRefused = result.model == nil && result.has("FL0006")
        #expect(isRefused, "\(name) \(members): \(result.findings.map(\.text))")
    }
    for field in [
        "ttl: soon", "expires: tomorrow", "mode: lose", "whenEmpty: 503", "mod: strict", "ttl: -1h",
    ] {
        let result = loadText(policy + lane("a", "[]", more: "  \(field)\n"))
        let isRefused = result.model == nil && result.findings[0].line == 10
        #expect(isRefused, "\(field): \(result.findings.map(\.text))")
    }
}

@Test func findingsAboutLanes() {
    func loaded(_ text: String) -> LoadResult {
        loadText(sidecarProxy + auth + policy + text, now: 1_000_000)
    }
    #expect(
        loaded(lane("a", "[{service: aut, selector: {x: y}}]")).has(
            "FL0026", containing: "did you mean auth?"))
    #expect(loaded(lane("a", "[]") + lane("a", "[]", namespace: "x")).has("FL0024"))
    #expect(loaded(lane("a", "[]", more: "  expires: 1970-01-01T00:01:00Z\n")).has("FL0025"))
    let both =
        lane("a", "[{service: auth, selector: {version: v2}}]")
        + lane("b", "[{service: auth, selector: {app: auth}}]")
    #expect(loaded(both).has("FL0028", containing: "10.0.1.2:8080"))
}

// MARK: policy

@Test func policyDefaults() throws {
    let found = try #require(try modelOf(sidecarProxy + policy).policy)
    #expect(found.key == "x-feat-name")
    #expect(found.accept.query && found.accept.header && found.accept.cookie && found.accept.baggage)
    #expect(found.accept.tracestate && found.accept.traceID)
    #expect(
        !found.propagate.query && found.propagate.header && !found.propagate.cookie && found.propagate.baggage
    )
    #expect(found.pin == nil && found.previewHosts.isEmpty && !found.stripQuery && found.cache == .private)
    #expect(found.onLoss == .log && found.unknownLane == .forward && !found.guardStrip && found.traceSampled)
    #expect(found.signingSecret == nil && !found.signingRequired && found.knownByRoutes.isEmpty)
}

@Test func policyFields() throws {
    let text = policy.replacing(
        "spec: {}",
        with: """
            spec:
              key: X-Lane
              accept: {query: false, baggage: false, traceId: false}
              pin: {domain: .example.com, maxAge: 1h, secure: true, sameSite: None, httpOnly: false, path: /a}
              propagate: {baggage: false, tracestate: false}
              previewHosts: [{pattern: "{lane}.Preview.example.com", host: App.example.com}]
              stripQuery: true
              cache: none
              traceSampled: false
              onLoss: fail
              unknownLane: reject
              guard: strip
            """)
    let found = try #require(try modelOf(sidecarProxy + text).policy)
    #expect(found.key == "x-lane")
    #expect(!found.accept.query && found.accept.header && !found.accept.baggage && !found.accept.traceID)
    #expect(found.propagate.header && !found.propagate.baggage && !found.propagate.tracestate)
    let pin = try #require(found.pin)
    #expect(pin.domain == "example.com" && pin.maxAgeSeconds == 3_600 && pin.secure == .always)
    #expect(pin.sameSite == "None" && !pin.httpOnly && pin.path == "/a")
    #expect(found.previewHosts.map(\.prefix) == [""])
    #expect(found.previewHosts.map(\.suffix) == [".preview.example.com"])
    #expect(found.previewHosts.map(\.host) == ["app.example.com"])
    #expect(found.stripQuery && found.cache == .none && !found.traceSampled && found.onLoss == .fail)
    #expect(found.unknownLane == .reject && found.guardStrip)
}

@Test func refusedPolicies() {
    for spec in [
        "{key: 'a b'}", "{key: ''}", "{key: 'a&b'}", "{pin: {domain: 'a;b'}}", "{pin: {path: a}}",
        "{pin: {path: '/;x'}}", "{pin: {sameSite: none}}", "{pin: {sameSite: None, secure: false}}",
        "{pin: {maxAge: long}}", "{previewHosts: [{pattern: a.com, host: b.com}]}",
        "{previewHosts: [{pattern: '{lane}.{lane}.com', host: b.com}]}",
        "{previewHosts: [{pattern: '{lane}.com'}]}",
        "{cache: public}", "{guard: all}", "{unknownLane: drop}", "{onLoss: warn}",
        "{signing: {required: true}}",
        "{accept: {querry: true}}", "{stripQuery: maybe}", "{keyy: a}",
    ] {
        let result = loadText(sidecarProxy + policy.replacing("spec: {}", with: "spec: \(spec)"))
        let isRefused = result.model == nil && result.findings.contains { $0.line == 9 }
        #expect(isRefused, "\(spec): \(result.findings.map(\.text))")
    }
}

@Test func whichPolicyCounts() throws {
    func policies(_ places: (namespace: String, key: String, year: Int)...) -> LoadResult {
        var text = sidecarProxy
        for place in places {
            text +=
                "apiVersion: fairlead.dev/v1alpha1\nkind: LanePolicy\nmetadata: {name: \(place.key), "
                + "namespace: \(place.namespace), creationTimestamp: '\(place.year)-01-01T00:00:00Z'}\n"
                + "spec: {key: \(place.key)}\n---\n"
        }
        return loadText(text)
    }
    let own = policies(("istio-system", "a", 2020), ("shop", "b", 2024), ("shop", "c", 2023))
    #expect(own.model?.policy?.key == "c")
    #expect(own.has("FL0021", containing: "LanePolicy shop/b"))
    #expect(policies(("istio-system", "a", 2020), ("x", "b", 2019)).model?.policy?.key == "a")
    #expect(policies(("x", "b", 2019)).model?.policy?.key == "b")
    let none = policies(("x", "b", 2019), ("y", "c", 2019))
    #expect(none.model?.policy == nil && none.has("FL0021"))
}

@Test func lanesKnownByRoutes() throws {
    let text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: elsewhere}
        spec:
          hosts: [a]
          http:
          - match:
            - headers: {X-Feat-Name: {regex: '.*(one).*'}}
            - headers: {x-feat-name: {exact: two}}
            - headers: {cookie: {regex: '.*(x-feat-name=three).*'}}
            - queryParams: {x-feat-name: {exact: four}}
            - withoutHeaders: {x-feat-name: {exact: five}}
            - headers: {x-other: {exact: six}}
            - headers: {x-feat-name: {}}
            - headers: {x-feat-name: {exact: two}}
            route: [{destination: {host: a}}]
        ---

        """
    let known = try #require(try modelOf(sidecarProxy + policy + text).policy).knownByRoutes
    #expect(known == [.regex(".*(one).*"), .exact("two"), .exact("three"), .exact("four")])
}

// MARK: Proxy

@Test func proxyFields() throws {
    let text = """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          role: sidecar
          inbound: [{port: 15006, app: "127.0.0.1:8080", address: 127.0.0.2}]
          outbound: {address: "::1", port: 1234, capture: explicit}
          lane: auth-refactor
          outboundTrafficPolicy: REGISTRY_ONLY
          headers: {request: {set: {X-A: b}, add: {c: d}, remove: [E]}}
          pathNormalization: DECODE_AND_MERGE_SLASHES
          shadowHostSuffix: false
          http10: false
          compression: {types: [Text/HTML, application/*], minBytes: 7}
          timeouts: {requestHeader: 1s, requestBodyIdle: 2s, idle: 3s, streamIdle: 4s, upstreamIdle: 5s,
            connect: 6s, drain: 7s}
          limits: {headerBytes: 4096, headerCount: 20, connections: 30, requests: 40, memory: 50}
          trust: {hops: 2, cidrs: [10.0.0.0/8]}
          debug: {allow: []}
        """
    let model = try modelOf(text)
    let proxy = model.proxy
    #expect(
        proxy.name == "web" && proxy.namespace == "shop" && proxy.labels == ["app": "web"] && !proxy.isEdge)
    #expect(
        model.listeners.map { $0.address.text } == ["[::1]:1234", "127.0.0.2:15006"])
    #expect(proxy.memberOfLane == "auth-refactor" && !proxy.allowAnyOutbound)
    #expect(proxy.injected.set.map(\.name) == ["x-a"] && proxy.injected.remove == ["e"])
    #expect(proxy.pathNormalization == .decodeAndMergeSlashes && !proxy.shadowHostSuffix && !proxy.http10)
    #expect(proxy.compression?.types == ["Text/HTML", "application/*"] && proxy.compression?.minBytes == 7)
    let timeouts = [
        proxy.requestHeaderTimeoutMs, proxy.requestBodyIdleTimeoutMs, proxy.idleTimeoutMs,
        proxy.streamIdleTimeoutMs,
        proxy.upstreamIdleTimeoutMs, proxy.connectTimeoutMs, proxy.drainTimeoutMs,
    ]
    #expect(timeouts == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000])
    #expect(proxy.headerBytes == 4_096 && proxy.headerCount == 20 && proxy.connections == 30)
    #expect(proxy.requests == 40 && proxy.memoryBytes == 50 && proxy.trustedHops == 2)
    #expect(proxy.trustedCIDRs.count == 1 && proxy.debugCIDRs.isEmpty)
}

@Test func compressionIsOffUnlessGiven() throws {
    func proxy(_ spec: String) -> LoadResult {
        loadText(
            "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: a, namespace: shop}\n"
                + "spec:\n  role: sidecar\n  outbound: {}\n\(spec)")
    }
    #expect(try #require(proxy("").model).proxy.compression == nil)
    let defaults = try #require(proxy("  compression: {}\n").model?.proxy.compression)
    #expect(defaults.types.contains("text/html") && defaults.minBytes == 1_024)
    for (spec, problem) in [
        ("types: [html]", "no media type"), ("types: [text/html;q=1]", "no media type"),
        ("types: ['*/*']", "no media type"), ("types: [text/h*]", "no media type"),
        ("types: text/html", "must be a list"), ("minBytes: 0", "outside 1"), ("minBytes: x", "an integer"),
        ("level: 9", "unknown field"),
        ("types: [\((0...64).map { "a/b\($0)" }.joined(separator: ","))]", "more than 64"),
    ] {
        let result = proxy("  compression: {\(spec)}\n")
        let isTold = result.findings.contains { $0.line == 7 && $0.message.contains(problem) }
        #expect(result.model == nil && isTold, "\(spec) \(result.findings.map(\.text))")
    }
}

@Test func refusedProxies() {
    let valid = "{role: edge}"
    func result(_ spec: String) -> LoadResult {
        loadText("apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: a}\nspec: \(spec)\n")
    }
    #expect(result(valid).model != nil)
    for spec in [
        "{}", "{role: gateway}", "{role: sidecar, inbound: [{port: 1}]}",
        "{role: sidecar, inbound: [{app: '1.2.3.4:5'}]}",
        "{role: sidecar, inbound: [{port: 1, app: 'app:80'}]}", "{role: sidecar, outbound: {port: 70000}}",
        "{role: sidecar, outbound: {address: localhost}}", "{role: sidecar, lane: Not-A-Lane}",
        "{role: edge, timeouts: {idle: forever}}", "{role: edge, limits: {headerBytes: 1}}",
        "{role: edge, trust: {cidrs: [10.0.0.0/99]}}", "{role: edge, pathNormalization: base}",
        "{role: edge, rolle: edge}", "{role: edge, debug: {alow: []}}",
        "{role: sidecar, inbound: [{port: 1, app: '1.2.3.4:5'}, {port: 1, app: '1.2.3.4:6'}]}",
    ] {
        let found = result(spec)
        let isRefused = found.model == nil && found.findings.contains { $0.line == 4 && $0.refused }
        #expect(isRefused, "\(spec): \(found.findings.map(\.text))")
    }
    #expect(result("{role: edge, lane: a}").has("FL0011", line: 4))
    #expect(result("{role: sidecar, outbound: {capture: transparent}}").has("FL0011", line: 4))
}
