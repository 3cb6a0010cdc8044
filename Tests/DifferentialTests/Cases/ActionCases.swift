// Section 5: what is done with a request: destinations, redirects, direct answers, rewrites.

func actionCases() throws -> [Case] {
    try destinations() + redirects() + redirectParts() + directAnswers() + rewrites() + regexRewrites()
}

private let toOne = "route: [{destination: {host: one.test}}]"

private func destinations() throws -> [Case] {
    [
        try .edge(
            "5.1 one destination: its weight is ignored",
            "- route: [{destination: {host: app.test, subset: v2}, weight: 0}]", Ask("/", "200 V2")),
        try .edge(
            "5.1 several: those with weight 0 or none are dropped",
            """
            - route:
              - {destination: {host: app.test, subset: v1}, weight: 0}
              - {destination: {host: app.test, subset: v2}, weight: 7}
              - {destination: {host: app.test, subset: empty}}
            """, Ask("/", "200 V2"), Ask("/", "200 V2")),
        try .edge(
            "5.1 several: weights need not sum to 100",
            """
            - route:
              - {destination: {host: app.test, subset: v1}, weight: 1}
              - {destination: {host: app.test, subset: v1}, weight: 1000}
            """, Ask("/", "200 V1")),
        try .edge(
            "5.2 port: the one that is given",
            "- route: [{destination: {host: two.test, port: {number: 8080}}}]",
            Ask("/", "200 V2")),
        try .edge(
            "5.2 port: the single port of a service",
            "- route: [{destination: {host: app.test, subset: v1}}]", Ask("/", "200 V1")),
        try .edge(
            "5.2 port: else the one on which the request arrived",
            "- route: [{destination: {host: two.test}}]",
            Ask("/", "200 V1"), Ask("/", "200 V2").with { $0.port = 8_080 }),
        try .edge(
            "5.2 unknown host: 503", "- route: [{destination: {host: nowhere.test}}]",
            Ask("/", "503", "!body")),
        try .edge(
            "5.2 subset that is not defined: 503",
            "- route: [{destination: {host: app.test, subset: none}}]", Ask("/", "503", "!body")),
        try .edge(
            "5.2 port that the service has not: 503",
            "- route: [{destination: {host: app.test, subset: v1, port: {number: 9}}}]",
            Ask("/", "503", "!body")),
        try .edge(
            "5.2 subset without endpoints: 503, never the whole service",
            "- route: [{destination: {host: app.test, subset: empty}}]",
            Ask("/", "503", "body no healthy upstream")),
    ]
}

private func redirects() throws -> [Case] {
    [
        try .edge(
            "5.3 redirectCode: 301 unless said otherwise",
            "- {match: [{uri: {exact: /p}}], redirect: {uri: /x, redirectCode: 308}}\n- redirect: {uri: /x}",
            Ask("/", "301", "< location: http://$HOST/x", "!body"), Ask("/p", "308")),
        try .edge(
            "5.3 redirectCode: 302, 303, 307",
            [302, 303, 307].map {
                "- {match: [{uri: {exact: /\($0)}}], redirect: {uri: /, redirectCode: \($0)}}\n"
            }
            .joined(), Ask("/302", "302"), Ask("/303", "303"), Ask("/307", "307")),
        try .edge(
            "5.3 uri: the whole path, the request's query is kept", "- redirect: {uri: /new}",
            Ask("/a/b?x=1", "< location: http://$HOST/new?x=1")),
        try .edge(
            "5.3 uri: a query of its own", "- redirect: {uri: \"/new?y=2\"}",
            Ask("/a?x=1", "< location: http://$HOST/new?y=2")),
        try .edge(
            "5.3 uri: a slash is put before", "- redirect: {uri: new}",
            Ask("/a", "< location: http://$HOST/new")),
        try .edge(
            "5.3 uri: empty keeps the path", "- redirect: {authority: other.test}",
            Ask("/a/b?x=1", "< location: http://other.test/a/b?x=1")),
        try .edge(
            "5.3 prefixRewrite: the matched prefix alone",
            "- {match: [{uri: {prefix: /old}}], redirect: {prefixRewrite: /new}}",
            Ask("/old/a?x=1", "< location: http://$HOST/new/a?x=1")),
        try .edge(
            "5.3 authority: host and port", "- redirect: {authority: \"other.test:81\"}",
            Ask("/", host: "$HOST:80", "< location: http://other.test:81/")),
    ]
}

private func redirectParts() throws -> [Case] {
    [
        try .edge(
            "5.3 authority: empty keeps the request's, port included", "- redirect: {uri: /x}",
            Ask("/", host: "$HOST:8081", "< location: http://$HOST:8081/x")),
        try .edge(
            "5.3 scheme: another one takes off the old one's port", "- redirect: {scheme: https}",
            Ask("/", host: "$HOST:80", "< location: https://$HOST/"),
            Ask("/", host: "$HOST:8081", "< location: https://$HOST:8081/")),
        try .edge(
            "5.3 scheme: empty keeps the request's", "- redirect: {uri: /x}",
            Ask("/", "< location: http://$HOST/x")),
        try .edge(
            "5.3 port", "- redirect: {port: 8443, scheme: https}",
            Ask("/", "< location: https://$HOST:8443/")),
        try .edge(
            "5.3 derivePort FROM_PROTOCOL_DEFAULT: none",
            "- redirect: {derivePort: FROM_PROTOCOL_DEFAULT, scheme: https}",
            Ask("/", "< location: https://$HOST/")),
        try .edge(
            "5.3 derivePort FROM_REQUEST_PORT: the listener's",
            "- redirect: {derivePort: FROM_REQUEST_PORT, scheme: https}",
            Ask("/", "< location: https://$HOST:80/"),
            Ask("/", "< location: https://$HOST:8080/").with { $0.port = 8_080 }),
        try .edge(
            "5.3 port: 80 with http and 443 with https are never written",
            """
            - {match: [{uri: {prefix: /80}}], redirect: {port: 80}}
            - {match: [{uri: {prefix: /443}}], redirect: {port: 443, scheme: https}}
            """, Ask("/80", "< location: http://$HOST/80"), Ask("/443", "< location: https://$HOST/443")),
        try .edge(
            "5 redirect: headers act on it, other fields do not",
            """
            - redirect: {uri: /x}
              timeout: 5s
              headers: {response: {set: {x-new: "1"}}, request: {set: {x-a: "1"}}}
              corsPolicy: {allowOrigins: [{exact: "*"}]}
            """, Ask("/", ["origin: http://o.test"], "301", "< x-new: 1", "!< access-control")),
    ]
}

