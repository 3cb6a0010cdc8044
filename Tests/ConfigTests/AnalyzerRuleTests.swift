// What is legal and will not do what its author meant, beyond the traps: each finding where it belongs, with
// advice, and none where all is well.
import Testing

@testable import Config
@testable import Lanes

private func check(_ text: String) -> LoadResult { loadText(text, purpose: .check) }

/// Codes of the findings, and that each says what to do.
private func codes(_ text: String) -> [String] {
    let findings = check(text).findings
    for finding in findings { #expect(finding.suggestion.count > 3, "\(finding.text)") }
    return findings.map(\.code).sorted()
}

private func virtualService(_ name: String, _ http: String, more: String = "") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: shop}
    spec:
      hosts: [auth]
    \(more)  http:
    \(http)
    ---

    """
}

private func rule(_ name: String, _ spec: String) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: \(name), namespace: shop}
    spec:
    \(spec.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
    ---

    """
}

private let base = sidecarProxy + service("auth", network: 1)
private let subsets = rule(
    "auth",
    "host: auth\nsubsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]")

@Test func weightsThatDoNotShareAsTheyRead() {
    func weights(_ text: String) -> [String] {
        codes(base + subsets + virtualService("a", "  - route: [\(text)]"))
    }
    func to(_ subset: String, _ weight: String) -> String {
        "{destination: {host: auth, subset: \(subset)}\(weight)}"
    }
    #expect(weights("\(to("v1", ", weight: 90")), \(to("v2", ", weight: 10"))") == [])
    #expect(weights("\(to("v1", ", weight: 1")), \(to("v2", ", weight: 9"))") == [], "parts")
    #expect(weights("\(to("v1", ", weight: 90")), \(to("v2", ", weight: 20"))") == ["FL0044"])
    #expect(weights("\(to("v1", ", weight: 100")), \(to("v2", ""))") == ["FL0044"], "no weight")
    #expect(weights(to("v1", ", weight: 100")) == [] && weights(to("v1", "")) == [])
    #expect(weights(to("v1", ", weight: 70")) == ["FL0044"], "the only one")
    let told = check(
        base + subsets
            + virtualService("a", "  - route: [\(to("v1", ", weight: 90")), \(to("v2", ", weight: 30"))]"))
    #expect(told.has("FL0044", containing: "subset v1 75 %"), "\(told.findings.map(\.text))")
}

@Test func subsetsThatSelectNothingOrEverything() {
    func subset(_ labels: String) -> LoadResult {
        check(base + rule("auth", "host: auth\nsubsets: [{name: feature, labels: \(labels)}]"))
    }
    #expect(subset("{}").findings.map(\.code) == ["FL0045"])
    #expect(subset("{version: v1}").findings.isEmpty)
    let drifted = subset("{version: v3}")
    #expect(drifted.has("IST0173", containing: "version is v1 or v2 there, not \"v3\""))
    #expect(subset("{flavour: v1}").has("IST0173", containing: "no endpoint has a label flavour"))
    #expect(subset("{app: auth, version: v1, track: x}").has("IST0173", containing: "a label track"))
}

@Test func rulesBehindWiderOnes() {
    func rules(_ matches: String...) -> [String] {
        let lines = matches.map { "  - {match: [\($0)], route: [{destination: {host: auth, subset: v1}}]}" }
        // That the rest is answered 404 is not what is looked at here.
        return codes(base + subsets + virtualService("a", lines.joined(separator: "\n"))).filter {
            $0 != "FL0102"
        }
    }
    let api = "{uri: {prefix: /api}}"
    #expect(rules(api, "{uri: {prefix: /api/v1}}") == ["IST0130"])
    #expect(rules(api, "{uri: {exact: /api/x}}") == ["IST0130"])
    #expect(rules(api, "{uri: {prefix: /api/v1}, headers: {a: {exact: b}}}") == ["IST0130"])
    #expect(rules("{uri: {prefix: /api/v1}}", api) == [])
    #expect(rules("{uri: {prefix: /api}, method: {exact: GET}}", "{uri: {prefix: /api/v1}}") == [])
    #expect(rules("{uri: {prefix: /api}, ignoreUriCase: true}", "{uri: {prefix: /API/v1}}") == [])
    #expect(rules("{headers: {a: {prefix: x}}}", "{headers: {a: {exact: xy}, b: {}}}") == ["IST0130"])
    #expect(rules("{withoutHeaders: {a: {prefix: x}}}", "{withoutHeaders: {a: {exact: xy}}}") == [])
    #expect(rules(api, "{uri: {prefix: /other}}, {uri: {exact: /api/x}}") == ["IST0131"])
    #expect(
        rules("{uri: {prefix: /api}, gateways: [x]}", "{uri: {prefix: /api/v1}}").contains("IST0130") == false
    )
    #expect(rules("{sourceLabels: {a: b}}", "{uri: {prefix: /api}}") == [])
    #expect(rules("{sourceLabels: {a: b}}", "{sourceLabels: {a: b, c: d}, uri: {prefix: /x}}") == ["IST0130"])
}

