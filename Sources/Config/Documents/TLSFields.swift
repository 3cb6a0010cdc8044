// The `tls` blocks: of a Gateway's server (ServerTLSSettings) and of a DestinationRule's policy
// (ClientTLSSettings), as written. Certificates are looked for when a proxy's view is compiled.
internal import Lanes
internal import TLS

/// Certificate and key by file names.
struct CertificateFiles: Sendable {
    var certificate: Located<String>
    var key: Located<String>
}

struct ServerTLSFields: Sendable {
    enum Mode: String, Sendable {
        case passthrough = "PASSTHROUGH"
        case simple = "SIMPLE"
        case mutual = "MUTUAL"
        case autoPassthrough = "AUTO_PASSTHROUGH"
        case istioMutual = "ISTIO_MUTUAL"
        case optionalMutual = "OPTIONAL_MUTUAL"
    }

    var mode = Mode.passthrough
    var httpsRedirect = false
    var line = 0
    var files: [CertificateFiles] = []
    var authorities: Located<String>?
    var revocations: Located<String>?
    var credentials: [Located<String>] = []
    /// Secret of the authorities, where it is not the certificate's.
    var authorityCredential: Located<String>?
    /// The authorities themselves (PEM), where Gateway API objects name ConfigMaps.
    var authorityBundle: AuthorityBundle?
    var peer = PeerRules()
    var settings = TLSSettings()

    /// Its connections end here, in TLS.
    var isTerminated: Bool { mode != .passthrough && mode != .autoPassthrough }

    init() {}

    init(_ fields: Fields) {
        line = fields.line
        httpsRedirect = fields.bool("httpsRedirect") ?? false
        if let word = fields.word(
            "mode",
            of: ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"])
        {
            mode = Mode(rawValue: word) ?? .passthrough
        }
        readCertificates(fields)
        peer.names = fields.strings("subjectAltNames").map(\.value)
        peer.keyPins = fields.strings("verifyCertificateSpki").map(\.value)
        peer.fingerprints = fields.strings("verifyCertificateHash").map { text in
            text.value.lowercased().filter { $0 != ":" }
        }
        readVersions(fields)
        settings.ciphers = readCiphers(fields)
        settings.protocols = TLSOffers.server
        fields.finish()
        if isTerminated { check(fields) }
    }

    private mutating func readCertificates(_ fields: Fields) {
        if let files = fields.certificateFiles("serverCertificate", "privateKey") { self.files.append(files) }
        for entry in fields.objects("tlsCertificates") {
            if let files = entry.certificateFiles("serverCertificate", "privateKey") {
                self.files.append(files)
            }
            if let file = entry.located("caCertificates") { authorities = file }
            entry.finish()
        }
        if let file = fields.located("caCertificates") { authorities = file }
        revocations = fields.located("caCrl")
        if let name = fields.located("credentialName") { credentials.append(name) }
        for name in fields.strings("credentialNames") { credentials.append(name) }
        authorityCredential = fields.located("caCertCredentialName")
    }

    private mutating func readVersions(_ fields: Fields) {
        let words = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
        func version(_ key: String) -> TLSVersion? {
            switch fields.word(key, of: words) {
            case "TLSV1_0"?: .v1_0
            case "TLSV1_1"?: .v1_1
            case "TLSV1_2"?: .v1_2
            case "TLSV1_3"?: .v1_3
            default: nil
            }
        }
        settings.minVersion = version("minProtocolVersion") ?? .v1_2
        settings.maxVersion = version("maxProtocolVersion") ?? .v1_3
        if settings.minVersion > settings.maxVersion {
            fields.context.invalid(
                fields.line(of: "minProtocolVersion"),
                "\(fields.path): minProtocolVersion is above maxProtocolVersion")
        } else if settings.minVersion < .v1_2 {
            fields.context.warn(
                fields.line(of: "minProtocolVersion"), Code.weakTLS,
                "\(fields.path).minProtocolVersion: \(settings.minVersion.text) is broken",
                suggestion: "RFC 8996 forbids versions before 1.2")
        }
    }

    /// What an API server would refuse.
    private func check(_ fields: Fields) {
        let context = fields.context
        let hasOwn = !credentials.isEmpty || !files.isEmpty
        if mode == .istioMutual {
            if hasOwn {
                context.invalid(
                    fields.line, "\(fields.path): ISTIO_MUTUAL takes its certificates from the proxy")
            }
            return
        }
        if !hasOwn {
            context.invalid(
                fields.line, "\(fields.path): \(mode.rawValue) needs a certificate and a key",
                suggestion: "credentialName, or serverCertificate and privateKey")
        }
        if !credentials.isEmpty, !files.isEmpty {
            context.invalid(fields.line, "\(fields.path) has both credentialName and files")
        }
        let needsAuthority = mode == .mutual || mode == .optionalMutual
        if needsAuthority, credentials.isEmpty, authorities == nil, authorityCredential == nil {
            context.invalid(
                fields.line, "\(fields.path): \(mode.rawValue) needs caCertificates to judge clients by")
        }
    }
}

struct ClientTLSFields: Sendable {
    enum Mode: String, Sendable {
        case disable = "DISABLE"
        case simple = "SIMPLE"
        case mutual = "MUTUAL"
        case istioMutual = "ISTIO_MUTUAL"
    }

