// Sites in Istio's words, as Fairlead reads them.

/// The subsets that have endpoints.
let subsets = ["v1", "v2"]

/// The documents of an edge with these sites at port 80; each endpoint is the echo of one subset.
func documents(
    _ sites: [(name: String, site: Site)], endpoints: [String: UInt16], script: String? = nil
) -> String {
    let pods = subsets.map { subset -> Json in
        [
            "address": "127.0.0.1", "labels": ["version": .text(subset)],
            "ports": ["http": .number(Int(endpoints[subset] ?? 0))],
        ]
    }
    let all: [Json] = [
        document("fairlead.dev/v1alpha1", "Proxy", "edge", ["role": "edge"], labels: ["istio": "edge"]),
        document(
            "networking.istio.io/v1", "Gateway", "public",
            [
                "selector": ["istio": "edge"],
                "servers": [
                    [
                        "port": ["number": 80, "name": "http", "protocol": "HTTP"], "bind": "127.0.0.1",
                        "hosts": ["*"],
                    ]
                ],
            ]),
        document(
            "networking.istio.io/v1", "ServiceEntry", "app",
            [
                "hosts": ["app.test"], "resolution": "STATIC", "location": "MESH_INTERNAL",
                "ports": [["number": 8080, "name": "http", "protocol": "HTTP"]], "endpoints": .list(pods),
            ]),
        document(
            "networking.istio.io/v1", "DestinationRule", "app",
            [
                "host": "app.test",
                "subsets": .list(
                    (subsets + ["empty"]).map { ["name": .text($0), "labels": ["version": .text($0)]] }),
            ]),
    ]
    let services = sites.map { name, site in
        document(
            "networking.istio.io/v1", "VirtualService", name,
            [
                "hosts": .list([.text(name), .text("*." + name)]), "gateways": ["public"],
                "http": .list(site.rules.map(\.json)),
            ]
        ).named(name)
    }
    let filters = script.map { [luaFilter($0)] } ?? []
    return (all + services + filters).map(\.encoded).joined(separator: "\n---\n") + "\n"
}

private func luaFilter(_ script: String) -> Json {
    let naming = "function cluster(name) return 'outbound|8080|' .. name .. '|app.test' end\n"
    let neighbour: Json = [
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": ["name": "envoy.filters.http.router"],
    ]
    return document(
        "networking.istio.io/v1alpha3", "EnvoyFilter", "script",
        [
            "configPatches": [
                [
                    "applyTo": "HTTP_FILTER",
                    "match": ["context": "GATEWAY", "listener": ["filterChain": ["filter": neighbour]]],
                    "patch": [
                        "operation": "INSERT_BEFORE",
                        "value": ["name": "envoy.lua", "typed_config": luaConfiguration(naming + script)],
                    ],
                ]
            ]
        ])
}

/// The filter's own configuration, the same for both.
func luaConfiguration(_ code: String) -> Json {
    [
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": ["inline_string": .text(code)],
    ]
}

private func document(
    _ version: String, _ kind: String, _ name: String, _ spec: Json, labels: Json? = nil
) -> Json {
    [
        "apiVersion": .text(version), "kind": .text(kind),
        "metadata": .members([("name", .text(name)), ("namespace", "shop"), ("labels", labels)]),
        "spec": spec,
    ]
}

extension Text {
    fileprivate var json: Json {
        switch self {
        case .exact(let value): ["exact": .text(value)]
        case .prefix(let value): ["prefix": .text(value)]
        case .regex(let value): ["regex": .text(value)]
        case .present: [:]
        }
    }
}

private func conditions(_ conditions: [String: Text]) -> Json? {
    let sorted = conditions.sorted { $0.key < $1.key }
    return conditions.isEmpty ? nil : .object(sorted.map { ($0.key, $0.value.json) })
}

extension Match {
    fileprivate var json: Json {
        .members([
            ("uri", uri?.json), ("ignoreUriCase", ignoreUriCase ? true : nil), ("method", method?.json),
            ("authority", authority?.json), ("scheme", scheme?.json),
            ("headers", conditions(headers)),
            ("withoutHeaders", conditions(withoutHeaders)),
            ("queryParams", conditions(queryParams)), ("port", port.map(Json.number)),
        ])
    }
}

extension Edits {
    fileprivate var json: Json? {
        isEmpty
            ? nil
            : .members([
                ("set", Json.texts(set)), ("add", Json.texts(add)), ("remove", Json.texts(remove)),
            ])
    }
}

extension Operations {
    fileprivate var json: Json? {
        isEmpty ? nil : .members([("request", request.json), ("response", response.json)])
    }
}

extension Destination {
    fileprivate var json: Json {
        .members([
            (
                "destination",
                .members([
                    ("host", "app.test"), ("subset", .text(subset)), ("port", ["number": 8080]),
                ])
            ),
            ("weight", weight.map(Json.number)), ("headers", operations.json),
        ])
    }
}

extension Redirect {
    fileprivate var json: Json {
        .members([
            ("uri", uri.map(Json.text)), ("authority", authority.map(Json.text)),
            ("scheme", scheme.map(Json.text)), ("port", port.map(Json.number)),
            ("derivePort", derivePort.map(Json.text)), ("redirectCode", code.map(Json.number)),
        ])
    }
}

extension Rewrite {
    fileprivate var json: Json {
        .members([
            ("uri", uri.map(Json.text)), ("authority", authority.map(Json.text)),
            (
                "uriRegexRewrite",
                regex.isEmpty ? nil : ["match": .text(regex[0]), "rewrite": .text(regex[1])]
            ),
        ])
    }
}

extension Cors {
    fileprivate var json: Json {
        .members([
            ("allowOrigins", .list(origins.map(\.json))), ("allowMethods", Json.texts(methods)),
            ("allowHeaders", Json.texts(headers)), ("exposeHeaders", Json.texts(exposed)),
            ("maxAge", maxAge.map(Json.text)), ("allowCredentials", credentials.map(Json.flag)),
            ("unmatchedPreflights", unmatchedPreflights.map(Json.text)),
        ])
    }
}

extension Rule {
    fileprivate var json: Json {
        var pairs: [(String, Json?)] = [
            ("match", matches.isEmpty ? nil : .list(matches.map(\.json))),
            ("rewrite", rewrite?.json), ("headers", operations.json), ("timeout", timeout.map(Json.text)),
            ("corsPolicy", cors?.json),
        ]
        switch action {
        case .route(let destinations): pairs.append(("route", .list(destinations.map(\.json))))
        case .redirect(let redirect): pairs.append(("redirect", redirect.json))
        case .direct(let status, let body):
            pairs.append(
                (
                    "directResponse",
                    .members([
                        ("status", .number(status)), ("body", body.map { ["string": .text($0)] }),
                    ])
                ))
        }
        return .members(pairs)
    }
}
