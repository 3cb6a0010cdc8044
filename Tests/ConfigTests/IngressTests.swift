// Ingress with ingress-nginx's annotations: which backend a request gets, in which order that is asked, and
// findings for what cannot act.
import Base
import Lanes
import Testing

@testable import Config

private let proxy = """
    apiVersion: fairlead.dev/v1alpha1
    kind: Proxy
    metadata: {name: edge, namespace: shop}
    spec: {role: edge}
    ---

    """

private func service(_ name: String) -> String {
    """
    apiVersion: v1
    kind: Service
    metadata: {name: \(name), namespace: shop}
    spec: {ports: [{name: http, port: 80}]}
    ---
    apiVersion: v1
    kind: Endpoints
    metadata: {name: \(name), namespace: shop}
    subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: http, port: 80}]}]
    ---

    """
}

private let services = ["web", "api", "next", "other"].map(service).joined()

/// An Ingress with one path; `notes` are its annotations without their prefix.
private func ingress(
    _ name: String, _ backend: String, _ path: String = "/", type: String = "Prefix",
    host: String = "a.test", notes: [String: String] = [:], spec: String = ""
) -> String {
    let annotations = notes.sorted { $0.key < $1.key }.map { note in
        "    nginx.ingress.kubernetes.io/\(note.key): '\(note.value)'\n"
    }.joined()
    return """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: \(name)
          namespace: shop
          annotations:
            other: "1"
        \(annotations)spec:
          \(spec)
          rules:
          - host: \(host)
            http:
              paths:
              - path: \(path)
                pathType: \(type)
                backend: {service: {name: \(backend), port: {number: 80}}}
        ---

        """
}

/// The services that may answer, and the path they get.
private func answers(
    _ text: String, _ path: String = "/", host: String = "a.test", with headers: [(String, String)] = []
) throws -> Set<String> {
    let snapshot = try Snapshot(model: try modelOf(text), generation: 1, registry: Lanes.Registry())
    var found: Set<String> = []
    for _ in 0..<200 {
        let told = explain(snapshot, method: "GET", url: "http://\(host)\(path)", headers: headers)
        let service = told.destination.map { String($0.service.prefix { $0 != "." }) }
        found.insert(service ?? "\(told.status ?? 0)")
    }
    return found
}

private func rewritten(_ text: String, _ path: String) throws -> String? {
    let snapshot = try Snapshot(model: try modelOf(text), generation: 1, registry: Lanes.Registry())
    let told = explain(snapshot, method: "GET", url: "http://a.test\(path)", headers: [])
    return told.edits.first { $0.hasPrefix("request: path") }.map {
        String($0.split(separator: " ").last ?? "")
    }
}

@Suite struct IngressTests {
    @Test func pathsAreTriedAsIngressNginxTriesThem() throws {
        let all =
            proxy + services + ingress("root", "web") + ingress("api", "api", "/api")
            + ingress("exact", "next", "/api/v1", type: "Exact")
            + ingress("plain", "other", "/ap", type: "ImplementationSpecific")
        #expect(loadText(all).findings.map(\.text) == [])
        #expect(try answers(all) == ["web"])
        #expect(try answers(all, "/api") == ["api"])
        #expect(try answers(all, "/api/v2") == ["api"])
        #expect(try answers(all, "/api/v1") == ["next"])
        #expect(try answers(all, "/api/v1/") == ["api"])
        // By characters, where the type leaves it to the controller.
        #expect(try answers(all, "/apis") == ["other"])
        #expect(try answers(all, host: "b.test") == ["404"])
    }

    @Test func hostsAndTheDefaultBackend() throws {
        let fallback = "defaultBackend: {service: {name: other, port: {name: http}}}"
        let all =
            proxy + services + ingress("api", "api", "/api", spec: fallback)
            + ingress("wide", "web", host: "'*.b.test'")
        #expect(try answers(all, "/api") == ["api"])
        #expect(try answers(all, "/else") == ["other"])
        #expect(try answers(all, host: "x.b.test") == ["web"])
        #expect(try answers(all, host: "nobody.test") == ["other"])
    }

