// What a LanePolicy changes at the edge: carriers that are not accepted, unknown lanes, the guard of
// production, and signed names.
import TestSupport
import Testing

@Suite struct LanePolicyTests {
    // MARK: accept and unknownLane: stable

    @Test func carriersThatAreNotAcceptedEndAtTheEdge() throws {
        let edge = try PolicyEdge.closed.get()
        for line in ["x-feat-name: foo", "baggage: x-feat-name=foo", "tracestate: x-feat-name=foo"] {
            let answer = try edge.get("/", [line])
            #expect(answer.upstream == "stable" && answer.reason == nil, "\(line)")
            let name = String(line.prefix { $0 != ":" })
            #expect(try answer.seen(name) == [], "\(line)")
        }
        let shared = try edge.get("/", ["baggage: a=1,x-feat-name=foo,b=2"])
        #expect(try shared.seen("baggage") == ["a=1,b=2"])
    }

    @Test func onlyWhatPropagatesIsWritten() throws {
        let answer = try PolicyEdge.closed.get().get("/", ["Cookie: x-feat-name=foo"])
        #expect(answer.upstream == "foo")
        let seen = try answer.seen
        #expect(seen.values("x-feat-name") == ["foo"])
        #expect(seen.values("baggage") == [] && seen.values("tracestate") == [])
    }

    @Test func unknownLanesLoseTheirCarriers() throws {
        let answer = try PolicyEdge.closed.get().get(
            "/p?a=1&x-feat-name=nobody&b=2", ["Cookie: a=b; x-feat-name=nobody"])
        #expect(answer.upstream == "stable" && answer.reason == "lane-unknown", "\(answer)")
        let seen = try answer.seen
        #expect(seen.values("x-feat-name") == [])
        #expect(!seen.values("cookie").joined().contains("nobody"))
    }

    @Test(arguments: [
        ("/p?x-feat-name=foo", "/p"), ("/p?a=1&x-feat-name=foo", "/p?a=1"),
        ("/p?x-feat-name=foo&a=1", "/p?a=1"), ("/p?a=1&x-feat-name=foo&b=%20&c", "/p?a=1&b=%20&c"),
        ("/p?x-feat-name=foo&x-feat-name=foo&a=1", "/p?a=1"), ("/p?a=1&&b=2", "/p?a=1&&b=2"),
        ("/p?xx-feat-name=foo", "/p?xx-feat-name=foo"), ("/p?a=x-feat-name=foo", "/p?a=x-feat-name=foo"),
    ])
    func theParameterIsTakenOffTheURL(_ target: String, _ expected: String) throws {
        let answer = try PolicyEdge.closed.get().get(target)
        #expect(try answer.seen.target == expected)
    }

    // MARK: unknownLane: reject

