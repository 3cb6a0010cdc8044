// Istio's TCP metrics: connections and bytes that nobody read as requests, counted per destination and flags
// in one open-addressing table, as lane events are.
internal import Base
internal import CLinux

/// Whose connection.
public struct StreamLabels: BitwiseCopyable {
    /// The destination's label set.
    public var labelsID: UInt32
    public var reporter: Reporter
    public var connectionSecurity: ConnectionSecurity

    public init(labelsID: UInt32, reporter: Reporter, connectionSecurity: ConnectionSecurity) {
        self.labelsID = labelsID
        self.reporter = reporter
        self.connectionSecurity = connectionSecurity
    }
}

/// What there is to count of a connection, at its beginning, on the way and at its end.
public struct StreamSample: BitwiseCopyable {
    var labels: StreamLabels
    public var flags = ResponseFlags(rawValue: 0)
    public var opened: UInt64 = 0
    public var closed: UInt64 = 0
    /// Bytes to the client and from it.
    public var sent: UInt64 = 0
    public var received: UInt64 = 0

    public init(_ labels: StreamLabels) { self.labels = labels }

    /// Labels as one number: bit 63 marks a used cell. The layout is that of a request's key.
    var key: UInt64 {
        1 << 63 | UInt64(labels.labelsID) | UInt64(labels.reporter.rawValue) << 48
            | UInt64(labels.connectionSecurity.rawValue) << 50
    }
}

/// One series: labels, then four counts.
enum StreamCell {
    static var key: Int { 0 }
    static var flags: Int { 1 }
    static var opened: Int { 2 }
    static var closed: Int { 3 }
    static var sent: Int { 4 }
    static var received: Int { 5 }
    static var words: Int { 8 }
}

extension Meter {
    /// Adds to `istio_tcp_*`.
    public func stream(_ sample: StreamSample) {
        let key = sample.key
        let flags = UInt64(sample.flags.rawValue)
        var slot = Meter.slot(key, flags, MeterLayout.streamSlots)
        while true {
            let cell = base + (MeterLayout.streams &+ slot &* StreamCell.words)
            if cell[StreamCell.key] == key, cell[StreamCell.flags] == flags { return count(sample, cell) }
            if cell[StreamCell.key] == 0 {
                let used = base[MeterLayout.streamCellsUsed]
                guard used < UInt64(Limits.meterStreamCells) else { return add(.streamSeriesOverflow) }
                base[MeterLayout.streamCellsUsed] = used &+ 1
                fl_store_relaxed(cell + StreamCell.flags, flags)
                count(sample, cell)
                fl_store_release(cell + StreamCell.key, key)
                return
            }
            slot = (slot &+ 1) & (MeterLayout.streamSlots &- 1)
        }
    }

    private func count(_ sample: StreamSample, _ cell: UnsafeMutablePointer<UInt64>) {
        fl_add_relaxed(cell + StreamCell.opened, sample.opened)
        fl_add_relaxed(cell + StreamCell.closed, sample.closed)
        fl_add_relaxed(cell + StreamCell.sent, sample.sent)
        fl_add_relaxed(cell + StreamCell.received, sample.received)
    }
}
