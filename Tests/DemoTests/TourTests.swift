// The tour against stand-in proxies: it passes when all goes as told, and each of its checks can fail.
import Base
import Synchronization
import TestSupport
import Testing

@testable import Demo

/// One after the other: each of these takes a whole set of addresses.
@Suite(.serialized) struct DemoSuites {
    @Suite(.serialized) struct TourTests {}
    @Suite(.serialized) struct RunningDemoTests {}
}

extension DemoSuites.TourTests {
    private func tour(_ fault: Fault) throws -> Bool {
        let mesh = try settled(fault)
        defer { mesh.stop() }
        let lines = Lines()
        var tour = Tour(site: mesh.site) { text in lines.all.withLock { $0.append(text) } }
        let passed = try tour.run(until: EndSignals())
        let ends = lines.all.withLock { $0.filter { $0.contains("   OK") || $0.contains("   FAIL") } }
        #expect(ends.count == Tour.steps.count)
        #expect(ends.contains { $0.contains("FAIL") } == !passed)
        return passed
    }

    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    /// Another process may take the same place at the same moment.
    private func settled(_ fault: Fault) throws -> PretendMesh {
        var problem: any Error = TestFailure("no free place")
        for _ in 0..<5 {
            do {
                let site = try #require(Site.firstFree())
                return try PretendMesh(site: site, fault: fault)
            } catch {
                problem = error
            }
        }
        throw problem
    }

    @Test func passesWhenAllGoesAsTold() throws { #expect(try tour(.none)) }

    @Test(arguments: [
        Fault.noPin, .laneForEverybody, .cookieIgnored, .previewIgnored, .noInjection, .headerNotRestored,
        .lossNotCounted, .pinKept, .edgeDown, .pinTwice,
    ])
    func fails(_ fault: Fault) throws { #expect(try !tour(fault)) }

    @Test func sumsASamplesOfOneLabel() {
        let page = "a{x=\"1\"} 2\na{x=\"1\",y=\"2\"} 3.0\na{x=\"2\"} 5\nab{x=\"1\"} 7\n# a{x=\"1\"} 9\n"
        #expect(Tour.sum(of: "a", with: "x=\"1\"", in: page) == 5)
    }
}
