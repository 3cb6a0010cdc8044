// What a configuration means, as plain values: the output of Config's compilation and the input of `Table`,
// which freezes it into the form that requests walk. One model is one proxy's view of all documents: names
// are resolved, visibility, merging and precedence (istio-semantics.md 2 to 5) are already applied.
package import Base
package import HTTP

/// Where something was written: for findings, explain and logs.
package struct SourceRef: Sendable, Equatable {
    /// `VirtualService digillect-nonprod/auth`.
    package var document: String
    package var file: String
    package var line: Int

    package init(document: String, file: String, line: Int) {
        self.document = document
        self.file = file
        self.line = line
    }
}

package struct RoutingModel: Sendable {
    package var proxy = ProxyModel()
    package var listeners: [ListenerModel] = []
    package var routeTables: [RouteTableModel] = []
    package var clusters: [ClusterModel] = []
    package var policy: LanePolicyModel?
    package var lanes: [LaneModel] = []

    package init() {}
}

/// The `Proxy` document with its defaults filled in. Durations in milliseconds, 0: none.
package struct ProxyModel: Sendable {
    package var name = "fairlead"
    package var namespace = "default"
    package var labels: [String: String] = [:]
    package var isEdge = true
    package var pathNormalization = PathNormalization.base
    package var shadowHostSuffix = true
    package var http10 = true
    package var requestHeaderTimeoutMs: UInt64 = 60_000
    package var requestBodyIdleTimeoutMs: UInt64 = 60_000
    package var idleTimeoutMs: UInt64 = 3_600_000
    package var streamIdleTimeoutMs: UInt64 = 0
    package var upstreamIdleTimeoutMs: UInt64 = 3_600_000
    package var connectTimeoutMs: UInt64 = 10_000
    package var drainTimeoutMs: UInt64 = 30_000
    package var headerBytes = Limits.headBytes
    package var headerCount = Limits.headFields
    /// 0: none but what the system gives.
    package var connections = 0
    package var requests = 0
    package var memoryBytes = 0
    package var trustedHops = 0
    package var trustedCIDRs: [CIDR] = []
    package var debugCIDRs: [CIDR] = []
    /// True: ALLOW_ANY; false: REGISTRY_ONLY.
    package var allowAnyOutbound = true
    /// `Proxy.spec.lane`: egress with no lane gets it.
    package var memberOfLane: String?
    /// `Proxy.spec.headers.request`, on every egress request.
    package var injected = HeaderOperations()

    package init() {}
}

package enum PathNormalization: UInt8, Sendable, BitwiseCopyable {
    case none, base, mergeSlashes, decodeAndMergeSlashes
}

/// An address range. IPv4 ranges are held as IPv4-mapped IPv6 (`::ffff:0:0/96`).
package struct CIDR: Sendable, Equatable, BitwiseCopyable {
    package var high: UInt64
    package var low: UInt64
    package var prefixLength: Int

    package init(high: UInt64, low: UInt64, prefixLength: Int) {
        self.high = high
        self.low = low
        self.prefixLength = prefixLength
    }
}

package struct ListenerModel: Sendable {
    /// `gateway/80`, `outbound`, `inbound/15006`.
    package var name: String
    package var role: ListenerRole
    package var address: SocketAddress
    /// Index into `routeTables`: the table of an edge port or an inbound port; on `outbound` the table of each
    /// destination port.
    package var tables: [PortTable]
    /// Inbound only: the application.
    package var source: SourceRef

    package init(
        name: String, role: ListenerRole, address: SocketAddress, tables: [PortTable], source: SourceRef
    ) {
        self.name = name
        self.role = role
        self.address = address
        self.tables = tables
        self.source = source
    }
}

/// On an outbound listener the Host's port chooses the table. `port` is 0 for the one table of other roles.
package struct PortTable: Sendable {
    package var port: UInt16
    package var routeTable: Int

    package init(port: UInt16, routeTable: Int) {
        self.port = port
        self.routeTable = routeTable
    }
}

/// All virtual hosts of one port.
package struct RouteTableModel: Sendable {
    package var name: String
    package var virtualHosts: [VirtualHostModel] = []

    package init(name: String) { self.name = name }
}

