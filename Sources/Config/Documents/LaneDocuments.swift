// `LanePolicy` and `Lane`: how lanes are read and written, and which pods are one (interface.md 2, lanes.md).
internal import Base
internal import Lanes

struct LanePolicyDocument: Document {
    var meta: Meta
    var model: LanePolicyModel
    var secretFile: Located<String>?

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        model = LanePolicyModel(source: meta.ref)
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        readCarriers(spec)
        if let pin = spec.object("pin") { model.pin = Self.readPin(pin) }
        for host in spec.objects("previewHosts") { readPreviewHost(host) }
        model.stripQuery = spec.bool("stripQuery") ?? false
        model.traceSampled = spec.bool("traceSampled") ?? true
        model.guardStrip = spec.word("guard", of: ["none", "strip"]) == "strip"
        switch spec.word("cache", of: ["private", "none", "keep"]) {
        case "none"?: model.cache = .none
        case "keep"?: model.cache = .keep
        default: model.cache = .private
        }
        switch spec.word("onLoss", of: ["log", "header", "fail"]) {
        case "header"?: model.onLoss = .header
        case "fail"?: model.onLoss = .fail
        default: model.onLoss = .log
        }
        switch spec.word("unknownLane", of: ["forward", "stable", "reject"]) {
        case "stable"?: model.unknownLane = .stable
        case "reject"?: model.unknownLane = .reject
        default: model.unknownLane = .forward
        }
        readSigning(spec)
        spec.finish()
    }

    private mutating func readCarriers(_ spec: Fields) {
        if let key = spec.string("key") {
            model.key = key.lowercased()
            // The key is header name, cookie name, query parameter and baggage member at once.
            if !isHeaderName(key) || key.utf8.count > 64
                || key.utf8.contains(where: { "&'*%`|".utf8.contains($0) })
            {
                spec.context.invalid(
                    spec.line(of: "key"), "spec.key: \"\(key)\" cannot be the name of a header and a cookie",
                    suggestion: "letters, digits and -, at most 64")
            } else if model.key != key {
                spec.context.warn(
                    spec.line(of: "key"), Code.invalid,
                    "spec.key is taken in lower case: query parameter and cookie are named \(model.key)")
            }
        }
        if let accept = spec.object("accept") {
            model.accept.query = accept.bool("query") ?? true
            model.accept.header = accept.bool("header") ?? true
            model.accept.cookie = accept.bool("cookie") ?? true
            model.accept.baggage = accept.bool("baggage") ?? true
            model.accept.tracestate = accept.bool("tracestate") ?? true
            model.accept.traceID = accept.bool("traceId") ?? true
            accept.finish()
        }
        if let propagate = spec.object("propagate") {
            model.propagate.header = propagate.bool("header") ?? true
            model.propagate.baggage = propagate.bool("baggage") ?? true
            model.propagate.tracestate = propagate.bool("tracestate") ?? true
            model.propagate.traceID = propagate.bool("traceId") ?? true
            propagate.finish()
        }
    }

    private static func readPin(_ fields: Fields) -> PinModel {
        var pin = PinModel()
        if let domain = fields.string("domain"), !domain.isEmpty {
            let bare = domain.hasPrefix(".") ? String(domain.dropFirst()) : domain
            pin.domain = bare.lowercased()
            if !isHostName(bare, wildcard: false) {
                fields.context.invalid(
                    fields.line(of: "domain"), "\(fields.path).domain: \"\(domain)\" is no domain")
            }
        }
        if let path = fields.string("path") {
            pin.path = path
            if !path.hasPrefix("/") || path.utf8.contains(where: { $0 < 0x21 || $0 == 0x3B || $0 >= 0x7F }) {
                fields.context.invalid(
                    fields.line(of: "path"), "\(fields.path).path: \"\(path)\" is no cookie path",
                    suggestion: "it begins with / and holds neither blanks nor ;")
            }
        }
        if let maxAge = fields.duration("maxAge") { pin.maxAgeSeconds = maxAge / 1_000 }
        pin.httpOnly = fields.bool("httpOnly") ?? true
        switch fields.word("secure", of: ["auto", "true", "false", "always", "never"]) {
        case "true"?, "always"?: pin.secure = .always
        case "false"?, "never"?: pin.secure = .never
        default: pin.secure = .auto
        }
        pin.sameSite = fields.word("sameSite", of: ["Lax", "Strict", "None"]) ?? "Lax"
        if pin.sameSite == "None", pin.secure == .never {
            fields.context.invalid(
                fields.line(of: "sameSite"), "\(fields.path).sameSite: None needs secure",
                suggestion: "browsers drop a SameSite=None cookie without Secure")
        }
        fields.finish()
        return pin
    }

    private mutating func readPreviewHost(_ fields: Fields) {
        let pattern = fields.string("pattern") ?? ""
        let host = fields.string("host") ?? ""
        let open = pattern.range(of: "{lane}")
        if open == nil || pattern.components(of: "{lane}") != 2 {
            fields.context.invalid(
                fields.line(of: "pattern"), "\(fields.path).pattern must hold {lane} once",
                suggestion: "as in {lane}.preview.example.com")
        }
        if !isHostName(host, wildcard: false) {
            fields.context.invalid(
                fields.line(of: "host"), "\(fields.path).host: \"\(host)\" is no host name")
        }
        if let open {
            let prefix = pattern[..<open.lowerBound].lowercased()
            let suffix = pattern[open.upperBound...].lowercased()
            model.previewHosts.append(
                PreviewHostModel(prefix: prefix, suffix: suffix, host: host.lowercased()))
        }
        fields.finish()
    }

    private mutating func readSigning(_ spec: Fields) {
        guard let fields = spec.object("signing") else { return }
        model.signingRequired = fields.bool("required") ?? false
        if let file = fields.string("secretFile"), !file.isEmpty {
            secretFile = Located(file, line: fields.line(of: "secretFile"))
        } else if model.signingRequired {
            fields.context.invalid(
                fields.line(of: "required"), "\(fields.path).required without a secretFile",
                suggestion: "name the file that holds the key")
        }
        fields.finish()
    }
}

