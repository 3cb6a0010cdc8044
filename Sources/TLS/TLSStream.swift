// One TLS connection without its socket: ciphertext comes and goes through the worker's pipe, plain bytes
// through calls that never wait. The caller moves ciphertext between pipe and socket.
public import Base
internal import COpenSSL

/// The memory through which all connections of a worker pass their ciphertext. Owned by the worker.
public struct TLSPipe: BitwiseCopyable {
    let state: UnsafeMutablePointer<Pipe>

    public init() {
        let output = UnsafeMutablePointer<UInt8>.allocate(capacity: Limits.tlsWriteBytes)
        let note = UnsafeMutablePointer<UInt8>.allocate(capacity: Pipe.noteCapacity)
        state = .allocate(capacity: 1)
        state.initialize(
            to: Pipe(
                input: UnsafePointer(output), output: output, outputCapacity: Limits.tlsWriteBytes, note: note
            ))
    }

    public func free() {
        state.pointee.output.deallocate()
        state.pointee.note.deallocate()
        state.deallocate()
    }

    /// Gives ciphertext that the next calls take; it must hold until then.
    public func feed(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        state.pointee.input = bytes
        state.pointee.inputCount = count
    }

    /// Ciphertext that was fed and not taken.
    @inline(__always)
    public var unread: ByteView { ByteView(state.pointee.input, state.pointee.inputCount) }

    /// Ciphertext to be sent.
    @inline(__always)
    public var output: ByteView { ByteView(state.pointee.output, state.pointee.outputCount) }

    @inline(__always)
    public func clearOutput() { state.pointee.outputCount = 0 }

    /// What the last failure was, for logs and answers; holds until the next call.
    public var failureText: ByteView { ByteView(state.pointee.note, state.pointee.noteCount) }
}

/// What a handshake wants next.
public enum TLSHandshakeStep {
    case done
    /// More ciphertext.
    case wantsInput
    /// The pipe's output must be sent first.
    case wantsRoom
    /// The alert that says so is in the pipe's output.
    case failed(TLSFailure)
}

/// Why a read ended.
public enum TLSReadEnd {
    /// All room is used; there may be more.
    case full
    /// All ciphertext is used.
    case wantsInput
    /// The pipe's output must be sent first.
    case wantsRoom
    /// The peer said that it will send no more.
    case closed
    /// Nothing that came since can be believed.
    case failed(TLSFailure)
}

public struct TLSStream: BitwiseCopyable {
    private let ssl: OpaquePointer

    /// The server's side; nil: out of memory.
    public init?(accepting acceptor: TLSAcceptorHandle, _ pipe: TLSPipe) {
        guard let ssl = Self.make(acceptor.context, pipe) else { return nil }
        SSL_set_accept_state(ssl)
        self.ssl = ssl
    }

    /// The client's side; nil: out of memory, or a name that cannot be one. `serverName`: sent as SNI;
    /// `host`: the certificate must be for it (a name or an IP address); both may be empty. `offering`: the
    /// one protocol that ALPN names; `.none`: what the context says.
    public init?(
        connecting context: TLSClientHandle, _ pipe: TLSPipe, serverName: ByteView, host: ByteView,
        session: TLSSession?, offering: TLSProtocol = .none
    ) {
        guard let ssl = Self.make(context.context, pipe) else { return nil }
        SSL_set_connect_state(ssl)
        let wire = offering.wire
        let isOffered =
            wire.isEmpty || SSL_set_alpn_protos(ssl, wire.start, UInt32(truncatingIfNeeded: wire.count)) == 0
        guard isOffered, Self.name(ssl, serverName, host) else {
            OpenSSLErrors.clear()
            SSL_free(ssl)
            return nil
        }
        if let session { SSL_set_session(ssl, session.session) }
        self.ssl = ssl
    }

    private static func make(_ context: OpaquePointer, _ pipe: TLSPipe) -> OpaquePointer? {
        OpenSSLErrors.clear()
        guard let ssl = SSL_new(context) else { return nil }
        guard let method = Pipe.method, let bio = BIO_new(method) else {
            SSL_free(ssl)
            return nil
        }
        BIO_set_data(bio, pipe.state)
        SSL_set_bio(ssl, bio, bio)
        return ssl
    }

