// The name that a misspelled one may mean, as its author would write it: short where a short name will do.
// Names and namespaces are compared each by itself, for most of a full name is the same in all of them.

/// What an object goes by.
struct ObjectName: Hashable, Comparable {
    var namespace: String
    var name: String

    init(_ namespace: String, _ name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`; nil: no such text.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        self.init(String(parts[0]), String(parts[1]))
    }

    static func < (left: ObjectName, right: ObjectName) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }

    /// A service's full name, or what somebody may have thought is one: `reviews.prod`, `a.b.scv.local`.
    init?(host: String) {
        let labels = host.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard labels.count >= 2 else { return nil }
        let rest = labels.count == 3 ? String(labels[2]) : ""
        let usual = "svc.\(Names.clusterDomain)"
        guard usual.hasPrefix(rest) || slip(rest, usual) != nil else { return nil }
        self.init(String(labels[1]), String(labels[0]))
    }

    var host: String { "\(name).\(namespace).svc.\(Names.clusterDomain)" }

    /// As it is called in `own`: in full where it is elsewhere.
    func host(from own: String) -> String { namespace == own ? name : host }

    /// As `namespace/name` references name it in `own`.
    func reference(from own: String) -> String { namespace == own ? name : "\(namespace)/\(name)" }

    /// For references that have a field for each of both.
    func words(from own: String) -> String {
        namespace == own ? name : "\(name) in namespace \(namespace)"
    }
}

/// How many slips of the pen lie between a name and the one that may be meant; nil: too many.
private func slip(_ written: String, _ meant: String) -> Int? {
    let count = written.utf8.count
    let limit = count <= 4 ? 1 : count <= 8 ? 2 : 3
    let distance = editDistance(Array(written.lowercased().utf8.prefix(64)), Array(meant.utf8.prefix(64)))
    if distance <= limit, distance < count { return distance }
    // Something in front of it or behind it was left out, or is too much.
    let (short, long) = count < meant.utf8.count ? (written, meant) : (meant, written)
    let isPart = short.utf8.count > 2 && (long.hasPrefix(short + "-") || long.hasSuffix("-" + short))
    return isPart ? limit + 1 : nil
}

/// The candidate that is nearest to a name that nobody has: one with a slip in it, or that name in another
/// namespace.
func nearest(to wanted: ObjectName, among candidates: some Sequence<ObjectName>) -> ObjectName? {
    let elsewhere = 5
    var best: (score: Int, name: ObjectName)?
    for candidate in candidates {
        var score = 0
        if candidate.name != wanted.name {
            guard let slips = slip(wanted.name, candidate.name) else { continue }
            score = slips
        }
        if candidate.namespace != wanted.namespace {
            let slips = slip(wanted.namespace, candidate.namespace)
            guard let more = slips ?? (score == 0 ? elsewhere : nil) else { continue }
            score += more
        }
        if let best, (best.score, best.name) < (score, candidate) { continue }
        best = (score, candidate)
    }
    return best?.name
}

/// What to do about a Secret that is not there: its name alone is written, its namespace is given.
func missingSecretHint(_ wanted: String, among known: some Collection<String>) -> String {
    let usual = "its namespace is that of the proxy"
    guard known.count <= 1_000, let name = ObjectName(wanted),
        let near = nearest(to: name, among: known.compactMap { ObjectName($0) })
    else { return usual }
    if near.namespace == name.namespace { return "did you mean \(near.name)?" }
    return near.name == name.name
        ? "there is one in \(near.namespace), and it must be in \(name.namespace)" : usual
}

extension Registry {
    /// The service that a reference to a missing one may mean; not looked for among very many, which would
    /// take long.
    func nearest(to service: ObjectName) -> ObjectName? {
        if hosts.count > Self.mostCompared { return nil }
        return Config.nearest(to: service, among: kubernetesNames.filter { $0 != service })
    }

    /// The known host that a missing one may mean, as objects in `namespace` would name it.
    func nearest(to host: String, from namespace: String) -> String? {
        if hosts.count > Self.mostCompared { return nil }
        var meant: String? {
            guard let name = ObjectName(host: host) else { return nil }
            return Config.nearest(to: name, among: kubernetesNames)?.host(from: namespace)
        }
        if host.hasSuffix(".svc.\(Names.clusterDomain)"), let meant { return meant }
        return Config.nearest(to: host, among: hosts.filter { !$0.hasSuffix(".svc.\(Names.clusterDomain)") })
            ?? meant
    }

    private static let mostCompared = 1_000

    private var kubernetesNames: [ObjectName] {
        hosts.filter { $0.hasSuffix(".svc.\(Names.clusterDomain)") }.compactMap { ObjectName(host: $0) }
    }
}
