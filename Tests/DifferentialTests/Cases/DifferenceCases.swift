// Rows of README.md's list of differences that no other case shows: what Fairlead does, and that Envoy, or
// Istio's translation, still does otherwise.

func differenceCases() throws -> [Case] {
    try lines() + answers() + redirects() + corsAnswers() + paths() + gateways() + mesh()
}

private let toOne = "route: [{destination: {host: one.test}}]"

private func lines() throws -> [Case] {
    [
        try .edge(
            "differs: a request without a body and without content-length", "- \(toOne)",
            Ask("POST /", "200 V1", "!> content-length")
        ).differing("adds a length", envoy: "> content-length: 0"),
        try .edge(
            "differs: repeated lines of a field with one value", "- \(toOne)",
            Ask("/", ["user-agent: a", "user-agent: b"], "> user-agent: a", "> user-agent: b")
        ).differing("joins them", envoy: "> user-agent: a,b"),
        try .edge(
            "differs: the reason of an answer of our own", "- {match: [{uri: {prefix: /a}}], \(toOne)}",
            Ask("/", "404", "< x-fairlead-reason: no-route")
        ).differing("says none", envoy: "404", "!< x-fairlead-"),
        try .edge(
            "differs: methods that are in no register", "- \(toOne)", Ask("get /", "200 V1"),
            Ask("BREW /", "200 V1")
        ).differing("knows them not", envoy: "400"),
    ]
}

private func answers() throws -> [Case] {
    let direct = "- directResponse: {status: 418, body: {string: short}}\n  headers: {response: {set: "
    return [
        try .edge(
            "differs: answers of our own without a body to HEAD", "- directResponse: {status: 418}",
            Ask("HEAD /", "418", "!body", "< content-length: 0", "!< transfer-encoding")
        ).differing("says chunked", envoy: "< transfer-encoding: chunked"),
        try .edge(
            "differs: directResponse 204 with a body", "- directResponse: {status: 204, body: {string: x}}",
            Ask("/", "204", "!body", "!< content-length")
        ).differing("states its length", envoy: "< content-length: 1"),
        try .edge(
            "differs: %RESPONSE_CODE% in answers of our own", "\(direct){x-new: \"%RESPONSE_CODE%\"}}}",
            Ask("/", "418", "< x-new: 418")
        ).differing("none as yet", envoy: "< x-new: 0"),
        try .edge(
            "differs: %REQ(:PATH)% in answers for want of endpoints",
            """
            - rewrite: {uri: /new, authority: new.test}
              headers: {response: {set: {x-new: "%REQ(:PATH)% %REQ(:AUTHORITY)%"}}}
              route: [{destination: {host: app.test, subset: empty}}]
            """, Ask("/a", "503", "< x-new: /a $HOST")
        ).differing("after the rewrite", envoy: "< x-new: /newa new.test"),
        try .edge(
            "differs: directResponse 201", "- directResponse: {status: 201}",
            Ask("/a", "201", "!< location")
        ).differing("with the request's own URL", envoy: "< location: http://$HOST/a"),
        try .edge(
            "differs: directResponse 302", "- directResponse: {status: 302}",
            Ask("/a", "302", "!< location")
        ).differing("with the request's own URL", envoy: "< location: http://$HOST/a"),
        try .edge(
            "differs: calls of HTTP/1.1 that are refused before they are routed", "- \(toOne)",
            Ask("POST /%00", ["content-type: application/grpc"], "400", "!< grpc-status")
        ).differing("in gRPC's words", envoy: "status 200", "< grpc-status: 13"),
    ]
}

private func redirects() throws -> [Case] {
    [
        try .edge(
            "differs: redirect with a port that is the scheme's own",
            "- redirect: {port: 443, scheme: https}",
            Ask("/", host: "$HOST:8443", "< location: https://$HOST/")
        ).differing("keeps the Host's", envoy: "< location: https://$HOST:8443/"),
        try .edge(
            "differs: redirect with a port, and an authority that has one too",
            "- redirect: {port: 81, authority: \"other.test:82\"}",
            Ask("/", "< location: http://other.test:81/")
        ).differing("writes both", envoy: "< location: http://other.test:82:81/"),
    ]
}

