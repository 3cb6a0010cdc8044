// Sections 2.5, 3 and 19 at a sidecar's outbound listener.

func sidecarCases() throws -> [Case] {
    try names() + ownership() + attachment() + wildcards() + egress() + unknown() + forwarded()
}

private let strict = Setup.strictSidecar
private let scoped = Setup.scopedSidecar

private func mesh(
    _ name: String, _ text: String, hosts: String, match: String? = nil, namespace: String = "shop",
    created: String? = nil, more: String = "gateways: [mesh]"
) -> String {
    answering(
        name, text, hosts: hosts, more: more, match: match, created: created, namespace: namespace)
}

private func names() throws -> [Case] {
    [
        try .documents(
            "3 a service's names: full, with a dot, name.ns, name.ns.svc", strict,
            kubernetesService("a", namespace: "team", spec: ", clusterIP: 10.1.2.3"),
            Ask("/", host: "a-$ID.team.svc.cluster.local", "200 V1"),
            Ask("/", host: "a-$ID.team.svc.cluster.local.", "200 V1"), Ask("/", host: "a-$ID.team", "200 V1"),
            Ask("/", host: "a-$ID.team.svc", "200 V1"), Ask("/", host: "a-$ID.team.svc.cluster", "502"),
            Ask("/", host: "a-$ID", "502"), Ask("/", host: "10.1.2.3", "200 V1"),
            Ask("/", host: "A-$ID.TEAM:80", "200 V1")),
        try .documents(
            "3 a service's names: the name alone in its own namespace", strict, kubernetesService("a"),
            Ask("/", host: "a-$ID", "200 V1"), Ask("/", host: "a-$ID.shop", "200 V1")),
        try .documents(
            "3 a service's names: of each pod where it is headless", strict,
            kubernetesService("a", spec: ", clusterIP: None"),
            Ask("/", host: "pod-0.a-$ID.shop.svc.cluster.local", "200 V1"),
            Ask("/", host: "pod-0.a-$ID", "200 V1"),
            Ask("/", host: "a-$ID", "200 V1")),
        try .documents(
            "3 a short form that is another service's full name belongs to that one", strict,
            kubernetesService("a", namespace: "team") + serviceEntry("a-$ID.team", echo: "$V2"),
            Ask("/", host: "a-$ID.team", "200 V2"), Ask("/", host: "a-$ID.team.svc", "200 V1")),
        try .documents(
            "3 a service without VirtualService: everything to it, on its own port", strict,
            serviceEntry("s.$HOST", port: 8_080), Ask("/any/path?x", host: "s.$HOST:8080", "200 V1")),
        try .documents(
            "18.1 exportTo: a service of another namespace", strict,
            serviceEntry("s.$HOST", name: "a", namespace: "team", more: "exportTo: [\".\"]")
                + serviceEntry("t.$HOST", name: "b", namespace: "team", more: "exportTo: [shop]"),
            Ask("/", host: "s.$HOST", "502"), Ask("/", host: "t.$HOST", "200 V1")),
    ]
}

private func ownership() throws -> [Case] {
    let service = serviceEntry("s.$HOST")
    return [
        try .documents(
            "2.5 mesh: the oldest VirtualService owns the host, nothing merges", strict,
            service + mesh("a", "young", hosts: "[s.$HOST]", created: "2026-01-02T00:00:00Z")
                + mesh(
                    "b", "old", hosts: "[s.$HOST]", match: "[{uri: {prefix: /x}}]",
                    created: "2026-01-01T00:00:00Z"),
            Ask("/x", host: "s.$HOST", "body old"), Ask("/", host: "s.$HOST", "404")),
        try .documents(
            "2.5 mesh: one without routes for this proxy owns nothing", strict,
            service
                + mesh(
                    "a", "other", hosts: "[s.$HOST]", match: "[{sourceLabels: {app: somebody}}]",
                    created: "2026-01-01T00:00:00Z")
                + mesh("b", "mine", hosts: "[s.$HOST]", created: "2026-01-02T00:00:00Z"),
            Ask("/", host: "s.$HOST", "body mine")),
        try .documents(
            "2.5 mesh: no routes for this proxy at all: the plain service", strict,
            service + mesh("a", "other", hosts: "[s.$HOST]", match: "[{sourceLabels: {app: somebody}}]"),
            Ask("/", host: "s.$HOST", "200 V1")),
        try .documents(
            "2.5 mesh: what a namespace keeps for itself comes before what all see", strict,
            service + mesh("a", "public", hosts: "[s.$HOST]", created: "2026-01-01T00:00:00Z")
                + mesh(
                    "b", "private", hosts: "[s.$HOST]", created: "2026-01-02T00:00:00Z",
                    more: "exportTo: [\".\"]"),
            Ask("/", host: "s.$HOST", "body private")),
    ]
}

