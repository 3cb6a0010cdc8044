// All services and what stands behind them: Kubernetes Services with EndpointSlices and Pods, ServiceEntries
// with WorkloadEntries (istio-semantics.md 18).
internal import Base
internal import Lanes

/// A service under one host name.
struct Service: Sendable {
    enum Backing: Sendable {
        case addresses
        /// Nothing to connect to but the name the client asked for.
        case byName
    }

    /// FQDN, lower case; may be a wildcard (ServiceEntry).
    var host: String
    var namespace: String
    /// Kubernetes name; empty for a ServiceEntry.
    var name: String
    var ports: [ServicePort]
    var clusterIPs: [String] = []
    var isHeadless = false
    var exportTo: [String] = []
    var backing = Backing.addresses
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

struct Registry {
    private(set) var services: [Service] = []
    private var byHost: [String: [Int]] = [:]
    /// Pods by `namespace/name` and by address, numbers of `pods`.
    let pods: [PodDocument]
    private(set) var podByName: [String: Int] = [:]
    private(set) var podByAddress: [IPAddress: Int] = [:]
    /// Pods by namespace and labels; its numbers are those of `pods`.
    private(set) var podLabels = LabelIndex()
    private(set) var attachments = RouteAttachments()
    let workloads: [WorkloadEntryDocument]
    private(set) var workloadLabels = LabelIndex()

    init(_ documents: DocumentSet) {
        pods = documents.pods
        for (index, pod) in pods.enumerated() {
            podByName["\(pod.meta.namespace)/\(pod.meta.name)"] = index
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
        if !documents.apiRoutes.isEmpty || !documents.apiGateways.isEmpty {
            attachments = RouteAttachments(documents, isService: { isKnown($0) })
        }
    }

    /// The service a client in `namespace` means by this host; `isVisible` leaves out what a Sidecar hides.
    /// Kubernetes services come before ServiceEntries, the client's own namespace before others, then age.
    func service(_ host: String, from namespace: String) -> Int? {
        var best: Int?
        for index in byHost[host] ?? [] {
            let service = services[index]
            guard Names.isExported(service.exportTo, own: service.namespace, to: namespace) else { continue }
            if service.isKubernetes { return index }
            if best == nil || (service.namespace == namespace && services[best!].namespace != namespace) {
                best = index
            }
        }
        return best
    }

    /// Whether any client at all knows this host.
    func isKnown(_ host: String) -> Bool { byHost[host] != nil }

    /// All services a client in `namespace` sees, one for each host, oldest first.
    func visible(from namespace: String) -> [Int] {
        services.indices.filter { service(services[$0].host, from: namespace) == $0 }
    }

    /// The known host that a misspelled one may mean; not looked for among very many, which would take long.
    func nearest(to host: String) -> String? {
        byHost.count > 1_000 ? nil : Config.nearest(to: host, among: byHost.keys)
    }

    private mutating func append(_ service: Service) {
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
        if let exportTo = meta.annotations["networking.istio.io/exportTo"] {
            service.exportTo = exportTo.split(separator: ",").map { $0.trimmed }
        }
        for port in document.ports where port.proto != .udp {
            service.endpoints[port.number] =
                slices.isEmpty && !document.selector.isEmpty
                ? endpoints(ofPods: document, port) : endpoints(of: slices, port, document)
        }
        append(service)
    }

    private func endpoints(
        of slices: [EndpointSliceDocument], _ port: ServicePort, _ document: ServiceDocument
    ) -> [EndpointModel] {
        var result: [EndpointModel] = []
        var seen: Set<SocketAddress> = []
        for slice in slices {
            guard let slicePort = slice.ports.first(where: { $0.name == port.name }) else { continue }
            for endpoint in slice.endpoints where !endpoint.terminating {
                for address in endpoint.addresses {
                    guard let ip = IPAddress(address) else { continue }
                    let socket = ip.socket(port: slicePort.number)
                    guard seen.insert(socket).inserted else { continue }
                    let named = endpoint.pod.flatMap { podByName["\(slice.meta.namespace)/\($0)"] }
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

    /// An endpoint with the labels and the workload of the pod behind it.
    func endpointModel(_ socket: SocketAddress, pod index: Int?) -> EndpointModel {
        var model = EndpointModel(address: socket)
        if let index {
            model.labels = pods[index].meta.labels
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
        let hasAddresses = document.workloadSelector != nil || !document.endpoints.isEmpty
        var template = Service(
            host: "", namespace: document.meta.namespace, name: "", ports: document.ports,
            meta: document.meta)
        template.exportTo = document.exportTo
        template.subjectAltNames = document.subjectAltNames
        template.clusterIPs = document.addresses.filter { IPAddress($0) != nil }
        template.backing = document.resolution != "STATIC" && !hasAddresses ? .byName : .addresses
        for port in document.ports {
            var endpoints = document.endpoints.compactMap { endpoint($0, port, document.meta.namespace, "") }
            if let selector = document.workloadSelector {
                endpoints += selected(selector, port, document.meta.namespace)
            }
            template.endpoints[port.number] = endpoints
        }
        for host in document.hosts {
            var service = template
            service.host = host.value.lowercased()
            append(service)
        }
    }

    private func endpoint(
        _ workload: Workload, _ port: ServicePort, _ namespace: String, _ name: String
    ) -> EndpointModel? {
        guard let ip = IPAddress(workload.address) else { return nil }
        var number = port.number
        if case .number(let target) = port.target { number = target }
        var model = EndpointModel(address: ip.socket(port: workload.ports[port.name] ?? number))
        model.labels = workload.labels
        model.weight = UInt32(clamping: workload.weight)
        model.namespace = namespace
        model.workload = workload.labels["app"] ?? name
        return model
    }

    /// WorkloadEntries and pods of the namespace with these labels.
    private func selected(_ selector: [String: String], _ port: ServicePort, _ namespace: String)
        -> [EndpointModel]
    {
        var result = workloadLabels.select(scope: namespace, selector).compactMap { index in
            endpoint(workloads[index].workload, port, namespace, workloads[index].meta.name)
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
        var rest = self
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
