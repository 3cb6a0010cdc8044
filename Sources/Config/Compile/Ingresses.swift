// What an edge serves of Ingresses, in ingress-nginx's order: the hosts on port 80 and, with certificates, on
// port 443; in a host exact paths, then the longest; in a path the canary's header, its cookie, its weight.
internal import Lanes

/// One path of one host, and the canary for it.
private struct IngressPath {
    var ingress: IngressDocument
    var path: IngressDocument.Path
    var canary: (ingress: IngressDocument, path: IngressDocument.Path)?

    /// Of one host, those with equal keys are one location.
    static func key(_ path: IngressDocument.Path) -> String { "\(path.type) \(path.path)" }

    /// Regexes go by their length alone, as ingress-nginx documents; of equally long ones it takes the last.
    func isBefore(_ other: IngressPath, asRegex: Bool) -> Bool {
        let isExact = path.type == .exact
        if !asRegex, isExact != (other.path.type == .exact) { return isExact }
        if path.path.utf8.count != other.path.path.utf8.count {
            return path.path.utf8.count > other.path.path.utf8.count
        }
        if asRegex { return path.path > other.path.path }
        // Of equally long ones those by segments are narrower.
        return path.type == .prefix && other.path.type == .implementation
    }
}

/// One host of all Ingresses.
private struct IngressHost {
    var name: String
    var paths: [IngressPath] = []
    /// Some Ingress of the host rewrites or asks for regexes: all of its paths are read so.
    var usesRegex = false
    /// `namespace/name` of its certificate.
    var secret: (name: String, line: Int, ingress: IngressDocument)?
}

extension Compiler {
    /// Adds to what Gateways have opened.
    func compileIngresses() {
        let served = documents.ingresses.oldestFirst().filter { ingress in
            servesAnyGateway || proxy.gatewayClass.isEmpty || ingress.className == proxy.gatewayClass
        }
        guard !served.isEmpty else { return }
        var hosts = collectHosts(served)
        attachCanaries(served, &hosts)
        let anyHost = hosts.first { $0.name == "*" }
        openPlain(hosts, anyHost)
        openTLS(hosts.filter { $0.secret != nil }, anyHost)
    }

    // MARK: hosts

    private func collectHosts(_ served: [IngressDocument]) -> [IngressHost] {
        var hosts: [IngressHost] = []
        var position: [String: Int] = [:]
        func at(_ name: String) -> Int {
            if let known = position[name] { return known }
            position[name] = hosts.count
            hosts.append(IngressHost(name: name))
            return hosts.count - 1
        }
        var owners: [String: IngressDocument] = [:]
        func add(_ path: IngressDocument.Path, of ingress: IngressDocument, to host: String) {
            let index = at(host)
            if let older = owners.updateValue(ingress, forKey: "\(host) \(IngressPath.key(path))") {
                owners["\(host) \(IngressPath.key(path))"] = older
                note(
                    .warning, Code.ingressConflict,
                    "the path \(path.path) of \(host) belongs to \(older.meta.resource), this one is ignored",
                    ingress.meta.ref, line: path.line)
                return
            }
            hosts[index].paths.append(IngressPath(ingress: ingress, path: path))
        }
        for ingress in served where ingress.canary == nil {
            for rule in ingress.rules {
                for path in rule.paths { add(path, of: ingress, to: rule.host) }
                if ingress.usesRegex || rule.paths.contains(where: { ingress.rewrites($0) }) {
                    hosts[at(rule.host)].usesRegex = true
                }
            }
            for tls in ingress.tls { noteCertificates(tls, ingress) }
            for tls in ingress.tls where !tls.secret.isEmpty {
                let secret = (
                    name: "\(ingress.meta.namespace)/\(tls.secret)", line: tls.line, ingress: ingress
                )
                for host in tls.hosts.isEmpty ? ingress.rules.map(\.host) : tls.hosts {
                    let index = at(host)
                    if hosts[index].secret == nil { hosts[index].secret = secret }
                }
            }
        }
        // What no rule answers for, behind everything else.
        for ingress in served where ingress.canary == nil {
            guard let backend = ingress.defaultBackend else { continue }
            let path = IngressDocument.Path(
                type: .prefix, path: "/", backend: backend, line: backend.line)
            for host in Set(ingress.rules.map(\.host)).union(["*"]).sorted()
            where owners["\(host) \(IngressPath.key(path))"] == nil { add(path, of: ingress, to: host) }
        }
        return hosts
    }

