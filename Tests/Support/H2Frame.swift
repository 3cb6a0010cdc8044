// HTTP/2 frames (RFC 9113 4, 6), right and wrong ones: each field is what the test says, whatever it ought
// to be.

package struct H2Frame: Sendable, Equatable, CustomStringConvertible {
    package var type: UInt8
    package var flags: UInt8
    package var stream: UInt32
    package var payload: [UInt8]
    /// What the length field says, where that is to be a lie.
    package var statedLength: Int?

    package init(
        type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = [], statedLength: Int? = nil
    ) {
        self.type = type
        self.flags = flags
        self.stream = stream
        self.payload = payload
        self.statedLength = statedLength
    }

    package enum Kind {
        package static let data: UInt8 = 0
        package static let headers: UInt8 = 1
        package static let priority: UInt8 = 2
        package static let reset: UInt8 = 3
        package static let settings: UInt8 = 4
        package static let pushPromise: UInt8 = 5
        package static let ping: UInt8 = 6
        package static let goaway: UInt8 = 7
        package static let windowUpdate: UInt8 = 8
        package static let continuation: UInt8 = 9
    }

    package enum Flag {
        /// END_STREAM; on SETTINGS and PING it is ACK.
        package static let end: UInt8 = 0x1
        package static let ack: UInt8 = 0x1
        package static let endHeaders: UInt8 = 0x4
        package static let padded: UInt8 = 0x8
        package static let priority: UInt8 = 0x20
    }

    package var isEnd: Bool { (type == Kind.data || type == Kind.headers) && flags & Flag.end != 0 }
    package var isAck: Bool { flags & Flag.ack != 0 }

    /// As it goes over the wire.
    package var bytes: [UInt8] {
        let length = UInt32(statedLength ?? payload.count)
        return Array(be32(length).dropFirst()) + [type, flags] + be32(stream) + payload
    }

    /// The error code of RST_STREAM and GOAWAY.
    package var errorCode: H2Code? {
        let at = type == Kind.reset ? 0 : 4
        guard type == Kind.reset || type == Kind.goaway, payload.count >= at + 4 else { return nil }
        return H2Code(be32(payload[at..<at + 4]))
    }

    /// SETTINGS as pairs.
    package var settings: [(id: UInt16, value: UInt32)] {
        stride(from: 0, to: payload.count - payload.count % 6, by: 6).map { at in
            let id = UInt16(payload[at]) << 8 | UInt16(payload[at + 1])
            return (id, be32(payload[at + 2..<at + 6]))
        }
    }

    package var description: String {
        let names = [
            "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
            "WINDOW_UPDATE", "CONTINUATION",
        ]
        let name = Int(type) < names.count ? names[Int(type)] : "type \(type)"
        let code = errorCode.map { " \($0)" } ?? ""
        return "\(name)\(code) flags \(flags) stream \(stream) of \(payload.count) bytes"
    }
}

/// An error code (RFC 9113 7).
package struct H2Code: Sendable, Hashable, CustomStringConvertible {
    package let value: UInt32
    package init(_ value: UInt32) { self.value = value }

    package static let none = H2Code(0)
    package static let protocolError = H2Code(1)
    package static let internalError = H2Code(2)
    package static let flowControl = H2Code(3)
    package static let streamClosed = H2Code(5)
    package static let frameSize = H2Code(6)
    package static let refused = H2Code(7)
    package static let cancel = H2Code(8)
    package static let compression = H2Code(9)
    package static let calm = H2Code(11)

    package var description: String {
        let names = [
            "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
            "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
            "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
        ]
        return value < UInt32(names.count) ? names[Int(value)] : "error \(value)"
    }
}

/// A number of four bytes, the highest first.
func be32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var value: UInt32 = 0
    for byte in bytes { value = value << 8 | UInt32(byte) }
    return value
}

func be32(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
}

// MARK: the frames there are

