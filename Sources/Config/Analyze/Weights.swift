// Weights that do not share requests as their author counted, and subsets that are no subsets.
internal import Lanes

extension Analysis {
    mutating func checkSubsetLabels() {
        for rule in destinationRules {
            for subset in rule.subsets where subset.labels.isEmpty {
                note(
                    .warning, Code.subsetWithoutLabels,
                    "the subset \(subset.name) has no labels: it is all endpoints of \(rule.host)",
                    rule.meta.ref, line: subset.line,
                    suggestion: "labels that its pods have and others do not")
            }
        }
    }
}

extension VirtualServiceRemarks {
    mutating func checkWeights(_ destinations: [VirtualServiceDocument.Destination]) {
        if destinations.count == 1, let weight = destinations[0].weight, weight != 100, weight != 1 {
            note(
                .warning, Code.weights,
                "the weight \(weight) of the only destination is not looked at: it gets every request",
                line: destinations[0].line,
                suggestion: "leave the weight out, or add the destination that the rest is for")
        }
        guard destinations.count > 1 else { return }
        let sum = destinations.reduce(0) { $0 + ($1.weight ?? 0) }
        // All zero is refused when it is read.
        guard sum > 0 else { return }
        for destination in destinations where destination.weight == nil {
            note(
                .warning, Code.weights, "\(destination.name) has no weight and gets no request",
                line: destination.line, suggestion: "give each of several destinations a weight")
        }
        if sum != 100, destinations.allSatisfy({ $0.weight != nil }), !destinations.areParts {
            let shares = destinations.map { "\($0.name) \(percent($0.weight ?? 0, of: sum)) %" }
            note(
                .warning, Code.weights, "the weights add up to \(sum), not 100",
                line: destinations[0].line,
                suggestion: "the shares are \(shares.joined(separator: ", "))")
        }
    }

    /// To one decimal.
    private func percent(_ weight: Int, of sum: Int) -> String {
        let tenths = (weight * 1_000 + sum / 2) / sum
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}

extension VirtualServiceDocument.Destination {
    /// Host and subset as a person says them.
    fileprivate var name: String { subset.isEmpty ? host : "\(host) subset \(subset)" }
}

extension [VirtualServiceDocument.Destination] {
    /// Small numbers, `1` and `9`, are parts of a whole and meant so.
    fileprivate var areParts: Bool { reduce(0) { $0 + ($1.weight ?? 0) } <= 20 }
}
