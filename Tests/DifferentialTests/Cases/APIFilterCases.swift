// Sections 21.4 to 21.6: filters, backends and timeouts of the Gateway API's routes.

func apiFilterCases() throws -> [Case] {
    try headers() + redirects() + rewrites() + cors() + unknownFilters() + backends() + withoutBackend()
        + referenceGrants()
        + timeouts()
}

private func one(_ row: String, _ rules: String, _ asks: Ask...) throws -> Case {
    Case(row: row, setup: .api, site: Site(documents: try documents(yaml: apiRoute(rules))), asks: asks)
}

/// A rule with one filter, for one path.
private func filter(_ filter: String, path: String = "/", to backend: String = toV1) -> String {
    """
      - matches: [{path: {value: \(path)}}]
        filters: [\(filter)]
        \(backend)

    """
}

private func headers() throws -> [Case] {
    [
        try one(
            "21.4 RequestHeaderModifier: set, add, remove",
            filter(
                """
                {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}],
                add: [{name: x-add, value: more}], remove: [x-gone]}}
                """),
            Ask(
                "/", ["x-set: a", "x-set: b", "x-add: had", "X-Gone: 1"], "> x-set: new", "> x-add: had",
                "> x-add: more", "!> x-gone", "!> x-set: a", "!> x-set: b")),
        try one(
            "21.4 RequestHeaderModifier: of one name in any case the first counts",
            filter(
                """
                {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: "1"},
                {name: x-a, value: "2"}]}}
                """), Ask("/", "> x-a: 1", "!> x-a: 2")),
        try one(
            "21.4 ResponseHeaderModifier",
            filter(
                """
                {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-a, value: ours}],
                add: [{name: set-cookie, value: three=3}], remove: [x-up]}}
                """),
            Ask("/", "< x-a: ours", "!< x-a: from", "< set-cookie: up=1", "< set-cookie: three=3", "!< x-up:")
        ),
        try one(
            "21.4 header filters of a backend beside the rule's",
            filter(
                "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: rule}]}}",
                to: """
                    backendRefs:
                        - group: networking.istio.io
                          kind: Hostname
                          name: one.test
                          port: 80
                          filters:
                          - type: RequestHeaderModifier
                            requestHeaderModifier: {set: [{name: x-a, value: backend}, {name: x-b, value: b}]}
                    """), Ask("/", "> x-a: backend", "> x-b: b", "!> x-a: rule")),
        try one(
            "21.4 header filters of several backends: the rule's come last",
            filter(
                "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: rule}]}}",
                to: "backendRefs:"
                    + (1...2).map { weight in
                        """

                            - {group: networking.istio.io, kind: Hostname, name: one.test, port: 80,
                               weight: \(weight), filters: [{type: RequestHeaderModifier,
                               requestHeaderModifier: {set: [{name: x-a, value: backend},
                               {name: x-b, value: b}]}}]}
                        """
                    }.joined()), Ask("/", "> x-a: rule", "> x-b: b", "!> x-a: backend")),
    ]
}

private func redirect(_ fields: String, path: String = "/") -> String {
    "  - matches: [{path: {value: \(path)}}]\n"
        + "    filters: [{type: RequestRedirect, requestRedirect: {\(fields)}}]\n"
}

private func redirects() throws -> [Case] {
    [
        try one(
            "21.4 RequestRedirect: 302 unless said otherwise", redirect("hostname: other.test"),
            Ask("/a?b", "302", "< location: http://other.test/a?b", "!body")),
        try one(
            "21.4 RequestRedirect: statusCode",
            redirect("statusCode: 301", path: "/1") + redirect("statusCode: 307", path: "/7")
                + redirect("statusCode: 308, scheme: https", path: "/8"), Ask("/1", "301"), Ask("/7", "307"),
            Ask("/8", "308", "< location: https://$HOST/8")),
        try one(
            "21.4 RequestRedirect: without a port the scheme's, which is not written",
            redirect("scheme: https"), Ask("/", "< location: https://$HOST/"),
            Ask("/", "< location: https://$HOST/").with { $0.port = 8_080 }),
        try one(
            "21.4 RequestRedirect: without port and scheme the listener's", redirect("hostname: other.test"),
            Ask("/", "< location: http://other.test:8080/").with { $0.port = 8_080 },
            Ask("/", "< location: http://other.test/")),
        try one(
            "21.4 RequestRedirect: port", redirect("port: 81"), Ask("/", "< location: http://$HOST:81/")),
        try one(
            "21.4 RequestRedirect: a scheme's own port is not written",
            redirect("port: 443, scheme: https", path: "/s") + redirect("port: 80, scheme: http"),
            Ask("/s", "< location: https://$HOST/s"), Ask("/", "< location: http://$HOST/")),
        try one(
            "21.4 RequestRedirect: ReplaceFullPath keeps the query",
            redirect("path: {type: ReplaceFullPath, replaceFullPath: /new}"),
            Ask("/a/b?c=d", "< location: http://$HOST/new?c=d")),
        try one(
            "21.4 RequestRedirect: ReplacePrefixMatch",
            redirect("path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}", path: "/old"),
            Ask("/old/a?b", "< location: http://$HOST/new/a?b"), Ask("/old", "< location: http://$HOST/new")),
        try one(
            "21.4 RequestRedirect: ReplacePrefixMatch by / takes the prefix away",
            redirect("path: {type: ReplacePrefixMatch, replacePrefixMatch: /}", path: "/old"),
            Ask("/old/a", "< location: http://$HOST/a")
        ).differing("two slashes"),
    ]
}

