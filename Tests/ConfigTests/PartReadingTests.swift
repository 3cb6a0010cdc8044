// What was read on several threads is what one thread reads.
import Base
import Testing

@testable import Config

private func services(_ names: [String]) -> SourceText {
    let documents = names.map { name in
        """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), namespace: shop}
        spec: {ports: [{port: 80}]}

        """
    }
    return SourceText(file: "\(names[0]).yaml", bytes: Array(documents.joined(separator: "---\n").utf8))
}

/// How many objects of each kind there are.
private func counts(_ documents: DocumentSet) -> [String: Int] {
    Dictionary(
        uniqueKeysWithValues: Mirror(reflecting: documents).children.map { child in
            (child.label ?? "", Mirror(reflecting: child.value).children.count)
        })
}

@Test func partsAreReadInOrder() {
    let names = (0..<200).map { "s\($0)" }
    let texts = [services(Array(names[..<150])), services(Array(names[150...]))]
    let reader = readDocuments(texts, partBytes: 1, threads: 4)
    #expect(reader.documents.services.map(\.meta.name) == names)
    #expect(reader.documents.services[199].meta.ref.file == "s150.yaml")
    #expect(
        reader.documents.services[149].meta.ref.line
            == readDocuments(texts, threads: 1)
            .documents.services[149].meta.ref.line)
}

@Test func objectsOfTwoPartsAreTold() {
    let texts = [services(["a", "b", "c"]), services(["d", "b"])]
    let alone = readDocuments(texts, threads: 1)
    let together = readDocuments(texts, partBytes: 1, threads: 3)
    #expect(together.documents.services.map(\.meta.name) == ["a", "b", "c", "d"])
    #expect(together.findings.all == alone.findings.all)
    #expect(together.findings.all.map(\.code) == [Code.duplicateObject])
    #expect(together.findings.refused == alone.findings.refused)
}

@Test func badTextBetweenParts() {
    let bad = SourceText(file: "bad.yaml", bytes: Array("a: b\nc: ".utf8) + [0xFF, 0x0A])
    let broken = SourceText(file: "broken.yaml", bytes: Array("kind: [\n---\nkind: Lane\n".utf8))
    let texts = [services(["a", "b"]), bad, broken, services(["c"])]
    let alone = readDocuments(texts, threads: 1)
    let together = readDocuments(texts, partBytes: 1, threads: 4)
    #expect(together.findings.all == alone.findings.all)
    #expect(together.findings.all.map(\.file) == ["bad.yaml", "broken.yaml", "broken.yaml"])
    #expect(together.findings.all[0].line == 2)
    #expect(together.findings.refused)
    #expect(together.documents.services.map(\.meta.name) == ["a", "b", "c"])
}

/// One object of every kind: none is forgotten where parts are put together.
@Test func everyKindIsAppended() {
    let kinds = [
        "fairlead.dev/v1alpha1": ["Proxy", "LanePolicy", "Lane"],
        "networking.istio.io/v1": [
            "Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Sidecar",
            "EnvoyFilter",
        ],
        "gateway.networking.k8s.io/v1": [
            "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "BackendTLSPolicy", "ListenerSet",
        ],
        "v1": ["Namespace", "Node", "Service", "Pod", "Secret", "ConfigMap"],
        "discovery.k8s.io/v1": ["EndpointSlice"],
        "networking.k8s.io/v1": ["Ingress"],
        "security.istio.io/v1": ["PeerAuthentication"],
    ]
    let documents = kinds.flatMap { version, kinds in
        kinds.map { "apiVersion: \(version)\nkind: \($0)\nmetadata: {name: a, labels: {a: b}}\nspec: {}\n" }
    }
    let text = SourceText(file: "all.yaml", bytes: Array(documents.joined(separator: "---\n").utf8))
    let whole = counts(readDocuments([text], threads: 1).documents)
    #expect(whole.filter { $0.value == 0 }.isEmpty)
    #expect(counts(readDocuments([text], partBytes: 1, threads: 4).documents) == whole)
}

@Test func findingsBeyondTheLimitStillRefuse() {
    var first = FindingList()
    for line in 1...Limits.findings {
        first.add(Finding(.warning, Code.invalid, "m", file: "f", line: line))
    }
    var later = FindingList()
    later.add(Finding(.warning, Code.invalid, "m", file: "g", line: 1, refused: true))
    first.append(later)
    #expect(first.all.count == Limits.findings)
    #expect(first.refused)
}

@Test func warningsLeaveRoomForErrors() {
    var list = FindingList()
    for line in 1...Limits.findings + 1 {
        list.add(Finding(.warning, Code.invalid, "m", file: "f", line: line))
    }
    for line in 1...Limits.findings + 1 {
        list.add(Finding(.error, Code.invalid, "m", file: "g", line: line))
    }
    #expect(list.all.count == 2 * Limits.findings)
    #expect(list.all.last?.text.hasPrefix("g:\(Limits.findings): error") == true)
}

@Test func logHasFewWarningsOfEachCode() {
    let many = Limits.warningsTold + 5
    var findings = (1...many).map { Finding(.warning, Code.weights, "m", file: "f", line: $0) }
    findings += (1...many).map { Finding(.error, Code.invalid, "m", file: "f", line: $0) }
    findings += (1...Limits.warningsTold).map { Finding(.warning, Code.weakCookie, "m", file: "f", line: $0) }
    let lines = renderNews(findings).split(separator: "\n").map(String.init)
    let warnings = findings.prefix(Limits.warningsTold) + findings.suffix(Limits.warningsTold)
    #expect(lines.count == warnings.count + many + 1)
    #expect(Set(lines.dropLast()) == Set(warnings.map(\.text) + findings[many..<2 * many].map(\.text)))
    #expect(lines.last == "5 more of warning [\(Code.weights)]: `fairlead check` lists all")
}
