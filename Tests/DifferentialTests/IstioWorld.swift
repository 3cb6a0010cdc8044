// All documents of one run, and the virtual hosts that Istio's control plane makes of them for one proxy.

final class IstioWorld {
    let proxy: IstioObject
    let registry: IstioRegistry
    private let objects: [IstioObject]
    /// Those that are the proxy's, the oldest first.
    private let gateways: [IstioGateway]
    /// Visible to the proxy, in the order in which they count: what is private to its namespace, what is
    /// exported to it, what all see, each oldest first.
    let virtualServices: [IstioVirtualService]
    /// Ports of endpoints by the name of the cluster; what routes name beyond these does not exist.
    private(set) var clusters: [String: [Int]] = [:]
    private var asked: Set<String> = []
    private let namesByPort: Bool

    init(_ documents: [Json], namesByPort: Bool = false) {
        self.namesByPort = namesByPort
        objects = documents.map(IstioObject.init)
        let proxy = objects.first { $0.kind == "Proxy" } ?? IstioObject([:])
        self.proxy = proxy
        registry = IstioRegistry(objects, client: proxy)
        let all = objects.filter { $0.kind == "VirtualService" }.sorted(by: IstioObject.isOlder)
        let seen = all.filter { !$0.spec.items("hosts").isEmpty && $0.isVisible(from: proxy.namespace) }
        let api = IstioGatewayAPI(objects)
        let services = (seen.map { IstioVirtualService($0, among: all) } + api.virtualServices).sorted {
            IstioObject.isOlder($0.object, $1.object)
        }
        virtualServices = (0...2).flatMap { rank in
            services.map { ($0, $0.object) }.filter { _, object in
                (object.exportTo.contains("*") ? 2 : object.namespace == proxy.namespace ? 0 : 1) == rank
            }.map(\.0)
        }
        let selected = objects.filter { object in
            object.kind == "Gateway" && !object.isOfGatewayAPI
                && object.spec.texts("selector").allSatisfy { proxy.labels[$0.key] == $0.value }
        }
        gateways = (selected.map { IstioGateway($0) } + api.gateways).sorted {
            IstioObject.isOlder($0.object, $1.object)
        }
    }

    /// The configurations of Lua filters in front of the router; every EnvoyFilter of a run is one.
    var scripts: [Json] {
        objects.filter { $0.kind == "EnvoyFilter" }.flatMap { $0.spec.items("configPatches") }
            .compactMap { $0["patch"]?["value"]?["typed_config"] }
    }

    var isEdge: Bool { proxy.spec["role"] != "sidecar" }

    /// The name of a destination's cluster, which from then on exists if the destination does.
    func cluster(host: String, subset: String, port: Int) -> String {
        let name = "outbound|\(port)|\(subset)|\(host)"
        if asked.insert(name).inserted, let found = registry.endpoints(host: host, subset: subset, port: port)
        {
            clusters[name] = found.map(\.port)
        }
        return name
    }

    static func virtualHost(_ name: String, _ domains: [String], _ routes: [Json]) -> Json {
        [
            "name": .text(name), "domains": .list(domains.map(Json.text)),
            "include_request_attempt_count": true, "routes": .list(routes),
        ]
    }

    // MARK: gateway

    /// By port.
    func gatewayHosts() -> [Int: [Json]] {
        struct Host {
            var routes: [Json] = []
            var redirects = false
        }
        var hosts: [Int: [String: Host]] = [:]
        for gateway in gateways {
            let name = "\(gateway.object.namespace)/\(gateway.object.name)"
            for server in gateway.servers {
                var found = hosts[server.port] ?? [:]
                for service in virtualServices where service.gateways.contains(name) {
                    let own = server.hosts.filter { ["*", service.object.namespace].contains($0.namespace) }
                    let names = HostName.intersection(own.map(\.host), service.hosts)
                    let routes = RouteScope(gateway: name, port: server.port, world: self).routes(service)
                    if routes.isEmpty { continue }
                    for host in names {
                        found[host, default: Host()].routes += routes
                        if server.redirects { found[host]?.redirects = true }
                    }
                }
                if server.redirects {
                    for host in server.redirectHosts { found[host, default: Host()].redirects = true }
                }
                hosts[server.port] = found
            }
        }
        return hosts.mapValues { found in
            found.sorted { $0.key < $1.key }.map { name, host in
                // Routes that match everything stand behind the others of their host.
                let sorted =
                    host.routes.filter { !EnvoyRoute.matchesAll($0) }
                    + host.routes.filter(EnvoyRoute.matchesAll)
                return Self.virtualHost(name, [name], sorted)
                    .with([("require_tls", host.redirects ? "ALL" : nil)])
            }
        }
    }

