// A fallback to a service or subset whose endpoints include the feature's (trap 12).
internal import Lanes

extension VirtualServiceRemarks {
    mutating func findFallbacks(_ routes: [VirtualServiceDocument.HTTPRoute]) {
        // Of one rule there is nothing else to fall back to.
        guard routes.count > 1 else { return }
        var features: [String: Set<String>] = [:]
        for route in routes where !route.matches.isEmpty && route.matches.allSatisfy(\.looksAtCaller) {
            for destination in route.destinations where !destination.subset.isEmpty {
                features[destination.host, default: []].insert(destination.subset)
            }
        }
        guard !features.isEmpty else { return }
        for route in routes where route.takesAll || route.matches.contains(where: { !$0.looksAtCaller }) {
            for destination in route.destinations {
                guard var subsets = features[destination.host] else { continue }
                subsets.remove(destination.subset)
                fallbacks.append(Fallback(destination: destination, features: subsets))
            }
        }
    }
}

extension Analysis {
    mutating func checkStableFallback() {
        for document in virtualServices {
            for fallback in document.remarks.fallbacks {
                check(fallback.destination, fallback.features, document)
            }
        }
    }

    private mutating func check(
        _ destination: VirtualServiceDocument.Destination, _ features: Set<String>,
        _ document: VirtualServiceDocument
    ) {
        guard let index = registry.service(destination.host, from: document.meta.namespace) else { return }
        let service = registry.services[index]
        let all = (rulesByHost[destination.host] ?? []).flatMap { destinationRules[$0].subsets }
        // Of a subset the labels; of the service as a whole none, which every endpoint has.
        let stable = all.first { $0.name == destination.subset }?.labels ?? [:]
        for subset in all where features.contains(subset.name) && !subset.labels.isEmpty {
            let isShared = service.endpoints.values.contains { endpoints in
                endpoints.contains { $0.labels.contains(subset.labels) && $0.labels.contains(stable) }
            }
            guard isShared else { continue }
            let place = destination.subset.isEmpty ? service.host : "subset \(destination.subset)"
            note(
                .warning, Code.stableSelectsFeature,
                "everybody else also lands on pods of subset \(subset.name): \(place) has them",
                document.meta.ref, line: destination.line,
                suggestion: "route to a subset whose labels they do not have, or use a Lane: stable is then"
                    + " all but its members")
            return
        }
    }
}
