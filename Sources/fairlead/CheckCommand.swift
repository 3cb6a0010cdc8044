// `fairlead check`.
internal import ArgumentParser
internal import Config

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Load and analyse configuration without running it.",
        discussion: """
            Prints one line a finding: FILE:LINE: error|warning [CODE] message. Exit 0 without errors, 1 \
            with errors (with --strict also warnings), 2 when something cannot be read.
            """)

    @Argument(help: ArgumentHelp("Files and folders, or - for standard input.", valueName: "path"))
    var paths: [String]

    @Option(help: "text or json.")
    var format = "text"

    @Flag(help: "Warnings count as errors.")
    var strict = false

    @Option(help: ArgumentHelp("Look as this Proxy only.", valueName: "namespace/name"))
    var proxy: String?

    func run() throws {
        guard format == "text" || format == "json" else {
            throw ValidationError("--format \(format): not text or json")
        }
        let result = load(
            paths: paths,
            options: LoadOptions(proxy: flagOrEnvironment(proxy, "PROXY"), purpose: .check))
        writeText(renderCheck(result.findings, json: format == "json"), to: 1)
        if result.unreadable { throw ExitStatus.unreadable }
        let failed = result.hasErrors || (strict && !result.findings.isEmpty)
        if failed { throw ExitStatus.refused }
    }
}
