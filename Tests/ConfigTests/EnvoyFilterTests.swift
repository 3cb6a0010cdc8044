// EnvoyFilter: which Lua filters a listener gets, in what order, and findings for everything else.
import Base
import Lanes
import Testing

@testable import Config

private let luaType = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
private let harmless = "function envoy_on_request(h) end"

/// An EnvoyFilter whose patch holds `patch`; `head` is put between metadata and configPatches.
private func filter(
    _ name: String, namespace: String = "shop", created: String? = nil, spec: String = "",
    match: String = "{context: GATEWAY, \(router)}", operation: String = "INSERT_BEFORE",
    code: String = harmless, config: String = ""
) -> String {
    let time = created.map { ", creationTimestamp: \"\($0)\"" } ?? ""
    return """
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: \(name), namespace: \(namespace)\(time)}
        spec:
          \(spec)
          configPatches:
          - applyTo: HTTP_FILTER
            match: \(match)
            patch:
              operation: \(operation)
              value:
                name: \(name)
                typed_config:
                  "@type": \(luaType)
                  \(config)
                  inlineCode: "\(code)"
        ---

        """
}

private func next(to name: String) -> String {
    "listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, "
        + "subFilter: {name: \(name)}}}}"
}

private let router = next(to: "envoy.filters.http.router")

private func names(_ text: String, listener: String = "gateway/80", proxy: String? = nil) throws -> [String] {
    let model = try modelOf(text, proxy: proxy)
    return try #require(model.listeners.first { $0.name == listener }).scripts.map(\.name)
}

private func edge(_ filters: String...) -> String { edgeProxy + gateway + filters.joined() }

@Test func filtersStandInTheOrderOfTheirPatches() throws {
    let ordered = edge(
        filter("late", created: "2026-01-02T00:00:00Z"), filter("early", created: "2026-01-01T00:00:00Z"),
        filter("root", namespace: "istio-system", created: "2026-01-03T00:00:00Z"),
        filter("first", created: "2026-01-04T00:00:00Z", spec: "priority: -1"),
        filter("last", created: "2026-01-01T00:00:00Z", spec: "priority: 1"))
    #expect(try names(ordered) == ["first", "root", "early", "late", "last"])
}

@Test func whereAPatchPutsItsFilter() throws {
    let time = "2026-01-0"
    let all = edge(
        filter("a", created: "\(time)1T00:00:00Z"),
        filter("b", created: "\(time)2T00:00:00Z", operation: "INSERT_FIRST"),
        filter(
            "c", created: "\(time)3T00:00:00Z", match: "{\(next(to: "a"))}", operation: "INSERT_AFTER"),
        filter(
            "d", created: "\(time)4T00:00:00Z", match: "{\(next(to: "envoy.filters.http.cors"))}",
            operation: "INSERT_BEFORE"),
        filter("e", created: "\(time)5T00:00:00Z", match: "{context: GATEWAY}"))
    #expect(try names(all) == ["e", "b", "d", "a", "c"])
    let removed = filter(
        "x", created: "2026-02-01T00:00:00Z", match: "{\(next(to: "b"))}", operation: "REMOVE")
    #expect(try names(all + removed) == ["e", "d", "a", "c"])
    let replaced = filter(
        "y", created: "2026-02-01T00:00:00Z", match: "{\(next(to: "d"))}", operation: "REPLACE")
    #expect(try names(all + replaced) == ["e", "b", "y", "a", "c"])
}

