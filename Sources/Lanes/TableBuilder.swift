// Freezes a `RoutingModel`: proxy settings, listeners, clusters, lanes and the policy. Routes are in
// `RouteFreezing`. Runs once per configuration, off the request path.
internal import Base
internal import CRE2
internal import Lua
internal import TLS

struct TableBuilder {
    let model: RoutingModel
    let registry: Registry
    let arena: Arena
    /// Held in the registry for the snapshot's life.
    private(set) var endpoints: [EndpointKey] = []
    private(set) var acceptors: [Int: TLSAcceptor] = [:]
    var endpointIDs: [EndpointKey: Registry.EndpointID] = [:]
    private let patterns = PatternStore()
    /// Room for all clusters, which are frozen last: routes only need to know where each will be.
    private(set) var clusters = Frozen<Cluster>.empty
    private var lastService: (service: String, namespace: String, labels: DestinationLabels, id: UInt32)?
    /// Header operations that were frozen last.
    var lastRequestLevel: (operations: HeaderOperations, levels: Frozen<HeaderLevel>)?
    var lastResponseLevel: (operations: HeaderOperations, levels: Frozen<HeaderLevel>)?
    /// What follows the name in a pin that needs no signature; nil: there is none.
    private(set) var pinTail: String?

    /// `chunkBytes`: of its arena.
    init(_ model: RoutingModel, _ registry: Registry, chunkBytes: Int = 65_536) {
        arena = Arena(chunkBytes: chunkBytes)
        self.model = model
        self.registry = registry
        let patterns = patterns
        arena.whenFreed { patterns.free() }
        if let policy = model.policy, let pin = policy.pin, !policy.signingRequired {
            pinTail =
                pin.attributes(maxAge: pin.maxAgeSeconds) + (pin.secure == .always ? "; Secure" : "")
        }
    }

    mutating func build(_ generation: UInt64) throws(TableError) -> UnsafePointer<Table> {
        // Everything that can fail comes before endpoints are held.
        let policy = try freezePolicy()
        let injected = try freezeLevel(model.proxy.injected, isRequest: true)
        acceptors = try Self.acceptors(model)
        let room = arena.allocate(Cluster.self, count: model.clusters.count)
        clusters = Frozen(start: UnsafePointer(room), count: model.clusters.count)
        let hosts = try freezeRouteTables()
        let scripts = freezeScripts()
        var listeners: [Listener] = []
        for (index, listener) in model.listeners.enumerated() {
            listeners.append(try freeze(listener, index: index, hosts, scripts))
        }
        holdEndpoints()
        freezeClusters(room)
        return UnsafePointer(arena.store(freezeTable(generation, policy, injected, listeners, scripts)))
    }

    private mutating func freezeTable(
        _ generation: UInt64, _ policy: UnsafePointer<LanePolicy>?, _ injected: HeaderLevel,
        _ listeners: [Listener], _ scripts: Frozen<ScriptFilter>
    ) -> Table {
        let unknown = DestinationLabels()
        var passthrough = unknown
        passthrough.serviceName = "PassthroughCluster"
        var blackHole = unknown
        blackHole.serviceName = "BlackHoleCluster"
        let lanes = arena.store(model.lanes.enumerated().map { freeze($1, index: $0) })
        let names = (0..<lanes.count).map { (lanes[$0].pointee.name, UInt32($0)) }
        return Table(
            generation: generation, proxy: freezeProxy(),
            listeners: arena.store(listeners),
            clusters: clusters, policy: policy, lanes: lanes, scripts: scripts,
            unknownLabelsID: registry.labelsID(unknown),
            passthroughLabelsID: registry.labelsID(passthrough),
            blackHoleLabelsID: registry.labelsID(blackHole), laneIndex: ByteTable(names, arena),
            memberLines: laneLines(model.proxy.memberOfLane ?? ""),
            injected: injected, injectedIsFormatted: injected.isFormatted)
    }

