// What one worker knows of each endpoint: connections that wait for the next request, and how many requests
// are with it now. Keyed by the endpoint's id, which survives reloads; an id that was given to another
// address meanwhile is told by its generation. Last in, first out: the warmest connection serves next, and
// the coldest are the first to be closed for idleness.
internal import TLS

struct EndpointState: BitwiseCopyable {
    var generation: UInt32 = 0
    /// Most recently used idle connection.
    var idleHead = noSlot
    var idleCount: UInt32 = 0
    /// HTTP/2 connections, the newest first.
    var sessions = noSlot
    /// Streams that its HTTP/2 connections take at a time, as the last one said.
    var peerStreams = UInt32.max
    /// Requests in flight.
    var active: UInt32 = 0
    /// What the next TLS connection may resume, and for which host (`TLSState.nameHash`).
    var session: TLSSession?
    var sessionNameHash: UInt64 = 0
}

struct UpstreamPool: ~Copyable {
    private var states: UnsafeMutablePointer<EndpointState>
    private var capacity: Int

    init() {
        capacity = 256
        states = .allocate(capacity: capacity)
        states.initialize(repeating: EndpointState(), count: capacity)
    }

    deinit {
        for id in 0..<capacity { states[id].session?.free() }
        states.deallocate()
    }

    /// The state of an endpoint; grows the table for a new id (configuration time's cost, once per id).
    mutating func state(_ id: UInt32) -> UnsafeMutablePointer<EndpointState> {
        if Int(id) >= capacity { grow(Int(id) + 1) }
        return states + Int(id)
    }

    private mutating func grow(_ least: Int) {
        let larger = max(least, capacity * 2)
        let place = UnsafeMutablePointer<EndpointState>.allocate(capacity: larger)
        place.initialize(from: states, count: capacity)
        (place + capacity).initialize(repeating: EndpointState(), count: larger - capacity)
        states.deallocate()
        states = place
        capacity = larger
    }

    /// Puts a connection at the head of its endpoint's idle list.
    mutating func push(
        _ slot: UInt32, _ id: UInt32, connection: (UInt32) -> UnsafeMutablePointer<Connection>
    ) {
        let state = state(id)
        let own = connection(slot)
        own.pointee.previous = noSlot
        own.pointee.next = state.pointee.idleHead
        if state.pointee.idleHead != noSlot { connection(state.pointee.idleHead).pointee.previous = slot }
        state.pointee.idleHead = slot
        state.pointee.idleCount &+= 1
        own.pointee.flags.insert(.idle)
    }

    /// Puts an HTTP/2 connection on its endpoint's list.
    mutating func addSession(
        _ slot: UInt32, _ id: UInt32, connection: (UInt32) -> UnsafeMutablePointer<Connection>
    ) {
        let state = state(id)
        let own = connection(slot)
        own.pointee.previous = noSlot
        own.pointee.next = state.pointee.sessions
        if state.pointee.sessions != noSlot { connection(state.pointee.sessions).pointee.previous = slot }
        state.pointee.sessions = slot
        own.pointee.flags.insert(.pooled)
    }

    /// Takes an HTTP/2 connection off its endpoint's list.
    mutating func removeSession(
        _ slot: UInt32, connection: (UInt32) -> UnsafeMutablePointer<Connection>
    ) {
        let own = connection(slot)
        let next = own.pointee.next
        let previous = own.pointee.previous
        if next != noSlot { connection(next).pointee.previous = previous }
        if previous != noSlot {
            connection(previous).pointee.next = next
        } else {
            state(own.pointee.endpoint).pointee.sessions = next
        }
        own.pointee.next = noSlot
        own.pointee.previous = noSlot
        own.pointee.flags.remove(.pooled)
    }

    /// Takes a connection out of its endpoint's idle list.
    mutating func remove(_ slot: UInt32, connection: (UInt32) -> UnsafeMutablePointer<Connection>) {
        let own = connection(slot)
        let state = state(own.pointee.endpoint)
        let next = own.pointee.next
        let previous = own.pointee.previous
        if next != noSlot { connection(next).pointee.previous = previous }
        if previous != noSlot {
            connection(previous).pointee.next = next
        } else {
            state.pointee.idleHead = next
        }
        own.pointee.next = noSlot
        own.pointee.previous = noSlot
        state.pointee.idleCount &-= 1
        own.pointee.flags.remove(.idle)
    }
}
