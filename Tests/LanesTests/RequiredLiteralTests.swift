// What a regex requires of a value: never more than RE2 does.
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct RequiredLiteralTests {
    @Test(arguments: [
        ("^(.*?;)?(email=[^;]*@some-company)(;.*)?$", "@some-company"),
        ("^(.*; ?)?x-feat-name=auth(;.*)?$", "x-feat-name=auth"),
        ("/[^/]+/GetCart", "/GetCart"), ("(?s).*(?:beta).*", "beta"), ("v1\\.2", "v1.2"),
        ("(?is)/API/V1.*", "/api/v1"),
        ("(?i)Basket", "ba"),
        ("ab+c", "ab"), ("abc*de", "ab"), ("ab?cde", "cde"), ("ab{0,2}cde", "cde"), ("xab{2,}c", "xab"),
        ("ab+?c", "ab"), ("[]a]bc[^]]", "bc"), ("(ab)+cd?", "ab"), ("(abc)?de", "de"), ("a(b|c)de", "de"),
        ("\\d+ab\\w", "ab"), ("a\\[b", "a[b"), ("((abc))", "abc"), ("abé*cd", "ab"),
    ])
    func finds(_ pattern: String, _ literal: String) {
        #expect(RequiredLiteral(pattern).map { String(decoding: $0.bytes, as: UTF8.self) } == literal)
    }

    @Test(arguments: [
        "", ".*", "a", "ab|cd", "(ab|cd)", "(ab)?", "a(?i)b", "(?m)abc", "(?i)ks", "(?P<n>abc)", "a(?i)bcd",
        "\\x41bcd",
        "\\Qabc\\E", "\\pLabc", "\\101bc", "[[:alpha:]]bc", "(ab){0}", "[a", "abé{2}c{", "a{,2}bcd", "ab\\",
        String(repeating: "(", count: 200) + "abc" + String(repeating: ")", count: 200),
    ])
    func saysNothingWhereItIsNotCertain(_ pattern: String) {
        #expect(RequiredLiteral(pattern) == nil)
    }

    /// Random patterns, and values that most of them match: what RE2 matches holds the literal.
    @Test func isInEveryValueThatMatches() {
        var random = SeededRandom()
        var matched = 0
        for _ in 0..<6_000 {
            let body = Piece.alternatives(&random, depth: 0)
            let flags = Piece.atom(random.pick(["", "", "(?i)", "(?is)", "(?s)"]), values: [""])
            let pattern = Piece.sequence([flags, .group(body, open: random.pick(["(", "(?:"]))])
            guard let literal = RequiredLiteral(pattern.text), let regex = TestRegex(pattern.text) else {
                continue
            }
            for _ in 0..<20 {
                var value = Array(pattern.value(&random).utf8)
                if random.chance(30) { value = value.map { asciiLower($0) } }
                guard regex.matches(value) else { continue }
                matched += 1
                let folded = literal.ignoresCase ? value.map { asciiLower($0) } : value
                let isThere = folded.indices.contains { folded[$0...].starts(with: literal.bytes) }
                #expect(isThere, "\(pattern.text) on \(String(decoding: value, as: UTF8.self))")
            }
        }
        #expect(matched > 1_000)
    }
}

/// A part of a pattern, and how to make what it matches.
private indirect enum Piece {
    case atom(String, values: [String])
    case group(Piece, open: String)
    case repeated(Piece, String, least: Int, most: Int)
    case sequence([Piece])
    case choice([Piece])

    static func alternatives(_ random: inout SeededRandom, depth: Int) -> Piece {
        let count = random.chance(15) ? 2 : 1
        return .choice((0..<count).map { _ in sequence(&random, depth) })
    }

    private static func sequence(_ random: inout SeededRandom, _ depth: Int) -> Piece {
        .sequence(
            (0..<random.int(1...5)).map { _ in
                let piece = one(&random, depth)
                switch random.int(0...11) {
                case 0: return .repeated(piece, random.pick(["*", "*?", "{0,}"]), least: 0, most: 3)
                case 1: return .repeated(piece, random.pick(["+", "+?", "{1,}"]), least: 1, most: 3)
                case 2: return .repeated(piece, random.pick(["?", "??", "{0,1}"]), least: 0, most: 1)
                case 3: return .repeated(piece, "{2}", least: 2, most: 2)
                default: return piece
                }
            })
    }

    private static func one(_ random: inout SeededRandom, _ depth: Int) -> Piece {
        switch random.int(0...(depth < 4 ? 9 : 7)) {
        case 0: return .atom(".", values: ["a", ";", "é"])
        case 1: return .atom(".*", values: ["", "a", "b;a"])
        case 2: return .atom("[^;]", values: ["a", "1", "é"])
        case 3:
            return random.pick([
                .atom("\\d", values: ["1"]), .atom("\\s", values: [" ", "\t"]), .atom("\\.", values: ["."]),
                .atom("[]b]", values: ["]", "b"]), .atom("[a\\]]", values: ["a", "]"]),
                .atom("é", values: ["é"]), .atom("^", values: [""]), .atom("\\x61", values: ["a"]),
                .atom("\\\\", values: ["\\"]), .atom("{,2}", values: ["{,2}"]),
            ])
        case 4...7:
            let text = random.text(random.int(1...3), of: "abBk;")
            return .atom(text, values: [text])
        default:
            return .group(alternatives(&random, depth: depth + 1), open: random.pick(["(", "(?:"]))
        }
    }

    var text: String {
        switch self {
        case .atom(let text, _): text
        case .group(let inner, let open): "\(open)\(inner.text))"
        case .repeated(let inner, let times, _, _): inner.text + times
        case .sequence(let pieces): pieces.map(\.text).joined()
        case .choice(let pieces): pieces.map(\.text).joined(separator: "|")
        }
    }

    /// Mostly one that matches: a repetition takes what stands before it as a whole here, which RE2 does of
    /// groups only.
    func value(_ random: inout SeededRandom) -> String {
        switch self {
        case .atom(_, let values): return random.pick(values)
        case .group(let inner, _): return inner.value(&random)
        case .repeated(let inner, _, let least, let most):
            return (0..<random.int(least...most)).map { _ in inner.value(&random) }.joined()
        case .sequence(let pieces): return pieces.map { $0.value(&random) }.joined()
        case .choice(let pieces): return random.pick(pieces).value(&random)
        }
    }
}
