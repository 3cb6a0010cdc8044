// What analyzers say, and the twelve traps of the published pattern where a document shows them (lanes.md 1).
import Testing

@testable import Config
@testable import Lanes

private func virtualService(_ name: String, hosts: String = "[auth]", more: String = "", _ http: String)
    -> String
{
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: shop}
    spec:
      hosts: \(hosts)
    \(more)  http:

    """ + http + "\n---\n"
}

private let auth = service("auth", network: 1)
private let subsets = """
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
private let to = "route: [{destination: {host: auth}}]"

/// Codes of a text checked after the objects above; line numbers count from its own start.
private func check(_ text: String) -> [String] {
    let before = sidecarProxy + auth + subsets
    let offset = before.split(separator: "\n", omittingEmptySubsequences: false).count - 1
    return loadText(before + text, purpose: .check).findings.map { "\($0.line - offset) \($0.code)" }
}

@Test func goodDocumentsHaveNoFindings() {
    let text = virtualService(
        "a",
        """
          - {match: [{headers: {x-feat-name: {exact: a}}}], route: [{destination: {host: auth, subset: v2}}]}
          - route: [{destination: {host: auth, subset: v1}}]
        """)
    #expect(check(text) == [])
    #expect(loadText(edgeProxy + gateway + auth, purpose: .check).findings.isEmpty)
}

@Test func missingReferences() {
    func destination(_ text: String) -> [String] {
        check(virtualService("a", "  - route: [{destination: \(text)}]"))
    }
    #expect(destination("{host: auht}") == ["7 IST0101"])
    #expect(destination("{host: auth.shop}") == ["7 IST0101"])
    #expect(destination("{host: auth, subset: v3}") == ["7 IST0101"])
    #expect(destination("{host: auth, port: {number: 80}}") == ["7 IST0101"])
    #expect(destination("{host: auth, subset: v1, port: {number: 8080}}") == [])
    let gateways = virtualService("a", more: "  gateways: [mesh, nowhere]\n", "  - \(to)")
    #expect(check(gateways) == ["5 IST0132", "6 IST0101"])
    let result = loadText(
        sidecarProxy + auth + virtualService("a", "  - route: [{destination: {host: auht}}]"))
    #expect(result.has("IST0101", containing: "did you mean auth?"))
    #expect(result.model != nil, "Istio runs it, and answers 503")
}

@Test func severalPortsNeedAPort() {
    let two = """
        apiVersion: v1
        kind: Service
        metadata: {name: two, namespace: shop}
        spec: {ports: [{name: http-a, port: 81}, {name: http-b, port: 82}]}
        ---

        """
    #expect(check(virtualService("a", "  - route: [{destination: {host: two}}]") + two) == ["7 IST0112"])
}

@Test func gatewayHostsAndConflicts() {
    let named = gateway.replacing("\"*\"", with: "a.example.com")
    let text =
        named + virtualService("a", hosts: "[b.example.com]", more: "  gateways: [public]\n", "  - \(to)")
    #expect(check(text) == ["14 IST0132"])
    #expect(check(gateway + gateway.replacing("public", with: "second")) == ["8 IST0145", "17 IST0145"])
}

@Test func destinationRules() {
    func rule(_ spec: String) -> [String] {
        check(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
                + "metadata: {name: zz, namespace: shop}\n"
                + "spec:\n  \(spec)\n---\n")
    }
    #expect(rule("host: nowhere") == ["5 IST0174"])
    #expect(rule("host: auth\n  subsets: [{name: v3, labels: {version: v3}}]") == ["6 IST0173"])
    #expect(rule("host: '*.example.com'") == [])
    #expect(rule("host: auth\n  subsets: [{name: v1, labels: {version: v2}}]") == ["6 FL0104"])
}

@Test func rulesThatAreNeverUsed() {
    #expect(
        check(virtualService("a", "  - \(to)\n  - {match: [{uri: {exact: /a}}], \(to)}")) == ["8 IST0130"])
    #expect(
        check(virtualService("a", "  - {match: [{uri: {prefix: /}}], \(to)}\n  - \(to)")) == ["8 IST0130"])
    let same = "{match: [{uri: {exact: /a}}], \(to)}"
    #expect(check(virtualService("a", "  - \(same)\n  - \(same)\n  - \(to)")) == ["8 IST0130"])
    let port = "{match: [{uri: {prefix: /}, port: 8080}], \(to)}"
    #expect(check(virtualService("a", "  - \(port)\n  - \(to)")) == [])
}

private func script(_ context: String, _ code: String) -> String {
    let indented = code.split(separator: "\n").map { "            " + $0 }.joined(separator: "\n")
    return """
        apiVersion: networking.istio.io/v1alpha3
        kind: EnvoyFilter
        metadata: {name: lua, namespace: shop}
        spec:
          configPatches:
          - applyTo: HTTP_FILTER
            match: {context: \(context)}
            patch:
              operation: INSERT_FIRST
              value:
                name: lua
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                  inlineCode: |

        """ + indented + "\n---\n"
}

