// What the scripts of one worker work on: the message under the running script, and the requests that wait
// for their script. Touched by exchanges whose listener has scripts, by no other.
internal import Base
internal import HTTP
internal import Lanes
internal import Loop
internal import Lua

/// What `streamInfo` is answered from.
struct ScriptFacts: BitwiseCopyable {
    var table: UnsafePointer<Table>
    var listener: UnsafePointer<Listener>
    /// The request that a route could be looked up for; nil: it is gone, or its route is known.
    var request: UnsafePointer<Request>?
    var headers: UnsafePointer<HeaderList>
    /// Of the route, where one is chosen already.
    var routeName: ByteView = .empty
    /// The encryption of the client's connection; nil: none.
    var tls: UnsafePointer<TLSState>?
    var protocolName: ByteView = .empty
    var peer: SocketAddress = .unspecified
    /// Of the client's connection.
    var fd: Int32 = -1
    var nowNs: UInt64 = 0
}

/// A run that waits.
struct ScriptWait: BitwiseCopyable {
    let run: ScriptRun
    /// Of its filter in the listener.
    let position: Int
    /// The slot of the call that it waits for; `noSlot`: it waits for the body.
    var call = noSlot
    /// It has seen the body as a piece (`bodyChunks`).
    var isShown = false
}

/// A request whose script waits: its head, kept while other bytes use the worker's buffers.
struct SuspendedRequest {
    var wait: ScriptWait
    var head: RequestHead
    /// Holds all that the head's views and its field lines point to.
    let bytes: UnsafeMutablePointer<UInt8>
    var lines: [HeaderField]
    var fields: ForwardedFields
    var context: DecisionContext
    /// The body as far as it came, its coding undone; as it came (`isRaw`), as long as nobody asked for it.
    var body: [UInt8] = []
    var isRaw = false
    /// All of it is there.
    var isWhole = false
    /// A script waited for it: it is sent from here.
    var isTaken = false
    /// Some script replaced it by this.
    var newBody: [UInt8]?
    var clearsRoute: Bool
}

/// A response whose script waits for its body or for the answer to a call, kept like a request.
struct SuspendedResponse {
    var wait: ScriptWait
    var head: ResponseHead
    let bytes: UnsafeMutablePointer<UInt8>
    var lines: [HeaderField]
    var body: [UInt8] = []
    /// All of it is there.
    var isWhole = false
    /// It is sent from here: a script waited for it, or the answer is our own (`isLocal`).
    var isTaken = false
    var isLocal = false
    var newBody: [UInt8]?
    /// When the head was read.
    var readNs: UInt64
}

/// A script that looks at the body as it passes (`bodyChunks`).
struct BodyWatcher {
    var run: ScriptRun
    var position: Int
    var phase: ScriptPhase
    /// The slot of the call that it waits for; `noSlot`: it waits for a piece.
    var call = noSlot
    /// What came meanwhile.
    var pending: [UInt8] = []
    /// The body came to its end, and the script knows it.
    var isLast = false
    var isTold = false
}

struct ScriptBench: ~Copyable {
    let message: UnsafeMutablePointer<ScriptMessage>
    let request: UnsafeMutablePointer<Request>
    let facts: UnsafeMutablePointer<ScriptFacts>
    var suspended: [UInt32: SuspendedRequest] = [:]
    var suspendedResponses: [UInt32: SuspendedResponse] = [:]
    var watchers: [UInt32: [BodyWatcher]] = [:]
    var calls: [UInt32: ScriptCallState] = [:]
    /// Of the answer that was laid out last (`ScriptCallState.isImmediate`).
    var isAnswerImmediate = false
    var failures = LogRate()
    /// What `respond` put together, while it is being sent.
    var answer = ScriptAnswer()

    init() {
        message = .allocate(capacity: 1)
        message.initialize(to: ScriptMessage(headers: nil))
        request = .allocate(capacity: 1)
        request.initialize(to: Request())
        facts = .allocate(capacity: 1)
    }

    deinit {
        message.deinitialize(count: 1)
        message.deallocate()
        request.deallocate()
        facts.deallocate()
    }

    /// The running script's message for a request; the start line is a copy in `request`.
    func lay(request head: Request, _ headers: UnsafeMutablePointer<HeaderList>, _ facts: ScriptFacts) {
        request.pointee = head
        lay(headers, facts)
        message.pointee.request = request
    }

    /// The same for a response.
    /// nil: the head went on.
    func lay(response status: Int, _ headers: UnsafeMutablePointer<HeaderList>?, _ facts: ScriptFacts) {
        lay(headers, facts)
        message.pointee.status = status
    }

    private func lay(_ headers: UnsafeMutablePointer<HeaderList>?, _ facts: ScriptFacts) {
        self.facts.initialize(to: facts)
        message.pointee = ScriptMessage(headers: headers)
        message.pointee.factContext = UnsafeRawPointer(self.facts)
        message.pointee.nowNs = facts.nowNs
        message.pointee.fact = tellFact
        message.pointee.hasCluster = knowsCluster
    }
}

private func facts(_ context: UnsafeRawPointer?) -> UnsafePointer<ScriptFacts> {
    context.unsafelyUnwrapped.assumingMemoryBound(to: ScriptFacts.self)
}

/// Writes one fact to `space`, which has room for `ScriptFact.bytes`; -1: not known.
private func tellFact(_ context: UnsafeRawPointer?, _ which: Int32, _ space: ScriptSpace) -> Int32 {
    let own = facts(context)
    func put(_ text: ByteView) -> Int32 {
        let count = min(text.count, ScriptFact.bytes)
        space.update(from: text.start, count: count)
        return Int32(truncatingIfNeeded: count)
    }
    switch ScriptFact(rawValue: which) {
    case .networkProtocol: return put(own.pointee.protocolName)
    case .routeName:
        guard let request = own.pointee.request else { return put(own.pointee.routeName) }
        return put(routeName(own.pointee.listener, request.pointee, own.pointee.headers.pointee))
    case .localAddress:
        let address = Sockets.localAddress(own.pointee.fd)
        return Int32(truncatingIfNeeded: address.writeAddressAndPort(to: space))
    case .directRemoteAddress, .remoteAddress:
        return Int32(truncatingIfNeeded: own.pointee.peer.writeAddressAndPort(to: space))
    case .serverName: return put(own.pointee.tls?.pointee.stream.serverName ?? .empty)
    case .tlsVersion: return put(own.pointee.tls?.pointee.stream.version.name ?? .empty)
    case .tlsCipher: return put(own.pointee.tls?.pointee.stream.cipher ?? .empty)
    case .peerDigest: return put(own.pointee.tls?.pointee.client(.fingerprint) ?? .empty)
    case .peerSubject: return put(own.pointee.tls?.pointee.client(.subject) ?? .empty)
    case .peerURI: return put(first(own.pointee.tls?.pointee.client(.uris) ?? .empty))
    case .peerDNS: return put(first(own.pointee.tls?.pointee.client(.names) ?? .empty))
    case nil: return -1
    }
}

/// Up to the first comma of what is joined with commas.
private func first(_ names: ByteView) -> ByteView {
    names.slice(0, names.firstIndex(of: 0x2C) ?? names.count)
}

private func knowsCluster(_ context: UnsafeRawPointer?, _ name: ScriptSpace, _ count: Int) -> Int32 {
    facts(context).pointee.table.pointee.cluster(named: ByteView(name, count)) == nil ? 0 : 1
}
