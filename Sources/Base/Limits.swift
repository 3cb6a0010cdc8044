// Every bound of the program in one place, each with its reason. A bound that a user can set has its
// default here and its setting in `Proxy.spec.limits` or `timeouts`.

public enum Limits {
    // MARK: heads

    /// Bytes of one request or response head, request line and blank line included: Envoy's 60 KiB
    /// (`max_request_headers_kb`). More is 431 from a client, 502 from an upstream.
    public static let headBytes = 61_440
    /// Field lines of one head: Envoy's 100.
    public static let headFields = 100
    /// Field lines that edits may add to one head: lanes, injection and route header operations together.
    public static let editFields = 156
    /// Bytes that edits may add to one head.
    public static let editBytes = 65_536
    /// Bytes of a method; registered ones have at most 17.
    public static let methodBytes = 64
    /// Bytes of a request target; longer is 414. Below `headBytes`, so that a target can fail by name.
    public static let targetBytes = 32_768
    /// Bytes of a lane name: a DNS label (`lanes.md` 1, trap 10).
    public static let laneNameBytes = 63
    /// Bytes and members of a baggage list: what every platform must carry on (W3C Baggage 3.3.2).
    public static let baggageBytes = 8_192
    public static let baggageMembers = 64
    /// The same of tracestate (W3C Trace Context 3.3.1).
    public static let tracestateBytes = 512
    public static let tracestateMembers = 32
    /// Label sets that metrics can tell apart over the life of the process; more are counted as unknown.
    public static let metricLabels = 65_536
    /// Server names of opaque TLS that metrics can tell apart: clients choose them, so they must not use up
    /// the room of services.
    public static let metricServerNames = 1_024
    /// Lane names that metrics can tell apart over the life of the process.
    public static let metricLanes = 16_384

    /// Bytes of an answer's body that its `grpc-message` tells: clients bound their trailers at 8 KiB.
    public static let grpcMessageBytes = 2_048
    /// Bytes of an `x-fairlead-explain` value: what common clients still accept in one field.
    public static let explanationBytes = 8_000

    // MARK: first bytes of a connection

    /// Bytes of a ClientHello, record headers included: one record's worth, ten times what post-quantum key
    /// shares take.
    public static let clientHelloBytes = 16_384
    /// Bytes of a server name (RFC 1035 2.3.4).
    public static let serverNameBytes = 255
    /// Bytes of the list of application protocols that are kept: registered names have at most 15.
    public static let applicationProtocolBytes = 512
    /// Bytes of a PROXY header, version 2, with its extras: a client certificate is the largest known.
    public static let proxyHeaderBytes = 4_096

    /// Paths of Unix sockets that documents may name over the life of the process: they are never forgotten,
    /// and looked through one by one when a document names one.
    public static let unixPaths = 4_096

    // MARK: buffers

    /// Shared by all connections of a worker: what one recv(2) can take. Large bodies pass through it;
    /// hot-path measurements put the best size between 64 and 256 KiB.
    public static let readBytes = 131_072
    /// Bytes that go from socket to socket inside the kernel in one step; what the second does not take is
    /// kept as pending bytes.
    public static let spliceBytes = 262_144
    /// A step that moved less is not worth more than copying: so is the next, until a read is full again.
    public static let spliceLeastBytes = 32_768
    /// What a connection may hold that its socket would not take yet; the other side is not read meanwhile.
    public static let pendingBytes = 262_144
    /// recv(2) calls for one connection before the others have their turn.
    public static let readsPerTurn = 16
    /// Requests of one pipelined batch before the others have their turn.
    public static let pipelinePerTurn = 64
    /// A response's 1xx heads before the upstream is called broken.
    public static let interimResponses = 32

    // MARK: compression

    /// Responses that one worker compresses at a time, 128 KiB each; more go out as they are.
    public static let compressors = 512
    /// States of each coding kept for the next responses.
    public static let idleCompressors = 8
    /// Media types in `Proxy.spec.compression.types`: each is compared with each response's.
    public static let compressionTypes = 64

    // MARK: chunked bodies

    /// Bytes of one chunk-size line with its extensions (RFC 9112 7.1.1 leaves the bound to us).
    public static let chunkLineBytes = 256
    /// Bytes of a trailer section.
    public static let trailerBytes = 8_192

    // MARK: connections

