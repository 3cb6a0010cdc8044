// How the plain counters are called in Prometheus: families of a name, a help line and a type, each with the
// cells that make its series.

/// How the workers' values become one.
enum Aggregation: Sendable {
    case sum, minimum
}

struct CounterFamily: Sendable {
    struct Member: Sendable {
        var counter: Counter
        /// Subtracted: a gauge made of what was opened and what was closed.
        var minus: Counter?
        /// `listener="edge"`, or nothing.
        var labels: String
    }

    var name: String
    var help: String
    var isGauge = false
    var aggregation = Aggregation.sum
    var members: [Member]

    private static func counter(_ name: String, _ help: String, _ counter: Counter) -> CounterFamily {
        CounterFamily(name: name, help: help, members: [Member(counter: counter, minus: nil, labels: "")])
    }

    private static func counter(
        _ name: String, _ help: String, by label: String, _ members: KeyValuePairs<String, Counter>
    ) -> CounterFamily {
        CounterFamily(
            name: name, help: help,
            members: members.map { Member(counter: $0.value, minus: nil, labels: "\(label)=\"\($0.key)\"") })
    }

    private static func gauge(
        _ name: String, _ help: String, _ counter: Counter, minus: Counter? = nil,
        _ aggregation: Aggregation = .sum
    ) -> CounterFamily {
        CounterFamily(
            name: name, help: help, isGauge: true, aggregation: aggregation,
            members: [Member(counter: counter, minus: minus, labels: "")])
    }

    static let all = downstream + upstream + tls + failures + runtime + lanes

    private static let downstream: [CounterFamily] = [
        counter(
            "fairlead_downstream_connections_total", "Connections accepted.", by: "listener",
            [
                "edge": .downstreamOpenedEdge, "outbound": .downstreamOpenedOutbound,
                "inbound": .downstreamOpenedInbound,
            ]),
        CounterFamily(
            name: "fairlead_downstream_connections_active", help: "Accepted connections now open.",
            isGauge: true,
            members: [
                Member(
                    counter: .downstreamOpenedEdge, minus: .downstreamClosedEdge,
                    labels: "listener=\"edge\""),
                Member(
                    counter: .downstreamOpenedOutbound, minus: .downstreamClosedOutbound,
                    labels: "listener=\"outbound\""),
                Member(
                    counter: .downstreamOpenedInbound, minus: .downstreamClosedInbound,
                    labels: "listener=\"inbound\""),
            ]),
        counter(
            "fairlead_downstream_requests_total", "Requests whose head was complete.", by: "listener",
            ["edge": .requestsEdge, "outbound": .requestsOutbound, "inbound": .requestsInbound]),
        gauge(
            "fairlead_downstream_requests_active", "Requests between head and end of response.",
            .requestsActive),
        gauge(
            "fairlead_lane_requests_active",
            "Requests of lanes between head and end of response; a pod's own egress is not counted.",
            .laneRequestsActive),
        counter(
            "fairlead_bytes_total", "Bytes read and written on sockets.", by: "direction",
            [
                "downstream_read": .downstreamReadBytes, "downstream_written": .downstreamWrittenBytes,
                "upstream_read": .upstreamReadBytes, "upstream_written": .upstreamWrittenBytes,
            ]),
        counter(
            "fairlead_spliced_bytes_total", "Bytes that went from socket to socket inside the kernel.",
            .splicedBytes),
        counter(
            "fairlead_tunnels_total", "Connections relayed: CONNECT, upgrades, TCP and TLS routes.",
            .tunnelsOpened),
        gauge("fairlead_tunnels_active", "Tunnels now open.", .tunnelsOpened, minus: .tunnelsClosed),
        counter(
            "fairlead_compressions_total",
            "Responses to be compressed; skipped: too many others were being compressed.", by: "result",
            ["done": .compressedResponses, "skipped": .compressionSkipped]),
    ]

