// /routes: every table, virtual host and route in the order they are tried.
internal import Base
internal import Lanes

enum RouteJSON {
    static func tables(_ model: RoutingModel, _ json: inout JSONWriter) {
        json.array("routeTables") { list in
            for table in model.routeTables {
                list.object {
                    $0.member("name", table.name)
                    $0.array("virtualHosts") { hosts in
                        for host in table.virtualHosts { hosts.object { virtualHost(host, &$0) } }
                    }
                }
            }
        }
    }

    private static func virtualHost(_ host: VirtualHostModel, _ json: inout JSONWriter) {
        json.member("name", host.name)
        json.member("domains", host.domains)
        if host.httpsRedirect { json.member("httpsRedirect", true) }
        json.array("routes") { list in
            for route in host.routes { list.object { self.route(route, &$0) } }
        }
    }

    private static func route(_ route: RouteModel, _ json: inout JSONWriter) {
        json.member("name", route.name)
        ModelJSON.source(route.source, &json)
        json.object("match") { match(route.match, &$0) }
        action(route.action, &json)
        if let rewrite = route.rewrite {
            json.object("rewrite") {
                if let uri = rewrite.uri { $0.member(rewrite.replacesPath ? "path" : "uri", uri) }
                if let regex = rewrite.uriRegex {
                    $0.object("uriRegex") {
                        $0.member("match", regex.match)
                        $0.member("rewrite", regex.rewrite)
                    }
                }
                if let authority = rewrite.authority { $0.member("authority", authority) }
            }
        }
        headers("requestHeaders", route.requestHeaders, &json)
        headers("responseHeaders", route.responseHeaders, &json)
        if let cors = route.cors { json.object("cors") { self.cors(cors, &$0) } }
        if route.timeoutMs != 0 { json.member("timeoutMs", route.timeoutMs) }
        let retries = [route.connectRetries, route.refusedRetries]
        let isDefault = retries.allSatisfy { $0 == Limits.retriesByDefault }
        if case .forward = route.action, !isDefault {
            json.object("retries") {
                $0.member("connectFailure", route.connectRetries)
                $0.member("refusedStream", route.refusedRetries)
            }
        }
    }

    /// A route of connections.
    static func connection(_ route: ConnectionRouteModel, _ json: inout JSONWriter) {
        ModelJSON.source(route.route.source, &json)
        if !route.destinationSubnets.isEmpty {
            json.member("destinationSubnets", route.destinationSubnets.map(ModelJSON.text))
        }
        action(route.route.action, &json)
    }

    private static func headers(_ key: String, _ operations: HeaderOperations, _ json: inout JSONWriter) {
        if !operations.isEmpty { json.object(key) { ModelJSON.headers(operations, &$0) } }
    }

    private static func cors(_ cors: CORSModel, _ json: inout JSONWriter) {
        json.array("allowOrigins") { list in
            for origin in cors.allowOrigins { list.object { text("origin", origin, &$0) } }
        }
        json.member("allowMethods", cors.allowMethods)
        json.member("allowHeaders", cors.allowHeaders)
        json.member("exposeHeaders", cors.exposeHeaders)
        if let seconds = cors.maxAgeSeconds { json.member("maxAgeSeconds", seconds) }
        json.member("allowCredentials", cors.allowCredentials)
        json.member("answersUnmatched", cors.answersUnmatched)
    }

    private static func match(_ match: MatchModel, _ json: inout JSONWriter) {
        if let uri = match.uri { text("uri", uri, &json) }
        if match.ignoreUriCase { json.member("ignoreUriCase", true) }
        if match.uriPrefixBySegment { json.member("uriPrefixBySegment", true) }
        if let method = match.method { text("method", method, &json) }
        if let authority = match.authority { text("authority", authority, &json) }
        if let scheme = match.scheme { text("scheme", scheme, &json) }
        named("headers", match.headers.filter { !$0.inverted }, &json)
        named("withoutHeaders", match.headers.filter(\.inverted), &json)
        named("queryParams", match.queryParams, &json)
    }

    private static func named(_ key: String, _ matches: [NamedMatch], _ json: inout JSONWriter) {
        if matches.isEmpty { return }
        json.array(key) { list in
            for match in matches {
                list.object {
                    $0.member("name", match.name)
                    text("match", match.match, &$0)
                }
            }
        }
    }

    private static func text(_ key: String, _ match: StringMatch, _ json: inout JSONWriter) {
        json.object(key) {
            switch match {
            case .exact(let value): $0.member("exact", value)
            case .prefix(let value): $0.member("prefix", value)
            case .regex(let value): $0.member("regex", value)
            case .present: $0.member("present", true)
            }
        }
    }

    private static func action(_ action: ActionModel, _ json: inout JSONWriter) {
        switch action {
        case .forward(let targets):
            json.array("forward") { list in
                for target in targets {
                    list.object {
                        $0.member("cluster", target.clusterName)
                        $0.member("known", target.cluster != nil)
                        $0.member("weight", target.weight)
                        headers("requestHeaders", target.requestHeaders, &$0)
                        headers("responseHeaders", target.responseHeaders, &$0)
                    }
                }
            }
        case .redirect(let redirect):
            json.object("redirect") {
                $0.member("code", redirect.code)
                if let scheme = redirect.scheme { $0.member("scheme", scheme) }
                if let authority = redirect.authority { $0.member("authority", authority) }
                if let port = redirect.port { $0.member("port", port) }
                if redirect.portFromRequest { $0.member("portFromRequest", true) }
                if let uri = redirect.uri { $0.member("uri", uri) }
                if let prefix = redirect.prefixRewrite { $0.member("prefixRewrite", prefix) }
            }
        case .direct(let status, let body):
            json.object("direct") {
                $0.member("status", status)
                $0.member("bodyBytes", body.count)
            }
        case .passthrough: json.member("passthrough", true)
        case .blocked: json.member("blocked", true)
        }
    }
}
