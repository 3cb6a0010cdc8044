// What a load takes over from the one before is what a fresh load reads, whatever was edited in between.
import Base
import TestSupport
import Testing

@testable import Config
@testable import Lanes

/// Edits a folder of documents at random.
private struct EditedFolder {
    private var random = SeededRandom()
    /// Documents by file.
    private var files: [[String]] = []
    private var made = 0
    /// Only documents that `run` takes.
    private let isGood: Bool

    init(isGood: Bool) {
        self.isGood = isGood
        for _ in 0..<3 { files.append((0..<12).map { _ in "" }) }
        for file in files.indices {
            for index in files[file].indices { files[file][index] = document() }
        }
        files[0].insert(edgeProxy + gateway + service("web", network: 1), at: 0)
    }

    var texts: [SourceText] {
        files.enumerated().map { number, documents in
            SourceText(file: "\(number).yaml", bytes: Array(documents.joined(separator: "---\n").utf8))
        }
    }

    /// One document is added, taken away, moved, exchanged, changed in place or said twice.
    mutating func edit() {
        let file = files.indices.randomElement(using: &random)!
        let end = files[file].count
        let at = Int.random(in: 0...end, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: files[file].insert(document(), at: at)
        case 1: if at < end, end > 4 { files[file].remove(at: at) }
        case 2: if at < end { files[file][at] = document() }
        case 3: if at < end { files[file].swapAt(at, Int.random(in: 0..<end, using: &random)) }
        case 4: if at < end { files[file].insert(files[file][at], at: 0) }
        case 5:
            // No line moves.
            if at < end {
                files[file][at] = files[file][at].utf8.map { $0 == 0x37 ? "8" : String(Unicode.Scalar($0)) }
                    .joined()
            }
        default: files[file].append(document())
        }
    }

    /// Names come again, so that some objects are defined twice, in one file or in several.
    private mutating func document() -> String {
        made += 1
        let number = Int.random(in: 0..<60, using: &random)
        switch Int.random(in: isGood ? 2..<13 : 0..<13, using: &random) {
        case 0: return "kind: [\n"
        case 1: return "apiVersion: v1\nkind: Service\nmetadata: {name: s\(number)}\nspec: {prots: []}\n"
        case 2:
            return """
                apiVersion: fairlead.dev/v1alpha1
                kind: Lane
                metadata: {name: lane-\(number), namespace: shop}
                spec: {ttl: 7h, members: [{service: web, endpoints: ["10.7.0.\(number):8077"]}]}

                """
        case 3: return service("s\(number)", network: number)
        case 4, 5:
            return """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: v\(number), namespace: shop}
                spec:
                  hosts: [h\(number % 7).example.test]
                  gateways: [public]
                  http:
                  - match: [{headers: {cookie: {regex: ".*(lane=\(number)).*"}}}, {uri: {prefix: /\(number)}}]
                    route: [{destination: {host: web, port: {number: 8080}}}]
                    headers: {response: {add: {Set-Cookie: "lane=\(number)"}}}

                """
        case 6:
            return """
                # \(made)
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: d\(number), namespace: shop}
                spec: {host: web, subsets: [{name: v7, labels: {version: v\(number)}}]}

                """
        case 7: return "apiVersion: v1\nkind: Node\nmetadata: {name: n\(number), labels: {made: '\(made)'}}\n"
        case 8: return "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b\(number)}}\n"
        case 9: return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a\(number)}\n"
        case 10: return connections(number)
        case 11:
            return """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: t\(number), namespace: shop}
                spec:
                  host: s\(number)
                  trafficPolicy:
                    tls: {mode: SIMPLE, caCertificates: /none/\(number).pem}
                    portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]
                  subsets: [{name: v\(number), labels: {version: v7}, trafficPolicy: {tls: {mode: DISABLE}}}]

                """
        default: return "\n# \(number)\n"
        }
    }
}

/// A VirtualService with a line number in every place that has one, some of them in the words of a finding.
private func connections(_ number: Int) -> String {
    let more = number % 3 == 0 ? "\n                  # one line more" : ""
    // With a finding of its own it is read again wherever it moves.
    let isOdd = number % 2 == 1
    let mirrors = isOdd ? "mirrors: [{destination: {host: s\(number)}}]" : "timeout: 7s"
    let header = isOdd ? "@request.auth.claims.sub" : "x-lane"
    return """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: c\(number), namespace: shop}
        spec:
          hosts: [h\(number % 7).example.test, "*.example.test"]\(more)
          gateways: [public, mesh]
          http:
          - match: [{headers: {x-lane: {exact: a\(number)}}, gateways: [public], port: 80}]
            route:
            - {destination: {host: web, subset: v7}, weight: 30}
            - {destination: {host: web}, weight: 60}
            \(mirrors)
          - match: [{uri: {prefix: /\(number)}}, {uri: {prefix: /\(number)}}]
            redirect: {uri: /seven}
          - route: [{destination: {host: web}, weight: 7}]
            rewrite: {uri: /}
            corsPolicy: {allowOrigins: [{exact: "https://a.test"}]}
            retries: {attempts: 0}
          - match: [{headers: {"\(header)": {exact: seven}}}]
            directResponse: {status: 404}
          tls:
          - match: [{sniHosts: [h\(number % 7).example.test], port: 443}]
            route: [{destination: {host: web, port: {number: 8080}}}]
          tcp:
          - route: [{destination: {host: web, port: {number: 8080}}}]
          - route: [{destination: {host: s\(number)}}]

        """
}

