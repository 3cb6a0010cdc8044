// The chunked decoder against a naive one, over any bytes and any cuts.
internal import Base
package import HTTP

/// What became of some input, however it was cut.
package struct ChunkedOutcome: Equatable {
    package var consumed = 0
    package var body: [UInt8] = []
    package var status = ChunkedDecoder.Status.more

    package init() {}
}

package enum ChunkedInvariants {
    /// Compares decoder and reference for the whole input and for pieces of the sizes that `sizes` repeats.
    package static func violation(_ bytes: [UInt8], sizes: [Int]) -> String? {
        let expected = reference(bytes)
        for sizes in [[max(1, bytes.count)], [1], sizes] {
            let outcome = decode(bytes, sizes)
            if outcome != expected { return "pieces of \(sizes): \(outcome), expected \(expected)" }
        }
        return nil
    }

    /// Input of a fuzz target: the first byte chooses the sizes of the pieces, the rest is the body.
    package static func seeded(_ bytes: [UInt8]) -> String? {
        guard let seed = bytes.first else { return nil }
        return violation(Array(bytes.dropFirst()), sizes: [1 + Int(seed & 15), 1 + Int(seed >> 4)])
    }

    /// Feeds pieces, each in memory of exactly its size.
    package static func decode(_ bytes: [UInt8], _ sizes: [Int]) -> ChunkedOutcome {
        var decoder = ChunkedDecoder()
        var outcome = ChunkedOutcome()
        var from = 0
        var round = 0
        while from < bytes.count, outcome.status == .more {
            let to = min(bytes.count, from + max(1, sizes[round % sizes.count]))
            round += 1
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: to - from)
            defer { memory.deallocate() }
            memory.initialize(from: Array(bytes[from..<to]), count: to - from)
            let step = decoder.decode(memory, to - from)
            outcome.consumed += step.consumed
            outcome.body += UnsafeBufferPointer(start: memory, count: step.produced)
            outcome.status = step.status
            if step.status == .more, step.consumed != to - from { outcome.consumed = -1 }
            if decoder.isDone != (step.status == .done) { outcome.consumed = -2 }
            from = to
        }
        return outcome
    }

    /// RFC 9112 7.1 with our bounds, on the whole input at once.
    package static func reference(_ bytes: [UInt8]) -> ChunkedOutcome {
        var reader = Reference(bytes: bytes)
        reader.run()
        return reader.outcome
    }

    private struct Reference {
        let bytes: [UInt8]
        var outcome = ChunkedOutcome()

        init(bytes: [UInt8]) { self.bytes = bytes }

        /// The next byte if it satisfies `fits`; nil ends the reading, malformed or out of input.
        mutating func next(_ fits: (UInt8) -> Bool) -> UInt8? {
            guard outcome.consumed < bytes.count else { return nil }
            let byte = bytes[outcome.consumed]
            outcome.consumed += 1
            if fits(byte) { return byte }
            outcome.status = .bad
            return nil
        }

        mutating func run() {
            while let size = sizeLine() {
                if size == 0 {
                    trailers()
                    return
                }
                let take = Int(min(size, UInt64(bytes.count - outcome.consumed)))
                outcome.body += bytes[outcome.consumed..<(outcome.consumed + take)]
                outcome.consumed += take
                if UInt64(take) < size { return }
                guard next({ $0 == 0x0D }) != nil, next({ $0 == 0x0A }) != nil else { return }
            }
        }

        mutating func sizeLine() -> UInt64? {
            var digits: [UInt8] = []
            while true {
                let mayEnd = !digits.isEmpty
                let mayGoOn = digits.count < 15
                let found = next { byte in
                    (mayEnd && (byte == 0x0D || byte == 0x3B))
                        || (mayGoOn && "0123456789abcdefABCDEF".utf8.contains(byte))
                }
                guard let byte = found else { return nil }
                if byte == 0x3B, !extensions() { return nil }
                if byte == 0x0D || byte == 0x3B {
                    guard next({ $0 == 0x0A }) != nil else { return nil }
                    return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
                }
                digits.append(byte)
            }
        }

        mutating func extensions() -> Bool {
            var count = 0
            while let byte = next({
                $0 == 0x0D || (count < Limits.chunkLineBytes && StrictReader.isValueByte($0))
            }) {
                if byte == 0x0D { return true }
                count += 1
            }
            return false
        }

        mutating func trailers() {
            let start = outcome.consumed
            func fits(_ here: Int) -> Bool { here - start < Limits.trailerBytes }
            while true {
                let at = outcome.consumed
                guard let first = next({ fits(at) && ($0 == 0x0D || StrictReader.isTokenByte($0)) }) else {
                    return
                }
                if first == 0x0D {
                    if next({ $0 == 0x0A }) != nil { outcome.status = .done }
                    return
                }
                guard trailerLine(fits) else { return }
            }
        }

        mutating func trailerLine(_ fits: (Int) -> Bool) -> Bool {
            var inValue = false
            while true {
                let at = outcome.consumed
                let found = next { byte in
                    if !fits(at) { return false }
                    if inValue { return byte == 0x0D || StrictReader.isValueByte(byte) }
                    return byte == 0x3A || StrictReader.isTokenByte(byte)
                }
                guard let byte = found else { return false }
                if inValue, byte == 0x0D {
                    let last = outcome.consumed
                    return next({ fits(last) && $0 == 0x0A }) != nil
                }
                if byte == 0x3A { inValue = true }
            }
        }
    }
}
