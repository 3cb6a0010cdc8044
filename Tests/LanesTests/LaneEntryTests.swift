// Which lane a request is in, what the edge and sidecars do to its carriers, and the pin (lanes.md 2 to 4).
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct EdgeReadingTests {
    private func edge(_ change: (inout LanePolicyModel) -> Void = { _ in }) throws -> Bench {
        var built = laneModel(role: .edge, change: change)
        built.lanes.append(lane("other"))
        built.lanes.append(lane("old") { $0.expiresAtSeconds = Bench.now })
        return try Bench(built)
    }

    @Test func theQueryBecomesEveryCarrier() throws {
        let sent = try edge().send("/?a=1&x-feat-name=auth-refactor", [("host", "a.test")])
        #expect(sent.lane == "auth-refactor")
        #expect(sent.decision.lane.known)
        #expect(sent.decision.lane.carrier == .query)
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
        #expect(sent.values("baggage") == ["x-feat-name=auth-refactor"])
        #expect(sent.values("tracestate") == ["x-feat-name=auth-refactor"])
        #expect(sent.query == "a=1&x-feat-name=auth-refactor", "the query goes on byte for byte")
        #expect(sent.endpoints == ["10.0.0.9:8080"])
        #expect(sent.decision.laneDecision == .lane)
        #expect(sent.decision.reason == .none)
    }

    @Test func percentEscapesAreDecodedOnce() throws {
        let bench = try edge()
        #expect(bench.send("/?x-feat-name=auth%2Drefactor").lane == "auth-refactor")
        #expect(bench.send("/?x-feat-name=auth%252Drefactor").decision.lane.invalidCarriers.contains(.query))
    }

    @Test(arguments: [
        "%zz", "auth%", "auth%2", "a%00b", "a%0d%0aset-cookie:x", "Auth", "a%20b", "a_b", "a,b", "..%2f",
        "%ff",
        String(repeating: "a", count: 64), String(repeating: "%61", count: 500),
    ])
    func hostileQueryValuesAreNoLane(_ value: String) throws {
        let sent = try edge().send("/?x-feat-name=\(value)")
        #expect(sent.decision.lane.carrier == .none)
        #expect(sent.decision.lane.invalidCarriers.contains(.query))
        #expect(sent.decision.reason == .laneInvalid)
        #expect(sent.headers.map(\.name) == ["host"])
        #expect(sent.endpoints == ["10.0.0.1:8080"])
        #expect(sent.response.map(\.name) == ["x-fairlead-reason"], "never echoed")
    }

    @Test func carriersSpeakInTheirOrder() throws {
        let bench = try edge {
            $0.previewHosts = [.init(prefix: "", suffix: ".preview.test", host: "a.test")]
        }
        let all: [(Carrier, String, (String, String)?)] = [
            (.header, "/", ("x-feat-name", "other")), (.cookie, "/", ("cookie", "x-feat-name=other")),
            (.baggage, "/", ("baggage", "x-feat-name=other")),
            (.tracestate, "/", ("tracestate", "x-feat-name=other")),
        ]
        for (at, one) in all.enumerated() {
            let others = all[(at + 1)...].map { ($0.2!.0, $0.2!.1.replacing("other", with: "auth-refactor")) }
            let sent = bench.send(one.1, [one.2!] + others)
            #expect(sent.decision.lane.carrier == one.0)
            #expect(sent.lane == "other")
            #expect(sent.decision.lane.conflict == !others.isEmpty)
        }
        let host = bench.send("http://other.preview.test/", [("x-feat-name", "auth-refactor")])
        #expect(host.decision.lane.carrier == .previewHost)
        #expect(host.lane == "other")
        let query = bench.send("http://other.preview.test/?x-feat-name=auth-refactor")
        #expect(query.decision.lane.carrier == .query)
        #expect(query.decision.lane.conflicts.contains(.previewHost))
        #expect(query.lane == "auth-refactor")
    }

    @Test func agreeingCarriersAreNoConflict() throws {
        let sent = try edge().send(
            "/?x-feat-name=other",
            [("x-feat-name", "other"), ("cookie", "x-feat-name=\"other\""), ("baggage", "x-feat-name=other")])
        #expect(!sent.decision.lane.conflict)
        #expect(sent.values("cookie") == ["x-feat-name=\"other\""])
    }

    @Test func repeatedHeadersThatDifferAreAConflictAndTheFirstWins() throws {
        let bench = try edge()
        let sent = bench.send("/", [("x-feat-name", "other"), ("x-feat-name", "auth-refactor")])
        #expect(sent.lane == "other")
        #expect(sent.decision.lane.conflicts.contains(.header))
        #expect(sent.values("x-feat-name") == ["other"])
        let same = bench.send("/", [("x-feat-name", "other"), ("x-feat-name", "other")])
        #expect(!same.decision.lane.conflict)
        #expect(same.values("x-feat-name") == ["other"])
        #expect(bench.send("/", [("x_feat_name", "other")]).decision.lane.carrier == .none)
    }

    @Test func theHeaderIsTrimmedAndMayBeEmpty() throws {
        let bench = try edge()
        #expect(bench.send("/", [("X-Feat-Name", "  other \t")]).lane == "other")
        let empty = bench.send("/", [("x-feat-name", "")])
        #expect(empty.decision.lane.carrier == .none)
        #expect(empty.decision.reason == .none)
    }

    @Test func previewHostsLeadToTheirHost() throws {
        let bench = try edge { policy in
            policy.previewHosts = [
                .init(prefix: "", suffix: ".preview.test", host: "shop.test"),
                .init(prefix: "x-", suffix: ".test", host: "x.test"),
            ]
        }
        let sent = bench.send("http://OTHER.Preview.test:8080/")
        #expect(sent.lane == "other")
        #expect(sent.authority == "shop.test")
        #expect(sent.values("host") == ["shop.test"])
        #expect(sent.decision.response.pin == .write)
        #expect(bench.send("http://x-other.test/").authority == "x.test")
        #expect(bench.send("http://a.b.preview.test/").authority == "a.b.preview.test")
        #expect(bench.send("http://preview.test/").authority == "preview.test")
        #expect(bench.send("http://.preview.test/").authority == ".preview.test")
        let unknown = bench.send("http://nobody.preview.test/")
        #expect(unknown.authority == "shop.test")
        #expect(unknown.decision.reason == .laneUnknown)
    }

    @Test func theEdgeRemovesWhatItDoesNotAccept() throws {
        let bench = try edge {
            $0.accept = Carriers(query: false, header: false, cookie: false, baggage: false)
            $0.accept.tracestate = false
        }
        let sent = bench.send(
            "/?x-feat-name=other",
            [
                ("x-feat-name", "other"), ("cookie", "a=1; x-feat-name=other; b=2"),
                ("baggage", "k=v,x-feat-name=other"), ("tracestate", "x-feat-name=other,c=3"),
                ("x-fairlead-lane", "other"), ("x-fairlead-anything", "1"), ("x-fairlead-debug", "1"),
            ])
        #expect(sent.decision.lane.carrier == .none)
        #expect(sent.values("x-feat-name") == [])
        #expect(sent.values("cookie") == ["a=1; b=2"])
        #expect(sent.values("baggage") == ["k=v"])
        #expect(sent.values("tracestate") == ["c=3"])
        #expect(!sent.headers.contains { $0.name.hasPrefix("x-fairlead-") })
        #expect(sent.decision.debugRequested)
    }

    @Test func ourOwnHeadersGoAtTheEdgeEvenWithoutAPolicy() throws {
        let bench = try Bench(model())
        let sent = bench.send(
            "/", [("x-fairlead-reason", "x"), ("x-fairlead-zzz", "x"), ("x-feat-name", "a")])
        #expect(sent.headers.map(\.name) == ["host", "x-feat-name"])
        #expect(sent.decision.lane.carrier == .none)
    }

    @Test func leavingTakesEveryCarrierAway() throws {
        let sent = try edge().send(
            "/?x-feat-name=&b=1",
            [
                ("cookie", "x-feat-name=auth-refactor"), ("x-feat-name", "auth-refactor"),
                ("baggage", "x-feat-name=auth-refactor,k=v"),
            ])
        #expect(sent.decision.lane.left)
        #expect(sent.decision.laneDecision == .none)
        #expect(sent.decision.reason == .laneLeft)
        #expect(sent.headers.map(\.name) == ["host", "baggage"])
        #expect(sent.values("baggage") == ["k=v"])
        #expect(sent.query == "x-feat-name=&b=1")
        #expect(sent.responseValues("set-cookie").count == 1)
        #expect(sent.responseValues("set-cookie")[0].contains("Max-Age=0"))
        #expect(sent.responseValues("x-fairlead-reason") == ["lane-left"])
        #expect(sent.endpoints == ["10.0.0.1:8080"])
    }

    @Test func expiredLanesAreTombstones() throws {
        let sent = try edge().send("/", [("cookie", "x-feat-name=old; a=1"), ("baggage", "x-feat-name=old")])
        #expect(sent.decision.lane.expired)
        #expect(!sent.decision.lane.known)
        #expect(sent.decision.reason == .laneExpired)
        #expect(sent.decision.response.pin == .clear)
        #expect(sent.values("cookie") == ["a=1"])
        #expect(sent.values("baggage") == [])
        #expect(sent.endpoints == ["10.0.0.1:8080"])
    }

    @Test func unknownLanesByPolicy() throws {
        let headers = [("x-feat-name", "nobody"), ("cookie", "x-feat-name=nobody")]
        let forwarded = try edge().send("/", headers)
        #expect(forwarded.values("x-feat-name") == ["nobody"])
        #expect(forwarded.values("cookie") == ["x-feat-name=nobody"])
        #expect(forwarded.values("baggage") == [])
        #expect(forwarded.decision.reason == .laneUnknown)
        #expect(forwarded.decision.response.pin == .clear)
        #expect(forwarded.decision.outcome == .forward)
        let stable = try edge { $0.unknownLane = .stable }.send("/", headers)
        #expect(stable.values("x-feat-name") == [])
        #expect(stable.values("cookie") == [])
        #expect(stable.decision.outcome == .forward)
        let rejected = try edge { $0.unknownLane = .reject }.send("/", headers)
        #expect(rejected.decision.outcome == .laneRejected)
        #expect(rejected.decision.status == 404)
        #expect(rejected.responseValues("x-fairlead-reason") == ["lane-unknown"])
        #expect(rejected.responseValues("set-cookie").count == 1)
    }

    /// What a request does that surely loses its lane, by `onLoss`.
    @Test(
        arguments: [
            ([("x-feat-name", "old")], Reason.laneExpired), ([("cookie", "x-feat-name=old")], .laneExpired),
            ([("x-feat-name", "No Name")], .laneInvalid), ([("baggage", "x-feat-name=%zz")], .laneInvalid),
        ] as [([(String, String)], Reason)])
    func certainLossesFailWhereAskedTo(_ headers: [(String, String)], _ reason: Reason) throws {
        for onLoss in [OnLoss.log, .header] {
            let sent = try edge { $0.onLoss = onLoss }.send("/", headers)
            #expect(sent.decision.outcome == .forward && sent.decision.reason == reason)
        }
        let failed = try edge { $0.onLoss = .fail }.send("/", headers)
        #expect(failed.decision.outcome == .laneLost && failed.decision.status == 502)
        #expect(failed.responseValues("x-fairlead-reason") == [reason.name])
        #expect(failed.decision.route == nil && failed.endpoints == [])
    }

    @Test(
        arguments: [
            [], [("x-feat-name", "auth-refactor")], [("x-feat-name", "nobody")],
            [("x-feat-name", "auth-refactor"), ("cookie", "x-feat-name=other")],
            [("x-feat-name", "auth-refactor"), ("baggage", "x-feat-name=No Name")],
        ] as [[(String, String)]])
    func whatIsNotLostDoesNotFail(_ headers: [(String, String)]) throws {
        let sent = try edge { $0.onLoss = .fail }.send("/", headers)
        #expect(sent.decision.outcome == .forward)
        #expect(try edge { $0.onLoss = .fail }.send("/?x-feat-name=").decision.outcome == .forward)
    }

    @Test func aFullCarrierLosesTheLaneOnlyWhereItIsAlone() throws {
        let full = [
            ("x-feat-name", "auth-refactor"),
            ("baggage", (0..<64).map { "k\($0)=v" }.joined(separator: ",")),
        ]
        for onLoss in [OnLoss.log, .header, .fail] {
            let beside = try edge { $0.onLoss = onLoss }.send("/", full)
            #expect(beside.decision.lane.limit && beside.decision.outcome == .forward)
            #expect(beside.decision.reason == .none)
            let alone = try edge {
                $0.onLoss = onLoss
                $0.propagate.header = false
            }.send("/", full)
            #expect(alone.decision.lane.limit)
            #expect(alone.decision.outcome == (onLoss == .fail ? .laneLost : .forward))
            #expect(alone.decision.reason == (onLoss == .log ? .none : .laneLost))
        }
    }

    @Test func guardStripEntersNoLane() throws {
        let bench = try edge {
            $0.guardStrip = true
            $0.previewHosts = [.init(prefix: "", suffix: ".preview.test", host: "a.test")]
        }
        let sent = bench.send(
            "http://other.preview.test/?a=1&x-feat-name=other&x-feat-name=two&b",
            [
                ("cookie", "x-feat-name=other; s=1"), ("x-feat-name", "other"),
                ("baggage", "k=v,x-feat-name=other"), ("tracestate", "x-feat-name=other"),
            ])
        #expect(sent.query == "a=1&b")
        #expect(sent.values("cookie") == ["s=1"])
        #expect(sent.values("x-feat-name") == [])
        #expect(sent.values("baggage") == ["k=v"])
        #expect(sent.values("tracestate") == [])
        #expect(sent.authority == "a.test")
        #expect(sent.decision.lane.carrier == .none)
        #expect(sent.response.isEmpty)
        let all: [Carrier] = [.query, .previewHost, .header, .cookie, .baggage, .tracestate]
        for carrier in all { #expect(sent.decision.lane.strippedCarriers.contains(carrier)) }
        #expect(bench.send("/?a=1").decision.lane.strippedCarriers.isEmpty)
        #expect(bench.send("/?x-feat-name=other").query == nil)
    }

    @Test func stripQueryTakesOurParameterAlone() throws {
        let bench = try edge { $0.stripQuery = true }
        let sent = bench.send("/p?a=%20&x-feat-name=auth-refactor&b=2&x-feat-name=z")
        #expect(sent.query == "a=%20&b=2")
        #expect(sent.lane == "auth-refactor")
        #expect(bench.send("/p?x-feat-name=auth-refactor").query == nil)
        #expect(bench.send("/p?a=1").query == "a=1")
        #expect(bench.send("/p?").query == "")
    }

    @Test func aCookieOfAnotherLaneDoesNotGoOn() throws {
        let sent = try edge().send("/?x-feat-name=auth-refactor", [("cookie", "x-feat-name=other; a=1")])
        #expect(sent.values("cookie") == ["a=1"])
        #expect(sent.decision.lane.conflicts.contains(.cookie))
        #expect(sent.decision.response.pin == .write)
    }

    @Test func applicationCookiesGoOnByteForByte() throws {
        let cookie = "a=\"x; y\";  b = 2 ;x-feat-name=auth-refactor;;c"
        let sent = try edge().send("/", [("cookie", cookie), ("cookie", "d=1")])
        #expect(sent.values("cookie") == [cookie, "d=1"])
        #expect(sent.decision.lane.carrier == .cookie)
    }

    @Test func severalCookieLinesAreOneList() throws {
        let sent = try edge().send("/", [("cookie", "a=1"), ("cookie", "x-feat-name=auth-refactor")])
        #expect(sent.lane == "auth-refactor")
    }

    @Test func signedValuesOpenAnEdgeThatRequiresThem() throws {
        let secret = Array("secret".utf8)
        let bench = try edge {
            $0.signingSecret = secret
            $0.signingRequired = true
        }
        let signed = try #require(
            SignedLane.text("auth-refactor", expiresAtSeconds: Bench.now + 60, secret: secret))
        let sent = bench.send("/?x-feat-name=\(signed)")
        #expect(sent.lane == "auth-refactor")
        #expect(sent.values("x-feat-name") == ["auth-refactor"], "inside, the plain name travels")
        #expect(bench.send("/", [("cookie", "x-feat-name=\(signed)")]).decision.lane.known)
        let encoded = signed.replacing("~", with: "%7E")
        #expect(bench.send("/?x-feat-name=\(encoded)").decision.lane.known)

        let pin = try #require(sent.responseValues("set-cookie").first)
        let value = String(pin.dropFirst("x-feat-name=".count).prefix { $0 != ";" })
        let back = bench.send("/", [("cookie", "x-feat-name=\(value)")])
        #expect(back.decision.lane.known, "the pin is accepted the next time")
        let again = bench.send("/?x-feat-name=\(signed)", [("cookie", "x-feat-name=\(value)")])
        #expect(again.decision.response.pin == .none, "the same valid pin is not written again")

        for plain in [
            bench.send("/?x-feat-name=auth-refactor"), bench.send("/", [("x-feat-name", "auth-refactor")]),
            bench.send("/", [("cookie", "x-feat-name=auth-refactor")]),
            bench.send("/", [("baggage", "x-feat-name=auth-refactor")]),
        ] {
            #expect(plain.decision.lane.carrier == .none)
            #expect(plain.decision.reason == .laneRefused)
            #expect(plain.headers.map(\.name) == ["host"])
        }
    }

    @Test func randomHeadsNeverYieldAnythingButNames() throws {
        let bench = try edge { $0.unknownLane = .stable }
        var random = SeededRandom()
        for _ in 0..<3_000 {
            var headers: [(String, String)] = []
            for (name, text) in [
                ("cookie", "a=1; x-feat-name=other; b=2"), ("baggage", "k=v,x-feat-name=other;p=1"),
                ("tracestate", "x-feat-name=other,c=3"), ("x-feat-name", "other"),
            ] where random.chance(60) {
                let bytes = random.mutated(Array(text.utf8)).filter { $0 >= 0x20 && $0 != 0x7F }
                headers.append((name, String(decoding: bytes, as: UTF8.self)))
            }
            let query = random.mutated(Array("a=1&x-feat-name=auth%2Drefactor".utf8))
                .filter { $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }
            let sent = bench.send("/?\(String(decoding: query, as: UTF8.self))", headers)
            #expect(!sent.overflowed)
            for value in sent.values("x-feat-name") {
                #expect(["other", "auth-refactor"].contains(value), "\(value)")
            }
            for line in sent.response where line.name == "set-cookie" {
                let value = line.value.dropFirst("x-feat-name=".count).prefix { $0 != ";" }
                #expect(["", "other", "auth-refactor"].contains(String(value)))
            }
        }
    }
}

