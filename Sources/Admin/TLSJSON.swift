// The TLS of listeners and clusters as JSON: what a certificate says of itself, never its key.
internal import Base
internal import Lanes
internal import TLS

enum TLSJSON {
    /// Member `tls` of a listener: its servers by the names that choose them.
    static func listener(_ tls: ListenerTLSModel, _ model: RoutingModel, _ json: inout JSONWriter) {
        json.object("tls") {
            $0.array("servers") { list in
                for server in tls.servers {
                    list.object {
                        $0.member("name", server.name)
                        $0.member("hosts", server.hosts)
                        $0.member("mode", server.mode)
                        if let relay = server.relay {
                            $0.array("relay") { list in
                                for route in relay { list.object { RouteJSON.connection(route, &$0) } }
                            }
                        } else if model.routeTables.indices.contains(server.routeTable) {
                            $0.member("routeTable", model.routeTables[server.routeTable].name)
                        }
                        certificates(server.context.identities, &$0)
                        ModelJSON.source(server.source, &$0)
                    }
                }
            }
        }
    }

    /// Member `tls` of a cluster.
    static func cluster(_ tls: ClusterTLSModel, _ json: inout JSONWriter) {
        json.object("tls") {
            $0.member("mode", tls.mode)
            $0.member("sni", tls.serverName)
            if tls.context == nil { $0.member("problem", tls.problem) }
            if let identity = tls.context?.identity { certificates([identity], &$0) }
        }
    }

    private static func certificates(_ identities: [TLSIdentity], _ json: inout JSONWriter) {
        json.array("certificates") { list in
            for identity in identities {
                let leaf = identity.leaf
                list.object {
                    $0.member("subject", leaf.subject)
                    $0.member("issuer", leaf.issuer)
                    $0.member("subjectAltNames", leaf.names)
                    $0.member("notBefore", time(leaf.notBefore))
                    $0.member("notAfter", time(leaf.notAfter))
                    $0.member("serial", leaf.serial)
                    $0.member("fingerprintSHA256", leaf.fingerprint)
                    $0.member("key", leaf.key)
                    $0.member("chain", identity.information.dropFirst().map(\.subject))
                    $0.member("ocspStaple", identity.stapleEnd != nil)
                }
            }
        }
    }

    private static func time(_ seconds: Int64) -> String {
        UTCTime(nanoseconds: UInt64(max(0, seconds)) &* 1_000_000_000).text
    }
}
