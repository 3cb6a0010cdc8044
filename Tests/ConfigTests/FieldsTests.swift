// Findings about fields: unknown names, wrong types, what is not supported yet, each at its line.
import Testing

@testable import Config
@testable import Lanes

private func virtualService(_ spec: String) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: auth, namespace: shop}
    spec:

    """
        + spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(
            separator: "\n")
        + "\n"
}

@Test func unknownFieldsNameTheNearest() {
    let result = loadText(
        virtualService(
            """
            hosts: [auth]
            http:
            - mach:
              - uri: {exact: /x}
              route:
              - destination: {host: auth, subsett: v1}
            """))
    #expect(result.has("FL0005", line: 7, containing: "spec.http[0].mach (did you mean match?)"))
    #expect(result.has("FL0005", line: 10, containing: "destination.subsett (did you mean subset?)"))
    #expect(result.model == nil)
}

@Test func schemaIsScheme() {
    let text = virtualService(
        "hosts: [auth]\nhttp:\n- match:\n  - schema: {exact: https}\n  route: [{destination: {host: auth}}]")
    #expect(loadText(text).has("FL0005", line: 8, containing: "did you mean scheme?"))
}

@Test func wrongTypesHaveTheLineOfTheValue() {
    let text = virtualService(
        """
        hosts: auth
        http:
        - route:
          - destination:
              host: auth
              port: {number: "80"}
            weight: many
          timeout: soon
          match:
          - uri: /x
            headers: {end-user: jason}
            ignoreUriCase: 1
        """)
    let result = loadText(text)
    #expect(result.has("IST0106", line: 5, containing: "spec.hosts must be a list, not a string"))
    #expect(result.has("IST0106", line: 10, containing: "port.number must be an integer, not a string"))
    #expect(result.has("IST0106", line: 11, containing: "weight must be an integer, not a string"))
    #expect(result.has("IST0106", line: 12, containing: "\"soon\" is no duration"))
    #expect(result.has("IST0106", line: 14, containing: "uri must be a mapping, not a string"))
    #expect(result.has("IST0106", line: 15, containing: "end-user must be a mapping, not a string"))
    #expect(
        result.has("IST0106", line: 16, containing: "ignoreUriCase must be true or false, not an integer"))
}

@Test func labelsMustBeText() {
    let text = """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: auth, namespace: shop}
        spec:
          host: auth
          subsets:
          - name: v1
            labels: {version: 1}
        """
    let finding = loadText(text).findings.first { $0.code == "IST0106" }
    #expect(finding?.line == 8)
    #expect(finding?.suggestion == "write it in quotes")
}

@Test func fieldsNotThereYetAreNamed() {
    let text = virtualService(
        """
        hosts: [auth]
        http:
        - fault: {abort: {httpStatus: 500}}
          mirror: {host: auth}
          corsPolicy: {}
          retries: {attempts: 3}
          route: [{destination: {host: auth}}]
        - retries: {attempts: 0}
          route: [{destination: {host: auth}}]
        """)
    let result = loadText(service("auth", network: 1) + text)
    let start = service("auth", network: 1).split(separator: "\n", omittingEmptySubsequences: false).count - 1
    let lines = result.findings.filter { $0.code == "FL0011" }.map { $0.line - start }
    #expect(Set(lines) == [7, 8, 10])
    #expect(result.model != nil)
}

@Test func otherKinds() {
    func kind(_ apiVersion: String, _ kind: String) -> LoadResult {
        loadText("apiVersion: \(apiVersion)\nkind: \(kind)\nmetadata: {name: a}\nspec: {anything: 1}\n")
    }
    #expect(kind("networking.istio.io/v1alpha3", "EnvoyFilter").has("FL0005", line: 4))
    #expect(kind("gateway.networking.k8s.io/v1", "UDPRoute").has("FL0010", line: 1))
    #expect(kind("gateway.networking.k8s.io/v1", "HTTPRoute").has("FL0005", line: 4))
    #expect(kind("security.istio.io/v1", "PeerAuthentication").has("FL0010"))
    #expect(
        kind("networking.istio.io/v1", "VirtualServise").has("FL0004", line: 2, containing: "VirtualService?")
    )
    #expect(kind("example.com/v1", "Widget").has("FL0004", line: 2))
    #expect(kind("fairlead.dev/v1alpha1", "Lanes").has("FL0004", containing: "did you mean Lane?"))
    #expect(kind("apps/v1", "Deployment").findings.isEmpty)
    #expect(kind("v1", "ConfigMap").findings.isEmpty)
    #expect(kind("v1", "Namespace").findings.isEmpty)
}

@Test func aSecondObjectOfOneNameIsIgnored() {
    let result = loadText(gateway + gateway, purpose: .check)
    #expect(result.has("FL0008", containing: "test.yaml:1"))
}

@Test func findingsRender() {
    let finding = Finding(
        .error, "IST0101", "no \"x\"\nhere", file: "a.yaml", line: 3, resource: "Lane a/b",
        suggestion: "try y")
    #expect(finding.text == "a.yaml:3: error [IST0101] Lane a/b: no \"x\" here (try y)")
    let warning = Finding(.warning, "FL0011", "w", file: "b.yaml", line: 1)
    let advice = remedy("FL0011", "w")
    #expect(!advice.isEmpty, "no finding is without advice")
    #expect(
        renderCheck([finding, warning], json: false)
            == "a.yaml:3: error [IST0101] Lane a/b: no \"x\" here (try y)\n"
            + "b.yaml:1: warning [FL0011] w (\(advice))\n")
    #expect(
        renderCheck([finding, warning], json: true)
            == #"{"findings":[{"file":"a.yaml","line":3,"severity":"error","code":"IST0101","#
            + #""message":"no \"x\"\nhere","resource":"Lane a/b","suggestion":"try y","refused":false},"#
            + #"{"file":"b.yaml","line":1,"severity":"warning","code":"FL0011","message":"w","resource":"","#
            + "\"suggestion\":\"\(advice)\",\"refused\":false}],\"errors\":1,\"warnings\":1}\n")
    #expect(renderCheck([], json: false) == "")
    #expect(renderCheck([], json: true) == #"{"findings":[],"errors":0,"warnings":0}"# + "\n")
}

/// Advice for every code that a finding can have, and for every kind of mistake that reading finds.
@Test func noCodeIsWithoutAdvice() throws {
    for code in ["FL0002", "FL0005", "FL0011", "FL0030", "IST0101", "IST0106", "FL9999"] {
        #expect(!remedy(code, "").isEmpty)
    }
    #expect(remedy("IST0106", "spec.host is missing") == "add it")
    #expect(remedy("FL0002", "found unexpected ':'").contains("quotes"))
}
