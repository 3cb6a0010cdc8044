// All analyzers in turn. Each looks at the documents alone, for every client at once, and never stops a load.
internal import Lanes

/// What analyzers read, and the list they add to.
struct Analysis {
    let documents: DocumentSet
    let registry: Registry
    /// Oldest first.
    let virtualServices: [VirtualServiceDocument]
    let destinationRules: [DestinationRuleDocument]
    /// `namespace/name`.
    let secretsByName: [String: SecretDocument]
    /// Positions in `destinationRules` by the host that a rule is for, completed.
    let rulesByHost: [String: [Int]]
    /// Seconds since 1970.
    let nowSeconds: Int64
    var findings: FindingList

    /// What VirtualServices say about themselves.
    mutating func addRemarks() {
        for document in virtualServices {
            for finding in document.remarks.findings { findings.add(finding) }
        }
    }

    mutating func note(
        _ severity: Severity, _ code: String, _ message: String, _ ref: SourceRef, line: Int? = nil,
        suggestion: String = ""
    ) {
        findings.add(
            Finding(
                severity, code, message, file: ref.file, line: line ?? ref.line, resource: ref.document,
                suggestion: suggestion))
    }
}

func analyze(_ documents: DocumentSet, _ registry: Registry, _ options: LoadOptions) -> FindingList {
    let destinationRules = documents.destinationRules.oldestFirst()
    let rulesByHost = Dictionary(grouping: destinationRules.indices) { index in
        let rule = destinationRules[index]
        return Names.resolve(rule.host, namespace: rule.meta.namespace)
    }
    var analysis = Analysis(
        documents: documents, registry: registry,
        virtualServices: documents.virtualServices.oldestFirst(),
        destinationRules: destinationRules,
        secretsByName: Dictionary(
            documents.secrets.map { ("\($0.meta.namespace)/\($0.meta.name)", $0) },
            uniquingKeysWith: { first, _ in first }),
        rulesByHost: rulesByHost, nowSeconds: options.nowSeconds, findings: FindingList())
    analysis.checkGatewayReferences()
    analysis.checkDestinations()
    analysis.checkDestinationRules()
    analysis.checkMeshConflicts()
    analysis.checkGatewayConflicts()
    // Who runs without Proxy documents serves every Gateway.
    if options.purpose == .check { analysis.checkGatewayWorkloads() }
    analysis.addRemarks()
    analysis.checkDefaultRoutes()
    analysis.checkSubsetLabels()
    analysis.checkUpstreamTLS()
    analysis.checkPorts()
    analysis.checkSidecars()
    analysis.checkPatterns()
    analysis.checkPins()
    analysis.checkScripts()
    analysis.checkFilterOperations()
    analysis.checkStableFallback()
    analysis.checkGatewayAPI()
    analysis.checkBackendPolicies()
    return analysis.findings
}

extension VirtualServiceDocument {
    /// Whether sidecars look at it.
    var isInMesh: Bool { gateways.isEmpty || gateways.contains { $0.value == "mesh" } }
}

extension VirtualServiceDocument.Match {
    /// Looks at who is asking (header, cookie, parameter) and not only at what is asked for.
    var looksAtCaller: Bool { !model.headers.isEmpty || !model.queryParams.isEmpty }
}

extension VirtualServiceDocument.HTTPRoute {
    /// Takes every request that comes to it.
    var takesAll: Bool {
        matches.isEmpty
            || matches.contains {
                $0.model.isCatchAll && $0.gateways.isEmpty && $0.sourceLabels.isEmpty
                    && $0.sourceNamespace.isEmpty
                    && $0.port == nil && !$0.isUnsupported
            }
    }
}
