// All services and what stands behind them: Kubernetes Services with EndpointSlices and Pods, ServiceEntries
// with WorkloadEntries (istio-semantics.md 18).
internal import Base
internal import Lanes

/// A service under one host name.
struct Service: Sendable {
    /// FQDN, lower case; may be a wildcard (ServiceEntry).
    var host: String
    var namespace: String
    /// Kubernetes name; empty for a ServiceEntry.
    var name: String
    var ports: [ServicePort]
    var clusterIPs: [String] = []
    var isHeadless = false
    /// A ServiceEntry of what is outside of the mesh.
    var isExternal = false
    var exportTo: [String] = []
    /// What names among its endpoints stand for.
    var resolution = ClusterResolution.everyAddress
    /// ExternalName: the host that it is another name of; empty: it is none.
    var externalName = ""
    var selector: [String: String] = [:]
    var meta: Meta
    /// Of a ServiceEntry: names for the certificates of its endpoints.
    var subjectAltNames: [String] = []
    /// By service port number.
    var endpoints: [UInt16: [EndpointModel]] = [:]

    var isKubernetes: Bool { !name.isEmpty }
    func port(_ number: UInt16) -> ServicePort? { ports.first { $0.number == number } }
    var httpPorts: [ServicePort] { ports.filter(\.proto.isHTTP) }
}

private struct PodName: Hashable {
    var namespace: String
    var name: String
}

struct Registry {
    private(set) var services: [Service] = []
    private var byHost: [String: [Int]] = [:]
    /// Pods by `namespace/name` and by address, numbers of `pods`.
    let pods: [PodDocument]
    private var podByName: [PodName: Int] = [:]
    private(set) var podByAddress: [IPAddress: Int] = [:]
    /// Pods by namespace and labels; its numbers are those of `pods`.
    private(set) var podLabels = LabelIndex()
    private(set) var attachments = RouteAttachments()
    /// ServiceEntries' wildcard hosts, numbers of `services`.
    private(set) var wildcards: [Int] = []
    private let nodes: [String: [String: String]]
    let workloads: [WorkloadEntryDocument]
    private(set) var workloadLabels = LabelIndex()

    init(_ documents: DocumentSet) {
        pods = documents.pods
        nodes = documents.nodes
        for (index, pod) in pods.enumerated() {
            podByName[PodName(namespace: pod.meta.namespace, name: pod.meta.name)] = index
            for address in pod.addresses { if let ip = IPAddress(address) { podByAddress[ip] = index } }
            podLabels.add(scope: pod.meta.namespace, labels: pod.meta.labels)
        }
        workloads = documents.workloadEntries
        for entry in workloads {
            // Istio lets a WorkloadEntry be selected by the labels of its spec.
            workloadLabels.add(scope: entry.meta.namespace, labels: entry.workload.labels)
        }
        var slices: [String: [EndpointSliceDocument]] = [:]
        for slice in documents.endpointSlices where !slice.service.isEmpty {
            slices["\(slice.meta.namespace)/\(slice.service)", default: []].append(slice)
        }
        for document in documents.services.oldestFirst() {
            add(kubernetes: document, slices["\(document.meta.namespace)/\(document.meta.name)"] ?? [])
        }
        for document in documents.serviceEntries.oldestFirst() { add(entry: document) }
        let isEmpty =
            documents.apiRoutes.isEmpty && documents.apiGateways.isEmpty && documents.listenerSets.isEmpty
        if !isEmpty {
            attachments = RouteAttachments(documents) { host in
                byHost[host].map { indexes in indexes.flatMap { services[$0].ports } }
            }
        }
    }

    /// The service a client in `namespace` means by this host; `isVisible` leaves out what a Sidecar hides.
    /// Kubernetes services come before ServiceEntries, the client's own namespace before others, then age.
    func service(_ host: String, from namespace: String) -> Int? {
        var best: Int?
        for index in byHost[host] ?? [] {
            let service = services[index]
            guard Names.isExported(service.exportTo, own: service.namespace, to: namespace) else { continue }
            if service.isKubernetes { return known(service.externalName, from: namespace) ?? index }
            if best == nil || (service.namespace == namespace && services[best!].namespace != namespace) {
                best = index
            }
        }
        return best
    }

