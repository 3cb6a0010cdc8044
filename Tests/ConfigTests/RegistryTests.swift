// Endpoints of services: slices, Endpoints, pods, ServiceEntries (istio-semantics.md 18); DestinationRules.
import Testing

@testable import Config
@testable import Lanes

private func endpoints(_ text: String, _ name: String = "outbound|80||a.shop.svc.cluster.local") throws
    -> [EndpointModel]
{
    try #require(try modelOf(sidecarProxy + text).cluster(name)).endpoints
}

private let serviceA = """
    apiVersion: v1
    kind: Service
    metadata: {name: a, namespace: shop}
    spec:
      selector: {app: a}
      ports: [{name: http, port: 80, targetPort: web}]
    ---

    """

@Test func readinessTerminationAndPortNames() throws {
    let slice = """
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: a-1, namespace: shop, labels: {kubernetes.io/service-name: a}}
        ports: [{name: other, port: 1}, {name: http, port: 8081}]
        endpoints:
        - {addresses: [10.0.0.1], conditions: {ready: true}}
        - {addresses: [10.0.0.2], conditions: {ready: false}}
        - {addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: true}}
        - {addresses: [10.0.0.1]}
        - {addresses: [fd00::5], conditions: {}}
        ---

        """
    let found = try endpoints(serviceA + slice)
    #expect(
        found.map { $0.address.text } == ["10.0.0.1:8081", "10.0.0.2:8081", "[fd00::5]:8081"])
    #expect(found.map(\.healthy) == [true, false, true])
    let published = serviceA.replacing("spec:", with: "spec:\n  publishNotReadyAddresses: true")
    #expect(try endpoints(published + slice).map(\.healthy) == [true, true, true])
}

@Test func endpointsObjectsCountToo() throws {
    let found = try endpoints(
        serviceA + """
            apiVersion: v1
            kind: Endpoints
            metadata: {name: a, namespace: shop}
            subsets:
            - addresses: [{ip: 10.0.0.1, targetRef: {kind: Pod, name: p}}]
              notReadyAddresses: [{ip: 10.0.0.2}]
              ports: [{name: http, port: 8081}]
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: p, namespace: shop, labels: {version: v9}}
            """)
    #expect(found.map(\.healthy) == [true, false])
    #expect(found[0].labels == ["version": "v9"])
}

@Test func podsStandInForMissingSlices() throws {
    let found = try endpoints(
        serviceA + """
            apiVersion: v1
            kind: Pod
            metadata:
              name: a-5d4f-x1
              namespace: shop
              labels: {app: a}
              ownerReferences: [{kind: ReplicaSet, name: a-5d4f}]
            spec: {containers: [{name: c, ports: [{name: web, containerPort: 9000}]}]}
            status: {podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: late, namespace: shop, labels: {app: a}}
            spec: {containers: [{name: c, ports: [{name: web, containerPort: 9000}]}]}
            status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: "False"}]}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: going, namespace: shop, labels: {app: a}, deletionTimestamp: '2024-01-01'}
            spec: {containers: [{name: c, ports: [{name: web, containerPort: 9000}]}]}
            status: {podIP: 10.0.0.3}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: done, namespace: shop, labels: {app: a}}
            spec: {containers: [{name: c, ports: [{name: web, containerPort: 9000}]}]}
            status: {podIP: 10.0.0.4, phase: Succeeded}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: foreign, namespace: elsewhere, labels: {app: a}}
            status: {podIP: 10.0.0.5}
            """)
    #expect(found.map { $0.address.text } == ["10.0.0.1:9000", "10.0.0.2:9000"])
    #expect(found.map(\.healthy) == [true, false])
    #expect(found.map(\.workload) == ["a", "late"])
}

@Test func workloadNames() throws {
    func workload(_ metadata: String) -> String {
        let result = loadText("apiVersion: v1\nkind: Pod\nmetadata: \(metadata)\n")
        #expect(result.findings.isEmpty)
        let text = SourceText(
            file: "x", bytes: Array("apiVersion: v1\nkind: Pod\nmetadata: \(metadata)\n".utf8))
        return readDocuments([text]).documents.pods[0].workload
    }
    #expect(workload("{name: a-b-5d4f-x1, labels: {pod-template-hash: 5d4f}}") == "a-b")
    #expect(workload("{name: db-0, ownerReferences: [{kind: StatefulSet, name: db}]}") == "db")
    #expect(workload("{name: bare-pod}") == "bare-pod")
}

