// The documents and the demo's idea of them: same pods, same addresses, nothing left behind when shifted.
import Base
import TestSupport
import Testing

@testable import Demo

@Suite struct SiteTests {
    private let shipped = [
        PackageResources.edge_yaml, PackageResources.lanes_yaml, PackageResources.pods_yaml,
        PackageResources.services_yaml, PackageResources.sidecars_yaml,
    ].map { String(decoding: $0, as: UTF8.self) }

    @Test func documentsSayWhereThePodsAre() {
        let site = Site(shift: 0)
        for pod in Pod.all {
            let ip = "127.77.0.\(pod.host)"
            #expect(site.application(pod).text == "\(ip):18080")
            #expect(site.outbound(pod).text == "\(ip):15001")
            let sidecar = documents(naming: pod.name).first { $0.contains("kind: Proxy") } ?? ""
            #expect(sidecar.contains("app: \"\(ip):18080\""))
            #expect(sidecar.contains("outbound: {address: \(ip), port: 15001}"))
            #expect(sidecar.contains("lane: \(pod.version)\n") == (pod.version != "stable"))
            let known = documents(naming: pod.name).first { $0.contains("kind: Pod\n") } ?? ""
            #expect(known.contains("podIP: \(ip)\n"))
            #expect(known.contains("version: \(pod.version)}"))
            let slices = shipped.joined().split(separator: "---\n").filter {
                $0.contains("kind: EndpointSlice")
            }
            #expect(
                slices.filter { $0.contains("addresses: [\"\(ip)\"]") && $0.contains("name: \(pod.name),") }
                    .count == 1)
        }
    }

    @Test func shiftedDocumentsKeepNothingOfTheFirstPlace() {
        let site = Site(shift: 3)
        let text = shipped.map(site.place).joined()
        for old in ["127.77", "15006", "15001", "18080"] { #expect(!text.contains(old)) }
        let pod = Pod.all[0]
        #expect(text.contains("app: \"\(site.application(pod).text)\""))
        #expect(site.application(pod).text == "127.80.0.11:18380")
        #expect(site.edgeAdmin.text == "127.0.0.1:15300")
        #expect(shipped.map(Site(shift: 0).place) == shipped)
    }

    @Test func takenPortsShiftTheSite() throws {
        let first = try #require(Site.firstFree())
        let taken = try #require(BlockingSocket.listen(on: first.outbound(Pod.all[5])))
        defer { _ = BlockingSocket(taken) }
        #expect(try #require(Site.firstFree()).shift > first.shift)
    }

    private func documents(naming name: String) -> [Substring] {
        shipped.flatMap { $0.split(separator: "---\n") }.filter { $0.contains("name: \(name)\n") }
    }
}
