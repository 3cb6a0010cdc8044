// Gateway API objects that are legal and will not do what their author meant: references that lead nowhere or
// are not permitted, rules without a backend (istio-semantics.md 21).
internal import Lanes

extension Analysis {
    mutating func checkGatewayAPI() {
        for finding in registry.attachments.findings { findings.add(finding) }
        checkAPIGateways()
        for route in registry.attachments.routes {
            for rule in route.rules { check(rule, of: route) }
        }
    }

    private mutating func checkAPIGateways() {
        let classes = Set(documents.gatewayClasses.map(\.meta.name))
        for gateway in registry.attachments.gateways {
            if gateway.owner == nil, !classes.isEmpty, !gateway.className.isEmpty,
                !classes.contains(gateway.className)
            {
                note(
                    .warning, Code.referenceNotFound, "the GatewayClass \(gateway.className) does not exist",
                    gateway.meta.ref, line: gateway.classLine,
                    suggestion: nearest(to: gateway.className, among: classes).map { "did you mean \($0)?" }
                        ?? "there are \(classes.sorted().joined(separator: ", "))")
            }
            var protocols: [UInt16: APIGateway.Listener] = [:]
            for listener in gateway.listeners {
                let first = protocols[listener.port] ?? listener
                protocols[listener.port] = first
                let mayShare = ["HTTPS", "TLS"]
                if first.protocolName != listener.protocolName, listener.protocolName != "UDP",
                    !(mayShare.contains(first.protocolName) && mayShare.contains(listener.protocolName))
                {
                    note(
                        .error, Code.listenerConflict,
                        "port \(listener.port) is \(first.protocolName) for the listener \(first.name) and "
                            + "\(listener.protocolName) for \(listener.name)", gateway.meta.ref,
                        line: listener.line, suggestion: "one port speaks one protocol")
                }
                checkKinds(listener, gateway)
                checkCertificates(listener.certificates, of: "the listener \(listener.name)", gateway)
            }
            if gateway.owner == nil { checkClients(gateway) }
        }
    }

    private mutating func checkKinds(_ listener: APIGateway.Listener, _ gateway: APIGateway) {
        let allowed: [String]
        switch listener.protocolName {
        case "HTTP", "HTTPS": allowed = ["HTTPRoute", "GRPCRoute"]
        case "TLS": allowed = ["TLSRoute", "TCPRoute"]
        case "TCP": allowed = ["TCPRoute"]
        case "UDP": allowed = ["UDPRoute"]
        default: return
        }
        for kind in listener.kinds ?? [] where !allowed.contains(kind.value) {
            note(
                .error, Code.routeUnattached,
                "the listener \(listener.name) speaks \(listener.protocolName), which \(kind.value)s do not",
                gateway.meta.ref, line: kind.line, suggestion: allowed.joined(separator: " or "))
        }
    }

    /// Whose certificates clients must show, and which one is shown to backends.
    private mutating func checkClients(_ gateway: APIGateway) {
        let byPort = gateway.clientValidationByPort.sorted { $0.key < $1.key }.map(\.value)
        let asked = [gateway.clientValidation] + byPort
        for case let validation? in asked {
            check(
                validation.authorities, of: gateway.meta,
                without: "the HTTPS listeners that they are for are not opened")
        }
        if let shown = gateway.clientCertificate {
            checkCertificates([shown], of: "spec.tls.backend", gateway)
        }
    }

    private mutating func checkCertificates(
        _ certificates: [APIGateway.CertificateReference], of what: String, _ gateway: APIGateway
    ) {
        for certificate in certificates {
            guard let namespace = certificate.namespace else {
                note(
                    .error, Code.backendKind, "a certificate of \(what) is no Secret",
                    gateway.meta.ref, line: certificate.line, suggestion: "kind Secret of the core group")
                continue
            }
            let name = "\(namespace)/\(certificate.name)"
            if !registry.attachments.mayRefer(
                from: gateway.meta.kindName, gateway.meta.namespace, to: "Secret", certificate.name,
                in: namespace)
            {
                noteNoGrant(gateway.meta.kindName, gateway.meta, "Secret", name, certificate.line)
            }
        }
    }

    mutating func noteNoGrant(
        _ kind: String, _ meta: Meta, _ target: String, _ name: String, _ line: Int
    ) {
        let there = name.prefix { $0 != "/" }
        note(
            .error, Code.referenceNotPermitted,
            "\(target) \(name) is in another namespace, which does not permit the reference", meta.ref,
            line: line,
            suggestion:
                "a ReferenceGrant in \(there) from \(kind) of \(meta.namespace) to \(target) permits it")
    }

    // MARK: backends

    private mutating func check(_ rule: APIRoute.Rule, of route: APIRoute) {
        for backend in rule.filters.mirrors + rule.backends { check(backend, of: route) }
        let used = rule.backends.filter { $0.weight > 0 }
        if used.isEmpty, rule.filters.redirect == nil, rule.filters.failing == nil {
            note(
                .warning, Code.ruleWithoutBackend, "no backend with a weight: \(route.kind.failure)",
                route.meta.ref, line: rule.line, suggestion: "add backendRefs")
        }
        for backend in used {
            let filters = backend.filters
            let changesPath = filters.redirect != nil || filters.rewrite != nil
            if filters.cors != nil || (changesPath && used.count > 1) {
                note(
                    .warning, Code.fieldNotSupported,
                    "not supported: a filter of one among several backends that is no header modifier, its "
                        + "share of requests gets 500", route.meta.ref, line: backend.line,
                    suggestion: "put the filter on the rule")
            }
        }
    }

    private func hint(_ backend: BackendReference, _ own: String) -> String? {
        guard case .service = backend.kind else { return registry.nearest(to: backend.host, from: own) }
        return registry.nearest(to: ObjectName(backend.namespace, backend.name))?.words(from: own)
    }

    private mutating func check(_ backend: BackendReference, of route: APIRoute) {
        let ref = route.meta.ref
        let isOfGateway = route.parents.contains { parent in
            switch parent.target {
            case .gateway, .listenerSet: true
            default: false
            }
        }
        switch backend.problem(route, registry.attachments, inMesh: !isOfGateway) {
        case .kind(let kind)?:
            note(
                .error, Code.backendKind, "backends of kind \(kind) are not known: \(route.kind.failure)",
                ref,
                line: backend.line, suggestion: "Service, or Hostname of networking.istio.io")
            return
        case .notPermitted?:
            noteNoGrant(
                route.kind.rawValue, route.meta, "Service", "\(backend.namespace)/\(backend.name)",
                backend.line)
            return
        case nil: break
        }
        guard let index = registry.service(backend.host, from: route.meta.namespace) else {
            note(
                .error, Code.referenceNotFound,
                "the service \(backend.host) does not exist: \(route.kind.failure)", ref, line: backend.line,
                suggestion: hint(backend, route.meta.namespace).map { "did you mean \($0)?" }
                    ?? "a namespace left out is the route's own, \(route.meta.namespace)")
            return
        }
        let service = registry.services[index]
        if let port = backend.port, service.port(port) == nil {
            let ports = service.ports.map { String($0.number) }.joined(separator: ", ")
            note(
                .error, Code.referenceNotFound, "\(backend.host) has no port \(port): \(route.kind.failure)",
                ref,
                line: backend.line,
                suggestion: ports.isEmpty
                    ? "it has no ports" : "it has \(ports); the service's port, not the pod's")
        }
    }
}

extension APIRoute.Kind {
    /// What becomes of those that a backend should have had.
    fileprivate var failure: String { isHTTP ? "requests get 500" : "connections are closed" }
}
