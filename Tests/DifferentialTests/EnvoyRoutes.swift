// One entry of a VirtualService as Istio's control plane writes it for Envoy: conditions, actions, header
// operations.

/// Where routes are for: a gateway's server, or the mesh on a port.
struct RouteScope {
    /// `namespace/name` or `mesh`.
    var gateway: String
    var port: Int
    var world: IstioWorld
}

extension RouteScope {
    /// The routes of a VirtualService here; none where no condition on the place itself holds.
    func routes(_ service: IstioVirtualService) -> [Json] {
        var routes: [Json] = []
        for entry in service.http {
            let matches = entry.items("match")
            if matches.isEmpty {
                if let route = route(entry, nil, service) { routes.append(route) }
                break
            }
            for match in matches where applies(match) {
                guard let route = route(entry, match, service) else { continue }
                routes.append(route)
                // What matches everything ends the list.
                if EnvoyRoute.matchesAll(route) { return routes }
            }
        }
        return routes
    }

    /// Conditions on the proxy rather than the request.
    private func applies(_ match: Json) -> Bool {
        if let wanted = match["port"]?.int, wanted != port { return false }
        let gateways = match.strings("gateways")
        if !gateways.isEmpty { return gateways.contains(gateway) }
        let labels = match.texts("sourceLabels")
        guard labels.allSatisfy({ world.proxy.labels[$0.key] == $0.value }) else { return false }
        let namespace = match.string("sourceNamespace")
        return namespace.isEmpty || namespace == world.proxy.namespace
    }

    private func route(_ entry: Json, _ match: Json?, _ service: IstioVirtualService) -> Json? {
        let own = HeaderEdits(entry["headers"])
        var edits = own
        var action: (String, Json?)
        if let redirect = entry["redirect"] {
            action = ("redirect", EnvoyRoute.redirect(redirect, port: port))
        } else if let direct = entry["directResponse"] {
            action = ("direct_response", EnvoyRoute.direct(direct))
        } else {
            let destinations = entry.items("route")
            if destinations.count == 1 { edits.append(HeaderEdits(destinations[0]["headers"])) }
            var forwarding = forwarding(entry, destinations, own.authority)
            if service.hasGatewaySemantics { forwarding = EnvoyRoute.withGatewaySemantics(forwarding, match) }
            action = ("route", forwarding)
        }
        let names = [entry.string("name"), match?.string("name") ?? ""]
        let name = names[1].isEmpty ? names[0] : "\(names[0]).\(names[1])"
        var pairs: [(String, Json?)] = [
            ("name", .text(name)),
            ("match", EnvoyRoute.match(match ?? [:], bySegments: service.hasGatewaySemantics)), action,
        ]
        if let cors = entry["corsPolicy"] {
            pairs.append(("typed_per_filter_config", ["envoy.filters.http.cors": EnvoyRoute.cors(cors)]))
        }
        return .members(pairs + edits.pairs)
    }

    private func forwarding(_ entry: Json, _ destinations: [Json], _ ownAuthority: String?) -> Json {
        let rewrite = entry["rewrite"] ?? [:]
        var authority = rewrite["authority"]?.string ?? ownAuthority
        var pairs: [(String, Json?)] = [
            ("timeout", .text(EnvoyRoute.seconds(entry["timeout"]?.string ?? "0s"))),
            ("retry_policy", entry["retries"]?["attempts"] == 0 ? nil : EnvoyRoute.retries),
        ]
        if let regex = rewrite["uriRegexRewrite"] {
            pairs.append(
                (
                    "regex_rewrite",
                    [
                        "pattern": ["regex": .text(regex.string("match"))],
                        "substitution": .text(regex.string("rewrite")),
                    ]
                ))
        } else if !rewrite.string("uri").isEmpty {
            pairs.append(("prefix_rewrite", .text(rewrite.string("uri"))))
        }
        if destinations.count == 1 {
            authority = authority ?? HeaderEdits(destinations[0]["headers"]).authority
            pairs.append(("cluster", .text(cluster(destinations[0]))))
        } else {
            let clusters = destinations.filter { ($0["weight"]?.int ?? 0) > 0 }.map { destination in
                let edits = HeaderEdits(destination["headers"])
                return Json.members(
                    [
                        ("name", .text(cluster(destination))), ("weight", destination["weight"]),
                        ("host_rewrite_literal", edits.authority.map(Json.text)),
                    ] + edits.pairs)
            }
            pairs.append(("weighted_clusters", ["clusters": .list(clusters)]))
        }
        pairs.append(("host_rewrite_literal", authority.map(Json.text)))
        return .members(pairs)
    }

