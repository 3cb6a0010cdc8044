// What `decide` hands the worker: where the request goes, and what is left to do with the response. All
// trivial; pointers lead into the table.
package import Base
internal import HTTP

/// The lane of a request and how it was found.
package struct LaneReading: BitwiseCopyable {
    /// Of the table where the lane is known by name, else of the request head or its header list: valid as long
    /// as those. Empty: no lane.
    package var name: ByteView = .empty
    /// The `Lane` document; nil for lanes that only routes know.
    package var lane: UnsafePointer<Lane>?
    /// A live `Lane` names it, or a VirtualService match accepts it.
    package var known = false
    package var carrier = Carrier.none
    /// For lane metrics; 0 where the name has none.
    package var metricsID: UInt32 = 0
    /// Carriers with another name than the one that won.
    package var conflicts = CarrierSet()
    /// Carriers whose value is no lane name.
    package var invalidCarriers = CarrierSet()
    /// Carriers whose signature was missing, wrong or out of date.
    package var refusedCarriers = CarrierSet()
    /// Carriers that `guard: strip` removed.
    package var strippedCarriers = CarrierSet()
    /// The lane's document says it is over.
    package var expired = false
    /// An empty query value: the caller leaves the lane.
    package var left = false
    /// Egress without the lane header whose lane another carrier knew.
    package var restored = false
    /// A carrier had no room for our member.
    package var limit = false

    package init() {}

    package var conflict: Bool { !conflicts.isEmpty }
    package var invalid: Bool { !invalidCarriers.isEmpty }
    package var refused: Bool { !refusedCarriers.isEmpty }
}

/// What the worker knows beside the request.
package struct DecisionContext: BitwiseCopyable {
    /// Chooses among weighted targets.
    package var random: UInt64
    /// Seconds since 1970.
    package var nowSeconds: Int64
    /// TLS on the client side, or a trusted x-forwarded-proto says so.
    package var isTLS: Bool
    package var localPort: UInt16

    package init(random: UInt64, nowSeconds: Int64, isTLS: Bool, localPort: UInt16) {
        self.random = random
        self.nowSeconds = nowSeconds
        self.isTLS = isTLS
        self.localPort = localPort
    }
}

package enum PinAction: UInt8, Sendable, BitwiseCopyable { case none, write, clear }

/// What is left to do with the response; the worker keeps it after the request head is gone. Valid as long as
/// the snapshot.
package struct ResponsePlan: BitwiseCopyable {
    /// Told as `x-fairlead-reason`; the worker sets its own here when an exchange fails.
    package var reason = Reason.none
    package var pin = PinAction.none
    /// The response belongs to a lane: no shared cache may keep it.
    package var isLaneResponse = false
    /// A CORS preflight asks for the lane header.
    package var preflightAsksForKey = false
    /// The lane's name, where the request names one, whether known or not.
    package var lane = InlineName()

    var isTLS = false
    var pinSeconds: Int64 = 0
    var levels: Frozen<HeaderLevel>
    var policy: UnsafePointer<LanePolicy>?

    init() { levels = .empty }
}

package struct Decision: BitwiseCopyable {
    package var outcome = Outcome.noRoute
    package var listener: UnsafePointer<Listener>
    package var virtualHost: UnsafePointer<VirtualHost>?
    package var route: UnsafePointer<Route>?
    package var target: UnsafePointer<Target>?
    package var cluster: UnsafePointer<Cluster>?
    /// Positions in `cluster.endpoints` to balance over.
    package var endpoints: Frozen<UInt32>
    /// Where the request may go when no connection to any of `endpoints` can be made (`mode: loose`), with
    /// reason `laneUnreachable`. Empty: nowhere.
    package var fallbackEndpoints: Frozen<UInt32>
    package var lane = LaneReading()
    package var laneDecision = LaneDecision.none
    package var reason = Reason.none
    /// `mode: observe`: the lane has members here, and stable was taken all the same.
    package var observed = false
    /// The request asked for `x-fairlead-explain`; whether the source may is the worker's to check.
    package var debugRequested = false
    /// The Host before a preview host replaced it. Valid as long as the request head.
    package var originalAuthority: ByteView = .empty
    package var response = ResponsePlan()

    var injected: UnsafePointer<HeaderLevel>?

    init(_ listener: UnsafePointer<Listener>) {
        self.listener = listener
        endpoints = .empty
        fallbackEndpoints = .empty
    }

    /// Some header operation holds `%OPERATORS%`: only then is a `FormatContext` read.
    package var needsFormatting: Bool {
        if injected != nil { return true }
        if let target { return target.pointee.isFormatted }
        return route?.pointee.isFormatted ?? false
    }

    /// Status of an answer that Fairlead makes itself; 0 for forwarded requests.
    package var status: Int {
        switch outcome {
        case .forward, .passthrough: 0
        case .redirect, .direct: route.map { Int($0.pointee.status) } ?? 500
        case .httpsRedirect: 301
        case .noRoute, .laneRejected: 404
        case .noCluster, .noHealthyUpstream, .laneEmpty: 503
        case .blocked: 502
        }
    }
}

extension Frozen {
    /// No elements; its address is never read.
    static var empty: Frozen {
        Frozen(
            start: UnsafePointer(bitPattern: MemoryLayout<Value>.alignment).unsafelyUnwrapped, count: 0)
    }
}
