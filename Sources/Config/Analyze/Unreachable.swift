// Rules and matches that no request reaches (IST0130, IST0131), and hosts where requests find no rule
// (trap 2).
internal import Lanes

extension VirtualServiceRemarks {
    mutating func checkRoutes(_ routes: [VirtualServiceDocument.HTTPRoute]) {
        // Nobody is before it.
        if routes.count == 1, routes[0].matches.count < 2 { return }
        var taker: VirtualServiceDocument.HTTPRoute?
        var earlier: [VirtualServiceDocument.Match] = []
        var lines: [Conditions: Int] = [:]
        for (index, route) in routes.enumerated() {
            let name = route.name.isEmpty ? "spec.http[\(index)]" : "rule \(route.name)"
            if let taker {
                note(
                    .warning, Code.unreachableRule, "\(name) is never used", line: route.line,
                    suggestion: "the rule at line \(taker.line) takes every request")
                continue
            }
            let keys = route.matches.map(Conditions.init)
            let takers = zip(keys, route.matches).map { key, match in
                lines[key] ?? earlier.first { $0.covers(match) }?.line
            }
            checkMatches(route, name, takers)
            for (key, match) in zip(keys, route.matches) {
                lines[key] = lines[key] ?? match.line
                // Each is compared with each: not among very many, where equal ones alone are found.
                if earlier.count < 300 { earlier.append(match) }
            }
            if route.takesAll { taker = route }
        }
    }

    private mutating func checkMatches(
        _ route: VirtualServiceDocument.HTTPRoute, _ name: String, _ takers: [Int?]
    ) {
        if takers.allSatisfy({ $0 == nil }) { return }
        let lines = Set(takers.compactMap { $0 }).sorted().map(String.init).joined(separator: ", ")
        let advice = "what it matches is taken by line \(lines): put the narrower rule first"
        if takers.allSatisfy({ $0 != nil }) {
            note(
                .warning, Code.unreachableRule, "\(name) is never used", line: route.line,
                suggestion: advice)
            return
        }
        for (match, taker) in zip(route.matches, takers) {
            guard let taker else { continue }
            note(
                .warning, Code.ineffectiveMatch, "a match of \(name) is never used", line: match.line,
                suggestion: "what it matches is taken by line \(taker)")
        }
    }

    mutating func checkConnections(_ routes: [VirtualServiceDocument.ConnectionRoute], _ kind: String) {
        var taker: Int?
        var used: [String: Int] = [:]
        for (index, route) in routes.enumerated() {
            let keys = route.matches.map(Self.key)
            let lines = keys.compactMap { used[$0] }
            let isCovered = !keys.isEmpty && lines.count == keys.count
            if taker != nil || isCovered {
                note(
                    .warning, Code.unreachableRule, "spec.\(kind)[\(index)] is never used",
                    line: route.ref.line,
                    suggestion: "the rule at line \(taker ?? lines[0]) takes all its connections")
                continue
            }
            for (key, match) in zip(keys, route.matches) {
                if let line = used[key] {
                    note(
                        .warning, Code.ineffectiveMatch, "a match of spec.\(kind)[\(index)] is never used",
                        line: match.line, suggestion: "it is that of line \(line)")
                } else {
                    used[key] = match.line
                }
            }
            if route.matches.isEmpty { taker = route.ref.line }
        }
    }

    /// What a match asks for, all of it.
    private struct Conditions: Hashable {
        var model: MatchModel
        var gateways: [String]
        var sourceLabels: [String: String]
        var sourceNamespace: String
        var port: UInt16?

        init(_ match: VirtualServiceDocument.Match) {
            model = match.model
            gateways = match.gateways
            sourceLabels = match.sourceLabels
            sourceNamespace = match.sourceNamespace
            port = match.port
        }
    }

    private static func key(_ match: VirtualServiceDocument.ConnectionMatch) -> String {
        let labels = match.sourceLabels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let port = match.port.map(String.init) ?? ""
        let hosts = match.sniHosts.map(\.value).sorted()
        return
            "\(hosts) \(match.destinationSubnets) \(match.gateways) \(labels) "
            + "\(match.sourceNamespace) \(port)"
    }
}

extension Analysis {
    /// A VirtualService that owns its host and whose every rule looks at who is asking answers 404 to all
    /// others.
    mutating func checkDefaultRoutes() {
        /// A host at a gateway.
        struct Place: Hashable {
            var gateway: String
            var host: String
        }
        var withDefault: Set<Place> = []
        for document in virtualServices where document.remarks.takesAll {
            for gateway in document.fullGateways where gateway != "mesh" {
                for host in document.fullHosts { withDefault.insert(Place(gateway: gateway, host: host)) }
            }
        }
        for document in virtualServices {
            let isDelegate = document.hosts.isEmpty
            guard !isDelegate, !document.remarks.hasPlainRule, let first = document.http.first else {
                continue
            }
            // On a gateway VirtualServices merge, so another one may answer the rest.
            let isAnswered = document.fullGateways.allSatisfy { gateway in
                gateway == "mesh"
                    || document.fullHosts.allSatisfy {
                        withDefault.contains(Place(gateway: gateway, host: $0))
                    }
            }
            if !document.isInMesh, isAnswered { continue }
            note(
                .warning, Code.noDefaultRoute,
                "a request that no rule matches is answered 404, not sent to the service",
                document.meta.ref, line: first.line,
                suggestion: "add a last rule without match that routes to the stable version")
        }
    }
}
