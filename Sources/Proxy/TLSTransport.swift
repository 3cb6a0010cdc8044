// Plain bytes in and out of a TLS connection: one recv(2) of ciphertext feeds as many records as it holds, as
// many records as fit leave in one send(2). Ciphertext that a socket would not take waits in the connection's
// output, ciphertext that was read and not decrypted in its state here; an idle connection has neither.
internal import Base
internal import Glibc
internal import Lanes
internal import Loop
internal import TLS

/// What a connection with TLS has besides.
struct TLSState: BitwiseCopyable {
    let stream: TLSStream
    /// Ciphertext that was received and not decrypted.
    var leftover = Buffer()
    /// Downstream: the listener with the chosen server's routes; nil before the handshake is over.
    var listener: UnsafePointer<Listener>?
    /// Downstream: what the chosen server does with bytes that are no requests; nil: requests follow.
    var relay: UnsafePointer<ConnectionServer>?
    /// Downstream: what was asked of the client (`TLSServer.clientPolicy`).
    var clientPolicy: UInt64 = 0
    /// Downstream: what the client's certificate says; empty: it showed none.
    var certificate = Buffer()
    var certificateEnds = ClientCertificate.Ends()
    /// What both sides agreed to speak.
    var agreed = TLSProtocol.none
    /// Upstream: of the name that was asked for, where requests decide it; 0: the configuration does.
    var nameHash: UInt64 = 0
    /// Upstream: its session was put aside for the next connection.
    var sessionKept = false
    /// The peer said that it will send no more, behind bytes that were handed on.
    var hasEnded = false
    /// Nothing that comes can be believed any more.
    var isBroken = false
    /// Why; `other` until then.
    var failure = TLSFailure.other

    init(_ stream: TLSStream) { self.stream = stream }

    /// A part of what the client's certificate says; empty also without one.
    func client(_ part: ClientCertificate.Part) -> ByteView {
        certificate.isEmpty
            ? .empty : certificateEnds.part(part, of: ByteView(certificate.bytes, certificate.count))
    }
}

extension Worker {
    /// Gives a connection its TLS.
    mutating func attach(_ own: UnsafeMutablePointer<Connection>, _ stream: TLSStream) {
        tlsCount &+= 1
        noteHeapPeak()
        let state = UnsafeMutablePointer<TLSState>.allocate(capacity: 1)
        state.initialize(to: TLSState(stream))
        own.pointee.tls = state
    }

    /// Takes a connection's TLS away; says goodbye first where the peer would otherwise have to take the
    /// end for a broken one.
    mutating func detachTLS(_ own: UnsafeMutablePointer<Connection>) {
        guard let state = own.pointee.tls else { return }
        if own.pointee.transport == .tls {
            if own.pointee.side == .upstream { keepSession(own) }
            if own.pointee.flags.isDisjoint(with: [.writeShut, .aborted, .writeFailed]) { sayGoodbye(own) }
        }
        tlsCount &-= 1
        state.pointee.stream.free()
        buffers.release(&state.pointee.leftover)
        buffers.release(&state.pointee.certificate)
        state.deallocate()
        own.pointee.tls = nil
    }

    // MARK: reading

