// The built program's demo, with real proxies: the tour goes as told, and nothing outlives it.
import TestSupport
import Testing

extension DemoSuites.RunningDemoTests {
    /// Starting seven proxies and the tour on a loaded machine with sanitizers.
    private var patience: Deadline { .seconds(120) }

    /// Its working folder lies in `folder`, so that a demo which is killed leaves nothing behind.
    private func start(_ folder: TemporaryDirectory, _ arguments: String...) throws -> RunningProcess {
        try Programs.startFairlead(["demo"] + arguments, environment: ["TMPDIR": folder.path])
    }

    /// Where the edge listens, from the introduction.
    private func edgePort(_ demo: RunningProcess) throws -> UInt16 {
        let line = try demo.waitForLine("  edge       http", patience)
        return try #require(line.split(separator: ":").last.flatMap { UInt16($0) })
    }

    @Test func onceEndsWithTheTour() throws {
        let folder = try TemporaryDirectory()
        let demo = try start(folder, "--once")
        #expect(try demo.waitForExit(patience) == 0, "\(demo.stdout)\(demo.stderr)")
        #expect(demo.stdout.contains("All 8 steps went as told."))
        #expect(demo.stderr.isEmpty)
        #expect(listFolder(folder.path).isEmpty)
    }

    @Test func endsOnCtrlC() throws {
        let folder = try TemporaryDirectory()
        let demo = try start(folder)
        let port = try edgePort(demo)
        try demo.waitForLine("Still running", patience)
        let page = try Programs.curl(["-b", "x-feat-name=auth-refactor", "http://localhost:\(port)/"])
        #expect(page.contains("auth           auth-refactor"))
        demo.signal(2)
        #expect(try demo.waitForExit(patience) == 0, "\(demo.stdout)\(demo.stderr)")
        #expect(throws: TestFailure.self) { try RawConnection(port: port) }
    }

    @Test func proxiesDieWithTheDemo() throws {
        let folder = try TemporaryDirectory()
        let demo = try start(folder)
        let port = try edgePort(demo)
        try demo.waitForLine("Still running", patience)
        demo.signal(9)
        _ = try demo.waitForExit(patience)
        try waitUntil("the edge to end") { (try? RawConnection(port: port)) == nil }
    }

    @Test func tellsWhichProxyDied() throws {
        let folder = try TemporaryDirectory()
        let demo = try start(folder)
        try demo.waitForLine("Still running", patience)
        let child = try #require(try children(of: demo.pid).first)
        _ = try Programs.result(["kill", "-9", "\(child)"])
        #expect(try demo.waitForExit(patience) == 1)
        #expect(demo.stdout.contains(" ended (exit -9)"))
    }

    private func children(of pid: Int32) throws -> [Int32] {
        let text = try #require(readFile("/proc/\(pid)/task/\(pid)/children"))
        return String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
    }
}