private let staticEntry = """
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: ext, namespace: shop}
    spec:
      hosts: [api.example.com, '*.wild.example.com']
      addresses: [240.0.0.1, 10.0.0.0/8]
      ports:
      - {number: 80, name: http, protocol: HTTP, targetPort: 8000}
      - {number: 443, name: tls, protocol: TLS}
      resolution: STATIC
      endpoints:
      - {address: 10.0.0.1, labels: {version: v1}, weight: 3}
      - {address: 10.0.0.2, ports: {http: 7000}}
    ---

    """

@Test func serviceEntriesWithAddresses() throws {
    let model = try modelOf(sidecarProxy + staticEntry)
    let cluster = try #require(model.cluster("outbound|80||api.example.com"))
    #expect(cluster.addresses == ["10.0.0.1:8000", "10.0.0.2:7000"])
    #expect(cluster.endpoints.map(\.weight) == [3, 1])
    #expect(cluster.endpoints[0].labels == ["version": "v1"])
    #expect(
        model.host("api.example.com", in: "80")?.domains == [
            "api.example.com", "api.example.com.", "240.0.0.1",
        ])
    #expect(model.host("*.wild.example.com", in: "80") != nil)
    #expect(model.host("api.example.com", in: "443")?.isStream == true)
}

@Test func serviceEntriesSelectWorkloadEntriesAndPods() throws {
    let text =
        staticEntry.split(separator: "  endpoints:").prefix(1).joined()
        + "  workloadSelector: {labels: {app: vm}}\n---\n" + """
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm-1, namespace: shop}
            spec: {address: 10.0.0.9, labels: {app: vm, version: v2}, ports: {http: 6000}}
            ---
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm-2, namespace: other}
            spec: {address: 10.0.0.8, labels: {app: vm}}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: pod, namespace: shop, labels: {app: vm}}
            status: {podIP: 10.0.0.7}
            """
    let cluster = try #require(try modelOf(sidecarProxy + text).cluster("outbound|80||api.example.com"))
    #expect(cluster.addresses == ["10.0.0.9:6000", "10.0.0.7:8000"])
    #expect(cluster.endpoints.map(\.workload) == ["vm", "pod"])
}

@Test func servicesSelectWorkloadEntriesBesideTheirPods() throws {
    func entry(_ name: String, _ spec: String, _ more: String = "") -> String {
        """
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: \(name), namespace: shop}
        spec: {labels: {app: vm, version: v2}, \(spec)}
        \(more)

        """
    }
    let text =
        sidecarProxy + """
            apiVersion: v1
            kind: Service
            metadata: {name: vm, namespace: shop}
            spec:
              selector: {app: vm}
              ports: [{name: http, port: 80, targetPort: 8000}, {name: http-b, port: 81, targetPort: web}]
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: pod, namespace: shop, labels: {app: vm}}
            status: {podIP: 10.0.0.7}

            """ + entry("vm-1", "address: 10.0.0.9") + entry("vm-2", "address: 10.0.0.7")
        + entry("vm-3", "address: 10.0.0.8, ports: {http: 6000, web: 6001}")
        + entry(
            "vm-4", "address: 10.0.0.6",
            "status: {conditions: [{type: Other, status: 'True'}, {type: Healthy, status: 'False'}]}")
    let model = try modelOf(text)
    let cluster = try #require(model.cluster("outbound|80||vm.shop.svc.cluster.local"))
    #expect(cluster.addresses == ["10.0.0.7:8000", "10.0.0.9:8000", "10.0.0.8:6000", "10.0.0.6:8000"])
    #expect(cluster.endpoints.map(\.healthy) == [true, true, true, false])
    #expect(cluster.endpoints[1].labels["version"] == "v2")
    let named = try #require(model.cluster("outbound|81||vm.shop.svc.cluster.local"))
    #expect(named.addresses == ["10.0.0.8:6001"], "others do not say where that port is")
}

