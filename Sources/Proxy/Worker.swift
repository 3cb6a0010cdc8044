// One event loop and all it owns. Made inside its thread and never leaves it; nothing here is shared but the
// snapshot it routes by, its mailbox, and counters that others only read.
internal import Base
internal import CLinux
internal import HTTP
internal import HTTP2
internal import Lanes
internal import Lua
package import Loop
internal import Synchronization
internal import TLS
package import Telemetry

/// What a worker is given at its start.
package struct WorkerSetup: Sendable {
    package var index: Int
    package var mailbox: Mailbox<WorkerLetter>
    package var memory: MeterMemory
    /// Every worker's, this one's included: limits are the process's.
    package var memories: [MeterMemory]
    package var accessLog: AccessLog?
    package var resolver: Resolver
    package var connectionsMax: Int
    /// Clients at which no more are accepted for a moment.
    package var acceptMax: Int

    package init(
        index: Int, mailbox: Mailbox<WorkerLetter>, memories: [MeterMemory], accessLog: AccessLog?,
        resolver: Resolver, connectionsMax: Int, acceptMax: Int
    ) {
        self.index = index
        self.mailbox = mailbox
        memory = memories[index]
        self.memories = memories
        self.accessLog = accessLog
        self.resolver = resolver
        self.connectionsMax = connectionsMax
        self.acceptMax = acceptMax
    }
}

/// A configuration that exchanges of this worker began under. Kept until the last of them is over.
struct HeldSnapshot {
    var snapshot: Snapshot?
    /// Of its scripts; nil: it has none.
    var interpreter: Interpreter?
    var exchanges: Int
    /// Its clusters with names.
    var resolved = ResolvedView([], [])
}

/// One open listening socket.
struct OpenListener: BitwiseCopyable {
    var fd: Int32
    var address: SocketAddress
    /// In the current table; dangles once the listener is closed.
    var listener: UnsafePointer<Listener>
    var role: UInt8
    /// Open connections that came by it.
    var connections: UInt32 = 0
}

/// epoll data of descriptors that are no connections: above every slot number.
enum SpecialEvent {
    static let mailbox: UInt64 = 0xFFFF_FFFF
    static let firstListener: UInt64 = 0xFFFF_0000
    static let listenersMax = 255
}

/// Its methods are `mutating` whether they change anything or not: one that is not gets a copy of the whole
/// struct on the stack at each call out of one that is (Swift 6.3).
struct Worker: ~Copyable {
    let setup: WorkerSetup
    let meter: Meter
    let fleet: FleetMeters
    let poller: Poller
    var connections: Slab<Connection>
    var exchanges: Slab<Exchange>
    var buffers = BufferPool()
    var pool = UpstreamPool()
    var wheel: TimerWheel
    var random: RandomSource
    var date = DateText()
    var scratch = EditScratch()
    var compressors = Compressors()
    var rules = FieldRules()

    /// Made when the first bulk comes; nil also where the system refused it.
    var splicePipe: SplicePipe?
    var splicePipeRefused = false
    /// Everything read lands here first; room in front and behind for a chunk's framing.
    let readSpace: UnsafeMutablePointer<UInt8>
    /// The same for HTTP/2 sessions: acting on their bytes reads streams into `readSpace`.
    let sessionSpace: UnsafeMutablePointer<UInt8>
    var engine: H2Engine?
    /// Heads and small bodies are put together here and sent in one call.
    let writeSpace: UnsafeMutablePointer<UInt8>
    /// Ciphertext is received here, and passes through the pipe.
    let cipherSpace: UnsafeMutablePointer<UInt8>
    let pipe: TLSPipe
    var transportFailure = TransportFailure()
    /// Such failures are logged again from then on, and TLS on ports of plain HTTP.
    var transportFailureLogMs: UInt64 = 0
    var wrongPortLogMs: UInt64 = 0
    /// Normalised paths.
    let pathSpace: UnsafeMutablePointer<UInt8>
    /// The decision of each exchange, by its slot: written where it stays.
    let decisions: UnsafeMutablePointer<Decision>
    let decisionBytes: Int
    /// What formatters are told; filled for decisions that format anything, else empty.
    let format: UnsafeMutablePointer<FormatContext>
    let noFormat: UnsafeMutablePointer<FormatContext>
    /// Addresses for formatters.
    let formatSpace: UnsafeMutablePointer<UInt8>
    let hostname: ByteView
    let ring: AccessRing?
    var logs: Bool { ring != nil }
    let requestHead: UnsafeMutablePointer<RequestHead>
    let responseHead: UnsafeMutablePointer<ResponseHead>
    let requestHeaders: UnsafeMutablePointer<HeaderList>
    let responseHeaders: UnsafeMutablePointer<HeaderList>

