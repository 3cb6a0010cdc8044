// What `decide` hands the worker: where the request goes, and what is left to do with the response. All
// trivial; pointers lead into the table.
public import Base

/// The lane of a request and how it was found.
public struct LaneReading: BitwiseCopyable {
    /// Of the table where the lane is known by name, else of the request head or its header list: valid as
    /// long as those. Empty: no lane.
    public var name: ByteView = .empty
    /// The `Lane` document; nil for lanes that only routes know.
    public var lane: UnsafePointer<Lane>?
    /// A live `Lane` names it, or a VirtualService match accepts it.
    public var known = false
    public var carrier = Carrier.none
    /// For lane metrics; 0 where the name has none.
    public var metricsID: UInt32 = 0
    /// Carriers with another name than the one that won.
    public var conflicts = CarrierSet()
    /// Carriers whose value is no lane name.
    public var invalidCarriers = CarrierSet()
    /// Carriers whose signature was missing, wrong or out of date.
    public var refusedCarriers = CarrierSet()
    /// Carriers that `guard: strip` removed.
    public var strippedCarriers = CarrierSet()
    /// The lane's document says it is over.
    public var expired = false
    /// An empty query value: the caller leaves the lane.
    public var left = false
    /// Egress without the lane header whose lane another carrier knew.
    public var restored = false
    /// A carrier had no room for our member.
    public var limit = false

    var lines: UnsafePointer<LaneLines>?

    public init() {}

    public var conflict: Bool { !conflicts.isEmpty }
    public var invalid: Bool { !invalidCarriers.isEmpty }
    public var refused: Bool { !refusedCarriers.isEmpty }

    /// There is more to tell than the lane: a conflict, an invalid value, a guard's work, an end or a limit.
    @inlinable @inline(__always)
    public var isOdd: Bool {
        conflicts.rawValue | invalidCarriers.rawValue | strippedCarriers.rawValue != 0 || expired || limit
    }
}

/// What the worker knows beside the request.
public struct DecisionContext: BitwiseCopyable {
    /// Chooses among weighted targets.
    public var random: UInt64
    /// Seconds since 1970.
    public var nowSeconds: Int64
    /// TLS on the client side, or a trusted x-forwarded-proto says so.
    public var isTLS: Bool
    /// The clusters with names as they are now, by `Cluster.resolvedIndex`; nil: there are none.
    public var resolved: UnsafePointer<UnsafePointer<Cluster>>?
    /// Of the client's connection, for this configuration; nil: nothing is remembered.
    public var memo: UnsafeMutablePointer<DecisionMemo>?

    public init(
        random: UInt64, nowSeconds: Int64, isTLS: Bool,
        resolved: UnsafePointer<UnsafePointer<Cluster>>? = nil,
        memo: UnsafeMutablePointer<DecisionMemo>? = nil
    ) {
        self.random = random
        self.nowSeconds = nowSeconds
        self.isTLS = isTLS
        self.resolved = resolved
        self.memo = memo
    }
}

public enum PinAction: UInt8, Sendable, BitwiseCopyable { case none, write, clear }

/// What is left to do with the response; the worker keeps it after the request head is gone. Valid as long as
/// the snapshot.
public struct ResponsePlan: BitwiseCopyable {
    /// Told as `x-fairlead-reason`; the worker sets its own here when an exchange fails.
    public var reason = Reason.none
    public var pin = PinAction.none
    /// The response belongs to a lane: no shared cache may keep it.
    public var isLaneResponse = false
    /// A CORS preflight asks for the lane header.
    public var preflightAsksForKey = false
    /// What the route's CORS policy adds; other than `none`, the `FormatContext` must name it (`addCORS`).
    public var cors = CORSAnswer.none
    /// The lane's name, where the request names one, whether known or not.
    public var lane = InlineName()

    /// Of `lane`, where the table has them.
    var lines: UnsafePointer<LaneLines>?
    var isTLS = false
    var pinSeconds: Int64 = 0
    @usableFromInline var levels: Frozen<HeaderLevel>
    var policy: UnsafePointer<LanePolicy>?

    init() { levels = .empty }

    /// The route has header operations for responses.
    @inlinable @inline(__always)
    public var hasOperations: Bool { levels.count > 0 }

    /// `applyResponseEdits` has something to do; of most responses that belong to no lane it has not.
    @inlinable @inline(__always)
    public var editsHead: Bool {
        levels.count > 0 || pin != .none || isLaneResponse || cors != .none || preflightAsksForKey
            || reason != .none
    }
}

public struct Decision: BitwiseCopyable {
    public var outcome = Outcome.noRoute
    public var listener: UnsafePointer<Listener>
    public var virtualHost: UnsafePointer<VirtualHost>?
    public var route: UnsafePointer<Route>?
    public var target: UnsafePointer<Target>?
    public var cluster: UnsafePointer<Cluster>?
    /// Positions in `cluster.endpoints` to balance over.
    public var endpoints: Frozen<UInt32>
    /// Where the request may go when no connection to any of `endpoints` can be made (`mode: loose`), with
    /// reason `laneUnreachable`. Empty: nowhere.
    public var fallbackEndpoints: Frozen<UInt32>
    public var lane = LaneReading()
    /// Nothing of the request could carry a lane: `lane` is as it was made.
    public var isLaneSilent = true
    public var laneDecision = LaneDecision.none
    public var reason = Reason.none
    /// `mode: observe`: the lane has members here, and stable was taken all the same.
    public var observed = false
    /// The request asked for `x-fairlead-explain`; whether the source may is the worker's to check.
    public var debugRequested = false
    /// The Host before a preview host replaced it. Valid as long as the request head.
    public var originalAuthority: ByteView = .empty
    /// `applyRequestEdits` may have something to do.
    public var editsRequest = true
    /// Some header operation holds `%OPERATORS%`: only then is a `FormatContext` read.
    public var needsFormatting = false
    public var response = ResponsePlan()

    var injected: UnsafePointer<HeaderLevel>?

    @inline(__always)
    init(_ listener: UnsafePointer<Listener>) {
        self.listener = listener
        endpoints = .empty
        fallbackEndpoints = .empty
    }

    /// Of a request whose scripts run before it is decided.
    public static func undecided(_ listener: UnsafePointer<Listener>) -> Decision { Decision(listener) }

    /// Of a call that a script makes: to the cluster's stable endpoints, with nothing to edit.
    public static func call(
        _ listener: UnsafePointer<Listener>, _ cluster: UnsafePointer<Cluster>
    ) -> Decision {
        var made = Decision(listener)
        made.outcome = .forward
        made.cluster = cluster
        made.endpoints = cluster.pointee.stable
        return made
    }

    /// Status of an answer that Fairlead makes itself; 0 for forwarded requests.
    public var status: Int {
        switch outcome {
        case .forward, .passthrough: 0
        case .redirect, .direct: route.map { Int($0.pointee.status) } ?? 500
        case .httpsRedirect: 301
        case .preflight: 200
        case .noRoute, .laneRejected: 404
        case .noCluster: target.map { Int($0.pointee.missingStatus) } ?? 503
        case .noHealthyUpstream, .laneEmpty: 503
        case .blocked, .laneLost: 502
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

extension UnsafeMutablePointer<Decision> {
    /// Where the plan of a decision lies: what `applyResponseEdits` reads.
    public var responsePlan: UnsafePointer<ResponsePlan> {
        let offset = MemoryLayout<Decision>.offset(of: \Decision.response).unsafelyUnwrapped
        return UnsafePointer(
            (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: ResponsePlan.self))
    }
}
