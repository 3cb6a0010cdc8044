// Sections 22.3, 22.4, 23 and 29: how paths, authorities and targets are read, and the answers of failure.

func wireCases() throws -> [Case] {
    try normalization() + kinds() + targets() + requests() + failures() + calls()
        + connectionFields()
}

private let echo = "- route: [{destination: {host: one.test}}]"

private func path(_ sent: String, _ upstream: String) -> Ask { Ask(sent, "> GET \(upstream) HTTP/1.1") }

private func normalization() throws -> [Case] {
    [
        try .edge(
            "22.4 BASE: dot segments, above the root stays there", echo, path("/a/../b", "/b"),
            path("/a/./b", "/a/b"),
            path("/../../x", "/x"), path("/a/%2e%2E/b", "/b"), path("/a/..", "/"), path("/a/.", "/a/")),
        try .edge(
            "22.4 BASE: unreserved escapes are decoded, others stay as they are", echo,
            path("/%61%7e", "/a~"),
            path("/%2F%2f%5c", "/%2F%2f%5c"), path("/%c3%a9%C0", "/%c3%a9%C0"), path("/%41", "/A")),
        try .edge(
            "22.4 BASE: a backslash becomes a slash", echo, path("/a\\b", "/a/b"), path("/a\\..\\b", "/b")),
        try .edge(
            "22.4 BASE: double and last slashes stay", echo, path("//a//b/", "//a//b/"), path("/a/", "/a/")),
        try .edge(
            "22.4 BASE: the query is not touched", echo, path("/a?x=/../%61\\&&=", "/a?x=/../%61\\&&="),
            path("/a?", "/a?")),
        try .edge(
            "29 broken escapes go upstream unchanged", echo, path("/%zz", "/%zz"), path("/%2", "/%2"),
            path("/%", "/%")),
        try .edge("29 an escaped NUL: 400", echo, Ask("/%00", "400")),
        try .edge("29 letters keep their case", echo, path("/Ab/%C3", "/Ab/%C3")),
    ]
}

private func kinds() throws -> [Case] {
    func one(_ kind: String, _ row: String, _ asks: Ask...) throws -> Case {
        Case(
            row: row, setup: Setup(normalization: kind), site: Site(documents: [try virtualService(echo)]),
            asks: asks)
    }
    return [
        try one(
            "NONE", "22.4 NONE", path("/a/../b", "/a/../b"), path("/%61", "/%61"), path("/a\\b", "/a\\b"),
            path("//a", "//a")),
        try one(
            "MERGE_SLASHES", "22.4 MERGE_SLASHES", path("//a///b//", "/a/b/"), path("/a//../b", "/a/b"),
            path("/a%2F/b", "/a%2F/b"), path("/a?x=//", "/a?x=//")),
        try one(
            "DECODE_AND_MERGE_SLASHES", "22.4 DECODE_AND_MERGE_SLASHES", path("/a%2F%2fb", "/a/b"),
            path("/a%5Cb%5cc", "/a/b/c"), path("/a%2F..%2Fb", "/b"), path("/a?x=%2F", "/a?x=%2F")),
    ]
}

private func targets() throws -> [Case] {
    [
        try .edge(
            "22.3 absolute-form: its authority replaces Host", echo,
            Ask("http://$HOST/a?x", host: "other.test", "> GET /a?x HTTP/1.1", "> host: $HOST"),
            Ask("http://$HOST", "> GET / HTTP/1.1")),
        try .edge("29 GET *: 400", echo, Ask("GET *", "400")),
        try .edge("29 OPTIONS *: 404", echo, Ask("OPTIONS *", "404"))
            .differing("the connection ends"),
        try .edge("29 CONNECT without a route for it: 404", echo, Ask("CONNECT $HOST:80", "404")),
        try .edge(
            "23 a path that does not begin with a slash: 4xx", echo, Ask("a/b", "400")),
    ]
}

private func requests() throws -> [Case] {
    [
        try .edge("22.3 no Host: 400", echo, Ask("/", host: nil, "400")),
        try .edge("22.3 Host with characters that no host has: 400", echo, Ask("/", host: "a b", "400")),
        try .edge(
            "22.3 content-length and transfer-encoding: 400", echo,
            Ask("POST /", ["content-length: 1", "transfer-encoding: chunked"], "400")),
        try .edge(
            "22.3 content-length that differs: 400", echo,
            Ask("POST /", ["content-length: 1", "content-length: 2"], "400")),
        try .edge(
            "22.3 HTTP/1.0 off: 426", echo, Ask("/", "426", "!body").with { $0.version = "HTTP/1.0" }
        ).with { $0.setup.http10 = false }.differing("Envoy says Upgrade Required in a body"),
    ]
}

/// Everything to one host, asked once.
private func to(_ host: String) -> String {
    "- {retries: {attempts: 0}, route: [{destination: {host: \(host)}}]}"
}

