// The edges of the routing tests: raw Istio documents, one host for each thing that is tested.
import TestSupport

/// Without a LanePolicy: documents mean what Istio makes of them.
struct RouteEdge: Sendable {
    let site: LaneSite
    let v1: EchoUpstream
    let v2: EchoUpstream
    /// Reads requests and never answers.
    let mute: ScriptedUpstream
    static let shared = Result { try RouteEdge() }

    private init() throws {
        v1 = try puppet("v1")
        v2 = try puppet("v2")
        mute = try ScriptedUpstream(.readRequest, .readToEnd)
        site = try LaneSite(
            Documents.join(
                try Self.services(v1: v1.port, v2: v2.port, mute: mute.port) + Self.matches()
                    + Self.moreMatches()
                    + Self.headers()
                    + Self.actions() + Self.weights()), ports: [80, 8081])
    }

    func get(_ target: String, _ lines: [String] = [], host: String, port: UInt16 = 80) throws -> LaneAnswer {
        try site.get(target, host: host, lines, port: port)
    }

    private static func services(v1: UInt16, v2: UInt16, mute: UInt16) throws -> [String] {
        [
            Documents.edge(),
            """
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: {name: back, namespace: shop}
            spec:
              selector: {istio: ingressgateway}
              servers:
              - {port: {number: 8081, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}
            """,
            Documents.service("up.test", [(v1, "{version: v1}"), (v2, "{version: v2}")]),
            Documents.service("mute.test", [(mute, "{version: v1}")]),
            Documents.service("gone.test", [(try refusedPort(), "{version: v1}")]),
            Documents.service("void.test", []),
            Documents.subsets(
                "up.test",
                """
                - {name: v1, labels: {version: v1}}
                - {name: v2, labels: {version: v2}}
                - {name: nobody, labels: {version: v3}}
                """),
        ]
    }

    // MARK: matches

    /// An http entry that answers by itself with a name.
    private static func said(_ name: String, _ match: String) -> String {
        "- match: [\(match)]\n  directResponse: {status: 200, body: {string: \(name)}}"
    }

    private static func table(_ host: String, gateways: String = "[front]", _ rules: [(String, String)])
        -> String
    {
        Documents.virtualService(
            host, gateways: gateways,
            (rules.map { said($0.0, $0.1) } + ["- directResponse: {status: 200, body: {string: rest}}"])
                .joined(separator: "\n"))
    }

    private static func matches() -> [String] {
        [
            table(
                "uri.test",
                [
                    ("exact", "{uri: {exact: /exact}}"), ("prefix", "{uri: {prefix: /pre}}"),
                    ("regex", "{uri: {regex: \"/v[0-9]+/(a|b)\"}}"),
                    ("exact-any-case", "{uri: {exact: /CaSe}, ignoreUriCase: true}"),
                    ("prefix-any-case", "{uri: {prefix: /Dir/}, ignoreUriCase: true}"),
                    ("regex-any-case", "{uri: {regex: \"(?i)/loud.*\"}}"),
                    ("escaped", "{uri: {exact: /a%2Fb}}"), ("shadowed", "{uri: {prefix: /prefix}}"),
                ]),
            table(
                "method.test",
                [
                    ("put", "{method: {exact: PUT}}"), ("p", "{method: {regex: \"P(OST|ATCH)\"}}"),
                    ("other", "{method: {prefix: DEL}}"), ("scheme", "{scheme: {exact: https}}"),
                    ("http", "{scheme: {exact: http}, uri: {prefix: /scheme}}"),
                ]),
            table(
                "*.authority.test",
                [
                    ("port", "{authority: {exact: \"a.authority.test:81\"}}"),
                    ("exact", "{authority: {exact: a.authority.test}}"),
                    ("prefix", "{authority: {prefix: b.}}"),
                    ("regex", "{authority: {regex: \"[cd]\\\\..*\"}}"),
                ]),
            table(
                "header.test",
                [
                    ("exact", "{headers: {x-a: {exact: one}}}"),
                    ("prefix", "{headers: {x-a: {prefix: pre}}}"),
                    ("regex", "{headers: {x-a: {regex: \"r[0-9]+\"}}}"),
                    ("empty", "{headers: {x-a: {exact: \"\"}}}"),
                    ("both", "{headers: {x-b: {exact: b}, x-c: {exact: c}}}"),
                    ("present", "{headers: {x-d: {}}}"),
                    ("star", "{headers: {x-e: {regex: \"*\"}}}"),
                    ("any", "{headers: {x-f: {regex: \".*\"}}}"),
                    ("upper", "{headers: {X-Upper: {exact: \"Yes\"}}}"),
                    ("cookie", "{headers: {cookie: {regex: \"^(.*?;)?\\\\s*(user=jason)(;.*)?$\"}}}"),
                ]),
        ]
    }

