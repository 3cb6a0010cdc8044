// Certificates where configuration names them, files and Secrets, to TLS contexts: every step that fails is a
// finding with the line that asked for it and what OpenSSL said.
internal import Base
internal import Lanes
internal import TLS

/// Contexts of one load, kept for the next: what has not changed is not made again, and a server whose
/// Secret went missing goes on with the certificate it had.
package struct TLSContexts: Sendable {
    /// By a digest of everything they are made of.
    fileprivate var servers: [[UInt8]: TLSServerContext] = [:]
    fileprivate var clients: [[UInt8]: TLSClientContext] = [:]
    /// By the name of the Gateway's server.
    fileprivate var byName: [String: TLSServerContext] = [:]
    /// Files beside the documents that were read, or would be if they were there: certificates, keys,
    /// secrets. With each what `LoadOptions.fingerprint` said before it was read the first time.
    package private(set) var files: [String: UInt64] = [:]

    package init() {}

    package mutating func merge(_ other: TLSContexts) {
        servers.merge(other.servers) { first, _ in first }
        clients.merge(other.clients) { first, _ in first }
        byName.merge(other.byName) { first, _ in first }
        files.merge(other.files) { first, _ in first }
    }

    fileprivate mutating func willRead(_ path: String, _ fingerprint: (String) -> UInt64) {
        if files[path] == nil { files[path] = fingerprint(path) }
    }
}

/// PEM texts and who asked for them.
struct Material {
    var certificates: [(certificate: [UInt8], key: [UInt8], staple: [UInt8], ref: SourceRef)] = []
    var authorities: [UInt8] = []
    var authoritiesRef: SourceRef?
    var revocations: [UInt8] = []
    var revocationsRef: SourceRef?

    /// Where what OpenSSL refuses was asked for; `ref`: the settings as a whole.
    func ref(of problem: TLSProblem, _ ref: SourceRef) -> SourceRef {
        switch problem.part {
        case .authority: authoritiesRef ?? ref
        case .revocations: revocationsRef ?? ref
        case .certificate, .key, .staple: certificates.first?.ref ?? ref
        case .ciphers, .versions, .context: ref
        }
    }
}

extension Compiler {
    // MARK: servers

    /// The context of a Gateway's server; nil: its certificates cannot be used (a finding says why).
    func serverContext(_ tls: ServerTLSFields, name: String, ref: SourceRef) -> TLSServerContext? {
        guard let material = material(tls, ref) else {
            guard let last = options.contexts.byName[name] else { return nil }
            contexts.byName[name] = last
            return last
        }
        var settings = TLSServerContext.Settings()
        settings.tls = tls.settings
        settings.authorities = material.authorities
        settings.revocations = material.revocations
        settings.peer = tls.peer
        settings.clients =
            switch tls.mode {
            case .mutual, .istioMutual: .required
            case .optionalMutual: .optional
            default: .none
            }
        // That there is none was said when the document was read.
        if material.certificates.isEmpty { return nil }
        let key = digest(material, "\(settings.tls)\(settings.peer)\(settings.clients)")
        var context = options.contexts.servers[key] ?? contexts.servers[key]
        if context == nil {
            guard let identities = identities(material) else { return nil }
            settings.identities = identities
            do throws(TLSProblem) {
                context = try TLSServerContext(settings)
            } catch {
                refuse(error, material.ref(of: error, ref))
            }
        }
        guard let context else { return nil }
        for (identity, source) in zip(context.identities, material.certificates) {
            judge(identity, source.ref)
        }
        contexts.servers[key] = context
        contexts.byName[name] = context
        return context
    }

    private func identities(_ material: Material, isFatal: Bool = true) -> [TLSIdentity]? {
        var made: [TLSIdentity] = []
        for source in material.certificates {
            do throws(TLSProblem) {
                made.append(
                    try TLSIdentity(
                        certificate: source.certificate, key: source.key, staple: source.staple))
            } catch {
                refuse(error, source.ref, isFatal: isFatal)
                return nil
            }
        }
        return made
    }

    private func refuse(_ problem: TLSProblem, _ ref: SourceRef, isFatal: Bool = true) {
        note(
            .error, Code.certificate, "\(problem.part.rawValue): \(problem.text)", ref, refused: isFatal)
    }

