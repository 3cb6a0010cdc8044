// Sections 2.5, 3 and 17 at an edge: gateways, their servers and the VirtualServices bound to them.

func gatewayCases() throws -> [Case] {
    try merging() + hosts() + intersections() + servers() + httpsRedirects()
}

/// A VirtualService that answers a text; `more` are members of its spec.
func answering(
    _ name: String, _ text: String, hosts: String = "[$HOST]", more: String = "gateways: [public]",
    match: String? = nil, created: String? = nil, namespace: String = "shop"
) -> String {
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name)-$ID, namespace: \(namespace)\(age(created))}
    spec:
      hosts: \(hosts)
      \(more)
      http:
      - \(match.map { "match: \($0)\n    " } ?? "")directResponse: {status: 200, body: {string: \(text)}}

    """
}

/// A Gateway of the edge with one server.
private func gateway(
    _ hosts: String, name: String = "gw", namespace: String = "shop", port: Int = 80, more: String = "",
    created: String? = nil
) -> String {
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: \(name)-$ID, namespace: \(namespace)\(age(created))}
    spec:
      selector: {istio: edge}
      servers:
      - {port: {number: \(port), name: http-\(port), protocol: HTTP}, hosts: \(hosts)\(more)}

    """
}

private func age(_ created: String?) -> String { created.map { ", creationTimestamp: \"\($0)\"" } ?? "" }

private let early = "2026-01-01T00:00:00Z"
private let late = "2026-01-02T00:00:00Z"
private let own = "gateways: [gw-$ID]"

private func merging() throws -> [Case] {
    [
        try .documents(
            "2.5 gateway: routes of several VirtualServices on a host, the oldest first",
            answering("a", "young", match: "[{uri: {prefix: /x}}]", created: late)
                + answering("b", "old", match: "[{uri: {prefix: /x/y}}]", created: early),
            Ask("/x/y", "body old"), Ask("/x", "body young")),
        try .documents(
            "2.5 gateway: of one age by name",
            answering("b", "b", match: "[{uri: {prefix: /x}}]")
                + answering("a", "a", match: "[{uri: {prefix: /x}}]"),
            Ask("/x", "body a")),
        try .documents(
            "2.5 gateway: of one age and name by namespace",
            answering(
                "a", "team", more: "gateways: [shop/public]", match: "[{uri: {prefix: /x}}]",
                namespace: "team")
                + answering("a", "shop", match: "[{uri: {prefix: /x}}]"), Ask("/x", "body shop")),
        try .documents(
            "2.5 gateway: routes that match everything stand behind the rest",
            answering("a", "all", created: early)
                + answering("b", "x", match: "[{uri: {prefix: /x}}]", created: late),
            Ask("/x", "body x"), Ask("/", "body all")),
        try .documents(
            "2.5 gateway: what a namespace keeps for itself comes before what all see",
            answering("a", "public", match: "[{uri: {prefix: /x}}]", created: early)
                + answering(
                    "b", "private", more: "gateways: [public]\n  exportTo: [\".\"]",
                    match: "[{uri: {prefix: /x}}]", created: late), Ask("/x", "body private")),
        try .documents(
            "2.3 exportTo of a VirtualService: other namespaces only",
            answering("a", "hidden", more: "gateways: [shop/public]\n  exportTo: [\".\"]", namespace: "team"),
            Ask("/", "404")),
        try .documents(
            "2.3 exportTo of a VirtualService: the proxy's namespace by name",
            answering("a", "seen", more: "gateways: [shop/public]\n  exportTo: [shop]", namespace: "team"),
            Ask("/", "body seen")),
        try .documents(
            "2.2 gateway references: name, ns/name, ./name, name.ns",
            answering("a", "a", hosts: "[a.$HOST]", more: "gateways: [public]")
                + answering("b", "b", hosts: "[b.$HOST]", more: "gateways: [shop/public]", namespace: "team")
                + answering("c", "c", hosts: "[c.$HOST]", more: "gateways: [./public]")
                + answering("d", "d", hosts: "[d.$HOST]", more: "gateways: [public.shop]", namespace: "team")
                + answering("e", "e", hosts: "[e.$HOST]", more: "gateways: [public]", namespace: "team"),
            Ask("/", host: "a.$HOST", "body a"), Ask("/", host: "b.$HOST", "body b"),
            Ask("/", host: "c.$HOST", "body c"), Ask("/", host: "d.$HOST", "body d"),
            Ask("/", host: "e.$HOST", "404")),
    ]
}

