// Shapes of regexes answered without RE2: recognised where they should be, and with RE2's verdict always.
import Base
import CRE2
import TestSupport
import Testing

@testable import Lanes

/// A pattern compiled for a test.
final class TestRegex {
    let handle: OpaquePointer

    init?(_ pattern: String) {
        var error = [CChar](repeating: 0, count: 128)
        let bytes = Array(pattern.utf8).map { CChar(bitPattern: $0) }
        guard let made = fl_re2_new(bytes + [0], bytes.count, 1 << 20, &error, error.count) else {
            return nil
        }
        handle = made
    }

    deinit { fl_re2_free(handle) }

    func matches(_ value: [UInt8]) -> Bool { view(value) { fullMatch(handle, $0) } }
}

@Suite struct RegexShapeTests {
    @Test(arguments: [
        (".*(auth-refactor).*", "auth-refactor", Boundary.any, Boundary.any),
        (".*(x-feat-name=auth).*", "x-feat-name=auth", .any, .any),
        (".*auth.*", "auth", .any, .any),
        ("auth", "auth", .end, .end),
        ("^auth$", "auth", .end, .end),
        ("auth.*", "auth", .end, .any),
        (".*?auth", "auth", .any, .end),
        ("^(.*;)?x=y(;.*)?$", "x=y", .separator, .separator),
        ("^(.*?;)?(x=y)(;.*)?$", "x=y", .separator, .separator),
        ("^(.*?;)?\\s*(x=y)(;.*)?$", "x=y", .separatorAndBlanks, .separator),
        ("(?:.*;)?\\s*x=y\\s*(?:;.*)?", "x=y", .separatorAndBlanks, .separatorAndBlanks),
        ("^(.*;\\s*)?(x=y)(;.*)?$", "x=y", .blanksAtSeparator, .separator),
        ("^(?:.*?;\\s*?)?x=y(?:\\s*;.*)?$", "x=y", .blanksAtSeparator, .blanksAtSeparator),
        ("a\\.b\\-c", "a.b-c", .end, .end),
    ])
    func recognises(_ pattern: String, _ literal: String, _ left: Boundary, _ right: Boundary) throws {
        let shape = try #require(RegexShape(pattern))
        #expect(String(decoding: shape.literal, as: UTF8.self) == literal)
        #expect(shape.left == left)
        #expect(shape.right == right)
    }

    @Test(arguments: [
        "", "a|b", "a+", "a.b", "(a|b)", "[ab]", "a\\d", "(?i)a", "a{2}", "a\\.*", "^(.*;)?\\s+a", "(a)(b)",
        "(.*;)?", "a\\", "\\Qa\\E", "é.*", "(.*;)?(;.*)?", "a\\\\s*(;.*)?", "(a)?(;.*)?",
    ])
    func leavesTheRestToRE2(_ pattern: String) {
        #expect(RegexShape(pattern) == nil)
    }

    /// Random patterns of known pieces on random values: with a shape, the same verdict as RE2's.
    @Test func shapesAgreeWithRE2() {
        var random = SeededRandom()
        let lefts = [
            "", "^", ".*", "^.*", ".*?", "(.*)", "(.*;)?", "^(.*?;)?", "(?:.*;)?", "(.*;)?\\s*",
            "^(.*?;)?\\s*", "^(.*;\\s*)?", "(?:.*?;\\s*?)?",
        ]
        let rights = [
            "", "$", ".*", ".*$", ".*?", "(.*)", "(;.*)?", "(;.*)?$", "(?:;.*?)?", "\\s*(;.*)?$", "\\s*",
            "(\\s*;.*)?$", "(?:\\s*?;.*?)?",
        ]
        var shaped = 0
        for _ in 0..<2_000 {
            var literal = random.text(random.int(0...4), of: "ab;=- .")
            literal = literal.replacing(".", with: "\\.")
            if random.chance(50) { literal = "(\(literal))" }
            let pattern = random.pick(lefts) + literal + random.pick(rights)
            guard let regex = TestRegex(pattern) else { continue }
            guard let shape = RegexShape(pattern) else { continue }
            shaped += 1
            withMatcher(shape, regex) { matcher in
                for _ in 0..<20 {
                    let value = randomValue(&random, around: shape.literal)
                    #expect(
                        view(value) { matcher.matches($0) } == regex.matches(value),
                        "\(pattern) on \(String(decoding: value, as: UTF8.self))")
                }
            }
        }
        #expect(shaped > 500)
    }

    private func withMatcher(
        _ shape: RegexShape, _ regex: TestRegex, _ body: (Matcher) throws -> Void
    ) rethrows {
        try shape.literal.withUnsafeBufferPointer { buffer in
            var matcher = Matcher()
            matcher.kind = .shape
            matcher.left = shape.left
            matcher.right = shape.right
            matcher.regex = regex.handle
            if let base = buffer.baseAddress, !buffer.isEmpty { matcher.text = ByteView(base, buffer.count) }
            try body(matcher)
        }
    }

    @Test func plainnessSeesEveryPosition() {
        for count in 0...40 {
            let plain = [UInt8](repeating: 0x61, count: count)
            #expect(view(plain) { isPlain($0) })
            for at in 0..<count {
                for byte: UInt8 in [0x0A, 0x80, 0xFF] {
                    var bytes = plain
                    bytes[at] = byte
                    #expect(!view(bytes) { isPlain($0) })
                }
                for byte: UInt8 in [0x00, 0x09, 0x0B, 0x0D, 0x20, 0x7F] {
                    var bytes = plain
                    bytes[at] = byte
                    #expect(view(bytes) { isPlain($0) })
                }
            }
        }
    }
}

/// Values near a literal, with separators, blanks, newlines and bytes that are no ASCII among them.
func randomValue(_ random: inout SeededRandom, around literal: [UInt8]) -> [UInt8] {
    let pieces: [[UInt8]] = [
        literal, Array(literal.dropLast()), Array(";".utf8), Array("; ".utf8), Array(" ".utf8),
        Array("\t".utf8), Array("a".utf8), Array("=".utf8), Array("\n".utf8), [0x80], Array("é".utf8),
        [0x00],
        Array("\r".utf8), Array("ab".utf8),
    ]
    var value: [UInt8] = []
    for _ in 0..<random.int(0...6) { value += random.pick(pieces) }
    return value
}
