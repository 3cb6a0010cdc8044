// What a running proxy tells about its configuration, in the shapes of interface.md 3, and what `check` says
// of one that does not run.
import TestSupport
import Testing

@Suite struct RouteAdminTests {
    typealias Object = [String: Any]
    private let lanes: LaneSite
    private let routes: LaneSite

    init() throws {
        lanes = try LaneEdge.shared.get().site
        routes = try RouteEdge.shared.get().site
    }

    @Test func lanesAndMembers() throws {
        _ = try lanes.get("/", host: "app.test", ["x-feat-name: foo"])
        let all = try lanes.json("/lanes")["lanes"] as? [Object] ?? []
        func lane(_ name: String) -> Object? { all.first { $0["name"] as? String == name } }
        #expect(all.count == 13)
        #expect(
            lane("foo")?["state"] as? String == "active" && lane("foo")?["namespace"] as? String == "shop")
        #expect(lane("over")?["state"] as? String == "expired")
        #expect(lane("over")?["expires"] as? String == "2020-01-01T00:00:00Z")
        #expect(lane("empty")?["state"] as? String == "empty")
        let members = lane("foo")?["members"] as? [Object] ?? []
        #expect(members.map { $0["service"] as? String } == ["app.test"])
        #expect((members.first?["endpoints"] as? [String])?.count == 1)
        #expect(members.first?["requests"] is Int)
        try waitUntil("requests of foo") {
            let one = try lanes.json("/lanes/foo")
            return ((one["members"] as? [Object])?.first?["requests"] as? Int ?? 0) >= 1
        }
        #expect(try lanes.admin("GET", "/lanes/nobody").status == 404)
    }

    @Test func clusters() throws {
        let clusters = try routes.json("/clusters")["clusters"] as? [Object] ?? []
        let v1 = try #require(clusters.first { $0["name"] as? String == "outbound|8080|v1|up.test" })
        #expect(v1["service"] as? String == "up.test" && v1["subset"] as? String == "v1")
        #expect(v1["port"] as? Int == 8080)
        let endpoints = v1["endpoints"] as? [Object] ?? []
        #expect(
            endpoints.count == 1 && (endpoints.first?["address"] as? String)?.hasPrefix("127.0.0.1:") == true)
        #expect((endpoints.first?["labels"] as? [String: String])?["version"] == "v1")
        let split = try lanes.json("/clusters")["clusters"] as? [Object] ?? []
        let app = try #require(split.first { $0["service"] as? String == "app.test" })
        let stable = (app["endpoints"] as? [Object] ?? []).filter { $0["stable"] as? Bool == true }
        #expect(stable.count == 1)
    }

    @Test func listenersAndRoutes() throws {
        let listeners = try routes.json("/listeners")["listeners"] as? [Object] ?? []
        #expect(listeners.compactMap { $0["name"] as? String }.sorted() == ["gateway/80", "gateway/8081"])
        let addresses = Set(listeners.compactMap { $0["address"] as? String })
        #expect(addresses.contains("127.0.0.1:\(routes.port())"), "where it really listens: \(addresses)")
        let tables = try routes.json("/routes")["routeTables"] as? [Object] ?? []
        let hosts = tables.flatMap { $0["virtualHosts"] as? [Object] ?? [] }
        let uri = try #require(hosts.first { ($0["domains"] as? [String]) == ["uri.test"] })
        let rules = uri["routes"] as? [Object] ?? []
        #expect(rules.count == 9)
        let source = rules.first?["source"] as? Object
        #expect(source?["document"] as? String == "VirtualService shop/uri-test")
        #expect(
            (source?["file"] as? String)?.hasSuffix("site.yaml") == true && (source?["line"] as? Int ?? 0) > 1
        )
    }

    @Test func configuration() throws {
        let config = try lanes.json("/config")
        let proxy = config["proxy"] as? Object
        #expect(proxy?["name"] as? String == "edge" && proxy?["role"] as? String == "edge")
        let policy = config["lanePolicy"] as? Object
        #expect(policy?["key"] as? String == "x-feat-name")
        #expect((config["counts"] as? Object)?["lanes"] as? Int == 13)
        let signed = try PolicyEdge.signed.get().site.admin("GET", "/config").text
        #expect(!signed.contains(PolicyEdge.secret), "a secret is never shown")
    }

    @Test func probesAndMetrics() throws {
        #expect(
            try lanes.admin("GET", "/ready").status == 200 && lanes.admin("GET", "/healthz").status == 200)
        for path in ["/metrics", "/stats/prometheus"] {
            let page = try lanes.admin("GET", path)
            #expect(page.status == 200 && page.text.contains("fairlead_overhead_seconds_count"))
        }
        #expect(try lanes.admin("GET", "/nothing").status == 404)
        #expect(try lanes.admin("POST", "/config").status == 405)
    }

    // MARK: check

    private static let clean = Documents.join([
        Documents.edge(), Documents.service("app.test", [(8080, "{version: stable}")]),
        Documents.published("app.test"),
    ])

    @Test func exitCodesOfCheck() throws {
        #expect(try check(Self.clean).exit == 0)
        let matched = "- match: [{headers: {a: {exact: b}}}]\n  route: [{destination: {host: app.test}}]"
        let warned = Documents.join([Self.clean, Documents.virtualService("matched.test", matched)])
        let warning = try check(warned)
        #expect(warning.exit == 0 && warning.lines.contains { $0.contains(" warning [") }, "\(warning)")
        #expect(try check(warned, "--strict").exit == 1)
        let broken = Self.clean.replacing("host: app.test}", with: "host: ap.test}")
        let error = try check(broken)
        #expect(error.exit == 1, "\(error)")
        let unreadable = try Programs.result([Programs.fairlead(), "check", "no/such/file.yaml"])
        #expect(unreadable.exit == 2)
        #expect(
            try Programs.result([Programs.fairlead(), "check", "-"], input: Array(Self.clean.utf8)).exit == 0)
    }

    @Test func findingsHaveAPlace() throws {
        let text = Self.clean.replacing("host: app.test}", with: "host: ap.test}")
        let line =
            text.split(separator: "\n", omittingEmptySubsequences: false)
            .firstIndex { $0.contains("host: ap.test") }.map { $0 + 1 } ?? 0
        let found = try check(text)
        #expect(found.lines.contains { $0.hasPrefix("site.yaml:\(line): error [IST0101] ") }, "\(found)")
        let json = try jsonObject(try check(text, "--format", "json").lines.joined(separator: "\n"))
        let findings = json["findings"] as? [Object] ?? []
        let finding = try #require(findings.first { $0["code"] as? String == "IST0101" })
        #expect(finding["line"] as? Int == line && finding["severity"] as? String == "error")
        #expect((finding["suggestion"] as? String)?.contains("app.test") == true, "\(finding)")
        #expect(json["errors"] as? Int == findings.count { $0["severity"] as? String == "error" })
        #expect(json["warnings"] is Int)
        for key in ["file", "message", "resource"] { #expect(finding[key] is String, "\(key)") }
    }

    @Test func whatIsRefusedDoesNotRun() throws {
        let bad = Self.clean.replacing("role: edge", with: "role: bridge")
        let folder = try TemporaryDirectory()
        let file = try folder.write("site.yaml", bad)
        let ended = try Programs.result([Programs.fairlead(), "run", file, "--admin", "127.0.0.1:0"])
        #expect(ended.exit == 1 && ended.stderr.contains("site.yaml:"), "\(ended)")
    }
}
