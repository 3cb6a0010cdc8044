// The module's front door: paths in, findings and one proxy's model out. In the order things happen:
//
//   Reading/    paths and bytes to YAML trees with lines, and typed reading of their fields
//   Documents/  one file a kind: the fields it has, their validation, the typed value
//   Registry/   services, endpoints, pods, DestinationRules by host: what names stand for
//   Compile/    one proxy's view: listeners, virtual hosts, routes, clusters, lanes (`RoutingModel`)
//   Analyze/    one file an analyzer: what is legal but will not do what its author meant
//
// Nothing here is on the request path. Nothing here stops at the first mistake: everything wrong is a
// `Finding`, and the model is withheld only when an object is one that an API server would refuse.
internal import Base
internal import CLinux
package import Lanes

package struct LoadOptions: Sendable {
    package enum Purpose: Sendable {
        /// One proxy is to run: which one must be clear, its secrets must be there.
        case run
        /// Documents are looked at: every Proxy's view is compiled.
        case check
    }

    /// `NAMESPACE/NAME` of the Proxy document; nil: the only one, else one is made up.
    package var proxy: String?
    package var purpose = Purpose.run
    /// Seconds since 1970, for lanes with a ttl.
    package var nowSeconds = Int64(fl_realtime_ns() / 1_000_000_000)
    /// What the last load returned: when each lane without creationTimestamp was seen first.
    package var firstSeen: [String: Int64] = [:]
    /// What the last load returned: TLS contexts that need not be made again.
    package var contexts = TLSContexts()
    /// What the last load returned: what was read of texts that may be the same now. Nil: nothing is kept for
    /// a next load.
    package var kept: KeptParts?
    /// A number that differs when a file has changed; asked for before the file is read, so that no change
    /// after that goes unseen.
    package var fingerprint: @Sendable (String) -> UInt64 = { _ in 0 }

    package init(proxy: String? = nil, purpose: Purpose = .run) {
        self.proxy = proxy
        self.purpose = purpose
    }
}

package struct LoadResult: Sendable {
    /// Nil when something was refused or unreadable.
    package var model: RoutingModel?
    package var findings: [Finding] = []
    /// Some path could not be read at all: exit code 2 of `check`, 1 of `run`.
    package var unreadable = false
    /// `NAMESPACE/NAME` of the proxy whose model this is.
    package var proxyName = ""
    /// What was assumed and deserves a line in the log, such as a Proxy that was made up.
    package var notes: [String] = []
    /// For the next load's options.
    package var firstSeen: [String: Int64] = [:]
    package var contexts = TLSContexts()
    package var kept: KeptParts?
    package var hasErrors: Bool { findings.contains { $0.severity == .error } }
}

/// Reads, parses, analyses and compiles.
package func load(paths: [String], options: LoadOptions = LoadOptions()) -> LoadResult {
    load(Sources(paths: paths), options: options)
}

/// Parses, analyses and compiles what was read.
package func load(_ sources: Sources, options: LoadOptions = LoadOptions()) -> LoadResult {
    var findings = FindingList()
    for finding in sources.unreadable { findings.add(finding) }
    var kept = options.kept
    let reader = readDocuments(sources.texts, kept: &kept)
    findings.append(reader.findings)
    var result = compile(reader.documents, findings: findings, options: options)
    result.findings = inReadingOrder(result.findings, files: sources.texts.lazy.map(\.file))
    result.kept = kept
    result.unreadable = !sources.unreadable.isEmpty
    return result
}

/// Analyses typed documents and compiles the view of one proxy (or, for `check`, of each).
func compile(_ documents: DocumentSet, findings earlier: FindingList, options: LoadOptions) -> LoadResult {
    var result = LoadResult()
    let registry = Registry(documents)
    let rules = DestinationRules(documents.destinationRules)
    // Neither looks at what comes of the other.
    let isLarge = documents.virtualServices.count + documents.lanes.count >= Limits.besideDocuments
    let analysis = Beside("analysis", pays: isLarge) { analyze(documents, registry, options) }
    var findings = FindingList()
    let choice = ProxyChoice(documents, options)
    for finding in choice.findings { findings.add(finding) }
    result.notes = choice.notes
    for (index, proxy) in choice.proxies.enumerated() {
        let compiler = Compiler(
            documents, registry, rules, proxy: proxy, servesAnyGateway: choice.isMadeUp, options: options)
        compiler.compile()
        for finding in compiler.findings.all { findings.add(finding) }
        result.firstSeen.merge(compiler.firstSeen) { first, _ in first }
        result.contexts.merge(compiler.contexts)
        guard index == 0 else { continue }
        result.model = compiler.model
        result.proxyName = "\(proxy.meta.namespace)/\(proxy.meta.name)"
    }
    var told = earlier
    told.append(analysis.value())
    told.append(findings)
    if told.refused { result.model = nil }
    result.findings = told.all
    return result
}
