// Section 11: corsPolicy.

func corsCases() throws -> [Case] {
    [
        try .edge(
            "11 preflight: answered by the proxy",
            entry(
                "allowOrigins: [{exact: http://o.test}], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], "
                    + "maxAge: 24h, allowCredentials: true, exposeHeaders: [x-up]"),
            preflight(
                "200", "< access-control-allow-origin: http://o.test",
                "< access-control-allow-methods: GET,PUT",
                "< access-control-allow-headers: x-a,x-b", "< access-control-max-age: 86400",
                "< access-control-allow-credentials: true", "< access-control-expose-headers: x-up")),
        try .edge(
            "11 preflight: a lone * echoes what was asked for",
            entry("allowOrigins: [{exact: \"*\"}], allowMethods: [\"*\"], allowHeaders: [\"*\"]"),
            preflight("200", "< access-control-allow-methods: PUT", "< access-control-allow-headers: x-q")),
        try .edge(
            "11 preflight: empty lists, no lines", entry("allowOrigins: [{exact: http://o.test}]"),
            preflight(
                "200", "!< access-control-allow-methods", "!< access-control-allow-headers",
                "!< access-control-max-age", "!< access-control-allow-credentials")),
        try .edge(
            "11 origins: exact, prefix, regex of the whole value",
            """
            \(entry("allowOrigins: [{exact: http://o.test}]", "/exact"))
            \(entry("allowOrigins: [{prefix: http://o}]", "/prefix"))
            \(entry("allowOrigins: [{regex: \"http://.*\"}]", "/regex"))
            """,
            Ask("/exact", ["origin: http://o.test"], "< access-control-allow-origin: http://o.test"),
            Ask("/exact", ["origin: http://o.test:81"], "!< access-control"),
            Ask("/prefix", ["origin: http://other.test"], "< access-control-allow-origin: http://other.test"),
            Ask("/regex", ["origin: xhttp://o.test"], "!< access-control")),
        try .edge(
            "11 actual request: origin, credentials and exposed headers on the answer",
            entry(
                "allowOrigins: [{exact: http://o.test}], allowCredentials: true, exposeHeaders: [x-up, x-a], "
                    + "allowMethods: [GET]"),
            Ask(
                "/", ["origin: http://o.test"], "200 V1", "< access-control-allow-origin: http://o.test",
                "< access-control-allow-credentials: true", "< access-control-expose-headers: x-up,x-a",
                "!< access-control-allow-methods")),
        try .edge(
            "11 another origin: forwarded, nothing added", entry("allowOrigins: [{exact: http://o.test}]"),
            Ask("/", ["origin: http://evil.test"], "200 V1", "!< access-control")),
        try .edge(
            "11 unmatchedPreflights FORWARD: goes upstream untouched",
            entry("allowOrigins: [{exact: http://x.test}], unmatchedPreflights: FORWARD"),
            preflight("200 V1", "!< access-control")),
        try .edge(
            "11 no Origin: nothing happens", entry("allowOrigins: [{exact: \"*\"}]"),
            Ask("OPTIONS /", ["access-control-request-method: PUT"], "200 V1", "!< access-control"),
            Ask("/", "200 V1", "!< access-control")),
        try .edge(
            "11 OPTIONS without a method asked for: an actual request",
            entry("allowOrigins: [{exact: \"*\"}]"),
            Ask(
                "OPTIONS /", ["origin: http://o.test"], "200 V1",
                "< access-control-allow-origin: http://o.test")),
    ]
}

private func entry(_ policy: String, _ prefix: String = "/") -> String {
    """
    - match: [{uri: {prefix: \(prefix)}}]
      corsPolicy: {\(policy)}
      route: [{destination: {host: one.test}}]
    """
}

private func preflight(_ expected: String...) -> Ask {
    var ask = Ask(
        "OPTIONS /",
        [
            "origin: http://o.test", "access-control-request-method: PUT",
            "access-control-request-headers: x-q",
        ])
    ask.expected = expected
    return ask
}