private func directAnswers() throws -> [Case] {
    [
        try .edge(
            "5.4 directResponse: status and text", "- directResponse: {status: 418, body: {string: short}}",
            Ask("/", "418", "body short", "< content-type: text/plain", "< content-length: 5")),
        try .edge(
            "5.4 directResponse: bytes", "- directResponse: {status: 200, body: {bytes: aGVsbG8=}}",
            Ask("/", "200", "body hello")),
        try .edge(
            "5.4 directResponse: no body, no content-type", "- directResponse: {status: 503}",
            Ask("/", "503", "!body", "!< content-type", "< content-length: 0")),
        try .edge(
            "5.4 directResponse: response header operations, content-type too",
            """
            - directResponse: {status: 200, body: {string: "{}"}}
              headers: {response: {set: {content-type: application/json}, add: {x-new: "1"}}}
            """, Ask("/", "< content-type: application/json", "< x-new: 1", "body {}")),
        try .edge(
            "5.4 directResponse: to HEAD without a body",
            "- directResponse: {status: 200, body: {string: x}}",
            Ask("HEAD /", "200", "!body")),
    ]
}

private func rewrites() throws -> [Case] {
    func prefix(_ match: String, _ uri: String) -> String {
        "- {match: [{uri: {prefix: \(match)}}], rewrite: {uri: \(uri)}, \(toOne)}\n"
    }
    return [
        try .edge(
            "5.5 uri after a prefix: exactly the matched bytes", prefix("/v1/", "/") + prefix("/v1", "/"),
            Ask("/v1/a?x=1", "> GET /a?x=1 HTTP/1.1", "> x-envoy-original-path: /v1/a?x=1"),
            Ask("/v1x", "> GET /x HTTP/1.1")),
        try .edge(
            "5.5 uri after a prefix: slashes on one side double", prefix("/v1", "/"),
            Ask("/v1/a", "> GET //a HTTP/1.1"), Ask("/v1", "> GET / HTTP/1.1")),
        try .edge(
            "5.5 uri without a uri condition: the matched prefix is /", "- {rewrite: {uri: /v2}, \(toOne)}",
            Ask("/a", "> GET /v2a HTTP/1.1"), Ask("/", "> GET /v2 HTTP/1.1")),
        try .edge(
            "5.5 uri after exact: the whole path",
            "- {match: [{uri: {exact: /a/b}}], rewrite: {uri: /new}, \(toOne)}",
            Ask("/a/b?x=1", "> GET /new?x=1 HTTP/1.1")),
        try .edge(
            "5.5 uri after regex: the whole path",
            "- {match: [{uri: {regex: \"/a/.*\"}}], rewrite: {uri: /new}, \(toOne)}",
            Ask("/a/b/c?x=1", "> GET /new?x=1 HTTP/1.1")),
        try .edge(
            "5.5 authority", "- {rewrite: {authority: \"other.test:81\"}, \(toOne)}",
            Ask("/", "> host: other.test:81", "!> x-forwarded-host", "!> x-envoy-original-path")),
        try .edge(
            "5.5 authority and uri together",
            "- {match: [{uri: {prefix: /a}}], rewrite: {uri: /b, authority: other.test}, \(toOne)}",
            Ask("/a/x", "> GET /b/x HTTP/1.1", "> host: other.test")),
        try .edge(
            "5.5 prefix with ignoreUriCase: as many bytes as matched",
            "- {match: [{uri: {prefix: /Abc}, ignoreUriCase: true}], rewrite: {uri: /x}, \(toOne)}",
            Ask("/aBC/d", "> GET /x/d HTTP/1.1")),
    ]
}

private func regexRewrites() throws -> [Case] {
    func regex(_ match: String, _ rewrite: String) -> String {
        "- {rewrite: {uriRegexRewrite: {match: \"\(match)\", rewrite: \"\(rewrite)\"}}, \(toOne)}"
    }
    return [
        try .edge(
            "5.5 uriRegexRewrite: every match that does not overlap", regex("a", "bb"),
            Ask("/aXa?a=a", "> GET /bbXbb?a=a HTTP/1.1", "> x-envoy-original-path: /aXa?a=a")),
        try .edge(
            "5.5 uriRegexRewrite: groups", regex("^/([^/]+)/(.*)$", "/\\\\2/\\\\1"),
            Ask("/one/two", "> GET /two/one HTTP/1.1")),
        try .edge(
            "5.5 uriRegexRewrite: \\0 is all of the match", regex("b+", "[\\\\0]"),
            Ask("/abba", "> GET /a[bb]a HTTP/1.1")),
        try .edge(
            "5.5 uriRegexRewrite: no match leaves the path", regex("zzz", "y"),
            Ask("/a", "> GET /a HTTP/1.1")),
    ]
}
