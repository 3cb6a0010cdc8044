// What a lane may be called, and values that prove who named it (lanes.md 1 trap 10, and 3).
public import Base
internal import COpenSSL

/// `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`: a DNS label in lower case. Nothing else is ever used as a lane.
public func isLaneName(_ name: ByteView) -> Bool {
    guard name.count > 0, name.count <= Limits.laneNameBytes else { return false }
    var index = 0
    while index < name.count {
        let byte = name[index]
        if byte &- 0x61 >= 26, byte &- 0x30 >= 10, byte != 0x2D { return false }
        index &+= 1
    }
    return name[0] != 0x2D && name[name.count &- 1] != 0x2D
}

/// What a carrier's value turned out to be.
enum NameVerdict: UInt8 { case valid, invalid, refused }

/// `name~exp~mac` values: exp in decimal Unix seconds, mac the first 16 bytes of HMAC-SHA-256 over
/// `name~exp`, base64url without padding.
public enum SignedLane {
    static let macBytes = 16
    static let macCharacters = 22
    /// Digits of `exp`: seconds beyond are past any calendar.
    static let expiryDigits = 12
    /// Longest signed value.
    public static let bytes = Limits.laneNameBytes + 1 + expiryDigits + 1 + macCharacters

    /// Reads a value: plain, or signed where there is a secret. `name` is set where the verdict is `valid`.
    static func read(
        _ value: ByteView, secret: ByteView, required: Bool, nowSeconds: Int64, _ name: inout ByteView
    ) -> NameVerdict {
        if isLaneName(value) {
            name = value
            return required ? .refused : .valid
        }
        guard let mark = value.firstIndex(of: 0x7E) else { return .invalid }
        let plain = value.slice(0, mark)
        guard !secret.isEmpty, isLaneName(plain) else { return .invalid }
        guard let second = value.firstIndex(of: 0x7E, from: mark &+ 1),
            let expiry = decimal(value.slice(mark &+ 1, second)), expiry > nowSeconds,
            value.count &- second &- 1 == macCharacters,
            verify(value.slice(0, second), value.slice(second &+ 1, value.count), secret)
        else { return .refused }
        name = plain
        return .valid
    }

    private static func decimal(_ text: ByteView) -> Int64? {
        guard text.count > 0, text.count <= expiryDigits else { return nil }
        var value: Int64 = 0
        var index = 0
        while index < text.count {
            guard text[index] &- 0x30 < 10 else { return nil }
            value = value &* 10 &+ Int64(text[index] &- 0x30)
            index &+= 1
        }
        return value
    }

    private static func verify(_ signed: ByteView, _ mac: ByteView, _ secret: ByteView) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: macCharacters) { room in
            let expected = room.baseAddress.unsafelyUnwrapped
            guard write(mac: signed, secret, to: expected) else { return false }
            return CRYPTO_memcmp(expected, mac.start, macCharacters) == 0
        }
    }

    /// Writes the `macCharacters` of a text's mac. False: OpenSSL could not.
    static func write(mac text: ByteView, _ secret: ByteView, to out: UnsafeMutablePointer<UInt8>) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { room in
            let digest = room.baseAddress.unsafelyUnwrapped
            var length: UInt32 = 0
            let made = HMAC(
                EVP_sha256(), secret.start, Int32(truncatingIfNeeded: secret.count), text.start, text.count,
                digest, &length)
            guard made != nil, length >= UInt32(macBytes) else { return false }
            writeBase64URL(ByteView(UnsafePointer(digest), macBytes), to: out)
            return true
        }
    }

    /// A signed value for a link or a pin.
    public static func text(_ name: String, expiresAtSeconds: Int64, secret: [UInt8]) -> String? {
        let signed = "\(name)~\(expiresAtSeconds)"
        var mac = [UInt8](repeating: 0, count: macCharacters)
        let made = signed.withView { text in
            String(decoding: secret, as: UTF8.self).isEmpty
                ? false
                : secret.withUnsafeBufferPointer { key in
                    mac.withUnsafeMutableBufferPointer { out in
                        write(mac: text, ByteView(key.baseAddress!, key.count), to: out.baseAddress!)
                    }
                }
        }
        return made ? "\(signed)~\(String(decoding: mac, as: UTF8.self))" : nil
    }
}

/// RFC 4648 5, without padding.
private func writeBase64URL(_ bytes: ByteView, to out: UnsafeMutablePointer<UInt8>) {
    let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    var bits: UInt32 = 0
    var held = 0
    var at = 0
    var index = 0
    while index < bytes.count {
        bits = bits &<< 8 | UInt32(bytes[index])
        held &+= 8
        while held >= 6 {
            held &-= 6
            out[at] = alphabet.utf8Start[Int(bits &>> UInt32(held) & 63)]
            at &+= 1
        }
        index &+= 1
    }
    if held > 0 { out[at] = alphabet.utf8Start[Int(bits &<< UInt32(6 &- held) & 63)] }
}
