// What a configuration means, as plain values: the output of Config's compilation and the input of `Table`,
// which freezes it into the form that requests walk. One model is one proxy's view of all documents: names
// are resolved, visibility, merging and precedence (istio-semantics.md 2 to 5) are already applied.
public import Base
public import HTTP

/// Where something was written: for findings, explain and logs.
public struct SourceRef: Sendable, Equatable {
    /// `VirtualService digillect-nonprod/auth`.
    public var document: String
    public var file: String
    public var line: Int

    public init(document: String, file: String, line: Int) {
        self.document = document
        self.file = file
        self.line = line
    }
}

public struct RoutingModel: Sendable {
    public var proxy = ProxyModel()
    public var listeners: [ListenerModel] = []
    public var routeTables: [RouteTableModel] = []
    public var clusters: [ClusterModel] = []
    public var policy: LanePolicyModel?
    public var lanes: [LaneModel] = []

    public init() {}
}

/// The `Proxy` document with its defaults filled in. Durations in milliseconds, 0: none.
public struct ProxyModel: Sendable {
    public var name = "fairlead"
    public var namespace = "default"
    public var labels: [String: String] = [:]
    public var isEdge = true
    public var pathNormalization = PathNormalization.base
    public var shadowHostSuffix = true
    public var http10 = true
    public var requestHeaderTimeoutMs: UInt64 = 60_000
    public var requestBodyIdleTimeoutMs: UInt64 = 60_000
    public var idleTimeoutMs: UInt64 = 3_600_000
    public var streamIdleTimeoutMs: UInt64 = 0
    public var upstreamIdleTimeoutMs: UInt64 = 3_600_000
    public var connectTimeoutMs: UInt64 = 10_000
    public var drainTimeoutMs: UInt64 = 30_000
    public var headerBytes = Limits.headBytes
    public var headerCount = Limits.headFields
    /// 0: none but what the system gives.
    public var connections = 0
    public var requests = 0
    public var memoryBytes = 0
    public var trustedHops = 0
    public var trustedCIDRs: [CIDR] = []
    public var debugCIDRs: [CIDR] = []
    /// What an edge does with x-forwarded-client-cert.
    public var clientCertificates = ClientCertificateForwarding.sanitizeSet
    /// True: ALLOW_ANY; false: REGISTRY_ONLY.
    public var allowAnyOutbound = true
    /// `Proxy.spec.lane`: egress with no lane gets it.
    public var memberOfLane: String?
    /// nil: responses are not compressed.
    public var compression: CompressionModel?
    /// `Proxy.spec.headers.request`, on every egress request.
    public var injected = HeaderOperations()

    public init() {}
}

/// Istio's `forwardClientCertDetails`: what becomes of the x-forwarded-client-cert that a request has, and
/// whether that of its connection is added.
public enum ClientCertificateForwarding: UInt8, Sendable, BitwiseCopyable {
    /// Replaced by the connection's, a gateway's default.
    case sanitizeSet
    /// Removed.
    case sanitize
    /// Kept where the client showed a certificate, else removed.
    case forwardOnly
    /// The same, and the connection's behind it.
    case appendForward
    /// Kept.
    case alwaysForwardOnly
}

/// `Proxy.spec.compression`.
public struct CompressionModel: Sendable {
    /// What Envoy compresses by default.
    public var types = [
        "application/javascript", "application/json", "application/xhtml+xml", "image/svg+xml", "text/css",
        "text/html", "text/javascript", "text/plain", "text/xml",
    ]
    /// One packet carries about as much: below it nothing arrives sooner.
    public var minBytes = 1_024

    public init() {}
}

public enum PathNormalization: UInt8, Sendable, BitwiseCopyable {
    case none, base, mergeSlashes, decodeAndMergeSlashes
}

/// An address range. IPv4 ranges are held as IPv4-mapped IPv6 (`::ffff:0:0/96`).
public struct CIDR: Sendable, Equatable, BitwiseCopyable {
    public var high: UInt64
    public var low: UInt64
    public var prefixLength: Int

    public init(high: UInt64, low: UInt64, prefixLength: Int) {
        self.high = high
        self.low = low
        self.prefixLength = prefixLength
    }
}

