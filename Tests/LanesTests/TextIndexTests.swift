// Routes found by path, header and parameter together are those that trying every rule in order finds; texts
// and prefixes are found as comparing with each finds them.
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct TextIndexTests {
    @Test func findsWhatComparingWithEachFinds() {
        var random = SeededRandom()
        withUnsafeTemporaryAllocation(of: Frozen<Rule>.self, capacity: RuleLists.capacity) { room in
            for _ in 0..<500 {
                let arena = Arena()
                let items = (0..<random.int(0...20)).map { number in
                    TextIndex.Item(
                        text: arena.store(random.text(random.int(0...4), of: "ab/\u{7F}")),
                        isWhole: random.chance(40), rule: Rule(number, proven: random.chance(50)))
                }
                let index = TextIndex(items, arena)
                for _ in 0..<10 {
                    let value = arena.store(random.text(random.int(0...6), of: "ab/\u{7F}"))
                    var lists = RuleLists(room.baseAddress!)
                    index.find(value, &lists)
                    var found: [Rule] = []
                    while let rule = lists.next() { found.append(rule) }
                    let expected = items.filter {
                        $0.isWhole ? value.equals($0.text) : value.hasPrefix($0.text)
                    }
                    #expect(found == expected.map(\.rule))
                    #expect(!lists.overflowed)
                }
            }
        }
    }

    @Test func listsAreBounded() {
        withUnsafeTemporaryAllocation(of: Frozen<Rule>.self, capacity: RuleLists.capacity) { room in
            let arena = Arena()
            var lists = RuleLists(room.baseAddress!)
            for number in (0..<RuleLists.capacity).reversed() {
                lists.add(arena.store([Rule(number, proven: false)]))
            }
            lists.add(.empty)
            #expect(!lists.overflowed)
            lists.add(arena.store([Rule(99, proven: false)]))
            #expect(lists.overflowed)
            #expect(lists.next()?.position == 0)
        }
    }

    // MARK: routes

    private func randomMatch(_ random: inout SeededRandom) -> MatchModel {
        var match = MatchModel()
        if random.chance(80) {
            let path = "/" + random.text(random.int(0...4), of: "ab/")
            match.uri = random.pick([
                .exact(path), .prefix(path), .regex(path), .regex("\(path).*"), .regex(".*\(path).*"),
                .regex("\(path)[ab]?"), .present,
            ])
            match.uriPrefixBySegment = random.chance(20)
            match.ignoreUriCase = random.chance(10)
        }
        if random.chance(40) {
            let value = random.text(random.int(1...2), of: "ab")
            match.headers = [
                NamedMatch(
                    name: random.pick(["x-a", "x-b"]),
                    match: random.pick([.exact(value), .prefix(value), .regex(".*\(value).*")]),
                    inverted: random.chance(10))
            ]
        }
        if random.chance(20) {
            match.queryParams = [NamedMatch(name: "q", match: .exact(random.text(1, of: "ab")))]
        }
        if random.chance(10) { match.method = .exact("POST") }
        return match
    }

    private func randomPath(_ random: inout SeededRandom) -> String {
        let path = "/" + random.text(random.int(0...5), of: "ab/")
        // Bytes beyond ASCII are RE2's to judge.
        return random.chance(10) ? path + "\u{E9}" : path
    }

    /// By the index, and by trying each.
    private func choose(
        _ host: UnsafePointer<VirtualHost>, _ url: String, _ headers: [(String, String)], isConnect: Bool
    ) -> (indexed: Int?, linear: Int?) {
        let head = ExplainHead(method: "GET", url: url, headers: headers, normalization: .none)
        defer { head.deallocate() }
        var request = head.request
        request.isConnect = isConnect
        let routes = host.pointee.routes
        func position(_ route: UnsafePointer<Route>?) -> Int? { route.map { $0 - routes.start } }
        let index = host.pointee.index!
        let indexed = index.pointee.choose(routes, request, head.headers, LineNotes())
        var trace = NoTrace()
        let linear = (0..<routes.count).first { position in
            let conditions = routes[position].pointee.conditions
            return matches(conditions, request, head.headers, proven: false, &trace)
        }
        return (position(indexed), linear)
    }

    @Test func theIndexedRouteIsTheFirstThatMatches() throws {
        var random = SeededRandom()
        var indexed = 0
        var chosen = 0
        for _ in 0..<300 {
            let routes = (0..<random.int(1...40)).map { forward("\($0)", randomMatch(&random)) }
            let bench = try Bench(model(routes))
            let host = bench.listener().pointee.tables[0].pointee.hosts.pointee.virtualHosts[0]
            guard host.pointee.index != nil else { continue }
            indexed += 1
            for _ in 0..<20 {
                let query = random.chance(30) ? "?q=" + random.text(1, of: "ab") : ""
                let headers = (0..<random.int(0...3)).map { _ in
                    (random.pick(["x-a", "x-b"]), random.text(random.int(1...3), of: "ab"))
                }
                let url = randomPath(&random) + query
                let found = choose(host, url, headers, isConnect: random.chance(5))
                #expect(found.indexed == found.linear, "\(url) \(headers) \(routes.map(\.match))")
                if found.linear != nil { chosen += 1 }
            }
        }
        #expect(indexed > 100)
        #expect(chosen > 1_000)
    }

    /// More prefixes of one path than lists are kept.
    @Test func deeplyNestedPrefixesKeepTheOrder() throws {
        let paths = (1...40).map { "/" + String(repeating: "a", count: $0) }
        let bench = try Bench(model(paths.reversed().map { forward($0, uri(.prefix($0))) }))
        let host = bench.listener().pointee.tables[0].pointee.hosts.pointee.virtualHosts[0]
        #expect(host.pointee.index != nil)
        for path in paths { #expect(bench.send(path + "/b").routeName == path) }
        #expect(bench.send("/b").routeName == nil)
    }

    /// The rarest literal finds a route, whichever condition has it.
    @Test func pathsAndHeadersShareTheWork() throws {
        var routes = (0..<50).map { number in
            var match = header("x-version", .exact("2"))
            match.uri = .exact("/path-\(number)")
            return forward("path-\(number)", match)
        }
        routes += (0..<50).map { number in
            var match = header("x-user", .exact("user-\(number)"))
            match.uri = .prefix("/api")
            return forward("user-\(number)", match)
        }
        let bench = try Bench(model(routes + [forward("default")]))
        #expect(bench.send("/path-7", [("x-version", "2")]).routeName == "path-7")
        #expect(bench.send("/path-7").routeName == "default")
        #expect(bench.send("/api/x", [("x-user", "user-30")]).routeName == "user-30")
        #expect(bench.send("/apx", [("x-user", "user-30")]).routeName == "default")
    }
}
