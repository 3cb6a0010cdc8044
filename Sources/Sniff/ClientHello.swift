// What a TLS client says in the clear before anything is encrypted: the server name it wants (SNI, RFC 6066
// 3) and the protocols it speaks (ALPN, RFC 7301), out of a ClientHello that may be cut into records as it
// likes (RFC 8446 5.1). Nothing is decrypted, nothing is answered, no byte is taken away.
public import Base
internal import CLinux

public enum ClientHelloError: UInt8, Sendable, BitwiseCopyable {
    /// Lengths that do not add up, a second server name, a name that is none.
    case malformed
    /// More than `Limits.clientHelloBytes`.
    case tooLong
}

public enum ClientHelloResult {
    /// At least so many bytes in all before it is worth asking again.
    case needMore(Int)
    case complete(ClientHello)
    /// Not the beginning of a TLS connection.
    case notTLS
    case refused(ClientHelloError)
}

public struct ClientHello: BitwiseCopyable {
    /// Lower case, without a final dot; empty: none was given. In the room given to `read`.
    public var serverName: ByteView = .empty
    /// The names of ALPN, each behind a byte with its length, in the client's order; empty: none. Names past
    /// `Limits.applicationProtocolBytes` are left out.
    public var protocols: ByteView = .empty

    /// Bytes that `read` may write.
    public static var roomBytes: Int { Limits.serverNameBytes + 1 + Limits.applicationProtocolBytes }

    /// Whether ALPN lists a protocol.
    public func offers(_ name: ByteView) -> Bool {
        var at = 0
        while at < protocols.count {
            let end = at + 1 + Int(protocols[at])
            if protocols.slice(at + 1, end).equals(name) { return true }
            at = end
        }
        return false
    }

    /// Reads the first bytes of a connection, from their beginning each time. `room`: `roomBytes` bytes,
    /// where what is found is put together; they must stay as long as the result is used.
    public static func read(_ bytes: ByteView, _ room: UnsafeMutablePointer<UInt8>) -> ClientHelloResult {
        var reader = ClientHelloReader(bytes, room)
        reader.read()
        switch reader.end {
        case .none: return .complete(reader.hello)
        case .short:
            if bytes.count >= Limits.clientHelloBytes { return .refused(.tooLong) }
            return .needMore(min(reader.need, Limits.clientHelloBytes))
        case .tooLong: return .refused(.tooLong)
        case .notTLS: return .notTLS
        case .malformed: return .refused(.malformed)
        }
    }
}

/// Walks a ClientHello (RFC 8446 4.1.2) across record boundaries. After the first failure every read is a
/// zero, so that no step needs to look.
private struct ClientHelloReader {
    enum End { case none, short, notTLS, malformed, tooLong }

    private let bytes: ByteView
    private let room: UnsafeMutablePointer<UInt8>
    private var at = 0
    /// Bytes of the current record that are left.
    private var inRecord = 0
    /// Bytes of the message that are left.
    private var inMessage = 0
    private(set) var end = End.none
    private(set) var need = 0
    private(set) var hello = ClientHello()

    init(_ bytes: ByteView, _ room: UnsafeMutablePointer<UInt8>) {
        self.bytes = bytes.slice(0, min(bytes.count, Limits.clientHelloBytes))
        self.room = room
    }

    mutating func read() {
        inMessage = 4
        if byte() != 1, end == .none { end = .notTLS }
        let length = number(3)
        if end == .none, length > Limits.clientHelloBytes { end = .tooLong }
        inMessage = length
        skip(2 + 32)
        skip(vector(1, most: 32))
        skip(vector(2, most: .max))
        skip(vector(1, most: .max))
        // Extensions may be missing altogether (RFC 5246 7.4.1.4).
        if inMessage > 0 { readExtensions() }
        if inMessage != 0 { fail() }
    }

    private mutating func readExtensions() {
        var left = vector(2, most: .max)
        if left != inMessage { fail() }
        var seen = (name: false, protocols: false)
        while left > 0, end == .none {
            let kind = number(2)
            let length = vector(2, most: left - 4)
            left -= 4 + length
            switch kind {
            case 0:
                if seen.name { fail() }
                seen.name = true
                readServerName(length)
            case 16:
                if seen.protocols { fail() }
                seen.protocols = true
                readProtocols(length)
            default: skip(length)
            }
        }
        if left != 0 { fail() }
    }

