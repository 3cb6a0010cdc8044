// The CORS filter of an HTTPRoute (istio-semantics.md 21.4), which differs from `corsPolicy` in its
// origins, its default age and what becomes of preflights from elsewhere.
internal import Lanes

extension APIFilters {
    static func readCORS(_ fields: Fields) -> CORSModel {
        var cors = CORSModel()
        let origins = fields.strings("allowOrigins")
        if origins.count > 1, let star = origins.first(where: { $0.value == "*" }) {
            fields.context.invalid(star.line, "\(fields.path).allowOrigins: * stands alone or not at all")
        }
        cors.allowOrigins = origins.compactMap { origin in
            if let match = originMatch(origin.value) { return match }
            fields.context.invalid(
                origin.line, "\(fields.path).allowOrigins: \"\(origin.value)\" is no origin",
                suggestion: "as in https://example.com, https://*.example.com or *")
            return nil
        }
        cors.allowMethods = VirtualServiceDocument.readTokens(fields, "allowMethods")
        cors.allowHeaders = VirtualServiceDocument.readTokens(fields, "allowHeaders")
        cors.exposeHeaders = VirtualServiceDocument.readTokens(fields, "exposeHeaders")
        for (key, list) in [("allowMethods", cors.allowMethods), ("allowHeaders", cors.allowHeaders)]
        where list.count > 1 && list.contains("*") {
            fields.context.invalid(
                fields.line(of: key), "\(fields.path).\(key): * stands alone or not at all")
        }
        cors.allowCredentials = fields.bool("allowCredentials") ?? false
        cors.maxAgeSeconds = UInt64(fields.integer("maxAge", in: 1...Int(Int32.max)) ?? 5)
        cors.answersUnmatched = true
        fields.finish()
        return cors
    }

    /// `scheme://host[:port]`, with `*` for one or more labels at the host's start.
    private static func originMatch(_ origin: String) -> StringMatch? {
        if origin == "*" { return .present }
        guard let separator = origin.range(of: "://"), separator.lowerBound > origin.startIndex else {
            return nil
        }
        let rest = origin[separator.upperBound...]
        let host = rest.prefix { $0 != ":" }
        let port = rest.dropFirst(host.count)
        let isPort =
            port.isEmpty
            || (port.count <= 6 && port.count > 1 && port.dropFirst().utf8.allSatisfy { isDigit($0) })
        guard isPort, !host.isEmpty, !host.contains(where: { "/?#".contains($0) }) else { return nil }
        guard host.contains("*") else { return .exact(origin) }
        var pattern = ""
        for character in origin {
            switch character {
            // Labels, as many as there are.
            case "*": pattern += "[-A-Za-z0-9_.]+"
            case ".", "+", "-", "(", ")", "[", "]", "{", "}", "^", "$", "|", "\\", "?":
                pattern += "\\\(character)"
            default: pattern.append(character)
            }
        }
        return regexProblem(pattern) == nil ? .regex(pattern) : nil
    }
}
