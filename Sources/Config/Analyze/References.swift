// Names that nothing answers to: destination hosts, ports and subsets (Istio's IST0101, IST0112, IST0173,
// IST0174).
internal import Lanes

/// DestinationRules of one scope are merged.
private struct RuleScope: Hashable {
    var namespace: String
    var exportTo: [String]
    var workloadSelector: [String: String]
    var host: String
}

/// Where the older rules of a scope define what.
private struct EarlierRules {
    var subsets: [String: SourceRef] = [:]
    var policy: SourceRef?
}

/// What a destination's host is to the VirtualServices of one namespace with one `exportTo`.
final class DestinationHost {
    let host: String
    let namespace: String
    let exportTo: [String]
    let service: Service?
    /// Of the rules that cover it, the most specific first.
    let subsets: [Set<String>]

    init(
        _ host: String, _ document: VirtualServiceDocument, _ service: Service?, _ subsets: [Set<String>]
    ) {
        self.host = host
        namespace = document.meta.namespace
        exportTo = document.exportTo
        self.service = service
        self.subsets = subsets
    }

    func isFor(_ host: String, _ document: VirtualServiceDocument) -> Bool {
        self.host == host && namespace == document.meta.namespace && exportTo == document.exportTo
    }
}

extension Analysis {
    mutating func checkDestinations() {
        var subsets = HostIndex<Set<String>>()
        for rule in destinationRules {
            let host = Names.resolve(rule.host, namespace: rule.meta.namespace)
            subsets[host] = (subsets[host] ?? []).union(rule.subsets.map(\.name))
        }
        // Thousands of destinations in a row have the same.
        var last: DestinationHost?
        for document in virtualServices {
            document.forEachDestination { destination in
                let host = destination.host
                if host.isEmpty { return }
                let known =
                    last.flatMap { $0.isFor(host, document) ? $0 : nil }
                    ?? DestinationHost(
                        host, document, service(host, for: document).map { registry.services[$0] },
                        subsets.covering(host).map(\.value))
                last = known
                check(destination, known, of: document)
            }
        }
    }

    private mutating func check(
        _ destination: VirtualServiceDocument.Destination, _ host: DestinationHost,
        of document: VirtualServiceDocument
    ) {
        guard let service = host.service else {
            // Istio's analyzers let a wildcard entry stand for the names below it.
            if isCoveredByWildcard(destination.host, document.meta.namespace) { return }
            let hidden = registry.isKnown(destination.host)
            note(
                .error, Code.referenceNotFound,
                hidden
                    ? "the service \(destination.host) is not exported to here: requests get 503"
                    : "the service \(destination.host) does not exist: requests get 503",
                document.meta.ref, line: destination.line,
                suggestion: hidden
                    ? "its exportTo must name the namespace" : missingServiceHint(destination.host, document))
            return
        }
        if let port = destination.port {
            if service.port(port) == nil, !service.ports.isEmpty {
                let ports = service.ports.map { String($0.number) }.joined(separator: ", ")
                note(
                    .error, Code.referenceNotFound,
                    "the service \(destination.host) has no port \(port): requests get 503",
                    document.meta.ref, line: destination.line,
                    suggestion: "it has \(ports); the service's port, not the pod's")
            }
        } else if service.ports.count > 1 {
            note(
                .error, Code.portRequired,
                "\(destination.host) has \(service.ports.count) ports and the destination names none",
                document.meta.ref, line: destination.line,
                suggestion: "the port on which the request arrives is taken")
        }
        if !destination.subset.isEmpty, !host.subsets.contains(where: { $0.contains(destination.subset) }) {
            let known = Set(host.subsets.joined())
            let near = nearest(to: destination.subset, among: known)
            note(
                .error, Code.referenceNotFound,
                "no DestinationRule defines subset \(destination.subset) of \(destination.host): 503",
                document.meta.ref, line: destination.line,
                suggestion: near.map { "did you mean \($0)?" }
                    ?? (known.isEmpty
                        ? "a DestinationRule for the host gives subsets their labels"
                        : "its subsets are \(known.sorted().prefix(8).joined(separator: ", "))"))
        }
    }

    /// The service as those who use the VirtualService see it.
    private func service(_ host: String, for document: VirtualServiceDocument) -> Int? {
        let own = document.meta.namespace
        let others = document.exportTo.filter { $0 != "*" && $0 != "." && $0 != own }
        if others.isEmpty || others.count < document.exportTo.count {
            return registry.service(host, from: own)
        }
        return others.lazy.compactMap { self.registry.service(host, from: $0) }.first
    }

