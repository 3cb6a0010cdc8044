// Sites as Istio's control plane writes them for Envoy: written from istio-semantics' account of route.go and
// of nothing in Fairlead, so that both cannot be wrong in the same way.

/// One element of `match` is one route. A match on nothing but the path `/` ends the list, and routes that
/// match all stand behind the others of their host, as at every gateway.
private func virtualHost(_ name: String, _ site: Site) -> Json {
    var routes: [(matchesAll: Bool, json: Json)] = []
    rules: for rule in site.rules {
        if rule.matches.isEmpty {
            routes.append((true, route(rule, Match())))
            break
        }
        for match in rule.matches where match.port == nil || match.port == 80 {
            routes.append((match.isOnly([nil, .prefix("/"), .regex(".*")]), route(rule, match)))
            if match.port == nil, match.isOnly([.prefix("/"), .regex(".*")]) { break rules }
        }
    }
    let sorted = routes.filter { !$0.matchesAll } + routes.filter(\.matchesAll)
    return [
        "name": .text(name + ":80"), "domains": .list([.text(name), .text("*." + name)]),
        "include_request_attempt_count": true, "routes": .list(sorted.map(\.json)),
    ]
}

private func route(_ rule: Rule, _ match: Match) -> Json {
    var operations = [rule.operations]
    var pairs: [(String, Json?)] = [("match", match.envoy)]
    switch rule.action {
    case .route(let destinations):
        if destinations.count == 1 { operations.append(destinations[0].operations) }
        pairs.append(("route", forwarding(rule, destinations)))
    case .redirect(let redirect): pairs.append(("redirect", redirect.envoy))
    case .direct(let status, let body):
        pairs.append(
            (
                "direct_response",
                .members([
                    ("status", .number(status)), ("body", body.map { ["inline_string": .text($0)] }),
                ])
            ))
    }
    if let cors = rule.cors {
        pairs.append(("typed_per_filter_config", ["envoy.filters.http.cors": cors.envoy]))
    }
    return .members(pairs + headerEdits(operations))
}

