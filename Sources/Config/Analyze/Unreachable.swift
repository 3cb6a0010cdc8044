// Rules and matches that no request reaches (IST0130, IST0131), and hosts where requests find no rule
// (trap 2).
internal import Lanes

extension Analysis {
    mutating func checkUnreachable() {
        for document in virtualServices {
            checkRoutes(document)
            checkConnections(document.tls, document, "tls")
            checkConnections(document.tcp, document, "tcp")
        }
    }

    private mutating func checkRoutes(_ document: VirtualServiceDocument) {
        var taker: VirtualServiceDocument.HTTPRoute?
        var earlier: [VirtualServiceDocument.Match] = []
        var lines: [Conditions: Int] = [:]
        for (index, route) in document.http.enumerated() {
            let name = route.name.isEmpty ? "spec.http[\(index)]" : "rule \(route.name)"
            if let taker {
                note(
                    .warning, Code.unreachableRule, "\(name) is never used", document.meta.ref,
                    line: route.line, suggestion: "the rule at line \(taker.line) takes every request")
                continue
            }
            let keys = route.matches.map(Conditions.init)
            let takers = zip(keys, route.matches).map { key, match in
                lines[key] ?? earlier.first { $0.covers(match) }?.line
            }
            checkMatches(route, name, takers, document)
            for (key, match) in zip(keys, route.matches) {
                lines[key] = lines[key] ?? match.line
                // Each is compared with each: not among very many, where equal ones alone are found.
                if earlier.count < 300 { earlier.append(match) }
            }
            if route.takesAll { taker = route }
        }
    }

    private mutating func checkMatches(
        _ route: VirtualServiceDocument.HTTPRoute, _ name: String, _ takers: [Int?],
        _ document: VirtualServiceDocument
    ) {
        let lines = Set(takers.compactMap { $0 }).sorted().map(String.init).joined(separator: ", ")
        let advice = "what it matches is taken by line \(lines): put the narrower rule first"
        if !takers.isEmpty, takers.allSatisfy({ $0 != nil }) {
            note(
                .warning, Code.unreachableRule, "\(name) is never used", document.meta.ref, line: route.line,
                suggestion: advice)
            return
        }
        for (match, taker) in zip(route.matches, takers) {
            guard let taker else { continue }
            note(
                .warning, Code.ineffectiveMatch, "a match of \(name) is never used", document.meta.ref,
                line: match.line, suggestion: "what it matches is taken by line \(taker)")
        }
    }

    private mutating func checkConnections(
        _ routes: [VirtualServiceDocument.ConnectionRoute], _ document: VirtualServiceDocument, _ kind: String
    ) {
        var taker: Int?
        var used: [String: Int] = [:]
        for (index, route) in routes.enumerated() {
            let keys = route.matches.map(Self.key)
            let lines = keys.compactMap { used[$0] }
            let isCovered = !keys.isEmpty && lines.count == keys.count
            if taker != nil || isCovered {
                note(
                    .warning, Code.unreachableRule, "spec.\(kind)[\(index)] is never used", document.meta.ref,
                    line: route.ref.line,
                    suggestion: "the rule at line \(taker ?? lines[0]) takes all its connections")
                continue
            }
            for (key, match) in zip(keys, route.matches) {
                if let line = used[key] {
                    note(
                        .warning, Code.ineffectiveMatch, "a match of spec.\(kind)[\(index)] is never used",
                        document.meta.ref, line: match.line, suggestion: "it is that of line \(line)")
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

    /// A VirtualService that owns its host and whose every rule looks at who is asking answers 404 to all
    /// others.
    mutating func checkDefaultRoutes() {
        var withDefault: Set<String> = []
        func places(_ document: VirtualServiceDocument) -> [String] {
            let gateways = document.gateways.map {
                Names.gateway($0.value, namespace: document.meta.namespace)
            }
            return gateways.filter { $0 != "mesh" }.flatMap { gateway in
                document.fullHosts.map { "\(gateway) \($0.name)" }
            }
        }
        for document in virtualServices where document.http.contains(where: \.takesAll) {
            withDefault.formUnion(places(document))
        }
        for document in virtualServices {
            let isDelegate = document.hosts.isEmpty
            let hasPlainRule = document.http.contains { route in
                route.takesAll || route.delegate != nil || route.matches.contains { !$0.looksAtCaller }
            }
            guard !isDelegate, !hasPlainRule, let first = document.http.first else { continue }
            // On a gateway VirtualServices merge, so another one may answer the rest.
            let places = places(document)
            if !document.isInMesh, places.allSatisfy({ withDefault.contains($0) }) { continue }
            note(
                .warning, Code.noDefaultRoute,
                "a request that no rule matches is answered 404, not sent to the service",
                document.meta.ref, line: first.line,
                suggestion: "add a last rule without match that routes to the stable version")
        }
    }
}