    private static let upstream: [CounterFamily] = [
        counter("fairlead_upstream_connections_total", "Upstream connections made.", .upstreamOpened),
        gauge(
            "fairlead_upstream_connections_active", "Upstream connections now open.", .upstreamOpened,
            minus: .upstreamClosed),
        counter(
            "fairlead_upstream_failures_total", "Upstream attempts that failed.", by: "kind",
            [
                "connect": .upstreamConnectFailures, "connect_timeout": .upstreamConnectTimeouts,
                "reset": .upstreamResets, "protocol": .upstreamProtocolErrors,
            ]),
        counter(
            "fairlead_upstream_stale_retries_total",
            "Requests sent again because a pooled connection had died.", .staleRetries),
        gauge("fairlead_pool_idle_connections", "Idle upstream connections.", .poolIdle),
        counter(
            "fairlead_pool_requests_total", "Upstream requests by where their connection came from.",
            by: "connection", ["pooled": .poolHits, "new": .poolMisses]),
        counter(
            "fairlead_pool_closed_total", "Idle upstream connections closed.", by: "cause",
            [
                "peer": .poolClosedByPeer, "idle": .poolClosedIdle, "full": .poolClosedFull,
                "gone": .poolClosedGone,
            ]),
    ]

    private static let tls: [CounterFamily] = [
        counter(
            "fairlead_tls_handshakes_total", "TLS handshakes with clients.", by: "kind",
            ["full": .tlsFull, "resumed": .tlsResumed]),
        counter(
            "fairlead_tls_upstream_handshakes_total", "TLS handshakes with upstreams.", by: "kind",
            ["full": .tlsUpstreamFull, "resumed": .tlsUpstreamResumed]),
        counter(
            "fairlead_tls_versions_total", "TLS handshakes with clients by what was agreed.", by: "version",
            [
                "TLSv1": .tlsVersion10, "TLSv1.1": .tlsVersion11, "TLSv1.2": .tlsVersion12,
                "TLSv1.3": .tlsVersion13,
            ]),
        counter(
            "fairlead_tls_failures_total", "TLS handshakes with clients that failed.", by: "reason",
            [
                "not_tls": .tlsNotTLS, "plain_http": .tlsPlainHTTP, "version": .tlsVersion,
                "cipher": .tlsCipher, "server_name": .tlsServerName, "certificate": .tlsCertificate,
                "no_certificate": .tlsNoCertificate, "alert": .tlsAlert, "closed": .tlsClosed,
                "timeout": .tlsTimeout, "alpn": .tlsALPN, "other": .tlsOther,
            ]),
        counter(
            "fairlead_tls_upstream_failures_total", "TLS handshakes with upstreams that failed.",
            by: "reason",
            [
                "not_tls": .tlsUpstreamNotTLS, "plain_http": .tlsUpstreamPlainHTTP,
                "version": .tlsUpstreamVersion, "cipher": .tlsUpstreamCipher,
                "server_name": .tlsUpstreamServerName, "certificate": .tlsUpstreamCertificate,
                "no_certificate": .tlsUpstreamNoCertificate, "alert": .tlsUpstreamAlert,
                "closed": .tlsUpstreamClosed, "timeout": .tlsUpstreamTimeout,
                "alpn": .tlsUpstreamALPN, "other": .tlsUpstreamOther,
            ]),
    ]