public struct ListenerModel: Sendable {
    /// `gateway/80`, `outbound`, `inbound/15006`.
    public var name: String
    public var role: ListenerRole
    public var address: SocketAddress
    /// Index into `routeTables`: the table of an edge port or an inbound port; on `outbound` the table of
    /// each destination port.
    public var tables: [PortTable]
    /// Servers that take connections before any request is read; nil: requests follow at once.
    public var connections: ConnectionsModel?
    /// A PROXY header must begin each connection; its address is the client's.
    public var takesProxyHeader = false
    public var source: SourceRef
    /// nil: plain text. Else each of its servers has a table of its own, and `tables` is that of the first.
    public var tls: ListenerTLSModel?
    /// In the order in which requests meet them; responses meet them the other way round.
    public var scripts: [ScriptModel] = []

    public init(
        name: String, role: ListenerRole, address: SocketAddress, tables: [PortTable], source: SourceRef
    ) {
        self.name = name
        self.role = role
        self.address = address
        self.tables = tables
        self.source = source
    }
}

/// A Lua HTTP filter (istio-semantics.md 20).
public struct ScriptModel: Sendable {
    /// `value.name`.
    public var name: String
    /// The line is the code's first.
    public var source: SourceRef
    public var code: String
    /// Only requests to this port; 0: any.
    public var port: UInt16 = 0
    public var clearsRouteCache = true

    public init(name: String, source: SourceRef, code: String) {
        self.name = name
        self.source = source
        self.code = code
    }
}

/// On an outbound listener the Host's port chooses the table. `port` is 0 for the one table of other roles.
public struct PortTable: Sendable {
    public var port: UInt16
    public var routeTable: Int

    public init(port: UInt16, routeTable: Int) {
        self.port = port
        self.routeTable = routeTable
    }
}

/// All virtual hosts of one port.
public struct RouteTableModel: Sendable {
    public var name: String
    public var virtualHosts: [VirtualHostModel] = []

    public init(name: String) { self.name = name }
}

public struct VirtualHostModel: Sendable {
    public var name: String
    /// Lower case, without port: exact names, `*.suffix`, `prefix.*`, `*`.
    public var domains: [String]
    /// In the order they are tried.
    public var routes: [RouteModel]
    /// Gateway `tls.httpsRedirect`: 301 before any route, decided on x-forwarded-proto.
    public var httpsRedirect = false
    /// A port of another protocol than HTTP: for CONNECT, and no port that a Host without one may mean.
    public var isStream = false

    public init(name: String, domains: [String], routes: [RouteModel]) {
        self.name = name
        self.domains = domains
        self.routes = routes
    }
}

/// One way to match a value (istio-semantics.md 4.1).
public enum StringMatch: Sendable, Hashable {
    case exact(String)
    case prefix(String)
    /// RE2, whole value.
    case regex(String)
    case present
}

public struct NamedMatch: Sendable, Hashable {
    /// Header names lower case.
    public var name: String
    public var match: StringMatch
    /// `withoutHeaders`.
    public var inverted: Bool

    public init(name: String, match: StringMatch, inverted: Bool = false) {
        self.name = name
        self.match = match
        self.inverted = inverted
    }
}

/// One element of `match[]`: all conditions must hold. Conditions decided when the table is built (gateways,
/// sourceLabels, sourceNamespace, port) are gone already.
public struct MatchModel: Sendable, Hashable {
    public var uri: StringMatch?
    public var ignoreUriCase = false
    /// Gateway API PathPrefix: by segments, not by characters.
    public var uriPrefixBySegment = false
    public var method: StringMatch?
    public var authority: StringMatch?
    public var scheme: StringMatch?
    public var headers: [NamedMatch] = []
    public var queryParams: [NamedMatch] = []

    public init() {}
}

/// A route: one element of `match[]` of one http entry.
public struct RouteModel: Sendable {
    public var name: String
    public var source: SourceRef
    public var match = MatchModel()
    public var action: ActionModel
    public var requestHeaders = HeaderOperations()
    public var responseHeaders = HeaderOperations()
    /// Several destinations were written, though one may be left: its operations are a level of their own.
    public var isSplit = false
    public var rewrite: RewriteModel?
    /// Acts on forwarding routes only.
    public var cors: CORSModel?
    /// Whole exchange, milliseconds; 0: none.
    public var timeoutMs: UInt64 = 0
    /// How often a request is tried again where no connection could be made, and where its stream was
    /// refused: at most `Limits.retries`.
    public var connectRetries = Limits.retriesByDefault
    public var refusedRetries = Limits.retriesByDefault

    public init(name: String, source: SourceRef, action: ActionModel) {
        self.name = name
        self.source = source
        self.action = action
    }
}

