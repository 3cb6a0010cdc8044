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

@Test func metadataIsText() {
    func service(_ metadata: String) -> LoadResult {
        loadText("apiVersion: v1\nkind: Service\nmetadata: \(metadata)\nspec: {ports: [{port: 80}]}\n")
    }
    for (metadata, words) in [
        ("[a]", "metadata must be a mapping, not a list"), ("auth", "metadata must be a mapping, not a str"),
        ("{name: 5}", "metadata.name must be a string, not an integer"),
        ("{name: [a]}", "metadata.name must be a string, not a list"),
        ("{name: a, namespace: true}", "metadata.namespace must be a string, not a boolean"),
        ("{name: a, labels: [b]}", "metadata.labels must be a mapping, not a list"),
        ("{name: a, labels: {version: 1}}", "labels.version must be a string, not an integer"),
        ("{name: a, labels: {version: 1.5}}", "labels.version must be a string, not a number"),
        ("{name: a, annotations: text}", "metadata.annotations must be a mapping, not a string"),
    ] {
        let result = service(metadata)
        #expect(result.has("FL0006", line: 3, containing: words), "\(metadata): \(result.findings)")
        #expect(result.model == nil)
    }
    let fine = "creationTimestamp: 2026-01-01T00:00:00Z, labels: {a: v1, b: '1', c: !!str 2, d: 1a, e: null}"
    let texts = service("{name: a, annotations: null, \(fine)}").findings.map(\.text)
    #expect(!texts.contains { $0.contains("metadata") }, "\(texts)")
}

@Test func portsOfAnotherTypeAreNamed() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\n"
    #expect(
        loadText(entry + "spec: {address: 10.0.0.1, ports: [http]}\n").has(
            "IST0106", line: 4, containing: "ports must be a mapping, not a list"))
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    #expect(
        loadText(service + "spec: {ports: [{port: 80, targetPort: [http]}]}\n").has(
            "FL0006", line: 4, containing: "must be a number or a name, not a list"))
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