    private func canary(_ notes: [String: String]) -> String {
        proxy + services + ingress("main", "web")
            + ingress("canary", "next", notes: ["canary": "true"].merging(notes) { $1 })
    }

    @Test func aHeaderChooses() throws {
        let all = canary(["canary-by-header": "X-Canary"])
        #expect(try answers(all) == ["web"])
        #expect(try answers(all, with: [("x-canary", "always")]) == ["next"])
        #expect(try answers(all, with: [("x-canary", "never")]) == ["web"])
        #expect(try answers(all, with: [("x-canary", "perhaps")]) == ["web"])
        let value = canary(["canary-by-header": "x-canary", "canary-by-header-value": "me"])
        #expect(try answers(value, with: [("x-canary", "me")]) == ["next"])
        #expect(try answers(value, with: [("x-canary", "always")]) == ["web"])
        let pattern = canary(["canary-by-header": "x-canary", "canary-by-header-pattern": "^(alice|bob)"])
        #expect(try answers(pattern, with: [("x-canary", "bobby")]) == ["next"])
        #expect(try answers(pattern, with: [("x-canary", "not bob")]) == ["web"])
    }

    @Test func aCookieChooses() throws {
        let all = canary(["canary-by-cookie": "feature", "canary-by-cookie-value": "new.basket"])
        #expect(try answers(all, with: [("cookie", "a=1; feature=always; b=2")]) == ["next"])
        #expect(try answers(all, with: [("cookie", "feature=new.basket")]) == ["next"])
        #expect(try answers(all, with: [("cookie", "feature=newxbasket")]) == ["web"])
        #expect(try answers(all, with: [("cookie", "my-feature=always")]) == ["web"])
        #expect(try answers(all, with: [("cookie", "feature=never")]) == ["web"])
    }

    @Test func headerThenCookieThenWeight() throws {
        let notes = ["canary-by-header": "x-canary", "canary-by-cookie": "feature"]
        let half = canary(notes.merging(["canary-weight": "50"]) { $1 })
        #expect(try answers(half) == ["web", "next"])
        #expect(try answers(half, with: [("x-canary", "never"), ("cookie", "feature=always")]) == ["web"])
        #expect(try answers(half, with: [("x-canary", "x"), ("cookie", "feature=always")]) == ["next"])
        #expect(try answers(half, with: [("cookie", "feature=never")]) == ["web"])
        let all = canary(notes.merging(["canary-weight": "7", "canary-weight-total": "7"]) { $1 })
        #expect(try answers(all) == ["next"])
        #expect(try answers(all, with: [("cookie", "feature=never")]) == ["web"])
    }

    @Test func rewriteTargets() throws {
        let all =
            proxy + services
            + ingress(
                "api", "api", "/something(/|$)(.*)", type: "ImplementationSpecific",
                notes: ["rewrite-target": "/$2", "use-regex": "true"])
            + ingress("flat", "web", "/flat", notes: ["rewrite-target": "/"])
        #expect(try answers(all, "/something/new") == ["api"])
        #expect(try rewritten(all, "/something/new") == "/new")
        #expect(try rewritten(all, "/something") == "/")
        #expect(try answers(all, "/SOMETHING/x") == ["api"])
        #expect(try answers(all, "/somethingelse") == ["404"])
        #expect(try rewritten(all, "/flat/a/b") == "/")
    }

    /// ingress-nginx: a target that is the path itself is no rewrite, and no reason for regexes.
    @Test func aTargetThatIsThePath() throws {
        let notes = ["rewrite-target": "/"]
        let all = proxy + services + ingress("root", "web", notes: notes) + ingress("api", "api", "/api")
        #expect(try rewritten(all, "/a/b") == nil)
        #expect(try answers(all, "/a/b") == ["web"])
        #expect(try answers(all, "/apis") == ["web"])
        // Another path of the host is rewritten: all are regexes then, and this one is still none.
        let both = all + ingress("flat", "next", "/flat", notes: notes)
        #expect(try answers(both, "/apis") == ["api"])
        #expect(try rewritten(both, "/flat/x") == "/")
        #expect(try rewritten(both, "/a/b") == nil)
    }

