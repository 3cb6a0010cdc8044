// The property that lanes rest on: the indexed choice of a route is the one that trying every rule in order
// by RE2 gives, for random rule sets and values.
import Base
import HTTP
import TestSupport
import Testing

@testable import Lanes

@Suite struct RouteIndexTests {
    private func randomMatch(_ random: inout SeededRandom) -> StringMatch {
        let name = random.pick(["lane-1", "lane-10", "lane-2", "a", "auth", "auth-2", "b.c", "x=lane-1"])
        let escaped = name.replacing(".", with: "\\.")
        switch random.int(0...16) {
        case 0: return .exact(name)
        case 1: return .prefix(name)
        case 2: return .regex(".*(\(escaped)).*")
        case 3: return .regex(".*\(escaped).*")
        case 4: return .regex("^(.*;)?\(escaped)(;.*)?$")
        case 5: return .regex("^(.*?;)?\\s*(\(escaped))(;.*)?$")
        case 6: return .regex(escaped)
        case 7: return .regex("\(escaped).*")
        case 8: return .regex("[a-l]+-[0-9]*")
        case 9: return .regex("^(.*;\\s*)?\(escaped)(\\s*;.*)?$")
        case 10: return .regex("([^;]*;)*\(escaped)(;[^;]*)*")
        case 11: return .regex(".*\(escaped)[0-9]?(;.*)?")
        case 12: return .regex("(x=)?\(escaped)|\(escaped); .*")
        case 14: return .regex("(?i).*\(escaped)[0-9]?.*")
        case 15: return .regex("(?is)\(escaped.uppercased()).*")
        case 13: return .regex(".*(?:lane-)[12]{1,2}.*")
        default: return .present
        }
    }

    private func holds(_ named: NamedMatch, _ headers: [(String, [UInt8])], _ regexes: inout Cache) -> Bool {
        let lines = headers.filter { $0.0 == named.name }.map(\.1)
        let found = lines.contains { accepts(named.match, $0, &regexes) }
        if !named.inverted { return found }
        if lines.isEmpty {
            if case .present = named.match { return true }
            return !accepts(named.match, [], &regexes)
        }
        return !found
    }

    private func accepts(_ match: StringMatch, _ value: [UInt8], _ regexes: inout Cache) -> Bool {
        switch match {
        case .exact(let text): value == Array(text.utf8)
        case .prefix(let text): value.starts(with: Array(text.utf8))
        case .present: true
        case .regex(let pattern): regexes.get(pattern)?.matches(value) ?? false
        }
    }

    struct Cache {
        private var compiled: [String: TestRegex] = [:]
        mutating func get(_ pattern: String) -> TestRegex? {
            if let known = compiled[pattern] { return known }
            compiled[pattern] = TestRegex(pattern)
            return compiled[pattern]
        }
    }

    @Test func indexedChoiceEqualsRuleByRule() throws {
        var random = SeededRandom()
        var regexes = Cache()
        var indexed = 0
        for _ in 0..<300 {
            let rules = (0..<random.int(1...40)).map { _ in
                var conditions = [
                    NamedMatch(
                        name: random.pick(["x-feat-name", "cookie"]), match: randomMatch(&random),
                        inverted: random.chance(10))
                ]
                if random.chance(20) {
                    conditions.append(
                        NamedMatch(
                            name: random.pick(["x-other", "cookie"]), match: randomMatch(&random),
                            inverted: random.chance(30)))
                }
                return conditions
            }
            let routes = rules.enumerated().map { number, conditions in
                var match = MatchModel()
                match.headers = conditions
                return forward("\(number)", match)
            }
            let bench = try Bench(model(routes))
            let host = bench.listener().pointee.tables[0].pointee.hosts.pointee.virtualHosts[0]
            if host.pointee.index != nil { indexed += 1 }
            for _ in 0..<20 {
                let headers = randomHeaders(&random)
                let expected = firstRule(rules, headers, &regexes).map(String.init)
                let chosen = choose(host, headers)
                #expect(chosen == expected)
            }
        }
        #expect(indexed > 100)
    }

    private func firstRule(
        _ rules: [[NamedMatch]], _ headers: [(String, [UInt8])], _ regexes: inout Cache
    ) -> Int? {
        for (number, conditions) in rules.enumerated() {
            var all = true
            for condition in conditions where !holds(condition, headers, &regexes) { all = false }
            if all { return number }
        }
        return nil
    }

    private func randomHeaders(_ random: inout SeededRandom) -> [(String, [UInt8])] {
        (0..<random.int(0...4)).map { _ in
            let literal = random.pick([
                "lane-1", "lane-10", "auth", "auth-2", "x=lane-1", "b.c", "bxc", "LANE-1", "Auth",
            ])
            var value = randomValue(&random, around: Array(literal.utf8))
            // Field values are trimmed and cannot hold these.
            value.removeAll { $0 == 0x0A || $0 == 0x0D || $0 == 0x00 }
            let trimmed = view(value) { $0.trimmed.bytes }
            return (random.pick(["x-feat-name", "cookie", "x-other"]), trimmed)
        }
    }

    /// The name of the route that the index, or the walk where there is none, chooses.
    private func choose(
        _ host: UnsafePointer<VirtualHost>, _ headers: [(String, [UInt8])]
    ) -> String? {
        var list = HeaderList()
        defer { list.deallocate() }
        for (name, value) in headers {
            view(name) { name in view(value) { value in list.append(HeaderName(name), value) } }
        }
        var request = Request()
        request.path = "/"
        if let index = host.pointee.index {
            return index.pointee.choose(host.pointee.routes, request, list, LineNotes())?.pointee.name.string
        }
        return byOne(host.pointee.routes, request, list)?.pointee.name.string
    }

