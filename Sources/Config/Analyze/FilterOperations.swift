// EnvoyFilters whose outcome depends on what else there is, or whose operation their target does not know
// (Istio's IST0151 to IST0155).

extension Analysis {
    mutating func checkFilterOperations() {
        for filter in documents.envoyFilters {
            for use in filter.uses { check(use, of: filter) }
        }
    }

    private mutating func check(_ use: EnvoyFilterDocument.Use, of filter: EnvoyFilterDocument) {
        let isFilter = use.target == "HTTP_FILTER" || use.target == "NETWORK_FILTER"
        let isRoute = use.target == "HTTP_ROUTE" || use.target == "ROUTE_CONFIGURATION"
        func misused(_ code: String) {
            note(
                .error, code, "\(use.operation) has no effect on \(use.target)", filter.meta.ref,
                line: use.line)
        }
        switch use.operation {
        case "ADD" where isRoute: misused(Code.addMisused)
        case "REMOVE" where isRoute: misused(Code.removeMisused)
        case "REPLACE" where !isFilter: misused(Code.replaceMisused)
        case "INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "REMOVE":
            guard filter.priority == 0 else { return }
            note(
                .warning, use.namesVersion ? Code.relativeFilterOfVersion : Code.relativeFilter,
                "\(use.operation) stands relative to other filters, and no priority says which come first"
                    + (use.namesVersion ? "; proxyVersion narrows it further" : ""),
                filter.meta.ref, line: use.line, suggestion: "set spec.priority, or use INSERT_FIRST or ADD")
        default: break
        }
    }
}