    /// What is usable and should not be used.
    private func judge(_ identity: TLSIdentity, _ ref: SourceRef) {
        for (position, certificate) in identity.information.enumerated() {
            let which = position == 0 ? "the certificate" : "certificate \(position + 1) of the chain"
            if certificate.notAfter <= options.nowSeconds {
                note(
                    .warning, Code.certificateExpired,
                    "\(which) (\(certificate.subject)) expired at "
                        + UTCTime(nanoseconds: UInt64(max(0, certificate.notAfter)) * 1_000_000_000).text,
                    ref)
            } else if certificate.notBefore > options.nowSeconds {
                note(
                    .warning, Code.certificateExpired,
                    "\(which) (\(certificate.subject)) is not valid before "
                        + UTCTime(nanoseconds: UInt64(max(0, certificate.notBefore)) * 1_000_000_000).text,
                    ref)
            }
        }
        if let end = identity.stapleEnd, end <= options.nowSeconds {
            note(
                .warning, Code.certificateExpired, "the OCSP response is outdated and is not sent", ref)
        }
    }

    private func digest(_ material: Material, _ settings: String) -> [UInt8] {
        var parts: [[UInt8]] = [Array(settings.utf8), material.authorities, material.revocations]
        for source in material.certificates { parts += [source.certificate, source.key, source.staple] }
        return TLSDigest.sha256(parts)
    }

    // MARK: clients

    /// How connections to a cluster are encrypted; nil: plain text.
    func clientTLS(
        _ tls: ClientTLSFields?, _ cluster: ClusterModel, serviceNames: [String]
    ) -> ClusterTLSModel? {
        guard let tls, tls.mode != .disable else { return nil }
        if tls.mode == .istioMutual, proxy.identity == nil {
            noteMissingIdentity(tls.ref)
            return ClusterTLSModel(
                mode: tls.mode.rawValue, context: nil, serverName: nil, key: 1,
                problem: "ISTIO_MUTUAL without Proxy.spec.identity")
        }
        var settings = TLSClientContext.Settings()
        settings.skipsVerification = tls.skipsVerification
        settings.peer.names = tls.names.isEmpty ? serviceNames : tls.names
        guard let material = material(tls) else { return nil }
        var serverName = tls.serverName
        if tls.mode == .istioMutual {
            serverName =
                serverName ?? "outbound_.\(cluster.port)_.\(cluster.subset)_.\(cluster.service)"
            settings.checksHost = false
        }
        return clusterTLS(settings, material, mode: tls.mode.rawValue, serverName: serverName, tls.ref)
    }

    /// Connections with these settings; nil: OpenSSL refuses what they are made of, which is a finding and,
    /// if `isFatal`, refuses the configuration.
    func clusterTLS(
        _ wanted: TLSClientContext.Settings, _ material: Material, mode: String, serverName: String?,
        _ ref: SourceRef, isFatal: Bool = true
    ) -> ClusterTLSModel? {
        var settings = wanted
        settings.authorities = material.authorities
        settings.revocations = material.revocations
        let key = digest(material, "\(mode)\(settings.tls)\(settings.peer)\(settings.skipsVerification)")
        var context = options.contexts.clients[key] ?? contexts.clients[key]
        if context == nil {
            guard let identities = identities(material, isFatal: isFatal) else { return nil }
            settings.identity = identities.first
            do throws(TLSProblem) {
                context = try TLSClientContext(settings)
            } catch {
                refuse(error, material.ref(of: error, ref), isFatal: isFatal)
            }
        }
        guard let context else { return nil }
        if let identity = context.identity, let source = material.certificates.first {
            judge(identity, source.ref)
        }
        contexts.clients[key] = context
        let whole = TLSDigest.sha256([key, Array((serverName ?? "").utf8)])
        return ClusterTLSModel(
            mode: mode, context: context, serverName: serverName,
            key: whole.prefix(8).reduce(1) { $0 << 8 | UInt64($1) })
    }

    // MARK: material

