// `fairlead healthcheck`: whether the proxy in this container is ready. Images hold no curl.
internal import ArgumentParser

struct HealthcheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck",
        abstract: "Ask a running proxy whether it is ready; exit 0 if so, 1 if not.")

    @Option(help: ArgumentHelp("Its admin address (default 127.0.0.1:15000).", valueName: "host:port"))
    var admin: String?

    func run() throws {
        let text = flagOrEnvironment(admin, "ADMIN") ?? "127.0.0.1:15000"
        guard let address = parseAddress(text) else {
            throw ValidationError("--admin \(text): not HOST:PORT with an IP address or localhost")
        }
        let answer = AdminClient(address).get("/ready")
        if answer?.status == 200 { return }
        writeText("fairlead: \(text): \(answer.map { "answered \($0.status)" } ?? "no answer")\n", to: 2)
        throw ExitStatus.refused
    }
}
