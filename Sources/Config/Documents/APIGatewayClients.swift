// `spec.tls` of a Gateway: whose certificates clients must show, and which one backends are shown
// (istio-semantics.md 21.7).

extension APIGateway {
    /// `spec.tls`: what clients and backends are asked for and shown.
    mutating func readClients(_ tls: Fields) {
        if let backend = tls.object("backend") {
            if let reference = backend.object("clientCertificateRef") {
                clientCertificate = Self.readCertificate(reference, meta.namespace)
            }
            backend.finish()
        }
        if let frontend = tls.object("frontend") {
            if let all = frontend.object("default") {
                clientValidation = readValidation(all)
            } else {
                frontend.context.invalid(frontend.line, "\(frontend.path).default is missing")
            }
            for fields in frontend.objects("perPort") {
                let port = fields.port("port")
                if port == nil, !fields.has("port") {
                    fields.context.invalid(fields.line, "\(fields.path).port is missing")
                }
                let own = fields.object("tls").flatMap(readValidation)
                if let port { clientValidationByPort[port] = .some(own) }
                fields.finish()
            }
            frontend.finish()
        }
        tls.finish()
    }

    private func readValidation(_ owner: Fields) -> ClientValidation? {
        defer { owner.finish() }
        guard let fields = owner.object("validation") else { return nil }
        defer { fields.finish() }
        let authorities = AuthorityReference.readAll(fields, namespace: meta.namespace)
        let mode = fields.word("mode", of: ["AllowValidOnly", "AllowInsecureFallback"])
        if authorities.isEmpty {
            fields.context.invalid(fields.line, "\(fields.path).caCertificateRefs is missing")
        }
        if mode == "AllowInsecureFallback" {
            fields.context.warn(
                fields.line(of: "mode"), Code.fieldNotSupported,
                "\(fields.path).mode: as certificates of every kind and none are let in, none is asked for",
                suggestion: "AllowValidOnly asks for them and judges them")
            return nil
        }
        return ClientValidation(authorities: authorities, line: fields.line)
    }
}