    /// Kubernetes: the asterisk is one label. What is deeper is any other host.
    @Test func aWildcardIsOneLabel() throws {
        let all =
            proxy + services + ingress("wide", "web", host: "'*.b.test'")
            + ingress("any", "other", "/any", host: "''")
        #expect(try answers(all, host: "x.b.test") == ["web"])
        #expect(try answers(all, host: "X.B.test:8080") == ["web"])
        #expect(try answers(all, "/any", host: "x.b.test") == ["web"])
        #expect(try answers(all, host: "x.y.b.test") == ["404"])
        #expect(try answers(all, "/any", host: "x.y.b.test") == ["other"])
        #expect(try answers(all, host: "b.test") == ["404"])
    }

    @Test func challengesAreNotSentToHTTPS() throws {
        let all =
            proxy + services + ingress("main", "web", notes: ["force-ssl-redirect": "true"])
            + ingress("solver", "next", "/.well-known/acme-challenge/token", type: "Exact")
        #expect(try answers(all, "/x") == ["308"])
        #expect(try answers(all, "/.well-known/acme-challenge/token") == ["next"])
        let tls =
            proxy + services
            + ingress(
                "solver", "next", "/.well-known/acme-challenge/", notes: ["force-ssl-redirect": "true"])
        #expect(try answers(tls, "/.well-known/acme-challenge/token") == ["next"])
    }

    @Test func theFirstOfSeveralCookiesCounts() throws {
        let all = canary(["canary-by-cookie": "be-ta", "canary-by-cookie-value": "me"])
        for (cookies, answer) in [
            ("be-ta=never; be-ta=always", "web"), ("be-ta=always; be-ta=never", "next"),
            ("be-ta=x; be-ta=me", "web"), ("a; ;b-a=1;be-tas=2; be-t=me;  be-ta=me ; c=d", "next"),
            (" be-ta=me", "next"), ("be=1; be-ta==me", "web"), ("be-ta=me; be-ta=never", "next"),
            ("be-ta; be-ta=me", "next"), ("xbe-ta=never; be-ta=me", "next"), ("be-ta=mee", "web"),
        ] {
            #expect(try answers(all, with: [("cookie", cookies)]) == [answer], "\(cookies)")
        }
    }

    @Test func theDefaultBackendHasCanaries() throws {
        let fallback = "defaultBackend: {service: {name: SERVICE, port: {name: http}}}"
        func alone(_ name: String, _ service: String, _ notes: String) -> String {
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: \(name), namespace: shop, "
                + "annotations: {\(notes)}}\nspec: {\(fallback.replacing("SERVICE", with: service))}\n---\n"
        }
        let nginx = "nginx.ingress.kubernetes.io/canary"
        let notes = "\(nginx): 'true', \(nginx)-by-header: x-canary"
        let all = proxy + services + alone("main", "web", "a: b") + alone("next", "next", notes)
        #expect(try answers(all) == ["web"])
        #expect(try answers(all, with: [("x-canary", "always")]) == ["next"])
        let lost = loadText(proxy + services + ingress("main", "web") + alone("next", "next", notes))
        #expect(lost.has("FL0081", containing: "no Ingress has a default backend"))
    }

    /// As nginx has them; RE2 alone would leave the path as it is.
    @Test func groupsThatAreNotThereAreEmpty() throws {
        let all =
            proxy + services
            + ingress(
                "api", "api", "/x(/|$)(.*)", type: "ImplementationSpecific",
                notes: ["rewrite-target": "/$3a$2"])
        #expect(try rewritten(all, "/x/y") == "/ay")
        #expect(loadText(all).has("FL0006", containing: "has $3"))
        let untyped = proxy + services + ingress("main", "web").replacing("pathType: Prefix", with: "")
        #expect(loadText(untyped).has("FL0006", containing: "pathType is missing"))
        #expect(try answers(untyped, "/any") == ["web"])
    }

