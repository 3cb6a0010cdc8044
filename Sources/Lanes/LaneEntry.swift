// The lane stage of a decision: read the carriers, settle on one lane, find out whether it is known, and
// leave the request with the carriers that it should go on with (lanes.md 2 to 4).
internal import Base
internal import HTTP

struct LaneEntry<Trace: DecisionTrace> {
    let table: UnsafePointer<Table>
    let policy: UnsafePointer<LanePolicy>
    let role: ListenerRole
    let nowSeconds: Int64

    private var isEdge: Bool { role == .edge }
    private var writer: CarrierWriter { CarrierWriter(policy: policy) }

    /// Sets `decision.lane`, `reason`, `outcome` (`laneRejected`, `laneLost`) and the pin of the response.
    func enter(
        _ scan: LineScan, _ request: inout Request, _ headers: inout HeaderList, _ decision: inout Decision,
        _ memo: UnsafeMutablePointer<DecisionMemo>?, _ trace: inout Trace
    ) {
        decision.response.policy = policy
        if policy.pointee.guardStrip {
            decision.isLaneSilent = false
            guardStrip(scan, &request, &headers, &decision)
            return
        }
        let cookie = isEdge ? reader.cookie(scan.firstCookie, &headers) : nil
        if isSilent(scan, cookie, hasQuery: request.hasQuery) { return }
        if isEdge, enterByOne(scan, cookie, &request, &headers, &decision, memo, &trace) { return }
        enter(scan, cookie, &request, &headers, &decision, &trace)
    }

    /// The same where some carrier may speak. Apart, so that silence does not pay for its stack.
    @inline(never)
    private func enter(
        _ scan: LineScan, _ cookie: ByteView?, _ request: inout Request, _ headers: inout HeaderList,
        _ decision: inout Decision, _ trace: inout Trace
    ) {
        decision.isLaneSilent = false
        // `inout` all the way, though most only read it: it is copied else.
        var reading = CarrierReading()
        read(scan, cookie, &request, &headers, &reading)
        if Trace.isRecording { tell(reading, &trace) }
        choose(&reading, &decision.lane)
        if decision.lane.known || (decision.lane.carrier == .proxy && !decision.lane.expired) {
            let fits = writer.write(decision.lane, scan, &reading, &headers)
            decision.lane.limit = !fits
            decision.lane.restored =
                role == .outbound && scan.firstKey < 0
                && (decision.lane.carrier == .baggage || decision.lane.carrier == .tracestate)
        }
        decision.reason = reason(decision.lane)
        if policy.pointee.onLoss == .fail, isLost(decision.lane) { decision.outcome = .laneLost }
        if decision.lane.carrier != .none, !decision.lane.left {
            decision.response.lane.set(decision.lane.name)
        }
        if isEdge { finishEdge(scan, &reading, &headers, &decision) }
    }

    /// Nothing that could carry a lane: most requests of most proxies.
    @inline(__always)
    private func isSilent(_ scan: LineScan, _ cookie: ByteView?, hasQuery: Bool) -> Bool {
        if scan.hasHeaderCarriers { return false }
        switch role {
        case .edge: return cookie == nil && !hasQuery && policy.pointee.previewHosts.isEmpty
        case .outbound: return table.pointee.proxy.memberLane.isEmpty
        case .inbound: return true
        }
    }

    @inline(__always)
    private func finishEdge(
        _ scan: LineScan, _ reading: inout CarrierReading, _ headers: inout HeaderList,
        _ decision: inout Decision
    ) {
        cleanEdge(scan, &reading, &headers, decision.lane)
        pin(&reading, &decision)
        decision.response.isLaneResponse = decision.lane.known
        if decision.lane.carrier != .none, !decision.lane.known, !decision.lane.expired,
            policy.pointee.unknownLane == .reject
        {
            decision.outcome = .laneRejected
        }
    }

    private func guardStrip(
        _ scan: LineScan, _ request: inout Request, _ headers: inout HeaderList, _ decision: inout Decision
    ) {
        var stripped = writer.strip(scan, &headers)
        if request.hasQuery, laneParameter(request.query, policy.pointee.key) != nil {
            stripParameter(policy.pointee.key, &request, &headers)
            stripped.insert(.query)
        }
        if isEdge, !policy.pointee.previewHosts.isEmpty {
            var reading = CarrierReading()
            reader.readPreviewHost(request.authority, &headers, &reading)
            if let preview = reading.previewHost {
                enterPreviewHost(preview, &request, &headers)
                stripped.insert(.previewHost)
            }
        }
        decision.lane.strippedCarriers = stripped
        decision.response.policy = nil
    }