@Test func namesThatAreResolved() throws {
    let dns = staticEntry.replacing("STATIC", with: "DNS").replacing(", '*.wild.example.com'", with: "")
    let port80 = "outbound|80||api.example.com"
    #expect(try modelOf(sidecarProxy + dns).cluster(port80)?.hasNames == false, "all endpoints are addresses")
    let named = dns.replacing("10.0.0.2,", with: "B.example.com,")
    var cluster = try #require(try modelOf(sidecarProxy + named).cluster(port80))
    #expect(cluster.endpoints.map(\.text) == ["10.0.0.1:8000", "b.example.com:7000"])
    #expect(cluster.names == ["b.example.com"] && cluster.resolution == .everyAddress)
    #expect(loadText(named.replacing("DNS", with: "STATIC")).has("IST0106", containing: "needs IP addresses"))
    let bad = named.replacing("B.example.com", with: "b..example")
    #expect(loadText(bad).has("IST0106", containing: "no host name"))

    let bare = String(dns.split(separator: "  endpoints:")[0]) + "---\n"
    cluster = try #require(try modelOf(sidecarProxy + bare).cluster(port80))
    #expect(cluster.endpoints.map(\.text) == ["api.example.com:8000"])
    let one = bare.replacing("DNS", with: "DNS_ROUND_ROBIN")
    #expect(try modelOf(sidecarProxy + one).cluster(port80)?.resolution == .firstAddress)
    #expect(
        loadText(dns.replacing("DNS", with: "DNS_ROUND_ROBIN")).has("IST0106", containing: "one endpoint"))
    let wild = String(staticEntry.split(separator: "  endpoints:")[0]).replacing("STATIC", with: "DNS")
    #expect(loadText(wild).has("IST0106", line: 5, containing: "needs endpoints"))
}

@Test func unixSocketsAreEndpoints() throws {
    let ports = ", ports: {http: 7000}"
    func endpoint(_ address: String) -> String {
        staticEntry.replacing("10.0.0.2,", with: "'\(address)',").replacing(ports, with: "")
    }
    for path in ["/run/app.sock", "@app"] {
        let model = try modelOf(sidecarProxy + endpoint("unix://" + path))
        #expect(model.cluster("outbound|80||api.example.com")?.addresses.last == path)
    }
    let long = "unix:///" + String(repeating: "x", count: 108)
    for (bad, words) in [("unix://run/x", "not absolute"), ("unix:///run/", "folder"), (long, "no path")] {
        #expect(loadText(endpoint(bad)).has("IST0106", containing: words), "\(bad)")
    }
}

@Test func selectorsAndVisibilityOfServiceEntries() throws {
    let text = staticEntry.split(separator: "  endpoints:").prefix(1).joined()
    let every = text + "  workloadSelector: {labels: {}}\n---\n"
    #expect(loadText(sidecarProxy + every).has("FL0006", containing: "every workload"))
    for (exportTo, isSeen) in [("~", false), (".", true), ("*", true), ("elsewhere", false), ("shop", true)] {
        let entry = staticEntry.replacing("  resolution:", with: "  exportTo: ['\(exportTo)']\n  resolution:")
        let host = try modelOf(sidecarProxy + entry).host("api.example.com", in: "80")
        #expect((host != nil) == isSeen, "\(exportTo)")
    }
}

@Test func hostsThatAreLookedUpAsTheyAreAskedFor() throws {
    let bare = String(staticEntry.split(separator: "  endpoints:")[0]) + "---\n"
    let none = bare.replacing("STATIC", with: "NONE")
    let model = try modelOf(sidecarProxy + none)
    #expect(model.cluster("outbound|80||api.example.com")?.addresses == ["240.0.0.1:80"], "its addresses")
    let wild = try #require(model.cluster("outbound|80||*.wild.example.com"))
    #expect(wild.resolution == .requestHost && wild.requestPort == 8_000 && wild.endpoints.isEmpty)
    let named = none.replacing("240.0.0.1, ", with: "")
    let cluster = try modelOf(sidecarProxy + named).cluster("outbound|80||api.example.com")
    #expect(cluster?.resolution == .requestHost)
    #expect(loadText(staticEntry.replacing("STATIC", with: "NONE")).has("IST0106", containing: "NONE"))
    let dynamic = bare.replacing("STATIC", with: "DYNAMIC_DNS")
    #expect(loadText(dynamic).has("IST0106", line: 5, containing: "wildcard hosts"))
    let good = dynamic.replacing("api.example.com, ", with: "")
    #expect(
        try modelOf(sidecarProxy + good).cluster("outbound|443||*.wild.example.com")?.resolution
            == .requestHost)
}

