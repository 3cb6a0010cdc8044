// The words of a decision: how a request went, why, and by which carrier its lane came.
public import Base
internal import CLinux

/// Why Fairlead answered itself or fell back (interface.md 3, `x-fairlead-reason`).
public enum Reason: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none
    case laneEmpty, laneUnreachable, laneUnknown, laneExpired, laneLeft, laneInvalid, laneRefused, laneLost
    case noRoute, noCluster, noHealthyUpstream
    case upstreamConnect, upstreamReset, upstreamProtocol, upstreamTimeout
    case overload, badRequest, timeout

    /// As it stands in the response header and in metrics; empty for `none`.
    public var text: StaticString {
        switch self {
        case .none: ""
        case .laneEmpty: "lane-empty"
        case .laneUnreachable: "lane-unreachable"
        case .laneUnknown: "lane-unknown"
        case .laneExpired: "lane-expired"
        case .laneLeft: "lane-left"
        case .laneInvalid: "lane-invalid"
        case .laneRefused: "lane-refused"
        case .laneLost: "lane-lost"
        case .noRoute: "no-route"
        case .noCluster: "no-cluster"
        case .noHealthyUpstream: "no-healthy-upstream"
        case .upstreamConnect: "upstream-connect"
        case .upstreamReset: "upstream-reset"
        case .upstreamProtocol: "upstream-protocol"
        case .upstreamTimeout: "upstream-timeout"
        case .overload: "overload"
        case .badRequest: "bad-request"
        case .timeout: "timeout"
        }
    }

    /// `text` for the control plane.
    public var name: String { text.description }
}

/// Which version of the service a request in a lane was sent to. `none`: the request is in no lane.
public enum LaneDecision: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none, stable, lane

    public var text: StaticString {
        switch self {
        case .none: "none"
        case .stable: "stable"
        case .lane: "lane"
        }
    }

    public var name: String { text.description }
}

/// What carries a lane name, in the order of lanes.md 2.
public enum Carrier: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none, query, previewHost, header, cookie, baggage, tracestate, traceID, correlation, proxy

    public var text: StaticString {
        switch self {
        case .none: "none"
        case .query: "query"
        case .previewHost: "preview-host"
        case .header: "header"
        case .cookie: "cookie"
        case .baggage: "baggage"
        case .tracestate: "tracestate"
        case .traceID: "trace-id"
        case .correlation: "correlation"
        case .proxy: "proxy"
        }
    }

    public var name: String { text.description }
}

/// A set of carriers.
public struct CarrierSet: OptionSet, BitwiseCopyable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public init(_ carrier: Carrier) { rawValue = 1 &<< UInt16(carrier.rawValue) }

    public func contains(_ carrier: Carrier) -> Bool {
        rawValue & (1 &<< UInt16(carrier.rawValue)) != 0
    }

    public mutating func insert(_ carrier: Carrier) { rawValue |= 1 &<< UInt16(carrier.rawValue) }
}

/// What happens with a request.
public enum Outcome: UInt8, Sendable, BitwiseCopyable {
    /// To one of `Decision.endpoints`.
    case forward
    /// To where the request was addressed (ALLOW_ANY).
    case passthrough
    /// A route's `redirect`.
    case redirect
    /// Gateway `tls.httpsRedirect`: 301.
    case httpsRedirect
    /// A route's `directResponse`.
    case direct
    /// 404, no virtual host or no route (flag NR).
    case noRoute
    /// A CORS preflight that the route's policy answers.
    case preflight
    /// 503 (under Gateway API 500), the target is not known (flag NC).
    case noCluster
    /// 503, the target has no healthy endpoint (flag UH).
    case noHealthyUpstream
    /// 503: the lane lists this service, has no endpoint here and must not fall back.
    case laneEmpty
    /// 404: `unknownLane: reject`.
    case laneRejected
    /// 502: `onLoss: fail`, and the request would surely go on without its lane.
    case laneLost
    /// 502: REGISTRY_ONLY.
    case blocked
}

/// A lane name kept by value, for what outlives the request head: at most `Limits.laneNameBytes`.
public struct InlineName: BitwiseCopyable {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    public private(set) var count: UInt8

    public init() {
        words = (0, 0, 0, 0, 0, 0, 0, 0)
        count = 0
    }

    /// Longer names are cut: callers have validated them.
    public init(_ name: ByteView) {
        self.init()
        set(name)
    }

    /// The same in place: of what was here, nothing can be read any more.
    mutating func set(_ name: ByteView) {
        let length = min(name.count, Limits.laneNameBytes)
        count = UInt8(truncatingIfNeeded: length)
        withUnsafeMutableBytes(of: &words) { room in
            fl_copy_short(
                room.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self), name.start, length)
        }
    }

    public func withView<Result>(_ body: (ByteView) -> Result) -> Result {
        withUnsafeBytes(of: words) { bytes in
            body(ByteView(bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), Int(count)))
        }
    }

    public var string: String { withView { $0.string } }
}
