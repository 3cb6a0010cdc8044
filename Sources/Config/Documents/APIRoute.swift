// The routes of the Gateway API as one typed value: what they attach to, and rules of matches, filters and
// backends (istio-semantics.md 21). HTTPRouteFields and GRPCRouteFields read their own parts; rules of a
// TLSRoute and a TCPRoute have backends alone.
internal import Lanes

struct APIRoute: Document {
    enum Kind: String, Sendable {
        case http = "HTTPRoute"
        case grpc = "GRPCRoute"
        case tls = "TLSRoute"
        case tcp = "TCPRoute"

        /// Requests are read; the others relay connections.
        var isHTTP: Bool { self == .http || self == .grpc }
    }

    struct Match: Sendable {
        var model = MatchModel()
        var rank = Rank()
        var line: Int
    }

    /// What decides between matches before age does (istio-semantics.md 21.3), the first number first; more
    /// is tried earlier.
    struct Rank: Sendable, Equatable {
        var numbers = SIMD8<Int32>()

        func isBefore(_ other: Rank) -> Bool? {
            for index in 0..<8 where numbers[index] != other.numbers[index] {
                return numbers[index] > other.numbers[index]
            }
            return nil
        }
    }

    /// What decides before `Rank` does between routes that a narrower listener brings to one host name:
    /// characters of the matching hostname that is no wildcard, then of any.
    struct HostRank: Sendable, Equatable {
        var exact = 0
        var any = 0

        func isBefore(_ other: HostRank) -> Bool { (exact, any) > (other.exact, other.any) }
    }

    /// Of this route's hostnames the best for one; without hostnames it has the listener's.
    func hostRank(for domain: String) -> HostRank {
        var best = HostRank()
        for hostname in hostnames.isEmpty ? [domain] : hostnames.map(\.value)
        where Names.covers(hostname, domain) {
            let length = hostname.utf8.count
            best.any = max(best.any, length)
            if !Names.isWildcard(hostname) { best.exact = max(best.exact, length) }
        }
        return best
    }

    struct Rule: Sendable {
        var name = ""
        /// Of HTTPRoutes and GRPCRoutes never empty: without `matches` there is one that takes everything.
        var matches: [Match] = []
        var filters = APIFilters()
        var backends: [BackendReference] = []
        var timeoutMs: UInt64 = 0
        var line: Int
    }

    var meta: Meta
    let kind: Kind
    var parents: [ParentReference] = []
    var hostnames: [Located<String>] = []
    var rules: [Rule] = []

    init(_ root: YAML, kind: Kind, meta: Meta, context: DocumentContext) {
        self.meta = meta
        self.kind = kind
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        parents = ParentReference.readAll(spec, namespace: meta.namespace)
        if kind != .tcp { hostnames = readHostnames(spec) }
        rules = spec.objects("rules").map {
            kind.isHTTP ? Self.readRule($0, kind, meta) : Self.readRelay($0, kind, meta)
        }
        // Its first version took every name of the listener then.
        let isFirst =
            if case .scalar(let text, _)? = root["apiVersion"]?.value { text.hasSuffix("v1alpha2") } else {
                false
            }
        if kind == .tls, hostnames.isEmpty, !isFirst {
            context.invalid(spec.line, "spec.hostnames is missing: connections are told apart by server name")
        }
        spec.unsupported("useDefaultGateways", effect: "routes attach to what parentRefs name")
        checkCounts(spec)
        spec.finish()
        if !spec.has("rules"), kind == .http {
            // The API server fills in a rule for every path, without a backend.
            rules = [Rule(matches: [Self.everything(kind, line: spec.line)], line: spec.line)]
        }
    }

    /// The bounds that the API server keeps.
    private func checkCounts(_ spec: Fields) {
        func bound(_ count: Int, _ limit: Int, _ key: String, _ what: String) {
            if count > limit {
                spec.context.invalid(spec.line(of: key), "\(count) \(what), more than \(limit)")
            }
        }
        bound(rules.count, 16, "rules", "rules")
        bound(rules.reduce(0) { $0 + $1.matches.count }, 128, "rules", "matches in all")
        bound(hostnames.count, 16, "hostnames", "hostnames")
        bound(parents.count, 32, "parentRefs", "parents")
        var names: Set<String> = []
        for rule in rules where !rule.name.isEmpty && !names.insert(rule.name).inserted {
            spec.context.invalid(rule.line, "the rule name \(rule.name) is given twice")
        }
    }

