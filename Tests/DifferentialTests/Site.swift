// What a case says, before it is put into anybody's words: one host's rules, and a request to it. From here
// it goes to Fairlead as Istio's documents (Documents.swift) and to Envoy as Istio's control plane writes
// them (EnvoyRoutes.swift). In every text `$HOST` stands for the host's name, which a run chooses.

/// A StringMatch.
enum Text: Equatable {
    case exact(String)
    case prefix(String)
    case regex(String)
    /// `{}`: only presence counts.
    case present
}

struct Match: Equatable {
    var uri: Text?
    var ignoreUriCase = false
    var method: Text?
    var authority: Text?
    var scheme: Text?
    var headers: [String: Text] = [:]
    var withoutHeaders: [String: Text] = [:]
    var queryParams: [String: Text] = [:]
    /// Which of the listener's ports; nil for any.
    var port: Int?
}

/// Edits of one head.
struct Edits: Equatable {
    var set: [String: String] = [:]
    var add: [String: String] = [:]
    var remove: [String] = []

    var isEmpty: Bool { self.set.isEmpty && add.isEmpty && remove.isEmpty }
}

struct Operations: Equatable {
    var request = Edits()
    var response = Edits()

    var isEmpty: Bool { request.isEmpty && response.isEmpty }
}

struct Destination: Equatable {
    /// `v1` or `v2`; `empty` has no endpoint, `none` is not defined.
    var subset: String
    var weight: Int?
    var operations = Operations()
}

struct Redirect: Equatable {
    var uri: String?
    var authority: String?
    var scheme: String?
    var port: Int?
    var derivePort: String?
    var code: Int?
}

enum Action: Equatable {
    case route([Destination])
    case redirect(Redirect)
    case direct(status: Int, body: String?)
}

struct Rewrite: Equatable {
    var uri: String?
    var authority: String?
    /// Pattern and what replaces it.
    var regex: [String] = []
}

struct Cors: Equatable {
    var origins: [Text] = []
    var methods: [String] = []
    var headers: [String] = []
    var exposed: [String] = []
    var maxAge: String?
    var credentials: Bool?
    var unmatchedPreflights: String?
}

struct Rule: Equatable {
    var matches: [Match] = []
    var action = Action.route([Destination(subset: "v1")])
    var rewrite: Rewrite?
    var operations = Operations()
    var timeout: String?
    var cors: Cors?
}

/// One host and its rules: a VirtualService at a gateway.
struct Site: Equatable {
    var rules: [Rule]
}

/// A request to a site.
struct Probe: Equatable {
    var method = "GET"
    var target = "/"
    var host = "$HOST"
    /// Lines of the head, in order.
    var fields: [Field] = []
    /// With its length among the fields.
    var body = ""

    struct Field: Equatable {
        var name: String
        var value: String
    }

    func head(_ name: String) -> String {
        let lines = fields.map { "\($0.name): \(naming($0.value, name))\r\n" }.joined()
        let start = "\(method) \(naming(target, name)) HTTP/1.1\r\nhost: \(naming(host, name))\r\n"
        return "\(start)\(lines)\r\n\(body)"
    }
}

/// The text with the host's name in it.
func naming(_ text: String, _ name: String) -> String {
    guard let range = text.firstRange(of: "$HOST") else { return text }
    return text[..<range.lowerBound] + name + naming(String(text[range.upperBound...]), name)
}
