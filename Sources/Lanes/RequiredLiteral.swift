// What a value must hold for a regex to match it: the longest run of characters that every way through the
// pattern takes. Where it does not occur RE2 need not be asked, so that thousands of regexes cost a request
// one pass over its value. Only ever said where it is certain; RE2 judges whatever holds it.
internal import Base

struct RequiredLiteral: Equatable {
    let bytes: [UInt8]
    /// It may stand there in any case; `bytes` are lower case.
    let ignoresCase: Bool

    /// The longest literal that stands in every value that a pattern fully matches; nil: there is none, or
    /// the pattern has parts that are not understood here. The pattern must be one that RE2 compiles.
    init?(_ pattern: String) {
        var scan = PatternScan(Array(pattern.utf8))
        guard let runs = scan.alternatives(depth: 0), scan.isAtEnd,
            let longest = runs.max(by: { $0.count < $1.count })
        else { return nil }
        // One byte is in nearly every value.
        if longest.count < 2 { return nil }
        bytes = scan.ignoresCase ? longest.map(asciiLower) : longest
        ignoresCase = scan.ignoresCase
    }
}

private struct PatternScan {
    /// Groups in groups that are looked into; RE2 takes up to 1,000.
    private static let depthLimit = 64

    private let pattern: [UInt8]
    private var at = 0
    private(set) var ignoresCase = false

    init(_ pattern: [UInt8]) {
        self.pattern = pattern
        // At the start flags hold for all of it: `i`; and `s`, which is no matter here.
        for (flags, ignores) in [("(?s)", false), ("(?i)", true), ("(?is)", true), ("(?si)", true)]
        where pattern.starts(with: flags.utf8) {
            at = flags.utf8.count
            ignoresCase = ignores
        }
    }

    var isAtEnd: Bool { at == pattern.count }
    private var next: UInt8? { isAtEnd ? nil : pattern[at] }

    /// The runs that all of `a|b|c` require: those of a, where it is alone. Ends at `)` or the end. nil: not
    /// understood.
    mutating func alternatives(depth: Int) -> [[UInt8]]? {
        guard depth < Self.depthLimit, var runs = sequence(depth) else { return nil }
        while next == UInt8(ascii: "|") {
            at += 1
            guard sequence(depth) != nil else { return nil }
            runs = []
        }
        return runs
    }

    private mutating func sequence(_ depth: Int) -> [[UInt8]]? {
        var runs: [[UInt8]] = []
        var run: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            guard let atom = atom(depth), let times = repetition() else { return nil }
            if case .byte(let byte) = atom, times != .maybeNone { run.append(byte) }
            if case .byte = atom, times == .once { continue }
            // What comes next need not stand directly behind it.
            if !run.isEmpty { runs.append(run) }
            run = []
            if case .group(let inner) = atom, times != .maybeNone { runs += inner }
        }
        if !run.isEmpty { runs.append(run) }
        return runs
    }

    private enum Atom {
        case byte(UInt8)
        case group([[UInt8]])
        /// A class, an anchor, anything that no one byte stands for.
        case other
    }

    private mutating func atom(_ depth: Int) -> Atom? {
        let byte = pattern[at]
        at += 1
        switch byte {
        case UInt8(ascii: "("): return group(depth)
        case UInt8(ascii: "["): return bracketed() ? .other : nil
        case UInt8(ascii: "\\"): return escaped()
        case UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "$"): return .other
        // Nothing to repeat, or text that looks like a repetition: RE2's rules for these are its own.
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"): return nil
        default: return character(byte)
        }
    }

    private func character(_ byte: UInt8) -> Atom {
        // One of several bytes may be repeated as a whole.
        if byte >= 0x80 { return .other }
        // Without case these two are the Kelvin sign and the long s as well.
        if ignoresCase, byte | 0x20 == UInt8(ascii: "k") || byte | 0x20 == UInt8(ascii: "s") { return .other }
        return .byte(byte)
    }

    private mutating func group(_ depth: Int) -> Atom? {
        if next == UInt8(ascii: "?") {
            // `(?:`; names and flags are left alone.
            guard at + 1 < pattern.count, pattern[at + 1] == UInt8(ascii: ":") else { return nil }
            at += 2
        }
        guard let runs = alternatives(depth: depth + 1), next == UInt8(ascii: ")") else { return nil }
        at += 1
        return .group(runs)
    }

    /// Goes behind a class; false: its end was not found.
    private mutating func bracketed() -> Bool {
        if next == UInt8(ascii: "^") { at += 1 }
        // The first is no end.
        if next == UInt8(ascii: "]") { at += 1 }
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "]"): return true
            case UInt8(ascii: "\\"): at = min(at + 1, pattern.count)
            // `[:digit:]` in it.
            case UInt8(ascii: "["): if next == UInt8(ascii: ":") { return false }
            default: break
            }
        }
        return false
    }

    private mutating func escaped() -> Atom? {
        guard let byte = next else { return nil }
        at += 1
        switch byte {
        case _ where "dDsSwWbBAz".utf8.contains(byte): return .other
        // Numbers of characters, properties, quotations.
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...: return nil
        default: return .byte(byte)
        }
    }

    private enum Times { case once, maybeNone, several }

    /// What stands behind an atom: `*`, `+`, `?`, `{2,5}`, each perhaps with a `?`.
    private mutating func repetition() -> Times? {
        let times: Times
        switch next {
        case UInt8(ascii: "*"), UInt8(ascii: "?"):
            at += 1
            times = .maybeNone
        case UInt8(ascii: "+"):
            at += 1
            times = .several
        case UInt8(ascii: "{"):
            guard let least = counted() else { return nil }
            times = least == 0 ? .maybeNone : .several
        default: return .once
        }
        if next == UInt8(ascii: "?") { at += 1 }
        return times
    }

    /// The least number of `{2}`, `{2,}` and `{2,5}`; nil: it is none of these.
    private mutating func counted() -> Int? {
        guard let end = pattern[at...].firstIndex(of: UInt8(ascii: "}")) else { return nil }
        let parts = pattern[(at + 1)..<end].split(
            separator: UInt8(ascii: ","), maxSplits: 1, omittingEmptySubsequences: false)
        let isDigits = parts.enumerated().allSatisfy { number, part in
            (number == 1 || !part.isEmpty) && part.allSatisfy { (0x30...0x39).contains($0) }
        }
        guard isDigits, let least = Int(String(decoding: parts[0], as: UTF8.self)) else { return nil }
        at = end + 1
        return least
    }
}
