// Documents of the Gateway API for wire tests: an edge with a Gateway, Services whose endpoints are on
// loopback, and a sidecar that follows routes attached to a Service.
import TestSupport

enum GatewayDocuments {
    /// A Service `name` in `shop` with one endpoint on loopback, port 8080.
    static func service(_ name: String, _ port: UInt16?, namespace: String = "shop") -> String {
        let endpoints = port == nil ? "[]" : "[{addresses: [127.0.0.1]}]"
        let labels = "{kubernetes.io/service-name: \(name)}"
        return """
            apiVersion: v1
            kind: Service
            metadata: {name: \(name), namespace: \(namespace)}
            spec: {ports: [{name: http, port: 8080}]}
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: \(name)-1, namespace: \(namespace), labels: \(labels)}
            addressType: IPv4
            ports: [{name: http, port: \(port ?? 1)}]
            endpoints: \(endpoints)
            """
    }

    /// An edge with the Gateway `front`. `listeners`: the elements of the list, as YAML lines.
    static func edge(_ listeners: String) -> String {
        """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: edge, namespace: shop}
        spec: {role: edge}
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: front, namespace: shop}
        spec:
          gatewayClassName: fairlead
          listeners:
        \(listeners.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
        """
    }

    /// `rules`: the elements of the list, as YAML lines.
    static func route(
        _ name: String, host: String, kind: String = "HTTPRoute", parents: String = "[{name: front}]",
        namespace: String = "shop", _ rules: String
    ) -> String {
        let indented = rules.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
        return """
            apiVersion: gateway.networking.k8s.io/v1
            kind: \(kind)
            metadata: {name: \(name), namespace: \(namespace)}
            spec:
              parentRefs: \(parents)
              hostnames: \(host.isEmpty ? "[]" : "[\"\(host)\"]")
              rules:
            \(indented)
            """
    }

    /// A Secret of `shop` with a certificate and its key.
    static func secret(_ name: String, _ pair: TestCertificates.Pair) throws -> String {
        """
        apiVersion: v1
        kind: Secret
        metadata: {name: \(name), namespace: shop}
        type: kubernetes.io/tls
        stringData:
          tls.crt: |
        \(try indented(pair.certificate))
          tls.key: |
        \(try indented(pair.key))
        """
    }

    /// A ConfigMap of `shop` with the authority in a PEM file.
    static func authorities(_ name: String, _ path: String) throws -> String {
        """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: \(name), namespace: shop}
        data:
          ca.crt: |
        \(try indented(path))
        """
    }

    private static func indented(_ path: String) throws -> String {
        try TestCertificates.text(path).split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
    }

    static func to(_ service: String, _ more: String = "") -> String {
        "backendRefs: [{name: \(service), port: 8080\(more)}]"
    }
}

struct GatewayEdge: Sendable {
    let site: LaneSite
    let v1: EchoUpstream
    let v2: EchoUpstream
    let lane: EchoUpstream
    let mute: ScriptedUpstream
    static let shared = Result { try GatewayEdge() }

    private init() throws {
        v1 = try puppet("v1")
        v2 = try puppet("v2")
        lane = try puppet("lane")
        mute = try ScriptedUpstream(.readRequest, .readToEnd)
        let services = [
            GatewayDocuments.edge(Self.listeners), GatewayDocuments.service("v1", v1.port),
            GatewayDocuments.service("v2", v2.port), GatewayDocuments.service("mute", mute.port),
            GatewayDocuments.service("void", nil),
            GatewayDocuments.service("away", v2.port, namespace: "other"),
            GatewayDocuments.service("granted", v2.port, namespace: "other"), Self.grant,
            Documents.policy("pin: {maxAge: 1h}"), Documents.lane("feature", "v1", [lane.port]),
        ]
        site = try LaneSite(
            Documents.join(
                services + Self.matches() + Self.filters() + Self.backends() + Self.isolation() + [
                    Self.cors()
                ]),
            ports: [80, 8081])
    }

    func get(_ target: String, _ lines: [String] = [], host: String, port: UInt16 = 80) throws -> LaneAnswer {
        try site.get(target, host: host, lines, port: port)
    }

    private static let listeners = """
        - {name: http, port: 80, protocol: HTTP}
        - {name: exact, port: 80, protocol: HTTP, hostname: exact.isolated.test}
        - {name: wide, port: 80, protocol: HTTP, hostname: "*.isolated.test"}
        - {name: other, port: 8081, protocol: HTTP}
        """

    private static let grant = """
        apiVersion: gateway.networking.k8s.io/v1beta1
        kind: ReferenceGrant
        metadata: {name: granted, namespace: other}
        spec:
          from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
          to: [{group: "", kind: Service, name: granted}]
        """

    private static func matches() -> [String] {
        func rule(_ match: String, _ service: String) -> String {
            "- {matches: [\(match)], \(GatewayDocuments.to(service))}"
        }
        return [
            GatewayDocuments.route(
                "matches", host: "match.test",
                [
                    rule("{path: {type: Exact, value: /exact}}", "v1"),
                    rule("{path: {value: /abc}}", "v1"), rule("{path: {value: /abc/def/}}", "v2"),
                    rule("{path: {type: RegularExpression, value: \"/re/[0-9]+\"}}", "v1"),
                    rule("{path: {value: /head}, headers: [{name: X-A, value: one}]}", "v1"),
                    rule(
                        "{path: {value: /head}, headers: [{name: x-a, type: RegularExpression, "
                            + "value: \"t.*\"}]}", "v2"),
                    rule("{path: {value: /query}, queryParams: [{name: q, value: \"1\"}]}", "v1"),
                    rule("{path: {value: /query}, method: PUT}", "v2"),
                ].joined(separator: "\n")),
            GatewayDocuments.route(
                "grpc", host: "grpc.test", kind: "GRPCRoute",
                "- {matches: [{method: {service: a.B, method: Get}}], \(GatewayDocuments.to("v1"))}\n"
                    + "- {matches: [{method: {service: a.B}}], \(GatewayDocuments.to("v2"))}"),
        ]
    }

