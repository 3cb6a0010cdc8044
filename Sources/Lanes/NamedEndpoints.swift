// Endpoints that are named instead of numbered: what a cluster is once its names have addresses.
public import Base

/// What a name among a cluster's endpoints stands for.
public enum ClusterResolution: String, Sendable {
    /// Every address it has (STRICT_DNS in Envoy).
    case everyAddress
    /// Its first address, for new connections; those that are open stay (LOGICAL_DNS).
    case firstAddress
    /// There are no endpoints: the host of each request is looked up.
    case requestHost
}

extension RoutingModel {
    /// Positions of the clusters that have names among their endpoints.
    public var named: [Int] { clusters.indices.filter { clusters[$0].hasNames } }
}

extension EndpointModel {
    /// A name that has no address yet.
    public var isUnresolved: Bool {
        !hostname.isEmpty && address == SocketAddress.unspecified.at(port: address.port)
    }

    /// For people: the name as long as that is all there is.
    public var text: String { isUnresolved ? "\(hostname):\(address.port)" : address.text }
}

extension ClusterModel {
    /// Some endpoint is a name.
    public var hasNames: Bool { endpoints.contains { !$0.hostname.isEmpty } }

    /// The names of its endpoints.
    public var names: Set<String> { Set(endpoints.map(\.hostname)).subtracting([""]) }

    /// The cluster with addresses in place of its names, each with the name's weight, labels and lanes; a
    /// name without addresses is no endpoint. `addresses`: of a name, with any port.
    public func resolved(_ addresses: (String) -> [SocketAddress]) -> ClusterModel {
        var result = self
        result.endpoints = []
        result.sources = names.sorted()
        var position: [SocketAddress: Int] = [:]
        let places = endpoints.map { endpoint in
            guard endpoint.isUnresolved else { return [result.add(endpoint, &position)] }
            var found = addresses(endpoint.hostname).map { $0.at(port: endpoint.address.port) }
            switch resolution {
            // Servers turn the order around with each answer, which changes nothing here.
            case .everyAddress: found.sort { ($0.high, $0.low) < ($1.high, $1.low) }
            case .firstAddress, .requestHost: found = Array(found.prefix(1))
            }
            return found.map { address in
                var one = endpoint
                one.address = address
                return result.add(one, &position)
            }
        }
        func moved(_ positions: [Int]) -> [Int] {
            var seen: Set<Int> = []
            return positions.flatMap { places.indices.contains($0) ? places[$0] : [] }
                .filter { seen.insert($0).inserted }
        }
        result.stable = moved(stable)
        result.laneMembers = laneMembers.map { ($0.lane, moved($0.endpoints)) }
        return result
    }

    /// Adds an endpoint unless its address is there already; returns where it is.
    private mutating func add(_ endpoint: EndpointModel, _ position: inout [SocketAddress: Int]) -> Int {
        if let known = position[endpoint.address] { return known }
        position[endpoint.address] = endpoints.count
        endpoints.append(endpoint)
        return endpoints.count - 1
    }
}

extension Cluster {
    /// The name to look up for a request to this host (`resolvesRequest`): the service's own, or the host
    /// where the service is a wildcard that covers it. nil: the host is none of the service's.
    public func name(for host: ByteView) -> ByteView? {
        guard !service.isEmpty, service[0] == 0x2A else { return service }
        let suffix = service.slice(1, service.count)
        guard host.count > suffix.count else { return nil }
        let end = host.slice(host.count - suffix.count, host.count)
        return end.equalsIgnoringCase(suffix) ? host : nil
    }
}
