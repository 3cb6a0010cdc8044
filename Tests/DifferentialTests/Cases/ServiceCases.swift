// Sections 2.1, 2.4 and 18: names, DestinationRules, services and what stands behind them.

func serviceCases() throws -> [Case] {
    try shortNames() + rulesByNamespace() + rulesByHost() + serviceEntries() + kubernetes()
}

/// A Kubernetes Service `NAME-$ID` on port 80 with one ready pod labelled `version: v1`.
func kubernetesService(
    _ name: String, namespace: String = "shop", port: Int = 80, echo: String = "$V1", spec: String = "",
    annotations: String = "{}", conditions: String = "{ready: true}"
) -> String {
    """
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: \(name)-$ID, namespace: \(namespace), annotations: \(annotations)}
    spec: {ports: [{name: http, port: \(port), targetPort: 9999}]\(spec)}
    ---
    apiVersion: discovery.k8s.io/v1
    kind: EndpointSlice
    metadata:
      name: \(name)-$ID-1
      namespace: \(namespace)
      labels: {kubernetes.io/service-name: \(name)-$ID}
    addressType: IPv4
    ports: [{name: http, port: \(echo), protocol: TCP}]
    endpoints:
    - addresses: [127.0.0.1]
      conditions: \(conditions)
      targetRef: {kind: Pod, name: \(name)-$ID-pod}
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: \(name)-$ID-pod, namespace: \(namespace), labels: {version: v1}}
    spec: {containers: [{name: app}]}
    status: {podIP: 127.0.0.1}

    """
}

/// A ServiceEntry with one endpoint labelled `version: v1`.
func serviceEntry(
    _ host: String, name: String = "se", namespace: String = "shop", port: Int = 80, echo: String = "$V1",
    more: String = "", created: String = "2026-01-01T00:00:00Z"
) -> String {
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: \(name)-$ID, namespace: \(namespace), creationTimestamp: "\(created)"}
    spec:
      hosts: ["\(host)"]
      resolution: STATIC
      ports: [{number: \(port), name: http, protocol: HTTP}]
      endpoints: [{address: 127.0.0.1, ports: {http: \(echo)}, labels: {version: v1}}]
      \(more)

    """
}

func destinationRule(
    _ host: String, _ subset: String, name: String = "dr", namespace: String = "shop", version: String = "v1",
    more: String = "", created: String = "2026-01-01T00:00:00Z"
) -> String {
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: \(name)-$ID, namespace: \(namespace), creationTimestamp: "\(created)"}
    spec:
      host: "\(host)"
      subsets: [{name: \(subset), labels: {version: \(version)}}]
      \(more)

    """
}

