// Each endpoint's answer, and who may ask.
import Base
import Synchronization
import Testing

@testable import Admin

private func ask(
    _ path: String, _ method: String = "GET", body: String = "", spy: AdminSpy = AdminSpy(),
    _ change: (inout AdminRequest) -> Void = { _ in }
) -> AdminResponse {
    var request = AdminRequest()
    request.method = method
    let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    request.path = String(parts[0])
    request.query = parts.count > 1 ? String(parts[1]) : ""
    request.host = "127.0.0.1:15000"
    request.body = Array(body.utf8)
    change(&request)
    return AdminRoutes(spy.actions()).respond(to: request)
}

private func text(_ response: AdminResponse) -> String { String(decoding: response.body, as: UTF8.self) }

private func json(_ response: AdminResponse) throws -> JSONValue {
    #expect(response.contentType == "application/json")
    return try JSONReader.read(response.body)
}

extension JSONValue {
    fileprivate subscript(index: Int) -> JSONValue? {
        guard case .array(let list) = self, list.indices.contains(index) else { return nil }
        return list[index]
    }
    fileprivate var count: Int? {
        guard case .array(let list) = self else { return nil }
        return list.count
    }
}

@Test func readinessFollowsTheProxy() {
    let spy = AdminSpy()
    #expect(ask("/ready", spy: spy).status == 200)
    spy.isReady.store(false, ordering: .relaxed)
    #expect(ask("/ready", spy: spy).status == 503)
    spy.isReady.store(true, ordering: .relaxed)
    #expect(ask("/drain", "POST", spy: spy).status == 200)
    #expect(ask("/ready", spy: spy).status == 503)
    #expect(ask("/healthz", spy: spy).status == 200)
}

@Test func metricsUnderBothNames() {
    for path in ["/metrics", "/stats/prometheus"] {
        let response = ask(path)
        #expect(response.status == 200)
        #expect(response.contentType == "text/plain; version=0.0.4; charset=utf-8")
        #expect(text(response).hasPrefix("# HELP"))
    }
}

@Test func lanesHaveTheDocumentedShape() throws {
    let lanes = try #require(try json(ask("/lanes"))["lanes"])
    #expect(lanes.count == 3)
    let lane = try #require(lanes[0])
    #expect(lane["name"] == .string("auth-refactor"))
    #expect(lane["namespace"] == .string("prod"))
    #expect(lane["state"] == .string("active"))
    #expect(lane["expires"] == .string("2100-01-01T00:00:00Z"))
    let members = try #require(lane["members"])
    #expect(members[0]?["service"] == .string("auth.prod.svc.cluster.local"))
    #expect(members[0]?["endpoints"] == .array([.string("10.1.2.3:8080")]))
    #expect(members[0]?["requests"] == .number(7))
    #expect(members[1]?["endpoints"] == .array([]))
    #expect(members[1]?["requests"] == .number(0))
    #expect(lanes[1]?["state"] == .string("expired"))
    #expect(lanes[2]?["state"] == .string("empty"))
    #expect(lanes[2]?["expires"] == .null)
    #expect(try json(ask("/lanes/auth-refactor")) == lane)
    #expect(ask("/lanes/none").status == 404)
    #expect(ask("/lanes/").status == 404)
}

@Test func configurationAsJSON() throws {
    let config = ask("/config")
    #expect(try json(config)["proxy"]?["role"] == .string("edge"))
    #expect(try json(config)["proxy"]?["debugAllow"] == .array([.string("127.0.0.0/8")]))
    #expect(try json(config)["lanePolicy"]?["signing"]?["hasSecret"] == .bool(true))
    #expect(!text(config).contains("top secret"))
    #expect(try json(config)["counts"]?["endpoints"] == .number(4))
    let clusters = try #require(try json(ask("/clusters"))["clusters"])
    #expect(clusters[0]?["endpoints"]?[0]?["stable"] == .bool(true))
    #expect(clusters[0]?["endpoints"]?[2]?["stable"] == .bool(false))
    #expect(clusters[0]?["endpoints"]?[2]?["lanes"] == .array([.string("auth-refactor")]))
    let listeners = try #require(try json(ask("/listeners"))["listeners"])
    #expect(listeners[0]?["address"] == .string("0.0.0.0:80"))
    #expect(listeners[0]?["role"] == .string("edge"))
    #expect(listeners[0]?["routeTables"]?[0]?["name"] == .string("http.80"))
    let host = try #require(try json(ask("/routes"))["routeTables"]?[0]?["virtualHosts"]?[0])
    #expect(host["domains"] == .array([.string("myapp.example.com")]))
    let route = try #require(host["routes"]?[0])
    #expect(route["match"]?["uri"]?["prefix"] == .string("/auth"))
    #expect(route["match"]?["withoutHeaders"]?[0]?["match"]?["regex"] == .string("\"quoted\\.*"))
    #expect(route["forward"]?[0]?["weight"] == .number(100))
    #expect(route["source"]?["line"] == .number(3))
    #expect(host["routes"]?[1]?["direct"]?["status"] == .number(418))
    #expect(host["routes"]?[2]?["redirect"]?["authority"] == .string("other.example.com"))
    #expect(try json(ask("/audit"))["services"] == .array([]))
}

