// The edges of the lane tests: one with the usual policy and lanes in every state, and one for each policy
// that changes what an edge does.
import TestSupport

/// `app.test` and `other.test` with lanes in every state, under a policy that pins and has preview hosts.
struct LaneEdge: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let foo: EchoUpstream
    let bar: EchoUpstream
    /// Reads a request and closes: bytes have reached it.
    let silent: ScriptedUpstream
    static let shared = Result { try LaneEdge() }

    init() throws {
        stable = try puppet("stable")
        foo = try puppet("foo")
        bar = try puppet("bar")
        silent = try ScriptedUpstream(.readRequest, .close)
        site = try LaneSite(
            Documents.join(
                try Self.routes(stable.port)
                    + Self.lanes(foo: foo.port, bar: bar.port, silent: silent.port)))
    }

    private static func routes(_ stable: UInt16) -> [String] {
        [
            Documents.edge("trust: {cidrs: [127.0.0.0/8]}"),
            Documents.policy(
                """
                pin: {domain: .shop.test, maxAge: 8h}
                previewHosts:
                - {pattern: "{lane}.preview.test", host: app.test}
                - {pattern: "pr-{lane}.dev.test", host: other.test}
                """),
            Documents.service("app.test", [(stable, "{version: stable}")]),
            Documents.service("other.test", [(stable, "{version: stable}")]),
            Documents.published("app.test"), Documents.published("other.test"),
            Documents.virtualService("moved.test", "- redirect: {authority: app.test, redirectCode: 302}"),
            Documents.virtualService("said.test", "- directResponse: {status: 200, body: {string: hello}}"),
            Documents.virtualService(
                "broken.test", "- route: [{destination: {host: app.test, subset: nowhere}}]"),
            Documents.virtualService(
                "matched.test",
                """
                - match: [{headers: {x-feat-name: {exact: by-header}}}]
                  route: [{destination: {host: app.test}}]
                - match: [{headers: {x-feat-name: {regex: "^(team-[a-z]+)$"}}}]
                  route: [{destination: {host: app.test}}]
                - match: [{headers: {cookie: {regex: ".*(x-feat-name=by-cookie).*"}}}]
                  route: [{destination: {host: app.test}}]
                - match: [{queryParams: {x-feat-name: {exact: by-query}}}]
                  route: [{destination: {host: app.test}}]
                - route: [{destination: {host: app.test}}]
                """),
        ]
    }

    private static func lanes(foo: UInt16, bar: UInt16, silent: UInt16) throws -> [String] {
        func nobody(_ label: String) -> String {
            "members:\n- {service: app.test, selector: {version: \(label)}}"
        }
        return [
            Documents.lane("foo", "app.test", [foo]),
            Documents.lane("bar", "app.test", [bar]),
            Documents.lane("elsewhere", "other.test", [foo]),
            Documents.lane("empty", nobody("nobody")),
            Documents.lane("empty-fail", "whenEmpty: fail\n" + nobody("no-one")),
            Documents.lane("empty-strict", "mode: strict\n" + nobody("none")),
            Documents.lane("gone", "app.test", [try refusedPort()]),
            Documents.lane("gone-fail", "app.test", [try refusedPort()], "whenEmpty: fail"),
            Documents.lane("gone-strict", "app.test", [try refusedPort()], "mode: strict"),
            Documents.lane("half-gone", "app.test", [try refusedPort(), bar]),
            Documents.lane("watched", "app.test", [foo], "mode: observe"),
            Documents.lane("silent", "app.test", [silent]),
            Documents.lane("over", "app.test", [foo], "expires: \"2020-01-01T00:00:00Z\""),
        ]
    }

    func get(_ target: String, _ lines: [String] = [], host: String = "app.test") throws -> LaneAnswer {
        try site.get(target, host: host, lines)
    }

    /// The name of the upstream that a request with these lines reaches.
    func upstream(_ lines: String...) throws -> String? { try get("/", lines).upstream }
}

/// An edge with `app.test`, lane `foo`, and a policy of its own.
struct PolicyEdge: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let foo: EchoUpstream

    init(_ policy: String, proxy: String = "", files: [String: String] = [:]) throws {
        stable = try puppet("stable")
        foo = try puppet("foo")
        site = try LaneSite(
            Documents.join([
                Documents.edge(proxy), Documents.policy(policy),
                Documents.service("app.test", [(stable.port, "{version: stable}")]),
                Documents.published("app.test"), Documents.lane("foo", "app.test", [foo.port]),
                Documents.lane("over", "app.test", [foo.port], "expires: \"2020-01-01T00:00:00Z\""),
            ]), files: files)
    }

    func get(_ target: String, _ lines: [String] = [], host: String = "app.test") throws -> LaneAnswer {
        try site.get(target, host: host, lines)
    }

    /// Unknown lanes lose their carriers; only query and cookie are accepted; URLs lose the parameter.
    static let closed = Result {
        try PolicyEdge(
            """
            accept: {header: false, baggage: false, tracestate: false}
            propagate: {baggage: false, tracestate: false}
            unknownLane: stable
            stripQuery: true
            cache: none
            pin: {maxAge: 1h, path: /app, secure: always, sameSite: Strict, httpOnly: false}
            """)
    }
    /// Unknown lanes are refused; no pin; caches keep what they like; nobody here may ask for explanations.
    static let rejecting = Result {
        try PolicyEdge("unknownLane: reject\ncache: keep", proxy: "debug: {allow: [10.0.0.0/8]}")
    }
    /// A lane that is lost is an error.
    static let failing = Result { try PolicyEdge("onLoss: fail\npin: {maxAge: 1h}") }
    static let guarded = Result {
        try PolicyEdge(
            """
            guard: strip
            pin: {maxAge: 8h}
            previewHosts: [{pattern: "{lane}.preview.test", host: app.test}]
            """)
    }
    static let secret = "a secret of the tests"
    static let signed = Result {
        try PolicyEdge(
            "signing: {secretFile: lane.key, required: true}\npin: {maxAge: 1h}",
            files: ["lane.key": secret + "\n"])
    }
    static let signable = Result {
        try PolicyEdge(
            "signing: {secretFile: lane.key, required: false}\npin: {maxAge: 1h}",
            files: ["lane.key": secret])
    }
}