package struct VirtualHostModel: Sendable {
    package var name: String
    /// Lower case, without port: exact names, `*.suffix`, `prefix.*`, `*`.
    package var domains: [String]
    /// In the order they are tried.
    package var routes: [RouteModel]
    /// Gateway `tls.httpsRedirect`: 301 before any route, decided on x-forwarded-proto.
    package var httpsRedirect = false

    package init(name: String, domains: [String], routes: [RouteModel]) {
        self.name = name
        self.domains = domains
        self.routes = routes
    }
}

/// One way to match a value (istio-semantics.md 4.1).
package enum StringMatch: Sendable, Equatable {
    case exact(String)
    case prefix(String)
    /// RE2, whole value.
    case regex(String)
    case present
}

package struct NamedMatch: Sendable, Equatable {
    /// Header names lower case.
    package var name: String
    package var match: StringMatch
    /// `withoutHeaders`.
    package var inverted: Bool

    package init(name: String, match: StringMatch, inverted: Bool = false) {
        self.name = name
        self.match = match
        self.inverted = inverted
    }
}

/// One element of `match[]`: all conditions must hold. Conditions decided when the table is built (gateways,
/// sourceLabels, sourceNamespace, port) are gone already.
package struct MatchModel: Sendable {
    package var uri: StringMatch?
    package var ignoreUriCase = false
    /// Gateway API PathPrefix: by segments, not by characters.
    package var uriPrefixBySegment = false
    package var method: StringMatch?
    package var authority: StringMatch?
    package var scheme: StringMatch?
    package var headers: [NamedMatch] = []
    package var queryParams: [NamedMatch] = []

    package init() {}
}

/// A route: one element of `match[]` of one http entry.
package struct RouteModel: Sendable {
    package var name: String
    package var source: SourceRef
    package var match = MatchModel()
    package var action: ActionModel
    package var requestHeaders = HeaderOperations()
    package var responseHeaders = HeaderOperations()
    package var rewrite: RewriteModel?
    /// Whole exchange, milliseconds; 0: none.
    package var timeoutMs: UInt64 = 0

    package init(name: String, source: SourceRef, action: ActionModel) {
        self.name = name
        self.source = source
        self.action = action
    }
}

package enum ActionModel: Sendable {
    /// Weights as written for several targets (zero-weight ones already dropped); for one, anything.
    case forward([TargetModel])
    case redirect(RedirectModel)
    case direct(status: Int, body: [UInt8])
    /// To where the request was addressed (ALLOW_ANY), resolving the Host.
    case passthrough
}

package struct TargetModel: Sendable {
    /// Index into `clusters`; nil: host, subset or port unknown (503 NC).
    package var cluster: Int?
    /// As written, for explain and the access log: `outbound|8080|v1|svc.ns.svc.cluster.local`.
    package var clusterName: String
    package var weight: Int
    /// Host rewrite of this destination alone (a `host` or `:authority` header operation beside its weight).
    package var authority: String?
    package var requestHeaders = HeaderOperations()
    package var responseHeaders = HeaderOperations()

    package init(cluster: Int?, clusterName: String, weight: Int) {
        self.cluster = cluster
        self.clusterName = clusterName
        self.weight = weight
    }
}

package struct RedirectModel: Sendable {
    package var code = 301
    package var scheme: String?
    package var authority: String?
    package var port: Int?
    /// FROM_REQUEST_PORT.
    package var portFromRequest = false
    package var uri: String?
    package var prefixRewrite: String?

    package init() {}
}

package struct RewriteModel: Sendable {
    package var uri: String?
    package var uriRegex: (match: String, rewrite: String)?
    package var authority: String?

    package init() {}
}

/// One level of header operations (istio-semantics.md 6): removes, then sets, then adds. Names lower case,
/// in the order to apply (sorted by name within set and add). Values hold `%FORMATTERS%` as written.
package struct HeaderOperations: Sendable {
    package var remove: [String] = []
    package var set: [(name: String, value: String)] = []
    package var add: [(name: String, value: String)] = []

    package init() {}
    package var isEmpty: Bool { remove.isEmpty && set.isEmpty && add.isEmpty }
}

package enum LoadBalancing: UInt8, Sendable, BitwiseCopyable {
    case leastRequest, roundRobin, random
}