/// All that a value holds, with dictionaries and sets in an order of their own. Objects that are compared by
/// identity do not count.
private func inOrder(_ value: Any) -> String {
    let mirror = Mirror(reflecting: value)
    let parts = mirror.children.map { "\($0.label ?? ""):\(inOrder($0.value))" }
    switch mirror.displayStyle {
    case nil: return "\(value)"
    case .class where !(value is VirtualServiceDocument): return "object"
    case .set: return "{\(mirror.children.map { inOrder($0.value) }.sorted())}"
    case .dictionary: return "{\(mirror.children.map { inOrder($0.value) }.sorted())}"
    default: return parts.isEmpty ? "\(value)" : "(\(parts.joined(separator: ",")))"
    }
}

@Test(arguments: 0..<4) func loadsTakeOverWhatIsTheSame(run: Int) throws {
    var folder = EditedFolder(isGood: run > 1)
    var options = LoadOptions()
    options.nowSeconds = 1_000_000
    var kept: KeptParts? = KeptParts()
    for step in 0..<25 {
        let texts = folder.texts
        let fresh = readDocuments(texts, threads: 1)
        let again = readDocuments(
            texts, kept: &kept, partBytes: [1, 300, 4_000][run % 3], threads: 1 + run % 2,
            keeping: 0...Int.max)
        #expect(again.findings.all == fresh.findings.all, "step \(step)")
        #expect(again.findings.refused == fresh.findings.refused)
        try #require(inOrder(again) == inOrder(fresh), "step \(step)")
        let one = compile(fresh.documents, findings: fresh.findings, options: options)
        let other = compile(again.documents, findings: again.findings, options: options)
        #expect(other.findings == one.findings)
        #expect((one.model != nil) == !one.findings.contains(where: \.refused))
        #expect(inOrder(other.model as Any) == inOrder(one.model as Any))
        folder.edit()
    }
}

/// A part that is the same is not read again, and only that: it is told by an object put in its place.
@Test func sameBytesInTheSamePlaceAreNotRead() {
    let first = service("a", network: 1)
    let second = service("b", network: 2)
    func read(_ texts: [String], _ kept: inout KeptParts?) -> DocumentReader {
        let texts = texts.enumerated().map { SourceText(file: "\($0).yaml", bytes: Array($1.utf8)) }
        return readDocuments(texts, kept: &kept, threads: 1, keeping: 1...100_000)
    }
    var kept: KeptParts? = KeptParts()
    let before = read([first, second], &kept)
    let after = read([first, second.replacing("b-v1", with: "b-v9")], &kept)
    func isTakenOver(_ index: Int) -> Bool {
        let old = before.documents.services[index].ports.withUnsafeBufferPointer { $0.baseAddress }
        return after.documents.services[index].ports.withUnsafeBufferPointer { $0.baseAddress == old }
    }
    #expect(isTakenOver(0))
    #expect(!isTakenOver(1))
    #expect(after.documents.pods.map(\.meta.name) == ["a-v1", "a-v2", "b-v9", "b-v2"])
}

/// What stands at other lines is the same but for its lines: nothing of it is read.
@Test func movedDocumentsAreNotReadAgain() throws {
    let text = service("a", network: 1) + "---\n" + connections(2)
    func read(_ text: String, _ kept: inout KeptParts?) -> DocumentSet {
        let text = SourceText(file: "a.yaml", bytes: Array(text.utf8))
        return readDocuments([text], kept: &kept, partBytes: 1, threads: 1, keeping: 1...100_000).documents
    }
    var kept: KeptParts? = KeptParts()
    let before = read("kind: Pod\n---\n" + text, &kept)
    let after = read("kind: Pod\n# one\n# two\n---\n" + text, &kept)
    #expect(after.pods.map(\.meta.ref.line) == before.pods.map { $0.meta.ref.line + 2 })
    for (pod, old) in zip(after.pods, before.pods) {
        let place = old.addresses.withUnsafeBufferPointer { $0.baseAddress }
        #expect(pod.addresses.withUnsafeBufferPointer { $0.baseAddress == place })
    }
    let old = try #require(before.virtualServices.first)
    let moved = try #require(after.virtualServices.first)
    #expect(moved.http.map(\.ref.line) == old.http.map { $0.ref.line + 2 })
    #expect(moved.remarks.findings.map(\.line) == old.remarks.findings.map { $0.line + 2 })
    let place = old.fullHosts.withUnsafeBufferPointer { $0.baseAddress }
    #expect(moved.fullHosts.withUnsafeBufferPointer { $0.baseAddress == place })
}

@Test func smallConfigurationsAreNotKept() {
    var options = LoadOptions()
    options.kept = KeptParts()
    let text = SourceText(file: "a.yaml", bytes: Array(service("a", network: 1).utf8))
    let small = load(Sources(texts: [text]), options: options)
    #expect(small.kept?.count == 0)
    let comment = Array(repeating: UInt8(0x23), count: Limits.keptTextBytesMin)
    let large = SourceText(file: "a.yaml", bytes: text.bytes + comment)
    #expect(load(Sources(texts: [large]), options: options).kept?.count != 0)
    options.kept = nil
    #expect(load(Sources(texts: [large]), options: options).kept == nil)
}
