// `filters` of a route's rule or backend (istio-semantics.md 21.4): which there may be, and what they say.
internal import Lanes

/// A RequestRedirect as written; what is left out depends on the listener.
struct APIRedirect: Sendable {
    var scheme: String?
    var hostname: String?
    var port: Int?
    var code = 302
    var path: APIPathModifier?
}

struct APIRewrite: Sendable {
    var hostname: String?
    var path: APIPathModifier?
}

enum APIPathModifier: Sendable {
    case full(String)
    case prefix(String)
}

struct APIFilters: Sendable {
    var requestHeaders = HeaderOperations()
    var responseHeaders = HeaderOperations()
    /// Host that header operations ask for.
    var authority: String?
    var redirect: APIRedirect?
    var rewrite: APIRewrite?
    var cors: CORSModel?
    var mirrors: [BackendReference] = []
    /// A filter that cannot be carried out: requests that come this way must fail.
    var failing: String?

    private static let fieldOfType = [
        "RequestHeaderModifier": "requestHeaderModifier", "ResponseHeaderModifier": "responseHeaderModifier",
        "RequestMirror": "requestMirror", "RequestRedirect": "requestRedirect", "URLRewrite": "urlRewrite",
        "CORS": "cors", "ExtensionRef": "extensionRef", "ExternalAuth": "externalAuth",
    ]

    /// `matches`: the rule's, which prefix replacements need; nil for a backend's filters.
    static func read(
        _ owner: Fields, kind: APIRoute.Kind, matches: [APIRoute.Match]?, namespace: String
    ) -> APIFilters {
        var filters = APIFilters()
        var seen: Set<String> = []
        let types =
            kind == .http
            ? fieldOfType.keys.sorted()
            : ["ExtensionRef", "RequestHeaderModifier", "RequestMirror", "ResponseHeaderModifier"]
        for fields in owner.objects("filters") {
            guard let type = fields.word("type", of: types), let key = fieldOfType[type] else {
                if !fields.has("type") {
                    fields.context.invalid(fields.line, "\(fields.path).type is missing")
                }
                filters.failing = filters.failing ?? "unknown"
                continue
            }
            guard let inner = fields.object(key) else {
                fields.context.invalid(
                    fields.line, "\(fields.path): type \(type) needs \(key)",
                    suggestion: "the field is named as the type")
                continue
            }
            fields.finish()
            if type != "RequestMirror", type != "ExtensionRef", !seen.insert(type).inserted {
                fields.context.invalid(fields.line, "\(owner.path).filters has \(type) twice")
                continue
            }
            filters.read(type, inner, matches, namespace)
        }
        if filters.redirect != nil, filters.rewrite != nil {
            owner.context.invalid(
                owner.line(of: "filters"),
                "\(owner.path).filters: RequestRedirect and URLRewrite exclude each other")
        }
        return filters
    }

    private mutating func read(
        _ type: String, _ fields: Fields, _ matches: [APIRoute.Match]?, _ namespace: String
    ) {
        switch type {
        case "RequestHeaderModifier":
            let authority = AuthorityOperation()
            requestHeaders = Self.readHeaders(fields, authority)
            self.authority = authority.value
        case "ResponseHeaderModifier": responseHeaders = Self.readHeaders(fields, nil)
        case "RequestRedirect": redirect = Self.readRedirect(fields, matches)
        case "URLRewrite": rewrite = Self.readRewrite(fields, matches)
        case "CORS": cors = Self.readCORS(fields)
        case "RequestMirror":
            mirrors += Self.readMirror(fields, namespace)
            fields.context.warn(
                fields.line, Code.fieldNotSupported, "not supported yet: \(fields.path), nothing is mirrored")
        case "ExternalAuth":
            Self.readExternalAuth(fields)
            fail(type, fields)
        default:
            fields.accept("group", "kind", "name")
            fields.finish()
            fail(type, fields)
        }
    }

    private mutating func fail(_ type: String, _ fields: Fields) {
        failing = failing ?? type
        fields.context.warn(
            fields.line, Code.fieldNotSupported,
            "not supported: \(fields.path), requests that come here get 500",
            suggestion: "a filter must not be skipped silently; remove it or the rule")
    }

    // MARK: one filter each

    private static func readHeaders(_ fields: Fields, _ authority: AuthorityOperation?) -> HeaderOperations {
        var operations = HeaderOperations()
        operations.set = readValues(fields, "set", authority, isSet: true)
        operations.add = readValues(fields, "add", authority, isSet: false)
        var written: Set<String> = []
        for name in fields.strings("remove") {
            let lower = name.value.lowercased()
            if !isHeaderName(name.value) {
                fields.context.invalid(
                    name.line, "\(fields.path).remove: \"\(name.value)\" is no header name")
            } else if !written.insert(name.value).inserted {
                fields.context.invalid(name.line, "\(fields.path).remove has \(name.value) twice")
            } else if lower == "host" {
                fields.context.warn(name.line, Code.deprecated, "the Host cannot be removed, ignored")
            } else {
                operations.remove.append(lower)
            }
        }
        fields.finish()
        return operations
    }

