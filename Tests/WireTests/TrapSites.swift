// The sites of the trap tests: the published pattern's own documents, and the native lanes that replace them.
import TestSupport

/// Native documents at the edge: three services with two lanes.
struct NativeEdge: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let feature: EchoUpstream
    let second: EchoUpstream
    static let host = "auth-svc.digillect.svc.cluster.local"
    static let shared = Result { try NativeEdge() }

    init() throws {
        stable = try puppet("stable")
        feature = try puppet("auth-refactor")
        second = try puppet("auth-refactor-2")
        let lanes = [
            ("auth-refactor", [feature.port], ""), ("auth-refactor-2", [second.port], ""),
            ("gone", [try refusedPort()], ""), ("gone-strict", [try refusedPort()], "mode: strict"),
        ]
        var documents = [
            Documents.edge(), Documents.policy("pin: {domain: digillect.ca, maxAge: 8h}"),
            Documents.service(Self.host, [(stable.port, "{version: stable}")]),
            Documents.published(Self.host), Documents.service("undefined.test", []),
            Documents.virtualService(
                "unknown-subset.test", "- route: [{destination: {host: \(Self.host), subset: nobody}}]"),
            Documents.virtualService("no-pods.test", "- route: [{destination: {host: undefined.test}}]"),
            Documents.lane(
                "nobody-falls-back", "members:\n- {service: \(Self.host), selector: {version: nobody}}"),
            Documents.lane(
                "nobody-fails",
                "whenEmpty: fail\nmembers:\n- {service: \(Self.host), selector: {version: nobody-either}}"),
        ]
        documents += lanes.map { Documents.lane($0.0, Self.host, $0.1, $0.2) }
        site = try LaneSite(Documents.join(documents))
    }

    func get(_ target: String, _ lines: [String] = []) throws -> LaneAnswer {
        try site.get(target, host: Self.host, lines)
    }
}

/// The pattern's documents as they are printed, bound to a gateway, and nothing of Fairlead's own but who the
/// proxy is.
struct RawEdge: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let feature: EchoUpstream
    let second: EchoUpstream
    static let host = "auth-svc.digillect.svc.cluster.local"
    static let shared = Result { try RawEdge() }

    init() throws {
        stable = try puppet("stable")
        feature = try puppet("auth-refactor")
        second = try puppet("auth-refactor-2")
        site = try LaneSite(
            Documents.join(
                [
                    Documents.edge(),
                    Documents.service(
                        Self.host,
                        [
                            (stable.port, "{app: digillect-auth, version: stable}"),
                            (feature.port, "{app: digillect-auth, version: auth-refactor}"),
                            (second.port, "{app: digillect-auth, version: auth-refactor-2}"),
                        ]),
                    Self.subset("auth-refactor", "first", created: "2026-01-01T00:00:00Z"),
                    Self.subset("auth-refactor-2", "second", created: "2026-01-02T00:00:00Z"),
                    Self.feature("auth-refactor", gateways: "[front]", created: "2026-01-01T00:00:00Z"),
                    Self.feature("auth-refactor-2", gateways: "[front]", created: "2026-01-02T00:00:00Z"),
                ] + Self.more()))
    }

    /// A host whose fallback is the whole service, and one whose subset is defined twice.
    private static func more() -> [String] {
        [
            Documents.virtualService(
                "whole.test",
                """
                - match: [{headers: {x-feat-name: {exact: auth-refactor}}}]
                  route: [{destination: {host: \(host), subset: auth-refactor}}]
                - route: [{destination: {host: \(host)}}]
                """),
            Documents.virtualService(
                "twice.test", "- route: [{destination: {host: \(host), subset: twice}}]"),
            Documents.subsets(
                host, "- {name: twice, labels: {version: stable}}", name: "twice-older",
                created: "2026-01-03T00:00:00Z"),
            Documents.subsets(
                host, "- {name: twice, labels: {version: auth-refactor}}", name: "twice-newer",
                created: "2026-01-04T00:00:00Z"),
            Documents.subsets(
                host, "- {name: no-pods, labels: {version: nobody}}", name: "no-pods",
                created: "2026-01-05T00:00:00Z"),
            Documents.virtualService(
                "no-pods.test", "- route: [{destination: {host: \(host), subset: no-pods}}]"),
            Documents.virtualService(
                "unknown-subset.test", "- route: [{destination: {host: \(host), subset: nowhere}}]"),
        ]
    }

    static func subset(_ version: String, _ name: String, created: String) -> String {
        Documents.subsets(
            host, "- {name: \(version), labels: {version: \(version), app: digillect-auth}}", name: name,
            created: created)
    }

    /// The pattern's VirtualService for one feature: matched routes only.
    static func feature(_ name: String, gateways: String, created: String) -> String {
        Documents.virtualService(
            host, gateways: gateways, name: name, created: created,
            """
            - name: \(name)
              match:
              - headers:
                  x-feat-name:
                    regex: .*(\(name)).*
              - headers:
                  Cookie:
                    regex: .*(x-feat-name=\(name)).*
              route:
              - destination:
                  host: \(host)
                  subset: \(name)
                  port: {number: 8080}
              headers:
                response:
                  set: {x-feat-name: \(name)}
                  add: {Set-Cookie: "x-feat-name=\(name); Path=/; Domain=digillect.ca; HttpOnly"}
                request:
                  set: {x-feat-name: \(name)}
            """)
    }

    func get(_ lines: [String] = [], host: String = Self.host) throws -> LaneAnswer {
        try site.get("/", host: host, lines)
    }
}

