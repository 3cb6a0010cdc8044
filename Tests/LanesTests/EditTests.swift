// Header operations of every level, formatters, rewrites, redirects (istio-semantics.md 5.3, 5.5 and 6).
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

private func operations(
    set: [(String, String)] = [], add: [(String, String)] = [], remove: [String] = []
) -> HeaderOperations {
    var operations = HeaderOperations()
    operations.set = set.map { (name: $0.0, value: $0.1) }
    operations.add = add.map { (name: $0.0, value: $0.1) }
    operations.remove = remove
    return operations
}

@Suite struct HeaderOperationTests {
    private func send(
        entry: HeaderOperations = HeaderOperations(), target: HeaderOperations = HeaderOperations(),
        targets: Int = 1, _ headers: [(String, String)] = [], format: FormatContext = FormatContext()
    ) throws -> Sent {
        var route = forward("x")
        route.requestHeaders = entry
        var destination = TargetModel(cluster: 0, clusterName: "c", weight: 1)
        destination.requestHeaders = target
        route.action = .forward([TargetModel](repeating: destination, count: targets))
        return try Bench(model([route])).send("/p?q=1", headers, format: format)
    }

    @Test func removeThenSetThenAdd() throws {
        let sent = try send(
            entry: operations(
                set: [("a", "set"), ("b", "%REQ(c)%")], add: [("a", "added"), ("d", "%REQ(a)%")],
                remove: ["c"]),
            [("a", "old"), ("a", "older"), ("c", "gone")])
        #expect(sent.values("a") == ["set", "added"])
        #expect(sent.values("b") == [], "what was removed formats to nothing")
        #expect(sent.values("c") == [])
        #expect(sent.values("d") == ["old"], "the first line, as it was before any edit")
    }

    @Test func aValueThatFormatsToNothingDoesNotOverwrite() throws {
        let sent = try send(entry: operations(set: [("a", "%REQ(none)%")]), [("a", "old")])
        #expect(sent.values("a") == ["old"])
    }

    @Test func oneDestinationIsOneLevelAndItsSetWins() throws {
        let sent = try send(
            entry: operations(set: [("a", "entry")], add: [("b", "entry")]),
            target: operations(set: [("a", "target")], add: [("b", "target")], remove: ["c"]), [("c", "1")])
        #expect(sent.values("a") == ["target"])
        #expect(sent.values("b") == ["entry", "target"])
        #expect(sent.values("c") == [])
    }

    @Test func ofSeveralDestinationsTheEntryComesLast() throws {
        let sent = try send(
            entry: operations(set: [("a", "entry")], remove: ["b"]),
            target: operations(set: [("a", "target")], add: [("b", "target")]), targets: 2)
        #expect(sent.values("a") == ["entry"])
        #expect(sent.values("b") == [], "an entry's remove takes what the destination added")
    }

    @Test func singleSlotHeadersAreJoined() throws {
        let sent = try send(
            entry: operations(
                add: [("cookie", "b=2"), ("user-agent", "two"), ("x-many", "2"), ("via", "new")]),
            [("cookie", "a=1"), ("user-agent", "one"), ("x-many", "1")])
        #expect(sent.values("user-agent") == ["one,two"])
        #expect(sent.values("cookie") == ["a=1", "b=2"])
        #expect(sent.values("x-many") == ["1", "2"])
        #expect(sent.values("via") == ["new"])
    }

    @Test func framingAndPseudoHeadersAreNotTouched() throws {
        let sent = try send(
            entry: operations(
                set: [(":path", "/evil"), ("content-length", "5"), ("transfer-encoding", "x")],
                remove: ["host", ":method", "content-length"]), [("content-length", "3")])
        #expect(sent.path == "/p")
        #expect(sent.values("host") == ["a.test"])
        #expect(sent.values("content-length") == ["3"])
        #expect(sent.values("transfer-encoding") == [])
    }

    @Test func theHostIsAnAuthorityRewrite() throws {
        #expect(try send(entry: operations(set: [("host", "b.test")])).authority == "b.test")
        #expect(try send(entry: operations(add: [(":authority", "b.test")])).authority == "b.test")
        let both = try send(
            entry: operations(set: [("host", "set")], add: [("host", "add")]),
            target: operations(set: [("host", "target")]))
        #expect(both.authority == "set")
        #expect(both.values("host") == ["set"])
        #expect(try send(target: operations(set: [("host", "target")])).authority == "target")
    }

