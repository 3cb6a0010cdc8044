// Reading YAML: lines, several documents a file, and inputs made to hurt.
import Base
import Testing

@testable import Config

private func parse(_ text: String) throws -> YAML? {
    try parseYAML(YAMLChunk(bytes: Array(text.utf8)[...], firstLine: 1))
}

private func split(_ text: String) -> [YAMLChunk] { splitDocuments(Array(text.utf8)) }

@Test func linesSurviveDocumentsAndComments() {
    let text = "# first\nkind: A\n--- # second\n\nkind: B\n...\n---\nkind: C\n"
    let chunks = split(text)
    #expect(chunks.map(\.firstLine) == [1, 3, 7])
    let lines = chunks.compactMap { try? parseYAML($0)?["kind"]?.line }
    #expect(lines == [2, 5, 8])
}

@Test func markersInsideBlockScalarsAreText() throws {
    let text = "a: |\n  ---\n  x\nb: 2\n"
    #expect(split(text).count == 1)
    let root = try #require(try parse(text))
    #expect(root["b"]?.line == 4)
    guard case .scalar("---\nx\n", plain: false)? = root["a"]?.value else {
        Issue.record("block scalar lost")
        return
    }
}

@Test func directivesAndEmptyDocumentsAreNoObjects() {
    #expect(split("%YAML 1.2\n---\nkind: A\n").count == 1)
    #expect(split("---\n---\n# nothing\n---\n").isEmpty)
    #expect(split("").isEmpty)
    #expect(split("--- {kind: A}\n").count == 1)
}

@Test func aByteOrderMarkIsNoText() throws {
    for text in ["kind: A\nx: 1\n", "---\nkind: A\nx: 1\n", "# a\nkind: A\nx: 1\n"] {
        let chunk = try #require(split("\u{FEFF}" + text).first)
        #expect(try parseYAML(chunk)?["kind"]?.line == (text.hasPrefix("kind") ? 1 : 2), "\(text)")
    }
    #expect(loadText("\u{FEFF}" + edgeProxy + gateway).findings.isEmpty)
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

/// A key is one text, whatever stands for it: nothing of an alias is unfolded to compare keys.
@Test func keysAreText() throws {
    for key in ["? [a, b]\n: v\n", "[a]: v\n", "{z: a}: v\n", "? {z: a}\n: v\n"] {
        #expect(loadText(key).has("FL0002", line: 1, containing: "a key that is not plain text"), "\(key)")
    }
    let list = "l: &l [x]\nt: &t text\n"
    for key in ["? *l\n: v\n", "*l : v\n", "{*l : v}\n"] {
        #expect(loadText(list + "y:\n  " + key).has("FL0002", line: 4), "\(key)")
    }
    let root = try #require(try parse(list + "*t : v\n"))
    #expect(root["text"] != nil)
    #expect(throws: YAMLError.self) { try parse(list + "text: 1\n*t : v\n") }
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
    #expect(
        result.findings.first?.text == "bad.yaml:2: error [FL0002] not UTF-8 text (save the file as UTF-8)")
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

@Test func aNodeCannotContainItself() {
    for text in ["a: &a [*a]\n", "a: &a {b: *a}\n", "x: &a 1\na: &a [*a]\n", "&a {*a : 1}\n"] {
        #expect(loadText(text).has("FL0002", containing: "alias to nothing"), "\(text)")
    }
}

@Test func anAnchorStandsForWhatItNamedLast() throws {
    let root = try #require(try parse("a: &x one\nb: *x\nc: &x two\nd: *x\n"))
    let texts = ["b", "d"].map { key -> String in
        if case .scalar(let text, _)? = root[key]?.value { text } else { "" }
    }
    #expect(texts == ["one", "two"])
}

/// Neither half is too deep, the alias puts one below the other.
@Test func aliasesDoNotHideDepth() {
    func nest(_ inner: String, _ depth: Int) -> String {
        String(repeating: "[", count: depth) + inner + String(repeating: "]", count: depth)
    }
    let text = "a: &a \(nest("x", 70))\nb: \(nest("*a", 70))\n"
    #expect(loadText(text).has("FL0007", line: 2, containing: "nested deeper"))
    #expect(!loadText(text.replacing("*a", with: "y")).has("FL0007"))
}

@Test func mergedEntriesFillGapsInOrder() throws {
    let text = "a: &a {p: a, q: a}\nb: &b {q: b, r: b}\nc: {r: own, <<: [*a, *b]}\n"
    let root = try #require(try parse(text))
    let texts = ["p", "q", "r"].map { key -> String in
        if case .scalar(let text, _)? = root["c"]?[key]?.value { text } else { "" }
    }
    #expect(texts == ["a", "a", "own"])
    #expect(throws: YAMLError.self) { try parse("a: &a {p: 1}\nb: {<<: *a, <<: *a}\n") }
}

/// Few keys are compared one by one, many are hashed: both find the second one, at its line.
@Test(arguments: [0, 1, 15, 16, 17, 40]) func duplicateKeysAreFoundAtAnySize(others: Int) {
    let filling = (0..<others).map { "key\($0): 1\n" }.joined()
    #expect(
        loadText("again: 1\n\(filling)again: 2\n").has("FL0002", line: others + 2, containing: "given twice"))
    #expect(
        loadText("\(filling)again: 1\nagain: 2\n").has("FL0002", line: others + 2, containing: "given twice"))
    #expect(!loadText("again: 1\n\(filling)").has("FL0002"))
}

@Test func aTagCanSayThatANumberIsText() throws {
    let root = try #require(try parse("a: !!str 1\nb: ! 1\nc: !!str\n"))
    #expect(root["a"]?.kindName == "a string")
    #expect(root["c"]?.kindName == "a string")
}

@Test func bytesThatYAMLForbidsHaveTheirLine() {
    #expect(loadText("a: 1\nb: \u{1}\n").has("FL0002", line: 2, containing: "control characters"))
}