@Suite struct SidecarReadingTests {
    @Test func cookieAndQueryAreNotReadInside() throws {
        let bench = try Bench(laneModel(role: .outbound))
        let sent = bench.send("/?x-feat-name=auth-refactor", [("cookie", "x-feat-name=auth-refactor")])
        #expect(sent.decision.lane.carrier == .none)
        #expect(sent.values("cookie") == ["x-feat-name=auth-refactor"])
    }

    @Test func baggageRestoresTheHeader() throws {
        let bench = try Bench(laneModel(role: .outbound))
        let sent = bench.send("/", [("baggage", "k=v;p,x-feat-name=auth-refactor")])
        #expect(sent.decision.lane.carrier == .baggage)
        #expect(sent.decision.lane.restored)
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
        #expect(sent.values("baggage") == ["k=v;p,x-feat-name=auth-refactor"])
        #expect(sent.values("tracestate") == ["x-feat-name=auth-refactor"])
        let trace = bench.send("/", [("tracestate", "c=3,x-feat-name=auth-refactor")])
        #expect(trace.decision.lane.carrier == .tracestate)
        #expect(trace.decision.lane.restored)
        #expect(!bench.send("/", [("x-feat-name", "auth-refactor")]).decision.lane.restored)
    }

    @Test func anUnknownLaneIsCarriedOnUnchanged() throws {
        let bench = try Bench(laneModel(role: .outbound) { $0.unknownLane = .reject })
        let headers = [("x-feat-name", "elsewhere"), ("baggage", "x-feat-name=elsewhere,k=v")]
        let sent = bench.send("/", headers)
        #expect(sent.decision.outcome == .forward)
        #expect(sent.values("x-feat-name") == ["elsewhere"])
        #expect(sent.values("baggage") == ["x-feat-name=elsewhere,k=v"])
        #expect(sent.values("tracestate") == [])
        #expect(sent.decision.laneDecision == .none)
    }

