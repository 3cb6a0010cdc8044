// What one service says of a request: who answered, what it heard of the lane, what it passed on, and what
// the services behind it said. Travels as JSON; people see a drawing.
internal import Base

struct Hop: Equatable {
    var service: String
    var version: String
    /// The carriers of the lane that reached the application, in the order header, baggage.
    var heard: [String] = []
    /// What the application itself puts on its own requests.
    var forwards = ""
    /// Instead of a version where the service could not be asked.
    var error: String?
    var calls: [Hop] = []

    /// Services in the order they were asked, with the version that answered.
    var chain: String {
        ([error.map { "\(service) (\($0))" } ?? "\(service) \(version)"] + calls.map(\.chain))
            .joined(separator: " · ")
    }

    /// The first hop of that service, this one included.
    func find(_ name: String) -> Hop? {
        if service == name { return self }
        return calls.lazy.compactMap { $0.find(name) }.first
    }

    // MARK: JSON

    var json: String {
        var writer = JSONWriter()
        writer.object { write(&$0) }
        return writer.finishString()
    }

    private func write(_ json: inout JSONWriter) {
        json.member("service", service)
        if let error { json.member("error", error) } else { json.member("version", version) }
        json.member("heard", heard)
        json.member("forwards", forwards)
        json.array("calls") { list in
            for call in calls { list.object { call.write(&$0) } }
        }
    }

    /// From JSON as `json` writes it; nil if it is something else.
    init?(json text: String) {
        guard let value = JSONValue(text) else { return nil }
        self.init(value)
    }

    private init?(_ value: JSONValue) {
        guard let service = value["service"]?.text else { return nil }
        self.init(service: service, version: value["version"]?.text ?? "")
        error = value["error"]?.text
        heard = value["heard"]?.elements.compactMap(\.text) ?? []
        forwards = value["forwards"]?.text ?? ""
        calls = value["calls"]?.elements.compactMap { Hop($0) } ?? []
    }

    init(service: String, version: String) {
        self.service = service
        self.version = version
    }

    // MARK: drawing

    /// One line a hop, as a tree.
    var drawing: [String] { lines(first: "", rest: "") }

    private func lines(first: String, rest: String) -> [String] {
        let name = (first + service).padded(to: 18)
        var parts = [error.map { "no answer: \($0)" } ?? version.padded(to: 15)]
        if error == nil {
            parts.append(heard.isEmpty ? "heard of no lane" : "heard " + heard.joined(separator: ", "))
            if !calls.isEmpty { parts.append("forwards \(forwards)") }
        }
        return [name + parts[0] + parts.dropFirst().joined(separator: "; ")]
            + calls.enumerated().flatMap { index, call in
                let isLast = index == calls.count - 1
                return call.lines(
                    first: rest + (isLast ? "└─ " : "├─ "), rest: rest + (isLast ? "   " : "│  "))
            }
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
