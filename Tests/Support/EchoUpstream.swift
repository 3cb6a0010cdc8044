// A well-behaved keep-alive upstream: says who it is and shows the request head that reached it.
internal import Synchronization

package final class EchoUpstream: Sendable {
    /// What `x-upstream` of its responses says.
    package let name: String
    private let listener: Listener
    private let record: Record

    private final class Record: Sendable {
        let requests = Mutex<[HTTPMessage]>([])
    }

    /// On 127.0.0.`host`. `respond` may answer a request itself, with raw bytes; nil leaves it to the echo:
    /// 200 with `x-upstream: NAME`, `x-connection: N` (counted from 0), `x-body-bytes: N`, and the raw
    /// request head as its body. A response without content-length and chunked coding must be followed by a
    /// close, which `connection: close` in it brings about.
    package init(
        _ name: String, port: UInt16 = 0, host: UInt8 = 1,
        respond: @escaping @Sendable (HTTPMessage) -> [UInt8]? = { _ in nil }
    ) throws {
        self.name = name
        let record = Record()
        self.record = record
        listener = try Listener(port: port, host: host) { connection, number in
            Self.serve(connection, number, name, record, respond)
        }
    }

    /// The echo alone, on a Unix socket: a path, or `@name`.
    package init(_ name: String, path: String) throws {
        self.name = name
        let record = Record()
        self.record = record
        listener = try Listener(path: path) { connection, number in
            Self.serve(connection, number, name, record) { _ in nil }
        }
    }

    private static func serve(
        _ connection: RawConnection, _ number: Int, _ name: String, _ record: Record,
        _ respond: (HTTPMessage) -> [UInt8]?
    ) {
        while let request = try? connection.request() {
            record.requests.withLock { $0.append(request) }
            let response = respond(request) ?? echo(request, name, number)
            guard (try? connection.send(response)) != nil else { return }
            let head = String(decoding: response.prefix(8_192), as: UTF8.self).lowercased()
            if head.contains("connection: close\r\n") { return }
            if request.values("connection").contains(where: { $0.lowercased() == "close" }) { return }
        }
    }

    deinit { listener.stop() }

    package var port: UInt16 { listener.port }
    /// Connections accepted so far.
    package var connections: Int { listener.accepted }
    /// Requests read so far, in the order of arrival.
    package var requests: [HTTPMessage] { record.requests.withLock { $0 } }

    /// Stops listening (connects are refused from then on) and ends every connection.
    package func stop() { listener.stop() }

    private static func echo(_ request: HTTPMessage, _ name: String, _ connection: Int) -> [UInt8] {
        response(
            200,
            [
                "x-upstream: \(name)", "x-connection: \(connection)",
                "x-body-bytes: \(request.body.count)", "content-type: text/plain",
            ],
            request.rawHead, toHead: request.method == "HEAD")
    }

    /// A response with a content-length. `toHead`: the length is announced, the body left out.
    package static func response(
        _ status: Int, _ lines: [String] = [], _ body: [UInt8] = [], toHead: Bool = false
    ) -> [UInt8] {
        let head = ["HTTP/1.1 \(status) Test"] + lines + ["content-length: \(body.count)"]
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (toHead ? [] : body)
    }
}