    @Test func formatters() throws {
        var format = FormatContext()
        format.startNanoseconds = 1_767_323_045_678_000_000
        format.networkProtocol = "HTTP/1.1"
        format.hostname = "pod-1"
        format.elapsedMs = 12
        format.downstreamRemote = "[::1]:99"
        format.downstreamLocal = "10.0.0.1:80"
        let values = [
            ("%REQ(x)%", "value"), ("%REQ(X)%", "value"), ("%REQ(none?x)%", "value"), ("%REQ(x):3%", "val"),
            ("%REQ(none?x):2%", "va"), ("%REQ(:METHOD)%", "GET"), ("%REQ(:path)%", "/p?q=1"),
            ("%REQ(:authority)%", "a.test"), ("%PROTOCOL%", "HTTP/1.1"), ("%HOSTNAME%", "pod-1"),
            ("%START_TIME%", "2026-01-02T03:04:05.678Z"), ("%DOWNSTREAM_REMOTE_ADDRESS%", "[::1]:99"),
            ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "::1"), ("%DOWNSTREAM_LOCAL_PORT%", "80"),
            ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.0.0.1"), ("%QUERY_PARAM(q)%", "1"),
            ("100%%", "100%"), ("a-%REQ(x)%-%REQ(none)%z", "a-value-z"), ("%RESPONSE_CODE%", ""),
            ("%UPSTREAM_HOST%", ""), ("%DOWNSTREAM_REMOTE_PORT%", "99"), ("%DURATION%", "12"),
            ("%REQ_WITHOUT_QUERY(:path)%", "/p"), ("%REQ_WITHOUT_QUERY(none?ref):5%", "/r/s"),
            ("%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%", "2026-01-02T03:04:05.678Z"),
            ("%START_TIME(%s)%", "1767323045"),
            ("%START_TIME(%a, %d %b %y %T %Z %z)%", "Fri, 02 Jan 26 03:04:05 UTC +0000"),
            ("%START_TIME(%F %R %D %j %e %f %1f%%)%", "2026-01-02 03:04 01/02/26 002  2 678000000 6%"),
            ("%START_TIME()%", "2026-01-02T03:04:05.678Z"), ("a%STREAM_ID%%METADATA(X:Y)%b", "ab"),
        ]
        for (value, expected) in values {
            let sent = try send(
                entry: operations(set: [("out", value)]), [("x", "value"), ("ref", "/r/s?t=1")],
                format: format)
            #expect(sent.value("out") ?? "" == expected, "\(value)")
        }
    }

    @Test(arguments: [
        "%", "a%b", "%REQ%", "%REQ()%", "%REQ(a%", "%NOPE%", "%REQ(a):x%", "a\r\nb", "%REQ(?)%",
        "%START_TIME(%Q)%", "%START_TIME(%3)%", "%START_TIME(x%)%", "%PROTOCOL(x)%",
        "%REQ_WITHOUT_QUERY%", "a\0", "\u{7F}",
    ])
    func valuesThatCannotBeWritten(_ value: String) {
        #expect(HeaderValue.problem(value) != nil)
        #expect(throws: TableError.self) { try send(entry: operations(set: [("a", value)])) }
    }

    @Test(arguments: ["", "plain", "%%", "%REQ(a)%%REQ(b)%", "50%% of %PROTOCOL%"])
    func valuesThatCan(_ value: String) {
        #expect(HeaderValue.problem(value) == nil)
    }

    @Test func operatorsThatAreAlwaysEmptyAreNamed() {
        #expect(HeaderValue.empty("%REQ(a)% %%STREAM_ID%% 50%%") == [])
        #expect(HeaderValue.empty("%STREAM_ID%-%REQ(a)%-%METADATA(A:B)%") == ["STREAM_ID", "METADATA(A:B)"])
    }

    @Test func leapYearsCount() throws {
        for (seconds, day) in [(951_868_799, "060"), (1_709_251_199, "060"), (4_107_542_399, "059")] {
            var format = FormatContext()
            format.startNanoseconds = UInt64(seconds) * 1_000_000_000
            let value = operations(set: [("out", "%START_TIME(%j)%")])
            #expect(try send(entry: value, format: format).value("out") == day)
        }
    }

    @Test func responsesTellWhatTheLogTells() throws {
        var route = forward("x", to: nil)
        route.responseHeaders = operations(set: [
            ("x-out", "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"),
            ("x-host", "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%"),
        ])
        var format = FormatContext()
        format.responseFlags = "UF,URX"
        format.responseDetails = "details"
        format.transportFailure = "refused"
        format.upstreamHost = "[::1]:80"
        let sent = try Bench(model([route])).send("/", status: 503, format: format)
        #expect(sent.responseValues("x-out") == ["UF,URX details refused"])
        #expect(sent.responseValues("x-host") == ["::1 80"])
    }

    @Test func responseOperationsRunOnOurAnswersToo() throws {
        var route = forward("x", to: nil)
        route.responseHeaders = operations(
            set: [("x-code", "%RESPONSE_CODE%"), ("x-from", "%REQ(x)%")], add: [("set-cookie", "b=2")],
            remove: ["server"])
        let bench = try Bench(model([route]))
        var format = FormatContext()
        format.requestHead = "GET /p?q=1 HTTP/1.1\r\nhost: a.test\r\nxx: no\r\nx: yes \r\n\r\n"
        let sent = bench.send(
            "/", status: 503, responseHeaders: [("server", "s"), ("set-cookie", "a=1")], format: format)
        #expect(sent.decision.outcome == .noCluster)
        #expect(sent.responseValues("x-code") == ["503"])
        #expect(sent.responseValues("x-from") == ["yes"])
        #expect(sent.responseValues("set-cookie") == ["a=1", "b=2"])
        #expect(sent.responseValues("server") == [])
        var none = model([route])
        none.routeTables[0].virtualHosts[0].routes = [forward("other", uri(.exact("/other")))]
        #expect(try Bench(none).send("/").responseValues("x-code") == [], "not on 404")
    }

    @Test func tooManyOrTooLongEditsAreNoticed() throws {
        let long = String(repeating: "v", count: 4_000)
        let many = operations(add: (0..<60).map { ("x-\($0)", "%REQ(x)%") })
        #expect(try send(entry: many, [("x", long)]).overflowed)
        let count = operations(add: (0..<(Limits.editFields + Limits.headFields)).map { ("x-\($0)", "1") })
        #expect(try send(entry: count).overflowed)
    }
}