    /// Connections a worker accepts in one turn, so that a flood of connects cannot starve requests.
    public static let acceptsPerTurn = 64
    /// epoll events taken in one turn.
    public static let eventsPerTurn = 256
    /// Idle upstream connections kept for one endpoint by one worker.
    public static let idlePerEndpoint = 256
    /// How long accepting pauses when the process is out of file descriptors, milliseconds.
    public static let acceptPauseMs: UInt64 = 100
    /// Descriptors of a process that are no connections of its workers: logs, admin, files being read.
    public static let ownDescriptors = 24
    /// Connections one worker can hold, both sides; address space is reserved for it, memory is not.
    public static let connectionsPerWorker = 1 << 20
    /// How long an ended connection may still throw bytes at us, milliseconds (Envoy's delayed close).
    public static let lingerMs: UInt64 = 1_000
    /// listen(2) backlog.
    public static let backlog: Int32 = 4_096

    // MARK: abusers

    /// Odd things (`Glitch`) a client may do at once, and how many more a second, before its connection is
    /// ended: above what sloppy clients do and gRPC clients that cancel calls, far below what hurts.
    public static let glitchBudget: UInt32 = 1_000
    public static let glitchRefillPerSecond: UInt32 = 100
    /// Bytes of chunk framing, beyond what goes with chunks of sensible sizes, that make one glitch: a client
    /// that writes single characters as chunks stays below the budget, a flood of them does not.
    public static let chunkFramingBytes = 4_096

    // MARK: HTTP/2

    /// Streams a client may have open on one connection: Envoy's and nghttp2's usual 100.
    public static let h2Streams: UInt32 = 100
    /// Streams we open on an upstream connection before its SETTINGS said how many it takes (RFC 9113 6.5.2
    /// advises at least 100).
    public static let h2PeerStreams = 100
    /// Bytes a stream may have on its way to us: what one stream can make us keep when the other side of its
    /// exchange stands still. 256 KiB moves 5 MB/s over a round trip of 50 ms.
    public static let h2StreamWindow: UInt32 = 262_144
    /// The same of all streams of one client's connection together (Istio's edge profile).
    public static let h2ConnectionWindow: UInt32 = 1 << 20
    /// An upstream connection carries many clients' streams: its window must never be what stops one of
    /// them, so only the streams' windows count.
    public static let h2UpstreamConnectionWindow: UInt32 = 0x7FFF_FFFF
    /// Input is read in slices, so that what its heads decode to is used before more is decoded.
    public static let h2SliceBytes = 16_384
    /// Bytes of decoded heads at which decoding pauses.
    public static let h2InboxBytes = 131_072
    /// Frames are gathered up to this for one send(2).
    public static let h2GatherBytes = 131_072
    /// Frames waiting to be sent at which a peer that does not read is no longer read from.
    public static let h2QueuedFrames = 1_024
    /// Answers to PING and SETTINGS that may wait for a peer that does not read; more end the connection.
    /// Above what one slice can ask for: the budget of glitches is spent first, and the end has a name.
    public static let h2OutboundAcks = 2_000
    /// Entries of one SETTINGS frame.
    public static let h2SettingsEntries = 32
    /// CONTINUATION frames of one head, as nghttp2 counts them: it counts a frame's head again for each piece
    /// it comes in, so 8 frames of 9 bytes each.
    public static let h2Continuations = 72
    /// What a CONTINUATION costs from the budget of glitches: a head of `headBytes` needs four.
    public static let glitchContinuationCost = 20
    /// Stream records kept for reuse by one worker.
    public static let h2SpareStreams = 1_024
    /// How long the peer's answer to the first GOAWAY is waited for, milliseconds.
    public static let h2NoticeMs: UInt64 = 1_000
    /// Sessions whose frames are sent in one turn before sockets are looked at again.
    public static let h2FlushesPerTurn = 256
    /// What a head that is too large costs from that budget: reading it cost us as many bytes as hundreds of
    /// usual ones.
    public static let glitchLargeHeadCost = 50
    /// A window opened by less than this is odd.
    public static let h2SmallWindowUpdate: Int32 = 16

    // MARK: TLS

    /// Plain bytes of one record (RFC 8446 5.1), and the most that it may take with header, padding and
    /// authentication (RFC 8446 5.2 allows 256 more), rounded up.
    @inlinable public static var tlsPlainBytes: Int { 16_384 }
    @inlinable public static var tlsRecordBytes: Int { 17_408 }
    /// Ciphertext that one recv(2) can take: as much as plain bytes.
    @inlinable public static var tlsReadBytes: Int { 131_072 }
    /// Ciphertext that one send(2) can take: a whole read's worth, encrypted, and a head.
    @inlinable public static var tlsWriteBytes: Int { 10 * 17_408 }
    /// Full recv(2) calls in a row without one plain byte before the peer is called hostile: nobody needs
    /// a megabyte of alerts, tickets and key updates.
    public static let tlsReadsWithoutData = 8
    /// Idle connections looked through for one that was made for the same host.
    public static let idleLooks = 16
    /// Connections with TLS or HTTP/2 of one worker that must have gone before the heap's free pages go back
    /// to the system: they had a megabyte, and no more than that stays.
    public static let trimConnections = 64
    /// How often a worker logs that TLS to upstreams fails, and that TLS comes to its plain ports: clients
    /// and scanners come by the hundred. Milliseconds.
    public static let failureLogMs: UInt64 = 10_000
    /// How long a key makes session tickets, and how long they are taken afterwards, seconds.
    public static let ticketKeySeconds: UInt64 = 3_600
    public static let ticketSeconds: UInt64 = 86_400
    /// Certificates in one PEM text: bundles of all public authorities hold about 150.
    public static let certificatesPerFile = 4_096
    /// Bytes of a file or Secret value with certificates, keys or revocation lists.
    public static let certificateBytes = 4 << 20

