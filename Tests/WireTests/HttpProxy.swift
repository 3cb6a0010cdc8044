// A running edge in front of scripted upstreams: what the HTTP tests over real sockets talk to.
import TestSupport

final class HttpProxy: Sendable {
    let process: RunningProcess
    let port: UInt16
    let adminPort: UInt16
    let folder: TemporaryDirectory
    /// What it sends requests to lives as long as it does.
    private let upstreams: [any AnyObject & Sendable]
    /// Open when it had become ready.
    let descriptorsAtStart: Int

    /// An edge on a port of its own whose every request goes to the endpoints at `upstreams`, but for
    /// `/direct` (answered by the proxy itself) and `/timeout` (300 ms). `spec`: lines of the Proxy's spec.
    convenience init(
        to upstreams: [UInt16], spec: [String] = [], arguments: [String] = [],
        environment: [String: String] = [:], shell: String? = nil
    ) throws {
        try self.init(
            edgeDocuments(to: upstreams, spec: spec), arguments: arguments, environment: environment,
            shell: shell)
    }

    /// An edge of the given documents, whose port 80 it takes for its own. `holding`: the upstreams that only
    /// the documents name.
    init(
        _ documents: String, holding upstreams: [any AnyObject & Sendable] = [], arguments: [String] = [],
        environment: [String: String] = [:], shell: String? = nil
    ) throws {
        self.upstreams = upstreams
        folder = try TemporaryDirectory()
        try folder.write("conf/edge.yaml", documents)
        port = try freeLoopbackPort()
        var command =
            try [Programs.fairlead(), "run", folder.file("conf"), "--admin", "127.0.0.1:0"]
            + ["--port", "80=\(port)"] + arguments
        if !arguments.contains("--workers") { command += ["--workers", "1"] }
        if let shell { command = ["bash", "-c", "\(shell); exec \"$@\"", "bash"] + command }
        process = try RunningProcess(command, environment: environment)
        try process.waitForLine("ready")
        let line = try process.waitForLine("admin on ")
        adminPort = line.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        descriptorsAtStart = listFolder("/proc/\(process.pid)/fd").count
    }

    func connect(receiveBytes: Int32? = nil) throws -> RawConnection {
        try RawConnection(port: port, receiveBytes: receiveBytes)
    }

    /// Sends raw bytes on a fresh connection, half-closes, and returns all that comes back; a reset at the
    /// end counts as an end.
    func exchange(_ bytes: [UInt8], halfClose: Bool = true) throws -> String {
        let client = try connect()
        do {
            try client.send(bytes)
            if halfClose { client.halfClose() }
            return String(decoding: try client.receiveToEnd(), as: UTF8.self)
        } catch let reset as ConnectionReset {
            return String(decoding: reset.received, as: UTF8.self)
        }
    }

    func exchange(_ text: String, halfClose: Bool = true) throws -> String {
        try exchange(Array(text.utf8), halfClose: halfClose)
    }

    // MARK: admin

    func admin(_ method: String, _ path: String) throws -> HTTPMessage {
        let client = try RawConnection(port: adminPort)
        try client.send(
            "\(method) \(path) HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        return try client.response()
    }

    /// The sum over all samples of a family whose labels contain every one of `labels`.
    func metric(_ family: String, _ labels: String...) throws -> Int { try metric(family, labels) }

    /// Waits until `metric` is `value`: counters move just after the bytes they count.
    func expectMetric(_ value: Int, _ family: String, _ labels: String...) throws {
        var last = -1
        do {
            try waitUntil("") {
                last = try metric(family, labels)
                return last == value
            }
        } catch {
            throw TestFailure("\(family) \(labels) is \(last), not \(value)")
        }
    }

    private func metric(_ family: String, _ labels: [String]) throws -> Int {
        let page = try admin("GET", "/metrics").text
        var sum = 0
        for line in page.split(separator: "\n") where line.hasPrefix(family) {
            let rest = line.dropFirst(family.count)
            guard rest.hasPrefix("{") || rest.hasPrefix(" ") else { continue }
            guard labels.allSatisfy({ rest.contains($0) }) else { continue }
            sum += rest.split(separator: " ").last.flatMap { Double($0) }.map { Int($0) } ?? 0
        }
        return sum
    }

    /// Waits until nothing is under way and no buffer is held any more: nothing leaked.
    func waitUntilQuiet() throws {
        let gauges = [
            "fairlead_downstream_requests_active", "fairlead_downstream_connections_active",
            "fairlead_tunnels_active", "fairlead_memory_buffer_used_bytes",
        ]
        for gauge in gauges { try waitUntil("\(gauge) to be 0") { try metric(gauge) == 0 } }
    }

    /// Waits until nothing is left of what was served: no exchange, buffer or client, and no descriptor but
    /// those the process had at its start and the upstream connections it keeps.
    func waitUntilNothingIsLeft() throws {
        try waitUntilQuiet()
        var seen = ""
        do {
            try waitUntil("") {
                let open = try metric("fairlead_upstream_connections_active")
                let kept = try metric("fairlead_pool_idle_connections")
                let descriptors = listFolder("/proc/\(process.pid)/fd").count
                seen = "\(descriptors) descriptors, \(open) upstream connections, \(kept) of them kept"
                // The worker's pipe for splice(2) is made at its first use and stays.
                return open == kept && descriptors - kept <= descriptorsAtStart + 2
            }
        } catch {
            throw TestFailure("left: \(seen); \(descriptorsAtStart) descriptors at the start")
        }
    }

    /// Resident memory now, KiB.
    func residentKiB() throws -> Int {
        let status = String(decoding: readFile("/proc/\(process.pid)/status") ?? [], as: UTF8.self)
        for line in status.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            return Int(line.split(separator: " ").dropLast().last ?? "") ?? 0
        }
        throw TestFailure("no VmRSS of \(process.pid)")
    }
}

/// A response with a content-length.
func okResponse(_ body: String = "ok", _ lines: [String] = []) -> String {
    (["HTTP/1.1 200 OK"] + lines + ["content-length: \(body.utf8.count)", "", body]).joined(separator: "\r\n")
}
