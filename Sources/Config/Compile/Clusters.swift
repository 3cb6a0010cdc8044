// Destinations to clusters: (host, subset, port) resolved by the rules of istio-semantics.md 5.2, endpoints
// filtered by the subset's labels, then divided among the native lanes and the stable rest.
internal import Base
internal import Lanes

extension Compiler {
    /// The target of a destination on a listener port. `isEncrypted`: what comes is TLS that passes through.
    func target(
        host: String, subset: String, port: UInt16?, arrivalPort: UInt16, weight: Int, source: SourceRef,
        isEncrypted: Bool = false
    ) -> TargetModel {
        let service = service(host)
        var number = port ?? arrivalPort
        if port == nil, let service, registry.services[service].ports.count == 1 {
            number = registry.services[service].ports[0].number
        }
        let name = "outbound|\(number)|\(subset)|\(host)"
        guard let service else { return TargetModel(cluster: nil, clusterName: name, weight: weight) }
        let cluster = cluster(
            named: name, service: service, subset: subset, port: number, isEncrypted: isEncrypted)
        if cluster == nil { noteHiddenSubset(subset, host, source) }
        return TargetModel(cluster: cluster, clusterName: name, weight: weight)
    }

    private func service(_ host: String) -> Int? {
        if let last = lastService, last.host == host { return last.index }
        let index = registry.service(host, from: proxy.model.namespace)
        lastService = (host, index)
        return index
    }

    /// The subset exists, but in a namespace where this client does not look (istio-semantics.md 2.4).
    private func noteHiddenSubset(_ subset: String, _ host: String, _ source: SourceRef) {
        guard !subset.isEmpty, let namespace = rules.namespaceDefining(subset: subset, of: host),
            hiddenSubsets.insert("\(subset) \(host)").inserted
        else { return }
        note(
            .warning, Code.referenceNotFound,
            "the subset \(subset) of \(host) is not defined for \(proxy.meta.resource): requests get 503",
            source,
            suggestion:
                "a DestinationRule in \(namespace) does not apply to clients in \(proxy.model.namespace)")
    }

    /// The cluster, made when first asked for; nil if the subset or the port does not exist.
    private func cluster(
        named name: String, service index: Int, subset: String, port: UInt16, isEncrypted: Bool
    ) -> Int? {
        // A BackendTLSPolicy is for what comes in plain text: TLS in TLS nobody would understand.
        let isPassed = isEncrypted && backendPolicies[registry.services[index].host] != nil
        let key = isPassed ? "\(name) passed" : name
        if let known = clusterByName[key] { return known }
        guard let backend = backend(BackendKey(service: index, port: port, isPassed: isPassed)) else {
            return nil
        }
        var wanted: DestinationRuleDocument.Subset?
        if !subset.isEmpty {
            guard let found = backend.rule?.subset(subset) else { return nil }
            wanted = found
        }
        var cluster = settled(backend, wanted)
        cluster.name = name
        cluster.subset = subset
        cluster.endpoints = wanted.map { backend.endpoints(with: $0.labels) } ?? backend.endpoints
        divide(&cluster, backend)
        return add(cluster, as: key)
    }

    /// nil: the service has no such port.
    private func backend(_ key: BackendKey) -> Backend? {
        if let known = backends[key] { return known }
        let service = registry.services[key.service]
        guard let port = service.port(key.port) else { return nil }
        let made = Backend(
            service, port,
            rules.rule(host: service.host, serviceNamespace: service.namespace, proxy: proxy.model),
            isPassed: key.isPassed)
        backends[key] = made
        return made
    }

    /// A cluster with the settings of a subset, or of the service as a whole, and no endpoints yet.
    private func settled(_ backend: Backend, _ subset: DestinationRuleDocument.Subset?) -> ClusterModel {
        if subset?.policy == nil, let whole = backend.whole { return whole }
        let service = backend.service
        let rule = backend.rule
        let settings = rule?.settings(subset: subset, port: backend.port.number)
        var cluster = ClusterModel(
            name: "", service: service.host, serviceNamespace: service.namespace,
            subset: subset?.name ?? "", port: backend.port.number)
        cluster.connectTimeoutMs = model.proxy.connectTimeoutMs
        if let settings {
            cluster.loadBalancing = settings.loadBalancing ?? .leastRequest
            if let timeout = settings.connectTimeoutMs, timeout > 0 { cluster.connectTimeoutMs = timeout }
            cluster.relayIdleTimeoutMs = settings.idleTimeoutMs
            cluster.idleTimeoutMs = settings.http?.idleTimeoutMs ?? settings.idleTimeoutMs
            cluster.tls = clientTLS(settings.tls, cluster, serviceNames: service.subjectAltNames)
        }
        if !backend.isPassed, settings?.tls == nil { cluster.tls = backendTLS(service, backend.port) }
        setProtocol(&cluster, backend.port, settings?.http)
        cluster.proxyHeaderVersion = rule?.proxyHeaderVersion(subset: subset) ?? 0
        if cluster.proxyHeaderVersion != 0 { settleProxyHeader(&cluster, service) }
        cluster.resolution = service.resolution
        if case .number(let number) = backend.port.target { cluster.requestPort = number }
        // Istio's own TLS has the subset's name in its server name.
        if subset?.policy == nil, settings?.tls?.mode != .istioMutual { backend.whole = cluster }
        return cluster
    }