    /// RFC 6066 3: a list of names, of which only the type host_name is defined, once.
    private mutating func readServerName(_ length: Int) {
        var left = vector(2, most: length - 2)
        if left != length - 2 || left == 0 { fail() }
        while left > 0, end == .none {
            let kind = byte()
            let count = vector(2, most: left - 3)
            left -= 3 + count
            guard kind == 0 else {
                skip(count)
                continue
            }
            if count == 0 || count > Limits.serverNameBytes || !hello.serverName.isEmpty { fail() }
            var index = 0
            while index < count, end == .none {
                room[index] = asciiLower(byte())
                index += 1
                if end == .none, fl_skip_host(room + index - 1, room + index) != room + index { fail() }
            }
            guard end == .none else { return }
            // Documents have no final dot, some clients do.
            if count > 1, room[count - 1] == 0x2E { index -= 1 }
            hello.serverName = ByteView(room, index)
        }
        if left != 0 { fail() }
    }

    /// RFC 7301 3.1: a list of names of one byte at least.
    private mutating func readProtocols(_ length: Int) {
        var left = vector(2, most: length - 2)
        if left != length - 2 || left < 2 { fail() }
        let place = room + Limits.serverNameBytes + 1
        var kept = 0
        while left > 0, end == .none {
            let count = Int(byte())
            if count == 0 || count > left - 1 { fail() }
            left -= 1 + count
            if kept + 1 + count > Limits.applicationProtocolBytes {
                skip(count)
                continue
            }
            place[kept] = UInt8(truncatingIfNeeded: count)
            var index = 0
            while index < count, end == .none {
                place[kept + 1 + index] = byte()
                index += 1
            }
            kept += 1 + count
        }
        if end == .none { hello.protocols = ByteView(place, kept) }
    }

    // MARK: pieces

    private mutating func fail() {
        if end == .none { end = .malformed }
    }

    /// Asking before the rest of the record is there is of no use.
    private mutating func runShort() {
        need = at + max(1, min(inRecord, inMessage))
        end = .short
    }

    private mutating func byte() -> UInt8 {
        if inMessage == 0 { fail() }
        if end == .none, inRecord == 0 { readRecordHeader() }
        guard end == .none else { return 0 }
        guard at < bytes.count else {
            runShort()
            return 0
        }
        let value = bytes[at]
        at += 1
        inRecord -= 1
        inMessage -= 1
        return value
    }

    private mutating func number(_ count: Int) -> Int {
        var value = 0
        for _ in 0..<count { value = value << 8 | Int(byte()) }
        return value
    }

    /// A length that must fit into what is left of the message, and into `most`.
    private mutating func vector(_ count: Int, most: Int) -> Int {
        let length = number(count)
        if length > most || length > inMessage { fail() }
        return end == .none ? length : 0
    }

    private mutating func skip(_ count: Int) {
        if count > inMessage { fail() }
        var left = count
        while left > 0, end == .none {
            if inRecord == 0 { readRecordHeader() }
            guard end == .none else { return }
            let step = min(left, inRecord, bytes.count - at)
            if step == 0 { return runShort() }
            at += step
            inRecord -= step
            inMessage -= step
            left -= step
        }
    }

    /// `type(22) version(3.x) length(1...2^14)`. The first one tells whether this is TLS at all.
    private mutating func readRecordHeader() {
        let isFirst = at == 0
        let known = min(5, bytes.count - at)
        let isRecord = (known < 1 || bytes[at] == 0x16) && (known < 2 || bytes[at + 1] == 0x03)
        let length = known == 5 ? Int(bytes[at + 3]) << 8 | Int(bytes[at + 4]) : 1
        if !isRecord || length == 0 || length > 16_384 {
            end = isFirst ? .notTLS : .malformed
        } else if known < 5 {
            // Byte by byte: another protocol shows itself before it has sent five.
            need = bytes.count + 1
            end = .short
        } else {
            at += 5
            inRecord = length
        }
    }
}