    private static func moreMatches() -> [String] {
        [
            table(
                "without.test",
                [
                    ("absent", "{withoutHeaders: {x-a: {}}, uri: {prefix: /absent}}"),
                    ("not-foo", "{withoutHeaders: {x-a: {exact: foo}}, uri: {prefix: /exact}}"),
                    ("not-empty", "{withoutHeaders: {x-a: {exact: \"\"}}, uri: {prefix: /empty}}"),
                    ("mixed", "{headers: {x-b: {}}, withoutHeaders: {x-a: {regex: \"f.*\"}}}"),
                ]),
            table(
                "query.test",
                [
                    ("exact", "{queryParams: {a: {exact: one}}}"),
                    ("prefix", "{queryParams: {a: {prefix: pre}}}"),
                    ("regex", "{queryParams: {a: {regex: \"[0-9]+\"}}}"),
                    ("empty", "{queryParams: {a: {exact: \"\"}}}"), ("present", "{queryParams: {b: {}}}"),
                    ("both", "{queryParams: {c: {exact: \"1\"}, d: {exact: \"2\"}}}"),
                ]),
            table(
                "ports.test", gateways: "[front, back]",
                [
                    ("front", "{port: 80, uri: {prefix: /port}}"),
                    ("back", "{port: 8081, uri: {prefix: /port}}"),
                    ("by-front", "{gateways: [front], uri: {prefix: /gateway}}"),
                    ("by-back", "{gateways: [shop/back], uri: {prefix: /gateway}}"),
                    ("mesh", "{gateways: [mesh]}"), ("labels", "{sourceLabels: {app: nobody}}"),
                    ("edge", "{sourceLabels: {istio: ingressgateway}, uri: {prefix: /labels}}"),
                ]),
            Documents.virtualService(
                "order.test",
                """
                - match: [{uri: {prefix: /a}}, {headers: {x-or: {exact: "1"}}}]
                  name: first
                  directResponse: {status: 200, body: {string: first}}
                - match: [{uri: {prefix: /a/b}}]
                  directResponse: {status: 200, body: {string: second}}
                - match: [{uri: {prefix: /}}]
                  directResponse: {status: 200, body: {string: all}}
                - directResponse: {status: 200, body: {string: never}}
                """),
        ]
    }

    // MARK: headers

    private static let up = "{destination: {host: up.test, subset: v1}}"

    private static func headers() -> [String] { headerLevels() + localAnswers() + [ownFields()] }

    /// Operations on fields that are the proxy's own.
    private static func ownFields() -> String {
        let operations =
            "set: {server: mine, connection: close, keep-alive: a, x-envoy-upstream-service-time: \"7\", "
            + "x-log: \"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\"}, add: {server: more}"
        return Documents.virtualService(
            "own.test",
            """
            - match: [{uri: {prefix: /removed}}]
              headers: {response: {remove: [x-envoy-upstream-service-time, server, date]}}
              route: [\(up)]
            - match: [{uri: {prefix: /refused}}]
              headers: {response: {\(operations)}}
              route: [{destination: {host: gone.test}}]
            - headers: {response: {\(operations)}}
              route: [\(up)]
            """)
    }