    /// The service that an ExternalName names, if it is a known one; through as many names as there may be.
    private func known(_ host: String, from namespace: String, depth: Int = 0) -> Int? {
        guard !host.isEmpty, depth < Limits.aliasDepth else { return nil }
        let visible = byHost[host]?.first { index in
            Names.isExported(services[index].exportTo, own: services[index].namespace, to: namespace)
        }
        guard let visible else { return nil }
        let next = services[visible].externalName
        return next.isEmpty ? visible : known(next, from: namespace, depth: depth + 1)
    }

    /// ExternalName services by the service that they are other names of, as a client in `namespace` sees
    /// them.
    func aliases(from namespace: String) -> [Int: [Int]] {
        var result: [Int: [Int]] = [:]
        for index in services.indices where !services[index].externalName.isEmpty {
            if let target = service(services[index].host, from: namespace), target != index {
                result[target, default: []].append(index)
            }
        }
        return result
    }

    /// Whether any client at all knows this host.
    func isKnown(_ host: String) -> Bool { byHost[host] != nil }

    /// All services a client in `namespace` sees, one for each host, oldest first.
    func visible(from namespace: String) -> [Int] {
        services.indices.filter { service(services[$0].host, from: namespace) == $0 }
    }

    /// Every host that some client knows.
    var hosts: Dictionary<String, [Int]>.Keys { byHost.keys }

    private mutating func append(_ service: Service) {
        if Names.isWildcard(service.host) { wildcards.append(services.count) }
        byHost[service.host, default: []].append(services.count)
        services.append(service)
    }

    // MARK: Kubernetes

    private mutating func add(kubernetes document: ServiceDocument, _ slices: [EndpointSliceDocument]) {
        let meta = document.meta
        var service = Service(
            host: "\(meta.name).\(meta.namespace).svc.\(Names.clusterDomain)".lowercased(),
            namespace: meta.namespace, name: meta.name.lowercased(), ports: document.ports, meta: meta)
        service.clusterIPs = document.clusterIPs
        service.isHeadless = document.isHeadless
        service.selector = document.selector
        if !document.externalName.isEmpty { setExternalName(&service, document) }
        if let exportTo = meta.annotations["networking.istio.io/exportTo"] {
            service.exportTo = exportTo.split(separator: ",").map { $0.trimmed }
        }
        for port in document.ports where port.proto != .udp && service.externalName.isEmpty {
            service.endpoints[port.number] =
                slices.isEmpty && !document.selector.isEmpty
                ? endpoints(ofPods: document, port) : endpoints(of: slices, port, document)
            addWorkloads(&service, document, port)
        }
        append(service)
    }

    /// An alias, or where nobody knows the other name, what DNS makes of it: a CNAME, whose ports are those
    /// that clients use. Such a Service may have no ports at all.
    private func setExternalName(_ service: inout Service, _ document: ServiceDocument) {
        service.externalName = document.externalName
        if service.ports.isEmpty {
            service.ports = [
                ServicePort(number: 80, name: "http", proto: .http, target: .number(80)),
                ServicePort(number: 443, name: "https", proto: .tls, target: .number(443)),
            ]
        }
        for port in service.ports where port.proto != .udp {
            let endpoint = Self.endpoint(at: document.externalName, port: port.number)
            service.endpoints[port.number] = endpoint.map { [$0] } ?? []
        }
    }

    /// By address or by name; nil: it is neither.
    private static func endpoint(at text: String, port: UInt16) -> EndpointModel? {
        if let ip = IPAddress(text) { return EndpointModel(address: ip.socket(port: port)) }
        if let unix = parseUnixAddress(text) { return EndpointModel(address: unix) }
        guard isHostName(text, wildcard: false) else { return nil }
        var model = EndpointModel(address: SocketAddress.unspecified.at(port: port))
        model.hostname = text.lowercased()
        return model
    }