    var mode = Mode.disable
    var files: CertificateFiles?
    var authorities: Located<String>?
    var revocations: Located<String>?
    var credential: Located<String>?
    var names: [String] = []
    var serverName: String?
    var skipsVerification = false
    var ref: SourceRef

    init(_ fields: Fields) {
        ref = fields.context.ref(fields.line)
        mode =
            fields.word("mode", of: ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])
            .flatMap(Mode.init(rawValue:)) ?? .disable
        files = fields.certificateFiles("clientCertificate", "privateKey")
        authorities = fields.located("caCertificates")
        revocations = fields.located("caCrl")
        credential = fields.located("credentialName")
        names = fields.strings("subjectAltNames").map(\.value)
        serverName = fields.string("sni").flatMap { $0.isEmpty ? nil : $0 }
        skipsVerification = fields.bool("insecureSkipVerify") ?? false
        fields.finish()
        check(fields)
    }

    private func check(_ fields: Fields) {
        if mode == .mutual, files == nil, credential == nil {
            fields.context.invalid(
                fields.line, "\(fields.path): MUTUAL needs a client certificate and its key",
                suggestion: "clientCertificate and privateKey, or credentialName")
        }
        if mode == .istioMutual, files != nil || authorities != nil || credential != nil {
            fields.context.invalid(
                fields.line, "\(fields.path): ISTIO_MUTUAL takes its certificates from the proxy")
        }
        if let serverName, !isHostName(serverName, wildcard: false) {
            fields.context.warn(
                fields.line(of: "sni"), Code.invalid, "\(fields.path).sni: \"\(serverName)\" is no host name")
        }
    }
}

/// What we are ready to speak inside TLS to clients. (Upstreams are offered what the exchange that needs the
/// connection will speak: Proxy's `offer`.)
enum TLSOffers {
    /// Best first.
    static let server: [TLSProtocol] = [.http2, .http1]
}

extension Fields {
    func located(_ key: String) -> Located<String>? {
        guard let text = string(key), !text.isEmpty else { return nil }
        return Located(text, line: line(of: key))
    }

    /// Both or none: one alone is a mistake.
    fileprivate func certificateFiles(_ certificate: String, _ key: String) -> CertificateFiles? {
        let certificateFile = located(certificate)
        let keyFile = located(key)
        if let certificateFile, let keyFile {
            return CertificateFiles(certificate: certificateFile, key: keyFile)
        }
        if let one = certificateFile ?? keyFile {
            context.invalid(one.line, "\(path) needs both \(certificate) and \(key)")
        }
        return nil
    }
}

/// Names that OpenSSL does not know are left out, as Istio does.
private func readCiphers(_ fields: Fields) -> [String] {
    let given = fields.strings("cipherSuites")
    let known = given.filter { name in
        if TLSSettings.isCipher(name.value) { return true }
        fields.context.warn(
            name.line, Code.weakTLS, "\(fields.path).cipherSuites: \"\(name.value)\" is unknown, left out",
            suggestion: "OpenSSL's names, as in ECDHE-RSA-AES128-GCM-SHA256")
        return false
    }
    return known.map(\.value)
}