private func forwarding(_ rule: Rule, _ destinations: [Destination]) -> Json {
    var pairs: [(String, Json?)] = [
        ("timeout", .text(rule.timeout ?? "0s")),
        ("prefix_rewrite", rule.rewrite?.uri.map(Json.text)),
        ("host_rewrite_literal", rule.rewrite?.authority.map(Json.text)),
        (
            "retry_policy",
            ["retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2]
        ),
    ]
    if let regex = rule.rewrite?.regex, !regex.isEmpty {
        pairs.append(
            ("regex_rewrite", ["pattern": ["regex": .text(regex[0])], "substitution": .text(regex[1])]))
    }
    if destinations.count == 1 {
        pairs.append(("cluster", .text(destinations[0].subset)))
    } else {
        let clusters = destinations.filter { ($0.weight ?? 0) > 0 }.map { destination in
            Json.members(
                [("name", .text(destination.subset)), ("weight", destination.weight.map(Json.number))]
                    + headerEdits([destination.operations]))
        }
        pairs.append(("weighted_clusters", ["clusters": .list(clusters)]))
    }
    return .members(pairs)
}

/// Several levels become one: removes, sets and adds of each, one after the other.
private func headerEdits(_ operations: [Operations]) -> [(String, Json?)] {
    func adds(_ edits: [Edits]) -> Json? {
        let items = edits.flatMap { edit in
            edit.set.sorted { $0.key < $1.key }.map { header($0, "OVERWRITE_IF_EXISTS_OR_ADD") }
                + edit.add.sorted { $0.key < $1.key }.map { header($0, "APPEND_IF_EXISTS_OR_ADD") }
        }
        return items.isEmpty ? nil : .list(items)
    }
    func header(_ pair: (key: String, value: String), _ action: String) -> Json {
        [
            "header": ["key": .text(pair.key), "value": .text(pair.value)],
            "append_action": .text(action),
        ]
    }
    return [
        ("request_headers_to_add", adds(operations.map(\.request))),
        ("request_headers_to_remove", Json.texts(operations.flatMap(\.request.remove))),
        ("response_headers_to_add", adds(operations.map(\.response))),
        ("response_headers_to_remove", Json.texts(operations.flatMap(\.response.remove))),
    ]
}

extension Text {
    fileprivate var isPresence: Bool { self == .present || self == .regex("*") }

    fileprivate var envoy: Json {
        switch self {
        case .exact(let value): ["exact": .text(value)]
        case .prefix(let value): ["prefix": .text(value)]
        case .regex(let value): ["safe_regex": ["regex": .text(value)]]
        case .present: [:]
        }
    }

    /// As a condition on what has that name.
    fileprivate func condition(_ name: String, inverted: Bool = false) -> Json {
        let base: Json = ["name": .text(name)]
        let inversion: Json? = inverted ? true : nil
        if isPresence { return base.with([("present_match", true), ("invert_match", inversion)]) }
        return base.with([
            ("string_match", envoy), ("invert_match", inversion),
            ("treat_missing_header_as_empty", inversion),
        ])
    }
}

extension Match {
    /// Whether the path's is the only condition, and one of these.
    fileprivate func isOnly(_ paths: [Text?]) -> Bool {
        paths.contains(uri) && method == nil && authority == nil && scheme == nil && headers.isEmpty
            && withoutHeaders.isEmpty && queryParams.isEmpty
    }

    fileprivate var envoy: Json {
        let path: (String, Json?) =
            switch uri {
            case .exact(let value): ("path", .text(value))
            case .prefix(let value): ("prefix", .text(value))
            case .regex(let value): ("safe_regex", ["regex": .text(value)])
            case .present, nil: ("prefix", "/")
            }
        var conditions = headers.sorted { $0.key < $1.key }.map { $0.value.condition($0.key) }
        conditions += withoutHeaders.sorted { $0.key < $1.key }
            .map { $0.value.condition($0.key, inverted: true) }
        for (name, text) in [(":method", method), (":authority", authority), (":scheme", scheme)] {
            if let text { conditions.append(text.condition(name)) }
        }
        let query = queryParams.sorted { $0.key < $1.key }.map { $0.value.condition($0.key) }
        return .members([
            path, ("case_sensitive", ignoreUriCase ? false : nil),
            ("headers", conditions.isEmpty ? nil : .list(conditions)),
            ("query_parameters", query.isEmpty ? nil : .list(query)),
        ])
    }
}

extension Redirect {
    fileprivate var envoy: Json {
        let codes = [
            302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT",
        ]
        var port = port
        if derivePort == "FROM_REQUEST_PORT" { port = 80 }
        // A default port is never written.
        if port == ((scheme ?? "http") == "https" ? 443 : 80) { port = nil }
        return .members([
            ("path_redirect", uri.map(Json.text)), ("host_redirect", authority.map(Json.text)),
            ("scheme_redirect", scheme.map(Json.text)), ("port_redirect", port.map(Json.number)),
            ("response_code", code.flatMap { codes[$0] }.map(Json.text)),
        ])
    }
}

extension Cors {
    fileprivate var envoy: Json {
        func joined(_ values: [String]) -> Json? {
            values.isEmpty ? nil : .text(values.joined(separator: ","))
        }
        return .members([
            ("@type", "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"),
            ("allow_origin_string_match", .list(origins.map(\.envoy))),
            ("allow_methods", joined(methods)), ("allow_headers", joined(headers)),
            ("expose_headers", joined(exposed)),
            ("max_age", maxAge.map { .text(String($0.dropLast())) }),
            ("allow_credentials", credentials.map(Json.flag)),
            ("forward_not_matching_preflights", .flag(unmatchedPreflights != "IGNORE")),
            (
                "filter_enabled",
                ["default_value": ["numerator": 100, "denominator": "HUNDRED"]]
            ),
        ])
    }
}

/// All of Envoy: one listener as Istio's gateway has it, and a cluster per subset.
func envoyConfiguration(
    _ sites: [(name: String, site: Site)], port: UInt16, endpoints: [String: UInt16], script: String? = nil
) -> String {
    let hosts = sites.map { name, site in virtualHost(name, site).named(name) }
    let prefix = "type.googleapis.com/envoy.extensions.filters."
    let manager: Json = [
        "@type": .text(prefix + "network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "public", "codec_type": "AUTO", "use_remote_address": true,
        "forward_client_cert_details": "SANITIZE_SET", "server_name": "istio-envoy",
        "normalize_path": true, "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s", "proxy_100_continue": true,
        "upgrade_configs": [["upgrade_type": "websocket"]],
        "route_config": [
            "name": "http.80", "ignore_port_in_host_matching": true, "validate_clusters": false,
            "max_direct_response_body_size_bytes": 1_048_576, "virtual_hosts": .list(hosts),
        ],
        "http_filters": .list(filters(prefix, script)),
    ]
    let clusters = (subsets + ["empty"]).map { subset -> Json in
        let places = endpoints[subset].map { [["endpoint": ["address": address($0)]]] as [Json] } ?? []
        return [
            "name": .text(subset), "connect_timeout": "10s", "type": "STATIC",
            "load_assignment": [
                "cluster_name": .text(subset), "endpoints": [["lb_endpoints": .list(places)]],
            ],
        ]
    }
    let all: Json = [
        "static_resources": [
            "listeners": [
                [
                    "name": "http.80", "address": address(port),
                    "filter_chains": [
                        [
                            "filters": [
                                [
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                ]
                            ]
                        ]
                    ],
                ]
            ],
            "clusters": .list(clusters),
        ]
    ]
    return all.encoded
}

private func filters(_ prefix: String, _ script: String?) -> [Json] {
    let cors: Json = [
        "name": "envoy.filters.http.cors", "typed_config": ["@type": .text(prefix + "http.cors.v3.Cors")],
    ]
    let router: Json = [
        "name": "envoy.filters.http.router",
        "typed_config": ["@type": .text(prefix + "http.router.v3.Router")],
    ]
    let naming = "function cluster(name) return name end\n"
    let lua = script.map { ["name": "envoy.lua", "typed_config": luaConfiguration(naming + $0)] as Json }
    return [cors] + (lua.map { [$0] } ?? []) + [router]
}

private func address(_ port: UInt16) -> Json {
    ["socket_address": ["address": "127.0.0.1", "port_value": .number(Int(port))]]
}
