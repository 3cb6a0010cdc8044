// A fallback to the whole service, whose endpoints include the feature's (trap 12).
internal import Base
internal import Lanes

extension Analysis {
    mutating func checkStableFallback() {
        for document in virtualServices {
            var features: [String: Set<String>] = [:]
            for route in document.http
            where !route.matches.isEmpty && route.matches.allSatisfy(\.looksAtCaller) {
                for destination in route.destinations where !destination.subset.isEmpty {
                    features[destination.host, default: []].insert(destination.subset)
                }
            }
            guard !features.isEmpty else { continue }
            for route in document.http
            where route.takesAll || route.matches.contains(where: { !$0.looksAtCaller }) {
                for destination in route.destinations where destination.subset.isEmpty {
                    guard let subsets = features[destination.host] else { continue }
                    check(destination, subsets, document)
                }
            }
        }
    }

    private mutating func check(
        _ destination: VirtualServiceDocument.Destination, _ features: Set<String>,
        _ document: VirtualServiceDocument
    ) {
        guard let index = registry.service(destination.host, from: document.meta.namespace) else { return }
        let service = registry.services[index]
        for rule in destinationRules
        where Names.resolve(rule.host, namespace: rule.meta.namespace) == destination.host {
            for subset in rule.subsets where features.contains(subset.name) && !subset.labels.isEmpty {
                let isShared = service.endpoints.values.contains { endpoints in
                    endpoints.contains { $0.labels.contains(subset.labels) }
                }
                guard isShared else { continue }
                note(
                    .warning, Code.stableSelectsFeature,
                    "everybody else also lands on pods of subset \(subset.name): \(service.host) has them",
                    document.meta.ref, line: destination.line,
                    suggestion: "route to a stable subset, or use a Lane: stable is then all but its members")
                return
            }
        }
    }
}
