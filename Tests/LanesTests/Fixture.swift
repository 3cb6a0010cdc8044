// Small models and single requests for the tests of this module: a request goes in as text, and what would
// leave comes out as text.
import Base
import HTTP
import TestSupport

@testable import Lanes

/// What became of one request.
struct Sent {
    var decision: Decision
    var method: String
    var path: String
    var query: String?
    var authority: String
    /// Lines that go on, in order.
    var headers: [(name: String, value: String)]
    /// Lines of the response after the plan's edits.
    var response: [(name: String, value: String)]
    var location: String
    /// Read while the request's memory was there.
    var lane: String
    var endpoints: [String]
    var overflowed: Bool

    func values(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
    func value(_ name: String) -> String? { values(name).first }
    func responseValues(_ name: String) -> [String] { response.filter { $0.name == name }.map(\.value) }
    var cluster: String? { decision.cluster?.pointee.name.string }
    var routeName: String? { decision.route?.pointee.name.string }
}

/// A snapshot and the ways to ask it.
struct Bench {
    static let now: Int64 = 1_800_000_000
    let snapshot: Snapshot

    init(_ model: RoutingModel) throws {
        snapshot = try Snapshot(model: model, generation: 1, registry: Registry())
        // Tests read table memory through pointers of results that outlive the bench: it stays for good.
        _ = Unmanaged.passRetained(snapshot)
    }

    func listener(_ index: Int = 0) -> UnsafePointer<Listener> { snapshot.table.pointee.listeners[index] }

    func send(
        _ url: String, method: String = "GET", _ headers: [(String, String)] = [], listener: Int = 0,
        random: UInt64 = 0, isTLS: Bool = false, status: Int = 200,
        responseHeaders: [(String, String)] = [], format: FormatContext = FormatContext(),
        memo: UnsafeMutablePointer<DecisionMemo>? = nil
    ) -> Sent {
        var head = ExplainHead(method: method, url: url, headers: headers, normalization: .none)
        if !url.hasPrefix("http"), !headers.contains(where: { $0.0 == "host" }) {
            head.deallocate()
            head = ExplainHead(
                method: method, url: url, headers: headers + [("host", "a.test")], normalization: .none)
        }
        var request = head.request
        var list = head.headers
        var scratch = EditScratch()
        let response = ExplainHead(
            method: "GET", url: "/", headers: responseHeaders, normalization: .none)
        var answer = response.headers
        defer {
            head.deallocate()
            response.deallocate()
            scratch.deallocate()
        }
        answer.remove(.host)
        settleAuthority(&request, memo)
        let context = DecisionContext(random: random, nowSeconds: Self.now, isTLS: isTLS, memo: memo)
        var format = format
        var decision = Decision(self.listener(listener))
        decide(snapshot.table, self.listener(listener), &request, &list, context, into: &decision)
        var location = ""
        if decision.outcome == .redirect || decision.outcome == .httpsRedirect {
            location = redirectLocation(decision, request, context, &scratch).string
        } else {
            applyRequestEdits(&decision, &request, &list, &scratch, &format)
        }
        var sent = Sent(
            decision: decision, method: request.method.string, path: request.path.string,
            query: request.hasQuery ? request.query.string : nil, authority: request.authority.string,
            headers: lines(list), response: [], location: location, lane: decision.lane.name.string,
            endpoints: [], overflowed: scratch.overflowed || list.overflowed)
        if let cluster = decision.cluster {
            sent.endpoints = (0..<decision.endpoints.count).map {
                cluster.pointee.endpoints[Int(decision.endpoints[$0].pointee)].pointee.addressText.string
            }
        }
        withUnsafePointer(to: list) { lines in
            if decision.response.cors != .none {
                decision.addCORS(to: &format)
                let received = head.lines.firstIndex { $0.name == "origin" }
                if let received { format.origin = head.headers.fields[received].value }
                format.requestHeaders = lines
            }
            applyResponseEdits(&decision.response, status, &answer, &scratch, &format)
        }
        sent.response = lines(answer)
        return sent
    }

    /// As the worker has it: a plain authority that is remembered is the table's own.
    private func settleAuthority(_ request: inout Request, _ memo: UnsafeMutablePointer<DecisionMemo>?) {
        guard let memo else { return }
        let isPlain = request.authority.bytes.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2E }
        request.hasPlainAuthority = isPlain
        if isPlain, memo.pointee.authority.equals(request.authority) {
            request.authority = memo.pointee.authority
        }
    }