    private static func headerLevels() -> [String] {
        [
            Documents.virtualService(
                "single.test",
                """
                - headers:
                    request:
                      set: {x-both: entry, x-set: entry, x-copy: "%REQ(x-gone)%", x-host: "%REQ(:authority)%"}
                      add: {x-add: entry}
                      remove: [x-gone]
                    response:
                      set: {x-both: entry, x-replace: one}
                      add: {set-cookie: "entry=1", x-status: "%RESPONSE_CODE%"}
                      remove: [x-app]
                  route:
                  - destination: {host: up.test, subset: v1}
                    headers:
                      request: {set: {x-both: destination}, add: {x-add: destination}, remove: [x-too]}
                      response: {set: {x-both: destination}, add: {set-cookie: "destination=1"}}
                """),
            Documents.virtualService(
                "several.test",
                """
                - headers:
                    request: {set: {x-both: entry}, remove: [x-mine]}
                    response: {set: {x-both: entry}, remove: [x-mine]}
                  route:
                  - {destination: {host: up.test, subset: v1}, weight: 1, headers: \(several)}
                  - {destination: {host: up.test, subset: v1}, weight: 1, headers: \(several)}
                """),
            Documents.virtualService(
                "formats.test",
                """
                - headers:
                    request:
                      set:
                        x-req: "<%REQ(x-a)%>"
                        x-alt: "%REQ(x-none?x-a)%"
                        x-cut: "%REQ(x-a):2%"
                        x-proto: "%PROTOCOL%"
                        x-client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                        x-path: "%REQ(:path)%"
                        x-method: "%REQ(:method)%"
                        x-percent: "100%%"
                        x-empty: "%REQ(x-none)%"
                        x-kept: "%REQ(x-none)%"
                    response:
                      set: {x-up: "%UPSTREAM_HOST%", x-code: "%RESPONSE_CODE%", x-asked: "%REQ(x-a)%"}
                  route: [\(up)]
                """),
            Documents.virtualService(
                "host-set.test",
                """
                - headers: {request: {set: {host: set.test}, add: {":authority": added.test}}}
                  route: [\(up)]
                """
            ),
        ]
    }

    private static func localAnswers() -> [String] {
        [
            Documents.virtualService(
                "local.test",
                """
                - match: [{uri: {prefix: /known}}]
                  headers: {response: {add: {x-local: "yes"}}}
                  route: [{destination: {host: up.test, subset: nobody}}]
                - match: [{uri: {prefix: /refused}}]
                  headers: {response: {add: {x-local: "yes"}}}
                  route: [{destination: {host: gone.test}}]
                - match: [{uri: {prefix: /direct}}]
                  headers: {response: {set: {x-local: "yes", content-type: application/json}}}
                  directResponse: {status: 200, body: {string: "{}"}}
                - match: [{uri: {prefix: /moved}}]
                  headers: {response: {set: {x-local: "yes"}}}
                  redirect: {uri: /there}
                """)
        ]
    }

    private static let several =
        "{request: {set: {x-both: destination}, add: {x-mine: destination}}, "
        + "response: {set: {x-both: destination}, add: {x-mine: destination}}}"

    // MARK: actions

    private static func actions() -> [String] {
        func rule(_ match: String, _ action: String) -> String {
            "- match: [\(match)]\n  \(action)\n  route: [\(up)]"
        }
        let rewrites = [
            rule("{uri: {prefix: /v1/}}", "rewrite: {uri: /}"),
            rule("{uri: {prefix: /v2}}", "rewrite: {uri: /}"),
            rule("{uri: {exact: /exact}}", "rewrite: {uri: /whole}"),
            rule("{uri: {regex: \"/re/.*\"}}", "rewrite: {uri: /whole}"),
            rule(
                "{uri: {prefix: /sub}}",
                "rewrite: {uriRegexRewrite: {match: \"/([a-z]+)-([0-9]+)\", rewrite: \"/\\\\2/\\\\1\"}}"),
            rule("{uri: {prefix: /host}}", "rewrite: {authority: rewritten.test}"),
            "- rewrite: {uri: /v9}\n  route: [\(up)]",
        ]
        return [
            Documents.virtualService("rewrite.test", rewrites.joined(separator: "\n")),
            redirects(), delegation(), delegate(), outcomes(),
        ]
    }

