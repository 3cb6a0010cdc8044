// A disagreement made small. A round tries every way to leave one thing out, many in one run of both
// programs, then leaves out together as much as possible of what could go alone. So a round takes away most
// of what is there, and a few rounds are enough for large documents.

/// A site, a request to it, and what became of it.
struct Disagreement: CustomStringConvertible {
    var setup: Setup
    var site: Site
    var probe: Probe
    var fairlead: Outcome
    var envoy: Outcome
    /// What makes it one.
    var differ: @Sendable (_ fairlead: Outcome, _ envoy: Outcome) -> Bool = { $0 != $1 }

    var description: String {
        """
        \(setup)
        \(probe.head("case.test", [:]))\(site.documents.map { $0.named("case.test", [:]).encoded }
            .joined(separator: "\n---\n"))
        egress: \(site.egress) \(site.egressOfPort)
        Fairlead: \(fairlead.lines.filter { !envoy.lines.contains($0) }.joined(separator: "\n          "))
        Envoy:    \(envoy.lines.filter { !fairlead.lines.contains($0) }.joined(separator: "\n          "))
        """
    }
}

/// One thing to leave out or to make plain.
private enum Cut {
    case document(Int)
    /// Of a document's `spec`.
    case part(Int, [Int])
    case age(Int)
    case egress(Int)
    case egressOfPort(Int)
    case field(Int)
    case shorterValue(Int)
    case request(Plainer)

    /// Where it is: what comes later is cut first, so that places stay what they are.
    var order: [Int] {
        switch self {
        case .document(let index): [index, -1]
        case .part(let index, let place): [index] + place
        case .age(let index): [index, .max]
        case .egress(let index), .egressOfPort(let index), .field(let index): [index]
        case .shorterValue(let index): [index, 0]
        case .request: []
        }
    }
}

extension Disagreement {
    /// The smallest that still disagrees, as far as `rounds` rounds go.
    func shrunk(rounds: Int = 8) -> Disagreement {
        var best = self
        for _ in 0..<rounds {
            let cuts = best.cuts
            let alone = best.disagreeing(cuts.map { [$0] })
            if alone.isEmpty { break }
            best = best.together(alone.flatMap(\.cuts))
        }
        return best
    }

    /// Without as much as can go together: what can go alone is added one by one, sixty steps in one run, and
    /// the step that goes too far is passed over.
    private func together(_ cuts: [Cut]) -> Disagreement {
        var best = self
        var taken: [Cut] = []
        var left = cuts[...]
        while !left.isEmpty {
            let steps = (1...min(60, left.count)).map { taken + left.prefix($0) }
            let found = disagreeing(steps).max { $0.cuts.count < $1.cuts.count }
            if let found {
                best = found.found
                left = left.dropFirst(found.cuts.count - taken.count)
                taken = found.cuts
                if steps.last?.count == taken.count { continue }
            }
            left = left.dropFirst()
        }
        return best
    }

    /// Those sets of cuts after which the programs still disagree.
    private func disagreeing(_ sets: [[Cut]]) -> [(cuts: [Cut], found: Disagreement)] {
        var found: [(cuts: [Cut], found: Disagreement)] = []
        let candidates = sets.compactMap { cuts in cutting(cuts).map { (cuts: cuts, site: $0, probe: $1) } }
        var start = 0
        while start < candidates.count {
            let batch = candidates[start..<min(start + 60, candidates.count)]
            start += batch.count
            found += tried(Array(batch))
        }
        return found
    }

    /// Leaving out may leave what a program does not take: Fairlead says which site it is, for Envoy the
    /// batch is halved until it is alone.
    private func tried(
        _ candidates: [(cuts: [Cut], site: Site, probe: Probe)]
    ) -> [(cuts: [Cut], found: Disagreement)] {
        var left = candidates.enumerated().map { (name: "case\($0.offset).test", candidate: $0.element) }
        var pair: Pair?
        while pair == nil, !left.isEmpty {
            do {
                pair = try Pair(setup, left.map { (name: $0.name, site: $0.candidate.site) })
            } catch let refused as Pair.Refused where !refused.sites.isEmpty {
                let count = left.count
                left.removeAll { refused.sites.contains($0.name) }
                if left.count == count { return [] }
            } catch {
                if left.count == 1 { return [] }
                let all = left.map(\.candidate)
                return tried(Array(all.prefix(all.count / 2))) + tried(Array(all.dropFirst(all.count / 2)))
            }
        }
        return left.compactMap { name, candidate in
            // Where chance decides who answers, to differ says nothing.
            guard !leavesToChance(candidate.site),
                let outcomes = try? pair?.ask(candidate.probe, of: name),
                differ(outcomes.fairlead, outcomes.envoy)
            else { return nil }
            var found = self
            (found.site, found.probe) = (candidate.site, candidate.probe)
            (found.fairlead, found.envoy) = outcomes
            return (candidate.cuts, found)
        }
    }

