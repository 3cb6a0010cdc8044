// Istio's Gateways and what they run on: which proxies they select, whether their ports are reachable, and
// whether their certificates are there (Istio's IST0101, IST0138, IST0161, IST0162).
internal import TLS

extension Analysis {
    mutating func checkGatewayWorkloads() {
        guard !documents.gateways.isEmpty else { return }
        var pods = LabelIndex()
        for pod in registry.pods { pods.add(scope: "", labels: pod.meta.labels) }
        for gateway in documents.gateways.oldestFirst() {
            let proxies = documents.proxies.filter { $0.meta.labels.contains(gateway.selector) }
            let selected = gateway.selector.isEmpty ? [] : pods.select(scope: "", gateway.selector)
            checkSelector(gateway, hasProxy: !proxies.isEmpty, hasPod: !selected.isEmpty)
            if proxies.isEmpty {
                if !selected.isEmpty { checkPorts(gateway, selected) }
                checkCredentials(gateway, selected.map { registry.pods[$0].meta.namespace })
            }
        }
        checkSharedCertificates()
    }

    // MARK: selectors and ports

    private mutating func checkSelector(_ gateway: GatewayDocument, hasProxy: Bool, hasPod: Bool) {
        if gateway.selector.isEmpty || hasProxy || hasPod || gateway.selectsIstiosOwn { return }
        let labels = gateway.selectorText
        let known = documents.proxies.map(\.meta.labels).filter { !$0.isEmpty }
        let near = known.first.map { labels in
            "the Proxy's labels are "
                + labels.sorted { $0.key < $1.key }.map { "\($0): \($1)" }.joined(separator: ", ")
        }
        // With nothing to compare with, a proxy that nobody wrote down may still be meant.
        let isCertain = !documents.proxies.isEmpty || !registry.pods.isEmpty
        note(
            isCertain ? .error : .warning, Code.referenceNotFound,
            "no Proxy document and no Pod has the labels \(labels): nobody serves this Gateway",
            gateway.meta.ref, line: gateway.selectorLine,
            suggestion: near ?? "give the labels to the Proxy document that is to serve it")
    }

    private mutating func checkPorts(_ gateway: GatewayDocument, _ pods: [Int]) {
        var ports: Set<UInt16> = []
        for pod in pods.prefix(100) {
            let meta = registry.pods[pod].meta
            for service in registry.services
            where service.isKubernetes && service.namespace == meta.namespace
                && !service.selector.isEmpty && meta.labels.contains(service.selector)
            {
                ports.formUnion(service.ports.filter { $0.proto != .udp }.map(\.number))
            }
        }
        for server in gateway.servers where !ports.contains(server.port) {
            let known = ports.sorted().map(String.init).joined(separator: ", ")
            note(
                .warning, Code.portNotOnWorkload,
                "no Service of the pods with \(gateway.selectorText) has port \(server.port)",
                gateway.meta.ref, line: server.line,
                suggestion: known.isEmpty
                    ? "a Service with that port must select these pods" : "they have \(known)")
        }
    }

    // MARK: certificates

    /// For Gateways that no Proxy document serves: what a proxy finds is said where its view is compiled.
    private mutating func checkCredentials(_ gateway: GatewayDocument, _ namespaces: [String]) {
        let places = gateway.secretNamespaces(pods: namespaces, hasPods: !registry.pods.isEmpty)
        guard !places.isEmpty else { return }
        for server in gateway.servers {
            for name in server.tls?.credentials ?? [] where !name.value.contains("/") {
                let names = places.map { "\($0)/\(name.value)" }
                guard let secret = names.compactMap({ secretsByName[$0] }).first else {
                    note(
                        .error, Code.referenceNotFound, "there is no Secret \(names[0])", gateway.meta.ref,
                        line: name.line,
                        suggestion: missingSecretHint(names[0], among: secretsByName.keys))
                    continue
                }
                checkCredential(secret, name, gateway)
            }
        }
    }

    private mutating func checkCredential(
        _ secret: SecretDocument, _ name: Located<String>, _ gateway: GatewayDocument
    ) {
        var severity = Severity.error
        var code = Code.badCredential
        let problem: String
        do throws(TLSProblem) {
            let (certificate, key) = try pair(secret)
            let end = try TLSIdentity.read(certificate).first?.notAfter ?? Int64.max
            if end <= nowSeconds {
                severity = .warning
                throw TLSProblem(.certificate, "expired")
            }
            code = Code.certificate
            _ = try TLSIdentity(certificate: certificate, key: key)
            return
        } catch {
            problem = "\(error.part.rawValue): \(error.text)"
        }
        note(
            severity, code, "\(secret.meta.resource) cannot serve as a certificate: \(problem)",
            gateway.meta.ref, line: name.line,
            suggestion: "it is at \(secret.meta.ref.file):\(secret.meta.ref.line), and needs a certificate in"
                + " tls.crt and its key in tls.key, both PEM")
    }

    private func pair(_ secret: SecretDocument) throws(TLSProblem) -> ([UInt8], [UInt8]) {
        guard let certificate = secret.value("cert", "tls.crt") else {
            throw TLSProblem(.certificate, "there is no tls.crt")
        }
        guard let key = secret.value("key", "tls.key") else {
            throw TLSProblem(.key, "there is no tls.key")
        }
        return (certificate.value, key.value)
    }

    /// Two Gateways of one workload with one certificate: a browser that has a connection to the one takes it
    /// for hosts of the other, where they are not known (HTTP/2 connection reuse, RFC 9113 9.1.1).
    private mutating func checkSharedCertificates() {
        var holders: [String: [GatewayDocument]] = [:]
        for gateway in documents.gateways.oldestFirst() {
            for key in Set(gateway.servers.compactMap { $0.tls?.certificateKey }) {
                holders[key, default: []].append(gateway)
            }
        }
        for (_, gateways) in holders.sorted(by: { $0.key < $1.key }) {
            // The pairs of very many would be no help to anybody.
            for gateway in gateways.prefix(100) {
                guard
                    let other = gateways.first(where: {
                        $0.meta.resource != gateway.meta.resource
                            && (gateway.selector.isEmpty || $0.selector.contains(gateway.selector))
                    })
                else { continue }
                note(
                    .warning, Code.duplicateCertificate,
                    "\(other.meta.resource) has the same certificate: browsers reuse a connection to one for"
                        + " hosts of the other, and get 404",
                    gateway.meta.ref, suggestion: "put the hosts into one Gateway, or use two certificates")
            }
        }
    }
}

extension GatewayDocument {
    /// `istio=ingressgateway, app=x`.
    fileprivate var selectorText: String {
        selector.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
    }

    /// The gateways that every installation of Istio has, in `istio-system`.
    fileprivate var selectsIstiosOwn: Bool {
        ["ingressgateway", "egressgateway"].contains { name in
            ["istio": name, "app": "istio-\(name)"].contains(selector)
        }
    }

    /// Where `credentialName` is looked for when no Proxy document is there to say it: where the gateway's
    /// pods are; empty: nobody knows.
    fileprivate func secretNamespaces(pods: [String], hasPods: Bool) -> [String] {
        if let first = pods.first { return [first] }
        if selectsIstiosOwn { return [Names.rootNamespace, meta.namespace] }
        return hasPods ? [] : [meta.namespace, Names.rootNamespace]
    }
}

extension ServerTLSFields {
    /// Equal for equal certificates; nil: none is named.
    fileprivate var certificateKey: String? {
        if let name = credentials.first { return "secret \(name.value)" }
        return files.first.map { "file \($0.certificate.value) \($0.key.value)" }
    }
}
