// Loss is loud (lanes.md 8): each event is a counter with lane and service, and one rate-limited log line
// with the remedy.
internal import Base
internal import HTTP
internal import Lanes

/// Events of lanes.md 8. Raw values are what the meter stores; `LossNames` in Telemetry's rendering has the
/// same order.
package enum LaneLoss: UInt8, CaseIterable, Sendable {
    case suspect, opaqueTLS, notHTTP, conflict, invalid, unknown, expired, ambiguous, limit

    package var name: String {
        switch self {
        case .suspect: "suspect"
        case .opaqueTLS: "opaque-tls"
        case .notHTTP: "not-http"
        case .conflict: "conflict"
        case .invalid: "invalid"
        case .unknown: "unknown"
        case .expired: "expired"
        case .ambiguous: "ambiguous"
        case .limit: "limit"
        }
    }

    /// Told to the client too where `onLoss` asks for it, because nothing else says it: other events have a
    /// reason of their own, or happen when the response's head is gone.
    fileprivate var isTold: Bool { self == .suspect || self == .ambiguous }

    /// What an application's first bytes hide the lane in; nil for requests, those with mistakes included.
    fileprivate init?(hiding bytes: ByteView) {
        if TLSLookahead.isHandshake(bytes) {
            self = .opaqueTLS
            return
        }
        let line = bytes.slice(0, bytes.firstIndex(of: 0x0A) ?? bytes.count)
        let version: ByteView = " HTTP/"
        var from = 0
        while let blank = line.firstIndex(of: 0x20, from: from) {
            if line.slice(blank, line.count).hasPrefix(version) { return nil }
            from = blank + 1
        }
        self = .notHTTP
    }

    fileprivate func log(lane: String, service: String) {
        Log.warning("lane \(name): lane=\(lane.isEmpty ? "-" : lane) service=\(service): \(remedy)")
    }

    fileprivate var remedy: String {
        switch self {
        case .suspect:
            "an egress request carried no lane while lane requests are in flight in this pod: "
                + "make the application forward baggage or traceparent, or set Proxy.spec.lane"
        case .opaqueTLS:
            "egress TLS from a pod with lane traffic cannot carry the lane: send plain HTTP to the sidecar"
        case .notHTTP: "egress bytes are not HTTP and cannot carry the lane"
        case .conflict: "two carriers name different lanes; the first in order won"
        case .invalid: "a carrier's value is no lane name and was ignored"
        case .unknown: "no document names the lane"
        case .expired: "the lane's time is over: delete its documents or prolong it"
        case .ambiguous: "a trace id was seen with two lanes and is not used"
        case .limit: "the carrier has no room for our member, so ours was left out"
        }
    }
}

/// One line per event and second at most; what was left out is told with the next.
struct LossLog {
    private var lastMs: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
        (0, 0, 0, 0, 0, 0, 0, 0, 0)
    private static let intervalMs: UInt64 = 1_000

    mutating func mayLog(_ loss: LaneLoss, nowMs: UInt64) -> Bool {
        withUnsafeMutableBytes(of: &lastMs) { bytes in
            let times = bytes.assumingMemoryBound(to: UInt64.self)
            let index = Int(loss.rawValue)
            if times[index] != 0, nowMs < times[index] + Self.intervalMs { return false }
            times[index] = max(1, nowMs)
            return true
        }
    }
}

extension Worker {
    /// Counts what the decision found out about the request's lane.
    @inline(__always)
    mutating func noteLane(_ number: UInt32) {
        let x = exchange(number)
        if !x.pointee.decision.pointee.isLaneSilent {
            noteReading(number)
        } else if x.pointee.role == .outbound, table?.pointee.policy != nil, areLanesInside {
            noteLoss(number, .suspect)
        }
    }

    /// Whether requests of lanes are in this pod, whichever worker has them: the application answers one by
    /// asking another.
    private var areLanesInside: Bool { fleet.total(.laneRequestsActive) > 0 }

    private mutating func noteReading(_ number: UInt32) {
        guard let table, table.pointee.policy != nil else { return }
        let x = exchange(number)
        // Field by field: the reading is too large to be copied for each request.
        let decision = x.pointee.decision
        if decision.pointee.lane.isOdd { noteOddities(number) }
        let isInLane = !decision.pointee.lane.name.isEmpty && !decision.pointee.lane.left
        let isKnown = decision.pointee.lane.known
        if isInLane, !isKnown, !decision.pointee.lane.expired, x.pointee.role == .edge {
            noteLoss(number, .unknown)
        }
        if !isInLane {
            if x.pointee.role == .outbound, areLanesInside { noteLoss(number, .suspect) }
            return
        }
        if x.pointee.role != .outbound {
            meter.add(.laneRequestsActive)
            x.pointee.flags.insert(.inLane)
        }
        let labels = serviceLabels(decision)
        let metricsID = decision.pointee.lane.metricsID
        let carrier = decision.pointee.lane.carrier.rawValue
        let laneDecision = decision.pointee.laneDecision
        if decision.pointee.lane.restored {
            meter.laneRestored(carrier: carrier, lane: metricsID, service: labels)
        }
        if laneDecision == .lane {
            meter.laneServed(
                service: labels, lane: metricsID, decision: laneDecision.rawValue, carrier: carrier)
        } else {
            meter.lane(service: labels, lane: metricsID, decision: laneDecision.rawValue, carrier: carrier)
        }
    }