    private func cluster(_ item: Json) -> String {
        let destination = item["destination"] ?? [:]
        let host = destination.string("host")
        let service = world.registry.service(host)
        var number = destination["port"]?["number"]?.int
        // In the mesh services have their listener's port alone.
        if number == nil, gateway != "mesh", let ports = service?.ports, ports.count == 1 {
            number = ports[0].number
        }
        return world.cluster(host: host, subset: destination.string("subset"), port: number ?? port)
    }
}

/// Header operations of one or more levels as Envoy's four lists.
struct HeaderEdits {
    private var request: (add: [Json], remove: [String]) = ([], [])
    private var response: (add: [Json], remove: [String]) = ([], [])
    /// What `host` or `:authority` is set to: a rewrite, no operation.
    private(set) var authority: String?

    init(_ headers: Json?) {
        guard let headers else { return }
        (request, authority) = Self.read(headers["request"])
        (response, _) = Self.read(headers["response"])
    }

    private static func isInternal(_ name: String) -> Bool {
        name.hasPrefix(":") || name.lowercased() == "host"
    }

    private static func read(_ edits: Json?) -> ((add: [Json], remove: [String]), String?) {
        guard let edits else { return (([], []), nil) }
        var all: [Json] = []
        var authority: String?
        for (key, action) in [("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD")] {
            for (name, value) in edits.texts(key).sorted(by: { $0.key < $1.key }) {
                if [":authority", "host"].contains(name.lowercased()) { authority = authority ?? value }
                if isInternal(name) { continue }
                all.append([
                    "header": ["key": .text(name), "value": .text(value)], "append_action": .text(action),
                ])
            }
        }
        return ((all, edits.strings("remove").filter { !isInternal($0) }), authority)
    }

    /// Several levels become one: one after the other.
    mutating func append(_ other: HeaderEdits) {
        request.add += other.request.add
        request.remove += other.request.remove
        response.add += other.response.add
        response.remove += other.response.remove
    }

    var pairs: [(String, Json?)] {
        [
            ("request_headers_to_add", request.add.isEmpty ? nil : .list(request.add)),
            ("request_headers_to_remove", Json.texts(request.remove)),
            ("response_headers_to_add", response.add.isEmpty ? nil : .list(response.add)),
            ("response_headers_to_remove", Json.texts(response.remove)),
        ]
    }
}

/// Parts of routes that depend on nothing but what was written.
enum EnvoyRoute {
    static let retries: Json = [
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2,
    ]

    /// The path `/` or all paths, and no other condition.
    static func matchesAll(_ route: Json) -> Bool {
        let match = route["match"] ?? [:]
        return (match["prefix"] == "/" || match["safe_regex"] == ["regex": ".*"])
            && match["headers"] == nil && match["query_parameters"] == nil
    }

    /// What forwarding is besides for a route of the Gateway API.
    static func withGatewaySemantics(_ forwarding: Json, _ match: Json?) -> Json {
        let forwarding = forwarding.with([("cluster_not_found_response_code", "INTERNAL_SERVER_ERROR")])
        guard forwarding["prefix_rewrite"] == "/" else { return forwarding }
        // The prefix is taken away, but for the slash of the root.
        let prefix = match?["uri"]?["prefix"]?.string ?? "/"
        let literal = segments(prefix).map { $0.isLetter || $0.isNumber ? "\($0)" : "\\\($0)" }.joined()
        return forwarding.setting("prefix_rewrite", nil).with([
            ("regex_rewrite", ["pattern": ["regex": .text("^\(literal)(/?)(.*)")], "substitution": "/\\2"])
        ])
    }

    /// A prefix without its last slash; the root's is nothing.
    private static func segments(_ prefix: String) -> Substring {
        prefix.hasSuffix("/") ? prefix.dropLast() : prefix[...]
    }