    private static func everything(_ kind: Kind, line: Int) -> Match {
        var match = Match(line: line)
        if kind == .http { setPath(&match, type: "PathPrefix", value: "/") }
        return match
    }

    private static func readRule(_ fields: Fields, _ kind: Kind, _ meta: Meta) -> Rule {
        var rule = Rule(line: fields.line)
        rule.name = fields.string("name") ?? ""
        rule.matches = fields.objects("matches").map { kind == .http ? readHTTPMatch($0) : readGRPCMatch($0) }
        if rule.matches.isEmpty { rule.matches = [everything(kind, line: fields.line)] }
        rule.filters = APIFilters.read(fields, kind: kind, matches: rule.matches, namespace: meta.namespace)
        rule.backends = fields.objects("backendRefs").map {
            BackendReference.read($0, namespace: meta.namespace, filters: kind)
        }
        if kind == .http { rule.timeoutMs = readTimeouts(fields) }
        fields.unsupported("retry", effect: "only a request that no upstream has seen is tried again")
        fields.unsupported("sessionPersistence", effect: "requests of a session may go to any endpoint")
        if rule.filters.redirect != nil, !rule.backends.isEmpty {
            fields.context.invalid(
                fields.line(of: "backendRefs"),
                "\(fields.path): RequestRedirect and backendRefs exclude each other")
        }
        fields.finish()
        return rule
    }

    private static func readRelay(_ fields: Fields, _ kind: Kind, _ meta: Meta) -> Rule {
        var rule = Rule(line: fields.line)
        rule.name = fields.string("name") ?? ""
        rule.backends = fields.objects("backendRefs").map {
            BackendReference.read($0, namespace: meta.namespace, filters: kind)
        }
        fields.finish()
        return rule
    }

    /// The whole exchange's limit. Without retries one attempt is all there is, so the stricter one counts.
    private static func readTimeouts(_ rule: Fields) -> UInt64 {
        guard let fields = rule.object("timeouts") else { return 0 }
        let request = fields.duration("request") ?? 0
        let attempt = fields.duration("backendRequest") ?? 0
        if request > 0, attempt > request {
            fields.context.invalid(
                fields.line(of: "backendRequest"),
                "\(fields.path): backendRequest is longer than request")
        }
        fields.finish()
        return attempt > 0 ? attempt : request
    }

    // MARK: parts that both kinds have

    /// `headers` and `queryParams`: lists of name, type, value. A name given twice is refused; one that
    /// differs in case alone counts once, for headers.
    static func readNamed(_ match: Fields, _ key: String) -> [NamedMatch] {
        let isHeader = key == "headers"
        var result: [NamedMatch] = []
        var written: Set<String> = []
        var known: Set<String> = []
        for fields in match.objects(key) {
            let name = fields.string("name") ?? ""
            let type = fields.word("type", of: ["Exact", "RegularExpression"]) ?? "Exact"
            let value = fields.string("value")
            fields.finish()
            if !isHeaderName(name) {
                fields.context.invalid(
                    fields.line(of: "name"),
                    name.isEmpty
                        ? "\(fields.path).name is missing" : "\(fields.path).name: \"\(name)\" is no name")
                continue
            }
            if !written.insert(name).inserted {
                fields.context.invalid(fields.line, "\(match.path).\(key) has \(name) twice")
                continue
            }
            guard let value else {
                if !fields.has("value") {
                    fields.context.invalid(fields.line, "\(fields.path).value is missing")
                }
                continue
            }
            let key = isHeader ? name.lowercased() : name
            guard known.insert(key).inserted else { continue }
            guard let condition = stringMatch(fields, type, value) else { continue }
            result.append(NamedMatch(name: key, match: condition))
        }
        return result
    }

    static func stringMatch(_ fields: Fields, _ type: String, _ value: String) -> StringMatch? {
        if type != "RegularExpression" { return .exact(value) }
        if let problem = regexProblem(value) {
            fields.context.invalid(fields.line(of: "value"), "\(fields.path).value: \(problem)")
            return nil
        }
        return .regex(value)
    }
}