    private mutating func noteOddities(_ number: UInt32) {
        let reading = exchange(number).pointee.decision.pointee.lane
        if reading.conflict { noteLoss(number, .conflict) }
        if reading.invalid { noteLoss(number, .invalid) }
        if reading.expired { noteLoss(number, .expired) }
        if reading.limit { noteLoss(number, .limit) }
        if !reading.strippedCarriers.isEmpty { countStripped(reading.strippedCarriers) }
    }

    private mutating func serviceLabels(_ decision: UnsafeMutablePointer<Decision>) -> UInt32 {
        if let cluster = decision.pointee.cluster { return cluster.pointee.noEndpointLabelsID }
        return table?.pointee.unknownLabelsID ?? 0
    }

    /// The exchange is over.
    mutating func laneEnded(_ number: UInt32) {
        let x = exchange(number)
        if x.pointee.flags.contains(.inLane) { meter.sub(.laneRequestsActive) }
    }

    mutating func noteLoss(_ number: UInt32, _ loss: LaneLoss) {
        let x = exchange(number)
        guard let table, let policy = table.pointee.policy else { return }
        if loss == .opaqueTLS || loss == .notHTTP, !takesPartInLanes(table) { return }
        if policy.pointee.onLoss != .log, loss.isTold, x.pointee.reason == .none {
            x.pointee.reason = .laneLost
        }
        let reading = x.pointee.decision.pointee.lane
        let serverName = serverName(number)
        var labels = serviceLabels(x.pointee.decision)
        if x.pointee.decision.pointee.cluster == nil, !serverName.isEmpty,
            let registry = held[Int(x.pointee.snapshot)].snapshot?.registry
        {
            // No document knows the destination: the name that the client gave does for it.
            labels = registry.serverNameID(serverName.string)
        }
        meter.laneLost(reason: loss.rawValue, lane: reading.metricsID, service: labels)
        guard lossLog.mayLog(loss, nowMs: nowMs) else { return }
        var service = x.pointee.decision.pointee.cluster?.pointee.service.string ?? serverName.string
        if service.isEmpty { service = "unknown" }
        loss.log(lane: x.pointee.decision.pointee.response.lane.string, service: service)
    }

    /// Only a pod that takes part in a lane loses anything by bytes that hide it.
    private func takesPartInLanes(_ table: UnsafePointer<Table>) -> Bool {
        !table.pointee.proxy.memberLane.isEmpty || areLanesInside
    }

    /// The first bytes of an application's connection were refused: were they a request at all? A request
    /// with mistakes loses nothing, its sender is told.
    mutating func noteRefused(_ slot: UInt32, _ bytes: ByteView) {
        let own = connection(slot)
        guard listeners[Int(own.pointee.listener)].role == ListenerRole.outbound.rawValue,
            !own.pointee.flags.contains(.served), let table, table.pointee.policy != nil,
            takesPartInLanes(table), let loss = LaneLoss(hiding: bytes)
        else { return }
        let proxy = table.pointee.proxy
        meter.laneLost(
            reason: loss.rawValue, lane: proxy.memberLaneID, service: table.pointee.unknownLabelsID)
        guard lossLog.mayLog(loss, nowMs: nowMs) else { return }
        loss.log(lane: proxy.memberLane.string, service: "unknown")
    }

    private func countStripped(_ carriers: CarrierSet) {
        if carriers.contains(.query) { meter.add(.guardQuery) }
        if carriers.contains(.previewHost) { meter.add(.guardPreviewHost) }
        if carriers.contains(.header) { meter.add(.guardHeader) }
        if carriers.contains(.cookie) { meter.add(.guardCookie) }
        if carriers.contains(.baggage) { meter.add(.guardBaggage) }
        if carriers.contains(.tracestate) { meter.add(.guardTracestate) }
        if carriers.contains(.traceID) { meter.add(.guardTraceID) }
    }

    /// `x-fairlead-debug: 1` from an address that may ask: the decision in words goes back with the response.
    /// `received` is the head as it came: it is read again, for the decision has edited its fields.
    mutating func explainIfAsked(
        _ number: UInt32, _ own: UnsafeMutablePointer<Connection>,
        _ received: UnsafeMutableBufferPointer<UInt8>
    ) {
        let x = exchange(number)
        guard x.pointee.decision.pointee.debugRequested, settings.mayDebug(own.pointee.peer),
            let snapshot = held[Int(current)].snapshot, let bytes = received.baseAddress
        else { return }
        var head = RequestHead()
        var list = HeaderList()
        defer { list.deallocate() }
        _ = H1Parser.readRequest(
            bytes, received.count, &head, &list, maxBytes: received.count,
            maxFields: Int(settings.headerCount))
        if RequestRules.settleAuthority(&head, &list) != nil { return }
        let target = head.request
        // What the client asked for inside TLS is https, whatever its request line says.
        let serverName = own.pointee.flags.contains(.secure) ? tls(of: own)?.pointee.stream.serverName : nil
        let plain = target.scheme.isEmpty ? RequestRules.http : target.scheme
        let scheme: ByteView = serverName == nil ? plain : "https"
        let fields = (0..<list.count).map { index in
            (list.fields[index].name.string, list.fields[index].value.string)
        }
        var url = "\(scheme.string)://\(target.authority.string)\(target.path.string)"
        if target.hasQuery { url += "?\(target.query.string)" }
        let json = explain(
            snapshot, method: target.method.string, url: url, headers: fields,
            listener: x.pointee.decision.pointee.listener.pointee.name.string,
            serverName: serverName?.string
        ).json()
        // A field value cannot hold more than a head does.
        if json.count <= Limits.explanationBytes {
            buffers.append(&x.pointee.explanation, json, json.count)
        }
    }
}
