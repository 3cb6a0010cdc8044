// What HTTP/1 asks of a WebSocket's beginning and HTTP/2 does not: a key, and the answer that proves somebody
// read it (RFC 6455 4.1, 4.2.2; RFC 8441 5).
internal import Base
internal import COpenSSL

enum WebSocketKey {
    static let bytes = 24
    static let acceptBytes = 28

    /// Sixteen random bytes in base64, for an upstream that a client of HTTP/2 made none for.
    static func write(_ high: UInt64, _ low: UInt64, to out: UnsafeMutablePointer<UInt8>) {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { random in
            random.storeBytes(of: high, as: UInt64.self)
            random.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
            base64(random.assumingMemoryBound(to: UInt8.self).baseAddress!, 16, to: out)
        }
    }

    /// The `sec-websocket-accept` of a key.
    static func writeAccept(_ key: ByteView, to out: UnsafeMutablePointer<UInt8>) {
        let suffix: ByteView = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        let count = min(key.count, 128)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128 + 36 + 20) { room in
            let text = room.baseAddress!
            memcpy(text, key.start, count)
            memcpy(text + count, suffix.start, suffix.count)
            let digest = text + 164
            _ = SHA1(text, count + suffix.count, digest)
            base64(digest, 20, to: out)
        }
    }

    /// RFC 4648 4, padding included.
    private static func base64(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, to out: UnsafeMutablePointer<UInt8>
    ) {
        let letters: ByteView = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        var at = 0
        var to = out
        while at < count {
            let left = count - at
            let group =
                UInt32(bytes[at]) << 16 | UInt32(left > 1 ? bytes[at + 1] : 0) << 8
                | UInt32(left > 2 ? bytes[at + 2] : 0)
            to[0] = letters[Int(group >> 18)]
            to[1] = letters[Int(group >> 12 & 63)]
            to[2] = left > 1 ? letters[Int(group >> 6 & 63)] : 0x3D
            to[3] = left > 2 ? letters[Int(group & 63)] : 0x3D
            to += 4
            at += 3
        }
    }
}
