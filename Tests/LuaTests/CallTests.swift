// `httpCall`, `importPublicKey` and `verifySignature`: what a script may ask for, and what it is given.
import Base
import HTTP
import Lua
import TestSupport
import Testing

@Suite struct CallTests {
    private func waiting(_ body: String) throws -> (Scripted, Interpreter, ScriptRun?, ScriptOutcome) {
        let interpreter = try #require(Interpreter())
        let head = Scripted()
        let code = "function envoy_on_request(h)\n\(body)\nend"
        if let problem = interpreter.add(head.filter(code)) { throw problem }
        head.message.pointee.hasCluster = { _, name, count in ByteView(name, count).equals("there") ? 1 : 0 }
        var run: ScriptRun?
        let outcome = head.run(interpreter, run: &run)
        return (head, interpreter, run, outcome)
    }

    private static let fields = "[':method'] = 'POST', [':path'] = '/p?q', [':authority'] = 'a.test'"

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func aCallIsPutTogetherAndAnswered() throws {
        let (head, interpreter, run, outcome) = try waiting(
            """
            local got, body = h:httpCall('there', {\(Self.fields), ['X-A'] = {'1', '2'}, host = 'evil',
              ['content-length'] = '9', ['transfer-encoding'] = 'chunked', [':scheme'] = 'https'}, 'ask', 250)
            h:headers():add('x-got', got[':status'] .. got['x-b'] .. tostring(body))
            """)
        #expect(outcome == .waitsForCall)
        let call = try #require(head.message.pointee.calls.first)
        #expect(text(call.cluster) == "there" && text(call.method) == "POST" && text(call.path) == "/p?q")
        #expect(text(call.authority) == "a.test" && text(call.body) == "ask" && call.timeoutMs == 250)
        #expect(call.fields.map { "\(text($0.name)): \(text($0.value))" } == ["x-a: 1", "x-a: 2"])
        #expect(!call.isAsynchronous && call.sendsForwardedFor)
        head.message.pointee.answerFields = [(":status", "200"), ("x-b", "1"), ("x-b", "2")].map {
            (Array($0.0.utf8), Array($0.1.utf8))
        }
        head.message.pointee.answerBody = Array("yes".utf8)
        #expect(interpreter.resume(try #require(run), head.message, given: false) == .done)
        // Of several lines the last counts.
        #expect(head.values("x-got") == ["2002yes"])
    }

    @Test func optionsSayTheSame() throws {
        let options =
            "{timeout_ms = 7, asynchronous = true, send_xff = false, trace_sampled = true, "
            + "return_duplicate_headers = true}"
        let (head, _, run, outcome) = try waiting("h:httpCall('there', {\(Self.fields)}, nil, \(options))")
        #expect(outcome == .done && run == nil)
        let call = try #require(head.message.pointee.calls.first)
        #expect(call.timeoutMs == 7 && call.isAsynchronous && !call.sendsForwardedFor && call.body.isEmpty)
    }

    @Test(arguments: [
        "h:httpCall('none', {FIELDS}, '', 1)", "h:httpCall('there', {[':path'] = '/'}, '', 1)",
        "h:httpCall('there', {FIELDS}, '', -1)", "h:httpCall('there', {FIELDS}, '', {timeout_ms = -1})",
        "h:httpCall('there', {FIELDS}, '', {other = 1})", "h:httpCall('there', {FIELDS}, '')",
        "h:httpCall('there', {FIELDS, ['x y'] = '1'}, '', 1)",
        "h:httpCall('there', {FIELDS, x = 'a\\r\\nb: c'}, '', 1)",
        "h:httpCall('there', {FIELDS, x = {}, y = function() end}, '', 1)",
        "h:httpCall('there', {[':method'] = 'GET', [':path'] = '/a b', [':authority'] = 'a'}, '', 1)",
        "h:httpCall('there', {[':method'] = 'GET', [':path'] = '/', [':authority'] = 'a/b'}, '', 1)",
        "h:httpCall('there', {[':method'] = 'G T', [':path'] = '/', [':authority'] = 'a'}, '', 1)",
        "h:httpCall('there', {[':method'] = 'CONNECT', [':path'] = '/', [':authority'] = 'a'}, '', 1)",
        "h:httpCall('there', {FIELDS, x = string.rep('x', 20000)}, '', 1)",
        "h:httpCall('there', {FIELDS}, string.rep('x', 2000000), 1)",
        "for i = 1, 100 do h:httpCall('there', {FIELDS}, '', {asynchronous = true}) end",
        "coroutine.wrap(function() h:httpCall('there', {FIELDS}, '', 1) end)()",
    ])
    func whatCannotBeCalledFails(_ line: String) throws {
        let (head, _, _, outcome) = try waiting(line.replacing("FIELDS", with: Self.fields))
        #expect(outcome == .failed)
        #expect(head.message.pointee.calls.count <= Int(Limits.scriptRunCalls))
    }

