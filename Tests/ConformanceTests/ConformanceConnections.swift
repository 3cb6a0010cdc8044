// Exchanges of the suite that are connections, not requests: TCPRoute and TLSRoute. Which backend each
// listener leads to is written in its tests' code; here it is read off the manifests by hand.
import TestSupport

enum ConformanceConnections {
    /// By test and listener port: the Service, and the server name of those that are TLS.
    static let expected: [String: [(port: UInt16, service: String, serverName: String?)]] = [
        "TCPRouteParentRefAttachAll": [
            (9310, "tcp-echo-attach-all", nil), (9311, "tcp-echo-attach-all", nil),
            (9312, "tcp-echo-attach-all", nil), (9313, "tcp-echo-attach-all", nil),
        ],
        "TCPRouteParentRefPortAndSectionName": [
            (9300, "tcp-echo-one", nil), (9301, "tcp-echo-two", nil), (9302, "tcp-echo-three", nil),
        ],
        "TLSRouteSimpleSameNamespace": [(443, "tcp-backend", "abc.example.com")],
        // The first ends at the edge and goes on plain, the second passes through.
        "TLSRouteMixedTerminationSameNamespace": [
            (8883, "tcp-backend", "tls.example.com"), (8883, "tcp-backend", "abc.example.com"),
        ],
        // Ends at the edge and begins anew.
        "BackendTLSPolicyTLSRouteTerminate": [(8443, "tcp-backend", "tls.example.com")],
    ]

    /// Sends bytes through a listener; what is wrong with those that come back, nil: nothing.
    static func problem(
        _ site: ConformanceSite, _ wanted: (port: UInt16, service: String, serverName: String?)
    ) throws -> String? {
        let connection = try RawConnection(port: site.port(wanted.port))
        let expected = "\(wanted.service):there and back"
        let seen: String
        if let name = wanted.serverName {
            let peer = try TLSPeer.client(connection, name)
            try peer.send("there and back")
            seen = try peer.receive(through: "and back")
        } else {
            try connection.send("there and back")
            seen = String(decoding: try connection.receive(exactly: expected.utf8.count), as: UTF8.self)
        }
        return seen == expected ? nil : "port \(wanted.port): \(seen), not \(expected)"
    }
}