    private static func redirects() -> String {
        func to(_ prefix: String, _ redirect: String) -> String {
            "- match: [{uri: {prefix: \(prefix)}}]\n  redirect: \(redirect)"
        }
        return Documents.virtualService(
            "redirect.test",
            [
                to("/uri", "{uri: /new}"), to("/query", "{uri: \"/new?own=1\"}"),
                to("/code", "{uri: /new, redirectCode: 308}"), to("/host", "{authority: \"new.test:8000\"}"),
                to("/scheme", "{scheme: https}"), to("/port", "{port: 8443}"), to("/web", "{port: 80}"),
                to("/tls", "{scheme: https, port: 443}"),
                to("/derive", "{derivePort: FROM_PROTOCOL_DEFAULT}"),
                to("/old/", "{prefixRewrite: /fresh/}"),
            ].joined(separator: "\n"))
    }

    private static func delegation() -> String {
        Documents.virtualService(
            "delegating.test",
            """
            - name: root
              match: [{uri: {prefix: /shop}, headers: {x-root: {exact: "1"}}}]
              delegate: {name: delegate, namespace: shop}
              headers: {response: {set: {x-from: root}}}
            - directResponse: {status: 200, body: {string: rest}}
            """)
    }

    private static func delegate() -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: delegate, namespace: shop}
        spec:
          http:
          - name: cart
            match: [{uri: {prefix: /shop/cart}}]
            directResponse: {status: 200, body: {string: cart}}
          - name: pay
            match: [{uri: {exact: /shop/pay}, queryParams: {now: {}}}]
            headers: {response: {set: {x-from: delegate}}}
            directResponse: {status: 200, body: {string: pay}}
          - name: outside
            match: [{uri: {prefix: /elsewhere}}]
            directResponse: {status: 200, body: {string: outside}}
        """
    }

    private static func outcomes() -> String {
        func to(_ prefix: String, _ destination: String, _ more: String = "") -> String {
            "- match: [{uri: {prefix: \(prefix)}}]\n  route: [{destination: {\(destination)}}]\(more)"
        }
        return Documents.virtualService(
            "outcome.test",
            [
                to("/subset-empty", "host: up.test, subset: nobody"),
                to("/subset-unknown", "host: up.test, subset: nowhere"),
                to("/host-unknown", "host: nowhere.test"),
                to("/port-unknown", "host: up.test, port: {number: 81}"),
                to("/void", "host: void.test"), to("/refused", "host: gone.test"),
                to("/slow", "host: mute.test", "\n  timeout: 300ms"),
                to("/in-time", "host: up.test", "\n  timeout: 20s"),
            ].joined(separator: "\n"))
    }

    // MARK: weights

    private static func weights() -> [String] {
        func split(_ host: String, _ first: Int, _ second: Int) -> String {
            Documents.virtualService(
                host,
                """
                - route:
                  - {destination: {host: up.test, subset: v1}, weight: \(first)}
                  - {destination: {host: up.test, subset: v2}, weight: \(second)}
                """)
        }
        return [
            split("half.test", 50, 50), split("canary.test", 95, 5), split("quarter.test", 1, 3),
            split("all.test", 0, 7),
            Documents.virtualService(
                "alone.test", "- route: [{destination: {host: up.test, subset: v2}, weight: 0}]"),
            Documents.virtualService("both.test", "- route: [{destination: {host: up.test}}]"),
        ]
    }
}