    private var reader: LaneReader {
        LaneReader(table: table, policy: policy, isEdge: isEdge, nowSeconds: nowSeconds)
    }

    /// Every carrier that this side reads; at the edge, those not accepted are taken away.
    @inline(__always)
    private func read(
        _ scan: LineScan, _ cookie: ByteView?, _ request: inout Request, _ headers: inout HeaderList,
        _ reading: inout CarrierReading
    ) {
        let accept = policy.pointee.accept
        let key = policy.pointee.key
        if isEdge {
            if request.hasQuery, accept.contains(.query) { reader.readQuery(request, &headers, &reading) }
            if !policy.pointee.previewHosts.isEmpty {
                reader.readPreviewHost(request.authority, &headers, &reading)
                if let preview = reading.previewHost { enterPreviewHost(preview, &request, &headers) }
            }
            if let cookie {
                if accept.contains(.cookie) {
                    reader.readCookie(cookie, &reading)
                } else {
                    removePieces(.cookie, .cookie, key, &headers)
                }
            }
        }
        if scan.firstKey >= 0 {
            if isEdge, !accept.contains(.header) {
                headers.remove(policy.pointee.header)
            } else {
                reader.readHeader(scan.firstKey, headers, &reading)
            }
        }
        if scan.firstBaggage >= 0 {
            if isEdge, !accept.contains(.baggage) {
                removePieces(.baggage, .baggage, key, &headers)
            } else {
                reader.readBaggage(scan.firstBaggage, &headers, &reading)
            }
        }
        if scan.firstTracestate >= 0 {
            if isEdge, !accept.contains(.tracestate) {
                removePieces(.tracestate, .tracestate, policy.pointee.tracestateKey, &headers)
            } else {
                reader.readTracestate(scan.firstTracestate, headers, &reading)
            }
        }
    }

    private func enterPreviewHost(
        _ preview: UnsafePointer<PreviewHost>, _ request: inout Request, _ headers: inout HeaderList
    ) {
        request.authority = preview.pointee.host
        request.hasPlainAuthority = false
        headers.set(HeaderNames.name(.host), preview.pointee.host)
    }

    private func tell(_ reading: CarrierReading, _ trace: inout Trace) {
        if let name = reading.query { trace.found(.query, name) }
        if let name = reading.previewName { trace.found(.previewHost, name) }
        if let name = reading.header { trace.found(.header, name) }
        if let name = reading.cookie { trace.found(.cookie, name) }
        if let name = reading.baggage { trace.found(.baggage, name) }
        if let name = reading.tracestate { trace.found(.tracestate, name) }
    }

    /// The first carrier that speaks, in the order of lanes.md 2; the others are compared with it.
    @inline(__always)
    private func choose(_ reading: inout CarrierReading, _ lane: inout LaneReading) {
        lane.invalidCarriers = reading.invalid
        lane.refusedCarriers = reading.refused
        if reading.leaves {
            lane.left = true
            lane.carrier = .query
            return
        }
        take(.query, reading.query, &lane)
        take(.previewHost, reading.previewName, &lane)
        take(.header, reading.header, &lane)
        take(.cookie, reading.cookie, &lane)
        take(.baggage, reading.baggage, &lane)
        take(.tracestate, reading.tracestate, &lane)
        if reading.headerDiffers { lane.conflicts.insert(.header) }
        if lane.carrier == .none, role == .outbound, !table.pointee.proxy.memberLane.isEmpty {
            lane.name = table.pointee.proxy.memberLane
            lane.carrier = .proxy
            lane.metricsID = table.pointee.proxy.memberLaneID
            lane.lines = table.pointee.memberLines
        }
        if lane.carrier != .none { resolve(&lane, reading.found) }
    }

    @inline(__always)
    private func take(_ carrier: Carrier, _ name: ByteView?, _ lane: inout LaneReading) {
        guard let name else { return }
        if lane.carrier == .none {
            lane.carrier = carrier
            lane.name = name
        } else if !lane.name.equals(name) {
            lane.conflicts.insert(carrier)
        }
    }

    /// Whether anybody knows the lane; a known name becomes the table's own copy.
    private func resolve(_ lane: inout LaneReading, _ earlier: FoundLane) {
        let found =
            earlier.name.start == lane.name.start && !earlier.name.isEmpty
            ? earlier : FoundLane(table, lane.name, policy)
        if let document = found.document {
            lane.name = document.pointee.name
            lane.metricsID = document.pointee.metricsID
            if document.pointee.expiresAtSeconds <= nowSeconds {
                lane.expired = true
            } else {
                lane.lane = document
                lane.lines = document.pointee.lines
                lane.known = true
            }
        } else if let known = found.known {
            lane.name = known.pointee.name
            lane.metricsID = known.pointee.metricsID
            lane.lines = known.pointee.lines
            lane.known = true
        } else {
            lane.known = acceptedByRoutes(lane.name)
        }
    }

