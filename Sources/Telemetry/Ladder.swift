// Histogram bucket bounds, and the table that finds a value's bucket in a handful of instructions: the
// position of the highest bit gives the first bucket that can hold it, one or a few comparisons give the
// rest.

/// Upper bounds of a histogram's buckets in whole units (nanoseconds, bytes), ascending; +Inf is implied.
struct Ladder: Sendable {
    /// The last is `UInt64.max`: +Inf.
    let bounds: [UInt64]
    /// `le` of each bound in the metric's unit.
    let labels: [String]

    /// Words of the frozen form: 72 bytes of starts, then the bounds.
    static var startWords: Int { 9 }
    static var maxBuckets: Int { 40 }
    static var words: Int { startWords + maxBuckets }

    init(_ bounds: [UInt64], labels: [String]) {
        precondition(bounds.count == labels.count && bounds.count < Self.maxBuckets)
        self.bounds = bounds + [UInt64.max]
        self.labels = labels + ["+Inf"]
    }

    /// The frozen form into `words` words at `place`.
    func freeze(at place: UnsafeMutablePointer<UInt64>) {
        let starts = UnsafeMutableRawPointer(place)
        for width in 0...64 {
            let least: UInt64 = width == 0 ? 0 : 1 << UInt64(width - 1)
            let start = bounds.firstIndex { $0 >= least } ?? bounds.count - 1
            starts.storeBytes(of: UInt8(start), toByteOffset: width, as: UInt8.self)
        }
        for (index, bound) in bounds.enumerated() { place[Self.startWords + index] = bound }
    }

    /// Bucket of `value` by a frozen ladder: the first whose bound is not below it.
    @inline(__always)
    static func bucket(of value: UInt64, at place: UnsafeMutablePointer<UInt64>) -> Int {
        let width = 64 &- value.leadingZeroBitCount
        var index = Int(UnsafeRawPointer(place).load(fromByteOffset: width, as: UInt8.self))
        let bounds = place + startWords
        while value > bounds[index] { index &+= 1 }
        return index
    }

    /// Envoy's default bounds, which Istio uses for milliseconds and bytes alike (istio-semantics.md 24).
    private static let envoyBounds: [UInt64] = [
        1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
        1_800_000, 3_600_000,
    ]
    private static let envoyLabels = ["0.5"] + envoyBounds.map { String($0) }

    /// Nanoseconds in, milliseconds out.
    static let milliseconds = Ladder(
        [500_000] + envoyBounds.map { $0 * 1_000_000 }, labels: envoyLabels)
    /// Nothing whole lies between 0 and 0.5 bytes, hence the bound 0.
    static let bytes = Ladder([0] + envoyBounds, labels: envoyLabels)

    private static let overheadMicroseconds: [(UInt64, String)] = [
        (1, "1e-06"), (2, "2e-06"), (3, "3e-06"), (4, "4e-06"), (5, "5e-06"), (6, "6e-06"), (8, "8e-06"),
        (10, "1e-05"), (12, "1.2e-05"), (15, "1.5e-05"), (20, "2e-05"), (25, "2.5e-05"), (30, "3e-05"),
        (40, "4e-05"), (50, "5e-05"), (75, "7.5e-05"), (100, "0.0001"), (150, "0.00015"), (250, "0.00025"),
        (500, "0.0005"), (1_000, "0.001"), (2_500, "0.0025"), (5_000, "0.005"), (10_000, "0.01"),
        (25_000, "0.025"), (50_000, "0.05"), (100_000, "0.1"), (250_000, "0.25"), (500_000, "0.5"),
        (1_000_000, "1"),
    ]
    /// Nanoseconds in, seconds out: fine where a proxy's own time lies.
    static let overhead = Ladder(
        overheadMicroseconds.map { $0.0 * 1_000 }, labels: overheadMicroseconds.map { $0.1 })
}