    /// Of the request that is being started; valid in that call only.
    var currentRequest = Request()

    /// When this turn began; in milliseconds too, because every deadline is set from them.
    private(set) var nowNs: UInt64
    private(set) var nowMs: UInt64
    /// CLOCK_REALTIME minus the monotonic clock, taken once a turn that needs it.
    var realtimeOffsetNs: UInt64
    private var clockReadNs: UInt64 = 0

    var held: [HeldSnapshot] = []
    var current: UInt32 = 0
    /// Of the current snapshot, whose own count is not looked at: an array's element costs more to change.
    var currentExchanges = 0
    /// Of the current snapshot.
    var table: UnsafePointer<Table>?
    /// Of the current snapshot; nil: no cluster has names.
    var resolvedClusters: UnsafePointer<UnsafePointer<Cluster>>?
    var heldClusters: [HeldCluster] = []
    /// Places in `heldClusters` that hold none.
    var freeClusterPlaces: [UInt32] = []
    /// Counts configurations, from 1.
    var configurationSerial: UInt32 = 0
    /// Of the current snapshot; nothing listens before there is one.
    var settings: ProxySettings { table.unsafelyUnwrapped.pointee.proxy }
    var listeners: UnsafeMutablePointer<OpenListener>
    var listenerCount = 0
    /// Connections that have more to do than one turn gave them.
    var queue: [UInt32] = []
    var queueNext: [UInt32] = []
    let roundRobinTurns: UnsafeMutablePointer<UInt32>
    let roundRobinMask = 4_095

    var generation: UInt32 = 0
    var serial: UInt32 = 0
    var acceptPausedUntilMs: UInt64 = 0
    var acceptPauseLogged = false
    var drainDeadlineMs: UInt64 = 0
    var isDraining: Bool { drainDeadlineMs != 0 }
    var downstreamCount = 0
    var lossLog = LossLog()
    /// The time that was read for the last bytes of a response, while these are being accounted for; else 0.
    var sentNs: UInt64 = 0
    var scripting = ScriptBench()
    /// Connections with TLS.
    var tlsCount = 0
    /// Most connections with state on the heap since `trimHeap` did something.
    var heapPeak = 0
    /// As many as `trimHeap` found when it looked last.
    var heapUsersBefore = 0

    /// Space in front of and behind what is read.
    static let margin = 64

    /// nil: the system refused memory or descriptors.
    static func make(_ setup: WorkerSetup) -> Worker? {
        guard let poller = Poller(eventsPerTurn: Limits.eventsPerTurn) else { return nil }
        guard let connections = Slab<Connection>(capacity: setup.connectionsMax) else { return nil }
        guard let exchanges = Slab<Exchange>(capacity: setup.connectionsMax) else { return nil }
        guard poller.add(reader: setup.mailbox.descriptor, data: SpecialEvent.mailbox) else { return nil }
        let bytes = setup.connectionsMax * MemoryLayout<Decision>.stride
        guard let space = fl_reserve(bytes) else { return nil }
        let decisions = space.bindMemory(to: Decision.self, capacity: setup.connectionsMax)
        return Worker(setup, poller, connections, exchanges, decisions, bytes)
    }

