// Shrinking: of a large random site and request, in which something small was planted, that alone is left.
import Glibc
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(20)))
struct ShrinkingTests {
    /// A comparison fails where a rule's field on the response and a field of the request meet.
    private static func differ(_ fairlead: Outcome, _ envoy: Outcome) -> Bool {
        fairlead == envoy && fairlead.meets("< x-planted: 1") && !fairlead.meets("!> x-plant: a")
    }

    private static let rule = """
        - match: [{uri: {prefix: /a}, headers: {x-plant: {prefix: a}}}, {uri: {exact: /b}}]
          name: planted
          headers: {response: {set: {x-planted: "1", x-new: "2"}}, request: {add: {x-a: "1"}}}
          route: [{destination: {host: one.test, port: {number: 80}}}]
        - redirect: {uri: /new}
        """

    private static let apiRule = """
          - matches: [{path: {value: /a}, headers: [{name: x-plant, value: abcd}]}, {path: {value: /b}}]
            name: planted
            filters:
            - {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-a, value: "1"}]}}
            - type: ResponseHeaderModifier
              responseHeaderModifier: {set: [{name: x-new, value: "2"}, {name: x-planted, value: "1"}]}
            backendRefs: [{group: networking.istio.io, kind: Hostname, name: one.test, port: 80, weight: 7}]

        """

    /// A site of its setup with the planted document in the middle, and a request that it is for.
    private func planted(_ setup: Setup, _ documents: [Json], seed: UInt64) throws -> Disagreement {
        var generator = Generator(random: SeededRandom(seed: seed))
        var site = Site(documents: [])
        while site.documents.count < 2 { site = generator.site(setup) }
        site.documents.insert(contentsOf: documents, at: site.documents.count / 2)
        let fields: [Probe.Field] = [.init("x-b", "foobar"), .init("x-plant", "abcd"), .init("x-a", "1")]
        let probe = Probe(method: "PUT", target: "/a/b?q=1&v=2", host: "p.$HOST:80", fields: fields)
        let outcomes = try Pair(setup, [("case.test", site)]).ask(probe, of: "case.test")
        let found = Disagreement(
            setup: setup, site: site, probe: probe, fairlead: outcomes.fairlead, envoy: outcomes.envoy,
            differ: Self.differ)
        #expect(outcomes.fairlead == outcomes.envoy && Self.differ(found.fairlead, found.envoy), "\(found)")
        return found
    }

    private let smallest = Probe(host: "p.$HOST", fields: [.init("x-plant", "a")])

    @Test func aPlantedRuleOfAVirtualServiceIsLeft() throws {
        let whole = document(
            "networking.istio.io/v1", "VirtualService", "planted-$ID",
            [
                "hosts": ["p.$HOST", "q.$HOST"], "gateways": ["public", "mesh"],
                "http": try documents(yaml: Self.rule)[0],
            ], created: "2026-01-02T00:00:00Z")
        let left = try planted(.edge, [whole], seed: 1).shrunk()
        let rule =
            "{headers: {response: {set: {x-planted: \"1\"}}}, route: [{destination: {host: one.test}}]}"
        let expected = document(
            "networking.istio.io/v1", "VirtualService", "planted-$ID",
            [
                "hosts": ["p.$HOST"], "gateways": ["public"],
                "http": try documents(yaml: "[\(rule)]")[0],
            ])
        #expect(left.site.documents == [expected], "\(left)")
        #expect(left.probe == smallest, "\(left)")
    }

    /// Half a minute: for those who ask for many cases.
    @Test(.enabled(if: getenv("FAIRLEAD_CASES") != nil))
    func aPlantedRuleOfAnHTTPRouteIsLeft() throws {
        let route = apiRoute(
            Self.apiRule, name: "planted", hosts: "[p.$HOST, q.$HOST]",
            parents: "[{name: public, namespace: shop, port: 80}]", created: "2026-01-02T00:00:00Z")
        let left = try planted(.api, try documents(yaml: route), seed: 3).shrunk()
        let rule = """
              - filters:
                - type: ResponseHeaderModifier
                  responseHeaderModifier: {set: [{name: x-planted, value: "1"}]}
                backendRefs: [{group: networking.istio.io, kind: Hostname, name: one.test, port: 80}]

            """
        let expected = try documents(
            yaml: apiRoute(rule, name: "planted", hosts: "[p.$HOST]", parents: "[{name: public}]"))
        #expect(left.site.documents == expected, "\(left)")
        #expect(left.probe == smallest, "\(left)")
    }
}
