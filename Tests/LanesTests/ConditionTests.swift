// Match conditions one by one (istio-semantics.md 4.1, 4.2 and 29).
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct ConditionTests {
    private func matched(
        _ match: MatchModel, _ url: String = "/", method: String = "GET", _ headers: [(String, String)] = []
    ) throws -> Bool {
        try Bench(model([forward("x", match)])).send(url, method: method, headers).routeName == "x"
    }

    @Test(arguments: [
        (StringMatch.exact("/api"), "/api", true), (.exact("/api"), "/api?x=1", true),
        (.exact("/api"), "/API", false), (.exact("/api"), "/api/", false), (.prefix("/api"), "/apix", true),
        (.prefix("/api"), "/ap", false), (.prefix(""), "/", true), (.regex("/a.*"), "/abc", true),
        (.regex("/a"), "/ab", false), (.regex("b"), "/b", false), (.regex("/(?i)ab"), "/AB", true),
        (.present, "/any", true), (.exact("/a%20b"), "/a%20b", true), (.exact("/a"), "/a#frag", true),
    ])
    func uriConditions(_ match: StringMatch, _ url: String, _ expected: Bool) throws {
        #expect(try matched(uri(match), url) == expected)
    }

    @Test func uriCase() throws {
        #expect(try matched(uri(.exact("/Api"), ignoreCase: true), "/aPI"))
        #expect(try matched(uri(.prefix("/Api"), ignoreCase: true), "/aPIx"))
        #expect(try !matched(uri(.prefix("/Api"), ignoreCase: true), "/a"))
        #expect(try !matched(uri(.regex("/Api"), ignoreCase: true), "/api"), "regexes are unaffected")
    }

    @Test(arguments: [
        ("/abc", "/abc", true), ("/abc", "/abc/", true), ("/abc", "/abc/d", true), ("/abc", "/abcd", false),
        ("/abc/", "/abc", true), ("/abc/", "/abcd", false), ("/", "/x", true), ("/", "/", true),
    ])
    func pathPrefixBySegments(_ prefix: String, _ url: String, _ expected: Bool) throws {
        #expect(try matched(uri(.prefix(prefix), bySegment: true), url) == expected)
    }

    @Test func methodSchemeAuthority() throws {
        var match = MatchModel()
        match.method = .exact("POST")
        #expect(try matched(match, method: "POST"))
        #expect(try !matched(match, method: "GET"))
        match = MatchModel()
        match.scheme = .exact("https")
        #expect(try matched(match, "https://a.test/"))
        #expect(try !matched(match, "http://a.test/"))
        match = MatchModel()
        match.authority = .exact("a.test:8080")
        #expect(try matched(match, "http://a.test:8080/"))
        #expect(try !matched(match, "http://a.test/"), "the port counts here")
        #expect(try !matched(match, "http://A.test:8080/"), "and so does case")
    }

    @Test func headersOnTheHostSeeTheAuthority() throws {
        #expect(try matched(header("host", .exact("b.test")), "/", [("host", "b.test")]))
        #expect(try matched(header(":authority", .prefix("b")), "/", [("host", "b.test")]))
        #expect(try matched(header(":path", .exact("/p")), "/p"))
        #expect(try matched(header(":method", .exact("GET"))))
    }

    @Test(arguments: [
        (StringMatch.exact("1"), [String](), false), (.exact(""), [], false), (.regex(".*"), [], false),
        (.present, [], false), (.present, [""], true), (.exact(""), [""], true), (.regex(".*"), [""], true),
        (.prefix("ab"), ["abc"], true), (.prefix("ab"), ["a"], false), (.exact("2"), ["1", "2"], true),
        (.exact("1,2"), ["1", "2"], false), (.regex("[0-9]"), ["a", "7"], true),
        (.regex("1,2"), ["1", "2"], false),
    ])
    func headerConditions(_ match: StringMatch, _ lines: [String], _ expected: Bool) throws {
        #expect(try matched(header("x", match), "/", lines.map { ("X", $0) }) == expected)
    }

    @Test(arguments: [
        (StringMatch.exact("foo"), [String](), true), (.exact(""), [], false), (.regex(".*"), [], false),
        (.regex("f.*"), [], true), (.present, [], true), (.present, [""], false), (.prefix("f"), [], true),
        (.exact("foo"), ["foo"], false), (.exact("foo"), ["bar"], true),
        (.exact("foo"), ["bar", "foo"], false),
        (.regex(".*(foo).*"), ["a foo b"], false),
    ])
    func withoutHeaders(_ match: StringMatch, _ lines: [String], _ expected: Bool) throws {
        #expect(try matched(header("x", match, inverted: true), "/", lines.map { ("x", $0) }) == expected)
    }

    @Test(arguments: [
        (StringMatch.exact("1"), "/?a=1", true), (.exact("1"), "/?a=2&a=1", false), (.exact(""), "/?a", true),
        (.exact(""), "/?a=", true), (.present, "/?a", true), (.present, "/?b", false), (.present, "/", false),
        (.exact("a b"), "/?a=a%20b", false), (.exact("a%20b"), "/?a=a%20b", true),
        (.regex("[0-9]+"), "/?x&a=77", true), (.prefix("7"), "/?a=77", true), (.exact("1"), "/?A=1", false),
    ])
    func queryConditions(_ match: StringMatch, _ url: String, _ expected: Bool) throws {
        var conditions = MatchModel()
        conditions.queryParams = [NamedMatch(name: "a", match: match)]
        #expect(try matched(conditions, url) == expected)
    }

    @Test func allConditionsOfAMatchMustHold() throws {
        var match = uri(.prefix("/api"))
        match.method = .exact("GET")
        match.headers = [NamedMatch(name: "a", match: .exact("1")), NamedMatch(name: "b", match: .present)]
        #expect(try matched(match, "/api", [("a", "1"), ("b", "")]))
        #expect(try !matched(match, "/api", [("a", "1")]))
        #expect(try !matched(match, "/", [("a", "1"), ("b", "")]))
        #expect(try !matched(match, "/api", method: "POST", [("a", "1"), ("b", "")]))
    }

    @Test func theFirstRouteThatMatchesWins() throws {
        let bench = try Bench(
            model([forward("one", uri(.prefix("/a"))), forward("two", uri(.exact("/ab"))), forward("three")]))
        #expect(bench.send("/ab").routeName == "one")
        #expect(bench.send("/b").routeName == "three")
    }

    @Test func noRouteMatchesIs404() throws {
        let sent = try Bench(model([forward("one", uri(.exact("/a")))])).send("/b")
        #expect(sent.decision.outcome == .noRoute)
        #expect(sent.decision.virtualHost != nil)
    }

    @Test func aPatternThatDoesNotCompileIsAnError() {
        #expect(throws: TableError.self) { try Bench(model([forward("x", header("x", .regex("(")))])) }
    }
}
