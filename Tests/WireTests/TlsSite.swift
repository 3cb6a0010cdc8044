// A running edge with TLS in front of plain or encrypted upstreams, and the certificates of both: what the
// TLS tests talk to.
import TestSupport

final class TlsSite: Sendable {
    let certificates: TestCertificates
    let folder: TemporaryDirectory
    let process: RunningProcess
    /// Of the HTTPS listener.
    let port: UInt16
    let plainPort: UInt16
    let adminPort: UInt16

    /// `servers`: the HTTPS servers of the Gateway, one YAML list item each without its port. `rules`: more
    /// documents. `/tls` goes to `secure` (an endpoint's port 8443), all else to `upstream`.
    init(
        upstream: UInt16, secure: UInt16 = 1, servers: [String], documents: String = "",
        spec: [String] = [], annotations: String = "", arguments: [String] = [],
        certificates: TestCertificates? = nil
    ) throws {
        let made = try certificates ?? TestCertificates()
        self.certificates = made
        folder = made.folder
        try folder.write(
            "conf/edge.yaml", Self.documents(upstream, secure, servers, spec, annotations) + documents)
        port = try freeLoopbackPort()
        plainPort = try freeLoopbackPort()
        process = try RunningProcess(
            [
                Programs.fairlead(), "run", folder.file("conf"), "--admin", "127.0.0.1:0", "--port",
                "443=\(port)", "--port", "80=\(plainPort)", "--access-log", folder.file("access.log"),
            ] + (arguments.contains("--workers") ? [] : ["--workers", "1"]) + arguments)
        try process.waitForLine("ready")
        let line = try process.waitForLine("admin on ")
        adminPort = line.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
    }

    static func documents(
        _ upstream: UInt16, _ secure: UInt16, _ servers: [String], _ spec: [String] = [],
        _ annotations: String = ""
    ) -> String {
        let secured = servers.enumerated().map { index, server in
            "port: {number: 443, name: https-\(index), protocol: HTTPS}\nbind: 127.0.0.1\n\(server)"
        }
        let plain = plainServer() + "\ntls: {httpsRedirect: true}"
        return """
            \(edgeGateway(spec: spec, annotations: annotations, servers: [plain] + secured))
            ---
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: app, namespace: shop}
            spec:
              hosts: [app.test]
              resolution: STATIC
              location: MESH_INTERNAL
              ports:
              - {number: 8080, name: http, protocol: HTTP}
              - {number: 8443, name: https, protocol: HTTPS}
              endpoints:
              - {address: 127.0.0.1, ports: {http: \(upstream), https: \(secure)}}
            ---
            \(edgeRoutes("""
                - match: [{uri: {prefix: /direct}}]
                  directResponse: {status: 200, body: {string: "direct"}}
                - match: [{uri: {prefix: /tls}}]
                  route: [{destination: {host: app.test, port: {number: 8443}}}]
                - route: [{destination: {host: app.test, port: {number: 8080}}}]
                """))
            ---

            """
    }

    /// A DestinationRule for the upstream's TLS port.
    static func rule(_ tls: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: app, namespace: shop}
        spec:
          host: app.test
          trafficPolicy:
            portLevelSettings:
            - port: {number: 8443}
              tls: \(tls)

        """
    }

    /// curl's arguments for any host at this edge.
    private func arguments(_ host: String, _ more: [String]) -> [String] {
        ["--resolve", "\(host):\(port):127.0.0.1", "--cacert", certificates.authority]
            + (more.contains("--http2") ? [] : ["--http1.1"]) + more
    }

    /// Runs curl against `https://HOST:PORT/PATH`; throws when curl fails.
    func curl(_ host: String, _ path: String, _ more: [String] = []) throws -> String {
        try Programs.curl(arguments(host, more) + ["https://\(host):\(port)\(path)"])
    }

    /// The same for requests that curl is to fail on: its exit code and what it said.
    func curlFailure(_ host: String, _ path: String, _ more: [String] = []) throws -> (Int32, String) {
        let ended = try Programs.result(
            ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "20"] + arguments(host, more)
                + ["https://\(host):\(port)\(path)"])
        return (ended.exit, ended.stderr + ended.stdout)
    }

    /// Runs `openssl s_client` until the end of its input; returns all it printed.
    func client(_ host: String, _ more: [String] = [], input: String = "") throws -> String {
        let ended = try Programs.result(
            [
                "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-servername", host, "-CAfile",
                certificates.authority,
            ] + more, input: Array(input.utf8))
        return ended.stdout + ended.stderr
    }

    // MARK: admin

    func admin(_ path: String) throws -> HTTPMessage {
        let client = try RawConnection(port: adminPort)
        try client.send("GET \(path) HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        return try client.response()
    }

    /// One sample of `/metrics`, labels included.
    func metric(_ sample: String) throws -> Int {
        for line in try admin("/metrics").text.split(separator: "\n") where line.hasPrefix(sample + " ") {
            return line.split(separator: " ").last.flatMap { Double($0) }.map { Int($0) } ?? -1
        }
        throw TestFailure("/metrics has no \(sample)")
    }

    /// Counters move just after the bytes they count.
    func expectMetric(_ sample: String, atLeast value: Int) throws {
        try waitUntil("\(sample) to be \(value)") { try metric(sample) >= value }
    }

    /// The access log's lines so far.
    var accessLog: String {
        String(decoding: readFile(folder.file("access.log")) ?? [], as: UTF8.self)
    }

    func waitForLog(_ text: String) throws {
        try waitUntil("\(text) in the access log") { accessLog.contains(text) }
    }

    /// Waits for a new configuration; the log says so.
    func waitForReloads(_ count: Int) throws {
        let sample = "fairlead_config_reload_total{result=\"success\"}"
        try waitUntil("reload \(count)") { try metric(sample) >= count }
    }
}
