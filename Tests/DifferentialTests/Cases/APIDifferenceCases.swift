// The same for the Gateway API: rows of README.md's list that no other case shows.

func apiDifferenceCases() throws -> [Case] { try ranking() + calls() + targets() + mesh() }

private func one(_ row: String, _ rules: String, kind: String = "HTTPRoute", _ asks: Ask...) throws -> Case {
    let yaml = apiRoute(rules, kind: kind)
    return Case(row: row, setup: .api, site: Site(documents: try documents(yaml: yaml)), asks: asks)
}

private func ranking() throws -> [Case] {
    let listener = "[{name: one, port: 80, protocol: HTTP, hostname: $HOST}]"
    func at(_ gateway: String, _ path: String) -> String {
        apiRoute(
            apiRule(gateway, "[{path: {value: \(path)}}]"), name: gateway, hosts: nil,
            parents: "[{name: \(gateway)-$ID}]")
    }
    return [
        try .documents(
            "differs: routes for one host at several Gateways of a port", .api,
            apiGateway(listener, name: "ga") + apiGateway(listener, name: "gb") + at("ga", "/x")
                + at("gb", "/x/y"), Ask("/x/y", "< x-rule: gb")
        ).differing("one Gateway's after the other's", envoy: "< x-rule: ga")
    ]
}

private func calls() throws -> [Case] {
    let either = "[{method: {type: RegularExpression, service: \"a|b\", method: M}}]"
    let long = "[{method: {type: RegularExpression, service: \"ab?c?d?\", method: M}}]"
    return [
        try one(
            "differs: alternatives of a GRPCRoute's regexes", apiRule("r", either), kind: "GRPCRoute",
            Ask("POST /b/M", "200 V1")
        ).differing("reach over the slash", envoy: "404"),
        try one(
            "differs: regexes of a GRPCRoute are ranked by what is written",
            apiRule("exact", "[{method: {service: ab}}]") + apiRule("regex", long), kind: "GRPCRoute",
            Ask("POST /ab/M", "< x-rule: regex")
        ).differing("after all that is exact", envoy: "< x-rule: exact"),
        try one(
            "differs: a GRPCRoute's rules without matches beside a match of nothing",
            apiRule("none") + apiRule("empty", "[{}]"), kind: "GRPCRoute",
            Ask("POST /s/M", "< x-rule: none")
        ).differing("the match of nothing comes first", envoy: "< x-rule: empty"),
    ]
}

private func targets() throws -> [Case] {
    [
        try one(
            "differs: a backend of kind Hostname without a port",
            "  - backendRefs: [{group: networking.istio.io, kind: Hostname, name: one.test}]\n",
            Ask("/", "200 V1")
        ).differing("is no good", envoy: "500"),
        try one(
            "differs: RequestRedirect without a port, asked by a Host with one",
            "  - filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]\n",
            Ask("/", host: "$HOST:8443", "< location: https://$HOST/")
        ).differing("keeps the Host's", envoy: "< location: https://$HOST:8443/"),
    ]
}

private func mesh() throws -> [Case] {
    let service = kubernetesService("a", namespace: "team", echo: "$V2")
    func route(_ name: String, _ namespace: String, _ created: String, port: String = "", path: String = "/")
        -> String
    {
        apiRoute(
            apiRule(name, "[{path: {value: \(path)}}]"), name: name, namespace: namespace, hosts: nil,
            parents: "[{group: \"\", kind: Service, name: a-$ID, namespace: team\(port)}]", created: created)
    }
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    return [
        try .documents(
            "differs: routes of the client's and of the service's namespace for one service", .strictSidecar,
            service + route("producer", "team", early) + route("consumer", "shop", late),
            Ask("/", host: "a-$ID.team", "< x-rule: consumer")
        ).differing("the older ones", envoy: "< x-rule: producer"),
        try .documents(
            "differs: routes for a service, and for a port of it", .strictSidecar,
            service + route("all", "team", early)
                + route("port", "team", late, port: ", port: 80", path: "/x"),
            Ask("/x", host: "a-$ID.team", "< x-rule: port")
        ).differing("the older ones alone", envoy: "< x-rule: all"),
    ]
}
