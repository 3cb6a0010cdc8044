// One request and its response, from the head that was read to the last byte that was sent. An exchange knows
// its two connections by slot; the connections know it. Its life is told in RequestPhase, UpstreamPhase and
// ResponsePhase, in that order.
internal import Base
internal import HTTP
internal import Lanes
internal import Telemetry

/// What an exchange is doing: printed in logs, and what its timers mean.
enum ExchangeStep: UInt8, BitwiseCopyable {
    /// A script waits for the request's body; nothing is decided yet.
    case scripting
    /// A script of the request waits for the answer to a call of its own.
    case calling
    /// The response's head is there, and a script waits for such an answer before it goes on.
    case held
    /// Waiting for a name to be resolved.
    case resolving
    /// connect(2) is under way.
    case connecting
    /// The request is on its way; no response head yet.
    case awaitingResponse
    /// The response's body is on its way.
    case relayingResponse
    /// Bytes both ways until both sides have ended (websocket, CONNECT).
    case tunnel
}

struct ExchangeFlags: OptionSet, BitwiseCopyable {
    let rawValue: UInt32

    static let requestComplete = ExchangeFlags(rawValue: 1 << 0)
    /// The client's connection must end after this response.
    static let closeDownstream = ExchangeFlags(rawValue: 1 << 1)
    static let upgrade = ExchangeFlags(rawValue: 1 << 2)
    static let connect = ExchangeFlags(rawValue: 1 << 3)
    static let toHead = ExchangeFlags(rawValue: 1 << 4)
    /// `head` holds all of the request that was sent so far: it can be sent again.
    static let replayable = ExchangeFlags(rawValue: 1 << 5)
    /// Any byte of a response came.
    static let responseStarted = ExchangeFlags(rawValue: 1 << 6)
    /// A response head went downstream.
    static let headSent = ExchangeFlags(rawValue: 1 << 7)
    /// It was sent again once already after a stale connection.
    static let retried = ExchangeFlags(rawValue: 1 << 8)
    /// An unreachable lane was left for stable (`mode: loose`).
    static let fellBack = ExchangeFlags(rawValue: 1 << 9)
    /// The overhead of the proxy was observed.
    static let observed = ExchangeFlags(rawValue: 1 << 10)
    static let isGRPC = ExchangeFlags(rawValue: 1 << 11)
    /// The upstream connection can serve another request after this response.
    static let upstreamKeepsAlive = ExchangeFlags(rawValue: 1 << 12)
    /// The upstream's endpoint counts this exchange as active.
    static let countedActive = ExchangeFlags(rawValue: 1 << 13)
    /// Counted in `Worker.laneRequestsInFlight`.
    static let inLane = ExchangeFlags(rawValue: 1 << 14)
    /// It goes upstream as a stream of HTTP/2.
    static let toSession = ExchangeFlags(rawValue: 1 << 16)
    /// The client's side is encrypted, or a trusted proxy says so.
    static let overTLS = ExchangeFlags(rawValue: 1 << 17)
    /// Its listener has Lua filters.
    static let scripted = ExchangeFlags(rawValue: 1 << 18)
    /// It goes to the host that it names, which is looked up.
    static let byHost = ExchangeFlags(rawValue: 1 << 19)
    /// A script's `httpCall`: nobody's request, and no response goes out (see ScriptCalls).
    static let call = ExchangeFlags(rawValue: 1 << 20)
    /// `x-envoy-upstream-service-time` is among the response's lines, or was taken out there.
    static let serviceTimeTold = ExchangeFlags(rawValue: 1 << 21)
    /// No request: the connection itself is relayed (see Relay). `.connect` is set too.
    static let raw = ExchangeFlags(rawValue: 1 << 15)
}

struct Exchange: BitwiseCopyable {
    var downstream: UInt32
    var upstream: UInt32 = noSlot
    /// Which configuration it began under: index into the worker's snapshots.
    var snapshot: UInt32
    var step = ExchangeStep.awaitingResponse
    var method = MethodKind.other
    var minorVersion: UInt8 = 1
    var role = ListenerRole.edge
    var flags = ExchangeFlags(rawValue: 0)
    /// In the worker's memory beside the exchange's: written in place by `decide`.
    let decision: UnsafeMutablePointer<Decision>
    /// Which of the cluster's endpoints was taken; -1: none yet.
    var endpointIndex: Int32 = -1
    /// Endpoints tried so far, for a lane that may be unreachable.
    var attempts: UInt16 = 0
    /// Passthrough: where to.
    var address = SocketAddress.unspecified
    /// In the worker's `heldClusters`: the cluster with names that decided it; `noSlot`: none.
    var heldCluster = noSlot
    /// Tells a late answer of the resolver from one for an earlier user of this slot.
    var serial: UInt32 = 0