    static func match(_ match: Json, bySegments: Bool) -> Json {
        var path: (String, Json?) = ("prefix", "/")
        if let uri = match["uri"] {
            if let value = uri["exact"] { path = ("path", value) }
            if let value = uri["prefix"]?.string {
                path =
                    bySegments && value != "/"
                    ? ("path_separated_prefix", .text(String(segments(value)))) : ("prefix", .text(value))
            }
            if let value = uri["regex"] { path = ("safe_regex", ["regex": value]) }
        }
        var conditions = named(match, "headers").map { condition($0.name, $0.value) }
        conditions += named(match, "withoutHeaders").map { condition($0.name, $0.value, inverted: true) }
        for name in ["method", "authority", "scheme"] {
            if let text = match[name] { conditions.append(condition(":" + name, text)) }
        }
        let query = named(match, "queryParams").map { condition($0.name, $0.value) }
        return .members([
            path, ("case_sensitive", match["ignoreUriCase"]?.isTrue ?? false ? false : nil),
            ("headers", conditions.isEmpty ? nil : .list(conditions)),
            ("query_parameters", query.isEmpty ? nil : .list(query)),
        ])
    }

    private static func named(_ match: Json, _ key: String) -> [Json.Member] {
        (match[key]?.members ?? []).sorted { $0.name < $1.name }
    }

    private static func condition(_ name: String, _ text: Json, inverted: Bool = false) -> Json {
        let base: Json = ["name": .text(name)]
        let inversion: Json? = inverted ? true : nil
        guard let matcher = string(text), text["regex"] != "*" else {
            return base.with([("present_match", true), ("invert_match", inversion)])
        }
        return base.with([
            ("string_match", matcher), ("invert_match", inversion),
            ("treat_missing_header_as_empty", inversion),
        ])
    }

    private static func string(_ text: Json) -> Json? {
        if let value = text["exact"] { return ["exact": value] }
        if let value = text["prefix"] { return ["prefix": value] }
        if let value = text["regex"] { return ["safe_regex": ["regex": value]] }
        return nil
    }

    static func redirect(_ redirect: Json, port listener: Int) -> Json {
        let codes = [
            302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT",
        ]
        var port = redirect["port"]?.int
        if redirect["derivePort"] == "FROM_REQUEST_PORT" { port = listener }
        // A scheme's own port is never written.
        if port == (redirect["scheme"] == "https" ? 443 : 80) { port = nil }
        return .members([
            ("path_redirect", redirect["prefixRewrite"] == nil ? redirect["uri"] : nil),
            ("prefix_rewrite", redirect["prefixRewrite"]), ("host_redirect", redirect["authority"]),
            ("scheme_redirect", redirect["scheme"]), ("port_redirect", port.map(Json.number)),
            ("response_code", redirect["redirectCode"]?.int.flatMap { codes[$0] }.map(Json.text)),
        ])
    }

    static func direct(_ direct: Json) -> Json {
        var body: Json?
        if let text = direct["body"]?["string"] { body = ["inline_string": text] }
        if let bytes = direct["body"]?["bytes"] { body = ["inline_bytes": bytes] }
        return .members([("status", direct["status"]), ("body", body)])
    }

    static func cors(_ cors: Json) -> Json {
        func joined(_ name: String) -> Json? {
            let values = cors.strings(name)
            return values.isEmpty ? nil : .text(values.joined(separator: ","))
        }
        return .members([
            ("@type", "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"),
            ("allow_origin_string_match", .list(cors.items("allowOrigins").compactMap(string))),
            ("allow_methods", joined("allowMethods")), ("allow_headers", joined("allowHeaders")),
            ("expose_headers", joined("exposeHeaders")),
            ("max_age", cors["maxAge"]?.string.map { .text(String(seconds($0).dropLast())) }),
            ("allow_credentials", cors["allowCredentials"]),
            ("forward_not_matching_preflights", .flag(cors["unmatchedPreflights"] != "IGNORE")),
            ("filter_enabled", ["default_value": ["numerator": 100, "denominator": "HUNDRED"]]),
        ])
    }

    /// A duration in whole hours, minutes or seconds, in seconds.
    static func seconds(_ text: String) -> String {
        let factor = text.hasSuffix("h") ? 3_600 : text.hasSuffix("m") ? 60 : 1
        return "\((Int(text.dropLast()) ?? 0) * factor)s"
    }
}