/// A sidecar of a feature pod over the pattern's documents bound to the mesh, with the lane of its pod.
struct PatternSidecar: Sendable {
    let site: LaneSite
    let stable: EchoUpstream
    let feature: EchoUpstream
    let second: EchoUpstream
    static let shared = Result { try PatternSidecar() }

    init() throws {
        stable = try puppet("stable")
        feature = try puppet("auth-refactor")
        second = try puppet("auth-refactor-2")
        site = try LaneSite(
            Documents.join([
                Documents.sidecar(
                    "lane: auth-refactor", labels: "{app: digillect-auth, version: auth-refactor}"),
                Documents.policy(),
                Documents.service(
                    RawEdge.host,
                    [
                        (stable.port, "{app: digillect-auth, version: stable}"),
                        (feature.port, "{app: digillect-auth, version: auth-refactor}"),
                        (second.port, "{app: digillect-auth, version: auth-refactor-2}"),
                    ]),
                Documents.service("session.test", [(stable.port, "{version: stable}")]),
                RawEdge.subset("auth-refactor", "first", created: "2026-01-01T00:00:00Z"),
                RawEdge.subset("auth-refactor-2", "second", created: "2026-01-02T00:00:00Z"),
                RawEdge.feature("auth-refactor", gateways: "[mesh]", created: "2026-01-01T00:00:00Z"),
                RawEdge.feature("auth-refactor-2", gateways: "[mesh]", created: "2026-01-02T00:00:00Z"),
                Documents.lane(
                    "other", "members:\n- {service: session.test, selector: {version: other}}"),
            ]), ports: [15_001])
    }

    func get(_ host: String, _ lines: [String] = []) throws -> LaneAnswer {
        try site.get("/", host: host, lines, port: 15_001)
    }
}

/// What `fairlead check` says of documents: exit code and lines.
func check(_ yaml: String, _ arguments: String...) throws -> (exit: Int32, lines: [String]) {
    let folder = try TemporaryDirectory()
    let file = try folder.write("site.yaml", yaml)
    let ended = try Programs.result([Programs.fairlead(), "check", file] + arguments)
    let lines = ended.stdout.split(separator: "\n").map { String($0.replacing(folder.path + "/", with: "")) }
    return (ended.exit, lines)
}

extension [String] {
    /// The lines of a check that carry a code.
    func coded(_ code: String) -> [String] { filter { $0.contains("[\(code)]") } }
}
