// Where a request goes: virtual host, route, weights, endpoints, and what happens when there are none
// (istio-semantics.md 3 to 5, lanes.md 5).
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct VirtualHostTests {
    private func bench(_ domains: [[String]]) throws -> Bench {
        var built = model()
        built.routeTables[0].virtualHosts = domains.map {
            VirtualHostModel(name: $0[0], domains: $0, routes: [forward("default")])
        }
        return try Bench(built)
    }

    private func host(_ bench: Bench, _ authority: String) -> String? {
        bench.send("/", [("host", authority)]).decision.virtualHost?.pointee.name.string
    }

    @Test func exactThenLongestSuffixThenPrefixThenAny() throws {
        let bench = try bench([
            ["*"], ["a.foo.com", "b.foo.com"], ["*.foo.com"], ["*.a.foo.com"], ["*-bar.foo.com"], ["foo.*"],
            ["foo.bar.*"],
        ])
        #expect(host(bench, "a.foo.com") == "a.foo.com")
        #expect(host(bench, "b.foo.com") == "a.foo.com")
        #expect(host(bench, "x.foo.com") == "*.foo.com")
        #expect(host(bench, "x.y.foo.com") == "*.foo.com")
        #expect(host(bench, "x.a.foo.com") == "*.a.foo.com")
        #expect(host(bench, "x-bar.foo.com") == "*-bar.foo.com")
        #expect(host(bench, "foo.org") == "foo.*")
        #expect(host(bench, "foo.bar.org") == "foo.bar.*")
        #expect(host(bench, "other") == "*")
        #expect(host(bench, "") == "*")
        #expect(host(bench, "foo.com") == "foo.*")
        #expect(host(bench, ".foo.com") == "*", "the star stands for something")
    }

    @Test(arguments: [
        "A.FOO.com", "a.foo.com:80", "A.foo.Com:65535", "a.foo.com:", "a.foo.com:junk", "a_b.foo.com",
    ])
    func portAndCasePlayNoPart(_ authority: String) throws {
        let bench = try bench([["a.foo.com", "a_b.foo.com"]])
        #expect(host(bench, authority) == "a.foo.com")
    }

    @Test func addressLiterals() throws {
        let bench = try bench([["[::1]"], ["10.0.0.1"]])
        #expect(host(bench, "[::1]") == "[::1]")
        #expect(host(bench, "[::1]:8080") == "[::1]")
        #expect(host(bench, "10.0.0.1:1") == "10.0.0.1")
    }

    @Test func hostsLongerThanAnyNameAreNobodys() throws {
        let bench = try bench([["*"]])
        let sent = bench.send("/", [("host", String(repeating: "a", count: 300))])
        #expect(sent.decision.outcome == .noRoute)
    }

    @Test func nothingMatchesIs404() throws {
        let sent = try bench([["a.foo.com"]]).send("/", [("host", "b.foo.com")])
        #expect(sent.decision.outcome == .noRoute)
        #expect(sent.decision.status == 404)
        #expect(sent.decision.reason == .noRoute)
    }

    @Test func randomHostsAgreeWithAReference() throws {
        var random = SeededRandom()
        let labels = ["a", "b", "foo", "x-bar"]
        for _ in 0..<60 {
            var domains: Set<String> = []
            for _ in 0..<8 {
                let name = (0..<random.int(1...3)).map { _ in random.pick(labels) }.joined(separator: ".")
                domains.insert(random.pick(["", "*.", "*-", "*"]) + name)
                if random.chance(30) { domains.insert(name + ".*") }
                if random.chance(20) { domains.insert("*") }
            }
            let all = domains.sorted()
            let bench = try bench(all.map { [$0] })
            for _ in 0..<30 {
                let name = (0..<random.int(1...4)).map { _ in random.pick(labels) }.joined(separator: ".")
                #expect(host(bench, name) == reference(all, name), "\(name) of \(all)")
            }
        }
    }

    private func reference(_ domains: [String], _ host: String) -> String? {
        if domains.contains(host) { return host }
        let suffixes = domains.filter { $0.hasPrefix("*") && $0 != "*" }.filter {
            host.hasSuffix($0.dropFirst()) && host.utf8.count > $0.utf8.count - 1
        }
        if let best = suffixes.max(by: { $0.count < $1.count }) { return best }
        let prefixes = domains.filter { $0.hasSuffix("*") && $0 != "*" && !$0.hasPrefix("*") }.filter {
            host.hasPrefix($0.dropLast()) && host.utf8.count > $0.utf8.count - 1
        }
        if let best = prefixes.max(by: { $0.count < $1.count }) { return best }
        return domains.contains("*") ? "*" : nil
    }
}

