// What `explain` finds out about one request, and its two forms: JSON (interface.md 3) and text for people.
internal import Base

public struct Explanation: Sendable {
    /// One rule that was tried.
    public struct Rule: Sendable, Equatable {
        public var document: String
        public var name: String
        public var matched: Bool
        /// One sentence per condition that does not hold.
        public var failed: [String]
    }

    public struct Destination: Sendable, Equatable {
        public var service: String
        public var subset: String
        public var port: UInt16
        public var cluster: String
        public var endpoints: [String]
        /// How connections to it are encrypted, in words; nil: they are not.
        public var tls: String?
    }

    /// One function of a script that ran.
    public struct Script: Sendable, Equatable {
        public var document: String
        public var name: String
        /// `request` or `response`.
        public var phase: String
        /// What it did, in order, in words.
        public var did: [String]
        public var error: String?
    }

    public struct Found: Sendable, Equatable {
        public var carrier: Carrier
        public var value: String
    }

    public var method = ""
    public var url = ""
    /// Empty: no lane.
    public var laneName = ""
    public var laneKnown = false
    public var carrier = Carrier.none
    /// Every carrier that named a lane, in order.
    public var carriers: [Found] = []
    /// Carriers that disagree with the one that won: `cookie=other`.
    public var conflicts: [String] = []
    /// Carriers whose value is no lane name or not rightly signed, and what `guard: strip` took away.
    public var invalid: [String] = []
    public var refused: [String] = []
    public var stripped: [String] = []
    public var listener = ""
    /// The server of a TLS listener that the server name leads to; empty: none.
    public var server = ""
    public var virtualHost = ""
    public var scripts: [Script] = []
    public var rules: [Rule] = []
    public var decision = LaneDecision.none
    public var reason = Reason.none
    public var outcome = ""
    /// Of an answer that Fairlead makes itself; nil: the upstream's.
    public var status: Int?
    public var destination: Destination?
    /// Where several destinations share requests by weight: each with its part, in words. The destination is
    /// the one that chance chose this time.
    public var shares: [String] = []
    public var edits: [String] = []
    /// What cannot be explained, in words; nil: all is well.
    public var problem: String?

    public init() {}

    public func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { json in
            json.object("request") { request in
                request.member("method", method)
                request.member("url", url)
            }
            json.object("lane") { lane in
                lane.member("name", laneName.isEmpty ? nil : laneName)
                lane.member("known", laneKnown)
                lane.member("carrier", carrier == .none ? nil : carrier.name)
                lane.member("conflicts", conflicts)
                lane.array("carriers") { list in
                    for found in carriers {
                        list.object { entry in
                            entry.member("carrier", found.carrier.name)
                            entry.member("value", found.value)
                        }
                    }
                }
                lane.member("invalid", invalid)
                lane.member("refused", refused)
                lane.member("stripped", stripped)
            }
            json.member("listener", listener.isEmpty ? nil : listener)
            if !server.isEmpty { json.member("server", server) }
            json.member("virtualHost", virtualHost.isEmpty ? nil : virtualHost)
            if !scripts.isEmpty { write(scripts: &json) }
            write(rules: &json)
            json.member("decision", decision.name)
            json.member("reason", reason == .none ? nil : reason.name)
            json.member("outcome", outcome)
            if let status { json.member("status", status) } else { json.member("status", String?.none) }
            write(destination: &json)
            if !shares.isEmpty { json.member("shares", shares) }
            json.member("edits", edits)
            if let problem { json.member("problem", problem) }
        }
        return writer.finish()
    }

    private func write(scripts json: inout JSONWriter) {
        json.array("scripts") { list in
            for script in scripts {
                list.object { entry in
                    entry.member("document", script.document)
                    entry.member("name", script.name)
                    entry.member("phase", script.phase)
                    entry.member("did", script.did)
                    entry.member("error", script.error)
                }
            }
        }
    }

    private func write(rules json: inout JSONWriter) {
        json.array("rules") { list in
            for rule in rules {
                list.object { entry in
                    entry.member("document", rule.document)
                    entry.member("name", rule.name)
                    entry.member("matched", rule.matched)
                    entry.member("failed", rule.failed)
                }
            }
        }
    }

    private func write(destination json: inout JSONWriter) {
        guard let destination else {
            json.member("destination", String?.none)
            return
        }
        json.object("destination") { entry in
            entry.member("service", destination.service)
            entry.member("subset", destination.subset)
            entry.member("port", destination.port)
            entry.member("cluster", destination.cluster)
            entry.member("endpoints", destination.endpoints)
            if let tls = destination.tls { entry.member("tls", tls) }
        }
    }

    public func text() -> String {
        var lines = ["\(method) \(url)"]
        if let problem { lines.append("problem      \(problem)") }
        if laneName.isEmpty {
            lines.append("lane         none\(carrier == .none ? "" : " (left by \(carrier.name))")")
        } else {
            lines.append(
                "lane         \(laneName), \(laneKnown ? "known" : "not known"), from \(carrier.name)")
        }
        for found in carriers { lines.append("  carrier    \(found.carrier.name): \(found.value)") }
        for conflict in conflicts { lines.append("  conflict   \(conflict)") }
        for carrier in invalid { lines.append("  invalid    \(carrier)") }
        for carrier in refused { lines.append("  refused    \(carrier)") }
        for carrier in stripped { lines.append("  stripped   \(carrier)") }
        lines.append("listener     \(listener.isEmpty ? "none" : listener)")
        if !server.isEmpty { lines.append("server       \(server)") }
        lines.append("virtual host \(virtualHost.isEmpty ? "none" : virtualHost)")
        for script in scripts {
            lines.append("script       \(script.document) \(script.name), on \(script.phase)")
            for did in script.did { lines.append("  did        \(did)") }
            if let error = script.error { lines.append("  failed     \(error)") }
        }
        for rule in rules {
            let name = rule.name.isEmpty ? rule.document : "\(rule.document) \(rule.name)"
            lines.append("rule         \(name): \(rule.matched ? "matched" : "no")")
            for reason in rule.failed { lines.append("  because    \(reason)") }
        }
        lines.append("decision     \(decision.name)")
        if reason != .none { lines.append("reason       \(reason.name)") }
        lines.append("outcome      \(outcome)\(status.map { " (\($0))" } ?? "")")
        if let destination {
            let subset = destination.subset.isEmpty ? "" : ", subset \(destination.subset)"
            lines.append("destination  \(destination.service):\(destination.port)\(subset)")
            for endpoint in destination.endpoints { lines.append("  endpoint   \(endpoint)") }
            if destination.endpoints.isEmpty { lines.append("  endpoint   none") }
            if let tls = destination.tls { lines.append("  tls        \(tls)") }
        }
        for share in shares { lines.append("  share      \(share)") }
        for edit in edits { lines.append("edit         \(edit)") }
        return lines.joined(separator: "\n") + "\n"
    }
}
