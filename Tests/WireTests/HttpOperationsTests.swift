// Running it: reload, drain, exit codes, flags and environment, access log, admin, metrics.
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpOperations {
    /// Clients that ask without pause, one connection each and a new one now and then, until told to end.
    private final class Load: Sendable {
        struct Count {
            var served: [String: Int] = [:]
            var failures: [String] = []
            var running = 0
        }
        private let count = Mutex(Count())
        private let stopped = Gate()

        init(_ port: UInt16, clients: Int) throws {
            count.withLock { $0.running = clients }
            for _ in 0..<clients {
                try startThread { [self] in
                    run(port)
                    count.withLock { $0.running -= 1 }
                }
            }
        }

        private func run(_ port: UInt16) {
            while !stopped.isOpen {
                do {
                    let client = try RawConnection(port: port)
                    for _ in 0..<20 where !stopped.isOpen {
                        let answer = try client.get("/load")
                        guard answer.status == 200 else { throw TestFailure("\(answer)") }
                        count.withLock { $0.served[answer.value("x-upstream") ?? "", default: 0] += 1 }
                    }
                } catch {
                    count.withLock { $0.failures.append("\(error)") }
                }
            }
        }

        func served(_ name: String) -> Int { count.withLock { $0.served[name] ?? 0 } }
        var failures: [String] { count.withLock { $0.failures } }

        func stop() throws {
            stopped.open()
            try waitUntil("the load to end") { count.withLock { $0.running == 0 } }
        }
    }

    // MARK: reload

    @Test func reloadUnderLoadFailsNoRequest() throws {
        let first = try EchoUpstream("first")
        let second = try EchoUpstream("second")
        let proxy = try HttpProxy(to: [first.port], arguments: ["--workers", "2"])
        let load = try Load(proxy.port, clients: 4)
        try waitUntil("load") { load.served("first") > 20 }

        // By SIGHUP, the file written in place (whichever comes first, inotify or the signal).
        try proxy.folder.write("conf/edge.yaml", edgeDocuments(to: [second.port]))
        proxy.process.signal(SIGHUP)
        try waitUntil("the second upstream") { load.served("second") > 20 }

        // By a file renamed over.
        try proxy.folder.replace("conf/edge.yaml", edgeDocuments(to: [first.port]))
        let before = load.served("first")
        try waitUntil("the first upstream again") { load.served("first") > before + 20 }

        // A bad file is refused, told, and changes nothing.
        try proxy.folder.replace("conf/edge.yaml", edgeDocuments(to: [second.port]) + "\n---\nkind: [\n")
        try waitUntil("the refusal") { proxy.process.stderr.contains("configuration refused") }
        #expect(proxy.process.stderr.contains("edge.yaml"))
        let refused = try proxy.admin("POST", "/reload")
        #expect(refused.status == 400 && refused.text.contains("\"errors\""))
        let still = load.served("first")
        try waitUntil("the old configuration to serve") { load.served("first") > still + 20 }

        try proxy.folder.replace("conf/edge.yaml", edgeDocuments(to: [second.port]))
        let last = load.served("second")
        try waitUntil("the repaired file") { load.served("second") > last + 20 }
        #expect(try proxy.admin("POST", "/reload").status == 200)
        try load.stop()
        #expect(load.failures.isEmpty, "\(load.failures.prefix(3))")
        #expect(try proxy.metric("fairlead_config_reload_total", "result=\"success\"") >= 4)
    }

    /// Of thousands of warnings of one kind the log has the first, and each once.
    @Test func reloadsTellWhatIsNew() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        func lines(with part: String) -> Int {
            proxy.process.stderr.split(separator: "\n").count { $0.contains(part) }
        }
        func reloadBySignal() throws {
            let before = lines(with: "configuration reloaded (SIGHUP)")
            proxy.process.signal(SIGHUP)
            try waitUntil("the reload") { lines(with: "configuration reloaded (SIGHUP)") == before + 1 }
        }
        let subsets = (0..<25).map { "    - {name: v\($0)}\n" }.joined()
        let rule = """
            ---
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: told}
            spec:
                host: told.example.test
                subsets:
            \(subsets)
            """
        try proxy.folder.replace("conf/edge.yaml", edgeDocuments(to: [upstream.port]) + "\n" + rule)
        try reloadBySignal()
        #expect(lines(with: "has no labels") == 20)
        #expect(lines(with: "5 more of warning [") == 1)

        // Nothing has changed: it is loaded all the same, and there is nothing new to tell.
        let loads = try proxy.metric("fairlead_config_reload_total", "result=\"success\"")
        try reloadBySignal()
        #expect(try proxy.metric("fairlead_config_reload_total", "result=\"success\"") == loads + 1)
        #expect(lines(with: "has no labels") == 20)
        #expect(lines(with: "5 more of warning [") == 1)
        #expect(try proxy.connect().get("/").status == 200)
    }

    @Test func symlinkSwapAsKubernetesDoesIt() throws {
        let first = try EchoUpstream("first")
        let second = try EchoUpstream("second")
        let folder = try TemporaryDirectory()
        try folder.write("mount/..1/edge.yaml", edgeDocuments(to: [first.port]))
        try folder.write("mount/..2/edge.yaml", edgeDocuments(to: [second.port]))
        symlink("..1", folder.file("mount/..data"))
        symlink("..data/edge.yaml", folder.file("mount/edge.yaml"))
        let port = try freeLoopbackPort()
        let process = try Programs.runFairlead(
            [
                folder.file("mount/edge.yaml"), "--admin", "127.0.0.1:0", "--port", "80=\(port)", "--workers",
                "1",
            ])
        let client = try RawConnection(port: port)
        #expect(try client.get("/").value("x-upstream") == "first")
        symlink("..2", folder.file("mount/..data_tmp"))
        #expect(rename(folder.file("mount/..data_tmp"), folder.file("mount/..data")) == 0)
        try waitUntil("the new configuration") {
            try client.get("/").value("x-upstream") == "second"
        }
        #expect(process.exitCode == nil)
    }

    @Test func listenersComeAndGo() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port])
        let base = edgeDocuments(to: [upstream.port])
        let extra = try freeLoopbackPort()
        let added = base.replacing(
            "bind: 127.0.0.1\n    hosts: [\"*\"]\n",
            with:
                "bind: 127.0.0.1\n    hosts: [\"*\"]\n"
                + "  - port: {number: \(extra), name: more, protocol: HTTP}\n"
                + "    bind: 127.0.0.1\n    hosts: [\"*\"]\n")
        #expect(added != base)
        // One change as soon as the one before is seen: none may be missed.
        for _ in 0..<10 {
            try proxy.folder.replace("conf/edge.yaml", added)
            try waitUntil("the new listener") { (try? RawConnection(port: extra).get("/").status) == 200 }
            let idle = try RawConnection(port: extra)
            #expect(try idle.get("/").status == 200)
            try proxy.folder.replace("conf/edge.yaml", base)
            // Its connections end, and nobody else's.
            #expect(try idle.receiveToEnd().isEmpty)
            try waitUntil("the listener to be gone") { (try? RawConnection(port: extra)) == nil }
            #expect(try proxy.connect().get("/").status == 200)
        }
        // An address that cannot be bound refuses the whole configuration.
        let taken = try RawUpstream { _, _ in }
        let before = try proxy.metric("fairlead_config_reload_total", "result=\"refused\"")
        try proxy.folder.replace("conf/edge.yaml", added.replacing("\(extra)", with: "\(taken.port)"))
        try waitUntil("the refusal") {
            proxy.process.stderr.contains("cannot listen on 127.0.0.1:\(taken.port)")
        }
        #expect(try proxy.metric("fairlead_config_reload_total", "result=\"refused\"") > before)
        #expect(try proxy.connect().get("/").status == 200)
    }

    @Test func responseUnderWayOutlivesItsListener() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream(
            .readRequest, .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"), .waitFor(gate),
            .send("half"),
            .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n")
        _ = try client.receive(through: Array("half".utf8))
        // The same documents on another address: the listener in use goes.
        try proxy.folder.replace("conf/edge.yaml", edgeDocuments(to: [upstream.port], bind: "127.0.0.2"))
        try waitUntil("the listener to be gone") { (try? proxy.connect()) == nil }
        gate.open()
        #expect(try client.receiveToEnd() == Array("half".utf8))
        #expect(upstream.connections == 1)
        try proxy.waitUntilQuiet()
    }

    // MARK: drain

    @Test func termDrains() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream([
            [
                .readRequest, .send(okResponse("first")), .readRequest, .waitFor(gate),
                .send(okResponse("last")),
                .readToEnd,
            ],
            [
                .readRequest, .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha"), .waitFor(gate),
                .send("lf"),
                .readToEnd,
            ],
        ])
        let proxy = try HttpProxy(to: [upstream.port])
        let busy = try proxy.connect()
        #expect(try busy.get("/").text == "first")
        try busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try waitUntil("the request") { upstream.received().count > 200 }
        let halfway = try proxy.connect()
        try halfway.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try halfway.head()?.status == 200)
        let idle = try proxy.connect()
        #expect(try idle.get("/direct").text == "direct")
        #expect(try proxy.admin("GET", "/ready").status == 200)
        proxy.process.signal(SIGTERM)
        try waitUntil("new connections to be refused") { (try? proxy.connect()) == nil }
        #expect(try idle.receiveToEnd().isEmpty)
        #expect(try proxy.admin("GET", "/ready").status == 503)
        #expect(try proxy.admin("GET", "/healthz").status == 200)
        gate.open()
        let last = try busy.response()
        #expect(last.text == "last" && last.values("connection") == ["close"])
        #expect(try busy.receiveToEnd().isEmpty)
        #expect(String(decoding: try halfway.receiveToEnd(), as: UTF8.self) == "half")
        busy.close()
        halfway.close()
        #expect(try proxy.process.waitForExit() == 0)
    }

    /// HTTP/2 ends in two steps: a GOAWAY that refuses nothing, and when the client has read that, the one
    /// that names the last stream.
    @Test func termDrainsStreams() throws {
        let gate = Gate()
        let upstream = try ScriptedUpstream([
            [.readRequest, .waitFor(gate), .send(okResponse("late")), .readToEnd],
            [.readRequest, .send(okResponse("between")), .readToEnd],
        ])
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--drain-seconds", "600"])
        let client = try H2Peer.client(port: proxy.port, settings: [(H2Setting.headerTableSize, 0)])
        try client.ask(1)
        try waitUntil("the request") { !upstream.received().isEmpty }
        proxy.process.signal(SIGTERM)
        let notice = try client.read { $0.type == H2Frame.Kind.goaway }.last
        #expect(notice?.payload == [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
        let ping = try client.read { $0.type == H2Frame.Kind.ping && !$0.isAck }.last
        try waitUntil("new connections to be refused") { (try? proxy.connect()) == nil }
        // What begins before the notice was answered is served.
        try client.ask(3, H2Peer.request("GET", "/direct"))
        try client.ask(5)
        try client.send(H2Frame(type: H2Frame.Kind.ping, flags: H2Frame.Flag.ack, ping?.payload ?? []))
        var (bodies, last): ([UInt32: [UInt8]], [UInt8]?) = ([:], nil)
        var ended: Set<UInt32> = []
        func read(until isOver: () -> Bool) throws {
            try client.read { frame in
                if frame.type == H2Frame.Kind.data { bodies[frame.stream, default: []] += frame.payload }
                if frame.type == H2Frame.Kind.goaway { last = frame.payload }
                if frame.isEnd { ended.insert(frame.stream) }
                return isOver()
            }
        }
        try read { ended == [3, 5] && last != nil }
        #expect(last == [0, 0, 0, 5, 0, 0, 0, 0])
        // What begins behind it is for another connection.
        try client.ask(7, H2Peer.request("GET", "/direct"))
        gate.open()
        try read { false }
        #expect(bodies == [1: Array("late".utf8), 3: Array("direct".utf8), 5: Array("between".utf8)])
        #expect(ended == [1, 3, 5] && client.isOver)
        #expect(try proxy.process.waitForExit() == 0)
    }

    @Test func drainTimeEndsWhatDoesNotEnd() throws {
        let upstream = try ScriptedUpstream(.readRequest, .readToEnd)
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--drain-seconds", "1"])
        let client = try proxy.connect()
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try waitUntil("the request") { !upstream.received().isEmpty }
        #expect(try proxy.admin("POST", "/drain").status == 200)
        #expect(try proxy.process.waitForExit() == 0)
        #expect((try? client.receiveToEnd())?.isEmpty ?? true)
    }

    /// Asked by the admin port it stays until a signal or the end of the drain time: probes hear of it.
    @Test func probesSeeADrainOfNothing() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--drain-seconds", "3600"])
        #expect(try proxy.connect().get("/").status == 200)
        #expect(try proxy.admin("POST", "/drain").status == 200)
        try waitUntil("new connections to be refused") { (try? proxy.connect()) == nil }
        for _ in 0..<3 { #expect(try proxy.admin("GET", "/ready").status == 503) }
        #expect(try proxy.admin("GET", "/healthz").status == 200)
        #expect(try proxy.admin("POST", "/reload").status == 400)
        #expect((try? proxy.connect()) == nil)
        proxy.process.signal(SIGTERM)
        #expect(try proxy.process.waitForExit() == 0)
    }

    // MARK: starting

    @Test func exitCodes() throws {
        func exit(_ arguments: [String], input: String = "") throws -> (Int32, String) {
            let process = try Programs.startFairlead(arguments, input: Array(input.utf8))
            return (try process.waitForExit(), process.stderr)
        }
        let folder = try TemporaryDirectory()
        let good = edgeDocuments(to: [1])
        try folder.write("good.yaml", good)
        try folder.write("bad.yaml", good + "\n---\nkind: [\n")
        let (refused, findings) = try exit(["run", folder.file("bad.yaml"), "--admin", "127.0.0.1:0"])
        #expect(refused == 1 && findings.contains("bad.yaml:"))
        #expect(try exit(["run", folder.file("missing.yaml"), "--admin", "127.0.0.1:0"]).0 != 0)
        #expect(try exit(["run"]).0 == 2)
        #expect(try exit(["run", "--workers", "x", folder.file("good.yaml")]).0 == 2)
        #expect(try exit(["run", "--port", "80", folder.file("good.yaml")]).0 == 2)
        #expect(try exit(["run", "--port", "80=0", folder.file("good.yaml")]).0 == 2)
        let (twice, why) = try exit(["run", "--port", "80=81", "--port", "80=82", folder.file("good.yaml")])
        #expect(twice == 2 && why.contains("80 is to be 81 already"), "\(why)")
        #expect(try exit(["nonsense"]).0 == 2)
        #expect(try exit(["version"]).0 == 0)
        #expect(try exit(["--version"]).0 == 0)
        for wrong in [["-H", "a b: c"], ["-X", "G T"]] {
            let (status, message) = try exit(["explain", folder.file("good.yaml")] + wrong + ["http://a/"])
            #expect(status == 2 && message.contains("token"), "\(message)")
        }
        let taken = try RawUpstream { _, _ in }
        let (bind, message) = try exit(
            ["run", folder.file("good.yaml"), "--admin", "127.0.0.1:0", "--port", "80=\(taken.port)"])
        #expect(bind == 3 && message.contains("127.0.0.1:\(taken.port)"))
        // The server that asked for it, and what to do.
        #expect(
            message.contains(#/good\.yaml:[1-9][0-9]*: error \[FL0032\] Gateway /#)
                && message.contains("(another process has it"), "\(message)")
        let free = try freeLoopbackPort()
        let (admin, _) = try exit(
            ["run", folder.file("good.yaml"), "--admin", "127.0.0.1:\(taken.port)", "--port", "80=\(free)"])
        #expect(admin == 3)
    }

    /// A slip in `--port` is said once, with the ports there are; and again when a reload brings it about.
    @Test func portsOfNoListener() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--port", "81=8081"])
        let said = "--port 81=8081: no listener has port 81, there are 80"
        try waitUntil("the warning") { proxy.process.stderr.contains(said) }
        #expect(!proxy.process.stderr.contains("--port 80="))
        for _ in 0..<2 { #expect(try proxy.admin("POST", "/reload").status == 200) }
        #expect(proxy.process.stderr.split(separator: said, omittingEmptySubsequences: false).count == 2)
        let free = try freeLoopbackPort()
        let moved = edgeDocuments(to: [upstream.port]).replacing("number: 80,", with: "number: \(free),")
        try proxy.folder.replace("conf/edge.yaml", moved)
        try waitUntil("the other warning") {
            proxy.process.stderr.contains("=\(proxy.port): no listener has port 80, there are \(free)")
        }
        withExtendedLifetime(upstream) {}
    }

    /// SO_REUSEPORT lets workers share a port; another process of the same user must not slip in by it.
    @Test func aSecondProxyDoesNotShareThePort() throws {
        let upstream = try EchoUpstream("a")
        let first = try HttpProxy(to: [upstream.port])
        let client = try first.connect()
        #expect(try client.get("/").status == 200)
        let arguments = [
            "run", first.folder.file("conf"), "--admin", "127.0.0.1:0", "--port", "80=\(first.port)",
        ]
        let second = try Programs.startFairlead(arguments)
        #expect(try second.waitForExit() == 3)
        #expect(second.stderr.contains("127.0.0.1:\(first.port)"), "\(second.stderr)")
        #expect(try first.connect().get("/").status == 200)
        // The proxy ends its connections first, so its side of them lingers on the port: no reason to refuse.
        first.process.signal(SIGTERM)
        #expect(try first.process.waitForExit() == 0)
        let third = try Programs.startFairlead(arguments)
        try third.waitForLine("ready")
        #expect(try RawConnection(port: first.port).get("/").status == 200)
    }

    @Test func environmentAndStandardInput() throws {
        let upstream = try EchoUpstream("a")
        let port = try freeLoopbackPort()
        let process = try Programs.startFairlead(
            ["run", "-"],
            environment: [
                "FAIRLEAD_ADMIN": "127.0.0.1:0", "FAIRLEAD_PORT": "80=\(port)", "FAIRLEAD_WORKERS": "1",
                "FAIRLEAD_LOG_LEVEL": "debug",
            ], input: Array(edgeDocuments(to: [upstream.port]).utf8))
        try process.waitForLine("ready")
        #expect(try RawConnection(port: port).get("/").value("x-upstream") == "a")
        // A reload finds nothing more on standard input; what was read serves on.
        process.signal(SIGHUP)
        #expect(try RawConnection(port: port).get("/").status == 200)
        process.signal(SIGINT)
        #expect(try process.waitForExit() == 0)
    }

    // MARK: what it tells

    @Test func accessLogInTextAndReopened() throws {
        let upstream = try EchoUpstream("a")
        let folder = try TemporaryDirectory()
        let proxy = try HttpProxy(
            to: [upstream.port], arguments: ["--access-log", folder.file("access.log")])
        let client = try proxy.connect()
        func lines(_ name: String) -> [Substring] {
            String(decoding: readFile(folder.file(name)) ?? [], as: UTF8.self).split(separator: "\n")
        }
        #expect(try client.get("/one?x", ["User-Agent: tester"]).status == 200)
        try waitUntil("the first line") { lines("access.log").count == 1 }
        let first = try #require(lines("access.log").first)
        #expect(first.contains("GET /one?x HTTP/1.1") && first.contains(" 200 ") && first.contains("tester"))
        #expect(rename(folder.file("access.log"), folder.file("access.log.1")) == 0)
        proxy.process.signal(SIGUSR1)
        try waitUntil("a new file") { readFile(folder.file("access.log")) != nil }
        #expect(try client.get("/two").status == 200)
        try waitUntil("its line") { lines("access.log").count == 1 }
        #expect(lines("access.log").first?.contains("/two") == true)
        #expect(lines("access.log.1").count == 1)
    }

    @Test func accessLogInJSON() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(
            to: [upstream.port], arguments: ["--access-log", "-", "--log-format", "json"])
        #expect(try proxy.connect().get("/j").status == 200)
        #expect(try proxy.exchange("BAD\r\n\r\n").hasPrefix("HTTP/1.1 400"))
        let line = try proxy.process.waitForLine("{")
        #expect(
            line.hasSuffix("}") && line.contains("\"path\":\"/j\"") && line.contains("\"response_code\":200"))
        try waitUntil("the refusal's line") { proxy.process.stdout.contains("\"response_code\":400") }
    }

    @Test func metricsCountWhatWasSent() throws {
        let upstream = try EchoUpstream("a")
        let proxy = try HttpProxy(to: [upstream.port], arguments: ["--workers", "2"])
        for _ in 0..<10 {
            let client = try proxy.connect()
            for _ in 0..<7 { #expect(try client.get("/").status == 200) }
            #expect(try client.get("/direct").status == 200)
        }
        _ = try proxy.exchange("BAD\r\n\r\n")
        try waitUntil("all to be counted") {
            try proxy.metric("istio_requests_total", "response_code=\"200\"") == 80
        }
        try proxy.expectMetric(70, "istio_requests_total", "destination_service=\"app.test\"")
        try proxy.expectMetric(1, "istio_requests_total", "response_code=\"400\"")
        try proxy.expectMetric(80, "istio_request_duration_milliseconds_count", "response_code=\"200\"")
        try proxy.expectMetric(80, "fairlead_downstream_requests_total")
        try proxy.expectMetric(11, "fairlead_downstream_connections_total")
        #expect(try proxy.metric("fairlead_overhead_seconds_count") >= 70)
        try proxy.expectMetric(1, "fairlead_bad_requests_total", "400")
        #expect(upstream.requests.count == 70)
        try proxy.waitUntilQuiet()
    }
}