@Test func connectionsBehindWiderOnes() {
    let text =
        base + """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: a, namespace: shop}
            spec:
              hosts: [auth]
              tcp:
              - {match: [{port: 8080}], route: [{destination: {host: auth}}]}
              - {match: [{port: 8080}], route: [{destination: {host: auth}}]}
              - {route: [{destination: {host: auth}}]}
              - {match: [{port: 9090}], route: [{destination: {host: auth}}]}

            """
    let findings = check(text).findings.filter { $0.code == "IST0130" }
    #expect(findings.map { $0.message } == ["spec.tcp[1] is never used", "spec.tcp[3] is never used"])
}

@Test func stableSubsetsThatHoldTheFeature() {
    let wide = rule(
        "auth",
        "host: auth\nsubsets: [{name: stable, labels: {app: auth}}, {name: feature, labels: {version: v2}}]")
    let routes = """
          - match: [{headers: {x-feat-name: {exact: a}}}]
            route: [{destination: {host: auth, subset: feature}}]
          - route: [{destination: {host: auth, subset: stable}}]
        """
    #expect(codes(base + wide + virtualService("a", routes)) == ["FL0112"])
    let apart = wide.replacing("{app: auth}", with: "{version: v1}")
    #expect(codes(base + apart + virtualService("a", routes)) == [])
}

@Test func portsWithoutAProtocol() {
    func port(_ text: String, type: String = "ClusterIP") -> [String] {
        codes(
            "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\n"
                + "spec: {type: \(type), externalName: a.example.com, ports: [\(text)]}\n")
    }
    #expect(port("{port: 8080}") == ["IST0118"] && port("{port: 8080, name: web}") == ["IST0118"])
    #expect(port("{port: 8080, name: http-web}") == [] && port("{port: 3306}") == [])
    #expect(port("{port: 8080, name: web, appProtocol: http}") == [])
    #expect(port("{port: 53, protocol: UDP, name: dns}") == [])
    #expect(port("{port: 443, name: tcp}", type: "ExternalName").contains("IST0150"))
}

@Test func namedTargetPortsThatNobodyHas() {
    let text = """
        apiVersion: v1
        kind: Service
        metadata: {name: s, namespace: shop}
        spec: {selector: {app: s}, ports: [{name: http, port: 80, targetPort: htpt}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: s-1, namespace: shop, labels: {app: s}}
        spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}
        status: {podIP: 10.0.0.1}
        ---

        """
    #expect(check(text).has("FL0046", containing: "did you mean http?"))
    #expect(codes(text.replacing("htpt", with: "http")) == [])
}

@Test func certificatesJudgedByAnybody() {
    func tls(_ text: String) -> [String] {
        codes(base + rule("auth", "host: auth\ntrafficPolicy: {tls: \(text)}")).filter { $0 != "FL0050" }
    }
    #expect(tls("{mode: SIMPLE}") == ["IST0128"])
    #expect(tls("{mode: SIMPLE, caCertificates: /none/ca.crt}") == [] && tls("{mode: DISABLE}") == [])
    let port = "host: auth\ntrafficPolicy: {portLevelSettings: [{port: {number: 8080}, tls: {mode: SIMPLE}}]}"
    #expect(codes(base + rule("auth", port)) == ["IST0129"])
}

@Test func mutualTLSThatTheOtherSideContradicts() {
    func peers(_ mode: String, namespace: String = "shop") -> String {
        """
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: {name: default, namespace: \(namespace)}
        spec: {mtls: {mode: \(mode)}}
        ---

        """
    }
    let plain = rule("auth", "host: auth\ntrafficPolicy: {tls: {mode: DISABLE}}")
    #expect(codes(base + plain + peers("STRICT")).contains("FL0054"))
    #expect(codes(base + plain + peers("STRICT", namespace: "istio-system")).contains("FL0054"))
    #expect(!codes(base + plain + peers("PERMISSIVE")).contains("FL0054"))
    #expect(!codes(base + plain + peers("STRICT", namespace: "other")).contains("FL0054"))
    let mutual = plain.replacing("DISABLE", with: "ISTIO_MUTUAL")
    #expect(codes(base + mutual + peers("DISABLE")).contains("FL0054"))
    #expect(!codes(base + mutual + peers("STRICT")).contains("FL0054"))
}

