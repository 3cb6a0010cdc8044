// The tour against stand-in proxies: it passes when all goes as told, and each of its checks can fail.
import Base
import TestSupport
import Testing

@testable import Demo

@Suite(.serialized) struct TourTests {
    private func tour(_ fault: Fault) throws -> Bool {
        let site = try #require(Site.firstFree())
        for pod in Pod.all { try Application(pod: pod, site: site).start() }
        let mesh = try PretendMesh(site: site, fault: fault)
        var tour = Tour(site: mesh.site)
        return try tour.run(until: EndSignals())
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
