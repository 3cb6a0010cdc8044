// zlib's states, one for each response that is being compressed, from a pool: making one costs 128 KiB of
// cleared memory, resetting one nearly nothing.
internal import Base
internal import CZlib
internal import HTTP

struct Compressors {
    /// What one call came to.
    struct Step {
        var consumed: Int
        var produced: Int
        /// Everything that was to come out is out.
        var isDone: Bool
    }

    /// Speed over size: three quarters of what level 9 saves, at a fifth of its time.
    private static let level: Int32 = 4
    /// A window of 16 KiB and hash tables to match: half of zlib's usual memory, for one or two percent of
    /// size.
    private static let windowBits: Int32 = 14
    private static let memoryLevel: Int32 = 7

    /// By number; zlib keeps pointers to its streams, so each stays where it is. nil: a number to be used
    /// again.
    private var streams: [UnsafeMutablePointer<z_stream>?] = []
    private var codings: [ContentCoding] = []
    private var vacant: [UInt32] = []
    /// States that wait for their next response, by coding.
    private var idleGzip: [UInt32] = []
    private var idleDeflate: [UInt32] = []
    private(set) var inUse = 0

    /// A state of a new body; nil when there are `Limits.compressors` at work, or no memory.
    mutating func take(_ coding: ContentCoding) -> UInt32? {
        guard inUse < Limits.compressors else { return nil }
        let idle = coding == .gzip ? idleGzip.popLast() : idleDeflate.popLast()
        if let idle {
            inUse += 1
            return idle
        }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // RFC 9110 8.4.1.2: `deflate` is the zlib format.
        let bits = coding == .gzip ? Self.windowBits + 16 : Self.windowBits
        guard fl_deflate_init(stream, Self.level, bits, Self.memoryLevel) == Z_OK else {
            stream.deallocate()
            return nil
        }
        inUse += 1
        if let number = vacant.popLast() {
            streams[Int(number)] = stream
            codings[Int(number)] = coding
            return number
        }
        streams.append(stream)
        codings.append(coding)
        return UInt32(streams.count - 1)
    }

    /// The body is over, or nobody wants it any more.
    mutating func giveBack(_ number: UInt32) {
        guard let stream = streams[Int(number)] else { return }
        inUse -= 1
        let isGzip = codings[Int(number)] == .gzip
        if (isGzip ? idleGzip : idleDeflate).count < Limits.idleCompressors, deflateReset(stream) == Z_OK {
            if isGzip { idleGzip.append(number) } else { idleDeflate.append(number) }
            return
        }
        deflateEnd(stream)
        stream.deallocate()
        streams[Int(number)] = nil
        vacant.append(number)
    }

    /// Compresses what there is room for. All of a piece comes out with the piece, so that nothing waits here
    /// for more to come; `last` ends the body.
    func compress(
        _ number: UInt32, _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, last: Bool,
        to out: UnsafeMutablePointer<UInt8>, _ room: Int
    ) -> Step {
        guard let stream = streams[Int(number)] else {
            return Step(consumed: count, produced: 0, isDone: true)
        }
        stream.pointee.next_in = bytes
        stream.pointee.avail_in = UInt32(truncatingIfNeeded: count)
        stream.pointee.next_out = out
        stream.pointee.avail_out = UInt32(truncatingIfNeeded: room)
        _ = deflate(stream, last ? Z_FINISH : Z_SYNC_FLUSH)
        let left = Int(stream.pointee.avail_out)
        return Step(
            consumed: count - Int(stream.pointee.avail_in), produced: room - left, isDone: left > 0)
    }

    /// Frees every state; the pool must not be used afterwards.
    func deallocate() {
        for stream in streams {
            guard let stream else { continue }
            deflateEnd(stream)
            stream.deallocate()
        }
    }
}
