// One nginx that serves and stores files by HTTP/1.1 and HTTP/2, plain and inside TLS, behind an edge that
// takes all four as well: what the tests of large bodies push through.
import Glibc
import TestSupport

/// What carries a body on one side of the proxy.
enum BodyHop: String, CaseIterable {
    case h1
    case h1TLS = "h1-tls"
    case h2c
    case h2TLS = "h2-tls"

    var isTLS: Bool { self == .h1TLS || self == .h2TLS }
    var isH2: Bool { self == .h2c || self == .h2TLS }
}

/// One body through the proxy.
struct BodyPassage: CustomStringConvertible {
    var downstream: BodyHop
    var upstream: BodyHop
    var isUpload: Bool
    /// Else its sender does not say how long it is: chunks in HTTP/1.1, END_STREAM in HTTP/2.
    var hasLength: Bool

    var description: String {
        "\(downstream.rawValue) > \(upstream.rawValue) \(isUpload ? "up" : "down") "
            + (hasLength ? "with its length" : "without a length")
    }
}

final class LargeBodySite {
    let site: LaneSite
    /// SHA-256 of what is sent, in hexadecimal.
    let digest: String
    private let files: TemporaryDirectory
    private let nginx: RunningProcess
    private let certificates: TestCertificates

    init(bytes: Int) throws {
        files = try TemporaryDirectory()
        certificates = try TestCertificates()
        let pair = try certificates.make("app", ["DNS:app.test"])
        try files.write("put/small", "")
        try files.write("small", String(repeating: "small ", count: 100_000))
        let sent = files.file("sent")
        // A cipher's output: nothing on the way can take it for something shorter.
        try Self.shell(
            "openssl enc -aes-128-ctr -nosalt -pass pass:x -in /dev/zero 2>/dev/null "
                + "| head -c \(bytes) > \(sent)")
        digest = try Self.sha256(sent)
        let ports = try BodyHop.allCases.map { ($0, try freeLoopbackPort()) }
        try files.write("nginx.conf", Self.nginxConfiguration(files.path, ports, pair))
        nginx = try RunningProcess([
            "nginx", "-p", files.path, "-c", files.file("nginx.conf"), "-e", "stderr",
        ])
        let (nginx, first) = (nginx, ports[0].1)
        try waitUntil("nginx to listen") {
            if nginx.exitCode != nil { throw TestFailure("nginx: \(nginx.stderr)") }
            return (try? RawConnection(port: first)) != nil
        }
        site = try LaneSite(Self.documents(ports, pair, certificates.authority), ports: [80, 443])
    }

    deinit { nginx.signal(SIGKILL) }