    private static let failures: [CounterFamily] = [
        counter(
            "fairlead_bad_requests_total", "Requests refused before routing.", by: "status",
            [
                "400": .badRequest400, "408": .badRequest408, "413": .badRequest413,
                "414": .badRequest414, "417": .badRequest417, "426": .badRequest426,
                "431": .badRequest431, "501": .badRequest501, "505": .badRequest505,
            ]),
        counter(
            "fairlead_downstream_resets_total", "Clients that left before their response was complete.",
            .downstreamResets),
        counter(
            "fairlead_timeouts_total", "Deadlines that passed.", by: "kind",
            [
                "request_head": .timeoutRequestHead, "request_body": .timeoutRequestBody,
                "idle": .timeoutIdle, "stream_idle": .timeoutStreamIdle, "response": .timeoutResponse,
                "drain": .timeoutDrain,
            ]),
        counter(
            "fairlead_refused_connections_total", "Connections closed before their protocol began.",
            by: "cause",
            [
                "proxy_header": .refusedProxyHeader, "client_hello": .refusedClientHello,
                "server_name": .refusedServerName, "late": .refusedLate, "tls_on_http_port": .refusedTLS,
            ]),
        counter("fairlead_script_runs_total", "Functions of Lua filters that were started.", .scriptRuns),
        counter("fairlead_script_errors_total", "Functions of Lua filters that failed.", .scriptErrors),
        counter("fairlead_script_calls_total", "Calls that Lua filters made (httpCall).", .scriptCalls),
        counter(
            "fairlead_script_call_failures_total", "Calls of Lua filters that nobody answered.",
            .scriptCallFailures),
        counter("fairlead_accept_errors_total", "Failures of accept(2).", .acceptErrors),
        counter(
            "fairlead_accept_pauses_total", "Times accepting stopped for want of file descriptors.",
            .acceptPauses),
        gauge("fairlead_accept_paused", "Workers that do not accept at the moment.", .acceptPaused),
        counter(
            "fairlead_overload_total", "Connections and requests refused by a limit.", by: "what",
            ["connection": .acceptOverload, "request": .requestOverload]),
        counter(
            "fairlead_glitches_total", "Odd but legal behaviour of peers.", by: "name",
            [
                "absolute_form": .glitchAbsoluteForm, "bare_line_feed": .glitchBareLineFeed,
                "early_response": .glitchEarlyResponse, "idle_bytes": .glitchIdleBytes,
                "interim_flood": .glitchInterimFlood, "trailers": .glitchTrailers,
                "reset": .glitchReset, "made_reset": .glitchMadeReset,
                "continuation": .glitchContinuation, "settings": .glitchSettings,
                "ping": .glitchPing, "empty_data": .glitchEmptyData, "priority": .glitchPriority,
                "window_update": .glitchWindowUpdate, "head_too_large": .glitchHeadTooLarge,
                "malformed": .glitchMalformed, "zero_window": .glitchZeroWindow,
                "unknown_frame": .glitchUnknownFrame, "empty_line": .glitchEmptyLine,
                "repeated_length": .glitchRepeatedLength, "chunk_framing": .glitchChunkFraming,
            ]),
        counter(
            "fairlead_connections_cut_total",
            "Client connections ended because their budget of glitches was spent.", by: "name",
            [
                "reset": .cutReset, "made_reset": .cutMadeReset, "continuation": .cutContinuation,
                "settings": .cutSettings, "ping": .cutPing, "empty_data": .cutEmptyData,
                "priority": .cutPriority, "window_update": .cutWindowUpdate,
                "head_too_large": .cutHeadTooLarge, "malformed": .cutMalformed,
                "zero_window": .cutZeroWindow, "unknown_frame": .cutUnknownFrame,
                "empty_line": .cutEmptyLine, "repeated_length": .cutRepeatedLength,
                "chunk_framing": .cutChunkFraming,
            ]),
        counter(
            "fairlead_h2_connections_total", "HTTP/2 connections.", by: "side",
            ["downstream": .h2SessionsDownstream, "upstream": .h2SessionsUpstream]),
    ]

    private static let runtime: [CounterFamily] = [
        gauge("fairlead_memory_slab_bytes", "Bytes of connection slabs.", .memorySlabBytes),
        gauge("fairlead_memory_buffer_bytes", "Bytes of pooled buffers.", .memoryBufferBytes),
        gauge(
            "fairlead_memory_buffer_used_bytes", "Bytes of pooled buffers in use.",
            .memoryBufferUsedBytes),
        gauge(
            "fairlead_worker_config_generation", "Configuration generation that every worker has taken.",
            .configGeneration, .minimum),
        counter("fairlead_loop_turns_total", "Turns of the event loops.", .loopTurns),
        counter("fairlead_loop_events_total", "Events that the event loops delivered.", .loopEvents),
    ]

    private static let lanes: [CounterFamily] = [
        counter(
            "fairlead_guard_stripped_total", "Lane carriers removed by guard: strip.", by: "carrier",
            [
                "query": .guardQuery, "preview-host": .guardPreviewHost, "header": .guardHeader,
                "cookie": .guardCookie, "baggage": .guardBaggage, "tracestate": .guardTracestate,
                "trace-id": .guardTraceID,
            ]),
        counter(
            "fairlead_series_overflow_total", "Events not counted by name: too many series.", by: "table",
            [
                "requests": .requestSeriesOverflow, "lanes": .laneSeriesOverflow,
                "streams": .streamSeriesOverflow,
            ]),
    ]
}
