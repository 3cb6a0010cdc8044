// The plain counters and gauges of one worker: one 64-bit cell each, written by the worker alone. What they
// are called in Prometheus stands in CounterFamilies.swift.

/// A cell of a worker's counters. Groups that are indexed by number (by listener role, by carrier) keep that
/// number's order; `downstreamOpened(role:)` and its like do the arithmetic.
public enum Counter: Int, CaseIterable, Sendable {
    // Downstream connections by the raw value of the listener's role: edge, outbound, inbound.
    case downstreamOpenedEdge, downstreamOpenedOutbound, downstreamOpenedInbound
    case downstreamClosedEdge, downstreamClosedOutbound, downstreamClosedInbound
    case requestsEdge, requestsOutbound, requestsInbound
    /// Gauge: requests between head and end of response.
    case requestsActive
    /// Gauge: those of a lane, but for what a pod's applications send.
    case laneRequestsActive

    // Requests refused before routing, by the status they got.
    case badRequest400, badRequest408, badRequest413, badRequest414, badRequest417, badRequest426
    case badRequest431, badRequest501, badRequest505

    // Upstream connections and attempts.
    case upstreamOpened, upstreamClosed
    case upstreamConnectFailures, upstreamConnectTimeouts
    /// Closed or reset before the response was complete.
    case upstreamResets
    case upstreamProtocolErrors
    /// Sent again because a pooled connection had died before any byte of the response.
    case staleRetries
    /// Clients that went away before their response was complete.
    case downstreamResets

    /// Gauge: idle upstream connections in the pool.
    case poolIdle
    case poolHits, poolMisses
    /// Idle upstream connections closed: by the peer, by age, because the pool was full or the endpoint gone.
    case poolClosedByPeer, poolClosedIdle, poolClosedFull, poolClosedGone

    // Deadlines that passed.
    case timeoutRequestHead, timeoutRequestBody, timeoutIdle, timeoutStreamIdle, timeoutResponse, timeoutDrain

    // Accepting.
    case acceptErrors
    /// Times that accepting stopped for a moment because the process was out of file descriptors.
    case acceptPauses
    /// Gauge: 1 while accepting is paused.
    case acceptPaused
    /// Connections closed at once because a limit of connections was reached.
    case acceptOverload
    /// Requests answered 503 because a limit of requests or memory was reached.
    case requestOverload

    case downstreamReadBytes, downstreamWrittenBytes, upstreamReadBytes, upstreamWrittenBytes
    /// Of the bytes read, those that passed inside the kernel.
    case splicedBytes

    case tunnelsOpened, tunnelsClosed

    /// Responses that went out compressed, and those that did not because too many others did.
    case compressedResponses, compressionSkipped
    /// Functions of Lua filters that were started; that failed.
    case scriptRuns, scriptErrors
    /// Calls that they made; those without an answer of the other side.
    case scriptCalls, scriptCallFailures

    /// Gauge: bytes of connection slabs, bytes of pooled buffers, and how many of the latter are lent out.
    case memorySlabBytes, memoryBufferBytes, memoryBufferUsedBytes

    /// Gauge: generation of the configuration the worker last took.
    case configGeneration
    case loopTurns, loopEvents

    // Odd behaviour of peers that costs little, or that ends the connection by itself.
    case glitchBareLineFeed, glitchAbsoluteForm, glitchEarlyResponse, glitchIdleBytes, glitchInterimFlood
    case glitchTrailers

    // Odd behaviour that is charged to the connection's budget, in the order of `Glitch`.
    case glitchReset, glitchMadeReset, glitchContinuation, glitchSettings, glitchPing, glitchEmptyData
    case glitchPriority, glitchWindowUpdate, glitchHeadTooLarge, glitchMalformed, glitchZeroWindow
    case glitchUnknownFrame, glitchEmptyLine, glitchRepeatedLength, glitchChunkFraming

