// A sidecar in explicit mode: which service a Host means, HTTP_PROXY and CONNECT clients, the lane of the
// pod, and what it tells about lanes that get lost (lanes.md 2, 8; interface.md 2, 3).
import TestSupport
import Testing

@Suite struct SidecarTests {
    private let member: Sidecar
    private let strict: Sidecar

    init() throws {
        member = try Sidecar.member.get()
        strict = try Sidecar.strict.get()
    }

    private var proxyURL: String { "http://127.0.0.1:\(member.site.port(15_001))" }

    // MARK: Host

    @Test(arguments: [
        "app.test", "app.test:8080", "APP.Test", "app.test.", "web.test", "web.test:80", "session",
        "session:9080", "session.shop", "session.shop.svc", "session.shop.svc.cluster.local",
        "session.shop.svc.cluster.local:9080", "10.9.8.7:9080",
        // The default port written out is the same URL (RFC 9110 4.2.3).
        "app.test:80", "session:80",
    ])
    func hostsOfServices(_ host: String) throws {
        let answer = try strict.out(host)
        #expect(answer.upstream == "stable", "\(answer)")
        #expect(try answer.seen("host") == [host])
    }

    @Test(arguments: [
        "app.test:9999", "session:81", "session.shop.svc.cluster", "session.other", "nobody.test",
        "127.0.0.1:9", "app.tests", "xapp.test",
    ])
    func hostsThatNobodyOwns(_ host: String) throws {
        let answer = try strict.out(host)
        #expect(answer.status == 502 && answer.upstream == nil && answer.response.body.isEmpty, "\(answer)")
        #expect(answer.reason == "no-route")
    }

    @Test func blockedRequestsAreCountedAsIstioDoes() throws {
        _ = try strict.out("blocked.test")
        try strict.site.waitForMetric(
            "istio_requests_total", "destination_service_name=\"BlackHoleCluster\"", atLeast: 1)
    }

    @Test func addressesAndNamesOfNobodyGoWhereTheySay() throws {
        for host in ["127.0.0.1:\(member.abroad.port)", "localhost:\(member.abroad.port)"] {
            let answer = try member.out(host)
            #expect(answer.upstream == "abroad", "\(answer)")
            #expect(try answer.seen("host") == [host])
            #expect(try answer.seen("x-feat-name") == ["foo"], "the lane goes abroad too")
        }
        try member.site.waitForMetric(
            "istio_requests_total", "destination_service_name=\"PassthroughCluster\"", atLeast: 1)
        let unresolved = try member.out("name-of-nobody.invalid:8080")
        #expect(unresolved.status == 503 && unresolved.upstream == nil, "\(unresolved)")
        let refused = try member.out("127.0.0.1:\(try refusedPort())")
        #expect(refused.status == 503 && refused.reason == "upstream-connect", "\(refused)")
    }

    @Test(arguments: [15_001, 15_006] as [UInt16]) func requestsToItselfEnd(_ listener: UInt16) throws {
        for name in ["127.0.0.1", "localhost"] {
            let answer = try member.out("\(name):\(member.site.port(listener))")
            #expect(answer.status == 502 && answer.upstream == nil, "\(answer)")
        }
    }

    // MARK: HTTP_PROXY

    @Test func absoluteForm() throws {
        let connection = try RawConnection(port: member.site.port(15_001))
        try connection.send("GET http://app.test:8080/a?b=c HTTP/1.1\r\nHost: other.test\r\n\r\n")
        let answer = LaneAnswer(response: try connection.response())
        #expect(answer.upstream == "foo")
        #expect(try answer.seen.target == "/a?b=c")
        #expect(try answer.seen("host") == ["app.test:8080"])
    }

    @Test func curlThroughTheProxy() throws {
        let routed = try Programs.curl(["-x", proxyURL, "-i", "http://app.test/through"])
        #expect(routed.contains("x-upstream: foo") && routed.contains("GET /through HTTP/1.1"), "\(routed)")
        #expect(routed.contains("x-feat-name: foo"))
        let abroad = try Programs.curl(["-x", proxyURL, "-i", "http://127.0.0.1:\(member.abroad.port)/"])
        #expect(abroad.contains("x-upstream: abroad") && abroad.contains("x-feat-name: foo"), "\(abroad)")
    }

