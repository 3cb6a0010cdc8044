// JSON text: commas, nesting, quoting, numbers.
import Base
import TestSupport
import Testing

@Suite struct JSONWriting {
    private func write(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return writer.finishString()
    }

    @Test func everyKindOfMember() {
        let text = write { json in
            json.object { json in
                json.member("a", "x")
                json.member("b", String?.none)
                json.member("c", true)
                json.member("d", false)
                json.member("e", -1)
                json.member("f", UInt64.max)
                json.member("g", 1.5)
                json.member("h", ["1", "2"])
                json.member("i", [])
                json.object("j") { $0.member("k", 1) }
                json.object("l") { _ in }
                json.array("m") { json in
                    json.element("1")
                    json.element(2)
                    json.object { $0.member("n", 3) }
                    json.array { $0.element(4) }
                    json.array { _ in }
                }
                json.member("o", Int64.min)
            }
        }
        #expect(
            text == """
                {"a":"x","b":null,"c":true,"d":false,"e":-1,"f":18446744073709551615,"g":1.5,"h":["1","2"],\
                "i":[],"j":{"k":1},"l":{},"m":["1",2,{"n":3},[4],[]],"o":-9223372036854775808}
                """)
    }

    @Test func commasAtEveryNesting() {
        #expect(write { $0.array { _ in } } == "[]")
        #expect(
            write { json in
                json.array { json in
                    for _ in 0..<3 { json.array { json in json.object { _ in } } }
                }
            } == "[[{}],[{}],[{}]]")
    }

    @Test(
        arguments: [
            (1e20, "1e+20"), (0.1, "0.1"), (-0.0, "-0.0"), (.leastNonzeroMagnitude, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (.nan, "null"), (.infinity, "null"), (-.infinity, "null"), (3, "3.0"),
        ])
    func doubles(_ value: Double, _ text: String) {
        #expect(write { json in json.object { $0.member("d", value) } } == "{\"d\":\(text)}")
    }

    /// No control character comes out raw, and a reader gets back what was written.
    @Test func everyAsciiCharacterIsQuoted() {
        for byte in UInt8(0)...127 {
            let character = String(UnicodeScalar(byte))
            let text = write { json in json.array { $0.element(character) } }
            #expect(!text.utf8.contains { $0 < 0x20 || $0 == 0x7F })
            let expected: String
            switch byte {
            case 0x22: expected = "\\\""
            case 0x5C: expected = "\\\\"
            case 0x0A: expected = "\\n"
            case 0x0D: expected = "\\r"
            case 0x09: expected = "\\t"
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                expected = "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: expected = character
            }
            #expect(text == "[\"\(expected)\"]")
        }
    }

    @Test func keysAreQuotedAndOtherTextStays() {
        let text = write { json in json.object { $0.member("a\"\n", "\u{E4}\u{1F600}\u{2028}") } }
        #expect(text == "{\"a\\\"\\n\":\"\u{E4}\u{1F600}\u{2028}\"}")
    }

    @Test func randomTextComesBack() {
        var random = SeededRandom()
        for _ in 0..<500 {
            let value = random.text(
                random.int(0...20), of: "a\"\\\n\r\t\u{0}\u{1}\u{1F}\u{7F}\u{E4}\u{1F600}/")
            let text = write { json in json.array { $0.element(value) } }
            #expect(unquote(text.dropFirst(2).dropLast(2)) == value)
        }
    }

    /// What a JSON reader makes of a quoted text.
    private func unquote(_ text: Substring) -> String {
        var out = ""
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "\\" else {
                out.unicodeScalars.append(scalar)
                continue
            }
            switch rest.popFirst() {
            case "n": out += "\n"
            case "r": out += "\r"
            case "t": out += "\t"
            case "u":
                let digits = String(String.UnicodeScalarView(rest.prefix(4)))
                rest = rest.dropFirst(4)
                if let value = UInt32(digits, radix: 16), let scalar = UnicodeScalar(value) {
                    out.unicodeScalars.append(scalar)
                }
            case let other?: out.unicodeScalars.append(other)
            case nil: break
            }
        }
        return out
    }
}