    private static func nginxConfiguration(
        _ folder: String, _ ports: [(BodyHop, UInt16)], _ pair: TestCertificates.Pair
    ) -> String {
        let listen = ports.map { hop, port in
            "listen 127.0.0.1:\(port)\(hop.isTLS ? " ssl" : "")\(hop.isH2 ? " http2" : "");"
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder)/parts;"
        }
        return """
            daemon off;
            master_process off;
            pid \(folder)/nginx.pid;
            error_log stderr error;
            events { worker_connections 512; }
            http {
              access_log off;
              client_max_body_size 0;
              keepalive_requests 1000000;
              \(temporary.joined(separator: "\n  "))
              ssl_certificate \(pair.certificate);
              ssl_certificate_key \(pair.key);
              server {
                \(listen.joined(separator: "\n    "))
                root \(folder);
                location /put/ { dav_methods PUT; }
                location /length/ { alias \(folder)/; }
                # What includes are looked for in has no length.
                location /open/ { alias \(folder)/; ssi on; ssi_types *; }
              }
            }

            """
    }

    private static func documents(
        _ ports: [(BodyHop, UInt16)], _ pair: TestCertificates.Pair, _ authority: String
    ) -> String {
        let services = ports.map { hop, port in
            serviceEntry("\(hop.rawValue).test", protocol: hop.isH2 ? "HTTP2" : "HTTP", endpoints: [port])
        }
        let rules = ports.filter { $0.0.isTLS }.map { hop, _ in
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: \(hop.rawValue), namespace: shop}
            spec:
              host: \(hop.rawValue).test
              trafficPolicy: {tls: {mode: SIMPLE, caCertificates: \(authority), sni: app.test}}
            """
        }
        let routes = ports.map { hop, _ in
            """
            - match: [{uri: {prefix: /\(hop.rawValue)/}}]
              rewrite: {uri: /}
              route: [{destination: {host: \(hop.rawValue).test, port: {number: 8080}}}]
            """
        }
        let secure = """
            port: {number: 443, name: https, protocol: HTTPS}
            bind: 127.0.0.1
            hosts: ["*"]
            tls: {mode: SIMPLE, serverCertificate: \(pair.certificate), privateKey: \(pair.key)}
            """
        return Documents.join(
            [edgeGateway(servers: [plainServer(), secure])] + services + rules + [
                Documents.virtualService("*", gateways: "[public]", routes.joined(separator: "\n"))
            ])
    }

    // MARK: passages

    /// Sends a body, or a small one before it; throws unless what arrives is what was sent. Meanwhile the
    /// large one's receiver stands still for a moment, until everything on the way is full.
    func pass(_ passage: BodyPassage, small: Bool = false) throws {
        let (name, stallMs) = small ? ("small", 0) : ("sent", 150)
        if passage.isUpload {
            try upload(passage, name, stallMs)
        } else {
            try download(passage, name, stallMs)
        }
    }

    private func upload(_ passage: BodyPassage, _ name: String, _ stallMs: Int) throws {
        let stored = "put/\(passage.downstream.rawValue)-\(passage.upstream.rawValue)"
        let source = passage.hasLength ? "-T \(files.file(name))" : "-T - < \(files.file(name))"
        if stallMs > 0 { nginx.signal(SIGSTOP) }
        defer { nginx.signal(SIGCONT) }
        let curl = try start(passage, "/\(stored)", "-H Expect: -o /dev/null -w '%{http_code}' \(source)")
        sleepMs(stallMs)
        nginx.signal(SIGCONT)
        _ = try curl.waitForExit(.seconds(1_200))
        guard ["201", "204"].contains(curl.stdout) else {
            throw TestFailure("\(passage): \(curl.stdout) \(curl.stderr)")
        }
        try compare(passage, name, Self.sha256(files.file(stored)))
        files.remove(stored)
    }

    private func download(_ passage: BodyPassage, _ name: String, _ stallMs: Int) throws {
        let path = passage.hasLength ? "/length/\(name)" : "/open/\(name)"
        let curl = try start(passage, path, "| { sleep \(Double(stallMs) / 1_000); sha256sum; }")
        _ = try curl.waitForExit(.seconds(1_200))
        guard curl.exitCode == 0 else { throw TestFailure("\(passage): \(curl.stderr)") }
        try compare(passage, name, String(curl.stdout.prefix { $0 != " " }))
    }

    private func compare(_ passage: BodyPassage, _ name: String, _ got: String) throws {
        let expected = name == "sent" ? digest : try Self.sha256(files.file(name))
        guard got == expected else { throw TestFailure("\(passage): another body arrived") }
    }

    /// curl to the edge; `more`: the end of the shell's line.
    private func start(_ passage: BodyPassage, _ path: String, _ more: String) throws -> RunningProcess {
        let hop = passage.downstream
        let version = hop.isH2 ? (hop.isTLS ? "--http2" : "--http2-prior-knowledge") : "--http1.1"
        let port = site.port(hop.isTLS ? 443 : 80)
        let url = "\(hop.isTLS ? "https" : "http")://app.test:\(port)/\(passage.upstream.rawValue)\(path)"
        return try RunningProcess([
            "bash", "-c",
            "set -o pipefail; curl -q -sS --fail --noproxy '*' --max-time 1200 \(version) "
                + "--cacert \(certificates.authority) --resolve app.test:\(port):127.0.0.1 \(url) \(more)",
        ])
    }

    private static func sha256(_ path: String) throws -> String {
        String(try shell("sha256sum < \(path)").prefix { $0 != " " })
    }

    @discardableResult
    private static func shell(_ line: String) throws -> String {
        let process = try RunningProcess(["bash", "-euc", line])
        guard try process.waitForExit(.seconds(600)) == 0 else { throw TestFailure(process.stderr) }
        return process.stdout
    }

    // MARK: memory

    /// From now on the highest resident size is counted anew (proc(5), clear_refs). A kernel that cannot do
    /// that goes on counting from the start.
    func forgetPeak() {
        let descriptor = open("/proc/\(site.process.pid)/clear_refs", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "5", 1)
        close(descriptor)
    }

    /// The highest resident size since then, KiB.
    func peakKiB() throws -> Int {
        let status = String(decoding: readFile("/proc/\(site.process.pid)/status") ?? [], as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        guard let size = line?.split(separator: " ").dropLast().last.flatMap({ Int($0) }) else {
            throw TestFailure("no VmHWM")
        }
        return size
    }
}
