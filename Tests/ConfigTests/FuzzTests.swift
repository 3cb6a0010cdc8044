// Damaged documents: whatever happens to their bytes, loading ends with findings or a model.
import Base
import Testing

@testable import Config
@testable import Lanes

/// A small generator whose whole run follows from its seed.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

private let whole =
    edgeProxy + sidecarProxy + gateway + service("auth", network: 1) + """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}
        spec:
          hosts: [auth, "*.example.com"]
          gateways: [mesh, public]
          http:
          - name: one
            match: [{uri: {regex: '/(a|b).*'}, headers: {x-feat-name: {exact: a}}, port: 80}]
            rewrite: {uriRegexRewrite: {match: '/(.*)', rewrite: '/\\1'}}
            headers: {request: {set: {x: "%REQ(y)%"}}, response: {add: {set-cookie: a=b}}}
            route:
            - {destination: {host: auth, subset: v1}, weight: 1}
            - {destination: {host: auth}, weight: 9}
          - {match: [{uri: {prefix: /r}}], redirect: {uri: /x, redirectCode: 302}}
          - {delegate: {name: d, namespace: shop}}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: d, namespace: shop}
        spec: {http: [{timeout: 1s, route: [{destination: {host: auth}}]}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: auth, namespace: shop}
        spec:
          host: auth
          trafficPolicy: {portLevelSettings: [{port: {number: 8080}, loadBalancer: {simple: RANDOM}}]}
          subsets: [&one {name: v1, labels: {version: v1}}, {<<: *one, name: v2}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: ext, namespace: shop}
        spec:
          hosts: [api.example.com]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 10.0.0.1}]
        ---
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {name: s, namespace: shop}
        spec: {egress: [{hosts: ['./*', '*/api.example.com']}]}
        ---
        apiVersion: fairlead.dev/v1alpha1
        kind: LanePolicy
        metadata: {name: p, namespace: shop}
        spec: {pin: {maxAge: 1h}, previewHosts: [{pattern: "{lane}.x.com", host: x.com}]}
        ---
        apiVersion: fairlead.dev/v1alpha1
        kind: Lane
        metadata: {name: a, namespace: shop}
        spec:
          ttl: 1h
          members: [{service: auth, selector: {version: v2}}, {service: auth, endpoints: ['10.0.0.9:1']}]
        ---

        """ + gatewayAPI

private let gatewayAPI = """
    apiVersion: gateway.networking.k8s.io/v1
    kind: Gateway
    metadata: {name: api, namespace: shop}
    spec:
      gatewayClassName: any
      listeners:
      - {name: web, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
      - {name: tls, port: 443, protocol: TLS, tls: {certificateRefs: [{name: c}]}}
      allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}
      tls:
        backend: {clientCertificateRef: {name: c}}
        frontend:
          default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}
          perPort: [{port: 444, tls: {}}]
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: ListenerSet
    metadata: {name: more, namespace: shop}
    spec:
      parentRef: {name: api}
      listeners: [{name: own, port: 82, protocol: HTTP, hostname: "*.own.test"}]
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: {name: all, namespace: shop}
    spec:
      parentRefs: [{name: api}, {kind: ListenerSet, name: more}, {group: "", kind: Service, name: auth}]
      rules:
      - matches: [{path: {type: Exact, value: /a}, headers: [{name: x, value: "1"}]}]
        filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b}}}]
        backendRefs: [{name: auth, port: 8080, weight: 2}, {name: gone, port: 1}]
    ---
    apiVersion: gateway.networking.k8s.io/v1alpha2
    kind: TLSRoute
    metadata: {name: inside, namespace: shop}
    spec:
      parentRefs: [{name: api, sectionName: tls}]
      hostnames: [a.test]
      rules: [{backendRefs: [{name: auth, port: 8080}]}]
    ---
    apiVersion: gateway.networking.k8s.io/v1
    kind: BackendTLSPolicy
    metadata: {name: auth, namespace: shop}
    spec:
      targetRefs: [{group: "", kind: Service, name: auth, sectionName: http}]
      validation:
        caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]
        subjectAltNames: [{type: URI, uri: "spiffe://x/y"}]
        hostname: auth.test
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: ca, namespace: shop}
    data: {ca.crt: nobody}

    """

@Test func theWholeDocumentIsAccepted() {
    let result = loadText(whole, proxy: "shop/edge")
    #expect(result.model != nil, "\(result.findings.map(\.text))")
}

@Test(arguments: 1...8 as ClosedRange<UInt64>) func damagedDocumentsNeverCrash(seed: UInt64) {
    var random = Seeded(state: seed)
    let original = Array(whole.utf8)
    let pieces = [
        "{", "}", "[", "]", ":", "- ", "\n", "\t", "'", "\"", "&a ", "*a", "|\n", "? ", "---\n", "~", "-1",
        "999999999999",
        "true", "*", "\u{0}", "\u{FEFF}", "!!str ", "%", "<<: ", "0x7f", "é", ".",
    ].map { Array($0.utf8) }
    for _ in 0..<60 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: at)
            case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...40, using: &random)))
            case 3:
                let from = Int.random(in: 0..<bytes.count, using: &random)
                let length = min(bytes.count - from, Int.random(in: 1...200, using: &random))
                bytes.insert(contentsOf: Array(bytes[from..<from + length]), at: at)
            default: bytes.removeSubrange(at...)
            }
            if bytes.isEmpty { bytes = [0x41] }
        }
        var options = LoadOptions(proxy: Bool.random(using: &random) ? "shop/edge" : "shop/web")
        options.nowSeconds = 0
        if Bool.random(using: &random) { options = LoadOptions(purpose: .check) }
        let result = load(Sources(texts: [SourceText(file: "f", bytes: bytes)]), options: options)
        let isRefused = result.findings.contains { $0.refused }
        #expect((result.model == nil) == isRefused || result.proxyName.isEmpty, "seed \(seed)")
        let lines = bytes.count { $0 == 0x0A } + 1
        for finding in result.findings where finding.file == "f" {
            #expect(finding.line >= 0 && finding.line <= lines + 1, "\(finding.text), seed \(seed)")
            #expect(finding.line > 0, "\(finding.text), seed \(seed)")
        }
        if let model = result.model { expectConsistent(model) }
    }
}

/// Every number in a model points at something.
private func expectConsistent(_ model: RoutingModel) {
    for listener in model.listeners {
        for table in listener.tables { #expect(model.routeTables.indices.contains(table.routeTable)) }
    }
    for host in model.routeTables.flatMap(\.virtualHosts) {
        for route in host.routes {
            guard case .forward(let targets) = route.action else { continue }
            for target in targets {
                if let cluster = target.cluster { #expect(model.clusters.indices.contains(cluster)) }
            }
        }
    }
    for cluster in model.clusters {
        #expect(cluster.stable.allSatisfy { cluster.endpoints.indices.contains($0) })
        for members in cluster.laneMembers {
            #expect(model.lanes.indices.contains(members.lane))
            #expect(members.endpoints.allSatisfy { cluster.endpoints.indices.contains($0) })
        }
    }
}