private func rewrites() throws -> [Case] {
    func rewrite(_ fields: String, path: String = "/") -> String {
        filter("{type: URLRewrite, urlRewrite: {\(fields)}}", path: path)
    }
    func prefix(_ from: String, _ to: String) -> String {
        rewrite("path: {type: ReplacePrefixMatch, replacePrefixMatch: \"\(to)\"}", path: from)
    }
    func path(_ sent: String, _ upstream: String) -> Ask { Ask(sent, "> GET \(upstream) HTTP/1.1") }
    return [
        try one(
            "21.4 URLRewrite: hostname", rewrite("hostname: other.test"),
            Ask("/", "> host: other.test", "!> x-envoy-original-path")),
        try one(
            "21.4 URLRewrite: ReplaceFullPath keeps the query",
            rewrite("path: {type: ReplaceFullPath, replaceFullPath: /new}"),
            Ask("/a/b?c", "> GET /new?c HTTP/1.1", "> x-envoy-original-path: /a/b?c")),
        try one(
            "21.4 URLRewrite: ReplacePrefixMatch", prefix("/foo", "/xyz"), path("/foo/bar?q", "/xyz/bar?q"),
            path("/foo", "/xyz"), path("/foo/", "/xyz/")),
        try one(
            "21.4 URLRewrite: ReplacePrefixMatch, last slashes", prefix("/foo/", "/xyz/"),
            path("/foo/bar", "/xyz/bar"), path("/foo", "/xyz"), path("/foo/", "/xyz/")),
        try one(
            "21.4 URLRewrite: ReplacePrefixMatch by / or nothing",
            prefix("/foo", "/") + prefix("/x.y", ""), path("/foo/bar", "/bar"), path("/foo", "/"),
            path("/foo/", "/"), path("/x.y/bar?z", "/bar?z"), path("/x.y", "/")),
        try one(
            "21.4 URLRewrite: ReplacePrefixMatch of /", prefix("/", "/xyz"), path("/foo", "/xyz/foo")
        ).differing("/xyzfoo"),
    ]
}

private func cors() throws -> [Case] {
    func cors(_ fields: String) -> String { filter("{type: CORS, cors: {\(fields)}}") }
    func preflight(_ fields: [String], _ expected: String...) -> Ask {
        var ask = Ask("OPTIONS /", ["access-control-request-method: PUT"] + fields)
        ask.expected = expected
        return ask
    }
    let fine = "origin: http://o.test"
    return [
        try one(
            "21.4 CORS: requests", cors("allowOrigins: [\"http://o.test\"], exposeHeaders: [x-up, x-a]"),
            Ask(
                "/", [fine], "200 V1", "< access-control-allow-origin: http://o.test",
                "< access-control-expose-headers: x-up,x-a"),
            Ask("/", ["origin: http://p.test"], "200 V1", "!< access-control")),
        try one(
            "21.4 CORS: preflights, maxAge 5 seconds unless said otherwise",
            cors("allowOrigins: [\"http://o.test\"], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b]"),
            preflight(
                [fine], "200", "< access-control-allow-origin: http://o.test",
                "< access-control-allow-methods: GET,PUT", "< access-control-allow-headers: x-a,x-b",
                "< access-control-max-age: 5", "!< access-control-allow-credentials")),
        try one(
            "21.4 CORS: * of methods and headers is what was asked for",
            cors(
                "allowOrigins: [\"*\"], allowMethods: [\"*\"], allowHeaders: [\"*\"], maxAge: 60, "
                    + "allowCredentials: true"),
            preflight(
                [fine, "access-control-request-headers: x-q"], "200",
                "< access-control-allow-origin: http://o.test", "< access-control-allow-methods: PUT",
                "< access-control-allow-headers: x-q", "< access-control-max-age: 60",
                "< access-control-allow-credentials: true")),
        try one(
            "21.4 CORS: wildcards inside the host", cors("allowOrigins: [\"http://*.o.test\"]"),
            Ask("/", ["origin: http://a.b.o.test"], "< access-control-allow-origin: http://a.b.o.test"),
            Ask("/", ["origin: http://o.test"], "!< access-control")),
        try one(
            "21.4 CORS: preflights of other origins are answered without CORS fields",
            cors("allowOrigins: [\"http://p.test\"], allowMethods: [PUT]"),
            preflight([fine], "200", "!< access-control")
        ).differing("with the policy's other fields"),
    ]
}

