// Lists in text: reading our piece of cookies, baggage and tracestate, and edits that leave others' bytes
// alone.
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct ListTextTests {
    private func first(_ kind: ListKind, _ text: String, key: String = "k") -> String? {
        view(key) { key in
            view(text) { text in
                var pieces = Pieces(text, separator: kind.separator)
                while let piece = pieces.next() {
                    if let value = kind.value(piece, key) { return value.string }
                }
                return nil
            }
        }
    }

    private func rewritten(
        _ kind: ListKind, _ text: String, _ placement: Placement, value: String = "new"
    ) -> String {
        view("k") { key in
            view(value) { value in
                view(text) { text in
                    let count = rewrite(text, kind, key, placement, (key, value), to: nil)
                    var out = [UInt8](repeating: 0xFF, count: count + 1)
                    let written = out.withUnsafeMutableBufferPointer {
                        rewrite(text, kind, key, placement, (key, value), to: $0.baseAddress!)
                    }
                    #expect(written == count)
                    #expect(out[count] == 0xFF, "wrote past its own count")
                    return String(decoding: out[..<count], as: UTF8.self)
                }
            }
        }
    }

    @Test(arguments: [
        ("k=v", "v"), ("a=b; k=v", "v"), (" k = v ;", "v"), ("k=\"v\"", "v"), ("k=\"\"", ""), ("k=", ""),
        ("k=v=w", "v=w"), ("k=1; k=2", "1"), ("junk; ; =x; k=v", "v"), ("a=b;k=v", "v"),
    ])
    func readsACookie(_ text: String, _ expected: String) {
        #expect(first(.cookie, text) == expected)
    }

    @Test(arguments: ["", "k", "K=v", "kk=v", "zk=v", "a=k=v", "k;=v", "a=\"; k\"", "x-k=v"])
    func otherCookiesAreNotOurs(_ text: String) {
        #expect(first(.cookie, text) == nil)
    }

    @Test(arguments: [
        ("k=v", "v"), ("a=1,k=v", "v"), ("k = v ; p=1;q", "v"), ("k=v;p=1,a=2", "v"),
        ("a=1 , k=v%20 ", "v%20"),
    ])
    func readsABaggageMember(_ text: String, _ expected: String) {
        #expect(first(.baggage, text) == expected)
    }

    @Test func keepsOthersBytesInBaggage() {
        let text = "a=1;p=%20x , k=old;q=2,b = 2"
        #expect(rewritten(.baggage, text, .inPlace) == "a=1;p=%20x ,k=new,b = 2")
        #expect(rewritten(.baggage, text, .nowhere) == "a=1;p=%20x ,b = 2")
        #expect(rewritten(.baggage, "a=1", .inPlace) == "a=1,k=new")
        #expect(rewritten(.baggage, "k=1,a=1,k=2", .inPlace) == "k=new,a=1")
        #expect(rewritten(.baggage, "", .inPlace) == "k=new")
    }

    @Test func oursGoesFirstInTracestate() {
        #expect(rewritten(.tracestate, "a=1,k=old,b=2", .first) == "k=new,a=1,b=2")
        #expect(rewritten(.tracestate, "a=1", .first) == "k=new,a=1")
    }

    @Test(arguments: [
        ("a=1; k=v; b=2", "a=1; b=2"), ("k=v; b=2", "b=2"), ("a=1; k=v", "a=1"), ("k=v", ""),
        ("a=1;k=v;b=2", "a=1;b=2"), ("a=\"x y\"; k=v; junk", "a=\"x y\"; junk"), ("a=1;; k=v;", "a=1;;"),
    ])
    func removesOurCookieAlone(_ text: String, _ expected: String) {
        #expect(rewritten(.cookie, text, .nowhere) == expected)
    }

    /// What is left after removal holds no piece of ours and all others, whatever came in.
    @Test func removalKeepsOthersOnRandomInput() {
        var random = SeededRandom()
        for _ in 0..<3_000 {
            let text = random.text(random.int(0...40), of: "k=v;, \"a%1\t")
            for kind in [ListKind.cookie, .baggage, .tracestate] {
                let result = rewritten(kind, text, .nowhere)
                #expect(first(kind, result) == nil)
                let separator: Character = kind == .cookie ? ";" : ","
                func others(_ text: String) -> [String] {
                    text.split(separator: separator).map(String.init).filter { first(kind, $0) == nil }
                        .map { $0.withView { $0.trimmed.string } }.filter { !$0.isEmpty }
                }
                #expect(others(text) == others(result), "\(kind) \(text)")
            }
        }
    }
}

@Suite struct QueryTests {
    private func lane(_ query: String) -> String? {
        view("x-feat-name") { key in view(query) { laneParameter($0, key)?.string } }
    }

    @Test(arguments: [
        ("x-feat-name=foo", "foo"), ("a=1&x-feat-name=foo&b=2", "foo"), ("x-feat-name=1&x-feat-name=2", "1"),
        ("x-feat-name=", ""), ("x-feat-name", ""), ("&&x-feat-name=a", "a"), ("x%2Dfeat-name=a", "a"),
        ("%78%2d%66eat-name=a", "a"), ("x-feat-name=a%20b", "a%20b"), ("x-feat-name=a=b", "a=b"),
        ("x-feat-name=a#frag", "a"),
    ])
    func findsOurParameter(_ query: String, _ expected: String) {
        #expect(lane(query) == expected)
    }

    @Test(arguments: [
        "", "a=1", "X-Feat-Name=foo", "x_feat_name=foo", "zx-feat-name=foo", "x-feat-name2=foo",
        "a=?x-feat-name=foo", "a=1;x-feat-name=foo", "x-feat-name%=foo", "x-feat-nam%6=foo",
        "a#x-feat-name=foo",
        "a=x-feat-name=foo",
    ])
    func nothingElseIsOurs(_ query: String) {
        #expect(lane(query) == nil)
    }

    @Test func rawLookUpDecodesNothing() {
        func first(_ query: String, _ name: String) -> String? {
            view(name) { name in view(query) { firstParameter($0, name)?.string } }
        }
        #expect(first("a=%20&a=2", "a") == "%20")
        #expect(first("ab=1&a", "a") == "")
        #expect(first("%61=1", "a") == nil)
        #expect(first("b=1", "a") == nil)
    }

    @Test func randomQueriesAreReadWithinTheirBytes() {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            let bytes = random.mutated(Array("a=1&x-feat-name=au%2Dth&b=%zz".utf8))
            // Read in memory that ends with the query: a read past it is caught by the allocator's checks.
            let room = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
            defer { room.deallocate() }
            room.initialize(from: bytes, count: bytes.count)
            let text = ByteView(UnsafePointer(room), bytes.count)
            let found = view("x-feat-name") { laneParameter(text, $0) }
            if let found {
                #expect(found.start >= text.start && found.end <= text.end)
            }
        }
    }
}
