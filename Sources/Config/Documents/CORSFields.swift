// `corsPolicy` of a VirtualService (istio-semantics.md 11).
internal import Lanes

extension VirtualServiceDocument {
    static func readCORS(_ fields: Fields) -> CORSModel {
        var cors = CORSModel()
        cors.allowOrigins = fields.objects("allowOrigins").compactMap { readStringMatch($0) }
        // The older form: plain origins.
        for origin in fields.strings("allowOrigin") { cors.allowOrigins.append(.exact(origin.value)) }
        cors.allowOrigins = cors.allowOrigins.map { if case .exact("*") = $0 { .present } else { $0 } }
        cors.allowMethods = readTokens(fields, "allowMethods")
        cors.allowHeaders = readTokens(fields, "allowHeaders")
        cors.exposeHeaders = readTokens(fields, "exposeHeaders")
        cors.maxAgeSeconds = fields.duration("maxAge").map { $0 / 1_000 }
        cors.allowCredentials = fields.bool("allowCredentials") ?? false
        let unmatched = fields.word("unmatchedPreflights", of: ["UNSPECIFIED", "FORWARD", "IGNORE"])
        cors.answersUnmatched = unmatched == "IGNORE"
        fields.finish()
        return cors
    }

    /// Methods or header names, `*` among them; others are findings.
    static func readTokens(_ fields: Fields, _ key: String) -> [String] {
        fields.strings(key).compactMap { token in
            if isHeaderName(token.value) { return token.value }
            fields.context.invalid(token.line, "\(fields.path).\(key): \"\(token.value)\" is no name")
            return nil
        }
    }
}
