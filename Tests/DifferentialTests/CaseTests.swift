// The hand-written cases: both programs agree, and with what the semantics say.
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(20)))
struct CaseTests {
    /// Each run of both programs takes all cases of one setup.
    @Test func everyRowOfTheSemantics() throws {
        let cases = try allCases()
        #expect(Set(cases.map(\.row)).count == cases.count, "two cases for one row")
        for (setup, group) in Dictionary(grouping: cases, by: \.setup) {
            let sites = group.enumerated().map { (name: "case\($0.offset).test", site: $0.element.site) }
            let pair = try Pair(setup, sites)
            for (one, (name, _)) in zip(group, sites) {
                for ask in one.asks { try check(ask, of: one, at: name, with: pair) }
            }
        }
    }

    private func check(_ ask: Ask, of one: Case, at name: String, with pair: Pair) throws {
        let (fairlead, envoy) = try pair.ask(ask.probe, of: name)
        let expected = ask.expected.map { naming($0, name, pair.ports) }
        let missed = expected.filter { !fairlead.meets($0) }
        let missedByEnvoy = expected.filter { !envoy.meets($0) }
        // A difference that is gone is to be taken off the list.
        let theirs = one.ofEnvoy.map { naming($0, name, pair.ports) }
        let areTheirs = theirs.allSatisfy(envoy.meets) && !theirs.allSatisfy(fairlead.meets)
        let isGone = theirs.isEmpty ? fairlead == envoy : !areTheirs
        let isRight = one.difference == nil ? fairlead == envoy : !isGone
        if isRight, missed.isEmpty { return }
        Issue.record(
            """
            \(one.row)
            \(ask.probe.head(name, pair.ports))not met by Fairlead: \(missed), by Envoy: \(missedByEnvoy)
            only Fairlead: \(fairlead.lines.filter { !envoy.lines.contains($0) })
            only Envoy:    \(envoy.lines.filter { !fairlead.lines.contains($0) })
            of Envoy, as README.md has it: \(theirs.filter { !envoy.meets($0) }) is not so
            Fairlead: \(fairlead.lines)
            """)
    }
}

private func allCases() throws -> [Case] {
    try matchCases() + actionCases() + delegateCases() + headerCases() + corsCases() + gatewayCases()
        + serviceCases() + sidecarCases() + egressCases() + wireCases() + apiAttachmentCases()
        + apiMatchCases() + apiFilterCases() + differenceCases() + apiDifferenceCases()
}
