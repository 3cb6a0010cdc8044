// `explain` says what the proxy does: for a table of requests the command, the running proxy asked by
// POST /explain or by the command, and the live answer agree.
import Foundation
import TestSupport
import Testing

@Suite struct RouteExplainTests {
    struct Request: Sendable, CustomTestStringConvertible {
        var method = "GET"
        var host: String
        var target = "/"
        var lines: [String] = []
        /// The upstream of the live answer; nil: the proxy's own.
        var upstream: String?
        var status = 200
        var decision = "none"

        var testDescription: String { "\(method) \(host)\(target) \(lines)" }
        var url: String { "http://\(host)\(target)" }
    }

    /// A configuration by its running proxy.
    enum Place: Sendable, CaseIterable {
        case native, raw

        var site: LaneSite {
            get throws {
                switch self {
                case .native: try LaneEdge.shared.get().site
                case .raw: try RouteEdge.shared.get().site
                }
            }
        }
    }

    private static let native: [Request] = [
        Request(host: "app.test", upstream: "stable"),
        Request(
            host: "app.test", target: "/a?x-feat-name=foo&b=%20", lines: ["Cookie: a=b; x-feat-name=bar"],
            upstream: "foo", decision: "lane"),
        Request(host: "foo.preview.test", upstream: "foo", decision: "lane"),
        Request(host: "app.test", lines: ["baggage: a=1,x-feat-name=bar"], upstream: "bar", decision: "lane"),
        Request(
            host: "app.test", lines: ["tracestate: b=1,x-feat-name=foo"], upstream: "foo", decision: "lane"),
        Request(
            host: "app.test", target: "/?x-feat-name=", lines: ["Cookie: x-feat-name=foo"],
            upstream: "stable"),
        Request(host: "app.test", lines: ["x-feat-name: Not-Valid"], upstream: "stable"),
        Request(host: "app.test", lines: ["x-feat-name: empty-strict"], status: 503, decision: "lane"),
        Request(host: "app.test", lines: ["x-feat-name: elsewhere"], upstream: "stable", decision: "stable"),
        Request(host: "said.test", status: 200),
        Request(host: "app.test", lines: ["x-feat-name: empty"], upstream: "stable", decision: "stable"),
        Request(host: "app.test", lines: ["x-feat-name: empty-fail"], status: 503, decision: "lane"),
        Request(host: "app.test", lines: ["x-feat-name: watched"], upstream: "stable", decision: "stable"),
        Request(host: "app.test", lines: ["x-feat-name: over"], upstream: "stable"),
        Request(host: "app.test", lines: ["x-feat-name: nobody"], upstream: "stable"),
        Request(host: "moved.test", target: "/?x-feat-name=foo", status: 302, decision: "stable"),
        Request(host: "broken.test", status: 503), Request(host: "nobody.test", status: 404),
    ]

    private static let raw: [Request] = [
        Request(host: "rewrite.test", target: "/v1/a?q=1", upstream: "v1"),
        Request(host: "single.test", lines: ["x-gone: 1"], upstream: "v1"),
        Request(method: "POST", host: "method.test", lines: ["Content-Length: 0"]),
        Request(host: "header.test", lines: ["x-b: b", "x-c: c"]),
        Request(host: "header.test", lines: ["Cookie: a=b; user=jason; c=d"]),
        Request(host: "redirect.test", target: "/old/a?b=c", status: 301),
        Request(host: "outcome.test", target: "/subset-empty", status: 503),
        Request(host: "outcome.test", target: "/subset-unknown", status: 503),
        Request(host: "delegating.test", target: "/shop/cart", lines: ["x-root: 1"]),
    ]

    private static let table = native.map { (Place.native, $0) } + raw.map { (Place.raw, $0) }

    private func arguments(_ request: Request) -> [String] {
        ["-X", request.method] + request.lines.flatMap { ["-H", $0] } + ["--format", "json"]
    }

    private func offline(_ place: Place, _ request: Request) throws -> NSDictionary {
        let ended = try Programs.result(
            [Programs.fairlead(), "explain"] + arguments(request) + [place.site.path, request.url])
        #expect(ended.exit == 0, "\(ended.stderr)")
        return try jsonObject(ended.stdout) as NSDictionary
    }

    private func asked(_ place: Place, _ request: Request) throws -> NSDictionary {
        var headers: [String: [String]] = [:]
        for line in request.lines {
            let name = String(line.prefix { $0 != ":" })
            headers[name, default: []].append(String(line.dropFirst(name.count + 1).trimmingPrefix(" ")))
        }
        let body = try JSONSerialization.data(
            withJSONObject: ["method": request.method, "url": request.url, "headers": headers])
        let answer = try place.site.admin(
            "POST", "/explain", body: String(decoding: body, as: UTF8.self))
        #expect(answer.status == 200)
        return try jsonObject(answer.text) as NSDictionary
    }

