// Nothing a client sends, and nothing a document says, puts a line of its own into a head that we write
// (response splitting, header injection; RFC 9110 5.5).
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpSplitting {
    /// An edge with lanes, a pin, redirects and formatters that echo what clients say.
    private static func documents(_ upstream: UInt16, normalization: String = "BASE") -> String {
        """
        \(edgeGateway(spec: ["pathNormalization: \(normalization)"]))
        ---
        apiVersion: fairlead.dev/v1alpha1
        kind: LanePolicy
        metadata: {name: default, namespace: shop}
        spec: {key: x-feat-name, pin: {path: /}}
        ---
        \(serviceEntry("app.test", endpoints: [upstream]))
        ---
        \(edgeRoutes("""
            - match: [{uri: {prefix: /moved}}]
              redirect: {authority: other.test}
            - headers:
                request: {set: {x-echo-up: "a %REQ(X-IN)% %REQ(:PATH)% b"}}
                response: {set: {x-echo-down: "a %REQ(X-IN)% %REQ(:PATH)% %RESP(X-OUT)% b"}}
              route: [{destination: {host: app.test, port: {number: 8080}}}]
            """))

        """
    }

    private func site(_ upstream: UInt16, normalization: String = "BASE") throws -> HttpProxy {
        try HttpProxy(Self.documents(upstream, normalization: normalization))
    }

    private static let line = "%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0aHTTP/1.1%20200%20OK"

    @Test(arguments: [
        "/?x-feat-name=a\(line)", "/?x-feat-name=\(line)", "/p\(line)", "/?q=\(line)",
        "/moved\(line)?\(line)",
        "/moved?x-feat-name=a\(line)", "/p%0a%0d%00", "/moved%E5%98%8A%E5%98%8Devil:1",
    ])
    func percentEncodedLines(_ target: String) throws {
        for normalization in ["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] {
            let upstream = try RecordingUpstream()
            let proxy = try site(upstream.port, normalization: normalization)
            let text = try proxy.exchange("GET \(target) HTTP/1.1\r\nHost: h\r\nX-In: \(Self.line)\r\n\r\n")
            #expect(text.components("HTTP/1.1 ") >= 1)
            #expect(!text.lowercased().contains("\nset-cookie: evil"), "\(text)")
            #expect(text.components("\r\n\r\n") == 1, "\(text)")
            #expect(!text.contains("\r\nevil"))
            for bytes in upstream.take() {
                let seen = StrictRequests(bytes)
                #expect(seen.fault == nil && seen.whole.count == 1, "\(seen.fault ?? "")")
                #expect(!seen.whole.contains { $0.fields.contains { $0.0 == "set-cookie" } })
            }
        }
    }

    /// Values that a carrier decodes must not bring line ends with them.
    @Test(arguments: [
        "Cookie: x-feat-name=a\(line)", "Baggage: x-feat-name=a\(line)", "x-feat-name: a\(line)",
        "Tracestate: x-feat-name=a\(line)", "Cookie: a=b; x-feat-name=\"a\(line)\"",
        "X-Request-Id: a\(line)", "X-Forwarded-For: a\(line)", "Traceparent: 00-\(line)",
    ])
    func carriers(_ field: String) throws {
        let upstream = try RecordingUpstream()
        let proxy = try site(upstream.port)
        let text = try proxy.exchange(
            "GET / HTTP/1.1\r\nHost: h\r\n\(field)\r\nx-fairlead-debug: 1\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(!text.lowercased().contains("\nset-cookie: evil") && text.components("\r\n\r\n") == 1)
        for bytes in upstream.take() {
            let seen = StrictRequests(bytes)
            #expect(seen.fault == nil && seen.whole.count == 1, "\(seen.fault ?? "")")
            #expect(!seen.whole.contains { $0.fields.contains { $0.0 == "set-cookie" } })
        }
    }

    /// What an upstream answers cannot grow lines by passing through a formatter.
    @Test func responseValuesInFormatters() throws {
        let upstream = try ScriptedUpstream(
            .readRequest, .send(okResponse("ok", ["X-Out: v%0d%0aevil: 1 \u{FF}\tz"])), .readToEnd)
        let proxy = try site(upstream.port)
        let answer = try proxy.connect().get("/p", ["X-In: \t w \u{80}"])
        #expect(answer.value("evil") == nil && answer.values("x-echo-down").count == 1)
        #expect(answer.value("x-echo-down")?.contains("v%0d%0aevil: 1") == true)
    }

    /// Documents that ask for a line end are refused, with the line where they do.
    @Test(arguments: [
        ("headers: {response: {set: {x-a: \"b\\r\\nevil: 1\"}}}", "VirtualService"),
        ("headers: {request: {add: {x-a: \"b\\nevil: 1\"}}}", "VirtualService"),
        ("headers: {request: {set: {\"x\\r\\ny\": b}}}", "VirtualService"),
        ("headers: {response: {set: {x-a: \"b\\0c\"}}}", "VirtualService"),
        ("rewrite: {uri: \"/a\\r\\nevil: 1\"}", "VirtualService"),
        ("rewrite: {uri: \"/a b\"}", "VirtualService"),
        ("rewrite: {authority: \"a\\r\\nevil: 1\"}", "VirtualService"),
        ("redirect: {authority: \"a\\r\\nevil: 1\"}", "VirtualService"),
        ("redirect: {uri: \"/a\\r\\nevil: 1\"}", "VirtualService"),
        ("headers: {request: {set: {x-a: \"b\\r\\nevil: 1\"}}}", "Proxy"),
        ("spec: {key: \"x\\r\\nevil\"}", "LanePolicy"),
        ("spec: {pin: {domain: \"a\\r\\nevil: 1\"}}", "LanePolicy"),
        ("spec: {pin: {path: \"/\\r\\nevil: 1\"}}", "LanePolicy"),
        ("spec: {pin: {domain: \"a; Secure\"}}", "LanePolicy"),
    ])
    func documentsWithLineEnds(_ part: String, _ kind: String) throws {
        let folder = try TemporaryDirectory()
        let text: String
        switch kind {
        case "VirtualService":
            let route =
                part.hasPrefix("redirect")
                ? "" : ", route: [{destination: {host: app.test, port: {number: 8080}}}]"
            text = Self.documents(1).replacing(
                "redirect: {authority: other.test}",
                with: "redirect: {authority: other.test}\n  - {\(part)\(route)}")
        case "Proxy":
            text = Self.documents(1).replacing("pathNormalization: BASE", with: part)
        default:
            text = Self.documents(1).replacing("spec: {key: x-feat-name, pin: {path: /}}", with: part)
        }
        try folder.write("a.yaml", text)
        let checked = try Programs.result(
            [Programs.fairlead(), "check", folder.path, "--proxy", "shop/edge"])
        #expect(checked.exit == 1, "\(checked.stdout)")
        #expect(
            checked.stdout.contains("a.yaml:") && checked.stdout.contains(": error "), "\(checked.stdout)")
    }
}
