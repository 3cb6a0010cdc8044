// BackendTLSPolicy, `Gateway.spec.tls` and ListenerSet as documents: which clusters and listeners they come
// to, and the findings for what is missing, not permitted or refused (istio-semantics.md 21.1, 21.7).
import Testing

@testable import Config
@testable import Lanes

private let auth = service("auth", network: 1)

private func policy(_ validation: String, target: String = "name: auth") -> String {
    """
    apiVersion: gateway.networking.k8s.io/v1
    kind: BackendTLSPolicy
    metadata: {name: tls, namespace: shop}
    spec:
      targetRefs: [{group: '', kind: Service, \(target)}]
      validation:
        \(validation)
    ---

    """
}

private func policy(authorities: String) -> String {
    policy("caCertificateRefs: \(authorities)\n    hostname: auth.test")
}

private func cluster(_ text: String, proxy: String = API.edge) throws -> ClusterModel {
    let documents = proxy + API.gateway(API.http) + API.route("r", API.rule()) + auth + text
    return try #require(try modelOf(documents).cluster("outbound|8080||auth.shop.svc.cluster.local"))
}

@Suite struct BackendTLSPolicyTests {
    private let system = policy("wellKnownCACertificates: System\n    hostname: auth.test")

    @Test func systemRoots() throws {
        let tls = try #require(try cluster(system).tls)
        #expect(tls.context != nil && tls.serverName == "auth.test")
        #expect(tls.mode == "BackendTLSPolicy shop/tls" && tls.context?.verifiesHost == true)
        let named = system.replacing(
            "    hostname: auth.test\n",
            with: "    hostname: auth.test\n    subjectAltNames: [{type: URI, uri: 'spiffe://a'}]\n")
        #expect(try cluster(named).tls?.context?.verifiesHost == false)
        #expect(try cluster("").tls == nil)
    }

