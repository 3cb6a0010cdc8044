// Names that nothing answers to: gateways, destination hosts, ports and subsets (Istio's IST0101, IST0112,
// IST0132, IST0173, IST0174).
internal import Base
internal import Lanes

extension Analysis {
    mutating func checkGatewayReferences() {
        var gateways: [String: GatewayDocument] = [:]
        for gateway in documents.gateways {
            gateways["\(gateway.meta.namespace)/\(gateway.meta.name)"] = gateway
        }
        var served: [String: [ServerHosts]] = [:]
        for (name, gateway) in gateways {
            served[name] = gateway.servers.map { ServerHosts($0.hosts.map(\.value), gateway.meta.namespace) }
        }
        for document in virtualServices {
            for reference in document.gateways where reference.value != "mesh" {
                let name = Names.gateway(reference.value, namespace: document.meta.namespace)
                guard let servers = served[name] else {
                    let near = gateways.count > 1_000 ? nil : nearest(to: name, among: gateways.keys)
                    note(
                        .error, Code.referenceNotFound, "the Gateway \(name) does not exist",
                        document.meta.ref,
                        line: reference.line, suggestion: near.map { "did you mean \($0)?" } ?? "")
                    continue
                }
                let isHeard = servers.contains { !$0.intersection(document).isEmpty }
                if !isHeard, !document.hosts.isEmpty, !servers.isEmpty {
                    note(
                        .warning, Code.hostNotInGateway,
                        "no host of this VirtualService is served by the Gateway \(name)", document.meta.ref,
                        line: document.hosts[0].line)
                }
            }
        }
    }

    mutating func checkDestinations() {
        var subsets = HostIndex<Set<String>>()
        for rule in destinationRules {
            let host = Names.resolve(rule.host, namespace: rule.meta.namespace)
            subsets[host] = (subsets[host] ?? []).union(rule.subsets.map(\.name))
        }
        for document in virtualServices {
            for destination in document.http.lazy.flatMap(\.destinations) where !destination.host.isEmpty {
                check(destination, of: document, subsets)
            }
        }
    }

    private mutating func check(
        _ destination: VirtualServiceDocument.Destination, of document: VirtualServiceDocument,
        _ subsets: HostIndex<Set<String>>
    ) {
        let ref = document.meta.ref
        guard let index = registry.service(destination.host, from: document.meta.namespace) else {
            note(
                .error, Code.referenceNotFound,
                "the service \(destination.host) does not exist: requests get 503",
                ref, line: destination.line,
                suggestion: registry.nearest(to: destination.host).map { "did you mean \($0)?" } ?? "")
            return
        }
        let service = registry.services[index]
        if let port = destination.port {
            if service.port(port) == nil, !service.ports.isEmpty {
                let ports = service.ports.map { String($0.number) }.joined(separator: ", ")
                note(
                    .error, Code.referenceNotFound,
                    "\(destination.host) has no port \(port): requests get 503",
                    ref, line: destination.line,
                    suggestion: "it has \(ports); the service's port, not the pod's")
            }
        } else if service.ports.count > 1 {
            note(
                .error, Code.portRequired,
                "\(destination.host) has \(service.ports.count) ports and the destination names none", ref,
                line: destination.line, suggestion: "the port on which the request arrives is taken")
        }
        if !destination.subset.isEmpty,
            !subsets.covering(destination.host).contains(where: { $0.value.contains(destination.subset) })
        {
            note(
                .error, Code.referenceNotFound,
                "no DestinationRule defines subset \(destination.subset) of \(destination.host): 503",
                ref, line: destination.line)
        }
    }

    mutating func checkDestinationRules() {
        var first: [String: SourceRef] = [:]
        for rule in destinationRules where !rule.host.isEmpty {
            let host = Names.resolve(rule.host, namespace: rule.meta.namespace)
            checkSubsets(rule, host: host, &first)
            guard !Names.isWildcard(host) else { continue }
            guard let index = registry.service(host, from: rule.meta.namespace) else {
                note(
                    .warning, Code.unknownRuleHost, "the host \(host) does not exist", rule.meta.ref,
                    line: rule.hostLine,
                    suggestion: registry.nearest(to: host).map { "did you mean \($0)?" } ?? "")
                continue
            }
            var labels: [[String: String]] = []
            for endpoints in registry.services[index].endpoints.values { labels += endpoints.map(\.labels) }
            guard labels.count <= 1_000 || rule.subsets.count <= 10, !labels.isEmpty else { continue }
            for subset in rule.subsets where !labels.contains(where: { $0.contains(subset.labels) }) {
                note(
                    .error, Code.subsetSelectsNoPods,
                    "the subset \(subset.name) selects no endpoint: requests to it get 503", rule.meta.ref,
                    line: subset.line, suggestion: "its labels must be on the pods, each one of them")
            }
        }
    }

    /// Of two definitions of a subset the older counts (trap 4).
    private mutating func checkSubsets(
        _ rule: DestinationRuleDocument, host: String, _ first: inout [String: SourceRef]
    ) {
        let scope = "\(rule.meta.namespace) \(rule.exportTo.sorted()) \(rule.workloadSelector ?? [:]) \(host)"
        for subset in rule.subsets {
            let key = "\(scope) \(subset.name)"
            if let earlier = first[key] {
                note(
                    .warning, Code.duplicateSubset,
                    "the subset \(subset.name) of \(host) is defined already, this one is ignored",
                    rule.meta.ref, line: subset.line,
                    suggestion: "\(earlier.document) at \(earlier.file):\(earlier.line)")
            } else {
                var ref = rule.meta.ref
                ref.line = subset.line
                first[key] = ref
            }
        }
        guard rule.policy != nil else { return }
        if let earlier = first[scope] {
            note(
                .warning, Code.duplicateSubset,
                "the trafficPolicy of \(host) is given already, this one is ignored",
                rule.meta.ref, suggestion: "\(earlier.document) at \(earlier.file):\(earlier.line)")
        } else {
            first[scope] = rule.meta.ref
        }
    }

    /// Services whose addresses would have to be looked up.
    mutating func checkServiceEntries() {
        for entry in documents.serviceEntries where entry.resolution != "STATIC" {
            let needed =
                entry.resolution == "NONE"
                || entry.endpoints.isEmpty || entry.endpoints.contains { IPAddress($0.address) == nil }
            guard needed else { continue }
            note(
                .warning, Code.resolutionNotSupported,
                "not supported yet: resolution \(entry.resolution); routes to it find no endpoint",
                entry.meta.ref, line: entry.line, suggestion: "STATIC with endpoints works")
        }
        for document in documents.services where !document.externalName.isEmpty {
            note(
                .warning, Code.resolutionNotSupported,
                "not supported yet: type ExternalName; routes to it find no endpoint", document.meta.ref)
        }
    }
}
