// Services and what stands behind them, and the DestinationRules of a client: which endpoints a destination
// of a route has, as Istio's control plane finds them.

/// Something behind a service: a port on loopback.
struct IstioEndpoint: Equatable {
    var port: Int
    var labels: [String: String]
}

struct IstioService {
    struct Port {
        var number: Int
        var name: String
        var isHTTP: Bool
    }

    var host: String
    var object: IstioObject
    var ports: [Port]
    var addresses: [String] = []
    var isHeadless = false
    /// By service port.
    var endpoints: [Int: [IstioEndpoint]] = [:]

    var isKubernetes: Bool { object.kind == "Service" }
    func has(_ port: Int) -> Bool { ports.contains { $0.number == port } }
    func isHTTP(_ port: Int) -> Bool { ports.contains { $0.number == port && $0.isHTTP } }
}

struct IstioRegistry {
    /// Those that the proxy sees, what is exported to its namespace alone before what all see, each oldest
    /// first.
    let visible: [IstioService]
    private let byHost: [String: [IstioService]]
    /// DestinationRules by namespace, oldest first, with their full hosts.
    private let rules: [String: [(rule: IstioObject, host: String)]]
    private let client: IstioObject

    /// `client` is the proxy.
    init(_ objects: [IstioObject], client: IstioObject) {
        self.client = client
        var services: [IstioService] = []
        let byKind = Dictionary(grouping: objects.sorted(by: IstioObject.isOlder), by: \.kind)
        for object in (byKind["ServiceEntry", default: []] + byKind["Service", default: []])
            .sorted(by: IstioObject.isOlder)
        {
            services +=
                object.kind == "Service" ? [Self.kubernetes(object, byKind)] : Self.entry(object, byKind)
        }
        let seen = services.filter { $0.object.isVisible(from: client.namespace) }
        let isPublic = seen.map { $0.object.exportTo.contains("*") }
        let ordered = zip(seen, isPublic).filter { !$0.1 } + zip(seen, isPublic).filter(\.1)
        visible = ordered.map(\.0)
        byHost = Dictionary(grouping: visible, by: \.host)
        let all = byKind["DestinationRule", default: []].map { ($0, $0.full($0.spec.string("host"))) }
        rules = Dictionary(grouping: all, by: \.0.namespace)
    }

    /// The one that is meant by a name: Kubernetes' own, then of the client's namespace, then the first.
    func service(_ host: String) -> IstioService? {
        let named = byHost[host] ?? []
        return named.first(where: \.isKubernetes)
            ?? named.first { $0.object.namespace == client.namespace } ?? named.first
    }

    /// The endpoints of a destination; nil where there is no such destination.
    func endpoints(host: String, subset: String, port: Int) -> [IstioEndpoint]? {
        guard let service = service(host), service.has(port) else { return nil }
        let all = service.endpoints[port] ?? []
        if subset.isEmpty { return all }
        guard let found = subsets(of: service).first(where: { $0.string("name") == subset }) else {
            return nil
        }
        let labels = found.texts("labels")
        return all.filter { endpoint in labels.allSatisfy { endpoint.labels[$0.key] == $0.value } }
    }

    // MARK: services

    private static func port(_ json: Json) -> IstioService.Port {
        let name = json.string("name")
        let word = (json["protocol"]?.string ?? String(name.prefix { $0 != "-" })).lowercased()
        return .init(
            number: json["number"]?.int ?? json["port"]?.int ?? 0, name: name,
            isHTTP: !["tcp", "tls", "https", "mongo", "redis", "mysql", "udp"].contains(word))
    }

    private static func entry(_ object: IstioObject, _ objects: [String: [IstioObject]]) -> [IstioService] {
        object.spec.strings("hosts").map { host in
            var service = IstioService(
                host: host.lowercased(), object: object, ports: object.spec.items("ports").map(Self.port))
            service.addresses = object.spec.strings("addresses")
            for (port, json) in zip(service.ports, object.spec.items("ports")) {
                var workloads = object.spec.items("endpoints")
                if let selector = object.spec["workloadSelector"]?.texts("labels") {
                    workloads = objects["WorkloadEntry", default: []].filter { entry in
                        entry.namespace == object.namespace
                            && selector.allSatisfy { entry.spec.texts("labels")[$0.key] == $0.value }
                    }.map(\.spec)
                }
                service.endpoints[port.number] = workloads.map { workload in
                    IstioEndpoint(
                        port: workload["ports"]?[port.name]?.int ?? json["targetPort"]?.int ?? port.number,
                        labels: workload.texts("labels"))
                }
            }
            return service
        }
    }

