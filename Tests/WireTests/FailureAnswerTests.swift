// Answers to what fails (istio-semantics.md 23), each as HTTP and as gRPC: status, body, fields, and the
// access log's status, flag and RESPONSE_CODE_DETAILS.
import TestSupport
import Testing

private let before = "upstream connect error or disconnect/reset before headers. reset reason: "
private let early = "upstream_reset_before_response_started"
private let refused =
    "remote connection failure, transport failure reason: delayed connect error: Connection refused"

/// One edge whose routes fail in every way.
private struct FailureSite: Sendable {
    let site: LaneSite
    let upstreams: [ScriptedUpstream]
    let echo: EchoUpstream
    static let shared = Result { try FailureSite() }
    private static let retries = [
        "once.test": "{attempts: 0}", "reset.test": "{attempts: 1, retryOn: 'refused-stream,503'}",
    ]

    private init() throws {
        func answering(_ text: String) throws -> ScriptedUpstream {
            try ScriptedUpstream([[.readRequest, .send(text), .close]])
        }
        let ok = "HTTP/1.1 200 OK\r\n"
        let scripted = try [
            ("gone.test", ScriptedUpstream([[.readRequest, .close]])),
            ("bad.test", answering("nonsense\r\n\r\n")),
            ("cut.test", answering("\(ok)content-length: 100\r\n\r\nhalf")),
            ("chunk.test", answering("\(ok)transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n")),
            ("slow.test", ScriptedUpstream([[.readRequest, .readToEnd]])),
        ]
        upstreams = scripted.map(\.1)
        echo = try puppet("up")
        var documents = [Documents.edge("http10: false")]
        let ports =
            scripted.map { ($0.0, $0.1.port) }
            + [
                ("up.test", echo.port), ("dead.test", try refusedPort()), ("once.test", try refusedPort()),
                ("reset.test", try refusedPort()),
            ]
        for (host, port) in ports { documents.append(Documents.service(host, [(port, "{version: v1}")])) }
        documents.append(Documents.service("empty.test", []).replacing("endpoints:", with: "endpoints: []"))
        for host in ports.map(\.0) + ["empty.test", "unknown.test"] {
            documents.append(
                Documents.virtualService(
                    host,
                    """
                    - timeout: \(host == "slow.test" ? "50ms" : "0s")
                      route: [{destination: {host: \(host)}}]
                    \(Self.retries[host].map { "  retries: \($0)" } ?? "")
                    """))
        }
        documents.append(
            Documents.virtualService(
                "own.test",
                """
                - {match: [{uri: {prefix: /moved}}], redirect: {uri: /new}}
                - match: [{uri: {prefix: /direct}}]
                  directResponse: {status: 503, body: {string: "two\\nlines: 100%"}}
                """))
        site = try LaneSite(Documents.join(documents), arguments: ["--access-log", "-"])
    }

    /// Waits for the line of a request in the access log; returns what follows its protocol.
    func logged(_ target: String) throws -> String {
        var found = ""
        try waitUntil("\(target) in the access log") {
            let line = site.process.stdout.split(separator: "\n").last { $0.contains(" \(target) ") }
            guard let line, let range = line.firstRange(of: "\(target) HTTP/1.1\" ") else { return false }
            found = String(line[range.upperBound...])
            return true
        }
        return found
    }
}

struct FailureRow: Sendable, CustomStringConvertible {
    var host: String
    var path = "/"
    var status: Int
    var flag: String
    var details: String
    var body: String
    /// `grpc-status`; nil: the answer is none of ours.
    var grpc: String?
    var description: String { "\(host)\(path) \(status) \(flag)" }

    static let all = [
        FailureRow(
            host: "nobody.test", status: 404, flag: "NR", details: "route_not_found", body: "", grpc: "12"),
        FailureRow(
            host: "own.test", status: 404, flag: "NR", details: "route_not_found", body: "", grpc: "12"),
        FailureRow(
            host: "unknown.test", status: 503, flag: "NC", details: "cluster_not_found", body: "",
            grpc: "14"),
        FailureRow(
            host: "empty.test", status: 503, flag: "UH", details: "no_healthy_upstream",
            body: "no healthy upstream", grpc: "14"),
        FailureRow(
            host: "dead.test", status: 503, flag: "UF,URX",
            details: "\(early){remote_connection_failure|delayed_connect_error:_Connection_refused}",
            body: before.replacing("reset reason", with: "retried and the latest reset reason") + refused,
            grpc: "14"),
        FailureRow(
            host: "once.test", status: 503, flag: "UF",
            details: "\(early){remote_connection_failure|delayed_connect_error:_Connection_refused}",
            body: before + refused, grpc: "14"),
        FailureRow(
            host: "reset.test", status: 503, flag: "UF",
            details: "\(early){remote_connection_failure|delayed_connect_error:_Connection_refused}",
            body: before + refused, grpc: "14"),
        FailureRow(
            host: "gone.test", status: 503, flag: "UC", details: "\(early){connection_termination}",
            body: before + "connection termination", grpc: "14"),
        FailureRow(
            host: "bad.test", status: 502, flag: "UPE", details: "\(early){protocol_error}",
            body: before + "protocol error", grpc: "14"),
        FailureRow(
            host: "slow.test", status: 504, flag: "UT", details: "upstream_response_timeout",
            body: "upstream request timeout", grpc: "14"),
        FailureRow(
            host: "own.test", path: "/direct", status: 503, flag: "-", details: "direct_response",
            body: "two\nlines: 100%", grpc: "14"),
        FailureRow(
            host: "own.test", path: "/moved", status: 301, flag: "-", details: "direct_response", body: "",
            grpc: "2"),
    ]
}

