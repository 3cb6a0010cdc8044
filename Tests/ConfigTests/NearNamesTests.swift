// "Did you mean ...?": near names are found name by name, and told as an author would write them.
import Testing

@testable import Config

private func service(_ name: String, _ namespace: String) -> String {
    """
    apiVersion: v1
    kind: Service
    metadata: {name: \(name), namespace: \(namespace)}
    spec: {ports: [{name: http, port: 8080}]}
    ---

    """
}

private let services =
    service("shop", "default") + service("api", "default") + service("auth-svc", "default")
    + service("ledger", "bank") + """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: pay, namespace: default}
        spec: {hosts: [pay.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
        ---

        """

/// What is said of a destination in `default` that is not there.
private func hint(_ host: String) -> String {
    let text =
        services + """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: v, namespace: default}
            spec: {hosts: [any.test], http: [{route: [{destination: {host: \(host)}}]}]}
            ---

            """
    let findings = loadText(text, purpose: .check).findings
    return findings.first { $0.code == "IST0101" && $0.resource == "VirtualService default/v" }?.suggestion
        ?? "nothing"
}

@Suite struct NearNamesTests {
    @Test(arguments: [
        // What is short stays short, and is what one letter away is.
        ("shp", "did you mean shop?"), ("Shoop", "did you mean shop?"),
        ("shop.defualt.svc.cluster.local", "did you mean shop?"),
        ("shop.default.svc.clustr.local", "did you mean shop?"),
        ("shop.default.scv.cluster.local", "did you mean shop?"),
        ("shop.default", "did you mean shop?"), ("shop.default.svc", "did you mean shop?"),
        // A part was left out.
        ("auth", "did you mean auth-svc?"),
        // In another namespace.
        ("ledger", "did you mean ledger.bank.svc.cluster.local?"),
        ("ledger.bank", "did you mean ledger.bank.svc.cluster.local?"),
        ("legder.bnak.svc.cluster.local", "did you mean ledger.bank.svc.cluster.local?"),
        ("pay.exmaple.com", "did you mean pay.example.com?"),
        ("pay.exmaple.co", "did you mean pay.example.com?"),
    ])
    func aHostThatIsNear(_ host: String, _ expected: String) {
        #expect(hint(host) == expected)
    }

    /// Three letters of a name of three are another name, whatever the rest of a full name says.
    @Test(arguments: ["web", "cart", "db.prod.svc.cluster.local", "x", "else.example.org"])
    func aHostThatIsNot(_ host: String) {
        #expect(!hint(host).hasPrefix("did you mean"), "\(hint(host))")
    }

    @Test func objectsByNamespaceAndName() {
        let known = [
            ObjectName("shop", "front"), ObjectName("shop", "back"), ObjectName("infra", "edge"),
            ObjectName("infra", "front"),
        ]
        func near(_ namespace: String, _ name: String) -> String? {
            nearest(to: ObjectName(namespace, name), among: known)?.reference(from: "shop")
        }
        #expect(near("shop", "frnt") == "front")
        #expect(near("shp", "front") == "front")
        #expect(near("shop", "edge") == "infra/edge")
        #expect(near("infar", "edge") == "infra/edge")
        #expect(near("other", "side") == nil)
        #expect(ObjectName("a/b") == ObjectName("a", "b"))
        #expect(ObjectName("a") == nil && ObjectName("a/b/c") == nil)
    }

    private func gateway(_ name: String, _ namespace: String, credential: String = "") -> String {
        let server =
            credential.isEmpty
            ? "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}"
            : "{port: {number: 443, name: h, protocol: HTTPS}, hosts: ['*'], "
                + "tls: {mode: SIMPLE, credentialName: \(credential)}}"
        return """
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: {name: \(name), namespace: \(namespace)}
            spec: {selector: {istio: ingressgateway}, servers: [\(server)]}
            ---

            """
    }

    @Test func gatewaysAndDelegates() {
        func said(_ fields: String) -> String? {
            let text =
                edgeProxy + services + gateway("front", "shop") + gateway("far", "infra") + """
                    apiVersion: networking.istio.io/v1
                    kind: VirtualService
                    metadata: {name: v, namespace: shop}
                    spec: {hosts: [any.test], \(fields)}
                    ---
                    apiVersion: networking.istio.io/v1
                    kind: VirtualService
                    metadata: {name: below, namespace: shop}
                    spec: {http: [{directResponse: {status: 200}}]}
                    ---

                    """
            return loadText(text).findings.first { $0.code == "IST0101" }?.suggestion
        }
        let direct = "http: [{directResponse: {status: 200}}]"
        #expect(said("gateways: [frnt], \(direct)") == "did you mean front?")
        #expect(said("gateways: [far], \(direct)") == "did you mean infra/far?")
        #expect(said("gateways: [front], http: [{delegate: {name: belwo}}]") == "did you mean below?")
    }

    @Test func secrets() {
        func said(_ credential: String) -> String? {
            func secret(_ name: String, _ namespace: String) -> String {
                "apiVersion: v1\nkind: Secret\nmetadata: {name: \(name), namespace: \(namespace)}\n"
                    + "type: Opaque\nstringData: {a: b}\n---\n"
            }
            let text =
                edgeProxy + secret("shop-tls", "shop") + secret("far-tls", "infra")
                + gateway("front", "shop", credential: credential)
            return loadText(text, purpose: .check).findings.first { $0.code == "IST0101" }?.suggestion
        }
        #expect(said("shop-lts") == "did you mean shop-tls?")
        #expect(said("far-tls") == "there is one in infra, and it must be in shop")
        #expect(said("nowhere") == "its namespace is that of the proxy")
    }

    @Test func parentsAndBackends() {
        let route = API.route("r", parents: "[{name: pubilc, namespace: infra}]", API.rule("/", to: "shp"))
        let text =
            API.edge + service("shop", "shop") + service("shop", "default")
            + API.gateway(API.http, namespace: "infra") + route
        let said = loadText(text).findings.filter { $0.code == "IST0101" }.map(\.suggestion)
        #expect(said == ["did you mean public in namespace infra?", "did you mean shop?"])
        let away = loadText(text.replacing("name: shp", with: "name: ledger") + service("ledger", "bank"))
        #expect(away.has("IST0101", containing: "did you mean ledger in namespace bank?"))
    }
}