@Test func whomAFilterIsFor() throws {
    #expect(try names(edge(filter("a", namespace: "elsewhere"))) == [])
    #expect(
        try names(edge(filter("a", spec: "workloadSelector: {labels: {istio: ingressgateway}}"))) == ["a"])
    #expect(try names(edge(filter("a", spec: "workloadSelector: {labels: {istio: other}}"))) == [])
    let port = "{context: GATEWAY, listener: {portNumber: "
    #expect(try names(edge(filter("a", match: port + "80}}"))) == ["a"])
    #expect(try names(edge(filter("a", match: port + "81}}"))) == [])
    let contexts = ["GATEWAY", "SIDECAR_OUTBOUND", "SIDECAR_INBOUND", "ANY"]
    let filters = contexts.map { filter($0.lowercased(), match: "{context: \($0)}") }.joined()
    #expect(try Set(names(edge() + filters)) == ["gateway", "any"])
    #expect(try Set(names(sidecarProxy + filters, listener: "outbound")) == ["sidecar_outbound", "any"])
    #expect(
        try Set(names(sidecarProxy + filters, listener: "inbound/15006")) == ["sidecar_inbound", "any"])
    // The port of the application, not ours.
    let inbound = "{context: SIDECAR_INBOUND, listener: {portNumber: 8080}}"
    #expect(try names(sidecarProxy + filter("a", match: inbound), listener: "inbound/15006") == ["a"])
    // An edge that nobody described has the labels its Gateways select.
    let selector = "workloadSelector: {labels: {istio: ingressgateway}}"
    #expect(try names(gateway + filter("a", spec: selector)) == ["a"])
}

@Test func formsOfTheCode() throws {
    func code(_ config: String) throws -> [String] {
        let text = filter("a").replacing("inlineCode: \"\(harmless)\"", with: config)
        return try modelOf(edge() + text).listeners[0].scripts.map(\.code)
    }
    #expect(try code("inline_code: \(harmless)") == [harmless])
    #expect(try code("defaultSourceCode: {inlineString: \"\(harmless)\"}") == [harmless])
    #expect(try code("default_source_code: {inline_string: \"\(harmless)\"}") == [harmless])
    #expect(try code("default_source_code: {inline_bytes: bG9jYWwgeCA9IDE=}") == ["local x = 1"])
    let typed = filter("a").replacing(luaType, with: "type.googleapis.com/udpa.type.v1.TypedStruct")
        .replacing("inlineCode:", with: "type_url: \(luaType)\n          value: {inlineCode:")
        .replacing("\(harmless)\"", with: "\(harmless)\"}")
    #expect(try modelOf(edge() + typed).listeners[0].scripts.map(\.code) == [harmless])
    let model = try modelOf(edge(filter("a", config: "clearRouteCache: false")))
    #expect(model.listeners[0].scripts.map(\.clearsRouteCache) == [false])
}

@Test func linesOfAScriptAreTheFiles() throws {
    let block = filter("a").replacing(
        "inlineCode: \"\(harmless)\"",
        with: "inlineCode: |\n            local a = 1\n            local b = = 2")
    let result = loadText(block)
    #expect(result.has("FL0071", line: 18))
    #expect(result.model == nil)
    let works = filter("a").replacing(
        "inlineCode: \"\(harmless)\"",
        with: "inlineCode: |\n            function envoy_on_request(h)\n            end")
    #expect(try modelOf(gateway + works).listeners[0].scripts.map(\.source.line) == [26])
}

