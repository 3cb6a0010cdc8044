// Path normalisation as Istio has it (istio-semantics.md 22.4 and 29): what comes out is both matched and
// sent. Most paths need nothing; they are recognised in one scan and not copied.
public import Base

/// Mirrors `Proxy.spec.pathNormalization`.
public enum PathNormalizer {
    public enum Mode: UInt8, Sendable, BitwiseCopyable {
        case none, base, mergeSlashes, decodeAndMergeSlashes
    }

    public enum Result {
        case unchanged
        /// Bytes written to `out`.
        case changed(Int)
        case refused
    }

    /// Normalises `path` (beginning with `/`, without query). `out` has room for `path.count + 1`.
    public static func normalize(
        _ path: ByteView, _ mode: Mode, _ out: UnsafeMutablePointer<UInt8>
    ) -> Result {
        if mode == .none || isPlain(path, mode) { return .unchanged }
        guard let decoded = decode(path, mode, out) else { return .refused }
        var count = removeDotSegments(out, decoded)
        if mode != .base { count = mergeSlashes(out, count) }
        if count == path.count, ByteView(out, count).equals(path) { return .unchanged }
        return .changed(count)
    }

    /// No byte that any step could act on.
    private static func isPlain(_ path: ByteView, _ mode: Mode) -> Bool {
        var previous: UInt8 = 0
        var index = 0
        while index < path.count {
            let byte = path[index]
            if byte == 0x25 || byte == 0x5C { return false }
            if previous == 0x2F, byte == 0x2E || (byte == 0x2F && mode != .base) { return false }
            previous = byte
            index &+= 1
        }
        return true
    }

    /// Decodes escapes of unreserved characters (RFC 3986 2.3, 6.2.2.2) and turns `\` into `/`; other escapes
    /// and broken ones keep their bytes. nil: an escaped NUL.
    private static func decode(_ path: ByteView, _ mode: Mode, _ out: UnsafeMutablePointer<UInt8>) -> Int? {
        var to = 0
        var from = 0
        while from < path.count {
            var byte = path[from]
            if byte == 0x25, from + 2 < path.count, let high = hex(path[from + 1]),
                let low = hex(path[from + 2])
            {
                let value = high << 4 | low
                if value == 0 { return nil }
                let slash = mode == .decodeAndMergeSlashes && (value == 0x2F || value == 0x5C)
                if isUnreserved(value) || slash {
                    out[to] = value == 0x5C ? 0x2F : value
                    to += 1
                    from += 3
                    continue
                }
            }
            if byte == 0x5C { byte = 0x2F }
            out[to] = byte
            to += 1
            from += 1
        }
        return to
    }

    /// RFC 3986 5.2.4 in place; a path above the root stays at the root. Empty segments stay.
    private static func removeDotSegments(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        var to = 0
        var from = 0
        while from < count {
            // `from` is at a slash: one segment is up to the next.
            var end = from + 1
            while end < count, bytes[end] != 0x2F { end += 1 }
            let length = end - from - 1
            let isDot = length == 1 && bytes[from + 1] == 0x2E
            let isDotDot = length == 2 && bytes[from + 1] == 0x2E && bytes[from + 2] == 0x2E
            if isDot || isDotDot {
                if isDotDot, to > 0 {
                    to -= 1
                    while to > 0, bytes[to] != 0x2F { to -= 1 }
                }
                if end == count {
                    bytes[to] = 0x2F
                    to += 1
                }
            } else {
                var index = from
                while index < end {
                    bytes[to] = bytes[index]
                    to += 1
                    index += 1
                }
            }
            from = end
        }
        if to == 0 {
            bytes[0] = 0x2F
            to = 1
        }
        return to
    }

    private static func mergeSlashes(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        var to = 0
        var from = 0
        while from < count {
            if bytes[from] != 0x2F || to == 0 || bytes[to - 1] != 0x2F {
                bytes[to] = bytes[from]
                to += 1
            }
            from += 1
        }
        return to
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x2D || byte == 0x2E || byte == 0x5F
            || byte == 0x7E
    }
}
