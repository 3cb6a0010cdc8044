// Signed lane names made without the product's code or library: SHA-256 (FIPS 180-4), HMAC (RFC 2104) and
// base64url (RFC 4648 5), so that both sides cannot be wrong in the same way.

/// `name~expires~mac` (lanes.md 3).
func signedLane(_ name: String, expires: UInt64, secret: String) -> String {
    let text = "\(name)~\(expires)"
    let mac = hmacSHA256(key: Array(secret.utf8), Array(text.utf8)).prefix(16)
    return "\(text)~\(base64URL(mac))"
}

private func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var block = key.count > 64 ? sha256(key) : key
    block += [UInt8](repeating: 0, count: 64 - block.count)
    let inner = sha256(block.map { $0 ^ 0x36 } + message)
    return sha256(block.map { $0 ^ 0x5C } + inner)
}

private func base64URL(_ bytes: some Collection<UInt8>) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    let bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - UInt8($0)) & 1 } }
    return String(
        stride(from: 0, to: bits.count, by: 6).map { from in
            alphabet[(0..<6).reduce(0) { $0 << 1 | (from + $1 < bits.count ? Int(bits[from + $1]) : 0) }]
        })
}

func sha256(_ message: [UInt8]) -> [UInt8] {
    var hash: [UInt32] = firstPrimes(8).map { fraction(of: Double($0).squareRoot()) }
    let constants = firstPrimes(64).map { cubeRootFraction($0) }
    var padded = message + [0x80]
    while padded.count % 64 != 56 { padded.append(0) }
    let length = UInt64(message.count) * 8
    padded += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * UInt64($0))) }
    func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }
    for from in stride(from: 0, to: padded.count, by: 64) {
        var words = (0..<16).map { index in
            padded[(from + 4 * index)..<(from + 4 * index + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for index in 16..<64 {
            let (a, b) = (words[index - 15], words[index - 2])
            let small = rotate(a, 7) ^ rotate(a, 18) ^ a >> 3
            let large = rotate(b, 17) ^ rotate(b, 19) ^ b >> 10
            words.append(words[index - 16] &+ small &+ words[index - 7] &+ large)
        }
        var state = hash
        for index in 0..<64 {
            let (a, e) = (state[0], state[4])
            let choice = e & state[5] ^ ~e & state[6]
            let majority = a & state[1] ^ a & state[2] ^ state[1] & state[2]
            let first =
                state[7] &+ (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) &+ choice &+ constants[index]
                &+ words[index]
            let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
            state = [first &+ second, a, state[1], state[2], state[3] &+ first, e, state[5], state[6]]
        }
        hash = zip(hash, state).map { $0 &+ $1 }
    }
    return hash.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } }
}

private func firstPrimes(_ count: Int) -> [UInt64] {
    var primes: [UInt64] = []
    var candidate: UInt64 = 2
    while primes.count < count {
        if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
        candidate += 1
    }
    return primes
}

/// The first 32 bits of the fractional part.
private func fraction(of value: Double) -> UInt32 { UInt32((value - value.rounded(.down)) * 4_294_967_296) }

/// The same of a cube root, by integers: a Double's could be wrong in the last bit.
private func cubeRootFraction(_ prime: UInt64) -> UInt32 {
    // The largest r with r^3 <= prime * 2^96, found bit by bit; its low 32 bits are the fraction.
    var root: UInt64 = 0
    for bit in stride(from: UInt64(35), through: 0, by: -1) {
        let candidate = root | 1 << bit
        if cubeIsAtMost(candidate, prime) { root = candidate }
    }
    return UInt32(truncatingIfNeeded: root)
}

private func cubeIsAtMost(_ root: UInt64, _ prime: UInt64) -> Bool {
    let cube = UInt128(root) * UInt128(root) * UInt128(root)
    return cube <= UInt128(prime) << 96
}
