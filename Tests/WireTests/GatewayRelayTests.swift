// TLSRoute and TCPRoute over real sockets: connections by server name and by port (istio-semantics.md 21.7).
import TestSupport
import Testing

@Suite struct GatewayRelayTests {
    private static func relay(_ kind: String, _ name: String, _ section: String, _ more: String, _ to: String)
        -> String
    {
        """
        apiVersion: gateway.networking.k8s.io/v1alpha2
        kind: \(kind)
        metadata: {name: \(name), namespace: shop}
        spec:
          parentRefs: [{name: public, sectionName: \(section)}]
          \(more)
          rules: [{backendRefs: [\(to)]}]
        """
    }

    @Test func connectionsAreRelayed() throws {
        let a = try RelaySite.upstream("a")
        let b = try RelaySite.upstream("b")
        let site = try LaneSite(
            Documents.join([
                "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: edge, namespace: shop}\n"
                    + "spec: {role: edge}",
                """
                apiVersion: gateway.networking.k8s.io/v1
                kind: Gateway
                metadata: {name: public, namespace: shop}
                spec:
                  gatewayClassName: fairlead
                  listeners:
                  - {name: tcp, port: 3306, protocol: TCP}
                  - {name: tls, port: 443, protocol: TLS, hostname: "*.test", tls: {mode: Passthrough}}
                  - {name: own, port: 443, protocol: TLS, hostname: own.test, tls: {mode: Passthrough}}
                """,
                Self.relay(
                    "TCPRoute", "tcp", "tcp", "", "{name: a, port: 8080, weight: 0}, {name: b, port: 8080}"),
                Self.relay(
                    "TLSRoute", "exact", "tls", "hostnames: [a.test, own.test]", "{name: a, port: 8080}"),
                Self.relay("TLSRoute", "wide", "tls", "hostnames: [\"*.b.test\"]", "{name: b, port: 8080}"),
                GatewayDocuments.service("a", a.port), GatewayDocuments.service("b", b.port),
            ]), ports: [443, 3306])
        let plain = try RawConnection(port: site.port(3306))
        try plain.send("hello")
        #expect(try plain.receive(exactly: 7) == Array("b:hello".utf8))
        for (name, upstream) in [("a.test", "a"), ("x.b.test", "b"), ("x.y.b.test", "b")] {
            let connection = try RawConnection(port: site.port(443))
            let hello = clientHello(name)
            try connection.send(hello)
            #expect(try connection.receive(exactly: 2 + hello.count) == Array("\(upstream):".utf8) + hello)
        }
        // own.test is the other listener's, which has no route.
        for name in ["own.test", "b.test", "c.test", "a.other"] {
            let connection = try RawConnection(port: site.port(443))
            try connection.send(clientHello(name))
            do { #expect(try connection.receiveToEnd() == [], "\(name)") } catch is ConnectionReset {}
        }
    }

    private static let proxy =
        "apiVersion: fairlead.dev/v1alpha1\nkind: Proxy\nmetadata: {name: edge, namespace: shop}\n"
        + "spec: {role: edge}"

    /// Another namespace's backend needs its leave; a ClientHello comes as it is cut; weights and backends
    /// that are not there have their share.
    @Test func backendsOfTLSRoutes() throws {
        let (a, b) = (try RelaySite.upstream("a"), try RelaySite.upstream("b"))
        let gateway = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: {name: public, namespace: shop}
            spec:
              gatewayClassName: fairlead
              listeners:
              - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough},
                 allowedRoutes: {namespaces: {from: All}}}
            """
        func route(_ name: String, _ to: String) -> String {
            Self.relay("TLSRoute", name, "tls", "hostnames: [\(name).test]", to)
        }
        func granted(_ kind: String) -> String {
            """
            apiVersion: gateway.networking.k8s.io/v1beta1
            kind: ReferenceGrant
            metadata: {name: leave, namespace: vault}
            spec:
              from: [{group: gateway.networking.k8s.io, kind: \(kind), namespace: shop}]
              to: [{group: "", kind: Service, name: b}]
            """
        }
        func documents(_ kind: String) -> String {
            Documents.join([
                Self.proxy, gateway, granted(kind), route("a", "{name: a, port: 8080}"),
                route("away", "{name: b, namespace: vault, port: 8080}"),
                route("split", "{name: a, port: 8080, weight: 3}, {name: away, port: 8080}"),
                GatewayDocuments.service("a", a.port),
                GatewayDocuments.service("b", b.port, namespace: "vault"),
            ])
        }
        let site = try LaneSite(documents("TLSRoute"), ports: [443])
        /// Who answered; nil: nobody, the connection was closed.
        func answers(_ hello: [UInt8], cut: Bool = false) throws -> String? {
            let connection = try RawConnection(port: site.port(443))
            do {
                for piece in cut ? hello.map({ [$0] }) : [hello] { try connection.send(piece) }
                let said = try connection.receive(exactly: hello.count + 2)
                #expect(Array(said.dropFirst(2)) == hello)
                return String(decoding: said.prefix(1), as: UTF8.self)
            } catch is ConnectionReset {
                return nil
            } catch let end as TestFailure where "\(end)".contains("stream ended after 0 ") {
                return nil
            }
        }
        #expect(try answers(clientHello("a.test"), cut: true) == "a")
        #expect(try answers(clientHello("A.TEST")) == "a")
        #expect(try answers(clientHello("away.test")) == "b")
        #expect(try answers(clientHello("")) == nil)
        var seen: Set<String?> = []
        for _ in 0..<80 { seen.insert(try answers(clientHello("split.test"))) }
        #expect(seen == ["a", nil])
        try site.folder.replace("site.yaml", documents("HTTPRoute"))
        #expect(try site.admin("POST", "/reload").status == 200)
        #expect(try answers(clientHello("away.test")) == nil)
        #expect(try answers(clientHello("a.test")) == "a")
        withExtendedLifetime((a, b)) {}
    }
}
