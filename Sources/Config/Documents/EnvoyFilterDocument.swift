// `EnvoyFilter`, of which the Lua HTTP filter is run (istio-semantics.md 20). Everything else that a patch
// may be is a finding that names it.
internal import Base
internal import Lanes

struct EnvoyFilterDocument: Document {
    enum Context: String, Sendable {
        case gateway = "GATEWAY"
        case inbound = "SIDECAR_INBOUND"
        case outbound = "SIDECAR_OUTBOUND"
        case any = "ANY"
    }

    enum Operation: String, Sendable {
        case insertBefore = "INSERT_BEFORE"
        case insertAfter = "INSERT_AFTER"
        case insertFirst = "INSERT_FIRST"
        case add = "ADD"
        case replace = "REPLACE"
        case remove = "REMOVE"
    }

    /// One patch of the HTTP filters that can be applied.
    struct Patch: Sendable {
        var line: Int
        var context = Context.any
        /// Of the listener, or of the application on the way in.
        var port: UInt16?
        /// The HTTP filter to stand next to.
        var neighbour: Located<String>?
        var operation = Operation.insertBefore
        /// `value.name`.
        var name = ""
        /// nil: REMOVE.
        var script: Script?
    }

    struct Script: Sendable {
        var context: String
        var code: String
        /// Of the value in its document; the code's first line is `firstLine`.
        var line: Int
        var firstLine: Int
        var clearsRouteCache = true
    }

    /// What any patch does, those that are not run here included.
    struct Use: Sendable {
        var target: String
        var operation: String
        var namesVersion: Bool
        var line: Int
    }

    /// One of `targetRefs`, in the filter's own namespace.
    struct Target: Sendable {
        enum Kind: Sendable {
            case gateway, gatewayClass
            /// Istio's waypoints of the Service; here, where there are none, the sidecars of its pods.
            case service
        }

        var kind: Kind
        var name: String
        var line: Int
    }

    var meta: Meta
    /// Nil: every workload of the namespace.
    var workloadSelector: [String: String]?
    /// Not nil: what it applies to instead. Those that cannot be followed are left out.
    var targets: [Target]?
    var priority = 0
    var patches: [Patch] = []
    var uses: [Use] = []
    /// All scripts, of patches that are never applied too.
    var scripts: [Script] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        if let selector = spec.object("workloadSelector") {
            workloadSelector = selector.labels("labels")
            selector.finish()
        }
        if spec.has("targetRefs") {
            targets = spec.objects("targetRefs").compactMap { Self.target($0, namespace: meta.namespace) }
            if workloadSelector != nil {
                context.invalid(
                    spec.line(of: "targetRefs"),
                    "spec.targetRefs and spec.workloadSelector exclude each other")
            }
        }
        priority = spec.integer("priority", in: -0x8000_0000...0x7FFF_FFFF) ?? 0
        for fields in spec.objects("configPatches") {
            uses.append(Self.use(fields))
            var reader = PatchReader(fields)
            guard let patch = reader.read() else { continue }
            if let script = patch.script { scripts.append(script) }
            if patch.isApplicable { patches.append(patch.patch) }
        }
        spec.finish()
    }

    private static func target(_ fields: Fields, namespace: String) -> Target? {
        let group = fields.string("group") ?? ""
        let kind = fields.string("kind") ?? ""
        let name = fields.string("name") ?? ""
        let line = fields.line
        let own = fields.string("namespace") ?? ""
        fields.finish()
        func none(_ why: String) -> Target? {
            fields.context.warn(
                line, Code.filterNotApplied, "\(fields.path): \(why): nothing is applied to it")
            return nil
        }
        if name.isEmpty {
            fields.context.invalid(line, "\(fields.path).name is missing")
            return nil
        }
        if !own.isEmpty, own != namespace { return none("a target lies in the filter's own namespace") }
        switch (group, kind) {
        case (gatewayAPIGroup, "Gateway"): return Target(kind: .gateway, name: name, line: line)
        case (gatewayAPIGroup, "GatewayClass"):
            if namespace != Names.rootNamespace {
                return none("a GatewayClass is a target in \(Names.rootNamespace) alone")
            }
            return Target(kind: .gatewayClass, name: name, line: line)
        case ("", "Service"), ("core", "Service"):
            return Target(kind: .service, name: name, line: line)
        default: return none("\(kind.isEmpty ? "what has no kind" : kind) is no target here")
        }
    }

    private static func use(_ fields: Fields) -> Use {
        func word(_ node: YAML?) -> String {
            if case .scalar(let text, _)? = node?.value { text } else { "" }
        }
        let operation = fields.node["patch"]?["operation"]
        return Use(
            target: word(fields.node["applyTo"]), operation: word(operation),
            namesVersion: !word(fields.node["match"]?["proxy"]?["proxyVersion"]).isEmpty,
            line: operation?.line ?? fields.line)
    }
}

