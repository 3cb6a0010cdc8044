// The helpers of Tests/Support themselves: a helper that cannot fail would make every test worthless.
import Base
import TestSupport
import Testing

@Test func splitFeederFindsAParserThatDependsOnItsCuts() throws {
    let input = Array("one two".utf8)
    try assertSameAtEverySplit(input) { pieces in pieces.reduce([], +) }
    #expect(throws: TestFailure.self) {
        try assertSameAtEverySplit(input) { pieces in pieces.filter { !$0.isEmpty }.count }
    }
    #expect(throws: TestFailure.self) {
        try assertSameAtEverySplit(input) { pieces in pieces.count == 2 && pieces[0] == Array("one".utf8) }
    }
}

@Test func seededRandomReplays() {
    var one = SeededRandom(seed: 7)
    var two = SeededRandom(seed: 7)
    #expect(one.bytes(100) == two.bytes(100))
    #expect(one.text(20, of: "abc") == two.text(20, of: "abc"))
    var other = SeededRandom(seed: 8)
    #expect(one.bytes(100) != other.bytes(100))
}

@Test func temporaryDirectoryGoesAway() throws {
    var directory: TemporaryDirectory? = try TemporaryDirectory()
    let path = try #require(directory).path
    try directory?.write("a/b.txt", "hello")
    try directory?.replace("a/b.txt", "bye")
    #expect(readFile("\(path)/a/b.txt") == Array("bye".utf8))
    #expect(filesBelow(path) == ["a/b.txt"])
    directory = nil
    #expect(!isFolder(path))
}

@Test func echoUpstreamKeepsAliveAndCounts() throws {
    let upstream = try EchoUpstream("one")
    let client = try RawConnection(port: upstream.port)
    let first = try client.get("/a?b", ["X-Odd:  spaced "])
    #expect(first.status == 200)
    #expect(first.value("X-Upstream") == "one")
    #expect(first.text == "GET /a?b HTTP/1.1\r\nHost: fairlead.test\r\nX-Odd:  spaced \r\n\r\n")
    #expect(upstream.requests.first?.value("x-odd") == "spaced")
    #expect(try client.get("/b").value("x-connection") == "0")
    try client.send("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n")
    #expect(try client.response().value("x-body-bytes") == "3")
    #expect(upstream.requests.last?.trailers == ["t: 1"])
    #expect(try RawConnection(port: upstream.port).get("/").value("x-connection") == "1")
    #expect(upstream.connections == 2)
    upstream.stop()
    #expect(try client.receiveToEnd().isEmpty)
    #expect(throws: TestFailure.self) { try RawConnection(port: upstream.port) }
}

@Test func scriptedUpstreamFollowsItsScript() throws {
    let gate = Gate()
    let upstream = try ScriptedUpstream([
        [.readRequest, .send("HTTP/1.1 200 OK\r\n\r\nuntil the end")],
        [.readHead, .waitFor(gate), .reset],
        [.sendSlowly(Array("slow".utf8), pieceBytes: 1, pauseMs: 1), .halfClose, .readToEnd],
    ])
    let first = try RawConnection(port: upstream.port)
    #expect(try first.get("/1").text == "until the end")
    #expect(upstream.received(0) == Array("GET /1 HTTP/1.1\r\nHost: fairlead.test\r\n\r\n".utf8))

    let second = try RawConnection(port: upstream.port)
    try second.send("GET /2 HTTP/1.1\r\n\r\n")
    #expect(second.isQuiet(forMs: 20))
    gate.open()
    #expect(throws: ConnectionReset.self) { try second.receiveToEnd() }

    let third = try RawConnection(port: upstream.port)
    #expect(try third.receiveToEnd() == Array("slow".utf8))
    try third.send("late")
    third.halfClose()
    try waitUntil("the late bytes") { upstream.received(2) == Array("late".utf8) }
    #expect(upstream.connections == 3)
    #expect(upstream.failures.isEmpty)
}

@Test func processesAreCapturedAndEnded() throws {
    let ended = try Programs.result(
        ["sh", "-c", "cat; echo $WORD; echo oops >&2; exit 3"], environment: ["WORD": "word"],
        input: Array("input\n".utf8))
    #expect(ended == (3, "input\nword\n", "oops\n"))

    let sleeper = try RunningProcess(["sh", "-c", "echo ready; exec sleep 600"])
    #expect(try sleeper.waitForLine("rea") == "ready")
    #expect(throws: TestFailure.self) { try sleeper.waitForLine("never", .seconds(0.02)) }
    sleeper.signal(15)
    #expect(try sleeper.waitForExit() == 128 + 15)
    #expect(throws: TestFailure.self) { try sleeper.waitForLine("never") }
    #expect(throws: TestFailure.self) { try RunningProcess(["/nonexistent/program"]) }
}

@Test func curlReachesTheEcho() throws {
    let upstream = try EchoUpstream("curled")
    let answer = try Programs.curl(["-i", "http://127.0.0.1:\(upstream.port)/x"])
    #expect(answer.contains("x-upstream: curled\r\n"))
    #expect(throws: TestFailure.self) { try Programs.curl(["http://127.0.0.1:\(freeLoopbackPort())/"]) }
}
