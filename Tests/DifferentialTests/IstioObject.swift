// Documents as Istio's control plane reads them: names made full, age, who may see what. This file and its
// neighbours (Istio*.swift) are written from Istio's behaviour and from nothing in Fairlead, so that both
// cannot be wrong in the same way.

/// One object of the Kubernetes API.
struct IstioObject {
    var kind: String
    var name: String
    var namespace: String
    var labels: [String: String]
    var annotations: [String: String]
    /// RFC 3339 in UTC, which sorts as time does; empty is the oldest.
    var created: String
    var spec: Json
    /// Beside `spec`: objects such as EndpointSlice have none.
    var root: Json

    init(_ json: Json) {
        let meta = json["metadata"] ?? [:]
        kind = json.string("kind")
        name = meta.string("name")
        namespace = meta["namespace"]?.string ?? "default"
        labels = meta.texts("labels")
        annotations = meta.texts("annotations")
        created = meta.string("creationTimestamp")
        spec = json["spec"] ?? [:]
        root = json
    }

    /// Creation order, then name, then namespace.
    static func isOlder(_ left: IstioObject, _ right: IstioObject) -> Bool {
        (left.created, left.name, left.namespace) < (right.created, right.name, right.namespace)
    }

    /// The namespaces that see it, `*` for all; own namespace spelled out. Nothing given: all.
    var exportTo: Set<String> {
        var given = spec.strings("exportTo")
        if kind == "Service" {
            let annotation = annotations["networking.istio.io/exportTo"] ?? ""
            given = annotation.split(separator: ",").map(String.init)
        }
        return given.isEmpty ? ["*"] : Set(given.map { $0 == "." ? namespace : $0 })
    }

    func isVisible(from client: String) -> Bool { exportTo.contains("*") || exportTo.contains(client) }

    /// A service's name as an object of this namespace means it.
    func full(_ host: String) -> String {
        let isAddress = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
        if host == "*" || host.contains(".") || isAddress { return host.lowercased() }
        return "\(host).\(namespace).svc.cluster.local".lowercased()
    }

    /// A gateway's name as an object of this namespace means it: `namespace/name` or `mesh`.
    func gateway(_ reference: String) -> String {
        if reference == "mesh" { return reference }
        let parts = reference.split(separator: "/", maxSplits: 1).map(String.init)
        if parts.count == 2 { return "\(parts[0] == "." ? namespace : parts[0])/\(parts[1])" }
        let labels = reference.split(separator: ".").map(String.init)
        return labels.count > 1 ? "\(labels[1])/\(labels[0])" : "\(namespace)/\(reference)"
    }
}

/// Host names with a wildcard at the left.
enum HostName {
    static func isWildcard(_ host: String) -> Bool { host.hasPrefix("*") }

    /// Whether all that `host` stands for is covered by `other`.
    static func isSubset(_ host: String, of other: String) -> Bool {
        guard isWildcard(other) else { return host == other }
        if isWildcard(host) {
            return host.utf8.count >= other.utf8.count && host.dropFirst().hasSuffix(other.dropFirst())
        }
        return host.hasSuffix(other.dropFirst())
    }

    /// Whether there is a name that both stand for.
    static func overlap(_ left: String, _ right: String) -> Bool {
        isSubset(left, of: right) || isSubset(right, of: left)
    }

    /// Of each overlapping pair the narrower name, each once.
    static func intersection(_ left: [String], _ right: [String]) -> [String] {
        var result: [String] = []
        for one in left {
            for other in right {
                let narrower = isSubset(one, of: other) ? one : isSubset(other, of: one) ? other : nil
                if let narrower, !result.contains(narrower) { result.append(narrower) }
            }
        }
        return result
    }

    /// Of these names the exact one, else the longest wildcard that covers `host`.
    static func mostSpecific(_ host: String, among names: some Sequence<String>) -> String? {
        let covering = names.filter { $0 == host || (isWildcard($0) && isSubset(host, of: $0)) }
        if covering.contains(host) { return host }
        return covering.max { ($0.utf8.count, $1) < ($1.utf8.count, $0) }
    }
}
