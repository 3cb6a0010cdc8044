// Fairlead against real Envoy: the same random documents, the same requests, the same upstreams, and the same
// outcome.
import Glibc
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(60)))
struct RandomTests {
    /// How many requests each random site gets, and how many sites share a run.
    private static let probes = 10
    private static let sites = 40

    /// FAIRLEAD_CASES asks for as many others. The 2,000 of every run are always the same, so that a change
    /// fails for what it did, and not for what somebody would have found one day.
    @Test func randomSitesAndRequests() throws {
        let asked = getenv("FAIRLEAD_CASES").flatMap { Int(String(cString: $0)) }
        var generator = Generator(random: SeededRandom(usual: asked == nil ? 1 : nil))
        var left = asked ?? 2_000
        var disagreements: [Disagreement] = []
        while left > 0, disagreements.count < 3 {
            let setup = generator.setup()
            let count = min(Self.sites, (left + Self.probes - 1) / Self.probes)
            left -= count * Self.probes
            let sites = (0..<count).map { (name: "case\($0).test", site: generator.site(setup)) }
            let pair = try Pair(setup, sites)
            for (name, site) in sites {
                for _ in 0..<Self.probes {
                    let probe = generator.probe(setup, site)
                    let (fairlead, envoy) = try pair.ask(probe, of: name)
                    if fairlead == envoy { continue }
                    disagreements.append(
                        Disagreement(
                            setup: setup, site: site, probe: probe, fairlead: fairlead, envoy: envoy))
                    break
                }
            }
        }
        for disagreement in disagreements.prefix(3) {
            Issue.record("\(disagreement.shrunk())\n\nas it was found:\n\(disagreement)")
        }
    }
}
