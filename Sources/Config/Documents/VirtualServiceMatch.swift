// `match[]`: the conditions of one element, each StringMatch checked as Istio's admission does.
internal import Base
internal import CRE2
internal import Lanes

extension VirtualServiceDocument {
    static func readMatch(_ fields: Fields, namespace: String) -> Match {
        var match = Match(line: fields.line)
        match.name = fields.string("name") ?? ""
        if let uri = fields.object("uri") {
            match.model.uri = readStringMatch(uri, emptyPrefix: true)
            if case .present? = match.model.uri { match.model.uri = nil }
        }
        match.model.ignoreUriCase = fields.bool("ignoreUriCase") ?? false
        match.model.scheme = fields.object("scheme").flatMap { readStringMatch($0) }
        match.model.method = fields.object("method").flatMap { readStringMatch($0) }
        match.model.authority = fields.object("authority").flatMap { readStringMatch($0) }
        match.model.headers = readNamed(fields, "headers", inverted: false, into: &match)
        match.model.headers += readNamed(fields, "withoutHeaders", inverted: true, into: &match)
        match.model.queryParams = readNamed(fields, "queryParams", inverted: false, into: &match)
        match.port = fields.port("port")
        match.sourceLabels = fields.labels("sourceLabels")
        match.sourceNamespace = fields.string("sourceNamespace") ?? ""
        match.gateways = fields.strings("gateways").map { Names.gateway($0.value, namespace: namespace) }
        fields.accept("statPrefix")
        fields.finish()
        return match
    }

    private static func readNamed(
        _ fields: Fields, _ key: String, inverted: Bool, into match: inout Match
    ) -> [NamedMatch] {
        guard let value = fields.any(key) else { return [] }
        guard case .map(let entries) = value.value else {
            fields.context.invalid(value.line, "\(fields.path).\(key) must be a mapping of names to matches")
            return []
        }
        var result: [NamedMatch] = []
        for entry in entries {
            let path = "\(fields.path).\(key).\(entry.key)"
            if entry.key.hasPrefix("@request.auth.claims") {
                fields.context.warn(
                    entry.line, Code.fieldNotSupported, "not supported yet: \(path), this match never holds")
                match.isUnsupported = true
                match.claimLine = entry.line
                continue
            }
            let isHeader = key != "queryParams"
            if isHeader, !inverted, let place = pseudoHeader(entry.key), match.model[keyPath: place] == nil {
                let inner = Fields(entry.value, path: path, context: fields.context)
                let condition = readStringMatch(inner, starIsPresent: true)
                if case .present? = condition { continue }
                match.model[keyPath: place] = condition
                continue
            }
            if isHeader ? !isHeaderName(entry.key) : entry.key.isEmpty {
                fields.context.invalid(entry.line, "\(path): \"\(entry.key)\" is no header name")
                continue
            }
            let inner = Fields(entry.value, path: path, context: fields.context)
            guard let condition = readStringMatch(inner, starIsPresent: true) else { continue }
            let name = isHeader ? entry.key.lowercased() : entry.key
            result.append(NamedMatch(name: name, match: condition, inverted: inverted))
        }
        return result.sorted { $0.name < $1.name }
    }

    /// What a request has in the place of a header, which Envoy matches as one.
    private static func pseudoHeader(_ name: String) -> WritableKeyPath<MatchModel, StringMatch?>? {
        switch name {
        case ":method": \.method
        case ":authority": \.authority
        case ":scheme": \.scheme
        default: nil
        }
    }

    /// `{exact|prefix|regex}`; `{}` is "present". Nil after a finding.
    static func readStringMatch(
        _ fields: Fields, emptyPrefix: Bool = false, starIsPresent: Bool = false
    ) -> StringMatch? {
        let exact = fields.string("exact")
        let prefix = fields.string("prefix")
        let regex = fields.string("regex")
        let given = ["exact", "prefix", "regex"].count { fields.has($0) }
        fields.finish()
        if given > 1 {
            fields.context.invalid(fields.line, "\(fields.path): exact, prefix and regex exclude each other")
            return nil
        }
        if let exact { return .exact(exact) }
        if let prefix {
            if prefix.isEmpty, !emptyPrefix {
                fields.context.invalid(fields.line(of: "prefix"), "\(fields.path).prefix is empty")
                return nil
            }
            return .prefix(prefix)
        }
        if let regex {
            if regex == "*", starIsPresent { return .present }
            if let problem = regexProblem(regex) {
                fields.context.invalid(fields.line(of: "regex"), "\(fields.path).regex: \(problem)")
                return nil
            }
            return .regex(regex)
        }
        return given == 0 ? .present : nil
    }
}

/// Why a pattern (and its rewrite) is refused; nil if RE2 takes it.
func regexProblem(_ pattern: String, rewrite: String? = nil) -> String? {
    if pattern.isEmpty { return "empty pattern" }
    if pattern.unicodeScalars.count > Limits.regexCharacters {
        return "longer than \(Limits.regexCharacters) characters"
    }
    var error = [CChar](repeating: 0, count: 256)
    let compiled = pattern.withView { view in
        view.start.withMemoryRebound(to: CChar.self, capacity: view.count) { start in
            fl_re2_new(start, view.count, Limits.regexMemoryBytes, &error, error.count)
        }
    }
    guard let compiled else {
        let end = error.firstIndex(of: 0) ?? error.count
        return "RE2: " + String(decoding: error[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    defer { fl_re2_free(compiled) }
    guard let rewrite else { return nil }
    var out = [CChar](repeating: 0, count: 1)
    let needed = rewrite.withCString { fl_re2_replace_all(compiled, "", 0, $0, rewrite.utf8.count, &out, 0) }
    return needed < 0 ? "the rewrite names a group that the pattern does not have" : nil
}
