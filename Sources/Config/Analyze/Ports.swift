// Ports whose protocol nobody declares, or that nobody can tell apart (Istio's IST0118, IST0134, IST0150),
// and ports that no container has.

extension Analysis {
    mutating func checkPorts() {
        for service in documents.services { check(service) }
        for entry in documents.serviceEntries where entry.addresses.isEmpty && !entry.hasStatusAddresses {
            for line in entry.plainPortLines {
                note(
                    .warning, Code.addressesRequired,
                    "a TCP port without addresses: who captures connections cannot tell which of them are for"
                        + " \(entry.hosts.first?.value ?? "this entry")", entry.meta.ref, line: line,
                    suggestion: "give spec.addresses, or the protocol HTTP or TLS, which name their host")
            }
        }
    }

    private mutating func check(_ service: ServiceDocument) {
        let isOfTheSystem = [
            "kube-system", "kube-public", "kube-node-lease", "local-path-storage",
        ].contains(service.meta.namespace)
        let isOfIstio = service.meta.labels["istio"] != nil || service.meta.labels["release"] == "istio"
        if isOfTheSystem || isOfIstio { return }
        for port in service.ports {
            let isExternal = service.isExternalName
            guard port.proto == .auto || (isExternal && port.name == "tcp") else {
                checkTarget(port, service)
                continue
            }
            let name = port.name.isEmpty ? "has no name" : "is named \(port.name)"
            note(
                .warning, isExternal ? Code.externalPortName : Code.portName,
                "port \(port.number) \(name), which declares no protocol: it is taken for HTTP",
                service.meta.ref, line: port.line,
                suggestion: "a name such as http, http-web, grpc or tcp-db, or appProtocol, says it")
        }
    }

    /// A targetPort by name that no selected pod has gives the port no endpoint.
    private mutating func checkTarget(_ port: ServicePort, _ service: ServiceDocument) {
        guard case .named(let name) = port.target, !service.selector.isEmpty else { return }
        let pods = registry.podLabels.select(scope: service.meta.namespace, service.selector)
            .map { registry.pods[$0] }
        // Pods that say nothing of their containers do not say what is missing.
        let speaking = pods.filter { !$0.containerPorts.isEmpty }
        guard !speaking.isEmpty, speaking.count == pods.count,
            speaking.allSatisfy({ $0.containerPorts[name] == nil })
        else { return }
        let known = Set(speaking.flatMap(\.containerPorts.keys)).sorted()
        note(
            .warning, Code.targetPort, "no pod has a port named \(name): port \(port.number) has no endpoint",
            service.meta.ref, line: port.line,
            suggestion: nearest(to: name, among: known).map { "did you mean \($0)?" }
                ?? "the pods have \(known.joined(separator: ", "))")
    }
}
