// `delegate`: how Istio merges the entries of another VirtualService into those of the one that refers to it.

/// A VirtualService as routes are made from it.
struct IstioVirtualService {
    var object: IstioObject
    /// Full and lower case.
    var hosts: [String]
    /// `namespace/name` or `mesh`.
    var gateways: [String]
    /// Entries with delegates merged in.
    var http: [Json]
    /// It stands for routes of the Gateway API: prefixes are of path segments, what is missing is 500.
    var hasGatewaySemantics = false

    /// Of routes of the Gateway API.
    init(object: IstioObject, hosts: [String], gateways: [String], http: [Json]) {
        self.object = object
        self.hosts = hosts
        self.gateways = gateways
        self.http = http
        hasGatewaySemantics = true
    }

    /// `all` are all VirtualServices, delegates among them.
    init(_ object: IstioObject, among all: [IstioObject]) {
        self.object = object
        hosts = object.spec.strings("hosts").map(object.full)
        let given = object.spec.strings("gateways")
        gateways = given.isEmpty ? ["mesh"] : given.map(object.gateway)
        http = object.spec.items("http").flatMap { entry -> [Json] in
            guard let reference = entry["delegate"] else { return [Self.resolved(entry, object)] }
            let namespace = reference["namespace"]?.string ?? object.namespace
            let delegate = all.first {
                $0.name == reference.string("name") && $0.namespace == namespace
                    && $0.spec.items("hosts").isEmpty
            }
            guard let delegate, delegate.isVisible(from: object.namespace) else { return [] }
            return delegate.spec.items("http").compactMap { inner in
                Self.merge(Self.resolved(entry, object), Self.resolved(inner, delegate))
            }
        }
    }

    /// With full names of destinations and gateways.
    private static func resolved(_ entry: Json, _ object: IstioObject) -> Json {
        var entry = entry
        if entry["match"] != nil {
            let matches = entry.items("match").map { match -> Json in
                guard match["gateways"] != nil else { return match }
                let names = match.strings("gateways").map { Json.text(object.gateway($0)) }
                return match.setting("gateways", .list(names))
            }
            entry = entry.setting("match", .list(matches))
        }
        guard entry["route"] != nil else { return entry }
        let route = entry.items("route").map { item -> Json in
            let destination = item["destination"] ?? [:]
            let host = Json.text(object.full(destination.string("host")))
            return item.setting("destination", destination.setting("host", host))
        }
        return entry.setting("route", .list(route))
    }

    private static func merge(_ root: Json, _ delegate: Json) -> Json? {
        guard let matches = mergeMatches(root.items("match"), delegate.items("match")) else { return nil }
        var merged = delegate.setting("match", matches.isEmpty ? nil : .list(matches))
        for name in ["rewrite", "directResponse", "timeout", "retries", "corsPolicy", "headers"]
        where delegate[name] == nil {
            merged = merged.setting(name, root[name])
        }
        return merged.setting("name", joined(root["name"], delegate["name"]))
    }

    private static func joined(_ root: Json?, _ delegate: Json?) -> Json? {
        guard let root = root?.string, let delegate = delegate?.string else { return delegate ?? root }
        return .text("\(root)-\(delegate)")
    }

    /// Nil: one of the delegate's fits none of the root's, and its entry is dropped.
    private static func mergeMatches(_ root: [Json], _ delegate: [Json]) -> [Json]? {
        if root.isEmpty || delegate.isEmpty { return root + delegate }
        var merged: [Json] = []
        for inner in delegate {
            let fitting = root.filter { !conflicts($0, inner) }
            if fitting.isEmpty { return nil }
            merged += fitting.map { mergeMatch($0, inner) }
        }
        return merged
    }

    private static func mergeMatch(_ root: Json, _ delegate: Json) -> Json {
        var merged = delegate.setting("name", joined(root["name"], delegate["name"]))
        for name in ["uri", "scheme", "method", "authority", "port", "sourceNamespace", "gateways"]
        where delegate[name] == nil {
            merged = merged.setting(name, root[name])
        }
        for name in ["headers", "withoutHeaders", "queryParams", "sourceLabels"] {
            let own = delegate[name]?.members ?? []
            let more = (root[name]?.members ?? []).filter { outer in !own.contains { $0.name == outer.name } }
            if !(own + more).isEmpty { merged = merged.setting(name, .object(own + more)) }
        }
        return merged
    }

    private static func conflicts(_ root: Json, _ leaf: Json) -> Bool {
        for name in ["uri", "scheme", "method", "authority"] where conflicts(text: root[name], leaf[name]) {
            return true
        }
        for name in ["headers", "withoutHeaders", "queryParams"] {
            for member in leaf[name]?.members ?? []
            where conflicts(text: root[name]?[member.name], member.value) {
                return true
            }
        }
        if (root["ignoreUriCase"]?.isTrue ?? false) != (leaf["ignoreUriCase"]?.isTrue ?? false) {
            return true
        }
        if let port = root["port"], let inner = leaf["port"], port != inner { return true }
        if let own = root["sourceNamespace"], leaf["sourceNamespace"] != own { return true }
        let labels = root.texts("sourceLabels")
        if leaf.texts("sourceLabels").contains(where: { labels[$0.key] ?? $0.value != $0.value }) {
            return true
        }
        let gateways = root.strings("gateways")
        let inner = leaf.strings("gateways")
        if gateways.isEmpty || inner.isEmpty { return false }
        return gateways.count < inner.count || !inner.allSatisfy(gateways.contains)
    }

    /// Two conditions on the same thing: the leaf must say less than the root, and regexes never do.
    private static func conflicts(text root: Json?, _ leaf: Json?) -> Bool {
        guard let root, let leaf else { return false }
        let exact = leaf.string("exact")
        if !root.string("regex").isEmpty || !leaf.string("regex").isEmpty { return true }
        if !root.string("exact").isEmpty { return exact != root.string("exact") }
        let prefix = root.string("prefix")
        if prefix.isEmpty { return true }
        let narrower = leaf.string("prefix").isEmpty ? exact : leaf.string("prefix")
        return narrower.isEmpty || !narrower.hasPrefix(prefix)
    }
}
