// Pins that VirtualServices and LanePolicies write: from where, with which attributes, for which hosts
// (traps 6 and 8).
internal import Lanes

extension Analysis {
    mutating func checkPins() {
        for policy in documents.policies { checkScope(policy) }
    }

    /// A browser takes a cookie for its own host and for domains above it, no others (RFC 6265 5.3).
    private mutating func checkScope(_ policy: LanePolicyDocument) {
        guard let domain = policy.model.pin?.domain, !domain.isEmpty else { return }
        if !domain.contains(".") {
            note(
                .warning, Code.cookieScope,
                "spec.pin.domain: no browser takes a cookie for all of .\(domain)",
                policy.meta.ref, suggestion: "a domain of your own, or none: then it is for the one host")
            return
        }
        let hosts =
            documents.gateways.flatMap(\.servers).flatMap(\.hosts).map { name in
                name.value.split(separator: "/").last.map(String.init) ?? name.value
            } + documents.apiGateways.flatMap(\.listeners).map(\.domain)
        let served = hosts.map { $0.lowercased() }
        guard !served.isEmpty,
            !served.contains(where: { host in
                host == "*" || host == domain || host.hasSuffix(".\(domain)") || Names.covers(host, domain)
            })
        else { return }
        note(
            .warning, Code.cookieScope, "spec.pin.domain: no host that is served is in \(domain)",
            policy.meta.ref,
            suggestion: "browsers drop the cookie; the hosts are \(served.prefix(5).joined(separator: ", "))")
    }
}

extension VirtualServiceRemarks {
    /// Cookies that a rule's answers set.
    mutating func checkCookies(_ route: VirtualServiceDocument.HTTPRoute, isForMeshOnly: Bool) {
        check(route.responseHeaders, route, isForMeshOnly: isForMeshOnly)
        for destination in route.destinations {
            check(destination.responseHeaders, route, isForMeshOnly: isForMeshOnly)
        }
    }

    private mutating func check(
        _ operations: HeaderOperations, _ route: VirtualServiceDocument.HTTPRoute, isForMeshOnly: Bool
    ) {
        for (name, value) in operations.set where name == "set-cookie" {
            check(value, route, isForMeshOnly: isForMeshOnly)
        }
        for (name, value) in operations.add where name == "set-cookie" {
            check(value, route, isForMeshOnly: isForMeshOnly)
        }
    }

    private mutating func check(
        _ value: String, _ route: VirtualServiceDocument.HTTPRoute, isForMeshOnly: Bool
    ) {
        let attributes = value.utf8.split(separator: 0x3B).dropFirst().map {
            Substring($0).trimmed.lowercased()
        }
        func has(_ name: String) -> Bool { attributes.contains { $0 == name || $0.hasPrefix(name + "=") } }
        var missing = [("samesite", "SameSite"), ("secure", "Secure"), ("max-age", "Max-Age")].filter {
            !has($0.0)
        }
        if has("expires") { missing.removeAll { $0.0 == "max-age" } }
        let cookie = Substring(value.utf8.prefix { $0 != 0x3D })
        if !missing.isEmpty {
            let names = missing.map(\.1).joined(separator: ", ")
            note(
                .warning, Code.weakCookie, "the cookie \(cookie) is written without \(names)",
                line: route.line, suggestion: "LanePolicy.spec.pin writes a safe one at the edge")
        }
        let domain = attributes.first { $0.hasPrefix("domain=") }?.dropFirst(7)
        if let domain, !domain.isEmpty {
            let bare = domain.hasPrefix(".") ? domain.dropFirst() : domain
            note(
                .warning, Code.weakCookie, "the cookie \(cookie) goes to every host below \(bare)",
                line: route.line,
                suggestion: "leave Domain out, so that only the host that set it gets it")
        }
        if isForMeshOnly {
            note(
                .warning, Code.cookieFromService,
                "the cookie \(cookie) is set on an internal service's answer, which the browser never sees",
                line: route.line, suggestion: "pin at the edge: LanePolicy.spec.pin")
        }
    }
}
