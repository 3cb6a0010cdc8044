// Section 4: routes and what their conditions mean.

func matchCases() throws -> [Case] {
    try order() + paths() + requestParts() + headers() + headerAbsence() + queries() + selectors()
        + repeatedLines()
}

/// An entry that answers 200 with a text.
private func says(_ text: String, _ match: String) -> String {
    "- {match: \(match), directResponse: {status: 200, body: {string: \(text)}}}\n"
}

private let other = "- {directResponse: {status: 200, body: {string: other}}}\n"

private func order() throws -> [Case] {
    [
        try .edge(
            "4 http[]: top-down, the first that matches",
            says("a", "[{uri: {prefix: /a}}]")
                + says("b", "[{uri: {prefix: /a/b}}]") + other,
            Ask("/a/b", "body a"), Ask("/b", "body other")),
        try .edge(
            "4 match[]: OR between elements, AND within one",
            says("x", "[{uri: {exact: /x}, method: {exact: PUT}}, {uri: {exact: /y}}]") + other,
            Ask("/x", "body other"), Ask("PUT /x", "body x"), Ask("/y", "body x")),
        try .edge(
            "4 an entry without match ends the list",
            other + says("late", "[{uri: {exact: /late}}]"), Ask("/late", "body other")),
        try .edge(
            "4 a match of just the prefix / ends the list",
            says("all", "[{uri: {prefix: /}}]") + says("late", "[{uri: {exact: /late}}]"),
            Ask("/late", "body all")),
        try .edge(
            "4 a match of just the regex .* ends the list",
            says("all", "[{uri: {regex: \".*\"}}]") + says("late", "[{uri: {exact: /late}}]"),
            Ask("/late", "body all")),
        try .edge(
            "4 nothing matches: 404", says("a", "[{uri: {exact: /a}}]"), Ask("/b", "404", "!body")),
        try .edge(
            "4 an empty match element matches everything",
            says("a", "[{uri: {exact: /a}}, {}]"), Ask("/a", "body a"), Ask("/b", "body a")),
    ]
}

private func paths() throws -> [Case] {
    [
        try .edge(
            "4.1 uri exact: the path without its query", says("a", "[{uri: {exact: /a}}]") + other,
            Ask("/a", "body a"), Ask("/a?x=1", "body a"), Ask("/a?", "body a"), Ask("/a/", "body other"),
            Ask("/A", "body other")),
        try .edge(
            "4.1 uri prefix: one of text, not of segments", says("api", "[{uri: {prefix: /api}}]") + other,
            Ask("/apix", "body api"), Ask("/api/v1?x", "body api"), Ask("/ap", "body other")),
        try .edge(
            "4.1 uri prefix: may be empty", says("all", "[{uri: {prefix: \"\"}}]"), Ask("/x", "body all")),
        try .edge(
            "4.1 uri regex: of the whole path, without the query",
            says("v", "[{uri: {regex: \"/v[0-9]+\"}}]") + other,
            Ask("/v12", "body v"), Ask("/v12?x=1", "body v"), Ask("/v12/x", "body other"),
            Ask("/a/v12", "body other")),
        try .edge(
            "4.1 uri: compared after normalisation, escapes kept",
            says("a", "[{uri: {exact: /a/b}}]") + says("slash", "[{uri: {exact: /a%2Fb}}]") + other,
            Ask("/x/../a/./b", "body a"), Ask("/%61/b", "body a"), Ask("/a%2Fb", "body slash"),
            Ask("/a%2fb", "body other")),
        try .edge(
            "4.1 uri: a fragment is no part of it", says("a", "[{uri: {exact: /a}}]") + other,
            Ask("/a", "body a")),
        try .edge(
            "4.1 ignoreUriCase: exact and prefix",
            says("e", "[{uri: {exact: /Ex}, ignoreUriCase: true}]")
                + says("p", "[{uri: {prefix: /Pre}, ignoreUriCase: true}]") + other,
            Ask("/eX", "body e"), Ask("/pRE/x", "body p"), Ask("/exx", "body other")),
        try .edge(
            "4.1 ignoreUriCase: not regexes",
            says("r", "[{uri: {regex: \"/re\"}, ignoreUriCase: true}]") + other,
            Ask("/re", "body r"), Ask("/RE", "body other")),
    ]
}

