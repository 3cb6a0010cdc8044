// A thousand lanes, as the pattern's regular expressions and as native lanes: right answers at both ends of
// the list and between.
import TestSupport
import Testing

private struct ManyEdge: Sendable {
    let site: LaneSite
    let first: EchoUpstream
    let last: EchoUpstream
    let stable: EchoUpstream
    static let count = 1_000
    static let shared = Result { try ManyEdge() }

    private init() throws {
        let first = try puppet("first")
        let last = try puppet("last")
        let stable = try puppet("stable")
        (self.first, self.last, self.stable) = (first, last, stable)
        // Shapes by turns, names without a common end, so that no name holds another.
        func rule(_ name: String, _ match: String) -> String {
            "- name: \(name)\n  match: [\(match)]\n  directResponse: {status: 200, body: {string: \(name)}}"
        }
        let rules = (0..<Self.count).map { index -> String in
            let name = Self.name(index)
            switch index % 4 {
            case 0: return rule(name, "{headers: {x-feat-name: {regex: \".*(\(name)).*\"}}}")
            case 1: return rule(name, "{headers: {cookie: {regex: \".*(x-feat-name=\(name)).*\"}}}")
            case 2: return rule(name, "{headers: {cookie: {regex: \"^(.*;)?x-feat-name=\(name)(;.*)?$\"}}}")
            default: return rule(name, "{headers: {x-feat-name: {exact: \(name)}}}")
            }
        }
        let lanes = (0..<Self.count).map { index in
            Documents.lane(
                "native-\(index)", "app.test", [index == 0 ? first.port : last.port])
        }
        site = try LaneSite(
            Documents.join(
                [
                    Documents.edge(), Documents.policy("accept: {cookie: true}"),
                    Documents.service("app.test", [(stable.port, "{version: stable}")]),
                    Documents.published("app.test"),
                    Documents.virtualService(
                        "many.test", (rules + [rule("rest", "{}")]).joined(separator: "\n")),
                ] + lanes))
    }

    static func name(_ index: Int) -> String { "l\(10_000 + index)x" }
}

@Suite struct RouteManyLanesTests {
    private let edge: ManyEdge

    init() throws { edge = try ManyEdge.shared.get() }

    private func rule(_ lines: String...) throws -> String {
        try edge.site.get("/", host: "many.test", lines).response.text
    }

    @Test(arguments: [0, 1, 2, 3, 498, 499, 500, 501, 996, 997, 998, 999])
    func theRightRuleOfAThousand(_ index: Int) throws {
        let name = ManyEdge.name(index)
        switch index % 4 {
        case 0: #expect(try rule("x-feat-name: a-\(name)-b") == name)
        case 1: #expect(try rule("Cookie: a=b; x-feat-name=\(name)more; c") == name)
        case 2:
            #expect(try rule("Cookie: a=b;x-feat-name=\(name);c") == name)
            #expect(try rule("Cookie: x-feat-name=\(name)more") == "rest")
        default:
            #expect(try rule("x-feat-name: \(name)") == name)
            #expect(try rule("x-feat-name: \(name)a") == "rest")
        }
    }

    @Test func theFirstOfSeveralWins() throws {
        let (first, last) = (ManyEdge.name(0), ManyEdge.name(996))
        #expect(try rule("x-feat-name: \(last)-\(first)") == first)
        // The edge takes the cookie of another lane away before routes look at it.
        #expect(try rule("x-feat-name: \(last)", "Cookie: x-feat-name=\(ManyEdge.name(1))") == last)
        let (late, later) = (ManyEdge.name(997), ManyEdge.name(998))
        #expect(try rule("Cookie: x-feat-name=\(later); x-feat-name=\(late)") == late)
    }

    @Test func nobodyElseMatches() throws {
        #expect(try rule() == "rest")
        #expect(try rule("x-feat-name: l11000x") == "rest")
        #expect(try rule("x-feat-name: l1000x", "Cookie: a=b") == "rest")
    }

    @Test func nativeLanesAtBothEnds() throws {
        func upstream(_ lane: String) throws -> String? {
            try edge.site.get("/", host: "app.test", ["x-feat-name: \(lane)"]).upstream
        }
        #expect(try upstream("native-0") == "first" && upstream("native-999") == "last")
        #expect(try upstream("native-1") == "last" && upstream("native-1000") == "stable")
        #expect(try edge.site.get("/", host: "app.test").upstream == "stable")
    }
}
