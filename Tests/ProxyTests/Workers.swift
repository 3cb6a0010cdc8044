// Workers of this process on loopback: what the storms and leak checks drive.
import Base
import Config
import Lanes
import Proxy
import Telemetry
import TestSupport

final class Workers: Sendable {
    let fleet: Fleet
    let port: UInt16
    private let portProtocol: String
    private let registry = Lanes.Registry()

    /// One edge listener, every request to the endpoints at `upstreams`.
    /// `protocol`: of the upstream's port.
    init(
        to upstreams: [UInt16], workers: Int = 1, spec: [String] = [], protocol: String = "HTTP"
    ) throws {
        portProtocol = `protocol`
        guard let fleet = Fleet(workers: workers, accessLog: nil, pin: false) else {
            throw TestFailure("no workers")
        }
        self.fleet = fleet
        port = try freeLoopbackPort()
        try apply(to: upstreams, spec: spec, generation: 1)
    }

    func apply(to upstreams: [UInt16], spec: [String] = [], generation: UInt64) throws {
        let folder = try TemporaryDirectory()
        try folder.write("edge.yaml", edgeDocuments(to: upstreams, protocol: portProtocol, spec: spec))
        let loaded = Config.load(paths: [folder.path], options: LoadOptions(proxy: nil, purpose: .run))
        guard var model = loaded.model else { throw TestFailure("\(loaded.findings)") }
        for index in model.listeners.indices { model.listeners[index].address.port = port }
        try fleet.apply(Snapshot(model: model, generation: generation, registry: registry))
    }

    /// Over all workers.
    func value(_ counter: Counter) -> Int { fleet.memories.reduce(0) { $0 + Int($1.value(counter)) } }

    func open(_ opened: Counter, _ closed: Counter) -> Int { value(opened) - value(closed) }

    /// Waits until nothing is left of whatever was done: no request, no client, no tunnel, no buffer;
    /// upstream connections only those that wait in the pool, and so many of HTTP/2.
    func waitUntilQuiet(pooledSessions: Int = 0) throws {
        func wait(_ what: String, _ left: () -> Int) throws {
            do { try waitUntil(what) { left() == 0 } } catch { throw TestFailure("\(what): \(left()) left") }
        }
        try wait("requests") { value(.requestsActive) }
        try wait("clients") { open(.downstreamOpenedEdge, .downstreamClosedEdge) }
        try wait("tunnels") { open(.tunnelsOpened, .tunnelsClosed) }
        try wait("buffers") { value(.memoryBufferUsedBytes) }
        try wait("upstreams") { open(.upstreamOpened, .upstreamClosed) - value(.poolIdle) - pooledSessions }
    }

    /// Drains and waits for every thread.
    func stop() throws {
        fleet.drain(milliseconds: 2_000)
        try waitUntil("the workers to end") { fleet.isFinished }
        fleet.join()
    }
}
