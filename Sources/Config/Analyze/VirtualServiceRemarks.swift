// What a VirtualService says about itself: the findings that need no other document, and what analyzers that
// need others ask of each. Made where the document is read, on the reading threads, and taken over with it by
// a reload (`KeptParts`).
internal import Lanes

struct VirtualServiceRemarks: Sendable {
    /// A text that a match asks a header for.
    struct HeaderText: Sendable {
        var header: String
        var text: String
        /// By a pattern that takes it anywhere in the value.
        var isSearched: Bool
        /// Of the match.
        var line: Int
    }

    /// Where those go that the rules for some callers do not take.
    struct Fallback: Sendable {
        var destination: VirtualServiceDocument.Destination
        /// Subsets of its host that those rules route to.
        var features: Set<String>
    }

    private var ref: SourceRef
    private(set) var findings: [Finding] = []
    var headerTexts: [HeaderText] = []
    var fallbacks: [Fallback] = []
    /// Some rule takes every request that comes to it.
    let takesAll: Bool
    /// Some rule does not ask who the caller is.
    let hasPlainRule: Bool

    init(
        _ ref: SourceRef, isForMeshOnly: Bool, http: [VirtualServiceDocument.HTTPRoute],
        tls: [VirtualServiceDocument.ConnectionRoute], tcp: [VirtualServiceDocument.ConnectionRoute]
    ) {
        self.ref = ref
        takesAll = http.contains(where: \.takesAll)
        hasPlainRule =
            takesAll
            || http.contains { route in
                route.delegate != nil || route.matches.contains { !$0.looksAtCaller }
            }
        checkRoutes(http)
        checkConnections(tls, "tls")
        checkConnections(tcp, "tcp")
        for route in http { checkWeights(route.destinations) }
        for route in tls + tcp { checkWeights(route.destinations) }
        checkPatterns(http)
        for route in http { checkCookies(route, isForMeshOnly: isForMeshOnly) }
        findFallbacks(http)
    }

    /// The same `lines` further down; nil: some words name a line, so they have to be found again.
    func moved(by lines: Int) -> VirtualServiceRemarks? {
        if findings.contains(where: { $0.code == Code.unreachableRule || $0.code == Code.ineffectiveMatch }) {
            return nil
        }
        var moved = self
        moved.ref.line += lines
        for index in findings.indices { moved.findings[index].line += lines }
        for index in headerTexts.indices { moved.headerTexts[index].line += lines }
        for index in fallbacks.indices { moved.fallbacks[index].destination.line += lines }
        return moved
    }

    mutating func note(
        _ severity: Severity, _ code: String, _ message: String, line: Int? = nil, suggestion: String = ""
    ) {
        findings.append(
            Finding(
                severity, code, message, file: ref.file, line: line ?? ref.line, resource: ref.document,
                suggestion: suggestion))
    }
}
