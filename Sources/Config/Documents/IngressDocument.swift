// `Ingress` as ingress-nginx reads it: rules, TLS, and the annotations that choose and rewrite. Its other
// annotations are findings that name them, but for those that tune nginx and change no answer.
internal import Lanes

struct IngressDocument: Document {
    enum PathType: String, Sendable {
        case exact = "Exact"
        /// By segments.
        case prefix = "Prefix"
        /// Here: by characters, or a regex where the host uses them.
        case implementation = "ImplementationSpecific"
    }

    struct Backend: Sendable {
        enum Port: Sendable {
            case number(UInt16)
            case name(String)
        }

        var service: String
        var port: Port
        var line: Int
    }

    struct Path: Sendable {
        var type: PathType
        var path: String
        var backend: Backend
        var line: Int
        /// Asked for by who makes certificates, before there is one (RFC 8555 8.3): never sent to HTTPS.
        var isChallenge: Bool { path.hasPrefix("/.well-known/acme-challenge") }
    }

    struct Rule: Sendable {
        /// Lower case; `*`: any.
        var host: String
        var paths: [Path]
    }

    struct TLS: Sendable {
        var hosts: [String]
        /// Empty: the controller's own certificate, which there is not here.
        var secret: String
        var line: Int
    }

    /// Who goes to this Ingress' backends instead of those of the main one.
    struct Canary: Sendable {
        var header: String?
        var headerValue: String?
        /// RE2, found anywhere in the value.
        var headerPattern: String?
        var cookie: String?
        /// Ours: ingress-nginx knows `always` and `never` alone.
        var cookieValue: String?
        var weight = 0
        var weightTotal = 100
        var line: Int
    }

    var meta: Meta
    /// `spec.ingressClassName`, or the old annotation; empty: not said.
    var className = ""
    var defaultBackend: Backend?
    var rules: [Rule] = []
    var tls: [TLS] = []
    /// nil: no canary.
    var canary: Canary?
    var rewriteTarget: String?
    var usesRegex = false
    /// Where the host has a certificate; `forcesHTTPS`: everywhere (TLS ends in front of us).
    var redirectsToHTTPS = true
    var forcesHTTPS = false

    /// A target that is the path itself rewrites nothing, and makes no regex of it.
    func rewrites(_ path: Path) -> Bool { rewriteTarget.map { $0 != path.path } ?? false }

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        className = meta.annotations["kubernetes.io/ingress.class"] ?? ""
        if let annotations = root["metadata"]?["annotations"] {
            var reader = AnnotationReader(annotations, context: context)
            reader.read(into: &self)
        }
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        className = spec.string("ingressClassName") ?? className
        if let backend = spec.object("defaultBackend") { defaultBackend = Self.readBackend(backend) }
        for fields in spec.objects("rules") { readRule(fields) }
        for fields in spec.objects("tls") {
            let hosts = fields.strings("hosts").map { $0.value.lowercased() }
            tls.append(
                TLS(hosts: hosts, secret: fields.string("secretName") ?? "", line: fields.line))
            fields.finish()
        }
        spec.finish()
    }

    private mutating func readRule(_ fields: Fields) {
        var host = fields.string("host")?.lowercased() ?? "*"
        if host.isEmpty { host = "*" }
        if host != "*", !isHostName(host, wildcard: true) {
            fields.context.invalid(
                fields.line(of: "host"), "\(fields.path).host: \"\(host)\" is no host name")
        }
        var rule = Rule(host: host, paths: [])
        if let http = fields.object("http") {
            for path in http.objects("paths") {
                let type = path.word("pathType", of: ["Exact", "Prefix", "ImplementationSpecific"])
                if !path.has("pathType") {
                    path.context.warn(
                        path.line, Code.invalid,
                        "\(path.path).pathType is missing, an API server asks for it: ImplementationSpecific "
                            + "is taken", suggestion: "write Prefix, Exact or ImplementationSpecific")
                }
                let text = path.string("path") ?? "/"
                if !text.hasPrefix("/") {
                    path.context.invalid(
                        path.line(of: "path"), "\(path.path).path: \"\(text)\" does not begin with /")
                }
                if let fields = path.object("backend"), let backend = Self.readBackend(fields) {
                    rule.paths.append(
                        Path(
                            type: type.flatMap { PathType(rawValue: $0) } ?? .implementation, path: text,
                            backend: backend, line: path.line))
                } else if !path.has("backend") {
                    path.context.invalid(path.line, "\(path.path).backend is missing")
                }
                path.finish()
            }
            http.finish()
        }
        fields.finish()
        rules.append(rule)
    }

    private static func readBackend(_ fields: Fields) -> Backend? {
        defer { fields.finish() }
        fields.unsupported("resource", effect: "a Service is meant")
        guard let service = fields.object("service") else {
            if !fields.has("resource") {
                fields.context.invalid(fields.line, "\(fields.path).service is missing")
            }
            return nil
        }
        defer { service.finish() }
        let name = service.string("name") ?? ""
        if name.isEmpty { fields.context.invalid(service.line, "\(service.path).name is missing") }
        guard let port = service.object("port") else {
            fields.context.invalid(service.line, "\(service.path).port is missing")
            return nil
        }
        defer { port.finish() }
        if let number = port.port("number") {
            return Backend(service: name, port: .number(number), line: service.line)
        }
        guard let text = port.string("name") else {
            fields.context.invalid(port.line, "\(port.path) has neither number nor name")
            return nil
        }
        return Backend(service: name, port: .name(text), line: service.line)
    }
}

