// The frozen form of a `RoutingModel`: trivial structs that point at each other, all in one arena, read by
// every worker without a lock or a reference count. Built by `TableBuilder`, walked by `decide`.
package import Base
package import HTTP

/// Everything one configuration means to the request path. Valid as long as its `Snapshot`.
package struct Table: BitwiseCopyable {
    package var generation: UInt64
    package var proxy: ProxySettings
    package var listeners: Frozen<Listener>
    package var clusters: Frozen<Cluster>
    /// nil: no lane handling at all.
    package var policy: UnsafePointer<LanePolicy>?
    package var lanes: Frozen<Lane>
    /// Metric labels for requests that no known service answers.
    package var unknownLabelsID: UInt32
    package var passthroughLabelsID: UInt32
    package var blackHoleLabelsID: UInt32
    /// Lane names to positions in `lanes`.
    var laneIndex: ByteTable
    var injected: HeaderLevel
    /// The injection needs what only the worker knows (`%DOWNSTREAM_REMOTE_ADDRESS%`): it cannot come before
    /// routing.
    var injectedIsFormatted: Bool
}

/// The trivial twin of `ProxyModel`. Durations in milliseconds, 0: none.
package struct ProxySettings: BitwiseCopyable {
    package var name: ByteView
    package var namespace: ByteView
    package var isEdge: Bool
    package var pathNormalization: PathNormalization
    package var shadowHostSuffix: Bool
    package var http10: Bool
    package var requestHeaderTimeoutMs: UInt64
    package var requestBodyIdleTimeoutMs: UInt64
    package var idleTimeoutMs: UInt64
    package var streamIdleTimeoutMs: UInt64
    package var upstreamIdleTimeoutMs: UInt64
    package var connectTimeoutMs: UInt64
    package var drainTimeoutMs: UInt64
    package var headerBytes: Int
    package var headerCount: Int
    package var connections: Int
    package var requests: Int
    package var memoryBytes: Int
    package var trustedHops: Int
    package var trustedCIDRs: Frozen<CIDR>
    package var debugCIDRs: Frozen<CIDR>
    package var allowAnyOutbound: Bool
    /// `Proxy.spec.lane`; empty: none.
    package var memberLane: ByteView
    package var memberLaneID: UInt32
}

package struct Listener: BitwiseCopyable {
    package var name: ByteView
    package var role: ListenerRole
    package var address: SocketAddress
    /// Position in `Table.listeners`.
    package var index: Int
    /// Sorted by port; one table of port 0 but on outbound listeners.
    var tables: Frozen<PortRoutes>
    /// Outbound: names whose only HTTP port is not 80, to positions in `tables`.
    var onlyPort: ByteTable
}

struct PortRoutes: BitwiseCopyable {
    var port: UInt16
    var hosts: UnsafePointer<HostIndex>
}

package struct VirtualHost: BitwiseCopyable {
    package var name: ByteView
    package var httpsRedirect: Bool
    /// In the order they are tried.
    package var routes: Frozen<Route>
    /// nil: few enough routes to try them one by one.
    var index: UnsafePointer<RouteIndex>?
}

/// One element of `match[]` with its action.
package struct Route: BitwiseCopyable {
    package enum Action: UInt8, BitwiseCopyable { case forward, redirect, direct, passthrough }

    package var name: ByteView
    /// `VirtualService ns/name`.
    package var document: ByteView
    package var action: Action
    /// Whole exchange, milliseconds; 0: none.
    package var timeoutMs: UInt64
    package var targets: Frozen<Target>
    /// `directResponse`, or the code of a redirect.
    package var status: UInt16
    package var body: ByteView
    /// It matches only where the policy's key is in a header, cookie or query parameter.
    package var requiresLane: Bool

    var totalWeight: UInt64
    var conditions: UnsafePointer<RouteConditions>
    var redirect: UnsafePointer<Redirect>?
    var rewrite: UnsafePointer<Rewrite>?
    /// For actions without a target.
    var requestLevels: Frozen<HeaderLevel>
    var responseLevels: Frozen<HeaderLevel>
    var isFormatted: Bool
}