    private func noteCertificates(_ tls: IngressDocument.TLS, _ ingress: IngressDocument) {
        if tls.secret.isEmpty {
            note(
                .warning, Code.referenceNotFound,
                "no certificate: \(tls.hosts.joined(separator: ", ")) is served on port 80 alone",
                ingress.meta.ref, line: tls.line, suggestion: "name a Secret in secretName")
        }
    }

    private func attachCanaries(_ served: [IngressDocument], _ hosts: inout [IngressHost]) {
        var places: [String: (host: Int, path: Int)] = [:]
        for host in hosts.indices {
            for (path, entry) in hosts[host].paths.enumerated() {
                places["\(hosts[host].name) \(IngressPath.key(entry.path))"] = (host, path)
            }
        }
        for ingress in served where ingress.canary != nil {
            if let backend = ingress.defaultBackend { attachDefault(backend, ingress, &hosts) }
            for rule in ingress.rules {
                for path in rule.paths {
                    guard let at = places["\(rule.host) \(IngressPath.key(path))"] else {
                        note(
                            .warning, Code.canaryUnreachable,
                            "no Ingress has the path \(path.path) of \(rule.host): no canary there",
                            ingress.meta.ref, line: path.line)
                        continue
                    }
                    if let first = hosts[at.host].paths[at.path].canary {
                        note(
                            .warning, Code.ingressConflict,
                            "\(path.path) of \(rule.host) has the canary \(first.ingress.meta.resource)",
                            ingress.meta.ref, line: path.line, suggestion: "one canary for each path")
                    } else {
                        hosts[at.host].paths[at.path].canary = (ingress, path)
                    }
                }
            }
        }
    }

    /// A canary's default backend is the canary of all that is served for any host.
    private func attachDefault(
        _ backend: IngressDocument.Backend, _ ingress: IngressDocument, _ hosts: inout [IngressHost]
    ) {
        guard let host = hosts.firstIndex(where: { $0.name == "*" }) else {
            note(
                .warning, Code.canaryUnreachable, "no Ingress has a default backend: no canary of it",
                ingress.meta.ref, line: backend.line)
            return
        }
        for index in hosts[host].paths.indices where hosts[host].paths[index].canary == nil {
            var path = hosts[host].paths[index].path
            path.backend = backend
            path.line = backend.line
            hosts[host].paths[index].canary = (ingress, path)
        }
    }

    // MARK: listeners

    private func openPlain(_ hosts: [IngressHost], _ anyHost: IngressHost?) {
        let place = IPAddress("0.0.0.0")!.socket(port: 80)
        let source = hosts.first?.paths.first?.ingress.meta.ref ?? proxy.meta.ref
        let table: Int
        if let known = model.listeners.first(where: { $0.address == place }) {
            guard known.connections == nil, known.tls == nil, let first = known.tables.first else {
                note(
                    .error, Code.listenerConflict,
                    "port 80 is taken by a listener of another protocol: no Ingress is served on it", source)
                return
            }
            table = first.routeTable
        } else {
            table = add(RouteTableModel(name: "http.80"))
            model.listeners.append(
                ListenerModel(
                    name: "gateway/80", role: .edge, address: place,
                    tables: [PortTable(port: 0, routeTable: table)], source: source))
        }
        var position: [String: Int] = [:]
        for (index, host) in model.routeTables[table].virtualHosts.enumerated() {
            for domain in host.domains { position[domain] = index }
        }
        for host in hosts {
            let routes = routes(host, anyHost, port: 80)
            if let index = position[host.name] {
                model.routeTables[table].virtualHosts[index].routes += routes
            } else if !routes.isEmpty {
                model.routeTables[table].virtualHosts.append(
                    VirtualHostModel(name: "\(host.name):80", domains: [host.name], routes: routes))
            }
        }
    }

