// `delegate`: the entries of another VirtualService merged into this one's (istio-semantics.md 5.6).
internal import Lanes

extension Compiler {
    private func delegateHint(_ wanted: ObjectName, _ own: String) -> String {
        guard delegates.count <= 1_000 else { return "" }
        let near = nearest(to: wanted, among: delegates.keys.compactMap { ObjectName($0) })
        return near.map { "did you mean \($0.words(from: own))?" } ?? ""
    }

    /// The http entries of a root with each delegating entry replaced by what it delegates to.
    func expandDelegates(_ root: VirtualServiceDocument) -> [VirtualServiceDocument.HTTPRoute] {
        root.http.flatMap { entry -> [VirtualServiceDocument.HTTPRoute] in
            guard let reference = entry.delegate else { return [entry] }
            let name = "\(reference.namespace)/\(reference.name)"
            guard let delegate = delegates[name] else {
                note(
                    .error, Code.referenceNotFound, "the delegate VirtualService \(name) does not exist",
                    entry.ref,
                    suggestion: delegateHint(
                        ObjectName(reference.namespace, reference.name), root.meta.namespace))
                return []
            }
            let isExported = Names.isExported(
                delegate.exportTo, own: delegate.meta.namespace, to: root.meta.namespace)
            guard isExported, delegate.hosts.isEmpty else {
                let why = isExported ? "has hosts of its own" : "is not exported to \(root.meta.namespace)"
                note(.error, Code.delegate, "the delegate VirtualService \(name) \(why)", entry.ref)
                return []
            }
            return delegate.http.compactMap { inner in
                if inner.delegate != nil {
                    note(
                        .error, Code.delegate, "a delegate cannot delegate further, entry dropped", inner.ref)
                    return nil
                }
                let merged = merge(entry, inner)
                if merged == nil {
                    note(
                        .warning, Code.delegate,
                        "a match of this entry fits none of the delegating entry, entry dropped", inner.ref,
                        suggestion:
                            "each condition must narrow the one at \(entry.ref.file):\(entry.ref.line)")
                }
                return merged
            }
        }
    }

    private func merge(
        _ root: VirtualServiceDocument.HTTPRoute, _ delegate: VirtualServiceDocument.HTTPRoute
    ) -> VirtualServiceDocument.HTTPRoute? {
        var merged = delegate
        merged.name = joined(root.name, delegate.name)
        merged.delegate = nil
        if root.matches.isEmpty || delegate.matches.isEmpty {
            merged.matches = root.matches + delegate.matches
        } else {
            merged.matches = []
            for inner in delegate.matches {
                let fitting = root.matches.compactMap { merge($0, inner) }
                // One that fits nothing takes the others with it.
                if fitting.isEmpty { return nil }
                merged.matches += fitting
            }
        }
        merged.rewrite = delegate.rewrite ?? root.rewrite
        merged.direct = delegate.direct ?? root.direct
        merged.cors = delegate.cors ?? root.cors
        merged.timeoutMs = delegate.timeoutMs ?? root.timeoutMs
        merged.retries = delegate.retries ?? root.retries
        if !delegate.hasHeaders {
            merged.requestHeaders = root.requestHeaders
            merged.responseHeaders = root.responseHeaders
            merged.authority = root.authority
        }
        return merged
    }

    private func joined(_ root: String, _ delegate: String) -> String {
        root.isEmpty ? delegate : delegate.isEmpty ? root : "\(root)-\(delegate)"
    }

    /// Both elements' conditions at once; nil when the delegate's do not narrow the root's.
    private func merge(
        _ root: VirtualServiceDocument.Match, _ delegate: VirtualServiceDocument.Match
    ) -> VirtualServiceDocument.Match? {
        var merged = delegate
        merged.name = joined(root.name, delegate.name)
        merged.isUnsupported = root.isUnsupported || delegate.isUnsupported
        if root.model.ignoreUriCase != delegate.model.ignoreUriCase { return nil }
        for path in [\MatchModel.uri, \.method, \.authority, \.scheme] {
            guard let outer = root.model[keyPath: path] else { continue }
            guard let inner = delegate.model[keyPath: path] else {
                merged.model[keyPath: path] = outer
                continue
            }
            guard narrows(inner, outer) else { return nil }
        }
        guard let headers = union(root.model.headers, delegate.model.headers),
            let queryParams = union(root.model.queryParams, delegate.model.queryParams)
        else { return nil }
        merged.model.headers = headers
        merged.model.queryParams = queryParams
        if let port = root.port {
            if let inner = delegate.port, inner != port { return nil }
            merged.port = port
        }
        if !root.gateways.isEmpty {
            if delegate.gateways.contains(where: { !root.gateways.contains($0) }) { return nil }
            if delegate.gateways.isEmpty { merged.gateways = root.gateways }
        }
        for (name, value) in root.sourceLabels {
            if let inner = delegate.sourceLabels[name], inner != value { return nil }
            merged.sourceLabels[name] = value
        }
        if !root.sourceNamespace.isEmpty {
            // Also one that says none is no narrower, as Istio has it.
            guard delegate.sourceNamespace == root.sourceNamespace else { return nil }
        }
        return merged
    }

    /// Same-key conditions must narrow; others are united. Nil on a conflict.
    private func union(_ root: [NamedMatch], _ delegate: [NamedMatch]) -> [NamedMatch]? {
        var merged = delegate
        for outer in root {
            guard
                let inner = delegate.first(where: { $0.name == outer.name && $0.inverted == outer.inverted })
            else {
                merged.append(outer)
                continue
            }
            guard narrows(inner.match, outer.match) else { return nil }
        }
        return merged.sorted { $0.name < $1.name }
    }

    /// Istio's own test: also presence and what is empty is never narrowed.
    private func narrows(_ inner: StringMatch, _ outer: StringMatch) -> Bool {
        switch (outer, inner) {
        case (.exact(let outer), .exact(let inner)): outer == inner && !outer.isEmpty
        case (.prefix(let outer), .prefix(let inner)), (.prefix(let outer), .exact(let inner)):
            inner.hasPrefix(outer) && !outer.isEmpty
        default: false
        }
    }
}
