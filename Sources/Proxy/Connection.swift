// One socket, downstream (a client's) or upstream (ours to an endpoint). An idle connection is this struct
// and nothing else: buffers come when bytes are left over.
internal import Base
internal import HTTP2
internal import Lanes
internal import Loop

enum ConnectionSide: UInt8, BitwiseCopyable {
    case downstream, upstream
}

struct ConnectionFlags: OptionSet, BitwiseCopyable {
    let rawValue: UInt32

    /// The socket may hold bytes we have not read (edge-triggered: nobody will tell us again).
    static let mayRead = ConnectionFlags(rawValue: 1 << 0)
    /// connect(2) is under way.
    static let connecting = ConnectionFlags(rawValue: 1 << 1)
    /// epoll told that the peer shut its writing side: read on to its end even after a short read.
    static let peerClosing = ConnectionFlags(rawValue: 1 << 2)
    /// The end was read.
    static let ended = ConnectionFlags(rawValue: 1 << 3)
    /// Close when the pending output is out.
    static let closeAfterFlush = ConnectionFlags(rawValue: 1 << 4)
    /// Our last word is out and the writing side is shut; what still comes is thrown away for a moment, so
    /// that a reset does not destroy our last word on its way (RFC 9112 9.6).
    static let lingering = ConnectionFlags(rawValue: 1 << 5)
    /// Upstream: it served a request before.
    static let reused = ConnectionFlags(rawValue: 1 << 6)
    /// Waits in the worker's list for another turn.
    static let queued = ConnectionFlags(rawValue: 1 << 7)
    /// Shut our writing side when the pending output is out (tunnels).
    static let shutAfterFlush = ConnectionFlags(rawValue: 1 << 8)
    /// Our writing side is shut.
    static let writeShut = ConnectionFlags(rawValue: 1 << 9)
    /// A send failed: the peer takes no more, but may have answered before.
    static let writeFailed = ConnectionFlags(rawValue: 1 << 10)
    /// Downstream: at least one request was answered on it.
    static let served = ConnectionFlags(rawValue: 1 << 11)
    /// Upstream: kept in an endpoint's idle list.
    static let idle = ConnectionFlags(rawValue: 1 << 12)
    /// Downstream: part of a head came, and its deadline runs.
    static let partialHead = ConnectionFlags(rawValue: 1 << 13)
    /// Upstream: for one exchange alone; not kept for others.
    static let single = ConnectionFlags(rawValue: 1 << 14)
    /// More comes at a time than a read takes: worth moving inside the kernel (see Splicing).
    static let bulk = ConnectionFlags(rawValue: 1 << 15)
    /// It speaks HTTP/2: `session` is there.
    static let session = ConnectionFlags(rawValue: 1 << 16)
    /// HTTP/2: the first GOAWAY of a graceful end was sent; the second.
    static let retiring = ConnectionFlags(rawValue: 1 << 17)
    static let goawaySent = ConnectionFlags(rawValue: 1 << 18)
    /// HTTP/2 to an upstream: in its endpoint's list of connections.
    static let pooled = ConnectionFlags(rawValue: 1 << 19)
    /// HTTP/2: a PING was sent to see whether the peer is there.
    static let pinged = ConnectionFlags(rawValue: 1 << 24)
    /// The transport has more than it gave: read on even after a short read.
    static let moreAtHand = ConnectionFlags(rawValue: 1 << 20)
    /// Downstream: what the client sends is encrypted all the way to us.
    static let secure = ConnectionFlags(rawValue: 1 << 21)
    /// Downstream: ends after its current response.
    static let retired = ConnectionFlags(rawValue: 1 << 22)
    /// Its close must tell the peer that what it has is not whole.
    static let aborted = ConnectionFlags(rawValue: 1 << 23)
    /// HTTP/2: the connection is over, and what came whole on it is still handed on. Also of a client's
    /// tunnel on such a connection: nobody takes what the upstream says.
    static let outlived = ConnectionFlags(rawValue: 1 << 25)

    /// A short read proves nothing while one of these is set.
    static let readOn: ConnectionFlags = [.peerClosing, .moreAtHand]
}

struct Connection: BitwiseCopyable {
    var timer = TimerLink()
    var fd: Int32
    /// Part of the epoll data: an event for an earlier user of the slot is recognised and dropped.
    var generation: UInt32
    var exchange: UInt32 = noSlot
    var flags: ConnectionFlags = []
    var side: ConnectionSide
    var transport = Transport.plain
    /// Downstream.
    var stage = ConnectionStage.requests
    /// Downstream: index into the worker's listeners.
    var listener: UInt8 = 0
    /// Downstream: glitches charged so far, and the low byte of the second in which the last one came.
    var glitchSecond: UInt8 = 0
    var glitches: UInt16 = 0
    /// Where the search for the end of a partial head goes on; in other stages the bytes worth waiting for.
    var scanned: UInt32 = 0
    /// Bytes read and not yet used: part of a head, or requests that wait for their turn.
    var input = Buffer()
    /// Bytes the socket would not take yet.
    var output = Buffer()
    var peer: SocketAddress
    /// Downstream: `peer` without port in text, as forwarded fields have it.
    var peerText: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    var peerTextLength: UInt8 = 0
    /// Upstream: whose connection this is, and its neighbours in the idle list.
    var endpoint: UInt32 = noSlot
    var endpointGeneration: UInt32 = 0
    /// Upstream: requests that it may still serve; 0: any number.
    var requestsLeft: UInt32 = 0
    var next: UInt32 = noSlot
    var previous: UInt32 = noSlot
    /// HTTP/2: the session of a connection that has one.
    var session: H2Session?
    /// HTTP/2: what a slot without a socket stands for (`transport` is `.stream`).
    var stream: UnsafeMutablePointer<H2Stream>?
    /// nil: plain text, or nothing was heard of the client yet.
    var tls: UnsafeMutablePointer<TLSState>?
    /// Downstream: of its last request.
    private(set) var decided = DecisionMemo(serial: 0)

    init(fd: Int32, generation: UInt32, side: ConnectionSide, peer: SocketAddress) {
        self.fd = fd
        self.generation = generation
        self.side = side
        self.peer = peer
    }
}

extension UnsafeMutablePointer<Connection> {
    private var peerTextBytes: UnsafeMutablePointer<UInt8> {
        let offset = MemoryLayout<Connection>.offset(of: \Connection.peerText).unsafelyUnwrapped
        return (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: UInt8.self)
    }

    /// Where the output of this slot lies, for as long as the slot is in use.
    var outputPlace: UnsafeMutablePointer<Buffer> {
        let offset = MemoryLayout<Connection>.offset(of: \Connection.output).unsafelyUnwrapped
        return (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: Buffer.self)
    }

    /// What is remembered of its requests, for as long as the slot is in use.
    var memo: UnsafeMutablePointer<DecisionMemo> {
        let offset = MemoryLayout<Connection>.offset(of: \Connection.decided).unsafelyUnwrapped
        return (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: DecisionMemo.self)
    }

    /// The client's address in text; holds as long as the connection.
    var peerAddressText: ByteView { ByteView(peerTextBytes, Int(pointee.peerTextLength)) }

    /// Writes the text when the connection is accepted, and when a PROXY header tells another address. An
    /// address has at most 39 characters.
    func writePeerText() {
        pointee.peerTextLength = UInt8(truncatingIfNeeded: pointee.peer.writeAddress(to: peerTextBytes))
    }
}