@Suite struct RewriteTests {
    private func send(
        _ match: MatchModel, _ change: (inout RewriteModel) -> Void, _ url: String
    ) throws -> Sent {
        var route = forward("x", match)
        var rewrite = RewriteModel()
        change(&rewrite)
        route.rewrite = rewrite
        return try Bench(model([route])).send(url)
    }

    @Test(arguments: [
        (uri(.prefix("/v1")), "/", "/v1/a", "//a"), (uri(.prefix("/v1/")), "/", "/v1/a", "/a"),
        (uri(.prefix("/v1")), "/v2", "/v1/a", "/v2/a"), (MatchModel(), "/v2", "/a", "/v2a"),
        (uri(.exact("/v1/a")), "/x", "/v1/a", "/x"), (uri(.regex("/v1.*")), "/x", "/v1/a", "/x"),
        (uri(.prefix("/V1"), ignoreCase: true), "/v2", "/v1/a", "/v2/a"),
        (uri(.prefix("/foo"), bySegment: true), "/xyz", "/foo/bar", "/xyz/bar"),
        (uri(.prefix("/foo"), bySegment: true), "/xyz/", "/foo/bar", "/xyz/bar"),
        (uri(.prefix("/foo"), bySegment: true), "/", "/foo/bar", "/bar"),
        (uri(.prefix("/foo"), bySegment: true), "/", "/foo", "/"),
        (uri(.prefix("/foo"), bySegment: true), "/", "/foo/", "/"),
        (uri(.prefix("/foo"), bySegment: true), "/xyz", "/foo/", "/xyz/"),
        (uri(.prefix("/v1")), "", "/v1http://evil.test/", "/http://evil.test/"),
    ])
    func uriByTheKindOfItsMatch(_ match: MatchModel, _ to: String, _ url: String, _ expected: String) throws {
        let sent = try send(match, { $0.uri = to }, url + "?k=v")
        #expect(sent.path == expected)
        #expect(sent.query == "k=v")
        #expect(sent.values("x-envoy-original-path") == [url + "?k=v"])
    }

    @Test func regexReplacesEveryMatch() throws {
        let sent = try send(MatchModel(), { $0.uriRegex = (match: "a(.)", rewrite: "<\\1>") }, "/ab/ac?ad=1")
        #expect(sent.path == "/<b>/<c>")
        #expect(sent.query == "ad=1")
        let bad = try send(MatchModel(), { $0.uriRegex = (match: "a", rewrite: "\\9") }, "/a")
        #expect(bad.overflowed)
        #expect(bad.path == "/a")
    }