@Suite struct FailureAnswerTests {
    private let failing: FailureSite

    init() throws { failing = try FailureSite.shared.get() }

    @Test(arguments: FailureRow.all) func anAnswerOfOurOwn(_ row: FailureRow) throws {
        let target = "\(row.path == "/" ? "" : row.path)/plain-\(row.host)-\(row.status)"
        let answer = try failing.site.get(target, host: row.host)
        #expect(answer.status == row.status && answer.response.text == row.body, "\(answer)")
        #expect(answer.response.values("content-length") == ["\(row.body.utf8.count)"])
        #expect(answer.response.values("content-type") == (row.body.isEmpty ? [] : ["text/plain"]))
        #expect(answer.response.values("server") == ["istio-envoy"] && answer.response.value("date") != nil)
        #expect(answer.response.value("x-envoy-upstream-service-time") == nil)
        let logged = try failing.logged(target)
        let reason = row.flag.hasPrefix("UF") ? "delayed_connect_error:_Connection_refused" : "-"
        let start = "\(row.status) \(row.flag) \(row.details) - \"\(reason)\" "
        #expect(logged.hasPrefix(start), "\(logged)")
    }

    /// Nothing was written for an upstream: the log has the path all the same, not the whole target.
    @Test func theLogHasThePathOfATargetInAbsoluteForm() throws {
        let connection = try RawConnection(port: failing.site.port())
        try connection.send("GET http://nobody.test/absolute?x=1 HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
        #expect(try connection.response().status == 404)
        _ = try failing.logged("/absolute?x=1")
        #expect(failing.site.process.stdout.contains("\"GET /absolute?x=1 HTTP/1.1\" 404 NR "))
    }

    /// A server may listen on every address; a connection came in on one of them.
    @Test func theLogHasTheAddressThatWasConnectedTo() throws {
        let site = try LaneSite(
            Documents.join([
                edgeGateway("front", servers: [plainServer(bind: "0.0.0.0")]),
                Documents.service("up.test", [(failing.echo.port, "{version: v1}")]),
                Documents.published("up.test"),
            ]), arguments: ["--access-log", "-"])
        #expect(site.process.stdout.contains(" on 0.0.0.0:\(site.port())"))
        #expect(try site.get("/local", host: "up.test").status == 200)
        try waitUntil("the line") { site.process.stdout.contains("\"GET /local ") }
        // Cluster, our ends of both connections, the client's.
        let ends = try Regex(
            " outbound\\S+ 127\\.0\\.0\\.1:[1-9][0-9]* 127\\.0\\.0\\.1:\(site.port()) 127\\.0\\.0\\.1:")
        #expect(site.process.stdout.contains(ends), "\(site.process.stdout)")
    }

    @Test(arguments: FailureRow.all) func anAnswerToHEADHasNoBody(_ row: FailureRow) throws {
        let target = "\(row.path == "/" ? "" : row.path)/head-\(row.host)-\(row.status)"
        let answer = try failing.site.send("HEAD", target, host: row.host)
        #expect(answer.status == row.status && answer.response.body.isEmpty, "\(answer)")
        #expect(answer.response.values("content-length") == ["\(row.body.utf8.count)"])
    }

    @Test(arguments: FailureRow.all) func anAnswerToGRPC(_ row: FailureRow) throws {
        let target = "\(row.path == "/" ? "" : row.path)/grpc-\(row.host)-\(row.status)"
        let answer = try failing.site.send(
            "POST", target, host: row.host, ["content-type: application/grpc", "content-length: 0"])
        guard let code = row.grpc else {
            #expect(answer.status == row.status && answer.response.value("grpc-status") == nil, "\(answer)")
            return
        }
        #expect(answer.status == 200 && answer.response.body.isEmpty, "\(answer)")
        #expect(answer.response.values("grpc-status") == [code])
        #expect(answer.response.values("content-type") == ["application/grpc"])
        let message = row.body.replacing("%", with: "%25").replacing("\n", with: "%0A")
        #expect(answer.response.values("grpc-message") == (message.isEmpty ? [] : [message]))
        #expect(try failing.logged(target).contains(" \(row.flag) \(row.details) "))
    }

    @Test func anUpstreamsAnswerIsNamedSo() throws {
        let answer = try failing.site.get("/via", host: "up.test", ["x-respond: 503"])
        #expect(answer.status == 503 && answer.upstream == "up")
        #expect(answer.response.value("x-envoy-upstream-service-time") != nil)
        #expect(try failing.logged("/via").hasPrefix("503 - via_upstream "))
    }

    @Test(arguments: [
        ("cut.test", "UC", "connection_termination"), ("chunk.test", "UPE", "protocol_error"),
    ])
    func aResponseThatBreaksOffIsCutOff(_ host: String, _ flag: String, _ why: String) throws {
        let connection = try RawConnection(port: failing.site.port())
        try connection.send("GET /late-\(host) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        var received: [UInt8] = []
        do { received = try connection.receiveToEnd() } catch let reset as ConnectionReset {
            received = reset.received
        }
        #expect(String(decoding: received, as: UTF8.self).hasPrefix("HTTP/1.1 200"))
        let logged = try failing.logged("/late-\(host)")
        #expect(
            logged.hasPrefix("200 \(flag) upstream_reset_after_response_started{\(why)} "), "\(logged)")
    }

    @Test func aClientThatLeavesIsLogged() throws {
        let connection = try RawConnection(port: failing.site.port())
        try connection.send("GET /left HTTP/1.1\r\nHost: slow.test\r\nx: 1\r\n\r\n")
        try waitUntil("the request") {
            try failing.site.metric("fairlead_downstream_requests_active") >= 1
        }
        connection.reset()
        let logged = try failing.logged("/left")
        // It may have left behind the answer to it.
        #expect(
            logged.hasPrefix("0 DC downstream_remote_disconnect ") || logged.hasPrefix("504 UT "), "\(logged)"
        )
    }