    private static func kubernetes(_ object: IstioObject, _ objects: [String: [IstioObject]]) -> IstioService
    {
        let host = "\(object.name).\(object.namespace).svc.cluster.local"
        let address = object.spec.string("clusterIP")
        var service = IstioService(host: host, object: object, ports: [])
        // A port's protocol is TCP for all; its name and appProtocol say what it speaks.
        service.ports = object.spec.items("ports").map { port in
            Self.port(port.setting("protocol", port["appProtocol"]))
        }
        service.isHeadless = address == "None"
        if !address.isEmpty, !service.isHeadless { service.addresses = [address] }
        for slice in objects["EndpointSlice", default: []]
        where slice.namespace == object.namespace
            && slice.labels["kubernetes.io/service-name"] == object.name
        {
            for port in service.ports {
                guard
                    let number = slice.root.items("ports").first(where: { $0.string("name") == port.name })?[
                        "port"]?
                        .int
                else { continue }
                service.endpoints[port.number, default: []] += slice.root.items("endpoints")
                    .filter { $0["conditions"]?["ready"] != .flag(false) }
                    .filter { $0["conditions"]?["terminating"] != .flag(true) }
                    .map { IstioEndpoint(port: number, labels: labels($0, slice, objects)) }
            }
        }
        return service
    }

    private static func labels(
        _ endpoint: Json, _ slice: IstioObject, _ objects: [String: [IstioObject]]
    ) -> [String: String] {
        let name = endpoint["targetRef"]?.string("name") ?? ""
        let pod = objects["Pod", default: []].first { $0.namespace == slice.namespace && $0.name == name }
        return pod?.labels ?? [:]
    }

    // MARK: DestinationRules

    /// Rules for one host in one pool of a namespace, merged where their visibility is the same.
    private struct Merged {
        var exportTo: Set<String>
        var selector: [String: String]?
        var subsets: [Json]
    }

    /// The subsets that the proxy's DestinationRule defines for a service.
    private func subsets(of service: IstioService) -> [Json] {
        let root = "istio-system"
        let own = client.namespace
        var levels: [[Merged]?] = []
        if own != root {
            levels.append(merged(own, service.host) { $0.isEmpty || !$0.isDisjoint(with: ["*", ".", own]) })
        } else {
            levels.append(merged(own, service.host) { Self.isPrivate($0, own) })
        }
        for namespace in [service.object.namespace, root] {
            let exported = merged(namespace, service.host) { !Self.isPrivate($0, namespace) }
            levels.append(
                exported?.filter { $0.exportTo.isEmpty || !$0.exportTo.isDisjoint(with: ["*", own]) })
        }
        guard let rules = levels.compactMap({ $0 }).first(where: { !$0.isEmpty }) else { return [] }
        let selected = rules.first { rule in
            rule.selector.map { $0.allSatisfy { client.labels[$0.key] == $0.value } } ?? false
        }
        return (selected ?? rules.last { $0.selector == nil })?.subsets ?? []
    }

    private static func isPrivate(_ exportTo: Set<String>, _ namespace: String) -> Bool {
        exportTo == ["."] || exportTo == [namespace]
    }

    /// Of the rules of a namespace that belong in a pool, those for the most specific host.
    private func merged(
        _ namespace: String, _ host: String, _ belongs: (Set<String>) -> Bool
    ) -> [Merged]? {
        let pool = rules[namespace, default: []].filter { rule, name in
            HostName.isSubset(host, of: name) && belongs(Self.exports(rule))
        }
        guard let name = HostName.mostSpecific(host, among: pool.map(\.host)) else { return nil }
        let ofHost = pool.filter { $0.host == name }.map(\.rule)
        var result: [Merged] = []
        let selective = ofHost.filter { $0.spec["workloadSelector"] != nil }
        for rule in selective + ofHost.filter({ $0.spec["workloadSelector"] == nil }) {
            let exports = Self.exports(rule)
            let selector = rule.spec["workloadSelector"]?.texts("matchLabels")
            let subsets = rule.spec.items("subsets")
            var stands = true
            for index in result.indices {
                let isSame = result[index].exportTo == exports
                let isWider =
                    !result[index].exportTo.isEmpty && exports.isSuperset(of: result[index].exportTo)
                stands = !((isSame || isWider) && result[index].selector == selector)
                if stands { continue }
                let known = Set(result[index].subsets.map { $0.string("name") })
                result[index].subsets += subsets.filter { !known.contains($0.string("name")) }
            }
            if stands { result.append(Merged(exportTo: exports, selector: selector, subsets: subsets)) }
        }
        return result
    }

    /// As written: `.` and `*` stay, nothing given is empty.
    private static func exports(_ rule: IstioObject) -> Set<String> {
        rule.spec["workloadSelector"] != nil ? ["."] : Set(rule.spec.strings("exportTo"))
    }
}
