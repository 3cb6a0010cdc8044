// An edge or a sidecar whose destinations are names, the DNS server that knows them, and upstreams on several
// addresses of loopback.
import TestSupport

struct DnsSite: Sendable {
    let dns: ScriptedDNS
    let proxy: HttpProxy

    /// The documents' listener has port 80. `upstreams` live as long as the site. `isKnown`: every name has
    /// an answer before the test goes on, which on a slow machine may take longer than the program waits for.
    init(
        _ dns: ScriptedDNS, to upstreams: [any AnyObject & Sendable] = [], _ documents: [String],
        isKnown: Bool = true
    ) throws {
        self.dns = dns
        // No search domains of this machine take part.
        proxy = try HttpProxy(
            Documents.join(documents), holding: upstreams, arguments: ["--dns", dns.address],
            environment: ["LOCALDOMAIN": "", "RES_OPTIONS": "ndots:1"])
        if !isKnown { return }
        try waitUntil("all names") {
            let clusters = try clusters()
            return !clusters.contains("\"state\":\"waiting\"") && !clusters.contains("\"state\":\"failing\"")
        }
    }

    static func sidecar(_ spec: String = "") -> String {
        """
        apiVersion: fairlead.dev/v1alpha1
        kind: Proxy
        metadata: {name: caller, namespace: shop, labels: {app: caller}}
        spec:
          role: sidecar
          outbound: {address: 127.0.0.1, port: 80}
        \(spec.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
        """
    }

    /// A ServiceEntry with one HTTP port, 80, that leads to `port`.
    static func entry(
        _ host: String, _ resolution: String, port: UInt16, _ more: String = ""
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: entry-\(host.filter { $0 != "*" && $0 != "." }), namespace: shop}
        spec:
          hosts: ["\(host)"]
          resolution: \(resolution)
          ports: [{number: 80, name: http, protocol: HTTP, targetPort: \(port)}]
        \(more.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
        """
    }

    func get(_ host: String, _ target: String = "/", on connection: RawConnection? = nil) throws -> LaneAnswer
    {
        let client = try connection ?? proxy.connect()
        try client.send("GET \(target) HTTP/1.1\r\nhost: \(host)\r\n\r\n")
        return LaneAnswer(response: try client.response())
    }

    /// Asks until an upstream of this name answers; every answer on the way must be a good one.
    func waitFor(_ upstream: String, at host: String, on connection: RawConnection? = nil) throws {
        try waitUntil("\(upstream) to serve \(host)") {
            let answer = try get(host, on: connection)
            guard answer.status == 200 else { throw TestFailure("\(answer)") }
            return answer.upstream == upstream
        }
    }

    func clusters() throws -> String { try proxy.admin("GET", "/clusters").text }
}

/// Upstreams on one port of several addresses: 127.0.0.1, 127.0.0.2 and so on.
func upstreamsOnOnePort(
    _ names: [String], respond: @escaping @Sendable (HTTPMessage) -> [UInt8]? = { _ in nil }
) throws -> [EchoUpstream] {
    while true {
        let port = try freeLoopbackPort()
        let made = names.enumerated().map { index, name in
            try? EchoUpstream(name, port: port, host: UInt8(index + 1), respond: respond)
        }
        let open = made.compactMap { $0 }
        if open.count == names.count { return open }
        for one in open { one.stop() }
    }
}
