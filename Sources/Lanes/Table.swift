// The frozen form of a `RoutingModel`: trivial structs that point at each other, all in one arena, read by
// every worker without a lock or a reference count. Built by `TableBuilder`, walked by `decide`.
public import Base
public import HTTP
public import Lua

/// Everything one configuration means to the request path. Valid as long as its `Snapshot`.
public struct Table: BitwiseCopyable {
    public var generation: UInt64
    public var proxy: ProxySettings
    public var listeners: Frozen<Listener>
    public var clusters: Frozen<Cluster>
    /// nil: no lane handling at all.
    public var policy: UnsafePointer<LanePolicy>?
    public var lanes: Frozen<Lane>
    /// All listeners' scripts, in the order in which an interpreter holds them.
    public var scripts: Frozen<ScriptFilter>
    /// Metric labels for requests that no known service answers.
    public var unknownLabelsID: UInt32
    public var passthroughLabelsID: UInt32
    public var blackHoleLabelsID: UInt32
    /// Lane names to positions in `lanes`.
    var laneIndex: ByteTable
    /// Of `Proxy.spec.lane`.
    var memberLines: UnsafePointer<LaneLines>?
    var injected: HeaderLevel
    /// The injection needs what only the worker knows (`%DOWNSTREAM_REMOTE_ADDRESS%`): it cannot come before
    /// routing.
    var injectedIsFormatted: Bool
}

/// The trivial twin of `ProxyModel`. Durations in milliseconds, 0: none.
public struct ProxySettings: BitwiseCopyable {
    public var name: ByteView
    public var namespace: ByteView
    public var isEdge: Bool
    public var pathNormalization: PathNormalization
    public var shadowHostSuffix: Bool
    public var http10: Bool
    public var requestHeaderTimeoutMs: UInt64
    public var requestBodyIdleTimeoutMs: UInt64
    public var idleTimeoutMs: UInt64
    public var streamIdleTimeoutMs: UInt64
    public var upstreamIdleTimeoutMs: UInt64
    public var connectTimeoutMs: UInt64
    public var drainTimeoutMs: UInt64
    public var headerBytes: Int
    public var headerCount: Int
    public var connections: Int
    public var requests: Int
    public var memoryBytes: Int
    public var trustedHops: Int
    public var trustedCIDRs: Frozen<CIDR>
    public var debugCIDRs: Frozen<CIDR>
    public var allowAnyOutbound: Bool
    public var clientCertificates: ClientCertificateForwarding
    /// `Proxy.spec.lane`; empty: none.
    public var memberLane: ByteView
    public var memberLaneID: UInt32
    /// nil: responses are not compressed.
    public var compression: UnsafePointer<CompressionRules>?
}

public struct Listener: BitwiseCopyable {
    public var name: ByteView
    public var role: ListenerRole
    public var address: SocketAddress
    /// Position in `Table.listeners`.
    public var index: Int
    /// A part of `Table.scripts`, which begins at `firstScript`.
    public var scripts: Frozen<ScriptFilter>
    public var firstScript: Int
    /// No script's edits are routed anew (`clearRouteCache: false`): the route is chosen before they run.
    public var routesBeforeScripts: Bool
    /// Sorted by port; one table of port 0 but on outbound listeners.
    var tables: Frozen<PortRoutes>
    /// Outbound: names whose only HTTP port is not 80, to positions in `tables`.
    var onlyPort: ByteTable
    /// nil: requests follow at once.
    public var connections: UnsafePointer<ConnectionTable>?
    /// A PROXY header must begin each connection.
    public var takesProxyHeader: Bool
    /// nil: plain text.
    public var tls: UnsafePointer<ListenerTLS>?

    /// Something comes before requests.
    public var hasOpening: Bool { connections != nil || takesProxyHeader || tls != nil }
}

struct PortRoutes: BitwiseCopyable {
    var port: UInt16
    var hosts: UnsafePointer<HostIndex>
}