    @Test func aFailedCallLeavesNothingInAnAnswer() throws {
        let (head, _, _, outcome) = try waiting(
            """
            pcall(h.httpCall, h, 'there', {\(Self.fields), ['x-left'] = '1', bad = function() end}, '', 1)
            h:respond({[':status'] = '200'}, nil)
            """)
        #expect(outcome == .responded)
        #expect(head.message.pointee.answer.fields.count == 1 && head.message.pointee.calls.isEmpty)
    }

    // MARK: signatures

    /// `key`, `data` and `signature` as Lua texts, made by OpenSSL.
    private func signed(_ algorithm: [String], _ hash: String) throws -> String {
        let folder = try TemporaryDirectory()
        let key = folder.file("key.pem")
        try TestCertificates.openssl(["genpkey", "-out", key] + algorithm)
        try TestCertificates.openssl([
            "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", folder.file("pub"),
        ])
        try folder.write("data", "what was signed")
        try TestCertificates.openssl([
            "dgst", "-\(hash)", "-sign", key, "-out", folder.file("sig"), folder.file("data"),
        ])
        func lua(_ name: String) throws -> String {
            let bytes = try #require(readFile(folder.file(name)))
            return "'" + bytes.map { "\\" + String(String(1_000 + Int($0)).dropFirst()) }.joined() + "'"
        }
        return "local key, data, signature = \(try lua("pub")), 'what was signed', \(try lua("sig"))\n"
    }

    private func verdict(_ lines: String) throws -> String {
        let head = Scripted()
        let outcome = try head.run("function envoy_on_request(h)\n\(lines)\nend")
        return outcome == .done ? head.values("x-verdict").first ?? "none" : head.error
    }

    private static let tell = """
        h:headers():add('x-verdict', tostring(ok) .. ' ' .. tostring(why))
        """

    @Test(arguments: ["sha1", "sha224", "sha256", "sha384", "sha512"])
    func signaturesAreVerified(_ hash: String) throws {
        let known = try signed(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], hash)
        let import_ = "local k = h:importPublicKey(key, #key):get()\n"
        let verify = "local ok, why = h:verifySignature('\(hash)', k, signature, #signature, data, #data)\n"
        #expect(try verdict(known + import_ + verify + Self.tell) == "true nil")
        let upper = verify.replacing("'\(hash)'", with: "'\(hash.uppercased())'")
        #expect(try verdict(known + import_ + upper + Self.tell) == "true nil")
        let changed = verify.replacing("data, #data)", with: "data, #data - 1)")
        #expect(
            try verdict(known + import_ + changed + Self.tell)
                == "false Failed to verify digest. Error code: 0")
        let other = verify.replacing("'\(hash)'", with: "'md5'")
        #expect(try verdict(known + import_ + other + Self.tell) == "false md5 is not supported.")
    }

    @Test func curvesAreKeysToo() throws {
        let known = try signed(["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "sha256")
        let lines =
            known + "local k = h:importPublicKey(key, #key):get()\n"
            + "local ok, why = h:verifySignature('sha256', k, signature, #signature, data, #data)\n"
        #expect(try verdict(lines + Self.tell) == "true nil")
    }

    @Test(arguments: [
        ("h:importPublicKey('junk', 4):get()", "nil"), ("h:importPublicKey('', 0):get()", "nil"),
        ("pcall(h.importPublicKey, h, 'junk', 5)", "false"),
        ("pcall(h.importPublicKey, h, 'junk', -1)", "false"),
        ("pcall(h.verifySignature, h, 'sha256', 'junk', 's', 1, 'd', 1)", "false"),
        ("h:importPublicKey(string.rep('x', 100000), 100000):get()", "nil"),
    ])
    func whatIsNoKeyIsNil(_ expression: String, _ expected: String) throws {
        #expect(try evaluate("(\(expression))") == expected)
    }

    @Test func verifyingForEverEnds() throws {
        let known = try signed(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "sha256")
        let lines =
            known + "while true do pcall(h.verifySignature, h, 'sha256', key, signature, 1, data, 1) end"
        #expect(try verdict(lines).contains("script ran"))
    }
}
