// Documents that nobody should have written: `check` says where and what, a running proxy refuses them and
// goes on with what it had, and neither takes more than its share of time or memory.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(30)))
struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var code: String
        /// In the finding: where or what.
        var words: String
        /// The configuration is refused as a whole; else what is wrong is left out.
        var isRefused = true

        var testDescription: String { name }
    }

    private static func virtualService(_ http: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: bad, namespace: shop}
        spec:
          hosts: [bad.test]
          gateways: [front]
          http:
          - \(http)

        """
    }

    private static let to = "route: [{destination: {host: app.test}}]"

    /// Ten levels of ten aliases each: 10,000,000,000 values.
    private static let bomb: String = {
        var text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x]\n"
        for level in 1...10 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        return text
    }()

    static let cases = [
        Case(name: "no YAML", text: "kind: [\n", code: "FL0002", words: "bad.yaml:"),
        Case(name: "a tab", text: "kind: x\n\tspec: y\n", code: "FL0002", words: "bad.yaml:2"),
        Case(name: "bytes", text: "\u{0}\u{1}\u{2}", code: "FL0002", words: "bad.yaml:1"),
        Case(name: "a list", text: "- 1\n- 2\n", code: "FL0003", words: "a list"),
        Case(name: "an alias bomb", text: bomb, code: "FL0007", words: "aliases"),
        Case(
            name: "depth", text: String(repeating: "[", count: 100_000), code: "FL0007",
            words: "nested deeper"),
        Case(
            name: "a text for a list", text: virtualService("match: all\n    \(to)"), code: "IST0106",
            words: "bad.yaml:8: error [IST0106] VirtualService shop/bad: spec.http[0].match must be a list"),
        Case(
            name: "a word for a number",
            text: virtualService("route: [{destination: {host: app.test, port: {number: eighty}}}]"),
            code: "IST0106", words: "spec.http[0].route[0].destination.port.number must be an integer"),
        Case(
            name: "a number for a text", text: virtualService("{name: 7, \(to)}"), code: "IST0106",
            words: "spec.http[0].name must be a string"),
        Case(
            name: "a number out of range",
            text: virtualService("route: [{destination: {host: app.test, port: {number: 70000}}}]"),
            code: "IST0106", words: "outside 1 to 65535"),
        Case(
            name: "an unknown field", text: virtualService("{rout: [], \(to)}"), code: "FL0005",
            words: "unknown field spec.http[0].rout (did you mean route?)"),
        Case(
            name: "a field of nowhere", text: virtualService("{zzzzzzzz: 1, \(to)}"), code: "FL0005",
            words: "known here: "),
        Case(
            name: "a pattern that is none",
            text: virtualService("match: [{uri: {regex: 'a(b'}}]\n    \(to)"), code: "IST0106",
            words: "spec.http[0].match[0].uri.regex: RE2: missing )"),
        Case(
            name: "a pattern that is too large",
            text: virtualService("match: [{uri: {regex: '((a{100}){100}){100}'}}]\n    \(to)"),
            code: "IST0106",
            words: "RE2: "),
        Case(
            name: "a pattern that is too long",
            text: virtualService(
                "match: [{uri: {regex: '\(String(repeating: "a", count: 1_025))'}}]\n    \(to)"),
            code: "IST0106", words: "longer than 1024 characters"),
        Case(
            name: "what RE2 does not know",
            text: virtualService("match: [{uri: {regex: '(?=a)b'}}]\n    \(to)"), code: "IST0106",
            words: "RE2: "),
        Case(
            name: "a document twice", text: virtualService(to) + "---\n" + virtualService(to), code: "FL0008",
            words: "the first is at ", isRefused: false),
        Case(
            name: "a key twice", text: virtualService("{\(to), \(to)}"), code: "FL0002", words: "bad.yaml:8"),
        Case(
            name: "a template", text: "kind: {{ .Values.kind }}\n", code: "FL0002", words: "render it first"),
    ]

    /// Serves app.test; what is bad is written beside it.
    private static let site = Result {
        let upstream = try puppet("good")
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), Documents.service("app.test", [(upstream.port, "{version: stable}")]),
                Documents.published("app.test"),
            ]))
        return (site, upstream)
    }

    @Test(arguments: cases) func checkSaysWhereAndWhat(_ bad: Case) throws {
        let (exit, output) = try check(bad.text)
        #expect(exit == 1)
        let line = try #require(
            output.split(separator: "\n").first { $0.contains("[\(bad.code)]") }, "\(output)")
        #expect(output.contains(bad.words), "\(output)")
        // Where, and what to do.
        #expect(line.contains("bad.yaml:") && line.hasSuffix(")"), "\(line)")
    }

    /// 2 GB of address space are enough for anything that may be read.
    private func check(_ text: String) throws -> (exit: Int32, output: String) {
        let folder = try TemporaryDirectory()
        let file = try folder.write("bad.yaml", text)
        let process = try RunningProcess([
            "bash", "-c", "ulimit -v 2000000; exec \"$0\" check \"$1\"", Programs.fairlead(), file,
        ])
        let exit = try process.waitForExit(.seconds(600))
        return (exit, process.stdout)
    }

    /// One after the other: they share a proxy.
    @Test func aRunningProxyGoesOn() throws {
        let (site, _) = try Self.site.get()
        let folder = try TemporaryDirectory()
        let proxy = try LaneSiteOfFolder(site, folder)
        for bad in Self.cases {
            let answer = try proxy.reload(with: bad.text)
            #expect(answer.status == (bad.isRefused ? 400 : 200), "\(bad.name): \(answer)")
            if bad.isRefused { #expect(answer.text.contains(bad.code), "\(bad.name): \(answer)") }
            #expect(try proxy.get() == "good", "\(bad.name)")
        }
        #expect(try proxy.reload(with: nil).status == 200)
        #expect(try proxy.get() == "good")
    }

    @Test func fiftyMegabytes() throws {
        let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata:\n"
        let size = 50 << 20
        let large = head + "  a: \"" + String(repeating: "x", count: size) + "\"\n"
        let whole = try check(large)
        #expect(whole.exit == 1 && whole.output.contains("bad.yaml:1: error [FL0007]"), "\(whole.output)")
        // As much in several documents is a file like any other.
        let third = String(repeating: "x", count: size / 3)
        let parts = (1...3).map { head.replacing("big", with: "big\($0)") + "  a: \"\(third)\"\n" }
        #expect(try check(parts.joined(separator: "---\n")).exit == 0)
        let nested = String(repeating: "{\"a\":", count: size / 5)
        let told = try check(nested)
        #expect(told.exit == 1 && told.output.contains("[FL0007]"), "\(told.output.prefix(500))")
        let beyond = head + "  a: \"" + String(repeating: "x", count: 65 << 20) + "\"\n"
        let refused = try check(beyond)
        #expect(refused.exit != 0 && refused.output.contains("bad.yaml:"), "\(refused.output.prefix(500))")
    }

    @Test func aRunningProxyTakesFiftyMegabytes() throws {
        let (site, _) = try Self.site.get()
        let proxy = try LaneSiteOfFolder(site, try TemporaryDirectory())
        let answer = try proxy.reload(with: String(repeating: "{\"a\":", count: 10 << 20))
        #expect(answer.status == 400 && answer.text.contains("FL0007"))
        #expect(try proxy.get() == "good")
    }
}

/// A proxy over a copy of a site's documents in a folder of its own, beside which bad ones are written.
private struct LaneSiteOfFolder {
    private let folder: TemporaryDirectory
    private let process: RunningProcess
    private let port: UInt16
    private let admin: UInt16

    init(_ site: LaneSite, _ folder: TemporaryDirectory) throws {
        self.folder = folder
        let good = try #require(readFile(site.path))
        try folder.write("conf/site.yaml", String(decoding: good, as: UTF8.self))
        (port, admin) = (try freeLoopbackPort(), try freeLoopbackPort())
        process = try Programs.runFairlead([
            folder.file("conf"), "--workers", "1", "--admin", "127.0.0.1:\(admin)", "--port", "80=\(port)",
        ])
    }

    /// Exchanges the bad document (nil: takes it away) and reloads.
    func reload(with text: String?) throws -> HTTPMessage {
        if let text {
            try folder.replace("conf/bad.yaml", text)
        } else {
            folder.remove("conf/bad.yaml")
        }
        let connection = try RawConnection(port: admin)
        try connection.send(
            "POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return try connection.response(.seconds(600))
    }

    /// Who answers app.test.
    func get() throws -> String? {
        try RawConnection(port: port).get("/", host: "app.test").value("x-upstream")
    }
}
