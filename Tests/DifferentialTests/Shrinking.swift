// A disagreement made small: every way to leave something out is tried, all of one round in one run of both
// programs, until nothing can be left out.

/// A site, a request to it, and what became of it.
struct Disagreement: CustomStringConvertible {
    var site: Site
    var probe: Probe
    var fairlead: [String]
    var envoy: [String]

    var description: String {
        let only = fairlead.filter { !envoy.contains($0) }
        let missing = envoy.filter { !fairlead.contains($0) }
        return """
            \(probe.head("case.test"))\(documents([("case.test", site)], endpoints: [:])
                .split(separator: "---\n").last ?? "")
            Fairlead: \(only.joined(separator: "\n          "))
            Envoy:    \(missing.joined(separator: "\n          "))
            """
    }
}

extension Disagreement {
    /// The smallest that still disagrees, in at most `rounds` runs.
    func shrunk(rounds: Int = 12) throws -> Disagreement {
        var best = self
        for _ in 0..<rounds {
            let smaller =
                best.site.smaller.map { ($0, best.probe) } + best.probe.smaller.map { (best.site, $0) }
            let sites = smaller.enumerated().map { (name: "case\($0.offset).test", site: $0.element.0) }
            if sites.isEmpty { break }
            let pair = try Pair(sites)
            var found: Disagreement?
            for (index, (site, probe)) in smaller.enumerated() where found == nil {
                let (fairlead, envoy) = try pair.ask(probe, of: sites[index].name)
                if fairlead != envoy {
                    found = Disagreement(site: site, probe: probe, fairlead: fairlead, envoy: envoy)
                }
            }
            guard let found else { break }
            best = found
        }
        return best
    }
}

extension Array {
    /// Each with one element fewer, the first left out first.
    fileprivate var withoutOne: [[Element]] {
        indices.map { index in
            var copy = self
            copy.remove(at: index)
            return copy
        }
    }
}

extension Dictionary {
    fileprivate var withoutOne: [[Key: Value]] {
        keys.map { key in filter { $0.key != key } }
    }
}

extension Probe {
    fileprivate var smaller: [Probe] {
        var all = fields.withoutOne.map { fields in
            var copy = self
            copy.fields = fields
            return copy
        }
        for (path, value) in [(\Probe.target, "/"), (\Probe.method, "GET"), (\Probe.host, "$HOST")]
        where self[keyPath: path] != value {
            var copy = self
            copy[keyPath: path] = value
            all.append(copy)
        }
        return all
    }
}

extension Edits {
    fileprivate var smaller: [Edits] {
        self.set.withoutOne.map { Edits(set: $0, add: add, remove: remove) }
            + add.withoutOne.map { Edits(set: set, add: $0, remove: remove) }
            + remove.withoutOne.map { Edits(set: set, add: add, remove: $0) }
    }
}

extension Operations {
    fileprivate var smaller: [Operations] {
        if isEmpty { return [] }
        return [Operations()] + request.smaller.map { Operations(request: $0, response: response) }
            + response.smaller.map { Operations(request: request, response: $0) }
    }
}

extension Match {
    fileprivate var smaller: [Match] {
        var all: [Match] = []
        func add(_ change: (inout Match) -> Void) {
            var copy = self
            change(&copy)
            if copy != self { all.append(copy) }
        }
        add { $0.uri = nil }
        add { $0.ignoreUriCase = false }
        add { $0.method = nil }
        add { $0.authority = nil }
        add { $0.scheme = nil }
        add { $0.port = nil }
        for headers in headers.withoutOne { add { $0.headers = headers } }
        for headers in withoutHeaders.withoutOne { add { $0.withoutHeaders = headers } }
        for query in queryParams.withoutOne { add { $0.queryParams = query } }
        return all
    }
}

extension Rule {
    fileprivate var smaller: [Rule] {
        var all: [Rule] = []
        func add(_ change: (inout Rule) -> Void) {
            var copy = self
            change(&copy)
            if copy != self { all.append(copy) }
        }
        for fewer in matches.withoutOne where matches.count > 1 { add { $0.matches = fewer } }
        for (index, match) in matches.enumerated() {
            for smaller in match.smaller { add { $0.matches[index] = smaller } }
        }
        if matches == [Match()] { add { $0.matches = [] } }
        add { $0.rewrite = nil }
        add { $0.timeout = nil }
        add { $0.cors = nil }
        for smaller in operations.smaller { add { $0.operations = smaller } }
        if case .route(let destinations) = action {
            for fewer in destinations.withoutOne where destinations.count > 1 {
                add { $0.action = .route(fewer) }
            }
            for (index, destination) in destinations.enumerated() {
                for smaller in destination.operations.smaller {
                    var copy = destinations
                    copy[index].operations = smaller
                    add { $0.action = .route(copy) }
                }
            }
        }
        return all
    }
}

extension Site {
    fileprivate var smaller: [Site] {
        var all = rules.withoutOne.filter { !$0.isEmpty }.map { Site(rules: $0) }
        for (index, rule) in rules.enumerated() {
            for smaller in rule.smaller {
                var copy = self
                copy.rules[index] = smaller
                all.append(copy)
            }
        }
        return all
    }
}