@Test func externalNames() throws {
    func alias(_ name: String, _ target: String, _ ports: String = "") -> String {
        """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), namespace: shop}
        spec: {type: ExternalName, externalName: \(target)\(ports)}
        ---

        """
    }
    let auth = "auth.shop.svc.cluster.local"
    let model = try modelOf(
        sidecarProxy + service("auth", network: 1) + alias("login", auth)
            + alias("signin", "login.shop.svc.cluster.local")
            + alias("ext", "Api.example.com.", ", ports: [{name: http, port: 8000}]")
            + alias("bare", "b.example.com")
            + alias("round", "round.shop.svc.cluster.local"))
    let host = try #require(model.host(auth, in: "8080"))
    #expect(host.domains.contains("login.shop") && host.domains.contains("signin.shop.svc.cluster.local"))
    #expect(
        model.cluster("outbound|8000||ext.shop.svc.cluster.local")?.endpoints.map(\.text) == [
            "api.example.com:8000"
        ])
    #expect(
        model.cluster("outbound|80||bare.shop.svc.cluster.local")?.endpoints.map(\.text) == [
            "b.example.com:80"
        ])
    #expect(model.host("round.shop.svc.cluster.local", in: "80") != nil, "an alias of itself is a name")
}

@Test func aKubernetesServiceBeatsAServiceEntryOfItsName() throws {
    let entry = staticEntry.replacing("api.example.com", with: "auth.shop.svc.cluster.local")
        .replacing("number: 80,", with: "number: 8080,")
    let model = try modelOf(sidecarProxy + entry + service("auth", network: 1))
    #expect(
        model.cluster("outbound|8080||auth.shop.svc.cluster.local")?.addresses == [
            "10.0.1.1:8080", "10.0.1.2:8080",
        ])
}

// MARK: DestinationRules

private func rule(_ name: String, namespace: String, _ spec: String, created: Int = 2024) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: \(name), namespace: \(namespace), creationTimestamp: '\(created)-01-01T00:00:00Z'}
    spec: \(spec)
    ---

    """
}

/// Subset `x` of auth: which pods it selects tells whose rule was used.
private func usedRule(_ rules: String, proxy: String = sidecarProxy, home: String = "other") throws
    -> [String]?
{
    let text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: shop}
        spec:
          hosts: [auth.\(home).svc.cluster.local]
          http: [{route: [{destination: {host: auth.\(home).svc.cluster.local, subset: x}}]}]
        ---

        """
    let model = try modelOf(proxy + service("auth", network: 1, namespace: home) + text + rules)
    return model.clusters.first { $0.subset == "x" }?.addresses
}

private let host = "host: auth.other.svc.cluster.local"
private func subset(_ version: String) -> String { "subsets: [{name: x, labels: {version: \(version)}}]" }

@Test func theFirstLevelWithARuleWins() throws {
    let own = rule("own", namespace: "shop", "{\(host), \(subset("v1"))}")
    let home = rule("home", namespace: "other", "{host: auth, \(subset("v2"))}")
    let root = rule("root", namespace: "istio-system", "{host: '*.svc.cluster.local', subsets: [{name: x}]}")
    let elsewhere = rule("elsewhere", namespace: "third", "{\(host), \(subset("v1"))}")
    #expect(try usedRule(own + home + root) == ["10.0.1.1:8080"])
    #expect(try usedRule(home + root) == ["10.0.1.2:8080"])
    #expect(try usedRule(root) == ["10.0.1.1:8080", "10.0.1.2:8080"])
    #expect(try usedRule(elsewhere) == nil)
    // Levels are never combined: our own rule without the subset hides the other's.
    #expect(try usedRule(rule("own", namespace: "shop", "{\(host)}") + home) == nil)
    // Not exported to us.
    #expect(
        try usedRule(rule("home", namespace: "other", "{host: auth, exportTo: ['.'], \(subset("v2"))}"))
            == nil)
}

