// WebSocket with a library that real applications use.
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15)))
struct HttpWebSocket {
    @Test func messagesOfAllSizesAndTheCloseCode() throws {
        let (upstream, port) = try WireClients.start("websocket_echo")
        defer { upstream.signal(9) }
        let proxy = try HttpProxy(to: [port])
        #expect(try WireClients.run("websocket_messages", ["\(proxy.port)"]) == "all well\n")
        try proxy.waitUntilQuiet()
        try proxy.expectMetric(1, "istio_requests_total", "response_code=\"101\"")
    }
}
