// What one program made of a request, in lines. What may differ is taken out here and nowhere else; README.md
// of this folder says why each.
import TestSupport

struct Outcome: Equatable {
    /// `status N`, response lines after `<`, request lines at the upstream after `>`, `body TEXT`.
    let lines: [String]

    /// Lines of a response whose values are the moment's.
    private static let momentary: Set<String> = ["date", "x-envoy-upstream-service-time"]

    /// Lines of a request whose values are the moment's or the machine's.
    private static let ofTheMachine: Set<String> = ["x-request-id", "x-forwarded-for"]

    init(lines: [String]) { self.lines = lines }

    init(_ answer: HTTPMessage, toHead: Bool) {
        var lines = ["status \(answer.status)"]
        let isEcho = answer.value("x-upstream") != nil
        // The echo's length is that of the head it shows, whose request id differs from the other's not in
        // length; it is compared by its lines.
        lines += answer.fields.compactMap { field in
            let name = field.name.lowercased()
            if Self.momentary.contains(name) { return "< \(name)" }
            if isEcho, name == "content-length" { return nil }
            if name.hasPrefix("x-fairlead-") { return nil }
            if name == "access-control-allow-headers", field.value.isEmpty { return nil }
            if toHead, name == "content-length" || name == "transfer-encoding" { return nil }
            return "< \(name): \(field.value)"
        }.sorted()
        if isEcho, let request = try? HTTPMessage(rawHead: answer.body) {
            lines.append("> \(request.startLine)")
            lines += request.fields.compactMap { field in
                let name = field.name.lowercased()
                if name == "content-length", field.value == "0" { return nil }
                return Self.ofTheMachine.contains(name) ? "> \(name)" : "> \(name): \(field.value)"
            }.sorted()
        } else if !answer.body.isEmpty {
            lines.append("body \(answer.text)")
        }
        self.lines = lines
    }

    /// Whether it is as said: `200 V1` is a status and who answered, `!line` that no line begins so, anything
    /// else a line.
    func meets(_ expected: String) -> Bool {
        if expected.hasPrefix("!") {
            let start = expected.dropFirst()
            return !lines.contains { $0.hasPrefix(start) }
        }
        guard expected.first?.isNumber ?? false else { return lines.contains(expected) }
        let words = expected.split(separator: " ")
        let upstream = words.dropFirst().first.map { "< x-upstream: \($0)" }
        let isRight = upstream.map(lines.contains) ?? !lines.contains { $0.hasPrefix("< x-upstream") }
        return lines.contains("status \(words[0])") && isRight
    }
}
