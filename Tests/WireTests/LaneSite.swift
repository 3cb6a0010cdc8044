// A running fairlead over documents that a test wrote down, and what it answers. Suites share one each: a
// proxy takes longer to start than a test to run.
import Foundation
import TestSupport

/// `fairlead run` with ephemeral ports in place of the documents' own.
final class LaneSite: Sendable {
    let process: RunningProcess
    let folder: TemporaryDirectory
    let admin: UInt16
    private let ports: [UInt16: UInt16]

    /// `ports`: what the documents listen on. `files`: beside the documents, by name.
    init(
        _ yaml: String, ports: [UInt16] = [80], files: [String: String] = [:], workers: Int = 1,
        arguments: [String] = []
    ) throws {
        let folder = try TemporaryDirectory()
        self.folder = folder
        for (name, text) in files { try folder.write(name, text) }
        try folder.write("site.yaml", yaml)
        var attempt = 0
        while true {
            attempt += 1
            let admin = try freeLoopbackPort()
            let bound = try Dictionary(uniqueKeysWithValues: ports.map { ($0, try freeLoopbackPort()) })
            let process = try Programs.startFairlead(
                [
                    "run", folder.file("site.yaml"), "--workers", "\(workers)", "--admin",
                    "127.0.0.1:\(admin)",
                ] + bound.flatMap { ["--port", "\($0.key)=\($0.value)"] } + arguments)
            do {
                try process.waitForLine("ready")
            } catch  where process.exitCode == 3 && attempt < 4 {
                // Somebody else took a port between our asking and its binding.
                continue
            }
            (self.process, self.admin, self.ports) = (process, admin, bound)
            return
        }
    }

    /// The documents, for commands that read them.
    var path: String { folder.file("site.yaml") }

    /// Where the documents' `port` really listens.
    func port(_ port: UInt16 = 80) -> UInt16 { ports[port] ?? 0 }

    /// One GET on a connection of its own.
    func get(
        _ target: String, host: String, _ lines: [String] = [], port: UInt16 = 80
    ) throws -> LaneAnswer {
        try send("GET", target, host: host, lines, port: port)
    }

    func send(
        _ method: String, _ target: String, host: String, _ lines: [String] = [], port: UInt16 = 80
    ) throws -> LaneAnswer {
        let connection = try RawConnection(port: self.port(port))
        let head = ["\(method) \(target) HTTP/1.1", "Host: \(host)"] + lines
        try connection.send(head.joined(separator: "\r\n") + "\r\n\r\n")
        return LaneAnswer(response: try connection.response(toHead: method == "HEAD"))
    }

    /// One request to the admin port, with its status.
    func admin(_ method: String = "GET", _ path: String, body: String = "") throws -> HTTPMessage {
        let connection = try RawConnection(port: admin)
        let length = method == "POST" ? "Content-Length: \(body.utf8.count)\r\n" : ""
        try connection.send(
            "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(length)Connection: close\r\n\r\n\(body)")
        return try connection.response()
    }

    /// An admin page as a JSON object.
    func json(_ path: String) throws -> [String: Any] {
        let answer = try admin("GET", path)
        guard answer.status == 200 else { throw TestFailure("\(path): \(answer)") }
        return try jsonObject(answer.text)
    }

    /// The value of the sample with this name whose labels hold all of `labels` (`name="value"`), series
    /// added up; 0 where there is none.
    func metric(_ name: String, _ labels: String...) throws -> Int {
        let page = try admin("GET", "/metrics").text
        return page.split(separator: "\n").filter { line in
            (line.hasPrefix(name + "{") || line.hasPrefix(name + " "))
                && labels.allSatisfy { line.contains($0) }
        }.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0) { $0 + Int($1) }
    }

    /// Waits until a metric has risen to `value`: the worker counts after it has answered.
    func waitForMetric(_ name: String, _ labels: String, atLeast value: Int) throws {
        try waitUntil("\(name){\(labels)} >= \(value)") { try metric(name, labels) >= value }
    }
}

/// A response, and what an echoing upstream says of the request that reached it.
struct LaneAnswer: Sendable, CustomStringConvertible {
    let response: HTTPMessage

    var status: Int { response.status }
    /// Name of the upstream that answered; nil: the proxy did.
    var upstream: String? { response.value("x-upstream") }
    var reason: String? { response.value("x-fairlead-reason") }
    var cookies: [String] { response.values("set-cookie") }
    var description: String { response.description }

    /// The request as it reached the upstream.
    var seen: HTTPMessage {
        get throws {
            guard upstream != nil else { throw TestFailure("no upstream answered: \(response)") }
            return try HTTPMessage(rawHead: response.body)
        }
    }

    /// Values of a field of the request as it reached the upstream.
    func seen(_ name: String) throws -> [String] { try seen.values(name) }
}

func jsonObject(_ text: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    guard let object = value as? [String: Any] else { throw TestFailure("no JSON object: \(text)") }
    return object
}

/// An upstream that echoes, unless the request asks for an answer: `x-respond: STATUS|line|line`.
func puppet(_ name: String) throws -> EchoUpstream {
    try EchoUpstream(name) { request in
        guard let wish = request.value("x-respond") else { return nil }
        let parts = wish.split(separator: "|").map(String.init)
        guard let status = parts.first.flatMap({ Int($0) }) else { return nil }
        return EchoUpstream.response(
            status, ["x-upstream: \(name)"] + parts.dropFirst(), request.rawHead,
            toHead: request.method == "HEAD")
    }
}

/// A port on which nobody listens: connects to it are refused.
func refusedPort() throws -> UInt16 { try freeLoopbackPort() }
