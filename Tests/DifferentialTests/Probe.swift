// A request to a site, as it is put on the wire.

struct Probe: Equatable {
    var method = "GET"
    var target = "/"
    /// Nil: no Host line.
    var host: String? = "$HOST"
    /// Lines of the head after Host, in order.
    var fields: [Field] = []
    var version = "HTTP/1.1"
    /// With its length among the fields.
    var body = ""
    /// Edge: which of its ports is asked. Sidecar: a listener that an `egress` element opens, if it is one's.
    var port = 80

    struct Field: Equatable {
        var name: String
        var value: String

        init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    func head(_ name: String, _ ports: [String: UInt16]) -> String {
        let host = host.map { "host: \($0)\r\n" } ?? ""
        let lines = fields.map { "\($0.name): \($0.value)\r\n" }.joined()
        return naming("\(method) \(target) \(version)\r\n\(host)\(lines)\r\n", name, ports) + body
    }

    /// Through a sidecar: the port that the authority names, as the connection of a client without a proxy
    /// would have it.
    var authorityPort: Int {
        var authority = host ?? ""
        if let scheme = target.firstRange(of: "://") {
            authority = String(target[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" })
        }
        guard let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") else { return 80 }
        return Int(authority[authority.index(after: colon)...]) ?? 80
    }
}