private func requestParts() throws -> [Case] {
    [
        try .edge(
            "4.1 method",
            says("get", "[{method: {exact: GET}}]") + says("p", "[{method: {prefix: P}}]")
                + says("del", "[{method: {regex: DEL.*}}]") + other,
            Ask("/", "body get"), Ask("PATCH /", "body p"), Ask("DELETE /", "body del"),
            Ask("OPTIONS /", "body other")),
        try .edge(
            "4.1 authority: the raw header, its port included, case-sensitive",
            says("port", "[{authority: {exact: \"$HOST:80\"}}]")
                + says("plain", "[{authority: {exact: $HOST}}]") + other,
            Ask("/", host: "$HOST:80", "body port"), Ask("/", host: "$HOST", "body plain"),
            Ask("/", host: "$HOST:81", "body other"), Ask("/", host: "CASE$HOST", "404")),
        try .edge(
            "4.1 scheme: the request's",
            says("plain", "[{scheme: {exact: http}}]") + says("tls", "[{scheme: {exact: https}}]"),
            Ask("/", "body plain"), Ask("/", ["x-forwarded-proto: https"], "body plain")),
        try .edge(
            "4.1 name: <http.name>.<match.name>, with a dot where the first is empty",
            """
            - name: entry
              match: [{name: one, uri: {exact: /one}}, {uri: {exact: /two}}]
              headers: {response: {set: {x-route: "%ROUTE_NAME%"}}}
              route: [{destination: {host: one.test}}]
            - match: [{name: three, uri: {exact: /three}}]
              headers: {response: {set: {x-route: "%ROUTE_NAME%"}}}
              route: [{destination: {host: one.test}}]
            """, Ask("/one", "< x-route: entry.one"), Ask("/two", "< x-route: entry"),
            Ask("/three", "< x-route: .three")),
        try .edge(
            "4.1 statPrefix: changes nothing", says("a", "[{uri: {prefix: /}, statPrefix: stats}]"),
            Ask("/", "body a")),
    ]
}

private func headers() throws -> [Case] {
    [
        try .edge(
            "4.1 headers: all must hold",
            says("both", "[{headers: {x-a: {exact: \"1\"}, x-b: {prefix: f}}}]")
                + other,
            Ask("/", ["x-a: 1", "x-b: foo"], "body both"), Ask("/", ["x-a: 1"], "body other")),
        try .edge(
            "4.1 StringMatch exact: may be empty", says("empty", "[{headers: {x-a: {exact: \"\"}}}]") + other,
            Ask("/", ["x-a:"], "body empty"), Ask("/", ["x-a: 1"], "body other"), Ask("/", "body other")),
        try .edge(
            "4.1 StringMatch regex: of the whole value, RE2",
            says("re", "[{headers: {x-a: {regex: \"fo+\"}}}]") + other,
            Ask("/", ["x-a: foo"], "body re"), Ask("/", ["x-a: xfoo"], "body other"),
            Ask("/", ["x-a: foo1"], "body other")),
        try .edge(
            "4.1 StringMatch of nothing: present", says("there", "[{headers: {x-a: {}}}]") + other,
            Ask("/", ["x-a:"], "body there"), Ask("/", ["x-a: 1"], "body there"), Ask("/", "body other")),
        try .edge(
            "4.1 StringMatch regex *: present", says("there", "[{headers: {x-a: {regex: \"*\"}}}]") + other,
            Ask("/", ["x-a:"], "body there"), Ask("/", "body other")),
        try .edge(
            "4.1 StringMatch: case-sensitive, (?i) if wanted",
            says("foo", "[{headers: {x-a: {exact: foo}}}]")
                + says("any", "[{headers: {x-a: {regex: \"(?i)foo\"}}}]") + other,
            Ask("/", ["x-a: foo"], "body foo"), Ask("/", ["x-a: FOO"], "body any")),
        try .edge(
            "4.2 names: in any case", says("a", "[{headers: {X-Mixed: {exact: \"1\"}}}]") + other,
            Ask("/", ["x-mixed: 1"], "body a"), Ask("/", ["X-MIXED: 1"], "body a")),
        try .edge(
            "4.2 a missing header matches neither an empty exact nor .*",
            says("re", "[{headers: {x-a: {regex: \".*\"}}}]") + other,
            Ask("/", "body other"), Ask("/", ["x-a:"], "body re")),
        try .edge(
            "4.2 cookie: a regex on the whole header",
            says("jason", "[{headers: {cookie: {regex: \"^(.*?;)?\\\\s*(user=jason)(;.*)?$\"}}}]") + other,
            Ask("/", ["cookie: a=1; user=jason; z=1"], "body jason"),
            Ask("/", ["cookie: user=jason"], "body jason"),
            Ask("/", ["cookie: xuser=jason"], "body other"), Ask("/", ["cookie: user=jasonx"], "body other")),
    ]
}

private func headerAbsence() throws -> [Case] {
    [
        try .edge(
            "4.1 withoutHeaders: the condition does not hold",
            says("not", "[{withoutHeaders: {x-a: {exact: foo}}}]") + other,
            Ask("/", ["x-a: bar"], "body not"), Ask("/", ["x-a: foo"], "body other")),
        try .edge(
            "4.1 withoutHeaders: a missing header is an empty one",
            says("foo", "[{uri: {prefix: /foo}, withoutHeaders: {x-a: {exact: foo}}}]")
                + says("empty", "[{uri: {prefix: /empty}, withoutHeaders: {x-a: {exact: \"\"}}}]") + other,
            Ask("/foo", "body foo"), Ask("/empty", "body other")),
        try .edge(
            "4.1 withoutHeaders {}: absent", says("absent", "[{withoutHeaders: {x-a: {}}}]") + other,
            Ask("/", "body absent"), Ask("/", ["x-a:"], "body other"), Ask("/", ["x-a: 1"], "body other")),
        try .edge(
            "4.1 withoutHeaders regex *: absent",
            says("absent", "[{withoutHeaders: {x-a: {regex: \"*\"}}}]") + other,
            Ask("/", "body absent"), Ask("/", ["x-a: 1"], "body other")),
    ]
}