@Test(arguments: [
    ("applyTo: HTTP_FILTER", "applyTo: CLUSTER", "FL0010", "CLUSTER"),
    (luaType, "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "FL0010", "RBAC"),
    (luaType, "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua", "IST0106", "v2"),
    ("typed_config:", "config:", "IST0106", "no type"),
    ("envoy.filters.http.router", "envoy.router", "FL0070", "envoy.filters.http.router"),
    ("envoy.filters.http.router", "envoy.filters.http.routr", "FL0070", "did you mean"),
    ("envoy.filters.network.http_connection_manager", "envoy.tcp_proxy", "FL0070", "envoy.tcp_proxy"),
    ("operation: INSERT_BEFORE", "operation: MERGE", "FL0070", "MERGE"),
    ("operation: INSERT_BEFORE", "operation: ADD", "FL0070", "behind the router"),
    ("operation: INSERT_BEFORE", "operation: BEFORE", "IST0106", "BEFORE"),
    ("context: GATEWAY", "context: GATEWAY, proxy: {proxyVersion: '^1.2'}", "FL0011", "proxyVersion"),
    ("context: GATEWAY", "context: GATEWAY, proxy: {metadata: {a: b}}", "FL0070", "metadata"),
    ("context: GATEWAY", "contxt: GATEWAY", "FL0005", "did you mean context"),
    ("{filterChain: {", "{filterChain: {sni: a.test, ", "FL0070", "sni"),
    (harmless, "x = 1", "FL0072", "neither"),
    (harmless, "error('no')", "FL0071", "no"),
    ("inlineCode:", "filename: x\n          inlineCod:", "FL0005", "inlineCode"),
])
func whatIsNotRunIsNamed(_ part: String, _ other: String, _ code: String, _ words: String) {
    let result = loadText(edge() + filter("a").replacing(part, with: other))
    #expect(result.has(code, containing: words), "\(result.findings.map(\.text))")
}

@Test(arguments: [
    ("HTTP_FILTER", "INSERT_BEFORE", "", "IST0151"), ("HTTP_FILTER", "INSERT_FIRST", "", nil),
    ("NETWORK_FILTER", "REMOVE", "", "IST0151"), ("HTTP_FILTER", "REPLACE", "", "IST0151"),
    ("CLUSTER", "INSERT_AFTER", "proxy: {proxyVersion: a}", "IST0155"), ("CLUSTER", "ADD", "", nil),
    ("CLUSTER", "REPLACE", "", "IST0152"), ("HTTP_ROUTE", "ADD", "", "IST0153"),
    ("ROUTE_CONFIGURATION", "REMOVE", "", "IST0154"), ("HTTP_ROUTE", "MERGE", "", nil),
])
func operationsAreJudgedAsIstioDoes(_ target: String, _ operation: String, _ match: String, _ code: String?) {
    let text = """
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: a, namespace: shop}
        spec:
          configPatches:
          - applyTo: \(target)
            match: {context: GATEWAY, \(match)}
            patch: {operation: \(operation), value: {name: x}}

        """
    func codes(_ text: String) -> [String] {
        loadText(edge() + text, purpose: .check).findings.map(\.code).filter { $0.hasPrefix("IST015") }
    }
    #expect(codes(text) == (code.map { [$0] } ?? []))
    let isRelative = code == "IST0151" || code == "IST0155"
    let ranked = text.replacing("spec:", with: "spec:\n  priority: 5")
    #expect(codes(ranked) == (isRelative ? [] : codes(text)))
}

@Test func filtersThatDisagreeAboutTheRouteAreNamed() {
    let both = edge(filter("a", config: "clearRouteCache: false"), filter("b"))
    #expect(loadText(both).has("FL0073"))
    #expect(!loadText(edge(filter("a", config: "clearRouteCache: false"))).has("FL0073"))
}

@Test func aScriptHasABound() {
    let long = String(repeating: "x = 1 ", count: Limits.scriptBytes / 6 + 1)
    let result = loadText(edge(filter("a", code: long)))
    #expect(result.has("IST0106", containing: "bytes") && result.model == nil)
}

// MARK: targets and calls

private let apiGateways = """
    apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: {name: inner, namespace: shop}
    spec:
      gatewayClassName: istio
      listeners: [{name: http, port: 81, protocol: HTTP}]
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: {name: outer, namespace: shop}
    spec:
      gatewayClassName: other
      listeners: [{name: http, port: 82, protocol: HTTP}, {name: more, port: 83, protocol: HTTP}]
    ---

    """

private func target(_ kind: String, _ name: String, group: String = "gateway.networking.k8s.io") -> String {
    "targetRefs: [{group: \"\(group)\", kind: \(kind), name: \(name)}]"
}

@Test(arguments: [
    (target("Gateway", "inner"), "shop", ["gateway/81"]),
    (target("Gateway", "outer"), "shop", ["gateway/82", "gateway/83"]),
    (target("Gateway", "nobody"), "shop", []), (target("Gateway", "inner"), "istio-system", []),
    (target("GatewayClass", "other"), "istio-system", ["gateway/82", "gateway/83"]),
    (target("GatewayClass", "other"), "shop", []), (target("Service", "web", group: ""), "shop", []),
    (target("Pod", "web", group: ""), "shop", []), ("targetRefs: []", "shop", []),
    ("", "shop", ["gateway/80", "gateway/81", "gateway/82", "gateway/83"]),
]) func targetsChooseListeners(_ spec: String, _ namespace: String, _ listeners: [String]) throws {
    let text = edge(apiGateways, filter("a", namespace: namespace, spec: spec))
    let chosen = try modelOf(text).listeners.filter { !$0.scripts.isEmpty }.map(\.name)
    #expect(chosen.sorted() == listeners)
}

@Test func targetsThatLeadNowhereAreNamed() {
    func result(_ spec: String, _ namespace: String = "shop") -> LoadResult {
        loadText(edge(apiGateways, filter("a", namespace: namespace, spec: spec)))
    }
    #expect(result(target("Gateway", "nobody")).has("IST0101", containing: "nobody"))
    #expect(result(target("Service", "nobody", group: "")).has("IST0101", containing: "nobody"))
    #expect(result(target("Pod", "web", group: "")).has("FL0070", containing: "Pod"))
    #expect(result(target("GatewayClass", "other")).has("FL0070", containing: "GatewayClass"))
    #expect(
        result("targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a, namespace: b}]")
            .has("FL0070"))
    let both = target("Gateway", "inner") + "\n  workloadSelector: {labels: {a: b}}"
    #expect(result(both).has("IST0106", containing: "exclude"))
    let shared = apiGateways.replacing("port: 83", with: "port: 81")
    let text = edge(shared, filter("a", spec: target("Gateway", "inner")))
    #expect(loadText(text).has("FL0070", containing: "shares a port"))
    #expect(!result(target("Gateway", "inner")).has("FL0070"))
}