    private func acceptedByRoutes(_ name: ByteView) -> Bool {
        if let patterns = policy.pointee.knownByValue, patterns.pointee.accepts(name) { return true }
        guard let patterns = policy.pointee.knownByPair else { return false }
        let key = policy.pointee.key
        let length = key.count &+ 1 &+ name.count
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { room in
            let start = room.baseAddress.unsafelyUnwrapped
            start.update(from: key.start, count: key.count)
            start[key.count] = 0x3D
            (start + key.count + 1).update(from: name.start, count: name.count)
            return patterns.pointee.accepts(ByteView(UnsafePointer(start), length))
        }
    }

    /// The request names a lane and would surely go on without it (lanes.md 8). Lanes that nobody knows are
    /// the affair of `unknownLane`; a pod whose own lane is over named none.
    private func isLost(_ lane: LaneReading) -> Bool {
        switch lane.carrier {
        case .none: lane.invalid
        case .proxy: hasNoRoom(lane)
        default: lane.expired || hasNoRoom(lane)
        }
    }

    /// A carrier was full, and there is no header beside it that always has room.
    private func hasNoRoom(_ lane: LaneReading) -> Bool {
        lane.limit && !policy.pointee.propagate.contains(.header)
    }

    private func reason(_ lane: LaneReading) -> Reason {
        if lane.left { return .laneLeft }
        if lane.expired { return .laneExpired }
        if lane.carrier == .none {
            return lane.refused ? .laneRefused : lane.invalid ? .laneInvalid : .none
        }
        // The pod's own lane is a fact of its configuration, not a claim to look up.
        if !lane.known, lane.carrier != .proxy { return .laneUnknown }
        return policy.pointee.onLoss != .log && hasNoRoom(lane) ? .laneLost : .none
    }

    /// What must not go past the edge: carriers of lanes that are over, left or unwanted, and values that are
    /// no lane names.
    @inline(__always)
    private func cleanEdge(
        _ scan: LineScan, _ reading: inout CarrierReading, _ headers: inout HeaderList, _ lane: LaneReading
    ) {
        let isUnwanted =
            lane.carrier != .none && !lane.known && policy.pointee.unknownLane != .forward
        if lane.left || lane.expired || isUnwanted {
            writer.strip(scan, &headers)
            return
        }
        // A cookie of another lane would steer routes that match on it.
        if lane.conflicts.contains(.cookie) || isRejected(.cookie, lane) {
            removePieces(.cookie, .cookie, policy.pointee.key, &headers)
        }
        // A known lane has replaced these already, unless the policy does not propagate it that way.
        if lane.invalidCarriers.isEmpty, lane.refusedCarriers.isEmpty { return }
        let propagate = policy.pointee.propagate
        if isRejected(.header, lane), !lane.known || !propagate.contains(.header) {
            headers.remove(policy.pointee.header)
        }
        if isRejected(.baggage, lane), !lane.known || !propagate.contains(.baggage) {
            removePieces(.baggage, .baggage, policy.pointee.key, &headers)
        }
        if isRejected(.tracestate, lane), !lane.known || !propagate.contains(.tracestate) {
            removePieces(.tracestate, .tracestate, policy.pointee.tracestateKey, &headers)
        }
    }

    private func isRejected(_ carrier: Carrier, _ lane: LaneReading) -> Bool {
        lane.invalidCarriers.contains(carrier) || lane.refusedCarriers.contains(carrier)
    }

    /// A pin is written when the lane came by a link, and removed when it pins to nothing (lanes.md 4).
    private func pin(_ reading: inout CarrierReading, _ decision: inout Decision) {
        guard policy.pointee.pin != nil else { return }
        let carrier = decision.lane.carrier
        if decision.lane.known, carrier == .query || carrier == .previewHost {
            let isPinned = reading.cookie.map { $0.equals(decision.lane.name) } ?? false
            if !isPinned {
                decision.response.pin = .write
                decision.response.lines = decision.lane.lines
            }
            return
        }
        if decision.lane.left {
            decision.response.pin = .clear
            return
        }
        guard reading.hasCookie else { return }
        if carrier == .cookie {
            if !decision.lane.known { decision.response.pin = .clear }
            return
        }
        var pinned = LaneReading()
        if let name = reading.cookie {
            pinned.name = name
            resolve(&pinned, reading.found)
        }
        if !pinned.known { decision.response.pin = .clear }
    }
}