    private static func filters() -> [String] {
        func rule(_ prefix: String, _ type: String, _ field: String, _ value: String) -> String {
            let to = type == "RequestRedirect" ? "" : ", " + GatewayDocuments.to("v1")
            return "- {matches: [{path: {value: \(prefix)}}], "
                + "filters: [{type: \(type), \(field): \(value)}]\(to)}"
        }
        func redirect(_ prefix: String, _ value: String) -> String {
            rule(prefix, "RequestRedirect", "requestRedirect", value)
        }
        func rewrite(_ prefix: String, _ value: String) -> String {
            rule(prefix, "URLRewrite", "urlRewrite", value)
        }
        func prefix(_ text: String) -> String {
            "{path: {type: ReplacePrefixMatch, replacePrefixMatch: \"\(text)\"}}"
        }
        let edits =
            "{set: [{name: X-Set, value: s}], add: [{name: X-Add, value: a}], remove: [X-Gone]}"
        let full = "{path: {type: ReplaceFullPath, replaceFullPath: /full}}"
        return [
            GatewayDocuments.route(
                "headers", host: "header.test",
                rule("/request", "RequestHeaderModifier", "requestHeaderModifier", edits) + "\n"
                    + rule("/response", "ResponseHeaderModifier", "responseHeaderModifier", edits)),
            GatewayDocuments.route(
                "redirects", host: "redirect.test",
                [
                    redirect("/plain", "{}"), redirect("/host", "{hostname: new.test, statusCode: 301}"),
                    redirect("/https", "{scheme: https}"), redirect("/port", "{port: 8443, scheme: https}"),
                    redirect("/full", full), redirect("/prefix", prefix("/new")),
                    redirect("/cut", prefix("")),
                ].joined(separator: "\n")),
            GatewayDocuments.route(
                "rewrites", host: "rewrite.test",
                [
                    rewrite("/host", "{hostname: new.test}"), rewrite("/full", full),
                    rewrite("/foo", prefix("/xyz")), rewrite("/slash", prefix("/xyz/")),
                    rewrite("/cut", prefix("")), rewrite("/base", prefix("/")),
                ].joined(separator: "\n")),
        ]
    }

    private static func backends() -> [String] {
        func rule(_ prefix: String, _ backends: String, _ more: String = "") -> String {
            "- {matches: [{path: {value: \(prefix)}}], backendRefs: [\(backends)]\(more)}"
        }
        let v1 = "{name: v1, port: 8080}"
        let failing = "{type: ExtensionRef, extensionRef: {group: example.com, kind: F, name: f}}"
        return [
            GatewayDocuments.route(
                "backends", host: "backend.test",
                [
                    rule("/none", ""), rule("/zero", "{name: v1, port: 8080, weight: 0}"),
                    rule("/gone", "{name: gone, port: 8080}"), rule("/port", "{name: v1, port: 9}"),
                    rule("/kind", "{group: example.com, kind: Bucket, name: b}"),
                    rule("/away", "{name: away, namespace: other, port: 8080}"),
                    rule("/granted", "{name: granted, namespace: other, port: 8080}"),
                    rule("/void", "{name: void, port: 8080}"),
                    rule("/half", "\(v1), {name: gone, port: 8080}"),
                    rule("/split", "{name: v1, port: 8080, weight: 9}, {name: v2, port: 8080, weight: 0}"),
                    rule(
                        "/own",
                        "{name: v1, port: 8080, filters: [{type: RequestHeaderModifier, "
                            + "requestHeaderModifier: {set: [{name: x-own, value: v1}]}}]}"),
                    rule("/slow", "{name: mute, port: 8080}", ", timeouts: {request: 300ms}"),
                ].joined(separator: "\n")),
            GatewayDocuments.route(
                "backends-more", host: "backend.test",
                "- {name: named, matches: [{path: {value: /failing}}], filters: [\(failing)], "
                    + "\(GatewayDocuments.to("v1"))}\n"
                    + "- {matches: [{path: {value: /lane}}], \(GatewayDocuments.to("v1"))}"),
        ]
    }

    private static func isolation() -> [String] {
        ["http", "exact", "wide"].map { section in
            GatewayDocuments.route(
                section, host: "", parents: "[{name: front, sectionName: \(section)}]",
                "- {matches: [{path: {value: /\(section)}}], \(GatewayDocuments.to("v1"))}")
        }
    }

    private static func cors() -> String {
        GatewayDocuments.route(
            "cors", host: "cors.test",
            """
            - filters:
              - type: CORS
                cors:
                  allowOrigins: ["https://a.test", "https://*.b.test"]
                  allowMethods: [GET, PUT]
                  allowHeaders: ["*"]
                  exposeHeaders: [x-seen]
                  allowCredentials: true
              - {type: RequestHeaderModifier, requestHeaderModifier: {remove: [origin]}}
              \(GatewayDocuments.to("v1"))
            """)
    }
}
