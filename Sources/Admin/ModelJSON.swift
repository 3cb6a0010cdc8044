// The configuration in force as JSON: /config, /listeners, /clusters. Routes and lanes have files of their
// own.
internal import Base
internal import Lanes
internal import Loop

enum ModelJSON {
    static func source(_ source: SourceRef, _ json: inout JSONWriter, key: String = "source") {
        json.object(key) {
            $0.member("document", source.document)
            $0.member("file", source.file)
            $0.member("line", source.line)
        }
    }

    // MARK: /config

    static func config(_ model: RoutingModel, _ json: inout JSONWriter) {
        json.object("proxy") { proxy(model.proxy, &$0) }
        if let policy = model.policy {
            json.object("lanePolicy") { lanePolicy(policy, &$0) }
        } else {
            json.member("lanePolicy", nil as String?)
        }
        json.object("counts") {
            $0.member("listeners", model.listeners.count)
            $0.member("routeTables", model.routeTables.count)
            $0.member("virtualHosts", model.routeTables.reduce(0) { $0 + $1.virtualHosts.count })
            $0.member(
                "routes",
                model.routeTables.reduce(0) { $0 + $1.virtualHosts.reduce(0) { $0 + $1.routes.count } })
            $0.member("clusters", model.clusters.count)
            $0.member("endpoints", model.clusters.reduce(0) { $0 + $1.endpoints.count })
            $0.member("lanes", model.lanes.count)
        }
    }

    private static func proxy(_ proxy: ProxyModel, _ json: inout JSONWriter) {
        json.member("name", proxy.name)
        json.member("namespace", proxy.namespace)
        json.member("role", proxy.isEdge ? "edge" : "sidecar")
        labels(proxy.labels, &json)
        json.member("pathNormalization", "\(proxy.pathNormalization)")
        json.member("http10", proxy.http10)
        json.member("shadowHostSuffix", proxy.shadowHostSuffix)
        json.member("outboundTrafficPolicy", proxy.allowAnyOutbound ? "ALLOW_ANY" : "REGISTRY_ONLY")
        json.member("lane", proxy.memberOfLane)
        if let compression = proxy.compression {
            json.object("compression") {
                $0.member("types", compression.types)
                $0.member("minBytes", compression.minBytes)
            }
        }
        json.object("timeoutsMs") {
            $0.member("requestHeader", proxy.requestHeaderTimeoutMs)
            $0.member("requestBodyIdle", proxy.requestBodyIdleTimeoutMs)
            $0.member("idle", proxy.idleTimeoutMs)
            $0.member("streamIdle", proxy.streamIdleTimeoutMs)
            $0.member("upstreamIdle", proxy.upstreamIdleTimeoutMs)
            $0.member("connect", proxy.connectTimeoutMs)
            $0.member("drain", proxy.drainTimeoutMs)
        }
        json.object("limits") {
            $0.member("headerBytes", proxy.headerBytes)
            $0.member("headerCount", proxy.headerCount)
            $0.member("connections", proxy.connections)
            $0.member("requests", proxy.requests)
            $0.member("memory", proxy.memoryBytes)
        }
        json.object("trust") {
            $0.member("hops", proxy.trustedHops)
            $0.member("cidrs", proxy.trustedCIDRs.map(text))
        }
        json.member("debugAllow", proxy.debugCIDRs.map(text))
        json.object("injectedRequestHeaders") { headers(proxy.injected, &$0) }
    }

    /// The secret is never shown, only that there is one.
    private static func lanePolicy(_ policy: LanePolicyModel, _ json: inout JSONWriter) {
        source(policy.source, &json)
        json.member("key", policy.key)
        json.member("accept", carriers(policy.accept))
        json.member("propagate", carriers(policy.propagate))
        if let pin = policy.pin {
            json.object("pin") {
                $0.member("domain", pin.domain)
                $0.member("path", pin.path)
                $0.member("maxAgeSeconds", pin.maxAgeSeconds)
                $0.member("httpOnly", pin.httpOnly)
                $0.member("secure", "\(pin.secure)")
                $0.member("sameSite", pin.sameSite)
            }
        } else {
            json.member("pin", nil as String?)
        }
        json.array("previewHosts") { list in
            for preview in policy.previewHosts {
                list.object {
                    $0.member("pattern", "\(preview.prefix){lane}\(preview.suffix)")
                    $0.member("host", preview.host)
                }
            }
        }
        json.member("stripQuery", policy.stripQuery)
        json.member("cache", "\(policy.cache)")
        json.member("onLoss", "\(policy.onLoss)")
        json.member("unknownLane", "\(policy.unknownLane)")
        json.member("guard", policy.guardStrip ? "strip" : "none")
        json.object("signing") {
            $0.member("hasSecret", policy.signingSecret != nil)
            $0.member("required", policy.signingRequired)
        }
    }

    private static func carriers(_ carriers: Carriers) -> [String] {
        [
            (carriers.query, "query"), (carriers.header, "header"), (carriers.cookie, "cookie"),
            (carriers.baggage, "baggage"), (carriers.tracestate, "tracestate"),
            (carriers.traceID, "traceId"),
        ].filter(\.0).map(\.1)
    }