extension H2Frame {
    package static func settings(_ pairs: [(UInt16, UInt32)] = []) -> H2Frame {
        H2Frame(type: Kind.settings, pairs.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + be32($0.1) })
    }

    package static let settingsAck = H2Frame(type: Kind.settings, flags: Flag.ack)

    package static func ping(_ text: String = "fairlead", ack: Bool = false) -> H2Frame {
        H2Frame(type: Kind.ping, flags: ack ? Flag.ack : 0, Array(text.utf8))
    }

    /// `pad`: bytes of padding.
    package static func data(
        _ stream: UInt32, _ bytes: [UInt8] = [], end: Bool = false, pad: Int? = nil
    ) -> H2Frame {
        let padding = [UInt8](repeating: 0, count: pad ?? 0)
        return H2Frame(
            type: Kind.data, flags: (end ? Flag.end : 0) | (pad == nil ? 0 : Flag.padded), stream: stream,
            (pad.map { [UInt8($0)] } ?? []) + bytes + padding)
    }

    package static func data(_ stream: UInt32, _ text: String, end: Bool = false) -> H2Frame {
        data(stream, Array(text.utf8), end: end)
    }

    package static func headers(
        _ stream: UInt32, _ block: [UInt8], end: Bool = true, endHeaders: Bool = true, pad: Int? = nil,
        priority: (dependsOn: UInt32, exclusive: Bool, weight: UInt8)? = nil
    ) -> H2Frame {
        var flags: UInt8 = (end ? Flag.end : 0) | (endHeaders ? Flag.endHeaders : 0)
        var payload: [UInt8] = []
        if let pad {
            flags |= Flag.padded
            payload.append(UInt8(pad))
        }
        if let priority {
            flags |= Flag.priority
            payload += be32(priority.dependsOn | (priority.exclusive ? 1 << 31 : 0)) + [priority.weight]
        }
        payload += block + [UInt8](repeating: 0, count: pad ?? 0)
        return H2Frame(type: Kind.headers, flags: flags, stream: stream, payload)
    }

    package static func continuation(_ stream: UInt32, _ block: [UInt8], endHeaders: Bool = true) -> H2Frame {
        H2Frame(
            type: Kind.continuation, flags: endHeaders ? Flag.endHeaders : 0, stream: stream, block)
    }

    package static func priority(
        _ stream: UInt32, dependsOn: UInt32 = 0, exclusive: Bool = false, weight: UInt8 = 15
    ) -> H2Frame {
        H2Frame(
            type: Kind.priority, stream: stream,
            be32(dependsOn | (exclusive ? 1 << 31 : 0)) + [weight])
    }

    package static func reset(_ stream: UInt32, _ code: H2Code = .cancel) -> H2Frame {
        H2Frame(type: Kind.reset, stream: stream, be32(code.value))
    }

    package static func goaway(last: UInt32 = 0, _ code: H2Code = .none) -> H2Frame {
        H2Frame(type: Kind.goaway, be32(last) + be32(code.value))
    }

    package static func windowUpdate(_ stream: UInt32, _ increment: UInt32) -> H2Frame {
        H2Frame(type: Kind.windowUpdate, stream: stream, be32(increment))
    }

    package static func pushPromise(_ stream: UInt32, promised: UInt32, _ block: [UInt8]) -> H2Frame {
        H2Frame(
            type: Kind.pushPromise, flags: Flag.endHeaders, stream: stream, be32(promised) + block)
    }
}

/// Identifiers of SETTINGS (RFC 9113 6.5.2, RFC 8441 3).
package enum H2Setting {
    package static let headerTableSize: UInt16 = 1
    package static let enablePush: UInt16 = 2
    package static let maxConcurrentStreams: UInt16 = 3
    package static let initialWindowSize: UInt16 = 4
    package static let maxFrameSize: UInt16 = 5
    package static let maxHeaderListSize: UInt16 = 6
    package static let enableConnectProtocol: UInt16 = 8
}