@Test func gatewaysThatNobodyServes() {
    let elsewhere = gateway.replacing("istio: ingressgateway", with: "istio: ingresstypo")
    #expect(
        check(edgeProxy + elsewhere).has(
            "IST0101", containing: "the Proxy's labels are istio: ingressgateway"))
    #expect(codes(edgeProxy + gateway) == [])
    #expect(codes(gateway) == [], "Istio's own")
    #expect(check(elsewhere).findings.map(\.severity) == [.warning], "nothing to compare with")
    #expect(loadText(elsewhere).findings.isEmpty, "who runs without Proxy documents serves it")
}

@Test func sidecarsThatHideOneAnother() {
    func sidecar(_ name: String, _ spec: String) -> String {
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: \(name), namespace: shop}\n"
            + "spec: {\(spec)}\n---\n"
    }
    let all = "egress: [{hosts: ['./*']}]"
    #expect(codes(base + sidecar("a", all)) == [])
    #expect(codes(base + sidecar("a", all) + sidecar("b", all)) == ["FL0047"])
    #expect(codes(base + sidecar("a", "workloadSelector: {labels: {app: nobody}}, " + all)) == ["IST0101"])
    #expect(codes(base + sidecar("a", "workloadSelector: {labels: {app: web}}, " + all)) == [])
    #expect(
        check(base + sidecar("a", "egress: [{hosts: ['./auht.shop.svc.cluster.local']}]"))
            .has("IST0101", containing: "did you mean auth.shop.svc.cluster.local?"))
    #expect(codes(base + sidecar("a", "egress: [{hosts: ['*/auth.shop.svc.cluster.local', '~/*']}]")) == [])
}

@Test func pinsThatNoBrowserTakes() {
    func policy(_ domain: String, _ host: String) -> [String] {
        codes(
            edgeProxy + gateway.replacing("\"*\"", with: host)
                + "apiVersion: fairlead.dev/v1alpha1\nkind: LanePolicy\n"
                + "metadata: {name: p, namespace: shop}\n"
                + "spec: {pin: {domain: \(domain)}}\n---\n")
    }
    #expect(policy("example.com", "app.example.com") == [])
    #expect(policy("example.com", "\"*.example.com\"") == [] && policy("example.com", "\"*\"") == [])
    #expect(policy("other.com", "app.example.com") == ["FL0029"])
    #expect(policy("com", "app.example.com") == ["FL0029"])
    let cookie = virtualService(
        "a",
        "  - {headers: {response: {add: {Set-Cookie: 'a=b; SameSite=Lax; Secure; Max-Age=1; "
            + "Domain=.x.com'}}}, "
            + "route: [{destination: {host: auth}}]}", more: "  gateways: [public]\n")
    #expect(check(edgeProxy + gateway + base + cookie).has("FL0108", containing: "every host below x.com"))
}

@Test func referencesInWords() {
    func found(_ destination: String, _ more: String = "") -> LoadResult {
        check(base + subsets + virtualService("a", "  - route: [{destination: \(destination)}]\(more)"))
    }
    #expect(found("{host: auth, subset: v9}").has("IST0101", containing: "did you mean v1?"))
    #expect(found("{host: auth, subset: feature}").has("IST0101", containing: "its subsets are v1, v2"))
    #expect(found("{host: nowhere.example.com}").has("IST0101", containing: "taken as it is"))
    #expect(found("{host: auth}", "\n    mirror: {host: auht}").has("IST0101", containing: "auht"))
    let hidden = service("secret", network: 3, namespace: "other").replacing(
        "name: secret, namespace: other}\nspec:",
        with: "name: secret, namespace: other, annotations: {networking.istio.io/exportTo: .}}\nspec:")
    let result = check(
        base + hidden
            + virtualService("a", "  - route: [{destination: {host: secret.other.svc.cluster.local}}]"))
    #expect(result.has("IST0101", containing: "not exported"))
}

/// The damaged and the odd give advice too.
@Test func everyFindingSaysWhatToDo() {
    for text in [
        "a: [", "- 1", "kind: x\napiVersion: y/v1\nmetadata: {name: a}",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {}\nspec: {hosts: 3, htp: []}",
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\n"
            + "spec: {servers: [{port: {}}]}",
        "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: a}\nspec: {role: bridge}",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n"
            + "spec: {rules: [{matches: 1}]}",
    ] {
        let findings = check(text).findings
        #expect(!findings.isEmpty, "\(text)")
        for finding in findings {
            #expect(
                finding.suggestion.count > 3 && finding.line > 0 && !finding.message.isEmpty,
                "\(finding.text)")
        }
    }
}