    private func openTLS(_ hosts: [IngressHost], _ anyHost: IngressHost?) {
        let place = IPAddress("0.0.0.0")!.socket(port: 443)
        guard let first = hosts.first?.secret else { return }
        var source = first.ingress.meta.ref
        source.line = first.line
        if model.listeners.contains(where: { $0.address == place }) {
            note(
                .error, Code.listenerConflict, "port 443 is taken: no Ingress is served with TLS", source)
            return
        }
        var tls = ListenerTLSModel()
        for host in hosts {
            guard let secret = host.secret else { continue }
            var ref = secret.ingress.meta.ref
            ref.line = secret.line
            let fields = ServerTLSFields(
                secrets: [Located(secret.name, line: secret.line)], line: secret.line)
            let name = "\(secret.ingress.meta.resource) \(host.name)"
            guard let context = serverContext(fields, name: name, ref: ref) else { continue }
            var table = RouteTableModel(name: "https.443.\(host.name)")
            table.virtualHosts = [
                VirtualHostModel(
                    name: "\(host.name):443", domains: [host.name], routes: routes(host, anyHost, port: 443))
            ]
            tls.servers.append(
                TLSServerModel(
                    name: name, hosts: [host.name], mode: fields.mode.rawValue, routeTable: add(table),
                    context: context, source: ref))
        }
        guard let server = tls.servers.first else { return }
        var listener = ListenerModel(
            name: "gateway/443", role: .edge, address: place,
            tables: [PortTable(port: 0, routeTable: server.routeTable)], source: source)
        listener.tls = tls
        model.listeners.append(listener)
    }

    // MARK: routes

    /// The asterisk of a host is one label. A virtual host takes more: those are answered as any other host.
    private func routes(_ host: IngressHost, _ anyHost: IngressHost?, port: UInt16) -> [RouteModel] {
        guard host.name.hasPrefix("*.") else { return routes(host, port: port) }
        let pattern = "(?i)[\\w-]+\(quoted(String(host.name.dropFirst())))\\.?(?::[0-9]+)?"
        let own = routes(host, port: port).map { route in
            var route = route
            route.match.authority = .regex(pattern)
            return route
        }
        return own + (anyHost.map { routes($0, port: port) } ?? [])
    }

    private func routes(_ host: IngressHost, port: UInt16) -> [RouteModel] {
        // A stable sort: of equal ones the older stays first.
        let order = host.paths.indices.sorted { left, right in
            let (one, other) = (host.paths[left], host.paths[right])
            if one.isBefore(other, asRegex: host.usesRegex) { return true }
            return other.isBefore(one, asRegex: host.usesRegex) ? false : left < right
        }
        return order.flatMap { routes(host.paths[$0], host, port: port) }
    }

    private func routes(_ entry: IngressPath, _ host: IngressHost, port: UInt16) -> [RouteModel] {
        let ingress = entry.ingress
        var source = ingress.meta.ref
        source.line = entry.path.line
        var base = RouteModel(
            name: "\(ingress.meta.namespace).\(ingress.meta.name)", source: source, action: .forward([]))
        base.match = condition(entry, host.usesRegex)
        let isRedirected =
            ingress.forcesHTTPS || (ingress.redirectsToHTTPS && host.secret != nil)
        if port == 80, isRedirected, !entry.path.isChallenge {
            var redirect = RedirectModel()
            redirect.code = 308
            redirect.scheme = "https"
            redirect.port = 443
            base.action = .redirect(redirect)
            return [base]
        }
        base.rewrite = rewrite(entry)
        let stable = target(entry.path.backend, ingress, port: port, source)
        base.action = .forward([stable])
        guard let canary = entry.canary, let rule = canary.ingress.canary else { return [base] }
        var canarySource = canary.ingress.meta.ref
        canarySource.line = canary.path.line
        var chosen = target(canary.path.backend, canary.ingress, port: port, canarySource)
        var routes = rule.conditions.map { condition, isCanary in
            var route = base
            route.name += isCanary ? ".canary" : ".stable"
            route.source = canarySource
            route.match.headers.append(condition)
            route.action = .forward([isCanary ? chosen : stable])
            return route
        }
        if rule.weight > 0 {
            var rest = stable
            rest.weight = rule.weightTotal - rule.weight
            chosen.weight = rule.weight
            base.action = .forward([chosen, rest].filter { $0.weight > 0 })
        }
        routes.append(base)
        return routes
    }

    private func condition(_ entry: IngressPath, _ usesRegex: Bool) -> MatchModel {
        var match = MatchModel()
        let path = entry.path
        switch path.type {
        // One Ingress with a regex makes regexes of all paths of its host, whatever their type.
        case _ where usesRegex:
            let pattern = "(?is)\(path.path).*"
            if let problem = regexProblem(pattern) {
                note(
                    .error, Code.invalid, "the path \(path.path): \(problem)", entry.ingress.meta.ref,
                    line: path.line, refused: true)
                match.uri = .exact(path.path)
            } else {
                match.uri = .regex(pattern)
            }
        case .exact: match.uri = .exact(path.path)
        case .prefix:
            match.uri = .prefix(path.path)
            match.uriPrefixBySegment = true
        case .implementation: match.uri = .prefix(path.path)
        }
        return match
    }