private func unknownFilters() throws -> [Case] {
    [
        try one(
            "21.4 a filter that cannot be carried out: requests fail",
            filter("{type: ExtensionRef, extensionRef: {group: a.test, kind: B, name: c}}", path: "/x")
                + apiRule("other"), Ask("/x", "500"), Ask("/", "200 V1")
        ).differing("the whole route is not accepted: 404")
    ]
}

/// A rule for one path with these backends.
private func rule(_ path: String, _ backends: String) -> String {
    "  - matches: [{path: {value: \(path)}}]\n    backendRefs: \(backends)\n"
}

private func backends() throws -> [Case] {
    let invalid = "[{name: nobody-$ID, port: 80}]"
    return [
        try .documents(
            "21.5 a Service of the route's namespace, by its port", .api,
            kubernetesService("a") + kubernetesService("a", namespace: "team", echo: "$V2")
                + apiRoute(
                    rule("/", "[{name: a-$ID, port: 80}]") + rule("/p", "[{name: a-$ID, port: 81}]")),
            Ask("/", "200 V1"), Ask("/p", "500", "!body")),
        try one(
            "21.5 weights: one of weight 0 gets nothing",
            rule(
                "/",
                """
                [{group: networking.istio.io, kind: Hostname, name: one.test, port: 80, weight: 0},
                     {group: networking.istio.io, kind: Hostname, name: two.test, port: 8080}]
                """), Ask("/", "200 V2"), Ask("/", "200 V2")),
        try one(
            "21.5 no backend of any weight: 500",
            rule("/a", "[]") + rule("/b", "[{name: nobody-$ID, port: 80, weight: 0}]")
                + "  - matches: [{path: {value: /c}}]\n", Ask("/a", "500", "!body"),
            Ask("/b", "500", "!body"), Ask("/c", "500", "!body")),
        try one(
            "21.5 a backend that is not there, of an unknown kind: 500",
            rule("/", invalid) + rule("/k", "[{group: a.test, kind: Thing, name: b, port: 80}]"),
            Ask("/", "500", "!body"), Ask("/k", "500", "!body")),
        try one(
            "21.5 several that are not there: 500",
            rule("/", "[{name: n-$ID, port: 80}, {name: m-$ID, port: 80}]"),
            Ask("/", "500", "!body")),
        try .documents(
            "21.5 response header filters run on answers for want of a backend", .api,
            apiRoute(
                apiRule("said", "[{path: {value: /a}}]", to: "backendRefs: \(invalid)")
                    + apiRule("none", "[{path: {value: /b}}]", to: "backendRefs: []")),
            Ask("/a", "500", "< x-rule: said"), Ask("/b", "500", "< x-rule: none")),
        try .documents(
            "21.5 a Service without ready endpoints: 503", .api,
            kubernetesService("a", conditions: "{ready: false}")
                + apiRoute(rule("/", "[{name: a-$ID, port: 80}]")),
            Ask("/", "503", "body no healthy upstream")),
        try .documents(
            "21.5 DestinationRules of the service apply", .api,
            kubernetesService("a") + destinationRule("a-$ID.shop.svc.cluster.local", "v1")
                + apiRoute(rule("/", "[{name: a-$ID, port: 80}]")), Ask("/", "200 V1")),
    ]
}