    private init(
        _ setup: WorkerSetup, _ poller: consuming Poller, _ connections: consuming Slab<Connection>,
        _ exchanges: consuming Slab<Exchange>, _ decisions: UnsafeMutablePointer<Decision>,
        _ decisionBytes: Int
    ) {
        self.decisions = decisions
        self.decisionBytes = decisionBytes
        self.setup = setup
        self.poller = poller
        self.connections = connections
        self.exchanges = exchanges
        meter = setup.memory.meter
        fleet = FleetMeters(setup.memories)
        nowNs = Syscalls.monotonicNs()
        nowMs = nowNs / 1_000_000
        realtimeOffsetNs = Syscalls.realtimeNs() &- nowNs
        wheel = TimerWheel(nowMs: nowNs / 1_000_000)
        random = RandomSource(seed: UInt64.random(in: 0...UInt64.max))
        readSpace = .allocate(capacity: Limits.readBytes + 2 * Self.margin)
        sessionSpace = .allocate(capacity: Limits.readBytes)
        writeSpace = .allocate(capacity: Self.writeBytes)
        cipherSpace = .allocate(capacity: Limits.tlsReadBytes)
        pipe = TLSPipe()
        pathSpace = .allocate(capacity: Limits.targetBytes + 2)
        formatSpace = .allocate(capacity: 128 + ResponseFlags.textBytesMax)
        format = .allocate(capacity: 1)
        format.initialize(to: FormatContext())
        noFormat = .allocate(capacity: 1)
        noFormat.initialize(to: FormatContext())
        hostname = HostName.view
        ring = setup.accessLog?.ring(worker: setup.index)
        requestHead = .allocate(capacity: 1)
        requestHead.initialize(to: RequestHead())
        responseHead = .allocate(capacity: 1)
        responseHead.initialize(to: ResponseHead())
        requestHeaders = .allocate(capacity: 1)
        requestHeaders.initialize(to: HeaderList())
        responseHeaders = .allocate(capacity: 1)
        responseHeaders.initialize(to: HeaderList())
        listeners = .allocate(capacity: SpecialEvent.listenersMax)
        roundRobinTurns = .allocate(capacity: 4_096)
        for index in 0..<4_096 { roundRobinTurns[index] = UInt32.random(in: 0...UInt32.max / 2) }
    }

    deinit {
        readSpace.deallocate()
        sessionSpace.deallocate()
        engine?.free()
        writeSpace.deallocate()
        cipherSpace.deallocate()
        pipe.free()
        transportFailure.free()
        pathSpace.deallocate()
        formatSpace.deallocate()
        format.deallocate()
        noFormat.deallocate()
        compressors.deallocate()
        fl_unreserve(decisions, decisionBytes)
        requestHeaders.pointee.deallocate()
        responseHeaders.pointee.deallocate()
        requestHead.deallocate()
        responseHead.deallocate()
        requestHeaders.deallocate()
        responseHeaders.deallocate()
        listeners.deallocate()
        roundRobinTurns.deallocate()
        fleet.deallocate()
    }

    /// A response head with all its edits, and a body small enough to ride with it.
    static let writeBytes =
        Limits.headBytes + Limits.editBytes + Limits.explanationBytes + 4_096 + ridingBodyBytes
    /// Up to here copying a body behind its head is cheaper than a second piece in the call.
    static let ridingBodyBytes = 16_384

