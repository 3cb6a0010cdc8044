// Native lanes: which are alive, which services they list, and which endpoints are theirs.
internal import Base
internal import Lanes

/// One entry of `Lane.spec.members`, its service resolved.
struct LaneMember {
    /// Index into `RoutingModel.lanes`.
    var lane: Int
    var namespace: String
    var selector: [String: String]
    var endpoints: [SocketAddress]
    /// All services the same lane lists.
    var siblings: Set<String>
    var source: SourceRef
}

extension Compiler {
    func compileLanes() {
        var byName: [String: SourceRef] = [:]
        for document in documents.lanes.oldestFirst() {
            if model.policy == nil {
                note(
                    .warning, Code.laneWithoutPolicy, "no LanePolicy, so lanes are not handled at all",
                    document.meta.ref, suggestion: "add a LanePolicy to the proxy's namespace")
                continue
            }
            if let first = byName[document.meta.name] {
                note(
                    .error, Code.duplicateLane, "the lane \(document.meta.name) exists already, ignored",
                    document.meta.ref, suggestion: "the older one is at \(first.file):\(first.line)")
                continue
            }
            byName[document.meta.name] = document.meta.ref
            add(document)
        }
    }

    private func add(_ document: LaneDocument) {
        let number = model.lanes.count
        var lane = LaneModel(
            name: document.meta.name, namespace: document.meta.namespace, source: document.meta.ref)
        lane.failWhenEmpty = document.failWhenEmpty
        lane.mode = document.mode
        lane.expiresAtSeconds = expiry(document)
        if let expires = lane.expiresAtSeconds, expires <= options.nowSeconds {
            note(
                .warning, Code.laneExpired, "the lane has expired: its users are on stable", document.meta.ref
            )
        }
        var listed: Set<String> = []
        for member in document.members {
            let host = Names.resolve(member.service, namespace: document.meta.namespace)
            if listed.insert(host).inserted { lane.services.append(host) }
        }
        for member in document.members {
            let host = Names.resolve(member.service, namespace: document.meta.namespace)
            var source = document.meta.ref
            source.line = member.line
            laneMembers[host, default: []].append(
                LaneMember(
                    lane: number, namespace: document.meta.namespace, selector: member.selector,
                    endpoints: member.endpoints.map(\.value), siblings: listed, source: source))
            if !registry.isKnown(host) {
                note(
                    .error, Code.laneServiceUnknown, "the service \(host) does not exist", source,
                    suggestion: registry.nearest(to: host, from: document.meta.namespace).map {
                        "did you mean \($0)?"
                    }
                        ?? "a short name is completed with the lane's namespace")
            }
        }
        model.lanes.append(lane)
    }

    /// `ttl` counts from creation, else from the first load; the earlier of `ttl` and `expires` counts.
    private func expiry(_ document: LaneDocument) -> Int64? {
        var expires = document.expiresAtSeconds
        if let ttl = document.ttlMs {
            let key = "\(document.meta.namespace)/\(document.meta.name)"
            let start = document.meta.createdAtSeconds ?? options.firstSeen[key] ?? options.nowSeconds
            if document.meta.createdAtSeconds == nil { firstSeen[key] = start }
            let end = start + Int64(ttl / 1_000)
            expires = min(expires ?? end, end)
        }
        return expires
    }

    /// The endpoints of a member on one port: those of the service with the selector's labels, then pods that
    /// the service's own selector leaves out, then addresses given.
    func endpoints(
        of member: LaneMember, _ backend: Backend
    ) -> [EndpointModel] {
        let service = backend.service
        let port = backend.port
        var result: [EndpointModel] = []
        var seen: Set<SocketAddress> = []
        func add(_ endpoint: EndpointModel) {
            if seen.insert(endpoint.address).inserted { result.append(endpoint) }
        }
        if !member.selector.isEmpty {
            for endpoint in backend.endpoints(with: member.selector) { add(endpoint) }
            let isOwn = member.namespace == service.namespace
            let namespaces =
                isOwn ? [service.namespace] : [member.namespace, service.namespace].sorted()
            for namespace in namespaces {
                for pod in registry.podLabels.select(scope: namespace, member.selector) {
                    for endpoint in registry.endpoints(ofPod: pod, port, publishesNotReady: false)
                    where !belongsElsewhere(endpoint, member, service) {
                        add(endpoint)
                    }
                }
            }
        }
        for address in member.endpoints where isMeant(address, for: port, of: service) {
            add(registry.endpointModel(address, pod: registry.pod(at: address)))
        }
        return result
    }

    /// A selector without an `app` label also selects the lane's pods of other services: a pod that serves
    /// another service of the same lane, and not this one, is no member here.
    private func belongsElsewhere(_ endpoint: EndpointModel, _ member: LaneMember, _ service: Service) -> Bool
    {
        guard member.siblings.count > 1, let hosts = servicesOfAddress[endpoint.address.withoutPort]
        else { return false }
        return !hosts.contains(service.host) && !hosts.isDisjoint(with: member.siblings)
    }

    /// Which services each address serves, by address without port.
    func indexAddresses() -> [SocketAddress: Set<String>] {
        var index: [SocketAddress: Set<String>] = [:]
        for service in registry.services {
            for endpoints in service.endpoints.values {
                for endpoint in endpoints where !endpoint.isUnresolved {
                    index[endpoint.address.withoutPort, default: []].insert(service.host)
                }
            }
        }
        return index
    }

    /// An explicit endpoint serves the port it is the target of; one that is nobody's target serves all.
    private func isMeant(_ address: SocketAddress, for port: ServicePort, of service: Service) -> Bool {
        func number(_ port: ServicePort) -> UInt16? {
            if case .number(let number) = port.target { number } else { nil }
        }
        if number(port) == address.port { return true }
        return !service.ports.contains { $0.number != port.number && number($0) == address.port }
    }
}

extension SocketAddress {
    /// As a key: a pod is the same pod on all its ports.
    var withoutPort: SocketAddress { SocketAddress(high: high, low: low, port: 0, isIPv4: isIPv4) }
}