    private func leavesToChance(_ site: Site) -> Bool {
        let ports = Dictionary(uniqueKeysWithValues: Upstreams.echoes.map { ($0, UInt16(1)) })
        let world = IstioWorld(documents(setup, [("case.test", site)], ports: ports).flatMap { $0 })
        _ = world.isEdge ? world.gatewayHosts() : world.sidecarHosts()
        // A sidecar knows all of `app.test` by itself, without a document that sends anything there.
        return world.clusters.contains { $0.value.count > 1 && $0.key != "outbound|8080||app.test" }
            || site.documents.contains { document in
                document.hasMember { $0["host"] == "app.test" && $0.string("subset").isEmpty }
            }
    }

    // MARK: cuts

    private var cuts: [Cut] {
        var cuts = site.documents.indices.map(Cut.document)
        for (index, document) in site.documents.enumerated() {
            if document["metadata"]?["creationTimestamp"] != nil { cuts.append(.age(index)) }
            cuts += (document["spec"] ?? [:]).places.map { .part(index, $0) }
        }
        cuts += site.egress.indices.map(Cut.egress) + site.egressOfPort.indices.map(Cut.egressOfPort)
        cuts += probe.fields.indices.flatMap { [Cut.field($0), .shorterValue($0)] }
        return cuts + Plainer.allCases.map(Cut.request)
    }

    /// Nil: nothing would change.
    private func cutting(_ cuts: [Cut]) -> (Site, Probe)? {
        var site = site
        var probe = probe
        for cut in cuts.sorted(by: { $1.order.lexicographicallyPrecedes($0.order) }) {
            switch cut {
            case .document(let index): site.documents.remove(at: index)
            case .part(let index, let place):
                let spec = site.documents[index]["spec"] ?? [:]
                site.documents[index] = site.documents[index].setting("spec", spec.removing(place))
            case .age(let index):
                let meta = site.documents[index]["metadata"] ?? [:]
                site.documents[index] = site.documents[index].setting(
                    "metadata", meta.setting("creationTimestamp", nil))
            case .egress(let index): site.egress.remove(at: index)
            case .egressOfPort(let index): site.egressOfPort.remove(at: index)
            case .field(let index): probe.fields.remove(at: index)
            case .shorterValue(let index):
                let value = probe.fields[index].value
                probe.fields[index].value = String(value.prefix(value.count / 2))
            case .request(let change): probe.make(change)
            }
        }
        if site == self.site, probe == self.probe { return nil }
        return reachesOthers(site) ? nil : (site, probe)
    }

    /// Whether requests to other sites of a run could come to it: what those answer would say nothing.
    private func reachesOthers(_ site: Site) -> Bool {
        site.documents.contains { document in
            let spec = document["spec"] ?? [:]
            if let listeners = spec["listeners"]?.items {
                return listeners.contains { $0["hostname"] == nil }
            }
            let isShared = spec.items("parentRefs").contains { $0["name"] == "public" }
            return isShared && spec.items("hostnames").isEmpty
        }
    }
}

/// Ways to make a request plainer.
private enum Plainer: CaseIterable {
    case path, query, halfTheTarget, method, host, portOfHost, port, version
}

extension Probe {
    fileprivate mutating func make(_ plainer: Plainer) {
        switch plainer {
        case .path: target = "/"
        case .query: target = String(target.prefix { $0 != "?" })
        case .halfTheTarget: target = String(target.prefix(max(1, target.count / 2)))
        case .method: method = "GET"
        case .host: host = "$HOST"
        case .portOfHost: host = host.map { String($0.prefix { $0 != ":" }) }
        case .port: port = 80
        case .version: version = "HTTP/1.1"
        }
    }
}