public enum ActionModel: Sendable {
    /// Weights as written for several targets (zero-weight ones already dropped); for one, anything.
    case forward([TargetModel])
    case redirect(RedirectModel)
    case direct(status: Int, body: [UInt8])
    /// To where the request was addressed (ALLOW_ANY), resolving the Host.
    case passthrough
    /// 502: REGISTRY_ONLY lets nobody out to a host that no document names.
    case blocked
}

public struct TargetModel: Sendable {
    /// Index into `clusters`; nil: host, subset or port unknown (flag NC, status `missingStatus`).
    public var cluster: Int?
    /// What requests get where the cluster is unknown: 503, under Gateway API 500.
    public var missingStatus = 503
    /// As written, for explain and the access log: `outbound|8080|v1|svc.ns.svc.cluster.local`.
    public var clusterName: String
    public var weight: Int
    /// Host rewrite of this destination alone (a `host` or `:authority` header operation beside its weight).
    public var authority: String?
    public var requestHeaders = HeaderOperations()
    public var responseHeaders = HeaderOperations()

    public init(cluster: Int?, clusterName: String, weight: Int) {
        self.cluster = cluster
        self.clusterName = clusterName
        self.weight = weight
    }
}

public struct RedirectModel: Sendable {
    public var code = 301
    public var scheme: String?
    public var authority: String?
    public var port: Int?
    /// FROM_REQUEST_PORT: `port` is the number that the listener's documents give it.
    public var portFromRequest = false
    public var uri: String?
    public var prefixRewrite: String?

    public init() {}
}

public struct RewriteModel: Sendable {
    public var uri: String?
    /// `uri` takes the place of the whole path, whatever the condition matched.
    public var replacesPath = false
    public var uriRegex: (match: String, rewrite: String)?
    public var authority: String?

    public init() {}
}

/// `corsPolicy`, or the CORS filter of an HTTPRoute (istio-semantics.md 11).
public struct CORSModel: Sendable {
    /// `present` matches every origin.
    public var allowOrigins: [StringMatch] = []
    /// A lone `*` in methods or headers stands for what the preflight asks for.
    public var allowMethods: [String] = []
    public var allowHeaders: [String] = []
    public var exposeHeaders: [String] = []
    /// nil: not said.
    public var maxAgeSeconds: UInt64?
    public var allowCredentials = false
    /// Preflights of other origins are answered, without CORS headers, and not forwarded.
    public var answersUnmatched = false

    public init() {}
}

/// One level of header operations (istio-semantics.md 6): removes, then sets, then adds. Names lower case,
/// in the order to apply (sorted by name within set and add). Values hold `%FORMATTERS%` as written.
public struct HeaderOperations: Sendable {
    public var remove: [String] = []
    public var set: [(name: String, value: String)] = []
    public var add: [(name: String, value: String)] = []

    public init() {}
    public var isEmpty: Bool { remove.isEmpty && set.isEmpty && add.isEmpty }
}

public enum LoadBalancing: UInt8, Sendable, BitwiseCopyable {
    case leastRequest, roundRobin, random
}

/// One (service, subset, port). Native lanes split its endpoints: members of a lane, and the stable rest.
/// How requests are written for a cluster's endpoints (istio-semantics.md 14).
public enum UpstreamProtocol: UInt8, Sendable, BitwiseCopyable {
    case http1, http2
    /// As the client wrote it: nothing was declared.
    case sameAsClient
}

public struct ClusterModel: Sendable {
    /// `outbound|8080|v1|svc.ns.svc.cluster.local`, Envoy's and Istio's name.
    public var name: String
    /// FQDN.
    public var service: String
    public var serviceNamespace: String
    public var subset: String
    public var port: UInt16
    public var loadBalancing = LoadBalancing.leastRequest
    public var connectTimeoutMs: UInt64 = 10_000
    /// Version of the PROXY header that begins each connection (DestinationRule `proxyProtocol`); 0: none.
    public var proxyHeaderVersion: UInt8 = 0
    public var upstreamProtocol = UpstreamProtocol.sameAsClient
    /// Streams on one HTTP/2 connection (`http.maxConcurrentStreams`).
    public var streamsMax: UInt32 = .max
    /// Requests that a connection serves (`http.maxRequestsPerConnection`); 0: any number.
    public var requestsMax: UInt32 = 0
    /// How long a connection may wait for its next request, and a relayed one be silent; 0: any time, nil: as
    /// long as the proxy's own settings say (istio-semantics.md 14).
    public var idleTimeoutMs: UInt64?
    public var relayIdleTimeoutMs: UInt64?
    /// How often an HTTP/2 connection with streams is asked whether it is there, and how long its answer may
    /// take (`http2KeepAlive`); 0: never.
    public var keepAliveMs: UInt64 = 0
    public var keepAliveTimeoutMs: UInt64 = 0
    public var endpoints: [EndpointModel] = []
    /// What names among them stand for.
    public var resolution = ClusterResolution.everyAddress
    /// The names that it was made from, where they have addresses now.
    public var sources: [String] = []
    /// With `requestHost`: the port of the host that is looked up.
    public var requestPort: UInt16 = 0
    /// Which endpoints each lane has here, by lane index, endpoint indexes into `endpoints`. A lane that
    /// lists this service but selects nothing has an empty list.
    public var laneMembers: [(lane: Int, endpoints: [Int])] = []
    /// Endpoints minus every lane's.
    public var stable: [Int] = []
    /// nil: plain text.
    public var tls: ClusterTLSModel?