    private func freezeProxy() -> ProxySettings {
        let proxy = model.proxy
        return ProxySettings(
            name: arena.store(proxy.name), namespace: arena.store(proxy.namespace), isEdge: proxy.isEdge,
            pathNormalization: proxy.pathNormalization, shadowHostSuffix: proxy.shadowHostSuffix,
            http10: proxy.http10, requestHeaderTimeoutMs: proxy.requestHeaderTimeoutMs,
            requestBodyIdleTimeoutMs: proxy.requestBodyIdleTimeoutMs, idleTimeoutMs: proxy.idleTimeoutMs,
            streamIdleTimeoutMs: proxy.streamIdleTimeoutMs,
            upstreamIdleTimeoutMs: proxy.upstreamIdleTimeoutMs, connectTimeoutMs: proxy.connectTimeoutMs,
            drainTimeoutMs: proxy.drainTimeoutMs, headerBytes: proxy.headerBytes,
            headerCount: proxy.headerCount, connections: proxy.connections, requests: proxy.requests,
            memoryBytes: proxy.memoryBytes, trustedHops: proxy.trustedHops,
            trustedCIDRs: arena.store(proxy.trustedCIDRs), debugCIDRs: arena.store(proxy.debugCIDRs),
            allowAnyOutbound: proxy.allowAnyOutbound, clientCertificates: proxy.clientCertificates,
            memberLane: arena.store(proxy.memberOfLane ?? ""),
            memberLaneID: registry.laneID(proxy.memberOfLane ?? ""),
            compression: proxy.compression.map { UnsafePointer(arena.store(CompressionRules($0, arena))) })
    }

    private func freeze(_ lane: LaneModel, index: Int) -> Lane {
        Lane(
            name: arena.store(lane.name), namespace: arena.store(lane.namespace), index: index,
            metricsID: registry.laneID(lane.name), expiresAtSeconds: lane.expiresAtSeconds ?? Int64.max,
            failWhenEmpty: lane.failWhenEmpty, mode: lane.mode, lines: laneLines(lane.name))
    }

    // MARK: listeners

    private mutating func freeze(
        _ listener: ListenerModel, index: Int, _ hosts: [UnsafePointer<HostIndex>],
        _ scripts: Frozen<ScriptFilter>
    ) throws(TableError) -> Listener {
        let tables = listener.tables.filter { hosts.indices.contains($0.routeTable) }
            .sorted { $0.port < $1.port }
        let firstScript = model.listeners.prefix(index).reduce(0) { $0 + $1.scripts.count }
        var frozen = Listener(
            name: arena.store(listener.name), role: listener.role, address: listener.address, index: index,
            scripts: Frozen(start: scripts[firstScript], count: listener.scripts.count),
            firstScript: firstScript,
            routesBeforeScripts: !listener.scripts.contains { $0.clearsRouteCache },
            tables: arena.store(tables.map { PortRoutes(port: $0.port, hosts: hosts[$0.routeTable]) }),
            onlyPort: listener.role == .outbound ? onlyPorts(tables) : ByteTable(),
            connections: try freeze(listener.connections), takesProxyHeader: listener.takesProxyHeader)
        if let tls = listener.tls, let acceptor = acceptors[index] {
            frozen.tls = try freeze(tls, acceptor, frozen, hosts)
        }
        return frozen
    }

    /// Names that one port has and port 80 has not.
    private func onlyPorts(_ tables: [PortTable]) -> ByteTable {
        var positions: [String: [Int]] = [:]
        for (position, table) in tables.enumerated() {
            for host in model.routeTables[table.routeTable].virtualHosts where !host.isStream {
                for domain in host.domains where !domain.contains("*") {
                    if positions[domain]?.last != position {
                        positions[domain, default: []].append(position)
                    }
                }
            }
        }
        let single = positions.filter { $0.value.count == 1 && tables[$0.value[0]].port != 80 }
        return ByteTable(single.map { (arena.store($0.key), UInt32($0.value[0])) }, arena)
    }