@Suite struct OutboundTests {
    private func bench(allowAny: Bool = true) throws -> Bench {
        var built = model(role: .outbound)
        func table(_ name: String, _ domains: [String]) -> RouteTableModel {
            var table = RouteTableModel(name: name)
            table.virtualHosts = domains.map {
                VirtualHostModel(name: "\(name)/\($0)", domains: [$0], routes: [forward("default")])
            }
            return table
        }
        built.routeTables = [
            table("80", ["both", "web", "*.wild"]), table("8080", ["both", "only", "twice", "a.wild"]),
            table("9090", ["twice"]),
        ]
        built.listeners[0].tables = [
            PortTable(port: 9090, routeTable: 2), PortTable(port: 80, routeTable: 0),
            PortTable(port: 8080, routeTable: 1),
        ]
        built.proxy.allowAnyOutbound = allowAny
        return try Bench(built)
    }

    @Test(arguments: [
        ("both", "80/both"), ("both:8080", "8080/both"), ("web", "80/web"), ("only", "8080/only"),
        ("ONLY", "8080/only"), ("only:8080", "8080/only"), ("b.wild", "80/*.wild"), ("a.wild", "8080/a.wild"),
        ("twice:9090", "9090/twice"),
    ])
    func thePortChoosesTheTable(_ host: String, _ expected: String) throws {
        let sent = try bench().send("/", [("host", host)])
        #expect(sent.decision.virtualHost?.pointee.name.string == expected)
    }

    @Test(arguments: ["twice", "web:8080", "only:80", "only:1", "other", "only:99999", "only:x"])
    func nobodysHostsPassOrAreBlocked(_ host: String) throws {
        let passed = try bench().send("/", [("host", host)])
        #expect(passed.decision.outcome == .passthrough)
        #expect(passed.decision.reason == .none)
        let blocked = try bench(allowAny: false).send("/", [("host", host)])
        #expect(blocked.decision.outcome == .blocked)
        #expect(blocked.decision.status == 502)
    }

    @Test func connectNeedsARouteForEverything() throws {
        var built = model([forward("root", uri(.prefix("/"))), forward("other")], role: .outbound)
        built.listeners[0].tables = [PortTable(port: 443, routeTable: 0)]
        func connect(_ built: RoutingModel) throws -> Sent {
            try Bench(built).send("/", method: "CONNECT", [("host", "a.test:443")])
        }
        #expect(try connect(built).routeName == "root")
        built.routeTables[0].virtualHosts[0].routes = [forward("deep", uri(.prefix("/api")))]
        #expect(try connect(built).decision.outcome == .noRoute)
    }
}

@Suite struct TargetTests {
    private func weighted(_ weights: [Int]) throws -> Bench {
        var built = model(clusters: weights.indices.map { cluster("s\($0)", endpoints: [UInt32($0 + 1)]) })
        var route = forward("split")
        route.action = .forward(
            weights.enumerated().map { TargetModel(cluster: $0, clusterName: "s\($0)", weight: $1) })
        built.routeTables[0].virtualHosts[0].routes = [route]
        return try Bench(built)
    }

    @Test func weightsAreDrawnInListOrder() throws {
        let bench = try weighted([1, 3, 6])
        let drawn = (0..<20).map {
            bench.send("/", random: UInt64($0)).decision.target?.pointee.clusterName.string
        }
        let once = ["s0"] + [String](repeating: "s1", count: 3) + [String](repeating: "s2", count: 6)
        #expect(drawn == once + once)
        #expect(bench.send("/", random: UInt64.max).decision.cluster != nil)
    }

    @Test func aSingleDestinationIgnoresItsWeight() throws {
        // The answer's pointers lead into the bench's table, so the bench must outlive their reading.
        let bench = try weighted([0])
        let cluster = bench.send("/", random: 7).cluster
        withExtendedLifetime(bench) { #expect(cluster == "outbound|80||s0") }
    }

    @Test func anUnknownTargetIs503() throws {
        let sent = try Bench(model([forward("x", to: nil)])).send("/")
        #expect(sent.decision.outcome == .noCluster)
        #expect(sent.decision.status == 503)
        #expect(sent.responseValues("x-fairlead-reason") == ["no-cluster"])
    }

    @Test func noHealthyEndpointIs503() throws {
        var built = model()
        built.clusters[0].endpoints[0].healthy = false
        let sent = try Bench(built).send("/")
        #expect(sent.decision.outcome == .noHealthyUpstream)
        #expect(sent.decision.reason == .noHealthyUpstream)
        #expect(sent.decision.endpoints.isEmpty)
    }

    @Test func aMissingClusterIsNoCrash() {
        #expect(throws: TableError.reference("cluster 7")) { try Bench(model([forward("x", to: 7)])) }
    }
}

@Suite struct LaneEndpointTests {
    private let inLane = [("x-feat-name", "auth-refactor")]

    private func bench(
        members: [UInt32] = [9], _ change: (inout LaneModel) -> Void = { _ in }
    ) throws -> Bench {
        try Bench(laneModel(role: .outbound, lane("auth-refactor", change), members: members))
    }

