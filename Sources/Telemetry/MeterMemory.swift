// One worker's numbers in one anonymous mapping: pages that no series touches cost no memory. The worker is
// the only writer; the control thread reads while it writes. Words are stored and loaded whole (relaxed); a
// cell's labels are written before its key, and the key is published with release and read with acquire, so a
// reader that sees a key sees its labels. Cells are never freed: label sets are bounded by configuration.
internal import Base
internal import CLinux

/// Offsets into the mapping, in 64-bit words. Computed, so that they are constants in the code that uses
/// them.
enum MeterLayout {
    static var counters: Int { 0 }
    static var counterWords: Int { 192 }
    /// Worker's own notes: key, flags and cell of the last request; cells used; lane cells used; stream cells
    /// used.
    static var lastKey: Int { counterWords }
    static var lastFlags: Int { lastKey + 1 }
    static var lastCell: Int { lastKey + 2 }
    static var cellsUsed: Int { lastKey + 3 }
    static var laneCellsUsed: Int { lastKey + 4 }
    static var streamCellsUsed: Int { lastKey + 5 }
    static var millisecondLadder: Int { lastKey + 8 }
    static var byteLadder: Int { millisecondLadder + Ladder.words }
    static var overheadLadder: Int { byteLadder + Ladder.words }
    static var overhead: Int { overheadLadder + Ladder.words }
    /// Open-addressing table of lane cells: flags, ids, count, unused.
    static var lanes: Int { (overhead + Ladder.maxBuckets + 1 + 7) / 8 * 8 }
    static var laneCellWords: Int { 4 }
    static var laneSlots: Int { Limits.meterLaneCells * 2 }
    /// Open-addressing table of stream cells.
    static var streams: Int { lanes + laneSlots * laneCellWords }
    static var streamSlots: Int { Limits.meterStreamCells * 2 }
    /// Open-addressing table of cell numbers, 32 bits each.
    static var index: Int { streams + streamSlots * StreamCell.words }
    static var indexSlots: Int { Limits.meterRequestCells * 2 }
    static var cells: Int { index + indexSlots / 2 }
    static var words: Int { cells + Limits.meterRequestCells * RequestCell.words }
}

/// One series of the request metrics: labels, then three histograms without cumulation, each followed by its
/// sum. The count of requests is the sum of any of them.
enum RequestCell {
    static var key: Int { 0 }
    static var flags: Int { 1 }
    static var duration: Int { 2 }
    static var requestBytes: Int { duration + bucketWords }
    static var responseBytes: Int { requestBytes + bucketWords }
    static var bucketWords: Int { 21 }
    static var words: Int { responseBytes + bucketWords }
}

/// The mapping. Lives as long as the process's workers; whoever made it keeps it until they have ended.
public final class MeterMemory: Sendable {
    nonisolated(unsafe) let base: UnsafeMutablePointer<UInt64>

    /// nil: the system refused the address space.
    public init?() {
        let bytes = MeterLayout.words * 8
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let place = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0),
            Int(bitPattern: place) != -1  // MAP_FAILED
        else { return nil }
        base = place.bindMemory(to: UInt64.self, capacity: MeterLayout.words)
        Ladder.milliseconds.freeze(at: base + MeterLayout.millisecondLadder)
        Ladder.bytes.freeze(at: base + MeterLayout.byteLadder)
        Ladder.overhead.freeze(at: base + MeterLayout.overheadLadder)
    }

    deinit { munmap(base, MeterLayout.words * 8) }

    /// The one writer's handle; must not outlive this object.
    public var meter: Meter { Meter(base: base) }

    /// A counter as it is now.
    public func value(_ counter: Counter) -> UInt64 {
        fl_load_relaxed(base + MeterLayout.counters + counter.cell)
    }
}