private func attachment() throws -> [Case] {
    let service = serviceEntry("s.$HOST")
    return [
        try .documents(
            "3 a VirtualService takes all of a service's names, on each of its HTTP ports", strict,
            kubernetesService("a") + mesh("a", "vs", hosts: "[a-$ID]"),
            Ask("/", host: "a-$ID", "body vs"), Ask("/", host: "a-$ID.shop.svc.cluster.local.", "body vs"),
            Ask("/", host: "a-$ID.shop.svc", "body vs")),
        try .documents(
            "3 a host that is no service: known on port 80", strict,
            mesh("a", "vs", hosts: "[u.$HOST]"), Ask("/", host: "u.$HOST", "body vs"),
            Ask("/", host: "u.$HOST:8080", "502")),
        try .documents(
            "3 a host that is no service, beside one on another port", strict,
            serviceEntry("s.$HOST", port: 8_080) + mesh("a", "vs", hosts: "[s.$HOST, u.$HOST]"),
            Ask("/", host: "u.$HOST:8080", "body vs"), Ask("/", host: "s.$HOST:8080", "body vs")),
        try .documents(
            "3 a host that is no service, beside one that an older VirtualService owns", strict,
            serviceEntry("s.$HOST", port: 8_080)
                + mesh("a", "old", hosts: "[s.$HOST]", created: "2026-01-01T00:00:00Z")
                + mesh("b", "young", hosts: "[s.$HOST, u.$HOST]", created: "2026-01-02T00:00:00Z"),
            Ask("/", host: "u.$HOST:8080", "body young"), Ask("/", host: "s.$HOST:8080", "body old")),
        try .documents(
            "3 a host that is a service's on other ports only", strict,
            serviceEntry("s.$HOST", port: 8_080) + serviceEntry("t.$HOST", name: "t")
                + mesh("a", "vs", hosts: "[s.$HOST, t.$HOST]"),
            Ask("/", host: "t.$HOST:8080", "502"), Ask("/", host: "t.$HOST", "body vs")),
        try .documents(
            "28.32 reviews.prod is no short name, though a host of its own", strict,
            kubernetesService("a", namespace: "team") + mesh("a", "vs", hosts: "[a-$ID.team]"),
            Ask("/", host: "a-$ID.team", "body vs"), Ask("/", host: "a-$ID.team.svc", "200 V1")),
        try .documents(
            "4 match.port in the mesh: the service's", strict,
            serviceEntry("s.$HOST") + serviceEntry("t.$HOST", name: "t", port: 8_080)
                + mesh("a", "eighty", hosts: "[s.$HOST, t.$HOST]", match: "[{port: 80}]"),
            Ask("/", host: "s.$HOST", "body eighty"), Ask("/", host: "t.$HOST:8080", "200 V1")),
        try .documents(
            "5.2 mesh: subsets and ports of destinations", strict,
            service
                + """
                ---
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: $ID, namespace: shop}
                spec:
                  hosts: [s.$HOST]
                  http:
                  - match: [{uri: {prefix: /v2}}]
                    route: [{destination: {host: app.test, subset: v2, port: {number: 8080}}}]
                  - match: [{uri: {prefix: /none}}]
                    route: [{destination: {host: app.test, subset: none, port: {number: 8080}}}]
                  - route: [{destination: {host: s.$HOST}}]
                """, Ask("/v2", host: "s.$HOST", "200 V2"), Ask("/none", host: "s.$HOST", "503", "!body"),
            Ask("/", host: "s.$HOST", "200 V1")),
    ]
}

private func wildcards() throws -> [Case] {
    let services = serviceEntry("s.$HOST", name: "s") + serviceEntry("a.b.$HOST", name: "t", echo: "$V2")
    return [
        try .documents(
            "3 a wildcard VirtualService attaches to each service it covers", strict,
            services + mesh("a", "wild", hosts: "[\"*.$HOST\"]"), Ask("/", host: "s.$HOST", "body wild"),
            Ask("/", host: "a.b.$HOST", "body wild"), Ask("/", host: "unknown.$HOST", "502")),
        try .documents(
            "3 a wildcard VirtualService: for those for which it is the most specific", strict,
            services + mesh("a", "wild", hosts: "[\"*.$HOST\"]")
                + mesh("b", "narrow", hosts: "[\"*.b.$HOST\"]")
                + mesh("c", "exact", hosts: "[s.$HOST]"), Ask("/", host: "s.$HOST", "body exact"),
            Ask("/", host: "a.b.$HOST", "body narrow")),
        try .documents(
            "3 a wildcard VirtualService that covers no service: a wildcard domain", strict,
            mesh("a", "wild", hosts: "[\"*.$HOST\"]"), Ask("/", host: "x.$HOST", "body wild"),
            Ask("/", host: "x.y.$HOST", "body wild"), Ask("/", host: "$HOST", "502")),
        try .documents(
            "3 a more specific VirtualService without routes here leaves the service plain", strict,
            services + mesh("a", "wild", hosts: "[\"*.$HOST\"]")
                + mesh("b", "exact", hosts: "[s.$HOST]", match: "[{sourceLabels: {app: somebody}}]"),
            Ask("/", host: "s.$HOST", "200 V1"), Ask("/", host: "a.b.$HOST", "body wild")),
        try .documents(
            "3 a wildcard service", strict, serviceEntry("*.w.$HOST"), Ask("/", host: "a.w.$HOST", "200 V1"),
            Ask("/", host: "a.b.w.$HOST", "200 V1"), Ask("/", host: "w.$HOST", "502")),
    ]
}

