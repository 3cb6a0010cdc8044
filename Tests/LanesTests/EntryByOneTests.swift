// What the short lane stage of the usual requests decides, and what a connection's memory of its last request
// spares, are what the whole stage and every look-up come to.
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct EntryByOneTests {
    private static let names = [
        "auth-refactor", "other", "old", "unknown", "Bad", "", "a%62c", "auth%2Drefactor",
    ]

    private func model(_ random: inout SeededRandom) -> LanePolicyModel {
        policy {
            $0.accept.query = !random.chance(20)
            $0.accept.cookie = !random.chance(20)
            $0.propagate.header = !random.chance(20)
            $0.propagate.baggage = random.chance(50)
            $0.propagate.tracestate = random.chance(50)
            $0.stripQuery = random.chance(30)
            $0.unknownLane = random.pick([.stable, .forward, .reject])
            $0.onLoss = random.pick([.log, .fail])
            if random.chance(30) { $0.pin = nil }
            $0.knownByRoutes = [.exact("other")]
        }
    }

    private func bench(_ policy: LanePolicyModel) throws -> Bench {
        var built = laneModel(role: .edge)
        built.policy = policy
        built.lanes.append(lane("old") { $0.expiresAtSeconds = Bench.now })
        built.routeTables[0].virtualHosts = ["a.test", "b.test", "*.c.test"].map {
            VirtualHostModel(name: $0, domains: [$0], routes: [forward($0)])
        }
        return try Bench(built)
    }

    private func request(_ random: inout SeededRandom) -> (url: String, headers: [(String, String)]) {
        var headers = [
            ("host", random.pick(["a.test", "b.test", "x.c.test", "A.test", "b.test:80", "none.test"]))
        ]
        func cookie(_ random: inout SeededRandom) -> String {
            random.pick(["s=1; x-feat-name=", "x-feat-name=", "x-feat-name = ", "x-feat-name=\""])
                + random.pick(Self.names) + random.pick(["", "; t=2", " ; x-feat-name=other"])
        }
        if random.chance(60) { headers.append(("cookie", cookie(&random))) }
        if random.chance(10) { headers.append(("cookie", cookie(&random))) }
        if random.chance(10) { headers.append(("x-feat-name", random.pick(Self.names))) }
        let query = random.pick(["", "?", "?a=1", "?x-feat-name=", "?a=1&x-feat-name=", "?x%2Dfeat-name="])
        return ("/p" + query + (query.hasSuffix("=") ? random.pick(Self.names) : ""), headers)
    }

    private func told(_ sent: Sent) -> String {
        let decision = sent.decision
        let lane = decision.lane
        return """
            \(decision.outcome) \(decision.laneDecision) \(decision.reason) \(sent.endpoints)
            \(sent.routeName ?? "-")
            \(sent.lane) \(lane.known) \(lane.carrier) \(lane.expired) \(lane.left) \(lane.conflicts.rawValue)
            \(lane.invalidCarriers.rawValue) \(lane.metricsID) \(decision.response.lane.string)
            \(sent.query ?? "-") \(sent.headers) \(sent.response)
            """
    }

    @Test func theShortStageDecidesAsTheWhole() throws {
        var random = SeededRandom()
        var short = 0
        for _ in 0..<150 {
            let policy = model(&random)
            var whole = policy
            // A preview host that nobody asks for is all it takes for the whole stage to run.
            whole.previewHosts = [.init(prefix: "", suffix: ".never.test", host: "a.test")]
            let (one, other) = (try bench(policy), try bench(whole))
            for _ in 0..<40 {
                let (url, headers) = request(&random)
                let sent = one.send(url, headers)
                #expect(told(sent) == told(other.send(url, headers)), "\(url) \(headers) \(policy)")
                if sent.decision.lane.known { short += 1 }
            }
        }
        #expect(short > 500)
    }

    @Test func aMemoChangesNothing() throws {
        var random = SeededRandom()
        let memo = UnsafeMutablePointer<DecisionMemo>.allocate(capacity: 1)
        defer { memo.deallocate() }
        for _ in 0..<50 {
            let bench = try bench(model(&random))
            memo.initialize(to: DecisionMemo(serial: 1))
            var last = request(&random)
            for _ in 0..<60 {
                if random.chance(60) { last = request(&random) }
                let remembered = bench.send(last.url, last.headers, memo: memo)
                #expect(told(remembered) == told(bench.send(last.url, last.headers)), "\(last)")
            }
        }
    }
}
