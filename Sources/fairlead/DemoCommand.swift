// `fairlead demo`.
internal import ArgumentParser
internal import Demo

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Start the whole story on loopback and drive one scripted tour.")

    @Flag(help: "End after the tour; exit 0 only if every step went as told.")
    var once = false

    func run() throws {
        var options = DemoOptions()
        options.once = once
        throw ExitStatus(rawValue: runDemo(options))
    }
}
