// One test for each trap of the published pattern, by its number: what native lanes do instead, and that the
// raw documents mean what Istio makes of them and are told about.
import TestSupport
import Testing

@Suite struct TrapTests {
    private let native: NativeEdge
    private let raw: RawEdge
    private let sidecar: PatternSidecar

    init() throws {
        native = try NativeEdge.shared.get()
        raw = try RawEdge.shared.get()
        sidecar = try PatternSidecar.shared.get()
    }

    /// The seeds' EnvoyFilter with a script of its own.
    private func envoyFilter(_ context: String, _ script: String) -> String {
        let lines = script.split(separator: "\n").map { "          " + $0 }.joined(separator: "\n")
        return """
            apiVersion: networking.istio.io/v1alpha3
            kind: EnvoyFilter
            metadata: {name: lua, namespace: shop}
            spec:
              configPatches:
              - applyTo: HTTP_FILTER
                match:
                  context: \(context)
                  listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager,
                    subFilter: {name: envoy.filters.http.router}}}}
                patch:
                  operation: INSERT_BEFORE
                  value:
                    name: envoy.lua
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                      inlineCode: |
            \(lines.replacing("          ", with: "            "))
            """
    }

    @Test func trap01_egressRequestCarriesTheLane() throws {
        let answer = try sidecar.get("session.test")
        #expect(try answer.seen("x-feat-name") == ["auth-refactor"])
        #expect(answer.response.value("x-feat-name") == nil)

        let lua = """
            function envoy_on_response(response_handle)
              response_handle:headers():add("x-feat-name", "auth-refactor")
            end
            """
        let found = try check(Documents.join([Documents.edge(), envoyFilter("SIDECAR_OUTBOUND", lua)]))
        #expect(found.lines.coded("FL0101").count == 1, "\(found)")
    }

    @Test func trap02_everyoneElseReachesStable() throws {
        let answer = try native.get("/")
        #expect(answer.status == 200 && answer.upstream == "stable" && answer.reason == nil, "\(answer)")
        #expect(try native.get("/", ["x-feat-name: nobody-made-this"]).upstream == "stable")

        let everyone = try raw.get()
        #expect(everyone.status == 404 && everyone.upstream == nil, "\(everyone)")
        #expect(everyone.reason == "no-route")
        #expect(try raw.get(["x-feat-name: auth-refactor"]).upstream == "auth-refactor")
        let found = try check(readText(raw.site.path))
        #expect(!found.lines.coded("FL0102").isEmpty, "\(found)")
    }

    @Test func trap03_severalFeaturesOnOneService() throws {
        #expect(try native.get("/", ["x-feat-name: auth-refactor"]).upstream == "auth-refactor")
        #expect(try native.get("/", ["x-feat-name: auth-refactor-2"]).upstream == "auth-refactor-2")

        // Sidecars: the older owns the host; what only the newer knows is nobody's, and its longer name falls
        // to the older's pattern. Gateways merge, the older first.
        #expect(try sidecar.get(RawEdge.host, ["x-feat-name: auth-refactor"]).upstream == "auth-refactor")
        #expect(try sidecar.get(RawEdge.host, ["x-feat-name: auth-refactor-2"]).upstream == "auth-refactor")
        let found = try check(readText(sidecar.site.path))
        #expect(found.lines.coded("IST0109").count == 1, "\(found)")
        #expect(try raw.get(["Cookie: x-feat-name=auth-refactor"]).upstream == "auth-refactor")
        #expect(try raw.get(["x-feat-name: auth-refactor-2"]).upstream == "auth-refactor")
    }

    @Test func trap04_firstDefinitionOfASubsetWins() throws {
        for _ in 0..<4 {
            #expect(try raw.get(host: "twice.test").upstream == "stable")
        }
        let found = try check(readText(raw.site.path))
        #expect(found.lines.coded("FL0104").contains { $0.contains("twice") }, "\(found)")
        // Native: both lanes name the same service, and neither takes the other's members.
        #expect(try native.get("/", ["Cookie: x-feat-name=auth-refactor"]).upstream == "auth-refactor")
        #expect(try native.get("/", ["Cookie: x-feat-name=auth-refactor-2"]).upstream == "auth-refactor-2")
    }