    // MARK: names

    /// How many Services of type ExternalName may follow each other.
    public static let aliasDepth = 8

    /// Who may wait for answers of the resolver, and how many questions are under way at a time: a server is
    /// not to be flooded by the start of a proxy that watches thousands of names.
    public static let resolverQuestions = 1_024
    public static let resolverInFlight = 64
    /// Names that are watched or remembered.
    public static let resolverNames = 16_384
    /// Of one name: a headless service has one for each of its pods.
    public static let resolverAddresses = 256
    /// How long one question may take, search domains and all; a request waits no longer.
    public static let resolverQuestionMs: UInt64 = 5_000
    /// What c-ares gives each server, doubled with each round over all of them.
    public static let resolverTryMs = 1_200
    public static let resolverTries = 3
    /// Bounds of a time to live: records of a second are followed, those of days looked after once an hour.
    public static let resolverLeastTTLMs: UInt64 = 1_000
    public static let resolverMostTTLMs: UInt64 = 3_600_000
    /// Where nobody told one: names of /etc/hosts, and records that are not to be kept.
    public static let resolverUnknownTTLMs: UInt64 = 5_000
    /// After a question that failed or found nothing, doubled with each in a row.
    public static let resolverLeastPauseMs: UInt64 = 1_000
    public static let resolverMostPauseMs: UInt64 = 60_000
    /// The most for a name that is asked for by requests only.
    public static let resolverMemoryMs: UInt64 = 5_000
    /// How often resolv.conf is looked at, when there is something to ask.
    public static let resolverLookMs: UInt64 = 1_000
    /// How long the first configuration waits for the names it sends to, and a later one, which is to be in
    /// effect within two seconds.
    public static let resolverStartMs: UInt64 = 5_000
    public static let resolverReloadMs: UInt64 = 1_000

    /// Event loops of one process: more than any machine has processors.
    public static let workers = 1_024

    // MARK: configuration

    /// RE2 program memory of one pattern, bytes.
    public static let regexMemoryBytes: Int64 = 8 << 20
    /// Characters of one pattern (Istio's validation).
    public static let regexCharacters = 1_024
    /// Bytes of a signing secret; HMAC takes any length, a file of more is surely another file.
    public static let secretBytes = 65_536
    /// Bytes of a directResponse body (Istio's 1 MiB).
    public static let directBodyBytes = 1 << 20
    /// Bytes of one configuration file.
    public static let fileBytes = 64 << 20
    /// Bytes of one document. An API server takes 3 MiB; a List of all that a cluster has may be more.
    public static let documentBytes = 32 << 20
    /// Threads that read one configuration, and bytes of text that one takes at a time: small configurations
    /// are read before a thread would have started.
    public static let readingThreads = 4
    public static let readingPartBytes = 256 << 10
    /// Documents after which a part ends on average: what one edited document makes a reload read again.
    public static let readingPartDocuments: UInt64 = 16
    /// Bytes of all texts from which on, and up to which, what was read is kept for the next reload. Less is
    /// read in a tenth of a second; of more the objects would take gigabytes.
    public static let keptTextBytesMin = 1 << 20
    public static let keptTextBytes = 64 << 20
    /// VirtualServices and Lanes from which on a thread of its own looks for what is odd: before that,
    /// starting it takes as long.
    public static let besideDocuments = 500
    /// YAML nodes of one document after aliases are followed: an alias bomb ends here.
    public static let yamlNodes = 4_000_000
    /// Nesting of one YAML document.
    public static let yamlDepth = 128
    /// Files of one configuration, so that a path given by mistake (`/`) ends.
    public static let configurationFiles = 100_000
    /// Tries of one request after its first: x-envoy-attempt-count stays one digit, and one try follows the
    /// other at once.
    public static let retries = 8
    /// Those of a route that says nothing of them: Istio's default policy (istio-semantics.md 8).
    public static let retriesByDefault = 2
    /// How long the writer of a pipe that is read as configuration (`<(command)`) may be silent.
    public static let pipePatienceMs: Int32 = 60_000
    /// Folders within folders that are read and watched.
    public static let folderDepth = 32
    /// Findings kept of one load, of each severity: nobody reads more, and a hostile file can make one per
    /// byte.
    public static let findings = 10_000
    /// Warnings of one code that `run` prints at once: ten thousand alike would hide all else in its log.
    public static let warningsTold = 20