    /// What never becomes a request: the whole head, status, body, and what the log says of it.
    @Test(
        arguments: [
            ("GET / HTTP/1.1\r\n\r\n", 400, "", "- missing_host_header"),
            ("GET /\u{7F} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Bad Request", "DPE http1.codec_error"),
            (
                "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400,
                "Bad Request", "DPE http1.codec_error"
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501, "Not Implemented",
                "DPE http1.codec_error"
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nx: \(String(repeating: "x", count: 70_000))\r\n\r\n", 431,
                "Request Header Fields Too Large", "DPE http1.codec_error"
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n", 403, "",
                "- upgrade_failed"
            ),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426, "", "- low_version"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "", "- absolute_path_rejected"),
        ] as [(String, Int, String, String)])
    func aRefusal(_ head: String, _ status: Int, _ body: String, _ logged: String) throws {
        let connection = try RawConnection(port: failing.site.port())
        try connection.send(head)
        let answer = try connection.response()
        #expect(answer.status == status && answer.text == body, "\(answer)")
        #expect(answer.values("connection") == ["close"])
        try waitUntil("\(status) \(logged)") {
            failing.site.process.stdout.contains("\" \(status) \(logged) ")
        }
    }

    @Test func aBodyThatStopsIsStreamIdle() throws {
        let site = try LaneSite(
            Documents.join([
                Documents.edge("timeouts: {requestBodyIdle: 100ms}"),
                Documents.service("slow.test", [(failing.echo.port, "{version: v1}")]),
                Documents.published("slow.test"),
            ]), arguments: ["--access-log", "-"])
        let connection = try RawConnection(port: site.port())
        try connection.send("POST /stops HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 10\r\n\r\nhalf")
        let answer = try connection.response()
        #expect(answer.status == 408 && answer.text == "stream timeout", "\(answer)")
        try waitUntil("the line") { site.process.stdout.contains("\" 408 SI stream_idle_timeout ") }
    }

    @Test func tooManyRequestsAreOverload() throws {
        let site = try LaneSite(
            readText(failing.site.path).replacing("http10: false", with: "limits: {requests: 1}").replacing(
                "timeout: 50ms", with: "timeout: 0s"), arguments: ["--access-log", "-"])
        let first = try RawConnection(port: site.port())
        try first.send("GET /first HTTP/1.1\r\nHost: slow.test\r\n\r\n")
        try waitUntil("it to be counted") { try site.metric("fairlead_downstream_requests_active") == 1 }
        let answer = try site.get("/second", host: "up.test")
        #expect(answer.status == 503 && answer.response.text == "envoy overloaded", "\(answer)")
        try waitUntil("the line") { site.process.stdout.contains("\" 503 OM overload ") }
    }

    @Test func anUnknownHostUnderREGISTRY_ONLY() throws {
        let site = try LaneSite(
            Documents.join([
                Documents.sidecar("outboundTrafficPolicy: REGISTRY_ONLY"),
                Documents.service("up.test", [(failing.echo.port, "{version: v1}")]),
            ]), ports: [15_001], arguments: ["--access-log", "-"])
        let answer = try site.get("/blocked", host: "elsewhere.test", port: 15_001)
        #expect(answer.status == 502 && answer.response.body.isEmpty, "\(answer)")
        #expect(answer.response.values("server") == ["envoy"])
        try waitUntil("the line") {
            site.process.stdout.contains("/blocked HTTP/1.1\" 502 - direct_response ")
        }
    }
}
