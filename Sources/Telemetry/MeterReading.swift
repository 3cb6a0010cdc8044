// The control side's view of all workers' meters at one moment, summed. A worker may be counting meanwhile:
// each number is whole, numbers of one series may be one request apart, and a histogram's count is made of
// its own buckets, so that it always agrees with them.
internal import CLinux

/// Sums over workers.
struct MeterReading {
    struct RequestKey: Hashable {
        var key: UInt64
        var flags: UInt64

        var labelsID: UInt32 { UInt32(truncatingIfNeeded: key) }
        var responseCode: UInt16 { UInt16(truncatingIfNeeded: key >> 32) }
        var reporter: Reporter { Reporter(rawValue: UInt8(key >> 48 & 3)) ?? .source }
        var security: ConnectionSecurity { ConnectionSecurity(rawValue: UInt8(key >> 50 & 3)) ?? .unknown }
        var isGRPC: Bool { key >> 57 & 1 != 0 }
        /// nil: none.
        var grpcStatus: Int? {
            let status = Int(key >> 52 & 31)
            return isGRPC && status <= 16 ? status : nil
        }
    }

    struct LaneKey: Hashable {
        var event: LaneEvent
        var first: UInt8
        var second: UInt8
        var laneID: UInt32
        var labelsID: UInt32
    }

    /// Opened, closed, sent, received; the keys have no response code.
    var streams: [RequestKey: [UInt64]] = [:]
    /// The words of a cell after its labels.
    var requests: [RequestKey: [UInt64]] = [:]
    var lanes: [LaneKey: UInt64] = [:]
    /// Overhead buckets, then their sum in nanoseconds.
    var overhead = [UInt64](repeating: 0, count: Ladder.maxBuckets + 1)

    init(_ meters: [MeterMemory]) {
        for meter in meters {
            readRequests(meter.base)
            readLanes(meter.base)
            readStreams(meter.base)
            for index in overhead.indices {
                overhead[index] &+= fl_load_relaxed(meter.base + MeterLayout.overhead + index)
            }
        }
    }

    private mutating func readRequests(_ base: UnsafeMutablePointer<UInt64>) {
        let used = fl_load_acquire(base + MeterLayout.cellsUsed)
        for number in 0...Int(used) {
            let cell = base + (MeterLayout.cells + number * RequestCell.words)
            let key = RequestKey(
                key: fl_load_acquire(cell + RequestCell.key),
                flags: fl_load_relaxed(cell + RequestCell.flags))
            // Cell 0 has no labels: it takes what found the table full.
            if number == 0, fl_load_relaxed(base + Counter.requestSeriesOverflow.cell) == 0 { continue }
            let words = RequestCell.words - RequestCell.duration
            var sums = requests[key] ?? [UInt64](repeating: 0, count: words)
            for index in sums.indices {
                sums[index] &+= fl_load_relaxed(cell + RequestCell.duration + index)
            }
            requests[key] = sums
        }
    }

    private mutating func readLanes(_ base: UnsafeMutablePointer<UInt64>) {
        for slot in 0..<MeterLayout.laneSlots {
            let cell = base + (MeterLayout.lanes + slot * MeterLayout.laneCellWords)
            let kind = fl_load_acquire(cell)
            guard kind != 0, let event = LaneEvent(rawValue: UInt8(kind >> 48 & 255)) else { continue }
            let ids = fl_load_relaxed(cell + 1)
            let key = LaneKey(
                event: event, first: UInt8(kind >> 8 & 255), second: UInt8(kind & 255),
                laneID: UInt32(truncatingIfNeeded: ids >> 32), labelsID: UInt32(truncatingIfNeeded: ids))
            lanes[key, default: 0] &+= fl_load_relaxed(cell + 2)
        }
    }

    private mutating func readStreams(_ base: UnsafeMutablePointer<UInt64>) {
        for slot in 0..<MeterLayout.streamSlots {
            let cell = base + (MeterLayout.streams + slot * StreamCell.words)
            let key = fl_load_acquire(cell + StreamCell.key)
            guard key != 0 else { continue }
            let labels = RequestKey(key: key, flags: fl_load_relaxed(cell + StreamCell.flags))
            var sums = streams[labels] ?? [0, 0, 0, 0]
            for index in sums.indices { sums[index] &+= fl_load_relaxed(cell + StreamCell.opened + index) }
            streams[labels] = sums
        }
    }

    /// One family's member over all workers.
    static func value(_ member: CounterFamily.Member, _ how: Aggregation, _ meters: [MeterMemory]) -> UInt64 {
        switch how {
        case .minimum: return meters.map { $0.value(member.counter) }.min() ?? 0
        case .sum:
            // What is subtracted is read first: every closing follows its opening, so the result stays
            // above 0.
            let minus = member.minus.map { minus in meters.reduce(0) { $0 &+ $1.value(minus) } } ?? 0
            let plus = meters.reduce(0) { $0 &+ $1.value(member.counter) }
            return plus >= minus || member.minus == nil ? plus &- minus : 0
        }
    }
}

/// A lane's receipts at one service.
public struct LaneReceipt: Sendable {
    public var lane: String
    /// FQDN.
    public var service: String
    public var requests: UInt64

    public init(lane: String, service: String, requests: UInt64) {
        self.lane = lane
        self.service = service
        self.requests = requests
    }
}

/// Requests of each lane that each service's members were handed, over all workers: the `requests` of
/// `GET /lanes`.
public func laneReceipts(_ meters: [MeterMemory], _ names: MeterNames) -> [LaneReceipt] {
    MeterReading(meters).lanes.filter { $0.key.event == .member }.map { key, count in
        LaneReceipt(
            lane: names.lane(key.laneID), service: names.destination(key.labelsID).service, requests: count)
    }.sorted { ($0.lane, $0.service) < ($1.lane, $1.service) }
}