    @Test func thePodsOwnLaneComesLast() throws {
        var built = laneModel(role: .outbound)
        built.proxy.memberOfLane = "auth-refactor"
        built.lanes.append(lane("other"))
        let bench = try Bench(built)
        let sent = bench.send("/")
        #expect(sent.decision.lane.carrier == .proxy)
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
        #expect(sent.endpoints == ["10.0.0.9:8080"])
        #expect(bench.send("/", [("x-feat-name", "other")]).lane == "other")
        built.listeners[0].role = .inbound
        #expect(try Bench(built).send("/").decision.lane.carrier == .none)
    }

    @Test func thePodsLaneIsInjectedEvenWhereNoDocumentNamesIt() throws {
        var built = model(policy: policy(), role: .outbound)
        built.proxy.memberOfLane = "mine"
        let sent = try Bench(built).send("/")
        #expect(sent.values("x-feat-name") == ["mine"])
        #expect(sent.decision.reason == .none)
    }

    @Test func staticInjectionIsOnTheRequestAndSeenByRoutes() throws {
        var built = model(
            [forward("lane", header("x-team", .exact("blue"))), forward("default")], role: .outbound)
        built.proxy.injected.set = [(name: "x-team", value: "blue")]
        built.proxy.injected.remove = ["x-secret"]
        let sent = try Bench(built).send("/", [("x-team", "red"), ("x-secret", "1")])
        #expect(sent.values("x-team") == ["blue"])
        #expect(sent.values("x-secret") == [])
        #expect(sent.routeName == "lane")
        built.listeners[0].role = .edge
        #expect(try Bench(built).send("/").values("x-team") == [])
    }

