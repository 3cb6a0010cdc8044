// Fields of Gateway API documents: what filters come to, and what an API server would refuse.
import Testing

@testable import Config
@testable import Lanes

private let auth = service("auth", network: 1)

private func first(_ rule: String, port: Int = 80) throws -> RouteModel {
    let listener = API.http.replacing("80", with: "\(port)")
    let model = try modelOf(API.edge + API.gateway(listener) + API.route("r", rule) + auth)
    return try #require(model.host("*", in: "http.\(port)")?.routes.first)
}

private func filtered(_ filters: String, match: String = "{path: {value: /p}}", backends: Bool = true)
    throws -> RouteModel
{
    let to = backends ? ", backendRefs: [{name: auth, port: 8080}]" : ""
    return try first("{matches: [\(match)], filters: [\(filters)]\(to)}")
}

@Suite struct GatewayAPIFieldTests {
    @Test func headerModifiers() throws {
        let operations = """
            {set: [{name: B, value: '1'}, {name: A, value: 100%}, {name: b, value: never}], \
            add: [{name: C, value: '%REQ(x)%'}], remove: [D, d]}
            """
        let route = try filtered(
            "{type: RequestHeaderModifier, requestHeaderModifier: \(operations)}, "
                + "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [E]}}")
        #expect(route.requestHeaders.set.map(\.name) == ["a", "b"])
        #expect(route.requestHeaders.set.map(\.value) == ["100%%", "1"], "a lone percent sign is one")
        #expect(route.requestHeaders.add.map(\.value) == ["%REQ(x)%"])
        #expect(route.requestHeaders.remove == ["d", "d"] && route.responseHeaders.remove == ["e"])
        let host = try filtered(
            "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: h.test}]}}")
        #expect(host.rewrite?.authority == "h.test" && host.requestHeaders.isEmpty)
    }

    /// Scheme and port as written, code, host, and the port that the Location is made with.
    @Test(arguments: [
        ("{}", 80, 302, 80), ("{}", 8080, 302, 8080), ("{scheme: https}", 8080, 302, 443),
        ("{scheme: http}", 8080, 302, 80), ("{scheme: https, port: 8443}", 80, 302, 8443),
        ("{port: 81, statusCode: 301}", 80, 301, 81), ("{statusCode: 308}", 80, 308, 80),
    ])
    func redirects(_ redirect: String, _ listener: Int, _ code: Int, _ port: Int) throws {
        let route = try first(
            "{filters: [{type: RequestRedirect, requestRedirect: \(redirect)}]}", port: listener)
        #expect(route.redirect?.code == code && route.redirect?.port == port)
    }

    @Test func redirectsAndRewritesOfPaths() throws {
        func modifier(_ text: String, _ type: String, _ field: String) throws -> RouteModel {
            try filtered(
                "{type: \(type), \(field): {hostname: h.test, path: \(text)}}", backends: type == "URLRewrite"
            )
        }
        let full = "{type: ReplaceFullPath, replaceFullPath: /f}"
        let prefix = "{type: ReplacePrefixMatch, replacePrefixMatch: ''}"
        let redirect = try modifier(full, "RequestRedirect", "requestRedirect").redirect
        #expect(redirect?.uri == "/f" && redirect?.authority == "h.test")
        #expect(try modifier(prefix, "RequestRedirect", "requestRedirect").redirect?.prefixRewrite == "")
        let rewrite = try modifier(full, "URLRewrite", "urlRewrite").rewrite
        #expect(rewrite?.uri == "/f" && rewrite?.replacesPath == true && rewrite?.authority == "h.test")
        let other = try modifier(prefix, "URLRewrite", "urlRewrite").rewrite
        #expect(other?.uri == "" && other?.replacesPath == false)
    }

