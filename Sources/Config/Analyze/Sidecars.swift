// Sidecar objects that do not do what they say: hosts that nothing answers to, workloads that are not there,
// two for one workload.

extension Analysis {
    mutating func checkSidecars() {
        var defaults: [String: SidecarDocument] = [:]
        for sidecar in documents.sidecars.oldestFirst() {
            let namespace = sidecar.meta.namespace
            if let selector = sidecar.workloadSelector {
                checkSelector(sidecar, selector)
            } else if let first = defaults[namespace] {
                note(
                    .warning, Code.sidecarConflict,
                    "\(first.meta.resource) is for all workloads of \(namespace): this one is never used",
                    sidecar.meta.ref,
                    suggestion: "merge it into \(first.meta.ref.file):\(first.meta.ref.line), or give it a"
                        + " workloadSelector")
            } else {
                defaults[namespace] = sidecar
            }
            for egress in sidecar.egress { for host in egress.hosts { check(host, of: sidecar) } }
        }
    }

    private mutating func checkSelector(_ sidecar: SidecarDocument, _ selector: [String: String]) {
        let namespace = sidecar.meta.namespace
        if selector.isEmpty { return }
        let hasPod = !registry.podLabels.select(scope: namespace, selector).isEmpty
        let own = documents.proxies.filter { $0.meta.namespace == namespace }
        if hasPod || own.contains(where: { $0.meta.labels.contains(selector) }) { return }
        // Without a workload of the namespace there is nothing to compare with.
        let pods = registry.podLabels.select(scope: namespace, [:])
        guard !pods.isEmpty || !own.isEmpty else { return }
        let text = selector.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
        note(
            .warning, Code.referenceNotFound, "no workload of \(namespace) has the labels \(text)",
            sidecar.meta.ref,
            suggestion: "the labels are those of the pods, or of the Proxy document, in its own namespace")
    }

    private mutating func check(_ host: Located<String>, of sidecar: SidecarDocument) {
        let parts = host.value.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts[1] != "*", parts[0] != "~", !registry.services.isEmpty else { return }
        let wanted = parts[0] == "." ? sidecar.meta.namespace : parts[0]
        let name = parts[1].lowercased()
        let isFound = registry.services.contains { service in
            (wanted == "*" || service.namespace == wanted) && Names.intersection(name, service.host) != nil
        }
        if isFound { return }
        note(
            .warning, Code.referenceNotFound, "egress host \(host.value): no such service",
            sidecar.meta.ref, line: host.line,
            suggestion: registry.nearest(to: name, from: "").map { "did you mean \($0)?" }
                ?? "namespace/name.namespace.svc.cluster.local, or namespace/* for all of one")
    }
}