package struct Target: BitwiseCopyable {
    /// nil: host, subset or port unknown (503 NC).
    package var cluster: UnsafePointer<Cluster>?
    package var clusterName: ByteView
    package var weight: UInt64
    /// In the order they run; entry and destination are one level where there is one destination only
    /// (istio-semantics.md 6).
    var requestLevels: Frozen<HeaderLevel>
    var responseLevels: Frozen<HeaderLevel>
    var isFormatted: Bool
    /// Host rewrite of the entry, else of the destination; empty: none.
    var authority: ByteView
}

/// One (service, subset, port).
package struct Cluster: BitwiseCopyable {
    package var name: ByteView
    /// FQDN.
    package var service: ByteView
    package var serviceNamespace: ByteView
    package var subset: ByteView
    package var port: UInt16
    package var loadBalancing: LoadBalancing
    package var connectTimeoutMs: UInt64
    /// Some endpoint's weight differs from another's.
    package var hasWeights: Bool
    package var endpoints: Frozen<Endpoint>
    /// Healthy endpoints, as positions in `endpoints`.
    package var all: Frozen<UInt32>
    /// Healthy endpoints that belong to no lane.
    package var stable: Frozen<UInt32>
    /// Metric labels where no endpoint was chosen.
    package var noEndpointLabelsID: UInt32
    /// Position in `Table.clusters`.
    package var index: Int

    var laneIndex: IndexTable
    var laneMembers: Frozen<Frozen<UInt32>>

    /// The healthy members of a lane; nil where the lane does not list this service.
    package func members(ofLane lane: Int) -> Frozen<UInt32>? {
        guard let at = laneIndex.find(UInt32(truncatingIfNeeded: lane)) else { return nil }
        return laneMembers[at].pointee
    }
}

package struct Endpoint: BitwiseCopyable {
    /// Stable across reloads while any snapshot knows the address; see `Registry`.
    package var id: UInt32
    /// Differs when the id was given to another address in between.
    package var idGeneration: UInt32
    package var address: SocketAddress
    package var weight: UInt32
    package var healthy: Bool
    package var labelsID: UInt32
    /// `10.0.0.1:80`, `[::1]:80`.
    package var addressText: ByteView
}

package struct Lane: BitwiseCopyable {
    package var name: ByteView
    package var namespace: ByteView
    /// Position in `Table.lanes`.
    package var index: Int
    /// For lane metrics; see `Registry`.
    package var metricsID: UInt32
    /// Seconds since 1970; `Int64.max`: never.
    package var expiresAtSeconds: Int64
    package var failWhenEmpty: Bool
    package var mode: LaneMode
}

package struct LanePolicy: BitwiseCopyable {
    /// As written: the name of the query parameter, the cookie and the baggage member.
    package var key: ByteView
    package var accept: CarrierSet
    package var propagate: CarrierSet
    package var stripQuery: Bool
    package var cache: LaneCache
    package var onLoss: OnLoss
    package var unknownLane: UnknownLane
    package var guardStrip: Bool

    var header: HeaderName
    /// Lower case, as tracestate demands of its keys.
    var tracestateKey: ByteView
    var previewHosts: Frozen<PreviewHost>
    var signingSecret: ByteView
    var signingRequired: Bool
    var pin: UnsafePointer<Pin>?
    /// Literal names that routes accept, to their metric ids.
    var knownNames: ByteTable
    /// Patterns that accept a bare name, and those written for a whole cookie pair.
    var knownByValue: UnsafePointer<PatternSet>?
    var knownByPair: UnsafePointer<PatternSet>?
    /// HeaderID to what the reader does with such a line.
    var lineKinds: UnsafePointer<UInt8>
}

struct PreviewHost: BitwiseCopyable {
    var prefix: ByteView
    var suffix: ByteView
    var host: ByteView
}

struct Pin: BitwiseCopyable {
    var maxAgeSeconds: UInt64
    /// `; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax` and the Domain; `Secure` follows where it applies.
    var attributes: ByteView
    /// The same with Max-Age=0.
    var clearing: ByteView
    var secure: SecureAttribute
}

struct Redirect: BitwiseCopyable {
    /// Empty: as the request.
    var scheme: ByteView
    var authority: ByteView
    var uri: ByteView
    var prefixRewrite: ByteView
    var hasPrefixRewrite: Bool
    /// 0: none.
    var port: UInt16
    var portFromRequest: Bool
}

struct Rewrite: BitwiseCopyable {
    var hasURI: Bool
    var uri: ByteView
    var regex: OpaquePointer?
    var regexRewrite: ByteView
}
