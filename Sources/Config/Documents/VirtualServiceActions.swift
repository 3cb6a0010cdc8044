// The parts of an http entry that answer or change a request: redirect, direct response, rewrite.
internal import Base
internal import Lanes

extension VirtualServiceDocument {
    static func readRedirect(_ fields: Fields, route: HTTPRoute) -> RedirectModel {
        var redirect = RedirectModel()
        redirect.uri = fields.string("uri").flatMap { $0.isEmpty ? nil : $0 }
        redirect.prefixRewrite = fields.string("prefixRewrite").flatMap { $0.isEmpty ? nil : $0 }
        redirect.authority = fields.string("authority").flatMap { $0.isEmpty ? nil : $0 }
        redirect.scheme = fields.word("scheme", of: ["http", "https"])
        redirect.port = fields.integer("port", in: 1...65_535)
        switch fields.word("derivePort", of: ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]) {
        case "FROM_REQUEST_PORT"?: redirect.portFromRequest = true
        default: break
        }
        if let code = fields.integer("redirectCode", in: 300...399) {
            redirect.code = code
            if ![301, 302, 303, 307, 308].contains(code) {
                fields.context.invalid(
                    fields.line(of: "redirectCode"), "\(fields.path).redirectCode is \(code)",
                    suggestion: "301, 302, 303, 307 or 308")
            }
        }
        if redirect.port != nil, fields.has("derivePort") {
            fields.context.invalid(fields.line, "\(fields.path): port and derivePort exclude each other")
        }
        if redirect.uri != nil, redirect.prefixRewrite != nil {
            fields.context.invalid(fields.line, "\(fields.path): uri and prefixRewrite exclude each other")
        }
        for (name, value) in [
            ("uri", redirect.uri), ("authority", redirect.authority),
            ("prefixRewrite", redirect.prefixRewrite),
        ] {
            if let value, value.utf8.contains(where: { $0 < 0x21 || $0 == 0x7F }) {
                fields.context.invalid(
                    fields.line(of: name), "\(fields.path).\(name) holds a blank or a control character")
            }
        }
        fields.finish()
        return redirect
    }

    static func readDirectResponse(_ fields: Fields) -> (status: Int, body: [UInt8]) {
        let status = fields.integer("status", in: 200...599) ?? 200
        if !fields.has("status") { fields.context.invalid(fields.line, "\(fields.path).status is missing") }
        var body: [UInt8] = []
        if let given = fields.object("body") {
            let text = given.string("string")
            let encoded = given.string("bytes")
            if text != nil, encoded != nil {
                given.context.invalid(given.line, "\(given.path): string and bytes exclude each other")
            }
            if let text { body = Array(text.utf8) }
            if let encoded {
                if let decoded = decodeBase64(encoded) {
                    body = decoded
                } else {
                    given.context.invalid(given.line(of: "bytes"), "\(given.path).bytes is not base64")
                }
            }
            if body.count > Limits.directBodyBytes {
                given.context.invalid(given.line, "\(given.path) is larger than 1 MiB")
            }
            given.finish()
        }
        fields.finish()
        return (status, body)
    }

    static func readRewrite(_ fields: Fields) -> RewriteModel {
        var rewrite = RewriteModel()
        rewrite.uri = fields.string("uri").flatMap { $0.isEmpty ? nil : $0 }
        rewrite.authority = fields.string("authority").flatMap { $0.isEmpty ? nil : $0 }
        if let regex = fields.object("uriRegexRewrite") {
            let match = regex.string("match") ?? ""
            let replacement = regex.string("rewrite") ?? ""
            if match.isEmpty {
                fields.context.invalid(regex.line, "\(regex.path).match is missing")
            } else if let problem = regexProblem(match, rewrite: replacement) {
                fields.context.invalid(regex.line, "\(regex.path): \(problem)")
            } else {
                rewrite.uriRegex = (match, replacement)
            }
            regex.finish()
        }
        if rewrite.uri != nil, fields.has("uriRegexRewrite") {
            fields.context.invalid(fields.line, "\(fields.path): uri and uriRegexRewrite exclude each other")
        }
        for (name, value) in [("uri", rewrite.uri), ("authority", rewrite.authority)] {
            if let value, value.utf8.contains(where: { $0 < 0x21 || $0 == 0x7F }) {
                fields.context.invalid(
                    fields.line(of: name), "\(fields.path).\(name) holds a blank or a control character")
            }
        }
        fields.finish()
        return rewrite
    }
}

/// The bytes of base64 text, with or without padding, standard or URL alphabet; nil if it is none.
func decodeBase64(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    var padded = false
    for byte in text.utf8 {
        let value: UInt32
        switch byte {
        case 0x41...0x5A: value = UInt32(byte - 0x41)
        case 0x61...0x7A: value = UInt32(byte - 0x61 + 26)
        case 0x30...0x39: value = UInt32(byte - 0x30 + 52)
        case 0x2B, 0x2D: value = 62
        case 0x2F, 0x5F: value = 63
        case 0x3D:
            padded = true
            continue
        case 0x0A, 0x0D, 0x20: continue
        default: return nil
        }
        if padded { return nil }
        bits = bits << 6 | value
        count += 1
        if count % 4 != 1 { out.append(UInt8(truncatingIfNeeded: bits >> UInt32((4 - count % 4) % 4 * 2))) }
    }
    return count % 4 == 1 ? nil : out
}