struct LaneDocument: Document {
    struct Member: Sendable {
        var service: String
        var selector: [String: String]
        var endpoints: [Located<SocketAddress>]
        var line: Int
    }

    var meta: Meta
    var ttlMs: UInt64?
    var expiresAtSeconds: Int64?
    var failWhenEmpty = false
    var mode = LaneMode.loose
    var members: [Member] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        if !isDNSLabel(meta.name) {
            context.invalid(
                root["metadata"]?["name"]?.line ?? root.line, "\"\(meta.name)\" is no lane name",
                suggestion: "lower-case letters, digits and -, at most 63")
        }
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        ttlMs = spec.duration("ttl")
        if let text = spec.string("expires") {
            expiresAtSeconds = UTCTime.seconds(rfc3339: text)
            if expiresAtSeconds == nil {
                context.invalid(
                    spec.line(of: "expires"), "spec.expires: \"\(text)\" is no instant",
                    suggestion: "as in 2026-01-31T18:00:00Z")
            }
        }
        failWhenEmpty = spec.word("whenEmpty", of: ["stable", "fail"]) == "fail"
        switch spec.word("mode", of: ["loose", "strict", "observe"]) {
        case "strict"?: mode = .strict
        case "observe"?: mode = .observe
        default: mode = .loose
        }
        members = spec.objects("members").compactMap(Self.readMember)
        spec.finish()
    }

    private static func readMember(_ fields: Fields) -> Member? {
        let service = fields.string("service") ?? ""
        let selector = fields.labels("selector")
        var endpoints: [Located<SocketAddress>] = []
        for text in fields.strings("endpoints") {
            if let address = parseSocketAddress(text.value) {
                endpoints.append(Located(address, line: text.line))
            } else {
                fields.context.invalid(
                    text.line, "\(fields.path).endpoints: \"\(text.value)\" is no IP address with port",
                    suggestion: "as in 10.1.2.3:8080")
            }
        }
        fields.finish()
        if !isHostName(service, wildcard: false) {
            fields.context.invalid(
                fields.line(of: "service"),
                service.isEmpty
                    ? "\(fields.path).service is missing"
                    : "\(fields.path).service: \"\(service)\" is no host name")
            return nil
        }
        if fields.has("selector") == fields.has("endpoints") {
            fields.context.invalid(
                fields.line, "\(fields.path) needs one of selector and endpoints",
                suggestion: "selector: labels of the feature pods; endpoints: their addresses")
            return nil
        }
        if fields.has("selector"), selector.isEmpty {
            fields.context.invalid(
                fields.line(of: "selector"), "\(fields.path).selector is empty and would select every pod")
            return nil
        }
        return Member(service: service, selector: selector, endpoints: endpoints, line: fields.line)
    }
}

extension StringProtocol {
    /// The first place of a text within this one, byte by byte.
    func range(of text: String) -> Range<String.Index>? {
        guard !text.isEmpty else { return nil }
        func find(_ own: UnsafeBufferPointer<UInt8>) -> Int? {
            guard let start = own.baseAddress else { return nil }
            return text.withView { ByteView(start, own.count).firstIndex(of: $0) }
        }
        let found =
            utf8.withContiguousStorageIfAvailable(find) ?? Array(utf8).withUnsafeBufferPointer(find)
        return found.map { offset in
            let start = utf8.index(startIndex, offsetBy: offset)
            return start..<utf8.index(start, offsetBy: text.utf8.count)
        }
    }

    /// How many pieces `separator` cuts this text into.
    func components(of separator: String) -> Int {
        var pieces = 1
        var rest = self[...]
        while let found = rest.range(of: separator) {
            pieces += 1
            rest = rest[found.upperBound...]
        }
        return pieces
    }
}