    @Test func formattedInjectionComesWithTheEdits() throws {
        var built = model(role: .outbound)
        built.proxy.injected.add = [(name: "x-client", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")]
        let sent = try "10.1.1.1:99".withView { remote in
            var format = FormatContext()
            format.downstreamRemote = remote
            return try Bench(built).send("/", format: format)
        }
        #expect(sent.values("x-client") == ["10.1.1.1"])
    }
}

@Suite struct CarrierWritingTests {
    private func sidecar(_ headers: [(String, String)]) throws -> Sent {
        try Bench(laneModel(role: .outbound)).send("/", [("x-feat-name", "auth-refactor")] + headers)
    }

    @Test func othersKeepTheirBytesAndOrder() throws {
        let sent = try sidecar([
            ("baggage", "a=%20;p=1 , x-feat-name=other;q=1,b=2"), ("baggage", "x-feat-name=more , c=3"),
            ("tracestate", "a=1,x-feat-name=other"), ("tracestate", "b=2"),
        ])
        #expect(sent.values("baggage") == ["a=%20;p=1 ,x-feat-name=auth-refactor,b=2", "c=3"])
        #expect(sent.values("tracestate") == ["x-feat-name=auth-refactor,a=1", "b=2"])
        #expect(sent.decision.lane.conflicts.contains(.baggage))
    }

    @Test func oursIsAddedToTheLastBaggageLine() throws {
        let sent = try sidecar([("baggage", "a=1"), ("baggage", "b=2")])
        #expect(sent.values("baggage") == ["a=1", "b=2,x-feat-name=auth-refactor"])
    }

    @Test func whatAlreadySaysItStaysUntouched() throws {
        let sent = try sidecar([
            ("baggage", "a=1,x-feat-name=auth-refactor;prop=1"),
            ("tracestate", "c=3,x-feat-name=auth-refactor"),
        ])
        #expect(sent.values("baggage") == ["a=1,x-feat-name=auth-refactor;prop=1"])
        #expect(sent.values("tracestate") == ["c=3,x-feat-name=auth-refactor"])
        #expect(sent.values("x-feat-name") == ["auth-refactor"])
    }

    @Test func oursIsLeftOutWhereTheCarrierIsFull() throws {
        let members = (0..<Limits.tracestateMembers).map { "v\($0)=1" }.joined(separator: ",")
        let sent = try sidecar([("tracestate", members)])
        #expect(sent.values("tracestate") == [members])
        #expect(sent.decision.lane.limit)
        let long = "k=" + String(repeating: "v", count: Limits.baggageBytes - 20)
        let full = try sidecar([("baggage", long)])
        #expect(full.values("baggage") == [long])
        #expect(full.decision.lane.limit)
        let room = "k=" + String(repeating: "v", count: Limits.baggageBytes - 100)
        #expect(try sidecar([("baggage", room)]).values("baggage") == [room + ",x-feat-name=auth-refactor"])
    }

    @Test func onlyTheCarriersOfThePolicyAreWritten() throws {
        let bench = try Bench(
            laneModel(role: .edge) {
                $0.propagate = Carriers(query: false, header: true, cookie: false, baggage: false)
                $0.propagate.tracestate = false
            })
        let sent = bench.send("/?x-feat-name=auth-refactor")
        #expect(sent.headers.map(\.name) == ["host", "x-feat-name"])
    }

    @Test func theKeyMayBeAHeaderThatFairleadKnows() throws {
        let bench = try Bench(laneModel(role: .outbound) { $0.key = "x-request-id" })
        let sent = bench.send("/", [("x-request-id", "auth-refactor")])
        #expect(sent.decision.lane.known)
        #expect(sent.values("x-request-id") == ["auth-refactor"])
    }
}