    private func endpoints(
        of slices: [EndpointSliceDocument], _ port: ServicePort, _ document: ServiceDocument
    ) -> [EndpointModel] {
        var result: [EndpointModel] = []
        var seen: Set<SocketAddress> = []
        var names: Set<String> = []
        for slice in slices {
            guard let slicePort = slice.ports.first(where: { $0.name == port.name }) else { continue }
            for endpoint in slice.endpoints where !endpoint.terminating {
                for address in endpoint.addresses {
                    guard let ip = IPAddress(address) else {
                        guard slice.hasNames, names.insert(address).inserted,
                            var model = Self.endpoint(at: address, port: slicePort.number)
                        else { continue }
                        model.healthy = endpoint.ready || document.publishesNotReady
                        model.namespace = slice.meta.namespace
                        result.append(model)
                        continue
                    }
                    let socket = ip.socket(port: slicePort.number)
                    guard seen.insert(socket).inserted else { continue }
                    let named = endpoint.pod.flatMap {
                        podByName[PodName(namespace: slice.meta.namespace, name: $0)]
                    }
                    var model = endpointModel(socket, pod: named ?? podByAddress[ip])
                    model.healthy = endpoint.ready || document.publishesNotReady
                    if model.namespace.isEmpty { model.namespace = slice.meta.namespace }
                    result.append(model)
                }
            }
        }
        return result
    }

    /// What the endpoint controller would write: for a Service given without its EndpointSlices.
    private func endpoints(ofPods document: ServiceDocument, _ port: ServicePort) -> [EndpointModel] {
        podLabels.select(scope: document.meta.namespace, document.selector).flatMap { index in
            endpoints(ofPod: index, port, publishesNotReady: document.publishesNotReady)
        }
    }

    /// Istio lets a Service select WorkloadEntries beside its pods: machines that join a service.
    private func addWorkloads(_ service: inout Service, _ document: ServiceDocument, _ port: ServicePort) {
        guard !workloads.isEmpty, !document.selector.isEmpty else { return }
        for index in workloadLabels.select(scope: document.meta.namespace, document.selector) {
            guard let made = endpoint(of: workloads[index], port),
                service.endpoints[port.number]?.contains(where: { $0.place == made.place }) != true
            else { continue }
            service.endpoints[port.number, default: []].append(made)
        }
    }

    /// A pod's endpoints for a port of a service.
    func endpoints(ofPod index: Int, _ port: ServicePort, publishesNotReady: Bool) -> [EndpointModel] {
        let pod = pods[index]
        guard !pod.meta.isTerminating else { return [] }
        let number: UInt16
        switch port.target {
        case .number(let given): number = given
        case .named(let name):
            guard let found = pod.containerPorts[name] else { return [] }
            number = found
        }
        return pod.addresses.compactMap { address in
            guard let ip = IPAddress(address) else { return nil }
            var model = endpointModel(ip.socket(port: number), pod: index)
            model.healthy = pod.ready || publishesNotReady
            return model
        }
    }

    /// A pod's labels, and where its node is (istio-semantics.md 18.3).
    func labels(ofPod index: Int) -> [String: String] {
        var labels = pods[index].meta.labels
        guard let node = nodes[pods[index].node] else { return labels }
        for key in [
            "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone",
            "kubernetes.io/hostname",
        ] where labels[key] == nil && node[key]?.isEmpty == false {
            labels[key] = node[key]
        }
        return labels
    }

    /// An endpoint with the labels and the workload of the pod behind it.
    func endpointModel(_ socket: SocketAddress, pod index: Int?) -> EndpointModel {
        var model = EndpointModel(address: socket)
        if let index {
            model.labels = labels(ofPod: index)
            model.workload = pods[index].workload
            model.namespace = pods[index].meta.namespace
        }
        return model
    }

