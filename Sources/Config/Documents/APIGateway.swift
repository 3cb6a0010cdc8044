// Gateway, GatewayClass and ReferenceGrant of the Gateway API (istio-semantics.md 21.1, 21.5, 21.7), and the
// labels of namespaces, by which listeners admit routes.
internal import Lanes

/// A Gateway of `gateway.networking.k8s.io`; `GatewayDocument` is Istio's.
struct APIGateway: Document {
    /// Which namespaces' routes may attach.
    enum Admission: Sendable {
        case same, all, none
        case selector(LabelSelector)
    }

    struct Listener: Sendable {
        var name: String
        var port: UInt16
        /// HTTP, HTTPS, TLS, TCP, UDP, or another that nobody knows.
        var protocolName: String
        /// Empty: every host.
        var hostname: String
        var admission: Admission
        /// Nil: what the protocol implies.
        var kinds: [Located<String>]?
        var certificates: [CertificateReference]
        var isTerminated: Bool
        var line: Int

        /// As virtual hosts are named.
        var domain: String { hostname.isEmpty ? "*" : hostname }
    }

    struct CertificateReference: Sendable {
        /// Nil: not a Secret.
        var namespace: String?
        var name: String
        var line: Int
    }

    /// Whose certificates clients must show (`spec.tls.frontend`).
    struct ClientValidation: Sendable {
        var authorities: [AuthorityReference]
        var line: Int
    }