    @Test func withoutAuthoritiesNothingIsSent() throws {
        for reference in ["{group: '', kind: ConfigMap, name: gone}", "{group: a.b, kind: C, name: c}"] {
            let tls = try #require(try cluster(policy(authorities: "[\(reference)]")).tls)
            #expect(
                tls.context == nil
                    && tls.problem == "no certificate authority of BackendTLSPolicy shop/tls can be used")
        }
        let broken = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: ca, namespace: shop}
            data: {ca.crt: nothing of the kind}
            """
        let text =
            API.edge + API.gateway(API.http) + API.route("r", API.rule()) + auth
            + policy(authorities: "[{group: '', kind: ConfigMap, name: ca}]") + broken
        let result = loadText(text)
        #expect(result.has("FL0050", containing: "authority"))
        #expect(result.model?.clusters.map { $0.tls?.context == nil } == [true])
    }

    @Test(arguments: [
        ("name: auth, sectionName: http", true), ("name: auth, sectionName: grpc", false),
        ("name: other", false),
    ])
    func targets(_ target: String, _ isMeant: Bool) throws {
        let text = system.replacing("name: auth}", with: "\(target)}")
        #expect((try cluster(text).tls != nil) == isMeant)
        let documents = API.edge + API.gateway(API.http) + auth + text
        #expect(loadText(documents).has("IST0101", containing: "BackendTLSPolicy") != isMeant)
    }

    @Test func theOlderAndThePortsOwnCount() throws {
        func named(_ name: String, _ year: Int, _ target: String = "name: auth") -> String {
            let meta = "name: \(name), namespace: shop, creationTimestamp: '\(year)-01-01T00:00:00Z'"
            return system.replacing("name: tls, namespace: shop", with: meta)
                .replacing("name: auth}", with: "\(target)}")
        }
        #expect(try cluster(named("a", 2024) + named("b", 2023)).tls?.mode.hasSuffix("/b") == true)
        let ports = named("a", 2023) + named("b", 2024, "name: auth, sectionName: http")
        #expect(try cluster(ports).tls?.mode.hasSuffix("/b") == true)
        let both = API.edge + auth + named("a", 2024) + named("b", 2023)
        #expect(loadText(both).has("FL0063", containing: "BackendTLSPolicy shop/b is older"))
    }

    @Test func istiosAnnotationTakesItOut() throws {
        let annotated = system.replacing(
            "namespace: shop}",
            with: "namespace: shop, annotations: {istio.io/ignore-policy-attachment: 'true'}}")
        #expect(try cluster(annotated).tls == nil)
    }

    @Test func theMeshDoesNotFollowIt() throws {
        let parents = "[{group: '', kind: Service, name: auth}]"
        let text = sidecarProxy + auth + system + API.route("r", parents: parents, API.rule())
        #expect(try modelOf(text).cluster("outbound|8080||auth.shop.svc.cluster.local")?.tls == nil)
    }

    @Test(arguments: [
        ("hostname: auth.test", "hostname: AUTH", "no host name"),
        ("hostname: auth.test", "subjectAltNames: []", "hostname is missing"),
        ("wellKnownCACertificates: System", "wellKnownCACertificates: Systen", "did you mean System?"),
        ("wellKnownCACertificates: System", "subjectAltNames: []", "names no authority"),
        (
            "wellKnownCACertificates: System",
            "wellKnownCACertificates: System\n    caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]",
            "exclude each other"
        ),
        (
            "hostname: auth.test", "hostname: a.test\n    subjectAltNames: [{type: URI, hostname: a.test}]",
            "goes with hostname alone"
        ),
        ("kind: Service, name: auth}", "kind: Service}", "name is missing"),
        (
            "kind: Service, name: auth}", "kind: Service, name: auth}, {kind: Service, name: auth}",
            "names auth twice"
        ),
    ])
    func refused(_ part: String, _ other: String, _ why: String) {
        let result = loadText(API.edge + system.replacing(part, with: other))
        #expect(result.model == nil)
        #expect(result.has("FL0006", containing: why), "\(result.findings.map(\.text))")
    }
}

@Suite struct GatewayClientFieldTests {
    private func findings(_ tls: String) -> LoadResult {
        let gateway = API.gateway(
            "{name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}")
        return loadText(API.edge + gateway.replacing("---\n", with: "  tls: \(tls)\n---\n"), purpose: .check)
    }

    @Test func authoritiesThatAreMissing() {
        let refs = "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: away}]"
        let result = findings("{frontend: {default: {validation: {\(refs)}}}}")
        #expect(result.has("FL0061", containing: "ReferenceGrant in away from Gateway of shop to ConfigMap"))
        let here = refs.replacing(", namespace: away", with: "")
        let missing = findings("{frontend: {default: {validation: {\(here)}}}}")
        #expect(missing.has("IST0101", containing: "no ConfigMap shop/ca with ca.crt: the HTTPS listeners"))
        let fallback = here + ", mode: AllowInsecureFallback"
        let insecure = findings("{frontend: {default: {validation: {\(fallback)}}}}")
        #expect(insecure.has("FL0011", containing: "none is asked"))
        let shown = "{backend: {clientCertificateRef: {name: s, namespace: away}}}"
        #expect(findings(shown).has("FL0061", containing: "to Secret"))
    }

    @Test(arguments: [
        "{frontend: {}}", "{frontend: {default: {validation: {}}}}",
        "{frontend: {default: {}, perPort: [{tls: {}}]}}", "{fronted: {}}",
        "{frontend: {default: {validation: {caCertificateRefs: [{name: a}]}}}}",
    ])
    func refused(_ tls: String) { #expect(findings(tls).model == nil) }
}

@Suite struct ListenerSetTests {
    private func set(
        _ listener: String, name: String = "more", namespace: String = "team", parent: String = "name: public"
    ) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: ListenerSet
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          parentRef: {\(parent), namespace: shop}
          listeners: [\(listener)]
        ---

        """
    }

    private func edge(_ from: String = "All", _ listener: String = API.http) -> String {
        API.edge
            + API.gateway(listener).replacing(
                "---\n", with: "  allowedListeners: {namespaces: {from: \(from)}}\n---\n")
    }

    private let own = "{name: own, port: 80, protocol: HTTP, hostname: a.test}"
    private let other = "{name: other, port: 81, protocol: HTTP}"

    private func route(_ parent: String, _ name: String = "r") -> String {
        API.route(name, parents: "[\(parent)]", namespace: "team", API.rule(to: "auth"))
    }

    @Test func itsListenersAreTheGateways() throws {
        let text =
            edge() + set("\(own), \(other)") + route("{kind: ListenerSet, name: more}")
            + service("auth", network: 2, namespace: "team")
        let result = loadText(text)
        #expect(result.findings.map(\.text) == [])
        let model = try #require(result.model)
        #expect(model.listeners.map(\.name) == ["gateway/80", "gateway/81"])
        #expect(model.routeNames("a.test") == ["team.r.0"] && model.routeNames("*") == [])
        #expect(model.routeNames("*", in: "http.81") == ["team.r.0"])
    }

    /// A listener of the set that is more specific than the Gateway's own takes its host from it.
    @Test func isolationIsTheGateways() throws {
        let text =
            edge() + set(own)
            + API.route("wide", hostnames: "[a.test, b.test]", parents: "[{name: public}]", API.rule()) + auth
        let model = try modelOf(text)
        #expect(model.routeNames("a.test") == [] && model.routeNames("b.test") == ["shop.wide.0"])
    }

    @Test(arguments: [
        ("All", "team", true), ("Same", "team", false), ("Same", "shop", true), ("None", "shop", false),
    ])
    func admission(_ from: String, _ namespace: String, _ isAdmitted: Bool) throws {
        let text = edge(from) + set(other, namespace: namespace)
        #expect((try modelOf(text).listeners.count == 2) == isAdmitted)
        #expect(loadText(text).has("FL0060", containing: "admits no ListenerSet") != isAdmitted)
        let unsaid = API.edge + API.gateway(API.http) + set(other, namespace: "shop")
        #expect(try modelOf(unsaid).listeners.count == 1, "None where nothing is said")
    }

    @Test func conflictsAreDropped() throws {
        let clash = "{name: clash, port: 80, protocol: HTTP}"
        let tcp = "{name: tcp, port: 81, protocol: TCP}"
        let text =
            edge() + set(clash, name: "a") + set(other, name: "b") + set(tcp, name: "c")
            + route("{kind: ListenerSet, name: a}")
        let result = loadText(text)
        #expect(result.findings.count { $0.code == "FL0030" } == 2)
        #expect(result.has("FL0060", containing: "the ListenerSet team/a has no listener"))
        #expect(result.model?.listeners.map(\.name) == ["gateway/80", "gateway/81"])
        #expect(result.model?.listeners[1].connections == nil)
    }

    @Test func sectionsAreTheParentsOwn() throws {
        let wrong =
            edge() + set(own) + auth
            + API.route("r", parents: "[{name: public, sectionName: own}]", API.rule())
        #expect(loadText(wrong).has("FL0060", containing: "no listener with the name own"))
    }

    @Test func whatCannotBe() {
        #expect(loadText(edge() + set(own, parent: "name: gone")).has("IST0101", containing: "shop/gone"))
        #expect(
            loadText(edge() + set(own, parent: "name: public, kind: Service")).has(
                "FL0062", containing: "Service"))
        #expect(
            loadText(edge() + route("{kind: ListenerSet, name: gone}")).has(
                "IST0101", containing: "the ListenerSet team/gone"))
        let empty = set(own).replacing("  parentRef: {name: public, namespace: shop}\n", with: "")
        #expect(loadText(edge() + empty).has("FL0006", containing: "parentRef is missing"))
    }
}

@Suite struct ServiceSectionTests {
    /// Of a Service `sectionName` is the port's name.
    @Test(arguments: [
        ("sectionName: http", true), ("sectionName: admin", false), ("sectionName: http, port: 8080", true),
        ("sectionName: http, port: 9", false),
    ])
    func portsByName(_ section: String, _ attaches: Bool) throws {
        let parents = "[{group: '', kind: Service, name: auth, \(section)}]"
        let text = sidecarProxy + auth + API.route("r", parents: parents, API.rule())
        let names = try modelOf(text).routeNames("auth.shop.svc.cluster.local", in: "8080")
        #expect(names == [attaches ? "shop.r.0" : "default"])
        #expect(loadText(text).has("FL0060", containing: "no port with the name") != attaches)
    }
}
