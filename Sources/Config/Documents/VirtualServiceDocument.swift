// `VirtualService`: fields and validation (istio-semantics.md 4 to 6). What the routes mean for one proxy is
// decided in Compile/.
internal import Lanes

/// A class: ten thousand of them are sorted, grouped and kept, and a copy of the values would count the
/// references of dozens.
final class VirtualServiceDocument: Document {
    struct Destination: Sendable {
        /// FQDN: resolved in the namespace of the object that holds it.
        var host: String
        var subset: String
        var port: UInt16?
        /// Nil: not given.
        var weight: Int?
        var requestHeaders = HeaderOperations()
        var responseHeaders = HeaderOperations()
        /// Host rewrite asked for by this destination's own header operations.
        var authority: String?
        var line: Int
    }

    struct Match: Sendable {
        var name = ""
        var model = MatchModel()
        /// `mesh` or `namespace/name`.
        var gateways: [String] = []
        var sourceLabels: [String: String] = [:]
        var sourceNamespace = ""
        var port: UInt16?
        /// Holds a condition that is not supported: the element never matches, which is the safe reading.
        var isUnsupported = false
        /// Of a condition on a claim of a token.
        var claimLine: Int?
        var line: Int
    }

    struct HTTPRoute: Sendable {
        var name = ""
        var matches: [Match] = []
        var destinations: [Destination] = []
        var redirect: RedirectModel?
        var direct: (status: Int, body: [UInt8])?
        var delegate: (name: String, namespace: String)?
        var rewrite: RewriteModel?
        var cors: CORSModel?
        /// `headers` as a whole was given: what delegation inherits or not.
        var hasHeaders = false
        var requestHeaders = HeaderOperations()
        var responseHeaders = HeaderOperations()
        var authority: String?
        var timeoutMs: UInt64?
        var retries: RetryPolicy?
        /// Hosts that copies would go to, as far as they are looked at: whether they exist.
        var mirrors: [Destination] = []
        var line: Int
        var ref: SourceRef
    }

