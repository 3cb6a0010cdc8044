// WebSocket with a library that real applications use: PyPI's websockets, in a virtual environment of the
// build.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpWebSocket {
    private static let version = "15.0.1"

    /// The interpreter of an environment that has the library; made on first use beside the build's products.
    private func python() throws -> String {
        let parts = try Programs.fairlead().split(separator: "/")
        guard let build = parts.firstIndex(of: ".build") else { throw TestFailure("not built under .build") }
        let folder = "/" + parts[...build].joined(separator: "/") + "/websockets-\(Self.version)"
        let python = "\(folder)/bin/python3"
        if try works(python) { return python }
        let made = try RunningProcess(["python3", "-m", "venv", "--clear", folder])
        guard try made.waitForExit(.seconds(60)) == 0 else {
            throw TestFailure("cannot make a virtual environment (Debian: python3-venv): \(made.stderr)")
        }
        let installed = try RunningProcess(
            [
                python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                "websockets==\(Self.version)",
            ])
        guard try installed.waitForExit(.seconds(90)) == 0 else {
            throw TestFailure("cannot install websockets \(Self.version) from PyPI: \(installed.stderr)")
        }
        return python
    }

    private func works(_ python: String) throws -> Bool {
        guard readFile(python) != nil else { return false }
        return try Programs.result([python, "-c", "import websockets.sync.server"]).exit == 0
    }

    private let server = """
        import sys
        from websockets.sync.server import serve
        def echo(connection):
            for message in connection:
                if message == "bye":
                    connection.close(4001, "as asked")
                    return
                connection.send(message)
        with serve(echo, "127.0.0.1", 0, max_size=None) as server:
            print("port", server.socket.getsockname()[1], flush=True)
            server.serve_forever()
        """

    private let client = """
        import os, sys
        from websockets.sync.client import connect
        from websockets.exceptions import ConnectionClosed
        with connect(f"ws://127.0.0.1:{sys.argv[1]}/chat", max_size=None, proxy=None) as socket:
            for size in (0, 1, 125, 126, 65535, 65536, 3000000):
                data = os.urandom(size)
                socket.send(data)
                assert socket.recv() == data, size
                text = "ü" * (size // 2)
                socket.send(text)
                assert socket.recv() == text, size
            assert socket.ping(b"p").wait(10)
            socket.send("bye")
            try:
                socket.recv()
                assert False, "not closed"
            except ConnectionClosed as end:
                assert end.rcvd.code == 4001 and end.rcvd.reason == "as asked", end
        print("all well")
        """

    @Test func messagesOfAllSizesAndTheCloseCode() throws {
        let python = try python()
        let upstream = try RunningProcess([python, "-c", server])
        let line = try upstream.waitForLine("port ")
        let port = try #require(line.split(separator: " ").last.flatMap { UInt16($0) })
        let proxy = try HttpProxy(to: [port])
        let ended = try Programs.result([python, "-c", client, "\(proxy.port)"])
        #expect(ended.exit == 0, "\(ended.stderr)")
        #expect(ended.stdout == "all well\n")
        try proxy.waitUntilQuiet()
        try proxy.expectMetric(1, "istio_requests_total", "response_code=\"101\"")
    }
}