    // Connections ended because their budget was spent, by what spent the last of it; the same order.
    case cutReset, cutMadeReset, cutContinuation, cutSettings, cutPing, cutEmptyData
    case cutPriority, cutWindowUpdate, cutHeadTooLarge, cutMalformed, cutZeroWindow
    case cutUnknownFrame, cutEmptyLine, cutRepeatedLength, cutChunkFraming

    /// HTTP/2 connections by side.
    case h2SessionsDownstream, h2SessionsUpstream

    // TLS handshakes that were finished, as the server's side and as the client's.
    case tlsFull, tlsResumed, tlsUpstreamFull, tlsUpstreamResumed
    case tlsVersion10, tlsVersion11, tlsVersion12, tlsVersion13
    // And those that failed, by the raw value of `TLSFailure`.
    case tlsNotTLS, tlsPlainHTTP, tlsVersion, tlsCipher, tlsServerName, tlsCertificate, tlsNoCertificate
    case tlsAlert, tlsClosed, tlsTimeout, tlsALPN, tlsOther
    case tlsUpstreamNotTLS, tlsUpstreamPlainHTTP, tlsUpstreamVersion, tlsUpstreamCipher
    case tlsUpstreamServerName, tlsUpstreamCertificate, tlsUpstreamNoCertificate, tlsUpstreamAlert
    case tlsUpstreamClosed, tlsUpstreamTimeout, tlsUpstreamALPN, tlsUpstreamOther

    // Carriers removed by `guard: strip`, in the order of `Carrier`'s names here.
    case guardQuery, guardPreviewHost, guardHeader, guardCookie, guardBaggage, guardTracestate, guardTraceID

    /// Requests counted under the one "overflow" series because the table of series was full.
    case requestSeriesOverflow
    /// Lane events not counted because the table of lane series was full.
    case laneSeriesOverflow
    /// TCP connections and bytes not counted because the table of their series was full.
    case streamSeriesOverflow

    // Connections closed before anything could be read of them as requests.
    case refusedProxyHeader, refusedClientHello, refusedServerName, refusedLate
    /// TLS on a port of plain HTTP.
    case refusedTLS

    /// The cell's position. The same as `rawValue`, but inlined into other modules: an enum without payload
    /// is one byte that counts its cases in order (a test holds both equal).
    @inlinable
    public var cell: Int { Int(unsafeBitCast(self, to: UInt8.self)) }

    /// `role` is the raw value of the listener's role: edge 0, outbound 1, inbound 2.
    public static func downstreamOpened(role: UInt8) -> Counter { at(.downstreamOpenedEdge, role, of: 3) }
    public static func downstreamClosed(role: UInt8) -> Counter { at(.downstreamClosedEdge, role, of: 3) }
    public static func requests(role: UInt8) -> Counter { at(.requestsEdge, role, of: 3) }

    /// `raw` is the raw value of a `TLSFailure`.
    public static func tlsFailure(_ raw: UInt8, upstream: Bool) -> Counter {
        at(upstream ? .tlsUpstreamNotTLS : .tlsNotTLS, raw, of: 12)
    }

    /// `raw` is the raw value of a `TLSVersion`.
    public static func tlsVersion(_ raw: UInt8) -> Counter { at(.tlsVersion10, raw, of: 4) }

    private static func at(_ first: Counter, _ offset: UInt8, of count: UInt8) -> Counter {
        unsafeBitCast(UInt8(first.cell) &+ min(offset, count &- 1), to: Counter.self)
    }

    public static func glitch(_ what: Glitch) -> Counter { at(.glitchReset, what.rawValue, of: 15) }
    public static func cut(_ what: Glitch) -> Counter { at(.cutReset, what.rawValue, of: 15) }

    /// The counter of a request refused with `status`; other statuses count as 400.
    public static func badRequest(status: UInt16) -> Counter {
        switch status {
        case 408: .badRequest408
        case 413: .badRequest413
        case 414: .badRequest414
        case 417: .badRequest417
        case 426: .badRequest426
        case 431: .badRequest431
        case 501: .badRequest501
        case 505: .badRequest505
        default: .badRequest400
        }
    }
}
