// A hand-written case: one row of Istio's semantics, the documents that show it, requests, and what is to
// come of them.

struct Case {
    /// Section and row of the semantics, as in `4.1 uri: a prefix is one of text`.
    var row: String
    var setup = Setup.edge
    var site: Site
    var asks: [Ask]
    /// Envoy does otherwise: README.md says why Fairlead does as the semantics say.
    var difference: String?
    /// What is true of Envoy's outcomes alone; none: any difference will do.
    var ofEnvoy: [String] = []
}

extension Case {
    func differing(_ how: String, envoy: String...) -> Case {
        var copy = self
        copy.difference = how
        copy.ofEnvoy = envoy
        return copy
    }
}

/// A request and what is to be true of its outcome (`Outcome.meets`).
struct Ask {
    var probe: Probe
    var expected: [String]

    /// `what` is a target, or a method and a target.
    init(_ what: String, host: String? = "$HOST", _ expected: String...) {
        self.init(what, [], host, expected)
    }

    init(_ what: String, _ fields: [String], host: String? = "$HOST", _ expected: String...) {
        self.init(what, fields, host, expected)
    }

    private init(_ what: String, _ fields: [String], _ host: String?, _ expected: [String]) {
        probe = Probe(target: what, host: host, fields: fields.map(Self.field))
        if let blank = what.firstIndex(of: " ") {
            probe.method = String(what[..<blank])
            probe.target = String(what[what.index(after: blank)...])
        }
        self.expected = expected
    }

    /// With other parts of the request.
    func with(_ change: (inout Probe) -> Void) -> Ask {
        var copy = self
        change(&copy.probe)
        return copy
    }

    private static func field(_ line: String) -> Probe.Field {
        let name = line.prefix { $0 != ":" }
        return .init(String(name), String(line.dropFirst(name.count + 1).drop { $0 == " " }))
    }
}

extension Case {
    /// An edge with one VirtualService for `$HOST`, whose `http` list is given.
    static func edge(_ row: String, _ http: String, _ asks: Ask...) throws -> Case {
        Case(row: row, site: Site(documents: [try virtualService(http)]), asks: asks)
    }

    /// Any documents, at the usual edge.
    static func documents(_ row: String, _ yaml: String, _ asks: Ask...) throws -> Case {
        Case(row: row, site: Site(documents: try DifferentialTests.documents(yaml: yaml)), asks: asks)
    }

    /// Any documents for another proxy.
    static func documents(
        _ row: String, _ setup: Setup, egress: [String] = [], _ yaml: String, _ asks: Ask...
    ) throws -> Case {
        let site = Site(documents: try DifferentialTests.documents(yaml: yaml), egress: egress)
        return Case(row: row, setup: setup, site: site, asks: asks)
    }
}

/// Of `$HOST` at the shared gateway.
func virtualService(_ http: String) throws -> Json {
    let entries = try documents(yaml: http).first ?? [:]
    return document(
        "networking.istio.io/v1", "VirtualService", "$ID",
        ["hosts": ["$HOST"], "gateways": ["public"], "http": entries])
}
