// Programs that real users talk HTTP/2 and gRPC with: scripts of Tests/Fixtures/clients in a Python of their
// own with libraries from PyPI, made on first use beside the build's products.
import TestSupport
import Testing

enum WireClients {
    private static let libraries = ["grpcio==1.85.1", "h2==4.4.1", "websockets==15.0.1"]

    private static let folder: String =
        "\(#filePath)".split(separator: "/").dropLast(2)
        .reduce("") { "\($0)/\($1)" } + "/Fixtures/clients"

    /// The interpreter, with the libraries. Suites may ask at the same time: the lock of a folder's making
    /// lets one of them install.
    private static func python() throws -> String {
        let parts = try Programs.fairlead().split(separator: "/")
        guard let build = parts.firstIndex(of: ".build") else { throw TestFailure("not built under .build") }
        let place = "/" + parts[...build].joined(separator: "/") + "/wire-clients"
        let packages = libraries.joined(separator: " ")
        let script = """
            exec 9>"\(place).lock"; flock 9
            if ! "\(place)/bin/python3" -c 'import grpc, h2, websockets' 2>/dev/null; then
              python3 -m venv --clear "\(place)"
              "\(place)/bin/python3" -m pip install -q --disable-pip-version-check \(packages)
            fi
            """
        let made = try RunningProcess(["bash", "-euc", script])
        guard try made.waitForExit(.seconds(300)) == 0 else {
            throw TestFailure("cannot install \(libraries) from PyPI: \(made.stderr)")
        }
        return "\(place)/bin/python3"
    }

    /// Starts a server script that prints its port first.
    static func start(_ script: String, _ arguments: [String] = []) throws -> (RunningProcess, UInt16) {
        let process = try RunningProcess([python(), "\(folder)/\(script).py"] + arguments)
        let line = try process.waitForLine("port ")
        guard let port = UInt16(line.dropFirst(5)) else { throw TestFailure("no port: \(line)") }
        return (process, port)
    }

    /// Runs a client script to its end; what it printed. Throws when it failed.
    @discardableResult
    static func run(_ script: String, _ arguments: [String]) throws -> String {
        let process = try RunningProcess([python(), "\(folder)/\(script).py"] + arguments)
        let exit = try process.waitForExit(.seconds(300))
        guard exit == 0 else { throw TestFailure("\(script): \(process.stdout)\(process.stderr)") }
        return process.stdout
    }
}

/// An edge whose paths lead to upstreams of any protocol.
final class H2Site {
    let process: RunningProcess
    let port: UInt16
    let adminPort: UInt16
    private let folder: TemporaryDirectory

    /// Each entry: a path's beginning, the port's protocol (`HTTP`, `HTTP2`, `GRPC`), the upstream's port.
    init(_ routes: [(path: String, protocol: String, port: UInt16)], more: String = "") throws {
        folder = try TemporaryDirectory()
        try folder.write("edge.yaml", Self.documents(routes) + more)
        port = try freeLoopbackPort()
        process = try RunningProcess([
            Programs.fairlead(), "run", folder.path, "--admin", "127.0.0.1:0", "--port", "80=\(port)",
            "--workers", "1",
        ])
        try process.waitForLine("ready")
        let line = try process.waitForLine("admin on ")
        adminPort = line.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
    }

    static func documents(_ routes: [(path: String, protocol: String, port: UInt16)]) -> String {
        let entries = routes.enumerated().map { index, route in
            serviceEntry("app-\(index).test", protocol: route.protocol, endpoints: [route.port]) + "\n---\n"
        }
        let matches = routes.enumerated().map { index, route in
            """
            - match: [{uri: {prefix: \(route.path)}}]
              route: [{destination: {host: app-\(index).test, port: {number: 8080}}}]
            """
        }
        return """
            \(edgeGateway())
            ---
            \(entries.joined())\(edgeRoutes(matches.joined(separator: "\n")))

            """
    }

    func metrics() throws -> String {
        let client = try RawConnection(port: adminPort)
        try client.send("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        return try client.response().text
    }

    /// The value of a sample without labels; 0: there is none.
    func gauge(_ name: String) throws -> Int {
        let line = try metrics().split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
    }
}
