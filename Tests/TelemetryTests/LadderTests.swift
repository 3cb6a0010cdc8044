// Histogram edges: the quick search must agree with the definition at and around every bound.
import Testing

@testable import Telemetry

@Test(arguments: [Ladder.milliseconds, Ladder.bytes, Ladder.overhead])
func quickSearchAgreesWithTheDefinition(ladder: Ladder) {
    let place = UnsafeMutablePointer<UInt64>.allocate(capacity: Ladder.words)
    place.initialize(repeating: 0, count: Ladder.words)
    defer { place.deallocate() }
    ladder.freeze(at: place)
    var values: [UInt64] = [0, 1, 2, 3, .max, .max - 1]
    for bound in ladder.bounds { values += [bound &- 1, bound, bound &+ 1] }
    for shift in 0..<64 { values += [1 << UInt64(shift), (1 << UInt64(shift)) &- 1] }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2_000 { values.append(random.next() >> UInt64.random(in: 0..<64)) }
    for value in values {
        let expected = ladder.bounds.firstIndex { value <= $0 }
        #expect(Ladder.bucket(of: value, at: place) == expected, "\(value)")
    }
}

@Test func boundsAreIstios() {
    let expected = [
        "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000",
        "60000", "300000", "600000", "1800000", "3600000", "+Inf",
    ]
    #expect(Ladder.milliseconds.labels == expected)
    #expect(Ladder.bytes.labels == expected)
    let inMilliseconds = Ladder.milliseconds.bounds.dropLast().map { Double($0) / 1e6 }
    #expect(inMilliseconds == expected.dropLast().compactMap { Double($0) })
}

@Test func overheadIsFineFromOneMicrosecondUp() {
    for (bound, label) in zip(Ladder.overhead.bounds, Ladder.overhead.labels).dropLast() {
        #expect(Double(label) == Double(bound) / 1e9)
    }
    #expect(Ladder.overhead.bounds.first == 1_000)
    #expect(Ladder.overhead.bounds.filter { $0 <= 100_000 }.count > 10)
}