private func queries() throws -> [Case] {
    [
        try .edge(
            "4.1 queryParams: exact, prefix, regex",
            says("e", "[{queryParams: {q: {exact: \"1\"}}}]")
                + says("p", "[{queryParams: {q: {prefix: ab}}}]")
                + says("r", "[{queryParams: {q: {regex: \"x[0-9]\"}}}]") + other,
            Ask("/?q=1", "body e"), Ask("/?q=abc", "body p"), Ask("/?q=x7", "body r"),
            Ask("/?q=x77", "body other"),
            Ask("/?Q=1", "body other"), Ask("/", "body other")),
        try .edge(
            "4.1 queryParams {}: present", says("there", "[{queryParams: {q: {}}}]") + other,
            Ask("/?q", "body there"), Ask("/?a=1&q=2", "body there"), Ask("/?aq=1", "body other")),
        try .edge(
            "4.1 queryParams regex *: present", says("there", "[{queryParams: {q: {regex: \"*\"}}}]") + other,
            Ask("/?q=", "body there"), Ask("/", "body other")),
        try .edge(
            "4.1 queryParams: the first of several",
            says("one", "[{queryParams: {q: {exact: \"1\"}}}]") + other,
            Ask("/?q=1&q=2", "body one"), Ask("/?q=2&q=1", "body other")),
        try .edge(
            "4.1 queryParams: not percent-decoded",
            says("raw", "[{queryParams: {q: {exact: a%20b}}}]") + other,
            Ask("/?q=a%20b", "body raw"), Ask("/?q=a+b", "body other")),
        try .edge(
            "4.1 queryParams: a key alone has an empty value",
            says("empty", "[{queryParams: {q: {exact: \"\"}}}]") + other,
            Ask("/?q", "body empty"), Ask("/?q=", "body empty"), Ask("/?x", "body other")),
    ]
}

private func selectors() throws -> [Case] {
    [
        try .edge(
            "4 match.sourceLabels and sourceNamespace: the proxy's",
            says("other", "[{sourceLabels: {app: somebody}}]")
                + says("far", "[{sourceNamespace: team}]")
                + says("mine", "[{sourceLabels: {app: caller}, sourceNamespace: shop}]"),
            Ask("/", "body mine")),
        try .edge(
            "4 match.gateways: sourceLabels are then not looked at",
            says("here", "[{gateways: [public], sourceLabels: {app: somebody}, uri: {prefix: /here}}]")
                + says("mesh", "[{gateways: [mesh], uri: {prefix: /mesh}}]") + other,
            Ask("/here", "body here"), Ask("/mesh", "body other")),
        try .edge(
            "4 match.port: the listener's",
            says("eighty", "[{port: 80}]") + says("alt", "[{port: 8080}]"),
            Ask("/", "body eighty"), Ask("/", "body alt").with { $0.port = 8_080 }),
        try .edge(
            "4 no element is left: absent there", says("alt", "[{port: 8080}]"),
            Ask("/", "404"), Ask("/", "body alt").with { $0.port = 8_080 }),
        try .edge(
            "4 a selector alone ends the list where it holds",
            says("all", "[{gateways: [public]}]") + says("late", "[{uri: {exact: /late}}]"),
            Ask("/late", "body all")),
        try .documents(
            "4 gateways without mesh: not in sidecars", .strictSidecar,
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: $ID, namespace: shop}
            spec:
              hosts: [$HOST]
              gateways: [public]
              http: [{directResponse: {status: 200}}]
            """, Ask("/", "502")),
    ]
}

private func repeatedLines() throws -> [Case] {
    [
        try .edge(
            "29 repeated lines: one that satisfies is enough",
            says("two", "[{headers: {x-a: {exact: \"2\"}}}]")
                + says("joined", "[{headers: {x-a: {exact: \"1,2\"}}}]") + other,
            Ask("/", ["x-a: 1", "x-a: 2"], "body two"), Ask("/", ["x-a: 1,2"], "body joined"),
            Ask("/", ["x-a: 1", "x-a: 3"], "body other")),
        try .edge(
            "29 repeated lines: withoutHeaders wants none",
            says("none", "[{withoutHeaders: {x-a: {exact: \"2\"}}}]") + other,
            Ask("/", ["x-a: 1", "x-a: 2"], "body other"), Ask("/", ["x-a: 1", "x-a: 3"], "body none")),
        try .edge(
            "29 several Cookie lines: matched one by one, forwarded as they came",
            """
            - match: [{headers: {cookie: {exact: b=2}}}]
              route: [{destination: {host: one.test}}]
            """, Ask("/", ["cookie: a=1", "cookie: b=2"], "200 V1", "> cookie: a=1", "> cookie: b=2"),
            Ask("/", ["cookie: a=1; b=2"], "404")),
    ]
}