    private func material(_ tls: ServerTLSFields, _ ref: SourceRef) -> Material? {
        if tls.mode == .istioMutual { return identity(ref) }
        var material = Material()
        for name in tls.credentials {
            var at = ref
            at.line = name.line
            guard let secret = secret(name.value, at), add(secret, to: &material, at) else { return nil }
            let hasOthers =
                tls.authorityCredential != nil || tls.authorities != nil || tls.authorityBundle != nil
            if tls.mode != .simple, !hasOthers, !addAuthorities(name.value, secret, &material, at) {
                return nil
            }
        }
        for files in tls.files {
            guard let pair = readPair(files, ref) else { return nil }
            material.certificates.append(pair)
        }
        if tls.mode != .simple, let file = tls.authorities {
            guard let bytes = readCertificateFile(file, ref) else { return nil }
            material.authorities = bytes
            material.authoritiesRef = ref
            material.authoritiesRef?.line = file.line
        }
        if let bundle = tls.authorityBundle {
            material.authorities = bundle.bytes
            material.authoritiesRef = bundle.ref
        }
        if tls.mode != .simple, let name = tls.authorityCredential {
            var at = ref
            at.line = name.line
            guard let secret = secret(name.value, at) else { return nil }
            guard let value = secret.value("cacert", "ca.crt") else {
                lacks(secret, "ca.crt", at)
                return nil
            }
            material.authorities = value.value
            material.authoritiesRef = secret.meta.ref
            material.authoritiesRef?.line = value.line
            addRevocations(secret, &material)
        }
        if let file = tls.revocations {
            guard let bytes = readCertificateFile(file, ref) else { return nil }
            material.revocations = bytes
            material.revocationsRef = ref
            material.revocationsRef?.line = file.line
        }
        return material
    }

    private func material(_ tls: ClientTLSFields) -> Material? {
        if tls.mode == .istioMutual { return identity(tls.ref) }
        var material = Material()
        if let name = tls.credential {
            var at = tls.ref
            at.line = name.line
            // Without it the connection would be plain text, or trust anybody.
            guard let secret = secret(name.value, at, isNeeded: true) else { return nil }
            if tls.mode == .mutual, !add(secret, to: &material, at) { return nil }
            addRevocations(secret, &material)
            if let value = secret.value("cacert", "ca.crt") {
                material.authorities = value.value
                material.authoritiesRef = secret.meta.ref
                material.authoritiesRef?.line = value.line
            } else {
                _ = addAuthorities(beside: name.value, &material)
            }
        }
        if tls.mode == .mutual, let files = tls.files {
            guard let pair = readPair(files, tls.ref) else { return nil }
            material.certificates.append(pair)
        }
        if let file = tls.authorities {
            guard let bytes = readCertificateFile(file, tls.ref) else { return nil }
            material.authorities = bytes
            material.authoritiesRef = tls.ref
            material.authoritiesRef?.line = file.line
        }
        if let file = tls.revocations {
            guard let bytes = readCertificateFile(file, tls.ref) else { return nil }
            material.revocations = bytes
            material.revocationsRef = tls.ref
            material.revocationsRef?.line = file.line
        }
        return material
    }

    /// `Proxy.spec.identity`: the certificates of ISTIO_MUTUAL.
    private func identity(_ ref: SourceRef) -> Material? {
        guard let identity = proxy.identity else {
            noteMissingIdentity(ref)
            return nil
        }
        guard let pair = readPair(identity.files, proxy.meta.ref),
            let authorities = readCertificateFile(identity.authorities, proxy.meta.ref)
        else { return nil }
        var material = Material()
        material.certificates = [pair]
        material.authorities = authorities
        material.authoritiesRef = proxy.meta.ref
        return material
    }

    private func noteMissingIdentity(_ ref: SourceRef) {
        note(
            .warning, Code.identityMissing,
            "ISTIO_MUTUAL without an identity of \(proxy.meta.resource): connections to its hosts fail with"
                + " 503, and no server is opened",
            ref,
            suggestion: "give Proxy.spec.identity {certificate, privateKey, ca}, or mode: DISABLE where plain"
                + " text is meant")
    }

    // MARK: Secrets

    /// A Secret of the proxy's namespace, or of the one that the name gives.
    func secret(_ name: String, _ ref: SourceRef, isNeeded: Bool = false) -> SecretDocument? {
        let full = secretName(name)
        if let found = secretsByName[full] { return found }
        // Of a proxy that nobody wrote down, the analyzers say where the Secret ought to be.
        if servesAnyGateway, options.purpose == .check, ref.document.hasPrefix("Gateway "),
            !name.contains("/")
        {
            return nil
        }
        note(
            .error, Code.referenceNotFound, "there is no Secret \(full)", ref,
            suggestion: missingSecretHint(full, among: secretsByName.keys),
            refused: isNeeded && options.purpose == .run)
        return nil
    }