    @Test func trap05_wholeNamesOfLanes() throws {
        let zx = try native.get("/", ["Cookie: zx-feat-name=auth-refactor"])
        #expect(zx.upstream == "stable")
        #expect(try zx.seen("cookie") == ["zx-feat-name=auth-refactor"])
        #expect(try native.get("/", ["x-feat-name: auth-refactor-22"]).upstream == "stable")
        #expect(try native.get("/", ["x-feat-name: my-auth-refactor"]).upstream == "stable")

        // RE2 over the whole value, as written.
        #expect(try raw.get(["x-feat-name: my-auth-refactor-x"]).upstream == "auth-refactor")
        #expect(try raw.get(["Cookie: zx-feat-name=auth-refactor"]).upstream == "auth-refactor")
        let found = try check(readText(raw.site.path))
        let collisions = found.lines.coded("FL0105")
        #expect(collisions.contains { $0.contains("auth-refactor-2") }, "\(found)")
    }

    @Test func trap06_theEdgePins() throws {
        #expect(try native.get("/?x-feat-name=auth-refactor").cookies.count == 1)
        // A service's sidecar never does.
        #expect(try sidecar.get("session.test", ["x-feat-name: other"]).cookies.isEmpty)
        let found = try check(readText(sidecar.site.path))
        #expect(!found.lines.coded("FL0106").isEmpty, "\(found)")
    }

    @Test func trap07_secondVisitByCookieAlone() throws {
        let second = try native.get("/", ["Cookie: a=b; x-feat-name=auth-refactor"])
        #expect(second.upstream == "auth-refactor")
        #expect(try second.seen("x-feat-name") == ["auth-refactor"])
        #expect(try second.seen("baggage") == ["x-feat-name=auth-refactor"])

        let lua = """
            function envoy_on_request(handle)
              local path = handle:headers():get(":path") or ""
              local feat = path:match("[?&]x%-feat%-name=([^&]+)")
              if feat then handle:headers():replace("x-feat-name", feat) end
            end
            """
        let found = try check(Documents.join([Documents.edge(), envoyFilter("GATEWAY", lua)]))
        #expect(found.lines.coded("FL0107").count == 1, "\(found)")
        #expect(found.lines.coded("FL0109").count == 1, "\(found)")
    }