    @Test func cors() throws {
        let cors = """
            {allowOrigins: ['https://a.test', 'https://*.b.test:8443'], allowMethods: [GET], \
            allowHeaders: ['*'], exposeHeaders: [x-a], allowCredentials: true}
            """
        let model = try #require(try filtered("{type: CORS, cors: \(cors)}").cors)
        #expect(
            model.allowOrigins == [
                .exact("https://a.test"), .regex("https://[-A-Za-z0-9_.]+\\.b\\.test:8443"),
            ])
        #expect(model.maxAgeSeconds == 5 && model.answersUnmatched && model.allowCredentials)
        let star = try #require(
            try filtered("{type: CORS, cors: {allowOrigins: ['*'], maxAge: 60}}").cors)
        #expect(star.allowOrigins == [.present] && star.maxAgeSeconds == 60)
    }

    @Test(arguments: [
        ("{request: 10s}", 10_000), ("{request: 10s, backendRequest: 2s}", 2_000), ("{request: 0s}", 0),
        ("{backendRequest: 500ms}", 500), ("{request: 0s, backendRequest: 1s}", 1_000),
    ])
    func timeouts(_ timeouts: String, _ expected: UInt64) throws {
        let route = try first("{timeouts: \(timeouts), backendRefs: [{name: auth, port: 8080}]}")
        #expect(route.timeoutMs == expected)
    }

    /// Filters of the only backend act on the rule; among several only header modifiers can be told apart.
    @Test func filtersOfBackends() throws {
        func backend(_ filter: String, weight: Int = 1) -> String {
            "{name: auth, port: 8080, weight: \(weight), filters: [\(filter)]}"
        }
        let headers = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}"
        let rewrite = "{type: URLRewrite, urlRewrite: {hostname: h.test}}"
        let redirect = "{type: RequestRedirect, requestRedirect: {scheme: https}}"
        let one = try first("{backendRefs: [\(backend(headers))]}")
        #expect(one.targetModels[0].requestHeaders.set.map(\.value) == ["b"])
        #expect(try first("{backendRefs: [\(backend(rewrite))]}").rewrite?.authority == "h.test")
        #expect(try first("{backendRefs: [\(backend(redirect))]}").redirect?.scheme == "https")
        let text =
            API.edge + API.gateway(API.http) + auth
            + API.route("r", "{backendRefs: [\(backend(headers)), \(backend(rewrite, weight: 2))]}")
        let result = loadText(text)
        let targets = try #require(result.model?.host("*", in: "http.80")?.routes[0].targetModels)
        #expect(targets.map { $0.cluster != nil } == [true, false] && result.has("FL0011"))
    }

    /// A filter that cannot be carried out fails the requests; a mirror is left out.
    @Test(arguments: [
        ("{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}", false),
        ("{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 1}}}", false),
        ("{type: RequestMirror, requestMirror: {backendRef: {name: auth, port: 8080}}}", true),
    ])
    func unsupportedFilters(_ filter: String, _ forwards: Bool) throws {
        let rule = "{filters: [\(filter)], backendRefs: [{name: auth, port: 8080}]}"
        #expect(try first(rule).targetModels.map { $0.cluster != nil } == [forwards])
        let result = loadText(API.edge + API.gateway(API.http) + API.route("r", rule) + auth)
        #expect(result.has("FL0011", line: 21))
    }

    // MARK: what an API server refuses

    @Test(arguments: [
        "{matches: [{path: {type: Prefix, value: /a}}]}", "{matches: [{path: {value: a}}]}",
        "{matches: [{path: {value: /a//b}}]}", "{matches: [{path: {value: /a/../b}}]}",
        "{matches: [{path: {value: /a%2Fb}}]}", "{matches: [{path: {value: '/a#b'}}]}",
        "{matches: [{path: {value: /a/..}}]}", "{matches: [{path: {value: '/a b'}}]}",
        "{matches: [{path: {value: /a%zz}}]}",
        "{matches: [{path: {type: RegularExpression, value: '('}}]}", "{matches: [{method: get}]}",
        "{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}",
        "{matches: [{headers: [{name: 'a/', value: b}]}]}", "{matches: [{headers: [{name: a}]}]}",
        "{matches: [{queryParams: [{name: a, value: b}, {name: a, value: b}]}]}",
        "{matches: [{queryParams: [{name: a, type: Prefix, value: b}]}]}",
        "{backendRefs: [{name: a}]}", "{backendRefs: [{name: a, port: 70000}]}", "{backendRefs: [{port: 1}]}",
        "{backendRefs: [{name: a, port: 1, weight: -1}]}",
        "{filters: [{type: RequestHeaderModifier, requestRedirect: {port: 443}}]}",
        "{filters: [{requestRedirect: {port: 443}}]}", "{filters: [{type: Nonsense}]}",
        "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, a]}}]}",
        "{filters: [{type: RequestRedirect, requestRedirect: {hostname: '*.a.test'}}]}",
        "{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]}",
        "{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 1}]}",
        "{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}",
        "{filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]}",
        "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}}]}",
        "{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: "
            + "{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}",
        "{filters: [{type: CORS, cors: {allowOrigins: ['a.test']}}]}",
        "{filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.test']}}]}",
        "{timeouts: {request: 1s, backendRequest: 2s}}", "{timeouts: {request: soon}}", "{unknown: 1}",
    ])
    func refusedRules(_ rule: String) {
        let result = loadText(API.edge + API.gateway(API.http) + API.route("r", rule) + auth)
        #expect(result.model == nil, "\(rule)")
        #expect(
            result.findings.contains { $0.refused && $0.line >= 21 && $0.resource == "HTTPRoute shop/r" },
            "\(result.findings.map(\.text))")
    }

    @Test(arguments: [
        "{name: a>, port: 80, protocol: HTTP}", "{port: 80, protocol: HTTP}", "{name: a, protocol: HTTP}",
        "{name: a, port: 80}", "{name: a, port: 80, protocol: TCP, hostname: a.test}",
        "{name: a, port: 80, protocol: HTTP, hostname: 'http://a'}",
        "{name: a, port: 80, protocol: HTTP, hostname: A.test}",
        "{name: a, port: 80, protocol: TCP, tls: {certificateRefs: [{name: c}]}}",
        "{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}",
        "{name: a, port: 443, protocol: HTTPS, tls: {}}",
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}",
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Everywhere}}}",
    ])
    func refusedListeners(_ listener: String) {
        let result = loadText(API.edge + API.gateway(listener))
        #expect(result.model == nil && result.findings.contains { $0.refused && $0.line == 12 })
    }

    @Test func refusedTogether() {
        let twice = API.gateway(API.http, API.http.replacing("name: http", with: "name: other"))
        #expect(loadText(API.edge + twice).has("FL0006", line: 13, containing: "a second listener"))
        let named = API.gateway(API.http, API.http.replacing("80", with: "81"))
        #expect(loadText(API.edge + named).has("FL0006", line: 13, containing: "given twice"))
        let parents = API.route("r", parents: "[{name: public}, {name: public}]", API.rule())
        #expect(loadText(API.edge + API.gateway(API.http) + parents).has("FL0006", containing: "twice"))
        let grant = API.grant(in: "a", from: "b", to: "").replacing(", namespace: b}]", with: "}]")
        let result = loadText(grant)
        #expect(result.has("FL0006", containing: "namespace is missing"))
        #expect(result.has("FL0006", containing: "spec.to is missing"))
        let many = (0..<17).map { API.rule("/\($0)") }.joined(separator: "\n  - ")
        #expect(
            loadText(API.edge + API.gateway(API.http) + API.route("r", many)).has(
                "FL0006", containing: "17 rules"))
    }

    // MARK: findings

    @Test func classesAndProtocolsAndCertificates() {
        let text =
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: istio}\n"
            + "spec: {controllerName: istio.io/gateway-controller}\n---\n"
            + API.gateway(
                "{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}",
                "{name: b, port: 80, protocol: TCP}", "{name: c, port: 53, protocol: UDP}",
                "{name: d, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: s, namespace: away}]}}",
                className: "istoi")
        let result = loadText(API.edge + text, purpose: .check)
        #expect(result.has("IST0101", line: 15, containing: "did you mean istio?"))
        #expect(result.has("FL0060", line: 17, containing: "TCPRoute"))
        #expect(result.has("FL0030", line: 18) && result.has("FL0012", line: 19))
        #expect(result.has("FL0061", line: 20, containing: "ReferenceGrant in away from Gateway of shop"))
    }

    @Test func theSuggestionNamesWhatWasMeant() {
        let text = API.edge + API.gateway(API.http) + API.route("r", parents: "[{name: pubic}]", API.rule())
        #expect(loadText(text).has("IST0101", line: 18, containing: "did you mean public?"))
        let istio = API.edge + gateway + API.route("r", API.rule())
        #expect(loadText(istio).has("IST0101", containing: "networking.istio.io's"))
    }

    @Test func corsPolicyOfAVirtualService() throws {
        let text =
            sidecarProxy + auth + """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: vs, namespace: shop}
                spec:
                  hosts: [auth]
                  http:
                  - corsPolicy:
                      allowOrigins: [{exact: "*"}, {prefix: "http://"}]
                      allowMethods: [GET]
                      maxAge: 24h
                      allowCredentials: true
                      unmatchedPreflights: IGNORE
                    route: [{destination: {host: auth}}]
                """
        #expect(loadText(text).findings.map(\.text) == [])
        let route = try modelOf(text).host("auth.shop.svc.cluster.local", in: "8080")?.routes.first
        let cors = try #require(route?.cors)
        #expect(cors.allowOrigins == [.present, .prefix("http://")] && cors.maxAgeSeconds == 86_400)
        #expect(cors.allowCredentials && cors.answersUnmatched && cors.allowMethods == ["GET"])
        let bad = text.replacing("{exact: \"*\"}", with: "{regex: \"(\"}").replacing(
            "[GET]", with: "[\"G T\"]")
        #expect(loadText(bad).findings.filter(\.refused).count == 2)
    }
}