    /// All listeners' scripts, one after the other.
    private func freezeScripts() -> Frozen<ScriptFilter> {
        arena.store(model.listeners.flatMap(\.scripts).map { ScriptFilter($0, arena) })
    }

    // MARK: clusters

    private mutating func freezeClusters(_ room: UnsafeMutablePointer<Cluster>) {
        for index in model.clusters.indices {
            (room + index).initialize(to: freeze(model.clusters[index], index: index))
        }
        for (position, index) in model.named.enumerated() {
            room[index].resolvedIndex = Int32(truncatingIfNeeded: position)
        }
    }

    private mutating func holdEndpoints() {
        var known: Set<EndpointKey> = []
        known.reserveCapacity(model.clusters.count)
        for cluster in model.clusters {
            for endpoint in cluster.endpoints where !endpoint.isUnresolved {
                known.insert(cluster.key(endpoint))
            }
        }
        endpoints = Array(known)
        endpointIDs.reserveCapacity(endpoints.count)
        for (endpoint, id) in zip(endpoints, registry.acquire(endpoints)) { endpointIDs[endpoint] = id }
    }

    /// The model's one cluster, in memory of its own; `index`: among the clusters of its snapshot.
    mutating func freezeAlone(index: Int) -> Cluster {
        holdEndpoints()
        return freeze(model.clusters[0], index: index)
    }

    private mutating func freeze(_ cluster: ClusterModel, index: Int) -> Cluster {
        func healthy(_ positions: some Sequence<Int>) -> Frozen<UInt32> {
            arena.store(
                positions.filter { cluster.endpoints.indices.contains($0) && cluster.endpoints[$0].healthy }
                    .map { UInt32($0) })
        }
        let (ownLabels, labelsID) = labels(cluster)
        return Cluster(
            name: arena.store(cluster.name), service: arena.store(cluster.service),
            serviceNamespace: arena.store(cluster.serviceNamespace), subset: arena.store(cluster.subset),
            port: cluster.port, loadBalancing: cluster.loadBalancing,
            connectTimeoutMs: cluster.connectTimeoutMs, proxyHeaderVersion: cluster.proxyHeaderVersion,
            upstreamProtocol: cluster.upstreamProtocol, streamsMax: cluster.streamsMax,
            requestsMax: cluster.requestsMax, idleTimeoutMs: cluster.idleTimeoutMs ?? .max,
            relayIdleTimeoutMs: cluster.relayIdleTimeoutMs ?? .max,
            keepAliveMs: cluster.keepAliveMs, keepAliveTimeoutMs: cluster.keepAliveTimeoutMs,
            resolvesRequest: cluster.resolution == .requestHost, requestPort: cluster.requestPort,
            hasWeights: cluster.endpoints.contains { $0.weight != cluster.endpoints[0].weight },
            endpoints: arena.store(cluster.endpoints.map { freeze($0, of: cluster, ownLabels) }),
            all: healthy(cluster.endpoints.indices), stable: healthy(cluster.stable),
            noEndpointLabelsID: labelsID, index: index,
            tls: freeze(cluster.tls),
            laneIndex: IndexTable(cluster.laneMembers.map { UInt32($0.lane) }, arena),
            laneMembers: arena.store(cluster.laneMembers.map { healthy($0.endpoints) }))
    }

    private func freeze(
        _ endpoint: EndpointModel, of cluster: ClusterModel, _ clusterLabels: DestinationLabels
    ) -> Endpoint {
        var labels = clusterLabels
        labels.workload = WorkloadLabels(
            workload: endpoint.workload, namespace: endpoint.namespace, labels: endpoint.labels)
        let id = endpointIDs[cluster.key(endpoint)] ?? Registry.EndpointID(id: 0, generation: 0)
        return Endpoint(
            id: id.id, idGeneration: id.generation, address: endpoint.address, weight: endpoint.weight,
            healthy: endpoint.healthy, labelsID: registry.labelsID(labels),
            addressText: arena.store(endpoint.text))
    }