/// A VirtualService of `$HOST` at the edge that sends everything to one destination.
private func to(
    _ destination: String, namespace: String = "shop", name: String = "vs", host: String = "$HOST"
) -> String {
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name)-$ID, namespace: \(namespace)}
    spec:
      hosts: [\(host)]
      gateways: [shop/public]
      http: [{route: [{destination: {\(destination)}}]}]

    """
}

private func shortNames() throws -> [Case] {
    [
        try .documents(
            "2.1 a name without a dot: of the object's own namespace",
            kubernetesService("a") + kubernetesService("a", namespace: "team", echo: "$V2")
                + to("host: a-$ID", name: "one", host: "a.$HOST")
                + to("host: a-$ID", namespace: "team", name: "two", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "200 V2")),
        try .documents(
            "2.1 a name with a dot is not completed",
            kubernetesService("a", namespace: "team") + to("host: a-$ID.team", host: "a.$HOST")
                + to("host: a-$ID.team.svc.cluster.local", name: "full", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "503", "!body"), Ask("/", host: "b.$HOST", "200 V1")),
        try .documents(
            "2.1 a DestinationRule's host: of its own namespace",
            kubernetesService("a", namespace: "team") + destinationRule("a-$ID", "mine", namespace: "team")
                + to("host: a-$ID, subset: mine", namespace: "team"), Ask("/", "200 V1")),
    ]
}

private func rulesByNamespace() throws -> [Case] {
    let service = serviceEntry("s.$HOST", namespace: "team")
    let host = "s.$HOST"
    return [
        try .documents(
            "2.4 the client's namespace before the service's",
            service + destinationRule(host, "own", name: "a")
                + destinationRule(host, "far", name: "b", namespace: "team")
                + to("host: \(host), subset: own", name: "a", host: "a.$HOST")
                + to("host: \(host), subset: far", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "503", "!body")),
        try .documents(
            "2.4 the service's namespace, if exported",
            service + destinationRule(host, "far", namespace: "team") + to("host: \(host), subset: far"),
            Ask("/", "200 V1")),
        try .documents(
            "2.4 the service's namespace, not exported",
            service + destinationRule(host, "far", namespace: "team", more: "exportTo: [\".\"]")
                + to("host: \(host), subset: far"), Ask("/", "503")),
        try .documents(
            "2.4 the root namespace",
            service + destinationRule(host, "root", namespace: "istio-system")
                + to("host: \(host), subset: root"), Ask("/", "200 V1")),
        try .documents(
            "2.4 a third namespace never",
            service + destinationRule(host, "third", namespace: "elsewhere")
                + to("host: \(host), subset: third"), Ask("/", "503")),
        try .documents(
            "2.4 a more specific rule that is not exported leaves the wildcard",
            service + destinationRule(host, "exact", name: "a", namespace: "team", more: "exportTo: [\".\"]")
                + destinationRule("*.$HOST", "wild", name: "b", namespace: "team")
                + to("host: \(host), subset: wild"), Ask("/", "200 V1")),
    ]
}

private func rulesByHost() throws -> [Case] {
    let service = serviceEntry("s.$HOST")
    let host = "s.$HOST"
    return [
        try .documents(
            "2.4 the exact host before the longest wildcard",
            service + destinationRule("*.$HOST", "wild", name: "a")
                + destinationRule(host, "exact", name: "b")
                + to("host: \(host), subset: exact", name: "a", host: "a.$HOST")
                + to("host: \(host), subset: wild", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "503", "!body")),
        try .documents(
            "2.4 rules of one host merge: subsets of all",
            service + destinationRule(host, "one", name: "a") + destinationRule(host, "two", name: "b")
                + to("host: \(host), subset: one", name: "a", host: "a.$HOST")
                + to("host: \(host), subset: two", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "200 V1")),
        try .documents(
            "2.4 rules of one host merge: of two subsets of one name the older",
            service + destinationRule(host, "one", name: "a", version: "v9", created: "2026-01-03T00:00:00Z")
                + destinationRule(host, "one", name: "b", created: "2026-01-02T00:00:00Z")
                + to("host: \(host), subset: one"), Ask("/", "200 V1")),
        try .documents(
            "2.4 workloadSelector: for workloads with these labels",
            service
                + destinationRule(
                    host, "mine", name: "a", more: "workloadSelector: {matchLabels: {app: caller}}")
                + destinationRule(host, "all", name: "b") + to("host: \(host), subset: mine"),
            Ask("/", "200 V1")),
        try .documents(
            "2.4 workloadSelector: not for others",
            service
                + destinationRule(
                    host, "other", name: "a", more: "workloadSelector: {matchLabels: {app: somebody}}")
                + destinationRule(host, "all", name: "b")
                + to("host: \(host), subset: other", name: "a", host: "a.$HOST")
                + to("host: \(host), subset: all", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "503"), Ask("/", host: "b.$HOST", "200 V1")),
    ]
}

private func serviceEntries() throws -> [Case] {
    [
        try .documents(
            "18.1 several hosts",
            serviceEntry("s.$HOST").replacing("[\"s.$HOST\"]", "[s.$HOST, t.$HOST]") + to("host: t.$HOST"),
            Ask("/", "200 V1")),
        try .documents(
            "18.1 an endpoint's port: its own by the port's name, then targetPort, then the service's",
            serviceEntry("s.$HOST").replacing("protocol: HTTP}", "protocol: HTTP, targetPort: $V2}")
                + serviceEntry("t.$HOST", name: "t").replacing(
                    "protocol: HTTP}", "protocol: HTTP, targetPort: $V2}"
                )
                .replacing(", ports: {http: $V1}", "")
                + to("host: s.$HOST", name: "a", host: "a.$HOST")
                + to("host: t.$HOST", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"), Ask("/", host: "b.$HOST", "200 V2")),
        try .documents(
            "18.1 exportTo: not visible, not there",
            serviceEntry("s.$HOST", namespace: "team", more: "exportTo: [\".\"]") + to("host: s.$HOST"),
            Ask("/", "503", "!body")),
        try .documents(
            "18.1 workloadSelector: WorkloadEntries of the namespace with these labels",
            serviceEntry("s.$HOST").replacing(
                "endpoints: [{address: 127.0.0.1, ports: {http: $V1}, labels: {version: v1}}]",
                "workloadSelector: {labels: {app: $ID}}")
                + workload("a", "$V2", "{app: $ID, version: v1}") + workload("b", "$V1", "{app: other}")
                + workload("c", "$V1", "{app: $ID}", namespace: "team") + to("host: s.$HOST"),
            Ask("/", "200 V2")),
        try .documents(
            "18.1 two entries of one host: the client's own namespace first", .sidecar,
            serviceEntry(
                "s.$HOST", name: "a", namespace: "team", echo: "$V2", created: "2025-01-01T00:00:00Z")
                + serviceEntry("s.$HOST", name: "b"), Ask("/", host: "s.$HOST", "200 V1")),
        try .documents(
            "18.2 WorkloadEntry: its labels make subsets",
            serviceEntry("s.$HOST").replacing(
                "endpoints: [{address: 127.0.0.1, ports: {http: $V1}, labels: {version: v1}}]",
                "workloadSelector: {labels: {app: $ID}}")
                + workload("a", "$V2", "{app: $ID, version: v1}")
                + workload("b", "$V1", "{app: $ID, version: v2}")
                + destinationRule("s.$HOST", "mine") + to("host: s.$HOST, subset: mine"), Ask("/", "200 V2")),
    ]
}

private func workload(_ name: String, _ echo: String, _ labels: String, namespace: String = "shop") -> String
{
    """
    ---
    apiVersion: networking.istio.io/v1
    kind: WorkloadEntry
    metadata: {name: \(name)-$ID, namespace: \(namespace)}
    spec: {address: 127.0.0.1, ports: {http: \(echo)}, labels: \(labels)}

    """
}

private func kubernetes() throws -> [Case] {
    [
        try .documents(
            "18.3 endpoints: the slice's port of the same name",
            kubernetesService("a", echo: "$V2") + to("host: a-$ID"),
            Ask("/", "200 V2")),
        try .documents(
            "18.3 endpoints that are not ready are not used",
            kubernetesService("a", conditions: "{ready: false}") + to("host: a-$ID"),
            Ask("/", "503", "body no healthy upstream")),
        try .documents(
            "18.3 endpoints without a word of readiness are ready",
            kubernetesService("a", conditions: "{}") + to("host: a-$ID"), Ask("/", "200 V1")),
        try .documents(
            "18.3 endpoints that terminate get no new requests",
            kubernetesService("a", conditions: "{ready: false, serving: true, terminating: true}")
                + to("host: a-$ID"), Ask("/", "503")),
        try .documents(
            "18.3 subset labels are the pod's",
            kubernetesService("a") + destinationRule("a-$ID", "one")
                + destinationRule("a-$ID", "two", name: "b", version: "v2")
                + to("host: a-$ID, subset: one", name: "a", host: "a.$HOST")
                + to("host: a-$ID, subset: two", name: "b", host: "b.$HOST"),
            Ask("/", host: "a.$HOST", "200 V1"),
            Ask("/", host: "b.$HOST", "503", "body no healthy upstream")),
        try .documents(
            "18.3 exportTo as an annotation",
            kubernetesService("a", namespace: "team", annotations: "{networking.istio.io/exportTo: \".\"}")
                + to("host: a-$ID", namespace: "team"), Ask("/", "503", "!body")),
        try .documents(
            "18.3 appProtocol decides what a port speaks",
            kubernetesService("a").replacing(
                "name: http, port: 80,", "name: http, port: 80, appProtocol: http,")
                + to("host: a-$ID"), Ask("/", "200 V1")),
    ]
}

extension String {
    fileprivate func replacing(_ from: String, _ to: String) -> String {
        guard let range = firstRange(of: from) else { return self }
        return self[..<range.lowerBound] + to + self[range.upperBound...]
    }
}