    private static func name(_ ssl: OpaquePointer, _ serverName: ByteView, _ host: ByteView) -> Bool {
        var text = [CChar](repeating: 0, count: 256)
        func copy(_ view: ByteView) -> Bool {
            guard view.count < 256, view.firstIndex(of: 0) == nil else { return false }
            for index in 0..<view.count { text[index] = CChar(bitPattern: view[index]) }
            text[view.count] = 0
            return true
        }
        if !serverName.isEmpty {
            guard copy(serverName), fl_ssl_set_server_name(ssl, text) == 1 else { return false }
        }
        if !host.isEmpty {
            guard copy(host) else { return false }
            if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) != 1 {
                SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
                return SSL_set1_host(ssl, text) == 1
            }
        }
        return true
    }

    private var pipe: UnsafeMutablePointer<Pipe> { Pipe.of(ssl).unsafelyUnwrapped }

    // MARK: handshake

    public func handshake() -> TLSHandshakeStep {
        OpenSSLErrors.clear()
        let pipe = pipe
        pipe.pointee.noteCount = 0
        pipe.pointee.isNameRefused = false
        let result = SSL_do_handshake(ssl)
        if result == 1 { return .done }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsInput
        case SSL_ERROR_WANT_WRITE: return .wantsRoom
        default: return .failed(failure())
        }
    }

    /// What went wrong, from the error queue, and its text for the pipe.
    private func failure() -> TLSFailure {
        let pipe = pipe
        let why = pipe.pointee.isNameRefused ? .serverName : TLSFailure(ERR_peek_error())
        let said = OpenSSLErrors.take()
        let noted = TLSPipe(pipe).failureText.string
        if pipe.pointee.isNameRefused { return why }
        pipe.pointee.note(noted.isEmpty ? said : said.isEmpty ? noted : "\(said): \(noted)")
        return why
    }

    // MARK: bytes

    /// Decrypts into `bytes` from `got` on; `got` counts what is there, also when the end is a failure.
    public func read(_ bytes: UnsafeMutablePointer<UInt8>, _ room: Int, _ got: inout Int) -> TLSReadEnd {
        OpenSSLErrors.clear()
        let pipe = pipe
        while got < room {
            let count = SSL_read(ssl, bytes + got, Int32(clamping: room &- got))
            if count > 0 {
                got &+= Int(count)
                if pipe.pointee.inputCount == 0, SSL_pending(ssl) == 0 { return .wantsInput }
                continue
            }
            switch SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ: return .wantsInput
            case SSL_ERROR_WANT_WRITE: return .wantsRoom
            case SSL_ERROR_ZERO_RETURN: return .closed
            default:
                pipe.pointee.noteCount = 0
                return .failed(failure())
            }
        }
        return .full
    }

    /// Whether decrypted bytes wait to be read.
    public var hasPending: Bool { SSL_pending(ssl) > 0 }

    /// Encrypts as many bytes as the pipe's output has room for; returns how many. -1: the connection is
    /// broken.
    public func write(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        OpenSSLErrors.clear()
        let pipe = pipe
        var taken = 0
        while taken < count {
            if pipe.pointee.outputCapacity &- pipe.pointee.outputCount < Limits.tlsRecordBytes { break }
            let piece = min(count &- taken, Limits.tlsPlainBytes)
            let written = SSL_write(ssl, bytes + taken, Int32(truncatingIfNeeded: piece))
            if written <= 0 {
                pipe.pointee.noteCount = 0
                _ = failure()
                return -1
            }
            taken &+= Int(written)
        }
        return taken
    }

    /// Puts into the pipe's output that we will send no more.
    public func sayGoodbye() {
        OpenSSLErrors.clear()
        if SSL_is_init_finished(ssl) == 1 { _ = SSL_shutdown(ssl) }
        OpenSSLErrors.clear()
    }

    /// Frees the connection. A session that was taken from it stays good.
    public func free() {
        // Without this OpenSSL takes the connection for broken and its session with it.
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        SSL_free(ssl)
    }

    // MARK: what was agreed

    public var version: TLSVersion {
        switch SSL_version(ssl) {
        case TLS1_VERSION: .v1_0
        case TLS1_1_VERSION: .v1_1
        case TLS1_2_VERSION: .v1_2
        default: .v1_3
        }
    }

    /// OpenSSL's name of the cipher suite; holds for ever.
    public var cipher: ByteView {
        guard let name = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)) else { return .empty }
        return ByteView(UnsafeRawPointer(name).assumingMemoryBound(to: UInt8.self), strlen(name))
    }

    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// The server's side: which server of the acceptor's list was chosen.
    public var server: Int {
        let number = Int(bitPattern: SSL_get_ex_data(ssl, StreamIndex.server))
        return number - 1
    }

    /// The server's side: SNI; holds as long as the connection.
    public var serverName: ByteView {
        guard let name = SSL_get_ex_data(ssl, StreamIndex.name) else { return .empty }
        let text = UnsafePointer(name.assumingMemoryBound(to: UInt8.self))
        return ByteView(text, strlen(UnsafeRawPointer(text).assumingMemoryBound(to: CChar.self)))
    }

    /// The server's side: `TLSServerContext.clientPolicyNumber` of the server that shook hands.
    public var clientPolicy: UInt64 {
        SSL_get_SSL_CTX(ssl).flatMap { ContextRules.of($0) }?.clientPolicy ?? 0
    }

    public var agreedProtocol: TLSProtocol {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &count)
        guard let start, count > 0 else { return .none }
        return TLSProtocol(ByteView(start, Int(count)))
    }

    /// A session that can be resumed, if there is one; the caller frees it.
    public var session: TLSSession? {
        guard let session = SSL_get1_session(ssl) else { return nil }
        if SSL_SESSION_is_resumable(session) == 1 { return TLSSession(session: session) }
        SSL_SESSION_free(session)
        return nil
    }

    /// What the client's certificate says; nil: it showed none.
    public func clientCertificate() -> ClientCertificate? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        let own = SSL_get_certificate(ssl).map(AlternativeNames.read) ?? []
        return ClientCertificate(certificate, own: own)
    }
}

extension TLSPipe {
    fileprivate init(_ state: UnsafeMutablePointer<Pipe>) { self.state = state }
}