    /// The pod that has an endpoint's address.
    func pod(at address: SocketAddress) -> Int? {
        podByAddress[IPAddress(high: address.high, low: address.low, isIPv4: address.isIPv4)]
    }

    // MARK: ServiceEntry

    private mutating func add(entry document: ServiceEntryDocument) {
        var template = Service(
            host: "", namespace: document.meta.namespace, name: "", ports: document.ports,
            meta: document.meta)
        template.exportTo = document.exportTo
        template.isExternal = document.isExternal
        template.subjectAltNames = document.subjectAltNames
        if document.resolution == "DNS_ROUND_ROBIN" { template.resolution = .firstAddress }
        template.clusterIPs = document.addresses.filter { IPAddress($0) != nil }
        for port in document.ports {
            var endpoints = document.endpoints.compactMap { endpoint($0, port, document.meta.namespace, "") }
            if let selector = document.workloadSelector {
                endpoints += selected(selector, port, document.meta.namespace)
            }
            template.endpoints[port.number] = endpoints
        }
        let isListed = document.workloadSelector != nil || !document.endpoints.isEmpty
        for host in document.hosts {
            var service = template
            service.host = host.value.lowercased()
            if !isListed { setUnlisted(&service, document) }
            append(service)
        }
    }

    /// A ServiceEntry that lists no endpoints (istio-semantics.md 18.1).
    private func setUnlisted(_ service: inout Service, _ document: ServiceEntryDocument) {
        switch document.resolution {
        case "DNS", "DNS_ROUND_ROBIN":
            for port in document.ports {
                let target = Self.number(port.target) ?? port.number
                let endpoint = Self.endpoint(at: service.host, port: target)
                service.endpoints[port.number] = endpoint.map { [$0] } ?? []
            }
        case "NONE" where !service.clusterIPs.isEmpty && !Names.isWildcard(service.host):
            // What a client that resolves the name through the mesh connects to.
            for port in document.ports {
                service.endpoints[port.number] = service.clusterIPs.compactMap {
                    Self.endpoint(at: $0, port: port.number)
                }
            }
        case "NONE", "DYNAMIC_DNS": service.resolution = .requestHost
        default: break
        }
    }

    private static func number(_ target: ServicePort.Target) -> UInt16? {
        if case .number(let number) = target { number } else { nil }
    }

    private func endpoint(
        _ workload: Workload, _ port: ServicePort, _ namespace: String, _ name: String
    ) -> EndpointModel? {
        var number = workload.ports[port.name] ?? Self.number(port.target) ?? port.number
        if case .named(let name) = port.target, workload.ports[port.name] == nil {
            guard let given = workload.ports[name] else { return nil }
            number = given
        }
        guard var model = Self.endpoint(at: workload.address, port: number) else { return nil }
        model.labels = workload.labels
        model.weight = UInt32(clamping: workload.weight)
        model.namespace = namespace
        model.workload = workload.labels["app"] ?? name
        return model
    }

    private func endpoint(of entry: WorkloadEntryDocument, _ port: ServicePort) -> EndpointModel? {
        var model = endpoint(entry.workload, port, entry.meta.namespace, entry.meta.name)
        model?.healthy = entry.isHealthy
        return model
    }

    /// WorkloadEntries and pods of the namespace with these labels.
    private func selected(_ selector: [String: String], _ port: ServicePort, _ namespace: String)
        -> [EndpointModel]
    {
        var result = workloadLabels.select(scope: namespace, selector).compactMap { index in
            endpoint(of: workloads[index], port)
        }
        for index in podLabels.select(scope: namespace, selector) {
            result += endpoints(ofPod: index, port, publishesNotReady: false)
        }
        return result
    }
}

extension Substring {
    /// Without blanks at both ends.
    var trimmed: String {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
        var bytes = utf8
        while let first = bytes.first, isBlank(first) { bytes.removeFirst() }
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        var rest = Substring(bytes)
        // Characters are looked at only where the blanks may be others.
        while rest.utf8.first ?? 0 >= 0x80, rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.utf8.last ?? 0 >= 0x80, rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
