// The services of the demo: small programs that know nothing of lanes. Each answers a GET with who it is and
// what the services behind it said, and asks those through its own sidecar, by Host alone.
internal import Loop
internal import Synchronization

/// What an application copies from the request it got to the requests it makes.
enum Forwarding: String {
    case header = "x-feat-name"
    case baggage
    case nothing
}

/// What a service does for a path.
struct Errand: Equatable {
    /// Host to ask and the path there, in order.
    var calls: [(host: String, path: String)]
    var forwards: Forwarding

    static func == (one: Errand, other: Errand) -> Bool {
        one.forwards == other.forwards && one.calls.map(\.host) == other.calls.map(\.host)
            && one.calls.map(\.path) == other.calls.map(\.path)
    }

    /// Nil: 404. Every version of a service does the same; only its name differs.
    static func of(service: String, path: String) -> Errand? {
        switch (service, path) {
        case ("frontend", "/"):
            Errand(calls: [("auth-svc", "/login"), ("info-svc", "/about")], forwards: .header)
        case ("frontend", "/login"): Errand(calls: [("auth-svc", "/login")], forwards: .header)
        case ("frontend", "/report"): Errand(calls: [("info-svc", "/report")], forwards: .header)
        case ("frontend", "/old-report"): Errand(calls: [("info-svc", "/old-report")], forwards: .header)
        case ("auth", "/login"): Errand(calls: [("session-restapi", "/session")], forwards: .nothing)
        case ("info", "/about"): Errand(calls: [], forwards: .baggage)
        case ("info", "/report"): Errand(calls: [("session-restapi", "/count")], forwards: .baggage)
        // The same service by an older client library, which drops what it does not know.
        case ("info", "/old-report"): Errand(calls: [("session-restapi", "/count")], forwards: .nothing)
        case ("session", "/session"), ("session", "/count"): Errand(calls: [], forwards: .nothing)
        default: nil
        }
    }
}

struct Application: Sendable {
    /// Beyond these the application closes new connections; its sidecar pools a few.
    private static let connectionLimit = 128
    let pod: Pod
    let site: Site

    /// Listens, and serves on threads of its own until the listener, which it returns, is shut down.
    @discardableResult
    func start() throws(DemoError) -> Int32 {
        let address = site.application(pod)
        guard let listener = BlockingSocket.listen(on: address) else {
            throw DemoError("\(pod.name) cannot listen on \(address.text)")
        }
        let open = Connections()
        let thread = Thread(name: "app-\(pod.host)") {
            while let peer = BlockingSocket.accept(on: listener) {
                let isRoom = open.count.add(1, ordering: .relaxed).newValue <= Self.connectionLimit
                let thread = isRoom ? serveApart(peer, open) : nil
                if thread == nil {
                    _ = BlockingSocket(peer)
                    open.count.subtract(1, ordering: .relaxed)
                }
            }
            _ = BlockingSocket(listener)
        }
        if thread == nil { throw DemoError("no thread for \(pod.name)") }
        return listener
    }

    private final class Connections: Sendable {
        let count = Atomic<Int>(0)
    }

    private func serveApart(_ peer: Int32, _ open: Connections) -> Thread? {
        Thread(name: "app-\(pod.host)") {
            serve(BlockingSocket(peer))
            open.count.subtract(1, ordering: .relaxed)
        }
    }

    /// Requests of one connection until it ends.
    private func serve(_ connection: BlockingSocket) {
        while let request = Message.request(on: connection) {
            if !connection.send(answer(request)) { return }
            if request.values("connection").contains(where: { $0.lowercased() == "close" }) { return }
        }
    }

    private func answer(_ request: Message) -> [UInt8] {
        guard let errand = Errand.of(service: pod.service, path: request.path) else {
            return Message.response(404, "text/plain", "\(pod.service) has nothing at \(request.path)\n")
        }
        var hop = Hop(service: pod.service, version: pod.version)
        let carried = Self.carriers(of: request)
        hop.heard = carried.map(\.name)
        hop.forwards = errand.forwards.rawValue
        let lines = carried.filter { $0.name == errand.forwards.rawValue }.map { "\($0.name): \($0.line)" }
        hop.calls = errand.calls.map { ask($0.host, $0.path, lines) }
        return Self.render(hop, for: request)
    }

    /// The lines of a request that carry a lane, as far as the applications know: for what people see.
    private static func carriers(of request: Message) -> [(name: String, line: String)] {
        let header = request.values("x-feat-name").map { ("x-feat-name", $0) }
        let baggage = request.values("baggage").filter { $0.contains("x-feat-name=") }.map { ("baggage", $0) }
        return header + baggage
    }

    private func ask(_ host: String, _ path: String, _ lines: [String]) -> Hop {
        let service = String(host.prefix { $0 != "-" })
        var failed = Hop(service: service, version: "")
        let answer = Message.get(
            path, from: site.outbound(pod), host: host, lines + ["accept: application/json"])
        guard let answer else {
            failed.error = "no answer from the sidecar"
            return failed
        }
        if answer.status == 200, let hop = Hop(json: answer.text) { return hop }
        let reason = answer.value("x-fairlead-reason").map { " \($0)" } ?? ""
        failed.error = "\(answer.status)\(reason)"
        return failed
    }

    /// JSON for programs, a page for browsers, a drawing for curl.
    private static func render(_ hop: Hop, for request: Message) -> [UInt8] {
        let accept = request.value("accept") ?? "*/*"
        if accept.contains("application/json") {
            return Message.response(200, "application/json", hop.json + "\n")
        }
        let drawing = hop.drawing.joined(separator: "\n") + "\n"
        if accept.contains("text/html") { return Message.response(200, "text/html", page(drawing)) }
        return Message.response(200, "text/plain; charset=utf-8", drawing)
    }

    private static func page(_ drawing: String) -> String {
        let escaped = drawing.map { character in
            switch character {
            case "<": "&lt;"
            case ">": "&gt;"
            case "&": "&amp;"
            default: String(character)
            }
        }
        return """
            <!doctype html><meta charset="utf-8"><title>Fairlead demo</title>
            <body style="font: 16px/1.5 system-ui; margin: 3em">
            <h1>Who answered</h1><pre style="font-size: 15px">\(escaped.joined())</pre>
            <p><a href="/?x-feat-name=auth-refactor">enter auth-refactor</a> ·
            <a href="/">again</a> · <a href="/report">by baggage alone</a> ·
            <a href="/old-report">forwarding nothing</a> · <a href="/?x-feat-name=">leave</a></p>

            """
    }
}
