// Path normalisation: the rows of istio-semantics.md 22.4 and 29, and random paths against a naive model.
import Base
import HTTP
import TestSupport
import Testing

/// nil: refused.
private func normalize(_ path: [UInt8], _ mode: PathNormalizer.Mode) -> [UInt8]? {
    let out = UnsafeMutablePointer<UInt8>.allocate(capacity: path.count + 1)
    defer { out.deallocate() }
    return path.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return [] }
        switch PathNormalizer.normalize(ByteView(start, buffer.count), mode, out) {
        case .unchanged: return path
        case .changed(let count): return Array(UnsafeBufferPointer(start: out, count: count))
        case .refused: return nil
        }
    }
}

/// The same in small steps over arrays.
private enum Model {
    static func normalize(_ path: [UInt8], _ mode: PathNormalizer.Mode) -> [UInt8]? {
        if mode == .none { return path }
        guard let decoded = decode(path, slashes: mode == .decodeAndMergeSlashes) else { return nil }
        let resolved = resolve(decoded)
        return mode == .base ? resolved : merge(resolved)
    }

    static func decode(_ path: [UInt8], slashes: Bool) -> [UInt8]? {
        let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)
        var out: [UInt8] = []
        var rest = path[...]
        while let byte = rest.first {
            let digits = rest.dropFirst().prefix(2)
            if byte == 0x25, digits.count == 2,
                digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                if value == 0 { return nil }
                if unreserved.contains(value) {
                    out.append(value)
                } else if slashes, value == 0x2F || value == 0x5C {
                    out.append(0x2F)
                } else {
                    out += rest.prefix(3)
                }
                rest = rest.dropFirst(3)
            } else {
                out.append(byte == 0x5C ? 0x2F : byte)
                rest = rest.dropFirst()
            }
        }
        return out
    }

    static func resolve(_ path: [UInt8]) -> [UInt8] {
        let segments = path.dropFirst().split(separator: 0x2F, omittingEmptySubsequences: false).map {
            Array($0)
        }
        var kept: [[UInt8]] = []
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            if segment == [0x2E] || segment == [0x2E, 0x2E] {
                if segment.count == 2, !kept.isEmpty { kept.removeLast() }
                if isLast { kept.append([]) }
            } else {
                kept.append(segment)
            }
        }
        return kept.isEmpty ? [0x2F] : kept.flatMap { [0x2F] + $0 }
    }

    static func merge(_ path: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        for byte in path where !(byte == 0x2F && out.last == 0x2F) { out.append(byte) }
        return out
    }
}

@Suite struct PathNormalizing {
    /// Path, then the result under BASE, MERGE_SLASHES and DECODE_AND_MERGE_SLASHES; nil is refused.
    struct Row: Sendable, CustomTestStringConvertible {
        let path: String
        let base: String?
        let merge: String?
        let decode: String?

        init(_ path: String, _ base: String?, _ merge: String? = nil, _ decode: String? = nil) {
            self.path = path
            self.base = base
            self.merge = merge ?? base
            self.decode = decode ?? merge ?? base
        }

        var testDescription: String { path }
    }

