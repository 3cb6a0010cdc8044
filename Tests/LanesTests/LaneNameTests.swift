// Lane names and signed values: what is accepted, and that nothing else is (lanes.md 1 trap 10, and 3).
import Base
import TestSupport
import Testing

@testable import Lanes

@Suite struct LaneNameTests {
    @Test(arguments: ["a", "0", "auth-refactor", "a--b", "x1", String(repeating: "a", count: 63)])
    func labelsAreNames(_ name: String) {
        #expect(view(name) { isLaneName($0) })
    }

    @Test(arguments: [
        "", "-", "-a", "a-", "A", "Auth", "a_b", "a.b", "a b", " a", "a ", "a\n", "a\0",
        "a\r\nset-cookie: x=y",
        "é", "a;b", "a=b", "a,b", "a~b", "%61", "../etc", String(repeating: "a", count: 64),
    ])
    func nothingElseIsAName(_ name: String) {
        #expect(!view(name) { isLaneName($0) })
    }

    @Test func agreesWithThePatternOnRandomBytes() {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            let count = random.int(0...66)
            let bytes =
                random.chance(50)
                ? random.bytes(count)
                : Array(random.text(count, of: "abz019-").utf8)
            let inner = bytes.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
            }
            let expected =
                (1...63).contains(bytes.count) && inner && bytes.first != 0x2D && bytes.last != 0x2D
            #expect(view(bytes) { isLaneName($0) } == expected)
        }
    }
}

@Suite struct SignedLaneTests {
    static let secret = Array("key".utf8)

    private func read(
        _ value: String, secret: [UInt8] = secret, required: Bool = true, now: Int64 = 1_000
    ) -> (NameVerdict, String) {
        view(secret) { key in
            view(value) { text in
                var name = ByteView.empty
                let verdict = SignedLane.read(
                    text, secret: key, required: required, nowSeconds: now, &name)
                return (verdict, name.string)
            }
        }
    }

    /// HMAC-SHA-256("key", "auth~2000"), first 16 bytes, computed with Python's hmac module.
    static let known = "auth~2000~2Dq8qyePmzTkN-sas38Bhw"

    @Test func knownValueIsAccepted() throws {
        let made = try #require(SignedLane.text("auth", expiresAtSeconds: 2_000, secret: Self.secret))
        #expect(made == Self.known)
        #expect(read(Self.known) == (.valid, "auth"))
    }

    @Test func expiryIsExclusive() {
        #expect(read(Self.known, now: 1_999).0 == .valid)
        #expect(read(Self.known, now: 2_000).0 == .refused)
    }

    @Test func plainNamesCountWhereNoSignatureIsRequired() {
        #expect(read("auth", required: false) == (.valid, "auth"))
        #expect(read("auth", required: true).0 == .refused)
        #expect(read("Auth", required: true).0 == .invalid)
    }

    @Test func withoutASecretATildeIsNoName() {
        #expect(read(Self.known, secret: [], required: false).0 == .invalid)
        #expect(read("auth", secret: [], required: true).0 == .refused)
    }

    @Test(arguments: [
        "auth~2000~", "auth~2000", "auth~~2Dq8qyePmzTkN-sas38Bhw", "auth~-2000~2Dq8qyePmzTkN-sas38Bhw",
        "auth~2001~2Dq8qyePmzTkN-sas38Bhw", "auth2~2000~2Dq8qyePmzTkN-sas38Bhw",
        "auth~2000~2Dq8qyePmzTkN-sas38Bhg", "auth~2000~2Dq8qyePmzTkN-sas38Bhw=",
        "auth~2000~2Dq8qyePmzTkN-sas38Bhw~", "auth~9999999999999~2Dq8qyePmzTkN-sas38Bhw",
    ])
    func anyOtherValueIsRefused(_ value: String) {
        #expect(read(value).0 == .refused)
        #expect(read(value, required: false).0 == .refused)
    }

    @Test func mutatedValuesAreNeverAccepted() {
        var random = SeededRandom()
        let original = Array(Self.known.utf8)
        for _ in 0..<3_000 {
            let bytes = random.mutated(original)
            if bytes == original { continue }
            let verdict = view(Self.secret) { key in
                view(bytes) { text in
                    var name = ByteView.empty
                    return SignedLane.read(text, secret: key, required: true, nowSeconds: 1_000, &name)
                }
            }
            #expect(verdict != .valid)
        }
    }
}
