// What all workers of the process have together, for limits that are the process's: each worker reads the
// others' counters. Two workers may take the last place at the same moment; a limit is exceeded by at most
// one per worker.
internal import CLinux

/// Borrows the memories: whoever made it keeps them.
public struct FleetMeters: BitwiseCopyable {
    private let bases: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>
    private let count: Int

    public init(_ memories: [MeterMemory]) {
        bases = .allocate(capacity: memories.count)
        count = memories.count
        for (index, memory) in memories.enumerated() { (bases + index).initialize(to: memory.base) }
    }

    public func deallocate() { bases.deallocate() }

    /// The sum of a gauge over all workers.
    public func total(_ gauge: Counter) -> Int {
        var sum: UInt64 = 0
        for index in 0..<count { sum &+= fl_load_relaxed(bases[index] + gauge.cell) }
        return Int(truncatingIfNeeded: sum)
    }

    /// Client connections now open.
    public var downstreamConnections: Int {
        var sum = 0
        for role in 0..<3 as Range<UInt8> {
            sum += total(Counter.downstreamOpened(role: role)) - total(Counter.downstreamClosed(role: role))
        }
        return sum
    }
}
