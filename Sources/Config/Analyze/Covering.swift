// Whether one match takes every request that another one matches.
internal import Lanes

extension VirtualServiceDocument.Match {
    /// Whether whatever matches `other` matches this one too, for every proxy and port.
    func covers(_ other: VirtualServiceDocument.Match) -> Bool {
        if isUnsupported { return false }
        if !gateways.isEmpty, other.gateways.isEmpty || !Set(other.gateways).isSubset(of: gateways) {
            return false
        }
        if !other.sourceLabels.contains(sourceLabels) { return false }
        if !sourceNamespace.isEmpty, sourceNamespace != other.sourceNamespace { return false }
        if port != nil, port != other.port { return false }
        if model.uri != nil, model.ignoreUriCase != other.model.ignoreUriCase { return false }
        for path in [\MatchModel.uri, \.method, \.authority, \.scheme] {
            guard let own = model[keyPath: path] else { continue }
            guard let narrower = other.model[keyPath: path], own.covers(narrower) else { return false }
        }
        return Self.cover(model.headers, other.model.headers)
            && Self.cover(model.queryParams, other.model.queryParams)
    }

    /// Whether each condition is implied by one of the others.
    private static func cover(_ own: [NamedMatch], _ others: [NamedMatch]) -> Bool {
        own.allSatisfy { condition in
            others.contains { other in
                other.name == condition.name && other.inverted == condition.inverted
                    && (condition.inverted
                        ? "\(condition.match)" == "\(other.match)" : condition.match.covers(other.match))
            }
        }
    }
}

extension StringMatch {
    fileprivate func covers(_ other: StringMatch) -> Bool {
        switch (self, other) {
        case (.present, _): true
        case (.exact(let own), .exact(let other)): own == other
        case (.prefix(let own), .prefix(let other)), (.prefix(let own), .exact(let other)):
            other.hasPrefix(own)
        case (.regex(let own), .regex(let other)): own == other
        case (.regex(".*"), _): true
        default: false
        }
    }
}