private func hosts() throws -> [Case] {
    [
        try .documents(
            "3 a port is cut off, letters are lower-cased",
            answering("a", "a", hosts: "[$HOST, x.$HOST]"), Ask("/", host: "$HOST:1234", "body a"),
            Ask("/", host: "X.$HOST", "body a")),
        try .documents(
            "3 exact before the longest wildcard before shorter ones",
            answering("a", "short", hosts: "[\"*.$HOST\"]") + answering("b", "long", hosts: "[\"*.a.$HOST\"]")
                + answering("c", "exact", hosts: "[b.a.$HOST]"),
            Ask("/", host: "b.a.$HOST", "body exact"), Ask("/", host: "c.a.$HOST", "body long"),
            Ask("/", host: "a.$HOST", "body short"), Ask("/", host: "d.e.$HOST", "body short")),
        try .documents(
            "3 a wildcard is shorter than the host",
            answering("a", "wild", hosts: "[\"*.$HOST\"]"),
            Ask("/", "404"), Ask("/", host: ".$HOST", "404"), Ask("/", host: "x.$HOST", "body wild")),
        try .documents(
            "3 wildcards of the *-name form",
            answering("a", "wild", hosts: "[\"*-$HOST\"]"),
            Ask("/", host: "x-$HOST", "body wild"), Ask("/", host: "-$HOST", "404"),
            Ask("/", host: "y.$HOST", "404")),
        try .documents(
            "3 no virtual host: 404", answering("a", "a", hosts: "[a.$HOST]"), Ask("/", "404", "!body")),
        try .documents(
            "3 once a VirtualService owns a host nothing falls through",
            answering("a", "wild", hosts: "[\"*.$HOST\"]")
                + answering("b", "exact", hosts: "[a.$HOST]", match: "[{uri: {prefix: /a}}]"),
            Ask("/a", host: "a.$HOST", "body exact"), Ask("/b", host: "a.$HOST", "404")),
        try .documents(
            "3 a trailing dot is part of the name", answering("a", "a"), Ask("/", host: "$HOST.", "404")),
    ]
}

private func intersections() throws -> [Case] {
    [
        try .documents(
            "3 server and VirtualService hosts: the narrower name",
            gateway("[\"*.$HOST\"]")
                + answering("a", "a", hosts: "[\"*.b.$HOST\", c.$HOST, d.test]", more: own),
            Ask("/", host: "x.b.$HOST", "body a"), Ask("/", host: "c.$HOST", "body a"),
            Ask("/", host: "x.$HOST", "404"), Ask("/", host: "d.test", "404")),
        try .documents(
            "3 a server's host narrower than the VirtualService's",
            gateway("[a.$HOST, \"*.b.$HOST\"]") + answering("a", "a", hosts: "[\"*.$HOST\"]", more: own),
            Ask("/", host: "a.$HOST", "body a"), Ask("/", host: "x.b.$HOST", "body a"),
            Ask("/", host: "c.$HOST", "404")),
        try .documents(
            "3 ns/host: VirtualServices of that namespace",
            gateway("[team/a.$HOST, shop/b.$HOST]")
                + answering("a", "shop", hosts: "[\"*.$HOST\"]", more: own)
                + answering(
                    "b", "team", hosts: "[\"*.$HOST\"]", more: "gateways: [shop/gw-$ID]", namespace: "team"),
            Ask("/", host: "a.$HOST", "body team"), Ask("/", host: "b.$HOST", "body shop")),
        try .documents(
            "3 ./host: VirtualServices of the gateway's namespace",
            gateway("[./$HOST]", namespace: "team")
                + answering("a", "shop", more: "gateways: [team/gw-$ID]")
                + answering("b", "team", more: "gateways: [gw-$ID]", namespace: "team"), Ask("/", "body team")
        ),
        try .documents(
            "3 */host: all",
            gateway("[\"*/$HOST\"]")
                + answering("b", "team", more: "gateways: [shop/gw-$ID]", namespace: "team"),
            Ask("/", "body team")),
    ]
}

