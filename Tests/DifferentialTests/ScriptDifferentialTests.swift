// The same scripts in Fairlead and in real Envoy (istio-semantics.md 20).
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct ScriptDifferentialTests {
    @Test func scriptsMeanTheSame() throws {
        let second = Rule(
            matches: [Match(uri: .prefix("/v2")), Match(headers: ["x-to": .exact("v2")])],
            action: .route([Destination(subset: "v2")]))
        let pair = try Pair([("scripts.test", Site(rules: [second, Rule()]))], script: scriptOfAllCases)
        for one in scriptCases {
            var probe = one.probe
            probe.fields.append(Probe.Field(name: "x-case", value: one.name))
            let (fairlead, envoy) = try pair.ask(probe, of: "scripts.test")
            let ours = fairlead.filter { !envoy.contains($0) }.joined(separator: "\n  ")
            let theirs = envoy.filter { !fairlead.contains($0) }.joined(separator: "\n  ")
            #expect(
                fairlead == envoy, "\(one.name)\nFairlead alone:\n  \(ours)\nEnvoy alone:\n  \(theirs)")
        }
    }
}