    var meta: Meta
    var className = ""
    var classLine = 0
    var listeners: [Listener] = []
    /// Which namespaces' ListenerSets may add listeners.
    var allowedListeners = Admission.none
    /// Of a ListenerSet: number of its Gateway among the gateways; nil: it is one itself.
    var owner: Int?
    /// Of HTTPS listeners on any port but those of `clientValidationByPort`; nil: clients are not asked.
    var clientValidation: ClientValidation?
    var clientValidationByPort: [UInt16: ClientValidation?] = [:]
    /// What is shown to backends that ask (`spec.tls.backend.clientCertificateRef`).
    var clientCertificate: CertificateReference?

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        className = spec.string("gatewayClassName") ?? ""
        classLine = spec.line(of: "gatewayClassName")
        if className.isEmpty { context.invalid(classLine, "spec.gatewayClassName is missing") }
        listeners = Self.readListeners(spec, meta.namespace)
        Self.readAddresses(spec)
        spec.accept("infrastructure", "defaultScope")
        if let allowed = spec.object("allowedListeners") {
            if let namespaces = allowed.object("namespaces") {
                allowedListeners = Self.readAdmission(namespaces, unsaid: .none)
            }
            allowed.finish()
        }
        spec.unsupported("backendTLS", effect: "spec.tls.backend has taken its place")
        if let tls = spec.object("tls") { readClients(tls) }
        spec.finish()
    }

    /// The listeners that a ListenerSet adds to a Gateway, as a Gateway beside it.
    init(_ set: ListenerSetDocument, _ listeners: [Listener], of gateway: APIGateway, at index: Int) {
        meta = set.meta
        className = gateway.className
        classLine = gateway.classLine
        self.listeners = listeners
        owner = index
        clientValidation = gateway.clientValidation
        clientValidationByPort = gateway.clientValidationByPort
    }

    func clientValidation(port: UInt16) -> ClientValidation? {
        if let own = clientValidationByPort[port] { return own }
        return clientValidation
    }

    static func readListeners(_ spec: Fields, _ namespace: String) -> [Listener] {
        let listeners = spec.objects("listeners").compactMap { readListener($0, namespace) }
        if listeners.isEmpty, !spec.has("listeners") {
            spec.context.invalid(spec.line, "spec.listeners is missing")
        }
        checkTogether(listeners, spec.context)
        return listeners
    }

    private static func checkTogether(_ listeners: [Listener], _ context: DocumentContext) {
        var names: Set<String> = []
        var places: Set<String> = []
        for listener in listeners {
            if !names.insert(listener.name).inserted {
                context.invalid(listener.line, "the listener name \(listener.name) is given twice")
            }
            let place = "\(listener.port) \(listener.protocolName) \(listener.hostname)"
            if !places.insert(place).inserted {
                context.invalid(
                    listener.line,
                    "a second listener of \(listener.protocolName) for one port and hostname"
                )
            }
        }
    }

    private static func readListener(_ fields: Fields, _ namespace: String) -> Listener? {
        let context = fields.context
        defer { fields.finish() }
        let name = fields.string("name") ?? ""
        if !isSubdomain(name) {
            context.invalid(
                fields.line(of: "name"),
                name.isEmpty
                    ? "\(fields.path).name is missing" : "\(fields.path).name: \"\(name)\" is no name")
        }
        let protocolName = fields.string("protocol") ?? ""
        if protocolName.isEmpty { context.invalid(fields.line, "\(fields.path).protocol is missing") }
        let hostname = fields.string("hostname") ?? ""
        if !hostname.isEmpty {
            checkHostname(
                Located(hostname, line: fields.line(of: "hostname")), "\(fields.path).hostname", context,
                wildcard: true)
            if ["TCP", "UDP"].contains(protocolName) {
                context.invalid(
                    fields.line(of: "hostname"), "\(fields.path): \(protocolName) knows no hostname")
            }
        }
        var listener = Listener(
            name: name, port: 0, protocolName: protocolName, hostname: hostname, admission: .same, kinds: nil,
            certificates: [], isTerminated: true, line: fields.line)
        readTLS(fields, namespace, &listener)
        if let allowed = fields.object("allowedRoutes") { readAllowed(allowed, &listener) }
        guard let port = fields.port("port") else {
            if !fields.has("port") { context.invalid(fields.line, "\(fields.path).port is missing") }
            return nil
        }
        listener.port = port
        return listener
    }

    private static func readTLS(_ fields: Fields, _ namespace: String, _ listener: inout Listener) {
        guard let tls = fields.object("tls") else { return }
        let line = fields.line(of: "tls")
        if ["HTTP", "TCP", "UDP"].contains(listener.protocolName) {
            fields.context.invalid(line, "\(fields.path): \(listener.protocolName) takes no tls")
        }
        let mode = tls.word("mode", of: ["Terminate", "Passthrough"]) ?? "Terminate"
        listener.isTerminated = mode == "Terminate"
        if listener.protocolName == "HTTPS", !listener.isTerminated {
            fields.context.invalid(line, "\(tls.path).mode: HTTPS is terminated", suggestion: "Terminate")
        }
        listener.certificates = tls.objects("certificateRefs").map { readCertificate($0, namespace) }
        if listener.isTerminated, listener.certificates.isEmpty, !tls.has("options") {
            fields.context.invalid(line, "\(tls.path): mode Terminate needs certificateRefs")
        }
        tls.accept("options")
        tls.unsupported("frontendValidation", effect: "client certificates are not asked for")
        tls.finish()
    }

    static func readCertificate(_ reference: Fields, _ namespace: String) -> CertificateReference {
        let group = reference.string("group") ?? ""
        let kind = reference.string("kind") ?? "Secret"
        let isSecret = group.isEmpty && kind == "Secret"
        let own = reference.string("namespace") ?? namespace
        defer { reference.finish() }
        return CertificateReference(
            namespace: isSecret ? own : nil, name: reference.string("name") ?? "", line: reference.line)
    }

    private static func readAllowed(_ allowed: Fields, _ listener: inout Listener) {
        if let namespaces = allowed.object("namespaces") {
            listener.admission = readAdmission(namespaces, unsaid: .same)
        }
        if allowed.has("kinds") {
            listener.kinds = allowed.objects("kinds").compactMap { kind in
                let group = kind.string("group") ?? gatewayAPIGroup
                let name = kind.string("kind") ?? ""
                if name.isEmpty { kind.context.invalid(kind.line, "\(kind.path).kind is missing") }
                kind.finish()
                return Located(group == gatewayAPIGroup ? name : "\(name) of \(group)", line: kind.line)
            }
            if listener.kinds?.isEmpty ?? false { listener.kinds = nil }
        }
        allowed.finish()
    }

    private static func readAdmission(_ namespaces: Fields, unsaid: Admission) -> Admission {
        let from = namespaces.word("from", of: ["All", "Selector", "Same", "None"])
        let selector = namespaces.object("selector").map(LabelSelector.read)
        namespaces.finish()
        switch from {
        case "All"?: return .all
        case "Same"?: return .same
        case "None"?: return .none
        case "Selector"?:
            if selector == nil {
                namespaces.context.invalid(
                    namespaces.line, "\(namespaces.path): from Selector needs a selector")
            }
            return selector.map { .selector($0) } ?? .none
        default: return unsaid
        }
    }

    /// Checked as the API server does; listening is on every address all the same.
    private static func readAddresses(_ spec: Fields) {
        for address in spec.objects("addresses") {
            let type = address.string("type") ?? "IPAddress"
            let value = address.string("value") ?? ""
            address.finish()
            let line = address.line(of: "value")
            if type == "IPAddress", !value.isEmpty, IPAddress(value) == nil {
                address.context.invalid(line, "\(address.path).value: \"\(value)\" is no IP address")
            } else if type == "Hostname", !value.isEmpty {
                checkHostname(
                    Located(value, line: line), "\(address.path).value", address.context, wildcard: true)
            } else if type == "IPAddress" {
                address.context.warn(
                    address.line, Code.deprecated,
                    "\(address.path) is without effect: every address is listened on")
            }
        }
    }

    private static func isSubdomain(_ name: String) -> Bool {
        name.utf8.count <= 253
            && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
                isDNSLabel(String($0))
            }
    }
}