    @Test func aRewriteThatGrowsWithoutBoundIsNoticed() throws {
        let grow = String(repeating: "x", count: 1_000)
        let sent = try send(
            MatchModel(), { $0.uriRegex = (match: "a", rewrite: grow) },
            "/" + String(repeating: "a", count: 100))
        #expect(sent.overflowed)
    }

    @Test func authority() throws {
        let sent = try send(MatchModel(), { $0.authority = "b.test" }, "/a")
        #expect(sent.authority == "b.test")
        #expect(sent.values("host") == ["b.test"])
        #expect(sent.values("x-envoy-original-path") == [])
    }
}

@Suite struct RedirectTests {
    private func location(
        _ url: String, isTLS: Bool = false, match: MatchModel = MatchModel(),
        _ change: (inout RedirectModel) -> Void
    ) throws -> String {
        var redirect = RedirectModel()
        change(&redirect)
        var route = forward("x", match)
        route.action = .redirect(redirect)
        return try Bench(model([route])).send(url, isTLS: isTLS).location
    }

    @Test func parts() throws {
        #expect(try location("http://a.test/p?q=1") { $0.uri = "/x" } == "http://a.test/x?q=1")
        #expect(try location("http://a.test/p?q=1") { $0.uri = "x?y=2" } == "http://a.test/x?y=2")
        #expect(try location("http://a.test:81/p?q=1") { _ in } == "http://a.test:81/p?q=1")
        #expect(try location("http://a.test:81/p") { $0.authority = "b.test:8000" } == "http://b.test:8000/p")
        #expect(try location("http://a.test:80/p") { $0.scheme = "https" } == "https://a.test/p")
        #expect(try location("http://a.test:8080/p") { $0.scheme = "https" } == "https://a.test:8080/p")
        #expect(try location("https://a.test:443/p", isTLS: true) { $0.scheme = "http" } == "http://a.test/p")
        #expect(try location("https://a.test/p", isTLS: true) { _ in } == "https://a.test/p")
    }

    @Test func ports() throws {
        #expect(try location("http://a.test:81/p") { $0.port = 82 } == "http://a.test:82/p")
        #expect(try location("http://a.test:81/p") { $0.port = 80 } == "http://a.test/p")
        #expect(
            try location("http://a.test/p") {
                $0.scheme = "https"
                $0.port = 443
            } == "https://a.test/p")
        #expect(
            try location("http://a.test/p") {
                $0.authority = "b.test"
                $0.port = 99
            } == "http://b.test:99/p")
    }

    @Test func prefixRewriteKeepsTheRest() throws {
        let made = try location("http://a.test/old/x?q=1", match: uri(.prefix("/old"))) {
            $0.prefixRewrite = "/new"
        }
        #expect(made == "http://a.test/new/x?q=1")
    }

    @Test func codes() throws {
        for code in [301, 302, 303, 307, 308] {
            var redirect = RedirectModel()
            redirect.code = code
            var route = forward("x")
            route.action = .redirect(redirect)
            #expect(try Bench(model([route])).send("/").decision.status == code)
        }
    }

    @Test func httpsRedirectComesBeforeRoutes() throws {
        var built = laneModel(role: .edge)
        built.routeTables[0].virtualHosts[0].httpsRedirect = true
        let bench = try Bench(built)
        let sent = bench.send("http://a.test:8080/p?x-feat-name=auth-refactor")
        #expect(sent.decision.outcome == .httpsRedirect)
        #expect(sent.decision.status == 301)
        #expect(sent.location == "https://a.test:8080/p?x-feat-name=auth-refactor")
        #expect(sent.decision.response.pin == .write)
        #expect(bench.send("/", isTLS: true).decision.outcome == .forward)
    }

    @Test func aPreviewHostStaysInTheLocation() throws {
        var built = laneModel(role: .edge) {
            $0.previewHosts = [.init(prefix: "", suffix: ".preview.test", host: "a.test")]
        }
        built.routeTables[0].virtualHosts[0].httpsRedirect = true
        let sent = try Bench(built).send("http://auth-refactor.preview.test/")
        #expect(sent.location == "https://auth-refactor.preview.test/")
    }

    @Test func directResponses() throws {
        var route = forward("x")
        route.action = .direct(status: 418, body: Array("teapot".utf8))
        let sent = try Bench(model([route])).send("/")
        #expect(sent.decision.outcome == .direct)
        #expect(sent.decision.status == 418)
        #expect(sent.decision.route?.pointee.body.string == "teapot")
    }

    @Test func aLocationThatDoesNotFitIsEmpty() throws {
        let long = "/" + String(repeating: "a", count: EditScratch.capacity)
        #expect(try location(long) { _ in } == "")
    }
}
