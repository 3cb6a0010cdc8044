// Decodes the chunked transfer coding (RFC 9112 7.1) in place, at any split of its input. Strict: sizes are
// hex digits only, lines end with CRLF, extensions and trailers are checked, bounded and dropped. What is
// decoded is framed anew for the other side, so no reading of a strange chunk can survive the proxy.
internal import Base
internal import CLinux

public struct ChunkedDecoder: BitwiseCopyable {
    @usableFromInline enum State: UInt8, BitwiseCopyable {
        case size, `extension`, sizeLineFeed, data, dataCarriageReturn, dataLineFeed
        case trailerStart, trailerName, trailerValue, trailerLineFeed, lastLineFeed, done
        /// Something was malformed: nothing that follows is believed.
        case bad
    }

    public enum Status: UInt8, Sendable, BitwiseCopyable {
        case more, done, bad
    }

    /// What one call did: `consumed` input bytes became `produced` body bytes at the start of the buffer.
    public struct Step {
        public var consumed: Int
        public var produced: Int
        public var status: Status
    }

    @usableFromInline var remaining: UInt64 = 0
    @usableFromInline var state = State.size
    @usableFromInline var digits: UInt8 = 0
    @usableFromInline var lineBytes: UInt16 = 0

    @inlinable
    public init() {}

    public var isDone: Bool { state == .done }
    /// A trailer section with a line in it came.
    public internal(set) var hasTrailers = false

    /// Decodes `count` bytes at `bytes`; body bytes move to the front. After `done`, bytes past `consumed`
    /// belong to the next message.
    public mutating func decode(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Step {
        if state == .done { return Step(consumed: 0, produced: 0, status: .done) }
        var from = 0
        var to = 0
        while from < count {
            if state == .data {
                let available = count &- from
                let take = remaining < UInt64(available) ? Int(remaining) : available
                if from != to { memmove(bytes + to, bytes + from, take) }
                from &+= take
                to &+= take
                remaining &-= UInt64(take)
                if remaining == 0 { state = .dataCarriageReturn }
                continue
            }
            let byte = bytes[from]
            from &+= 1
            if !advance(byte) {
                state = .bad
                return Step(consumed: from, produced: to, status: .bad)
            }
            if state == .done { return Step(consumed: from, produced: to, status: .done) }
        }
        return Step(consumed: from, produced: to, status: state == .bad ? .bad : .more)
    }

    /// One byte outside chunk data; false: malformed.
    private mutating func advance(_ byte: UInt8) -> Bool {
        switch state {
        case .size: return size(byte)
        case .extension: return extensionByte(byte)
        case .sizeLineFeed:
            state = remaining == 0 ? .trailerStart : .data
            lineBytes = 0
            return byte == 0x0A
        case .dataCarriageReturn:
            state = .dataLineFeed
            return byte == 0x0D
        case .dataLineFeed:
            state = .size
            digits = 0
            lineBytes = 0
            return byte == 0x0A
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed: return trailer(byte)
        case .lastLineFeed:
            state = .done
            return byte == 0x0A
        case .data, .done, .bad: return false
        }
    }

    private mutating func size(_ byte: UInt8) -> Bool {
        let digit: UInt8
        switch byte {
        case 0x30...0x39: digit = byte - 0x30
        case 0x41...0x46: digit = byte - 0x41 + 10
        case 0x61...0x66: digit = byte - 0x61 + 10
        case 0x0D where digits > 0:
            state = .sizeLineFeed
            return true
        case 0x3B where digits > 0:
            state = .extension
            return true
        default: return false
        }
        // 15 digits: under 2^60, so sums of sizes cannot overflow in one connection's life.
        if digits == 15 { return false }
        digits += 1
        remaining = remaining << 4 | UInt64(digit)
        return true
    }

    private mutating func extensionByte(_ byte: UInt8) -> Bool {
        if byte == 0x0D {
            state = .sizeLineFeed
            return true
        }
        lineBytes += 1
        if Int(lineBytes) > Limits.chunkLineBytes { return false }
        return (byte >= 0x20 || byte == 0x09) && byte != 0x7F
    }

    private mutating func trailer(_ byte: UInt8) -> Bool {
        lineBytes += 1
        if Int(lineBytes) > Limits.trailerBytes { return false }
        switch state {
        case .trailerStart:
            if byte == 0x0D {
                state = .lastLineFeed
                return true
            }
            state = .trailerName
            hasTrailers = true
            return fl_is_token(byte) != 0
        case .trailerName:
            if byte == 0x3A {
                state = .trailerValue
                return true
            }
            return fl_is_token(byte) != 0
        case .trailerValue:
            if byte == 0x0D {
                state = .trailerLineFeed
                return true
            }
            return (byte >= 0x20 || byte == 0x09) && byte != 0x7F
        default:
            state = .trailerStart
            return byte == 0x0A
        }
    }
}
