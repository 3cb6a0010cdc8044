// Where frames begin in what a client sends. nghttp2 tells nothing of DATA and WINDOW_UPDATE for streams it
// has forgotten; to see the former, input is cut in front of each DATA frame, when everything before it has
// been dealt with, and of the latter those that open nothing are found.

struct H2FrameScan: BitwiseCopyable {
    /// Bytes of the frame under way, or of the client's preface, that are still to come.
    private var left = 24
    /// The part of a frame's header that has come, as a big-endian number of `have` bytes; what is too high
    /// falls out, which leaves type and stream.
    private var header: UInt64 = 0
    private var length = 0
    private var have = 0
    /// The stream of the WINDOW_UPDATE under way (0: another frame is), and what came of its increment.
    private var opened: Int32 = 0
    private var increment: UInt32 = 0

    init() {}

    /// Reads on to the end of the next frame header; nil: there is none in these bytes.
    private mutating func nextHeader(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int
    ) -> (start: Int, type: UInt8, stream: Int32)? {
        while at < count {
            if left > 0 {
                let step = min(left, count - at)
                left -= step
                at += step
                continue
            }
            let start = at
            while at < count, have < 9 {
                header = header << 8 | UInt64(bytes[at])
                if have == 2 { length = Int(header & 0xFF_FFFF) }
                have += 1
                at += 1
            }
            if have < 9 { return nil }
            have = 0
            left = length
            return (
                start, UInt8(truncatingIfNeeded: header >> 40),
                Int32(truncatingIfNeeded: header & 0x7FFF_FFFF)
            )
        }
        return nil
    }

    /// The stream of a DATA frame that the bytes begin with (0: none), and how many bytes come before the
    /// next one.
    func beforeData(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> (stream: Int32, count: Int) {
        var scan = self
        var at = 0
        var first: Int32 = 0
        while let header = scan.nextHeader(bytes, count, &at) {
            if header.type != 0 { continue }
            if header.start > 0 { return (first, header.start) }
            first = header.stream
        }
        return (first, count)
    }

    /// The bytes were used. Returns a stream whose window they opened by 0, if any; else 0.
    mutating func advance(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        var at = 0
        var unopened: Int32 = 0
        while true {
            if opened != 0 {
                while at < count, left > 0 {
                    increment = increment << 8 | UInt32(bytes[at])
                    left -= 1
                    at += 1
                }
                if left > 0 { return unopened }
                if increment & 0x7FFF_FFFF == 0 { unopened = opened }
                opened = 0
            }
            guard let header = nextHeader(bytes, count, &at) else { return unopened }
            if header.type == 8, length == 4 {
                opened = header.stream
                increment = 0
            }
        }
    }
}
