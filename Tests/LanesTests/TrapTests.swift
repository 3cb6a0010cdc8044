// The traps of the published pattern that a decision alone can show (lanes.md 1); the others are tested over
// real sockets.
import Base
import Testing

@testable import Lanes

@Suite struct TrapTests {
    @Test func trap1InjectionIsOnTheEgressRequest() throws {
        var built = laneModel(role: .outbound)
        built.proxy.memberOfLane = "auth-refactor"
        let sent = try Bench(built).send("/")
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
        #expect(sent.responseValues("x-feat-name") == [])
    }

    @Test func trap2AMatchedRouteAloneIs404ForTheRest() throws {
        let raw = try Bench(model([forward("lane", header("x-feat-name", .regex(".*(auth).*")))]))
        #expect(raw.send("/").decision.outcome == .noRoute)
        #expect(raw.send("/", [("x-feat-name", "auth")]).decision.outcome == .forward)
        let native = try Bench(laneModel(role: .outbound))
        #expect(native.send("/").endpoints == ["10.0.0.1:8080"])
    }

    @Test func trap3AnyNumberOfLanesOnAService() throws {
        var built = laneModel(role: .outbound)
        built.lanes = [lane("one"), lane("two")]
        built.clusters = [
            cluster("a", members: [(lane: 0, endpoints: [5]), (lane: 1, endpoints: [6])])
        ]
        let bench = try Bench(built)
        #expect(bench.send("/", [("x-feat-name", "one")]).endpoints == ["10.0.0.5:8080"])
        #expect(bench.send("/", [("x-feat-name", "two")]).endpoints == ["10.0.0.6:8080"])
    }

    @Test func trap5NativeNamesAreWholeAndRawOnesAreRE2s() throws {
        let native = try Bench(laneModel(role: .edge))
        #expect(native.send("/", [("x-feat-name", "auth-refactor-2")]).decision.reason == .laneUnknown)
        let cookie = native.send("/", [("cookie", "zx-feat-name=auth-refactor")])
        #expect(cookie.decision.lane.carrier == .none)
        let raw = try Bench(
            model([
                forward("lane", header("cookie", .regex(".*(x-feat-name=auth-refactor).*"))),
                forward("default"),
            ]))
        #expect(raw.send("/", [("cookie", "zx-feat-name=auth-refactor-2")]).routeName == "lane")
    }

    @Test func trap6TheEdgePins() throws {
        let sent = try Bench(laneModel(role: .edge)).send("/?x-feat-name=auth-refactor")
        #expect(sent.responseValues("set-cookie").count == 1)
    }

    @Test func trap7TheCookieAloneBecomesEveryCarrier() throws {
        let sent = try Bench(laneModel(role: .edge)).send("/", [("cookie", "x-feat-name=auth-refactor")])
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
        #expect(sent.values("baggage") == ["x-feat-name=auth-refactor"])
    }

    @Test func trap8SafeDefaults() throws {
        let sent = try Bench(laneModel(role: .edge)).send("/?x-feat-name=auth-refactor", isTLS: true)
        let pin = try #require(sent.responseValues("set-cookie").first)
        for attribute in ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Lax", "Secure"] {
            #expect(pin.contains("; \(attribute)"))
        }
        #expect(!pin.contains("Domain"))
    }

    @Test func trap9ValuesInsideOtherParametersAreNotOurs() throws {
        let bench = try Bench(laneModel(role: .edge))
        for query in ["?next=/p?x-feat-name=auth-refactor", "?next=%3Fx-feat-name=auth-refactor"] {
            #expect(bench.send("/\(query)").decision.lane.carrier == .none)
        }
    }

    @Test func trap10HostileNamesGoNowhere() throws {
        let sent = try Bench(laneModel(role: .edge)).send("/?x-feat-name=a%0d%0aSet-Cookie:%20evil=1")
        #expect(sent.headers.map(\.name) == ["host"])
        #expect(sent.response.map(\.value) == ["lane-invalid"])
    }

    @Test func trap11DifferentOutcomesHaveDifferentReasons() throws {
        let inLane = [("x-feat-name", "auth-refactor")]
        let empty = try Bench(laneModel(role: .outbound, members: [])).send("/", inLane)
        var gone = laneModel(role: .outbound)
        for index in gone.clusters[0].endpoints.indices { gone.clusters[0].endpoints[index].healthy = false }
        let unhealthy = try Bench(gone).send("/")
        let unknown = try Bench(laneModel(role: .outbound)).send("/", [("x-feat-name", "nobody")])
        let noTarget = try Bench(model([forward("x", to: nil)])).send("/")
        let reasons = [empty, unhealthy, unknown, noTarget].map(\.decision.reason)
        #expect(reasons == [.laneEmpty, .noHealthyUpstream, .laneUnknown, .noCluster])
    }

    @Test func trap12StableIsNeverALaneMember() throws {
        let bench = try Bench(laneModel(role: .outbound))
        for random in 0..<20 {
            #expect(bench.send("/", random: UInt64(random)).endpoints == ["10.0.0.1:8080"])
        }
        var onlyMembers = laneModel(role: .outbound)
        onlyMembers.clusters = [cluster("a", endpoints: [], members: [(lane: 0, endpoints: [9])])]
        #expect(try Bench(onlyMembers).send("/").decision.outcome == .noHealthyUpstream)
    }
}
