// The first bytes of a client's connection, where its listener asks for more than requests: a PROXY header, a
// ClientHello whose server name chooses the server (istio-semantics.md 17). Nothing is answered here: what
// does not fit is closed and counted, within the deadline of a request's head.
internal import Base
internal import Lanes
internal import Sniff
internal import Telemetry

/// What the next bytes of a client's connection are.
enum ConnectionStage: UInt8, BitwiseCopyable {
    case requests
    case proxyHeader
    /// Of a connection without an exchange: its server is still to be chosen. With one: a tunnel, of which
    /// the first bytes are looked at as they pass (see Tunnel).
    case clientHello
}

extension Worker {
    /// A connection was accepted: what must come before requests.
    mutating func open(_ slot: UInt32, _ listener: UnsafePointer<Listener>) {
        if listener.pointee.takesProxyHeader {
            connection(slot).pointee.stage = .proxyHeader
        } else {
            settleStage(slot, listener, ByteView.empty)
        }
    }

    /// Goes on behind the PROXY header with what came with it. Afterwards the connection may be gone.
    private mutating func settleStage(
        _ slot: UInt32, _ listener: UnsafePointer<Listener>, _ rest: ByteView
    ) {
        let own = connection(slot)
        own.pointee.stage = .requests
        guard let table = listener.pointee.connections else {
            if listener.pointee.tls != nil { startTLS(slot, rest) }
            return
        }
        if table.pointee.isTLS {
            own.pointee.stage = .clientHello
        } else if let server = table.pointee.server(.empty) {
            serve(slot, server, .empty, rest)
        } else {
            refuseConnection(slot, .refusedServerName)
        }
    }

    /// Uses bytes before the first request. Those that wait for more are kept in the connection's input, with
    /// the number of bytes worth waiting for in `scanned`.
    mutating func useOpening(_ slot: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let own = connection(slot)
        let view = ByteView(bytes, count)
        if own.pointee.stage == .clientHello {
            useClientHello(slot, view)
            return
        }
        switch ProxyHeader.read(view) {
        case .needMore(let need): keepOpening(slot, view, need)
        case .refused: refuseConnection(slot, .refusedProxyHeader)
        case .complete(let header):
            if header.hasAddresses {
                own.pointee.peer = header.source
                connection(slot).writePeerText()
            }
            setTimeout(slot, settings.requestHeaderTimeoutMs)
            let generation = own.pointee.generation
            let rest = view.slice(header.length, count)
            settleStage(slot, listeners[Int(own.pointee.listener)].listener, rest)
            if own.pointee.generation == generation, own.pointee.exchange == noSlot, !rest.isEmpty,
                own.pointee.transport == .plain,
                own.pointee.flags.isDisjoint(with: [.closeAfterFlush, .lingering])
            {
                useInput(slot, bytes + header.length, rest.count)
            }
        }
    }

    private mutating func keepOpening(_ slot: UInt32, _ bytes: ByteView, _ need: Int) {
        let own = connection(slot)
        buffers.append(&own.pointee.input, bytes)
        own.pointee.scanned = UInt32(truncatingIfNeeded: need)
    }

    private mutating func useClientHello(_ slot: UInt32, _ bytes: ByteView) {
        let own = connection(slot)
        let place = listeners[Int(own.pointee.listener)].listener
        let table = place.pointee.connections
        switch ClientHello.read(bytes, pathSpace) {
        case .needMore(let need): keepOpening(slot, bytes, need)
        case .notTLS where place.pointee.tls != nil && bytes[0] &- 0x41 < 26:
            own.pointee.stage = .requests
            if case .failed = refusePlainHTTP(own) { closeDownstream(slot) }
        case .notTLS, .refused: refuseConnection(slot, .refusedClientHello)
        case .complete(let hello):
            guard let server = table?.pointee.server(hello.serverName) else {
                refuseConnection(slot, .refusedServerName)
                return
            }
            serve(slot, server, hello.serverName, bytes)
        }
    }

    /// The server of a connection is known; `bytes` is what came so far.
    private mutating func serve(
        _ slot: UInt32, _ server: UnsafePointer<ConnectionServer>, _ serverName: ByteView, _ bytes: ByteView
    ) {
        connection(slot).pointee.stage = .requests
        switch server.pointee.action {
        case .relay: startRelay(slot, server, serverName, bytes)
        case .terminate: startTLS(slot, bytes)
        }
    }

    /// Nothing can be said to a client whose protocol is unknown.
    private mutating func refuseConnection(_ slot: UInt32, _ why: Counter) {
        meter.add(why)
        closeDownstream(slot)
    }

    /// The opening did not come in time.
    mutating func openingTimeout(_ slot: UInt32) { refuseConnection(slot, .refusedLate) }
}

/// Whether bytes begin a TLS record of type handshake (RFC 8446 5.1), as far as can be seen.
enum TLSLookahead {
    static func isHandshake(_ bytes: ByteView) -> Bool {
        bytes.count > 0 && bytes[0] == 0x16 && (bytes.count == 1 || bytes[1] == 0x03)
    }
}