private func servers() throws -> [Case] {
    [
        try .documents(
            "17 selector: all labels must match",
            gateway("[$HOST]").replacingOnce("{istio: edge}", "{istio: edge, app: somebody}")
                + answering("a", "a", more: own), Ask("/", "404")),
        try .documents(
            "17 a Gateway of another namespace selects by labels alone",
            gateway("[$HOST]", namespace: "team") + answering("a", "a", more: "gateways: [team/gw-$ID]"),
            Ask("/", "body a")),
        try .documents(
            "17 servers of one port share a route table",
            gateway("[a.$HOST]", name: "one") + gateway("[b.$HOST]", name: "two")
                + answering("a", "a", hosts: "[\"*.$HOST\"]", more: "gateways: [one-$ID]")
                + answering("b", "b", hosts: "[\"*.$HOST\"]", more: "gateways: [two-$ID]"),
            Ask("/", host: "a.$HOST", "body a"), Ask("/", host: "b.$HOST", "body b")),
        try .documents(
            "17 the same host at two Gateways of one port: routes of the older Gateway first",
            gateway("[$HOST]", name: "young", created: late)
                + gateway("[$HOST]", name: "zold", created: early)
                + answering(
                    "a", "young", more: "gateways: [young-$ID]", match: "[{uri: {prefix: /x}}]",
                    created: early)
                + answering(
                    "b", "old", more: "gateways: [zold-$ID]", match: "[{uri: {prefix: /x}}]", created: late),
            Ask("/x", "body old")),
        try .documents(
            "17 ports are apart", gateway("[$HOST]", port: 8_080) + answering("a", "a", more: own),
            Ask("/", "404"), Ask("/", "body a").with { $0.port = 8_080 }),
        try .documents("17 a Gateway alone routes nothing: 404", gateway("[$HOST]"), Ask("/", "404")),
    ]
}

private func httpsRedirects() throws -> [Case] {
    let redirecting = ", tls: {httpsRedirect: true}"
    return [
        try .documents(
            "17 httpsRedirect: 301 to https before any route",
            gateway("[$HOST]", more: redirecting) + answering("a", "a", more: own),
            Ask("/a?x=1", "301", "< location: https://$HOST/a?x=1", "!body"),
            Ask("/", host: "$HOST:80", "301", "< location: https://$HOST:80/"),
            Ask("/", ["x-forwarded-proto: https"], "301")),
        try .documents(
            "17 httpsRedirect: also without a VirtualService", gateway("[\"*.$HOST\"]", more: redirecting),
            Ask("/", host: "a.$HOST", "301"), Ask("/", "404")),
        try .documents(
            "17 httpsRedirect: response header operations do not run on it",
            gateway("[$HOST]", more: redirecting)
                + answering("a", "a", more: own).replacingOnce(
                    "directResponse", "headers: {response: {set: {x-new: \"1\"}}}\n    directResponse"),
            Ask("/", "301", "!< x-new")),
    ]
}

extension String {
    fileprivate func replacingOnce(_ from: String, _ to: String) -> String {
        guard let range = firstRange(of: from) else { return self }
        return self[..<range.lowerBound] + to + self[range.upperBound...]
    }
}