/// Whether YAML makes a number or a truth value of a text without quotes.
private func isNoString(_ text: String) -> Bool {
    ["true", "false"].contains(text.lowercased()) || Double(text) != nil
}

/// The annotations of ingress-nginx that act here.
private struct AnnotationReader {
    private static let prefix = "nginx.ingress.kubernetes.io/"
    private static let known = [
        "canary", "canary-by-header", "canary-by-header-value", "canary-by-header-pattern",
        "canary-by-cookie", "canary-by-cookie-value", "canary-weight", "canary-weight-total",
        "rewrite-target", "use-regex", "ssl-redirect", "force-ssl-redirect",
    ]
    /// Sizes, times, logs: of nginx, not of requests.
    private static let harmless = [
        "client-body-buffer-size", "connection-proxy-header", "enable-access-log", "enable-opentelemetry",
        "enable-opentracing", "enable-rewrite-log", "http2-push-preload", "opentelemetry-operation-name",
        "opentelemetry-trust-incoming-span", "opentracing-trust-incoming-span", "proxy-body-size",
        "proxy-buffer-size", "proxy-buffering", "proxy-buffers-number", "proxy-busy-buffers-size",
        "proxy-connect-timeout", "proxy-http-version", "proxy-max-temp-file-size", "proxy-next-upstream",
        "proxy-next-upstream-timeout", "proxy-next-upstream-tries", "proxy-read-timeout",
        "proxy-request-buffering", "proxy-send-timeout", "ssl-ciphers", "ssl-prefer-server-ciphers",
    ]

    let context: DocumentContext
    private var values: [String: Located<String>] = [:]

    init(_ annotations: YAML, context: DocumentContext) {
        self.context = context
        guard case .map(let entries) = annotations.value else { return }
        for entry in entries where entry.key.hasPrefix(Self.prefix) {
            let name = String(entry.key.dropFirst(Self.prefix.count))
            if Self.harmless.contains(name) { continue }
            guard Self.known.contains(name) else {
                let near = nearest(to: name, among: Self.known)
                context.warn(
                    entry.line, Code.fieldNotSupported, "not supported yet: \(entry.key), ignored",
                    suggestion: near.map { "did you mean \(Self.prefix)\($0)?" } ?? "")
                continue
            }
            if case .scalar(let text, let isPlain) = entry.value.value {
                values[name] = Located(text, line: entry.line)
                if isPlain, isNoString(text) {
                    context.warn(
                        entry.line, Code.invalid,
                        "\(entry.key) must be a string, an API server refuses \(text)",
                        suggestion: "write \"\(text)\"")
                }
            } else {
                context.invalid(entry.line, "\(entry.key) must be a string, not \(entry.value.kindName)")
            }
        }
    }