@Test func beforeTheFirstConfigurationQuestionsAboutItAre503() {
    let spy = AdminSpy()
    spy.hasModel.store(false, ordering: .relaxed)
    for path in ["/config", "/routes", "/clusters", "/listeners", "/lanes", "/lanes/x", "/audit"] {
        #expect(ask(path, spy: spy).status == 503)
    }
    #expect(ask("/metrics", spy: spy).status == 200)
    #expect(ask("/", spy: spy).status == 200)
}

@Test func explainAsksTheDecision() throws {
    let spy = AdminSpy()
    let response = ask("/explain", "POST", body: #"{"url":"http://h/","headers":{"a":"b"}}"#, spy: spy)
    #expect(response.status == 200)
    #expect(try json(response)["decision"] == .string("lane"))
    #expect(spy.explained.withLock { $0.map(\.url) } == ["http://h/"])
    let bad = ask("/explain", "POST", body: "{", spy: spy)
    #expect(bad.status == 400)
    #expect(try json(bad)["error"] != nil)
}

@Test func reloadTellsItsFindings() throws {
    let spy = AdminSpy()
    #expect(ask("/reload", "POST", spy: spy).status == 200)
    spy.reloadFails.store(true, ordering: .relaxed)
    let refused = ask("/reload", "POST", spy: spy)
    #expect(refused.status == 400)
    #expect(try json(refused)["findings"]?[0]?["code"] == .string("FL0001"))
}

@Test func methodsAndPathsThatDoNotExist() {
    #expect(ask("/nothing").status == 404)
    #expect(ask("/ready/").status == 404)
    for (path, method, allow) in [
        ("/metrics", "POST", "GET, HEAD"), ("/reload", "GET", "POST"), ("/drain", "HEAD", "POST"),
        ("/explain", "GET", "POST"), ("/logging", "DELETE", "GET, HEAD, POST"), ("/", "OPTIONS", "GET, HEAD"),
    ] {
        let response = ask(path, method)
        #expect(response.status == 405)
        #expect(response.headers.contains { $0.name == "allow" && $0.value == allow })
    }
    #expect(ask("/metrics", "HEAD").status == 200)
}

@Test func actionsRefuseOtherSites() {
    let spy = AdminSpy()
    for path in ["/reload", "/drain", "/explain", "/logging?level=debug"] {
        #expect(ask(path, "POST", spy: spy) { $0.origin = "http://evil.example" }.status == 403)
        #expect(ask(path, "POST", spy: spy) { $0.fetchSite = "cross-site" }.status == 403)
    }
    // An image on a foreign page must not change the log level either.
    #expect(ask("/logging?level=trace", spy: spy) { $0.fetchSite = "cross-site" }.status == 403)
    let draining = spy.isDraining.load(ordering: .relaxed)
    #expect(!draining)
    #expect(ask("/reload", "POST", spy: spy) { $0.origin = "http://127.0.0.1:15000" }.status == 200)
}

@Test func loggingTellsAndSetsTheLevel() throws {
    let before = Log.currentLevel
    defer { Log.set(level: before) }
    #expect(try json(ask("/logging?level=error", "POST"))["level"] == .string("error"))
    #expect(Log.currentLevel == .error)
    #expect(try json(ask("/logging?level=warn"))["level"] == .string("warning"))
    #expect(ask("/logging?level=loud").status == 400)
    #expect(ask("/logging?lvl=debug").status == 400)
    #expect(Log.currentLevel == .warning)
    #expect(try json(ask("/logging"))["level"] == .string("warning"))
}

@Test func thePageIsSelfContainedAndLocked() throws {
    let response = ask("/")
    let page = text(response)
    #expect(page.hasPrefix("<!doctype html>"))
    #expect(page.hasSuffix("</html>\n"))
    for outside in [
        "src=\"http", "href=\"http", "url(http", "@import", "innerHTML", "document.write", "eval(",
    ] {
        #expect(!page.contains(outside))
    }
    let policy = try #require(response.headers.first { $0.name == "content-security-policy" }?.value)
    #expect(policy.contains("default-src 'none'"))
    // Every id that the script looks up is in the markup.
    for part in LivePageScript.text.split(separator: "$('").dropFirst() {
        let id = part.prefix { $0 != "'" }
        if id.hasSuffix("-") { continue }
        #expect(page.contains("id=\"\(id)\""), "\(id)")
    }
}