private func withoutBackend() throws -> [Case] {
    [
        try one(
            "21.5 header filters of the rule and of the backend on the 500 of an invalid backend",
            """
              - filters:
                - type: RequestHeaderModifier
                  requestHeaderModifier: {set: [{name: x-a, value: changed}]}
                - type: ResponseHeaderModifier
                  responseHeaderModifier:
                    set: [{name: x-rule, value: "%REQ(x-a)%"}, {name: content-type, value: a/b}]
                    add: [{name: set-cookie, value: a=1}, {name: set-cookie2, value: b=2}]
                backendRefs:
                - name: nobody-$ID
                  port: 80
                  filters:
                  - type: ResponseHeaderModifier
                    responseHeaderModifier: {set: [{name: x-backend, value: b}], remove: [set-cookie2]}

            """,
            Ask(
                "/", ["x-a: sent"], "500", "!body", "< x-rule: sent", "< x-backend: b", "< set-cookie: a=1"),
            Ask(
                "POST /", ["content-type: application/grpc"], "status 200", "< grpc-status: 2",
                "< content-type: application/grpc", "< x-backend: b")),
        try one(
            "21.5 header filters of the rule on the 500 of several invalid backends",
            apiRule("said", to: "backendRefs: [{name: n-$ID, port: 80}, {name: m-$ID, port: 80}]"),
            Ask("/", "500", "!body", "< x-rule: said")),
        try one(
            "21.5 no backend: no CORS, no rewrite of its rule",
            """
              - filters:
                - type: CORS
                  cors: {allowOrigins: ["*"], allowMethods: [GET], exposeHeaders: [x-up]}
                - {type: URLRewrite, urlRewrite: {hostname: other.test}}

            """,
            Ask("OPTIONS /", ["origin: http://o.test", "access-control-request-method: GET"], "500"),
            Ask("/", ["origin: http://o.test"], "500", "!< access-control")),
    ]
}

private func referenceGrants() throws -> [Case] {
    // A namespace of each case's own: what is granted there is granted to all.
    let other = "n-$ID"
    let there = apiRoute(rule("/", "[{name: a-$ID, namespace: \(other), port: 80}]"))
    let service = kubernetesService("a", namespace: other)
    func grant(_ from: String, _ to: String, namespace: String = other) -> String {
        """
        ---
        apiVersion: gateway.networking.k8s.io/v1beta1
        kind: ReferenceGrant
        metadata: {name: g-$ID, namespace: \(namespace)}
        spec: {from: [{group: gateway.networking.k8s.io, \(from)}], to: [{group: "", \(to)}]}

        """
    }
    let routes = "kind: HTTPRoute, namespace: shop"
    return [
        try .documents(
            "21.5 another namespace without a ReferenceGrant: 500", .api, service + there, Ask("/", "500")),
        try .documents(
            "21.5 ReferenceGrant", .api, service + there + grant(routes, "kind: Service"),
            Ask("/", "200 V1")),
        try .documents(
            "21.5 ReferenceGrant: of one name", .api,
            service + there + grant(routes, "kind: Service, name: a-$ID"), Ask("/", "200 V1")),
        try .documents(
            "21.5 ReferenceGrant: of another name", .api,
            service + there + grant(routes, "kind: Service, name: b-$ID"), Ask("/", "500")),
        try .documents(
            "21.5 ReferenceGrant: for another kind, namespace, target", .api,
            service + there + grant("kind: GRPCRoute, namespace: shop", "kind: Service")
                + grant("kind: HTTPRoute, namespace: elsewhere", "kind: Service")
                + grant(routes, "kind: Secret") + grant(routes, "kind: Service", namespace: "shop"),
            Ask("/", "500")),
    ]
}

private func timeouts() throws -> [Case] {
    func rule(_ timeouts: String) -> String { apiRule("r", more: "timeouts: \(timeouts)") }
    return [
        try one(
            "21.6 timeouts.request is the overall timeout", rule("{request: 10s}"),
            Ask("/", "200 V1", "> x-envoy-expected-rq-timeout-ms: 10000")),
        try one(
            "21.6 timeouts.backendRequest without retry is the overall timeout",
            rule("{request: 10s, backendRequest: 2s}"), Ask("/", "> x-envoy-expected-rq-timeout-ms: 2000")),
        try one(
            "21.6 0s: none", rule("{request: 0s, backendRequest: 0s}"),
            Ask("/", "200 V1", "!> x-envoy-expected-rq-timeout-ms")),
    ]
}