struct GatewayClassDocument: Document {
    var meta: Meta

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        let name = spec.string("controllerName") ?? ""
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count != 2 || parts[1].isEmpty || !parts[0].contains(".") {
            context.invalid(
                spec.line(of: "controllerName"), "spec.controllerName: \"\(name)\" is no domain with a path",
                suggestion: "as in istio.io/gateway-controller")
        }
        spec.accept("description", "parametersRef")
        spec.finish()
    }
}

/// Stands in the namespace of what is referred to.
struct ReferenceGrantDocument: Document {
    struct From: Sendable {
        var kind: String
        var namespace: String
    }

    struct To: Sendable {
        var kind: String
        /// Nil: every object of the kind.
        var name: String?
    }

    var meta: Meta
    /// Kinds as `Kind.group`, of the core group as `Kind`.
    var from: [From] = []
    var to: [To] = []

    init(_ root: YAML, meta: Meta, context: DocumentContext) {
        self.meta = meta
        guard let spec = Fields(root, path: "", context: context).spec() else { return }
        func kind(_ fields: Fields) -> String {
            let group = fields.string("group") ?? ""
            let kind = fields.string("kind") ?? ""
            if kind.isEmpty { context.invalid(fields.line, "\(fields.path).kind is missing") }
            if !fields.has("group") { context.invalid(fields.line, "\(fields.path).group is missing") }
            return group.isEmpty ? kind : "\(kind).\(group)"
        }
        for fields in spec.objects("from") {
            from.append(From(kind: kind(fields), namespace: fields.string("namespace") ?? ""))
            if !fields.has("namespace") {
                context.invalid(fields.line, "\(fields.path).namespace is missing")
            } else if !isDNSLabel(from[from.count - 1].namespace) {
                context.invalid(
                    fields.line(of: "namespace"),
                    "\(fields.path).namespace: \"\(from[from.count - 1].namespace)\" is no DNS label",
                    suggestion: "the name of one namespace: there is no wildcard")
            }
            fields.finish()
        }
        for fields in spec.objects("to") {
            let name = fields.string("name")
            if name == "" {
                context.invalid(
                    fields.line(of: "name"), "\(fields.path).name is empty",
                    suggestion: "leave it out where every object of the kind is meant")
            }
            to.append(To(kind: kind(fields), name: name))
            fields.finish()
        }
        for (key, isEmpty) in [("from", from.isEmpty), ("to", to.isEmpty)] where isEmpty {
            context.invalid(spec.line, "spec.\(key) is missing")
        }
        spec.finish()
    }
}

/// `matchLabels` and `matchExpressions`: all must hold.
struct LabelSelector: Sendable {
    struct Expression: Sendable {
        var key: String
        var operation: String
        var values: [String]
    }

    var labels: [String: String] = [:]
    var expressions: [Expression] = []

    static func read(_ fields: Fields) -> LabelSelector {
        var selector = LabelSelector(labels: fields.labels("matchLabels"))
        for expression in fields.objects("matchExpressions") {
            let operation = expression.word("operator", of: ["In", "NotIn", "Exists", "DoesNotExist"])
            selector.expressions.append(
                Expression(
                    key: expression.string("key") ?? "", operation: operation ?? "In",
                    values: expression.strings("values").map(\.value)))
            expression.finish()
        }
        fields.finish()
        return selector
    }

    func matches(_ labels: [String: String]) -> Bool {
        labels.contains(self.labels)
            && expressions.allSatisfy { expression in
                let value = labels[expression.key]
                switch expression.operation {
                case "In": return value.map { expression.values.contains($0) } ?? false
                case "NotIn": return value.map { !expression.values.contains($0) } ?? true
                case "Exists": return value != nil
                default: return value == nil
                }
            }
    }
}
