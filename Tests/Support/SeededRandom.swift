// Random input that can be had again: the seed is printed, and FAIRLEAD_SEED replays it.
internal import Glibc

/// SplitMix64: small, and the same on every machine.
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    package let seed: UInt64

    /// A seed from FAIRLEAD_SEED (decimal), or `usual`, or a fresh one; printed with the name of the test
    /// that uses it.
    package init(for test: String = #function, usual: UInt64? = nil) {
        let given = getenv("FAIRLEAD_SEED").flatMap { UInt64(String(cString: $0)) }
        self.init(seed: given ?? usual ?? UInt64.random(in: 0...UInt64.max))
        let line = Array("\(test): FAIRLEAD_SEED=\(seed)\n".utf8)
        line.withUnsafeBytes { bytes in _ = write(1, bytes.baseAddress, bytes.count) }
    }

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// True `percent` times in a hundred.
    package mutating func chance(_ percent: Int) -> Bool { int(0...99) < percent }

    package mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[int(0...(choices.count - 1))]
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for _ in 0..<count { bytes.append(UInt8(truncatingIfNeeded: next())) }
        return bytes
    }

    /// Text made of the given characters.
    package mutating func text(_ count: Int, of characters: String) -> String {
        let choices = Array(characters)
        return String((0..<count).map { _ in pick(choices) })
    }

    /// `bytes` with a few of them changed, removed, doubled or inserted: input near to what is valid.
    package mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<int(1...4) where !bytes.isEmpty {
            let at = int(0...(bytes.count - 1))
            switch int(0...4) {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: next())
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(bytes[at], at: at)
            case 3: bytes.insert(pick(Array("\r\n\t :;,=%&?#\0\u{7F}\u{80}".utf8)), at: at)
            default: bytes[at] ^= 1 << UInt8(int(0...7))
            }
        }
        return bytes
    }
}