    @Test func annotationsThatAreNoStrings() throws {
        let text = canary(["canary-weight": "100"]).replacing("'100'", with: "100")
        #expect(loadText(text).has("FL0006", containing: "must be a string"))
        #expect(try answers(text) == ["next"])
        #expect(try answers(canary(["canary-weight": "100", "canary": "1"])) == ["next"])
        let small = canary(["canary-weight": "5", "canary-weight-total": "5"])
        #expect(loadText(small).has("FL0011", containing: "takes 5 for 100"))
        #expect(try answers(canary(["canary-weight": "100", "canary-weight-total": "0"])) == ["next"])
    }

    @Test func anEdgeThatNobodyDescribedServesThem() throws {
        #expect(try answers(services + ingress("main", "web")) == ["web"])
    }

    @Test func classesAndAges() throws {
        let spec = "ingressClassName: nginx"
        let text = services + ingress("one", "web", spec: spec) + ingress("two", "api")
        let named = proxy.replacing("role: edge", with: "role: edge, gatewayClass: nginx") + text
        #expect(try answers(named) == ["web"])
        // Of two with one path the older (here: the first by name) has it.
        #expect(try answers(proxy + text) == ["web"])
        #expect(loadText(proxy + text).has("FL0080", containing: "Ingress shop/one"))
    }

    @Test func aCertificateBringsARedirect() throws {
        let tls = "tls: [{hosts: [a.test], secretName: none}]"
        let all = proxy + services + ingress("main", "web", spec: tls)
        #expect(try answers(all) == ["308"])
        #expect(loadText(all).findings.contains { $0.code == "IST0101" || $0.code == "FL0050" })
        let kept = proxy + services + ingress("main", "web", notes: ["ssl-redirect": "false"], spec: tls)
        #expect(try answers(kept) == ["web"])
        let forced = proxy + services + ingress("main", "web", notes: ["force-ssl-redirect": "true"])
        #expect(try answers(forced) == ["308"])
        let asked = proxy + services + ingress("main", "web", notes: ["ssl-redirect": "true"])
        #expect(try answers(asked) == ["web"])
        let bare = proxy + services + ingress("main", "web", spec: "tls: [{hosts: [a.test]}]")
        #expect(loadText(bare).has("IST0101", containing: "no certificate"))
    }

    @Test(arguments: [
        (["canary": "true"], "FL0081", "no header, cookie or weight"),
        (["canary": "true", "canary-weight": "x"], "FL0006", "no weight"),
        (["canary": "perhaps"], "FL0006", "neither true nor false"),
        (["canary-weight": "5"], "FL0043", "acts on a canary alone"),
        (
            ["canary": "true", "canary-weight": "5", "canary-by-header-value": "a"], "FL0081",
            "canary-by-header"
        ),
        (["canary": "true", "canary-by-header": "a", "canary-by-header-pattern": "("], "FL0006", "pattern"),
        (["canary-by-heeder": "a"], "FL0011", "did you mean"),
        (["server-alias": "b.test"], "FL0011", "server-alias"),
        (["permanent-redirect": "https://b.test"], "FL0011", "permanent-redirect"),
        (["rewrite-target": "/$1?x=1"], "FL0011", "a query in"),
        (["rewrite-target": "https://b.test/"], "FL0011", "a URL in"),
        (["canary": "true", "canary-by-cookie": "a b"], "FL0006", "is no name"),
        (["canary": "true", "canary-by-header": "x:y"], "FL0006", "is no name"),
    ])
    func whatCannotActIsNamed(_ notes: [String: String], _ code: String, _ words: String) {
        let all = proxy + services + ingress("main", "web") + ingress("second", "next", notes: notes)
        #expect(loadText(all).has(code, containing: words), "\(loadText(all).findings.map(\.text))")
    }

