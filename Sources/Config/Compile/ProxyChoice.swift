// Which proxy this is. Without a `Proxy` document an edge is made up that serves every Gateway and Ingress
// there is, or, where there is none, a sidecar's outbound listener.

struct ProxyChoice {
    private(set) var proxies: [ProxyDocument] = []
    private(set) var isMadeUp = false
    private(set) var findings: [Finding] = []
    private(set) var notes: [String] = []

    init(_ documents: DocumentSet, _ options: LoadOptions) {
        let all = documents.proxies
        if let wanted = options.proxy {
            let name = wanted.contains("/") ? wanted : "default/\(wanted)"
            if let found = all.first(where: { "\($0.meta.namespace)/\($0.meta.name)" == name }) {
                proxies = [found]
            } else {
                refuse("there is no Proxy \(wanted)", all)
            }
            return
        }
        if all.count == 1 || (options.purpose == .check && !all.isEmpty) {
            proxies = all
            return
        }
        if !all.isEmpty {
            refuse("which of the \(all.count) Proxy documents is this one?", all)
            return
        }
        makeUp(documents, options)
    }

    private mutating func refuse(_ message: String, _ all: [ProxyDocument]) {
        let names = all.map { "\($0.meta.namespace)/\($0.meta.name)" }
        let hint = names.isEmpty ? "no Proxy document was read" : "--proxy " + names.joined(separator: " or ")
        let ref = all.first?.meta.ref
        findings.append(
            Finding(
                .error, Code.proxyChoice, message, file: ref?.file ?? "--proxy", line: ref?.line ?? 0,
                suggestion: hint, refused: true))
    }

    private mutating func makeUp(_ documents: DocumentSet, _ options: LoadOptions) {
        isMadeUp = true
        let gateways =
            documents.gateways.map(\.meta) + documents.apiGateways.map(\.meta)
            + documents.ingresses.map(\.meta)
        if !gateways.isEmpty {
            let namespace = Self.only(gateways.map(\.namespace)) ?? Names.rootNamespace
            proxies.append(ProxyDocument(synthetic: true, namespace: namespace))
            notes.append(
                "no Proxy document: an edge in \(namespace) that serves all \(gateways.count) Gateways"
                    + (documents.ingresses.isEmpty ? "" : " and Ingresses"))
        }
        let isCheck = options.purpose == .check
        if gateways.isEmpty || isCheck {
            let namespace =
                Self.only(documents.virtualServices.map(\.meta.namespace))
                ?? Self.only(documents.services.map(\.meta.namespace)) ?? "default"
            proxies.append(ProxyDocument(synthetic: false, namespace: namespace))
            if !isCheck {
                notes.append("no Proxy document and no Gateway: a sidecar in \(namespace), outbound only")
            }
        }
    }

    /// The namespace that all have in common.
    private static func only(_ namespaces: [String]) -> String? {
        guard let first = namespaces.first, namespaces.allSatisfy({ $0 == first }) else { return nil }
        return first
    }
}