    @Test func curlThroughATunnel() throws {
        for (url, upstream) in [
            ("http://web.test:80/t", "stable"), ("http://127.0.0.1:\(member.abroad.port)/t", "abroad"),
        ] {
            let answer = try Programs.curl(["-p", "-x", proxyURL, "-i", url])
            #expect(answer.contains("x-upstream: \(upstream)"), "\(answer)")
            #expect(!answer.contains("x-feat-name"), "nothing in a tunnel is touched")
        }
    }

    @Test func tunnelsCarryBytesBothWays() throws {
        let echo = try ScriptedUpstream(
            .readBytes(4), .send("pong"), .readBytes(5), .send("again"), .readToEnd, .close)
        let (connection, head) = try member.tunnel("127.0.0.1:\(echo.port)")
        #expect(head.status == 200)
        try connection.send("ping")
        #expect(try connection.receive(exactly: 4) == Array("pong".utf8))
        try connection.send("hello")
        #expect(try connection.receive(exactly: 5) == Array("again".utf8))
        connection.halfClose()
        #expect(try connection.receiveToEnd() == [])
        #expect(echo.received() == Array("pinghello".utf8))
    }

    @Test func tunnelsToNowhere() throws {
        #expect(try strict.tunnel("nobody.test:443").head.status == 502)
        #expect(try strict.tunnel("app.test:8080").head.status == 200)
        #expect(try member.tunnel("127.0.0.1:\(try refusedPort())").head.status == 503)
    }

    // MARK: the lane on the way out

    @Test func thePodsLaneWhereNothingElseSpeaks() throws {
        let answer = try member.out("app.test")
        #expect(answer.upstream == "foo")
        for name in ["x-feat-name"] { #expect(try answer.seen(name) == ["foo"]) }
        #expect(try answer.seen("baggage") == ["x-feat-name=foo"])
        #expect(answer.response.value("x-feat-name") == nil && answer.cookies.isEmpty)
        try member.site.waitForMetric("fairlead_lane_requests_total", "carrier=\"proxy\"", atLeast: 1)
        let other = try member.out("web.test", ["x-feat-name: far"])
        #expect(other.upstream == "foo")
        #expect(try other.seen("x-feat-name") == ["far"])
    }

    @Test func anUnknownLaneIsCarriedOn() throws {
        let lines = [
            "x-feat-name: abroad", "baggage: a=1,x-feat-name=abroad", "tracestate: x-feat-name=abroad",
        ]
        let answer = try member.out("app.test", lines)
        #expect(answer.upstream == "stable", "\(answer)")
        #expect(try answer.seen("x-feat-name") == ["abroad"])
        #expect(try answer.seen("baggage") == ["a=1,x-feat-name=abroad"])
        #expect(try answer.seen("tracestate") == ["x-feat-name=abroad"])
        let inside = try member.enter(lines)
        #expect(
            try inside.seen("x-feat-name") == ["abroad"]
                && inside.seen("baggage") == ["a=1,x-feat-name=abroad"])
    }

    @Test func injectedHeaders() throws {
        let answer = try member.out(
            "app.test", ["x-team: blue", "x-hop: app", "x-secret: s", "User-Agent: tests"])
        #expect(try answer.seen("x-team") == ["red"])
        #expect(try answer.seen("x-hop") == ["app", "sidecar"])
        #expect(try answer.seen("x-secret") == [])
        #expect(try answer.seen("x-agent") == ["tests!"])
        let inside = try member.enter(["x-secret: s"])
        #expect(try inside.seen("x-team") == [] && inside.seen("x-secret") == ["s"], "egress only")
    }

    @Test func queryAndCookieAreTheEdgesAlone() throws {
        let answer = try strict.out("app.test", ["Cookie: x-feat-name=foo"], "/?x-feat-name=foo")
        #expect(answer.upstream == "stable" && answer.cookies.isEmpty)
        #expect(try answer.seen("cookie") == ["x-feat-name=foo"])
        #expect(try answer.seen.target == "/?x-feat-name=foo")
        #expect(try answer.seen("x-feat-name") == [])
    }

