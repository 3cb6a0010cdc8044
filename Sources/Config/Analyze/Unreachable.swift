// Rules that no request reaches (IST0130), and hosts where requests find no rule (trap 2).
internal import Base
internal import Lanes

extension Analysis {
    mutating func checkUnreachable() {
        for document in virtualServices {
            var taker: VirtualServiceDocument.HTTPRoute?
            var used: Set<String> = []
            for (index, route) in document.http.enumerated() {
                let name = route.name.isEmpty ? "spec.http[\(index)]" : "rule \(route.name)"
                if let taker {
                    note(
                        .warning, Code.unreachableRule, "\(name) is never used", document.meta.ref,
                        line: route.line, suggestion: "the rule at line \(taker.line) takes every request")
                    continue
                }
                let keys = route.matches.map(Self.key)
                if !keys.isEmpty, keys.allSatisfy({ used.contains($0) }) {
                    note(
                        .warning, Code.unreachableRule, "\(name) is never used", document.meta.ref,
                        line: route.line, suggestion: "all its matches are in earlier rules")
                }
                used.formUnion(keys)
                if route.takesAll { taker = route }
            }
        }
    }

    /// Equal for equal conditions.
    private static func key(_ match: VirtualServiceDocument.Match) -> String {
        let labels = match.sourceLabels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let port = match.port.map(String.init) ?? ""
        return "\(match.model) \(match.gateways) \(labels) \(match.sourceNamespace) \(port)"
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