    @Test func whatTunesNginxIsNoFinding() {
        let notes = ["proxy-body-size": "8m", "proxy-read-timeout": "60", "enable-access-log": "false"]
        #expect(loadText(proxy + services + ingress("main", "web", notes: notes)).findings.isEmpty)
    }

    @Test func oneRegexMakesRegexesOfAHost() throws {
        // The warning of ingress-nginx's own documentation: by length, not exact before others.
        let all =
            proxy + services + ingress("plain", "web", "/foo/bar/bar", type: "Exact")
            + ingress("short", "other", "/foo")
            + ingress(
                "regex", "api", "/foo/bar/[A-Z0-9]{3}", type: "ImplementationSpecific",
                notes: ["use-regex": "true"])
        #expect(try answers(all, "/foo/bar/bar") == ["api"])
        #expect(try answers(all, "/FOO/BAR/abc/d") == ["api"])
        #expect(try answers(all, "/food") == ["other"])
        #expect(try answers(all, "/foo/bar/x") == ["other"])
        // Other hosts keep their types.
        let elsewhere = all + ingress("elsewhere", "web", "/foo", host: "b.test")
        #expect(try answers(elsewhere, "/food", host: "b.test") == ["404"])
    }

    @Test func aCanarysOwnRewriteIsIgnored() throws {
        let main = ["rewrite-target": "/main/$1"]
        let own = [
            "canary": "true", "canary-by-header": "x-canary", "rewrite-target": "/canary/$1",
            "ssl-redirect": "true", "force-ssl-redirect": "true",
        ]
        let all =
            proxy + services + ingress("main", "web", "/(.*)", type: "ImplementationSpecific", notes: main)
            + ingress("canary", "next", "/(.*)", type: "ImplementationSpecific", notes: own)
        let snapshot = try Snapshot(model: try modelOf(all), generation: 1, registry: Lanes.Registry())
        let told = explain(
            snapshot, method: "GET", url: "http://a.test/x", headers: [("x-canary", "always")])
        #expect(told.destination?.service.hasPrefix("next.") == true)
        #expect(told.edits.contains { $0.contains("/main/x") }, "\(told.edits)")
    }

    @Test func aValueBeatsAPattern() throws {
        let all = canary([
            "canary-by-header": "x-canary", "canary-by-header-value": "me", "canary-by-header-pattern": ".*",
        ])
        #expect(try answers(all, with: [("x-canary", "me")]) == ["next"])
        #expect(try answers(all, with: [("x-canary", "you")]) == ["web"])
    }

    @Test func theOldAnnotationNamesAClass() throws {
        let named = proxy.replacing("role: edge", with: "role: edge, gatewayClass: nginx") + services
        let old = ingress("one", "web").replacing("other: \"1\"", with: "kubernetes.io/ingress.class: nginx")
        #expect(try answers(named + old) == ["web"])
        #expect(loadText(named + ingress("one", "web")).model?.listeners.isEmpty != false)
    }

    @Test func severalIngressesShareAHost() throws {
        let all =
            proxy + services + ingress("one", "web", "/one") + ingress("two", "api", "/two")
            + ingress("three", "next", "/one/deeper")
        #expect(try answers(all, "/one/x") == ["web"])
        #expect(try answers(all, "/two") == ["api"])
        #expect(try answers(all, "/one/deeper/x") == ["next"])
        #expect(try answers(all, "/onerous") == ["404"])
    }

    @Test func canariesWithoutAMainOneAndTooMany() {
        let notes = ["canary": "true", "canary-weight": "5"]
        let lost =
            proxy + services + ingress("main", "web") + ingress("canary", "next", "/other", notes: notes)
        #expect(loadText(lost).has("FL0081", containing: "no Ingress has the path"))
        let two =
            proxy + services + ingress("main", "web") + ingress("c1", "next", notes: notes)
            + ingress("c2", "other", notes: notes)
        #expect(loadText(two).has("FL0080", containing: "Ingress shop/c1"))
        let missing = proxy + ingress("main", "web")
        #expect(loadText(missing).has("IST0101", containing: "no Service shop/web"))
    }
}