    static func text(_ range: CIDR) -> String {
        let isIPv4 = range.prefixLength >= 96 && range.high == 0 && range.low >> 32 == 0xFFFF
        let address = SocketAddress(high: range.high, low: range.low, port: 0, isIPv4: isIPv4)
        let bare = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SocketAddress.textBytesMax) {
            ByteView($0.baseAddress!, address.writeAddress(to: $0.baseAddress!)).string
        }
        return "\(bare)/\(isIPv4 ? range.prefixLength - 96 : range.prefixLength)"
    }

    /// Members `remove`, `set`, `add`; nothing for an empty level.
    static func headers(_ operations: HeaderOperations, _ json: inout JSONWriter) {
        if !operations.remove.isEmpty { json.member("remove", operations.remove) }
        for (key, pairs) in [("set", operations.set), ("add", operations.add)] where !pairs.isEmpty {
            json.array(key) { list in
                for pair in pairs {
                    list.object {
                        $0.member("name", pair.name)
                        $0.member("value", pair.value)
                    }
                }
            }
        }
    }

    private static func labels(_ labels: [String: String], _ json: inout JSONWriter) {
        json.object("labels") {
            for (name, value) in labels.sorted(by: { $0.key < $1.key }) { $0.member(name, value) }
        }
    }

    // MARK: /listeners

    static func listeners(_ model: RoutingModel, _ json: inout JSONWriter) {
        json.array("listeners") { list in
            for listener in model.listeners {
                list.object {
                    $0.member("name", listener.name)
                    $0.member("role", "\(listener.role)")
                    $0.member("address", listener.address.text)
                    $0.array("routeTables") { tables in
                        for table in listener.tables {
                            tables.object {
                                if table.port != 0 { $0.member("port", table.port) }
                                $0.member("name", name(of: table.routeTable, in: model))
                            }
                        }
                    }
                    if listener.takesProxyHeader { $0.member("proxyProtocol", true) }
                    if let connections = listener.connections { servers(connections, &$0) }
                    if let tls = listener.tls { TLSJSON.listener(tls, model, &$0) }
                    source(listener.source, &$0)
                }
            }
        }
    }

    /// The servers of a TLS or TCP port, with what becomes of their connections.
    private static func servers(_ model: ConnectionsModel, _ json: inout JSONWriter) {
        json.member("protocol", model.isTLS ? "TLS" : "TCP")
        json.array("servers") { list in
            for server in model.servers {
                list.object {
                    $0.member("names", server.names)
                    switch server.action {
                    case .relay(let routes):
                        $0.array("relay") { list in
                            for route in routes { list.object { RouteJSON.connection(route, &$0) } }
                        }
                    case .terminate: $0.member("terminate", true)
                    }
                }
            }
        }
    }

    private static func name(of table: Int, in model: RoutingModel) -> String? {
        model.routeTables.indices.contains(table) ? model.routeTables[table].name : nil
    }

    // MARK: /clusters

    /// `nameState`: what is known of a name.
    static func clusters(
        _ model: RoutingModel, _ nameState: (String) -> NameState, _ json: inout JSONWriter
    ) {
        json.array("clusters") { list in
            for cluster in model.clusters {
                list.object {
                    self.cluster(cluster, model, &$0)
                    if !cluster.sources.isEmpty { NamesJSON.names(cluster, nameState, &$0) }
                }
            }
        }
    }

    private static func cluster(_ cluster: ClusterModel, _ model: RoutingModel, _ json: inout JSONWriter) {
        json.member("name", cluster.name)
        json.member("service", cluster.service)
        json.member("namespace", cluster.serviceNamespace)
        json.member("subset", cluster.subset.isEmpty ? nil : cluster.subset)
        json.member("port", cluster.port)
        json.member("loadBalancing", "\(cluster.loadBalancing)")
        json.member("connectTimeoutMs", cluster.connectTimeoutMs)
        json.member("protocol", "\(cluster.upstreamProtocol)")
        if cluster.resolution != .everyAddress || !cluster.sources.isEmpty {
            json.member("resolution", cluster.resolution.rawValue)
        }
        if let tls = cluster.tls { TLSJSON.cluster(tls, &json) }
        json.array("endpoints") { list in
            for (index, endpoint) in cluster.endpoints.enumerated() {
                list.object {
                    $0.member("address", endpoint.text)
                    if !endpoint.hostname.isEmpty { $0.member("hostname", endpoint.hostname) }
                    $0.member("weight", endpoint.weight)
                    $0.member("healthy", endpoint.healthy)
                    $0.member("workload", endpoint.workload.isEmpty ? nil : endpoint.workload)
                    $0.member("namespace", endpoint.namespace.isEmpty ? nil : endpoint.namespace)
                    labels(endpoint.labels, &$0)
                    $0.member("stable", cluster.stable.contains(index))
                    $0.member("lanes", lanes(of: index, cluster, model))
                }
            }
        }
    }

    private static func lanes(of endpoint: Int, _ cluster: ClusterModel, _ model: RoutingModel) -> [String] {
        cluster.laneMembers.filter { $0.endpoints.contains(endpoint) }
            .compactMap { model.lanes.indices.contains($0.lane) ? model.lanes[$0.lane].name : nil }
    }
}
