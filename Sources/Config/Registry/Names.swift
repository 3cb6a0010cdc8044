// Short names, gateway references, exportTo, wildcard hosts (istio-semantics.md 2 and 3).

enum Names {
    static let clusterDomain = "cluster.local"
    static let rootNamespace = "istio-system"

    /// A name as an object in `namespace` means it: only a name without a dot is completed.
    static func resolve(_ host: String, namespace: String) -> String {
        // Nearly always it is, and then stays the text that it was read as.
        let isLower = host.utf8.allSatisfy { $0 < 0x80 && !(0x41...0x5A).contains($0) }
        let lower = isLower ? host : host.lowercased()
        if lower == "*" || lower.utf8.contains(0x2E) || IPAddress(lower) != nil { return lower }
        return "\(lower).\(namespace).svc.\(clusterDomain)"
    }

    /// A gateway reference as `namespace/name`; `mesh` stays.
    static func gateway(_ reference: String, namespace: String) -> String {
        if reference == "mesh" { return reference }
        if let slash = reference.utf8.firstIndex(of: 0x2F) {
            let given = reference[..<slash]
            let name = reference[reference.utf8.index(after: slash)...]
            return given == "." ? "\(namespace)/\(name)" : "\(given)/\(name)"
        }
        guard reference.utf8.contains(0x2E) else { return "\(namespace)/\(reference)" }
        let parts = reference.split(separator: ".", omittingEmptySubsequences: false)
        return "\(parts[1])/\(parts[0])"
    }

    /// Whether an object in `own` with this `exportTo` is seen from `namespace`. Empty: by all.
    static func isExported(_ exportTo: [String], own: String, to namespace: String) -> Bool {
        if exportTo.isEmpty { return true }
        return exportTo.contains { target in
            target == "*" || target == namespace || (target == "." && own == namespace)
        }
    }

    static func isWildcard(_ host: String) -> Bool { host.utf8.first == 0x2A }

    /// Whether the wildcard `pattern` (or plain name) covers all that `host` stands for.
    static func covers(_ pattern: String, _ host: String) -> Bool {
        guard isWildcard(pattern) else { return pattern == host }
        let suffix = pattern.dropFirst()
        if isWildcard(host) { return host.dropFirst().hasSuffix(suffix) }
        // The literal part must be shorter than the host: `*.foo.com` covers no `foo.com` and no `.foo.com`.
        return host.utf8.count > suffix.utf8.count && host.hasSuffix(suffix)
    }

    /// The narrower of two overlapping names; nil if they share nothing.
    static func intersection(_ left: String, _ right: String) -> String? {
        if covers(left, right) { return right }
        return covers(right, left) ? left : nil
    }
}

/// Hosts to values: exact names by hash, wildcards from the most specific on.
struct HostIndex<Value> {
    private(set) var exact: [String: Value] = [:]
    private var wildcards: [String: Value] = [:]
    /// Lengths of the wildcards' literal parts, longest first.
    private var lengths: [Int] = []

    /// The value of a host as written.
    subscript(host: String) -> Value? {
        get { Names.isWildcard(host) ? wildcards[host] : exact[host] }
        set {
            guard Names.isWildcard(host) else {
                exact[host] = newValue
                return
            }
            wildcards[host] = newValue
            let length = host.utf8.count - 1
            if !lengths.contains(length) {
                lengths.append(length)
                lengths.sort(by: >)
            }
        }
    }

    /// The values of all entries that cover `host`, the exact one first, then from the most specific on.
    func covering(_ host: String) -> [(host: String, value: Value)] {
        var found: [(String, Value)] = []
        if let value = self[host] { found.append((host, value)) }
        let bytes = Names.isWildcard(host) ? host.utf8.dropFirst() : host.utf8[...]
        for length in lengths where length < bytes.count {
            let pattern = "*" + String(Substring(bytes.suffix(length)))
            if let value = wildcards[pattern] { found.append((pattern, value)) }
        }
        return found
    }

    /// The value of the most specific entry that covers `host` (which may be a wildcard itself).
    func mostSpecific(_ host: String) -> Value? {
        if let value = self[host] { return value }
        let bytes = Names.isWildcard(host) ? host.utf8.dropFirst() : host.utf8[...]
        for length in lengths where length < bytes.count {
            if let value = wildcards["*" + String(Substring(bytes.suffix(length)))] { return value }
        }
        return nil
    }
}