/// Reads one element of `configPatches`.
private struct PatchReader {
    struct Result {
        var patch: EnvoyFilterDocument.Patch
        var isApplicable: Bool
        var script: EnvoyFilterDocument.Script? { patch.script }
    }

    let fields: Fields
    var context: DocumentContext { fields.context }
    private var isApplicable = true
    private var patch: EnvoyFilterDocument.Patch

    private static let targets = [
        "HTTP_FILTER", "NETWORK_FILTER", "LISTENER", "LISTENER_FILTER", "FILTER_CHAIN", "ROUTE_CONFIGURATION",
        "VIRTUAL_HOST", "HTTP_ROUTE", "CLUSTER", "EXTENSION_CONFIG", "BOOTSTRAP",
    ]

    init(_ fields: Fields) {
        self.fields = fields
        patch = EnvoyFilterDocument.Patch(line: fields.line)
    }

    /// nil: not a patch of HTTP filters.
    mutating func read() -> Result? {
        let target = fields.word("applyTo", of: Self.targets)
        guard target == "HTTP_FILTER" else {
            if target != nil || !fields.has("applyTo") {
                context.warn(
                    fields.line(of: "applyTo"), Code.kindNotSupported,
                    "not supported: \(fields.path).applyTo \(target ?? "is missing"), the patch is ignored",
                    suggestion: "Lua HTTP filters are run")
            }
            return nil
        }
        if let match = fields.object("match") { readMatch(match) }
        guard let body = fields.object("patch") else {
            context.invalid(fields.line, "\(fields.path).patch is missing")
            return nil
        }
        readPatch(body)
        fields.finish()
        return Result(patch: patch, isApplicable: isApplicable)
    }

    private mutating func notApplied(_ line: Int, _ why: String, suggestion: String = "") {
        isApplicable = false
        context.warn(line, Code.filterNotApplied, "\(why): the patch is not applied", suggestion: suggestion)
    }

    // MARK: match

