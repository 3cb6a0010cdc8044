// The proxy's own deadline of a gRPC call: the client here enforces none and its server never ends, so
// whatever ends is ended by Fairlead (istio-semantics.md 7).
import Synchronization
import TestSupport
import Testing

/// A server that takes calls and ends none; those of `/open` it begins to answer when the gate is open.
private final class EndlessServer: Sendable {
    let gate = Gate()
    private let record: Record
    private let upstream: RawUpstream

    private final class Record: Sendable {
        let calls = Mutex(0)
        let resets = Mutex<[H2Code]>([])
    }

    var port: UInt16 { upstream.port }
    var connections: Int { upstream.connections }
    var calls: Int { record.calls.withLock { $0 } }
    /// RST_STREAM that came.
    var resets: [H2Code] { record.resets.withLock { $0 } }

    init() throws {
        let (record, gate) = (Record(), gate)
        self.record = record
        upstream = try RawUpstream { connection, _ in
            let peer = H2Peer(connection)
            try? peer.welcome()
            while let frame = try? peer.next() {
                switch frame.type {
                case H2Frame.Kind.settings where !frame.isAck: try? peer.send(.settingsAck)
                case H2Frame.Kind.reset: record.resets.withLock { $0.append(frame.errorCode ?? .none) }
                case H2Frame.Kind.headers:
                    let path = (try? peer.fields(frame))?.first { $0.name == ":path" }?.value
                    record.calls.withLock { $0 += 1 }
                    if path == "/open" { try? Self.begin(peer, frame.stream, gate) }
                default: break
                }
            }
        }
    }

    private static func begin(_ peer: H2Peer, _ stream: UInt32, _ gate: Gate) throws {
        try waitUntil("the gate") { gate.isOpen }
        let head = HPACK.block([(":status", "200"), ("content-type", "application/grpc")])
        try peer.send(.headers(stream, head, end: false), .data(stream, [0, 0, 0, 0, 0]))
    }
}

@Suite(.timeLimit(.minutes(15)))
struct GrpcDeadlines {
    private static func call(_ path: String, timeout: String?) -> [(String, String)] {
        let more = [("content-type", "application/grpc"), ("te", "trailers")]
        return H2Peer.request("POST", path, more + (timeout.map { [("grpc-timeout", $0)] } ?? []))
    }

    /// The call's own, the route's (300 ms of `/timeout`), and the smaller of both.
    @Test func aCallThatNobodyAnswersEnds() throws {
        let server = try EndlessServer()
        let proxy = try HttpProxy(edgeDocuments(to: [server.port], protocol: "GRPC"))
        let client = try H2Peer.client(port: proxy.port)
        let calls = [
            ("/a/b", "300m"), ("/a/b", "250000u"), ("/timeout", nil), ("/timeout", "1H"), ("/timeout", "50m"),
        ]
        for (index, (path, timeout)) in calls.enumerated() {
            let stream = UInt32(2 * index + 1)
            try client.ask(stream, Self.call(path, timeout: timeout), end: false)
            try client.send(.data(stream, [0, 0, 0, 0, 0], end: true))
            let told = try client.response(stream)
            #expect(told.status == 200 && told.body.isEmpty && told.reset == nil, "\(told)")
            #expect(told.value("content-type") == "application/grpc")
            #expect(told.value("grpc-status") == "14", "504 in gRPC's terms, as Envoy says it: \(told)")
            #expect(told.value("grpc-message") == "upstream request timeout")
            #expect(told.value("x-fairlead-reason") == "upstream-timeout")
            try waitUntil("the server's stream to be reset") { server.resets.count == index + 1 }
        }
        #expect(server.resets.allSatisfy { $0 == .cancel } && server.calls == calls.count)
        #expect(server.connections == 1, "the streams ended, not what carried them")
        try proxy.expectMetric(
            calls.count, "istio_requests_total", "grpc_response_status=\"14\"", "response_flags=\"UT\"")
        client.raw.close()
        try proxy.waitUntilQuiet()
    }

    /// The clock begins with the end of the request, however long that streams; an answer that is under way
    /// then ends with a reset.
    @Test func theClockBeginsWithTheWholeRequest() throws {
        let server = try EndlessServer()
        let proxy = try HttpProxy(edgeDocuments(to: [server.port], protocol: "GRPC"))
        let client = try H2Peer.client(port: proxy.port)
        try client.ask(1, Self.call("/open", timeout: "50m"), end: false)
        try client.send(.data(1, [0, 0, 0, 0, 0]))
        try waitUntil("the call") { server.calls == 1 }
        // Time for a clock that would run already.
        sleepMs(300)
        #expect(server.resets.isEmpty)
        server.gate.open()
        let frames = try client.read { $0.type == H2Frame.Kind.data || $0.type == H2Frame.Kind.reset }
        let head = try #require(frames.first { $0.type == H2Frame.Kind.headers })
        #expect(try client.fields(head).first?.value == "200" && frames.last?.payload == [0, 0, 0, 0, 0])
        try client.send(.data(1, end: true))
        let end = try client.read { $0.type == H2Frame.Kind.reset }.last
        #expect(end?.stream == 1 && end?.errorCode == .internalError)
        try waitUntil("the server's stream to be reset") { server.resets == [.cancel] }
        client.raw.close()
        try proxy.waitUntilQuiet()
    }
}