public struct VirtualHost: BitwiseCopyable {
    public var name: ByteView
    public var httpsRedirect: Bool
    /// In the order they are tried.
    public var routes: Frozen<Route>
    /// nil: few enough routes to try them one by one.
    var index: UnsafePointer<RouteIndex>?
}

/// One element of `match[]` with its action.
public struct Route: BitwiseCopyable {
    public enum Action: UInt8, BitwiseCopyable {
        case forward, redirect, direct, passthrough, blocked
        /// `forward` with a CORS policy, so that routes without one do not look for it.
        case forwardWithCORS
    }

    public var name: ByteView
    /// `VirtualService ns/name`.
    public var document: ByteView
    public var action: Action
    /// Whole exchange, milliseconds; 0: none.
    public var timeoutMs: UInt64
    public var targets: Frozen<Target>
    /// `directResponse`, or the code of a redirect.
    public var status: UInt16
    /// Tries after the first: where no connection could be made, and where the stream was refused.
    public var connectRetries: UInt8
    public var refusedRetries: UInt8
    public var body: ByteView
    /// It matches only where the policy's key is in a header, cookie or query parameter.
    public var requiresLane: Bool

    var totalWeight: UInt64
    var conditions: UnsafePointer<RouteConditions>
    var redirect: UnsafePointer<Redirect>?
    var rewrite: UnsafePointer<Rewrite>?
    var cors: UnsafePointer<CORSPolicy>?
    /// For actions without a target.
    var requestLevels: Frozen<HeaderLevel>
    var responseLevels: Frozen<HeaderLevel>
    var isFormatted: Bool
}

public struct Target: BitwiseCopyable {
    /// nil: host, subset or port unknown (flag NC).
    public var cluster: UnsafePointer<Cluster>?
    /// The answer then.
    public var missingStatus: UInt16
    public var clusterName: ByteView
    public var weight: UInt64
    /// In the order they run; entry and destination are one level where there is one destination only
    /// (istio-semantics.md 6).
    var requestLevels: Frozen<HeaderLevel>
    var responseLevels: Frozen<HeaderLevel>
    var isFormatted: Bool
    /// Host rewrite of the entry, else of the destination; empty: none.
    var authority: ByteView
    /// The upstream is told the Host that was rewritten; as in Envoy not where one of several destinations
    /// asked for it.
    var tellsOldAuthority: Bool
}

/// One (service, subset, port).
extension Table {
    /// The cluster that a script names; nil: there is none.
    public func cluster(named name: ByteView) -> UnsafePointer<Cluster>? {
        for index in 0..<clusters.count where clusters[index].pointee.name.equals(name) {
            return clusters[index]
        }
        return nil
    }
}

public struct Cluster: BitwiseCopyable {
    public var name: ByteView
    /// FQDN.
    public var service: ByteView
    public var serviceNamespace: ByteView
    public var subset: ByteView
    public var port: UInt16
    public var loadBalancing: LoadBalancing
    public var connectTimeoutMs: UInt64
    /// Of the PROXY header that begins each connection; 0: none.
    public var proxyHeaderVersion: UInt8
    public var upstreamProtocol: UpstreamProtocol
    /// Streams on one HTTP/2 connection.
    public var streamsMax: UInt32
    /// Requests that a connection serves; 0: any number.
    public var requestsMax: UInt32
    /// Of connections between requests, and of relayed ones; 0: any time, `.max`: the proxy's settings say.
    public var idleTimeoutMs: UInt64
    public var relayIdleTimeoutMs: UInt64
    /// HTTP/2: how often a PING is sent, 0: never; and how long its answer is waited for.
    public var keepAliveMs: UInt64
    public var keepAliveTimeoutMs: UInt64
    /// Position in `Snapshot.named` where endpoints are names, which the worker's own view of it resolves;
    /// -1: it has none.
    public var resolvedIndex: Int32 = -1
    /// There are no endpoints: the host of each request is looked up, with this port.
    public var resolvesRequest: Bool
    public var requestPort: UInt16
    /// Some endpoint's weight differs from another's.
    public var hasWeights: Bool
    public var endpoints: Frozen<Endpoint>
    /// Healthy endpoints, as positions in `endpoints`.
    public var all: Frozen<UInt32>
    /// Healthy endpoints that belong to no lane.
    public var stable: Frozen<UInt32>
    /// Metric labels where no endpoint was chosen.
    public var noEndpointLabelsID: UInt32
    /// Position in `Table.clusters`.
    public var index: Int
    /// nil: plain text.
    public var tls: UnsafePointer<ClusterTLS>?

