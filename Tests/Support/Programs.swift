// The programs that wire tests run: the built fairlead and curl.
internal import Glibc

package enum Programs {
    /// The `fairlead` of this build: it lies beside the test bundle.
    package static func fairlead() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            readlink("/proc/self/exe", bytes.bindMemory(to: CChar.self).baseAddress!, bytes.count)
        }
        guard count > 0 else { throw TestFailure("cannot read /proc/self/exe") }
        let parts = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "/").dropLast()
        let path = "/" + parts.joined(separator: "/") + "/fairlead"
        guard access(path, X_OK) == 0 else { throw TestFailure("no fairlead at \(path): build it first") }
        return path
    }

    /// Starts `fairlead` with arguments.
    package static func startFairlead(
        _ arguments: [String], environment: [String: String] = [:], input: [UInt8] = []
    ) throws -> RunningProcess {
        try RunningProcess([fairlead()] + arguments, environment: environment, input: input)
    }

    /// Starts `fairlead run` and waits until it is ready.
    package static func runFairlead(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> RunningProcess {
        let process = try startFairlead(["run"] + arguments, environment: environment)
        try process.waitForLine("ready")
        return process
    }

    /// Runs a program to its end.
    package static func result(
        _ arguments: [String], environment: [String: String] = [:], input: [UInt8] = []
    ) throws -> (exit: Int32, stdout: String, stderr: String) {
        let process = try RunningProcess(arguments, environment: environment, input: input)
        let exit = try process.waitForExit()
        return (exit, process.stdout, process.stderr)
    }

    /// Runs curl to its end, quiet and without the user's own settings; throws when curl itself fails. What
    /// it prints: with `-i` heads and body, otherwise the body.
    package static func curl(_ arguments: [String]) throws -> String {
        // Only the proxy that the arguments name is used, whatever the machine's environment says.
        let ended = try result(
            ["curl", "-q", "-sS", "--noproxy", arguments.contains("-x") ? "" : "*", "--max-time", "20"]
                + arguments)
        guard ended.exit == 0 else {
            throw TestFailure("curl \(arguments.joined(separator: " ")): exit \(ended.exit) \(ended.stderr)")
        }
        return ended.stdout
    }
}