    /// istio-semantics.md 24. A service's clusters stand together and have the same.
    private mutating func labels(_ cluster: ClusterModel) -> (DestinationLabels, UInt32) {
        if let last = lastService, last.service == cluster.service,
            last.namespace == cluster.serviceNamespace
        {
            return (last.labels, last.id)
        }
        var labels = DestinationLabels()
        labels.service = cluster.service
        let isKubernetes = cluster.service.holds(".svc.")
        labels.serviceName =
            isKubernetes ? String(Substring(cluster.service.utf8.prefix { $0 != 0x2E })) : cluster.service
        if !cluster.serviceNamespace.isEmpty { labels.serviceNamespace = cluster.serviceNamespace }
        let id = registry.labelsID(labels)
        lastService = (cluster.service, cluster.serviceNamespace, labels, id)
        return (labels, id)
    }

    // MARK: patterns

    /// Compiled once per text, freed with the arena.
    func regex(_ pattern: String) throws(TableError) -> OpaquePointer {
        if let known = patterns.known[pattern] { return known.regex }
        return try compile(pattern, nil)
    }

    /// Looked at once per text.
    func pattern(_ pattern: String) throws(TableError) -> CompiledPattern {
        if let known = patterns.known[pattern] { return known }
        let shape = RegexShape(pattern)
        return CompiledPattern(regex: try compile(pattern, shape), shape: shape)
    }

    /// Patterns of a known shape always compile and only ever judge values that are not plain, so they are
    /// compiled when first asked: that takes some 4 KiB and 20 microseconds, and there may be thousands.
    private func compile(_ pattern: String, _ shape: RegexShape?) throws(TableError) -> OpaquePointer {
        var error = [CChar]()
        let text = arena.store(pattern)
        let made = text.start.withMemoryRebound(to: CChar.self, capacity: text.count) { start in
            if shape != nil { return fl_re2_new_lazy(start, text.count, Limits.regexMemoryBytes) }
            error = [CChar](repeating: 0, count: 256)
            return fl_re2_new(start, text.count, Limits.regexMemoryBytes, &error, error.count)
        }
        guard let made else {
            let problem = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw TableError.regex(pattern: pattern, problem: String(decoding: problem, as: UTF8.self))
        }
        patterns.known[pattern] = CompiledPattern(regex: made, shape: shape)
        return made
    }

    mutating func freeze(_ match: StringMatch?) throws(TableError) -> Matcher {
        var matcher = Matcher()
        switch match {
        case nil: break
        case .exact(let text):
            matcher.kind = .exact
            matcher.text = arena.store(text)
        case .prefix(let text):
            matcher.kind = .prefix
            matcher.text = arena.store(text)
        case .present: matcher.kind = .present
        case .regex(let pattern):
            let compiled = try self.pattern(pattern)
            matcher.pattern = arena.store(pattern)
            matcher.regex = compiled.regex
            if let shape = compiled.shape {
                matcher.kind = .shape
                matcher.text = arena.store(shape.literal)
                matcher.left = shape.left
                matcher.right = shape.right
            } else {
                matcher.kind = .regex
                matcher.left = .any
                matcher.right = .any
                if let required = RequiredLiteral(pattern) {
                    matcher.text = arena.store(required.bytes)
                    matcher.ignoresCase = required.ignoresCase
                }
            }
        }
        return matcher
    }
}

extension ClusterModel {
    fileprivate func key(_ endpoint: EndpointModel) -> EndpointKey {
        if resolution == .firstAddress, !endpoint.hostname.isEmpty {
            let port = SocketAddress.unspecified.at(port: endpoint.address.port)
            return EndpointKey(address: port, transport: tls?.key ?? 0, name: endpoint.hostname)
        }
        return EndpointKey(address: endpoint.address, transport: tls?.key ?? 0)
    }
}

struct CompiledPattern {
    var regex: OpaquePointer
    var shape: RegexShape?
}

/// The patterns of one table by their text.
private final class PatternStore {
    var known: [String: CompiledPattern] = [:]

    func free() {
        for pattern in known.values { fl_re2_free(pattern.regex) }
        known = [:]
    }
}
