// A disagreement made small: every way to leave something out is tried, all of one round in one run of both
// programs, until nothing can be left out.

/// A site, a request to it, and what became of it.
struct Disagreement: CustomStringConvertible {
    var setup: Setup
    var site: Site
    var probe: Probe
    var fairlead: Outcome
    var envoy: Outcome

    var description: String {
        """
        \(setup)
        \(probe.head("case.test", [:]))\(site.documents.map { $0.named("case.test", [:]).encoded }
            .joined(separator: "\n---\n"))
        egress: \(site.egress)
        Fairlead: \(fairlead.lines.filter { !envoy.lines.contains($0) }.joined(separator: "\n          "))
        Envoy:    \(envoy.lines.filter { !fairlead.lines.contains($0) }.joined(separator: "\n          "))
        """
    }
}

extension Disagreement {
    /// The smallest that still disagrees, in at most `rounds` rounds.
    func shrunk(rounds: Int = 80) -> Disagreement {
        var best = self
        for _ in 0..<rounds {
            guard let smaller = best.firstSmaller(of: best.smaller[...]) else { break }
            best = smaller
        }
        return best
    }

    /// Of these the first that still disagrees. Leaving out may leave what a proxy does not take: such a
    /// batch is tried in halves.
    private func firstSmaller(of candidates: ArraySlice<(Site, Probe)>) -> Disagreement? {
        if candidates.count > 60 {
            let first = candidates.prefix(60)
            return firstSmaller(of: first) ?? firstSmaller(of: candidates.dropFirst(60))
        }
        if candidates.isEmpty { return nil }
        if let found = try? tried(candidates) { return found.first }
        if candidates.count == 1 { return nil }
        let half = candidates.prefix(candidates.count / 2)
        return firstSmaller(of: half) ?? firstSmaller(of: candidates.dropFirst(half.count))
    }

    /// At most one; throws where the programs do not take all of these.
    private func tried(_ candidates: ArraySlice<(Site, Probe)>) throws -> [Disagreement] {
        var sites = candidates.enumerated().map { (name: "case\($0.offset).test", site: $0.element.0) }
        let probes = Dictionary(uniqueKeysWithValues: zip(sites.map(\.name), candidates.map(\.1)))
        var pair: Pair
        do {
            pair = try Pair(setup, sites)
        } catch let refused as Pair.Refused {
            sites.removeAll { refused.sites.contains($0.name) }
            pair = try Pair(setup, sites)
        }
        for (name, site) in sites {
            // Where chance decides who answers, to differ says nothing.
            guard let probe = probes[name], !leavesToChance(site) else { continue }
            let (fairlead, envoy) = try pair.ask(probe, of: name)
            if fairlead == envoy { continue }
            return [
                Disagreement(setup: setup, site: site, probe: probe, fairlead: fairlead, envoy: envoy)
            ]
        }
        return []
    }

    private func leavesToChance(_ site: Site) -> Bool {
        let ports = Dictionary(uniqueKeysWithValues: Upstreams.echoes.map { ($0, UInt16(1)) })
        let world = IstioWorld(documents(setup, [("case.test", site)], ports: ports).flatMap { $0 })
        _ = world.isEdge ? world.gatewayHosts() : world.sidecarHosts()
        return world.clusters.contains { $0.value.count > 1 && $0.key != "outbound|8080||app.test" }
            || site.documents.contains { $0.encoded.contains("app.test\"}") }
    }

    private var smaller: [(Site, Probe)] {
        var all: [(Site, Probe)] = []
        func add(_ documents: [Json]) {
            all.append((Site(documents: documents, egress: site.egress), probe))
        }
        for index in site.documents.indices {
            var documents = site.documents
            documents.remove(at: index)
            add(documents)
        }
        for (index, document) in site.documents.enumerated() {
            guard let spec = document["spec"] else { continue }
            for smaller in spec.withoutOne {
                var documents = site.documents
                documents[index] = document.setting("spec", smaller)
                add(documents)
            }
            if let meta = document["metadata"], meta["creationTimestamp"] != nil {
                var documents = site.documents
                documents[index] = document.setting("metadata", meta.setting("creationTimestamp", nil))
                add(documents)
            }
        }
        for index in site.egress.indices {
            var copy = site
            copy.egress.remove(at: index)
            all.append((copy, probe))
        }
        return all + probe.smaller.map { (site, $0) }
    }
}

extension Probe {
    fileprivate var smaller: [Probe] {
        var all = fields.indices.map { index in
            var copy = self
            copy.fields.remove(at: index)
            return copy
        }
        func change(_ edit: (inout Probe) -> Void) {
            var copy = self
            edit(&copy)
            if copy != self { all.append(copy) }
        }
        change { $0.target = "/" }
        change { $0.target = String($0.target.prefix { $0 != "?" }) }
        change { $0.method = "GET" }
        change { $0.host = "$HOST" }
        change { $0.port = 80 }
        change { $0.version = "HTTP/1.1" }
        return all
    }
}