    let meta: Meta
    let hosts: [Located<String>]
    /// The same, completed.
    let fullHosts: [String]
    let gateways: [Located<String>]
    /// `mesh` or `namespace/name`, in the same order.
    let fullGateways: [String]
    let exportTo: [String]
    let http: [HTTPRoute]
    let tls: [ConnectionRoute]
    let tcp: [ConnectionRoute]
    let remarks: VirtualServiceRemarks

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        let spec = Fields(root, path: "", context: context).spec()
        let hosts = spec?.strings("hosts") ?? []
        self.meta = meta
        self.hosts = hosts
        fullHosts = hosts.map { Names.resolve($0.value, namespace: meta.namespace) }
        gateways = spec?.strings("gateways") ?? []
        fullGateways = gateways.map { Names.gateway($0.value, namespace: meta.namespace) }
        exportTo = spec?.strings("exportTo").map(\.value) ?? []
        http = spec?.objects("http").map { Self.readRoute($0, meta: meta) } ?? []
        func connections(_ key: String, isTLS: Bool) -> [ConnectionRoute] {
            let routes = spec?.objects(key) ?? []
            return routes.map { Self.readConnectionRoute($0, meta: meta, isTLS: isTLS, hosts: hosts) }
        }
        tls = connections("tls", isTLS: true)
        tcp = connections("tcp", isTLS: false)
        remarks = VirtualServiceRemarks(
            meta.ref, isForMeshOnly: gateways.allSatisfy { $0.value == "mesh" }, http: http, tls: tls,
            tcp: tcp)
        if let spec {
            validate(spec)
            spec.finish()
        }
    }

    /// The same document, `lines` further down.
    init(_ document: VirtualServiceDocument, movedBy lines: Int) {
        meta = document.meta.moved(by: lines)
        hosts = document.hosts.moved(by: lines)
        fullHosts = document.fullHosts
        gateways = document.gateways.moved(by: lines)
        fullGateways = document.fullGateways
        exportTo = document.exportTo
        http = document.http.map { $0.moved(by: lines) }
        tls = document.tls.map { $0.moved(by: lines) }
        tcp = document.tcp.map { $0.moved(by: lines) }
        remarks =
            document.remarks.moved(by: lines)
            ?? VirtualServiceRemarks(
                meta.ref, isForMeshOnly: gateways.allSatisfy { $0.value == "mesh" }, http: http, tls: tls,
                tcp: tcp)
    }

    /// Of every kind of route.
    func forEachDestination(_ body: (Destination) -> Void) {
        for route in http {
            for destination in route.destinations { body(destination) }
            for mirror in route.mirrors { body(mirror) }
        }
        for route in tls { for destination in route.destinations { body(destination) } }
        for route in tcp { for destination in route.destinations { body(destination) } }
    }

    private func validate(_ spec: Fields) {
        let isDelegate = !spec.has("hosts")
        if isDelegate, spec.has("gateways") {
            spec.context.invalid(
                spec.line(of: "gateways"), "a VirtualService without hosts is a delegate and has no gateways")
        }
        if http.isEmpty, tls.isEmpty, tcp.isEmpty {
            spec.context.invalid(spec.line, "http, tcp or tls must be given")
        }
        let inMesh = gateways.isEmpty || gateways.contains { $0.value == "mesh" }
        var seen: Set<String> = []
        for host in hosts {
            if !isHostName(host.value, wildcard: true) {
                spec.context.invalid(host.line, "spec.hosts: \"\(host.value)\" is no host name")
            } else if host.value == "*", inMesh {
                spec.context.invalid(
                    host.line, "the host * is not allowed in the mesh", suggestion: "bind it to a gateway")
            }
            if !seen.insert(host.value.lowercased()).inserted {
                spec.context.invalid(host.line, "the host \(host.value) is given twice")
            }
        }
        for gateway in gateways where gateway.value.isEmpty {
            spec.context.invalid(gateway.line, "spec.gateways: an empty name")
        }
    }

    // MARK: one http entry

    private static func readRoute(_ fields: Fields, meta: Meta) -> HTTPRoute {
        var route = HTTPRoute(line: fields.line, ref: fields.context.ref(fields.line))
        route.name = fields.string("name") ?? ""
        route.matches = fields.objects("match").map { readMatch($0, namespace: meta.namespace) }
        route.destinations = fields.objects("route").compactMap(readDestination)
        for index in route.destinations.indices {
            let host = route.destinations[index].host
            route.destinations[index].host = Names.resolve(host, namespace: meta.namespace)
        }
        if let redirect = fields.object("redirect") { route.redirect = readRedirect(redirect, route: route) }
        if let direct = fields.object("directResponse") { route.direct = readDirectResponse(direct) }
        if let delegate = fields.object("delegate") {
            let name = delegate.string("name") ?? ""
            if name.isEmpty { delegate.context.invalid(delegate.line, "\(delegate.path).name is missing") }
            route.delegate = (name, delegate.string("namespace") ?? meta.namespace)
            delegate.finish()
        }
        if let rewrite = fields.object("rewrite") { route.rewrite = readRewrite(rewrite) }
        if let headers = fields.object("headers") {
            route.hasHeaders = true
            (route.requestHeaders, route.responseHeaders, route.authority) = readHeaders(headers)
        }
        route.timeoutMs = fields.duration("timeout")
        route.retries = readRetries(fields)
        route.cors = fields.object("corsPolicy").map(readCORS)
        route.mirrors = readMirrors(fields, namespace: meta.namespace)
        fields.unsupported("fault", effect: "ignored")
        fields.unsupported(
            "mirror", "mirrors", "mirrorPercent", "mirror_percent", "mirrorPercentage", effect: "ignored")
        validateAction(fields, route)
        fields.finish()
        return route
    }

    private static func readMirrors(_ fields: Fields, namespace: String) -> [Destination] {
        var targets = fields.objects("mirrors").compactMap { $0.object("destination") }
        if let one = fields.object("mirror") { targets.append(one) }
        return targets.map { target in
            Destination(
                host: Names.resolve(target.string("host") ?? "", namespace: namespace),
                subset: target.string("subset") ?? "", port: target.object("port")?.port("number"),
                line: target.line)
        }
    }

    private static func validateAction(_ fields: Fields, _ route: HTTPRoute) {
        let context = fields.context
        func refuse(_ one: String, with others: [String]) {
            guard fields.has(one) else { return }
            for other in others where fields.has(other) {
                context.invalid(
                    fields.line(of: other), "\(fields.path): \(one) and \(other) exclude each other")
            }
        }
        refuse("redirect", with: ["route", "fault", "rewrite", "directResponse", "delegate"])
        refuse("directResponse", with: ["route", "fault", "rewrite", "delegate"])
        refuse("delegate", with: ["route"])
        refuse("mirror", with: ["mirrors"])
        let hasAction = ["route", "redirect", "directResponse", "delegate"].contains { fields.has($0) }
        if !hasAction {
            context.invalid(
                fields.line, "\(fields.path) has no route, redirect, directResponse or delegate")
        } else if fields.has("route"), fields.list("route").isEmpty {
            context.invalid(fields.line(of: "route"), "\(fields.path).route is empty")
        }
        if route.destinations.count > 1, route.destinations.allSatisfy({ ($0.weight ?? 0) == 0 }) {
            context.invalid(fields.line(of: "route"), "\(fields.path).route: total destination weight = 0")
        }
        if route.redirect?.prefixRewrite != nil,
            !route.matches.allSatisfy({ if case .prefix? = $0.model.uri { true } else { false } })
        {
            context.invalid(
                fields.line(of: "redirect"), "\(fields.path).redirect.prefixRewrite needs uri prefix matches")
        }
    }

    private static func readRetries(_ fields: Fields) -> RetryPolicy? {
        guard let retries = fields.object("retries") else { return nil }
        let attempts = retries.integer("attempts", in: 0...Int(Int32.max))
        let conditions = retries.string("retryOn")
        retries.accept("perTryTimeout", "retryRemoteLocalities", "retryIgnorePreviousHosts", "backoff")
        if attempts != 0 {
            fields.context.warn(
                fields.line(of: "retries"), Code.fieldNotSupported,
                "not supported yet: \(fields.path).retries, only a request that no upstream has seen "
                    + "is tried again")
        }
        retries.finish()
        return RetryPolicy(attempts: attempts ?? 0, conditions: conditions ?? "")
    }

    static func readHeaders(_ fields: Fields) -> (HeaderOperations, HeaderOperations, String?) {
        let authority = AuthorityOperation()
        let request = fields.object("request").map { readHeaderOperations($0, authority: authority) }
        let response = fields.object("response").map { readHeaderOperations($0, authority: nil) }
        fields.finish()
        return (request ?? HeaderOperations(), response ?? HeaderOperations(), authority.value)
    }

    static func readDestination(_ fields: Fields) -> Destination? {
        var destination = Destination(host: "", subset: "", line: fields.line)
        destination.weight = fields.integer("weight", in: 0...Int(Int32.max))
        if let headers = fields.object("headers") {
            (destination.requestHeaders, destination.responseHeaders, destination.authority) =
                readHeaders(headers)
        }
        defer { fields.finish() }
        guard let target = fields.object("destination") else {
            fields.context.invalid(fields.line, "\(fields.path).destination is missing")
            return nil
        }
        destination.line = fields.line(of: "destination")
        destination.host = target.string("host") ?? ""
        destination.subset = target.string("subset") ?? ""
        if let port = target.object("port") {
            destination.port = port.port("number")
            if port.has("name") {
                fields.context.invalid(
                    port.line(of: "name"), "\(port.path).name is not supported in Istio",
                    suggestion: "use number")
            }
            port.accept("name")
            port.finish()
        }
        if !isHostName(destination.host, wildcard: false) {
            fields.context.invalid(
                target.line(of: "host"),
                destination.host.isEmpty
                    ? "\(target.path).host is missing"
                    : "\(target.path).host: \"\(destination.host)\" is no host name")
        }
        if !destination.subset.isEmpty, !isDNSLabel(destination.subset) {
            fields.context.invalid(
                target.line(of: "subset"), "\(target.path).subset: \"\(destination.subset)\" is no DNS label")
        }
        target.finish()
        return destination
    }
}