    /// `namespace/name`.
    private func secretName(_ name: String) -> String {
        for prefix in ["kubernetes-gateway://", "kubernetes://"] where name.hasPrefix(prefix) {
            let rest = String(name.dropFirst(prefix.count))
            return rest.contains("/") ? rest : "\(proxy.model.namespace)/\(rest)"
        }
        return "\(proxy.model.namespace)/\(name)"
    }

    func add(_ secret: SecretDocument, to material: inout Material, _ ref: SourceRef) -> Bool {
        guard let certificate = secret.value("cert", "tls.crt") else {
            lacks(secret, "tls.crt", ref)
            return false
        }
        guard let key = secret.value("key", "tls.key") else {
            lacks(secret, "tls.key", ref)
            return false
        }
        var at = secret.meta.ref
        at.line = certificate.line
        material.certificates.append(
            (certificate.value, key.value, secret.value("tls.ocsp-staple")?.value ?? [], at))
        addRevocations(secret, &material)
        return true
    }

    private func addRevocations(_ secret: SecretDocument, _ material: inout Material) {
        guard let value = secret.value("crl", "ca.crl") else { return }
        material.revocations = value.value
        material.revocationsRef = secret.meta.ref
        material.revocationsRef?.line = value.line
    }

    private func addAuthorities(
        _ name: String, _ secret: SecretDocument, _ material: inout Material, _ ref: SourceRef
    ) -> Bool {
        if addAuthorities(beside: name, &material) { return true }
        guard let value = secret.value("cacert", "ca.crt") else {
            lacks(secret, "ca.crt", ref)
            return false
        }
        material.authorities = value.value
        material.authoritiesRef = secret.meta.ref
        material.authoritiesRef?.line = value.line
        return true
    }

    /// The authorities' own Secret, `NAME-cacert`; false: there is none.
    private func addAuthorities(beside name: String, _ material: inout Material) -> Bool {
        guard let secret = secretsByName[secretName("\(name)-cacert")],
            let value = secret.value("cacert", "ca.crt")
        else { return false }
        material.authorities = value.value
        material.authoritiesRef = secret.meta.ref
        material.authoritiesRef?.line = value.line
        addRevocations(secret, &material)
        return true
    }

    private func lacks(_ secret: SecretDocument, _ key: String, _ ref: SourceRef) {
        note(
            .error, Code.certificate, "\(secret.meta.resource) has no \(key)", ref,
            suggestion: "the keys are tls.crt and tls.key, ca.crt for authorities", refused: true)
    }

    // MARK: files

    private func readPair(
        _ files: CertificateFiles, _ ref: SourceRef
    ) -> (certificate: [UInt8], key: [UInt8], staple: [UInt8], ref: SourceRef)? {
        guard let certificate = readCertificateFile(files.certificate, ref),
            let key = readCertificateFile(files.key, ref)
        else { return nil }
        var at = ref
        at.line = files.certificate.line
        // A response beside its certificate is sent along; there need not be one.
        let staple = path(files.certificate.value, ref) + ".ocsp"
        let response = try? readBeside(staple, limit: Limits.certificateBytes).get()
        return (certificate, key, response ?? [], at)
    }

    /// The path of a file that a document names: relative ones begin at its folder.
    func path(_ given: String, _ ref: SourceRef) -> String {
        if given.hasPrefix("/") { return given }
        guard let slash = ref.file.lastIndex(of: "/") else { return given }
        return ref.file[...slash] + given
    }

    /// The bytes of a file beside the documents, whose changes mean a reload from now on.
    func readBeside(_ path: String, limit: Int) -> Result<[UInt8], FileProblem> {
        contexts.willRead(path, options.fingerprint)
        return readBounded(path, limit: limit)
    }

    private func readCertificateFile(_ file: Located<String>, _ ref: SourceRef) -> [UInt8]? {
        let path = path(file.value, ref)
        switch readBeside(path, limit: Limits.certificateBytes) {
        case .success(let bytes): return bytes
        case .failure(let problem):
            // A check may run where certificates are not mounted; a proxy without them must not start.
            let isCheck = options.purpose == .check
            note(
                isCheck ? .warning : .error, Code.certificate, "cannot read \(path): \(problem.text)", ref,
                line: file.line, suggestion: "the file must be readable by the user that fairlead runs as",
                refused: !isCheck)
            return nil
        }
    }
}
