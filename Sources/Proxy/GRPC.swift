// What gRPC puts into HTTP fields and Fairlead acts on.
internal import Base
internal import HTTP

enum GRPC {
    /// `grpc-timeout`, at most eight digits and a unit, in milliseconds rounded up; 0: none, or unreadable.
    static func timeoutMs(_ headers: HeaderList) -> UInt64 {
        guard let field = headers.find(.grpcTimeout) else { return 0 }
        let text = field.pointee.value
        guard text.count >= 2, text.count <= 9 else { return 0 }
        var value: UInt64 = 0
        var index = 0
        while index < text.count - 1 {
            let digit = text[index] &- 0x30
            if digit > 9 { return 0 }
            value = value * 10 + UInt64(digit)
            index += 1
        }
        return switch text[text.count - 1] {
        case 0x48: value * 3_600_000  // H
        case 0x4D: value * 60_000  // M
        case 0x53: value * 1_000  // S
        case 0x6D: value  // m
        case 0x75: (value + 999) / 1_000  // u
        case 0x6E: (value + 999_999) / 1_000_000  // n
        default: 0
        }
    }

    /// `grpc-status` of a failure that HTTP would tell by `status` (istio-semantics.md 23).
    static func code(ofHTTP status: Int) -> ByteView {
        switch status {
        case 400: "13"
        case 401: "16"
        case 403: "7"
        case 404: "12"
        case 429, 502, 503, 504: "14"
        default: "2"
        }
    }

    /// `grpc-message` (gRPC over HTTP/2, "Percent-Byte-Unencoded"); `out` has room for three times the bytes.
    /// Returns the bytes written.
    static func percentEncode(_ text: ByteView, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var count = 0
        for index in 0..<text.count {
            let byte = text[index]
            if byte >= 0x20, byte <= 0x7E, byte != 0x25 {
                out[count] = byte
                count += 1
                continue
            }
            out[count] = 0x25
            out[count + 1] = hexDigit(byte >> 4)
            out[count + 2] = hexDigit(byte & 15)
            count += 3
        }
        return count
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    /// `application/grpc`, alone or with a message format behind `+`.
    static func isContentType(_ value: ByteView) -> Bool {
        let prefix: ByteView = "application/grpc"
        guard value.hasPrefix(prefix) else { return false }
        return value.count == prefix.count || value[prefix.count] == 0x2B || value[prefix.count] == 0x3B
    }
}
