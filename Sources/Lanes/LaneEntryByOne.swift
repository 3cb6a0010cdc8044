// The lane stage for what nearly all requests of an edge are: only the query or only the cookie may name a
// lane, and the name is that of a live one. What the whole stage would come to, without a reading of every
// carrier; `LaneEntryTests` holds one against the other.
internal import Base
internal import HTTP

extension LaneEntry {
    /// False: nothing was done, the request is the whole stage's.
    @inline(never)
    func enterByOne(
        _ scan: LineScan, _ cookie: ByteView?, _ request: inout Request, _ headers: inout HeaderList,
        _ decision: inout Decision, _ memo: UnsafeMutablePointer<DecisionMemo>?, _ trace: inout Trace
    ) -> Bool {
        if scan.hasHeaderCarriers || policy.pointee.signingRequired || !policy.pointee.previewHosts.isEmpty {
            return false
        }
        let accept = policy.pointee.accept
        var carrier = Carrier.none
        var name = ByteView.empty
        if request.hasQuery, accept.contains(.query) {
            switch findLaneParameter(request.query, policy.pointee.key) {
            case .missing: break
            case .value(let value, let mayEscape):
                if mayEscape || value.isEmpty { return false }
                carrier = .query
                name = value
            }
        }
        if let value = cookie {
            if carrier != .none || !accept.contains(.cookie) { return false }
            carrier = .cookie
            name = value
        }
        if carrier == .none { return true }
        guard let lines = settle(name, &decision.lane, memo) else { return false }
        if Trace.isRecording { trace.found(carrier, name) }
        decision.isLaneSilent = false
        decision.lane.known = true
        decision.lane.carrier = carrier
        decision.lane.lines = lines
        let propagate = policy.pointee.propagate
        if propagate.contains(.header) { headers.append(lent: lines.place(of: \.header)) }
        if propagate.contains(.baggage) { headers.append(lent: lines.place(of: \.baggage)) }
        if propagate.contains(.tracestate) { headers.append(lent: lines.place(of: \.tracestate)) }
        decision.response.lane.set(decision.lane.name)
        decision.response.isLaneResponse = true
        if carrier == .query, policy.pointee.pin != nil {
            decision.response.pin = .write
            decision.response.lines = lines
        }
        return true
    }

    /// The table's own name of a live lane, and its lines; nil, with nothing set: it is none.
    @inline(__always)
    private func settle(
        _ name: ByteView, _ lane: inout LaneReading, _ memo: UnsafeMutablePointer<DecisionMemo>?
    ) -> UnsafePointer<LaneLines>? {
        if let document = document(name, memo) {
            guard document.pointee.expiresAtSeconds > nowSeconds, let lines = document.pointee.lines else {
                return nil
            }
            lane.name = document.pointee.name
            lane.metricsID = document.pointee.metricsID
            lane.lane = document
            return lines
        }
        guard let at = policy.pointee.knownNames.find(name) else { return nil }
        let known = policy.pointee.known[Int(at)]
        lane.name = known.pointee.name
        lane.metricsID = known.pointee.metricsID
        return known.pointee.lines
    }

    /// The lane's document; who is in a lane stays there for many requests.
    @inline(__always)
    private func document(
        _ name: ByteView, _ memo: UnsafeMutablePointer<DecisionMemo>?
    ) -> UnsafePointer<Lane>? {
        if let last = memo?.pointee.lane, name.equals(last.pointee.name) { return last }
        guard let at = table.pointee.laneIndex.find(name) else { return nil }
        let document = table.pointee.lanes[Int(at)]
        if let memo { memo.pointee.lane = document }
        return document
    }
}