    private func text(_ name: String) -> String? {
        values[name].map(\.value).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The name of a field or a cookie (RFC 9110 5.6.2).
    private func token(_ name: String) -> String? {
        guard let text = text(name) else { return nil }
        if isHeaderName(text), text.utf8.count <= 128 { return text }
        context.invalid(
            values[name]?.line ?? 0, "\(Self.prefix)\(name): \"\(text)\" is no name",
            suggestion: "letters, digits and -, as in x-canary, 128 at most")
        return nil
    }

    private func bool(_ name: String) -> Bool? {
        guard let value = values[name] else { return nil }
        switch value.value.lowercased() {
        case "true", "t", "1": return true
        case "false", "f", "0": return false
        default:
            context.invalid(
                value.line, "\(Self.prefix)\(name): \"\(value.value)\" is neither true nor false")
            return nil
        }
    }

    private func number(_ name: String) -> Int? {
        guard let value = values[name] else { return nil }
        if let number = parseInteger(value.value), (0...1_000_000).contains(number) { return number }
        context.invalid(value.line, "\(Self.prefix)\(name): \"\(value.value)\" is no weight")
        return nil
    }

    mutating func read(into ingress: inout IngressDocument) {
        ingress.rewriteTarget = text("rewrite-target")
        ingress.usesRegex = bool("use-regex") ?? false
        if let target = values["rewrite-target"], target.value.contains("?") {
            context.warn(
                target.line, Code.fieldNotSupported,
                "not supported yet: a query in \(Self.prefix)rewrite-target, it becomes part of the path")
        }
        if let target = values["rewrite-target"], target.value.contains("://") {
            context.warn(
                target.line, Code.fieldNotSupported,
                "not supported yet: a URL in \(Self.prefix)rewrite-target, it becomes the path")
        }
        ingress.redirectsToHTTPS = bool("ssl-redirect") ?? true
        ingress.forcesHTTPS = bool("force-ssl-redirect") ?? false
        if bool("canary") == true {
            ingress.canary = readCanary()
        } else if let stray = values.first(where: { $0.key.hasPrefix("canary-") }) {
            context.warn(
                stray.value.line, Code.deprecated, "\(Self.prefix)\(stray.key) acts on a canary alone",
                suggestion: "\(Self.prefix)canary: \"true\"")
        }
    }

    private func weightTotal() -> Int {
        let total = number("canary-weight-total") ?? 100
        if total < 100, let line = values["canary-weight-total"]?.line {
            context.warn(
                line, Code.fieldNotSupported,
                "\(Self.prefix)canary-weight-total: ingress-nginx takes \(total) for 100, here it is "
                    + (total == 0 ? "100 as well" : "\(total)"), suggestion: "give weights of 100 or more")
        }
        return total == 0 ? 100 : total
    }

    private func readCanary() -> IngressDocument.Canary {
        let line = values["canary"]?.line ?? 0
        var canary = IngressDocument.Canary(line: line)
        canary.header = token("canary-by-header")?.lowercased()
        canary.headerValue = text("canary-by-header-value")
        canary.headerPattern = text("canary-by-header-pattern")
        if let pattern = canary.headerPattern, let problem = regexProblem(pattern) {
            context.invalid(
                values["canary-by-header-pattern"]?.line ?? line,
                "\(Self.prefix)canary-by-header-pattern: \(problem)")
            canary.headerPattern = nil
        }
        canary.cookie = token("canary-by-cookie")
        canary.cookieValue = text("canary-by-cookie-value")
        canary.weightTotal = weightTotal()
        canary.weight = min(canary.weightTotal, number("canary-weight") ?? 0)
        if canary.header == nil, canary.cookie == nil, canary.weight == 0 {
            context.warn(
                line, Code.canaryUnreachable, "the canary has no header, cookie or weight: it gets no request"
            )
        }
        for (name, needed) in [
            ("canary-by-header-value", canary.header == nil),
            ("canary-by-header-pattern", canary.header == nil),
            ("canary-by-cookie-value", canary.cookie == nil),
        ] where needed {
            guard let value = values[name] else { continue }
            let owner = String(name.prefix { $0 != "v" && $0 != "p" }.dropLast())
            context.warn(
                value.line, Code.canaryUnreachable, "\(Self.prefix)\(name) does nothing by itself",
                suggestion: "\(Self.prefix)\(owner)")
        }
        return canary
    }
}