    @Test func trap08_safeCookieAttributes() throws {
        let cookie = try native.get("/?x-feat-name=auth-refactor").cookies.first ?? ""
        let parts = cookie.split(separator: ";").map { String($0.trimmingPrefix(" ")) }
        #expect(parts.first == "x-feat-name=auth-refactor")
        for attribute in ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Lax", "Domain=digillect.ca"] {
            #expect(parts.contains(attribute), "\(attribute) in \(cookie)")
        }
        #expect(!parts.contains("Secure"), "over plain HTTP a browser would drop it: \(cookie)")
        let found = try check(readText(raw.site.path))
        #expect(found.lines.coded("FL0108").contains { $0.contains("SameSite, Secure, Max-Age") }, "\(found)")
    }

    @Test func trap09_theQueryIsParsed() throws {
        let encoded = try native.get("/?x-feat-name=auth%2Drefactor")
        #expect(encoded.upstream == "auth-refactor")
        #expect(try encoded.seen.target == "/?x-feat-name=auth%2Drefactor")
        let inside = try native.get("/?next=/a?x-feat-name=auth-refactor")
        #expect(inside.upstream == "stable" && inside.cookies.isEmpty)
        #expect(try native.get("/?u=http://h/%3Fx-feat-name=auth-refactor").upstream == "stable")
    }

    @Test(arguments: [
        "auth-refactor%0d%0aset-cookie:%20a=b", "%22%3E%3Cscript%3E", "Auth-Refactor", "auth_refactor",
        "-auth", "auth-", "a%00b", "auth.refactor", "%e2%80%8bauth", "auth%20refactor",
        String(repeating: "a", count: 64), String(repeating: "a", count: 4_000),
    ])
    func trap10_onlyLaneNamesAreUsed(_ value: String) throws {
        let before = try native.site.metric("fairlead_lane_lost_total", "reason=\"invalid\"")
        let answer = try native.get("/?x-feat-name=\(value)")
        #expect(answer.upstream == "stable" && answer.cookies.isEmpty)
        #expect(answer.reason == "lane-invalid")
        #expect(try answer.seen("x-feat-name") == [] && answer.seen("baggage") == [])
        let fields = answer.response.fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
        #expect(!fields.contains("script") && !fields.lowercased().contains("auth"), "\(answer)")
        try native.site.waitForMetric("fairlead_lane_lost_total", "reason=\"invalid\"", atLeast: before + 1)
    }

    @Test func trap11_eachCauseHasItsName() throws {
        func expect(_ answer: LaneAnswer, _ status: Int, _ upstream: String?, _ reason: String?) {
            #expect(answer.status == status && answer.upstream == upstream, "\(answer)")
            #expect(answer.reason == reason, "\(answer)")
        }
        let lane = "x-feat-name"
        expect(try native.get("/", ["\(lane): auth-refactor"]), 200, "auth-refactor", nil)
        expect(try native.get("/", ["\(lane): nobody-falls-back"]), 200, "stable", "lane-empty")
        expect(try native.get("/", ["\(lane): nobody-fails"]), 503, nil, "lane-empty")
        expect(try native.get("/", ["\(lane): gone"]), 200, "stable", "lane-unreachable")
        expect(try native.get("/", ["\(lane): gone-strict"]), 503, nil, "lane-unreachable")
        expect(try native.get("/", ["\(lane): not-a-lane"]), 200, "stable", "lane-unknown")
        let site = native.site
        expect(try site.get("/", host: "unknown-subset.test"), 503, nil, "no-cluster")
        expect(try site.get("/", host: "no-pods.test"), 503, nil, "no-healthy-upstream")
        expect(try site.get("/", host: "nobody.test"), 404, nil, "no-route")
        for (flag, status) in [("NC", 503), ("UH", 503), ("UF", 503), ("NR", 404)] {
            try site.waitForMetric(
                "istio_requests_total", "response_code=\"\(status)\"", atLeast: 1)
            try waitUntil("flag \(flag)") {
                try site.metric("istio_requests_total", "response_flags=\"\(flag)\"") >= 1
            }
        }
        // Raw: labels that drifted are 503 UH, an undefined subset 503 NC, and neither falls to stable.
        expect(try raw.get(host: "no-pods.test"), 503, nil, "no-healthy-upstream")
        expect(try raw.get(host: "unknown-subset.test"), 503, nil, "no-cluster")
    }

    @Test func trap12_stableIsTheRest() throws {
        let pods = try PodEdge.shared.get()
        for _ in 0..<6 { #expect(try pods.site.get("/", host: "auth.test").upstream == "stable") }
        for _ in 0..<3 {
            let answer = try pods.site.get("/", host: "auth.test", ["x-feat-name: auth-refactor"])
            #expect(answer.upstream == "auth-refactor")
        }
        // Raw: the service's selector takes the feature pods in, and so does a fallback to the whole service.
        var seen: Set<String> = []
        for _ in 0..<40 { seen.insert(try raw.get(host: "whole.test").upstream ?? "") }
        #expect(seen.contains("auth-refactor") && seen.contains("stable"), "\(seen)")
        let found = try check(readText(raw.site.path))
        #expect(!found.lines.coded("FL0112").isEmpty, "\(found)")
    }
}

/// A Kubernetes Service whose selector takes in a lane's pod, as in the pattern.
private struct PodEdge: Sendable {
    let site: LaneSite
    private let upstreams: [EchoUpstream]
    static let shared = Result { try PodEdge() }

    init() throws {
        let stable = try puppet("stable")
        let feature = try puppet("auth-refactor")
        upstreams = [stable, feature]
        var documents = [
            Documents.edge(), Documents.policy(),
            Documents.virtualService("auth.test", "- route: [{destination: {host: auth-svc}}]"),
            """
            apiVersion: v1
            kind: Service
            metadata: {name: auth-svc, namespace: shop}
            spec:
              selector: {app: auth}
              ports: [{name: http, port: 8080, targetPort: web}]
            """,
            Documents.lane(
                "auth-refactor", "members:\n- {service: auth-svc, selector: {version: auth-refactor}}"),
        ]
        for upstream in upstreams { documents += Self.pod(upstream.name, upstream.port) }
        site = try LaneSite(Documents.join(documents))
    }

    private static func pod(_ version: String, _ port: UInt16) -> [String] {
        [
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: \(version), namespace: shop, labels: {app: auth, version: \(version)}}
            spec: {containers: [{name: app, ports: [{name: web, containerPort: \(port)}]}]}
            status: {phase: Running, podIP: 127.0.0.1}
            """,
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: \(version), namespace: shop, labels: {kubernetes.io/service-name: auth-svc}}
            addressType: IPv4
            ports: [{name: http, port: \(port), protocol: TCP}]
            endpoints:
            - addresses: ["127.0.0.1"]
              conditions: {ready: true}
              targetRef: {kind: Pod, name: \(version), namespace: shop}
            """,
        ]
    }
}

/// A file as text; empty when it cannot be read.
func readText(_ path: String) -> String { readFile(path).map { String(decoding: $0, as: UTF8.self) } ?? "" }
