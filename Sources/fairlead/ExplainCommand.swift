// `fairlead explain`: the decision for one request, by the code that routes live traffic, or asked of a
// running proxy.
internal import Admin
internal import ArgumentParser
internal import Base
internal import Config
internal import Lanes

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Explain where one request would go, and why.",
        discussion: "Offline from PATHs, or with --admin HOST:PORT by a running proxy.")

    @Argument(help: ArgumentHelp("PATH... then the URL of the request.", valueName: "path... url"))
    var arguments: [String]

    @Option(name: .customShort("X"), help: ArgumentHelp("The method.", valueName: "method"))
    var method = "GET"

    @Option(name: .customShort("H"), help: ArgumentHelp("A field; repeatable.", valueName: "name: value"))
    var headers: [String] = []

    @Option(help: "text or json.")
    var format = "text"

    @Option(help: ArgumentHelp("Ask this running proxy.", valueName: "host:port"))
    var admin: String?

    @Option(help: ArgumentHelp("Which Proxy document decides.", valueName: "namespace/name"))
    var proxy: String?

    @Option(
        help: ArgumentHelp(
            "Which listener takes the request (default: the first that fits).", valueName: "name"))
    var listener: String?

    func run() throws {
        guard format == "text" || format == "json" else {
            throw ValidationError("--format \(format): not text or json")
        }
        guard let url = arguments.last else { throw ValidationError("name the URL of the request") }
        let fields = try headers.map(field)
        let query = ExplainQuery(
            method: method, url: url, headers: fields.map { ExplainQuery.Header(name: $0.0, value: $0.1) })
        if let problem = ExplainBody.problem(query) { throw ValidationError(problem) }
        if let admin {
            guard arguments.count == 1 else {
                throw ValidationError("with --admin a running proxy decides: give the URL only, no PATHs")
            }
            try ask(admin, url, fields)
            return
        }
        let paths = Array(arguments.dropLast())
        if paths.isEmpty { throw ValidationError("name the configuration's PATHs before the URL") }
        let loaded = Configuration.load(
            paths, proxy: flagOrEnvironment(proxy, "PROXY"), ports: [], generation: 1,
            registry: Lanes.Registry())
        guard let snapshot = loaded.snapshot else {
            writeText(renderCheck(loaded.findings, json: false), to: 2)
            throw loaded.unreadable ? ExitStatus.unreadable : ExitStatus.refused
        }
        let explanation = Lanes.explain(
            snapshot, method: method, url: url, headers: fields, listener: listener)
        if format == "json" {
            writeBytes(explanation.json() + [0x0A], to: 1)
        } else {
            writeText(explanation.text(), to: 1)
        }
    }

    private func field(_ text: String) throws -> (String, String) {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
            throw ValidationError("-H '\(text)': not 'Name: value'")
        }
        let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        return (String(text[..<colon]), String(value))
    }

    private func ask(_ admin: String, _ url: String, _ fields: [(String, String)]) throws {
        guard let address = parseAddress(admin) else {
            throw ValidationError("--admin \(admin): not HOST:PORT with an IP address or localhost")
        }
        var body = JSONWriter()
        body.object { request in
            request.member("method", method)
            request.member("url", url)
            request.object("headers") { list in
                var names: [String] = []
                for (name, _) in fields where !names.contains(name) { names.append(name) }
                for name in names { list.member(name, fields.filter { $0.0 == name }.map(\.1)) }
            }
        }
        let answer = AdminClient(address).post(
            format == "json" ? "/explain" : "/explain?format=text", body: body.finish())
        guard let answer, answer.status == 200 else {
            let said = answer.map { "answered \($0.status) \(String(decoding: $0.body, as: UTF8.self))" }
            writeText("fairlead: \(admin): \(said ?? "no answer")\n", to: 2)
            throw ExitStatus.refused
        }
        writeBytes(answer.body, to: 1)
    }
}