    private mutating func readMatch(_ match: Fields) {
        let words = ["ANY", "GATEWAY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "WAYPOINT"]
        if let word = match.word("context", of: words) {
            if let known = EnvoyFilterDocument.Context(rawValue: word) {
                patch.context = known
            } else {
                notApplied(match.line(of: "context"), "there is no waypoint here")
            }
        }
        if let proxy = match.object("proxy") { readProxy(proxy) }
        if let listener = match.object("listener") { readListener(listener) }
        for key in ["routeConfiguration", "cluster", "waypoint"] where match.has(key) {
            match.accept(key)
            notApplied(match.line(of: key), "\(match.path).\(key) is nothing that an HTTP filter has")
        }
        match.finish()
    }

    private mutating func readProxy(_ proxy: Fields) {
        if let version = proxy.string("proxyVersion") {
            context.warn(
                proxy.line(of: "proxyVersion"), Code.fieldNotSupported,
                "\(proxy.path).proxyVersion \"\(version)\" is taken to match: there is no Istio version here")
        }
        if proxy.any("metadata") != nil {
            notApplied(proxy.line(of: "metadata"), "a proxy has no metadata here")
        }
        proxy.finish()
    }

    private mutating func readListener(_ listener: Fields) {
        patch.port = listener.port("portNumber")
        listener.accept("portName")
        if let name = listener.string("name") {
            notApplied(listener.line(of: "name"), "listeners are not named \"\(name)\" here")
        }
        listener.unsupported("listenerFilter")
        if let chain = listener.object("filterChain") { readChain(chain) }
        listener.finish()
    }

    private mutating func readChain(_ chain: Fields) {
        for key in ["name", "sni", "transportProtocol", "applicationProtocols", "destinationPort"]
        where chain.any(key) != nil {
            notApplied(chain.line(of: key), "filter chains are not chosen by \(key) here")
        }
        if let filter = chain.object("filter") {
            if let name = filter.string("name"), name != "envoy.filters.network.http_connection_manager" {
                notApplied(
                    filter.line(of: "name"), "no network filter \"\(name)\" has HTTP filters",
                    suggestion: "envoy.filters.network.http_connection_manager")
            }
            if let inner = filter.object("subFilter") {
                if let name = inner.string("name") {
                    patch.neighbour = Located(name, line: inner.line(of: "name"))
                }
                inner.finish()
            }
            filter.finish()
        }
        chain.finish()
    }

    // MARK: patch

    private mutating func readPatch(_ body: Fields) {
        let words = [
            "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "ADD", "REPLACE", "REMOVE", "MERGE", "INVALID",
        ]
        let word = body.word("operation", of: words)
        if let word, let known = EnvoyFilterDocument.Operation(rawValue: word) {
            patch.operation = known
        } else {
            notApplied(
                body.line(of: "operation"),
                word.map { "not supported: operation \($0)" } ?? "the operation is missing")
        }
        body.accept("filterClass")
        let value = body.object("value")
        if let value {
            patch.name = value.string("name") ?? ""
            readValue(value)
        } else if word != "REMOVE" {
            context.invalid(body.line, "\(body.path).value is missing")
        }
        body.finish()
    }

    private mutating func readValue(_ value: Fields) {
        value.accept("disabled", "is_optional", "isOptional", "typed_config", "typedConfig")
        if value.has("config") {
            value.accept("config")
            context.invalid(
                value.line(of: "config"), "\(value.path).config has no type",
                suggestion: "typed_config with an \"@type\"")
        }
        if let config = value.object(value.has("typedConfig") ? "typedConfig" : "typed_config") {
            readConfig(config)
        } else if patch.operation != .remove, !value.has("config") {
            notApplied(value.line, "an HTTP filter without typed_config")
        }
        value.finish()
    }

    private static let lua = "envoy.extensions.filters.http.lua.v3.Lua"

    private mutating func readConfig(_ config: Fields) {
        let type = config.string("@type") ?? ""
        if type.hasSuffix("udpa.type.v1.TypedStruct") || type.hasSuffix("xds.type.v3.TypedStruct") {
            let inner = config.string(config.has("typeUrl") ? "typeUrl" : "type_url") ?? ""
            if let value = config.object("value") { readTyped(value, inner, config.line) }
        } else {
            readTyped(config, type, config.line)
        }
    }

    private mutating func readTyped(_ config: Fields, _ type: String, _ line: Int) {
        config.accept("@type")
        if type.hasSuffix("envoy.config.filter.http.lua.v2.Lua") {
            context.invalid(
                line, "the v2 API of Envoy's Lua filter is gone",
                suggestion: "type.googleapis.com/\(Self.lua)")
        } else if type.hasSuffix(Self.lua) {
            readLua(config)
        } else {
            let kind = type.split(separator: ".").last.map(String.init) ?? "without a type"
            context.warn(
                line, Code.kindNotSupported, "not supported: the HTTP filter \(kind), ignored",
                suggestion: "Lua filters are run")
            isApplicable = false
        }
    }

    private mutating func readLua(_ config: Fields) {
        config.accept("statPrefix", "stat_prefix")
        config.unsupported("sourceCodes", "source_codes", effect: "no route chooses among them")
        let clears = config.bool(config.has("clearRouteCache") ? "clearRouteCache" : "clear_route_cache")
        var sources: [(text: String, node: YAML)] = []
        for key in ["inlineCode", "inline_code"] {
            if let text = config.string(key), let node = config.any(key) { sources.append((text, node)) }
        }
        for key in ["defaultSourceCode", "default_source_code"] {
            guard let source = config.object(key) else { continue }
            for name in ["inlineString", "inline_string"] {
                if let text = source.string(name), let node = source.any(name) {
                    sources.append((text, node))
                }
            }
            for name in ["inlineBytes", "inline_bytes"] {
                guard let text = source.string(name), let node = source.any(name) else { continue }
                if let code = decodeBase64(text).flatMap({ String(validating: $0, as: UTF8.self) }) {
                    sources.append((code, node))
                } else {
                    context.invalid(node.line, "\(source.path).\(name) is not base64 of UTF-8 text")
                }
            }
            source.unsupported(
                "filename", "environmentVariable", "environment_variable",
                effect: "put the script into inlineString")
            source.finish()
        }
        config.finish()
        take(sources, clears ?? true, config.line)
    }

    private mutating func take(_ sources: [(text: String, node: YAML)], _ clears: Bool, _ line: Int) {
        guard let first = sources.first else {
            notApplied(line, "the Lua filter has no script")
            return
        }
        // The text of a block scalar begins in the line below its `|`.
        let firstLine = first.node.line + (first.text.contains("\n") ? 1 : 0)
        guard first.text.utf8.count <= Limits.scriptBytes else {
            context.invalid(first.node.line, "a script of more than \(Limits.scriptBytes) bytes")
            return
        }
        patch.script = EnvoyFilterDocument.Script(
            context: patch.context.rawValue, code: first.text, line: first.node.line, firstLine: firstLine,
            clearsRouteCache: clears)
        ScriptCheck(context).check(first.text, firstLine: firstLine, line: first.node.line)
    }
}