/// One (service, subset, port). Native lanes split its endpoints: members of a lane, and the stable rest.
package struct ClusterModel: Sendable {
    /// `outbound|8080|v1|svc.ns.svc.cluster.local`, Envoy's and Istio's name.
    package var name: String
    /// FQDN.
    package var service: String
    package var serviceNamespace: String
    package var subset: String
    package var port: UInt16
    package var loadBalancing = LoadBalancing.leastRequest
    package var connectTimeoutMs: UInt64 = 10_000
    package var endpoints: [EndpointModel] = []
    /// Which endpoints each lane has here, by lane index, endpoint indexes into `endpoints`. A lane that lists
    /// this service but selects nothing has an empty list.
    package var laneMembers: [(lane: Int, endpoints: [Int])] = []
    /// Endpoints minus every lane's.
    package var stable: [Int] = []

    package init(name: String, service: String, serviceNamespace: String, subset: String, port: UInt16) {
        self.name = name
        self.service = service
        self.serviceNamespace = serviceNamespace
        self.subset = subset
        self.port = port
    }
}

package struct EndpointModel: Sendable, Hashable {
    package var address: SocketAddress
    package var weight: UInt32 = 1
    package var healthy = true
    /// For metrics and explain: the workload behind the address.
    package var workload = ""
    package var namespace = ""
    package var labels: [String: String] = [:]

    package init(address: SocketAddress) { self.address = address }
}

package struct LanePolicyModel: Sendable {
    package var source: SourceRef
    package var key = "x-feat-name"
    package var accept = Carriers(query: true, header: true, cookie: true, baggage: true)
    package var pin: PinModel?
    package var propagate = Carriers(query: false, header: true, cookie: false, baggage: true)
    package var previewHosts: [PreviewHostModel] = []
    package var stripQuery = false
    package var cache = LaneCache.private
    /// Lane requests whose trace we start are marked sampled.
    package var traceSampled = true
    package var onLoss = OnLoss.log
    package var unknownLane = UnknownLane.forward
    package var guardStrip = false
    package var signingSecret: [UInt8]?
    package var signingRequired = false
    /// Values of the key that some VirtualService match accepts: these make a lane known without a `Lane`.
    package var knownByRoutes: [StringMatch] = []

    package init(source: SourceRef) { self.source = source }
}

/// Which carriers are read or written.
package struct Carriers: Sendable {
    package var query: Bool
    package var header: Bool
    package var cookie: Bool
    package var baggage: Bool
    package var tracestate = true
    package var traceID = true

    package init(query: Bool, header: Bool, cookie: Bool, baggage: Bool) {
        self.query = query
        self.header = header
        self.cookie = cookie
        self.baggage = baggage
    }
}

package struct PinModel: Sendable {
    /// Without a leading dot; nil: host only.
    package var domain: String?
    package var path = "/"
    package var maxAgeSeconds: UInt64 = 28_800
    package var httpOnly = true
    package var secure = SecureAttribute.auto
    package var sameSite = "Lax"

    package init() {}
}

package enum SecureAttribute: UInt8, Sendable, BitwiseCopyable { case auto, always, never }
package enum LaneCache: UInt8, Sendable, BitwiseCopyable { case `private`, none, keep }
package enum OnLoss: UInt8, Sendable, BitwiseCopyable { case log, header, fail }
package enum UnknownLane: UInt8, Sendable, BitwiseCopyable { case forward, stable, reject }
package enum LaneMode: UInt8, Sendable, BitwiseCopyable { case loose, strict, observe }

package struct PreviewHostModel: Sendable {
    /// What stands before and after `{lane}`.
    package var prefix: String
    package var suffix: String
    package var host: String

    package init(prefix: String, suffix: String, host: String) {
        self.prefix = prefix
        self.suffix = suffix
        self.host = host
    }
}

package struct LaneModel: Sendable {
    package var name: String
    package var namespace: String
    package var source: SourceRef
    /// Seconds since 1970; nil: never.
    package var expiresAtSeconds: Int64?
    /// `whenEmpty: fail`.
    package var failWhenEmpty = false
    package var mode = LaneMode.loose
    /// Services it lists, FQDN.
    package var services: [String] = []

    package init(name: String, namespace: String, source: SourceRef) {
        self.name = name
        self.namespace = namespace
        self.source = source
    }
}
