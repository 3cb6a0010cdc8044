// The cookie that keeps a browser in its lane, caches and CORS (lanes.md 4).
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct PinTests {
    private func edge(_ change: (inout LanePolicyModel) -> Void = { _ in }) throws -> Bench {
        try Bench(laneModel(role: .edge, change: change))
    }

    @Test func writtenOnceWithSafeAttributes() throws {
        let bench = try edge()
        let first = bench.send("/?x-feat-name=auth-refactor", responseHeaders: [("set-cookie", "app=1")])
        #expect(
            first.responseValues("set-cookie") == [
                "app=1", "x-feat-name=auth-refactor; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax",
            ])
        let second = bench.send("/?x-feat-name=auth-refactor", [("cookie", "x-feat-name=auth-refactor")])
        #expect(second.responseValues("set-cookie") == [])
        let byCookie = bench.send("/", [("cookie", "x-feat-name=auth-refactor")])
        #expect(byCookie.responseValues("set-cookie") == [])
        #expect(bench.send("/", [("x-feat-name", "auth-refactor")]).responseValues("set-cookie") == [])
        let wrong = bench.send("/?x-feat-name=auth-refactor", [("cookie", "x-feat-name=else")])
        #expect(wrong.responseValues("set-cookie").count == 1)
    }

    @Test func secureByTLSOrAlwaysOrNever() throws {
        func pin(_ secure: SecureAttribute, isTLS: Bool) throws -> String {
            try edge { $0.pin?.secure = secure }
                .send("/?x-feat-name=auth-refactor", isTLS: isTLS).responseValues("set-cookie")[0]
        }
        #expect(try pin(.auto, isTLS: true).hasSuffix("; Secure"))
        #expect(try !pin(.auto, isTLS: false).contains("Secure"))
        #expect(try pin(.always, isTLS: false).contains("Secure"))
        #expect(try !pin(.never, isTLS: true).contains("Secure"))
    }

    @Test func aDomainLosesItsLeadingDotAndComesBackInTheRemoval() throws {
        let bench = try edge {
            $0.pin?.domain = ".shop.test"
            $0.pin?.path = "/app"
        }
        let written = bench.send("/?x-feat-name=auth-refactor").responseValues("set-cookie")[0]
        #expect(written.contains("; Path=/app;"))
        #expect(written.contains("; Domain=shop.test;"))
        let cleared = bench.send("/", [("cookie", "x-feat-name=gone")]).responseValues("set-cookie")
        #expect(cleared == ["x-feat-name=; Path=/app; Max-Age=0; Domain=shop.test; HttpOnly; SameSite=Lax"])
    }

    @Test func withoutAPinInThePolicyNoCookieIsWritten() throws {
        let bench = try edge { $0.pin = nil }
        #expect(bench.send("/?x-feat-name=auth-refactor").responseValues("set-cookie") == [])
        #expect(bench.send("/", [("cookie", "x-feat-name=gone")]).responseValues("set-cookie") == [])
    }

    @Test func sidecarsWriteNoCookies() throws {
        let bench = try Bench(laneModel(role: .outbound))
        #expect(bench.send("/", [("x-feat-name", "auth-refactor")]).response.isEmpty)
    }

    @Test func onEveryStatusOurOwnIncluded() throws {
        var built = laneModel(role: .edge)
        built.routeTables[0].virtualHosts[0].routes = []
        let sent = try Bench(built).send("/?x-feat-name=auth-refactor")
        #expect(sent.decision.outcome == .noRoute)
        #expect(sent.responseValues("set-cookie").count == 1)
        #expect(sent.responseValues("x-fairlead-reason") == ["no-route"])
    }

    @Test(arguments: [
        ([], ["private"]), (["public, max-age=60"], ["private, max-age=60"]),
        (["max-age=60", "s-maxage=9, public"], ["private, max-age=60"]), (["no-store"], ["no-store"]),
        (["private=\"a, b\", max-age=1"], ["private, max-age=1"]), (["private"], ["private"]),
        (["Public"], ["private"]), (["no-cache"], ["private, no-cache"]),
    ])
    func laneResponsesArePrivate(_ given: [String], _ expected: [String]) throws {
        let sent = try edge().send(
            "/?x-feat-name=auth-refactor", responseHeaders: given.map { ("cache-control", $0) })
        #expect(sent.responseValues("cache-control") == expected)
        #expect(sent.responseValues("vary") == ["x-feat-name, Cookie"])
    }

    @Test func cacheModes() throws {
        func values(_ cache: LaneCache) throws -> [String] {
            try edge { $0.cache = cache }
                .send("/?x-feat-name=auth-refactor", responseHeaders: [("cache-control", "public")])
                .responseValues("cache-control")
        }
        #expect(try values(.keep) == ["public"])
        #expect(try values(.none) == ["no-store"])
        #expect(try values(.private) == ["private"])
    }

    @Test(arguments: [
        (["Accept-Encoding"], ["Accept-Encoding, x-feat-name, Cookie"]), (["*"], ["*"]),
        (["X-Feat-Name, cookie"], ["X-Feat-Name, cookie"]), (["a", "COOKIE"], ["a, COOKIE, x-feat-name"]),
    ])
    func varyGainsTheKey(_ given: [String], _ expected: [String]) throws {
        let sent = try edge().send(
            "/?x-feat-name=auth-refactor", responseHeaders: given.map { ("vary", $0) })
        #expect(sent.responseValues("vary") == expected)
    }

    @Test func stableResponsesAreUntouched() throws {
        let headers = [("cache-control", "public"), ("vary", "a")]
        let sent = try edge().send("/", responseHeaders: headers)
        #expect(sent.response.map(\.name) == ["cache-control", "vary"])
        #expect(sent.response.map(\.value) == ["public", "a"])
        let unknown = try edge().send("/", [("x-feat-name", "nobody")], responseHeaders: headers)
        #expect(unknown.responseValues("cache-control") == ["public"])
    }

    @Test func preflightsMayAskForTheKey() throws {
        let bench = try edge()
        let ask = [
            ("origin", "https://a.test"), ("access-control-request-method", "GET"),
            ("access-control-request-headers", "content-type, X-Feat-Name"),
        ]
        func allowed(_ method: String, _ request: [(String, String)], _ answer: [(String, String)])
            -> [String]
        {
            bench.send("/", method: method, request, responseHeaders: answer)
                .responseValues("access-control-allow-headers")
        }
        let origin = ("access-control-allow-origin", "https://a.test")
        #expect(allowed("OPTIONS", ask, [origin]) == ["x-feat-name"])
        #expect(
            allowed("OPTIONS", ask, [origin, ("access-control-allow-headers", "content-type")])
                == ["content-type, x-feat-name"])
        #expect(
            allowed("OPTIONS", ask, [origin, ("access-control-allow-headers", "x-FEAT-name")])
                == ["x-FEAT-name"])
        #expect(allowed("OPTIONS", ask, []) == [], "the upstream does not allow the origin")
        #expect(allowed("GET", ask, [origin]) == [])
        #expect(allowed("OPTIONS", Array(ask.dropLast()), [origin]) == [])
        #expect(allowed("OPTIONS", Array(ask.dropFirst()), [origin]) == [])
    }
}
