// The worker's side of the metrics: no lock, no locked instruction, no allocation. Only the worker that owns
// the memory may call these.
internal import Base
internal import CLinux

/// A worker's handle on its `MeterMemory`.
@frozen
public struct Meter: BitwiseCopyable {
    @usableFromInline let base: UnsafeMutablePointer<UInt64>

    init(base: UnsafeMutablePointer<UInt64>) { self.base = base }

    @inlinable
    public func add(_ counter: Counter, _ amount: UInt64 = 1) {
        fl_add_relaxed(base + counter.cell, amount)
    }

    /// Gauges only.
    @inlinable
    public func sub(_ counter: Counter, _ amount: UInt64 = 1) {
        fl_add_relaxed(base + counter.cell, 0 &- amount)
    }

    /// Gauges only.
    @inlinable
    public func set(_ counter: Counter, _ value: UInt64) {
        fl_store_relaxed(base + counter.cell, value)
    }

    /// Counts one finished request: `istio_requests_total` and the three histograms beside it.
    public func request(_ sample: RequestSample) {
        let cell = requestCell(sample.key, UInt64(sample.flags.rawValue))
        let byteLadder = base + MeterLayout.byteLadder
        count(
            sample.durationNs, at: cell + RequestCell.duration, base + MeterLayout.millisecondLadder)
        count(sample.requestBytes, at: cell + RequestCell.requestBytes, byteLadder)
        count(sample.responseBytes, at: cell + RequestCell.responseBytes, byteLadder)
    }

    /// Counts the latency that the proxy itself added to one request (`fairlead_overhead_seconds`).
    public func overhead(ns: UInt64) {
        let place = base + MeterLayout.overhead
        fl_add_relaxed(place + Ladder.bucket(of: ns, at: base + MeterLayout.overheadLadder), 1)
        fl_add_relaxed(place + Ladder.maxBuckets, ns)
    }

    @inline(__always)
    private func count(
        _ value: UInt64, at place: UnsafeMutablePointer<UInt64>, _ ladder: UnsafeMutablePointer<UInt64>
    ) {
        fl_add_relaxed(place + Ladder.bucket(of: value, at: ladder), 1)
        fl_add_relaxed(place + (RequestCell.bucketWords &- 1), value)
    }

    /// The series with these labels: most often the last one's.
    @inline(__always)
    private func requestCell(_ key: UInt64, _ flags: UInt64) -> UnsafeMutablePointer<UInt64> {
        if base[MeterLayout.lastKey] == key, base[MeterLayout.lastFlags] == flags {
            return cellAddress(base[MeterLayout.lastCell])
        }
        return findRequestCell(key, flags)
    }

    @inline(__always)
    private func cellAddress(_ number: UInt64) -> UnsafeMutablePointer<UInt64> {
        base + (MeterLayout.cells &+ Int(truncatingIfNeeded: number) &* RequestCell.words)
    }

    @inline(never)
    private func findRequestCell(_ key: UInt64, _ flags: UInt64) -> UnsafeMutablePointer<UInt64> {
        let index = UnsafeMutableRawPointer(base + MeterLayout.index)
            .assumingMemoryBound(to: UInt32.self)
        var slot = Self.slot(key, flags, MeterLayout.indexSlots)
        var number: UInt64
        while true {
            number = UInt64(index[slot])
            if number == 0 {
                number = newRequestCell(key, flags)
                if number != 0 { index[slot] = UInt32(truncatingIfNeeded: number) }
                break
            }
            let cell = cellAddress(number)
            if cell[RequestCell.key] == key, cell[RequestCell.flags] == flags { break }
            slot = (slot &+ 1) & (MeterLayout.indexSlots &- 1)
        }
        if number == 0 {
            add(.requestSeriesOverflow)
            return cellAddress(0)
        }
        base[MeterLayout.lastKey] = key
        base[MeterLayout.lastFlags] = flags
        base[MeterLayout.lastCell] = number
        return cellAddress(number)
    }

    /// Takes the next free cell; 0, the overflow cell, when all are taken.
    private func newRequestCell(_ key: UInt64, _ flags: UInt64) -> UInt64 {
        let number = base[MeterLayout.cellsUsed] &+ 1
        guard number < UInt64(Limits.meterRequestCells) else { return 0 }
        let cell = cellAddress(number)
        fl_store_relaxed(cell + RequestCell.flags, flags)
        fl_store_release(cell + RequestCell.key, key)
        fl_store_release(base + MeterLayout.cellsUsed, number)
        return number
    }

    /// Home slot of a key; `slots` is a power of two.
    @inline(__always)
    static func slot(_ first: UInt64, _ second: UInt64, _ slots: Int) -> Int {
        var hash = (first &* 0x9E37_79B9_7F4A_7C15) ^ second
        hash = (hash ^ (hash >> 29)) &* 0xBF58_476D_1CE4_E5B9
        return Int(truncatingIfNeeded: hash >> 40) & (slots &- 1)
    }
}
