// Validation of VirtualServices, and their routes as one proxy sees them (istio-semantics.md 4 to 6).
import Testing

@testable import Config
@testable import Lanes

/// A VirtualService `routes` on host `auth` with these http entries (indented by two).
private func onAuth(_ http: String, _ more: String = "") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: routes, namespace: shop}
    spec:
      hosts: [auth]
    \(more)  http:

    """ + http + "\n---\n"
}

private let rule = """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: auth, namespace: shop}
    spec:
      host: auth
      subsets:
      - {name: v1, labels: {version: v1}}
      - {name: v2, labels: {version: v2}}
    ---

    """

private func routes(_ http: String, proxy: String = sidecarProxy, port: String = "8080") throws
    -> [RouteModel]
{
    let model = try modelOf(proxy + service("auth", network: 1) + rule + onAuth(http))
    return try #require(model.host("auth.shop.svc.cluster.local", in: port)).routes
}

private let toAuth = "route: [{destination: {host: auth}}]"

@Test func everyElementOfMatchBecomesARoute() throws {
    let found = try routes(
        """
          - name: first
            match:
            - {name: a, uri: {prefix: /a}}
            - {uri: {exact: /b}}
            \(toAuth)
          - match: [{name: c, method: {exact: GET}}]
            \(toAuth)
          - \(toAuth)
          - name: never
            \(toAuth)
        """)
    #expect(found.map(\.name) == ["first.a", "first", ".c", ""])
    #expect(found[0].match.uri == .prefix("/a"))
    #expect(found[3].match.isCatchAll)
}

@Test func aCatchAllMatchEndsTheList() throws {
    for uri in ["{prefix: /}", "{regex: '.*'}"] {
        let found = try routes("  - match: [{uri: \(uri)}, {uri: {exact: /b}}]\n    \(toAuth)\n  - \(toAuth)")
        #expect(found.count == 1, "\(uri)")
    }
    let found = try routes(
        "  - match: [{uri: {prefix: /}, headers: {x: {exact: a}}}]\n    \(toAuth)\n  - \(toAuth)")
    #expect(found.count == 2)
}

@Test func selectorsAreDecidedWhenTheTableIsBuilt() throws {
    let found = try routes(
        """
          - {name: label, match: [{sourceLabels: {app: web}, uri: {exact: /1}}], \(toAuth)}
          - {name: other-label, match: [{sourceLabels: {app: api}, uri: {exact: /2}}], \(toAuth)}
          - {name: namespace, match: [{sourceNamespace: shop, uri: {exact: /3}}], \(toAuth)}
          - {name: other-namespace, match: [{sourceNamespace: x, uri: {exact: /4}}], \(toAuth)}
          - {name: port, match: [{port: 8080, uri: {exact: /5}}], \(toAuth)}
          - {name: other-port, match: [{port: 81, uri: {exact: /6}}], \(toAuth)}
          - {name: mesh, match: [{gateways: [mesh], sourceLabels: {app: api}, uri: {exact: /7}}], \(toAuth)}
          - {name: other-gateway, match: [{gateways: [public], uri: {exact: /8}}], \(toAuth)}
        """)
    #expect(found.map(\.name) == ["label", "namespace", "port", "mesh"])
}

@Test func aVirtualServiceWithNoRouteOnAPortIsAbsentThere() throws {
    let found = try routes("  - {match: [{port: 81}], redirect: {uri: /x}}")
    #expect(found.map(\.name) == ["default"])
}

@Test func matchesOfEveryKind() throws {
    let found = try routes(
        """
          - match:
            - uri: {regex: '/v[0-9]+/.*'}
              ignoreUriCase: true
              scheme: {exact: https}
              method: {prefix: P}
              authority: {regex: 'a.*'}
              headers: {X-B: {exact: ""}, x-a: {}, x-c: {regex: '*'}}
              withoutHeaders: {x-d: {prefix: p}}
              queryParams: {q: {exact: 'a b'}, R: {}}
            \(toAuth)
        """)
    let match = found[0].match
    #expect(match.uri == .regex("/v[0-9]+/.*"))
    #expect(match.ignoreUriCase)
    #expect(match.scheme == .exact("https"))
    #expect(match.method == .prefix("P"))
    #expect(match.authority == .regex("a.*"))
    #expect(
        match.headers == [
            NamedMatch(name: "x-a", match: .present), NamedMatch(name: "x-b", match: .exact("")),
            NamedMatch(name: "x-c", match: .present),
            NamedMatch(name: "x-d", match: .prefix("p"), inverted: true),
        ])
    #expect(
        match.queryParams == [
            NamedMatch(name: "R", match: .present), NamedMatch(name: "q", match: .exact("a b")),
        ])
}

@Test func pseudoHeadersAreWhatTheyStandFor() throws {
    let found = try routes(
        """
          - match: [{headers: {":method": {exact: PUT}, ":authority": {prefix: a}, ":scheme": {regex: h.*}}}]
            \(toAuth)
          - match: [{headers: {":method": {}}}]
            \(toAuth)
        """)
    #expect(found[0].match.method == .exact("PUT") && found[0].match.authority == .prefix("a"))
    #expect(found[0].match.scheme == .regex("h.*") && found[0].match.headers.isEmpty)
    #expect(found[1].match.isCatchAll)
    for entry in [
        "{method: {exact: GET}, headers: {':method': {exact: PUT}}}", "{headers: {':path': {exact: /a}}}",
        "{withoutHeaders: {':method': {exact: PUT}}}",
    ] {
        #expect(loadText(onAuth("  - {match: [\(entry)], \(toAuth)}")).has("IST0106", line: 7))
    }
}

@Test func oneDestinationIgnoresItsWeight() throws {
    let found = try routes("  - route: [{destination: {host: auth, subset: v1}, weight: 0}]")
    #expect(found[0].targets == ["outbound|8080|v1|auth.shop.svc.cluster.local"])
}

@Test func zeroWeightsAreDroppedAndLevelsStayApart() throws {
    let found = try routes(
        """
          - headers: {request: {set: {x: entry}}}
            route:
            - {destination: {host: auth, subset: v1}, weight: 30, headers: {request: {add: {Y: b, X: a}}}}
            - {destination: {host: auth, subset: v2}, weight: 10}
            - {destination: {host: auth}, weight: 0}
            - {destination: {host: auth}}
        """)
    guard case .forward(let targets) = found[0].action else {
        Issue.record("no forward")
        return
    }
    #expect(targets.map(\.weight) == [30, 10])
    #expect(targets[0].requestHeaders.add.map(\.name) == ["x", "y"])
    #expect(found[0].requestHeaders.set.map(\.value) == ["entry"])
}

@Test func operationsOfASingleDestinationJoinTheEntrys() throws {
    let found = try routes(
        """
          - headers: {request: {set: {x: entry, b: 1-}, remove: [R1]}, response: {add: {set-cookie: a=b}}}
            route: [{destination: {host: auth}, headers: {request: {set: {x: own}, remove: [r2]}}}]
        """)
    let operations = found[0].requestHeaders
    #expect(operations.remove == ["r1", "r2"])
    #expect(operations.set.map { "\($0.name)=\($0.value)" } == ["b=1-", "x=entry", "x=own"])
    #expect(found[0].responseHeaders.add.map(\.name) == ["set-cookie"])
    guard case .forward(let targets) = found[0].action else { return }
    #expect(targets[0].requestHeaders.isEmpty)
}

@Test func hostOperationsRewriteTheAuthority() throws {
    func authority(_ entry: String) throws -> String? { try routes("  - " + entry)[0].rewrite?.authority }
    let own = "route: [{destination: {host: auth}, headers: {request: {set: {host: own}}}}]"
    #expect(try authority(own) == "own")
    #expect(try authority("headers: {request: {add: {':authority': entry}}}\n    " + own) == "entry")
    #expect(try authority("headers: {request: {add: {host: a}, set: {Host: s}}}\n    " + toAuth) == "s")
    let rewritten = "rewrite: {authority: r}\n    headers: {request: {set: {host: s}}}\n    "
    #expect(try authority(rewritten + toAuth) == "r")
    let model = try routes(
        "  - route: [{destination: {host: auth}, weight: 1, headers: {request: {set: {host: a}}}},"
            + " {destination: {host: auth}, weight: 1}]")
    guard case .forward(let targets) = model[0].action else { return }
    #expect(targets.map(\.authority) == ["a", nil])
    let twice = onAuth("  - headers: {request: {set: {host: a, ':authority': b}}}\n    " + toAuth)
    #expect(loadText(twice).has("IST0106", line: 7, containing: "twice"))
}

@Test func redirectsRewritesDirectResponsesAndTimeouts() throws {
    let found = try routes(
        """
          - match: [{uri: {exact: /1}}]
            redirect: {uri: /x, authority: a.com, scheme: https, port: 8443, redirectCode: 308}
          - {match: [{uri: {exact: /2}}], redirect: {derivePort: FROM_REQUEST_PORT}}
          - {match: [{uri: {exact: /3}}], directResponse: {status: 418, body: {bytes: aGk=}}}
          - {match: [{uri: {exact: /4}}], rewrite: {uri: /y}, timeout: 1.5s, \(toAuth)}
          - match: [{uri: {exact: /5}}]
            rewrite: {uriRegexRewrite: {match: '/(.*)', rewrite: '/v2/\\1'}}
            \(toAuth)
        """)
    guard case .redirect(let first) = found[0].action, case .redirect(let second) = found[1].action,
        case .direct(418, let body) = found[2].action
    else {
        Issue.record("actions lost")
        return
    }
    #expect(first.uri == "/x" && first.authority == "a.com" && first.scheme == "https")
    #expect(first.port == 8443 && first.code == 308)
    #expect(second.portFromRequest && second.code == 301)
    #expect(body == Array("hi".utf8))
    #expect(found[3].rewrite?.uri == "/y" && found[3].timeoutMs == 1_500)
    #expect(found[4].rewrite?.uriRegex?.rewrite == "/v2/\\1")
}

/// Istio's default policy is two more tries of what no upstream has seen; `retryOn` says which of it.
@Test(
    arguments: [
        ("", 2, 2), ("{attempts: 0}", 0, 0), ("{attempts: 1}", 1, 1), ("{attempts: 1000}", 8, 8),
        ("{attempts: 3, retryOn: connect-failure}", 3, 0),
        ("{attempts: 3, retryOn: 'refused-stream, 503'}", 0, 3),
        ("{attempts: 3, retryOn: 5xx}", 3, 3), ("{attempts: 3, retryOn: 'retriable-4xx,reset'}", 3, 3),
        ("{attempts: 3, retryOn: '503'}", 0, 0),
    ] as [(String, Int, Int)])
func retriesOfWhatNoUpstreamHasSeen(_ policy: String, _ connect: Int, _ refused: Int) throws {
    let found = try routes("  - {\(policy.isEmpty ? "" : "retries: \(policy), ")\(toAuth)}")
    #expect(found[0].connectRetries == connect && found[0].refusedRetries == refused)
}

@Test func refusedEntries() {
    let cases: [(String, String)] = [
        ("{redirect: {uri: /x}, \(toAuth)}", "redirect and route exclude each other"),
        ("{redirect: {uri: /x}, rewrite: {uri: /}}", "redirect and rewrite exclude each other"),
        ("{redirect: {uri: /x}, directResponse: {status: 200}}", "redirect and directResponse exclude"),
        ("{directResponse: {status: 200}, \(toAuth)}", "directResponse and route exclude each other"),
        ("{directResponse: {status: 600}}", "outside 200 to 599"),
        ("{directResponse: {}}", "status is missing"),
        ("{mirror: {host: auth}, mirrors: [], \(toAuth)}", "mirror and mirrors exclude each other"),
        ("{rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}, \(toAuth)}", "exclude each other"),
        ("{rewrite: {uriRegexRewrite: {match: a, rewrite: '\\1'}}, \(toAuth)}", "names a group"),
        ("{rewrite: {uriRegexRewrite: {match: '(', rewrite: b}}, \(toAuth)}", "RE2"),
        ("{timeout: 1s}", "has no route, redirect, directResponse or delegate"),
        ("{route: []}", "route is empty"),
        (
            "{route: [{destination: {host: auth}}, {destination: {host: auth}, weight: 0}]}",
            "total destination weight = 0"
        ),
        ("{route: [{destination: {host: auth}, weight: -1}]}", "weight is -1"),
        ("{route: [{weight: 1}]}", "destination is missing"),
        ("{route: [{destination: {subset: v1}}]}", "host is missing"),
        ("{route: [{destination: {host: auth, port: {name: http}}}]}", "port.name is not supported"),
        ("{route: [{destination: {host: auth, subset: V_1}}]}", "is no DNS label"),
        ("{match: [{uri: {exact: a, prefix: b}}], \(toAuth)}", "exclude each other"),
        ("{match: [{method: {prefix: ''}}], \(toAuth)}", "prefix is empty"),
        ("{match: [{headers: {x: {regex: '(?P<'}}}], \(toAuth)}", "RE2"),
        ("{match: [{headers: {x: {regex: ''}}}], \(toAuth)}", "empty pattern"),
        ("{match: [{headers: {'x y': {exact: a}}}], \(toAuth)}", "is no header name"),
        ("{match: [{port: 0}], \(toAuth)}", "outside 1 to 65535"),
        ("{redirect: {redirectCode: 304}}", "redirectCode is 304"),
        ("{redirect: {redirectCode: 200}}", "outside 300 to 399"),
        ("{redirect: {port: 1, derivePort: FROM_REQUEST_PORT}}", "exclude each other"),
        ("{match: [{uri: {exact: /a}}], redirect: {prefixRewrite: /x}}", "needs uri prefix matches"),
        ("{redirect: {uri: \"/x\\r\\ny: z\"}}", "control character"),
        ("{headers: {request: {set: {x: '50%'}}}, \(toAuth)}", "unbalanced %"),
        ("{headers: {request: {set: {x: \"a\\nb\"}}}, \(toAuth)}", "control characters"),
        ("{headers: {response: {add: {x: '%NOPE%'}}}, \(toAuth)}", "%NOPE% is not an operator"),
        ("{headers: {response: {add: {x: '%START_TIME(%Q)%'}}}, \(toAuth)}", "does not know %Q"),
        ("{headers: {request: {set: {'x:': a}}}, \(toAuth)}", "is no header name"),
        ("{headers: {response: {remove: ['a b']}}, \(toAuth)}", "is no header name"),
    ]
    for (entry, message) in cases {
        let result = loadText(onAuth("  - " + entry))
        let texts = result.findings.map(\.text)
        let isFound = result.has("IST0106", line: 7, containing: message)
        #expect(isFound, "\(entry): \(texts)")
        let isRefused = result.model == nil
        #expect(isRefused, "\(entry)")
    }
    let long = String(repeating: "a", count: 1_025)
    #expect(loadText(onAuth("  - {match: [{uri: {regex: \(long)}}], \(toAuth)}")).has("IST0106", line: 7))
}

@Test func acceptedOddities() {
    for entry in [
        "{match: [{uri: {prefix: ''}}], \(toAuth)}", "{match: [{headers: {x: {exact: ''}}}], \(toAuth)}",
        "{headers: {request: {set: {x: '100%% %REQ(a)%'}}}, \(toAuth)}", "{redirect: {uri: /x}, timeout: 1s}",
        "{headers: {response: {set: {':status': '1', host: a}}}, \(toAuth)}",
    ] {
        let result = loadText(sidecarProxy + service("auth", network: 1) + onAuth("  - " + entry))
        let isAccepted = result.model != nil
        #expect(isAccepted, "\(entry): \(result.findings.map(\.text))")
    }
}

@Test func virtualServicesAsAWhole() {
    func refused(_ spec: String) -> LoadResult {
        loadText(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\n"
                + "spec: \(spec)\n")
    }
    let http = "http: [{route: [{destination: {host: auth}}]}]"
    #expect(refused("{hosts: ['*'], \(http)}").has("IST0106", line: 4, containing: "not allowed in the mesh"))
    #expect(refused("{hosts: [a], gateways: [g, mesh], \(http)}").model != nil)
    #expect(refused("{hosts: ['*'], gateways: [g, mesh], \(http)}").model == nil)
    #expect(refused("{hosts: ['*'], gateways: [g], \(http)}").model != nil)
    #expect(refused("{hosts: [a, A], \(http)}").has("IST0106", containing: "given twice"))
    #expect(refused("{hosts: ['a b'], \(http)}").has("IST0106", containing: "is no host name"))
    #expect(refused("{gateways: [g], \(http)}").has("IST0106", containing: "delegate"))
    #expect(refused("{hosts: [a]}").has("IST0106", containing: "http, tcp or tls"))
    #expect(refused("~").has("IST0106", containing: "spec is missing"))
}
