// The bounded JSON reader and the body of /explain.
import Base
import Testing

@testable import Admin

private func read(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8)) }

@Test func valuesAreRead() throws {
    let value = try read(
        #" {"a": [1, -2.5e3, true, false, null, {}], "b": "x\"\\\/\b\f\n\r\tA😀é", "c": {}} "#)
    #expect(
        value["a"]
            == .array([.number(1), .number(-2_500), .bool(true), .bool(false), .null, .object([])]))
    #expect(value["b"] == .string("x\"\\/\u{8}\u{C}\n\r\tA😀é"))
    #expect(value["c"] == .object([]))
    #expect(value["d"] == nil)
    #expect(try read("0") == .number(0))
    #expect(try read(#""\uD83D\uDE00""#) == .string("😀"))
}

@Test(arguments: [
    "", " ", "{", "}", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,\"a\":2}", "\"", "\"\\", "\"\\u12\"", "\"\\u12G4\"", "\"\\x\"", "\"\u{1}\"", "\"\\uD800\"",
    "\"\\uD800\\u0041\"", "\"\\uDC00\"", "01", "-", "1.", "1e", "1e999", "+1", ".5", "tru", "nul",
    "truefalse",
    "1 2", "NaN", "[1]]", "'a'", "/*c*/1",
])
func badTextIsRefused(text: String) {
    #expect(throws: JSONProblem.self) { try read(text) }
}

@Test func depthIsBounded() throws {
    let depth = Limits.adminJSONDepth
    _ = try read(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
    #expect(throws: JSONProblem.self) { try read(String(repeating: "[", count: 100_000)) }
    #expect(throws: JSONProblem.self) { try read(String(repeating: "{\"a\":", count: 100_000)) }
}

@Test func bytesThatAreNoTextAreRefused() {
    #expect(throws: JSONProblem(message: "not UTF-8")) { try JSONReader.read([0x22, 0xFF, 0x22]) }
}

@Test func everyPrefixOfATextIsRefusedWithoutCrashing() {
    let text = Array(#"{"method":"GET","url":"http://h/\u00e9","headers":{"a":["b","c"],"d":null}}"#.utf8)
    for count in 0..<text.count {
        #expect(throws: JSONProblem.self) { try JSONReader.read(Array(text[..<count])) }
    }
}

@Test func mutatedTextNeverCrashes() {
    let text = Array(#"{"a":["\ud83d\ude00",1.5e-3,{"b":null}],"c":"\n"}"#.utf8)
    for _ in 0..<20_000 {
        var copy = text
        for _ in 0..<Int.random(in: 1...4) {
            copy[Int.random(in: 0..<copy.count)] = UInt8.random(in: 0...255)
        }
        _ = try? JSONReader.read(copy)
    }
}

@Test func explainBodiesAreRead() throws {
    let body = #"{"url":"http://h/p?q","headers":{"Cookie":["a=1","b=2"],"x-y":"z"},"method":"POST"}"#
    let query = try ExplainBody.read(Array(body.utf8)).get()
    #expect(query.method == "POST")
    #expect(query.url == "http://h/p?q")
    #expect(query.headers.map(\.name) == ["Cookie", "Cookie", "x-y"])
    #expect(query.headers.map(\.value) == ["a=1", "b=2", "z"])
    let least = try ExplainBody.read(Array(#"{"url":"/"}"#.utf8)).get()
    #expect(least == ExplainQuery(method: "GET", url: "/", headers: []))
}

@Test(arguments: [
    ("", "body missing"), ("[]", "must be an object"), ("{}", "url missing"),
    (#"{"url":1}"#, "url must be a string"),
    (#"{"url":"/","method":"G T"}"#, "method"), (#"{"url":"/","header":{}}"#, "unknown member \"header\""),
    (#"{"url":"/ x"}"#, "blanks"), (#"{"url":"/","headers":[]}"#, "headers must be an object, not array"),
    (#"{"url":"/","headers":{"a b":"c"}}"#, "not a token"),
    (#"{"url":"/","headers":{"a":1}}"#, "header a must be"),
    (#"{"url":"/","headers":{"a":"b\r\nc: d"}}"#, "control characters"),
    (#"{"url":"/","headers":{"a":[["b"]]}}"#, "header a must be"), (#"{"url":"/""#, "at byte"),
])
func badExplainBodiesSayWhatIsWrong(body: String, words: String) {
    guard case .failure(let problem) = ExplainBody.read(Array(body.utf8)) else {
        Issue.record("accepted: \(body)")
        return
    }
    #expect(problem.message.contains(words), "\(problem.message)")
}

@Test func tooManyExplainHeadersAreRefused() {
    let values = Array(repeating: "\"v\"", count: Limits.headFields + 1).joined(separator: ",")
    guard case .failure = ExplainBody.read(Array("{\"url\":\"/\",\"headers\":{\"a\":[\(values)]}}".utf8))
    else {
        Issue.record("accepted")
        return
    }
}
