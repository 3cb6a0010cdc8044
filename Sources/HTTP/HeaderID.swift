// Field names that Fairlead itself acts on get a small number when a head is read, so that the rest of the
// program compares bytes, not names. Others are `other` and are compared by name where configuration asks.

/// A known field name.
@frozen
public enum HeaderID: UInt8, CaseIterable, Sendable {
    case other = 0
    case host, connection, contentLength, transferEncoding, te, upgrade, keepAlive, proxyConnection, trailer
    case expect, cookie, setCookie, date, server, via, referer, origin, userAgent, contentType, accept
    case cacheControl, vary, location, authorization, forwarded
    case xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort, xForwardedClientCert, xRequestID
    case baggage, traceparent, tracestate, b3
    case accessControlRequestHeaders, accessControlRequestMethod, accessControlAllowHeaders
    case accessControlAllowOrigin
    case xFairleadDebug, xFairleadReason, xFairleadExplain, xFairleadLane
    case xEnvoyInternal, xEnvoyExternalAddress, xEnvoyAttemptCount, xEnvoyOriginalPath
    case xEnvoyUpstreamServiceTime, xEnvoyDecoratorOperation, xEnvoyPeerMetadata, xEnvoyPeerMetadataID
    case xEnvoyRetryOn, xEnvoyRetryGrpcOn, xEnvoyMaxRetries, xEnvoyRetriableStatusCodes
    case xEnvoyRetriableHeaderNames, xEnvoyUpstreamRqTimeoutMs, xEnvoyUpstreamRqPerTryTimeoutMs
    case xEnvoyUpstreamRqTimeoutAltResponse, xEnvoyExpectedRqTimeoutMs, xEnvoyForceTrace, xEnvoyIPTags
    case xEnvoyOriginalURL, xEnvoyHedgeOnPerTryTimeout, xEnvoyUpstreamAltStatName
    case xEnvoyDownstreamServiceCluster, xEnvoyDownstreamServiceNode, xEnvoyOriginalHost
    case grpcTimeout, grpcStatus

    /// The name in lower case, as it is written on the wire.
    public var name: String {
        switch self {
        case .other: ""
        case .host: "host"
        case .connection: "connection"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .te: "te"
        case .upgrade: "upgrade"
        case .keepAlive: "keep-alive"
        case .proxyConnection: "proxy-connection"
        case .trailer: "trailer"
        case .expect: "expect"
        case .cookie: "cookie"
        case .setCookie: "set-cookie"
        case .date: "date"
        case .server: "server"
        case .via: "via"
        case .referer: "referer"
        case .origin: "origin"
        case .userAgent: "user-agent"
        case .contentType: "content-type"
        case .accept: "accept"
        case .cacheControl: "cache-control"
        case .vary: "vary"
        case .location: "location"
        case .authorization: "authorization"
        case .forwarded: "forwarded"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedProto: "x-forwarded-proto"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedPort: "x-forwarded-port"
        case .xForwardedClientCert: "x-forwarded-client-cert"
        case .xRequestID: "x-request-id"
        case .baggage: "baggage"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .b3: "b3"
        case .accessControlRequestHeaders: "access-control-request-headers"
        case .accessControlRequestMethod: "access-control-request-method"
        case .accessControlAllowHeaders: "access-control-allow-headers"
        case .accessControlAllowOrigin: "access-control-allow-origin"
        case .xFairleadDebug: "x-fairlead-debug"
        case .xFairleadReason: "x-fairlead-reason"
        case .xFairleadExplain: "x-fairlead-explain"
        case .xFairleadLane: "x-fairlead-lane"
        case .xEnvoyInternal: "x-envoy-internal"
        case .xEnvoyExternalAddress: "x-envoy-external-address"
        case .xEnvoyAttemptCount: "x-envoy-attempt-count"
        case .xEnvoyOriginalPath: "x-envoy-original-path"
        case .xEnvoyUpstreamServiceTime: "x-envoy-upstream-service-time"
        case .xEnvoyDecoratorOperation: "x-envoy-decorator-operation"
        case .xEnvoyPeerMetadata: "x-envoy-peer-metadata"
        case .xEnvoyPeerMetadataID: "x-envoy-peer-metadata-id"
        case .xEnvoyRetryOn: "x-envoy-retry-on"
        case .xEnvoyRetryGrpcOn: "x-envoy-retry-grpc-on"
        case .xEnvoyMaxRetries: "x-envoy-max-retries"
        case .xEnvoyRetriableStatusCodes: "x-envoy-retriable-status-codes"
        case .xEnvoyRetriableHeaderNames: "x-envoy-retriable-header-names"
        case .xEnvoyUpstreamRqTimeoutMs: "x-envoy-upstream-rq-timeout-ms"
        case .xEnvoyUpstreamRqPerTryTimeoutMs: "x-envoy-upstream-rq-per-try-timeout-ms"
        case .xEnvoyUpstreamRqTimeoutAltResponse: "x-envoy-upstream-rq-timeout-alt-response"
        case .xEnvoyExpectedRqTimeoutMs: "x-envoy-expected-rq-timeout-ms"
        case .xEnvoyForceTrace: "x-envoy-force-trace"
        case .xEnvoyIPTags: "x-envoy-ip-tags"
        case .xEnvoyOriginalURL: "x-envoy-original-url"
        case .xEnvoyHedgeOnPerTryTimeout: "x-envoy-hedge-on-per-try-timeout"
        case .xEnvoyUpstreamAltStatName: "x-envoy-upstream-alt-stat-name"
        case .xEnvoyDownstreamServiceCluster: "x-envoy-downstream-service-cluster"
        case .xEnvoyDownstreamServiceNode: "x-envoy-downstream-service-node"
        case .xEnvoyOriginalHost: "x-envoy-original-host"
        case .grpcTimeout: "grpc-timeout"
        case .grpcStatus: "grpc-status"
        }
    }
}

/// A set of known names.
@frozen
public struct HeaderIDSet: BitwiseCopyable, Sendable {
    public var low: UInt64
    public var high: UInt64

    @inlinable
    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    public init(_ ids: HeaderID...) {
        self.init(low: 0, high: 0)
        for id in ids { insert(id) }
    }

    @inlinable public var isEmpty: Bool { low | high == 0 }

    public mutating func insert(_ id: HeaderID) {
        if id.rawValue < 64 { low |= 1 << UInt64(id.rawValue) } else { high |= 1 << UInt64(id.rawValue - 64) }
    }

    public mutating func remove(_ id: HeaderID) {
        if id.rawValue < 64 {
            low &= ~(1 << UInt64(id.rawValue))
        } else {
            high &= ~(1 << UInt64(id.rawValue - 64))
        }
    }

    @inlinable
    public func contains(_ id: HeaderID) -> Bool {
        (id.rawValue < 64 ? low &>> UInt64(id.rawValue) : high &>> UInt64(id.rawValue)) & 1 != 0
    }

    @inlinable
    public func intersection(_ other: HeaderIDSet) -> HeaderIDSet {
        HeaderIDSet(low: low & other.low, high: high & other.high)
    }

    /// Takes the smallest number out.
    @inlinable
    public mutating func popFirst() -> UInt8? {
        if low != 0 {
            let bit = low.trailingZeroBitCount
            low &= low &- 1
            return UInt8(truncatingIfNeeded: bit)
        }
        if high != 0 {
            let bit = high.trailingZeroBitCount
            high &= high &- 1
            return UInt8(truncatingIfNeeded: bit &+ 64)
        }
        return nil
    }
}
