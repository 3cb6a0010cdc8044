// How values are read from queries and cookies, byte by byte (lanes.md 3).
import TestSupport
import Testing

@Suite struct LaneReadingTests {
    private let edge: LaneEdge

    init() throws { edge = try LaneEdge.shared.get() }

    @Test(arguments: [
        ("/?x-feat-name=foo", "foo"), ("/?a=1&x-feat-name=foo&b=2", "foo"), ("/?&&x-feat-name=foo", "foo"),
        ("/?x-feat-name=%66%6F%6f", "foo"), ("/?x-feat-name=foo&x-feat-name=bar", "foo"),
        ("/?x-feat-name=foo#x-feat-name=bar", "foo"), ("/p?x=%zz&x-feat-name=foo", "foo"),
        ("/?x-feat-name=ba%72&", "bar"), ("/?%78-feat-name=foo", "foo"), ("/?a?x-feat-name=foo", "stable"),
        ("/?X-Feat-Name=foo", "stable"), ("/?x-feat-name", "stable"), ("/?x-feat-name=Foo", "stable"),
        ("/?x-feat-name=f%6", "stable"), ("/?x-feat-name=f%6goo", "stable"),
        ("/?x-feat-name=foo%0a", "stable"),
        ("/?x-feat-name=%2566oo", "stable"), ("/?x-feat-name=foo=bar", "stable"),
        ("/?x-feat-name=+foo", "stable"), ("/?a=b;x-feat-name=foo", "stable"),
        ("/?a=x-feat-name=foo", "stable"), ("/x-feat-name=foo", "stable"), ("/?zx-feat-name=foo", "stable"),
    ])
    func queries(_ target: String, _ upstream: String) throws {
        let answer = try edge.get(target)
        #expect(answer.upstream == upstream, "\(answer)")
        let sent = target.prefix { $0 != "#" }
        #expect(try answer.seen.target == sent, "the query goes on byte for byte")
    }

    @Test(arguments: [
        (["x-feat-name=foo"], "foo"), (["a=b; x-feat-name=foo; c=d"], "foo"),
        (["a=b;x-feat-name=foo"], "foo"),
        (["x-feat-name=\"foo\""], "foo"), (["  x-feat-name \t=  foo  ;;"], "foo"),
        (["x-feat-name=foo; x-feat-name=bar"], "foo"), (["junk; =x; x-feat-name=foo"], "foo"),
        (["a=b", "x-feat-name=foo"], "foo"), (["x-feat-name=bar", "x-feat-name=foo"], "bar"),
        (["a=\"x; x-feat-name=foo"], "foo"), (["X-Feat-Name=foo"], "stable"),
        (["zx-feat-name=foo"], "stable"), (["a=x-feat-name=foo"], "stable"), (["x-feat-name"], "stable"),
        (["x-feat-name=f%6Fo"], "stable"), (["x-feat-name=\"foo"], "stable"),
        (["x-feat-name=foo,bar"], "stable"),
        (["a=b, x-feat-name=foo"], "stable"), (["x-feat-name=foo=1"], "stable"),
        (["\"x-feat-name\"=foo"], "stable"),
    ])
    func cookies(_ lines: [String], _ upstream: String) throws {
        #expect(try edge.get("/", lines.map { "Cookie: \($0)" }).upstream == upstream)
    }

    @Test func applicationCookiesAreKept() throws {
        let odd = "a=1;b = 2 ;; c=\"x; y\"; x-feat-name=foo;d"
        let answer = try edge.get("/", ["Cookie: \(odd)", "cookie: e=f"])
        #expect(answer.upstream == "foo")
        #expect(try answer.seen("cookie") == [odd, "e=f"])
    }

    @Test func anotherLanesCookieDoesNotGoOn() throws {
        let answer = try edge.get("/?x-feat-name=foo", ["Cookie: a=b; x-feat-name=bar; c=d"])
        let cookies = try answer.seen("cookie").joined(separator: "; ")
        #expect(answer.upstream == "foo" && !cookies.contains("bar"), "\(cookies)")
        #expect(cookies.contains("a=b") && cookies.contains("c=d"))
    }

    @Test func anEmptyValueLeavesTheLane() throws {
        let answer = try edge.get(
            "/?x-feat-name=",
            ["Cookie: a=b; x-feat-name=foo", "x-feat-name: foo", "baggage: x-feat-name=foo,k=v"])
        #expect(answer.upstream == "stable" && answer.reason == "lane-left", "\(answer)")
        #expect(answer.cookies.count == 1 && answer.cookies[0].contains("Max-Age=0"))
        let seen = try answer.seen
        #expect(seen.values("x-feat-name") == [] && seen.values("tracestate") == [])
        #expect(!seen.values("cookie").joined().contains("x-feat-name"))
        #expect(seen.values("baggage").joined() == "k=v")
        #expect(try edge.get("/?a=1&x-feat-name").upstream == "stable")
    }

    @Test func invalidCarriersDoNotSilenceOthers() throws {
        let answer = try edge.get("/?x-feat-name=NO", ["x-feat-name: foo"])
        #expect(answer.upstream == "foo")
        let hidden = try edge.get("/", ["x-feat-name: No Name", "Cookie: x-feat-name=foo"])
        #expect(hidden.upstream == "foo")
        #expect(try hidden.seen("x-feat-name") == ["foo"])
        let dropped = try edge.get("/", ["x-feat-name: No Name", "baggage: x-feat-name=N%20o,a=1"])
        #expect(dropped.upstream == "stable")
        #expect(try dropped.seen("x-feat-name") == [] && dropped.seen("baggage") == ["a=1"])
    }

    /// Random heads around the carriers: every one is answered by somebody who is in the documents.
    @Test func randomCarriersNeverBreakTheEdge() throws {
        var random = SeededRandom()
        let connection = try RawConnection(port: edge.site.port())
        for _ in 0..<150 {
            let noise = { (random: inout SeededRandom) in
                random.text(random.int(0...24), of: "fox-eat=nm;,%0aA \"&?~\t")
            }
            var lines: [String] = []
            if random.chance(60) { lines.append("cookie: a;x-feat-name=\(noise(&random))") }
            if random.chance(60) { lines.append("baggage: x-feat-name=\(noise(&random)),b=c") }
            if random.chance(60) { lines.append("tracestate: \(noise(&random)),x-feat-name=foo") }
            if random.chance(60) { lines.append("x-feat-name: \(noise(&random))") }
            let query = noise(&random).filter { !" \t\"".contains($0) }
            let answer = try connection.get("/?x-feat-name=\(query)", host: "app.test", lines)
            #expect(
                answer.status == 200 && ["stable", "foo"].contains(answer.value("x-upstream")), "\(lines)")
        }
    }
}