    @Test func unknownLanesAreRefused() throws {
        let edge = try PolicyEdge.rejecting.get()
        for (target, line) in [
            ("/?x-feat-name=nobody", ""), ("/", "x-feat-name: nobody"), ("/", "Cookie: x-feat-name=nobody"),
        ] {
            let answer = try edge.get(target, line.isEmpty ? [] : [line])
            #expect(
                answer.status == 404 && answer.upstream == nil && answer.reason == "lane-unknown", "\(answer)"
            )
            #expect(!answer.response.text.contains("nobody"), "a name from outside is not echoed")
        }
        #expect(try edge.get("/", ["x-feat-name: foo"]).upstream == "foo")
        #expect(try edge.get("/").upstream == "stable")
        let expired = try edge.get("/", ["x-feat-name: over"])
        #expect(expired.upstream == "stable" && expired.reason == "lane-expired", "\(expired)")
        #expect(try edge.get("/", ["x-feat-name: No Name"]).upstream == "stable")
    }

    // MARK: onLoss

    @Test(arguments: [("over", "lane-expired"), ("No-Name", "lane-invalid")])
    func lostLanesAreErrors(_ lane: String, _ reason: String) throws {
        let edge = try PolicyEdge.failing.get()
        for (target, lines) in [
            ("/?x-feat-name=\(lane)", []), ("/", ["x-feat-name: \(lane)"]),
            ("/", ["Cookie: x-feat-name=\(lane)"]),
        ] {
            let answer = try edge.get(target, lines)
            #expect(answer.status == 502 && answer.upstream == nil && answer.reason == reason, "\(answer)")
            #expect(!answer.response.text.contains(lane), "a name from outside is not echoed")
        }
        let pinned = try edge.get("/", ["Cookie: x-feat-name=\(lane)"])
        #expect(pinned.cookies.first?.contains("Max-Age=0") == true, "the next request is free of it")
        try edge.site.waitForMetric(
            "fairlead_lane_lost_total", "reason=\"\(reason.dropFirst(5))\"", atLeast: 4)
        #expect(try edge.get("/").upstream == "stable")
        #expect(try edge.get("/", ["x-feat-name: foo"]).upstream == "foo")
        #expect(try edge.get("/", ["x-feat-name: nobody"]).upstream == "stable", "unknownLane decides")
        let explained = try edge.site.admin(
            "POST", "/explain",
            body: "{\"url\":\"http://app.test/\",\"headers\":{\"x-feat-name\":\"\(lane)\"}}")
        let json = try jsonObject(explained.text)
        #expect(json["status"] as? Int == 502 && json["reason"] as? String == reason, "\(explained)")
    }

    // MARK: guard

    @Test func theGuardRemovesEveryCarrier() throws {
        let edge = try PolicyEdge.guarded.get()
        let answer = try edge.get(
            "/p?a=1&x-feat-name=foo&b=2",
            [
                "x-feat-name: foo", "Cookie: a=b; x-feat-name=foo; c=d", "baggage: k=v,x-feat-name=foo",
                "tracestate: x-feat-name=foo,k=v",
            ])
        #expect(answer.upstream == "stable" && answer.cookies.isEmpty, "\(answer)")
        let seen = try answer.seen
        #expect(seen.target == "/p?a=1&b=2")
        #expect(seen.values("x-feat-name") == [])
        #expect(seen.values("baggage") == ["k=v"] && seen.values("tracestate") == ["k=v"])
        let cookie = seen.values("cookie").joined(separator: "; ")
        #expect(!cookie.contains("feat") && cookie.contains("a=b") && cookie.contains("c=d"))
        #expect(answer.response.value("vary") == nil && answer.response.value("cache-control") == nil)
        for carrier in ["query", "header", "cookie", "baggage", "tracestate"] {
            try edge.site.waitForMetric(
                "fairlead_guard_stripped_total", "carrier=\"\(carrier)\"", atLeast: 1)
        }
        #expect(try edge.site.metric("fairlead_lane_requests_total") == 0)
    }

    @Test func theGuardOnPreviewHosts() throws {
        let answer = try PolicyEdge.guarded.get().get("/", host: "foo.preview.test")
        #expect(answer.upstream == "stable" && answer.cookies.isEmpty)
        #expect(try answer.seen("x-feat-name") == [])
    }

    @Test func theGuardLeavesOthersAlone() throws {
        let target = "/a%20b?x=1&&y=%zz"
        let answer = try PolicyEdge.guarded.get().get(target, ["Cookie: a=1;b = 2 ;;", "baggage: a=1 , b=2"])
        let seen = try answer.seen
        #expect(seen.target == target)
        #expect(seen.values("cookie") == ["a=1;b = 2 ;;"] && seen.values("baggage") == ["a=1 , b=2"])
    }

    // MARK: signing

    private let farFuture: UInt64 = 4_000_000_000

    private func signed(_ name: String, _ expires: UInt64? = nil, secret: String = PolicyEdge.secret)
        -> String
    {
        signedLane(name, expires: expires ?? farFuture, secret: secret)
    }

    @Test func signedNamesEnter() throws {
        let edge = try PolicyEdge.signed.get()
        let byQuery = try edge.get("/?x-feat-name=\(signed("foo"))")
        #expect(byQuery.upstream == "foo", "\(byQuery)")
        #expect(try byQuery.seen("x-feat-name") == ["foo"], "inside, the plain name travels")
        #expect(try byQuery.seen("baggage") == ["x-feat-name=foo"])
        let byEncodedQuery = try edge.get("/?x-feat-name=\(signed("foo").replacing("~", with: "%7E"))")
        #expect(byEncodedQuery.upstream == "foo")
        #expect(try edge.get("/", ["Cookie: x-feat-name=\(signed("foo"))"]).upstream == "foo")
    }

    @Test func thePinIsSigned() throws {
        let edge = try PolicyEdge.signed.get()
        let cookie = try edge.get("/?x-feat-name=\(signed("foo"))").cookies.first ?? ""
        let value = cookie.prefix { $0 != ";" }.dropFirst("x-feat-name=".count)
        let parts = value.split(separator: "~")
        #expect(parts.count == 3 && parts[0] == "foo", "\(cookie)")
        #expect(signedLane("foo", expires: UInt64(parts[1]) ?? 0, secret: PolicyEdge.secret) == value)
        let again = try edge.get("/", ["Cookie: x-feat-name=\(value)"])
        #expect(again.upstream == "foo" && again.cookies.isEmpty)
    }

    @Test func unsignedAndForgedAreRefused() throws {
        let edge = try PolicyEdge.signed.get()
        let good = signed("foo")
        let forged = [
            "foo", signed("foo", 1_000_000_000), signed("foo", secret: "another"),
            String(good.dropLast()) + (good.last == "A" ? "B" : "A"), String(good.dropLast()), good + "A",
            good.replacing("foo~", with: "bar~"), "foo~~", "foo~\(farFuture)", "foo~\(farFuture)~",
            "foo~-1~AAAAAAAAAAAAAAAAAAAAAA", "foo~99999999999999999999~AAAAAAAAAAAAAAAAAAAAAA",
        ]
        for value in forged {
            for (target, lines) in [("/?x-feat-name=\(value)", []), ("/", ["Cookie: x-feat-name=\(value)"])] {
                let answer = try edge.get(target, lines)
                #expect(answer.upstream == "stable" && answer.reason == "lane-refused", "\(value): \(answer)")
                #expect(try answer.seen("x-feat-name") == [])
                let pins = answer.cookies.filter { !$0.contains("Max-Age=0") }
                #expect(pins.isEmpty, "\(value)")
            }
        }
    }

    @Test func signaturesAreCheckedWhereTheyAreNotRequired() throws {
        let edge = try PolicyEdge.signable.get()
        #expect(try edge.get("/?x-feat-name=\(signed("foo"))").upstream == "foo")
        let plain = try edge.get("/?x-feat-name=foo")
        #expect(plain.upstream == "foo" && plain.cookies.first?.hasPrefix("x-feat-name=foo") == true)
        let forged = try edge.get("/?x-feat-name=\(signed("foo", secret: "another"))")
        #expect(forged.upstream == "stable" && forged.reason == "lane-refused")
    }
}
