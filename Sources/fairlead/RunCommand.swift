// `fairlead run`.
internal import ArgumentParser
internal import Base
internal import Loop

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the proxy from YAML files and folders.",
        discussion: """
            Folders are read recursively (*.yaml, *.yml); - is standard input. Prints one line a listener \
            once it accepts, then ready. Each flag has an environment twin, FAIRLEAD_<FLAG>; a flag beats it.
            """)

    @Argument(help: ArgumentHelp("Files and folders, or - for standard input.", valueName: "path"))
    var paths: [String] = []

    @Option(help: "Event-loop threads (default: the processors allowed).")
    var workers: String?

    @Option(help: ArgumentHelp("Admin address (default 127.0.0.1:15000).", valueName: "host:port"))
    var admin: String?

    @Option(help: ArgumentHelp("Which Proxy document is this one.", valueName: "namespace/name"))
    var proxy: String?

    @Option(
        name: .customLong("port"),
        help: ArgumentHelp("Bind TO where the configuration says FROM; repeatable.", valueName: "from=to"))
    var port: [String] = []

    @Option(
        help: ArgumentHelp(
            "Ask this DNS server instead of those of /etc/resolv.conf; repeatable.",
            valueName: "address[:port]"))
    var dns: [String] = []

    @Option(help: "trace, debug, info, warning, error or off.")
    var logLevel: String?

    @Option(help: "Of logs, the access log included: text or json.")
    var logFormat: String?

    @Option(help: ArgumentHelp("FILE, - for standard output, or off (default).", valueName: "file"))
    var accessLog: String?

    @Option(help: ArgumentHelp("How long requests in flight may take on TERM.", valueName: "seconds"))
    var drainSeconds: String?

    func run() throws {
        let paths = self.paths.isEmpty ? environmentPaths : self.paths
        if paths.isEmpty {
            throw ValidationError("nothing to run: name a file, a folder, or - for standard input")
        }
        try ControlLoop(options: try options(), paths: paths).run()
    }

    private var environmentPaths: [String] {
        flagOrEnvironment(nil, "PATHS")?.split(separator: ":").map(String.init) ?? []
    }

    private func options() throws -> RunOptions {
        if let level = flagOrEnvironment(logLevel, "LOG_LEVEL") {
            guard let value = LogLevel(level) else {
                throw ValidationError(
                    "--log-level \(level): not one of trace, debug, info, warning, error, off")
            }
            Log.set(level: value)
        }
        let format = flagOrEnvironment(logFormat, "LOG_FORMAT") ?? "text"
        guard format == "text" || format == "json" else {
            throw ValidationError("--log-format \(format): not text or json")
        }
        Log.set(json: format == "json")
        var count = Thread.processorsAllowed
        if let text = flagOrEnvironment(workers, "WORKERS") {
            guard let value = Int(text), (1...Limits.workers).contains(value) else {
                throw ValidationError("--workers \(text): not a number from 1 to \(Limits.workers)")
            }
            count = value
        }
        let adminText = flagOrEnvironment(admin, "ADMIN") ?? "127.0.0.1:15000"
        guard let address = parseAddress(adminText) else {
            throw ValidationError("--admin \(adminText): not HOST:PORT with an IP address or localhost")
        }
        let portTexts =
            port.isEmpty
            ? (flagOrEnvironment(nil, "PORT")?.split(separator: ",").map(String.init) ?? []) : port
        let ports = try portTexts.map { text in
            guard let mapping = PortMapping(text) else {
                throw ValidationError("--port \(text): not FROM=TO with port numbers")
            }
            return mapping
        }
        for (index, mapping) in ports.enumerated() {
            if let first = ports[..<index].first(where: { $0.from == mapping.from }) {
                throw ValidationError(
                    "--port \(mapping.from)=\(mapping.to): \(mapping.from) is to be \(first.to) already")
            }
        }
        let dnsTexts =
            dns.isEmpty ? (flagOrEnvironment(nil, "DNS")?.split(separator: ",").map(String.init) ?? []) : dns
        let dnsServers = try dnsTexts.map { text in
            guard let server = parseDNSServer(text) else {
                throw ValidationError("--dns \(text): not an IP address, with or without a port")
            }
            return server
        }
        var drain: UInt64?
        if let text = flagOrEnvironment(drainSeconds, "DRAIN_SECONDS") {
            guard let value = UInt64(text), value <= 86_400 else {
                throw ValidationError("--drain-seconds \(text): not a number of seconds up to 86400")
            }
            drain = value
        }
        return RunOptions(
            workers: count, admin: address, proxy: flagOrEnvironment(proxy, "PROXY"), ports: ports,
            accessLog: flagOrEnvironment(accessLog, "ACCESS_LOG") ?? "off", logFormat: format,
            drainSeconds: drain, dnsServers: dnsServers)
    }
}