    // MARK: sidecar

    /// By port; 0 stands for ports that no service has.
    func sidecarHosts() -> [Int: [Json]] {
        var result: [Int: [Json]] = [0: [unknownDestinations]]
        let named = sidecar?.spec.items("egress").compactMap { $0["port"]?["number"]?.int } ?? []
        for port in Set(registry.visible.flatMap { $0.ports.map(\.number) } + [80] + named) {
            let egress = EgressScope(sidecar, port, proxy, registry, virtualServices)
            result[port] = sidecarHosts(port, egress) + [unknownDestinations]
        }
        return result
    }

    /// What applies to the proxy: with its labels, of its namespace, of the root namespace.
    private var sidecar: IstioObject? {
        let all = objects.filter { $0.kind == "Sidecar" }.sorted(by: IstioObject.isOlder)
        let own = all.filter { $0.namespace == proxy.namespace }
        return own.first { sidecar in
            guard let selector = sidecar.spec["workloadSelector"]?.texts("labels") else { return false }
            return selector.allSatisfy { proxy.labels[$0.key] == $0.value }
        } ?? own.first { $0.spec["workloadSelector"] == nil }
            ?? all.first { $0.namespace == "istio-system" && $0.spec["workloadSelector"] == nil }
    }

    private var unknownDestinations: Json {
        let policy =
            sidecar?.spec["outboundTrafficPolicy"]?["mode"]?.string
            ?? proxy.spec["outboundTrafficPolicy"]?.string ?? "ALLOW_ANY"
        let isAllowed = policy != "REGISTRY_ONLY"
        let action: (String, Json) =
            isAllowed
            ? ("route", ["cluster": "PassthroughCluster", "timeout": "0s"])
            : ("direct_response", ["status": 502])
        return Self.virtualHost(
            isAllowed ? "allow_any" : "block_all", ["*"], [.members([("match", ["prefix": "/"]), action])])
    }

    private func sidecarHosts(_ port: Int, _ egress: EgressScope) -> [Json] {
        var left = egress.services.filter { $0.has(port) }
        var attached: [(service: IstioService, routes: [Json])] = []
        var wrappers: [(hosts: [String], services: [IstioService], routes: [Json])] = []
        for service in egress.virtualServices where service.gateways.contains("mesh") {
            let routes = RouteScope(gateway: "mesh", port: port, world: self).routes(service)
            if routes.isEmpty { continue }
            let here = egress.services.filter { $0.has(port) }
            var (hosts, services) = egress.split(
                service, left: here, known: namesByPort ? here : egress.services)
            if service.hasGatewaySemantics {
                // From the client's namespace or the service's.
                let own = service.object.namespace
                services.removeAll { $0.object.namespace != own && proxy.namespace != own }
                if services.isEmpty { continue }
            }
            let http = services.filter { $0.isHTTP(port) }
            // Names that no service has are known on port 80, and beside services on theirs.
            if http.isEmpty, port != 80 { continue }
            wrappers.append((hosts, http, routes))
            attached += http.map { ($0, routes) }
        }
        left.removeAll { service in attached.contains { $0.service.host == service.host } }
        for service in left where service.isHTTP(port) {
            let name = cluster(host: service.host, subset: "", port: port)
            let route: Json = [
                "match": ["prefix": "/"],
                "route": ["cluster": .text(name), "timeout": "0s", "retry_policy": EnvoyRoute.retries],
            ]
            wrappers.append(([], [service], [route]))
        }
        let known = Set(wrappers.flatMap { $0.services.map(\.host) })
        var taken: Set<String> = []
        var names: Set<String> = []
        var result: [Json] = []
        func add(_ host: String, _ domains: [String], _ routes: [Json]) {
            guard names.insert(host).inserted else { return }
            let free = domains.filter { taken.insert($0.lowercased()).inserted }
            if !free.isEmpty { result.append(Self.virtualHost("\(host):\(port)", free, routes)) }
        }
        for wrapper in wrappers {
            for host in wrapper.hosts { add(host, [host], wrapper.routes) }
            for service in wrapper.services { add(service.host, domains(service, known), wrapper.routes) }
        }
        return result
    }