    var laneIndex: IndexTable
    var laneMembers: Frozen<Frozen<UInt32>>

    /// The healthy members of a lane; nil where the lane does not list this service.
    public func members(ofLane lane: Int) -> Frozen<UInt32>? {
        guard let at = laneIndex.find(UInt32(truncatingIfNeeded: lane)) else { return nil }
        return laneMembers[at].pointee
    }
}

public struct Endpoint: BitwiseCopyable {
    /// Stable across reloads while any snapshot knows the address; see `Registry`.
    public var id: UInt32
    /// Differs when the id was given to another address in between.
    public var idGeneration: UInt32
    public var address: SocketAddress
    public var weight: UInt32
    public var healthy: Bool
    public var labelsID: UInt32
    /// `10.0.0.1:80`, `[::1]:80`.
    public var addressText: ByteView
}

public struct Lane: BitwiseCopyable {
    public var name: ByteView
    public var namespace: ByteView
    /// Position in `Table.lanes`.
    public var index: Int
    /// For lane metrics; see `Registry`.
    public var metricsID: UInt32
    /// Seconds since 1970; `Int64.max`: never.
    public var expiresAtSeconds: Int64
    public var failWhenEmpty: Bool
    public var mode: LaneMode
    /// nil: there is no policy to carry it by.
    var lines: UnsafePointer<LaneLines>?
}

/// A lane's carriers as whole lines, made once: writing one costs no copy.
struct LaneLines: BitwiseCopyable {
    var header: HeaderField
    var baggage: HeaderField
    var tracestate: HeaderField
    /// `set-cookie` that pins to the lane, for connections that are not secure where that matters; nil: it
    /// is signed, with a time, or there is no pin.
    var pin: UnsafePointer<HeaderField>?
}

/// A name that some VirtualService match accepts as it stands.
struct KnownName: BitwiseCopyable {
    var name: ByteView
    var metricsID: UInt32
    var lines: UnsafePointer<LaneLines>
}

public struct LanePolicy: BitwiseCopyable {
    /// As written: the name of the query parameter, the cookie and the baggage member.
    public var key: ByteView
    public var accept: CarrierSet
    public var propagate: CarrierSet
    public var stripQuery: Bool
    public var cache: LaneCache
    public var onLoss: OnLoss
    public var unknownLane: UnknownLane
    public var guardStrip: Bool

    var header: HeaderName
    /// Lower case, as tracestate demands of its keys.
    var tracestateKey: ByteView
    var previewHosts: Frozen<PreviewHost>
    var signingSecret: ByteView
    var signingRequired: Bool
    var pin: UnsafePointer<Pin>?
    /// Literal names that routes accept, to positions in `known`.
    var knownNames: ByteTable
    var known: Frozen<KnownName>
    /// Patterns that accept a bare name, and those written for a whole cookie pair.
    var knownByValue: UnsafePointer<PatternSet>?
    var knownByPair: UnsafePointer<PatternSet>?
    /// Known names of lines that the reader looks at.
    var watched: HeaderIDSet
    /// `cache-control: private` (or `no-store`) and `vary: KEY, Cookie`.
    var cacheLine: HeaderField
    var varyLine: HeaderField
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
}

struct Rewrite: BitwiseCopyable {
    var hasURI: Bool
    /// `uri` takes the place of the whole path.
    var replacesPath: Bool
    var uri: ByteView
    var regex: OpaquePointer?
    var regexRewrite: ByteView
}