private func egress() throws -> [Case] {
    let services =
        serviceEntry("s.$HOST", name: "s")
        + serviceEntry("t.$HOST", name: "t", namespace: "team", echo: "$V2")
    return [
        try .documents(
            "19 egress hosts: ns/name", scoped, egress: ["team/t.$HOST"], services,
            Ask("/", host: "t.$HOST", "200 V2"), Ask("/", host: "s.$HOST", "502")),
        try .documents(
            "19 egress hosts: ./ is the proxy's namespace", scoped, egress: ["./*.$HOST"], services,
            Ask("/", host: "s.$HOST", "200 V1"), Ask("/", host: "t.$HOST", "502")),
        try .documents(
            "19 egress hosts: */ is any", scoped, egress: ["*/*.$HOST"], services,
            Ask("/", host: "s.$HOST", "200 V1"), Ask("/", host: "t.$HOST", "200 V2")),
        try .documents(
            "19 egress hosts: ~/ is none", scoped, egress: ["~/*"], services, Ask("/", host: "s.$HOST", "502")
        ),
        try .documents(
            "19 egress hosts: ~ns/ excludes", scoped, egress: ["*/*.$HOST", "~team/t.$HOST"], services,
            Ask("/", host: "s.$HOST", "200 V1"), Ask("/", host: "t.$HOST", "502")),
        try .documents(
            "19 egress hosts: exportTo still applies", scoped, egress: ["*/*.$HOST"],
            serviceEntry("s.$HOST", namespace: "team", more: "exportTo: [\".\"]"),
            Ask("/", host: "s.$HOST", "502")),
        try .documents(
            "19 VirtualServices: any host that overlaps", scoped, egress: ["shop/s.$HOST"],
            services + mesh("a", "vs", hosts: "[s.$HOST]")
                + mesh("b", "far", hosts: "[t.$HOST]", namespace: "team"),
            Ask("/", host: "s.$HOST", "body vs"), Ask("/", host: "t.$HOST", "502")),
        try .documents(
            "19 destinations of visible VirtualServices need no listing", scoped, egress: ["shop/s.$HOST"],
            services
                + """
                ---
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: $ID, namespace: shop}
                spec: {hosts: [s.$HOST], http: [{route: [{destination: {host: t.$HOST}}]}]}
                """, Ask("/", host: "s.$HOST", "200 V2"), Ask("/", host: "t.$HOST", "502")),
        try .documents(
            "19 a wildcard VirtualService is not hidden by the exclusion of one host", scoped,
            egress: ["*/*.$HOST", "~*/t.$HOST"], services + mesh("a", "vs", hosts: "[\"*.$HOST\"]"),
            Ask("/", host: "s.$HOST", "body vs"), Ask("/", host: "t.$HOST", "502")),
    ]
}

private func unknown() throws -> [Case] {
    [
        try .documents(
            "19 ALLOW_ANY: to the original address", .sidecar, "",
            Ask("/x", host: "127.0.0.1:$ABROAD", "200 ABROAD")),
        try .documents(
            "19 REGISTRY_ONLY: 502, empty body", strict, "",
            Ask("/", host: "unknown.invalid", "502", "!body", "< server: envoy"),
            Ask("/", host: "127.0.0.1:$ABROAD", "502")),
    ]
}

private func forwarded() throws -> [Case] {
    [
        try .documents(
            "22.2 sidecar: forwarded fields are left alone", strict, serviceEntry("s.$HOST"),
            Ask(
                "/", ["x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https", "x-request-id: mine"],
                host: "s.$HOST", "> x-forwarded-proto: https", "!> x-envoy-external-address",
                "< server: envoy",
                "> x-envoy-attempt-count: 1"),
            Ask("/", host: "s.$HOST", "> x-forwarded-proto: http", "!> x-forwarded-for")),
        try .documents(
            "22.2 sidecar: x-envoy fields of untrusted clients are removed", strict, serviceEntry("s.$HOST"),
            Ask(
                "/",
                [
                    "x-envoy-max-retries: 3", "x-envoy-upstream-rq-timeout-ms: 5", "x-envoy-internal: true",
                    "x-envoy-original-path: /x",
                ], host: "s.$HOST", "200 V1", "!> x-envoy-max-retries", "!> x-envoy-upstream-rq-timeout-ms",
                "!> x-envoy-internal")),
        try .edge(
            "22.2 edge: forwarded fields are the edge's", "- route: [{destination: {host: one.test}}]",
            Ask(
                "/",
                [
                    "x-forwarded-proto: https", "x-envoy-original-path: /x", "x-envoy-max-retries: 1",
                    "x-envoy-internal: true", "x-forwarded-host: other", "x-forwarded-port: 1",
                ], "200 V1", "> x-forwarded-proto: http", "!> x-envoy-original-path",
                "!> x-envoy-max-retries",
                "!> x-envoy-internal", "> x-forwarded-host: other", "> x-forwarded-port: 1")),
    ]
}
