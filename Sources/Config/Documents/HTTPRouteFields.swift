// The matches of an HTTPRoute (istio-semantics.md 21.2) and what ranks them.

extension APIRoute {
    private static let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ]

    static func readHTTPMatch(_ fields: Fields) -> Match {
        var match = Match(line: fields.line)
        var type = "PathPrefix"
        var value = "/"
        if let path = fields.object("path") {
            type = path.word("type", of: ["Exact", "PathPrefix", "RegularExpression"]) ?? "PathPrefix"
            value = path.string("value") ?? "/"
            path.finish()
            checkPath(path, type, value)
        }
        match.model.headers = readNamed(fields, "headers")
        match.model.queryParams = readNamed(fields, "queryParams")
        match.model.method = fields.word("method", of: methods).map { .exact($0) }
        setPath(&match, type: type, value: value)
        fields.finish()
        return match
    }

    /// The path's condition, and the rank, which needs the other conditions to be there.
    static func setPath(_ match: inout Match, type: String, value: String) {
        var kind: Int32 = 2
        var length = value.unicodeScalars.count
        switch type {
        case "Exact":
            kind = 3
            match.model.uri = .exact(value)
        case "RegularExpression":
            kind = 1
            match.model.uri = .regex(value)
        default:
            // A trailing slash means nothing.
            if length > 1, value.hasSuffix("/") { length -= 1 }
            match.model.uri = .prefix(value)
            match.model.uriPrefixBySegment = true
        }
        match.rank.numbers[0] = kind
        match.rank.numbers[1] = Int32(clamping: length)
        match.rank.numbers[2] = match.model.method == nil ? 0 : 1
        match.rank.numbers[3] = Int32(clamping: match.model.headers.count)
        match.rank.numbers[4] = Int32(clamping: match.model.queryParams.count)
    }

    /// What the API server refuses of a path.
    private static func checkPath(_ path: Fields, _ type: String, _ value: String) {
        let line = path.line(of: "value")
        if type == "RegularExpression" {
            if let problem = regexProblem(value) {
                path.context.invalid(line, "\(path.path).value: \(problem)")
            }
        } else if let problem = pathProblem(value) {
            path.context.invalid(line, "\(path.path).value: \(problem)")
        }
    }

    /// Why a text is no absolute path as the Gateway API has it; nil: it is one.
    static func pathProblem(_ value: String) -> String? {
        if !value.hasPrefix("/") { return "\"\(value)\" does not begin with /" }
        if value.utf8.count > 1_024 { return "longer than 1024 characters" }
        for part in ["//", "/./", "/../", "%2f", "%2F", "#"] where value.range(of: part) != nil {
            return "\"\(value)\" holds \(part)"
        }
        for end in ["/.", "/.."] where value.hasSuffix(end) { return "\"\(value)\" ends with \(end)" }
        var bytes = value.utf8[...]
        while let byte = bytes.popFirst() {
            if byte == 0x25 {
                let digits = bytes.prefix(2)
                guard digits.count == 2, digits.allSatisfy(isHexDigit) else {
                    return "\"\(value)\" has a % without two hex digits"
                }
                bytes = bytes.dropFirst(2)
            } else if !isPathByte(byte) {
                return "\"\(value)\" holds a character that must be percent-encoded"
            }
        }
        return nil
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x66)
    }

    private static func isPathByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
            || "-._~!$&'()*+,;=:@/".utf8.contains(byte)
    }
}