@Test func aServiceAsTargetMeansItsPods() throws {
    let text = """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: proxy, namespace: shop, labels: {app: web}}
        spec: {role: sidecar, outbound: {port: 15001}, inbound: [{port: 15006, app: "127.0.0.1:8080"}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec: {selector: {app: web}, ports: [{port: 80, name: http}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: other, namespace: shop}
        spec: {selector: {app: other}, ports: [{port: 80, name: http}]}
        ---

        """
    func listeners(_ name: String) throws -> [String] {
        let made = filter(
            "a", spec: target("Service", name, group: ""), match: "{context: SIDECAR_INBOUND, \(router)}")
        return try modelOf(text + made).listeners.filter { !$0.scripts.isEmpty }.map(\.name)
    }
    #expect(try listeners("web") == ["inbound/15006"])
    #expect(try listeners("other") == [])
}

@Test func clustersThatScriptsNameAreThere() throws {
    let services = """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: auth, namespace: shop}
        spec:
          hosts: [auth.test, second.test]
          resolution: STATIC
          ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: tcp, protocol: TCP}]
          endpoints: [{address: 10.0.0.1}]
        ---

        """
    func clusters(_ code: String) throws -> [String] {
        try modelOf(edge(services, filter("a", code: code))).clusters.map(\.name).sorted()
    }
    let call = "function envoy_on_request(h) h:httpCall(NAME, {}, '', 1) end"
    func named(_ name: String) -> String { call.replacing("NAME", with: name) }
    #expect(try clusters(named("'outbound|80||auth.test'")) == ["outbound|80||auth.test"])
    let all = ["outbound|80||auth.test", "outbound|80||second.test"]
    #expect(try clusters(named("'outbound|80||' .. name")) == all)
    #expect(try clusters(named("cluster")) == all)
    #expect(try clusters("function envoy_on_request(h) end") == [])
    let missing = loadText(edge(services, filter("a", code: named("'outbound|80||nobody.test'"))))
    #expect(missing.has("IST0101", containing: "outbound|80||nobody.test"))
    #expect(missing.model != nil)
}
