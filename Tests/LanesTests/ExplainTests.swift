// Explain tells what decide does: the same choice for random requests, and the words and JSON of
// interface.md 3.
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct ExplainTests {
    @Test func choiceEqualsDecides() throws {
        var random = SeededRandom()
        for _ in 0..<40 {
            let names = (0..<12).map { "lane-\($0)" }
            var routes = names.flatMap { name in
                [
                    forward(name, to: 1, header("x-feat-name", .regex(".*(\(name)).*"))),
                    forward("\(name)-cookie", to: 1, header("cookie", .regex(".*(x-feat-name=\(name)).*"))),
                ]
            }
            routes.shuffle(using: &random)
            routes.append(forward("default"))
            var built = model(
                routes, clusters: [cluster("a"), cluster("a", subset: "v", endpoints: [2])],
                policy: policy { $0.knownByRoutes = names.map { .regex(".*(\($0)).*") } })
            built.lanes = [lane("lane-1"), lane("lane-2") { $0.expiresAtSeconds = 1 }]
            let bench = try Bench(built)
            for _ in 0..<20 {
                var headers = [("host", "a.test")]
                if random.chance(40) { headers.append(("x-feat-name", random.pick(names))) }
                if random.chance(40) { headers.append(("cookie", "a=1; x-feat-name=\(random.pick(names))")) }
                let url = random.chance(40) ? "/?x-feat-name=\(random.pick(names))" : "/"
                let sent = bench.send(url, headers)
                let told = explain(
                    bench.snapshot, method: "GET", url: url, headers: headers, listener: nil,
                    nowSeconds: Bench.now, random: 0)
                #expect(told.rules.last { $0.matched }?.name == sent.routeName)
                #expect(told.laneName == sent.lane)
                #expect(told.carrier == sent.decision.lane.carrier)
                #expect(told.decision == sent.decision.laneDecision)
                #expect(told.reason == sent.decision.reason)
                #expect(told.destination?.endpoints == sent.endpoints)
            }
        }
    }

    @Test func saysWhyRulesFail() throws {
        var match = uri(.prefix("/api"))
        match.method = .exact("POST")
        match.headers = [
            NamedMatch(name: "x-feat-name", match: .regex(".*(a).*")),
            NamedMatch(name: "x-not", match: .exact("1"), inverted: true),
        ]
        match.queryParams = [NamedMatch(name: "q", match: .exact("1"))]
        let bench = try Bench(model([forward("narrow", match), forward("default")]))
        let told = explain(
            bench.snapshot, method: "GET", url: "http://a.test/x?q=2", headers: [("x-not", "1")])
        #expect(told.rules.map(\.name) == ["narrow", "default"])
        #expect(
            told.rules[0].failed == [
                "uri: expected prefix \"/api\", but it is \"/x\"",
                "method: expected exact \"POST\", but it is \"GET\"",
                "header x-feat-name: expected regex \".*(a).*\", but it is missing",
                "header x-not: expected not exact \"1\", but it is \"1\"",
                "query parameter q: expected exact \"1\", but it is \"2\"",
            ])
        #expect(told.rules[1].matched)
        #expect(told.rules[1].failed == [])
        #expect(told.rules[0].document == "VirtualService ns/test")
    }

    @Test func tellsCarriersConflictsAndEdits() throws {
        var built = laneModel(role: .edge)
        built.lanes.append(lane("other"))
        let bench = try Bench(built)
        let told = explain(
            bench.snapshot, method: "GET", url: "http://a.test/?x-feat-name=auth-refactor",
            headers: [("Cookie", "x-feat-name=other; a=1"), ("Accept", "*/*")])
        #expect(told.laneName == "auth-refactor")
        #expect(told.carrier == .query)
        #expect(told.conflicts == ["cookie=other"])
        #expect(told.edits.contains("request: rewrite cookie: a=1"))
        #expect(told.edits.contains("request: add x-feat-name: auth-refactor"))
        #expect(told.edits.contains { $0.hasPrefix("response: add set-cookie: x-feat-name=auth-refactor;") })
        #expect(told.destination?.endpoints == ["10.0.0.9:8080"])
        #expect(told.status == nil)
        #expect(told.text().contains("conflict   cookie=other"))
    }

    @Test func jsonOfAPlainRequest() throws {
        let bench = try Bench(model())
        let told = explain(bench.snapshot, method: "GET", url: "http://a.test/", headers: [])
        let expected =
            #"{"request":{"method":"GET","url":"http://a.test/"},"lane":{"name":null,"known":false,"#
            + #""carrier":null,"conflicts":[],"carriers":[],"invalid":[],"refused":[],"stripped":[]},"#
            + #""listener":"gateway/80","virtualHost":"all","rules":[{"document":"VirtualService ns/test","#
            + #""name":"default","matched":true,"failed":[]}],"decision":"none","reason":null,"#
            + #""outcome":"forward","status":null,"destination":{"service":"a.ns.svc.cluster.local","#
            + #""subset":"","port":80,"cluster":"outbound|80||a.ns.svc.cluster.local","#
            + #""endpoints":["10.0.0.1:8080"]},"edits":[]}"#
        #expect(String(decoding: told.json(), as: UTF8.self) == expected)
    }

    @Test func choosesAListener() throws {
        var built = model()
        var second = built.listeners[0]
        second.name = "gateway/8080"
        second.address = address(0, 8080)
        built.listeners.append(second)
        let bench = try Bench(built)
        func listener(_ url: String, _ name: String? = nil) -> Explanation {
            explain(bench.snapshot, method: "GET", url: url, headers: [], listener: name)
        }
        #expect(listener("http://a.test:8080/").listener == "gateway/8080")
        #expect(listener("http://a.test/").listener == "gateway/80")
        #expect(listener("http://a.test/", "gateway/8080").listener == "gateway/8080")
        #expect(listener("http://a.test/", "none").problem == "no listener none")
        built.listeners = []
        let empty = try Bench(built)
        #expect(explain(empty.snapshot, method: "GET", url: "/", headers: []).problem == "no listener")
    }

    @Test func strangeInputIsNoCrash() throws {
        let bench = try Bench(laneModel(role: .edge))
        var random = SeededRandom()
        for _ in 0..<500 {
            let url = String(
                decoding: random.mutated(Array("http://a.test:80/p?x-feat-name=a#b".utf8)), as: UTF8.self)
            let headers = (0..<random.int(0...120)).map { _ in
                (
                    random.text(random.int(0...8), of: "aX-:\r\n é"),
                    random.text(random.int(0...8), of: "=;, \r\n\0é")
                )
            }
            let told = explain(
                bench.snapshot, method: random.pick(["GET", "", "é"]), url: url, headers: headers)
            #expect(!told.json().isEmpty)
            #expect(!told.text().isEmpty)
        }
    }
}