    /// Sorted by name, which is the order they apply in; of names that differ in case alone the first counts.
    private static func readValues(
        _ fields: Fields, _ key: String, _ authority: AuthorityOperation?, isSet: Bool
    ) -> [(name: String, value: String)] {
        var values: [(name: String, value: String)] = []
        var written: Set<String> = []
        var known: Set<String> = []
        for entry in fields.objects(key) {
            let name = entry.string("name") ?? ""
            let value = entry.string("value")
            entry.finish()
            if !isHeaderName(name) {
                entry.context.invalid(entry.line, "\(entry.path).name: \"\(name)\" is no header name")
            } else if !written.insert(name).inserted {
                entry.context.invalid(entry.line, "\(fields.path).\(key) has \(name) twice")
            } else if let value {
                let lower = name.lowercased()
                guard known.insert(lower).inserted else { continue }
                if lower == "host" {
                    if isSet { authority?.replaced = value } else { authority?.added = value }
                } else if value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) {
                    entry.context.invalid(
                        entry.line, "\(entry.path).value: control characters cannot stand in a header")
                } else {
                    // The Gateway API knows no formatters: what is none is meant as it stands.
                    let isFine = HeaderValue.problem(value) == nil
                    values.append((lower, isFine ? value : escaped(value)))
                }
            } else if !entry.has("value") {
                entry.context.invalid(entry.line, "\(entry.path).value is missing")
            }
        }
        return values.sorted { $0.name < $1.name }
    }

    private static func escaped(_ value: String) -> String {
        value.reduce(into: "") { $0 += $1 == "%" ? "%%" : String($1) }
    }

    private static func readRedirect(_ fields: Fields, _ matches: [APIRoute.Match]?) -> APIRedirect {
        var redirect = APIRedirect()
        redirect.scheme = fields.word("scheme", of: ["http", "https"])
        redirect.hostname = readHostname(fields)
        redirect.port = fields.integer("port", in: 1...65_535)
        redirect.path = readPath(fields, matches)
        if let code = fields.integer("statusCode", in: 300...399) {
            redirect.code = code
            if ![301, 302, 303, 307, 308].contains(code) {
                fields.context.invalid(
                    fields.line(of: "statusCode"), "\(fields.path).statusCode is \(code)",
                    suggestion: "301, 302, 303, 307 or 308")
            }
        }
        fields.finish()
        return redirect
    }

    private static func readRewrite(_ fields: Fields, _ matches: [APIRoute.Match]?) -> APIRewrite {
        let rewrite = APIRewrite(hostname: readHostname(fields), path: readPath(fields, matches))
        fields.finish()
        return rewrite
    }

    private static func readHostname(_ fields: Fields) -> String? {
        guard let name = fields.string("hostname") else { return nil }
        checkHostname(
            Located(name, line: fields.line(of: "hostname")), "\(fields.path).hostname", fields.context,
            wildcard: false)
        return name
    }

    private static func readPath(_ fields: Fields, _ matches: [APIRoute.Match]?) -> APIPathModifier? {
        guard let path = fields.object("path") else { return nil }
        defer { path.finish() }
        let type = path.word("type", of: ["ReplaceFullPath", "ReplacePrefixMatch"])
        let full = path.string("replaceFullPath")
        let prefix = path.string("replacePrefixMatch")
        for value in [full, prefix].compactMap({ $0 })
        where value.utf8.contains(where: { $0 < 0x21 || $0 == 0x7F }) {
            path.context.invalid(path.line, "\(path.path) holds a blank or a control character")
        }
        switch (type, full, prefix) {
        case ("ReplaceFullPath"?, let full?, nil): return .full(full)
        case ("ReplacePrefixMatch"?, nil, let prefix?):
            if let matches, matches.count != 1 || !matches[0].model.uriPrefixBySegment {
                path.context.invalid(
                    path.line, "\(path.path): ReplacePrefixMatch needs exactly one match, of type PathPrefix")
            }
            return .prefix(prefix)
        default:
            path.context.invalid(
                path.line,
                "\(path.path): type ReplaceFullPath goes with replaceFullPath alone, ReplacePrefixMatch with "
                    + "replacePrefixMatch")
            return nil
        }
    }

    private static func readMirror(_ fields: Fields, _ namespace: String) -> [BackendReference] {
        let backend = fields.object("backendRef").map {
            BackendReference.read($0, namespace: namespace, filters: nil)
        }
        if backend == nil, !fields.has("backendRef") {
            fields.context.invalid(fields.line, "\(fields.path).backendRef is missing")
        }
        let percent = fields.integer("percent", in: 0...100)
        if let fraction = fields.object("fraction") {
            _ = fraction.integer("numerator", in: 0...Int(Int32.max))
            _ = fraction.integer("denominator", in: 1...Int(Int32.max))
            fraction.finish()
            if percent != nil {
                fields.context.invalid(
                    fields.line, "\(fields.path): percent and fraction exclude each other")
            }
        }
        fields.finish()
        return backend.map { [$0] } ?? []
    }

    private static func readExternalAuth(_ fields: Fields) {
        if fields.word("protocol", of: ["HTTP", "GRPC"]) == nil, !fields.has("protocol") {
            fields.context.invalid(fields.line, "\(fields.path).protocol is missing")
        }
        if !fields.has("backendRef") {
            fields.context.invalid(fields.line, "\(fields.path).backendRef is missing")
        }
        if let http = fields.object("http"), let path = http.string("path"),
            let problem = APIRoute.pathProblem(path)
        {
            http.context.invalid(http.line(of: "path"), "\(http.path).path: \(problem)")
        }
    }
}
