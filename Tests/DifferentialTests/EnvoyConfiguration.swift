// All of Envoy's configuration: listeners as Istio lays them down, the virtual hosts of a world, and its
// clusters.

/// `ports` are the listener ports of the world with those that are bound for them.
func envoyConfiguration(_ world: IstioWorld, ports: [Int: UInt16], abroad: UInt16) -> String {
    let hosts = world.isEdge ? world.gatewayHosts() : world.sidecarHosts()
    let listeners = ports.sorted { $0.key < $1.key }.map { port, bound -> Json in
        [
            "name": .text("listener.\(port)"), "address": address(Int(bound)),
            "filter_chains": [
                [
                    "filters": [
                        [
                            "name": "envoy.filters.network.http_connection_manager",
                            "typed_config": manager(world, port, hosts[port] ?? hosts[0] ?? []),
                        ]
                    ]
                ]
            ],
        ]
    }
    var endpoints = world.clusters
    endpoints["PassthroughCluster"] = [Int(abroad)]
    let clusters = endpoints.sorted { $0.key < $1.key }.map { name, ports -> Json in
        [
            "name": .text(name), "connect_timeout": "10s", "type": "STATIC",
            "load_assignment": [
                "cluster_name": .text(name),
                "endpoints": [["lb_endpoints": .list(ports.map { ["endpoint": ["address": address($0)]] })]],
            ],
        ]
    }
    let all: Json = ["static_resources": ["listeners": .list(listeners), "clusters": .list(clusters)]]
    return all.encoded
}

private func address(_ port: Int) -> Json {
    ["socket_address": ["address": "127.0.0.1", "port_value": .number(port)]]
}

private func manager(_ world: IstioWorld, _ port: Int, _ hosts: [Json]) -> Json {
    let prefix = "type.googleapis.com/envoy.extensions.filters."
    let normalization = world.proxy.spec["pathNormalization"]?.string ?? "BASE"
    let merges = normalization.hasSuffix("MERGE_SLASHES")
    let base: [(String, Json?)] = [
        ("@type", .text(prefix + "network.http_connection_manager.v3.HttpConnectionManager")),
        ("stat_prefix", "public"), ("codec_type", "AUTO"), ("use_remote_address", .flag(world.isEdge)),
        ("forward_client_cert_details", world.isEdge ? "SANITIZE_SET" : nil),
        ("server_name", world.isEdge ? "istio-envoy" : nil),
        ("normalize_path", .flag(normalization != "NONE")), ("merge_slashes", .flag(merges)),
        (
            "path_with_escaped_slashes_action",
            normalization.hasPrefix("DECODE") ? "UNESCAPE_AND_FORWARD" : "KEEP_UNCHANGED"
        ),
        ("http_protocol_options", ["accept_http_10": .flag(world.proxy.spec["http10"] != false)]),
        ("stream_idle_timeout", "0s"), ("proxy_100_continue", true),
        ("upgrade_configs", [["upgrade_type": "websocket"]]),
    ]
    let routes: Json = [
        "name": .text("\(port)"), "ignore_port_in_host_matching": true, "validate_clusters": false,
        "max_direct_response_body_size_bytes": 1_048_576, "virtual_hosts": .list(hosts),
    ]
    func filter(_ name: String, _ type: String) -> Json {
        [
            "name": .text("envoy.filters.http.\(name)"),
            "typed_config": ["@type": .text("\(prefix)http.\(name).v3.\(type)")],
        ]
    }
    let scripts = world.scripts.map { ["name": "envoy.lua", "typed_config": $0] as Json }
    return .members(
        base + [
            ("route_config", routes),
            ("http_filters", .list([filter("cors", "Cors")] + scripts + [filter("router", "Router")])),
        ])
}
