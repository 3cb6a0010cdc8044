// The TLS side of one listener: takes the handshake of any client and leads it, by the server name in its
// first message, to the context of the server that it wants.
internal import Base
internal import COpenSSL

/// The contexts behind a listener's names. Kept alive by the listener's own context.
final class ServerChoice: Sendable {
    let names: ServerNames
    /// nil: a server that this listener does not terminate.
    let contexts: [TLSServerContext?]

    init(_ names: ServerNames, _ contexts: [TLSServerContext?]) {
        self.names = names
        self.contexts = contexts
    }
}

public final class TLSAcceptor: Sendable {
    public let names: ServerNames
    private let choice: ServerChoice
    nonisolated(unsafe) private let context: OpaquePointer

    /// The servers of one port in the order of configuration; `nil` contexts are never chosen here.
    public init(_ servers: [(hosts: [String], context: TLSServerContext?)]) throws(TLSProblem) {
        let names = ServerNames(servers.map(\.hosts))
        let choice = ServerChoice(names, servers.map(\.context))
        // Versions and suites are those of the chosen server; here are the widest, so that nothing is refused
        // before it is known which server decides.
        var settings = TLSSettings()
        settings.minVersion = servers.compactMap(\.context?.tls.minVersion).min() ?? .v1_2
        let context = try settings.makeContext()
        do throws(TLSProblem) {
            try ContextRules(servers: choice).attach(to: context)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        SSL_CTX_set_client_hello_cb(context, clientHelloCallback, nil)
        fl_ctx_set_session_cache(context, Int(SSL_SESS_CACHE_OFF))
        TicketKeys.install(in: context)
        self.names = names
        self.choice = choice
        self.context = context
    }

    deinit { SSL_CTX_free(context) }

    /// Holds as long as this acceptor.
    public var handle: TLSAcceptorHandle { TLSAcceptorHandle(context: context) }
}

/// An acceptor as frozen configuration has it. Whoever stores it keeps the acceptor alive.
public struct TLSAcceptorHandle: BitwiseCopyable {
    let context: OpaquePointer
}

enum StreamIndex {
    /// Of an SSL: one more than the number of the chosen server.
    static let server: Int32 = fl_ssl_index(nil)
    /// Of an SSL: the server name as the client sent it. OpenSSL's own is lost when a session resumes.
    static let name: Int32 = fl_ssl_index { _, pointer, _, _, _, _ in fl_free(pointer) }
}

private func clientHelloCallback(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let ssl, let context = SSL_get_SSL_CTX(ssl), let choice = ContextRules.of(context)?.servers else {
        return SSL_CLIENT_HELLO_ERROR
    }
    let name = serverName(ssl)
    guard let index = choice.names.server(for: name), let server = choice.contexts[index] else {
        Pipe.of(ssl)?.pointee.refuseName(name)
        alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
        return SSL_CLIENT_HELLO_ERROR
    }
    if let copy = fl_strdup(name), SSL_set_ex_data(ssl, StreamIndex.name, copy) != 1 { fl_free(copy) }
    SSL_set_SSL_CTX(ssl, server.context)
    // What an SSL took over from its first context when it was made.
    SSL_set_verify(ssl, server.clients.mode, verifyCallback)
    guard fl_ssl_set_min_version(ssl, server.tls.minVersion.number) == 1,
        fl_ssl_set_max_version(ssl, server.tls.maxVersion.number) == 1,
        SSL_set_ex_data(ssl, StreamIndex.server, UnsafeMutableRawPointer(bitPattern: index + 1)) == 1,
        server.clientPolicy.withUnsafeBufferPointer({
            SSL_set_session_id_context(ssl, $0.baseAddress, UInt32($0.count))
        }) == 1
    else { return SSL_CLIENT_HELLO_ERROR }
    return SSL_CLIENT_HELLO_SUCCESS
}

/// The host name of the server_name extension (RFC 6066 3); empty when there is none that is well formed.
private func serverName(_ ssl: OpaquePointer) -> String {
    var start: UnsafePointer<UInt8>?
    var count = 0
    guard SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &start, &count) == 1,
        let start, count > 5, Int(start[0]) << 8 | Int(start[1]) == count - 2, start[2] == 0
    else { return "" }
    let length = Int(start[3]) << 8 | Int(start[4])
    guard length > 0, length <= 255, length + 5 <= count else { return "" }
    let name = ByteView(start + 5, length)
    guard name.bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return "" }
    return name.string
}