    // MARK: scripts

    /// Bytes of all code of one EnvoyFilter script; etcd takes no larger object.
    public static let scriptBytes = 1 << 20
    /// Bytes that one interpreter may hold: the bodies scripts look at, and what they keep in globals.
    public static let scriptMemoryBytes = 32 << 20
    /// Instructions of one run of a script's function: about 5 ms, in which the worker serves nobody else.
    public static let scriptInstructions: UInt64 = 1_000_000
    /// Processor time of one piece of a run, milliseconds: for instructions that are not cheap ones.
    public static let scriptMs: UInt64 = 50
    /// Steps of pattern matching of one piece of a run.
    public static let scriptPatternSteps: UInt64 = 1_000_000
    /// C stack under a script, bytes: a quarter of a worker's.
    public static let scriptStackBytes = 128 << 10
    /// Bytes of a body that a script waits for as a whole: Envoy's buffer limit.
    public static let scriptBodyBytes = 1 << 20
    /// Calls (`httpCall`) that the scripts of one worker may have under way; more fail at once.
    public static let scriptCalls = 1_024
    /// Calls of one run: a script that polls would keep its request for as long as it likes.
    public static let scriptRunCalls: UInt32 = 32
    /// How long an answer to a call is waited for at most, milliseconds: Envoy's idle timeout of streams.
    public static let scriptCallMs: UInt64 = 300_000
    /// Bytes of a call's fields, and of a public key: 16,384 bits of RSA take 2,086.
    public static let scriptCallHeadBytes = 16_384
    public static let scriptKeyBytes = 4_096
    /// Bytes of a header name in a script.
    public static let scriptNameBytes = 1_024
    /// Bytes of a line that a script logs, and such lines of one worker in one second.
    public static let scriptLogBytes = 4_096
    public static let scriptLogLines = 1_000
    /// Lines that explain tells of one script.
    public static let scriptTraceLines = 100
    /// Scripts of one proxy: each costs every worker an environment.
    public static let scripts = 256

    // MARK: telemetry

    /// Series of the request metrics that one worker keeps (528 bytes each once used); more are counted
    /// together. A power of two. (Computed, as the next: a stored one would be a call from the hot path.)
    @inlinable public static var meterRequestCells: Int { 2_048 }
    /// Series of lane events that one worker keeps (32 bytes each). A power of two.
    @inlinable public static var meterLaneCells: Int { 2_048 }
    /// Series of the TCP metrics that one worker keeps (64 bytes each). A power of two.
    @inlinable public static var meterStreamCells: Int { 1_024 }
    /// Bytes that a relayed connection has moved before they are counted, so that long ones are seen early
    /// and each piece costs nothing.
    @inlinable public static var relayReportBytes: UInt64 { 1 << 20 }
    /// Access log bytes that one worker may have waiting: about 2,000 records, 40 ms at 50,000 requests a
    /// second. A power of two.
    @inlinable public static var accessRingBytes: Int { 1 << 20 }
    /// Bytes of one text field in an access log record; the rest is cut off.
    @inlinable public static var accessFieldBytes: Int { 4_096 }
    /// Bytes of lines that the writer gathers for one write(2).
    public static let accessBatchBytes = 65_536
    /// How long the access log's writer gathers records before it looks again, milliseconds.
    public static let accessGatherMs: Int32 = 50
    /// How long shutting down waits for a log file or pipe that takes nothing, milliseconds.
    public static let accessFlushMs: UInt64 = 2_000

    // MARK: admin

    public static let adminConnections = 64
    public static let adminRequestBytes = 1 << 20
    /// From the first byte of a request to the last byte of its response, milliseconds.
    public static let adminDeadlineMs: UInt64 = 10_000
    /// A kept-alive admin connection without a request, milliseconds: longer than scrape intervals are.
    public static let adminIdleMs: UInt64 = 120_000
    /// How long a closing admin connection is still read, so that its last answer is not lost to a reset.
    public static let adminLingerMs: UInt64 = 1_000
    /// Nesting of a JSON body: what `/explain` takes needs three.
    public static let adminJSONDepth = 16
}