    @Test func membersServeTheLaneAndStableServesTheRest() throws {
        let bench = try bench()
        let inside = bench.send("/", inLane)
        #expect(inside.endpoints == ["10.0.0.9:8080"])
        #expect(inside.decision.laneDecision == .lane)
        let outside = bench.send("/")
        #expect(outside.endpoints == ["10.0.0.1:8080"])
        #expect(outside.decision.laneDecision == .none)
    }

    @Test func aServiceTheLaneDoesNotListIsStableWithoutAReason() throws {
        var built = laneModel(role: .outbound)
        built.clusters[0].laneMembers = []
        let sent = try Bench(built).send("/", inLane)
        #expect(sent.endpoints == ["10.0.0.1:8080"])
        #expect(sent.decision.laneDecision == .stable)
        #expect(sent.decision.reason == .none)
    }

    @Test func anEmptyLaneFallsBackWithItsReason() throws {
        let sent = try bench(members: []).send("/", inLane)
        #expect(sent.endpoints == ["10.0.0.1:8080"])
        #expect(sent.decision.laneDecision == .stable)
        #expect(sent.decision.reason == .laneEmpty)
        #expect(sent.responseValues("x-fairlead-reason") == ["lane-empty"])
    }

    @Test func anEmptyLaneThatMustFailFails() throws {
        for change in [
            { (lane: inout LaneModel) in lane.failWhenEmpty = true },
            { (lane: inout LaneModel) in lane.mode = .strict },
        ] {
            let sent = try bench(members: [], change).send("/", inLane)
            #expect(sent.decision.outcome == .laneEmpty)
            #expect(sent.decision.status == 503)
            #expect(sent.decision.reason == .laneEmpty)
            #expect(sent.endpoints == [])
        }
    }

    @Test func unhealthyMembersAreAnEmptyLane() throws {
        var built = laneModel(role: .outbound)
        built.clusters[0].endpoints[1].healthy = false
        let sent = try Bench(built).send("/", inLane)
        #expect(sent.decision.reason == .laneEmpty)
        #expect(sent.endpoints == ["10.0.0.1:8080"])
    }

    @Test func observeDecidesButTakesStable() throws {
        let sent = try bench { $0.mode = .observe }.send("/", inLane)
        #expect(sent.endpoints == ["10.0.0.1:8080"])
        #expect(sent.decision.observed)
        #expect(sent.decision.laneDecision == .stable)
        #expect(sent.decision.reason == .none)
    }

    @Test func looseLanesMayFallBackWhenUnreachable() throws {
        func fallback(_ change: @escaping (inout LaneModel) -> Void) throws -> Int {
            try bench(members: [9], change).send("/", inLane).decision.fallbackEndpoints.count
        }
        #expect(try fallback { _ in } == 1)
        #expect(try fallback { $0.mode = .strict } == 0)
        #expect(try fallback { $0.failWhenEmpty = true } == 0)
        #expect(try bench().send("/").decision.fallbackEndpoints.isEmpty)
    }

    @Test func manyLanesFindTheirMembers() throws {
        var built = laneModel(role: .outbound)
        built.lanes = (0..<1_000).map { lane("lane-\($0)") }
        built.clusters = [
            cluster(
                "a.ns.svc.cluster.local",
                members: (0..<1_000).map { (lane: $0, endpoints: [UInt32(1_000 + $0)]) })
        ]
        let bench = try Bench(built)
        for number in [0, 1, 17, 500, 999] {
            let sent = bench.send("/", [("x-feat-name", "lane-\(number)")])
            let last = 1_000 + number
            #expect(sent.endpoints == ["10.0.\(last / 256).\(last % 256):8080"])
        }
        #expect(bench.send("/", [("x-feat-name", "lane-1000")]).decision.reason == .laneUnknown)
    }

    @Test func rawRoutesOnTheKeyAreTheLane() throws {
        var built = model(
            [
                forward("lane", to: 1, header("x-feat-name", .regex(".*(auth-refactor).*"))),
                forward("cookie", to: 1, header("cookie", .regex(".*(x-feat-name=auth-refactor).*"))),
                forward("default"),
            ], clusters: [cluster("auth", subset: "stable"), cluster("auth", subset: "v", endpoints: [7])],
            policy: policy())
        built.policy?.knownByRoutes = [.regex(".*(auth-refactor).*"), .exact("auth-refactor")]
        let bench = try Bench(built)
        let sent = bench.send("/?x-feat-name=auth-refactor")
        #expect(sent.routeName == "lane", "the edge's header is what the route sees")
        #expect(sent.decision.laneDecision == .lane)
        #expect(sent.decision.lane.known)
        #expect(sent.decision.response.pin == .write)
        let cookie = bench.send("/", [("cookie", "x-feat-name=auth-refactor")])
        #expect(cookie.routeName == "lane")
        #expect(cookie.decision.laneDecision == .lane)
        #expect(bench.send("/").decision.laneDecision == .none)
        #expect(bench.send("/").endpoints == ["10.0.0.1:8080"])
    }
}