    // MARK: request body

    var requestFraming = BodyFraming.none
    var requestRemaining: UInt64 = 0
    var requestDecoder = ChunkedDecoder()

    // MARK: response body

    var responseFraming = BodyFraming.none
    var responseRemaining: UInt64 = 0
    var responseDecoder = ChunkedDecoder()
    /// How the body is framed for the client.
    var downstreamFraming = BodyFraming.none
    var interimResponses: UInt8 = 0
    /// What the client accepts, where responses are compressed at all.
    var acceptedCoding = ContentCoding.identity
    /// In the worker's `compressors`; `noSlot`: the body goes out as it came.
    var compressor = noSlot
    /// Chunk framing of the request that is not charged yet (`chargeChunks`).
    var framingBytes: UInt32 = 0

    /// The request as written for the upstream, head and what came with it of the body. Kept to the end: it
    /// may be sent again, and logs and formatters of response fields read it. Of a tunnel, the server name of
    /// its ClientHello follows.
    var head = Buffer()
    /// Bytes of `head` that are the head proper: what follows is body.
    var headBytes: UInt32 = 0
    /// The `x-fairlead-explain` value, when asked for, and behind it the Origin that a CORS policy judged.
    var explanation = Buffer()

    // MARK: scripts

    /// On an outbound listener, the port that the request is for.
    var scriptPort: UInt16 = 0
    /// The interpreter's number for what scripts keep of this exchange; 0: nothing.
    var kept: Int32 = 0

    // MARK: outcome, read by telemetry at the end

    var status: UInt16 = 0
    var responseFlags = ResponseFlags(rawValue: 0)
    var details: ByteView = .empty
    var reason = Reason.none
    var deadlineMs: UInt64 = 0
    /// `grpc-timeout`; 0: none.
    var grpcTimeoutMs: UInt64 = 0
    var startNs: UInt64
    var requestSentNs: UInt64 = 0
    var responseHeadNs: UInt64 = 0
    /// Time the proxy itself took so far.
    var overheadNs: UInt64 = 0
    var requestWireBytes: UInt64 = 0
    var responseWireBytes: UInt64 = 0
    var requestBodyBytes: UInt64 = 0
    var responseBodyBytes: UInt64 = 0
    var serviceMs: Int64 = -1
    /// Why no connection could be made for what it was answered: errno, or `Worker.tlsFailed`; 0: one was.
    var connectCode: Int32 = 0
    /// Our end of the upstream connection, where the access log is on.
    var upstreamLocal = SocketAddress.unspecified
    /// 255: none.
    var grpcStatus: UInt8 = 255
    /// How much of `explanation`, at its end, is the Origin.
    var originBytes: UInt16 = 0

    init(
        downstream: UInt32, snapshot: UInt32, decision: UnsafeMutablePointer<Decision>, startNs: UInt64
    ) {
        self.downstream = downstream
        self.snapshot = snapshot
        self.decision = decision
        self.startNs = startNs
    }

    /// How long an answer may take from the moment the request is complete: the caller's deadline, capped by
    /// the route's (istio-semantics.md 7). 0: as long as it takes.
    var timeoutMs: UInt64 {
        let own = decision.pointee.route?.pointee.timeoutMs ?? 0
        return grpcTimeoutMs > 0 && (own == 0 || grpcTimeoutMs < own) ? grpcTimeoutMs : own
    }

    var isScripted: Bool { flags.contains(.scripted) }
}

extension UnsafeMutablePointer<Exchange> {
    /// Where scripts keep their number, for the life of the exchange.
    var scriptData: UnsafeMutablePointer<Int32> {
        let offset = MemoryLayout<Exchange>.offset(of: \Exchange.kept).unsafelyUnwrapped
        return (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: Int32.self)
    }
}