    mutating func receiveTLS(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> IOResult {
        let state = own.pointee.tls.unsafelyUnwrapped
        own.pointee.flags.remove(.moreAtHand)
        if state.pointee.isBroken { return .failed(EPROTO) }
        if state.pointee.hasEnded { return .end }
        var got = 0
        var socketHasMore = true
        var reads = 0
        var held = state.pointee.leftover
        state.pointee.leftover = Buffer()
        defer { buffers.release(&held) }
        pipe.feed(held.isEmpty ? UnsafePointer(cipherSpace) : UnsafePointer(held.bytes), held.count)
        if held.isEmpty, !state.pointee.stream.hasPending {
            if let end = feed(own, &socketHasMore) { return end }
        }
        while true {
            let end = state.pointee.stream.read(bytes, room, &got)
            if !pipe.output.isEmpty, !sendPipe(own) { return .failed(EPIPE) }
            switch end {
            case .full:
                putBack(state)
                own.pointee.flags.insert(.moreAtHand)
                return .bytes(got)
            case .wantsRoom: continue
            case .wantsInput:
                if got > 0 {
                    if socketHasMore { own.pointee.flags.insert(.moreAtHand) }
                    return .bytes(got)
                }
                if !socketHasMore { return .wouldBlock }
                reads &+= 1
                if reads > Limits.tlsReadsWithoutData { return broken(own, .other) }
                if let end = self.feed(own, &socketHasMore) { return end }
            case .closed:
                // With bytes before it, the end comes with the next call.
                state.pointee.hasEnded = true
                if got == 0 { return .end }
                own.pointee.flags.insert(.moreAtHand)
                return .bytes(got)
            case .failed(let why):
                _ = broken(own, why)
                if got == 0 { return .failed(EPROTO) }
                own.pointee.flags.insert(.moreAtHand)
                return .bytes(got)
            }
        }
    }

    private func broken(_ own: UnsafeMutablePointer<Connection>, _ why: TLSFailure) -> IOResult {
        own.pointee.tls?.pointee.isBroken = true
        own.pointee.tls?.pointee.failure = why
        return .failed(EPROTO)
    }

    /// One recv(2) for the pipe; what it came to, unless bytes came.
    private mutating func feed(
        _ own: UnsafeMutablePointer<Connection>, _ socketHasMore: inout Bool
    ) -> IOResult? {
        switch Syscalls.receive(own.pointee.fd, cipherSpace, Limits.tlsReadBytes) {
        case .bytes(let count):
            pipe.feed(cipherSpace, count)
            socketHasMore = count == Limits.tlsReadBytes || own.pointee.flags.contains(.peerClosing)
            return nil
        case .wouldBlock: return .wouldBlock
        case .end: return endWithoutGoodbye(own)
        case .failed(let code): return .failed(code)
        }
    }

    /// The socket ended and the peer did not say so inside TLS: anybody on the way could have done that.
    /// Requests tell their own end, so a client that simply goes is no attack; a tunnel's bytes and a
    /// response's might not.
    private func endWithoutGoodbye(_ own: UnsafeMutablePointer<Connection>) -> IOResult {
        let number = own.pointee.exchange
        if own.pointee.side == .downstream, number == noSlot || exchange(number).pointee.step != .tunnel {
            return .end
        }
        return .failed(ECONNRESET)
    }

    /// Keeps ciphertext that there was no room to decrypt.
    private mutating func putBack(_ state: UnsafeMutablePointer<TLSState>) {
        let rest = pipe.unread
        if !rest.isEmpty { buffers.append(&state.pointee.leftover, rest) }
    }

    // MARK: writing

    /// Takes all: what the socket does not, waits encrypted.
    mutating func transmitTLS(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> IOResult {
        let isSent = encrypt(own, bytes, count) && sendPipe(own)
        return isSent ? .bytes(count) : .failed(EPIPE)
    }

    mutating func transmitTLS(
        _ own: UnsafeMutablePointer<Connection>, _ first: UnsafePointer<UInt8>, _ firstCount: Int,
        _ second: UnsafePointer<UInt8>, _ secondCount: Int
    ) -> IOResult {
        let isSent = encrypt(own, first, firstCount) && encrypt(own, second, secondCount) && sendPipe(own)
        return isSent ? .bytes(firstCount + secondCount) : .failed(EPIPE)
    }

    /// Encrypts into the pipe, which is emptied whenever it is full.
    private mutating func encrypt(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> Bool {
        let stream = own.pointee.tls.unsafelyUnwrapped.pointee.stream
        var done = 0
        while true {
            let taken = stream.write(bytes + done, count &- done)
            if taken < 0 {
                pipe.clearOutput()
                return false
            }
            done &+= taken
            if done == count { return true }
            if !sendPipe(own) { return false }
        }
    }

    /// Sends the pipe's output, or keeps what the socket does not take. False: it takes nothing any more.
    mutating func sendPipe(_ own: UnsafeMutablePointer<Connection>) -> Bool {
        let output = pipe.output
        if output.isEmpty { return true }
        pipe.clearOutput()
        if !own.pointee.output.isEmpty {
            // A peer that makes us answer and does not read its answers.
            if own.pointee.output.count > 2 * Limits.pendingBytes { return false }
            buffers.append(&own.pointee.output, output)
            return true
        }
        switch Syscalls.send(own.pointee.fd, output.start, output.count) {
        case .bytes(let sent):
            if sent < output.count {
                buffers.append(&own.pointee.output, output.slice(sent, output.count))
            }
        case .wouldBlock: buffers.append(&own.pointee.output, output)
        case .end, .failed: return false
        }
        return true
    }

    /// close_notify (RFC 8446 6.1): what was sent is whole.
    mutating func sayGoodbye(_ own: UnsafeMutablePointer<Connection>) {
        guard let state = own.pointee.tls, !state.pointee.isBroken else { return }
        state.pointee.stream.sayGoodbye()
        if !sendPipe(own) { own.pointee.flags.insert(.writeFailed) }
    }
}
