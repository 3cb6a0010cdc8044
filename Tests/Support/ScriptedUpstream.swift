// An upstream that does exactly what a test wrote down, right or wrong, and records what it was sent.
internal import Synchronization

/// One thing a scripted upstream does on a connection.
package enum UpstreamStep: Sendable {
    /// Reads a request with its body.
    case readRequest
    /// Reads up to and with a blank line, and nothing of the body.
    case readHead
    case readBytes(Int)
    /// Reads until the peer closes its side.
    case readToEnd
    case send([UInt8])
    /// Sends in pieces of `pieceBytes` with a pause between them.
    case sendSlowly([UInt8], pieceBytes: Int, pauseMs: Int)
    case pause(ms: Int)
    /// Goes on when the test opens the gate.
    case waitFor(Gate)
    /// FIN, still reading.
    case halfClose
    /// RST.
    case reset
    case close

    package static func send(_ text: String) -> UpstreamStep { .send(Array(text.utf8)) }
}

/// Lets a scripted upstream wait for a test.
package final class Gate: Sendable {
    private let opened = Mutex(false)
    package init() {}
    package func open() { opened.withLock { $0 = true } }
    package var isOpen: Bool { opened.withLock { $0 } }
}

package final class ScriptedUpstream: Sendable {
    private let listener: Listener
    private let record: Record

    private final class Record: Sendable {
        /// Bytes read, by connection.
        let received = Mutex<[[UInt8]]>([])
        /// Why a script stopped before its end, by the order in which it happened.
        let failures = Mutex<[String]>([])

        func append(_ bytes: [UInt8], _ connection: Int) {
            received.withLock { received in
                while received.count <= connection { received.append([]) }
                received[connection] += bytes
            }
        }
    }

    /// The n-th connection runs the n-th script, later ones the last; then it is closed.
    package init(port: UInt16 = 0, _ scripts: [[UpstreamStep]]) throws {
        precondition(!scripts.isEmpty, "an upstream needs a script")
        let record = Record()
        self.record = record
        listener = try Listener(port: port) { connection, number in
            record.append([], number)
            do {
                for step in scripts[min(number, scripts.count - 1)] {
                    try Self.run(step, connection) { record.append($0, number) }
                }
            } catch {
                record.failures.withLock { $0.append("connection \(number): \(error)") }
            }
        }
    }

    /// Every connection runs the same script.
    package convenience init(_ script: UpstreamStep...) throws { try self.init([script]) }

    deinit { listener.stop() }

    package var port: UInt16 { listener.port }
    /// Connections accepted so far.
    package var connections: Int { listener.accepted }
    /// Steps that could not be done: the peer closed, reset or stayed silent. Often just what is tested.
    package var failures: [String] { record.failures.withLock { $0 } }

    /// What the script has read on one connection so far.
    package func received(_ connection: Int = 0) -> [UInt8] {
        record.received.withLock { $0.indices.contains(connection) ? $0[connection] : [] }
    }

    /// Stops listening (connects are refused from then on) and ends every connection.
    package func stop() { listener.stop() }

    private static func run(
        _ step: UpstreamStep, _ connection: RawConnection, _ record: ([UInt8]) -> Void
    ) throws {
        switch step {
        case .readRequest:
            guard let request = try connection.request() else { throw TestFailure("no request came") }
            record(request.rawHead + request.body)
        case .readHead:
            guard let head = try connection.head() else { throw TestFailure("no head came") }
            record(head.rawHead)
        case .readBytes(let count): record(try connection.receive(exactly: count))
        case .readToEnd: record(try connection.receiveToEnd())
        case .send(let bytes): try connection.send(bytes)
        case .sendSlowly(let bytes, let pieceBytes, let pauseMs):
            var from = 0
            while from < bytes.count {
                let to = min(bytes.count, from + pieceBytes)
                try connection.send(Array(bytes[from..<to]))
                from = to
                sleepMs(pauseMs)
            }
        case .pause(let ms): sleepMs(ms)
        case .waitFor(let gate): try waitUntil("a gate to open") { gate.isOpen }
        case .halfClose: connection.halfClose()
        case .reset: connection.reset()
        case .close: connection.close()
        }
    }
}