    private func lines(_ list: HeaderList) -> [(name: String, value: String)] {
        (0..<list.count).map { list.fields[$0] }.filter { !$0.dropped }
            .map { (name: $0.name.string, value: $0.value.string) }
    }
}

// MARK: models

func source(_ name: String = "ns/test") -> SourceRef {
    SourceRef(document: "VirtualService \(name)", file: "test.yaml", line: 1)
}

func address(_ last: UInt32, _ port: UInt16 = 8080) -> SocketAddress {
    SocketAddress(ipv4: 0x0A00_0000 | last, port: port)
}

func cluster(
    _ service: String, subset: String = "", port: UInt16 = 80, endpoints: [UInt32] = [1],
    members: [(lane: Int, endpoints: [UInt32])] = []
) -> ClusterModel {
    var model = ClusterModel(
        name: "outbound|\(port)|\(subset)|\(service)", service: service, serviceNamespace: "ns",
        subset: subset, port: port)
    let all = endpoints + members.flatMap(\.endpoints)
    model.endpoints = all.map { EndpointModel(address: address($0)) }
    model.stable = Array(endpoints.indices)
    model.laneMembers = members.map { member in
        (lane: member.lane, endpoints: member.endpoints.map { all.firstIndex(of: $0) ?? 0 })
    }
    return model
}

func forward(
    _ name: String, to cluster: Int? = 0, _ match: MatchModel = MatchModel(), weight: Int = 100
) -> RouteModel {
    var route = RouteModel(
        name: name, source: source(),
        action: .forward([
            TargetModel(cluster: cluster, clusterName: "cluster-\(cluster ?? -1)", weight: weight)
        ]))
    route.match = match
    return route
}

func header(_ name: String, _ match: StringMatch, inverted: Bool = false) -> MatchModel {
    var model = MatchModel()
    model.headers = [NamedMatch(name: name, match: match, inverted: inverted)]
    return model
}

func uri(_ match: StringMatch, ignoreCase: Bool = false, bySegment: Bool = false) -> MatchModel {
    var model = MatchModel()
    model.uri = match
    model.ignoreUriCase = ignoreCase
    model.uriPrefixBySegment = bySegment
    return model
}

func policy(_ change: (inout LanePolicyModel) -> Void = { _ in }) -> LanePolicyModel {
    var model = LanePolicyModel(source: source("ns/policy"))
    model.pin = PinModel()
    change(&model)
    return model
}

func lane(_ name: String, _ change: (inout LaneModel) -> Void = { _ in }) -> LaneModel {
    var model = LaneModel(name: name, namespace: "ns", source: source("ns/\(name)"))
    change(&model)
    return model
}

/// One listener whose one table has one virtual host for everything, with these routes over these clusters.
func model(
    _ routes: [RouteModel] = [forward("default")],
    clusters: [ClusterModel] = [cluster("a.ns.svc.cluster.local")],
    policy: LanePolicyModel? = nil, lanes: [LaneModel] = [], role: ListenerRole = .edge
) -> RoutingModel {
    var model = RoutingModel()
    var table = RouteTableModel(name: "80")
    table.virtualHosts = [VirtualHostModel(name: "all", domains: ["*"], routes: routes)]
    model.routeTables = [table]
    model.clusters = clusters
    model.policy = policy
    model.lanes = lanes
    model.proxy.isEdge = role == .edge
    model.listeners = [
        ListenerModel(
            name: "gateway/80", role: role, address: address(0, 80),
            tables: [PortTable(port: role == .outbound ? 80 : 0, routeTable: 0)], source: source())
    ]
    return model
}

/// A service with one stable endpoint and the members of lane 0.
func laneModel(
    role: ListenerRole = .edge, _ lane: LaneModel = lane("auth-refactor"), members: [UInt32] = [9],
    change: (inout LanePolicyModel) -> Void = { _ in }
) -> RoutingModel {
    model(
        clusters: [cluster("a.ns.svc.cluster.local", members: [(lane: 0, endpoints: members)])],
        policy: policy(change), lanes: [lane], role: role)
}

/// Calls `body` with the text as a view.
func view<Result>(_ text: String, _ body: (ByteView) -> Result) -> Result { text.withView(body) }
func view<Result>(_ bytes: [UInt8], _ body: (ByteView) -> Result) -> Result {
    bytes.withUnsafeBufferPointer { buffer in
        buffer.isEmpty ? body(.empty) : body(ByteView(buffer.baseAddress!, buffer.count))
    }
}