    @Test func pathsAndAuthoritiesAreIndexedToo() throws {
        var random = SeededRandom()
        var indexed = 0
        var chosen = 0
        for _ in 0..<200 {
            let routes = (0..<random.int(8...40)).map { number in
                var match = MatchModel()
                if random.chance(70) { match.uri = randomPath(&random) }
                if random.chance(50) {
                    match.authority = random.pick([
                        .exact("a.test"), .prefix("b."), .regex("(?i).*\\.test"),
                        .regex("[a-c]\\.test(:[0-9]+)?"),
                    ])
                }
                return forward("\(number)", match)
            }
            let bench = try Bench(model(routes))
            let host = bench.listener().pointee.tables[0].pointee.hosts.pointee.virtualHosts[0]
            guard let index = host.pointee.index else { continue }
            indexed += 1
            let list = HeaderList()
            defer { list.deallocate() }
            for _ in 0..<20 {
                let path =
                    "/" + random.pick(["cart", "CART", "cart/7", "Shop/a", "shop", "shop/items/12", "v1.x"])
                let authority = random.pick(["a.test", "A.TEST", "b.test", "b.other", "c.test:80"])
                view(Array(path.utf8)) { path in
                    view(Array(authority.utf8)) { authority in
                        var request = Request()
                        request.path = path
                        request.authority = authority
                        let found = index.pointee.choose(host.pointee.routes, request, list, LineNotes())
                        let expected = byOne(host.pointee.routes, request, list)
                        #expect(found == expected)
                        chosen += found == nil ? 0 : 1
                    }
                }
            }
        }
        #expect(indexed > 100)
        #expect(chosen > 100)
    }

    private func randomPath(_ random: inout SeededRandom) -> StringMatch {
        random.pick([
            .exact("/cart"), .exact("/shop"), .prefix("/shop/"), .prefix("/"), .regex("/cart(/[0-9]+)?"),
            .regex("(?i)/cart.*"), .regex("/shop/items/[0-9]+"), .regex("(?is)^/shop/.*"),
            .regex("/v[0-9]\\.x"),
            .regex("/(cart|shop)"), .regex(".*"),
        ])
    }

    private func byOne(
        _ routes: Frozen<Route>, _ request: Request, _ headers: HeaderList
    ) -> UnsafePointer<Route>? {
        var trace = NoTrace()
        for position in 0..<routes.count
        where matches(routes[position].pointee.conditions, request, headers, proven: false, &trace) {
            return routes[position]
        }
        return nil
    }

    /// A value that names every lane at once overflows the candidates; the first rule still wins.
    @Test func manyCandidatesKeepTheOrder() throws {
        var routes = (0..<300).reversed().map {
            forward("lane-\($0)", header("x-feat-name", .regex(".*(lane-\($0)-).*")))
        }
        routes.append(forward("default"))
        let bench = try Bench(model(routes))
        let all = (0..<200).map { "lane-\($0)-" }.joined()
        #expect(bench.send("/", [("x-feat-name", all)]).routeName == "lane-199")
        #expect(bench.send("/", [("x-feat-name", "lane-7-")]).routeName == "lane-7")
        #expect(bench.send("/", [("x-feat-name", "lane-300-")]).routeName == "default")
        #expect(bench.send("/").routeName == "default")
    }

    /// When none of the kept candidates holds, the rules after them are tried one by one.
    @Test func cutCandidatesAreMadeUpFor() throws {
        let routes = (0..<200).map { number in
            var match = header("x-feat-name", .regex(".*l\(number)-.*"))
            match.uri = .exact(number == 150 ? "/yes" : "/no")
            return forward("\(number)", match)
        }
        let bench = try Bench(model(routes))
        let all = (0..<200).map { "l\($0)-" }.joined()
        #expect(bench.send("/yes", [("x-feat-name", all)]).routeName == "150")
        #expect(bench.send("/none", [("x-feat-name", all)]).routeName == nil)
    }

    @Test func queryParametersAreIndexedToo() throws {
        let routes = (0..<20).map { number in
            var match = MatchModel()
            match.queryParams = [NamedMatch(name: "x-feat-name", match: .exact("lane-\(number)"))]
            return forward("\(number)", match)
        }
        let bench = try Bench(model(routes + [forward("default")]))
        #expect(bench.send("/?x-feat-name=lane-7").routeName == "7")
        #expect(bench.send("/?a=1&x-feat-name=lane-12&x-feat-name=lane-1").routeName == "12")
        #expect(bench.send("/?x-feat-name=lane-77").routeName == "default")
        #expect(bench.send("/?y=lane-7").routeName == "default")
    }

    @Test func patternSetsAcceptWhatSomePatternAccepts() throws {
        var known = policy()
        known.knownByRoutes = [
            .regex(".*(auth).*"), .exact("one"), .prefix("pre"), .regex("[0-9]+x"),
            .regex(".*(x-feat-name=cart).*"), .exact("x-feat-name=whole"),
        ]
        let bench = try Bench(model(policy: known))
        for name in ["auth", "auth-2", "my-auth", "one", "pre", "prefix", "12x", "cart", "cart-2", "whole"] {
            #expect(bench.send("/", [("x-feat-name", name)]).decision.lane.known, "\(name)")
        }
        for name in ["two", "one-1", "aut", "x12", "art", "feat"] {
            #expect(!bench.send("/", [("x-feat-name", name)]).decision.lane.known, "\(name)")
        }
    }
}