@Test func trap1ResponseOnlyLua() {
    let code = "function envoy_on_response(h)\n  h:headers():add('x-feat-name', 'a')\nend"
    #expect(check(script("SIDECAR_OUTBOUND", code)) == ["14 FL0101"])
    let both = code + "\nfunction envoy_on_request(h)\n  h:headers():add('x-feat-name', 'a')\nend"
    #expect(check(script("SIDECAR_OUTBOUND", both)) == [])
    #expect(check(script("SIDECAR_INBOUND", code)) == [])
}

private let featureOnly = """
      - name: feature
        match: [{headers: {x-feat-name: {exact: a}}}]
        route: [{destination: {host: auth, subset: v2}}]
    """

@Test func trap2NotFoundForEveryoneElse() {
    #expect(check(virtualService("a", featureOnly)) == ["7 FL0102"])
    #expect(
        check(virtualService("a", featureOnly + "\n  - route: [{destination: {host: auth, subset: v1}}]"))
            == [])
    // On a gateway another VirtualService of the host may answer the rest.
    let bound = "  gateways: [public]\n"
    let alone = gateway + virtualService("a", more: bound, featureOnly)
    #expect(check(alone) == ["17 FL0102"])
    #expect(check(alone + virtualService("b", more: bound, "  - \(to)")) == [])
    // Serving some paths only is no trap.
    #expect(check(virtualService("a", "  - {match: [{uri: {prefix: /api}}], \(to)}")) == [])
}

@Test func trap3TwoVirtualServicesOnOneMeshHost() {
    let second = virtualService("b", hosts: "[auth.shop.svc.cluster.local]", "  - \(to)")
    #expect(check(virtualService("a", "  - \(to)") + second) == ["13 IST0109"])
    #expect(
        check(
            virtualService("a", "  - \(to)") + gateway
                + second.replacing("  http:", with: "  gateways: [public]\n  http:")) == [])
}

@Test func trap4TwoDefinitionsOfASubset() {
    let second = subsets.replacing("name: auth,", with: "name: later,")
    #expect(check(second) == ["7 FL0104", "8 FL0104"])
}

@Test func trap5PatternsThatMatchMore() {
    func matching(_ header: String, _ pattern: String) -> String {
        "  - {match: [{headers: {\(header): {regex: '\(pattern)'}}}], "
            + "route: [{destination: {host: auth, subset: v2}}]}\n"
    }
    let both =
        matching("x-feat-name", ".*(auth-refactor).*") + matching("x-feat-name", ".*(auth-refactor-2).*")
    let text = virtualService("a", both + "  - route: [{destination: {host: auth, subset: v1}}]")
    #expect(check(text) == ["7 FL0105"])
    let apart = matching("x-feat-name", ".*(one).*") + matching("x-feat-name", ".*(two).*")
    #expect(check(virtualService("a", apart + "  - route: [{destination: {host: auth, subset: v1}}]")) == [])
    let cookie = matching("cookie", ".*(x-feat-name=a).*")
    #expect(
        check(virtualService("a", cookie + "  - route: [{destination: {host: auth, subset: v1}}]")) == [
            "7 FL0105"
        ])
    let anchored = matching("cookie", "^(.*;\\s*)?x-feat-name=a(;.*)?$")
    #expect(
        check(virtualService("a", anchored + "  - route: [{destination: {host: auth, subset: v1}}]")) == [])
}

@Test func searchedLiterals() {
    #expect(searchedLiteral(".*(auth-refactor).*") == "auth-refactor")
    #expect(searchedLiteral(".*x=y.*") == "x=y")
    for pattern in ["auth", ".*", ".*.*", ".*(a|b).*", "(a).*", ".*a", ".*[ab].*", ".*().*"] {
        #expect(searchedLiteral(pattern) == nil, "\(pattern)")
    }
}

@Test func traps6And8Cookies() {
    func cookie(_ value: String, gateways: String = "") -> [String] {
        check(
            gateway
                + virtualService(
                    "a", more: gateways,
                    "  - {headers: {response: {add: {Set-Cookie: '\(value)'}}}, \(to)}"
                ))
    }
    #expect(cookie("x-feat-name=a; Path=/; HttpOnly") == ["16 FL0108", "16 FL0106"])
    #expect(cookie("a=b; SameSite=Lax; secure; MAX-AGE=1") == ["16 FL0106"])
    #expect(cookie("a=b; SameSite=Lax; Secure; Expires=x", gateways: "  gateways: [public]\n") == [])
}

@Test func traps7And9And10QueryPromotion() {
    let code = """
        function envoy_on_request(h) -- the cookie is handled elsewhere
          local feat = h:headers():get(":path"):match("[?&]x%-feat%-name=([^&]+)")
          if feat then h:headers():replace("x-feat-name", feat) end
        end
        """
    #expect(check(script("GATEWAY", code)) == ["14 FL0109", "14 FL0110", "14 FL0107"])
    let both = code + "\nfunction cookie(h) return h:headers():get('cookie') end"
    #expect(check(script("GATEWAY", both)) == ["14 FL0109", "14 FL0110"])
    let checked = code.replacing("if feat then", with: "if feat and feat:match(\"^[a-z0-9-]+$\") then")
    #expect(check(script("GATEWAY", checked)) == ["14 FL0109", "14 FL0107"])
}

@Test func trap12StableSelectsTheFeature() {
    let text = virtualService("a", featureOnly + "\n  - route: [{destination: {host: auth}}]")
    #expect(check(text) == ["10 FL0112"])
}
