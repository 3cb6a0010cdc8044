// Numbers that stay the same across reloads, so that pools and counters survive a new configuration:
// endpoints by address and encryption, metric labels by content, lanes by name. Control plane only.
public import Base
internal import Synchronization

/// What makes two endpoints the same: connections to one may serve requests to the other.
struct EndpointKey: Sendable, Hashable {
    var address: SocketAddress
    /// 0: plain text; else which TLS settings.
    var transport: UInt64
    /// Of a logical endpoint, whose connections stay when its address changes (`firstAddress`).
    var name = ""
}

public final class Registry: Sendable {
    /// An endpoint's number. Numbers come back into use when no live snapshot knows their endpoint; the
    /// generation then differs, which tells a worker that its pool is of another address.
    public struct EndpointID: Sendable, Equatable {
        public var id: UInt32
        public var generation: UInt32
    }

    private struct EndpointEntry {
        var key: EndpointKey
        var generation: UInt32
        /// Live snapshots that know it.
        var holders: Int
    }

    private struct State {
        var endpoints: [EndpointEntry] = []
        var endpointByKey: [EndpointKey: UInt32] = [:]
        var free: [UInt32] = []
        /// Number 0 stands for what was not counted apart.
        var labels: [DestinationLabels] = [DestinationLabels()]
        var labelIDs: [DestinationLabels: UInt32] = [:]
        var lanes: [String] = [""]
        var laneIDs: [String: UInt32] = ["": 0]
        var serverNames: [String: UInt32] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    /// Takes a hold on each endpoint and numbers it. Each once per snapshot.
    func acquire(_ keys: [EndpointKey]) -> [EndpointID] {
        state.withLock { state in
            keys.map { key in
                if let id = state.endpointByKey[key] {
                    state.endpoints[Int(id)].holders += 1
                    return EndpointID(id: id, generation: state.endpoints[Int(id)].generation)
                }
                if let id = state.free.popLast() {
                    let generation = state.endpoints[Int(id)].generation &+ 1
                    state.endpoints[Int(id)] = EndpointEntry(
                        key: key, generation: generation, holders: 1)
                    state.endpointByKey[key] = id
                    return EndpointID(id: id, generation: generation)
                }
                let id = UInt32(state.endpoints.count)
                state.endpoints.append(EndpointEntry(key: key, generation: 0, holders: 1))
                state.endpointByKey[key] = id
                return EndpointID(id: id, generation: 0)
            }
        }
    }

    func release(_ keys: [EndpointKey]) {
        state.withLock { state in
            for key in keys {
                guard let id = state.endpointByKey[key] else { continue }
                state.endpoints[Int(id)].holders -= 1
                if state.endpoints[Int(id)].holders == 0 {
                    state.endpointByKey[key] = nil
                    state.free.append(id)
                }
            }
        }
    }

    /// Numbers that endpoints can have are below this; it never falls.
    public var endpointCapacity: Int { state.withLock { $0.endpoints.count } }

    /// The number of a label set: 0, all unknown, where there are more than `Limits.metricLabels`.
    public func labelsID(_ labels: DestinationLabels) -> UInt32 {
        state.withLock { state in
            if let id = state.labelIDs[labels] { return id }
            guard state.labels.count < Limits.metricLabels else { return 0 }
            let id = UInt32(state.labels.count)
            state.labels.append(labels)
            state.labelIDs[labels] = id
            return id
        }
    }

    /// The number of labels whose service is a TLS server name that no document knows; 0 where there are more
    /// than `Limits.metricServerNames`.
    public func serverNameID(_ name: String) -> UInt32 {
        let known = state.withLock { state -> UInt32? in
            if let id = state.serverNames[name] { return id }
            return state.serverNames.count < Limits.metricServerNames ? nil : 0
        }
        if let known { return known }
        var labels = DestinationLabels()
        labels.service = name
        labels.serviceName = "PassthroughCluster"
        let id = labelsID(labels)
        state.withLock { $0.serverNames[name] = id }
        return id
    }

    public func labels(_ id: UInt32) -> DestinationLabels {
        state.withLock { Int(id) < $0.labels.count ? $0.labels[Int(id)] : DestinationLabels() }
    }

    public var labelsCount: Int { state.withLock { $0.labels.count } }

    /// The number of a lane's name: 0, no name, where there are more than `Limits.metricLanes`.
    public func laneID(_ name: String) -> UInt32 {
        state.withLock { state in
            if let id = state.laneIDs[name] { return id }
            guard state.lanes.count < Limits.metricLanes else { return 0 }
            let id = UInt32(state.lanes.count)
            state.lanes.append(name)
            state.laneIDs[name] = id
            return id
        }
    }

    public func laneName(_ id: UInt32) -> String {
        state.withLock { Int(id) < $0.lanes.count ? $0.lanes[Int(id)] : "" }
    }

    public var laneCount: Int { state.withLock { $0.lanes.count } }
}