    static let rows: [Row] = [
        Row("/", "/"), Row("/a", "/a"), Row("/a/", "/a/"), Row("/a//b", "/a//b", "/a/b"),
        Row("//", "//", "/"),
        Row("///a///", "///a///", "/a/"),
        // Dot segments, written plainly and as escapes; above the root stays at the root.
        Row("/a/./b", "/a/b"), Row("/a/../b", "/b"), Row("/../a", "/a"), Row("/..", "/"), Row("/.", "/"),
        Row("/a/..", "/"), Row("/a/b/..", "/a/"), Row("/a/.", "/a/"), Row("/a/b/../../../c", "/c"),
        Row("/%2e%2e/a", "/a"), Row("/a/%2E%2e/b", "/b"), Row("/a/.%2e/b", "/b"), Row("/a/%2e", "/a/"),
        Row("/a//../b", "/a/b"), Row("/a/..//b", "//b", "/b"), Row("/..a", "/..a"), Row("/a../b", "/a../b"),
        Row("/...", "/..."), Row("/.well-known/x", "/.well-known/x"), Row("/a/.../b", "/a/.../b"),
        // Escapes: unreserved ones are decoded, the others keep the case of their digits.
        Row("/%41%7a%2D%5F%7e%30", "/Az-_~0"), Row("/%2F", "/%2F", "/%2F", "/"),
        Row("/%2f", "/%2f", "/%2f", "/"),
        Row("/a%5cb", "/a%5cb", "/a%5cb", "/a/b"), Row("/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b"),
        Row("/%c0%af", "/%c0%af"), Row("/%c3%a9", "/%c3%a9"), Row("/%C3%A9", "/%C3%A9"), Row("/%20", "/%20"),
        Row("/%252e%252e/", "/%252e%252e/"), Row("/%25", "/%25"),
        Row("/a%2F..%2Fb", "/a%2F..%2Fb", nil, "/b"),
        // Broken escapes go upstream as they are (29); an escaped NUL is 400.
        Row("/%zz", "/%zz"), Row("/%2", "/%2"), Row("/%", "/%"), Row("/%%41", "/%A"), Row("/%4", "/%4"),
        Row("/%2%65", "/%2e"), Row("/%00", nil), Row("/a%00b", nil), Row("/%2500", "/%2500"),
        // A backslash is a slash.
        Row("/a\\b", "/a/b"), Row("/a\\..\\b", "/b"), Row("/a\\\\b", "/a//b", "/a/b"), Row("/\\", "//", "/"),
        // Letters keep their case, other bytes stay.
        Row("/AbC", "/AbC"), Row("/\u{E4}", "/\u{E4}"), Row("/a;b=c,d:@!$&'()*+", "/a;b=c,d:@!$&'()*+"),
    ]

    @Test(arguments: rows) func row(_ row: Row) {
        let path = Array(row.path.utf8)
        #expect(normalize(path, .none) == path)
        #expect(normalize(path, .base).map(text) == row.base)
        #expect(normalize(path, .mergeSlashes).map(text) == row.merge)
        #expect(normalize(path, .decodeAndMergeSlashes).map(text) == row.decode)
    }

    static let modes: [PathNormalizer.Mode] = [.none, .base, .mergeSlashes, .decodeAndMergeSlashes]

    @Test func randomPathsAgainstTheModel() {
        var random = SeededRandom()
        let parts = [
            "/", "/", ".", "..", "%2e", "%2E", "%2F", "%5c", "\\", "a", "B", "%41", "%", "%0", "%00", "%c3",
            "//",
            "/./", "/../", "~", "%zz", "%25", "2e", "\u{E4}",
        ]
        for _ in 0..<20_000 {
            let path = Array(("/" + (0..<random.int(0...10)).map { _ in random.pick(parts) }.joined()).utf8)
            for mode in Self.modes {
                let result = normalize(path, mode)
                #expect(result == Model.normalize(path, mode), "\(text(path)) \(mode)")
                guard let result, mode != .none else { continue }
                #expect(result.first == 0x2F && result.count <= path.count)
            }
        }
    }

    /// All short paths over the bytes that matter.
    @Test func everyShortPathAgainstTheModel() {
        let alphabet = Array("/.%2eF\\5c0".utf8)
        var paths: [[UInt8]] = [[]]
        for _ in 0..<5 {
            paths = paths.flatMap { path in alphabet.map { path + [$0] } }
            if paths.count > 10_000 { break }
            for path in paths {
                for mode in Self.modes
                where normalize([0x2F] + path, mode) != Model.normalize([0x2F] + path, mode) {
                    Issue.record("\(text(path)) \(mode)")
                }
            }
        }
    }

    /// Two proxies in a row must not see two paths where no broken escape completes itself.
    @Test func normalisedPathsStayAsTheyAre() {
        for row in Self.rows where row.path != "/%%41" && row.path != "/%2%65" {
            for mode in Self.modes {
                guard let once = normalize(Array(row.path.utf8), mode) else { continue }
                #expect(normalize(once, mode) == once, "\(row.path) \(mode)")
            }
        }
    }
}