@Test func aSubsetInTheWrongNamespaceIsExplained() {
    let text = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a, namespace: shop}
        spec:
          hosts: [auth.other.svc.cluster.local]
          http: [{route: [{destination: {host: auth.other.svc.cluster.local, subset: x}}]}]
        ---

        """
    let elsewhere = rule("elsewhere", namespace: "third", "{\(host), \(subset("v1"))}")
    let result = loadText(sidecarProxy + service("auth", network: 1, namespace: "other") + text + elsewhere)
    #expect(result.has("IST0101", containing: "a DestinationRule in third does not apply to clients in shop"))
}

@Test func withinALevelTheMostSpecificHostThenAge() throws {
    let wide = rule("a", namespace: "shop", "{host: '*.local', \(subset("v1"))}", created: 2020)
    let narrow = rule("b", namespace: "shop", "{host: '*.other.svc.cluster.local', \(subset("v2"))}")
    let exact = rule("c", namespace: "shop", "{\(host), subsets: [{name: x}]}")
    #expect(try usedRule(wide + narrow) == ["10.0.1.2:8080"])
    #expect(try usedRule(wide + narrow + exact) == ["10.0.1.1:8080", "10.0.1.2:8080"])
}

/// Trap 4: of two definitions of a subset the first one counts.
@Test func rulesOfOneHostMerge() throws {
    let old = rule("z", namespace: "shop", "{\(host), \(subset("v1"))}", created: 2020)
    let young = rule(
        "a", namespace: "shop",
        "{\(host), trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: y}, {name: x}]}")
    #expect(try usedRule(young + old) == ["10.0.1.1:8080"])
    let result = loadText(young + old + service("auth", network: 1, namespace: "other"))
    #expect(result.has("FL0104", line: 4, containing: "the subset x"))
    // The older has no trafficPolicy, so the younger's counts.
    let model = try modelOf(sidecarProxy + service("auth", network: 1, namespace: "other") + young + old)
    #expect(model.cluster("outbound|8080||auth.other.svc.cluster.local")?.loadBalancing == .roundRobin)
}

@Test func rulesForSomeWorkloadsWinThere() throws {
    let all = rule("a", namespace: "shop", "{\(host), \(subset("v1"))}", created: 2020)
    let web = rule(
        "b", namespace: "shop", "{\(host), workloadSelector: {matchLabels: {app: web}}, \(subset("v2"))}")
    #expect(try usedRule(all + web) == ["10.0.1.2:8080"])
    let api = sidecarProxy.replacing("app: web", with: "app: api")
    #expect(try usedRule(all + web, proxy: api) == ["10.0.1.1:8080"])
}

@Test func trafficPoliciesByLevelAndPort() throws {
    func cluster(_ policy: String, subset: String = "") throws -> ClusterModel {
        let spec = "{\(host), trafficPolicy: \(policy), subsets: [{name: x\(subset)}]}"
        let text = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: a, namespace: shop}
            spec:
              hosts: [q]
              http: [{route: [{destination: {host: auth.other.svc.cluster.local, subset: x}}]}]
            ---

            """
        let model = try modelOf(
            sidecarProxy + service("auth", network: 1, namespace: "other") + text
                + rule("r", namespace: "shop", spec))
        return try #require(model.cluster("outbound|8080|x|auth.other.svc.cluster.local"))
    }
    let top = "loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {connectTimeout: 2s}}"
    let plain = try cluster("{\(top)}")
    #expect(plain.loadBalancing == .random && plain.connectTimeoutMs == 2_000)
    // A port's settings replace the level's whole: the timeout is not inherited.
    let port = try cluster(
        "{\(top), portLevelSettings: [{port: {number: 8080}, loadBalancer: {simple: ROUND_ROBIN}}]}")
    #expect(port.loadBalancing == .roundRobin && port.connectTimeoutMs == 10_000)
    // A subset without port settings overrides block by block.
    let block = try cluster("{\(top)}", subset: ", trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}")
    #expect(block.loadBalancing == .leastRequest && block.connectTimeoutMs == 2_000)
    let whole = try cluster(
        "{\(top)}",
        subset:
            ", trafficPolicy: {portLevelSettings: [{port: {number: 8080}, "
            + "loadBalancer: {simple: ROUND_ROBIN}}]}"
    )
    #expect(whole.loadBalancing == .roundRobin && whole.connectTimeoutMs == 10_000)
    // Of a pool's idle times HTTP takes its own first; a level's pool is taken whole.
    let pool =
        "connectionPool: {tcp: {idleTimeout: 5m}, http: {maxRequestsPerConnection: 3, idleTimeout: 90s}}"
    let both = try cluster("{\(pool)}")
    #expect(both.requestsMax == 3 && both.idleTimeoutMs == 90_000 && both.relayIdleTimeoutMs == 300_000)
    let never = try cluster("{connectionPool: {tcp: {idleTimeout: 0s}}}")
    #expect(never.requestsMax == 0 && never.idleTimeoutMs == 0 && never.relayIdleTimeoutMs == 0)
    let own = try cluster(
        "{\(pool)}", subset: ", trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 2}}}")
    #expect(own.requestsMax == 2 && own.idleTimeoutMs == nil && own.relayIdleTimeoutMs == nil)
}