    /// Runs until drained.
    mutating func run() {
        while !(isDraining && isDrained) {
            let isIdle = queue.isEmpty && engine?.hasDirty != true
            let sleepMs: Int32 = isIdle ? wheel.sleepMs(nowMs: nowMs, most: sleepMostMs) : 0
            let count = poller.wait(timeoutMs: sleepMs)
            nowNs = Syscalls.monotonicNs()
            nowMs = nowNs / 1_000_000
            if nowNs &- clockReadNs > 1_000_000_000 {
                readClock()
                trimHeap()
            }
            meter.add(.loopTurns)
            meter.add(.loopEvents, UInt64(count))
            if count > 1 { deliverToIdle(count) }
            var index = 0
            while index < count {
                deliver(poller.event(index))
                index &+= 1
            }
            if !queue.isEmpty { continueQueued() }
            expireTimers()
            if engine != nil { flushSessions() }
            if acceptPausedUntilMs != 0, nowMs >= acceptPausedUntilMs { resumeAccepting() }
            connections.endTurn()
            exchanges.endTurn()
            meter.set(.memoryBufferUsedBytes, UInt64(buffers.bytesInUse))
            meter.set(.memoryBufferBytes, UInt64(buffers.bytesHeld))
            meter.set(.memorySlabBytes, UInt64(slabBytes))
        }
        closeEverything()
    }

    /// Of slots that were ever used: a slab gives nothing back.
    private var slabBytes: Int {
        connections.highWater &* MemoryLayout<Connection>.stride
            &+ exchanges.highWater &* MemoryLayout<Exchange>.stride
    }

    /// The loop's own deadlines, which are in no wheel.
    private var sleepMostMs: UInt64 {
        var most: UInt64 = 1_000
        if acceptPausedUntilMs != 0 {
            most = min(most, acceptPausedUntilMs &- min(nowMs, acceptPausedUntilMs))
        }
        if isDraining { most = min(most, drainDeadlineMs &- min(nowMs, drainDeadlineMs)) }
        return most
    }

    /// Follows adjustments of the calendar clock, once a second.
    private mutating func readClock() {
        clockReadNs = nowNs
        realtimeOffsetNs = Syscalls.realtimeNs() &- nowNs
    }

    private var isDrained: Bool { downstreamCount == 0 || nowMs >= drainDeadlineMs }

    /// What idle upstream connections tell, that they are gone or an answer that nobody asked for, comes
    /// before the requests of the same turn, or one of these would take such a connection and read that
    /// answer as its own. Events tell no more than what to try: that one is delivered again is no harm.
    private mutating func deliverToIdle(_ count: Int) {
        var index = 0
        while index < count {
            let event = poller.event(index)
            index &+= 1
            let low = event.data & 0xFFFF_FFFF
            if low < SpecialEvent.firstListener,
                connections.at(UInt32(truncatingIfNeeded: low)).pointee.flags.contains(.idle)
            {
                deliver(event)
            }
        }
    }

    private mutating func deliver(_ event: PollEvent) {
        let low = event.data & 0xFFFF_FFFF
        if low >= SpecialEvent.firstListener {
            if low == SpecialEvent.mailbox {
                readMail()
            } else {
                accept(Int(low - SpecialEvent.firstListener))
            }
            return
        }
        let slot = UInt32(truncatingIfNeeded: low)
        let connection = connections.at(slot)
        if connection.pointee.generation != UInt32(truncatingIfNeeded: event.data >> 32) { return }
        if event.peerClosed { connection.pointee.flags.insert(.peerClosing) }
        if event.readable || event.peerClosed || event.broken {
            connection.pointee.flags.insert(.mayRead)
        }
        if connection.pointee.flags.contains(.session) {
            sessionEvent(slot, event)
        } else if connection.pointee.side == .downstream {
            downstreamEvent(slot, event)
        } else {
            upstreamEvent(slot, event)
        }
    }

    // MARK: slots

    @inline(__always)
    func connection(_ slot: UInt32) -> UnsafeMutablePointer<Connection> { connections.at(slot) }

    @inline(__always)
    func exchange(_ slot: UInt32) -> UnsafeMutablePointer<Exchange> { exchanges.at(slot) }