    @Test(arguments: table) func explainAgreesWithTheProxy(_ place: Place, _ request: Request) throws {
        let offline = try offline(place, request)
        let asked = try asked(place, request)
        #expect(offline == asked, "\(offline) \(asked)")

        let live = try place.site.send(
            request.method, request.target, host: request.host, request.lines + ["x-fairlead-debug: 1"])
        #expect(live.status == request.status && live.upstream == request.upstream, "\(live)")
        #expect(offline["status"] as? Int == (live.upstream == nil ? live.status : nil))
        #expect(offline["reason"] as? String == live.reason)
        #expect(offline["decision"] as? String == request.decision)
        let told = try jsonObject(live.response.value("x-fairlead-explain") ?? "{}") as NSDictionary
        for key in [
            "lane", "rules", "destination", "decision", "reason", "status", "virtualHost", "listener",
        ] {
            #expect(told[key] as? NSObject == offline[key] as? NSObject, "\(key): \(told) \(offline)")
        }
        if live.upstream != nil { try expectEdits(offline, live) }
    }

    /// Every edit that is told has happened to the live request.
    private func expectEdits(_ explained: NSDictionary, _ live: LaneAnswer) throws {
        let seen = try live.seen
        for edit in explained["edits"] as? [String] ?? [] {
            let words = edit.split(separator: " ", maxSplits: 3).map(String.init)
            guard words.count == 4, words[0] == "request:", words[2].hasSuffix(":") else { continue }
            let name = String(words[2].dropLast())
            let values = seen.values(name)
            switch words[1] {
            case "add", "rewrite": #expect(values.contains(words[3]), "\(edit): \(values)")
            case "remove": #expect(!values.contains(words[3]), "\(edit): \(values)")
            default: break
            }
        }
        let destination = explained["destination"] as? [String: Any]
        let endpoints = destination?["endpoints"] as? [String] ?? []
        #expect(!endpoints.isEmpty)
        for key in ["service", "subset", "port"] { #expect(destination?[key] != nil, "\(key)") }
    }

    @Test func rulesTellWhyTheyFailed() throws {
        let explained = try asked(.raw, Request(host: "header.test", lines: ["x-a: pre"]))
        let rules = explained["rules"] as? [[String: Any]] ?? []
        #expect(rules.count == 2, "\(rules)")
        #expect(rules.first?["matched"] as? Bool == false && rules.last?["matched"] as? Bool == true)
        let failed = (rules.first?["failed"] as? [String])?.first ?? ""
        #expect(failed.contains("x-a") && failed.contains("one") && failed.contains("pre"), "\(failed)")
        #expect(rules.first?["document"] as? String == "VirtualService shop/header-test")
    }

    @Test func textForPeople() throws {
        let site = try Place.native.site
        let ended = try Programs.result([
            Programs.fairlead(), "explain", site.path, "-H", "Cookie: x-feat-name=foo", "http://app.test/p",
        ])
        #expect(ended.exit == 0 && ended.stderr.isEmpty, "\(ended)")
        for word in ["GET http://app.test/p", "foo", "cookie", "app.test", "x-feat-name: foo", "127.0.0.1:"] {
            #expect(ended.stdout.contains(word), "\(word) in \(ended.stdout)")
        }
        let asked = try Programs.result([
            Programs.fairlead(), "explain", "--admin", "127.0.0.1:\(site.admin)", "-H",
            "Cookie: x-feat-name=foo",
            "http://app.test/p",
        ])
        #expect(asked.exit == 0)
        #expect(asked.stdout == ended.stdout, "a running proxy answers in the same form")
    }

    @Test func wrongCallsAreUsageErrors() throws {
        let site = try Place.native.site
        func exit(_ arguments: String...) throws -> Int32 {
            try Programs.result([Programs.fairlead(), "explain"] + arguments).exit
        }
        #expect(try exit() == 2 && exit("http://app.test/") == 2)
        #expect(try exit(site.path, "-H", "no colon", "http://app.test/") == 2)
        #expect(try exit(site.folder.file("none.yaml"), "http://app.test/") == 2)
        #expect(try site.admin("POST", "/explain", body: "{\"url\": 1}").status == 400)
        #expect(try site.admin("POST", "/explain", body: "no json").status == 400)
        #expect(try site.admin("GET", "/explain").status == 405)
    }
}