private func failures() throws -> [Case] {
    [
        try .edge(
            "23 connect refused: 503", to("dead.test"),
            Ask(
                "/", "503", "< content-type: text/plain",
                "body upstream connect error or disconnect/reset before headers. reset reason: remote "
                    + "connection failure, transport failure reason: delayed connect error: "
                    + "Connection refused")
        ).differing("no reason of the transport"),
        try .edge(
            "23 upstream closed before its head: 503", to("shy.test"),
            Ask(
                "/", "503",
                "body upstream connect error or disconnect/reset before headers. "
                    + "reset reason: connection termination")),
        try .edge(
            "23 upstream speaks bad HTTP: 502", to("rude.test"),
            Ask(
                "/", "502",
                "body upstream connect error or disconnect/reset before headers. reset reason: protocol error"
            )),
        try .edge(
            "23 local answers: server, date, no upstream time",
            "- route: [{destination: {host: nowhere.test}}]",
            Ask("/", "503", "< date", "< server: istio-envoy", "!< x-envoy-upstream-service-time")),
        try .edge(
            "23 gRPC: 200 and grpc-status",
            """
            - match: [{uri: {prefix: /unknown}}]
              route: [{destination: {host: nowhere.test}}]
            - match: [{uri: {prefix: /empty}}]
              route: [{destination: {host: app.test, subset: empty}}]
            """,
            grpc("/none", "200", "< grpc-status: 12"), grpc("/unknown", "200", "< grpc-status: 14"),
            grpc("/empty", "200", "< grpc-status: 14", "< grpc-message: no healthy upstream")),
        try .edge(
            "23 HEAD: no body", to("app.test, subset: empty"), Ask("HEAD /", "503", "!body")),
    ]
}

private func calls() throws -> [Case] {
    [
        try .edge(
            "23 gRPC: a head alone, whatever a route makes of its type",
            """
            - match: [{uri: {prefix: /typed}}]
              headers: {response: {set: {content-type: text/html, content-length: "7", x-new: "1"}}}
              route: [{destination: {host: app.test, subset: empty}}]
            - match: [{uri: {prefix: /a}}]
              route: [{destination: {host: app.test, subset: empty}}]
            """,
            grpc(
                "/typed", "status 200", "< content-type: application/grpc", "< grpc-status: 14",
                "< grpc-message: no healthy upstream", "< x-new: 1", "!body"),
            grpc(
                "/a", "status 200", "< content-type: application/grpc", "< grpc-status: 14", "!body"),
            grpc(
                "/b", "status 200", "< content-type: application/grpc", "< grpc-status: 12", "!< grpc-message"
            ),
            Ask(
                "POST /a", ["content-type: application/grpc+proto"], "< content-type: application/grpc",
                "< grpc-status: 14"),
            Ask("POST /a", ["content-type: application/grpc-web"], "503", "!< grpc-status"),
            Ask("POST /a", ["content-type: application/grpcx"], "503", "!< grpc-status")),
        try .edge(
            "23 gRPC: to HEAD without a message", to("app.test, subset: empty"),
            Ask(
                "HEAD /", ["content-type: application/grpc"], "200", "< grpc-status: 14", "!< grpc-message")),
        try .edge(
            "23 gRPC: direct answers and redirects",
            """
            - match: [{uri: {prefix: /ok}}]
              directResponse: {status: 200, body: {string: "f\\u00fcr 100%\\n"}}
            - match: [{uri: {prefix: /gone}}]
              directResponse: {status: 204}
            - match: [{uri: {prefix: /busy}}]
              directResponse: {status: 429, body: {string: later}}
            - redirect: {authority: other.test}
            """, grpc("/ok", "status 200", "< grpc-status: 2", "< grpc-message: f%C3%BCr 100%25%0A", "!body"),
            grpc("/gone", "status 200", "< grpc-status: 2", "!< grpc-message"),
            grpc("/busy", "status 200", "< grpc-status: 14", "< grpc-message: later"),
            grpc("/x", "status 200", "< grpc-status: 2", "< location: http://other.test/x")),
    ]
}

private func grpc(_ path: String, _ expected: String...) -> Ask {
    var ask = Ask("POST \(path)", ["content-type: application/grpc", "te: trailers"])
    ask.expected = expected
    return ask
}

private func connectionFields() throws -> [Case] {
    [
        try .edge(
            "22.3 hop-by-hop fields are removed", echo,
            Ask(
                "/",
                [
                    "connection: x-a, keep-alive", "x-a: 1", "keep-alive: 5", "proxy-connection: x",
                    "te: gzip",
                ],
                "200 V1", "!> connection", "!> x-a", "!> keep-alive", "!> proxy-connection", "!> te:")),
        try .edge("22.3 te: trailers stays", echo, Ask("/", ["te: trailers"], "> te: trailers")),
        try .edge(
            "29 connection: cookie removes the cookie", echo,
            Ask("/", ["connection: cookie", "cookie: a=1"], "200 V1", "!> cookie")),
        try .edge("29 connection: :path is 400", echo, Ask("/", ["connection: :path"], "400")),
        try .edge(
            "29 another upgrade than websocket: 403", echo,
            Ask("/", ["connection: upgrade", "upgrade: other"], "403")),
        try .edge(
            "29 referer: removed with userinfo or fragment", echo,
            Ask("/", ["referer: http://u:p@x/"], "200 V1", "!> referer"),
            Ask("/", ["referer: http://x/#f"], "200 V1", "!> referer"),
            Ask("/", ["referer: http://x/a"], "> referer: http://x/a")),
    ]
}

extension Case {
    fileprivate func with(_ change: (inout Case) -> Void) -> Case {
        var copy = self
        change(&copy)
        return copy
    }
}
