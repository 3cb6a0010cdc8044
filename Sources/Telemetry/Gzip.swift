// Compression of pages for clients that ask for it; never on the request path.
internal import CZlib

/// The bytes as one gzip member; nil if zlib has no memory.
public func gzip(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    guard fl_deflate_init(&stream, 5, 15 + 16, 8) == Z_OK else { return nil }
    defer { deflateEnd(&stream) }
    var out = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 32)
    let capacity = out.count
    let result = bytes.withUnsafeBufferPointer { source in
        out.withUnsafeMutableBufferPointer { target in
            stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            stream.avail_in = UInt32(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = UInt32(target.count)
            return deflate(&stream, Z_FINISH)
        }
    }
    guard result == Z_STREAM_END else { return nil }
    out.removeLast(capacity - Int(stream.total_out))
    return out
}
