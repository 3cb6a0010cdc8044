// `explain` for every way that a request or connection can take: rules in the order tried, each with why it
// failed, where it goes, and the same from a running proxy.
import Foundation
import TestSupport
import Testing

@Suite struct ExplainKindsTests {
    /// Never connected to: nothing is sent.
    private static let documents = Documents.join([
        // One listener for Istio's Gateway, the Gateway API's and Ingresses.
        edgeGateway("front", servers: [plainServer(bind: "0.0.0.0")]),
        """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: db, namespace: shop}
        spec:
          selector: {istio: ingressgateway}
          servers:
          - {port: {number: 443, name: tls, protocol: TLS}, hosts: ["*.db.test"], tls: {mode: PASSTHROUGH}}
          - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ["*"]}
        """,
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: db, namespace: shop}
        spec:
          hosts: ["*.db.test"]
          gateways: [db]
          tls:
          - match: [{sniHosts: [one.db.test]}]
            route: [{destination: {host: app.test, port: {number: 8080}}}]
          tcp:
          - match: [{port: 5432}]
            route: [{destination: {host: app.test, port: {number: 8080}}}]
        """,
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: root, namespace: shop}
        spec:
          hosts: [root.test]
          gateways: [front]
          http:
          - {name: cart, match: [{uri: {prefix: /cart}}], delegate: {name: cart}}
          - name: split
            match: [{uri: {prefix: /split}}]
            route:
            - {destination: {host: app.test, subset: stable}, weight: 90}
            - {destination: {host: app.test, subset: next}, weight: 10}
          - name: broken
            match: [{uri: {exact: /broken}, headers: {x-a: {regex: "[0-9]+"}}, withoutHeaders: {x-b: {}}}]
            route: [{destination: {host: nowhere.test, subset: v9, port: {number: 81}}}]
        """,
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: cart, namespace: shop}
        spec:
          http:
          - {name: pay, match: [{uri: {prefix: /cart/pay}}], route: [{destination: {host: app.test}}]}
        """,
        Documents.subsets(
            "app.test",
            "- {name: stable, labels: {version: stable}}\n- {name: next, labels: {version: next}}"),
        Documents.service("app.test", [(1, "{version: stable}"), (2, "{version: next}")]),
        GatewayDocuments.service("web", 3),
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: api, namespace: shop}
        spec:
          gatewayClassName: fairlead
          listeners: [{name: http, port: 80, protocol: HTTP, hostname: api.test}]
        """,
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {name: api, namespace: shop}
        spec:
          parentRefs: [{name: api}]
          rules:
          - name: posts
            matches:
            - path: {value: /v1}
              method: POST
              headers: [{name: x-a, value: b}]
              queryParams: [{name: q, value: "1"}]
            filters:
            - type: URLRewrite
              urlRewrite: {hostname: in.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}
            backendRefs: [{name: web, port: 8080}]
          - name: moved
            matches: [{path: {value: /moved}}]
            filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]
          - name: shared
            matches: [{path: {value: /shared}}]
            filters: [{type: CORS, cors: {allowOrigins: ["https://a.test"], allowMethods: [PUT]}}]
            backendRefs: [{name: web, port: 8080}]
          - name: missing
            matches: [{path: {type: Exact, value: /missing}}]
            backendRefs: [{name: nobody, port: 1}]
        """,
        """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: main, namespace: shop}
        spec:
          rules:
          - host: ingress.test
            http:
              paths:
              - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 8080}}}}
        """,
        """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: canary
          namespace: shop
          annotations:
            nginx.ingress.kubernetes.io/canary: "true"
            nginx.ingress.kubernetes.io/canary-by-header: x-canary
        spec:
          rules:
          - host: ingress.test
            http:
              paths:
              - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 8080}}}}
        """,
    ])

    private static let site = Result { try LaneSite(documents, ports: [80, 443, 5_432]) }

    private struct Told {
        var json: [String: Any]
        var rules: [[String: Any]] { json["rules"] as? [[String: Any]] ?? [] }
        var matched: String? { rules.last { $0["matched"] as? Bool == true }.map(Self.name) }
        var destination: [String: Any]? { json["destination"] as? [String: Any] }
        /// `document name` of each rule tried.
        var tried: [String] { rules.map(Self.name) }
        func failed(_ index: Int) -> String {
            (rules[index]["failed"] as? [String] ?? []).joined(separator: "; ")
        }
        func text(_ key: String) -> String? { json[key] as? String }
        private static func name(_ rule: [String: Any]) -> String {
            [rule["document"], rule["name"]].compactMap { $0 as? String }.filter { !$0.isEmpty }.joined(
                separator: " ")
        }
    }

    /// By the command and by the running proxy, which must agree but for chance.
    private func explain(_ url: String, _ arguments: String...) throws -> Told {
        try explain(url, arguments)
    }

    private func explain(_ url: String, _ arguments: [String]) throws -> Told {
        let site = try Self.site.get()
        func run(_ source: [String]) throws -> String {
            let ended = try Programs.result(
                [Programs.fairlead(), "explain", "--format", "json"] + arguments + source + [url])
            #expect(ended.exit == 0, "\(ended)")
            return ended.stdout
        }
        let offline = try jsonObject(run([site.path]))
        let live = try jsonObject(run(["--admin", "127.0.0.1:\(site.admin)"]))
        for key in ["rules", "outcome", "shares", "problem", "virtualHost", "status", "reason", "listener"] {
            #expect(offline[key] as? NSObject == live[key] as? NSObject, "\(key)")
        }
        for key in ["request", "lane", "rules", "decision", "outcome", "edits"] {
            #expect(offline[key] != nil, "\(key)")
        }
        return Told(json: offline)
    }

    @Test func delegates() throws {
        let taken = try explain("http://root.test/cart/pay/1")
        #expect(taken.matched == "VirtualService shop/cart cart-pay" && taken.text("outcome") == "forward")
        let other = try explain("http://root.test/cart/x")
        #expect(other.tried.first == "VirtualService shop/cart cart-pay")
        #expect(other.failed(0).contains("prefix \"/cart/pay\", but it is \"/cart/x\""), "\(other.json)")
        #expect(other.json["status"] as? Int == 404 && other.text("reason") == "no-route")
    }

    @Test func weightsAreShares() throws {
        let told = try explain("http://root.test/split")
        let shares = told.json["shares"] as? [String] ?? []
        #expect(
            shares == ["90 % app.test:8080, subset stable", "10 % app.test:8080, subset next"], "\(told.json)"
        )
        #expect(["stable", "next"].contains(told.destination?["subset"] as? String ?? ""))
    }

    @Test func whatIsMissingIsNamed() throws {
        let told = try explain("http://root.test/broken", "-H", "x-a: 7")
        #expect(told.json["status"] as? Int == 503 && told.text("reason") == "no-cluster")
        #expect(told.text("problem") == "there is no nowhere.test:81, subset v9")
        let conditions = try explain("http://root.test/broken", "-H", "x-a: 7a", "-H", "x-b: 1")
        let last = conditions.failed(conditions.rules.count - 1)
        #expect(last.contains("header x-a: expected regex \"[0-9]+\", but it is \"7a\""), "\(last)")
        #expect(last.contains("header x-b: expected not any value, but it is \"1\""), "\(last)")
    }

    @Test func routesOfTheGatewayAPI() throws {
        let taken = try explain("http://api.test/v1/a?q=1", "-X", "POST", "-H", "x-a: b")
        #expect(taken.matched == "HTTPRoute shop/api posts")
        let edits = taken.json["edits"] as? [String] ?? []
        #expect(
            edits.contains("request: path /v1/a -> /v2/a")
                && edits.contains("request: authority api.test -> in.test"))
        let other = try explain("http://api.test/v1/a")
        let failed = other.failed(other.rules.count - 1)
        for words in ["method: expected exact \"POST\"", "header x-a: ", "query parameter q: "] {
            #expect(failed.contains(words), "\(failed)")
        }
        let missing = try explain("http://api.test/missing")
        #expect(missing.json["status"] as? Int == 500 && missing.text("problem")?.contains("nobody") == true)
    }

    @Test func filtersThatAnswer() throws {
        let moved = try explain("http://api.test/moved?q=1")
        #expect(moved.text("outcome") == "redirect" && moved.json["status"] as? Int == 302)
        let edits = moved.json["edits"] as? [String] ?? []
        #expect(edits.contains("response: add location: https://api.test/moved?q=1"), "\(edits)")
        let asked = ["-X", "OPTIONS", "-H", "access-control-request-method: PUT"]
        let allowed = try explain("http://api.test/shared", asked + ["-H", "origin: https://a.test"])
        #expect(allowed.text("outcome") == "cors-preflight" && allowed.matched?.hasSuffix("shared") == true)
        let told = allowed.json["edits"] as? [String] ?? []
        #expect(told.contains("response: add access-control-allow-origin: https://a.test"), "\(told)")
        let other = try explain("http://api.test/shared", asked + ["-H", "origin: https://b.test"])
        let untold = other.json["edits"] as? [String] ?? []
        #expect(!untold.contains { $0.contains("access-control") }, "\(untold)")
    }

    @Test func canariesOfIngresses() throws {
        let plain = try explain("http://ingress.test/")
        #expect(plain.tried.first?.hasPrefix("Ingress shop/canary") == true)
        #expect(plain.failed(0).contains("header x-canary: expected exact \"always\", but it is missing"))
        #expect(plain.matched?.hasPrefix("Ingress shop/main") == true)
        let canary = try explain("http://ingress.test/", "-H", "x-canary: always")
        #expect(canary.matched?.hasPrefix("Ingress shop/canary") == true)
    }

    @Test func connectionsByServerNameAndPort() throws {
        let tls = try explain("https://one.db.test/")
        #expect(tls.text("outcome") == "relay" && tls.matched == "VirtualService shop/db", "\(tls.json)")
        #expect(tls.destination?["service"] as? String == "app.test")
        let nobody = try explain("https://two.db.test/")
        #expect(nobody.text("outcome") == "none" && nobody.json["status"] is NSNull, "\(nobody.json)")
        #expect(nobody.text("problem")?.contains("two.db.test") == true)
        let tcp = try explain("http://any.test:5432/")
        #expect(tcp.text("outcome") == "relay" && tcp.text("listener") == "gateway/5432", "\(tcp.json)")
    }

    @Test func sidecarsAndHostsThatNobodyOwns() throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write(
            "site.yaml",
            Documents.join([
                Documents.sidecar(), Documents.service("app.test", [(1, "{version: stable}")]),
            ]))
        func explain(_ url: String) throws -> Told {
            let ended = try Programs.result([Programs.fairlead(), "explain", "--format", "json", file, url])
            #expect(ended.exit == 0, "\(ended)")
            return Told(json: try jsonObject(ended.stdout))
        }
        let known = try explain("http://app.test:8080/")
        #expect(
            known.matched == "ServiceEntry shop/app-test default" && known.text("listener") == "outbound",
            "\(known.json)")
        let unknown = try explain("http://unknown.example.com/")
        #expect(unknown.text("outcome") == "passthrough" && unknown.text("virtualHost") == "allow_any")
    }
}