    private func isCoveredByWildcard(_ host: String, _ namespace: String) -> Bool {
        registry.wildcards.contains { index in
            let service = registry.services[index]
            return Names.covers(service.host, host)
                && Names.isExported(service.exportTo, own: service.namespace, to: namespace)
        }
    }

    private func missingServiceHint(_ host: String, _ document: VirtualServiceDocument) -> String {
        if let near = registry.nearest(to: host, from: document.meta.namespace) {
            return "did you mean \(near)?"
        }
        if registry.services.isEmpty { return "no Service and no ServiceEntry was read: check them together" }
        if host.hasSuffix(".svc.\(Names.clusterDomain)") || !host.contains(".") {
            return "a name without a dot is in \(document.meta.namespace)"
        }
        return "a name with a dot is taken as it is: NAME.NAMESPACE.svc.\(Names.clusterDomain), or a"
            + " ServiceEntry's host"
    }

    mutating func checkDestinationRules() {
        var first: [RuleScope: EarlierRules] = [:]
        for rule in destinationRules where !rule.host.isEmpty {
            let host = Names.resolve(rule.host, namespace: rule.meta.namespace)
            checkSubsets(rule, host: host, &first)
            guard !Names.isWildcard(host) else { continue }
            guard let index = registry.service(host, from: rule.meta.namespace) else {
                note(
                    .warning, Code.unknownRuleHost, "the host \(host) does not exist", rule.meta.ref,
                    line: rule.hostLine,
                    suggestion: registry.nearest(to: host, from: rule.meta.namespace).map {
                        "did you mean \($0)?"
                    }
                        ?? (registry.services.isEmpty
                            ? "no Service and no ServiceEntry was read: check them together" : ""))
                continue
            }
            checkLabels(rule, registry.services[index])
        }
    }

    /// Labels of subsets against those of the pods (and other endpoints) there are.
    private mutating func checkLabels(_ rule: DestinationRuleDocument, _ service: Service) {
        var labels: [[String: String]] = []
        for endpoints in service.endpoints.values { labels += endpoints.map(\.labels) }
        if labels.isEmpty, !service.selector.isEmpty {
            labels = registry.podLabels.select(scope: service.namespace, service.selector).map {
                registry.labels(ofPod: $0)
            }
        }
        guard labels.count <= 1_000 || rule.subsets.count <= 10, !labels.isEmpty else { return }
        for subset in rule.subsets {
            // A place that is not known is nobody's place.
            let isPossible = !subset.labels.contains { $0.key.hasPrefix("topology.") && $0.value.isEmpty }
            if isPossible, labels.contains(where: { $0.contains(subset.labels) }) { continue }
            note(
                .error, Code.subsetSelectsNoPods,
                "the subset \(subset.name) selects no endpoint: requests to it get 503", rule.meta.ref,
                line: subset.line, suggestion: drift(subset.labels, labels))
        }
    }

    /// What the endpoints have where a subset's labels say something else.
    private func drift(_ wanted: [String: String], _ labels: [[String: String]]) -> String {
        for (key, value) in wanted.sorted(by: { $0.key < $1.key }) {
            let found = Set(labels.compactMap { $0[key] })
            if found.contains(value), !value.isEmpty { continue }
            if found.isEmpty { return "no endpoint has a label \(key)" }
            return "\(key) is \(found.sorted().prefix(8).joined(separator: " or ")) there, not \"\(value)\""
        }
        return "its labels must be on one pod, each of them"
    }

    /// Of two definitions of a subset the older counts (trap 4).
    private mutating func checkSubsets(
        _ rule: DestinationRuleDocument, host: String, _ first: inout [RuleScope: EarlierRules]
    ) {
        let scope = RuleScope(
            namespace: rule.meta.namespace, exportTo: rule.exportTo.sorted(),
            workloadSelector: rule.workloadSelector ?? [:], host: host)
        var known = first.removeValue(forKey: scope) ?? EarlierRules()
        defer { first[scope] = known }
        for subset in rule.subsets {
            if let earlier = known.subsets[subset.name] {
                note(
                    .warning, Code.duplicateSubset,
                    "the subset \(subset.name) of \(host) is defined already, this one is ignored",
                    rule.meta.ref, line: subset.line,
                    suggestion: "\(earlier.document) at \(earlier.file):\(earlier.line)")
            } else {
                var ref = rule.meta.ref
                ref.line = subset.line
                known.subsets[subset.name] = ref
            }
        }
        guard rule.policy != nil else { return }
        if let earlier = known.policy {
            note(
                .warning, Code.duplicateSubset,
                "the trafficPolicy of \(host) is given already, this one is ignored",
                rule.meta.ref, suggestion: "\(earlier.document) at \(earlier.file):\(earlier.line)")
        } else {
            known.policy = rule.meta.ref
        }
    }
}
