// What carries a connection's bytes. Everything above deals in plain bytes, would-block and end; here is the
// one place that knows whether they pass through something on their way to the socket.
internal import Base
internal import Loop

enum Transport: UInt8, BitwiseCopyable {
    /// The socket itself.
    case plain
    /// One stream of an HTTP/2 connection, by its session (Streams.swift).
    case stream
}

extension Worker {
    /// Reads at most `room` bytes of what the peer sent. Fewer than `room` mean that no more is at hand.
    @inline(__always)
    mutating func receive(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutablePointer<UInt8>, _ room: Int
    )
        -> IOResult
    {
        switch own.pointee.transport {
        case .plain: Syscalls.receive(own.pointee.fd, bytes, room)
        case .stream: receiveFromStream(own, bytes, room)
        }
    }

    /// Hands over as much as is taken now. Fewer bytes than given mean that a writable event will follow.
    @inline(__always)
    mutating func transmit(
        _ own: UnsafeMutablePointer<Connection>, _ bytes: UnsafePointer<UInt8>, _ count: Int
    )
        -> IOResult
    {
        switch own.pointee.transport {
        case .plain: Syscalls.send(own.pointee.fd, bytes, count)
        case .stream: transmitToStream(own)
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
        }
    }

    /// Tells the peer that no more will come; what it sends is still read.
    func endTransmission(_ own: UnsafeMutablePointer<Connection>) {
        own.pointee.flags.insert(.writeShut)
        switch own.pointee.transport {
        case .plain: Syscalls.shutdownWrite(own.pointee.fd)
        case .stream: endStream(own)
        }
    }

    /// Makes the coming close tell the peer that what it has is not whole.
    func abortTransmission(_ own: UnsafeMutablePointer<Connection>) {
        switch own.pointee.transport {
        case .plain: Syscalls.resetOnClose(own.pointee.fd)
        // A stream that is released before its end is reset.
        case .stream: break
        }
    }
}