    /// A connection that begins with a PROXY header is one client's alone: it carries no streams of several.
    private func settleProxyHeader(_ cluster: inout ClusterModel, _ service: Service) {
        guard cluster.upstreamProtocol == .http2 else {
            cluster.upstreamProtocol = .http1
            return
        }
        cluster.proxyHeaderVersion = 0
        note(
            .warning, Code.fieldNotSupported,
            "not supported yet: proxyProtocol to port \(cluster.port) of \(service.host), which speaks "
                + "HTTP/2: no header is sent", service.meta.ref)
    }

    /// By the port's protocol and what a DestinationRule makes of it (istio-semantics.md 14).
    private func setProtocol(
        _ cluster: inout ClusterModel, _ port: ServicePort, _ pool: TrafficPolicy.HTTPPool?
    ) {
        switch port.proto {
        case .http2: cluster.upstreamProtocol = .http2
        case .auto: cluster.upstreamProtocol = .sameAsClient
        // What says something else and gets requests all the same: HTTP/1.1, as with Istio.
        case .http, .tls, .tcp, .udp: cluster.upstreamProtocol = .http1
        }
        if pool?.upgrades == true { cluster.upstreamProtocol = .http2 }
        if pool?.usesClientProtocol == true { cluster.upstreamProtocol = .sameAsClient }
        cluster.streamsMax = pool?.streamsMax ?? .max
        cluster.requestsMax = pool?.requestsMax ?? 0
        cluster.keepAliveMs = pool?.keepAliveMs ?? 0
        cluster.keepAliveTimeoutMs = pool?.keepAliveTimeoutMs ?? 0
    }

    /// Gives each lane its endpoints and keeps the rest as stable, so that a feature pod which the stable
    /// Service selects is a member of its lane alone.
    private func divide(_ cluster: inout ClusterModel, _ backend: Backend) {
        let own = cluster.endpoints.indices
        guard let members = laneMembers[cluster.service], !members.isEmpty else {
            cluster.stable = Array(own)
            return
        }
        var indexByAddress: [EndpointPlace: Int] = [:]
        for (index, endpoint) in cluster.endpoints.enumerated() { indexByAddress[endpoint.place] = index }
        var inLane: [Int: Int] = [:]
        var positionOfLane: [Int: Int] = [:]
        for member in members {
            var indexes: [Int] = []
            for endpoint in endpoints(of: member, backend) {
                if let known = indexByAddress[endpoint.place] {
                    indexes.append(known)
                } else {
                    indexByAddress[endpoint.place] = cluster.endpoints.count
                    indexes.append(cluster.endpoints.count)
                    cluster.endpoints.append(endpoint)
                }
            }
            for index in indexes {
                let owner = inLane.updateValue(member.lane, forKey: index) ?? member.lane
                if owner != member.lane { noteShared(cluster.endpoints[index], owner, member) }
            }
            if indexes.isEmpty {
                emptyMembers.append((member, cluster.service))
            } else {
                filledMembers.insert(member.source.place)
            }
            if let position = positionOfLane[member.lane] {
                let known = Set(cluster.laneMembers[position].endpoints)
                cluster.laneMembers[position].endpoints += indexes.filter { !known.contains($0) }
            } else {
                positionOfLane[member.lane] = cluster.laneMembers.count
                cluster.laneMembers.append((member.lane, indexes))
            }
        }
        cluster.stable = own.filter { inLane[$0] == nil }
        if cluster.stable.isEmpty, !own.isEmpty, cluster.subset.isEmpty {
            note(
                .warning, Code.nothingStable,
                "every endpoint of \(cluster.service) is a lane's: requests in no lane get 503",
                members[0].source)
        }
    }

    private func noteShared(_ endpoint: EndpointModel, _ owner: Int, _ member: LaneMember) {
        note(
            .warning, Code.memberOfTwoLanes,
            "\(endpoint.text) is also a member of the lane \(model.lanes[owner].name)",
            member.source)
    }

    /// Members that select nothing on any port that this proxy sends to.
    func noteEmptyMembers() {
        for (member, host) in emptyMembers where !filledMembers.contains(member.source.place) {
            let then =
                model.lanes[member.lane].failWhenEmpty ? "its requests get 503" : "its requests go to stable"
            note(
                .warning, Code.laneSelectsNothing, "no endpoint of \(host) is a member: \(then)",
                member.source)
        }
    }

    /// A cluster of one address that no document names: the application behind an inbound listener.
    func add(_ cluster: ClusterModel) -> Int { add(cluster, as: cluster.name) }

    private func add(_ cluster: ClusterModel, as key: String) -> Int {
        model.clusters.append(cluster)
        clusterByName[key] = model.clusters.count - 1
        return model.clusters.count - 1
    }
}

/// What tells endpoints apart: the address, or the name in its place.
struct EndpointPlace: Hashable {
    var address: SocketAddress
    var hostname: String
}

extension EndpointModel {
    var place: EndpointPlace { EndpointPlace(address: address, hostname: hostname) }
}

extension SourceRef {
    /// As a key.
    fileprivate var place: String { "\(file):\(line)" }
}
