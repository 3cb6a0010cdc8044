// What services say of a request: through JSON and back, as a chain and as a drawing.
import TestSupport
import Testing

@testable import Demo

@Suite struct HopTests {
    private var tree: Hop {
        var root = Hop(service: "frontend", version: "stable")
        root.heard = ["x-feat-name", "baggage"]
        root.forwards = "x-feat-name"
        var auth = Hop(service: "auth", version: "auth-refactor")
        auth.forwards = "nothing"
        auth.calls = [Hop(service: "session", version: "v \"quoted\" \\ \u{1} é")]
        var info = Hop(service: "info", version: "")
        info.error = "503 lane-empty"
        root.calls = [auth, info]
        return root
    }

    @Test func survivesJSON() {
        #expect(Hop(json: tree.json) == tree)
        #expect(Hop(json: "  \(tree.json)\n") == tree)
    }

    @Test func chainTellsWhoAnswered() {
        let session = "session v \"quoted\" \\ \u{1} é"
        #expect(tree.chain == "frontend stable · auth auth-refactor · \(session) · info (503 lane-empty)")
        #expect(tree.find("session")?.version.hasPrefix("v ") == true)
        #expect(tree.find("nobody") == nil)
    }

    @Test func drawingIsATree() {
        let lines = tree.drawing
        #expect(lines.count == 4)
        #expect(
            lines[0] == "frontend          stable         heard x-feat-name, baggage; forwards x-feat-name")
        #expect(lines[1].hasPrefix("├─ auth           auth-refactor  heard of no lane; forwards nothing"))
        #expect(lines[2].hasPrefix("│  └─ session"))
        #expect(lines[3] == "└─ info           no answer: 503 lane-empty")
    }

    @Test(arguments: [
        "", "{", "}", "[1,", "{\"a\"}", "{\"a\":}", "{a:1}", "\"", "\"\\", "\"\\u12", "\"\\q\"", "1 2",
        "[1 2]",
        "{\"service\":1}", "nul l", "{\"service\":\"a\"",
    ])
    func otherTextIsNoHop(_ text: String) { #expect(Hop(json: text) == nil) }

    @Test func randomTextNeverCrashesTheReader() {
        var random = SeededRandom()
        let valid = Array(tree.json.utf8)
        for _ in 0..<5_000 {
            _ = Hop(json: String(decoding: random.mutated(valid), as: UTF8.self))
        }
        #expect(JSONValue(String(repeating: "[", count: 100_000)) == nil)
    }
}
