// Lua of the published pattern that does not do what it is there for (traps 1, 7, 9, 10).
internal import Lanes

extension Analysis {
    mutating func checkScripts() {
        for filter in documents.envoyFilters {
            for script in filter.scripts { check(script, filter.meta.ref) }
        }
    }

    private mutating func check(_ script: EnvoyFilterDocument.Script, _ ref: SourceRef) {
        let code = withoutComments(script.code)
        func holds(_ text: String) -> Bool { code.range(of: text) != nil }
        let edits = holds(":add(") || holds(":replace(")
        if script.context == "SIDECAR_OUTBOUND", holds("envoy_on_response"), !holds("envoy_on_request"), edits
        {
            note(
                .warning, Code.responseOnlyLua,
                "the header is added to the answers the workload receives; its own requests never carry it",
                ref,
                line: script.line,
                suggestion: "Proxy.spec.headers.request or Proxy.spec.lane injects on requests")
        }
        guard script.context == "GATEWAY" || script.context == "ANY", holds("envoy_on_request"), edits,
            holds("[?&]")
        else { return }
        note(
            .warning, Code.rawQueryPattern,
            "the query is searched as text: not decoded, and other parameters' values match",
            ref, line: script.line, suggestion: "LanePolicy.spec.accept.query parses it")
        if ["([^&]+)", "([^&]*)", "(.-)", "(.*)", "(.+)"].contains(where: holds),
            !holds("\"^[") && !holds("'^[")
        {
            note(
                .warning, Code.unvalidatedValue, "whatever stands in the URL goes into a header as it is",
                ref, line: script.line,
                suggestion: "LanePolicy takes names of letters, digits and - alone, and counts the rest")
        }
        if !code.lowercased().contains("cookie") {
            note(
                .warning, Code.queryOnlyPromotion,
                "only the query becomes a header: a visit by cookie alone is lost at the first service",
                ref, line: script.line, suggestion: "a LanePolicy turns every carrier into the header")
        }
    }
}

/// Lua without its `--` comments, which may talk about what the code does not do.
private func withoutComments(_ code: String) -> String {
    code.split(separator: "\n").map { line in
        line.range(of: "--").map { line[..<$0.lowerBound] } ?? line
    }.joined(separator: "\n")
}
