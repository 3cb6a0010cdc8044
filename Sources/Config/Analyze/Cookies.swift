// Pins that VirtualServices write: from where, and with which attributes (traps 6 and 8).
internal import Base
internal import Lanes

extension Analysis {
    mutating func checkCookies() {
        for document in virtualServices {
            for route in document.http {
                let operations = [route.responseHeaders] + route.destinations.map(\.responseHeaders)
                for values in operations {
                    for (name, value) in values.set + values.add where name == "set-cookie" {
                        check(value, document, route)
                    }
                }
            }
        }
    }

    private mutating func check(
        _ value: String, _ document: VirtualServiceDocument, _ route: VirtualServiceDocument.HTTPRoute
    ) {
        let attributes = value.split(separator: ";").dropFirst().map { $0.trimmed.lowercased() }
        func has(_ name: String) -> Bool { attributes.contains { $0 == name || $0.hasPrefix(name + "=") } }
        var missing = [("samesite", "SameSite"), ("secure", "Secure"), ("max-age", "Max-Age")].filter {
            !has($0.0)
        }
        if has("expires") { missing.removeAll { $0.0 == "max-age" } }
        let cookie = value.prefix { $0 != "=" }
        if !missing.isEmpty {
            let names = missing.map(\.1).joined(separator: ", ")
            note(
                .warning, Code.weakCookie, "the cookie \(cookie) is written without \(names)",
                document.meta.ref,
                line: route.line, suggestion: "LanePolicy.spec.pin writes a safe one at the edge")
        }
        if document.gateways.allSatisfy({ $0.value == "mesh" }) {
            note(
                .warning, Code.cookieFromService,
                "the cookie \(cookie) is set on an internal service's answer, which the browser never sees",
                document.meta.ref, line: route.line, suggestion: "pin at the edge: LanePolicy.spec.pin")
        }
    }
}