    /// The Hosts by which the proxy's workload may call a service; short ones unless they are somebody's.
    private func domains(_ service: IstioService, _ known: Set<String>) -> [String] {
        var others = [service.host + "."]
        let parts = service.host.split(separator: ".").map(String.init)
        if service.host.hasSuffix(".svc.cluster.local"), parts.count == 5 {
            if parts[1] == proxy.namespace { others.append(parts[0]) }
            others += ["\(parts[0]).\(parts[1])", "\(parts[0]).\(parts[1]).svc"]
        }
        var domains = [service.host] + others.filter { !known.contains($0) }
        if service.isHeadless { domains += domains.map { "*." + $0 } }
        return domains + service.addresses
    }
}

/// What a Sidecar's `egress` lets a proxy see.
struct EgressScope {
    let services: [IstioService]
    let virtualServices: [IstioVirtualService]
    private let mostSpecific: [String: IstioObject]

    /// On one port: by the element for it, else by the one for all others, which may be missing.
    init(
        _ sidecar: IstioObject?, _ port: Int, _ proxy: IstioObject, _ registry: IstioRegistry,
        _ all: [IstioVirtualService]
    ) {
        let elements = sidecar?.spec.items("egress") ?? []
        let element = elements.first { $0["port"].map { $0["number"]?.int == port } ?? true }
        let texts = element?.strings("hosts") ?? []
        let entries = (elements.isEmpty ? ["*/*"] : texts).map { text in
            let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
            let isExcluded = parts[0].hasPrefix("~") && parts[0] != "~"
            let namespace = isExcluded ? String(parts[0].dropFirst()) : parts[0]
            return (
                isExcluded, namespace == "." ? proxy.namespace : namespace, parts.count > 1 ? parts[1] : ""
            )
        }
        func sees(_ host: String, _ namespace: String, _ matches: (String, String) -> Bool) -> Bool {
            let applying = entries.filter { $0.1 == "*" || $0.1 == namespace }
            if applying.contains(where: { $0.0 && HostName.isSubset(host, of: $0.2) }) { return false }
            return applying.contains { !$0.0 && matches(host, $0.2) }
        }
        var services: [IstioService] = []
        for service in registry.visible
        where sees(service.host, service.object.namespace, { HostName.isSubset($0, of: $1) })
            && registry.service(service.host)?.object.namespace == service.object.namespace
            && !services.contains(where: { $0.host == service.host })
            && (element?["port"] == nil || service.has(port))
        {
            services.append(service)
        }
        self.services = services
        virtualServices = all.filter { service in
            service.hosts.contains { sees($0, service.object.namespace, HostName.overlap) }
        }
        var index: [String: IstioObject] = [:]
        for service in services {
            let bound = virtualServices.filter { $0.gateways.contains("mesh") }
            guard let name = HostName.mostSpecific(service.host, among: bound.flatMap(\.hosts)) else {
                continue
            }
            index[service.host] = bound.first { $0.hosts.contains(name) }?.object
        }
        mostSpecific = index
    }

    /// The hosts of a VirtualService that are none of the known services', and the services it is for.
    func split(_ service: IstioVirtualService, left: [IstioService], known: [IstioService])
        -> ([String], [IstioService])
    {
        var hosts: [String] = []
        var services: [IstioService] = []
        for host in service.hosts where !HostName.isWildcard(host) {
            if let found = left.first(where: { $0.host == host }) {
                services.append(found)
            } else if !known.contains(where: { $0.host == host }) {
                hosts.append(host)
            }
        }
        for host in service.hosts where HostName.isWildcard(host) {
            // Known on any port is known: README.md has Istio's own view.
            if !known.contains(where: { HostName.overlap($0.host, host) }) { hosts.append(host) }
            let covered = left.filter { HostName.overlap($0.host, host) }
            services += covered.filter { candidate in
                let owner = mostSpecific[candidate.host]
                return owner?.name == service.object.name && owner?.namespace == service.object.namespace
            }
        }
        return (hosts, services)
    }
}