    /// A slot for a new socket, watched from now on; the socket is closed when that is refused.
    mutating func adopt(_ fd: Int32, _ side: ConnectionSide, _ peer: SocketAddress) -> UInt32? {
        generation &+= 1
        if generation == 0 { generation = 1 }
        let value = Connection(fd: fd, generation: generation, side: side, peer: peer)
        guard let slot = connections.take(value) else {
            Syscalls.close(fd)
            return nil
        }
        if !poller.add(connection: fd, data: UInt64(generation) << 32 | UInt64(slot)) {
            release(slot)
            return nil
        }
        return slot
    }

    /// Closes the socket and frees the slot; the caller has settled the exchange.
    mutating func release(_ slot: UInt32) {
        let own = connection(slot)
        precondition(own.pointee.generation != 0, "a slot is released once")
        setDeadline(slot, 0)
        wheel.remove(slot) { [base = connections.at(0)] in Self.link(base, $0) }
        if own.pointee.transport == .stream { releaseStream(own) }
        if own.pointee.tls != nil { detachTLS(own) }
        buffers.release(&own.pointee.input)
        buffers.release(&own.pointee.output)
        if own.pointee.fd >= 0 { Syscalls.close(own.pointee.fd) }
        own.pointee.generation = 0
        own.pointee.fd = -1
        own.pointee.exchange = noSlot
        connections.free(slot)
    }

    @inline(__always)
    static func link(
        _ base: UnsafeMutablePointer<Connection>, _ slot: UInt32
    ) -> UnsafeMutablePointer<TimerLink> {
        // The timer is the first field of a connection.
        UnsafeMutableRawPointer(base + Int(slot)).assumingMemoryBound(to: TimerLink.self)
    }

    @inline(__always)
    mutating func setDeadline(_ slot: UInt32, _ deadlineMs: UInt64) {
        if connection(slot).pointee.timer.postpone(deadlineMs) { return }
        wheel.set(slot, deadlineMs) { [base = connections.at(0)] in Self.link(base, $0) }
    }

    /// `afterMs` from now; 0: none.
    @inline(__always)
    mutating func setTimeout(_ slot: UInt32, _ afterMs: UInt64) {
        setDeadline(slot, afterMs == 0 ? 0 : nowMs &+ afterMs)
    }

    private mutating func expireTimers() {
        let base = connections.at(0)
        while let slot = wheel.nextExpired(nowMs: nowMs, link: { Self.link(base, $0) }) {
            if connection(slot).pointee.flags.contains(.session) {
                sessionTimeout(slot)
            } else if connection(slot).pointee.side == .downstream {
                downstreamTimeout(slot)
            } else {
                upstreamTimeout(slot)
            }
        }
    }

    // MARK: fairness

    /// Gives a connection another turn before the loop sleeps.
    mutating func enqueue(_ slot: UInt32) {
        let own = connection(slot)
        if own.pointee.flags.contains(.queued) { return }
        own.pointee.flags.insert(.queued)
        queue.append(slot)
    }

    private mutating func continueQueued() {
        swap(&queue, &queueNext)
        var index = 0
        while index < queueNext.count {
            let slot = queueNext[index]
            index &+= 1
            let own = connection(slot)
            if own.pointee.generation == 0 || !own.pointee.flags.contains(.queued) { continue }
            own.pointee.flags.remove(.queued)
            if own.pointee.flags.contains(.session) {
                readSession(slot)
            } else if own.pointee.transport == .call {
                deliverCall(slot)
            } else if own.pointee.side == .downstream {
                continueDownstream(slot)
            } else {
                readUpstream(slot)
            }
        }
        queueNext.removeAll(keepingCapacity: true)
    }
}

/// This machine's name, for `%HOSTNAME%`.
enum HostName {
    nonisolated(unsafe) static let view: ByteView = {
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        let length = fl_hostname(room, 256)
        return ByteView(room, Int(length))
    }()
}
