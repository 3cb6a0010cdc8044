// Lane events, counted per (event, lane, service): few at a time, so one open-addressing table of bare counts
// serves all of them. Numbers stand for names that only the control side knows: lanes and services by id,
// decisions, carriers and reasons by the raw values of their enums.
internal import Base
internal import CLinux

/// What a lane cell counts.
enum LaneEvent: UInt8, CaseIterable {
    /// `fairlead_lane_requests_total`: decision, carrier.
    case request = 0
    /// `fairlead_lane_lost_total`: reason.
    case lost = 1
    /// `fairlead_lane_restored_total`: carrier.
    case restored = 2
    /// Receipts: requests of the lane that a member served.
    case member = 3
}

extension Meter {
    /// A request with a lane policy in force was decided.
    public func lane(service labelsID: UInt32, lane laneID: UInt32, decision: UInt8, carrier: UInt8) {
        countLane(.request, decision, carrier, laneID, labelsID)
    }

    /// A lane was lost, or nearly (lanes.md 8).
    public func laneLost(reason: UInt8, lane laneID: UInt32, service labelsID: UInt32) {
        countLane(.lost, reason, 0, laneID, labelsID)
    }

    /// Egress came without the lane header and the lane was found all the same.
    public func laneRestored(carrier: UInt8, lane laneID: UInt32, service labelsID: UInt32) {
        countLane(.restored, carrier, 0, laneID, labelsID)
    }

    /// A member of the lane was handed one request of the lane: the receipt that `GET /lanes` shows.
    public func laneMember(lane laneID: UInt32, service labelsID: UInt32) {
        countLane(.member, 0, 0, laneID, labelsID)
    }

    /// Both of `lane` and `laneMember`.
    public func laneServed(
        service labelsID: UInt32, lane laneID: UInt32, decision: UInt8, carrier: UInt8
    ) {
        countLane(.request, decision, carrier, laneID, labelsID)
        countLane(.member, 0, 0, laneID, labelsID)
    }

    @inline(__always)
    private func countLane(
        _ event: LaneEvent, _ first: UInt8, _ second: UInt8, _ laneID: UInt32, _ labelsID: UInt32
    ) {
        let kind = 1 << 63 | UInt64(event.rawValue) << 48 | UInt64(first) << 8 | UInt64(second)
        let ids = UInt64(laneID) << 32 | UInt64(labelsID)
        var slot = Meter.slot(kind, ids, MeterLayout.laneSlots)
        while true {
            let cell = base + (MeterLayout.lanes &+ slot &* MeterLayout.laneCellWords)
            if cell[0] == kind, cell[1] == ids {
                fl_add_relaxed(cell + 2, 1)
                return
            }
            if cell[0] == 0 {
                let used = base[MeterLayout.laneCellsUsed]
                guard used < UInt64(Limits.meterLaneCells) else { return add(.laneSeriesOverflow) }
                base[MeterLayout.laneCellsUsed] = used &+ 1
                fl_store_relaxed(cell + 1, ids)
                fl_store_relaxed(cell + 2, 1)
                fl_store_release(cell, kind)
                return
            }
            slot = (slot &+ 1) & (MeterLayout.laneSlots &- 1)
        }
    }
}
