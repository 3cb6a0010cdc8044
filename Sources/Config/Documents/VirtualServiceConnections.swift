// `tls` and `tcp` of a VirtualService: routes for connections that nobody reads as HTTP.
internal import Lanes

extension VirtualServiceDocument {
    /// One element of `match[]`: all conditions must hold.
    struct ConnectionMatch: Sendable {
        /// TLS only.
        var sniHosts: [Located<String>] = []
        var destinationSubnets: [CIDR] = []
        /// `mesh` or `namespace/name`.
        var gateways: [String] = []
        var sourceLabels: [String: String] = [:]
        var sourceNamespace = ""
        var port: UInt16?
        var line: Int
    }

    struct ConnectionRoute: Sendable {
        var matches: [ConnectionMatch] = []
        var destinations: [Destination] = []
        var ref: SourceRef
    }

    /// One entry of `tls` or `tcp`; `hosts` are the VirtualService's own.
    static func readConnectionRoute(
        _ fields: Fields, meta: Meta, isTLS: Bool, hosts: [Located<String>]
    ) -> ConnectionRoute {
        var route = ConnectionRoute(ref: fields.context.ref(fields.line))
        route.matches = fields.objects("match").map {
            readConnectionMatch($0, meta: meta, isTLS: isTLS, hosts: hosts)
        }
        if isTLS, route.matches.isEmpty {
            fields.context.invalid(fields.line, "\(fields.path).match is missing: sniHosts must be given")
        }
        route.destinations = fields.objects("route").compactMap { destination in
            if destination.has("headers") {
                destination.context.invalid(
                    destination.line(of: "headers"), "\(destination.path).headers: only http has headers")
            }
            guard var read = readDestination(destination) else { return nil }
            read.host = Names.resolve(read.host, namespace: meta.namespace)
            return read
        }
        if !fields.has("route") || fields.list("route").isEmpty {
            fields.context.invalid(fields.line, "\(fields.path).route is missing")
        } else if route.destinations.count > 1, route.destinations.allSatisfy({ ($0.weight ?? 0) == 0 }) {
            fields.context.invalid(
                fields.line(of: "route"), "\(fields.path).route: total destination weight = 0")
        }
        fields.finish()
        return route
    }

    private static func readConnectionMatch(
        _ fields: Fields, meta: Meta, isTLS: Bool, hosts: [Located<String>]
    ) -> ConnectionMatch {
        var match = ConnectionMatch(line: fields.line)
        if isTLS {
            match.sniHosts = fields.strings("sniHosts").map { Located($0.value.lowercased(), line: $0.line) }
            if match.sniHosts.isEmpty {
                fields.context.invalid(fields.line, "\(fields.path).sniHosts is missing")
            }
            for host in match.sniHosts { checkName(host, fields, meta: meta, hosts: hosts) }
        }
        for text in fields.strings("destinationSubnets") {
            if let range = parseCIDR(text.value) {
                match.destinationSubnets.append(range)
            } else {
                fields.context.invalid(
                    text.line, "\(fields.path).destinationSubnets: \"\(text.value)\" is no address range",
                    suggestion: "as in 10.0.0.0/8")
            }
        }
        match.port = fields.port("port")
        match.sourceLabels = fields.labels("sourceLabels")
        match.sourceNamespace = fields.string("sourceNamespace") ?? ""
        match.gateways = fields.strings("gateways").map {
            Names.gateway($0.value, namespace: meta.namespace)
        }
        fields.unsupported("sourceSubnet", effect: "every source matches, as in Istio")
        fields.finish()
        return match
    }

    /// Istio takes only names that some host of the VirtualService covers.
    private static func checkName(
        _ name: Located<String>, _ fields: Fields, meta: Meta, hosts: [Located<String>]
    ) {
        if !isHostName(name.value, wildcard: true) {
            fields.context.invalid(name.line, "\(fields.path).sniHosts: \"\(name.value)\" is no host name")
            return
        }
        let isCovered = hosts.contains { host in
            Names.covers(Names.resolve(host.value, namespace: meta.namespace), name.value)
                || Names.covers(host.value.lowercased(), name.value)
        }
        if !isCovered {
            fields.context.invalid(
                name.line, "\(fields.path).sniHosts: \(name.value) is covered by no host of this object",
                suggestion: "add it to spec.hosts")
        }
    }
}
