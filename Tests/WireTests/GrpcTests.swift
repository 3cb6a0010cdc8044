// gRPC with the library that applications use: every kind of call through the built program.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct Grpc {
    @Test func everyKindOfCallPasses() throws {
        let (server, port) = try WireClients.start("grpc_server", ["stable"])
        defer { server.signal(9) }
        let site = try H2Site([
            ("/fairlead.test", "GRPC", port), ("/down", "GRPC", try freeLoopbackPort()),
        ])
        let calls = [
            "unary", "empty", "large", "error", "unimplemented", "deadline", "cancel", "client-stream",
            "server-stream", "bidirectional", "parallel", "unavailable", "no-route",
        ]
        let said = try WireClients.run("grpc_calls", ["\(site.port)"] + calls)
        #expect(said.split(separator: "\n").map(String.init) == calls.map { "\($0) ok" })
        let metrics = try site.metrics().split(separator: "\n").filter {
            $0.hasPrefix("istio_requests_total")
        }
        for status in ["0", "9", "12", "14"] {
            #expect(
                metrics.contains {
                    $0.contains("grpc_response_status=\"\(status)\"")
                        && $0.contains("request_protocol=\"grpc\"") && $0.contains("response_code=\"200\"")
                }, "\(status)")
        }
    }

    /// Our own answers to calls are 200 for HTTP, in the log and in metrics as on the wire.
    @Test func failuresAreLoggedAsTheyAreTold() throws {
        let site = try LaneSite(
            Documents.join([
                Documents.edge(), serviceEntry("app.test", endpoints: [try refusedPort()]),
                Documents.virtualService(
                    "*",
                    """
                    - match: [{uri: {prefix: /none}}]
                      directResponse: {status: 404}
                    - route: [{destination: {host: app.test}}]
                    """),
            ]), arguments: ["--access-log", "-"])
        for (path, status, code) in [("/down", "14", "503"), ("/none", "12", "404")] {
            let told = try site.send("POST", path, host: "a.test", ["content-type: application/grpc"])
            #expect(told.status == 200 && told.response.value("grpc-status") == status, "\(told)")
            let plain = try site.send("POST", path, host: "a.test")
            #expect(plain.status == Int(code))
            try waitUntil("the log lines of \(path)") {
                ["200", code].allSatisfy { site.process.stdout.contains("\"POST \(path) HTTP/1.1\" \($0) ") }
            }
        }
        let isGRPC = "request_protocol=\"grpc\""
        try site.waitForMetric("istio_requests_total", isGRPC, atLeast: 2)
        #expect(try site.metric("istio_requests_total", isGRPC, "response_code=\"200\"") == 2)
    }

    /// What is refused before it has a route is told in gRPC's terms, too.
    @Test func refusalsSpeakGRPC() throws {
        let proxy = try HttpProxy(to: [1])
        let peer = try H2Peer.client(port: proxy.port)
        let path = "/a%00b"
        try peer.ask(1, H2Peer.request("POST", path, [("content-type", "application/grpc+proto")]))
        let told = try peer.response(1)
        #expect(told.status == 200 && told.body.isEmpty && told.value("content-length") == nil, "\(told)")
        #expect(told.value("grpc-status") == "13" && told.value("content-type") == "application/grpc")
        #expect(told.value("x-fairlead-reason") == "bad-request" && told.value("grpc-message") == nil)
        try peer.ask(3, H2Peer.request("POST", path))
        let plain = try peer.response(3)
        #expect(plain.status == 400 && plain.value("grpc-status") == nil, "\(plain)")
    }

    /// The lane travels as metadata, there and in what the service hands on.
    @Test func lanesTravelAsMetadata() throws {
        let (stable, stablePort) = try WireClients.start("grpc_server", ["stable"])
        let (feature, featurePort) = try WireClients.start("grpc_server", ["feature"])
        defer {
            stable.signal(9)
            feature.signal(9)
        }
        let lanes = """
            ---
            apiVersion: fairlead.dev/v1alpha1
            kind: LanePolicy
            metadata: {name: default, namespace: shop}
            spec: {key: x-feat-name}
            ---
            apiVersion: fairlead.dev/v1alpha1
            kind: Lane
            metadata: {name: foo, namespace: shop}
            spec:
              members: [{service: app-0.test, endpoints: ["127.0.0.1:\(featurePort)"]}]

            """
        let site = try H2Site([("/fairlead.test", "GRPC", stablePort)], more: lanes)
        try WireClients.run("grpc_calls", ["\(site.port)", "lane"])
    }
}
