// Section 5.6: a VirtualService that delegates to another.

func delegateCases() throws -> [Case] { try matches() + fields() + references() }

private func matches() throws -> [Case] {
    try [
        delegation(
            "5.6 a delegate's entries replace the delegating one",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}}",
            "- {match: [{uri: {prefix: /a/b}}], directResponse: {status: 200, body: {string: b}}}",
            Ask("/a/b", "body b"), Ask("/a", "body root")),
        delegation(
            "5.6 a delegate's entry without match has the root's",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}}", says("d"),
            Ask("/a", "body d"), Ask("/b", "body root")),
        delegation(
            "5.6 a delegate's match that is no narrower drops its entry",
            root: "{match: [{uri: {prefix: /a/b}}], delegate: {name: d-$ID}}",
            "- {match: [{uri: {prefix: /a}}], directResponse: {status: 200, body: {string: wide}}}",
            Ask("/a/b", "body root")),
        delegation(
            "5.6 one match that fits none of the root's drops the whole entry",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}}",
            """
            - match: [{uri: {prefix: /a/b}}, {uri: {prefix: /z}}]
              directResponse: {status: 200, body: {string: d}}
            """, Ask("/a/b", "body root"), Ask("/z", "body root")),
        delegation(
            "5.6 regexes on the same key never fit",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}}",
            "- {match: [{uri: {regex: \"/a/.*\"}}], directResponse: {status: 200, body: {string: re}}}",
            Ask("/a/b", "body root")),
        delegation(
            "5.6 pairs: each of the delegate's with each of the root's that it fits",
            root: "{match: [{uri: {prefix: /a}}, {headers: {x-a: {exact: \"1\"}}}], delegate: {name: d-$ID}}",
            "- {match: [{uri: {prefix: /a/b}}], directResponse: {status: 200, body: {string: d}}}",
            Ask("/a/b", "body d"), Ask("/a/b", ["x-a: 1"], "body d"), Ask("/z", ["x-a: 1"], "body root")),
        delegation(
            "5.6 conditions of both are united",
            root: "{match: [{headers: {x-a: {exact: \"1\"}}}], delegate: {name: d-$ID}}",
            """
            - match: [{queryParams: {q: {exact: "2"}}}]
              directResponse: {status: 200, body: {string: d}}
            """,
            Ask("/?q=2", ["x-a: 1"], "body d"), Ask("/?q=2", "body root"), Ask("/", ["x-a: 1"], "body root")),
        delegation(
            "5.6 differing ignoreUriCase never fit",
            root: "{match: [{uri: {prefix: /a}, ignoreUriCase: true}], delegate: {name: d-$ID}}",
            "- {match: [{uri: {prefix: /a/b}}], directResponse: {status: 200, body: {string: d}}}",
            Ask("/a/b", "body root")),
    ]
}

private func fields() throws -> [Case] {
    try [
        delegation(
            "5.6 the root fills gaps, headers as a whole",
            root: """
                {match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}, rewrite: {uri: /fill},
                 headers: {request: {set: {x-root: "1"}}, response: {set: {x-answer: root}}}}
                """,
            """
            - match: [{uri: {prefix: /a/own}}]
              route: [{destination: {host: one.test}}]
              rewrite: {uri: /own}
              headers: {request: {set: {x-own: "1"}}}
            - route: [{destination: {host: one.test}}]
            """, Ask("/a/own/x", "> GET /own/x HTTP/1.1", "> x-own: 1", "!> x-root", "!< x-answer"),
            Ask("/a/x", "> GET /fill/x HTTP/1.1", "> x-root: 1", "< x-answer: root")),
        delegation(
            "5.6 names are joined with -",
            root: "{name: r, match: [{uri: {prefix: /a}}], delegate: {name: d-$ID}}",
            """
            - name: d
              match: [{name: m, uri: {prefix: /a/b}}]
              headers: {response: {set: {x-route: "%ROUTE_NAME%"}}}
              route: [{destination: {host: one.test}}]
            """, Ask("/a/b", "< x-route: r-d.m")),
    ]
}

private func references() throws -> [Case] {
    try [
        delegation(
            "5.6 a delegate of another namespace",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID, namespace: team}}", says("d"),
            namespace: "team", Ask("/a", "body d")),
        delegation(
            "5.6 a delegate that is not exported to the root's namespace",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: d-$ID, namespace: team}}", says("d"),
            namespace: "team", exportTo: "[\".\"]", Ask("/a", "body root")),
        delegation(
            "5.6 a delegate that is missing: no routes of that entry",
            root: "{match: [{uri: {prefix: /a}}], delegate: {name: nobody-$ID}}", says("d"),
            Ask("/a", "body root")),
    ]
}

private func says(_ text: String) -> String {
    "- {directResponse: {status: 200, body: {string: \(text)}}}"
}

/// A root with one delegating entry and one that answers `root`.
private func delegation(
    _ row: String, root: String, _ delegate: String, namespace: String = "shop", exportTo: String = "[]",
    _ asks: Ask...
) throws -> Case {
    let entries = try documents(yaml: "- \(root)\n\(says("root"))\n").first ?? [:]
    let inner = try documents(yaml: delegate).first ?? [:]
    let visible = try documents(yaml: exportTo).first ?? [:]
    let version = "networking.istio.io/v1"
    let site = Site(documents: [
        document(
            version, "VirtualService", "$ID",
            ["hosts": ["$HOST"], "gateways": ["public"], "http": entries]),
        document(
            version, "VirtualService", "d-$ID",
            .members([("http", inner), ("exportTo", visible.items.isEmpty ? nil : visible)]),
            namespace: namespace),
    ])
    return Case(row: row, site: site, asks: asks)
}