    /// `rewrite-target` takes the place of the whole path; `$1` are what the path captured.
    private func rewrite(_ entry: IngressPath) -> RewriteModel? {
        guard let target = entry.ingress.rewriteTarget, entry.ingress.rewrites(entry.path) else { return nil }
        let pattern = "(?is)^\(entry.path.path).*$"
        var lost: Set<Character> = []
        var rewrite = RewriteModel()
        rewrite.uriRegex = (
            match: pattern,
            rewrite: backReferences(target) { digit in
                let isThere = regexProblem(pattern, rewrite: "\\\(digit)") == nil
                if !isThere { lost.insert(digit) }
                return isThere
            }
        )
        for digit in lost.sorted() {
            note(
                .warning, Code.invalid,
                "rewrite-target has $\(digit), the path \(entry.path.path) has no such group: it is empty",
                entry.ingress.meta.ref, line: entry.path.line,
                suggestion: "$1 is what the first opening bracket begins")
        }
        return rewrite
    }

    private func target(
        _ backend: IngressDocument.Backend, _ ingress: IngressDocument, port: UInt16, _ source: SourceRef
    ) -> TargetModel {
        let host = "\(backend.service).\(ingress.meta.namespace).svc.\(Names.clusterDomain)".lowercased()
        let service = registry.service(host, from: proxy.model.namespace)
        var number: UInt16 = 0
        switch backend.port {
        case .number(let given): number = given
        case .name(let name):
            number = service.flatMap { registry.services[$0].ports.first { $0.name == name }?.number } ?? 0
        }
        if service.map({ registry.services[$0].port(number) == nil }) ?? true {
            note(
                .warning, Code.referenceNotFound,
                service == nil
                    ? "there is no Service \(ingress.meta.namespace)/\(backend.service): 503"
                    : "the Service \(ingress.meta.namespace)/\(backend.service) has no such port: 503",
                ingress.meta.ref, line: backend.line)
        }
        return target(
            host: host, subset: "", port: number, arrivalPort: port, weight: 0, source: source)
    }
}

extension IngressDocument.Canary {
    /// What must hold for the canary (true) or for stable (false), in the order in which ingress-nginx asks.
    var conditions: [(NamedMatch, Bool)] {
        var list: [(NamedMatch, Bool)] = []
        if let header {
            if let headerValue {
                list.append((NamedMatch(name: header, match: .exact(headerValue)), true))
            } else if let headerPattern {
                list.append((NamedMatch(name: header, match: .regex("(?s).*(?:\(headerPattern)).*")), true))
            } else {
                list.append((NamedMatch(name: header, match: .exact("always")), true))
                list.append((NamedMatch(name: header, match: .exact("never")), false))
            }
        }
        if let cookie {
            func match(_ value: String) -> NamedMatch {
                NamedMatch(name: "cookie", match: .regex(firstCookie(cookie, is: value)))
            }
            if let cookieValue { list.append((match(cookieValue), true)) }
            list.append((match("always"), true))
            list.append((match("never"), false))
        }
        return list
    }
}

/// A Cookie field in which the first cookie of a name has a value: what comes before begins otherwise.
private func firstCookie(_ name: String, is value: String) -> String {
    var other = "(?:[^=;][^;]*)?"
    for (index, character) in name.unicodeScalars.enumerated().reversed() {
        let letter = quoted(String(character))
        other = "(?:[^;\(letter)\(index == 0 ? "\\s" : "")][^;]*|\(letter)\(other))?"
    }
    return "\\s*(?:\(other);\\s*)*\(quoted(name))=\(quoted(value))\\s*(?:;.*)?"
}

/// The text as a regex that matches it alone.
private func quoted(_ text: String) -> String {
    var out = ""
    for character in text.unicodeScalars {
        let isPlain =
            character.value >= 0x80 || character.properties.isAlphabetic
            || (0x30...0x39).contains(character.value) || "_/=% ".unicodeScalars.contains(character)
        if !isPlain { out += "\\" }
        out.unicodeScalars.append(character)
    }
    return out
}

/// `$1` as RE2 writes it; groups that are not there are empty.
private func backReferences(_ text: String, isGroup: (Character) -> Bool) -> String {
    var out = ""
    var rest = text[...]
    while let character = rest.popFirst() {
        if character == "\\" {
            out += "\\\\"
        } else if character == "$", let digit = rest.first, digit.isASCII, digit.isNumber {
            rest.removeFirst()
            if isGroup(digit) { out += "\\\(digit)" }
        } else {
            out.append(character)
        }
    }
    return out
}