    public init(name: String, service: String, serviceNamespace: String, subset: String, port: UInt16) {
        self.name = name
        self.service = service
        self.serviceNamespace = serviceNamespace
        self.subset = subset
        self.port = port
    }
}

public struct EndpointModel: Sendable, Hashable {
    /// Only the port counts while a name has no address yet.
    public var address: SocketAddress
    /// The name that has the address, lower case; empty: the address was given.
    public var hostname = ""
    public var weight: UInt32 = 1
    public var healthy = true
    /// For metrics and explain: the workload behind the address.
    public var workload = ""
    public var namespace = ""
    public var labels: [String: String] = [:]

    public init(address: SocketAddress) { self.address = address }
}

public struct LanePolicyModel: Sendable {
    public var source: SourceRef
    public var key = "x-feat-name"
    public var accept = Carriers(query: true, header: true, cookie: true, baggage: true)
    public var pin: PinModel?
    public var propagate = Carriers(query: false, header: true, cookie: false, baggage: true)
    public var previewHosts: [PreviewHostModel] = []
    public var stripQuery = false
    public var cache = LaneCache.private
    /// Lane requests whose trace we start are marked sampled.
    public var traceSampled = true
    public var onLoss = OnLoss.log
    public var unknownLane = UnknownLane.forward
    public var guardStrip = false
    public var signingSecret: [UInt8]?
    public var signingRequired = false
    /// Values of the key that some VirtualService match accepts: these make a lane known without a `Lane`.
    public var knownByRoutes: [StringMatch] = []

    public init(source: SourceRef) { self.source = source }
}

/// Which carriers are read or written.
public struct Carriers: Sendable {
    public var query: Bool
    public var header: Bool
    public var cookie: Bool
    public var baggage: Bool
    public var tracestate = true
    public var traceID = true

    public init(query: Bool, header: Bool, cookie: Bool, baggage: Bool) {
        self.query = query
        self.header = header
        self.cookie = cookie
        self.baggage = baggage
    }
}

public struct PinModel: Sendable {
    /// Without a leading dot; nil: host only.
    public var domain: String?
    public var path = "/"
    public var maxAgeSeconds: UInt64 = 28_800
    public var httpOnly = true
    public var secure = SecureAttribute.auto
    public var sameSite = "Lax"

    public init() {}
}

public enum SecureAttribute: UInt8, Sendable, BitwiseCopyable { case auto, always, never }
public enum LaneCache: UInt8, Sendable, BitwiseCopyable { case `private`, none, keep }
public enum OnLoss: UInt8, Sendable, BitwiseCopyable { case log, header, fail }
public enum UnknownLane: UInt8, Sendable, BitwiseCopyable { case forward, stable, reject }
public enum LaneMode: UInt8, Sendable, BitwiseCopyable { case loose, strict, observe }

public struct PreviewHostModel: Sendable {
    /// What stands before and after `{lane}`.
    public var prefix: String
    public var suffix: String
    public var host: String

    public init(prefix: String, suffix: String, host: String) {
        self.prefix = prefix
        self.suffix = suffix
        self.host = host
    }
}

public struct LaneModel: Sendable {
    public var name: String
    public var namespace: String
    public var source: SourceRef
    /// Seconds since 1970; nil: never.
    public var expiresAtSeconds: Int64?
    /// `whenEmpty: fail`.
    public var failWhenEmpty = false
    public var mode = LaneMode.loose
    /// Services it lists, FQDN.
    public var services: [String] = []

    public init(name: String, namespace: String, source: SourceRef) {
        self.name = name
        self.namespace = namespace
        self.source = source
    }
}
