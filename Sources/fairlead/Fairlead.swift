// The command line: interface.md 1. Each command is a file of its own; this one joins them and maps every
// failure to the exit codes that the interface promises.
internal import ArgumentParser
internal import Glibc

@main
struct Fairlead: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fairlead",
        abstract: "An L7 proxy for feature lanes: edge and egress sidecar.",
        version: Version.text,
        subcommands: [
            RunCommand.self, CheckCommand.self, ExplainCommand.self, DemoCommand.self,
            HealthcheckCommand.self,
            VersionCommand.self,
        ])

    static func main() {
        var command: any ParsableCommand
        do {
            command = try Fairlead.parseAsRoot()
        } catch {
            end(error)
        }
        do {
            try command.run()
        } catch {
            end(error)
        }
    }

    /// Help goes to standard output and ends with 0; wrong usage to standard error and ends with 2.
    private static func end(_ error: any Error) -> Never {
        if let code = error as? ExitStatus { Glibc.exit(code.rawValue) }
        let isHelp = exitCode(for: error) == .success
        writeText(fullMessage(for: error) + "\n", to: isHelp ? 1 : 2)
        Glibc.exit(isHelp ? 0 : ExitStatus.usage.rawValue)
    }
}

/// interface.md 1.
struct ExitStatus: Error {
    let rawValue: Int32

    static let stopped = ExitStatus(rawValue: 0)
    static let refused = ExitStatus(rawValue: 1)
    static let usage = ExitStatus(rawValue: 2)
    static let unreadable = ExitStatus(rawValue: 2)
    static let cannotBind = ExitStatus(rawValue: 3)
}

/// Writes all of a text to a descriptor, whatever its size.
func writeText(_ text: String, to descriptor: Int32) { writeBytes(Array(text.utf8), to: descriptor) }

func writeBytes(_ bytes: [UInt8], to descriptor: Int32) {
    bytes.withUnsafeBytes { buffer in
        var sent = 0
        while sent < buffer.count {
            let count = write(descriptor, buffer.baseAddress! + sent, buffer.count - sent)
            if count < 0, errno != EINTR { return }
            sent += max(0, count)
        }
    }
}
