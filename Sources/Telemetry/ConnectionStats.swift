// What is open at the moment, for the admin page and its JSON.

/// Gauges over all workers.
public struct ConnectionStats: Sendable {
    /// By listener role: edge, outbound, inbound.
    public var downstream: [UInt64] = [0, 0, 0]
    public var upstream: UInt64 = 0
    /// Of `upstream`: waiting in the pools.
    public var idle: UInt64 = 0
    public var tunnels: UInt64 = 0
    public var activeRequests: UInt64 = 0

    public init() {}

    public init(_ meters: [MeterMemory]) {
        func open(_ opened: Counter, _ closed: Counter) -> UInt64 {
            let member = CounterFamily.Member(counter: opened, minus: closed, labels: "")
            return MeterReading.value(member, .sum, meters)
        }
        downstream = (0..<3).map { open(.downstreamOpened(role: $0), .downstreamClosed(role: $0)) }
        upstream = open(.upstreamOpened, .upstreamClosed)
        tunnels = open(.tunnelsOpened, .tunnelsClosed)
        idle = meters.reduce(0) { $0 &+ $1.value(.poolIdle) }
        activeRequests = meters.reduce(0) { $0 &+ $1.value(.requestsActive) }
    }
}
