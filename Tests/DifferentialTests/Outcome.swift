// What one program made of a request, in lines. What may differ is taken out here and nowhere else; README.md
// of this folder says why each.
import TestSupport

struct Outcome: Equatable {
    /// `status N`, response lines after `<`, request lines at the upstream after `>`, `body TEXT`.
    let lines: [String]
    /// Lines in which both may differ.
    private var takenOut: [String] = []

    /// Lines of a response whose values are the moment's.
    private static let momentary: Set<String> = ["date", "x-envoy-upstream-service-time"]

    /// Lines of a request whose values are the moment's or the machine's.
    private static let ofTheMachine: Set<String> = ["x-request-id", "x-forwarded-for"]

    init(lines: [String]) { self.lines = lines }

    init(_ answer: HTTPMessage, toHead: Bool) {
        var lines = ["status \(answer.status)"]
        var takenOut: [String] = []
        func takeOut(_ line: String) -> String? {
            takenOut.append(line)
            return nil
        }
        let isEcho = answer.value("x-upstream") != nil
        // The echo's length is that of the head it shows, whose request id differs from the other's not in
        // length; it is compared by its lines.
        lines += answer.fields.compactMap { field in
            let name = field.name.lowercased()
            if Self.momentary.contains(name) { return "< \(name)" }
            if isEcho, name == "content-length" { return nil }
            let line = "< \(name): \(field.value)"
            if name.hasPrefix("x-fairlead-") { return takeOut(line) }
            if name == "access-control-allow-headers", field.value.isEmpty { return takeOut(line) }
            if toHead, name == "content-length" || name == "transfer-encoding" { return takeOut(line) }
            return line
        }.sorted()
        if isEcho, let request = try? HTTPMessage(rawHead: answer.body) {
            lines.append("> \(request.startLine)")
            lines += request.fields.compactMap { field in
                let name = field.name.lowercased()
                let line = "> \(name): \(field.value)"
                if name == "content-length", field.value == "0" { return takeOut(line) }
                return Self.ofTheMachine.contains(name) ? "> \(name)" : line
            }.sorted()
        } else if !answer.body.isEmpty {
            lines.append("body \(answer.text)")
        }
        self.lines = lines
        self.takenOut = takenOut
    }

    static func == (left: Outcome, right: Outcome) -> Bool { left.lines == right.lines }

    /// Whether it is as said: `200 V1` is a status and who answered, `!line` that no line begins so, anything
    /// else a line.
    func meets(_ expected: String) -> Bool {
        let all = lines + takenOut
        if expected.hasPrefix("!") {
            let start = expected.dropFirst()
            return !all.contains { $0.hasPrefix(start) }
        }
        guard expected.first?.isNumber ?? false else { return all.contains(expected) }
        let words = expected.split(separator: " ")
        let upstream = words.dropFirst().first.map { "< x-upstream: \($0)" }
        let isRight = upstream.map(lines.contains) ?? !lines.contains { $0.hasPrefix("< x-upstream") }
        return lines.contains("status \(words[0])") && isRight
    }
}