    @Test func ownNamesPassInside() throws {
        #expect(try strict.out("app.test", ["x-fairlead-note: 1"]).seen("x-fairlead-note") == ["1"])
    }

    // MARK: loss is loud

    @Test(arguments: ["baggage", "tracestate"]) func aLaneFoundAgainIsASuccess(_ carrier: String) throws {
        let answer = try strict.out("app.test", ["\(carrier): x-feat-name=foo"])
        #expect(answer.upstream == "foo")
        #expect(try answer.seen("x-feat-name") == ["foo"])
        try strict.site.waitForMetric(
            "fairlead_lane_restored_total", "carrier=\"\(carrier)\"", atLeast: 1)
        #expect(
            try strict.site.metric("fairlead_lane_restored_total", "lane=\"foo\"", "service=\"app.test\"")
                >= 1)
    }

    /// `body` while the application answers a request of lane `foo`.
    private func whileInside(_ sidecar: Sidecar, _ body: () throws -> Void) throws {
        let inbound = try RawConnection(port: sidecar.site.port(15_006))
        try inbound.send("GET /wait HTTP/1.1\r\nHost: caller.shop\r\nx-feat-name: foo\r\n\r\n")
        try waitUntil("the application to have it") { sidecar.app.requests.contains { $0.target == "/wait" } }
        try body()
        sidecar.gate.open()
        #expect(try inbound.response().status == 200)
    }

    @Test func egressWithoutALaneWhileOneIsInside() throws {
        let before = try strict.lost("suspect")
        try whileInside(strict) {
            let answer = try strict.out("app.test")
            #expect(answer.upstream == "stable" && answer.reason == nil)
        }
        try waitUntil("suspect") { try strict.lost("suspect") > before }
        try waitUntil("its log line") { strict.site.process.stderr.contains("suspect") }
        let line = strict.site.process.stderr.split(separator: "\n").first { $0.contains("suspect") } ?? ""
        #expect(line.contains("baggage"), "the remedy is told: \(line)")
    }

    /// The kernel gives connections to workers as it likes: what is in the pod is in all of them.
    @Test func everyWorkerKnowsThatALaneIsInside() throws {
        let sidecar = try Sidecar("outboundTrafficPolicy: REGISTRY_ONLY", workers: 3)
        #expect(try sidecar.out("app.test").upstream == "stable")
        #expect(try sidecar.lost("suspect") == 0)
        let asked = 24
        try whileInside(sidecar) {
            let inside = try sidecar.site.metric("fairlead_lane_requests_active")
            #expect(inside == 1)
            for _ in 0..<asked {
                let answer = try sidecar.out("app.test")
                #expect(answer.upstream == "stable")
            }
        }
        try waitUntil("as many suspects") { try sidecar.lost("suspect") == asked }
        try waitUntil("the lane's end") { try sidecar.site.metric("fairlead_lane_requests_active") == 0 }
        #expect(try sidecar.out("app.test").upstream == "stable")
        #expect(try sidecar.lost("suspect") == asked)
    }

    @Test func lossIsToldToTheClientWhereAskedFor() throws {
        let telling = try Sidecar.telling.get()
        #expect(try telling.out("app.test").reason == nil, "nothing is lost")
        try whileInside(telling) {
            let answer = try telling.out("app.test")
            #expect(answer.upstream == "stable" && answer.reason == "lane-lost", "\(answer)")
            let carried = try telling.out("app.test", ["baggage: x-feat-name=foo"])
            #expect(carried.upstream == "foo" && carried.reason == nil, "\(carried)")
        }
    }

    /// A TLS record that begins a ClientHello; bytes of no protocol. HTTP in a tunnel is no loss.
    @Test(
        arguments: [
            ("opaque-tls", [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03]),
            ("not-http", [0x00, 0x01, 0x02, 0xFF, 0x20, 0x0D, 0x0A, 0x00, 0x00, 0x01]),
        ] as [(String, [UInt8])])
    func tunnelsThatHideTheLane(_ reason: String, _ bytes: [UInt8]) throws {
        let before = try member.lost(reason)
        let (plain, _) = try member.tunnel("127.0.0.1:\(member.abroad.port)")
        #expect(try plain.get("/", host: "abroad.test").value("x-upstream") == "abroad")
        let peer = try ScriptedUpstream([[.readBytes(10), .close]])
        let (connection, _) = try member.tunnel("127.0.0.1:\(peer.port)")
        try connection.send(bytes)
        #expect(try connection.receiveToEnd() == [])
        #expect(peer.received() == bytes)
        try waitUntil(reason) { try member.lost(reason) > before }
        #expect(try member.lost(reason) == before + 1)
        try waitUntil("its log line") { member.site.process.stderr.contains("lane \(reason)") }
    }

    /// What no request can be read from is refused; what it hides is told. Requests with mistakes hide
    /// nothing.
    @Test func bytesThatAreNoRequest() throws {
        let hello: [UInt8] = [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03]
        let cases: [(String?, [UInt8])] = [
            ("opaque-tls", hello), ("not-http", [0x00, 0x01, 0x02, 0xFF]),
            ("not-http", Array("SSH-2.0-client\r\n".utf8)), ("not-http", Array("EHLO a b\r\n".utf8)),
            ("not-http", Array("OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n".utf8)),
            (nil, Array("GET  / HTTP/1.1\r\n\r\n".utf8)), (nil, Array("GET / HTTP/1.1\nHost: a\n\n".utf8)),
        ]
        func refuse(_ bytes: [UInt8], by sidecar: Sidecar) throws {
            let connection = try RawConnection(port: sidecar.site.port(15_001))
            try connection.send(bytes)
            #expect(try connection.response().status == 400)
        }
        let ofLane = try Sidecar("lane: foo")
        var expected = ["opaque-tls": 0, "not-http": 0]
        for (reason, bytes) in cases {
            try refuse(bytes, by: ofLane)
            if let reason { expected[reason, default: 0] += 1 }
            for (name, count) in expected { #expect(try ofLane.lost(name) == count, "\(name), \(bytes)") }
        }
        for name in expected.keys {
            try waitUntil("its log line") { ofLane.site.process.stderr.contains("lane \(name): lane=foo") }
        }
        let ofNone = try Sidecar("outboundTrafficPolicy: REGISTRY_ONLY")
        try refuse(hello, by: ofNone)
        #expect(try ofNone.site.metric("fairlead_lane_lost_total") == 0, "no lane is there to be lost")
        // But it is told what it was; nothing goes on, as nothing says where to.
        #expect(
            try ofNone.site.metric("fairlead_refused_connections_total", "cause=\"tls_on_http_port\"") == 1)
        try waitUntil("its log line") {
            ofNone.site.process.stderr.contains("on the plain HTTP port 127.0.0.1:")
                && ofNone.site.process.stderr.contains("CONNECT first")
        }
        #expect(try ofNone.site.metric("fairlead_upstream_connections_total") == 0)
    }

    // MARK: inbound

    @Test func inboundReachesTheApplication() throws {
        let answer = try member.enter(
            ["X-Forwarded-For: 1.2.3.4", "Cookie: a=b", "x-feat-name: foo"], "/p?q=%20")
        #expect(answer.upstream == "app" && answer.cookies.isEmpty, "\(answer)")
        let seen = try answer.seen
        #expect(seen.target == "/p?q=%20" && seen.values("x-forwarded-for") == ["1.2.3.4"])
        #expect(seen.values("x-feat-name") == ["foo"] && seen.values("cookie") == ["a=b"])
        #expect(try member.enter().seen("x-feat-name") == [], "the pod's lane is for what it sends")
    }

    // MARK: selectors of VirtualServices

    @Test(arguments: [("/mine", "caller"), ("/mesh", "mesh"), ("/", "shop")])
    func sourceLabelsGatewaysAndPorts(_ target: String, _ expected: String) throws {
        let answer = try strict.out("labels.test", [], target)
        #expect(answer.response.text == expected, "\(answer)")
    }
}
