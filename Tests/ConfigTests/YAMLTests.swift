// Reading YAML: lines, several documents a file, and inputs made to hurt.
import Base
import Testing

@testable import Config

private func parse(_ text: String) throws -> YAML? {
    try parseYAML(YAMLChunk(text: text[...], firstLine: 1))
}

@Test func linesSurviveDocumentsAndComments() {
    let text = "# first\nkind: A\n--- # second\n\nkind: B\n...\n---\nkind: C\n"
    let chunks = splitDocuments(text)
    #expect(chunks.map(\.firstLine) == [1, 3, 7])
    let lines = chunks.compactMap { try? parseYAML($0)?["kind"]?.line }
    #expect(lines == [2, 5, 8])
}

@Test func markersInsideBlockScalarsAreText() throws {
    let text = "a: |\n  ---\n  x\nb: 2\n"
    #expect(splitDocuments(text).count == 1)
    let root = try #require(try parse(text))
    #expect(root["b"]?.line == 4)
    guard case .scalar("---\nx\n", plain: false)? = root["a"]?.value else {
        Issue.record("block scalar lost")
        return
    }
}

@Test func directivesAndEmptyDocumentsAreNoObjects() {
    #expect(splitDocuments("%YAML 1.2\n---\nkind: A\n").count == 1)
    #expect(splitDocuments("---\n---\n# nothing\n---\n").isEmpty)
    #expect(splitDocuments("").isEmpty)
    #expect(splitDocuments("--- {kind: A}\n").count == 1)
}

@Test func aBrokenDocumentDoesNotTakeItsNeighboursAlong() {
    let result = loadText("kind: [\n---\n" + edgeProxy + gateway + "\tx: 1\n")
    #expect(result.has("FL0002"))
    #expect(result.model == nil)
    #expect(!result.has("FL0020"))
}

@Test func syntaxErrorsHaveTheLineOfTheFile() {
    #expect(loadText("kind: A\napiVersion: v1\nx:\n\ty: 1\n").has("FL0002", line: 4))
    #expect(loadText("\n---\na: 1\nb: 2\na: 3\n").has("FL0002", containing: "given twice"))
    #expect(loadText("a: 'x\n").has("FL0002"))
}

@Test func templatesAreNamed() {
    let result = loadText("kind: {{ .Values.kind }}\napiVersion: v1\n")
    #expect(result.has("FL0002", containing: "template"))
}

@Test func textThatIsNoObjectIsAFinding() {
    for text in ["hello", "- a\n- b\n", "42", "{}", "kind: Lane\n", "kind: {a: b}\napiVersion: v1\n"] {
        #expect(loadText(text).has("FL0003", line: 1), "\(text)")
    }
}

@Test func aliasesAreFollowedAndCounted() throws {
    let root = try #require(try parse("a: &x {k: v}\nb: *x\nc:\n  <<: *x\n  z: 1\n  k: own\n"))
    #expect(root["b"]?["k"] != nil)
    guard case .scalar("own", _)? = root["c"]?["k"]?.value else {
        Issue.record("a merged key must not replace the one given")
        return
    }
    #expect(throws: YAMLError.self) { try parse("a: *nothing\n") }
}

@Test func anAliasBombEnds() {
    var text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in 1...9 {
        let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
        text += "a\(level): &a\(level) [\(uses)]\n"
    }
    #expect(loadText(text).has("FL0007"))
}

/// The parser hashes keys to find duplicates; a key of aliases would make it expand them.
@Test func anAliasBombInKeysIsNotEvenParsed() {
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in 1...12 {
        let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
        bomb += "a\(level): &a\(level) [\(uses)]\n"
    }
    for key in [
        "? *a12\n: v\n", "[*a12]: v\n", "{z: *a12}: v\n", "*a12 : v\n", "y: {*a12 : v}\n",
        "y: {? *a12 : v}\n",
    ] {
        #expect(loadText(bomb + key).has("FL0007", line: 14), "\(key)")
    }
}

@Test func deepNestingEnds() {
    #expect(loadText(String(repeating: "[", count: 100_000)).findings.count == 1)
    #expect(loadText(String(repeating: "{a: ", count: 50_000)).findings.count == 1)
    #expect(loadText(String(repeating: "- ", count: 50_000) + "x").findings.count == 1)
    let deep = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
    #expect(loadText("a: " + deep).has("FL0007"))
}

@Test func bytesThatAreNoTextAreAFinding() {
    let bytes: [UInt8] = Array("kind: A\nname: ".utf8) + [0xFF, 0xFE, 0x0A]
    let result = load(Sources(texts: [SourceText(file: "bad.yaml", bytes: bytes)]))
    #expect(result.findings.first?.text == "bad.yaml:2: error [FL0002] not UTF-8 text")
    let zero = load(Sources(texts: [SourceText(file: "z.yaml", bytes: [0, 0, 0])]))
    #expect(zero.model == nil)
}

@Test func jsonIsYAMLAndListsAreUnwrapped() {
    let text = """
        {"apiVersion": "v1", "kind": "List", "items": [
          {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shop"},
           "spec": {"ports": [{"port": 80, "name": "http"}]}},
          {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b", "namespace": "shop"},
           "spec": {"ports": [{"port": "80", "name": "http"}]}}]}
        """
    let result = loadText(text)
    #expect(result.findings.map(\.line) == [5])
    #expect(result.findings.first?.message == "spec.ports[0].port must be an integer, not a string")
}

@Test func kindsOfPlainScalars() throws {
    let root = try #require(try parse("a: 1\nb: 1.5\nc: yes\nd: 'yes'\ne: 10.1.2.3\nf:\ng: ~\n"))
    let kinds = ["a", "b", "c", "d", "e", "f", "g"].map { root[$0]?.kindName }
    #expect(kinds == ["an integer", "a number", "a boolean", "a string", "a string", "null", "null"])
}
