// /lanes and /lanes/NAME: each lane with its members, where they are, and how many lane requests they were
// handed.
internal import Base
internal import Lanes
internal import Loop
internal import Telemetry

struct LanesJSON {
    private let model: RoutingModel
    private let requests: [Receipt: UInt64]
    private let nowSeconds: Int64

    private struct Receipt: Hashable {
        var lane: String
        var service: String
    }

    init(model: RoutingModel, receipts: [LaneReceipt]) {
        self.model = model
        requests = Dictionary(
            receipts.map { (Receipt(lane: $0.lane, service: $0.service), $0.requests) },
            uniquingKeysWith: &+)
        nowSeconds = Int64(Syscalls.realtimeNs() / 1_000_000_000)
    }

    func index(of name: String) -> Int? { model.lanes.firstIndex { $0.name == name } }

    func list(_ json: inout JSONWriter) {
        json.array("lanes") { list in
            for lane in model.lanes.indices { list.object { members(of: lane, &$0) } }
        }
    }

    /// The members of one lane's object.
    func members(of index: Int, _ json: inout JSONWriter) {
        let lane = model.lanes[index]
        let members = lane.services.map { ($0, endpoints(of: index, service: $0)) }
        json.member("name", lane.name)
        json.member("namespace", lane.namespace)
        json.member("state", state(lane, isEmpty: members.allSatisfy { $0.1.isEmpty }))
        json.member("expires", lane.expiresAtSeconds.map { expiry($0) })
        json.member("mode", "\(lane.mode)")
        json.member("whenEmpty", lane.failWhenEmpty ? "fail" : "stable")
        json.array("members") { list in
            for (service, endpoints) in members {
                list.object {
                    $0.member("service", service)
                    $0.member("endpoints", endpoints)
                    $0.member("requests", requests[Receipt(lane: lane.name, service: service)] ?? 0)
                }
            }
        }
        ModelJSON.source(lane.source, &json)
    }

    /// `expired` lanes are tombstones; `empty` ones have no endpoint anywhere.
    private func state(_ lane: LaneModel, isEmpty: Bool) -> String {
        if let expires = lane.expiresAtSeconds, expires <= nowSeconds { return "expired" }
        return isEmpty ? "empty" : "active"
    }

    private func expiry(_ seconds: Int64) -> String {
        let text = UTCTime(nanoseconds: UInt64(clamping: seconds) &* 1_000_000_000).text
        return "\(text.dropLast(5))Z"
    }

    /// Over all ports and subsets of the service, each address once.
    private func endpoints(of lane: Int, service: String) -> [String] {
        var seen: Set<String> = []
        var addresses: [String] = []
        for cluster in model.clusters where cluster.service == service {
            for member in cluster.laneMembers where member.lane == lane {
                for index in member.endpoints where cluster.endpoints.indices.contains(index) {
                    let text = cluster.endpoints[index].address.text
                    if seen.insert(text).inserted { addresses.append(text) }
                }
            }
        }
        return addresses
    }
}
