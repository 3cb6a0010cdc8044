// What carries a connection's bytes. Everything above deals in plain bytes, would-block and end; here is the
// one place that knows whether they pass through something on their way to the socket.
internal import Loop

enum Transport: UInt8, BitwiseCopyable {
    /// The socket itself.
    case plain
    /// TLS whose handshake is not over.
    case handshake
    /// TLS. `output` holds ciphertext then.
    case tls
    /// One stream of an HTTP/2 connection, by its session (Streams.swift).
    case stream
    /// Nothing: a script made the request and reads the response (ScriptCalls.swift).
    case call

    /// The slot is no socket's.
    var isVirtual: Bool { rawValue >= Transport.stream.rawValue }
}

extension Worker {
    /// Reads at most `room` bytes of what the peer sent. Fewer than `room` mean that no more is at hand,
    /// unless `moreAtHand` is set.
    @inline(__always)
    mutating func receive(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> IOResult {
        if own.pointee.transport == .plain { return Syscalls.receive(own.pointee.fd, bytes, room) }
        return receiveThrough(own, bytes, room)
    }

    private mutating func receiveThrough(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> IOResult {
        switch own.pointee.transport {
        case .plain: Syscalls.receive(own.pointee.fd, bytes, room)
        case .stream: receiveFromStream(own, bytes, room)
        case .call: .wouldBlock
        case .handshake: receiveHandshake(own, bytes, room)
        case .tls: receiveTLS(own, bytes, room)
        }
    }

    /// Hands over as much as is taken now. Fewer bytes than given mean that a writable event will follow.
    @inline(__always)
    mutating func transmit(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> IOResult {
        if own.pointee.transport == .plain { return Syscalls.send(own.pointee.fd, bytes, count) }
        return transmitThrough(own, bytes, count)
    }

    private mutating func transmitThrough(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> IOResult {
        switch own.pointee.transport {
        case .plain: Syscalls.send(own.pointee.fd, bytes, count)
        case .stream: transmitToStream(own)
        case .handshake, .call: .failed(0)
        case .tls: transmitTLS(own, bytes, count)
        }
    }

    /// Two pieces, in one call where that is possible.
    @inline(__always)
    mutating func transmit(
        _ own: UnsafeMutablePointer<Connection>, _ first: UnsafePointer<UInt8>, _ firstCount: Int,
        _ second: UnsafePointer<UInt8>, _ secondCount: Int
    ) -> IOResult {
        switch own.pointee.transport {
        case .plain: Syscalls.send(own.pointee.fd, first, firstCount, second, secondCount)
        case .stream: transmitToStream(own)
        case .handshake, .call: .failed(0)
        case .tls: transmitTLS(own, first, firstCount, second, secondCount)
        }
    }

    /// Keeps bytes in `output`, behind what waits there, until the socket takes them.
    mutating func hold(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    ) -> IOResult {
        switch own.pointee.transport {
        case .plain, .stream:
            buffers.append(&own.pointee.output, bytes, count)
            return .bytes(count)
        case .handshake, .tls, .call: return transmit(own, bytes, count)
        }
    }

    /// Hands over what `hold` kept.
    @inline(__always)
    mutating func transmitHeld(_ own: UnsafeMutablePointer<Connection>) -> IOResult {
        if own.pointee.transport == .stream { return transmitToStream(own) }
        return Syscalls.send(own.pointee.fd, own.pointee.output.bytes, own.pointee.output.count)
    }

    /// Tells the peer that no more will come; what it sends is still read.
    mutating func endTransmission(_ own: UnsafeMutablePointer<Connection>) {
        if own.pointee.transport == .stream {
            own.pointee.flags.insert(.writeShut)
            endStream(own)
            return
        }
        if own.pointee.flags.contains(.writeShut) { return }
        if own.pointee.transport == .tls { sayGoodbye(own) }
        own.pointee.flags.insert(.writeShut)
        // Else `flush` does it when our last word is out.
        if own.pointee.output.isEmpty { Syscalls.shutdownWrite(own.pointee.fd) }
    }

    /// Makes the coming close tell the peer that what it has is not whole.
    func abortTransmission(_ own: UnsafeMutablePointer<Connection>) {
        // A stream that is released before its end is reset.
        if own.pointee.transport == .stream { return }
        own.pointee.flags.insert(.aborted)
        Syscalls.resetOnClose(own.pointee.fd)
    }
}