private func corsAnswers() throws -> [Case] {
    func policy(_ fields: String) -> String { "- corsPolicy: {\(fields)}\n  \(toOne)" }
    let preflight = ["origin: http://o.test", "access-control-request-method: PUT"]
    return [
        try .edge(
            "differs: preflights of other origins under unmatchedPreflights IGNORE",
            policy(
                "allowOrigins: [{exact: \"http://p.test\"}], allowMethods: [PUT], unmatchedPreflights: IGNORE"
            ), Ask("OPTIONS /", preflight, "200", "!< access-control")
        ).differing("with the policy's other fields", envoy: "200", "< access-control-allow-methods: PUT"),
        try .edge(
            "differs: allowHeaders * for a preflight that names none",
            policy("allowOrigins: [{exact: \"*\"}], allowHeaders: [\"*\"]"),
            Ask("OPTIONS /", preflight, "200", "!< access-control-allow-headers")
        ).differing("an empty line", envoy: "< access-control-allow-headers: "),
    ]
}

private func paths() throws -> [Case] {
    [
        try .edge(
            "differs: a path that a rewrite leaves without a slash at its start",
            "- {rewrite: {uriRegexRewrite: {match: \"^/a\", rewrite: b}}, \(toOne)}",
            Ask("/a/c", "> GET /b/c HTTP/1.1")
        ).differing("goes so", envoy: "> GET b/c HTTP/1.1"),
        try .edge(
            "differs: #fragment in a target", "- \(toOne)", Ask("/a#f", "> GET /a HTTP/1.1")
        ).differing("refused", envoy: "400"),
        Case(
            row: "differs: a path of slashes alone under MERGE_SLASHES",
            setup: Setup(normalization: "MERGE_SLASHES"),
            site: Site(documents: [try virtualService("- \(toOne)")]),
            asks: [Ask("//", "> GET / HTTP/1.1"), Ask("//a/..", "> GET / HTTP/1.1")]
        ).differing("stays", envoy: "> GET // HTTP/1.1"),
    ]
}

private func gateways() throws -> [Case] {
    [
        try .documents(
            "differs: httpsRedirect for a server host with a namespace",
            """
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: {name: gw-$ID, namespace: shop}
            spec:
              selector: {istio: edge}
              servers:
              - port: {number: 80, name: http, protocol: HTTP}
                hosts: [shop/$HOST]
                tls: {httpsRedirect: true}
            """, Ask("/", "301", "< location: https://$HOST/")
        ).differing("a host that nobody can ask for", envoy: "404")
    ]
}

private func mesh() throws -> [Case] {
    let strict = Setup.strictSidecar
    var byPort = Setup.strictSidecar
    byPort.namesByPort = true
    func inMesh(_ text: String, hosts: String) -> String {
        answering("vs", text, hosts: hosts, more: "gateways: [mesh]")
    }
    return [
        try .documents(
            "differs: an address that is unknown under ALLOW_ANY", .sidecar, "",
            Ask("/", host: "127.0.0.1:$V1", "200 V1")
        ).differing("where the captured connection went", envoy: "200 ABROAD"),
        try .documents(
            "differs: Host without a port for a service that has no port 80", strict,
            serviceEntry("s.$HOST", port: 8_080), Ask("/", host: "s.$HOST", "200 V1")
        ).differing("nobody's", envoy: "502"),
        try .documents(
            "differs: destination without a port, of a service with another one than the listener's", strict,
            serviceEntry("s.$HOST", name: "s")
                + serviceEntry("t.$HOST", name: "t", port: 8_080, echo: "$V2")
                    + """
                    ---
                    apiVersion: networking.istio.io/v1
                    kind: VirtualService
                    metadata: {name: $ID, namespace: shop}
                    spec: {hosts: [s.$HOST], http: [{route: [{destination: {host: t.$HOST}}]}]}
                    """, Ask("/", host: "s.$HOST", "200 V2")
        ).differing("looks among the listener's services", envoy: "503"),
        try .documents(
            "differs: a host in the mesh that is a service's on another port", byPort,
            serviceEntry("s.$HOST", port: 8_080) + serviceEntry("t.$HOST", name: "t")
                + inMesh("vs", hosts: "[s.$HOST, t.$HOST]"), Ask("/", host: "t.$HOST:8080", "502")
        ).differing("nobody's name there", envoy: "body vs"),
        try .documents(
            "differs: a wildcard in the mesh narrower than a wildcard service", strict,
            serviceEntry("*.w.$HOST") + inMesh("vs", hosts: "[\"*.a.w.$HOST\"]"),
            Ask("/", host: "x.a.w.$HOST", "body vs")
        ).differing("is ignored", envoy: "200 V1"),
    ]
}
